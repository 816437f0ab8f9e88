"""Put a coarse boundary where the image has it: half height between inside and outside.

The coarse grid says where the organ is, the native grid where its edge is: a voxel belongs to
the organ when its grey level lies closer to the organ's level nearby than to the neighbour's.
On a blurred straight edge that is the true position, whatever the blur.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from segmentation.abdomen import Abdomen, Image, Mask
from segmentation.contract import Progress, silent
from segmentation.volume import ImageGeometry, Volume

Block = tuple[slice, slice, slice]

MARGIN_MM = 8.0  # native voxels this far around the coarse organ are looked at
GROW_MM = 2.5  # how far the edge may lie outside the coarse boundary: one coarse voxel
SHRINK_MM = 3.0  # how far the edge may lie inside it
BRIGHT_SHRINK_MM = 1.0  # the same towards a brighter neighbour: vessels inside are bright, too
SHELL_MM = (2.0, 6.0)  # the neighbour's level is taken this far outside, the organ's as far inside
FAT_HU = -150.0  # below lies air, whole or in part
FAT_LAYER_HU = 50.0  # a layer of fat, however thin, is what the organ touches: weigh it more
LEAST_CONTRAST_HU = 25.0  # less between organ and neighbour is no edge; the coarse one stays
SMOOTH_MM = 0.7  # evens out noise; shifts a boundary of radius R by 0.25 mm2 / R


def refine_edges(
    volume: Volume, abdomen: Abdomen, coarse: Mask, *, progress: Progress = silent
) -> npt.NDArray[np.uint8]:
    """Return the organ on the grid of ``volume``, uint8 [k, j, i], in one piece."""
    inside_mm = signed_distance(coarse, abdomen.step_mm)
    inner, outer = _levels(abdomen, inside_mm)
    progress(0.15, "Placing the boundary")
    block = native_block(volume.geometry, abdomen.geometry, coarse, MARGIN_MM)
    grids = (abdomen.geometry, volume.geometry, block)
    near_mm = to_native(inside_mm, *grids)
    middle, contrast = to_native((inner + outer) / 2, *grids), to_native(inner - outer, *grids)
    progress(0.4, "Placing the boundary")
    share = _share(volume.array[block], near_mm, middle, contrast)
    del near_mm, middle, contrast
    share = smoothed(share, volume.geometry, SMOOTH_MM)
    progress(0.8, "Keeping one piece")
    result = np.zeros(volume.array.shape, np.uint8)
    result[block] = one_piece(share > 0)
    return result


def settle(abdomen: Abdomen, mask: Mask, zone: Mask, passes: int = 2) -> Mask:
    """Move a coarse boundary to half height within ``zone``.

    It may grow by ``GROW_MM`` per pass, but shrink by ``SHRINK_MM`` in all, so that a lesion at
    the rim is not eaten up.
    """
    start_mm = signed_distance(mask, abdomen.step_mm)
    for _ in range(passes):
        inside_mm = signed_distance(mask, abdomen.step_mm)
        inner, outer = _levels(abdomen, inside_mm)
        near_mm = np.maximum(inside_mm, start_mm)
        share = _share(abdomen.hu, near_mm, (inner + outer) / 2, inner - outer)
        mask = (ndimage.gaussian_filter(share, 0.7) > 0) & zone
    return mask


def _share(hu: npt.NDArray[Any], near_mm: Image, middle: Image, contrast: Image) -> Image:
    """Return how far each voxel is the organ's, -0.5 to 0.5, zero at half height."""
    known = np.abs(contrast) > LEAST_CONTRAST_HU
    share = (hu - middle) / np.where(known, contrast, 1)
    share = np.where(known, share, near_mm / 2)
    shrink_mm = np.where(contrast > 0, SHRINK_MM, BRIGHT_SHRINK_MM)
    share[near_mm > shrink_mm] = 0.5
    share[near_mm < -GROW_MM] = -0.5
    return np.clip(share, -0.5, 0.5).astype(np.float32)


def signed_distance(mask: Mask, step_mm: float) -> Image:
    """Return the distance to the boundary of ``mask`` in mm, positive inside."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray((np.where(mask, inside - 0.5, 0.5 - outside)) * step_mm, np.float32)


def _levels(abdomen: Abdomen, inside_mm: Image) -> tuple[Image, Image]:
    """Return the organ's and its neighbour's level in HU near the boundary, everywhere.

    Air never touches the liver: diaphragm or bowel wall lies between, so air counts as muscle.
    Fat counts up to five times, since behind a thin layer of it there is muscle in the shell.
    """
    near, far = SHELL_MM
    inner = normalised_blur(abdomen.hu, inside_mm > near + 2, 5.0 / abdomen.step_mm)
    around = np.where(abdomen.hu < FAT_HU, np.float32(abdomen.muscle_hu), abdomen.hu)
    shell = (inside_mm < -near) & (inside_mm > -far)
    weight = shell * (1 + np.clip(-around / FAT_LAYER_HU, 0, 4))
    return inner, normalised_blur(around, weight, 2.5 / abdomen.step_mm)


def normalised_blur(image: Image, where: Mask | Image, sigma: float) -> Image:
    """Return the Gaussian mean of ``image`` weighted with ``where``, everywhere."""
    share = where.astype(np.float32)
    weight = ndimage.gaussian_filter(share, sigma, truncate=5.0)
    total = ndimage.gaussian_filter(image * share, sigma, truncate=5.0)
    overall = float((image * share).sum() / max(float(share.sum()), 1e-6))
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
