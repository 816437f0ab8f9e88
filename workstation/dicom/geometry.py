"""From slice positions to one voxel grid: order, spacing, gantry tilt, and the checks.

All positions are DICOM patient LPS millimetres. Slices are ordered along their normal
(row direction x column direction, PS3.3 C.7.6.2), never by number, location or thickness
tags. A grid is returned only if it puts every corner of every slice within 0.05 mm of where
the slice's own header puts it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from segmentation.volume import Floats, ImageGeometry
from segmentation.wording import counted
from workstation.dicom.sources import DicomError

CORNER_TOLERANCE_MM = 0.05
SAME_PLACE_MM = 0.01
MAX_TILT_DEGREES = 45.0
MAX_PIXEL_MM = 100.0
MAX_MISSING_TOGETHER = 3
MAX_MISSING_SHARE = 0.1  # of all slices; a single one may always be missing
MAX_GAP_RATIO = 3.0  # the widest gap of uneven slices that interpolation may bridge

Placing = Literal["even", "missing", "resampled"]
"""How slices come onto the planes of the grid: one on each; one on each but some planes have
none; or anywhere between planes."""


class StackProblem(ValueError):
    """Slices that make no voxel grid; ``code`` names the reason, ``place_mm`` where (LPS)."""

    def __init__(self, code: str, sentence: str, place_mm: Floats | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.place_mm = None if place_mm is None else tuple(float(v) for v in place_mm)


@dataclass(frozen=True, eq=False)
class Planes:
    """Where slices lie: one row per slice.

    Attributes:
        positions_mm: (n, 3) LPS centre of the first voxel.
        orientations: (n, 6) row and column cosines.
        pixel_spacing_mm: (n, 2) distance between rows, between columns.
        rows: voxels per column; columns: voxels per row.
        thickness_mm: nominal thickness, used for a lone slice only.
    """

    positions_mm: Floats
    orientations: Floats
    pixel_spacing_mm: Floats
    rows: int
    columns: int
    thickness_mm: float | None = None

    def take(self, order: Sequence[int]) -> Planes:
        """Return the slices of ``order`` only, in that order."""
        index = np.asarray(order, int)
        return Planes(
            self.positions_mm[index],
            self.orientations[index],
            self.pixel_spacing_mm[index],
            self.rows,
            self.columns,
            self.thickness_mm,
        )

    def axes(self) -> Floats:
        """Return the mean image axes x, y and the normal as columns, made orthonormal.

        Raises:
            StackProblem: when the row and column directions are no right angle.
        """
        x, y = self.orientations.mean(axis=0).reshape(2, 3)
        lengths = np.linalg.norm([x, y], axis=1)
        if abs(lengths - 1).max() > 1e-3 or abs(x @ y) > 1e-3:
            raise StackProblem("orientation", "the row and column directions are not orthonormal")
        x = x / lengths[0]
        y = y - (y @ x) * x
        y = y / np.linalg.norm(y)
        return np.stack([x, y, np.cross(x, y)], axis=1)

    def corners_mm(self) -> Floats:
        """Return the (n, 4, 3) corner voxel centres by each slice's own header."""
        x, y = self.orientations[:, None, :3], self.orientations[:, None, 3:]
        corners = _corner_indices(self.rows, self.columns)
        along_x = corners[None, :, :1] * self.pixel_spacing_mm[:, None, 1:]
        along_y = corners[None, :, 1:] * self.pixel_spacing_mm[:, None, :1]
        return np.asarray(self.positions_mm[:, None] + along_x * x + along_y * y)


@dataclass(frozen=True, eq=False)
class Stack:
    """A voxel grid and how slices enter it.

    ``order`` lists the slices along the z axis; ``offsets`` (n, 2) is the fractional index
    (i, j) at which each slice's first voxel lies in the grid: zero unless tilted. ``levels``
    (n,) is the fractional index k of each slice: 0, 1, 2, ... unless it is interpolated.
    """

    geometry: ImageGeometry
    order: tuple[int, ...]
    offsets: Floats
    levels: Floats
    tilt_degrees: float = 0.0

    @property
    def interpolated(self) -> bool:
        """Whether the grid has planes on which no slice lies."""
        count = self.geometry.size[2]
        return len(self.levels) != count or bool(np.any(self.levels != np.arange(count)))

    @property
    def tilted(self) -> bool:
        """Whether the slices must be resampled onto the grid."""
        return bool(np.any(self.offsets))


def _corner_indices(rows: int, columns: int) -> Floats:
    return np.array([(i, j) for j in (0, rows - 1) for i in (0, columns - 1)], float)


