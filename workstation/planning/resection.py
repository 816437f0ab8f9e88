"""Resection: the plane that cuts; of any cut the specimen, the remnant and the margin.

Space is DICOM patient LPS in millimetres. A cut's normal points to the specimen, so a signed
distance is positive on the specimen's side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.ndimage import map_coordinates
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkFiltersCore import vtkClipPolyData

from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh, area_mm2, bounding_block, from_vtk, to_vtk
from segmentation.anatomy import ANATOMY
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import ImageGeometry, Label, LabelMap, require_same_grid
from segmentation.wording import counted
from workstation.planning.cut_surface import CUT_COLOUR, CutSurface, require_both
from workstation.planning.kept import kept
from workstation.planning.proposal import (
    Floats,
    Point,
    as_point,
    proposed_cut,
    separate_parts,
    skin_of,
    tight,
)

Bools = npt.NDArray[np.bool_]
Block = tuple[slice, slice, slice]

R0_MM = 1.0  # Sadot et al., Ann Surg 2015;262:476: survival is worse below 1 mm.


@dataclass(frozen=True, eq=False)
class CutPlane:
    """A plane that cuts an organ.

    Attributes:
        point_mm: a point (x, y, z) of the plane, LPS mm.
        normal: its unit normal, LPS; it points to the specimen.
        frame_uid: the DICOM frame of reference.
        surface: the part of the plane inside the organ, LPS mm, normals along ``normal``.
    """

    point_mm: Point
    normal: Point
    frame_uid: str
    surface: SurfaceMesh
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def distance_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return signed distances in mm of points (..., 3); positive on the specimen's side."""
        offset = float(np.dot(self.point_mm, self.normal))
        return np.asarray(np.asarray(points_mm, float) @ np.asarray(self.normal) - offset)

    def side_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return for points (..., 3) what is positive on the specimen's side: the distance."""
        return self.distance_mm(points_mm)


Cut = CutPlane | CutSurface
"""Whatever divides an organ into specimen and remnant."""


def require_frame(cut: Cut, labels: LabelMap) -> None:
    """Raise unless a cut and a label live in one frame.

    Raises:
        FrameMismatch: if they do not.
    """
    if cut.frame_uid != labels.geometry.frame_uid:
        raise FrameMismatch(
            f"the cut lies in frame {cut.frame_uid} and the label in "
            f"{labels.geometry.frame_uid}; register one to the other first"
        )


def unit_normal(normal: npt.ArrayLike) -> Point:
    """Return the direction of length 1.

    Raises:
        ValueError: if the vector is zero or not finite.
    """
    vector = np.asarray(normal, float)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise ValueError(f"the normal of a cut must be a finite vector with a length, not {vector}")
    return as_point(vector / length)


def require_voxels(liver: LabelMap) -> LabelMap:
    """Return a label cropped to its voxels.

    Raises:
        ValueError: if it has none.
    """
    organ = tight(liver)
    if organ is None:
        raise ValueError("the organ to cut has no voxel; segment it first")
    return organ


def require_trees(liver: LabelMap, *trees: Centerline | None) -> list[Centerline]:
    """Return the trees that are there.

    Raises:
        FrameMismatch: if one lives in another frame than the liver.
    """
    there = [tree for tree in trees if tree is not None]
    if any(tree.frame_uid != liver.geometry.frame_uid for tree in there):
        raise FrameMismatch("liver and veins live in different frames; register one first")
    return there


def cut_plane(
    liver: LabelMap,
    tumor: LabelMap | None = None,
    portal: Centerline | None = None,
    hepatic: Centerline | None = None,
    *,
    point_mm: tuple[float, float, float] | None = None,
    normal: tuple[float, float, float] | None = None,
    margin_mm: Annotated[float, Ge(0), Le(50)] = 10.0,
    progress: Progress = silent,
) -> CutPlane:
    """Place the plane that separates specimen and remnant.

    With point and normal, that plane. Otherwise a first proposal: the plane that keeps the
    margin from the largest tumour and removes least; with the veins, what a cut leaves without
    supply or drainage counts as removed.

    Args:
        liver: the organ to cut.
        tumor: what must come out, where there is one.
        portal: the tree of the veins that supply, which a proposed plane spares.
        hepatic: the tree of the veins that drain, likewise.
        point_mm: a point of the plane (x, y, z), LPS mm.
        normal: direction (x, y, z) in LPS from the remnant to the specimen.
        margin_mm: distance in mm that a proposed plane keeps from the tumour.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty, the normal has no direction, a point is given
            without a normal, or the plane misses the organ.
        FrameMismatch: if organ, tumour and trees live in different frames.
    """
    organ = require_voxels(liver)
    trees = require_trees(liver, portal, hepatic)
    if tumor is not None and tumor.geometry.frame_uid != liver.geometry.frame_uid:
        raise FrameMismatch("liver and tumour live in different frames; register one first")
    if point_mm is not None and normal is None:
        raise ValueError("a cut through a given point needs its normal too; give both or neither")
    findings: tuple[Finding, ...] = ()
    if point_mm is None or normal is None:
        progress(0.1, "looking for a cut")
        direction = None if normal is None else unit_normal(normal)
        point_mm, normal, findings = proposed_cut(organ, tumor, direction, margin_mm, trees)
    if not np.all(np.isfinite(point_mm)):
        raise ValueError(f"the point of a cut must be finite, not {point_mm}")
    progress(0.7, "drawing the cut")
    return _finished(organ, as_point(point_mm), unit_normal(normal), findings)


