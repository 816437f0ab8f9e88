"""A first map of the veins inside the liver, portal and hepatic together.

Veins stand out from the parenchyma around them. Their edge is put at a share of the height
between parenchyma and lumen that is measured in the image itself: blurring moves the half-height
contour of a thin tube inwards but leaves its integrated excess alone, so the share is chosen for
which the voxels of the clear veins hold exactly their integrated excess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from segmentation.abdomen import Image, Mask
from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.edges import Block, distance_mm, local_level, smoothed, within
from segmentation.volume import ImageGeometry, LabelMap, Volume, require_same_grid

VESSELS = ANATOMY["vessels"]

SMOOTH_MM = 0.7  # evens out noise, keeps veins of 3 mm
LEVEL_MM = 12.0  # the parenchyma's level changes over such lengths
CLIMBS, CLIMB_SD, CLIMB_MM = 6, 1.5, 8.0  # passes, noise deviations and blur of its first search
PLAIN_SD = 2.5  # noise deviations within which parenchyma lies about its level
LUMEN_MM = 5.0  # portal and hepatic blood differ, and their branches pass each other
SEED_HU, SEED_SD = 18.0, 3.5  # excess that only a vein has, in HU and noise deviations
REACH_HU, REACH_SD = 10.0, 2.2  # excess to which a vein is followed
LEAST_ML = 0.25  # smaller pieces are noise more often than veins
CORE_MM = 1.5  # deeper in a vein than this the blur of a scanner hardly reaches
REACH_MM = 2.5  # the excess of a vein has faded this far outside its edge
AROUND_MM = 3.0  # the same from a contour drawn through noise
RIM_MM = 2.5  # nearer to the liver's surface the levels are mixed with the neighbour's
LUMP_MM, WIDEST_MM = 3.0, 10.0  # radius of a ball that is told of: alone, or within a vein
LUMP = 2.5  # times the ball that fits into it: of more, a piece is long
LEAST_CONTRAST_HU = 12.0  # less between veins and parenchyma is no venous phase


@dataclass(frozen=True, eq=False)
class LiverBox:
    """The liver's box of the scan: HU, mask, depth under the surface in mm, and the grid."""

    hu: Image
    mask: Mask
    depth_mm: Image
    geometry: ImageGeometry


def propose_vessels(volume: Volume, liver: LabelMap, *, progress: Progress = silent) -> LabelMap:
    """Propose the portal and hepatic veins inside the liver.

    Args:
        volume: contrast CT in HU, best in the portal-venous phase.
        liver: the liver on the same grid.
        progress: told how far the work is.

    Raises:
        ValueError: if the image is not a CT or the liver is empty.
        FrameMismatch: if the grids differ.
    """
    if volume.quantity != "HU":
        raise ValueError(f"this needs a CT in HU, but the image holds {volume.quantity}")
    require_same_grid(volume, liver)
    block, part = liver_box(volume, liver)
    progress(0.2, "Measuring the parenchyma")
    smooth = smoothed(part.hu, part.geometry, SMOOTH_MM)
    found, level = find_veins(part, smooth, progress)
    progress(0.7, "Placing the vessels' edge")
    sharp = _at_edge(part, smooth, level, found)
    array = np.zeros(volume.array.shape, np.uint8)
    array[block] = sharp
    volume_ml = float(sharp.sum()) * volume.geometry.voxel_ml
    return LabelMap(
        array,
        volume.geometry,
        {1: VESSELS},
        (*_findings(volume_ml), *_lumps(sharp, part.geometry)),
        (Number("volume", volume_ml, "mL", "voxel count x voxel volume"),),
    )