def stack_geometry(planes: Planes, frame_uid: str, placing: Placing = "even") -> Stack:
    """Return the orthogonal voxel grid on which the slices lie.

    With ``placing`` "missing" some planes of the grid may have no slice; with "resampled" the
    slices may lie anywhere between the planes, whose spacing is close to the median gap.

    Raises:
        StackProblem: when there is none within 0.05 mm of every slice corner.
    """
    if not np.all((planes.pixel_spacing_mm > 0) & (planes.pixel_spacing_mm <= MAX_PIXEL_MM)):
        raise StackProblem("pixel_spacing", f"the pixel spacing is not in (0, {MAX_PIXEL_MM:g}] mm")
    axes = planes.axes()
    depth = planes.positions_mm @ axes[:, 2]
    order = np.argsort(depth, kind="stable")
    planes = planes.take(order.tolist())
    local = planes.positions_mm @ axes  # along x, along y, along the normal
    levels, spacing_z = _levels(local[:, 2], planes, placing)
    step = _line(local[:, :2], levels, planes)
    offsets, columns_rows, origin = _grid(local, levels, step, planes)
    size = (*columns_rows, round(float(levels[-1])) + 1)
    geometry = _geometry(axes @ origin, axes, planes, size, spacing_z, frame_uid)
    tilt = math.degrees(math.atan2(float(np.linalg.norm(step)), spacing_z))
    tilt = tilt if offsets.any() else 0.0
    stack = Stack(geometry, tuple(order.tolist()), offsets, levels, tilt)
    if tilt > MAX_TILT_DEGREES:
        raise StackProblem("tilt", f"the slices are sheared by {tilt:.0f} degrees")
    check_corners(stack, planes)
    return stack


def _levels(depth: Floats, planes: Planes, placing: Placing) -> tuple[Floats, float]:
    """Return the fractional plane of each slice, and the distance of planes in mm."""
    if len(depth) == 1:
        if planes.thickness_mm is None or planes.thickness_mm <= 0:
            raise StackProblem("thickness", "a single slice of unknown thickness")
        return np.zeros(1), planes.thickness_mm
    gaps = np.diff(depth)
    if gaps.min() < SAME_PLACE_MM:
        n = int(gaps.argmin())
        where = planes.positions_mm[n]
        raise StackProblem(
            "same_position",
            f"several different slices lie at one place, {place_text(where)}",
            where,
        )
    if placing == "resampled":
        return _between_planes(depth, gaps, planes)
    levels = np.arange(len(depth), dtype=float)
    if placing == "missing":
        levels = _with_empty_planes(gaps, planes)
    spacing, start = np.polyfit(levels, depth, 1)
    uneven = np.abs(depth - (start + spacing * levels)).max() > CORNER_TOLERANCE_MM
    if uneven or np.abs(gaps - spacing * np.diff(levels)).max() > spacing / 2:
        raise _irregular(gaps, planes)
    return levels, float(spacing)


def _with_empty_planes(gaps: Floats, planes: Planes) -> Floats:
    steps = _whole_steps(gaps)
    missing = int((steps - 1).sum())
    most = max(1, int(MAX_MISSING_SHARE * (len(gaps) + 1 + missing)))
    if steps.min() < 1 or steps.max() - 1 > MAX_MISSING_TOGETHER or missing > most:
        raise _irregular(gaps, planes)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _between_planes(depth: Floats, gaps: Floats, planes: Planes) -> tuple[Floats, float]:
    """Spread planes evenly from the first slice to the last, so that both keep their place."""
    usual = float(np.median(gaps))
    if gaps.max() > MAX_GAP_RATIO * usual:
        raise _irregular(gaps, planes)
    length = float(depth[-1] - depth[0])
    spacing = length / round(length / usual)
    return (depth - depth[0]) / spacing, spacing


def _whole_steps(gaps: Floats) -> npt.NDArray[np.int64]:
    return np.rint(gaps / float(np.median(gaps))).astype(np.int64)


def _irregular(gaps: Floats, planes: Planes) -> StackProblem:
    usual = float(np.median(gaps))
    steps = _whole_steps(gaps)
    n = int(np.argmax(np.abs(gaps - usual)))
    where = planes.positions_mm[n]
    if steps.min() >= 1 and np.abs(gaps - steps * usual).max() <= 2 * CORNER_TOLERANCE_MM:
        places = [k for k in range(len(gaps)) if steps[k] > 1]
        count = int((steps - 1).sum())
        lost = counted(count, "slice is", "slices are")
        listed = "; ".join(place_text(planes.positions_mm[k]) for k in places[:3])
        more = f" and in {counted(len(places) - 3, 'more place')}" if len(places) > 3 else ""
        return StackProblem(
            "missing_slices",
            f"{lost} missing from {len(planes.positions_mm) + count}: after {listed}{more}",
            where,
        )
    return StackProblem(
        "irregular_spacing",
        f"the slice spacing varies from {gaps.min():.3f} to {gaps.max():.3f} mm, "
        f"first at {place_text(where)}",
        where,
    )


