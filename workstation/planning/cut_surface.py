"""A cut of any shape: on which side a point lies, and how far it is from the cut.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from skimage.measure import marching_cubes
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkFiltersCore import vtkClipPolyData

from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, area_mm2, from_vtk, to_vtk
from segmentation.contract import Finding, Number
from segmentation.volume import ImageGeometry, LabelMap
from workstation.planning.cut_level import along_same_axes, not_negative
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.proposal import Floats

CUT_COLOUR = (90, 200, 220)
CELLS = 500_000  # of the grid on which a cut is kept, at the most
CELLS_AROUND = 300_000  # likewise, where it holds but a part of the organ
FINEST_MM = 1.0
ROUND_MM = 12.0  # how far the grid reaches beyond the organ
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CutSurface:
    """A cut through an organ, of any shape.

    Attributes:
        level: float32 [k, j, i], positive on the specimen's side, negative on the other, zero
            on the cut; in mm, but no true distance.
        geometry: the grid of ``level``.
        surface: the part of the cut inside the organ, LPS mm, normals to the specimen.
        kind: what it was made as.
        sheet: the control points, where it has some.
    """

    level: npt.NDArray[np.float32]
    geometry: ImageGeometry
    surface: SurfaceMesh
    kind: str
    sheet: Sheet | None = None
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = field(default=())

    @property
    def frame_uid(self) -> str:
        """The DICOM frame of reference."""
        return self.geometry.frame_uid

    @cached_property
    def _nearest(self) -> NearestOnSurface:
        return NearestOnSurface(self.surface)

    def side_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return for points (..., 3) what is positive on the specimen's side, as ``level``."""
        index = self.geometry.to_index(points_mm)[..., ::-1]
        at = np.moveaxis(index, -1, 0)
        return np.asarray(map_coordinates(self.level, at, order=1, mode="nearest"), np.float64)

    def removed(self, organ: Bools, geometry: ImageGeometry) -> Bools:
        """Return the voxels [k, j, i] of an organ whose centre lies on the specimen's side."""
        if along_same_axes(self.geometry, geometry):
            return not_negative(self.level, self.geometry, organ, geometry)
        index = np.argwhere(organ)
        removed = np.zeros_like(organ)
        removed[tuple(index.T)] = self.side_mm(geometry.to_world(index[:, ::-1])) >= 0
        return removed

    def distance_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return signed distances in mm of points (..., 3) from the cut inside the organ.

        Positive on the specimen's side.
        """
        points = np.asarray(points_mm, float)
        away = self._nearest(points.reshape(-1, 3)).distance_mm.reshape(points.shape[:-1])
        return np.asarray(np.where(self.side_mm(points) >= 0, away, -away))

    def nearest_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return the places (n, 3) of the cut inside the organ nearest to points (n, 3)."""
        return self._nearest(points_mm).point_mm


def grid_around(organ: LabelMap, places_mm: Floats | None = None) -> ImageGeometry:
    """Return the grid on which a cut of a tight ``organ`` is kept, along the organ's axes.

    With places (n, 3), LPS mm, it holds only what lies around these.
    """
    inner = organ.geometry
    spacing = np.asarray(inner.spacing_mm)
    spare = np.ceil(ROUND_MM / spacing).astype(int)
    low, high = -spare, np.asarray(inner.size) + spare
    if places_mm is not None:
        at = inner.to_index(places_mm)
        low = np.clip(np.floor(at.min(axis=0)).astype(int) - spare, low, high - 1)
        high = np.clip(np.ceil(at.max(axis=0)).astype(int) + 1 + spare, low + 1, high)
    wide = inner.cropped(low.tolist(), (high - low).tolist())
    extent = np.asarray(wide.size) * spacing
    cells = CELLS if places_mm is None else CELLS_AROUND
    step = max(FINEST_MM, float(np.prod(extent) / cells) ** (1 / 3))
    return wide.resampled((step,) * 3)


def centres_mm(geometry: ImageGeometry) -> Floats:
    """Return the LPS centres (n, 3) of a grid's cells in the order of its raveled array."""
    k, j, i = np.indices(geometry.shape).reshape(3, -1)
    return geometry.to_world(np.stack([i, j, k], axis=1))


