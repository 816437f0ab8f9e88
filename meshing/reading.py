"""Surfaces from files: STL, PLY, OBJ and VTP, with the unit and space that they name."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOGeometry import vtkSTLReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from meshing.surface import (
    SurfaceMesh,
    enclosed_mm3,
    from_trimesh,
    from_vtk,
    is_watertight,
    measured,
)
from segmentation.contract import Finding, FrameMismatch, Severity

Space = Literal["LPS", "RAS"]
Unit = Literal["mm", "cm", "m"]

AGAIN = "write it again with the program that made it"
STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
"""One facet of a binary STL."""

TEXT_STL_HEAD = 4096
"""So near to its beginning a text STL has a facet; a binary one may begin with its word too."""

SMALLEST_MM, LARGEST_MM = 2.0, 1000.0
"""A surface whose longest side is outside of these is unlikely in a patient."""

_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error)
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


class UnreadableSurface(ValueError):
    """A surface file is damaged, empty or of an unknown kind."""


@dataclass(frozen=True)
class Tags:
    """What a file says about itself; empty where it is silent."""

    space: str = ""
    unit: str = ""
    frame_uid: str = ""
    name: str = ""


def _tags_of(text: str) -> Tags:
    """Read KEY=value words, as in the 80 bytes of an STL header or in comment lines."""
    found = dict(re.findall(r"\b(SPACE|UNIT|FRAME|NAME)=(\S+)", text))
    return Tags(
        found.get("SPACE", "").upper(),
        found.get("UNIT", "").lower(),
        found.get("FRAME", ""),
        found.get("NAME", ""),
    )


def read_surface(
    path: Path | str,
    *,
    unit: Unit = "mm",
    frame_uid: str = "",
    space: Space | None = None,
    as_it_is: bool = False,
) -> SurfaceMesh:
    """Read a surface from .stl, .ply, .obj or .vtp and return it in LPS mm.

    A file that names its space or unit (``SPACE=RAS``, ``UNIT=cm``) is taken at its word;
    ``space`` and ``unit`` tell of files that do not. Points at the same place become one, and
    normals of a closed surface are turned outward.

    Args:
        path: the file.
        unit: length unit of a file that names none.
        frame_uid: the DICOM frame of reference; empty takes the file's own.
        space: axes of a file that names none; without it LPS is assumed, with a finding.
        as_it_is: leave every fault in: no triangle goes or is turned, and only the corners of
            an STL, which has no other points, become one where they coincide.

    Raises:
        UnreadableSurface: if the file is damaged, empty, not finite or of an unknown kind.
        FrameMismatch: if the file names another frame.
        OSError: if the file cannot be opened.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        known = ", ".join(_READERS)
        raise UnreadableSurface(f"{path.name} is not read as a surface; use {known}")
    mesh, tags = read(path)
    if not len(mesh.triangles):
        raise UnreadableSurface(f"{path.name} holds no triangle")
    if frame_uid and tags.frame_uid and tags.frame_uid != frame_uid:
        raise FrameMismatch(f"{path.name} lies in frame {tags.frame_uid}, not in {frame_uid}")
    findings = doubts(tags, unit, space)
    scale = scale_to_lps_mm(tags, unit, space)
    if not as_it_is:
        mesh = welded(mesh)
    elif path.suffix.lower() == ".stl":
        mesh = _with_shared_points(mesh)
    mesh = replace(
        mesh,
        frame_uid=frame_uid or tags.frame_uid,
        name=tags.name or mesh.name or path.stem,
    )
    mesh = replace(mesh, points_mm=mesh.points_mm * scale)
    extent = float(np.ptp(mesh.points_mm, axis=0).max())
    if not SMALLEST_MM <= extent <= LARGEST_MM:
        text = f"The surface is {extent:.4g} mm long, which is unlikely in a patient."
        findings.append(
            Finding(Severity.WARNING, "unit_doubtful", text, remedy="Check the file's unit.")
        )
    if not as_it_is and is_watertight(mesh) and enclosed_mm3(mesh) < 0:
        mesh = replace(mesh, triangles=mesh.triangles[:, ::-1])
        text = "The file's normals pointed inward; they were turned."
        findings.append(Finding(Severity.INFO, "normals_turned", text))
    return measured(replace(mesh, findings=tuple(findings)))


def scale_to_lps_mm(tags: Tags, unit: Unit, space: Space | None) -> npt.NDArray[np.float64]:
    """Return the factors (3,) from a file's coordinates to LPS mm; what the file says wins."""
    scale = np.full(3, _MM.get(tags.unit, _MM[unit]))
    return scale * _RAS_TO_LPS if (tags.space or space) == "RAS" else scale


def doubts(tags: Tags, unit: Unit, space: Space | None) -> list[Finding]:
    """Return findings where the file contradicts the caller, or nobody named the space."""
    findings = []
    if tags.space and space and tags.space != space:
        text = f"The file says {tags.space}, which was taken instead of {space}."
        findings.append(Finding(Severity.WARNING, "space_from_file", text))
    if not tags.space and not space:
        text = "The file does not say whether its axes are LPS or RAS; LPS was assumed."
        remedy = "Look whether it lies on the patient's image; else read it as RAS."
        findings.append(Finding(Severity.WARNING, "space_assumed", text, remedy=remedy))
    if tags.unit and tags.unit != unit and unit != "mm":
        text = f"The file says {tags.unit}, which was taken instead of {unit}."
        findings.append(Finding(Severity.WARNING, "unit_from_file", text))
    return findings


