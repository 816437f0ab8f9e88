"""One slice as numbers: grey values through a window, label fills, outlines. No Qt.

Everything is numpy on one slice, so a picture takes about a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from meshing.surface import SurfaceMesh
from segmentation.volume import Array, Label, LabelMap, Volume
from workstation.slices import SlicePlane

Pixels = npt.NDArray[np.uint32]
Rgb = tuple[int, int, int]

# Marching squares: for each of the 16 cases (bit 0 top left, 1 top right, 2 bottom right,
# 3 bottom left), the cell edges (0 top, 1 right, 2 bottom, 3 left) that segments join.
# fmt: off
_CASES: tuple[tuple[tuple[int, int], ...], ...] = (
    (), ((3, 0),), ((0, 1),), ((3, 1),), ((1, 2),), ((3, 0), (1, 2)), ((0, 2),), ((3, 2),),
    ((2, 3),), ((2, 0),), ((0, 1), (2, 3)), ((2, 1),), ((1, 3),), ((1, 0),), ((0, 3),), (),
)
# fmt: on
_EDGE_MIDDLES = np.array([(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)])
# The same as one table [case, first or second segment, end, x or y], NaN where there is none.
_SEGMENTS = np.full((16, 2, 2, 2), np.nan)
for _case, _pairs in enumerate(_CASES):
    for _n, _pair in enumerate(_pairs):
        _SEGMENTS[_case, _n] = _EDGE_MIDDLES[list(_pair)]


SOFT_TISSUE = (400.0, 40.0)  # width and level in HU
BELOW_HU = -20.0  # a hundredth of every CT, its air and fat, is darker


@dataclass(frozen=True)
class Overlay:
    """A label map shown over the image.

    Every label has its own colour unless ``colour`` (sRGB, 0 to 255) paints them all;
    ``hidden`` names label values not shown. A map that names no label is a mask of 1.
    ``opacity`` is that of the fill, 0 to 1.
    """

    name: str
    labels: LabelMap
    colour: Rgb | None = None
    visible: bool = True
    opacity: float = 0.35
    hidden: frozenset[int] = frozenset()

    def colours(self) -> dict[int, Rgb]:
        """Return the colour of each label value that is shown."""
        if not self.visible:
            return {}
        return {
            value: self.colour or label.colour
            for value, label in (self.labels.labels or {1: Label(self.name)}).items()
            if value not in self.hidden
        }


def default_window(volume: Volume) -> tuple[float, float]:
    """Return window width and level: soft tissue (400/40) for a CT, else from the values.

    Where most of an image is blank, only what is not counts.
    """
    values = _sampled(volume, 200_000)
    values = values[np.isfinite(values)]
    if not len(values) or is_ct(volume):
        return SOFT_TISSUE
    drawn = values[values > values.min()]
    if not len(drawn):
        return SOFT_TISSUE if volume.quantity == "HU" else (1e-6, float(values[0]))
    low, high = np.percentile(drawn if 2 * len(drawn) < len(values) else values, (1, 99))
    return max(float(high - low), 1e-6), float(high + low) / 2


def is_ct(volume: Volume) -> bool:
    """Tell whether an image holds HU, by its values too: a file often does not say what it holds.

    The air and fat of a CT lie far below zero; an image that is never there is shown as an MR is.
    """
    if volume.quantity != "HU":
        return False
    values = _sampled(volume, 50_000)
    values = values[np.isfinite(values)]
    return bool(len(values) and np.percentile(values, 1) < BELOW_HU)


def _sampled(volume: Volume, at_most: int) -> Array:
    step = max(1, int(np.cbrt(volume.array.size / at_most)))
    return volume.array[::step, ::step, ::step]


def grey(pixels: Array, width: float, level: float) -> npt.NDArray[np.uint8]:
    """Return grey values 0 to 255 of ``pixels`` seen through a window, in the image's unit.

    The window is linear: ``level - width / 2`` is black, ``level + width / 2`` is white.
    """
    if pixels.dtype.itemsize <= 2 and pixels.dtype.kind in "iu":
        table = _table(pixels.dtype.str, float(width), float(level))
        shades: npt.NDArray[np.uint8] = table.take(pixels.view(f"u{pixels.dtype.itemsize}"))
        return shades
    low = level - width / 2
    values = (pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / max(width, 1e-9))
    return np.asarray(np.clip(np.nan_to_num(values) + 0.5, 0, 255), np.uint8)


@lru_cache(maxsize=8)
def _table(dtype: str, width: float, level: float) -> npt.NDArray[np.uint8]:
    """Return the grey value of every bit pattern of an integer type of at most 16 bits."""
    bits = np.dtype(dtype).itemsize * 8
    values = np.arange(2**bits, dtype=f"u{bits // 8}").view(dtype)
    return grey(values.astype(np.float32), width, level)


_GREY_TO_RGB = (np.arange(256, dtype=np.uint32) * 0x010101) | np.uint32(0xFF000000)


@dataclass(frozen=True, eq=False)
class Region:
    """The pixels of one label on a slice: ``mask`` [row, column] begins at ``corner``."""

    corner: tuple[int, int]
    mask: npt.NDArray[np.bool_]
    colour: Rgb
    opacity: float

    @property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns of the slice that the mask covers."""
        (row, column), (rows, columns) = self.corner, self.mask.shape
        return slice(row, row + rows), slice(column, column + columns)


