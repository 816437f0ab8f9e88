"""A small stand-in for an image around marked points, on which a tool answers at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segmentation.marks import Points, Scene
from segmentation.volume import Volume

PREVIEW_VOXELS = 200_000


def reduced(
    volume: Volume, points_mm: Points, reach_mm: float, most_voxels: int = PREVIEW_VOXELS
) -> Volume:
    """Return every n-th voxel within ``reach_mm`` of the points (LPS mm), n chosen for each axis.

    Voxels are picked, not averaged: noise, by which tools judge what is alike, stays as it is.
    What a tool finds on them lies where it lies in the patient.

    Raises:
        ValueError: without a point.
    """
    if not points_mm:
        raise ValueError("a preview needs at least one point")
    whole = volume.geometry
    index = whole.to_index(points_mm)
    wide = reach_mm / np.asarray(whole.spacing_mm)
    low = np.clip(np.floor(index.min(axis=0) - wide), 0, np.asarray(whole.size) - 1).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + wide).astype(int) + 1, whole.size)
    high = np.maximum(high, low + 1)
    grid = whole.cropped(low, high - low)
    block = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    part = volume.array[block]
    steps = Scene((block[0], block[1], block[2]), part, grid, (), (), 1.0).steps(most_voxels)
    first = np.minimum(np.asarray(steps) // 2, np.asarray(part.shape) - 1)
    picked = part[tuple(slice(int(a), None, n) for a, n in zip(first, steps))]
    x, y, z = (float(s) * n for s, n in zip(grid.spacing_mm, steps[::-1]))
    coarse = replace(grid.cropped(first[::-1], picked.shape[::-1]), spacing_mm=(x, y, z))
    return Volume(picked, coarse, volume.quantity)
