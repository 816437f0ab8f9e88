"""Surfaces at a distance from others: offset, hollowed, thickened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt
from scipy.ndimage import distance_transform_edt, label

from meshing.distance_fields import MOST_VOXELS, Grid, contour, grid_around
from meshing.mesh import SurfaceMesh, measured, require_watertight
from meshing.nearest import NearestOnSurface
from segmentation.contract import Finding, Number, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]

EXACT = 2.5
"""Steps of the grid to either side of the new surface within which distances are exact."""


def offset_surface(
    mesh: SurfaceMesh,
    *,
    distance_mm: float = 2.0,
    step_mm: Annotated[float, Gt(0)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Grow or shrink a closed surface by a distance.

    Every point of the result lies at that distance from the surface; how exactly is measured.
    Corners become round outside and stay sharp inside. Point data are dropped.

    Args:
        mesh: a closed surface, LPS mm.
        distance_mm: outward by this much; inward if negative.
        step_mm: size of the new triangles; empty takes a fraction of the surface's size.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        TooFine: if so small a step needs too much memory.
        ValueError: if nothing is left so far inside.
    """
    require_watertight(mesh)
    points, cells, away = _level(mesh, distance_mm, step_mm, True, progress)
    if not len(cells):
        raise ValueError(
            f"nothing of {mesh.name or 'the surface'!r} is left {-distance_mm:g} mm inside it; "
            "use a smaller distance"
        )
    result = measured(replace(mesh.reshaped(points, cells), findings=()))
    return replace(result, numbers=(*result.numbers, _exactness(away)))