def liver_box(volume: Volume, liver: LabelMap) -> tuple[Block, LiverBox]:
    """Return the block of the array that holds the liver, and what is in it."""
    whole = liver.mask("liver") if liver.labels else liver.mask()
    if not whole.any():
        raise ValueError("the liver is empty; segment the liver first")
    box = ndimage.find_objects(whole.view(np.uint8))[0]
    k, j, i = (slice(max(0, s.start - 4), s.stop + 4) for s in box)
    block = (k, j, i)
    mask = whole[block]
    size = mask.shape[::-1]
    geometry = volume.geometry.cropped((i.start, j.start, k.start), size)
    hu = volume.array[block].astype(np.float32)
    return block, LiverBox(hu, mask, distance_mm(~mask, geometry), geometry)


def find_veins(part: LiverBox, smooth: Image, progress: Progress = silent) -> tuple[Mask, Image]:
    """Return where veins are, roughly, and the parenchyma's level in HU everywhere."""
    inner = part.depth_mm > RIM_MM
    if not inner.any():
        raise ValueError("the liver is too thin to look for vessels in it; correct it first")
    level, noise = _parenchyma(smooth, inner, part.geometry)
    progress(0.4, "Looking for veins")
    excess = smooth - level
    low, high = max(REACH_HU, REACH_SD * noise), max(SEED_HU, SEED_SD * noise)
    found = _hysteresis(excess, part.mask, low, high, part.geometry.voxel_ml)
    deep = found & inner
    found &= inner | within(deep, 2 * RIM_MM, part.geometry)  # kidney and rib shine through
    progress(0.6, "Looking for veins")
    near = within(found, AROUND_MM, part.geometry)
    plain = inner & ~near & (np.abs(excess) < PLAIN_SD * noise)
    level = local_level(smooth, plain, part.geometry, LEVEL_MM)
    return found, level


def _parenchyma(smooth: Image, inner: Mask, geometry: ImageGeometry) -> tuple[Image, float]:
    """Return the parenchyma's level in HU everywhere, and the deviation of noise about it.

    Perfusion differs from part to part. The level climbs to where the most voxels are: if what is
    near first findings were left out at once, a brighter part would be a vein through and through.
    """
    middle = float(np.median(smooth[inner]))
    plain, noise = inner & (np.abs(smooth - middle) < 40), 0.0
    level = local_level(smooth, plain, geometry, CLIMB_MM)
    for _ in range(CLIMBS):
        excess = smooth - level
        noise = 1.4826 * float(np.median(np.abs(excess[inner])))
        plain = inner & (np.abs(excess) < CLIMB_SD * noise)
        level = local_level(smooth, plain, geometry, CLIMB_MM)
    return level, noise


def _hysteresis(excess: Image, mask: Mask, low: float, high: float, voxel_ml: float) -> Mask:
    """Return pieces above ``low`` that reach ``high`` and are not tiny."""
    pieces, count = ndimage.label(mask & (excess > low), np.ones((3, 3, 3)))
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_ml
    sure = np.bincount(pieces[mask & (excess > high)], minlength=count + 1) * voxel_ml
    keep = (sizes > LEAST_ML) & (sure > 0.2 * LEAST_ML)
    keep[0] = False
    return np.asarray(keep[pieces])


def _at_edge(part: LiverBox, smooth: Image, level: Image, found: Mask) -> Mask:
    """Return the veins with their edge where the integrated excess puts it."""
    if not found.any():
        return found
    lumen = _lumen(part, smooth, level, found)
    if lumen is None:
        return found
    share = (smooth - level) / lumen
    peak = np.clip(_local_peak(np.where(found, share, 0), part.geometry), 0.3, 1.0)
    # The reach starts from the half-height contour, which noise hardly moves: from wherever
    # noise made something bright it would gather a surplus.
    half = found & (share > 0.5 * peak)
    reach = part.mask & (distance_mm(half, part.geometry) <= REACH_MM)
    share, peak, depth_mm = share[reach], peak[reach], part.depth_mm[reach]
    clear = (depth_mm > RIM_MM + REACH_MM) & (peak > 0.9)
    raw = (part.hu[reach] - level[reach]) / lumen[reach]
    threshold = balanced_threshold(raw[clear], (share / peak)[clear])
    result = np.zeros_like(found)
    result[reach] = (share / peak > threshold) & (share > 0.25)
    return result


