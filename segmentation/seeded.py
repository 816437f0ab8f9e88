"""Regions grown from points that a person marks, by competing geodesic fronts.

A front spreads from the marks of each side. A step of d mm between two voxels costs

    d (1 + unlike) + edge_mm |difference of intensity| / spread

where ``unlike`` is, for the foreground only, the squared distance in spreads of the voxel's
intensity from the nearest mean at a mark, at most 50; background is many tissues, most of them
not marked. The spread is the standard deviation within a mark. Foreground so runs fast through
tissue like that at its marks and both run slowly across edges; a voxel goes to the front that
arrives first. Distances are
found by raster sweeps (Toivanen, Pattern Recognition Letters 17 (1996); Criminisi et
al., "GeoS", ECCV 2008), repeated until little changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Gt
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.operations import with_volume
from segmentation.volume import (
    Array,
    ImageGeometry,
    Label,
    LabelMap,
    Volume,
    require_same_grid,
)

Vector = tuple[float, float, float]
Points = tuple[Vector, ...]
Mask = npt.NDArray[np.bool_]
Singles = npt.NDArray[np.float32]
Block = tuple[slice, slice, slice]

_EDGE_MM = 4.0  # the cost of a step of one spread in intensity
_UNLIKE_LIMIT = 50.0
_ROUNDS = 6
_RACE_VOXELS = 2_000_000


class SeedOutside(ValueError):
    """A marked point lies outside the image."""


def grow_from_seeds(
    volume: Volume,
    *,
    foreground_mm: Points,
    background_mm: Points = (),
    radius_mm: Annotated[float, Gt(0)] = 3.0,
    tolerance: Annotated[float, Gt(0)] = 2.5,
    reach_mm: Annotated[float, Gt(0)] = 80.0,
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Grow a region from marked points.

    The region is what is connected to the foreground points, departs from their intensity by at
    most ``tolerance`` spreads and lies within ``reach_mm`` of one of them; its holes are filled.
    With background points, fronts from both sides compete for it.

    Args:
        volume: the image.
        foreground_mm: points inside the structure, LPS mm.
        background_mm: points outside of it, LPS mm.
        radius_mm: radius of the ball around each point that counts as marked, in mm.
        tolerance: how far the intensity may depart from that at the points, in spreads.
        reach_mm: how far the region can extend from the nearest foreground point, in mm.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a foreground point.
    """
    if not foreground_mm:
        raise ValueError("growing needs at least one point inside the structure")
    _require_inside(volume.geometry, (*foreground_mm, *background_mm))
    progress(0.0, "preparing the image around the points")
    scene = _scene(volume, foreground_mm, foreground_mm, background_mm, radius_mm, reach_mm)
    region = scene.within(foreground_mm, reach_mm)
    if background_mm:
        region &= scene.race(scene.wanted, scene.refused, progress)
    region &= scene.unlike(foreground_mm) <= tolerance**2
    region = _connected(region | scene.wanted, scene.wanted)
    region = ndimage.binary_fill_holes(region) & ~scene.refused
    progress(0.95, "placing the region in the image")
    array = np.zeros(volume.array.shape, np.uint8)
    array[scene.block] = region
    return with_volume(LabelMap(array, volume.geometry, {1: Label(name)}), array)


def refine(
    labels: LabelMap,
    volume: Volume,
    *,
    foreground_mm: Points = (),
    background_mm: Points = (),
    radius_mm: Annotated[float, Gt(0)] = 3.0,
    reach_mm: Annotated[float, Gt(0)] = 25.0,
    progress: Progress = silent,
) -> LabelMap:
    """Correct a proposal locally, by points inside and outside the structure.

    Nothing farther than ``reach_mm`` from a point changes; a foreground point only adds and a
    background point only removes. The front of each side races that of the other side's points
    and of what the proposal says beyond the reach.

    Args:
        labels: the proposal; all of its labels count as the structure, and what is added takes
            the lowest value.
        volume: the image, on the same grid.
        foreground_mm: points that belong to the structure, LPS mm.
        background_mm: points that do not, LPS mm.
        radius_mm: radius of the ball around each point that counts as marked, in mm.
        reach_mm: how far from a point the label may change, in mm.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
        SeedOutside: if a point lies outside the image.
    """
    require_same_grid(labels, volume)
    _require_inside(volume.geometry, (*foreground_mm, *background_mm))
    if not foreground_mm and not background_mm:
        return labels
    progress(0.0, "preparing the image around the points")
    # The shell beyond the reach holds the voxels of the proposal that are taken as true.
    points = (*foreground_mm, *background_mm)
    scene = _scene(volume, points, foreground_mm, background_mm, radius_mm, 1.4 * reach_mm)
    old = labels.array[scene.block]
    inside, new = old != 0, old.copy()
    if foreground_mm:
        near = scene.within(foreground_mm, reach_mm)
        won = scene.race(scene.wanted, scene.refused | (~inside & ~near), silent)
        new[(won & near) & ~inside] = min(labels.labels, default=1)
    progress(0.5, "removing around background points")
    if background_mm:
        near = scene.within(background_mm, reach_mm)
        lost = ~scene.race(scene.wanted | (inside & ~near), scene.refused, silent)
        new[(lost & near) & inside] = 0
    array = labels.array.copy()
    array[scene.block] = new
    return with_volume(labels, array)


