"""A structure from clicks and strokes, in CT and MR, without a trained network.

The first prompt inside proposes: a cell belongs to the structure if its levels are likelier near
the prompt than in the image around, if a front from the prompt reaches it before an imagined
background does, and if that makes a short boundary along edges (`cells.Cells.cut`). The imagined
background is as far away as the prompt is long and its tissue deep, and hardly farther than most
rays run that leave the prompt across. The levels of inside and
outside are learned again from the outcome (as in GrabCut: Rother et al., SIGGRAPH 2004).

Every later prompt corrects: what a front from it reaches within its scale is decided anew,
between it and the prompts of the other side; beyond, the result so far is kept. A prompt inside
only adds and one outside only removes, so a correct part is not lost to a correction elsewhere.
At last the boundary is put on the edges of the image once more and loses sheets and bumps that are
thin beside the structure (`_polished`).

The constants were chosen on made-up abdomens, CT-like and of random MR-like contrasts, on made-up
tubes that neighbours of their level touch, and on one MR tumour, by the rule of `simulation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.cells import Cells, make_cells
from segmentation.contract import Progress, share, silent
from segmentation.marks import (
    Block,
    Mask,
    Points,
    Scene,
    Singles,
    Steps,
    Vector,
    binned,
    connected,
    require_inside,
    unbinned,
)
from segmentation.operations import with_volume
from segmentation.volume import Floats, ImageGeometry, Label, LabelMap, Volume, bounding_block

Prompts = tuple[tuple[Literal["inside", "outside"], Points], ...]
"""Clicks (one point) and strokes (several points, joined by lines), LPS mm, in their order."""

REACHES_MM = (35.0, 70.0, 150.0)  # the view widens until the proposal fits into it
CELLS, FINE_CELLS, QUICK_CELLS = 120_000, 350_000, 40_000
RADIUS_MM = 2.5  # a mark is a tube of this radius around its line
MARGIN_MM = 30.0  # around the proposal, for corrections
RACE = 2.0  # weight of the fronts' race against the levels
_RACE_LIMIT = 4.0
_BACKGROUND_MM, _PER_DEPTH, _PER_LENGTH = 10.0, 0.7, 0.15  # how far the imagined background is
_BEYOND_MM, _MOST = 4.0, 75.0  # beyond the end of so many per cent of the rays across a mark
# How far a correction works, and more per its length; what is added wrongly costs more prompts.
_ADD_MM, _ADD_PER_LENGTH = 20.0, 0.4
_REMOVE_MM, _REMOVE_PER_LENGTH = 30.0, 0.7
_TRUST = 3.0  # of what a correction does not reach
POLISH_MM = 6.0
_ROUNDING = 0.3  # of the depth of a structure: how finely its boundary is thought to be shaped
_LEARN_MM = 30.0  # the outside is learned this far around the outcome
_MARK_SHARE = 0.3
_SURE = 30.0


@dataclass(frozen=True, eq=False)
class _Mark:
    """One prompt: its points as fractional indices (k, j, i) of the image."""

    inside: bool
    index: Floats


@dataclass(frozen=True, eq=False)
class _View:
    """Cells of one block of the image, and the relaxed mask (0 to 1) in them."""

    block: Block
    steps: Steps
    cells: Cells
    soft: Singles

    @property
    def mask(self) -> Mask:
        return np.asarray(self.soft > 0.5)

    @property
    def shape(self) -> tuple[int, int, int]:
        k, j, i = (s.stop - s.start for s in self.block)
        return k, j, i

    def place(self, mark: _Mark) -> Floats:
        """Return the mark's points as fractional indices (k, j, i) of the cells."""
        corner = [s.start for s in self.block]
        return np.asarray((mark.index - corner + 0.5) / self.steps - 0.5)

    def with_mask(self, mask: Mask, soft: Singles) -> _View:
        """Return the view whose soft mask agrees with ``mask``."""
        agreed = np.where(mask, np.maximum(soft, 0.51), np.minimum(soft, 0.49))
        return replace(self, soft=agreed.astype(np.float32))


