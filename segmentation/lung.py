"""Both lungs from CT, without the large airways, and told apart where they touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from segmentation.abdomen import AIR_BELOW_HU, GAS_HU, Mask
from segmentation.airway import GRID_MM as AIRWAY_MM
from segmentation.airway import find_trachea, grow_airway
from segmentation.body import (
    PREVIEW_MM,
    Preview,
    across,
    along_body,
    back,
    body_in,
    preview,
    require_ct,
)
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.cuts import cut_off
from segmentation.operations import with_volume
from segmentation.volume import Array, ImageGeometry, Label, LabelMap, Volume

RIGHT, LEFT = 1, 2
LABELS = {
    RIGHT: Label("right lung", (0x7F, 0xB5, 0xC9), "3341006"),
    LEFT: Label("left lung", (0x9C, 0xC9, 0xA8), "44029006"),
}

BRIDGE_MM = 4.5  # the wall of stomach or colon and the diaphragm are thinner where they meet lung
WHOLE_ML = 150.0  # a piece of this size is a lung
PART_ML = 8.0  # at the upper end of the scan, a smaller one is a lung's base
WALL_MM = 2.5  # of a bronchus, and the blur around it
VESSEL_MM2 = 400.0  # a smaller hole in a slice of lung is a vessel
SURE_MM = 40.0  # from the midline: the lungs touch nearer to it


class NoLung(ValueError):
    """There is no lung in the scan."""


def propose_lung(volume: Volume, *, progress: Progress = silent) -> LabelMap:
    """Propose the right and the left lung, from CT.

    Trachea and main bronchi are left out, vessels inside the lung are in.

    Args:
        volume: CT in HU.
        progress: told how far the work is.

    Raises:
        NotThisModality: if the image is not a CT.
        NoLung: if no lung is in it.
    """
    require_ct(volume)
    hu, spacing = across(volume.array, volume.geometry)
    progress(0.0, "Looking for the body")
    coarse = preview(hu, spacing, PREVIEW_MM)
    body = body_in(coarse)
    progress(0.2, "Looking for the airways")
    airway = _airway(hu, spacing, coarse, body, volume.geometry)
    progress(0.5, "Looking for the lungs")
    up = volume.geometry.axes[2, 2 - along_body(volume.geometry)] > 0
    lungs = _lungs(coarse, body & ~_to(coarse, airway, spacing), up)
    if not lungs.any():
        raise NoLung("no lung was found in this scan; use a CT that shows the chest")
    progress(0.6, "Telling left from right")
    sides = divide(lungs, coarse, body, volume.geometry)
    array = _at_edge(hu, coarse, sides, airway, spacing)
    found = {v: label for v, label in LABELS.items() if (array == v).any()}
    labels = LabelMap(back(array, volume.geometry), volume.geometry, found)
    return with_volume(labels, labels.array, _findings(sides, coarse))


def _airway(
    hu: Array,
    spacing: tuple[float, float, float],
    coarse: Preview,
    body: Mask,
    geometry: ImageGeometry,
) -> Mask:
    """Return the large airways with their wall, on the grid of ``hu``."""
    work = preview(hu, spacing, AIRWAY_MM)
    inside = (
        preview(coarse.to_image(body, hu.shape).astype(np.float32), spacing, AIRWAY_MM).hu > 0.5
    )
    seed = find_trachea(work, inside, geometry)
    if not seed.any():
        return np.zeros(hu.shape, np.bool_)
    mask, _, _ = grow_airway(work, inside, seed)
    size = [2 * max(1, round(WALL_MM / s)) + 1 for s in work.spacing_mm]
    wide = ndimage.maximum_filter(mask.view(np.uint8), size).view(bool)
    return np.asarray(work.to_image(wide, hu.shape))


def _to(coarse: Preview, mask: Mask, spacing: tuple[float, float, float]) -> Mask:
    return np.asarray(preview(mask.astype(np.float32), spacing, PREVIEW_MM).hu > 0.5)


def _lungs(coarse: Preview, inside: Mask, up: bool) -> Mask:
    """Return the lungs: air with some tissue in it, in large pieces or at the scan's upper end."""
    air = inside & (coarse.hu < AIR_BELOW_HU)
    airy = air & (ndimage.uniform_filter(coarse.hu, 3) > GAS_HU)
    times = max(1, round(BRIDGE_MM / max(coarse.spacing_mm)))
    cores, count = ndimage.label(ndimage.binary_erosion(airy, iterations=times, border_value=1))
    kept = np.zeros(count + 1, np.bool_)
    for n, box in enumerate(ndimage.find_objects(cores), start=1):
        size_ml = (cores[box] == n).sum() * coarse.cell_ml
        at_top = box[0].stop >= len(cores) - 1 if up else box[0].start <= 1
        kept[n] = size_ml > WHOLE_ML or (size_ml > PART_ML and at_top)
    grown = ndimage.binary_dilation(kept[cores], iterations=times + 1, mask=air)
    pixel_mm2 = coarse.spacing_mm[1] * coarse.spacing_mm[2]
    return np.stack([plane | _vessels(plane, pixel_mm2) for plane in grown])


