"""Cells of an image block as a prompted region sees them: levels, edges, fronts and the cut.

Levels are in spreads: the noise of the image around the first mark is one. A front pays, for a
step of d mm, d (1 + ``UNLIKE`` unlike) + ``EDGE_MM`` |difference of levels|, where unlike is a
squared departure from a mark. The cut minimises, over masks u relaxed to 0..1,

    sum(edges |grad u|) + sum(cost u) / SMOOTHNESS

by the primal-dual method of Chambolle and Pock (J. Math. Imaging Vis. 40 (2011) 120-145), which
finds the same boundary as a graph cut without its preference for the axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.marks import Block, Mask, Singles, Steps, binned
from segmentation.volume import Array, Floats

UNLIKE = 0.4
EDGE_MM = 6.0
SMOOTHNESS = 1.0
ITERATIONS = 80

_BINS, _WIDEST = 96, 12.0  # of the histogram of levels, in spreads
_BANDWIDTH = 0.7  # of its kernel, in spreads
_SURE = 3.0  # the largest log ratio of likelihoods
_LEAST_EDGE, _EDGE_LEVEL = 0.05, 2.0  # how cheap an edge gets, and the step that halves it
_NEAR_MM = 6.0  # the noise and the levels of a mark are taken this far around it
_OTHER = 2.5  # a ray ends where the level is as many spreads from the mark's
_RAY_STARTS, _LONGEST_MM, _ACROSS = 12, 150.0, 0.45  # points, length, largest cosine with the line
_FAR = 1e6


@dataclass(frozen=True, eq=False)
class Cells:
    """A block of an image in cells of several voxels; all arrays are [k, j, i].

    Attributes:
        level: slightly smoothed intensity in spreads from the first mark's.
        around: the same, smoothed over the neighbours.
        edges: what a boundary costs here, 1 in flat tissue and less on an edge.
        codes: the histogram bin of ``level`` and ``around`` together.
        spacing_mm: size of a cell (k, j, i).
    """

    level: Singles
    around: Singles
    edges: Singles
    codes: npt.NDArray[np.int32]
    spacing_mm: Floats

    def part(self, block: Block) -> Cells:
        """Return the cells of a block."""
        return Cells(
            np.ascontiguousarray(self.level[block]),
            np.ascontiguousarray(self.around[block]),
            np.ascontiguousarray(self.edges[block]),
            np.ascontiguousarray(self.codes[block]),
            self.spacing_mm,
        )

    @property
    def step_mm(self) -> float:
        """The smallest size of a cell."""
        return float(self.spacing_mm.min())

    def far_mm(self, mask: Mask) -> Floats:
        """Return the distance in mm of every cell from a mask; far everywhere from none."""
        if not mask.any():
            return np.full(mask.shape, _FAR)
        return np.asarray(ndimage.distance_transform_edt(~mask, self.spacing_mm))

    def like(self, mark: Mask) -> Mask:
        """Return the mark and the tissue close around it that has its level."""
        near = self.far_mm(mark) <= max(_NEAR_MM, 1.8 * self.step_mm)
        alike = np.abs(self.level - np.median(self.level[mark])) < 2.5
        return np.asarray((near & alike) | mark)

    def unlike(self, mark: Mask, free: float = 0.0) -> Singles:
        """Return the squared departure, at most 25, from the range of levels at a mark."""
        low, high = np.percentile(self.level[mark], [10, 90])
        departure = np.maximum(low - self.level, self.level - high) - free
        return np.asarray(np.clip(departure, 0, 5) ** 2, np.float32)

    def front_mm(self, mark: Mask, unlike: Singles | float = 0.0) -> Singles:
        """Return how far, in mm of plain tissue, a front from ``mark`` runs to each cell."""
        distance = np.where(mark, 0, _FAR).astype(np.float32)
        cost = np.broadcast_to(np.float32(1 + UNLIKE * unlike), mark.shape)
        arrays = [np.pad(distance, 1, constant_values=_FAR)]
        arrays += [np.pad(a, 1, mode="edge") for a in (cost, self.level)]
        offsets = np.asarray([o for o in product((-1, 0, 1), repeat=3) if o < (0, 0, 0)])
        lengths = np.linalg.norm(offsets * self.spacing_mm, axis=1).astype(np.float32)
        for _ in range(5):
            if _kernels()[0](*arrays, offsets, lengths, np.float32(EDGE_MM)) < 1e-3 * mark.size:
                break
        return np.ascontiguousarray(arrays[0][1:-1, 1:-1, 1:-1])

    def across_mm(self, mark: Mask, line: Floats) -> Floats:
        """Return how far rays run from a line until the level is no longer the mark's, in mm.

        ``line`` has fractional indices (k, j, i) of cells. From a click rays run to all sides,
        from a longer line only across it. One that reaches the rim of the block is left out.
        """
        start = line[:: max(1, len(line) // _RAY_STARTS)]
        way = (line[-1] - line[0]) * self.spacing_mm
        length = float(np.linalg.norm(way))
        heads = _headings()
        if length > 3 * self.step_mm:
            heads = heads[np.abs(heads @ way) < _ACROSS * length]
        ways = np.arange(self.step_mm / 2, _LONGEST_MM, self.step_mm / 2)
        steps = heads[:, None, :] * ways[:, None] / self.spacing_mm
        place = np.rint(start[:, None, None, :] + steps).astype(np.int32)
        last = np.asarray(self.level.shape) - 1
        beyond = np.any((place < 0) | (place > last), axis=-1)
        k, j, i = np.moveaxis(np.clip(place, 0, last), -1, 0)
        other = np.abs(self.level - np.median(self.level[mark])) > _OTHER
        ends = beyond | other[k, j, i]
        first = ends.argmax(axis=-1)[..., None]
        stopped = np.take_along_axis(ends & ~beyond, first, axis=-1)
        return np.asarray(ways[first[stopped]])

    def evidence(self, inside: Array, outside: Array) -> Singles:
        """Return the log ratio of the likelihoods of each cell's levels under two weightings."""
        densities = []
        for weight in (inside, outside):
            counts = np.bincount(self.codes.ravel(), weight.ravel().astype(float), _BINS**2)
            width = _BANDWIDTH * _BINS / (2 * _WIDEST)
            density = ndimage.gaussian_filter(counts.reshape(_BINS, _BINS), width, mode="nearest")
            densities.append(density / max(float(density.sum()), 1e-9) + 0.02 / _BINS**2)
        ratio = np.clip(np.log(densities[0] / densities[1]), -_SURE, _SURE)
        return np.asarray(ratio.ravel()[self.codes], np.float32)

    def cut(self, cost: Array, start: Array, progress: Progress = silent) -> Singles:
        """Return the relaxed mask that the energy of this module makes least.

        ``cost`` is what a cell costs inside, in log likelihood; ``start`` is a first guess.
        """
        mask = np.array(start, np.float32)
        relaxed, flux = mask.copy(), np.zeros((3, *mask.shape), np.float32)
        scale = (self.step_mm / self.spacing_mm).astype(np.float32)
        data = np.asarray(cost / SMOOTHNESS, np.float32)
        for n in range(0, ITERATIONS, 20):
            progress(n / ITERATIONS, "finding the boundary")
            _kernels()[1](mask, relaxed, flux, data, self.edges, scale, 20)
        return mask


