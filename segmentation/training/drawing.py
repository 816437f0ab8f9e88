"""What all scenes are drawn with: smooth noise, soft edges, and a scanner's blur and slices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.training.tubes import Floats, Points, Rng

Mask = npt.NDArray[np.bool_]


def smooth_field(rng: Rng, size: int, cell: float) -> Floats:
    """Return smooth noise of about zero mean and unit deviation; ``cell`` is its grain in voxels.

    Random values on a coarse grid, joined by cubic B-splines along each axis.
    """
    basis = _basis(size, round(float(cell), 1))
    count = basis.shape[1]
    grid = rng.standard_normal((count, count, count)).astype(np.float32)
    rows = np.tensordot(basis, grid, (1, 0))  # [k, b, c]
    planes = np.matmul(basis, rows)  # [k, j, c]
    field = planes @ basis.T
    return np.asarray(field / 0.33, np.float32)


@lru_cache(maxsize=256)
def _basis(size: int, cell: float) -> Floats:
    """Return cubic B-spline weights, shape (size, coarse values)."""
    count = int(np.ceil((size - 1) / cell)) + 4
    place = np.arange(size)[:, None] / cell + 1 - np.arange(count)[None, :]
    t = np.abs(place)
    near, far = 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    return np.asarray(np.where(t < 1, near, far), np.float32)


def blend(image: Floats, cover: Floats | Mask, value: float | Floats) -> None:
    """Lay ``value`` over the image where ``cover`` is 1, in part where it is a fraction."""
    image += np.asarray(cover, np.float32) * (value - image)


def edge(depth: Floats) -> Floats:
    """Return the share of each voxel within a surface, from its signed distance in voxels."""
    return np.asarray(np.clip(0.5 - depth, 0, 1), np.float32)


def scanned(rng: Rng, image: Floats) -> Floats:
    """Return the image as a scanner with blur and, often, thick slices would give it."""
    blur = rng.uniform(0.1, 0.85) if rng.random() < 0.8 else rng.uniform(0.85, 1.6)
    image = np.asarray(ndimage.gaussian_filter(image, blur, truncate=2.5))
    if rng.random() < 0.45:
        thick, last = rng.uniform(1.2, 3.5), len(image) - 1
        image = ndimage.gaussian_filter1d(image, 0.3 * thick, 0, truncate=3)
        places = np.arange(rng.uniform(0, thick), last, thick)
        image = _between(_between(image, places), (np.arange(last + 1) - places[0]) / thick)
    return np.asarray(image, np.float32)


def _between(image: Floats, places: Points) -> Floats:
    """Return slices at fractional ``places`` along the first axis, linear between neighbours."""
    places = np.clip(places, 0, len(image) - 1)
    low = np.minimum(places.astype(np.intp), max(len(image) - 2, 0))
    share = (places - low).astype(np.float32)[:, None, None]
    return np.asarray(image[low] * (1 - share) + image[np.minimum(low + 1, len(image) - 1)] * share)
