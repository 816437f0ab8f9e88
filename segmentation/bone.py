"""Bone from CT: cortex by its level, marrow by being enclosed, contrast medium by its shape.

All levels are relative to the soft tissue of the same scan. Cortex is clearly denser; around it
a thin bone may be half averaged away. Marrow is no denser than enhanced organs, but looking
around from it one sees cortex almost everywhere. What carries contrast medium has a uniform
core that is brighter than its rim; a bone is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from segmentation.abdomen import Image, Mask
from segmentation.anatomy import ANATOMY
from segmentation.body import (
    PREVIEW_MM,
    Preview,
    across,
    back,
    body_in,
    preview,
    require_ct,
    soft_level,
)
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.operations import with_volume
from segmentation.volume import Array, LabelMap, Volume, bounding_block

CORTEX_HU = 100.0  # above soft tissue: more than cartilage (80), less than a thin rib
CERTAIN_SHARE = 0.02  # of a bone is certain at least
EDGE_HU = 85.0  # above soft tissue: the blurred edge next to cortex
CERTAIN_HU = 160.0  # above soft tissue: every bone has a voxel of this
DENSER_HU = 50.0  # above contrast medium: no noise in enhanced organs
ENOUGH_HU = 250.0  # above soft tissue: no noise, whatever the contrast medium
MARROW_HU = 40.0  # above soft tissue: spongy bone
FAT_HU = (-150.0, -20.0)  # yellow marrow; the spinal canal is denser
AIR_HU = -200.0  # no marrow holds air; sinuses do
AIR_SHARE = 0.4  # of what surrounds a piece; a rib has the lung on one side
LEAST_ML = 0.3  # smaller pieces are calcifications
NEAR_MM = 3.0  # the blurred edge reaches this far from the cortex
LOOK_MM = 40.0  # as far as it can be across a vertebra
SEEN = 6  # of 8 directions in a slice in which marrow sees cortex
WORK_MM = 1.5  # grid on which shapes are judged
SMOOTH_MM = 0.6  # evens out the noise of thin slices
SMALL_HOLE_MM2 = 50.0  # smaller gaps are marrow, nutrient canals or noise, whatever is in them
HOLE_MM2 = 800.0  # marrow of a long bone; the skull's inside is larger
CORE_MM = 3.5  # blood this far from the rim of a vessel is free of its blur
LEAST_CORE_ML = 0.3  # a smaller even core may be chance
LEAST_MARROW_ML = 0.05
RIM_MM = 4.0  # cortex lies this close around a core of marrow
RIM_HU = 90.0  # above its core: cortex
RIM_WEIGHT = 0.7  # a vessel may touch cortex over much of its rim, too
UNEVEN = 0.24  # between blood (0.05 to 0.2 in five scans) and marrow (0.27 to 1)
SOLID_HU = 900.0  # denser throughout is solid bone, tooth or metal


@dataclass(frozen=True)
class Levels:
    """The levels, HU, that a scan's own soft tissue sets."""

    soft: float
    blood: float = -np.inf

    @property
    def cortex(self) -> float:
        """Denser than soft tissue and cartilage."""
        return self.soft + CORTEX_HU

    @property
    def edge(self) -> float:
        """Bone if cortex is near."""
        return self.soft + EDGE_HU

    @property
    def certain(self) -> float:
        """Reached somewhere in every bone."""
        beyond = min(self.blood + DENSER_HU, self.soft + ENOUGH_HU)
        return max(self.soft + CERTAIN_HU, beyond)

    @property
    def marrow(self) -> float:
        """Spongy bone if cortex is around."""
        return self.soft + MARROW_HU


