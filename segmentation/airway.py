"""Trachea and bronchi from CT: a region that grows until it leaks into the lung.

The trachea is a round gap filled with air, near the midline of many slices in a row. From there
the region grows over ever less empty voxels. The wall of a bronchus holds it until, at some
level, lung floods in and its volume leaps: the level before that one is kept.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy import ndimage

from segmentation.abdomen import GAS_HU, Mask
from segmentation.body import PREVIEW_MM, Preview, across, back, body_in, preview, require_ct
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.operations import with_volume
from segmentation.volume import Array, ImageGeometry, Label, LabelMap, Vector, Volume

AIRWAY = Label("airway", (0x9F, 0xC9, 0xD6), "89187006")

GRID_MM = 1.0
EMPTY_HU = -880.0  # air of the trachea; lung holds more blood
AREA_MM2 = (50.0, 900.0)  # of the trachea across, child to adult
ROUND = 0.6  # share of its bounding box that a trachea fills; a disc fills 0.79
SLENDER = 2.2  # its box is not longer than this in one direction
RUN_MM = 15.0  # a trachea is seen over at least so much
LUNG_HU = -600.0
LUNG_MM2 = 3000.0  # of lung lies in a slice of the chest
BESIDE = 0.3  # of a trachea's slices show lung; next to bowel there is none
MIDDLE_MM = 50.0  # from the middle of the body sideways
LEVELS_HU = tuple(range(-940, -590, 20))
LEAP = 1.6  # growth of volume in one step that is a leak
LEAK_ML = 20.0  # of growth is a leak whatever the share
MOST_ML = 250.0  # trachea and bronchi are smaller


class NoAirway(ValueError):
    """No trachea can be found in the scan."""


def propose_airway(
    volume: Volume,
    *,
    click_mm: Vector | None = None,
    reserve: Annotated[int, Ge(0), Le(8)] = 0,
    progress: Progress = silent,
) -> LabelMap:
    """Propose the trachea and the bronchi, from CT of the chest.

    Args:
        volume: CT in HU.
        click_mm: a point in the trachea, LPS mm; needed only if it is not found by itself.
        reserve: how many steps of 20 HU to stay below the level at which the region leaks.
        progress: told how far the work is.

    Raises:
        NotThisModality: if the image is not a CT.
        NoAirway: if there is no trachea in the scan, or no air at the click.
    """
    require_ct(volume)
    hu, spacing = across(volume.array, volume.geometry)
    progress(0.0, "Looking for the trachea")
    work = preview(hu, spacing, GRID_MM)
    inside = body_on(work, hu, spacing)
    if click_mm is None:
        seed = find_trachea(work, inside, volume.geometry)
        if not seed.any():
            raise NoAirway("no trachea was found in this scan; click in it, or use a chest CT")
    else:
        seed = _clicked(work, volume.geometry, click_mm)
    mask, level_hu, leaked = grow_airway(work, inside, seed, reserve, progress)
    progress(0.9, "Placing the wall")
    near = work.to_image(ndimage.binary_dilation(mask), hu.shape)
    # The wall lies half way between air and soft tissue, but not where lung would be let in.
    fine = work.to_image(mask, hu.shape) & (hu < -300) | near & (hu < level_hu)
    array = back(np.ascontiguousarray(fine), volume.geometry).view(np.uint8)
    labels = LabelMap(array, volume.geometry, {1: AIRWAY})
    return with_volume(labels, labels.array, _findings(level_hu, leaked))


def body_on(work: Preview, hu: Array, spacing: tuple[float, float, float]) -> Mask:
    """Return the body, with lungs and airways, on the grid of ``work``."""
    coarse = preview(hu, spacing, PREVIEW_MM)
    whole = coarse.to_image(body_in(coarse), hu.shape)
    return np.asarray(preview(whole.astype(np.float32), spacing, GRID_MM).hu > 0.5)


def find_trachea(work: Preview, inside: Mask, geometry: ImageGeometry) -> Mask:
    """Return the trachea's round sections: the longest run of them near the midline."""
    round_ones = np.zeros_like(inside)
    pixel_mm2 = work.spacing_mm[1] * work.spacing_mm[2]
    middle, side_axis = _midline(inside, geometry)
    for k, plane in enumerate((work.hu < EMPTY_HU) & inside):
        pieces, _ = ndimage.label(plane)
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            own = pieces[box] == number
            area = own.sum() * pixel_mm2
            long, short = sorted((own.shape[0], own.shape[1]), reverse=True)
            centre = (box[side_axis].start + box[side_axis].stop) / 2
            off_mm = abs(centre - middle) * work.spacing_mm[side_axis + 1]
            if (
                AREA_MM2[0] < area < AREA_MM2[1]
                and own.mean() > ROUND
                and long <= SLENDER * short
                and off_mm < MIDDLE_MM
            ):
                round_ones[k][box] |= own
    pieces, count = ndimage.label(round_ones)
    if not count:
        return round_ones
    airy = (ndimage.uniform_filter(work.hu, 3) > GAS_HU) & (work.hu < LUNG_HU) & inside
    beside = airy.sum(axis=(1, 2)) * pixel_mm2 > LUNG_MM2
    boxes = [box[0] for box in ndimage.find_objects(pieces)]
    runs = [s.stop - s.start if beside[s].mean() > BESIDE else 0 for s in boxes]
    best = int(np.argmax(runs))
    if runs[best] * work.spacing_mm[0] < RUN_MM:
        return np.zeros_like(inside)
    return np.asarray(pieces == best + 1)