def hollow_surface(
    mesh: SurfaceMesh,
    *,
    wall_mm: Annotated[float, Gt(0)] = 2.0,
    step_mm: Annotated[float, Gt(0)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Hollow a closed surface out, leaving a wall.

    The outside stays as it is; the inside is its offset. The parts "outside" and "inside" are
    named. Point data are dropped.

    Args:
        mesh: a closed surface, LPS mm.
        wall_mm: thickness of the wall.
        step_mm: size of the inner triangles; empty takes a fraction of the surface's size.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        TooFine: if so small a step needs too much memory.
    """
    require_watertight(mesh)
    points, cells, away = _level(mesh, -wall_mm, step_mm, True, progress)
    if not len(cells):
        text = f"The surface {mesh.name or 'without a name'} is too thin for a cavity; it is solid."
        note = Finding(Severity.WARNING, "no_cavity", text, remedy="Use a thinner wall.")
        return replace(mesh, findings=(*mesh.findings, note))
    outer = len(mesh.triangles)
    both = mesh.reshaped(
        np.vstack([mesh.points_mm, points]),
        np.vstack([mesh.triangles, cells[:, ::-1] + len(mesh.points_mm)]),
    )
    parts = {"outside": np.arange(outer), "inside": np.arange(outer, outer + len(cells))}
    result = measured(replace(both, boundaries=parts))
    return replace(result, numbers=(*result.numbers, _exactness(away)))


def thicken_sheet(
    mesh: SurfaceMesh,
    *,
    thickness_mm: Annotated[float, Gt(0)] = 2.0,
    step_mm: Annotated[float, Gt(0)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a solid plate of an open sheet.

    Half of the thickness lies on either side, and edges become round. Point data are dropped.

    Args:
        mesh: an open sheet, LPS mm.
        thickness_mm: thickness of the plate.
        step_mm: size of the new triangles; empty takes a quarter of the thickness.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface has no triangle.
        TooFine: if so small a step needs too much memory.
    """
    step = thickness_mm / 4 if step_mm is None else step_mm
    points, cells, away = _level(mesh, thickness_mm / 2, step, False, progress)
    result = measured(replace(mesh.reshaped(points, cells), findings=()))
    return replace(result, numbers=(*result.numbers, _exactness(away)))


def _exactness(away: Floats) -> Number:
    source = "largest difference from the distance asked for, over the points of the new surface"
    return Number("distance_error", float(np.abs(away).max(initial=0.0)), "mm", source)


@dataclass(frozen=True, eq=False)
class _Distance:
    """Distances from a surface, mm; negative inside where they are signed."""

    nearest: NearestOnSurface
    signed: bool

    def __call__(self, points_mm: Floats, progress: Progress = silent) -> Floats:
        if self.signed:
            return self.nearest.signed_mm(points_mm, progress)
        return self.nearest(points_mm, progress).distance_mm


def _level(
    mesh: SurfaceMesh,
    level_mm: float,
    step_mm: float | None,
    signed: bool,
    progress: Progress,
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Return the points at a distance from a surface, triangles, and the distances' errors."""
    progress(0.0, "making room")
    size = np.ptp(mesh.points_mm, axis=0) + 2 * max(level_mm, 0.0)
    finest = (float(np.prod(size + 1.0)) / (0.2 * MOST_VOXELS)) ** (1 / 3)
    step = max(float(size.max()) / 150, finest) if step_mm is None else step_mm
    reach = max(level_mm, 0.0) + 2 * step
    ends = np.array([mesh.points_mm.min(axis=0) - reach, mesh.points_mm.max(axis=0) + reach])
    grid = grid_around([ends], step)
    distance = _Distance(NearestOnSurface(mesh), signed)
    field = _field(mesh, grid, level_mm, distance, progress)
    points, cells = contour(field, grid)
    if not len(cells):
        return points, cells, np.empty(0)
    for turn in range(2):
        part = share(progress, 8 + turn, 10)
        points = points + _correction(points, level_mm, distance, 0.2 * step, part)
    return points, cells, distance(points) - level_mm


def _correction(
    points: Floats, level_mm: float, distance: _Distance, most_mm: float, progress: Progress
) -> Floats:
    """Return how points must move, by a fraction of a step at the most, to lie at the level."""
    found = distance.nearest(points, progress)
    arm = points - found.point_mm
    length = np.maximum(found.distance_mm, 1e-9)
    way = arm / length[:, None]
    side = distance.nearest.side(points, found) if distance.signed else np.ones(len(points))
    lacking = (level_mm - side * found.distance_mm) * side
    return np.asarray(way * np.clip(lacking, -most_mm, most_mm)[:, None])


def _field(
    mesh: SurfaceMesh, grid: Grid, level_mm: float, distance: _Distance, progress: Progress
) -> npt.NDArray[np.float32]:
    """Return distance less level on a grid [k, j, i]: exact near it, else of its sign."""
    touched = _touched(mesh, grid)
    rough = distance_transform_edt(~touched, sampling=grid.step_mm).astype(np.float32)
    free = rough > 1.8 * grid.step_mm
    side = np.ones(grid.shape, np.float32)
    if distance.signed:
        rooms, count = label(free)
        first = np.zeros(count + 1, np.int64)
        flat = rooms.ravel()
        first[flat[::-1]] = np.arange(len(flat))[::-1]
        inside = distance(_places(grid, first[1:])) < 0
        side[np.concatenate([[False], inside])[rooms]] = -1.0
    field = side * rough - np.float32(level_mm)
    near = np.abs(rough - abs(level_mm)) < EXACT * grid.step_mm
    near |= ~free & (abs(level_mm) < EXACT * grid.step_mm)
    places = np.flatnonzero(near)
    exact = distance(_places(grid, places), share(progress, 0, 2)) - level_mm
    field.ravel()[places] = exact
    # Close to the surface but far from the level only the level's sign matters.
    rest = ~free & ~near
    field[rest] = np.float32(-level_mm)
    return np.asarray(field, np.float32)


def _places(grid: Grid, flat: npt.NDArray[np.int64]) -> Floats:
    k, j, i = np.unravel_index(flat, grid.shape)
    return np.asarray(grid.origin_mm + grid.step_mm * np.stack([i, j, k], axis=-1), np.float64)


def _touched(mesh: SurfaceMesh, grid: Grid) -> npt.NDArray[np.bool_]:
    """Return the voxels that hold samples of the surface, less than a step apart."""
    touched = np.zeros(grid.shape, np.bool_)
    corners = mesh.points_mm[mesh.triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.maximum(np.ceil(longest / (0.7 * grid.step_mm)).astype(int), 1)
    for count in np.unique(parts):
        some = corners[parts == count]
        for u in range(count + 1):
            for v in range(count + 1 - u):
                weights = np.array([u, v, count - u - v]) / count
                at = np.einsum("c,tcx->tx", weights, some)
                i, j, k = np.rint((at - grid.origin_mm) / grid.step_mm).astype(int).T
                touched[k, j, i] = True
    return touched
