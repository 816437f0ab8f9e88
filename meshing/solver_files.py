"""Volume meshes to solvers' files: VTU, Gmsh, Abaqus and FEBio, in LPS millimetres.

Every file is read back and compared before it takes its name.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkUnstructuredGrid
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader, vtkXMLUnstructuredGridWriter

from meshing.files import UnfaithfulFile
from meshing.solver_decks import reread_abaqus, reread_febio, write_abaqus, write_febio
from meshing.volume_mesh import Integers, VolumeMesh

CLOSE_MM = 1e-6
"""Points may move by this much when text is written with twelve digits."""

_TRIANGLE, _QUAD, _TETRAHEDRON, _WEDGE = 5, 9, 10, 13
_VTK_WEDGE = (0, 2, 1, 3, 5, 4)
"""VTK's wedge begins with a triangle whose normal points away from the other one."""


def write_volume_mesh(mesh: VolumeMesh, path: Path | str) -> Path:
    """Write a volume mesh, LPS mm, in the format of the ending.

    ``.vtu``: the cells and the faces of the boundary; the cell array "boundary" holds a number
    that the field array "boundary:NAME" gives each name, and 0 inside; "region" likewise.
    ``.msh``: Gmsh 2.2 as text, a physical group for each boundary and region.
    ``.inp``: Abaqus, with a surface and a node set for each boundary.
    ``.feb``: FEBio 4.0, likewise, with a placeholder for the material.

    Raises:
        ValueError: if the ending is unknown or the mesh has no cell.
        UnfaithfulFile: if the file read back differs from the mesh.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        known = ", ".join(_FORMATS)
        raise ValueError(f"a volume mesh is not written as {path.suffix!r}; use {known}")
    if not mesh.cell_count:
        raise ValueError(f"the mesh {mesh.name!r} has no cell; there is nothing to write")
    write, reread = format_
    handle, name = tempfile.mkstemp(suffix=path.suffix.lower(), prefix=".part-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(mesh, temporary)
        require_same(mesh, reread(temporary), path)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def require_same(mesh: VolumeMesh, back: VolumeMesh, path: Path) -> None:
    """Raise unless points, cells and boundaries survived a file.

    Raises:
        UnfaithfulFile: saying what did not.
    """
    if mesh.points_mm.shape != back.points_mm.shape:
        wrong = f"{len(back.points_mm)} points instead of {len(mesh.points_mm)}"
    elif not np.allclose(mesh.points_mm, back.points_mm, rtol=0.0, atol=CLOSE_MM):
        wrong = f"points moved by up to {np.abs(mesh.points_mm - back.points_mm).max():.2g} mm"
    elif not np.array_equal(mesh.tetrahedra, back.tetrahedra):
        wrong = "its tetrahedra differ"
    elif not np.array_equal(mesh.prisms, back.prisms):
        wrong = "its prisms differ"
    elif _sorted_faces(mesh) != _sorted_faces(back):
        wrong = "its boundaries differ"
    else:
        return
    raise UnfaithfulFile(f"{path.name} would not hold the mesh {mesh.name!r}: {wrong}")


def _sorted_faces(mesh: VolumeMesh) -> dict[str, list[list[int]]]:
    """Return the faces of each boundary in an order of their own, each from its lowest point."""
    faces: dict[str, list[list[int]]] = {}
    for parts in (mesh.boundaries, mesh.boundary_quads):
        for name, rows in parts.items():
            turns = (np.argmin(rows, axis=1)[:, None] + np.arange(rows.shape[1])) % rows.shape[1]
            turned = np.take_along_axis(rows, turns, axis=1)
            key = name if rows.shape[1] == 3 else f"{name} (quadrilaterals)"
            faces[key] = turned[np.lexsort(turned.T[::-1])].tolist()
    return faces


# ---------------------------------------------------------------- VTU


def _write_vtu(mesh: VolumeMesh, path: Path) -> None:
    names = mesh.boundary_names
    blocks: list[tuple[int, Integers, int]] = [
        (_TETRAHEDRON, mesh.tetrahedra, 0),
        (_WEDGE, mesh.prisms[:, _VTK_WEDGE], 0),
    ]
    for kind, parts in ((_TRIANGLE, mesh.boundaries), (_QUAD, mesh.boundary_quads)):
        blocks += [(kind, rows, names.index(name) + 1) for name, rows in parts.items()]
    grid = vtkUnstructuredGrid()
    points = vtkPoints()
    points.SetData(numpy_to_vtk(mesh.points_mm, deep=True))
    grid.SetPoints(points)
    sizes = np.concatenate([np.full(len(rows), rows.shape[1]) for _, rows, _ in blocks])
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.concatenate([[0], np.cumsum(sizes)]), deep=True),
        numpy_to_vtkIdTypeArray(np.concatenate([rows.ravel() for _, rows, _ in blocks]), deep=True),
    )
    kinds = np.concatenate([np.full(len(rows), kind, np.uint8) for kind, rows, _ in blocks])
    grid.SetCells(numpy_to_vtk(kinds, deep=True), cells)
    faces = len(kinds) - mesh.cell_count
    region = np.zeros(mesh.cell_count, np.int32)
    for number, numbers in enumerate(mesh.regions.values(), 1):
        region[numbers] = number
    arrays = {
        "boundary": np.concatenate([np.full(len(r), n, np.int32) for _, r, n in blocks]),
        "region": np.concatenate([region, np.zeros(faces, np.int32)]),
    }
    for name, values in mesh.cell_data.items():
        arrays[name] = np.concatenate([values, np.zeros((faces, *values.shape[1:]), values.dtype)])
    _add_arrays(grid.GetCellData(), arrays)
    _add_arrays(grid.GetPointData(), mesh.point_data)
    groups = {f"boundary:{_attribute(name)}": np.array([n]) for n, name in enumerate(names, 1)}
    groups |= {
        f"region:{_attribute(name)}": np.array([n]) for n, name in enumerate(mesh.regions, 1)
    }
    _add_arrays(grid.GetFieldData(), groups)
    writer = vtkXMLUnstructuredGridWriter()
    writer.SetInputData(grid)
    writer.SetFileName(str(path))
    if not writer.Write():
        raise OSError(f"{path.name} could not be written; is the disk full?")
    frame = f" FRAME={mesh.frame_uid}" if mesh.frame_uid else ""
    text = path.read_bytes()
    # The offsets in the file count from its last section, so a line may stand before all.
    path.write_bytes(
        text.replace(b"<VTKFile", f"<!-- SPACE=LPS UNIT=mm{frame} -->\n<VTKFile".encode(), 1)
    )


def _attribute(name: str) -> str:
    """Return a name as VTK can write it: it escapes nothing in its XML."""
    return re.sub(r"""[%<>&"']""", lambda found: quote(found[0]), name)


