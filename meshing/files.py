"""Surfaces to and from files, with unit and space.

STL, PLY, OBJ and VTP are written and read; 3MF and GLB are written for other tools.
"""

from __future__ import annotations

import os
import re
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import trimesh
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOGeometry import vtkSTLReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLPolyDataWriter

from meshing.exchange import reread_3mf, reread_glb, write_3mf, write_glb
from meshing.surface import (
    SurfaceMesh,
    enclosed_mm3,
    from_trimesh,
    from_vtk,
    is_watertight,
    measured,
    to_vtk,
)
from segmentation.contract import Finding, FrameMismatch, Severity

Space = Literal["LPS", "RAS"]
Unit = Literal["mm", "cm", "m"]

_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error)
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


class UnreadableSurface(ValueError):
    """A surface file is damaged, empty or of an unknown kind."""


class UnfaithfulFile(RuntimeError):
    """A surface file, read back, is not the surface that was written."""


@dataclass(frozen=True)
class _Tags:
    """What a file says about itself; empty where it is silent."""

    space: str = ""
    unit: str = ""
    frame_uid: str = ""
    name: str = ""


def _tags_of(text: str) -> _Tags:
    """Read KEY=value words, as in the 80 bytes of an STL header or in comment lines."""
    found = dict(re.findall(r"\b(SPACE|UNIT|FRAME|NAME)=(\S+)", text))
    return _Tags(
        found.get("SPACE", "").upper(),
        found.get("UNIT", "").lower(),
        found.get("FRAME", ""),
        found.get("NAME", ""),
    )


# ---------------------------------------------------------------- writing