def make_cells(array: Array, spacing_mm: Floats, steps: Steps, mark: Mask) -> Cells:
    """Return the cells, each of ``steps`` voxels, of a block; levels are relative to ``mark``."""
    size = spacing_mm * np.asarray(steps)
    step = float(size.min())
    means = binned(array.astype(np.float32), steps, np.mean)
    fine, wide = (ndimage.gaussian_filter(means, f * step / size) for f in (0.6, 2.0))
    middle = float(np.median(fine[mark]))
    spread = _spread(fine, mark, middle, size)
    level, around = (
        np.clip((image - middle) / spread, -30, 30).astype(np.float32) for image in (fine, wide)
    )
    steep = np.sqrt(sum(_slope(level, axis) ** 2 for axis in range(3)))
    edges = _LEAST_EDGE + (1 - _LEAST_EDGE) / (1 + (steep / _EDGE_LEVEL) ** 2)
    bins = [
        np.clip((image + _WIDEST) / (2 * _WIDEST) * _BINS, 0, _BINS - 1).astype(np.int32)
        for image in (level, around)
    ]
    return Cells(level, around, edges.astype(np.float32), bins[0] * _BINS + bins[1], size)


@cache
def _headings() -> Floats:
    """Return 98 unit vectors (k, j, i) to all sides."""
    steps = [s for s in product((-2, -1, 0, 1, 2), repeat=3) if np.gcd.reduce(np.abs(s)) == 1]
    return np.asarray(steps / np.linalg.norm(steps, axis=1)[:, None])


