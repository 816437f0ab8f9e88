"""The region from which a random walk reaches the foreground marks first.

Random walks cross edges seldom; a voxel belongs to the side whose marks a walk from it reaches
first with the greater probability (Grady, IEEE PAMI 28, 2006). A little of each walk ends at
once, on the side that the intensity of the voxel favours (Grady, CVPR 2005), so that regions
far from any mark are decided by what they look like.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import cg

from segmentation.contract import Progress, silent
from segmentation.marks import (
    Points,
    Scene,
    Singles,
    binned,
    connected,
    cut_around,
    require_foreground,
    unbinned,
)
from segmentation.volume import Array, Floats, LabelMap, Volume

_CELLS = 80_000  # the linear system has one unknown for each
_ENDING = 0.02  # how readily a walk ends by intensity, beside 1 for a step without an edge
_LEAST = 1e-4  # how readily it crosses the strongest edge
_ACCURACY = 1e-3
_ROUNDS = 400


def random_walk(
    volume: Volume,
    *,
    foreground_mm: Points,
    background_mm: Points = (),
    radius_mm: Annotated[float, Gt(0)] = 3.0,
    tolerance: Annotated[float, Gt(0)] = 2.5,
    edge_weight: Annotated[float, Gt(0)] = 0.25,
    reach_mm: Annotated[float, Gt(0)] = 60.0,
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Grow a region by random walks from marked points.

    It bridges gaps in an edge better than a growing front. What lies beyond the reach counts as
    background. From one click it suits compact structures up to about half the reach; it needs
    points all over a large organ such as the liver, and outside where a neighbour looks alike.

    Args:
        volume: the image.
        foreground_mm: points inside the structure, LPS mm.
        background_mm: points outside of it, LPS mm.
        radius_mm: radius of the ball around each point that counts as marked, in mm.
        tolerance: how far the intensity may depart from that at the points, in spreads.
        edge_weight: how much a step in intensity hinders a walk, per squared spread.
        reach_mm: how far the region can extend from the nearest foreground point, in mm.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a foreground point.
    """
    require_foreground(foreground_mm, "a random walk")
    progress(0.0, "preparing the image around the points")
    scene = cut_around(volume, foreground_mm, background_mm, radius_mm, reach_mm)
    refused = scene.refused | ~scene.within(foreground_mm, reach_mm)
    steps = scene.steps(_CELLS)
    known = np.where(binned(refused, steps, np.min), np.float32(0), np.float32(np.nan))
    known[binned(scene.refused, steps, np.max)] = 0
    known[binned(scene.wanted, steps, np.max)] = 1
    liked = np.exp(-np.minimum(binned(scene.unlike(foreground_mm), steps, np.mean), 50) / 2)
    favour = liked / (liked + np.exp(-(tolerance**2) / 2))
    inside = _first_reached(scene, steps, known, favour, edge_weight, progress)
    progress(0.9, "placing the region in the image")
    region = (unbinned(inside, steps, scene.grid.shape) & ~refused) | scene.wanted
    return scene.placed(connected(region, scene.wanted), volume, name)


def _first_reached(
    scene: Scene,
    steps: tuple[int, int, int],
    known: Singles,
    favour: Singles,
    edge_weight: float,
    progress: Progress,
) -> Array:
    """Return the probability of the foreground where ``known`` is NaN, and ``known`` elsewhere."""
    links = _links(scene, steps, edge_weight)
    laplacian = diags_array(links.sum(axis=1)) - links
    free, given = np.flatnonzero(np.isnan(known)), np.flatnonzero(~np.isnan(known))
    rows = csr_array(laplacian)[free]
    right = _ENDING * favour.ravel()[free] - rows[:, given] @ known.ravel()[given]
    system = rows[:, free] + diags_array(np.full(free.size, _ENDING))
    count = 0

    def look(_: Floats) -> None:
        nonlocal count
        count += 1
        progress(0.1 + 0.8 * min(count / _ROUNDS, 1.0), "walking")

    smooth = diags_array(1 / system.diagonal())
    found, _ = cg(
        system,
        right,
        favour.ravel()[free],
        rtol=_ACCURACY,
        maxiter=_ROUNDS,
        M=smooth,
        callback=look,
    )
    inside = known.copy().ravel()
    inside[free] = found
    return inside.reshape(known.shape)


def _links(scene: Scene, steps: tuple[int, int, int], edge_weight: float) -> Any:
    """Return how readily a walk goes from cell to cell, as a symmetric sparse matrix."""
    image = binned(scene.image, steps, np.mean)
    cells_mm = np.multiply(steps, scene.grid.spacing_kji_mm)
    number = np.arange(image.size).reshape(image.shape)
    rows, columns, values = [], [], []
    for axis, mm in enumerate(cells_mm):
        ends = [np.moveaxis(a, axis, 0) for a in (number, image)]
        (near, low), (far, high) = [a[:-1] for a in ends], [a[1:] for a in ends]
        weight = np.maximum(np.exp(-edge_weight * (high - low) ** 2), _LEAST)
        weight = weight * (cells_mm.min() / mm) ** 2
        rows += [near.ravel(), far.ravel()]
        columns += [far.ravel(), near.ravel()]
        values += [weight.ravel(), weight.ravel()]
    place = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), place), shape=(image.size, image.size))
