"""From the network's grid to that of the image, block of rows by block of rows.

Preparation only turns, crops and rescales, so an index of the network's grid is an affine
function of an index (i, j, k) of the image. Nearly always each of its axes follows one axis of
the image alone; then interpolation is three cheap passes, and rows can be taken as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmentation.volume import LPS_TO_RAS, Array, Floats, ImageGeometry

if TYPE_CHECKING:
    import torch

EDGE = 0.5 + 1e-3


@dataclass(frozen=True)
class Placement:
    """How indices of the image (i, j, k) map to those of the network's grid.

    Attributes:
        matrix: 4x4, from image index to grid index.
        image: size (x, y, z) of the image.
        grid: size (x, y, z) of the network's grid.
    """

    matrix: Floats
    image: tuple[int, int, int]
    grid: tuple[int, int, int]

    @property
    def axes(self) -> tuple[int, int, int] | None:
        """The axis of the image that each axis of the grid follows; None if they are oblique."""
        part = np.abs(self.matrix[:3, :3])
        first, second, third = (int(axis) for axis in part.argmax(axis=1))
        rest = part.copy()
        rest[[0, 1, 2], [first, second, third]] = 0
        steps = np.asarray(self.image)
        if len({first, second, third}) < 3 or float((rest * steps).max()) > 0.05:
            return None
        return first, second, third

    def along(self, axis: int) -> Floats:
        """Return the grid index along grid ``axis`` of each image index of its own axis."""
        assert self.axes is not None
        own = self.axes[axis]
        return np.asarray(
            self.matrix[axis, own] * np.arange(self.image[own]) + self.matrix[axis, 3]
        )


def placement(geometry: ImageGeometry, affine_ras: Floats, grid: tuple[int, ...]) -> Placement:
    """Return how the image of ``geometry`` lies on a grid of this affine (index to RAS mm)."""
    matrix = np.linalg.inv(affine_ras) @ LPS_TO_RAS @ geometry.affine
    return Placement(matrix, geometry.size, (int(grid[0]), int(grid[1]), int(grid[2])))


@dataclass(frozen=True)
class Piece:
    """Some of the image's voxels: ``index`` selects them in an array (i, j, k)."""

    index: tuple[Any, ...]
    values: torch.Tensor


class Placer:
    """Interpolates rows of the grid, as they come, to voxels of the image."""

    def __init__(self, place: Placement) -> None:
        self._place = place
        self._last: torch.Tensor | None = None
        self._axes = place.axes
        self._held: list[torch.Tensor] = []

    def take(self, row: int, block: torch.Tensor) -> Iterator[Piece]:
        """Yield the voxels of the image that ``block`` (channels, rows, y, z) completes."""
        import torch

        done = row + block.shape[1] == self._place.grid[0]
        if self._axes is None:
            self._held.append(block)
            if done:
                yield from _oblique(self._place, torch.cat(self._held, 1))
            return
        joined = block if self._last is None else torch.cat([self._last, block], 1)
        first = row if self._last is None else row - 1
        self._last = block[:, -1:].clone()
        low = -EDGE if row == 0 else float(first)
        high = self._place.grid[0] - 1 + EDGE if done else float(row + block.shape[1] - 1)
        yield from self._straight(joined, first, low, high, done)

    def _straight(
        self, block: torch.Tensor, first: int, low: float, high: float, done: bool
    ) -> Iterator[Piece]:
        axes = self._axes
        assert axes is not None
        where = [self._place.along(axis) for axis in range(3)]
        taken = [(where[0] >= low) & ((where[0] <= high) if done else (where[0] < high))]
        taken += [
            (where[n] >= -EDGE) & (where[n] <= self._place.grid[n] - 1 + EDGE) for n in (1, 2)
        ]
        spans = [np.flatnonzero(mask) for mask in taken]
        if not all(len(span) for span in spans):
            return
        for part in np.array_split(spans[0], max(1, len(spans[0]) // 8)):
            values = block
            for axis, span in enumerate((part, *spans[1:])):
                offset = first if axis == 0 else 0
                values = _interpolated(values, where[axis][span] - offset, axis + 1)
            index: list[Any] = [None, None, None]
            for axis, span in enumerate((part, *spans[1:])):
                index[axes[axis]] = slice(int(span[0]), int(span[-1]) + 1)
            order = (0, *(axes.index(own) + 1 for own in range(3)))
            yield Piece(tuple(index), values.permute(order))


def _interpolated(values: torch.Tensor, places: Floats, axis: int) -> torch.Tensor:
    """Return ``values`` at fractional ``places`` along ``axis``, linearly, edges held."""
    import torch

    last = values.shape[axis] - 1
    inside = np.clip(places, 0, last)
    low = np.minimum(np.floor(inside).astype(np.int64), max(0, last - 1))
    share = torch.as_tensor(inside - low, dtype=values.dtype, device=values.device)
    shape = [1] * values.ndim
    shape[axis] = len(places)
    at = torch.as_tensor(low, device=values.device)
    first = values.index_select(axis, at)
    second = values.index_select(axis, (at + 1).clamp(max=last))
    return torch.lerp(first, second, share.reshape(shape))


def _oblique(place: Placement, block: torch.Tensor) -> Iterator[Piece]:
    """Yield the image plane by plane, interpolated on a grid that lies obliquely to it."""
    import torch

    i, j = np.meshgrid(np.arange(place.image[0]), np.arange(place.image[1]), indexing="ij")
    scale = 2.0 / np.maximum(np.asarray(place.grid) - 1, 1)
    for k in range(place.image[2]):
        index = np.stack([i, j, np.full_like(i, k)], -1)
        found = index @ place.matrix[:3, :3].T + place.matrix[:3, 3]
        inside = ((found >= -EDGE) & (found <= np.asarray(place.grid) - 1 + EDGE)).all(axis=-1)
        if not inside.any():
            continue
        at = torch.as_tensor((found * scale - 1)[..., ::-1].copy(), dtype=block.dtype)
        sampled = torch.nn.functional.grid_sample(
            block[None], at[None, None].to(block.device), padding_mode="border", align_corners=True
        )[0, :, 0]
        yield Piece((*np.nonzero(inside), k), sampled[:, torch.as_tensor(inside)])


def nearest(place: Placement, labels: Array) -> Array:
    """Return ``labels`` of the grid (x, y, z) on the image (i, j, k); 0 outside the grid."""
    result = np.zeros(place.image, labels.dtype)
    axes = place.axes
    if axes is None:
        for k in range(place.image[2]):
            index = np.stack(np.meshgrid(*map(np.arange, place.image[:2]), [k], indexing="ij"), -1)
            found = np.rint(index @ place.matrix[:3, :3].T + place.matrix[:3, 3]).astype(int)
            inside = ((found >= 0) & (found < place.grid)).all(axis=-1)
            x, y, z = found[inside].T
            result[:, :, k : k + 1][inside] = labels[x, y, z]
        return result
    spans, places = [], []
    for axis in range(3):
        along = place.along(axis)
        inside = (along >= -EDGE) & (along <= place.grid[axis] - 1 + EDGE)
        spans.append(np.flatnonzero(inside))
        places.append(np.clip(np.rint(along[inside]).astype(int), 0, place.grid[axis] - 1))
    if all(len(span) for span in spans):
        order = tuple(axes.index(own) for own in range(3))
        block = labels[np.ix_(*places)].transpose(order)
        result[np.ix_(*(spans[axes.index(own)] for own in range(3)))] = block
    return result
