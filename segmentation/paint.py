"""What a brush may touch, and brushes that follow the image. Each yields a `LabelPatch`.

Points are LPS mm. A gesture that changes nothing yields None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy import ndimage

from segmentation.brush import (
    Begin,
    fill_between_slices,
    patch_to,
    require_value,
    scissors,
    stroke_voxels,
)
from segmentation.contract import Progress, silent
from segmentation.marks import Mask, Points, connected
from segmentation.operations import with_volume
from segmentation.volume import (
    Array,
    Floats,
    ImageGeometry,
    LabelMap,
    LabelPatch,
    Vector,
    Volume,
    bounding_block,
    require_same_grid,
)

Block = tuple[slice, slice, slice]
Follow = Literal["shape", "range", "edges"]

_CORE = 0.35  # of the radius: what counts as the tissue under the brush
_BINS = 64
_BLUR = 0.6  # voxels
_APART = 3.5  # spreads between two tissues; noise alone splits into halves 2.7 apart


@dataclass(frozen=True, eq=False)
class PaintMask:
    """Where a paint tool may change voxels.

    Attributes:
        image: the image whose intensity counts, on the grid of the labels; None for any.
        lower: the lowest intensity that may be changed, in the image's unit.
        upper: the highest.
        label: the label that limits, on the same grid; None for none.
        where: whether to stay inside or outside of it.
    """

    image: Volume | None = None
    lower: float = -np.inf
    upper: float = np.inf
    label: LabelMap | None = None
    where: Literal["inside", "outside"] = "inside"

    def allows(self, block: Block) -> Mask:
        """Return the voxels of ``block`` [k, j, i] that may change."""
        free = np.ones([s.stop - s.start for s in block], np.bool_)
        if self.image is not None and (self.lower > -np.inf or self.upper < np.inf):
            grey = self.image.array[block]
            free &= (grey >= self.lower) & (grey <= self.upper)
        if self.label is not None:
            free &= (self.label.array[block] != 0) == (self.where == "inside")
        return free


def masked(patch: LabelPatch | None, mask: PaintMask) -> LabelPatch | None:
    """Return what ``mask`` lets through of a patch, as tight as can be, or None."""
    if patch is None:
        return None
    after = np.where(mask.allows(patch.block), patch.after, patch.before)
    tight = bounding_block(after != patch.before)
    if tight is None:
        return None
    k, j, i = (c + s.start for c, s in zip(patch.corner, tight))
    return LabelPatch((k, j, i), patch.before[tight].copy(), after[tight].copy())


def _like_core(
    hit: Mask, grey: Array, grid: ImageGeometry, block: Block, points_mm: Floats, radius_mm: float
) -> Mask:
    """Return what of a stroke is like the tissue in its core and hangs together with it.

    The intensities that the stroke covers are split in two so that both sides vary least (Otsu,
    IEEE SMC 9, 1979). If the sides differ by more than noise, the side of the core stays; the
    core is what lies within about a third of the radius of the stroke's points.
    """
    smooth = ndimage.gaussian_filter(grey.astype(np.float32), _BLUR)
    core = _core(grid, block, points_mm, radius_mm) & hit
    if not core.any():
        return hit
    low, high = _side(smooth[hit], float(np.median(smooth[core])))
    like = hit & (smooth >= low) & (smooth <= high)
    return connected(like, core & like) if (core & like).any() else like


def _core(grid: ImageGeometry, block: Block, points_mm: Floats, radius_mm: float) -> Mask:
    core = np.zeros([s.stop - s.start for s in block], np.bool_)
    start = np.array([s.start for s in block])
    reach = (_CORE * radius_mm / np.asarray(grid.spacing_kji_mm)).astype(int)
    for k, j, i in np.rint(grid.to_index(points_mm)[:, ::-1]).astype(int) - start:
        part = tuple(slice(max(0, n - r), max(0, n + r + 1)) for n, r in zip((k, j, i), reach))
        core[part] = True
    return core


def _side(values: Array, level: float) -> tuple[float, float]:
    """Return the range of intensity on the side of ``level`` of the best split in two."""
    counts, edges = np.histogram(values, _BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = sums / below, (sums[-1] - sums) / (total - below)
        between = np.nan_to_num(below * (total - below) * (left - right) ** 2)
    n = int(between.argmax())
    limit = float(edges[n + 1])
    one, other = values[values <= limit], values[values > limit]
    if not one.size or not other.size:
        return -np.inf, np.inf
    spread = np.sqrt((one.var() * one.size + other.var() * other.size) / values.size)
    if other.mean() - one.mean() < _APART * max(float(spread), 1e-6):
        return -np.inf, np.inf
    return (-np.inf, limit) if level <= limit else (limit, np.inf)


def stroke(
    labels: LabelMap,
    points_mm: npt.ArrayLike,
    *,
    radius_mm: float,
    value: int,
    erase: bool = False,
    normal: Vector | None = None,
    edges_of: Volume | None = None,
    mask: PaintMask | None = None,
) -> LabelPatch | None:
    """Paint or erase along a stroke, following edges and within a mask where these are given.

    Args:
        labels: the labels to edit.
        points_mm: the stroke, LPS mm, shape (n, 3) or (3,).
        radius_mm: the radius of the brush.
        value: the label value to paint, or to erase.
        erase: erase instead of painting.
        normal: LPS normal of the slice to paint on, for a disc; None paints a ball.
        edges_of: the image whose edges stop the brush, on the same grid; None stops nowhere.
        mask: where voxels may change.

    Raises:
        ValueError: for no point, a radius that is not positive or a value that does not fit.
    """
    require_value(labels, value)
    points = np.asarray(points_mm, float).reshape(-1, 3)
    found = stroke_voxels(labels.geometry, points, radius_mm=radius_mm, normal=normal)
    if found is None:
        return None
    block, hit = found
    if edges_of is not None:
        hit = _like_core(hit, edges_of.array[block], labels.geometry, block, points, radius_mm)
    if mask is not None:
        hit = hit & mask.allows(block)
    old = labels.array[block]
    if erase:
        hit = hit & (old == value)
    return patch_to(labels, block, np.where(hit, old.dtype.type(0 if erase else value), old))


def paint(
    labels: LabelMap,
    volume: Volume | None = None,
    other: LabelMap | None = None,
    *,
    points_mm: Points,
    radius_mm: Annotated[float, Gt(0), Le(500)] = 5.0,
    value: Annotated[int, Ge(0)] = 0,
    erase: bool = False,
    normal: Vector | None = None,
    follow: Follow = "shape",
    lower_hu: float | None = None,
    upper_hu: float | None = None,
    where: Literal["inside", "outside"] = "inside",
    progress: Progress = silent,
) -> LabelMap:
    """Paint or erase along a stroke with a ball or a disc.

    Args:
        labels: the labels to paint on.
        volume: the image, for a brush that follows it.
        other: a label that limits where the brush paints, if any.
        points_mm: the stroke; its points (LPS mm) are joined by segments.
        radius_mm: radius of the brush in mm.
        value: the label value to paint or erase; 0 takes the lowest there is.
        erase: erase instead of painting.
        normal: LPS normal of the slice to paint on, for a disc; without it a ball is painted.
        follow: paint the whole shape, what lies in the range, or what edges enclose.
        lower_hu: the lowest value painted, in HU for CT and in the image's own unit otherwise.
        upper_hu: the highest value painted, in the same unit.
        where: whether to stay inside or outside of the other label.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: without a point, or if the brush shall follow an image that is not given.
    """
    require_same_grid(labels, *(given for given in (volume, other) if given is not None))
    ranged = lower_hu is not None or upper_hu is not None
    if volume is None and (follow != "shape" or ranged):
        raise ValueError("a brush that follows the image needs it; choose it as the volume")
    progress(0.0, "painting")
    patch = stroke(
        labels,
        np.asarray(points_mm, float),
        radius_mm=radius_mm,
        value=value or min(labels.labels, default=1),
        erase=erase,
        normal=normal,
        edges_of=volume if follow == "edges" else None,
        mask=PaintMask(
            volume,
            -np.inf if lower_hu is None else lower_hu,
            np.inf if upper_hu is None else upper_hu,
            other,
            where,
        ),
    )
    return _with(labels, patch)


def cut_with_scissors(
    labels: LabelMap,
    *,
    polygon_mm: Points,
    direction: Vector,
    eye_mm: Vector | None = None,
    cut: Literal["inside", "outside"] = "inside",
    depth_mm: Annotated[float, Gt(0)] | None = None,
    begin: Begin = "outline",
    value: Annotated[int, Ge(0)] = 0,
    progress: Progress = silent,
) -> LabelMap:
    """Cut labels with an outline that is drawn on the screen.

    Args:
        labels: the labels to cut.
        polygon_mm: corners of the outline, LPS mm; it closes by itself.
        direction: LPS direction of view, along which the outline cuts.
        eye_mm: LPS position of the eye for a perspective view; without it the view is parallel.
        cut: erase what lies inside or outside of the outline.
        depth_mm: how deep the cut goes, in mm; without it, through the whole depth.
        begin: measure the depth to both sides of the outline, or from the surface that it meets.
        value: the label value to cut; 0 cuts all labels.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than three corners, or a direction of no length.
    """
    progress(0.0, "cutting")
    patch = scissors(
        labels,
        np.asarray(polygon_mm, float),
        direction,
        cut=cut,
        value=value or None,
        eye_mm=eye_mm,
        depth_mm=np.inf if depth_mm is None else depth_mm,
        begin=begin,
    )
    return _with(labels, patch)


def fill_slices(
    labels: LabelMap,
    *,
    axis: Literal["x", "y", "z"] = "z",
    value: Annotated[int, Ge(0)] = 0,
    progress: Progress = silent,
) -> LabelMap:
    """Fill the slices between drawn ones by interpolating their outlines.

    Args:
        labels: labels that were drawn on some slices.
        axis: the image axis across the drawn slices.
        value: the label value to fill; 0 takes the lowest there is.
        progress: told how far the work is.
    """
    progress(0.0, "filling between slices")
    chosen = value or min(labels.labels, default=1)
    return _with(labels, fill_between_slices(labels, "xyz".index(axis), value=chosen))


def _with(labels: LabelMap, patch: LabelPatch | None) -> LabelMap:
    array = labels.array if patch is None else patch.applied(labels.array)
    return with_volume(labels, array, empty="nothing is left of the label")


def difference(before: LabelMap, after: LabelMap) -> LabelPatch | None:
    """Return the patch that turns one label map into another on the same grid, or None.

    Raises:
        FrameMismatch: if the grids differ.
    """
    require_same_grid(before, after)
    block = bounding_block(before.array != after.array)
    if block is None:
        return None
    corner = (block[0].start, block[1].start, block[2].start)
    new = after.array[block].astype(before.array.dtype)
    return LabelPatch(corner, before.array[block].copy(), new)
