"""Images and labels from one voxel grid to another of the same frame of reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk

from segmentation.anatomy import known_label
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.images import to_sitk
from segmentation.volume import Array, ImageGeometry, Label, LabelMap, Volume, bounding_block


def resample_volume(
    volume: Volume, geometry: ImageGeometry, *, outside: float | None = None
) -> Volume:
    """Return the volume on another grid of the same frame, by linear interpolation.

    ``outside`` is the value beyond the image; by default its lowest (air in CT). Structures
    finer than the new grid alias: blur before going much coarser.

    Raises:
        FrameMismatch: if the frames of reference differ.
    """
    _require_frame(volume.geometry, geometry)
    if volume.geometry == geometry:
        return volume
    default = float(volume.array.min()) if outside is None else outside
    image = _resampled(to_sitk(volume), geometry, sitk.sitkLinear, default)
    return replace(volume, array=sitk.GetArrayFromImage(image), geometry=geometry, numbers=())


def conform(
    labels: LabelMap,
    volume: Volume,
    *,
    label: str | int = "",
    name: str = "",
    progress: Progress = silent,
) -> LabelMap:
    """Bring a label file onto the grid of the image.

    Each voxel of the image takes the label at its centre (nearest neighbour). The result has
    one label, of value 1.

    Args:
        labels: the labels as they were read, in the frame of reference of the image.
        volume: the image whose voxel grid is wanted.
        label: name or value of the one label to keep; empty keeps the one that is called as the
            result is, and where there is none merges all labels into one, with a finding.
        name: what to call the result; empty keeps the name of the label.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the frames of reference differ.
        ValueError: if there is no such label or it lies outside the image.
    """
    _require_frame(labels.geometry, volume.geometry)
    value = _chosen(labels, str(label), name)
    target = volume.geometry
    progress(0.0, "reading the label")
    box = bounding_block(labels.mask(value))
    kept = _describe(labels, value, name)
    if box is None:
        empty = Finding(Severity.WARNING, "empty_label", f"{kept.name} has no voxel")
        return LabelMap(np.zeros(target.shape, np.uint8), target, {1: kept}, (empty,))
    source = labels.geometry.cropped(
        [s.start for s in reversed(box)], [s.stop - s.start for s in reversed(box)]
    )
    block = LabelMap(_mask(labels.array[box], value), source)
    total, inside = int(np.count_nonzero(block.array)), _count_inside(block, target)
    if inside == 0:
        raise ValueError(
            f"{kept.name} lies outside the image: it spans {_extent(source)} and the image "
            f"{_extent(target)} (LPS mm); check that both show the same patient and position"
        )
    progress(0.3, "resampling the label")
    if labels.geometry.same_grid(target):
        array = _mask(labels.array, value)
    else:
        image = _resampled(to_sitk(block), target, sitk.sitkNearestNeighbor, 0.0)
        array = sitk.GetArrayFromImage(image)
    findings = (*labels.findings, *_merged(labels, value), *_outside(kept, inside, total))
    result = LabelMap(array, target, {1: kept}, findings)
    progress(1.0, "done")
    number = Number("volume", result.volume_ml(), "mL", "voxel count x voxel volume")
    return replace(result, numbers=(number,))


def _require_frame(one: ImageGeometry, other: ImageGeometry) -> None:
    if one.frame_uid != other.frame_uid:
        raise FrameMismatch(
            f"the frames of reference differ ({one.frame_uid} and {other.frame_uid}); "
            "register one to the other first"
        )


def _resampled(image: sitk.Image, grid: ImageGeometry, how: int, default: float) -> sitk.Image:
    return sitk.Resample(
        image,
        grid.size,
        sitk.Transform(),
        how,
        grid.origin_mm,
        grid.spacing_mm,
        grid.direction,
        default,
        image.GetPixelID(),
    )


def _chosen(labels: LabelMap, label: str, name: str) -> int | None:
    """Return the value that ``label``, or else ``name``, names, or None for all."""
    if not label:
        return next((v for v, known in labels.labels.items() if name and known.name == name), None)
    if label.isdecimal() and all(known.name != label for known in labels.labels.values()):
        if int(label) in labels.labels or np.any(labels.array == int(label)):
            return int(label)
        raise ValueError(f"no voxel and no name has label value {label}")
    return labels.value(label)


def _describe(labels: LabelMap, value: int | None, name: str) -> Label:
    described = list(labels.labels.values())
    if value is not None:
        kept = labels.labels.get(value, Label(f"label {value}"))
    else:
        kept = described[0] if len(described) == 1 else Label("label")
    known = known_label(name or kept.name)
    return known or replace(kept, name=name or kept.name)


def _merged(labels: LabelMap, value: int | None) -> tuple[Finding, ...]:
    if value is not None or len(labels.labels) < 2:
        return ()
    names = [known.name for known in labels.labels.values()]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        Finding(
            Severity.WARNING,
            "labels_merged",
            f"The file holds {len(names)} labels ({shown}); all of them were merged into one.",
            remedy="Name the one that is meant with the parameter label.",
        ),
    )


def _mask(array: Array, value: int | None) -> Array:
    return np.asarray((array != 0) if value is None else (array == value)).view(np.uint8)


def _count_inside(block: LabelMap, target: ImageGeometry) -> int:
    """Return how many voxels of the block have their centre within the box of ``target``."""
    step = target.inverse_affine @ block.geometry.affine
    kept = block.array != 0
    axes: Sequence[Any] = np.ogrid[tuple(slice(0, n) for n in block.array.shape)]
    for row in range(3):
        place = step[row, 3] + sum(step[row, 2 - n] * axes[n] for n in range(3))
        kept &= (place >= -0.5 - 1e-6) & (place <= target.size[row] - 0.5 + 1e-6)
    return int(np.count_nonzero(kept))


def _extent(grid: ImageGeometry) -> str:
    corners = grid.corners_mm()
    pairs = zip(corners.min(axis=0), corners.max(axis=0))
    return " x ".join(f"{low:.0f} to {high:.0f}" for low, high in pairs)


def _outside(label: Label, inside: int, total: int) -> tuple[Finding, ...]:
    if inside == total:
        return ()
    share = 100 * (total - inside) / total
    sentence = f"{share:.1f} % of {label.name} lies outside the image and is left out"
    return (Finding(Severity.WARNING, "label_outside", sentence),)
