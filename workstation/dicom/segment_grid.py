"""From the frames of a Segmentation to one voxel grid, empty slices that were left out included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, Severity
from segmentation.volume import Floats
from workstation.dicom.geometry import (
    CORNER_TOLERANCE_MM,
    SAME_PLACE_MM,
    Planes,
    Stack,
    StackProblem,
    stack_geometry,
)
from workstation.dicom.sources import DicomError

VOXEL_CAP = 1 << 29
"""As many voxels as 2048 slices of 512 x 512; a few frames far apart could claim any number."""


@dataclass(frozen=True)
class Placed:
    """Where a frame lies: LPS mm, row and column cosines, (between rows, between columns).

    ``between_mm`` and ``thickness_mm`` are what the file says of the slices, where it does.
    """

    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    shape: tuple[int, int]
    between_mm: float | None = None
    thickness_mm: float | None = None


@dataclass(frozen=True, eq=False)
class SegmentGrid:
    """The grid, the z index of each frame, and what is uncertain about it."""

    stack: Stack
    places: tuple[int, ...]
    findings: tuple[Finding, ...] = ()


def grid_of(frames: Sequence[Placed], frame_uid: str) -> SegmentGrid:
    """Return the grid on which all frames lie; several frames may share a place.

    Raises:
        DicomError: if there is none within 0.05 mm, or it would be too large.
    """
    if not frames:
        raise DicomError("the segmentation has no frame")
    try:
        return _grid(frames, frame_uid)
    except StackProblem as problem:
        raise DicomError(f"the frames make no voxel grid: {problem}") from problem


def _grid(frames: Sequence[Placed], frame_uid: str) -> SegmentGrid:
    rows, columns = frames[0].shape
    planes = Planes(
        np.array([f.position_mm for f in frames], float),
        np.array([f.orientation for f in frames], float),
        np.array([f.pixel_spacing_mm for f in frames], float),
        rows,
        columns,
    )
    depth = planes.positions_mm @ planes.axes()[:, 2]
    step, findings = _step(depth, frames[0])
    index = np.rint((depth - depth.min()) / step).astype(int)
    off = np.abs(depth - depth.min() - index * step)
    if off.max() > CORNER_TOLERANCE_MM:
        raise StackProblem("irregular_spacing", "their distances are no multiples of one step")
    count = int(index.max()) + 1
    if count * rows * columns > VOXEL_CAP:
        raise DicomError(f"the segmentation would have {columns} x {rows} x {count} voxels")
    filled = _filled(planes, index, count, step)
    stack = stack_geometry(filled, frame_uid)
    _require_near(stack, planes, index)
    return SegmentGrid(stack, tuple(index.tolist()), findings)


def _step(depth: Floats, first: Placed) -> tuple[float, tuple[Finding, ...]]:
    """Return the slice distance in mm: the stated one if it fits, else the smallest gap.

    Frames of empty slices are mostly left out, so the gaps alone may be multiples of it.
    """
    gaps = np.diff(np.sort(depth))
    gaps = gaps[gaps > SAME_PLACE_MM]
    for stated in (first.between_mm, first.thickness_mm):
        if stated is None:
            continue
        turns = np.rint(gaps / stated)
        if not len(gaps):
            return stated, ()
        if turns.min() >= 1 and np.abs(gaps - turns * stated).max() <= CORNER_TOLERANCE_MM:
            # The stated step may be rounded: over many slices the positions tell it better.
            return float(gaps.sum() / turns.sum()), ()
    if not len(gaps):
        raise StackProblem("thickness", "a single slice of unknown thickness")
    smallest = float(gaps.min())
    sentence = (
        f"the file does not state a slice distance that fits; {smallest:.3f} mm, the smallest "
        "between its frames, was taken"
    )
    remedy = "Compare the volume with that of the program which made it"
    found = Finding(Severity.WARNING, "slice_distance_assumed", sentence, remedy=remedy)
    return smallest, (found,)


def _filled(planes: Planes, index: npt.NDArray[np.int_], count: int, step: float) -> Planes:
    """Return one plane per z index; those without a frame are interpolated."""
    known, first = np.unique(index, return_index=True)
    wanted = np.arange(count)
    positions = np.stack(
        [np.interp(wanted, known, planes.positions_mm[first, n]) for n in range(3)], axis=1
    )
    near = first[np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)]
    return Planes(
        positions,
        planes.orientations[near],
        planes.pixel_spacing_mm[near],
        planes.rows,
        planes.columns,
        step,
    )


def _require_near(stack: Stack, planes: Planes, index: npt.NDArray[np.int_]) -> None:
    """Raise unless every frame, also of several at one place, lies where the grid puts it."""
    place = np.column_stack([stack.offsets[index], index])
    off = np.linalg.norm(stack.geometry.to_world(place) - planes.positions_mm, axis=1)
    if off.max() > CORNER_TOLERANCE_MM:
        raise StackProblem("drift", f"a frame lies {off.max():.2f} mm beside the others")
