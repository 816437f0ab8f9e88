"""Gestures on a label: brush, scissors, fill between slices. Each yields a `LabelPatch`.

Points are LPS mm. A gesture that changes nothing yields None.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import points_in_poly

from segmentation.volume import (
    Array,
    Floats,
    ImageGeometry,
    LabelMap,
    LabelPatch,
    bounding_block,
)

Mask = npt.NDArray[np.bool_]
Block = tuple[slice, slice, slice]
Vector = tuple[float, float, float]
Begin = Literal["outline", "surface"]


def brush_stroke(
    labels: LabelMap,
    points_mm: npt.ArrayLike,
    *,
    radius_mm: float,
    value: int,
    erase: bool = False,
    normal: Vector | None = None,
    only_over: int | None = None,
) -> LabelPatch | None:
    """Paint or erase along a stroke.

    Args:
        labels: the labels to edit.
        points_mm: the stroke, LPS mm, shape (n, 3) or (3,); its points are joined by segments.
        radius_mm: the radius of the brush. The voxel under each point is always hit.
        value: the label value to paint, or to erase.
        erase: turn ``value`` into background instead of painting it.
        normal: LPS normal of the slice to paint on, for a disc; None paints a ball.
        only_over: paint only on voxels of this value (0: background); None paints over all.

    Raises:
        ValueError: for no point, a radius that is not positive or a value that does not fit.
    """
    require_value(labels, value)
    found = stroke_voxels(labels.geometry, points_mm, radius_mm=radius_mm, normal=normal)
    if found is None:
        return None
    block, hit = found
    old = labels.array[block]
    if erase:
        hit &= old == value
    elif only_over is not None:
        hit &= old == only_over
    return patch_to(labels, block, np.where(hit, old.dtype.type(0 if erase else value), old))


def stroke_voxels(
    grid: ImageGeometry, points_mm: npt.ArrayLike, *, radius_mm: float, normal: Vector | None = None
) -> tuple[Block, Mask] | None:
    """Return the block [k, j, i] that a stroke reaches and the voxels of it that it hits.

    Args:
        grid: the voxel grid.
        points_mm: the stroke, LPS mm, shape (n, 3) or (3,); its points are joined by segments.
        radius_mm: the radius of the brush. The voxel under each point is always hit.
        normal: LPS normal of the slice to paint on, for a disc; None paints a ball.

    Raises:
        ValueError: for no point, or a radius that is not positive.
    """
    points = np.asarray(points_mm, float).reshape(-1, 3)
    if not len(points) or not np.isfinite(points).all() or not radius_mm > 0:
        raise ValueError("a brush stroke needs finite points and a positive radius in mm")
    stroke = grid.to_index(points) * np.asarray(grid.spacing_mm)  # mm along the image axes
    block = _stroke_block(stroke, radius_mm, grid)
    if block is None:
        return None
    if normal is not None:
        block = _within_block(block, _on_plane(_axes_mm(block, grid), grid, stroke[0], normal))
        if block is None:
            return None
    ends = list(pairwise(stroke)) or [(stroke[0], stroke[0])]
    hit = np.zeros([s.stop - s.start for s in block], np.bool_)
    for start, end in ends:
        part = _shared(_stroke_block(np.stack([start, end]), radius_mm, grid), block)
        if part is not None:
            within = _relative(part, block)
            hit[within] |= _near_segment(_axes_mm(part, grid), start, end, radius_mm)
    for k, j, i in np.rint(grid.to_index(points)[:, ::-1]).astype(int):
        if all(s.start <= n < s.stop for s, n in zip(block, (k, j, i))):
            hit[k - block[0].start, j - block[1].start, i - block[2].start] = True
    if normal is not None:
        hit &= _on_plane(_axes_mm(block, grid), grid, stroke[0], normal)
    return block, hit


def scissors(
    labels: LabelMap,
    polygon_mm: npt.ArrayLike,
    direction: Vector,
    *,
    cut: Literal["inside", "outside"] = "inside",
    value: int | None = None,
    eye_mm: Vector | None = None,
    depth_mm: float = np.inf,
    begin: Begin = "outline",
) -> LabelPatch | None:
    """Cut labels with an outline drawn on the screen, through the whole depth or a part of it.

    Args:
        labels: the labels to edit.
        polygon_mm: corners of the outline, LPS mm, shape (n, 3), n >= 3, closed by itself.
        direction: LPS direction of view; the outline is extruded along it.
        cut: erase what lies inside or outside of the outline.
        value: the one label to cut; None cuts all.
        eye_mm: LPS position of the camera, for a perspective view; None is a parallel one.
        depth_mm: how deep the cut goes along the direction, in mm.
        begin: measure the depth to both sides of the outline's plane, or from the first voxel
            that the cut meets.

    Raises:
        ValueError: for fewer than three corners, or a direction or depth of no length.
    """
    polygon = np.asarray(polygon_mm, float).reshape(-1, 3)
    length = float(np.linalg.norm(direction))
    if len(polygon) < 3 or not np.isfinite(polygon).all() or not min(length, depth_mm) > 0:
        raise ValueError("scissors need three corners or more, a direction and a positive depth")
    block = bounding_block(labels.mask(value))
    if block is None:
        return None
    old = labels.array[block]
    new = old.copy()
    start = [s.start for s in reversed(block)]
    grid = labels.geometry.cropped(start, old.shape[::-1])
    camera = _camera(
        np.asarray(direction, float) / length, polygon[0] if eye_mm is None else eye_mm
    )
    perspective = eye_mm is not None
    right, up, depth = camera[:3, :3] @ polygon.T + camera[:3, 3:]
    outline, middle = _on_screen(right, up, depth, perspective), float(depth.mean())
    matrix = camera @ grid.affine
    j, i = np.ogrid[: old.shape[1], : old.shape[2]]
    hits = np.zeros(old.shape, np.bool_)
    depths = np.zeros(old.shape if np.isfinite(depth_mm) else (len(old), 1, 1), np.float32)
    for k, plane in enumerate(old):
        right, up, depth = (row[0] * i + row[1] * j + (row[2] * k + row[3]) for row in matrix[:3])
        seen = _on_screen(right, up, depth, perspective)
        hit = (plane != 0) if value is None else (plane == value)
        hits[k] = hit & (_inside(seen, outline) == (cut == "inside"))
        if np.isfinite(depth_mm):
            depths[k] = depth
    if np.isfinite(depth_mm) and hits.any():
        first = float(depths[hits].min()) if begin == "surface" else middle
        hits &= np.abs(depths - first) <= depth_mm
    new[hits] = 0
    return patch_to(labels, block, new)


def fill_between_slices(labels: LabelMap, axis: int, *, value: int = 1) -> LabelPatch | None:
    """Fill the slices between drawn ones by interpolating signed distances.

    ``axis`` is the image axis (0 x, 1 y, 2 z) across the drawn slices. Only background between
    two slices that hold ``value`` is filled.

    Raises:
        ValueError: if the value does not fit the labels.
    """
    require_value(labels, value)
    block = bounding_block(labels.array == value)
    if block is None:
        return None
    across = 2 - axis
    old = np.moveaxis(labels.array[block], across, 0)
    spacing = [s for n, s in enumerate(labels.geometry.spacing_kji_mm) if n != across]
    new = old.copy()
    drawn = np.flatnonzero((old == value).any(axis=(1, 2)))
    for first, last in pairwise(drawn):
        if last - first == 1:
            continue
        near, far = (_signed_distance(old[n] == value, spacing) for n in (first, last))
        for n in range(first + 1, last):
            share = (n - first) / (last - first)
            filled = (1 - share) * near + share * far < 0
            new[n][filled & (old[n] == 0)] = value
    return patch_to(labels, block, np.moveaxis(new, 0, across))


def require_value(labels: LabelMap, value: int) -> None:
    """Raise unless the labels can hold ``value``.

    Raises:
        ValueError: saying what they can hold.
    """
    most = int(np.iinfo(labels.array.dtype).max)
    if not 1 <= value <= most:
        raise ValueError(f"a label value must lie between 1 and {most} here, not {value}")


def patch_to(labels: LabelMap, block: Block, after: Array) -> LabelPatch | None:
    """Return the tightest patch that turns ``block`` into ``after``, or None for no change."""
    before = labels.array[block]
    tight = _within_block(block, before != after)
    if tight is None:
        return None
    part = _relative(tight, block)
    corner = (tight[0].start, tight[1].start, tight[2].start)
    return LabelPatch(corner, before[part].copy(), after[part].copy())


def _stroke_block(stroke: Floats, radius_mm: float, grid: ImageGeometry) -> Block | None:
    """Return the block [k, j, i] that a stroke (mm along image axes) can reach within the image."""
    spacing = np.asarray(grid.spacing_mm)
    reach = np.maximum(radius_mm, spacing / 2)
    low = np.maximum(np.ceil((stroke.min(axis=0) - reach) / spacing - 1e-9).astype(int), 0)
    high = np.floor((stroke.max(axis=0) + reach) / spacing + 1e-9).astype(int) + 1
    high = np.minimum(high, grid.size)
    if np.any(low >= high):
        return None
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high))
    return k, j, i


def _within_block(block: Block, mask: Mask) -> Block | None:
    """Return the tightest part of the block that holds all of ``mask``, which is as large."""
    found = bounding_block(mask)
    if found is None:
        return None
    k, j, i = (slice(b.start + f.start, b.start + f.stop) for b, f in zip(block, found))
    return k, j, i


def _shared(part: Block | None, block: Block) -> Block | None:
    """Return what two blocks have in common."""
    if part is None:
        return None
    k, j, i = (slice(max(p.start, b.start), min(p.stop, b.stop)) for p, b in zip(part, block))
    return (k, j, i) if all(s.start < s.stop for s in (k, j, i)) else None


def _relative(part: Block, block: Block) -> Block:
    k, j, i = (slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, block))
    return k, j, i


def _axes_mm(block: Block, grid: ImageGeometry) -> list[npt.NDArray[np.float32]]:
    """Return open coordinates (x, y, z) of a block, in mm along the image axes."""
    z, y, x = np.ogrid[block]
    return [
        (axis * spacing).astype(np.float32) for axis, spacing in zip((x, y, z), grid.spacing_mm)
    ]


def _near_segment(axes: list[Any], start: Floats, end: Floats, radius_mm: float) -> Mask:
    """Tell which voxels lie within the radius of a segment (all in mm along image axes)."""
    offset = [a - np.float32(s) for a, s in zip(axes, start)]
    along = (end - start).astype(np.float32)
    square = float(along @ along)
    limit = np.float32((radius_mm + 1e-4) ** 2)
    if square == 0.0:
        return np.asarray(sum(o * o for o in offset) <= limit)
    share = sum(o * a for o, a in zip(offset, along / np.float32(square)))
    share = np.clip(share, 0, 1)
    return np.asarray(sum((o - share * a) ** 2 for o, a in zip(offset, along)) <= limit)


def _on_plane(axes: list[Any], grid: ImageGeometry, point: Floats, normal: Vector) -> Mask:
    """Tell which voxels a plane through ``point`` (mm along image axes) cuts."""
    along = grid.axes.T @ np.asarray(normal, float)
    along = along / np.linalg.norm(along)
    half = float(np.abs(along) @ np.asarray(grid.spacing_mm)) / 2
    depth = sum(n * (a - p) for n, a, p in zip(along, axes, point))
    # Half open, so that a plane midway between two slices paints one of them.
    shift = 1e-3 * half
    return np.asarray((depth > shift - half) & (depth <= half + shift))


def _camera(view: Floats, eye_mm: npt.ArrayLike) -> Floats:
    """Return the 4x4 matrix from LPS mm to (right, up, depth) in mm as seen along ``view``."""
    right = np.cross(view, np.eye(3)[int(np.argmin(np.abs(view)))])
    right = right / np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = right, np.cross(view, right), view
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(eye_mm, float)
    return matrix


def _on_screen(right: Floats, up: Floats, depth: Floats, perspective: bool) -> Floats:
    """Return screen positions (..., 2); what lies behind the eye has none (NaN)."""
    seen = np.stack([right, up], axis=-1)
    if not perspective:
        return seen
    return np.asarray(seen / np.where(depth > 0, depth, np.nan)[..., None])


def _inside(seen: Floats, outline: Floats) -> Mask:
    """Tell which screen positions (..., 2) lie inside the outline (n, 2)."""
    near = ((seen >= outline.min(axis=0)) & (seen <= outline.max(axis=0))).all(axis=-1)
    near[near] = points_in_poly(seen[near], outline)
    return np.asarray(near)


def _signed_distance(mask: Mask, spacing: Sequence[float]) -> Floats:
    """Return the distance in mm to the outline of a slice, negative inside."""
    # One row of background around it, so that a slice that is full has an outline too.
    wide = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(wide, spacing)
    outside = ndimage.distance_transform_edt(~wide, spacing)
    return np.asarray(outside - inside)[1:-1, 1:-1]