def welded(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface with coincident and unused points removed, in order of appearance.

    Triangles that thereby lose their area go. Point data follow the first of each point.
    """
    shared = _with_shared_points(mesh)
    a, b, c = shared.triangles.T
    return replace(shared, triangles=shared.triangles[(a != b) & (b != c) & (c != a)])


def _with_shared_points(mesh: SurfaceMesh) -> SurfaceMesh:
    used = np.flatnonzero(np.bincount(mesh.triangles.ravel(), minlength=len(mesh.points_mm)))
    first, same = _first_of_equals(mesh.points_mm[used] + 0.0)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    position = np.empty(len(mesh.points_mm), np.int64)
    position[used] = rank[same]
    keep = used[first[order]]
    return replace(
        mesh,
        points_mm=mesh.points_mm[keep],
        triangles=position[mesh.triangles],
        point_data={name: values[keep] for name, values in mesh.point_data.items()},
    )


def _first_of_equals(
    points: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return per group of equal rows its first row, and per row its group.

    Rows are told apart by a 64-bit mix of their bits, which sorts many times faster than the
    rows do; should two different rows ever mix to the same, the rows themselves are sorted.
    """
    bits = np.ascontiguousarray(points).view(np.uint64)
    mixed = bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    for column, factor in ((1, 0xC2B2AE3D27D4EB4F), (2, 0x165667B19E3779F9)):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed += bits[:, column] * np.uint64(factor)
    _, first, same = np.unique(mixed, return_index=True, return_inverse=True)
    if not np.array_equal(points[first][same], points):
        _, first, same = np.unique(points, axis=0, return_index=True, return_inverse=True)
    return first, same.ravel()


def _finite(points: npt.NDArray[np.float64], path: Path) -> npt.NDArray[np.float64]:
    if not np.isfinite(points).all():
        raise UnreadableSurface(f"{path.name} has a point that is not finite; {AGAIN}")
    return points


def _read_stl(path: Path) -> tuple[SurfaceMesh, Tags]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(84)
        start = head + file.read(TEXT_STL_HEAD - len(head))
        file.seek(len(head))
        count = int.from_bytes(head[80:84], "little") if len(head) == 84 else -1
        if size == 84 + 50 * count:
            cells = np.frombuffer(file.read(), STL_TRIANGLE)
            points = _finite(cells["corners"].reshape(-1, 3).astype(np.float64), path)
            triangles = np.arange(len(points), dtype=np.int64).reshape(-1, 3)
            text = head[:80].decode("latin-1").replace("\0", " ")
            return SurfaceMesh(points, triangles, ""), _tags_of(text)
    if head.lstrip()[:5].lower() != b"solid" or b"facet" not in start.lower():
        needed = f"{count} triangles need {84 + 50 * count}" if count >= 0 else "its head needs 84"
        raise UnreadableSurface(
            f"{path.name} is no whole STL: {size} bytes, where {needed}; copy it again"
        )
    reader = vtkSTLReader()
    reader.SetFileName(str(path))
    reader.MergingOff()  # it would drop triangles without an area
    reader.Update()
    mesh = _checked_vtk(reader.GetOutput(), path)
    return mesh, _tags_of(head.split(b"\n")[0].decode("latin-1"))


def _checked_vtk(poly: vtkPolyData, path: Path) -> SurfaceMesh:
    if not poly.GetNumberOfPoints() or not poly.GetNumberOfCells():
        raise UnreadableSurface(f"{path.name} holds no triangle, or is damaged")
    try:
        return from_vtk(poly, frame_uid="")
    except ValueError as error:
        raise UnreadableSurface(f"{path.name}: {error}; {AGAIN}") from error


def _read_trimesh(path: Path) -> tuple[SurfaceMesh, Tags]:
    """Read PLY or OBJ; tags stand in the comments of the first lines."""
    import trimesh

    with path.open("rb") as file:
        text = file.read(2000).split(b"end_header")[0].decode("latin-1")
        file.seek(0)
        try:
            mesh = trimesh.load_mesh(
                file, file_type=path.suffix[1:].lower(), process=False, skip_materials=True
            )
        except _DAMAGE as error:
            raise UnreadableSurface(f"{path.name} is damaged: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise UnreadableSurface(f"{path.name} holds no triangle")
    _finite(np.asarray(mesh.vertices), path)
    return from_trimesh(mesh, frame_uid=""), _tags_of(text)


def _read_vtp(path: Path) -> tuple[SurfaceMesh, Tags]:
    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(str(path)):
        raise UnreadableSurface(f"{path.name} is no VTP file, or is damaged")
    reader.SetFileName(str(path))
    reader.Update()
    poly = reader.GetOutput()
    mesh = _checked_vtk(poly, path)
    tags, colour = vtk_tags(poly), _field_text(poly, "colour")
    if colour:
        red, green, blue = map(int, colour.split())
        mesh = replace(mesh, colour=(red, green, blue))
    return mesh, tags


def vtk_tags(poly: vtkPolyData) -> Tags:
    """Return what a VTP file says about itself in its field data."""
    return Tags(*(_field_text(poly, key) for key in ("space", "unit", "frame_uid", "name")))


def _field_text(poly: vtkPolyData, key: str) -> str:
    array = poly.GetFieldData().GetAbstractArray(key)
    return str(array.GetValue(0)) if isinstance(array, vtkStringArray) else ""


_READERS: dict[str, Callable[[Path], tuple[SurfaceMesh, Tags]]] = {
    ".stl": _read_stl,
    ".ply": _read_trimesh,
    ".obj": _read_trimesh,
    ".vtp": _read_vtp,
}
