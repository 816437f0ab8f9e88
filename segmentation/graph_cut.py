"""The region around marked points whose surface is cheapest: a continuous graph cut.

Over all u from 0 (outside) to 1 (inside) it minimises

    sum over voxels of  f u + smoothness_mm g |grad u|

where f is negative where the intensity is like that at the foreground marks, and g is small
where the image has an edge. The problem is convex and its solution, cut at one half, is the best
of all binary regions (Chan, Esedoglu and Nikolova, SIAM J. Appl. Math. 66, 2006). Unlike a
cut on a voxel graph it favours no direction. It is found by primal-dual steps (Chambolle and
Pock, J. Math. Imaging Vis. 40, 2011), first on coarse cells, then on finer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import numpy as np
from annotated_types import Gt
from scipy import ndimage

from segmentation.contract import Progress, share, silent
from segmentation.marks import (
    Mask,
    Points,
    Scene,
    Singles,
    binned,
    connected,
    cut_around,
    require_foreground,
    unbinned,
)
from segmentation.volume import Array, LabelMap, Volume

_COARSE_CELLS, _FINE_CELLS = 300_000, 1_500_000
_COARSE_STEPS, _FINE_STEPS = 160, 30
_LOOK = 10  # steps between looks at how much still changes
_SETTLED = 2e-5  # share of cells that may still change sides
_CERTAIN = 1e3
_EDGE_SPREADS = 1.5  # a jump from cell to cell that halves the cost of a surface there


def graph_cut(
    volume: Volume,
    *,
    foreground_mm: Points,
    background_mm: Points = (),
    radius_mm: Annotated[float, Gt(0)] = 3.0,
    tolerance: Annotated[float, Gt(0)] = 2.5,
    smoothness_mm: Annotated[float, Gt(0)] = 2.0,
    reach_mm: Annotated[float, Gt(0)] = 80.0,
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Cut a region out of the image along its cheapest surface.

    The region is like the foreground points, has a short surface that runs along edges, holds
    the foreground points and none of the background points.

    Args:
        volume: the image.
        foreground_mm: points inside the structure, LPS mm.
        background_mm: points outside of it, LPS mm.
        radius_mm: radius of the ball around each point that counts as marked, in mm.
        tolerance: how far the intensity may depart from that at the points, in spreads.
        smoothness_mm: how large details must be to be kept, in mm; larger is smoother.
        reach_mm: how far the region can extend from the nearest foreground point, in mm.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a foreground point.
    """
    require_foreground(foreground_mm, "a cut")
    progress(0.0, "preparing the image around the points")
    scene = cut_around(volume, foreground_mm, background_mm, radius_mm, reach_mm)
    refused = scene.refused | ~scene.within(foreground_mm, reach_mm)
    likeness = _likeness(scene, tolerance)
    steps = scene.steps(_COARSE_CELLS)
    inside = _cut(scene, likeness, refused, steps, smoothness_mm, None, share(progress, 0, 2))
    finer = scene.steps(_FINE_CELLS)
    if finer != steps:
        start = unbinned(inside, steps, scene.grid.shape)
        first = binned(start.astype(np.float32), finer, np.mean)
        inside = _cut(scene, likeness, refused, finer, smoothness_mm, first, share(progress, 1, 2))
    region = (unbinned(inside, finer, scene.grid.shape) & ~refused) | scene.wanted
    return scene.placed(connected(region, scene.wanted), volume, name)


def _likeness(scene: Scene, tolerance: float) -> Singles:
    """Return f: half the squared distance from the foreground less that from the background.

    The background is never farther than ``tolerance``: it is many tissues, few of them marked.
    """
    limit = np.float32(tolerance**2)
    unlike = scene.unlike(scene.foreground)
    near = tuple(p for p in scene.background if scene.within((p,), scene.radius_mm).any())
    other = np.minimum(scene.unlike(near), limit) if near else limit
    return np.asarray((np.minimum(unlike, 2 * limit) - other) / 2, np.float32)