def from_sides(
    organ: LabelMap, sides: Callable[[Floats], Floats], kind: str, sheet: Sheet | None = None
) -> CutSurface:
    """Return the cut of a tight ``organ`` where a function of LPS points (n, 3) is zero.

    Raises:
        ValueError: if nothing or everything is removed.
    """
    geometry = grid_around(organ)
    return from_level(organ, sides(centres_mm(geometry)), geometry, kind, sheet)


def from_level(
    organ: LabelMap,
    level: Floats,
    geometry: ImageGeometry,
    kind: str,
    sheet: Sheet | None = None,
) -> CutSurface:
    """Return the cut of a tight ``organ`` where a level on a grid is zero.

    Raises:
        ValueError: if nothing or everything is removed.
    """
    array = np.asarray(level, np.float32).reshape(geometry.shape)
    empty = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), geometry.frame_uid)
    cut = CutSurface(array, geometry, empty, kind, sheet)
    voxels = organ.mask()
    require_both(cut.removed(voxels, organ.geometry)[voxels])
    surface = inside(organ, _zero(array, geometry))
    if not len(surface.triangles):
        raise ValueError(NOTHING)
    source = "triangles of the cut inside the organ"
    area = Number("area", area_mm2(surface) / 100.0, "cm2", source)
    return replace(cut, surface=surface, numbers=(area,))


NOTHING = "the cut removes nothing of the organ; move it into the organ, or turn its other side"
EVERYTHING = "the cut removes the whole organ; move it into the organ, or turn its other side"


def require_both(removed: npt.NDArray[np.bool_]) -> None:
    """Raise unless a part is removed and a part stays.

    Raises:
        ValueError: saying which and what to do.
    """
    if removed.all():
        raise ValueError(EVERYTHING)
    if not removed.any():
        raise ValueError(NOTHING)


def _zero(level: npt.NDArray[np.float32], geometry: ImageGeometry) -> SurfaceMesh:
    """Return the zero of a level as triangles whose normals point to what is positive."""
    if not level.min() < 0 < level.max():
        raise ValueError(EVERYTHING if level.min() >= 0 else NOTHING)
    points, cells, _, _ = marching_cubes(level, 0.0)
    world = geometry.to_world(points[:, ::-1])
    a, b, c = (world[cells[:, n]] for n in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    step = 0.5 * min(geometry.spacing_mm) * normal / np.maximum(length, 1e-9)
    middle = (a + b + c) / 3
    at = (geometry.to_index(p)[:, ::-1].T for p in (middle + step, middle - step))
    up, down = (map_coordinates(level, p, order=1, mode="nearest") for p in at)
    facing = float(((up - down) * length[:, 0]).sum()) >= 0
    return SurfaceMesh(world, cells if facing else cells[:, ::-1], geometry.frame_uid)


def inside(organ: LabelMap, sheet: SurfaceMesh) -> SurfaceMesh:
    """Return the part of a surface that lies inside an organ."""
    index = organ.geometry.to_index(sheet.points_mm)[:, ::-1].T
    inside = map_coordinates(
        organ.array.astype(np.float32), index, order=1, mode="grid-constant"
    ).astype(np.float64)
    data = to_vtk(sheet)
    data.GetPointData().SetScalars(numpy_to_vtk(inside, deep=True))
    clip = vtkClipPolyData()
    clip.SetInputData(data)
    clip.SetValue(0.5)
    clip.Update()
    mesh = from_vtk(clip.GetOutput(), frame_uid=sheet.frame_uid, name="cut", colour=CUT_COLOUR)
    return replace(mesh, point_data={})


def lines_where_zero(surface: SurfaceMesh, height: Floats) -> Floats:
    """Return the pieces (n, 2, 3), LPS mm, of the line on a surface where a height is zero.

    ``height`` has a value for each point, such as its distance from a slice.
    """
    above = height >= 0
    sides = above[surface.triangles]
    cells = surface.triangles[sides.any(axis=1) & ~sides.all(axis=1)]
    turned = np.stack([cells, np.roll(cells, -1, axis=1)], axis=-1)
    crossed = above[turned[..., 0]] != above[turned[..., 1]]
    a, b = turned[crossed].T
    share = (height[a] / (height[a] - height[b]))[:, None]
    places = surface.points_mm[a] + share * (surface.points_mm[b] - surface.points_mm[a])
    return np.asarray(places.reshape(-1, 2, 3))
