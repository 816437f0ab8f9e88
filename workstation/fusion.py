"""A second image over the first on one slice: fused, in two colours, as a checkerboard, as a map.

All colours are told apart with any colour vision: orange and blue add up to white where both
images are equally bright; doubt goes from blue to yellow, a quantity through viridis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from segmentation.volume import Volume
from workstation.raster import Pixels, Region, grey, slice_values
from workstation.shading import MAGNITUDE
from workstation.slices import SlicePlane

Look = Literal["overlay", "two_colours", "checkerboard", "doubt", "map"]
LOOKS: tuple[Look, ...] = get_args(Look)

TILE_MM = 25.0  # side of a checkerboard's tiles
ORANGE, BLUE = np.array([1.0, 0.6, 0.0]), np.array([0.0, 0.4, 1.0])
FEW, MANY = np.array([0.0, 114.0, 178.0]), np.array([240.0, 228.0, 66.0])  # of Okabe and Ito
FULL_DOUBT = 0.5  # share of repeats that disagree from which on doubt is drawn in full

Rgb = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A second image on a slice, on any grid in the frame of the first.

    ``window`` is width and level in its own unit; ``opacity``, 0 to 1, is how much it counts
    against the first: in two colours both count in full at one half. The look "doubt" expects
    the share of repeats that agree, 1 where the map ends; the look "map" a quantity such as a
    speed, nan where there is none, which ``window`` spreads over the colours.
    """

    volume: Volume
    look: Look = "two_colours"
    window: tuple[float, float] = (400.0, 40.0)
    opacity: float = 0.5


def fused(
    volume: Volume,
    plane: SlicePlane,
    window: tuple[float, float],
    layer: Layer,
    fills: Sequence[Region] = (),
) -> Pixels:
    """Return 0xffRRGGBB pixels of a slice with ``layer`` over it, and label fills on top.

    Doubt and maps lie over the fills.
    """
    first = grey(plane.extract(volume.array), *window).astype(np.float32)
    if layer.look in ("doubt", "map"):
        picture = np.repeat(first[..., None], 3, axis=-1)
    else:
        lowest = layer.window[1] - layer.window[0]  # black
        second = grey(slice_values(layer.volume, plane, lowest), *layer.window)
        picture = _together(first, second.astype(np.float32), layer, plane)
    for region in fills:
        part = picture[region.box][region.mask]
        colour = np.asarray(region.colour, np.float32)
        picture[region.box][region.mask] = part + region.opacity * (colour - part)
    if layer.look == "doubt":
        picture = _doubtful(picture, slice_values(layer.volume, plane, 1.0), layer.opacity)
    elif layer.look == "map":
        picture = _mapped(picture, slice_values(layer.volume, plane, np.nan), layer)
    red, green, blue = np.moveaxis(np.clip(picture + 0.5, 0, 255).astype(np.uint32), -1, 0)
    return np.asarray(np.uint32(0xFF000000) | (red << 16) | (green << 8) | blue, np.uint32)


def _together(first: Rgb, second: Rgb, layer: Layer, plane: SlicePlane) -> Rgb:
    if layer.look == "checkerboard":
        mixed = np.where(_tiles(plane), second, first)
    elif layer.look == "overlay":
        mixed = first + layer.opacity * (second - first)
    else:
        weights = min(1.0, 2 * (1 - layer.opacity)), min(1.0, 2 * layer.opacity)
        colours = weights[0] * first[..., None] * ORANGE + weights[1] * second[..., None] * BLUE
        return np.asarray(colours, np.float32)
    return np.repeat(mixed[..., None], 3, axis=-1).astype(np.float32)


def _tiles(plane: SlicePlane) -> npt.NDArray[np.bool_]:
    """Return which pixels [row, column] of a checkerboard show the second image."""
    across, down = plane.pixel_mm
    rows = np.arange(plane.rows) * down // TILE_MM
    columns = np.arange(plane.columns) * across // TILE_MM
    return np.asarray((rows[:, None] + columns[None, :]) % 2 == 1)


def _doubtful(picture: Rgb, agreement: npt.NDArray[np.float32], opacity: float) -> Rgb:
    doubt = np.clip((1.0 - agreement) / FULL_DOUBT, 0.0, 1.0)[..., None]
    cover = np.where(doubt > 0, opacity * (0.5 + 0.5 * doubt), 0.0)
    return np.asarray(picture + cover * (FEW + doubt * (MANY - FEW) - picture), np.float32)


def _mapped(picture: Rgb, values: npt.NDArray[np.float32], layer: Layer) -> Rgb:
    """Lay the colours of a quantity over a picture, where it is known."""
    width, level = layer.window
    known = np.isfinite(values)
    share = np.clip((values[known] - (level - width / 2)) / width, 0, 1)
    stops = np.array(MAGNITUDE, np.float32)
    at = np.linspace(0, 1, len(stops))
    colours = np.stack([np.interp(share, at, stops[:, c]) for c in range(3)], axis=1)
    picture[known] += layer.opacity * (colours - picture[known])
    return picture