def place_text(point_mm: Floats) -> str:
    """Return an LPS point in words."""
    x, y, z = (float(v) + 0.0 for v in np.round(point_mm, 1))
    return f"({x:.1f}, {y:.1f}, {z:.1f}) mm"


def _line(lateral: Floats, levels: Floats, planes: Planes) -> Floats:
    """Return the in-plane step (2,) per plane; slices off that line are refused."""
    if len(lateral) == 1:
        return np.zeros(2)
    step, start = np.polyfit(levels, lateral, 1)
    off = np.linalg.norm(lateral - (start + levels[:, None] * step), axis=1)
    if off.max() > CORNER_TOLERANCE_MM:
        n = int(off.argmax())
        where = planes.positions_mm[n]
        raise StackProblem(
            "drift", f"a slice lies {off[n]:.2f} mm beside the others at {place_text(where)}", where
        )
    return np.asarray(step)


def _grid(
    local: Floats, levels: Floats, step: Floats, planes: Planes
) -> tuple[Floats, tuple[int, int], Floats]:
    """Return offsets (n, 2) of the slices, the grid's columns and rows, and its local origin."""
    size = np.array([planes.columns, planes.rows])
    pixel = planes.pixel_spacing_mm.mean(axis=0)[::-1]
    depth = np.polyfit(levels, local[:, 2], 1)[1] if len(local) > 1 else local[0, 2]
    total = step * levels[-1]
    if float(np.linalg.norm(total)) <= CORNER_TOLERANCE_MM:
        origin = np.array([*local[:, :2].mean(axis=0), depth])
        return np.zeros((len(local), 2)), (int(size[0]), int(size[1])), origin
    first = (local[:, :2] - levels[:, None] * step).mean(axis=0)
    path = first + levels[:, None] * step
    low = path.min(axis=0)
    offsets = (path - low) / pixel
    grown = size + np.ceil(offsets.max(axis=0) - 1e-6).astype(int)
    return offsets, (int(grown[0]), int(grown[1])), np.array([*low, depth])


def _geometry(
    origin_mm: Floats,
    axes: Floats,
    planes: Planes,
    size: tuple[int, int, int],
    spacing_z: float,
    frame_uid: str,
) -> ImageGeometry:
    row_mm, column_mm = planes.pixel_spacing_mm.mean(axis=0)
    # The fit leaves 1e-13 mm of noise; adding zero turns -0.0 into 0.0.
    x, y, z = (float(v) + 0.0 for v in np.round(origin_mm, 9))
    return ImageGeometry(
        size,
        (round(float(column_mm), 9), round(float(row_mm), 9), round(spacing_z, 9)),
        (x, y, z),
        tuple(axes.ravel().tolist()),
        frame_uid,
    )


def check_corners(stack: Stack, planes: Planes) -> None:
    """Raise unless the grid puts every slice corner where the slice's own header does.

    ``planes`` are in the order of the grid's z axis.

    Raises:
        StackProblem: naming the first slice that is more than 0.05 mm off.
    """
    corners = _corner_indices(planes.rows, planes.columns)
    index = np.empty((len(planes.positions_mm), 4, 3))
    index[..., :2] = corners[None] + stack.offsets[:, None]
    index[..., 2] = stack.levels[:, None]
    off = np.linalg.norm(stack.geometry.to_world(index) - planes.corners_mm(), axis=2).max(axis=1)
    if off.max() > CORNER_TOLERANCE_MM:
        n = int(off.argmax())
        where = planes.positions_mm[n]
        raise StackProblem(
            "corners",
            f"a slice at {place_text(where)} would lie {off[n]:.2f} mm from where its header "
            "puts it",
            where,
        )


def equidistant_blocks(planes: Planes, fewest: int = 3) -> list[list[int]] | None:
    """Return runs of equally spaced slices (as slice numbers), or None without such runs.

    Each slice is in one run, and each run has at least ``fewest`` slices.
    """
    axes = planes.axes()
    depth = planes.positions_mm @ axes[:, 2]
    order = np.argsort(depth, kind="stable")
    gaps = np.diff(depth[order])
    blocks: list[list[int]] = [[int(order[0])]]
    step = None
    for k, gap in enumerate(gaps):
        if step is None or abs(gap - step) <= CORNER_TOLERANCE_MM:
            step = gap if step is None else step
            blocks[-1].append(int(order[k + 1]))
        else:
            blocks.append([int(order[k + 1])])
            step = None
    return blocks if min(map(len, blocks)) >= fewest else None


def require(stack: Stack, planes: Planes) -> None:
    """Run `check_corners` after a load.

    Raises:
        DicomError: when the check fails.
    """
    try:
        check_corners(stack, planes)
    except StackProblem as error:
        raise DicomError(
            f"the check after loading failed: {error}", "Report this data set"
        ) from None