def _lumen(part: LiverBox, smooth: Image, level: Image, found: Mask) -> Image | None:
    """Return the excess of blood over parenchyma in HU, from where the blur does not reach.

    None where all veins are too thin for that.
    """
    inside, excess = found & (part.depth_mm > RIM_MM), None
    for _ in range(3):
        core = distance_mm(~inside, part.geometry) > CORE_MM
        core &= ndimage.binary_erosion(inside)  # thick slices blur, too
        if not core.any():
            break
        blood = local_level(part.hu, core, part.geometry, LUMEN_MM)
        excess = np.maximum(blood - level, LEAST_CONTRAST_HU)
        inside &= smooth - level > excess / 2
    return excess


def _local_peak(share: Image, geometry: ImageGeometry) -> Image:
    """Return the highest share within `AROUND_MM` along the axes."""
    size = [2 * max(1, round(AROUND_MM / s)) + 1 for s in geometry.spacing_kji_mm]
    return np.asarray(ndimage.maximum_filter(share, size))


def balanced_threshold(raw: Image, share: Image, bounds: tuple[float, float] = (0.3, 0.6)) -> float:
    """Return the threshold on ``share`` above which as many voxels lie as ``raw`` sums to.

    It is kept within ``bounds``: outside, the levels are wrong rather than the edge.
    """
    if raw.size == 0:
        return 0.5
    count = int(np.clip(raw.sum(), 0, raw.size - 1))
    value = float(np.partition(share, raw.size - count - 1)[raw.size - count - 1])
    return float(np.clip(value, *bounds))


def _findings(volume_ml: float) -> tuple[Finding, ...]:
    """Return what a reader must know before trusting the proposal."""
    if volume_ml == 0:
        return (
            Finding(
                Severity.WARNING,
                "no_vessels",
                "no vein stands out from the liver; the scan may be without contrast or early",
                remedy="use a portal-venous series, or draw the vessels by hand",
            ),
        )
    return (
        Finding(
            Severity.INFO,
            "vessels_proposed",
            f"{volume_ml:.0f} mL of portal and hepatic veins were proposed automatically, "
            "not told apart",
            remedy="check the large branches before planning",
        ),
    )


def _lumps(veins: Mask, geometry: ImageGeometry) -> tuple[Finding, ...]:
    """Return a finding for each piece that is a ball rather than a vein, the largest first.

    A lesion that takes up contrast is as bright as a vein. A ball by itself is told from a vein
    by its shape; one on a vein only where it is wider than a vein of the liver.
    """
    pieces, count = ndimage.label(veins, np.ones((3, 3, 3)))
    if not count:
        return ()
    depth = distance_mm(~veins, geometry) - float(min(geometry.spacing_mm)) / 2
    numbers = np.arange(1, count + 1)
    radius = np.asarray(ndimage.maximum(depth, pieces, numbers))
    volume_ml = np.bincount(pieces.ravel(), minlength=count + 1)[1:] * geometry.voxel_ml
    compact = volume_ml < LUMP * 4 / 3 * np.pi * np.maximum(radius, 0) ** 3 / 1000
    found = []
    for piece in np.argsort(-radius, kind="stable").tolist():
        if radius[piece] < (LUMP_MM if compact[piece] else WIDEST_MM):
            continue
        k, j, i = ndimage.maximum_position(depth, pieces, piece + 1)
        x, y, z = (float(v) for v in geometry.to_world((i, j, k)))
        sentence = (
            f"a bright lump {2 * radius[piece]:.0f} mm wide was taken for a vein; it may be a "
            "lesion that takes up contrast"
        )
        remedy = "look at it; if it is no vein, erase it from the vessels and mark it as a lesion"
        found.append(Finding(Severity.WARNING, "bright_lump", sentence, (x, y, z), remedy))
    return tuple(found)
