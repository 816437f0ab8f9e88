"""Whole-label operations: threshold, islands, holes, margin, smoothing, logical.

Every stage works on the block around the labels only, never changes its input, and states the
volume of its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt
from scipy import ndimage

from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import (
    Array,
    Floats,
    Label,
    LabelMap,
    Volume,
    bounding_block,
    require_same_grid,
)

Mask = npt.NDArray[np.bool_]
Block = tuple[slice, slice, slice]

VOLUME_SOURCE = "voxel count x voxel volume"
_TIE_MM = 1e-6  # distances that differ by less are equal


def with_volume(
    labels: LabelMap, array: Array, findings: tuple[Finding, ...] = (), empty: str = ""
) -> LabelMap:
    """Return ``labels`` with other voxels, their volumes in mL, and a finding if none is left.

    ``empty`` is the sentence of that finding. One label gives the number ``volume``; several
    give their sum and ``volume.NAME`` for each.
    """
    voxel_ml = labels.geometry.voxel_ml
    total = float(np.count_nonzero(array)) * voxel_ml
    numbers = [Number("volume", total, "mL", VOLUME_SOURCE)]
    if len(labels.labels) > 1:
        counts = np.bincount(array[bounding_block(array) or (slice(0),)].ravel())
        for value, label in labels.labels.items():
            ml = float(counts[value]) * voxel_ml if value < len(counts) else 0.0
            numbers.append(Number(f"volume.{label.name}", ml, "mL", VOLUME_SOURCE))
    if total == 0.0:
        sentence = empty or "no voxel is left"
        findings = (*findings, Finding(Severity.WARNING, "empty_label", sentence))
    return replace(
        labels, array=array, numbers=tuple(numbers), findings=(*labels.findings, *findings)
    )


def threshold(
    volume: Volume,
    *,
    lower_hu: float,
    upper_hu: float = 100_000.0,
    name: str = "threshold",
    progress: Progress = silent,
) -> LabelMap:
    """Select everything within a range of intensity.

    Args:
        volume: the image.
        lower_hu: the lowest value selected, in HU for CT and in the image's own unit otherwise.
        upper_hu: the highest value selected, in the same unit.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        ValueError: if the lower limit is above the upper.
    """
    if not lower_hu <= upper_hu:
        raise ValueError(f"the lower limit ({lower_hu:g}) must not exceed the upper ({upper_hu:g})")
    array = np.empty(volume.array.shape, np.bool_)
    for k, plane in enumerate(volume.array):
        if k % 32 == 0:
            progress(k / len(array), "comparing intensities")
        np.logical_and(plane >= lower_hu, plane <= upper_hu, out=array[k])
    low, high = volume.array.min(), volume.array.max()
    sentence = (
        f"no voxel lies between {lower_hu:g} and {upper_hu:g}; the image holds {low:g} to {high:g}"
    )
    plain = LabelMap(array, volume.geometry, {1: Label(name)})
    return with_volume(plain, plain.array, empty=sentence)


def keep_islands(
    labels: LabelMap,
    *,
    largest: Annotated[int, Ge(0)] = 1,
    minimum_ml: Annotated[float, Ge(0)] = 0.0,
    progress: Progress = silent,
) -> LabelMap:
    """Keep the largest connected pieces and drop the specks.

    Voxels are connected when they share a face. Each label is treated on its own.

    Args:
        labels: the labels to clean.
        largest: how many pieces of each label to keep, the largest first; 0 keeps all.
        minimum_ml: pieces smaller than this volume (mL) are dropped.
        progress: told how far the work is.
    """
    result = labels.array.copy()
    least = minimum_ml / labels.geometry.voxel_ml * (1 - 1e-9)
    blocks = _blocks(labels)
    for n, (value, block) in enumerate(blocks.items()):
        progress(n / len(blocks), "finding connected pieces")
        pieces, count = ndimage.label(labels.array[block] == value)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        order = np.argsort(-sizes, kind="stable")
        kept = np.zeros(count + 1, np.bool_)
        kept[order[: largest or count] + 1] = True
        kept[1:] &= sizes >= least
        dropped = np.append(True, ~kept[1:])[pieces] & (pieces > 0)
        result[block][dropped] = 0
    return with_volume(labels, result, empty="no piece is as large as asked")


def fill_holes(
    labels: LabelMap, *, per_slice: bool = False, progress: Progress = silent
) -> LabelMap:
    """Fill the holes inside a label.

    A hole is background that the label encloses; a voxel of another label is never changed.

    Args:
        labels: the labels to fill.
        per_slice: look at each slice of the image by itself, which also fills tunnels.
        progress: told how far the work is.
    """
    result = labels.array.copy()
    links = ndimage.generate_binary_structure(3, 1)
    if per_slice:
        links[[0, 2]] = False
    padding = ((0, 0) if per_slice else (1, 1), (1, 1), (1, 1))
    blocks = _blocks(labels)
    for n, (value, block) in enumerate(blocks.items()):
        progress(n / len(blocks), "filling holes")
        outside = np.pad(labels.array[block] != value, padding, constant_values=True)
        pieces, count = ndimage.label(outside, links)
        open_to_rim = np.zeros(count + 1, np.bool_)
        open_to_rim[pieces[:, 0, 0]] = True
        inner = pieces[slice(None) if per_slice else slice(1, -1), 1:-1, 1:-1]
        target = result[block]
        target[(target == 0) & (inner > 0) & ~open_to_rim[inner]] = value
    return with_volume(labels, result)


def margin(
    labels: LabelMap,
    *,
    distance_mm: Annotated[float, Ge(-200)],
    progress: Progress = silent,
) -> LabelMap:
    """Grow or shrink a label by a distance in millimetres.

    Distances run between voxel centres, by an exact distance map in the true spacing. Growing
    labels take background only, each voxel from the nearest label. Shrinking ends at real
    background or another label, not at the edge of the image.

    Args:
        labels: the labels to change.
        distance_mm: how far to grow (positive) or shrink (negative), in mm.
        progress: told how far the work is.
    """
    result = labels.array.copy()
    spacing = labels.geometry.spacing_kji_mm
    if distance_mm > 0:
        k, j, i = (int(distance_mm / s + 1e-6) for s in spacing)
        block = bounding_block(labels.array, (k, j, i))
        if block is not None:
            progress(0.0, "measuring distances")
            result[block] = _grown(labels.array[block], spacing, distance_mm)
    elif distance_mm < 0:
        blocks = _blocks(labels, padding=(1, 1, 1))
        for n, (value, block) in enumerate(blocks.items()):
            progress(n / len(blocks), "measuring distances")
            inside = labels.array[block] == value
            if not inside.all():
                depth = ndimage.distance_transform_edt(inside, spacing)
                result[block][inside & (depth <= -distance_mm + _TIE_MM)] = 0
    return with_volume(labels, result, empty="nothing is left after shrinking")


def smooth(
    labels: LabelMap, *, sigma_mm: Annotated[float, Gt(0)] = 1.5, progress: Progress = silent
) -> LabelMap:
    """Smooth the surface of a label and keep its volume.

    The mask of all labels is blurred by a Gaussian and cut at the level that keeps its number
    of voxels. Inside it each voxel goes to the label whose own blurred mask is strongest, so
    neighbours stay in contact. Parts thinner than ``sigma_mm`` can vanish.

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
    values = np.flatnonzero(np.bincount(old.ravel()))
    values = values[values > 0]
    best = _blurred(old == values[0], sigma)
    total, new = best.copy(), np.full(old.shape, values[0], old.dtype)
    for n, value in enumerate(values[1:], start=1):
        progress(n / len(values), "smoothing")
        own = _blurred(old == value, sigma)
        total += own
        new[own > best] = value
        np.maximum(best, own, out=best)
    count = int(np.count_nonzero(old))
    level = np.partition(total, total.size - count, axis=None)[total.size - count]
    result = labels.array.copy()
    result[block] = np.where(total >= level, new, 0)
    return with_volume(labels, result)