def _add_arrays(data: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        data.AddArray(array)


def _reread_vtu(path: Path) -> VolumeMesh:
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(path))
    reader.Update()
    grid = reader.GetOutput()
    if not grid.GetNumberOfCells():
        return VolumeMesh(np.empty((0, 3)), np.empty((0, 4), np.int64), "")
    kinds = vtk_to_numpy(grid.GetCellTypes())
    numbers = vtk_to_numpy(grid.GetCells().GetConnectivityArray())
    starts = vtk_to_numpy(grid.GetCells().GetOffsetsArray())
    boundary = vtk_to_numpy(grid.GetCellData().GetArray("boundary"))
    data = grid.GetFieldData()
    titles = [data.GetArrayName(n) for n in range(data.GetNumberOfArrays())]
    names = {
        int(data.GetArray(title).GetValue(0)): unquote(title.removeprefix("boundary:"))
        for title in titles
        if title.startswith("boundary:")
    }

    def rows(chosen: Integers, corners: int) -> Integers:
        return np.asarray(numbers[starts[:-1][chosen][:, None] + np.arange(corners)], np.int64)

    def faces(kind: int, corners: int) -> dict[str, Integers]:
        found = {}
        for number in np.unique(boundary[kinds == kind]).tolist():
            chosen = np.flatnonzero((kinds == kind) & (boundary == number))
            found[names[number]] = rows(chosen, corners)
        return found

    return VolumeMesh(
        vtk_to_numpy(grid.GetPoints().GetData()),
        rows(np.flatnonzero(kinds == _TETRAHEDRON), 4),
        "",
        prisms=rows(np.flatnonzero(kinds == _WEDGE), 6)[:, _VTK_WEDGE],
        boundaries=faces(_TRIANGLE, 3),
        boundary_quads=faces(_QUAD, 4),
    )