def _finished(
    organ: LabelMap, point: Point, normal: Point, findings: tuple[Finding, ...]
) -> CutPlane:
    empty = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), organ.geometry.frame_uid)
    cut = CutPlane(point, normal, organ.geometry.frame_uid, empty, findings)
    distance = _distances_mm(organ.geometry, cut)[organ.mask()]
    if distance.min() >= 0 or distance.max() < 0:
        near = float(np.abs(distance).min())
        raise ValueError(
            f"the cut plane misses the organ by {near:.1f} mm; move its point into the organ"
        )
    surface = _patch(organ, cut)
    area = Number("area", area_mm2(surface) / 100.0, "cm2", "area of the plane inside the organ")
    return replace(cut, surface=surface, numbers=(area,))


def _distances_mm(geometry: ImageGeometry, cut: CutPlane) -> Floats:
    """Return the signed distances in mm [k, j, i] of all voxel centres from the cut."""
    # Along each image axis the distance is linear, so three short vectors make the volume.
    step = geometry.affine[:3, :3].T @ np.asarray(cut.normal)
    i, j, k = (np.arange(n) * h for n, h in zip(geometry.size, step))
    offset = float(cut.distance_mm(geometry.origin_mm))
    return np.asarray(k[:, None, None] + j[:, None] + (i + offset))


def plane_axes(normal: Point) -> tuple[Floats, Floats]:
    """Return two unit vectors u, v in the plane, with u x v = normal."""
    n = np.asarray(normal)
    u = np.cross(np.eye(3)[int(np.argmin(np.abs(n)))], n)
    u /= np.linalg.norm(u)
    return u, np.cross(n, u)


def _plane_samples(organ: LabelMap, cut: CutPlane, step_mm: float) -> tuple[Floats, Floats]:
    """Return grid points (rows, columns, 3) of the cut plane, LPS mm, and the label there.

    The grid covers the label's voxels near the plane; the label is interpolated linearly
    from 0 (outside) to 1.
    """
    touched = np.abs(_distances_mm(organ.geometry, cut)) <= max(organ.geometry.spacing_mm)
    near = organ.geometry.to_world(np.argwhere(organ.mask() & touched)[:, ::-1])
    u, v = plane_axes(cut.normal)
    axes = np.stack([u, v])
    flat = (near - cut.point_mm) @ axes.T if len(near) else np.zeros((1, 2))
    low = np.floor(flat.min(axis=0) / step_mm) - 3
    high = np.ceil(flat.max(axis=0) / step_mm) + 3
    b, a = np.meshgrid(np.arange(low[1], high[1] + 1), np.arange(low[0], high[0] + 1))
    grid = np.asarray(cut.point_mm) + step_mm * (a[..., None] * u + b[..., None] * v)
    index = organ.geometry.to_index(grid)[..., ::-1]
    values = map_coordinates(
        organ.array.astype(np.float32), np.moveaxis(index, -1, 0), order=1, mode="grid-constant"
    )
    return grid, np.asarray(values, np.float64)


def _patch(organ: LabelMap, cut: CutPlane) -> SurfaceMesh:
    """Return the part of the plane inside the organ as triangles that face the specimen."""
    grid, inside = _plane_samples(organ, cut, max(1.0, min(organ.geometry.spacing_mm)))
    rows, columns = grid.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    cells = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    sheet = to_vtk(SurfaceMesh(grid.reshape(-1, 3), cells, cut.frame_uid))
    sheet.GetPointData().SetScalars(numpy_to_vtk(inside.ravel(), deep=True))
    clip = vtkClipPolyData()
    clip.SetInputData(sheet)
    clip.SetValue(0.5)
    clip.Update()
    mesh = from_vtk(clip.GetOutput(), frame_uid=cut.frame_uid, name="cut", colour=CUT_COLOUR)
    return replace(mesh, point_data={})