def regions(overlays: Sequence[Overlay], plane: SlicePlane) -> list[Region]:
    """Return every label shown on a slice, in the order in which they are drawn."""
    found = []
    for overlay in overlays:
        colours = overlay.colours()
        if not colours:
            continue
        labels = slice_labels(overlay.labels, plane)
        boxes = find_objects(labels)
        for value, colour in colours.items():
            box = boxes[value - 1] if 0 < value <= len(boxes) else None
            if box is not None:
                corner = (box[0].start, box[1].start)
                found.append(Region(corner, labels[box] == value, colour, overlay.opacity))
    return found


def slice_labels(labels: LabelMap, plane: SlicePlane) -> Array:
    """Return the label values [row, column] on a slice, nearest voxel where grids differ."""
    return slice_values(labels, plane, 0)


def slice_values(value: LabelMap | Volume, plane: SlicePlane, outside: float) -> Array:
    """Return the values [row, column] on a slice, nearest voxel where grids differ.

    What lies outside the value's grid becomes ``outside``.
    """
    grid = value.geometry
    if grid is plane.geometry or grid.same_grid(plane.geometry):
        return plane.extract(value.array)
    matrix = grid.inverse_affine @ plane.matrix
    steps = {0: np.arange(plane.columns)[None, :], 1: np.arange(plane.rows)[:, None]}
    index, inside = [], np.ones((1, 1), bool)
    for row, size in zip(matrix[:3], grid.size):
        # Parallel grids leave out most terms, and arrays of one row or column are quick.
        position = np.full((1, 1), row[3])
        for n, step in steps.items():
            if abs(row[n]) * step.size > 1e-3:
                position = position + row[n] * step
        nearest = np.rint(position).astype(np.intp)
        inside = inside & (nearest >= 0) & (nearest < size)
        index.append(np.clip(nearest, 0, size - 1))
    i, j, k = index
    found = value.array[k, j, i]
    if found.dtype.kind in "iu":
        limits = np.iinfo(found.dtype)
        outside = min(max(outside, limits.min), limits.max)
    return np.asarray(np.where(inside, found, found.dtype.type(outside)))


def shaded(
    volume: Volume, plane: SlicePlane, window: tuple[float, float], fills: Sequence[Region] = ()
) -> Pixels:
    """Return 0xffRRGGBB pixels of a slice seen through a window (width, level), labels on top."""
    shades = grey(plane.extract(volume.array), *window)
    picture: Pixels = _GREY_TO_RGB.take(shades)
    for region in fills:
        mixed = _mixed(region.colour, region.opacity).take(shades[region.box])
        np.copyto(picture[region.box], mixed, where=region.mask)
    return picture


def _mixed(colour: Rgb, opacity: float) -> Pixels:
    """Return what each grey value looks like under a colour of that opacity."""
    base = np.arange(256) * (1 - opacity)
    red, green, blue = ((base + opacity * part).astype(np.uint32) for part in colour)
    return np.asarray(np.uint32(0xFF000000) | (red << 16) | (green << 8) | blue, np.uint32)


def outline_segments(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the outline of ``mask`` [row, column] as segments, shape (n, 2, 2), of (x, y).

    Marching squares between pixel centres (Lorensen and Cline 1987, in two dimensions); a
    mask that reaches the border is closed there.
    """
    box = np.pad(mask, 1).view(np.uint8)
    case = box[:-1, :-1] | box[:-1, 1:] << 1 | box[1:, 1:] << 2 | box[1:, :-1] << 3
    y, x = np.nonzero((case != 0) & (case != 15))
    # The cell at (0, 0) begins at the centre of the padding pixel, half a pixel outside.
    corners = np.stack([x - 0.5, y - 0.5], axis=1)
    segments = _SEGMENTS[case[y, x]] + corners[:, None, None, :]
    kept: npt.NDArray[np.float64] = segments.reshape(-1, 2, 2)
    return kept[~np.isnan(kept[:, 0, 0])]


def surface_segments(surface: SurfaceMesh, plane: SlicePlane) -> npt.NDArray[np.float64]:
    """Return where a surface meets a slice as segments, shape (n, 2, 2), of (x, y)."""
    depth = surface.points_mm @ plane.inverse[2, :3] + plane.inverse[2, 3]
    above = (depth >= 0)[surface.triangles]
    crossing = above.any(axis=1) & ~above.all(axis=1)
    triangles, above = surface.triangles[crossing], above[crossing]
    # One corner is alone on its side; the plane cuts the two edges that leave it.
    alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), above.argmin(axis=1))
    rows = np.arange(len(triangles))
    start = triangles[rows, alone]
    ends = np.stack([triangles[rows, (alone + turn) % 3] for turn in (1, 2)], axis=1)
    share = depth[start][:, None] / (depth[start][:, None] - depth[ends])
    first = plane.to_pixel(surface.points_mm[start])[:, None, :2]
    segments = first + share[..., None] * (plane.to_pixel(surface.points_mm[ends])[..., :2] - first)
    return np.asarray(segments + 0.5)
