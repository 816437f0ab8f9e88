"""What a person sees of a scanned volume before it is read: slice positions and a thumbnail."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from segmentation.volume import Array, Floats
from workstation.dicom.geometry import CORNER_TOLERANCE_MM, SAME_PLACE_MM
from workstation.dicom.pixels import decode, own_part
from workstation.dicom.slices import Slice
from workstation.dicom.sources import DicomError
from workstation.dicom.volumes import ScannedVolume

CT_WINDOW_HU = (-160.0, 240.0)
PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class SlicePositions:
    """Where the slices of a volume, refused or not, lie along their normal.

    Attributes:
        positions_mm: per slice, in ascending order; 0 is the patient's origin.
        gaps_mm: gap n is the distance from slice n to slice n + 1.
        usual_gap_mm: the median gap; None for fewer than two slices.
        irregular: the gaps that differ from the usual one and miss no whole slices.
        missing: the gaps that have room for one or more whole slices.
        duplicates: the gaps of nothing, where two slices lie at one place.
        absent: how many slices are not counted, for they have no position.
    """

    positions_mm: tuple[float, ...]
    gaps_mm: tuple[float, ...]
    usual_gap_mm: float | None
    irregular: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    duplicates: tuple[int, ...] = ()
    absent: int = 0


def slice_positions(volume: ScannedVolume) -> SlicePositions | None:
    """Return where the slices lie along the normal of the first, or None if no slice says."""
    turned = next((s.orientation for s in volume.slices if s.orientation is not None), None)
    placed = [s.position_mm for s in volume.slices if s.position_mm is not None]
    if turned is None or not placed:
        return None
    depth = np.sort(np.array(placed) @ np.cross(turned[:3], turned[3:])) + 0.0
    gaps = np.diff(depth)
    absent = len(volume.slices) - len(placed)
    positions = tuple(depth.tolist())
    if not len(gaps):
        return SlicePositions(positions, (), None, absent=absent)
    apart = gaps[gaps >= SAME_PLACE_MM]
    usual = float(np.median(apart)) if len(apart) else 0.0
    steps = np.rint(gaps / usual) if usual else np.zeros(len(gaps))
    off = np.abs(gaps - usual) > 2 * CORNER_TOLERANCE_MM
    whole = (steps >= 2) & (np.abs(gaps - steps * usual) <= 2 * CORNER_TOLERANCE_MM)
    same = gaps < SAME_PLACE_MM
    return SlicePositions(
        positions,
        tuple(gaps.tolist()),
        usual,
        tuple(np.flatnonzero(off & ~whole & ~same).tolist()),
        tuple(np.flatnonzero(whole).tolist()),
        tuple(np.flatnonzero(same).tolist()),
        absent,
    )


def thumbnail(volume: ScannedVolume, size_px: int = 96) -> npt.NDArray[np.uint8]:
    """Return the middle slice as a small greyscale picture [row, column] of square pixels.

    The longer side has ``size_px`` pixels. CT is windowed from -160 to 240 HU, other images
    between their 1st and 99th percentiles; MONOCHROME1 is shown inverted, as it is meant.

    Raises:
        DicomError: when that slice cannot be decoded.
    """
    s = volume.slices[len(volume.slices) // 2]
    if s.problem[0]:
        raise DicomError(f"there is no picture of {s.source}: {s.problem[1]}")
    values = _values(s)
    low, high = CT_WINDOW_HU if s.quantity == "HU" else np.percentile(values, PERCENTILES)
    small = _fitted(values, s.pixel_spacing_mm or (1.0, 1.0), size_px)
    grey = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1) * 255
    grey = 255 - grey if s.form.photometric == "MONOCHROME1" else grey
    return np.asarray(np.rint(grey), np.uint8)


def _values(s: Slice) -> Floats:
    with warnings.catch_warnings():  # pydicom's, on odd but readable values
        warnings.simplefilter("ignore")
        (stored,) = decode(s.source, [s.frame], s.form.native)
    return np.asarray(own_part(stored, s) * float(s.slope) + s.intercept, np.float64)


def _fitted(values: Floats, spacing_mm: tuple[float, ...], size_px: int) -> Array:
    """Return ``values`` on square pixels, the longer side ``size_px`` long; block means first."""
    lengths = np.array(values.shape) * spacing_mm[:2]
    shape = np.maximum(1, np.rint(size_px * lengths / lengths.max())).astype(int)
    block = np.maximum(1, np.array(values.shape) // (2 * shape))  # against aliasing
    whole = np.array(values.shape) // block * block
    values = values[: whole[0], : whole[1]]
    values = values.reshape(whole[0] // block[0], block[0], -1, block[1]).mean(axis=(1, 3))
    rows, columns = ((np.arange(n) + 0.5) * size / n - 0.5 for n, size in zip(shape, values.shape))
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    return np.asarray(map_coordinates(values, grid, order=1, mode="nearest"))
