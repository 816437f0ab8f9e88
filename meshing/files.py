"""Surfaces to and from files, with unit and space; every file is reopened before it is kept.

STL, PLY, OBJ and VTP are written and read; 3MF, GLB and USD are written for other tools. 3MF,
OBJ, GLB and USD hold several surfaces.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from meshing.exchange import reread_3mf, write_3mf
from meshing.gltf import reread_glb, write_glb
from meshing.reading import (
    UnreadableSurface,
    read_surface,
    welded,
)
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from meshing.usd import has_usd, reread_usd, write_usd
from meshing.writers import reread_obj, write_obj, write_ply, write_stl, write_vtp
from segmentation.contract import Progress, silent

__all__ = [
    "SEVERAL",
    "WRITTEN",
    "Draft",
    "Reopened",
    "UnfaithfulFile",
    "UnreadableSurface",
    "draft_surfaces",
    "read_surface",
    "write_surface",
]

FAITHFUL_MM = 1e-3
"""How far a point may move in a file; single precision at 4 m from the origin moves it less."""


class UnfaithfulFile(RuntimeError):
    """A surface file, read back, is not the surface that was written."""


@dataclass(frozen=True)
class _Kind:
    """How one kind of file is written, and read back as it lies there."""

    write: Callable[[Sequence[SurfaceMesh], Path, str, str], None]
    reread: Callable[[Path], list[SurfaceMesh]]
    several: bool = False


def _one(path: Path) -> list[SurfaceMesh]:
    return [read_surface(path)]


_KINDS: dict[str, _Kind] = {
    ".stl": _Kind(write_stl, _one),
    ".ply": _Kind(write_ply, _one),
    ".obj": _Kind(write_obj, reread_obj, True),
    ".vtp": _Kind(write_vtp, _one),
    ".3mf": _Kind(write_3mf, reread_3mf, True),
    ".glb": _Kind(write_glb, reread_glb, True),
    **{ending: _Kind(write_usd, reread_usd, True) for ending in (".usdz", ".usdc", ".usda")},
}

WRITTEN = tuple(ending for ending in _KINDS if has_usd() or not ending.startswith(".usd"))
"""The endings of files that surfaces are written to here."""

SEVERAL = tuple(ending for ending in WRITTEN if _KINDS[ending].several)
"""The endings of files that hold several surfaces."""


@dataclass(frozen=True)
class Reopened:
    """One surface as its file holds it, beside what was to be written.

    Attributes:
        name: the surface's.
        triangles: how many the file holds; those without area are not counted.
        volume_ml: what the file's surface encloses; None where it is not closed.
        farthest_mm: the greatest distance from a point written to the file's nearest point.
        surface: what was read, LPS mm.
    """

    name: str
    triangles: int
    volume_ml: float | None
    farthest_mm: float
    surface: SurfaceMesh


class Draft:
    """Files that were written and reopened, and wait to be kept or discarded."""

    def __init__(self, folder: Path, path: Path, reopened: tuple[Reopened, ...]) -> None:
        self.path = path
        self.reopened = reopened
        self._folder = folder

    def keep(self) -> tuple[Path, ...]:
        """Put the files in their place; return them, the main one first.

        Raises:
            OSError: if the folder cannot be written.
        """
        beside = [part for part in self._folder.iterdir() if part.name != self.path.name]
        # The main file goes last: where it is new, all that it names is there.
        for part in [*sorted(beside), self._folder / self.path.name]:
            part.chmod(0o644)
            os.replace(part, self.path.parent / part.name)
        self.discard()
        return (self.path, *(self.path.parent / part.name for part in sorted(beside)))

    def discard(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._folder, ignore_errors=True)


def write_surface(mesh: SurfaceMesh, path: Path | str, *, note: str = "") -> Path:
    """Write a surface in LPS mm, in the format of the ending; see `draft_surfaces`.

    Raises:
        ValueError: if the ending is unknown or the surface is empty.
        UnfaithfulFile: if the file read back differs from the surface.
        OSError: if the folder cannot be written.
    """
    return draft_surfaces([mesh], path, note=note).keep()[0]


def draft_surfaces(
    meshes: Sequence[SurfaceMesh],
    path: Path | str,
    *,
    note: str = "",
    progress: Progress = silent,
) -> Draft:
    """Write surfaces in LPS mm beside ``path``, reopen and compare them; `Draft.keep` them then.

    The ending chooses the format: .stl, .ply and .vtp hold one surface; .obj (with a .mtl for
    the colours), .3mf, .glb and, with the extra ``usd``, .usdz, .usdc and .usda several. GLB
    and USD are in metres, head up, as viewers ask. STL, GLB and USD hold single precision; VTP
    keeps the point data. A failed draft leaves nothing behind.

    Args:
        meshes: the surfaces, LPS mm; surfaces of the same name are numbered.
        path: the file that `Draft.keep` makes.
        note: what its reader must know; it stands where the format has a place for it.
        progress: told how far the work is.

    Raises:
        ValueError: if the ending is unknown, a surface is empty, or there are too many.
        UnfaithfulFile: if a file read back differs from what was to be written.
        OSError: if the folder cannot be written.
    """
    path = Path(path)
    kind = _kind_of(meshes, path)
    named = _with_own_names(meshes)
    folder = Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))
    try:
        progress(0.1, f"writing {path.name}")
        kind.write(named, folder, path.name, note)
        progress(0.5, f"reopening {path.name}")
        found = [welded(surface) for surface in kind.reread(folder / path.name)]
        if len(found) != len(named):
            raise UnfaithfulFile(f"{path.name} holds {len(found)} surfaces of {len(named)}")
        reopened = []
        for number, (mesh, back) in enumerate(zip(named, found)):
            progress(0.6 + 0.4 * number / len(named), f"comparing {mesh.name}")
            reopened.append(_compared(mesh, back, path))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Draft(folder, path, tuple(reopened))


def _kind_of(meshes: Sequence[SurfaceMesh], path: Path) -> _Kind:
    """Return how to write, or raise where it cannot be."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(WRITTEN)
        raise ValueError(f"a surface is not written as {path.suffix!r}; use {known}")
    if not meshes:
        raise ValueError("there is no surface to write")
    if len(meshes) > 1 and not kind.several:
        raise ValueError(
            f"a {path.suffix} file holds one surface, not {len(meshes)}; use {', '.join(SEVERAL)}"
        )
    for mesh in meshes:
        if not len(mesh.triangles):
            raise ValueError(
                f"the surface {mesh.name!r} has no triangle; there is nothing to write"
            )
    return kind


