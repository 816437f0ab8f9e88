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
from functools import cache
from itertools import product
from typing import Annotated

import numpy as np
from annotated_types import Gt
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.marks import (
    Mask,
    Points,
    Scene,
    SeedOutside,
    binned,
    connected,
    cut_around,
    cut_out,
    require_foreground,
    require_inside,
    unbinned,
)
from segmentation.operations import with_volume
from segmentation.volume import Array, LabelMap, Volume, require_same_grid

__all__ = ["SeedOutside", "grow_from_seeds", "refine"]

_EDGE_MM = 4.0  # the cost of a step of one spread in intensity
_UNLIKE_LIMIT = 50.0
_ROUNDS = 6
_RACE_VOXELS = 1_000_000


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
    require_foreground(foreground_mm, "growing")
    progress(0.0, "preparing the image around the points")
    scene = cut_around(volume, foreground_mm, background_mm, radius_mm, reach_mm)
    region = scene.within(foreground_mm, reach_mm)
    if background_mm:
        region &= _race(scene, scene.wanted, scene.refused, progress)
    region &= scene.unlike(foreground_mm) <= tolerance**2
    region = connected(region | scene.wanted, scene.wanted)
    region = ndimage.binary_fill_holes(region) & ~scene.refused
    progress(0.95, "placing the region in the image")
    return scene.placed(region, volume, name)


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
    require_inside(volume.geometry, (*foreground_mm, *background_mm))
    if not foreground_mm and not background_mm:
        return labels
    progress(0.0, "preparing the image around the points")
    # The shell beyond the reach holds the voxels of the proposal that are taken as true.
    points = (*foreground_mm, *background_mm)
    scene = cut_out(volume, points, foreground_mm, background_mm, radius_mm, 1.4 * reach_mm)
    old = labels.array[scene.block]
    inside, new = old != 0, old.copy()
    if foreground_mm:
        near = scene.within(foreground_mm, reach_mm)
        won = _race(scene, scene.wanted, scene.refused | (~inside & ~near), silent)
        new[(won & near) & ~inside] = min(labels.labels, default=1)
    progress(0.5, "removing around background points")
    if background_mm:
        near = scene.within(background_mm, reach_mm)
        lost = ~_race(scene, scene.wanted | (inside & ~near), scene.refused, silent)
        new[(lost & near) & inside] = 0
    array = labels.array.copy()
    array[scene.block] = new
    return with_volume(labels, array)


def _race(scene: Scene, wanted: Mask, refused: Mask, progress: Progress) -> Mask:
    """Return the voxels that the front from ``wanted`` reaches before that from ``refused``.

    Large blocks are raced on means of 2, 3, ... voxels and the outcome is interpolated.
    """
    steps = scene.steps(_RACE_VOXELS)
    coarse = [step * spacing for step, spacing in zip(steps, scene.grid.spacing_kji_mm)]
    owner = np.where(binned(refused, steps, np.max), np.uint8(2), np.uint8(0))
    owner[binned(wanted, steps, np.max)] = 1
    distance = np.where(owner > 0, 0, np.inf).astype(np.float32)
    cost = np.ones(owner.shape, np.float32)
    if scene.foreground:
        unlike = np.minimum(scene.unlike(scene.foreground), _UNLIKE_LIMIT)
        cost += binned(unlike, steps, np.min)
    edges = binned(scene.image, steps, np.mean) * np.float32(_EDGE_MM)
    arrays = [np.pad(a, 1, constant_values=v) for a, v in ((distance, np.inf), (owner, 0))]
    arrays += [np.pad(a, 1, mode="edge") for a in (cost, edges)]
    offsets = np.asarray([o for o in product((-1, 0, 1), repeat=3) if o < (0, 0, 0)])
    lengths = np.linalg.norm(offsets * coarse, axis=1).astype(np.float32)
    for n in range(_ROUNDS):
        progress(0.1 + 0.8 * n / _ROUNDS, "fronts are running")
        if _sweep()(*arrays, offsets, lengths) < 1e-3 * owner.size:
            break
    won = arrays[1][1:-1, 1:-1, 1:-1] == 1
    return unbinned(won, steps, scene.grid.shape)


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
