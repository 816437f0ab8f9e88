"""Triangle surfaces in patient space: from labels, smoothed, decimated, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import trimesh
from annotated_types import Ge, Gt, Le
from scipy.ndimage import gaussian_filter
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import (
    vtkFlyingEdges3D,
    vtkTriangleFilter,
    vtkWindowedSincPolyDataFilter,
)

from meshing.simplification import simplify
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import Label, LabelMap

Floats = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]
_Contour = tuple[Floats, Triangles]  # points (i, j, k) and triangles


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
    start = mesh.triangles.ravel()
    end = mesh.triangles[:, (1, 2, 0)].ravel()
    count = len(mesh.points_mm)
    forward = np.sort(start * count + end)
    return bool(
        np.all(start != end)
        and np.all(forward[1:] != forward[:-1])
        and np.array_equal(forward, np.sort(end * count + start))
    )


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
        f"the surface {mesh.name or 'without a name'!r} is not closed: {int((uses == 1).sum())} "
        f"free edges and {int((uses > 2).sum())} edges shared by more than two triangles; "
        "make it again from its label, or repair it first"
    )


def enclosed_mm3(mesh: SurfaceMesh) -> float:
    """Return the signed volume in mm3 below all triangles; negative when normals point inward.

    It means the enclosed volume only for a closed surface; `volume_ml` checks that.
    """
    return _signed_mm3(mesh.points_mm, mesh.triangles)


def _signed_mm3(points: Floats, triangles: Triangles) -> float:
    """Return the enclosed volume in mm3, negative when the normals point inward."""
    if not len(triangles):
        return 0.0
    a, b, c = (points[triangles[:, n]] - points[triangles[0, 0]] for n in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0


def volume_ml(mesh: SurfaceMesh) -> float:
    """Return the enclosed volume in mL, by the divergence theorem.

    Raises:
        OpenSurface: if the surface is not closed.
    """
    require_watertight(mesh)
    return enclosed_mm3(mesh) / 1000.0


def area_mm2(mesh: SurfaceMesh) -> float:
    """Return the summed area of all triangles in mm2."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2.0