def propose_bone(volume: Volume, *, progress: Progress = silent) -> LabelMap:
    """Propose the bones, from CT with or without contrast.

    Cartilage, discs and the spinal canal are left out; vessels, kidneys and bowel with contrast
    medium, too, as far as they have a uniform core.

    Args:
        volume: CT in HU.
        progress: told how far the work is.

    Raises:
        NotThisModality: if the image is not a CT.
        ValueError: if no body is in it.
    """
    require_ct(volume)
    mask, enhanced = find_bone(volume, progress)
    enhanced_ml = float(np.count_nonzero(enhanced)) * volume.geometry.voxel_ml
    array = mask.view(np.uint8)
    labels = LabelMap(array, volume.geometry, {1: ANATOMY["bone"]})
    sentence = "nothing in this scan is as dense as bone"
    return with_volume(labels, array, _findings(enhanced_ml), sentence)


def find_bone(volume: Volume, progress: Progress = silent) -> tuple[Mask, Mask]:
    """Return the bones of a CT and, roughly, what holds contrast medium; both [k, j, i]."""
    whole, spacing = across(volume.array, volume.geometry)
    progress(0.0, "Looking for the body")
    coarse = preview(whole, spacing, PREVIEW_MM)
    body = body_in(coarse)
    levels = Levels(soft_level(coarse.hu, body))
    near = coarse.to_image(ndimage.binary_dilation(body), whole.shape)
    result = np.zeros(whole.shape, np.bool_)
    block = bounding_block(near & (whole > levels.cortex), (2, 2, 2))
    if block is None:
        return back(result, volume.geometry), back(result, volume.geometry)
    hu = _denoised(whole[block], spacing)
    progress(0.2, "Separating bone from contrast medium")
    work = preview(hu, spacing, WORK_MM)
    inside = preview(near[block].astype(np.float32), spacing, WORK_MM).hu > 0.5
    enhanced = contrast_medium(work, inside, levels)
    if enhanced.any():
        levels = replace(levels, blood=float(np.median(work.hu[enhanced])))
    progress(0.5, "Filling the marrow")
    allowed = near[block] & ~work.to_image(enhanced, hu.shape)
    marrow = work.to_image(spongy(work, inside & ~enhanced, levels), hu.shape)
    bone = cortex(hu, allowed, spacing, levels)
    progress(0.8, "Filling the marrow")
    bone |= marrow & allowed & (hu > levels.soft)
    bone |= _thin_marrow(bone, hu, spacing, levels) & allowed
    for k, plane in enumerate(bone):
        bone[k] |= marrow_holes(plane, hu[k], spacing[1] * spacing[2], levels)
    bone &= ~work.to_image(
        in_air(preview(bone.astype(np.float32), spacing, WORK_MM), work), hu.shape
    )
    voxel_ml = volume.geometry.voxel_ml
    result[block] = certain_pieces(bone, hu > levels.certain, LEAST_ML / voxel_ml)
    medium = np.zeros_like(result)
    medium[block] = work.to_image(enhanced, hu.shape) & ~result[block]
    return back(result, volume.geometry), back(medium, volume.geometry)


def _denoised(hu: Array, spacing: tuple[float, float, float]) -> Image:
    sigma = [SMOOTH_MM / s if s < 2 * SMOOTH_MM else 0.0 for s in spacing]
    return np.asarray(ndimage.gaussian_filter(hu, sigma, truncate=3.0, output=np.float32))