def _cut(
    scene: Scene,
    likeness: Singles,
    refused: Mask,
    steps: tuple[int, int, int],
    smoothness_mm: float,
    first: Singles | None,
    progress: Progress,
) -> Singles:
    """Return u on cells of ``steps`` voxels, from ``first`` on."""
    jump = ndimage.gaussian_gradient_magnitude(binned(scene.image, steps, np.mean), 0.7)
    limit = (1 / (1 + (jump / _EDGE_SPREADS) ** 2)).astype(np.float32)
    # On an edge a cell is a mixture, whose intensity tells little.
    force = (binned(likeness, steps, np.mean) * limit).astype(np.float32)
    force[binned(refused, steps, np.min)] = _CERTAIN
    force[binned(scene.wanted, steps, np.max)] = -_CERTAIN
    inside = (force < 0).astype(np.float32) if first is None else first.copy()
    most = _COARSE_STEPS if first is None else _FINE_STEPS
    cells_mm = [n * s for n, s in zip(steps, scene.grid.spacing_kji_mm)]
    weights = np.asarray([smoothness_mm / mm for mm in cells_mm], np.float32)
    pace = np.float32(1 / np.sqrt(4 * float(weights @ weights)))
    ahead, flow = inside.copy(), np.zeros((3, *inside.shape), np.float32)
    dual, primal = _kernels()
    for n in range(0, most, _LOOK):
        progress(n / most, "finding the cheapest surface")
        changed = 0
        for _ in range(_LOOK):
            dual(ahead, flow, limit, weights, pace)
            changed += primal(inside, ahead, flow, force, weights, pace)
        if changed <= _SETTLED * inside.size:
            break
    return inside


def _push(
    ahead: Array, flow: Array, limit: Array, weights: Array, pace: np.float32
) -> None:  # pragma: no cover - compiled
    """Step the flow up the gradient of ``ahead`` and back to what each surface can carry."""
    depth, rows, columns = ahead.shape
    none = np.float32(0)
    for k in range(depth):
        for j in range(rows):
            for i in range(columns):
                here = ahead[k, j, i]
                a = b = c = none
                if k + 1 < depth:
                    a = flow[0, k, j, i] + pace * weights[0] * (ahead[k + 1, j, i] - here)
                if j + 1 < rows:
                    b = flow[1, k, j, i] + pace * weights[1] * (ahead[k, j + 1, i] - here)
                if i + 1 < columns:
                    c = flow[2, k, j, i] + pace * weights[2] * (ahead[k, j, i + 1] - here)
                size = np.sqrt(a * a + b * b + c * c)
                if size > limit[k, j, i]:
                    part = limit[k, j, i] / size
                    a, b, c = a * part, b * part, c * part
                flow[0, k, j, i], flow[1, k, j, i], flow[2, k, j, i] = a, b, c


def _pull(
    inside: Array, ahead: Array, flow: Array, force: Array, weights: Array, pace: np.float32
) -> int:  # pragma: no cover - compiled
    """Step u by the divergence of the flow and the force; return how many changed sides."""
    depth, rows, columns = inside.shape
    changed = 0
    for k in range(depth):
        for j in range(rows):
            for i in range(columns):
                spread = (
                    weights[0] * flow[0, k, j, i]
                    + weights[1] * flow[1, k, j, i]
                    + weights[2] * flow[2, k, j, i]
                )
                if k > 0:
                    spread -= weights[0] * flow[0, k - 1, j, i]
                if j > 0:
                    spread -= weights[1] * flow[1, k, j - 1, i]
                if i > 0:
                    spread -= weights[2] * flow[2, k, j, i - 1]
                before = inside[k, j, i]
                after = before + pace * (spread - force[k, j, i])
                after = min(max(after, np.float32(0)), np.float32(1))
                ahead[k, j, i] = 2 * after - before
                inside[k, j, i] = after
                changed += (after >= 0.5) != (before >= 0.5)
    return changed


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., int]]:
    """Return the compiled steps; numba takes a second to import, so only when needed."""
    from numba import njit

    return njit(cache=True)(_push), njit(cache=True)(_pull)
