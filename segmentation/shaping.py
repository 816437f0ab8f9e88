"""Shapes made of labels: walls, smoothing of several labels together, and limits to a label."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt
from scipy import ndimage

from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.marks import Singles
from segmentation.operations import with_volume
from segmentation.volume import (
    Array,
    LabelMap,
    Volume,
    bounding_block,
    require_same_grid,
)

_TIE_MM = 1e-6  # distances that differ by less are equal
_ROUNDS = 4
_CLEAR = 0.999  # a blurred mask above this has no other label near


def hollow(
    labels: LabelMap,
    *,
    wall_mm: Annotated[float, Gt(0)] = 2.0,
    side: Literal["inner", "outer", "middle"] = "inner",
    progress: Progress = silent,
) -> LabelMap:
    """Turn a label into a wall of a given thickness.

    Distances run between voxel centres in the true spacing. All labels together have one wall;
    each voxel of it keeps its label, or takes that of the nearest one.

    Args:
        labels: the labels to hollow out.
        wall_mm: thickness of the wall in mm.
        side: whether the wall lies inside of the surface, outside of it, or half on each side.
        progress: told how far the work is.
    """
    spacing = labels.geometry.spacing_kji_mm
    inner, outer = {
        "inner": (wall_mm, 0.0),
        "outer": (0.0, wall_mm),
        "middle": (wall_mm / 2, wall_mm / 2),
    }[side]
    k, j, i = (int(outer / s + 1) + 1 for s in spacing)
    block = bounding_block(labels.array, (k, j, i))
    if block is None:
        return with_volume(labels, labels.array)
    old = labels.array[block]
    new = np.zeros_like(old)
    if inner > 0:
        progress(0.0, "measuring the depth")
        depth = ndimage.distance_transform_edt(np.pad(old != 0, 1), spacing)[1:-1, 1:-1, 1:-1]
        wall = depth <= inner + _TIE_MM
        new[wall] = old[wall]
    if outer > 0:
        progress(0.5, "measuring the distance")
        away, nearest = ndimage.distance_transform_edt(old == 0, spacing, return_indices=True)
        wall = (old == 0) & (away <= outer + _TIE_MM)
        new[wall] = old[tuple(nearest)][wall]
    array = np.zeros_like(labels.array)
    array[block] = new
    return with_volume(labels, array, _thin(wall_mm, max(spacing)))


def _thin(wall_mm: float, voxel_mm: float) -> tuple[Finding, ...]:
    if wall_mm >= 2 * voxel_mm:
        return ()
    sentence = (
        f"a wall of {wall_mm:g} mm is thinner than two voxels ({voxel_mm:g} mm each); its "
        "thickness is not exact and it can have holes"
    )
    return (Finding(Severity.WARNING, "thin_wall", sentence),)


def smooth_together(
    labels: LabelMap, *, sigma_mm: Annotated[float, Gt(0)] = 1.5, progress: Progress = silent
) -> LabelMap:
    """Smooth several labels together; each keeps its volume and neighbours stay in contact.

    Every label and the background are blurred by a Gaussian, and each voxel goes to the one
    that is strongest there after a constant is added to each, chosen so that every label keeps
    its number of voxels (to 0.1 %). So no gap opens between neighbours, and small labels inside
    large ones do not shrink.

    Args:
        labels: the labels to smooth.
        sigma_mm: standard deviation of the Gaussian in mm.
        progress: told how far the work is.
    """
    sigma = [sigma_mm / s for s in labels.geometry.spacing_kji_mm]
    k, j, i = (int(np.ceil(4 * s)) for s in sigma)
    block = bounding_block(labels.array, (k, j, i))
    if block is None:
        return with_volume(labels, labels.array)
    old = labels.array[block]
    values = np.flatnonzero(np.bincount(old.ravel(), minlength=1))
    if values[0] != 0:
        values = np.insert(values, 0, 0)
    strengths = np.empty((len(values), *old.shape), np.float32)
    for n, value in enumerate(values):
        progress(0.7 * n / len(values), "smoothing")
        own = (old == value).astype(np.float32)
        ndimage.gaussian_filter(own, sigma, output=strengths[n], mode="nearest")
    clear = strengths.max(axis=0) > _CLEAR
    new = strengths.argmax(axis=0)
    open_, wanted = ~clear, np.bincount(np.searchsorted(values, old.ravel()), minlength=len(values))
    fixed = np.bincount(new[clear], minlength=len(values))
    progress(0.8, "keeping the volumes")
    new[open_] = _shared_out(strengths[:, open_], wanted - fixed)
    array = labels.array.copy()
    array[block] = values[new].astype(old.dtype)
    return with_volume(labels, array)


def _shared_out(strengths: Singles, counts: Array) -> Array:
    """Return for each column the row that gets it, so that row n gets ``counts[n]`` columns.

    Constants are added to the rows in turn, each so that its own count is met.
    """
    raised = strengths.copy()
    for _ in range(_ROUNDS):
        for n in range(1, len(raised)):
            lead = raised[n] - np.delete(raised, n, axis=0).max(axis=0)
            count = int(np.clip(counts[n], 0, lead.size))
            if 0 < count < lead.size:
                ordered = np.partition(lead, (lead.size - count - 1, lead.size - count))
                raised[n] -= (ordered[lead.size - count - 1] + ordered[lead.size - count]) / 2
    return np.asarray(raised.argmax(axis=0))


def confine(
    labels: LabelMap,
    volume: Volume | None = None,
    other: LabelMap | None = None,
    *,
    lower_hu: float | None = None,
    upper_hu: float | None = None,
    where: Literal["inside", "outside"] = "inside",
    progress: Progress = silent,
) -> LabelMap:
    """Keep of a label only what lies in a range of intensity, or inside or outside another label.

    Args:
        labels: the labels to confine.
        volume: the image whose intensity counts; needed for a range.
        other: the label that confines, if any.
        lower_hu: the lowest value kept, in HU for CT and in the image's own unit otherwise.
        upper_hu: the highest value kept, in the same unit.
        where: whether to keep what lies inside or outside of the other label.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if nothing confines, or a range has no image.
    """
    ranged = lower_hu is not None or upper_hu is not None
    if not ranged and other is None:
        raise ValueError("give a range of intensity, or another label, to confine to")
    if ranged and volume is None:
        raise ValueError("a range of intensity needs the image; choose it as the volume")
    require_same_grid(labels, *(value for value in (volume, other) if value is not None))
    progress(0.0, "confining the label")
    block = bounding_block(labels.array)
    if block is None:
        return with_volume(labels, labels.array)
    kept = np.ones(labels.array[block].shape, np.bool_)
    if volume is not None and ranged:
        grey = volume.array[block]
        kept &= (grey >= (-np.inf if lower_hu is None else lower_hu)) & (
            grey <= (np.inf if upper_hu is None else upper_hu)
        )
    if other is not None:
        kept &= (other.array[block] != 0) == (where == "inside")
    array = labels.array.copy()
    array[block][~kept] = 0
    return with_volume(labels, array, empty="nothing of the label lies within these limits")
