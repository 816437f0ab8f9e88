"""Bright vessels from CTA or MRA by a classical filter, without a network.

A voxel lies in a vessel if, at some scale, the image is curved down in two directions: the two
most negative eigenvalues of the Hessian (Sato et al., Medical Image Analysis 2 (1998) 143).
Sheets such as skin and bone have one. The measure is the geometric mean of both times the squared
scale. In a vessel with a Gaussian profile of the same scale it is a quarter of the contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy import ndimage

from segmentation.abdomen import Image, Mask
from segmentation.anatomy import ANATOMY
from segmentation.bone import CORTEX_HU, find_bone
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.edges import within
from segmentation.operations import with_volume
from segmentation.volume import ImageGeometry, LabelMap, Volume, bounding_block

SCALES_MM = (0.5, 0.8, 1.2, 1.8, 2.6)  # half the radius and more of vessels up to 8 mm across
SURE = 0.12  # of the contrast of the brightest vessels: certainly a vessel
LIKELY = 0.05  # a vessel if it hangs on a sure one
SURE_SHARE = 0.25  # of a vessel is certain; the rim of a sheet is only likely
PEAK_MM = 2.0  # the edge of a vessel lies at half the height found within this distance
EDGE = 0.45
FAINT = 0.15  # of the contrast; nothing fainter is looked at
EMPTY_SHARE = 0.05  # a head that fills less of the image was cut out before
SIDE_SHARE = 0.04  # pieces with less than this of the largest are doubtful
REACH_MM = 8.0  # a click may miss its vessel by this much
FAT_HU = -50.0
BONE_MM = 1.0  # around bone that the blur of its edge looks like a vessel


@dataclass(frozen=True, eq=False)
class _Scene:
    """An image with the level of what is not a vessel and the contrast of what is."""

    image: Image
    geometry: ImageGeometry
    tissue: float
    contrast: float
    allowed: Mask


def propose_bright_vessels(
    volume: Volume,
    *,
    click_mm: tuple[float, float, float] | None = None,
    sensitivity: Annotated[float, Gt(0), Le(4)] = 1.0,
    minimum_ml: Annotated[float, Ge(0)] = 0.03,
    progress: Progress = silent,
) -> LabelMap:
    """Propose bright vessels from CTA or MRA, by a classical filter.

    In a CT the bones are subtracted first.

    Args:
        volume: CT angiography in HU, or MR angiography on which flowing blood is bright.
        click_mm: a point in a vessel, LPS mm; only what is connected to it is kept.
        sensitivity: higher values follow fainter vessels, and more of what is none.
        minimum_ml: pieces smaller than this volume (mL) are dropped.
        progress: told how far the work is.

    Raises:
        ValueError: if the image has no contrast, or no vessel is near the click.
    """
    scene, large = _scene(volume, progress)
    tubes = _tubes(scene, sensitivity, progress) | large
    progress(0.9, "Keeping what is connected")
    mask, findings = _connected(tubes, scene, minimum_ml, click_mm)
    array = mask.view(np.uint8)
    labels = LabelMap(array, volume.geometry, {1: ANATOMY["vessels"]})
    return with_volume(labels, array, findings, "no bright vessel was found")


def _scene(volume: Volume, progress: Progress) -> tuple[_Scene, Mask]:
    """Return the scene and the vessels that are too large for the filter."""
    # A file that does not say what it holds counts as HU; a CT shows air or fat somewhere.
    if volume.quantity == "HU" and volume.array.min() < FAT_HU:
        return _ct_scene(volume, share(progress, 0, 3))
    image = volume.array.astype(np.float32)
    top = float(np.percentile(image, 99.9))
    low = float(np.percentile(image, 1))
    if not top > low:
        raise ValueError("this image has no contrast; choose an angiography")
    head = image > low + 0.1 * (top - low)
    cut_out = head.mean() < EMPTY_SHARE
    tissue = low if cut_out else float(np.median(image[head]))
    bright = image[image > (tissue + top) / 2]
    contrast = float(np.median(bright)) - tissue
    everywhere = np.ones(image.shape, np.bool_)
    scene = _Scene(image, volume.geometry, tissue, contrast, everywhere)
    return scene, np.zeros(image.shape, np.bool_)


def _ct_scene(volume: Volume, progress: Progress) -> tuple[_Scene, Mask]:
    bone, medium = find_bone(volume, progress)
    if not medium.any():
        raise ValueError(
            "no vessel with contrast medium stands out from this CT; choose an angiography, or use "
            "the method 'threshold'"
        )
    image = np.clip(volume.array, -200, 1500).astype(np.float32)
    blood = float(np.median(image[medium]))
    tissue = max(blood - 2 * (blood - CORTEX_HU), 40.0)
    allowed = ~within(bone, BONE_MM, volume.geometry)
    near = within(medium, 1.5, volume.geometry)
    large = near & allowed & (image > (blood + tissue) / 2)
    return _Scene(image, volume.geometry, tissue, blood - tissue, allowed), large


def _tubes(scene: _Scene, sensitivity: float, progress: Progress) -> Mask:
    """Return the voxels of tubes with their edge at half height."""
    result = np.zeros(scene.image.shape, np.bool_)
    bright = scene.allowed & (scene.image > scene.tissue + FAINT * scene.contrast)
    block = bounding_block(bright, (6, 6, 6))
    if block is None:
        return result
    # What stands far above blood (metal, dense veins) must not shine into its surroundings.
    image = np.clip(scene.image[block], scene.tissue, scene.tissue + 2 * scene.contrast)
    image = np.where(scene.allowed[block], image, scene.tissue)
    where = bright[block]
    spacing = scene.geometry.spacing_kji_mm
    scales = [s for s in SCALES_MM if s >= 0.6 * max(spacing)] or [max(spacing)]
    response = np.zeros(int(where.sum()), np.float32)
    for n, scale_mm in enumerate(scales):
        progress(0.35 + 0.5 * n / len(scales), "Looking for tubes")
        np.maximum(response, tube_response(image, where, scale_mm, spacing), out=response)
    likely, sure = (np.zeros(where.shape, np.bool_) for _ in range(2))
    likely[where] = response > LIKELY / sensitivity * scene.contrast
    sure[where] = response > SURE / sensitivity * scene.contrast
    pieces, count = ndimage.label(likely | sure, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    certain = np.bincount(pieces[sure], minlength=count + 1)
    held = (certain >= 3) & (certain >= SURE_SHARE * sizes)
    held[0] = False
    result[block] = _at_edge(image - scene.tissue, held[pieces], where, spacing)
    return result


def tube_response(
    image: Image, where: Mask, scale_mm: float, spacing_mm: tuple[float, float, float]
) -> Image:
    """Return the tube measure at one scale, in the unit of the image, for the voxels ``where``."""
    sigma = [scale_mm / s for s in spacing_mm]
    hessian = np.empty((int(where.sum()), 3, 3), np.float32)
    for a in range(3):
        for b in range(a, 3):
            order = [(n == a) + (n == b) for n in range(3)]
            part = ndimage.gaussian_filter(image, sigma, order, truncate=3.0)
            unit = scale_mm**2 / (spacing_mm[a] * spacing_mm[b])
            hessian[:, a, b] = hessian[:, b, a] = part[where] * unit
    least = np.maximum(-np.linalg.eigvalsh(hessian)[:, :2], 0)
    return np.asarray(np.sqrt(least[:, 0] * least[:, 1]), np.float32)


def _at_edge(
    height: Image, found: Mask, where: Mask, spacing_mm: tuple[float, float, float]
) -> Mask:
    """Return ``found`` with its edge where the image has fallen to half of its peak nearby."""
    size = [2 * max(1, round(PEAK_MM / s)) + 1 for s in spacing_mm]
    peak = ndimage.maximum_filter(np.where(found, height, 0), size)
    near = ndimage.binary_dilation(found, iterations=2)
    return np.asarray(near & where & (height > EDGE * peak) & (peak > 0))


def _connected(
    mask: Mask, scene: _Scene, minimum_ml: float, click_mm: tuple[float, float, float] | None
) -> tuple[Mask, tuple[Finding, ...]]:
    """Return the pieces to keep, and what is doubtful about them."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1).astype(float)
    sizes[0] = 0
    kept = (sizes * scene.geometry.voxel_ml >= minimum_ml) & (sizes > 0)
    if click_mm is not None:
        kept = np.arange(count + 1) == _clicked(pieces, scene.geometry, click_mm)
    kept &= sizes >= SIDE_SHARE * sizes.max(initial=0) * (click_mm is None)
    number = int(kept.sum())
    if number < 2:
        return np.asarray(kept[pieces]), ()
    return np.asarray(kept[pieces]), (
        Finding(
            Severity.INFO,
            "several_pieces",
            f"the vessels are in {number} pieces that are not connected",
            remedy="click on the one that matters to keep only that",
        ),
    )


def _clicked(
    pieces: np.ndarray, geometry: ImageGeometry, click_mm: tuple[float, float, float]
) -> int:
    """Return the number of the piece nearest to a point.

    Raises:
        ValueError: if the point is outside the image or none is near.
    """
    index = geometry.to_index(click_mm)
    if not (np.all(index >= -0.5) and np.all(index <= np.asarray(geometry.size) - 0.5)):
        raise ValueError("the click lies outside the image; click in a vessel")
    reach = np.ceil(REACH_MM / np.asarray(geometry.spacing_mm)).astype(int)
    centre = np.rint(index).astype(int)
    low = np.maximum(centre - reach, 0)
    i, j, k = (slice(int(a), int(c + r + 1)) for a, c, r in zip(low, centre, reach))
    found = np.argwhere(pieces[k, j, i])
    away_mm = (found[:, ::-1] + low - index) * np.asarray(geometry.spacing_mm)
    distance = np.linalg.norm(away_mm, axis=1)
    if not len(found) or distance.min() > REACH_MM:
        raise ValueError(f"no vessel is within {REACH_MM:g} mm of the click; click in a vessel")
    k0, j0, i0 = found[int(distance.argmin())] + low[::-1]
    return int(pieces[k0, j0, i0])