def _connected(mask: Mask, marks: Mask) -> Mask:
    """Return the face-connected parts of ``mask`` that hold a mark."""
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, np.bool_)
    kept[pieces[marks]] = True
    return np.asarray(kept[pieces])


def _require_inside(grid: ImageGeometry, points: Points) -> None:
    for point in points:
        index = grid.to_index(point)
        if not (np.all(index >= -0.5) and np.all(index <= np.asarray(grid.size) - 0.5)):
            place = ", ".join(f"{v:.1f}" for v in point)
            raise SeedOutside(f"the point ({place}) LPS mm lies outside the image; mark another")


@dataclass(frozen=True, eq=False)
class _Scene:
    """The block of an image around marked points, ready for fronts to run in."""

    block: Block
    image: Singles  # smoothed, in spreads
    grid: ImageGeometry  # of the block
    foreground: Points
    background: Points
    radius_mm: float

    @cached_property
    def wanted(self) -> Mask:
        """The voxels marked as foreground."""
        return self.within(self.foreground, self.radius_mm)

    @cached_property
    def refused(self) -> Mask:
        """The voxels marked as background and not as foreground."""
        return self.within(self.background, self.radius_mm) & ~self.wanted

    def within(self, points: Points, distance_mm: float) -> Mask:
        """Return the voxels within a distance of any point, and the voxel of each point."""
        axes = np.ogrid[tuple(slice(0, n) for n in self.grid.shape)]
        hit = np.zeros(self.grid.shape, np.bool_)
        for point in points:
            centre = self.grid.to_index(point)[::-1]
            square: Any = np.float32(0)
            for axis, middle, spacing in zip(axes, centre, self.grid.spacing_kji_mm):
                square = square + ((axis - middle) * spacing).astype(np.float32) ** 2
            hit |= square <= np.float32(distance_mm**2)
            k, j, i = np.rint(centre).astype(int)
            if 0 <= k < hit.shape[0] and 0 <= j < hit.shape[1] and 0 <= i < hit.shape[2]:
                hit[k, j, i] = True
        return hit

    def unlike(self, points: Points) -> Singles:
        """Return the squared distance, in spreads, from the nearest mean at the points."""
        means = np.sort([self.image[self.within((p,), self.radius_mm)].mean() for p in points])
        edges = np.concatenate([[-np.inf], (means[1:] + means[:-1]) / 2, [np.inf]])
        nearest = means.astype(np.float32)[np.searchsorted(edges[1:-1], self.image)]
        return np.asarray((self.image - nearest) ** 2)

    def race(self, wanted: Mask, refused: Mask, progress: Progress) -> Mask:
        """Return the voxels that the front from ``wanted`` reaches before that from ``refused``.

        Large blocks are raced on means of 2, 3, ... voxels and the outcome is interpolated.
        """
        steps = self._steps()
        coarse = [step * spacing for step, spacing in zip(steps, self.grid.spacing_kji_mm)]
        owner = np.where(_binned(refused, steps, np.max), np.uint8(2), np.uint8(0))
        owner[_binned(wanted, steps, np.max)] = 1
        distance = np.where(owner > 0, 0, np.inf).astype(np.float32)
        cost = np.ones(owner.shape, np.float32)
        if self.foreground:
            unlike = np.minimum(self.unlike(self.foreground), _UNLIKE_LIMIT)
            cost += _binned(unlike, steps, np.min)
        edges = _binned(self.image, steps, np.mean) * np.float32(_EDGE_MM)
        arrays = [np.pad(a, 1, constant_values=v) for a, v in ((distance, np.inf), (owner, 0))]
        arrays += [np.pad(a, 1, mode="edge") for a in (cost, edges)]
        offsets = np.asarray([o for o in product((-1, 0, 1), repeat=3) if o < (0, 0, 0)])
        lengths = np.linalg.norm(offsets * coarse, axis=1).astype(np.float32)
        for n in range(_ROUNDS):
            progress(0.1 + 0.8 * n / _ROUNDS, "fronts are running")
            if _sweep()(*arrays, offsets, lengths) < 1e-3 * owner.size:
                break
        won = arrays[1][1:-1, 1:-1, 1:-1] == 1
        return _unbinned(won, steps, self.grid.shape)

    def _steps(self) -> tuple[int, int, int]:
        """Return the voxels (k, j, i) that one cell of a race spans."""
        spacing = np.asarray(self.grid.spacing_kji_mm)
        for target in np.geomspace(spacing.min(), 32 * spacing.min(), 61):
            steps = np.maximum(1, np.floor(target / spacing + 1e-6)).astype(int)
            if np.prod(np.ceil(np.asarray(self.grid.shape) / steps)) <= _RACE_VOXELS:
                break
        return int(steps[0]), int(steps[1]), int(steps[2])


