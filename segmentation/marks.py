"""The block of an image around marked points: where the marks are and how unlike them it is.

Every tool that makes a region from marks works on this block, reduced to as few cells as the
tool can afford, and never on the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.operations import with_volume
from segmentation.volume import Array, ImageGeometry, Label, LabelMap, Volume

Vector = tuple[float, float, float]
Points = tuple[Vector, ...]
Mask = npt.NDArray[np.bool_]
Singles = npt.NDArray[np.float32]
Block = tuple[slice, slice, slice]
Steps = tuple[int, int, int]


class SeedOutside(ValueError):
    """A marked point lies outside the image."""


def require_inside(grid: ImageGeometry, points: Points) -> None:
    """Raise unless all points, LPS mm, lie on the grid.

    Raises:
        SeedOutside: naming the first that does not.
    """
    for point in points:
        index = grid.to_index(point)
        if not (np.all(index >= -0.5) and np.all(index <= np.asarray(grid.size) - 0.5)):
            place = ", ".join(f"{v:.1f}" for v in point)
            raise SeedOutside(f"the point ({place}) LPS mm lies outside the image; mark another")


@dataclass(frozen=True, eq=False)
class Scene:
    """The block of an image around marked points, ready for a tool to work in."""

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

    def steps(self, most_cells: int) -> Steps:
        """Return the voxels (k, j, i) that a cell spans, so that few enough fill the block."""
        spacing = np.asarray(self.grid.spacing_kji_mm)
        for target in np.geomspace(spacing.min(), 32 * spacing.min(), 61):
            steps = np.maximum(1, np.floor(target / spacing + 1e-6)).astype(int)
            if np.prod(np.ceil(np.asarray(self.grid.shape) / steps)) <= most_cells:
                break
        return int(steps[0]), int(steps[1]), int(steps[2])

    def placed(self, region: Mask, volume: Volume, name: str) -> LabelMap:
        """Return the label ``name`` that ``region``, a mask of the block, is in the image."""
        array = np.zeros(volume.array.shape, np.uint8)
        array[self.block] = region
        return with_volume(LabelMap(array, volume.geometry, {1: Label(name)}), array)


def require_foreground(foreground: Points, what: str) -> None:
    """Raise unless there is a point inside the structure; ``what`` needs one.

    Raises:
        ValueError: if there is none.
    """
    if not foreground:
        raise ValueError(f"{what} needs at least one point inside the structure")


def cut_around(
    volume: Volume, foreground: Points, background: Points, radius_mm: float, reach_mm: float
) -> Scene:
    """Cut the block that reaches ``reach_mm`` around the points inside a structure, LPS mm.

    Raises:
        SeedOutside: if a point lies outside the image.
    """
    require_inside(volume.geometry, (*foreground, *background))
    return cut_out(volume, foreground, foreground, background, radius_mm, reach_mm)


def cut_out(
    volume: Volume,
    centres: Points,
    foreground: Points,
    background: Points,
    radius_mm: float,
    reach_mm: float,
) -> Scene:
    """Cut the block that reaches ``reach_mm`` around the centres, LPS mm."""
    whole = volume.geometry
    index = whole.to_index(centres)
    wide = (reach_mm + radius_mm) / np.asarray(whole.spacing_mm)
    low = np.clip(np.floor(index.min(axis=0) - wide), 0, None).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + wide).astype(int) + 1, whole.size)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high))
    smoothed = ndimage.gaussian_filter(volume.array[k, j, i].astype(np.float32), 0.6)
    plain = Scene(
        (k, j, i), smoothed, whole.cropped(low, high - low), foreground, background, radius_mm
    )
    return Scene(
        (k, j, i), smoothed / _spread(plain), plain.grid, foreground, background, radius_mm
    )


def _spread(scene: Scene) -> np.float32:
    """Return the typical standard deviation of intensity within one mark."""
    points = scene.foreground or scene.background
    spreads = [float(scene.image[scene.within((p,), scene.radius_mm)].std()) for p in points]
    # A mark on a constant (synthetic, masked) patch must not divide by nothing.
    return np.float32(max(float(np.median(spreads)), 0.01 * float(np.ptp(scene.image)), 1e-6))


def connected(mask: Mask, marks: Mask) -> Mask:
    """Return the face-connected parts of ``mask`` that hold a mark."""
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, np.bool_)
    kept[pieces[marks]] = True
    kept[0] = False
    return np.asarray(kept[pieces])


def binned(array: Array, steps: Steps, reduce: Callable[..., Any]) -> Array:
    """Return ``array`` [k, j, i] reduced over blocks of ``steps`` voxels, its end repeated."""
    if steps == (1, 1, 1):
        return array
    filled = np.pad(array, [(0, -n % step) for n, step in zip(array.shape, steps)], mode="edge")
    (a, b, c), (k, j, i) = steps, filled.shape
    blocks = filled.reshape(k // a, a, j // b, b, i // c, c)
    return np.asarray(reduce(blocks, axis=(1, 3, 5)))


def unbinned(cells: Array, steps: Steps, shape: tuple[int, int, int]) -> Mask:
    """Return where cells (a mask, or values 0 to 1) reach one half, on the voxel grid again.

    Values are interpolated linearly.
    """
    if steps == (1, 1, 1):
        return np.asarray(cells >= 0.5)
    shift = [(1 - step) / (2 * step) for step in steps]
    scale = [1 / step for step in steps]
    fine = ndimage.affine_transform(
        cells.astype(np.float32), scale, shift, shape, order=1, mode="nearest"
    )
    return np.asarray(fine >= 0.5)