# ---------------------------------------------------------------- Gmsh


def _write_gmsh(mesh: VolumeMesh, path: Path) -> None:
    """Write Gmsh 2.2, which more solvers read than 4.1, as text."""
    region = np.zeros(mesh.cell_count, np.int64)
    regions = dict(mesh.regions) or {mesh.name or "inside": np.arange(mesh.cell_count)}
    groups: dict[str, Integers] = {}
    for number, (name, numbers) in enumerate(regions.items(), 1):
        groups[name] = np.array([number, 3])
        region[numbers] = number
    cells: list[tuple[str, Integers]] = []
    tags: list[Integers] = []
    for number, name in enumerate(mesh.boundary_names, len(regions) + 1):
        # A boundary and a region may bear one name: they differ in dimension.
        key = name if name not in groups else f"{name} (boundary)"
        groups[key] = np.array([number, 2])
        for kind, parts in (("triangle", mesh.boundaries), ("quad", mesh.boundary_quads)):
            if name in parts:
                cells.append((kind, parts[name]))
                tags.append(np.full(len(parts[name]), number))
    import meshio  # a third of a second, so only when needed

    split = len(mesh.tetrahedra)
    for kind, rows, numbers in (
        ("tetra", mesh.tetrahedra, region[:split]),
        ("wedge", mesh.prisms, region[split:]),
    ):
        if len(rows):
            cells.append((kind, rows))
            tags.append(numbers)
    data = {key: [tag.astype(np.int32) for tag in tags] for key in _GMSH_TAGS}
    made = meshio.Mesh(mesh.points_mm, cells, cell_data=data, field_data=groups)
    meshio.write(path, made, file_format="gmsh22", binary=False)


_GMSH_TAGS = ("gmsh:physical", "gmsh:geometrical")


def _reread_gmsh(path: Path) -> VolumeMesh:
    import meshio

    made = meshio.read(path, file_format="gmsh")
    names = {int(n): name for name, (n, dimension) in made.field_data.items() if dimension == 2}
    found: dict[str, dict[str, list[Integers]]] = {"triangle": {}, "quad": {}}
    for block, tags in zip(made.cells, made.cell_data["gmsh:physical"]):
        for number in np.unique(tags).tolist() if block.type in found else ():
            name = names[number].removesuffix(" (boundary)")
            found[block.type].setdefault(name, []).append(block.data[tags == number])
    faces = {
        kind: {name: np.concatenate(rows) for name, rows in parts.items()}
        for kind, parts in found.items()
    }
    return VolumeMesh(
        made.points,
        _block(made, "tetra", 4),
        "",
        prisms=_block(made, "wedge", 6),
        boundaries=faces["triangle"],
        boundary_quads=faces["quad"],
    )


def _block(made: Any, kind: str, corners: int) -> Integers:
    rows = [block.data for block in made.cells if block.type == kind]
    return np.concatenate([np.empty((0, corners), np.int64), *rows])


_Write = Callable[[VolumeMesh, Path], None]
_Reread = Callable[[Path], VolumeMesh]
_FORMATS: dict[str, tuple[_Write, _Reread]] = {
    ".vtu": (_write_vtu, _reread_vtu),
    ".msh": (_write_gmsh, _reread_gmsh),
    ".inp": (write_abaqus, reread_abaqus),
    ".feb": (write_febio, reread_febio),
}
VOLUME_ENDINGS = tuple(_FORMATS)
