"""Put a coarse boundary where the image has it: half height between inside and outside.

The coarse grid says where the organ is, the native grid where its edge is: a voxel belongs to
the organ when its grey level lies closer to the organ's level nearby than to the neighbour's.
On a blurred straight edge that is the true position, whatever the blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from segmentation.abdomen import Abdomen, Image, Mask
from segmentation.contract import Progress, silent
from segmentation.volume import ImageGeometry, Volume

Block = tuple[slice, slice, slice]

MARGIN_MM = 8.0  # native voxels this far around the coarse organ are looked at
GROW_MM = 3.0  # how far the edge may lie outside the coarse boundary
SHRINK_MM = 4.0  # how far the edge may lie inside it
BALL_MM = 5.0  # the neighbour's level is looked for this near the boundary
LEAST_CONTRAST_HU = 30.0  # less between organ and neighbour is no edge; the coarse one stays
SMOOTH_MM = 0.7  # evens out noise; shifts a boundary of radius R by 0.25 mm2 / R


def refine_edges(
    volume: Volume, abdomen: Abdomen, coarse: Mask, *, progress: Progress = silent
) -> npt.NDArray[np.uint8]:
    """Return the organ on the grid of ``volume``, uint8 [k, j, i], in one piece."""
    inside_mm = signed_distance(coarse, abdomen.step_mm)
    inner, outer = _levels(abdomen, coarse, inside_mm)
    progress(0.15, "Placing the boundary")
    block = native_block(volume.geometry, abdomen.geometry, coarse, MARGIN_MM)
    near_mm = to_native(inside_mm, abdomen.geometry, volume.geometry, block)
    hu = volume.array[block].astype(np.float32)
    progress(0.35, "Placing the boundary")
    contrast = inner - outer
    middle = to_native((inner + outer) / 2, abdomen.geometry, volume.geometry, block)
    contrast = to_native(contrast, abdomen.geometry, volume.geometry, block)
    share = np.clip((hu - middle) / np.maximum(contrast, LEAST_CONTRAST_HU), -0.5, 0.5)
    del hu, middle
    progress(0.55, "Placing the boundary")
    flat = contrast < LEAST_CONTRAST_HU
    share[flat] = np.clip(near_mm[flat] / 2, -0.5, 0.5)
    share[near_mm > SHRINK_MM] = 0.5
    share[near_mm < -GROW_MM] = -0.5
    share = smoothed(share, volume.geometry, SMOOTH_MM)
    progress(0.8, "Keeping one piece")
    result = np.zeros(volume.array.shape, np.uint8)
    result[block] = one_piece(share > 0)
    return result


def signed_distance(mask: Mask, step_mm: float) -> Image:
    """Return the distance to the boundary of ``mask`` in mm, positive inside."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray((np.where(mask, inside - 0.5, 0.5 - outside)) * step_mm, np.float32)


def _levels(abdomen: Abdomen, coarse: Mask, inside_mm: Image) -> tuple[Image, Image]:
    """Return the organ's and the dark neighbour's level in HU near the boundary."""
    step = abdomen.step_mm
    deep = inside_mm > 4.0  # clear of partial volume
    inner = normalised_blur(abdomen.hu, deep, 8.0 / step)
    size = 2 * abdomen.voxels(BALL_MM) + 1
    around = np.where(coarse, np.float32(1e4), abdomen.hu)
    darkest = ndimage.minimum_filter(around, size)
    band = (np.abs(inside_mm) < BALL_MM) & (darkest < 1e4)
    return inner, normalised_blur(darkest, band, 4.0 / step)


def normalised_blur(image: Image, where: Mask, sigma: float) -> Image:
    """Return the Gaussian mean of ``image`` over the voxels ``where``, everywhere."""
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma, truncate=5.0)
    total = ndimage.gaussian_filter(
        np.where(where, image, 0).astype(np.float32), sigma, truncate=5.0
    )
    overall = float(image[where].mean()) if where.any() else 0.0
    return np.asarray((total + 1e-5 * overall) / (weight + 1e-5), np.float32)


def native_block(native: ImageGeometry, grid: ImageGeometry, mask: Mask, margin_mm: float) -> Block:
    """Return the array block of ``native`` that holds ``mask`` on ``grid`` with a margin."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    low = grid.to_world([s.start - 0.5 for s in box[::-1]]) - margin_mm
    high = grid.to_world([s.stop - 0.5 for s in box[::-1]]) + margin_mm
    corners = np.array(np.meshgrid(*zip(low, high))).reshape(3, -1).T
    index = native.to_index(corners)
    start = np.clip(np.floor(index.min(axis=0)).astype(int), 0, None)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, native.size)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop))
    return k, j, i


def to_native(field: Image, grid: ImageGeometry, native: ImageGeometry, block: Block) -> Image:
    """Return a coarse field on one block of the native grid, interpolated linearly."""
    image = sitk.GetImageFromArray(field)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection(grid.direction)
    k, j, i = block
    part = native.cropped((i.start, j.start, k.start), [s.stop - s.start for s in (i, j, k)])
    moved = sitk.Resample(
        image,
        part.size,
        sitk.Transform(),
        sitk.sitkLinear,
        part.origin_mm,
        part.spacing_mm,
        part.direction,
        float(field.min()),
        sitk.sitkFloat32,
        True,
    )
    return np.asarray(sitk.GetArrayFromImage(moved), np.float32)


def smoothed(image: Image, geometry: ImageGeometry, sigma_mm: float) -> Image:
    """Return the Gaussian blur of a block on the grid of ``geometry``."""
    sigma = [sigma_mm / s for s in geometry.spacing_kji_mm]
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3.0), np.float32)


def one_piece(mask: Mask) -> Mask:
    """Return the largest face-connected piece with its holes filled."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    gaps, count = ndimage.label(~mask)
    if count > 1:
        rim = np.ones(mask.shape, bool)
        rim[1:-1, 1:-1, 1:-1] = False
        outside = np.unique(gaps[rim & (gaps > 0)])
        mask = mask | ~np.isin(gaps, [0, *outside])
    return np.asarray(mask)