def _removed(liver: LabelMap, cut: Cut) -> tuple[Block, Bools, Bools]:
    """Return where the organ lies, its voxels there, and those on the specimen's side."""
    require_frame(cut, liver)
    block = bounding_block(liver.array)
    if block is None:
        raise ValueError("the organ to cut has no voxel; segment it first")
    organ = liver.array[block] != 0
    crop = liver.geometry.cropped([s.start for s in block][::-1], organ.shape[::-1])
    inside = removed_by(cut, organ, crop)
    require_both(inside[organ])
    return block, organ, inside


def removed_by(cut: Cut, organ: Bools, geometry: ImageGeometry) -> Bools:
    """Return the voxels [k, j, i] of an organ whose centre lies on the specimen's side."""
    if isinstance(cut, CutPlane):
        return np.asarray(organ & (_distances_mm(geometry, cut) >= 0))
    return cut.removed(organ, geometry)


def _part(
    liver: LabelMap,
    block: Block,
    part: Bools,
    whole: int,
    label: Label,
    extra: tuple[Number, ...] = (),
) -> LabelMap:
    """Return a part of an organ of so many voxels, told by what it takes of a block."""
    array = np.zeros(liver.array.shape, np.uint8)
    array[block] = part
    count = int(np.count_nonzero(part))
    volume = float(count) * liver.geometry.voxel_ml
    fraction = 100.0 * volume / (float(whole) * liver.geometry.voxel_ml)
    numbers = (
        Number("volume", volume, "mL", "voxel count x voxel volume"),
        Number("fraction", fraction, "%", "share of the whole liver label's volume"),
        *extra,
    )
    return LabelMap(array, liver.geometry, {1: label}, numbers=numbers)


def specimen(liver: LabelMap, cut: Cut, *, progress: Progress = silent) -> LabelMap:
    """Take the part of the liver that is removed.

    Args:
        liver: the organ that is cut.
        cut: the cut; voxels whose centre lies on the side of its normal belong here.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if organ and cut live in different frames.
        ValueError: if the organ is empty.
    """
    progress(0.1, "splitting the organ")
    block, organ, removed = _removed(liver, cut)
    return _part(liver, block, removed, int(np.count_nonzero(organ)), ANATOMY["specimen"])


def remnant(
    liver: LabelMap, cut: Cut, tumor: LabelMap | None = None, *, progress: Progress = silent
) -> LabelMap:
    """Take the part of the liver that stays.

    Args:
        liver: the organ that is cut.
        cut: the cut; voxels whose centre lies against its normal belong here.
        tumor: tumour, which does not count as functional liver.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the inputs live in different frames or on different grids.
        ValueError: if the organ is empty.
    """
    progress(0.1, "splitting the organ")
    block, organ, removed = _removed(liver, cut)
    stays, whole = organ & ~removed, int(np.count_nonzero(organ))
    label = ANATOMY["remnant"]
    if tumor is None:
        return _part(liver, block, stays, whole, label)
    require_same_grid(liver, tumor)
    healthy = organ & (tumor.array[block] == 0)
    if not healthy.any():
        return _part(liver, block, stays, whole, label)
    ratio = 100.0 * float(np.count_nonzero(stays & healthy) / np.count_nonzero(healthy))
    source = (
        "(remnant - tumour in it) / (liver - tumour), both measured; the standardised ratio of "
        "Vauthey et al., Surgery 2000;127:512, divides by a volume estimated from body size"
    )
    extra = Number("functional_fraction", ratio, "%", source)
    return _part(liver, block, stays, whole, label, (extra,))