def _with_own_names(meshes: Sequence[SurfaceMesh]) -> list[SurfaceMesh]:
    """Return the surfaces with names that tell them apart."""
    if len(meshes) == 1:
        return list(meshes)
    taken: set[str] = set()
    named = []
    for mesh in meshes:
        name, number = mesh.name or "surface", 1
        while name in taken:
            number += 1
            name = f"{mesh.name or 'surface'} {number}"
        taken.add(name)
        named.append(replace(mesh, name=name))
    return named


def _compared(mesh: SurfaceMesh, back: SurfaceMesh, path: Path) -> Reopened:
    """Return how a surface came back, or raise unless it is the one that was written."""
    used = mesh.points_mm[np.bincount(mesh.triangles.ravel(), minlength=len(mesh.points_mm)) > 0]
    here, there = _bounds(used), _bounds(back.points_mm)
    closed = is_watertight(mesh)
    volume, again = enclosed_mm3(mesh), enclosed_mm3(back)
    farthest = float(cKDTree(back.points_mm).query(used)[0].max())
    wrong = ""
    if not np.allclose(here, there, rtol=1e-6, atol=1e-4):
        wrong = f"its bounds in mm are {there.tolist()} instead of {here.tolist()}"
    elif farthest > FAITHFUL_MM:
        wrong = f"a point moved by {farthest:.3g} mm"
    elif closed and not np.isclose(volume, again, rtol=1e-4, atol=1e-3):
        wrong = f"it encloses {again:.3f} mm3 instead of {volume:.3f} mm3"
    elif closed and not is_watertight(back):
        wrong = "it is no longer closed; points closer than 0.0001 mm may have merged"
    if wrong:
        raise UnfaithfulFile(f"{path.name} would not hold the surface {mesh.name!r}: {wrong}")
    volume_ml = again / 1000.0 if is_watertight(back) else None
    return Reopened(mesh.name, len(back.triangles), volume_ml, farthest, back)


def _bounds(points: Any) -> Any:
    return np.array([points.min(axis=0), points.max(axis=0)])
