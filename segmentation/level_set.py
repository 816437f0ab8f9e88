"""A surface that moves until it lies on the edges of the image: a geodesic active contour.

Caselles, Kimmel and Sapiro, Int. J. Computer Vision 22 (1997), as SimpleITK computes it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import SimpleITK as sitk
from annotated_types import Ge, Gt, Le
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.marks import Mask, Singles, binned, unbinned
from segmentation.operations import with_volume
from segmentation.volume import (
    LabelMap,
    Vector,
    Volume,
    bounding_block,
    require_same_grid,
)

_CELLS = 400_000
_STEPS = 120
_SETTLED = 0.002  # root mean square change of a step, in cells


def level_set(
    labels: LabelMap,
    volume: Volume,
    *,
    reach_mm: Annotated[float, Gt(0)] = 6.0,
    smoothness: Annotated[float, Ge(0), Le(10)] = 1.0,
    push: Annotated[float, Ge(-5), Le(5)] = 0.0,
    blur_mm: Annotated[float, Gt(0)] = 1.0,
    progress: Progress = silent,
) -> LabelMap:
    """Let the outline of a label settle on the edges of the image.

    Args:
        labels: the outline to begin with; all of its labels count as the structure, and what is
            added takes the lowest value.
        volume: the image, on the same grid.
        reach_mm: how far the outline can move, in mm.
        smoothness: how much it resists bending.
        push: how much it presses outward (positive) or inward (negative) where there is no edge.
        blur_mm: standard deviation of the Gaussian that evens out noise before, in mm.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
    """
    require_same_grid(labels, volume)
    spacing = labels.geometry.spacing_kji_mm
    k, j, i = (int(np.ceil((reach_mm + 3 * blur_mm) / s)) for s in spacing)
    block = bounding_block(labels.array, (k, j, i))
    if block is None:
        return with_volume(labels, labels.array)
    old = labels.array[block]
    steps = _steps(old.shape, spacing)
    cells_mm = (steps[0] * spacing[0], steps[1] * spacing[1], steps[2] * spacing[2])
    image = binned(volume.array[block].astype(np.float32), steps, np.mean)
    inside = binned((old != 0).astype(np.float32), steps, np.mean) >= 0.5
    progress(0.0, "measuring edges")
    sigma = [blur_mm / mm for mm in cells_mm]
    steep = _slope(ndimage.gaussian_filter(image, sigma), cells_mm)
    depth = _depth(inside, cells_mm)
    moved = _settled(depth, steep, cells_mm, smoothness, push, progress)
    moved = np.clip(moved, depth - reach_mm, depth + reach_mm)
    within = unbinned(0.5 - moved / (2 * max(cells_mm)), steps, old.shape)
    new = np.where(within & (old == 0), old.dtype.type(min(labels.labels, default=1)), old)
    array = labels.array.copy()
    array[block] = np.where(within, new, 0)
    return with_volume(labels, array, empty="the outline closed up: press outward, or reach less")


def _steps(shape: tuple[int, ...], spacing: Vector) -> tuple[int, int, int]:
    """Return the voxels (k, j, i) in one cell, so that the block has few enough cells."""
    steps = [1, 1, 1]
    while np.prod(np.ceil(np.divide(shape, steps))) > _CELLS:
        steps[int(np.argmin(np.multiply(steps, spacing)))] += 1
    return steps[0], steps[1], steps[2]


def _slope(image: Singles, cells_mm: Vector) -> Singles:
    """Return the size of the gradient per mm."""
    parts = [np.gradient(image, mm, axis=n) for n, mm in enumerate(cells_mm) if image.shape[n] > 1]
    return np.asarray(np.sqrt(sum(part**2 for part in parts)), np.float32)


def _depth(inside: Mask, cells_mm: Vector) -> Singles:
    """Return the distance to the outline in mm, negative inside."""
    wide = np.pad(inside, 1)
    out = ndimage.distance_transform_edt(~wide, cells_mm)
    within = ndimage.distance_transform_edt(wide, cells_mm)
    return np.asarray((out - within)[1:-1, 1:-1, 1:-1], np.float32)


def _settled(
    depth: Singles,
    steep: Singles,
    cells_mm: Vector,
    smoothness: float,
    push: float,
    progress: Progress,
) -> Singles:
    """Move the surface; whatever ``progress`` raises stops it and is raised again."""
    near = np.abs(depth) <= 1.5 * max(cells_mm)
    usual = max(float(np.median(steep[near])) if near.any() else 0.0, 1e-6)
    speed = 1 / (1 + (steep / usual) ** 2)
    images = [sitk.GetImageFromArray(a.astype(np.float32)) for a in (depth, speed)]
    for image in images:
        image.SetSpacing(cells_mm[::-1])
    moving = sitk.GeodesicActiveContourLevelSetImageFilter()
    moving.SetCurvatureScaling(smoothness)
    moving.SetPropagationScaling(push)
    moving.SetAdvectionScaling(2.0)
    moving.SetNumberOfIterations(_STEPS)
    moving.SetMaximumRMSError(_SETTLED)
    stopped: list[BaseException] = []

    def look() -> None:
        try:
            progress(0.1 + 0.8 * moving.GetProgress(), "the outline is moving")
        except BaseException as error:
            stopped.append(error)
            moving.Abort()

    moving.AddCommand(sitk.sitkProgressEvent, look)
    try:
        result = moving.Execute(*images)
    except RuntimeError:
        if not stopped:
            raise
    if stopped:
        raise stopped[0]
    return np.asarray(sitk.GetArrayFromImage(result), np.float32)
