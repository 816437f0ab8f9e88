"""Where a level that is kept on one grid is not negative, on another one with the same axes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.volume import ImageGeometry

Bools = npt.NDArray[np.bool_]

SAME = 1e-9  # cosine between axes that counts as none


def along_same_axes(one: ImageGeometry, other: ImageGeometry) -> bool:
    """Tell whether two grids run along the same axes, in the same direction."""
    return bool(np.abs(one.axes - other.axes).max() < SAME)


def not_negative(
    level: npt.NDArray[np.float32], kept: ImageGeometry, organ: Bools, geometry: ImageGeometry
) -> Bools:
    """Return the voxels [k, j, i] of an organ where a level, interpolated, is not negative.

    Beyond its grid ``kept`` the level stays as it is at the rim. Both grids run along the same
    axes (see `along_same_axes`), so each axis is interpolated once.
    """
    steps = []
    for axis, count in enumerate(geometry.size):
        index = np.zeros((count, 3))
        index[:, axis] = np.arange(count)
        at = kept.to_index(geometry.to_world(index))[:, axis]
        at = np.clip(at, 0, kept.size[axis] - 1)
        low = np.minimum(at.astype(np.int64), max(kept.size[axis] - 2, 0))
        steps += [low, at - low]
    i, share_i, j, share_j, k, share_k = steps
    found = np.zeros(organ.shape, np.bool_)
    _compiled()(level, organ, (k, j, i), (share_k, share_j, share_i), found)
    return found


def _fill(level: Any, organ: Any, low: Any, share: Any, found: Any) -> None:
    """Set ``found`` where the organ's voxels have a level of zero or more."""
    low_k, low_j, low_i = low
    share_k, share_j, share_i = share
    top_k, top_j, top_i = (level.shape[0] - 1, level.shape[1] - 1, level.shape[2] - 1)
    row = np.empty(level.shape[2], np.float64)
    for k in range(organ.shape[0]):
        a, c = low_k[k], share_k[k]
        b = min(a + 1, top_k)
        for j in range(organ.shape[1]):
            if not organ[k, j].any():
                continue
            d, f = low_j[j], share_j[j]
            e = min(d + 1, top_j)
            for n in range(level.shape[2]):
                front = level[a, d, n] * (1 - f) + level[a, e, n] * f
                back = level[b, d, n] * (1 - f) + level[b, e, n] * f
                row[n] = front * (1 - c) + back * c
            for i in range(organ.shape[2]):
                if organ[k, j, i]:
                    n, f_i = low_i[i], share_i[i]
                    found[k, j, i] = row[n] * (1 - f_i) + row[min(n + 1, top_i)] * f_i >= 0


@cache
def _compiled() -> Callable[..., None]:
    from numba import njit

    compiled: Callable[..., None] = njit(cache=True)(_fill)
    return compiled