def _slope(image: Singles, axis: int) -> Array:
    if image.shape[axis] < 2:
        return np.zeros_like(image)
    return np.asarray(np.gradient(image, axis=axis))


def _spread(image: Singles, mark: Mask, middle: float, spacing_mm: Floats) -> float:
    """Return the spread of tissue around the mark: its own or the noise, whichever is more."""
    far = np.asarray(ndimage.distance_transform_edt(~mark, spacing_mm))
    near = np.sort(np.abs(image[far <= max(_NEAR_MM, 1.8 * spacing_mm.min())] - middle))
    # The nearest 60 %: what lies around a mark may reach over the edge of the structure.
    near = near[: max(10, int(0.6 * near.size))]
    own = 1.4826 * float(np.median(np.abs(image[mark] - middle)))
    rough = np.abs(image - ndimage.gaussian_filter(image, 1.0))
    noise = 1.4826 * float(np.median(rough[image >= np.percentile(image, 20)]))
    return max(2 * float(np.median(near)), own, noise, 1e-3 * float(np.ptp(image)), 1e-6)


def _run_fronts(
    distance: Array, cost: Array, level: Array, offsets: Array, lengths: Array, edge_mm: float
) -> int:  # pragma: no cover - compiled
    """Sweep forwards and backwards once; return how many distances fell by more than 1 %."""
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
                        start += lengths[m] * (cost[k, j, i] + cost[kk, jj, ii]) / 2
                        start += edge_mm * abs(level[k, j, i] - level[kk, jj, ii])
                        best = min(best, start)
                    if best < before:
                        distance[k, j, i] = best
                        changed += best < 0.99 * before
    return changed


def _relax(
    mask: Array, relaxed: Array, flux: Array, cost: Array, edges: Array, scale: Array, rounds: int
) -> None:  # pragma: no cover - compiled
    """Take ``rounds`` primal-dual steps, of a size below 1 / sqrt(12), in place."""
    step = np.float32(0.28)
    depth, rows, columns = mask.shape
    for _ in range(rounds):
        for k in range(depth):
            for j in range(rows):
                for i in range(columns):
                    here = relaxed[k, j, i]
                    a, b, c = np.float32(0), np.float32(0), np.float32(0)
                    if k + 1 < depth:
                        a = flux[0, k, j, i] + step * scale[0] * (relaxed[k + 1, j, i] - here)
                    if j + 1 < rows:
                        b = flux[1, k, j, i] + step * scale[1] * (relaxed[k, j + 1, i] - here)
                    if i + 1 < columns:
                        c = flux[2, k, j, i] + step * scale[2] * (relaxed[k, j, i + 1] - here)
                    length = np.sqrt(a * a + b * b + c * c)
                    fit = np.float32(1)
                    if length > edges[k, j, i]:
                        fit = edges[k, j, i] / length
                    flux[0, k, j, i], flux[1, k, j, i], flux[2, k, j, i] = a * fit, b * fit, c * fit
        for k in range(depth):
            for j in range(rows):
                for i in range(columns):
                    flow = scale[0] * flux[0, k, j, i] + scale[1] * flux[1, k, j, i]
                    flow += scale[2] * flux[2, k, j, i] - cost[k, j, i]
                    if k > 0:
                        flow -= scale[0] * flux[0, k - 1, j, i]
                    if j > 0:
                        flow -= scale[1] * flux[1, k, j - 1, i]
                    if i > 0:
                        flow -= scale[2] * flux[2, k, j, i - 1]
                    before = mask[k, j, i]
                    after = min(max(before + step * flow, np.float32(0)), np.float32(1))
                    mask[k, j, i] = after
                    relaxed[k, j, i] = 2 * after - before


@cache
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return both compiled loops; numba takes a second to import, so only when needed."""
    from numba import njit

    return njit(cache=True)(_run_fronts), njit(cache=True)(_relax)
