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
BRIGHT_HU = 25.0  # above the organ: blood after contrast
FATTY_HU = -50.0  # below the organ: half way to fat
SHEATH_MM = (
    2.5  # fat this near to a vein is its sheath; what lies behind it does not touch the vein
)
MOUTH_MM = 4.0  # a vein's mouth is looked for on this scale, about its radius
STALK_MM = 5.0  # thinner ones are noise or twigs
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
    del near_mm
    mask = smoothed(share, volume.geometry, SMOOTH_MM) > 0
    progress(0.6, "Cutting the vessels where they leave")
    excess = smoothed(volume.array[block], volume.geometry, SMOOTH_MM)
    excess -= np.median(excess[mask]) if mask.any() else 0
    bright = excess > np.maximum(BRIGHT_HU, -contrast / 2)
    del share, middle, contrast
    mask &= ~stalks(bright, excess < FATTY_HU, mask, volume.geometry)
    progress(0.9, "Keeping one piece")
    result = np.zeros(volume.array.shape, np.uint8)
    result[block] = one_piece(mask)
    return result


def stalks(bright: Mask, fatty: Mask, organ: Mask, geometry: ImageGeometry) -> Mask:
    """Return the parts of ``organ`` that are veins outside its own tissue, all [k, j, i].

    A vein belongs to the organ as far as what touches it is the organ's tissue. Where fat or
    another organ begins to surround it, it has left; at the mouth both touch it equally.

    Args:
        bright: blood, in and around the organ.
        fatty: what is too dark for the organ.
        organ: the organ with its vessels.
        geometry: the grid of all three.
    """
    other = ~bright & (~organ | fatty)
    tissue = organ & ~bright & ~within(other, SHEATH_MM, geometry)
    around = within(bright, SHEATH_MM, geometry) & (tissue | other)
    touching = local_level(tissue.astype(np.float32), around, geometry, MOUTH_MM)
    left = bright & (touching < 0.5)
    thick = ~within(~left, STALK_MM / 2, geometry)
    stalk = bright & within(thick, STALK_MM, geometry)
    return np.asarray(organ & (touching < 0.5) & within(stalk, SMOOTH_MM, geometry))


def within(mask: Mask, distance_mm: float, geometry: ImageGeometry) -> Mask:
    """Return the voxels within ``distance_mm`` of ``mask`` along every axis (a box is fast)."""
    size = [2 * round(distance_mm / s) + 1 for s in geometry.spacing_kji_mm]
    return np.asarray(ndimage.maximum_filter(mask.view(np.uint8), size).view(bool))


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


def smoothed(image: npt.NDArray[Any], geometry: ImageGeometry, sigma_mm: float) -> Image:
    """Return the Gaussian blur of a block on the grid of ``geometry``."""
    sigma = [sigma_mm / s for s in geometry.spacing_kji_mm]
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3.0, output=np.float32))


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


def local_level(image: Image, where: Mask, geometry: ImageGeometry, blur_mm: float) -> Image:
    """Return the Gaussian mean of ``image`` over ``where``, blurred by ``blur_mm``.

    It is computed on every fourth millimetre or so, since it changes slowly.
    """
    step = tuple(max(1, int(4.0 / s)) for s in geometry.spacing_kji_mm)
    weight = block_sum(where.astype(np.float32), step)
    total = block_sum(np.where(where, image, 0), step)
    sigma = [blur_mm / (s * n) for s, n in zip(geometry.spacing_kji_mm, step)]
    overall = total.sum() / max(weight.sum(), 1.0)
    small = ndimage.gaussian_filter(weight, sigma, truncate=8.0) + 1e-4
    coarse = (ndimage.gaussian_filter(total, sigma, truncate=8.0) + 1e-4 * overall) / small
    for axis, (n, size) in enumerate(zip(step, image.shape)):
        coarse = _stretch(coarse, axis, n, size)
    return np.asarray(coarse)


def block_sum(image: npt.NDArray[np.float32], step: tuple[int, ...]) -> Image:
    """Return sums over blocks of ``step`` voxels; the last blocks may be partly empty."""
    for axis, n in enumerate(step):
        image = np.add.reduceat(image, np.arange(0, image.shape[axis], n), axis=axis)
    return np.asarray(image, np.float32)


def _stretch(coarse: Image, axis: int, factor: int, size: int) -> Image:
    """Interpolate block means linearly back to single voxels along one axis."""
    at = np.clip((np.arange(size) + 0.5) / factor - 0.5, 0, coarse.shape[axis] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, coarse.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    share = (at - low).astype(np.float32).reshape(shape)
    return np.asarray(coarse.take(low, axis) * (1 - share) + coarse.take(high, axis) * share)


def distance_mm(to: Mask, geometry: ImageGeometry) -> Image:
    """Return the distance of every voxel from the nearest voxel of ``to``, mm, zero inside.

    Infinite where there is none.
    """
    if not to.any():
        return np.full(to.shape, np.inf, np.float32)
    image = sitk.GetImageFromArray(to.view(np.uint8))
    image.SetSpacing(geometry.spacing_mm)
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))
    return np.asarray(np.maximum(away, 0, out=away), np.float32)