def write_surface(mesh: SurfaceMesh, path: Path | str) -> Path:
    """Write a surface in LPS mm, in the format of the ending.

    These are .stl, .ply, .obj, .vtp, .3mf and .glb (in metres, head up, as glTF asks). The
    file is written under a temporary name, read back, compared, and only then takes its place,
    so a failed write leaves what was there before. STL and GLB hold single precision; VTP
    keeps the point data.

    Raises:
        ValueError: if the ending is unknown or the surface is empty.
        UnfaithfulFile: if the file read back differs from the surface.
        OSError: if the folder cannot be written.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        known = ", ".join(_WRITERS)
        raise ValueError(f"a surface is not written as {path.suffix!r}; use {known}")
    if not len(mesh.triangles):
        raise ValueError(f"the surface {mesh.name!r} has no triangle; there is nothing to write")
    handle, name = tempfile.mkstemp(suffix=path.suffix.lower(), prefix=".", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(mesh, temporary)
        _require_same(mesh, _reread(temporary), path)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _reread(path: Path) -> SurfaceMesh:
    """Return what was written: nothing that the file merged or lost is made up for."""
    reread = _REREADERS.get(path.suffix)
    return _welded(reread(path)) if reread else read_surface(path)


def _require_same(mesh: SurfaceMesh, back: SurfaceMesh, path: Path) -> None:
    """Raise unless bounds, enclosed volume and closedness survived the file."""
    used = mesh.points_mm[np.unique(mesh.triangles)]
    here = np.array([used.min(axis=0), used.max(axis=0)])
    there = np.array([back.points_mm.min(axis=0), back.points_mm.max(axis=0)])
    closed = is_watertight(mesh)
    volume, again = enclosed_mm3(mesh), enclosed_mm3(back)
    if not np.allclose(here, there, rtol=1e-6, atol=1e-4):
        wrong = f"its bounds in mm are {there.tolist()} instead of {here.tolist()}"
    elif closed and not np.isclose(volume, again, rtol=1e-4, atol=1e-3):
        wrong = f"it encloses {again:.3f} mm3 instead of {volume:.3f} mm3"
    elif closed and not is_watertight(back):
        wrong = "it is no longer closed; points closer than 0.0001 mm may have merged"
    else:
        return
    raise UnfaithfulFile(f"{path.name} would not hold the surface {mesh.name!r}: {wrong}")


def _header(mesh: SurfaceMesh) -> list[str]:
    frame = [f"FRAME={mesh.frame_uid}"] if mesh.frame_uid else []
    name = re.sub(r"\s+", "_", mesh.name)
    return ["SPACE=LPS", "UNIT=mm", *frame, *([f"NAME={name}"] if name else [])]


def _write_stl(mesh: SurfaceMesh, path: Path) -> None:
    cells = np.zeros(len(mesh.triangles), _STL_TRIANGLE)
    corners = mesh.points_mm[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    cells["normal"] = normals / np.where(length > 0, length, 1.0)
    cells["corners"] = corners
    name = re.sub(r"\W+", "_", mesh.name, flags=re.ASCII)
    text = f"Hilum SPACE=LPS UNIT=mm NAME={name}" if name else "Hilum SPACE=LPS UNIT=mm"
    count = np.uint32(len(cells)).astype("<u4").tobytes()
    path.write_bytes(text.encode("ascii")[:80].ljust(80) + count + cells.tobytes())


def _write_ply(mesh: SurfaceMesh, path: Path) -> None:
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {word}" for word in _header(mesh)]
    lines += [f"element vertex {len(mesh.points_mm)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"element face {len(mesh.triangles)}", "property list uchar int vertex_indices"]
    faces = np.empty(len(mesh.triangles), [("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, mesh.triangles
    text = "\n".join([*lines, "end_header", ""])
    path.write_bytes(text.encode() + mesh.points_mm.astype("<f8").tobytes() + faces.tobytes())


def _write_obj(mesh: SurfaceMesh, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"# {word}\n" for word in _header(mesh))
        np.savetxt(file, mesh.points_mm, "v %.9g %.9g %.9g")
        np.savetxt(file, mesh.triangles + 1, "f %d %d %d")


def _write_vtp(mesh: SurfaceMesh, path: Path) -> None:
    poly = to_vtk(mesh)
    texts = {
        "space": "LPS",
        "unit": "mm",
        "frame_uid": mesh.frame_uid,
        "name": mesh.name,
        "colour": " ".join(map(str, mesh.colour)),
    }
    for key, text in texts.items():
        array = vtkStringArray()
        array.SetName(key)
        array.InsertNextValue(text)
        poly.GetFieldData().AddArray(array)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(poly)
    writer.SetFileName(str(path))
    if not writer.Write():
        raise OSError(f"{path.name} could not be written; is the disk full?")


_WRITERS: dict[str, Callable[[SurfaceMesh, Path], None]] = {
    ".stl": _write_stl,
    ".ply": _write_ply,
    ".obj": _write_obj,
    ".vtp": _write_vtp,
    ".3mf": write_3mf,
    ".glb": write_glb,
}
_REREADERS: dict[str, Callable[[Path], SurfaceMesh]] = {".3mf": reread_3mf, ".glb": reread_glb}


# ---------------------------------------------------------------- reading


def read_surface(
    path: Path | str,
    *,
    unit: Unit = "mm",
    frame_uid: str = "",
    space: Space | None = None,
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
    findings = _doubts(tags, unit, space)
    scale = np.full(3, _MM.get(tags.unit, _MM[unit]))
    if (tags.space or space) == "RAS":
        scale = scale * _RAS_TO_LPS
    mesh = replace(
        _welded(mesh),
        frame_uid=frame_uid or tags.frame_uid,
        name=tags.name or mesh.name or path.stem,
    )
    mesh = replace(mesh, points_mm=mesh.points_mm * scale)
    extent = float(np.ptp(mesh.points_mm, axis=0).max())
    if not 2.0 <= extent <= 1000.0:
        text = f"The surface is {extent:.4g} mm long, which is unlikely in a patient."
        findings.append(
            Finding(Severity.WARNING, "unit_doubtful", text, remedy="Check the file's unit.")
        )
    if is_watertight(mesh) and enclosed_mm3(mesh) < 0:
        mesh = replace(mesh, triangles=mesh.triangles[:, ::-1])
        text = "The file's normals pointed inward; they were turned."
        findings.append(Finding(Severity.INFO, "normals_turned", text))
    return measured(replace(mesh, findings=tuple(findings)))


def _doubts(tags: _Tags, unit: Unit, space: Space | None) -> list[Finding]:
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


def _welded(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface with coincident and unused points removed, in order of appearance.

    Triangles that thereby lose their area go. Point data follow the first of each point.
    """
    corners = mesh.triangles.ravel()
    used, position = np.unique(corners, return_inverse=True)
    _, first, same = np.unique(
        mesh.points_mm[used] + 0.0, axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    triangles = rank[same.ravel()][position.ravel()].reshape(-1, 3)
    a, b, c = triangles.T
    keep = used[first[order]]
    return replace(
        mesh,
        points_mm=mesh.points_mm[keep],
        triangles=triangles[(a != b) & (b != c) & (c != a)],
        point_data={name: values[keep] for name, values in mesh.point_data.items()},
    )


def _finite(points: npt.NDArray[np.float64], path: Path) -> npt.NDArray[np.float64]:
    if not np.isfinite(points).all():
        raise UnreadableSurface(f"{path.name} has a point that is not finite")
    return points


def _read_stl(path: Path) -> tuple[SurfaceMesh, _Tags]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(84)
        count = int.from_bytes(head[80:84], "little") if len(head) == 84 else -1
        if size == 84 + 50 * count:
            cells = np.frombuffer(file.read(), _STL_TRIANGLE)
            points = _finite(cells["corners"].reshape(-1, 3).astype(np.float64), path)
            triangles = np.arange(len(points), dtype=np.int64).reshape(-1, 3)
            text = head[:80].decode("latin-1").replace("\0", " ")
            return SurfaceMesh(points, triangles, ""), _tags_of(text)
    if head.lstrip()[:5].lower() != b"solid":
        raise UnreadableSurface(
            f"{path.name} is no whole STL: {size} bytes, where {count} triangles need "
            f"{84 + 50 * count}; copy it again"
        )
    reader = vtkSTLReader()
    reader.SetFileName(str(path))
    reader.Update()
    mesh = _checked_vtk(reader.GetOutput(), path)
    return mesh, _tags_of(head.split(b"\n")[0].decode("latin-1"))


def _checked_vtk(poly: vtkPolyData, path: Path) -> SurfaceMesh:
    if not poly.GetNumberOfPoints() or not poly.GetNumberOfCells():
        raise UnreadableSurface(f"{path.name} holds no triangle, or is damaged")
    try:
        return from_vtk(poly, frame_uid="")
    except ValueError as error:
        raise UnreadableSurface(f"{path.name}: {error}") from error


def _read_trimesh(path: Path) -> tuple[SurfaceMesh, _Tags]:
    """Read PLY or OBJ; tags stand in the comments of the first lines."""
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


def _read_vtp(path: Path) -> tuple[SurfaceMesh, _Tags]:
    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(str(path)):
        raise UnreadableSurface(f"{path.name} is no VTP file, or is damaged")
    reader.SetFileName(str(path))
    reader.Update()
    poly = reader.GetOutput()
    mesh = _checked_vtk(poly, path)
    data = poly.GetFieldData()
    texts = {}
    for key in ("space", "unit", "frame_uid", "name", "colour"):
        array = data.GetAbstractArray(key)
        texts[key] = array.GetValue(0) if isinstance(array, vtkStringArray) else ""
    if texts["colour"]:
        red, green, blue = map(int, texts["colour"].split())
        mesh = replace(mesh, colour=(red, green, blue))
    return mesh, _Tags(texts["space"], texts["unit"], texts["frame_uid"], texts["name"])


_READERS: dict[str, Callable[[Path], tuple[SurfaceMesh, _Tags]]] = {
    ".stl": _read_stl,
    ".ply": _read_trimesh,
    ".obj": _read_trimesh,
    ".vtp": _read_vtp,
}
