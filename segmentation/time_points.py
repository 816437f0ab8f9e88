"""Labels of the same anatomy at several times: copied from one to another, and between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy import ndimage

from segmentation.contract import FrameMismatch, Progress, share, silent
from segmentation.marks import Mask, Singles
from segmentation.operations import with_volume
from segmentation.registration import move_labels
from segmentation.transform import Transform
from segmentation.volume import LabelMap, Volume, bounding_block, require_same_grid


def copy_labels(
    labels: LabelMap,
    volume: Volume,
    transform: Transform | None = None,
    *,
    progress: Progress = silent,
) -> LabelMap:
    """Copy labels from another time point onto this image.

    Args:
        labels: the labels of the other time point.
        volume: the image that they shall lie on.
        transform: how the other time point was registered to this image; not needed when both
            lie in one frame of reference.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the frames differ and no transform joins them.
    """
    here, there = volume.geometry.frame_uid, labels.geometry.frame_uid
    if transform is None and here != there:
        raise FrameMismatch(
            f"the time points lie in different frames of reference ({there} and {here}); register "
            "one image to the other and give the transform"
        )
    if transform is None and labels.geometry.same_grid(volume.geometry):
        return with_volume(labels, labels.array)
    way = transform or Transform(here, there, tuple(np.eye(4).ravel()), volume.geometry)
    moved = move_labels(labels, way, volume, progress=progress)
    return with_volume(moved, moved.array)


def interpolate_times(
    labels: LabelMap,
    other: LabelMap,
    *,
    fraction: Annotated[float, Ge(0), Le(1)] = 0.5,
    progress: Progress = silent,
) -> LabelMap:
    """Interpolate labels between two time points.

    Each label's signed distances (mm) at both times are mixed and cut at zero. The labels must
    overlap, or nearly so: what moves by more than its own size vanishes on the way.

    Args:
        labels: the labels at the first time.
        other: the labels of the same names at the second time, on the same grid.
        fraction: where between both times, from 0 (first) to 1 (second).
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if no label is found at both times.
    """
    require_same_grid(labels, other)
    pairs = _pairs(labels, other)
    best = np.full(labels.array.shape, 0.0, np.float32)
    array = np.zeros_like(labels.array)
    for n, (value, partner) in enumerate(pairs.items()):
        part = share(progress, n, len(pairs))
        masks = labels.array == value, other.array == partner
        block = bounding_block(masks[0] | masks[1], (1, 1, 1))
        if block is None:
            continue
        spacing = labels.geometry.spacing_kji_mm
        part(0.0, f"measuring {labels.labels[value].name}")
        first, second = (_depth(mask[block], spacing) for mask in masks)
        mixed = (1 - fraction) * first + fraction * second
        wins = mixed > best[block]
        best[block][wins], array[block][wins] = mixed[wins], value
    kept = replace(labels, labels={value: labels.labels[value] for value in pairs})
    return with_volume(kept, array, empty="the labels do not overlap enough to lie between them")


def _pairs(labels: LabelMap, other: LabelMap) -> dict[int, int]:
    """Return the values of the first time with those of the same name at the second."""
    there = {label.name: value for value, label in other.labels.items()}
    pairs = {v: there[label.name] for v, label in labels.labels.items() if label.name in there}
    if not pairs and len(labels.labels) == len(other.labels) == 1:
        pairs = dict(zip(labels.labels, other.labels))
    if not pairs:
        known = ", ".join(label.name for label in labels.labels.values()) or "none"
        raise ValueError(f"no label is found at both times; at the first there are: {known}")
    return pairs


def _depth(mask: Mask, spacing: tuple[float, float, float]) -> Singles:
    """Return the distance to the surface in mm, positive inside.

    The surface lies half way between the centres of voxels inside and outside.
    """
    if not mask.any():
        return np.full(mask.shape, -float(np.linalg.norm(np.multiply(mask.shape, spacing))))
    half = min(spacing) / 2
    inside = ndimage.distance_transform_edt(mask, spacing) - half
    outside = ndimage.distance_transform_edt(~mask, spacing) - half
    return np.asarray(np.where(mask, inside, -outside), np.float32)