def margin(tumor: LabelMap, cut: Cut, *, progress: Progress = silent) -> Measurements:
    """Measure the distance from the tumour to the cut.

    The distance is signed, in mm: positive where the tumour lies inside the specimen. Of
    several lesions the smallest distance counts; those that lie wholly outside the specimen
    are left behind, counted apart and said so; they make the margin only where no lesion is
    removed. The plane is taken as endless, so the margin is never larger than that to the cut in
    the organ.

    Args:
        tumor: what must come out.
        cut: the cut.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if tumour and cut live in different frames.
    """
    require_frame(cut, tumor)
    progress(0.1, "measuring the margin")
    skin = skin_of(tumor)
    if skin is None:
        note = Finding(
            Severity.WARNING, "no_tumor", "The tumour label is empty, so there is no margin."
        )
        return Measurements(findings=(note,))
    distance = distances_mm(cut, skin)
    parts = separate_parts(skin)
    points = counted_points(distance, parts)
    nearest = int(points[np.argmin(distance[points])])
    value = float(distance[nearest])
    steps = tumor.geometry.axes.T @ _direction(cut, skin.points_mm[nearest])
    half = float(np.abs(steps) @ tumor.geometry.spacing_mm) / 2
    number = Number(
        "minimum",
        value,
        "mm",
        f"smallest signed distance from the surface of the lesions removed to the cut "
        f"{_extent(cut)}; band: half a voxel's extent along the normal (discretisation only, not "
        "the outlining)",
        value - half,
        value + half,
    )
    numbers = (number, *lesions_left(distance, parts))
    return Measurements(numbers, _margin_findings(skin, distance, nearest, parts))


def counted_points(distance: Floats, lesions: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return the points of the lesions that a cut removes, or of all where it removes none."""
    return np.concatenate([n for n in lesions if distance[n].max() >= 0] or lesions)


def lesions_left(distance: Floats, lesions: list[npt.NDArray[np.int64]]) -> tuple[Number, ...]:
    """Return how many lesions the margin leaves out, since they stay behind; none for none."""
    left = sum(float(distance[n].max()) < 0 for n in lesions)
    source = f"count of the lesions, of {len(lesions)}, that lie wholly outside the specimen"
    return (Number("lesions_left", float(left), "", source),) if 0 < left < len(lesions) else ()


@kept
def distances_mm(cut: Cut, skin: SurfaceMesh) -> Floats:
    """Return the signed distances in mm of a surface's points from a cut, as the cut tells them."""
    return cut.distance_mm(skin.points_mm)


def _extent(cut: Cut) -> str:
    return "plane" if isinstance(cut, CutPlane) else "inside the organ"


def _direction(cut: Cut, point: Floats) -> Floats:
    """Return the unit direction from a point to the nearest place of a cut."""
    if isinstance(cut, CutPlane):
        return np.asarray(cut.normal)
    way = cut.nearest_mm(point)[0] - point
    length = float(np.linalg.norm(way))
    return np.asarray(way / length if length else (1.0, 0.0, 0.0))


def crossed_text(crossed: int, lesions: int) -> str:
    """Say that a cut goes through some of the lesions."""
    of = f" ({crossed} of {lesions} lesions)" if lesions > 1 else ""
    return f"The cut goes through the tumour{of}."


def outside_text(left: int, lesions: int) -> str:
    """Say that a cut leaves some of the lesions outside of what it removes."""
    if lesions == 1:
        return "The tumour lies outside the specimen."
    of = f"of {lesions} lesions"
    return f"{counted(left, f'{of} lies', f'{of} lie')} outside the specimen."


def _margin_findings(
    skin: SurfaceMesh, distance: Floats, nearest: int, lesions: list[npt.NDArray[np.int64]]
) -> tuple[Finding, ...]:
    place, value = as_point(skin.points_mm[nearest]), float(distance[nearest])
    crossed = sum(float(distance[n].min()) < 0 <= float(distance[n].max()) for n in lesions)
    left = [n for n in lesions if float(distance[n].max()) < 0]
    found = []
    if crossed:
        text = crossed_text(crossed, len(lesions))
        found.append(Finding(Severity.PROBLEM, "tumor_crossed", text, place, "Move the cut."))
    if left:
        text = outside_text(len(left), len(lesions))
        there = as_point(skin.points_mm[left[0][np.argmin(distance[left[0]])]])
        advice = "Move or turn the cut, or remove suggestions that are no lesions."
        found.append(Finding(Severity.PROBLEM, "tumor_outside_specimen", text, there, advice))
    if 0 <= value < R0_MM:
        text = (
            f"The margin is {value:.1f} mm; below {R0_MM:g} mm the resection does not count as R0 "
            "(Sadot et al., Ann Surg 2015;262:476)."
        )
        found.append(Finding(Severity.WARNING, "narrow_margin", text, place, "Move the cut."))
    elif value >= R0_MM:
        text = f"The tumour comes nearest to the cut here: {value:.1f} mm."
        found.append(Finding(Severity.INFO, "nearest_point", text, place))
    return tuple(found)