def prompted(
    volume: Volume,
    *,
    prompts: Prompts,
    box_mm: tuple[Vector, Vector] | None = None,
    quick: bool = False,
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Label a thing from clicks or strokes on it and beside it.

    Click in its middle or draw a stroke along it; then mark what is missing and what is too
    much, the largest error first. Works on CT and MR alike.

    Args:
        volume: the image.
        prompts: in their order, "inside" or "outside" and the points (LPS mm) of a click or
            stroke.
        box_mm: two opposite corners (LPS mm) of a box that holds all of the thing.
        quick: show a first, coarse answer.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a prompt inside, or if a prompt has no point.
    """
    marks = _marks(volume.geometry, prompts)
    first = next(mark for mark in marks if mark.inside)
    later = [mark for mark in marks if mark is not first]
    limits = _limits(volume.geometry, box_mm)
    progress(0.0, "looking at what was marked")
    view = _propose(volume, first, limits, QUICK_CELLS if quick else CELLS, progress)
    if not quick:
        view = _look_closer(volume, view, marks, first, limits)
    inside = _drawn(view, [first])
    outside = np.zeros_like(inside)
    for n, mark in enumerate(later):
        share(progress, 1, 2)(n / len(later), "correcting")
        own = _drawn(view, [mark], radius_mm=0.0)  # an error to correct may be thin
        inside, outside = (
            (inside | (own & ~outside), outside)
            if mark.inside
            else (inside, outside | (own & ~inside))
        )
        view = _correct(view, own & (inside if mark.inside else outside), mark, inside, outside)
    if later:
        view = _polished(view, inside, outside)
    array = np.zeros(volume.array.shape, np.uint8)
    found = unbinned(view.soft, view.steps, view.shape)
    array[view.block] = ndimage.binary_fill_holes(found)
    for mark in later:
        if not mark.inside:
            array[tuple(np.rint(mark.index).astype(int).T)] = 0
    return with_volume(LabelMap(array, volume.geometry, {1: Label(name)}), array)


def marked(side: str, prompts: Prompts) -> tuple[Points, ...]:
    """Return the points (LPS mm) of each prompt on one side, "inside" or "outside"."""
    return tuple(points for where, points in prompts if where == side)


def _marks(grid: ImageGeometry, prompts: Prompts) -> list[_Mark]:
    if not any(side == "inside" for side, _ in prompts):
        raise ValueError("a label from prompts needs at least one inside the structure")
    marks = []
    for side, points in prompts:
        if not points:
            raise ValueError("a prompt needs at least one point")
        require_inside(grid, points)
        index = grid.to_index(points)[:, ::-1]
        marks.append(_Mark(side == "inside", _along(index)))
    return marks


def _along(index: Floats) -> Floats:
    """Return points at most half a voxel apart on the line through ``index`` (k, j, i)."""
    parts = [index[:1]]
    for start, end in pairwise(index):
        count = max(1, int(np.ceil(2 * np.abs(end - start).max())))
        parts.append(start + (end - start) * np.arange(1, count + 1)[:, None] / count)
    return np.concatenate(parts)


def _limits(grid: ImageGeometry, box_mm: tuple[Vector, Vector] | None) -> npt.NDArray[np.intp]:
    """Return the first and past-the-last voxel (k, j, i) that may be looked at."""
    whole = np.array([(0, 0, 0), grid.shape])
    if box_mm is None:
        return whole
    (x0, y0, z0), (x1, y1, z1) = box_mm
    corners = [(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)]
    index = grid.to_index(corners)[:, ::-1]
    low = np.clip(np.floor(index.min(axis=0)), 0, whole[1] - 1)
    return np.array([low, np.clip(np.ceil(index.max(axis=0)) + 1, low + 1, whole[1])], np.intp)


def _block(low: Floats, high: Floats, limits: npt.NDArray[np.intp]) -> Block:
    """Return the block from ``low`` to ``high`` (k, j, i), as far as the limits allow."""
    start = np.clip(np.floor(low), limits[0], limits[1] - 1).astype(int)
    stop = np.clip(np.ceil(high) + 1, start + 1, limits[1]).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(start, stop))
    return k, j, i


def _view(volume: Volume, block: Block, cells: int, first: _Mark) -> _View:
    """Return at most about so many cells of a block, nothing found in them yet."""
    k, j, i = block
    grid = volume.geometry.cropped(
        (i.start, j.start, k.start), [s.stop - s.start for s in (i, j, k)]
    )
    steps = Scene(block, np.empty(0, np.float32), grid, (), (), 0.0).steps(cells)
    size = np.asarray(grid.spacing_kji_mm)
    shape = tuple(-(-n // step) for n, step in zip(grid.shape, steps))
    mark = _tube(first, block, steps, shape, size * np.asarray(steps))
    made = make_cells(volume.array[block], size, steps, mark)
    return _View(block, steps, made, np.zeros(shape, np.float32))


def _tube(
    mark: _Mark,
    block: Block,
    steps: Steps,
    shape: tuple[int, ...],
    spacing_mm: Floats,
    radius_mm: float = RADIUS_MM,
) -> Mask:
    """Return the cells that hold the mark's points, and those within the radius of these."""
    corner = np.array([s.start for s in block])
    place = np.rint((mark.index - corner + 0.5) / steps - 0.5).astype(int)
    place = place[np.all((place >= 0) & (place < shape), axis=1)]
    drawn = np.zeros(shape, np.bool_)
    if not len(place):
        return drawn
    wide = np.ceil(radius_mm / spacing_mm).astype(int)
    low, high = np.maximum(place.min(axis=0) - wide, 0), place.max(axis=0) + wide + 1
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    drawn[tuple(place.T)] = True
    drawn[part] = ndimage.distance_transform_edt(~drawn[part], spacing_mm) <= radius_mm
    return drawn


def _drawn(view: _View, marks: Iterable[_Mark], radius_mm: float = RADIUS_MM) -> Mask:
    drawn = np.zeros(view.soft.shape, np.bool_)
    for mark in marks:
        grid = (view.block, view.steps, drawn.shape, view.cells.spacing_mm)
        drawn |= _tube(mark, *grid, radius_mm)
    return drawn


def _propose(
    volume: Volume, first: _Mark, limits: npt.NDArray[np.intp], cells: int, progress: Progress
) -> _View:
    """Return the proposal of the first prompt, in the narrowest view that it fits into."""
    spacing = np.asarray(volume.geometry.spacing_kji_mm)
    low, high = first.index.min(axis=0), first.index.max(axis=0)
    for n, reach in enumerate(REACHES_MM):
        block = _block(low - reach / spacing, high + reach / spacing, limits)
        part = share(share(progress, 0, 2), n, len(REACHES_MM))
        view = _proposed(_view(volume, block, cells, first), first, part)
        if _fits(view, limits, reach):
            break
    return view


def _fits(view: _View, limits: npt.NDArray[np.intp], reach_mm: float) -> bool:
    """Tell whether the proposal keeps away from the rim and is small beside the view."""
    box = bounding_block(view.mask)
    if box is None:
        return True
    for axis, (part, whole) in enumerate(zip(box, view.block)):
        if part.start == 0 and whole.start > limits[0][axis]:
            return False
        if part.stop == view.soft.shape[axis] and whole.stop < limits[1][axis]:
            return False
    size = [(s.stop - s.start) * mm for s, mm in zip(box, view.cells.spacing_mm)]
    return bool(max(size) < 1.2 * reach_mm)


def _proposed(view: _View, first: _Mark, progress: Progress) -> _View:
    cells, mark = view.cells, _drawn(view, [first])
    unlike = cells.unlike(mark)
    front = cells.front_mm(mark, unlike)
    imagined = min(_imagined_mm(cells, mark, unlike), _beside_mm(view, first, mark))
    race = _race(front, imagined, cells.step_mm)
    inside = cells.like(mark).astype(float)
    outside = np.exp(-cells.far_mm(mark) / 80)
    soft = np.zeros_like(front)
    for n in range(2):
        cost = RACE * race - cells.evidence(inside, outside)
        cost[mark] = -_SURE
        soft = cells.cut(cost, soft if n else cost < 0, share(progress, n, 2))
        found = connected((soft > 0.5) | mark, mark)
        inside = _weighted(found.astype(float), mark)
        outside = _around(cells, found)
    return view.with_mask(np.asarray(ndimage.binary_fill_holes(found)), soft)


def _imagined_mm(cells: Cells, mark: Mask, unlike: Singles) -> float:
    """Return how far away the background is thought to start, in mm of plain tissue."""
    alike = np.pad(unlike < 4, 1, mode="edge")
    depth = ndimage.distance_transform_edt(alike, cells.spacing_mm)[1:-1, 1:-1, 1:-1]
    deepest = min(float(depth[mark].max()), REACHES_MM[-1])
    return _BACKGROUND_MM + _PER_DEPTH * deepest + _PER_LENGTH * _length_mm(cells, mark)


def _beside_mm(view: _View, first: _Mark, mark: Mask) -> float:
    """Return how far away the background is at most, as most rays across the mark tell.

    Rays that run on into a neighbour of the same level are outvoted by those that do not.
    """
    rays = view.cells.across_mm(mark, view.place(first))
    return _BEYOND_MM + float(np.percentile(rays, _MOST)) if rays.size else np.inf


def _length_mm(cells: Cells, mark: Mask) -> float:
    return float(np.linalg.norm(np.ptp(np.argwhere(mark), axis=0) * cells.spacing_mm))


def _race(own: Singles, other: Singles | float, step_mm: float) -> Singles:
    """Return the log ratio of two fronts' ways: negative where the own one arrives first."""
    ratio = np.log((own + step_mm) / (other + np.float32(step_mm)))
    return np.asarray(np.clip(ratio, -_RACE_LIMIT, _RACE_LIMIT), np.float32)


def _weighted(weights: Floats, mark: Mask) -> Floats:
    """Return weights in which the marked cells count for a share of the whole."""
    if mark.any():
        weights = weights.copy()
        weights[mark] += _MARK_SHARE * weights.sum() / np.count_nonzero(mark)
    return weights


def _around(cells: Cells, found: Mask) -> Floats:
    weights = np.exp(-cells.far_mm(found) / _LEARN_MM)
    weights[found] = 0
    return np.asarray(weights + 1e-6)


def _look_closer(
    volume: Volume, view: _View, marks: list[_Mark], first: _Mark, limits: npt.NDArray[np.intp]
) -> _View:
    """Return the proposal in smaller cells, in the block around it and all marks."""
    if view.steps == (1, 1, 1) and len(marks) == 1:
        return view
    corner = np.array([s.start for s in view.block])
    box = bounding_block(view.mask) or (slice(0, 1),) * 3
    points = np.concatenate([mark.index for mark in marks])
    steps, margin = np.asarray(view.steps), MARGIN_MM / np.asarray(volume.geometry.spacing_kji_mm)
    low = np.minimum(corner + steps * [s.start for s in box], points.min(axis=0)) - margin
    high = np.maximum(corner + steps * [s.stop for s in box], points.max(axis=0)) + margin
    closer = _view(volume, _block(low, high, limits), FINE_CELLS, first)
    moved = _moved(view, closer)
    if closer.steps == view.steps:
        return moved
    drawn = _drawn(moved, [first])
    return _polished(moved, drawn, np.zeros_like(drawn))


def _moved(view: _View, other: _View) -> _View:
    """Return ``other`` with the soft mask of ``view``, interpolated."""
    fine = np.zeros(other.shape, np.float32)
    scale = [1 / step for step in view.steps]
    start = [a.start - b.start for a, b in zip(other.block, view.block)]
    shift = [(n + 0.5) / step - 0.5 for n, step in zip(start, view.steps)]
    ndimage.affine_transform(view.soft, scale, shift, fine.shape, output=fine, order=1)
    soft = binned(fine, other.steps, np.mean)
    return replace(other, soft=np.asarray(soft, np.float32))


def _polished(view: _View, inside: Mask, outside: Mask) -> _View:
    """Return the view with its boundary put, by at most a little, on the edges of the image.

    The levels of both sides are learned from what lies well within them. A thin sheet or bump,
    small beside the structure, is likelier a piece of what touches it.
    """
    cells, mask = view.cells, view.mask
    if not mask.any():
        return view
    beyond, within = cells.far_mm(mask), cells.far_mm(~mask)
    depth = np.minimum(beyond, POLISH_MM) - np.minimum(within, POLISH_MM)
    core = _weighted((depth < -POLISH_MM / 2) + 0.2 * mask, inside)
    cost = _TRUST * (depth / POLISH_MM) ** 3 - cells.evidence(core, _around(cells, mask))
    cost -= _shape(cells, mask, within)
    cost[inside], cost[outside] = -_SURE, _SURE
    soft = cells.cut(cost, view.soft)
    found = connected((soft > 0.5) | inside, inside)
    return view.with_mask(np.asarray(ndimage.binary_fill_holes(found)) & ~outside, soft)


def _shape(cells: Cells, mask: Mask, within_mm: Floats) -> Floats:
    """Return the log ratio by which the shape around a cell speaks for the inside."""
    blur_mm = max(_ROUNDING * float(np.percentile(within_mm[mask], 90)), cells.step_mm / 2)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), blur_mm / cells.spacing_mm)
    return np.asarray(np.log((smooth + 0.02) / (1.02 - smooth)))