def combine(
    labels: LabelMap,
    other: LabelMap,
    *,
    operation: Literal["union", "intersection", "subtract"],
    progress: Progress = silent,
) -> LabelMap:
    """Add, intersect or subtract another label.

    ``other`` counts as one mask. Its voxels that a union adds take the lowest label value of
    ``labels``.

    Args:
        labels: the labels to change.
        other: the mask, on the same voxel grid.
        operation: union adds, intersection keeps what both share, subtract takes away.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
    """
    require_same_grid(labels, other)
    progress(0.0, "combining labels")
    mine, theirs = labels.array, other.array != 0
    if operation == "union":
        first = min(labels.labels, default=1)
        result = np.where((mine == 0) & theirs, mine.dtype.type(first), mine)
    elif operation == "intersection":
        result = np.where(theirs, mine, mine.dtype.type(0))
    else:
        result = np.where(theirs, mine.dtype.type(0), mine)
    return with_volume(labels, result, empty="nothing is left after combining")


def join(labels: LabelMap, other: LabelMap, *, progress: Progress = silent) -> LabelMap:
    """Put two label maps into one.

    Where both claim a voxel, the first one keeps it. The labels keep their names and colours;
    those of the second get the next free values.

    Raises:
        FrameMismatch: if the grids differ.
    """
    require_same_grid(labels, other)
    shift = max(labels.labels, default=0)
    array = labels.array.astype(np.uint16)
    free = (array == 0) & (other.array != 0)
    array[free] = other.array[free].astype(np.uint16) + shift
    progress(1.0)
    names = {**labels.labels, **{value + shift: label for value, label in other.labels.items()}}
    kind = np.uint8 if max(names, default=0) <= 255 else np.uint16
    joined = replace(labels, labels=names, findings=(*labels.findings, *other.findings))
    return with_volume(joined, array.astype(kind))


def _blocks(labels: LabelMap, padding: tuple[int, int, int] = (0, 0, 0)) -> Mapping[int, Block]:
    """Return the block [k, j, i] around each label value that occurs."""
    whole = bounding_block(labels.array)
    if whole is None:
        return {}
    found = ndimage.find_objects(labels.array[whole])
    return {
        value: _widened(block, whole, padding, labels.array.shape)
        for value, block in enumerate(found, start=1)
        if block is not None
    }


def _widened(
    block: tuple[slice, ...], whole: Block, padding: tuple[int, int, int], shape: tuple[int, ...]
) -> Block:
    k, j, i = (
        slice(max(0, b.start + w.start - p), min(n, b.stop + w.start + p))
        for b, w, p, n in zip(block, whole, padding, shape)
    )
    return k, j, i


def _grown(array: Array, spacing: tuple[float, float, float], distance_mm: float) -> Array:
    """Return ``array`` with every background voxel within the distance given to its label."""
    several = array.max() != array[array > 0].min()
    found = ndimage.distance_transform_edt(array == 0, spacing, return_indices=several)
    if not several:
        return np.where(found <= distance_mm + _TIE_MM, array.max(), array)
    depth, nearest = found
    return np.where(depth <= distance_mm + _TIE_MM, array[tuple(nearest)], array)


def _blurred(mask: Mask, sigma: list[float]) -> Floats:
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest")
    return np.asarray(blurred)
