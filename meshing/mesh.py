"""Triangle surfaces in patient space, measured; to and from the mesh libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTriangleFilter

from meshing.adjacency import edge_uses, incidence
from meshing.integrals import area_of, volume_of
from segmentation.contract import Finding, Number, Severity
from segmentation.wording import counted

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]


class OpenSurface(ValueError):
    """A surface encloses no volume because it has a hole, an edge or a fold."""


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Triangles in DICOM patient LPS millimetres, normals outward.

    Attributes:
        points_mm: float64 (n, 3), (x, y, z).
        triangles: int64 (m, 3) rows of point numbers, counter-clockwise seen from outside.
        frame_uid: the DICOM frame of reference.
        name, colour: what it is and its sRGB colour, 0 to 255.
        point_data: named arrays of n rows, units in the name.
        boundaries: named parts of the surface, such as "wall", "inlet" and "outlet_1": int64
            triangle numbers; a triangle belongs to one part at the most.
    """

    points_mm: Floats
    triangles: Triangles
    frame_uid: str
    name: str = ""
    colour: tuple[int, int, int] = (255, 160, 60)
    point_data: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()
    boundaries: Mapping[str, Triangles] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = np.array(self.points_mm, np.float64).reshape(-1, 3)
        triangles = np.array(self.triangles, np.int64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("a surface has a point that is not finite")
        if triangles.size and (triangles.min() < 0 or triangles.max() >= len(points)):
            raise ValueError("a surface triangle names a point that does not exist")
        parts = {name: np.array(part, np.int64) for name, part in self.boundaries.items()}
        for name, part in parts.items():
            if part.size and (part.min() < 0 or part.max() >= len(triangles)):
                raise ValueError(f"the part {name!r} of a surface names no triangle of it")
        for array in (points, triangles, *parts.values()):
            array.setflags(write=False)
        object.__setattr__(self, "points_mm", points)
        object.__setattr__(self, "triangles", triangles)
        object.__setattr__(self, "point_data", MappingProxyType(dict(self.point_data)))
        object.__setattr__(self, "boundaries", MappingProxyType(parts))

    def reshaped(self, points_mm: Floats, triangles: Triangles) -> SurfaceMesh:
        """Return the same thing with other points and triangles; what lay on them is dropped."""
        return replace(self, points_mm=points_mm, triangles=triangles, point_data={}, boundaries={})


def is_watertight(mesh: SurfaceMesh) -> bool:
    """Tell whether the surface is closed, manifold along edges and consistently oriented.

    That is: every directed edge occurs once, and its reverse occurs once.
    """
    if not len(mesh.triangles):
        return False
    cells = mesh.triangles
    if (cells == np.roll(cells, 1, axis=1)).any():
        return False
    _, uses, balance = edge_uses(cells, *incidence(cells, len(mesh.points_mm)))
    return bool(np.all(uses == 2) and np.all(balance == 0))


def require_watertight(mesh: SurfaceMesh) -> None:
    """Raise unless the surface is closed.

    Raises:
        OpenSurface: naming the surface and how many edges are free or shared wrongly.
    """
    if is_watertight(mesh):
        return
    edges = np.sort(mesh.triangles[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1)
    uses = np.unique(edges, axis=0, return_counts=True)[1]
    raise OpenSurface(
        f"the surface {mesh.name or 'without a name'!r} is not closed: "
        f"{counted(int((uses == 1).sum()), 'free edge')} and "
        f"{counted(int((uses > 2).sum()), 'edge')} shared by more than two triangles; "
        "make it again from its label, or repair it first"
    )


def enclosed_mm3(mesh: SurfaceMesh) -> float:
    """Return the signed volume in mm3 below all triangles; negative when normals point inward.

    It means the enclosed volume only for a closed surface; `volume_ml` checks that.
    """
    return float(volume_of(mesh.points_mm, mesh.triangles))


def volume_ml(mesh: SurfaceMesh) -> float:
    """Return the enclosed volume in mL, by the divergence theorem.

    Raises:
        OpenSurface: if the surface is not closed.
    """
    require_watertight(mesh)
    return enclosed_mm3(mesh) / 1000.0


def area_mm2(mesh: SurfaceMesh) -> float:
    """Return the summed area of all triangles in mm2."""
    return float(area_of(mesh.points_mm, mesh.triangles))


def measured(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface with its numbers: area (cm2), and volume (mL) where it is closed."""
    numbers = [Number("area", area_mm2(mesh) / 100.0, "cm2", "sum of the triangle areas")]
    findings = tuple(f for f in mesh.findings if f.code != "open_surface")
    if is_watertight(mesh):
        source = "volume enclosed by the surface (divergence theorem)"
        numbers.insert(0, Number("volume", enclosed_mm3(mesh) / 1000.0, "mL", source))
    else:
        findings += (
            Finding(
                Severity.WARNING,
                "open_surface",
                f"The surface {mesh.name or 'without a name'} is not closed; it has no volume.",
                remedy="Make it again from its label, or repair it.",
            ),
        )
    return replace(mesh, numbers=tuple(numbers), findings=findings)


def to_vtk(mesh: SurfaceMesh) -> vtkPolyData:
    """Return a vtkPolyData copy: points in LPS mm (float64), triangles and point data."""
    points = vtkPoints()
    points.SetData(numpy_to_vtk(mesh.points_mm, deep=True))
    cells = vtkCellArray()
    offsets = np.arange(0, mesh.triangles.size + 1, 3, dtype=np.int64)
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(mesh.triangles.ravel(), deep=True),
    )
    poly = vtkPolyData()
    poly.SetPoints(points)
    poly.SetPolys(cells)
    for name, values in mesh.point_data.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        poly.GetPointData().AddArray(array)
    return poly


def from_vtk(
    poly: vtkPolyData,
    *,
    frame_uid: str,
    name: str = "",
    colour: tuple[int, int, int] = (255, 160, 60),
) -> SurfaceMesh:
    """Return the polygons and strips, as triangles, of a vtkPolyData in LPS mm."""
    if poly.GetPolys().IsHomogeneous() not in (0, 3) or poly.GetNumberOfStrips():
        split = vtkTriangleFilter()
        split.SetInputData(poly)
        split.PassLinesOff()
        split.PassVertsOff()
        split.Update()
        poly = split.GetOutput()
    cells = poly.GetPolys()
    connectivity = np.empty(0, np.int64)
    if cells.GetNumberOfCells():
        connectivity = vtk_to_numpy(cells.GetConnectivityArray())
    points = np.empty((0, 3))
    if poly.GetNumberOfPoints():
        points = vtk_to_numpy(poly.GetPoints().GetData())
    data = poly.GetPointData()
    arrays = {
        data.GetArrayName(n): vtk_to_numpy(data.GetArray(n)).copy()
        for n in range(data.GetNumberOfArrays())
        if data.GetArray(n) is not None and data.GetArrayName(n)
    }
    return SurfaceMesh(points, connectivity, frame_uid, name, colour, arrays)


def to_trimesh(mesh: SurfaceMesh) -> trimesh.Trimesh:
    """Return a trimesh copy (LPS mm), vertices kept as they are."""
    import trimesh  # with what it needs a third of a second, so only when needed

    return trimesh.Trimesh(mesh.points_mm.copy(), mesh.triangles.copy(), process=False)


def from_trimesh(
    mesh: trimesh.Trimesh,
    *,
    frame_uid: str,
    name: str = "",
    colour: tuple[int, int, int] = (255, 160, 60),
) -> SurfaceMesh:
    """Return the triangles of a trimesh whose points are in LPS mm."""
    return SurfaceMesh(mesh.vertices, mesh.faces, frame_uid, name, colour)


def bounding_block(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """Return the slices [k, j, i] of the smallest block with all voxels of a mask, or None."""
    block: list[slice] = []
    for axis in range(3):
        rest = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(mask[tuple(block)].any(axis=rest))
        if not len(used):
            return None
        block.append(slice(int(used[0]), int(used[-1]) + 1))
    return block[0], block[1], block[2]