def _correct(view: _View, own: Mask, mark: _Mark, inside: Mask, outside: Mask) -> _View:
    """Return the view after one more mark; what lies near it is decided anew."""
    if not own.any():
        return view
    cells = view.cells
    base, share_of_length = (
        (_ADD_MM, _ADD_PER_LENGTH) if mark.inside else (_REMOVE_MM, _REMOVE_PER_LENGTH)
    )
    scale = base + share_of_length * _length_mm(cells, own)
    place, wide = np.argwhere(own), 2.5 * scale / cells.spacing_mm
    whole = np.array([(0, 0, 0), own.shape])
    block = _block(place.min(axis=0) - wide, place.max(axis=0) + wide, whole)
    soft = view.soft.copy()
    parts = (own[block], inside[block], outside[block])
    soft[block] = _decided(cells.part(block), soft[block], *parts, mark.inside, scale)
    found = connected((soft > 0.5) | inside, inside) & ~outside
    return view.with_mask(found, soft)


def _decided(
    cells: Cells,
    soft: Singles,
    own: Mask,
    inside: Mask,
    outside: Mask,
    adds: bool,
    scale_mm: float,
) -> Singles:
    """Return the soft mask of a block around a new mark that ``adds`` or removes."""
    before = soft > 0.5
    kept, rivals = (before, outside) if adds else (~before, inside)
    front = cells.front_mm(own, cells.unlike(own, free=0.5))
    rival = cells.front_mm(rivals) if rivals.any() else np.full_like(front, np.inf)
    near = np.exp(-front / scale_mm)
    others = _weighted(np.where(kept, 0.0, 1.0) * (1 - near) + 1e-6, rivals)
    levels = cells.evidence(near * cells.like(own), others)
    local = RACE * _race(front, np.minimum(rival, 3 * scale_mm), cells.step_mm) - levels
    weight = np.exp(-((front / (2 * scale_mm)) ** 2))
    cost = weight * (local if adds else -local) + (1 - weight) * _TRUST * np.where(before, -1, 1)
    cost = np.where(kept, np.minimum(cost, -1) if adds else np.maximum(cost, 1), cost)
    cost[inside], cost[outside] = -_SURE, _SURE
    new = cells.cut(cost, soft)
    changed = (new > 0.5) & ~before if adds else (new <= 0.5) & before
    return np.asarray(np.where(changed, new, soft))