def _midline(inside: Mask, geometry: ImageGeometry) -> tuple[float, int]:
    """Return the middle of the body from right to left, in cells, and which slice axis that is."""
    axis = 2 - int(np.abs(geometry.axes[2]).argmax())
    rest = [a for a in range(3) if a != axis]
    side = int(np.argmax([abs(geometry.axes[0, 2 - a]) for a in rest]))
    seen = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != side + 1)))
    return (float(seen[0] + seen[-1]) / 2 if len(seen) else 0.0), side


def _clicked(work: Preview, geometry: ImageGeometry, click_mm: Vector) -> Mask:
    index = list(geometry.to_index(click_mm)[::-1])
    axis = 2 - int(np.abs(geometry.axes[2]).argmax())
    index.insert(0, index.pop(axis))
    cell = tuple(int((v + 0.5) // f) for v, f in zip(index, work.factor))
    seed = np.zeros(work.hu.shape, np.bool_)
    outside = min(cell) < 0 or any(np.greater_equal(cell, seed.shape))
    if outside or work.hu[cell] > EMPTY_HU + 80:
        raise NoAirway("there is no air at the click; click in the middle of the trachea")
    seed[cell] = True
    return seed


def grow_airway(
    work: Preview, inside: Mask, seed: Mask, reserve: int = 0, progress: Progress = silent
) -> tuple[Mask, float, bool]:
    """Return the airway, the level in HU that it was grown to, and whether it would leak there."""
    kept: list[tuple[Mask, float]] = []
    volume_ml, leaked = 0.0, False
    for n, level in enumerate(LEVELS_HU):
        progress(0.3 + 0.6 * n / len(LEVELS_HU), "Growing the airway")
        grown = _connected((work.hu < level) & inside | seed, seed)
        size_ml = float(grown.sum()) * work.cell_ml
        leaked = size_ml > MOST_ML or (
            len(kept) > 0 and size_ml > min(LEAP * volume_ml, volume_ml + LEAK_ML) + 1
        )
        if leaked:
            break
        kept.append((grown, float(level)))
        volume_ml = size_ml
    if not kept:
        return seed, float(LEVELS_HU[0]), True
    mask, level_hu = kept[max(0, len(kept) - 1 - reserve)]
    return mask, level_hu, leaked


def _connected(mask: Mask, seed: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, np.bool_)
    kept[pieces[seed]] = True
    kept[0] = False
    return np.asarray(kept[pieces])


def _findings(level_hu: float, leaked: bool) -> tuple[Finding, ...]:
    sentence = f"the airway was followed to {level_hu:.0f} HU, "
    if leaked:
        sentence += "just below the level at which it leaks into the lung"
    else:
        sentence += "and did not leak into the lung"
    return (
        Finding(
            Severity.INFO,
            "airway_level",
            sentence,
            remedy="raise 'reserve' if parts of the lung are in it",
        ),
    )