def cortex(hu: Image, allowed: Mask, spacing: tuple[float, float, float], levels: Levels) -> Mask:
    """Return the dense voxels and those next to them that blur made less dense."""
    dense = certain_pieces(allowed & (hu > levels.cortex), hu > levels.certain, 5)
    size = [2 * max(1, round(NEAR_MM / s)) + 1 for s in spacing]
    ball = np.hypot.reduce(
        [(np.indices(size)[n] - size[n] // 2) * spacing[n] for n in range(3)]
    )  # fmt: skip
    if max(spacing) >= 2:
        near = ndimage.binary_dilation(dense, ball <= max(NEAR_MM, max(spacing)))
    else:
        near = ndimage.maximum_filter(dense.view(np.uint8), size).view(bool)
    return np.asarray(dense | (near & allowed & (hu > levels.edge)))


def certain_pieces(mask: Mask, certain: Mask, least: float, share: float = CERTAIN_SHARE) -> Mask:
    """Return the pieces of at least so many voxels with enough certain ones."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sure = np.bincount(pieces[certain & mask], minlength=count + 1)
    kept = (sizes >= least) & (sure >= np.maximum(3, share * sizes))
    kept[0] = False
    return np.asarray(kept[pieces])


def in_air(bone: Preview, work: Preview) -> Mask:
    """Return the pieces that lie in air: head rests, wires, zips. A bone is clothed in tissue."""
    some = bone.hu > 0
    pieces, count = ndimage.label(some, np.ones((3, 3, 3)))
    around = np.where(some, 0, ndimage.maximum_filter(pieces, 3))
    shell = np.bincount(around.ravel(), minlength=count + 1)
    airy = np.bincount(around[work.hu < AIR_HU], minlength=count + 1)
    apart = airy > AIR_SHARE * shell
    apart[0] = False
    return np.asarray(apart[pieces])


def spongy(work: Preview, inside: Mask, levels: Levels) -> Mask:
    """Return the voxels of spongy density that see cortex in most directions of their slice."""
    dense = certain_pieces(inside & (work.hu > levels.cortex), work.hu > levels.certain, 5)
    seen = np.zeros(dense.shape, np.uint8)
    for steps in _directions():
        length_mm = float(np.hypot(steps[0] * work.spacing_mm[1], steps[1] * work.spacing_mm[2]))
        hit = np.zeros_like(dense)
        for n in range(1, int(LOOK_MM / length_mm) + 1):
            hit |= _moved(dense, (n * steps[0], n * steps[1]))
        seen += hit
    surrounded = inside & (seen >= SEEN)
    like = surrounded & (ndimage.median_filter(work.hu, 3) > levels.marrow)
    share = ndimage.uniform_filter(like.astype(np.float32), 3) + 0.01
    return np.asarray(
        surrounded & (share > 0.5 * ndimage.uniform_filter(surrounded.astype(np.float32), 3)) | like
    )


def _directions() -> Iterator[tuple[int, int]]:
    return ((j, i) for j, i in product((-1, 0, 1), repeat=2) if j or i)


def _moved(mask: Mask, steps: tuple[int, int]) -> Mask:
    """Return the slices of ``mask`` moved by whole cells, empty where they came from."""
    moved = np.zeros_like(mask)
    if all(abs(s) < n for s, n in zip(steps, mask.shape[1:])):
        source = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(steps, mask.shape[1:]))
        target = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(steps, mask.shape[1:]))
        moved[:, target[0], target[1]] = mask[:, source[0], source[1]]
    return moved


def _thin_marrow(
    bone: Mask, hu: Image, spacing: tuple[float, float, float], levels: Levels
) -> Mask:
    """Return the marrow of ribs whose cortex thick slices have interrupted."""
    if min(spacing) < 2:
        return np.zeros_like(bone)
    wide = np.pad(bone, 2, mode="edge")
    closed = ndimage.binary_closing(wide)[2:-2, 2:-2, 2:-2]
    thick = ndimage.binary_dilation(ndimage.binary_opening(bone, np.ones((3, 3, 3))), iterations=2)
    return np.asarray(closed & ~thick & (hu > levels.soft))


def marrow_holes(plane: Mask, hu: Image, pixel_mm2: float, levels: Levels) -> Mask:
    """Return the holes of one slice that marrow fills: spongy, yellow, or too small for more."""
    holes, count = ndimage.label(~plane)
    sizes_mm2 = np.bincount(holes.ravel(), minlength=count + 1) * pixel_mm2
    kept = sizes_mm2 <= HOLE_MM2
    kept[np.unique(np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()]))] = False
    kept[0] = False
    chosen = np.flatnonzero(kept)
    if not chosen.size:
        return np.zeros_like(plane)
    mean = np.asarray(ndimage.mean(hu, holes, chosen))
    lowest = np.asarray(ndimage.minimum(hu, holes, chosen))
    fat = (mean > FAT_HU[0]) & (mean < FAT_HU[1])
    like = fat | (mean > levels.soft + MARROW_HU / 2) | (sizes_mm2[chosen] <= SMALL_HOLE_MM2)
    kept[chosen] = like & (lowest > AIR_HU)
    return np.asarray(kept[holes])


def contrast_medium(work: Preview, inside: Mask, levels: Levels) -> Mask:
    """Return vessels, kidneys and bowel with contrast medium, on the grid of ``work``.

    Cores of what is dense are told apart by their rim; the rest of what is dense is divided
    between them along its steepest edges.
    """
    dense = inside & (work.hu > levels.cortex)
    blood, marrow = _cores(work, dense, levels)
    if not blood.any():
        return blood
    usual = float(np.median(work.hu[blood]))
    pieces, number = ndimage.label(dense, np.ones((3, 3, 3)))
    with_blood = np.bincount(pieces[blood], minlength=number + 1) > 0
    apart = dense & ~with_blood[pieces]
    brightest = float(np.percentile(work.hu[blood], 99))
    hard = dense & (work.hu > max(brightest + DENSER_HU, levels.certain + 100))
    markers = np.where(blood, 1, np.where(hard | marrow | apart, 2, 0)).astype(np.int32)
    slope = ndimage.gaussian_gradient_magnitude(work.hu, 0.7)
    divided = watershed(slope, markers, mask=dense)
    weak = apart & ~certain_pieces(apart, work.hu > max(levels.certain, usual + DENSER_HU), 1, 0.0)
    return np.asarray((divided == 1) | weak)


def _cores(work: Preview, dense: Mask, levels: Levels) -> tuple[Mask, Mask]:
    """Return the cores of what holds contrast medium and the cores of bones."""
    depth_mm = ndimage.distance_transform_edt(dense, work.spacing_mm)
    cores, count = ndimage.label(depth_mm > CORE_MM)
    even, uneven = np.zeros(count + 1, np.bool_), np.zeros(count + 1, np.bool_)
    reach = work.cells(RIM_MM)
    for n, box in enumerate(ndimage.find_objects(cores), start=1):
        k, j, i = (slice(max(0, s.start - r), s.stop + r) for s, r in zip(box, reach))
        core, hu = cores[k, j, i] == n, work.hu[k, j, i]
        size_ml = core.sum() * work.cell_ml
        if size_ml < LEAST_MARROW_ML:
            continue
        near = ndimage.distance_transform_edt(~core, work.spacing_mm) <= RIM_MM
        rim = hu[dense[k, j, i] & ~core & near]
        uneven[n] = _unevenness(hu, core, rim, levels) >= UNEVEN
        even[n] = not uneven[n] and size_ml >= LEAST_CORE_ML
    return even[cores], uneven[cores]


def _unevenness(hu: Image, core: Mask, rim: Image, levels: Levels) -> float:
    """Return the share of the rim that is cortex plus the relative roughness of the core."""
    level = float(np.median(hu[core]))
    if level > SOLID_HU:
        return np.inf
    mean = ndimage.uniform_filter(hu, 3)
    variance = ndimage.uniform_filter(hu * hu, 3) - mean * mean
    rough = np.sqrt(max(0.0, float(np.median(variance[core]))))
    cortical = float(np.mean(rim > level + RIM_HU)) if rim.size else 0.0
    return RIM_WEIGHT * cortical + float(rough) / (level - levels.soft)


def _findings(enhanced_ml: float) -> tuple[Finding, ...]:
    if enhanced_ml < 1:
        return ()
    return (
        Finding(
            Severity.INFO,
            "contrast_left_out",
            f"{enhanced_ml:.0f} mL of vessels or organs with contrast medium were left out",
            remedy="look where large vessels touch the spine, the ribs or the skull base",
        ),
    )