def _vessels(plane: Mask, pixel_mm2: float) -> Mask:
    """Return the small holes in one slice of lung."""
    holes, _ = ndimage.label(~plane)
    small = np.bincount(holes.ravel()) * pixel_mm2 < VESSEL_MM2
    small[0] = False
    return np.asarray(small[holes])


def divide(lungs: Mask, coarse: Preview, body: Mask, geometry: ImageGeometry) -> Array:
    """Return 1 for the right and 2 for the left lung on the coarse grid.

    What reaches far to a side is that side's lung; a piece that reaches both is divided where
    its cross-section is smallest.
    """
    axis = along_body(geometry)
    rest = [a for a in range(3) if a != axis]
    side = int(np.argmax([abs(geometry.axes[0, 2 - a]) for a in rest])) + 1
    to_left = geometry.axes[0, 2 - rest[side - 1]] > 0
    seen = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != side)))
    middle = (seen[0] + seen[-1]) / 2
    cells = np.arange(lungs.shape[side])
    shape = [1, 1, 1]
    shape[side] = -1
    left_mm = ((cells - middle) * coarse.spacing_mm[side] * (1 if to_left else -1)).reshape(shape)
    result = np.zeros(lungs.shape, np.uint8)
    pieces, _ = ndimage.label(lungs)
    for n, box in enumerate(ndimage.find_objects(pieces), start=1):
        own = pieces[box] == n
        away = np.broadcast_to(left_mm, lungs.shape)[box]
        right, left = own & (away < -SURE_MM), own & (away > SURE_MM)
        if min(right.sum(), left.sum()) * coarse.cell_ml > PART_ML:
            even = np.ones(own.shape, np.float32)
            of_left = cut_off(own, left, right, even, coarse.spacing_mm)
        else:
            of_left = own & bool(np.median(away[own]) > 0)
        result[box][own] = np.where(of_left[own], LEFT, RIGHT)
    return result


def _at_edge(
    hu: Array, coarse: Preview, sides: Array, airway: Mask, spacing: tuple[float, float, float]
) -> Array:
    """Return the two lungs on the grid of ``hu``, with the vessels inside them."""
    reach = ndimage.grey_dilation(sides, footprint=ndimage.generate_binary_structure(3, 1))
    near = coarse.to_image(np.where(sides > 0, sides, reach), hu.shape)
    pixel_mm2 = spacing[1] * spacing[2]
    array = np.zeros(hu.shape, np.uint8)
    for k, plane in enumerate(near):
        air = (plane > 0) & (hu[k] < AIR_BELOW_HU) & ~airway[k]
        air |= _vessels(air, pixel_mm2) & (plane > 0) & ~airway[k]
        array[k] = np.where(air, plane, 0)
    return array


def _findings(sides: Array, coarse: Preview) -> tuple[Finding, ...]:
    sizes_ml = [float((sides == v).sum()) * coarse.cell_ml for v in (RIGHT, LEFT)]
    if min(sizes_ml) > 0.25 * max(sizes_ml):
        return ()
    weaker = LABELS[RIGHT if sizes_ml[0] < sizes_ml[1] else LEFT].name
    return (
        Finding(
            Severity.WARNING,
            "lung_small",
            f"the {weaker} is much smaller than the other, or is missing",
            remedy="check whether it is collapsed, filled with fluid or outside of the scan",
        ),
    )