def _binned(array: Array, steps: tuple[int, int, int], reduce: Callable[..., Any]) -> Array:
    """Return ``array`` [k, j, i] reduced over blocks of ``steps`` voxels, its end repeated."""
    if steps == (1, 1, 1):
        return array
    filled = np.pad(array, [(0, -n % step) for n, step in zip(array.shape, steps)], mode="edge")
    (a, b, c), (k, j, i) = steps, filled.shape
    blocks = filled.reshape(k // a, a, j // b, b, i // c, c)
    return np.asarray(reduce(blocks, axis=(1, 3, 5)))


def _unbinned(mask: Mask, steps: tuple[int, int, int], shape: tuple[int, int, int]) -> Mask:
    """Return a mask of blocks on the voxel grid again, its surface linearly interpolated."""
    if steps == (1, 1, 1):
        return mask
    shift = [(1 - step) / (2 * step) for step in steps]
    scale = [1 / step for step in steps]
    fine = ndimage.affine_transform(
        mask.astype(np.float32), scale, shift, shape, order=1, mode="nearest"
    )
    return np.asarray(fine >= 0.5)


def _scene(
    volume: Volume,
    centres: Points,
    foreground: Points,
    background: Points,
    radius_mm: float,
    reach_mm: float,
) -> _Scene:
    """Cut the block that reaches ``reach_mm`` around the centres."""
    whole = volume.geometry
    index = whole.to_index(centres)
    wide = (reach_mm + radius_mm) / np.asarray(whole.spacing_mm)
    low = np.clip(np.floor(index.min(axis=0) - wide), 0, None).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + wide).astype(int) + 1, whole.size)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high))
    smoothed = ndimage.gaussian_filter(volume.array[k, j, i].astype(np.float32), 0.6)
    plain = _Scene(
        (k, j, i), smoothed, whole.cropped(low, high - low), foreground, background, radius_mm
    )
    return _Scene(
        (k, j, i), smoothed / _spread(plain), plain.grid, foreground, background, radius_mm
    )


def _spread(scene: _Scene) -> np.float32:
    """Return the typical standard deviation of intensity within one mark."""
    points = scene.foreground or scene.background
    spreads = [float(scene.image[scene.within((p,), scene.radius_mm)].std()) for p in points]
    # A mark on a constant (synthetic, masked) patch must not divide by nothing.
    return np.float32(max(float(np.median(spreads)), 0.01 * float(np.ptp(scene.image)), 1e-6))


def _raster(
    distance: Array, owner: Array, cost: Array, edges: Array, offsets: Array, lengths: Array
) -> int:  # pragma: no cover - compiled
    """Sweep forwards and backwards once; return how many distances fell by more than 1 %.

    All arrays are [k, j, i] with a rim of one voxel that no front enters; ``offsets`` are the
    13 neighbours that come before a voxel and ``lengths`` their distances in mm.
    """
    depth, rows, columns = distance.shape
    changed = 0
    for way in (1, -1):
        for kn in range(1, depth - 1):
            k = kn if way == 1 else depth - 1 - kn
            for jn in range(1, rows - 1):
                j = jn if way == 1 else rows - 1 - jn
                for n in range(1, columns - 1):
                    i = n if way == 1 else columns - 1 - n
                    before = distance[k, j, i]
                    best = before
                    for m in range(13):
                        kk = k + way * offsets[m, 0]
                        jj = j + way * offsets[m, 1]
                        ii = i + way * offsets[m, 2]
                        start = distance[kk, jj, ii]
                        if start + lengths[m] >= best:  # a mm costs at least one
                            continue
                        through = start + abs(edges[k, j, i] - edges[kk, jj, ii])
                        if owner[kk, jj, ii] == 1:
                            through += lengths[m] * (cost[k, j, i] + cost[kk, jj, ii]) / 2
                        else:
                            through += lengths[m]
                        if through < best:
                            best = through
                            owner[k, j, i] = owner[kk, jj, ii]
                    if best < before:
                        distance[k, j, i] = best
                        changed += best < 0.99 * before
    return changed


@cache
def _sweep() -> Callable[..., int]:
    """Return the compiled sweep; numba takes a second to import, so only when needed."""
    from numba import njit

    compiled: Callable[..., int] = njit(cache=True)(_raster)
    return compiled