def measured(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface with its numbers: area (cm2), and volume (mL) where it is closed."""
    numbers = [Number("area", area_mm2(mesh) / 100.0, "cm2", "sum of the triangle areas")]
    findings = tuple(f for f in mesh.findings if f.code != "open_surface")
    if is_watertight(mesh):
        source = "volume enclosed by the surface (divergence theorem)"
        numbers.insert(0, Number("volume", volume_ml(mesh), "mL", source))
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


def _label_of(labels: LabelMap, label: str) -> Label:
    """Return the meaning of one label by name, or of the only one."""
    if label:
        return labels.labels[labels.value(label)]
    return next(iter(labels.labels.values())) if len(labels.labels) == 1 else Label("")


def _level_set(mask: npt.NDArray[np.bool_], sigma: Floats) -> npt.NDArray[np.float32]:
    """Return the mask smoothed so that its 0.5 level hardly moves.

    A Gaussian moves the 0.5 level of a surface inward by sigma^2 times its mean curvature.
    Subtracting twice the smoothed from once more smoothed (2 G - G G) cancels that term.
    """
    if not sigma.any():
        return mask.astype(np.float32)
    once = gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    return np.asarray(2.0 * once - gaussian_filter(once, sigma, mode="constant"), np.float32)


def _contour(field_kji: npt.NDArray[np.float32], level: float) -> _Contour:
    """Return points (i, j, k) and triangles of one level of an array [k, j, i]."""
    image = vtkImageData()
    image.SetDimensions(*field_kji.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(field_kji.ravel(), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, level)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    mesh = from_vtk(edges.GetOutput(), frame_uid="")
    return mesh.points_mm, mesh.triangles


def _volume_true_contour(field_kji: npt.NDArray[np.float32], voxels: int) -> _Contour | None:
    """Return the contour, near level 0.5, that encloses ``voxels`` voxels within 0.1 percent.

    Linear interpolation cuts corners, the more the thinner the part; a lower level makes up
    for it. Returns None where no level between 0.05 and 0.95 does.
    """
    level, other, other_excess = 0.5, 0.0, 0.0
    for _ in range(10):
        points, triangles = _contour(field_kji, level)
        excess = abs(_signed_mm3(points, triangles)) / voxels - 1.0
        if abs(excess) <= 1e-3:
            return points, triangles
        slope = (excess - other_excess) / (level - other) if other else -2.0
        other, other_excess = level, excess
        level = float(np.clip(level - excess / min(slope, -0.2), level - 0.2, level + 0.2))
        level = min(max(level, 0.05), 0.95)
        if level == other:
            return None
    return None


def isosurface(
    labels: LabelMap,
    *,
    label: str = "",
    smoothing_mm: Annotated[float, Ge(0), Le(5)] | None = None,
    triangles: Annotated[int, Ge(0)] = 0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a closed surface from a label.

    The surface is a level of the label smoothed without shrinking, chosen so that it encloses
    the volume of the voxels, in LPS mm. A label that touches the image border is closed there;
    a label too thin for the smoothing is smoothed less, with a finding that says so. An empty
    label gives an empty surface, with a finding.

    Args:
        labels: the labelled voxels.
        label: name of the label; empty takes all labels together.
        smoothing_mm: standard deviation of the smoothing in mm; 0 keeps the voxel steps, empty
            takes 0.6 of a voxel's mean edge, which keeps a 5 mm vessel's calibre within 3 percent.
        triangles: how many triangles to keep at the most, see `decimate`; 0 keeps all.
        progress: told how far the work is.

    Raises:
        ValueError: if the label does not exist.
    """
    what = _label_of(labels, label)
    mask = labels.mask(label or None)
    block = bounding_block(mask)
    if block is None:
        return _no_surface(labels, what)
    if smoothing_mm is None:
        smoothing_mm = 0.6 * float(np.prod(labels.geometry.spacing_mm)) ** (1 / 3)
    spacing = np.asarray(labels.geometry.spacing_kji_mm)
    pad = np.ceil(5 * smoothing_mm / spacing).astype(int) + 1
    padded = np.pad(mask[block], [(int(n), int(n)) for n in pad])
    voxels = int(np.count_nonzero(padded))
    contour, used_mm = None, smoothing_mm
    for used_mm in (smoothing_mm, smoothing_mm / 2, 0.0):
        progress(0.1, "smoothing the label")
        smooth = _level_set(padded, used_mm / spacing)
        progress(0.5, "extracting the surface")
        contour = _volume_true_contour(smooth, voxels)
        if contour:
            break
    points, cells = contour or _contour(padded.astype(np.float32), 0.5)
    start = np.array([s.start for s in block]) - pad
    points = labels.geometry.to_world(points + start[::-1])
    if _signed_mm3(points, cells) < 0:
        cells = cells[:, ::-1]
    progress(0.9, "measuring the surface")
    thin = () if used_mm == smoothing_mm else (_smoothed_less(what.name, used_mm),)
    frame = labels.geometry.frame_uid
    mesh = measured(SurfaceMesh(points, cells, frame, what.name, what.colour, findings=thin))
    return decimate(mesh, triangles=triangles) if triangles else mesh


def _no_surface(labels: LabelMap, what: Label) -> SurfaceMesh:
    text = f"The label {what.name or 'map'} has no voxel, so its surface is empty."
    note = Finding(Severity.WARNING, "empty_label", text)
    nothing = np.empty((0, 3)), np.empty((0, 3), np.int64)
    frame = labels.geometry.frame_uid
    return SurfaceMesh(*nothing, frame, what.name, what.colour, findings=(note,))


def _smoothed_less(name: str, used_mm: float) -> Finding:
    return Finding(
        Severity.INFO,
        "smoothed_less",
        f"The label {name or 'map'} is too thin for the smoothing; {used_mm:.2g} mm was used.",
    )


def smooth_surface(
    mesh: SurfaceMesh,
    *,
    iterations: Annotated[int, Ge(1), Le(200)] = 20,
    passband: Annotated[float, Gt(0), Le(2)] = 0.1,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Smooth a surface without shrinking it.

    Windowed-sinc filtering: Taubin, Zhang, Golub, Optimal surface smoothing as filter
    design, ECCV 1996. Point data are kept.

    Args:
        mesh: the surface, LPS mm.
        iterations: number of smoothing passes.
        passband: what is kept; smaller smooths more.
        progress: told how far the work is.
    """
    progress(0.1, "smoothing the surface")
    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(to_vtk(mesh))
    sinc.SetNumberOfIterations(iterations)
    sinc.SetPassBand(passband)
    sinc.NormalizeCoordinatesOn()
    sinc.BoundarySmoothingOff()
    sinc.Update()
    points = vtk_to_numpy(sinc.GetOutput().GetPoints().GetData())
    return measured(replace(mesh, points_mm=points))


def decimate(
    mesh: SurfaceMesh,
    *,
    triangles: Annotated[int, Ge(4)] = 60_000,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Reduce the number of triangles of a surface, keeping it closed.

    Quadric error collapse (Garland and Heckbert, SIGGRAPH 1997), less bold until a closed
    surface stays closed and keeps its volume within one percent; if more triangles than asked
    remain, a finding says so. Point data are dropped. A surface that has fewer triangles
    already comes back as it is.

    Args:
        mesh: the surface, LPS mm.
        triangles: number of triangles to keep.
        progress: told how far the work is.
    """
    if len(mesh.triangles) <= triangles:
        return mesh
    closed = is_watertight(mesh)
    result = mesh
    for attempt, boldness in enumerate((7.0, 4.0)):
        progress(0.1 + 0.4 * attempt, "reducing the triangles")
        points, cells = simplify(mesh.points_mm, mesh.triangles, triangles, boldness)
        tried = mesh.reshaped(points, cells)
        if not closed or _as_closed(mesh, tried):
            result = tried
            break
    if len(result.triangles) > triangles:
        text = f"{len(result.triangles)} triangles are kept, since fewer would open or shrink it."
        note = Finding(Severity.INFO, "triangles_kept", text)
        result = replace(result, findings=(*result.findings, note))
    return measured(result)


def _as_closed(before: SurfaceMesh, after: SurfaceMesh) -> bool:
    """Tell whether a surface is closed and has the other's volume within one percent."""
    return is_watertight(after) and bool(
        np.isclose(enclosed_mm3(before), enclosed_mm3(after), rtol=0.01)
    )
