"""Straight segments fitted along a bent line, and their places one behind the other on a shaft.

Points are LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from meshing.curves import arc_length_mm
from meshing.surface import SurfaceMesh
from segmentation.volume import Floats
from workstation.planning.fibula import Facing, Shaft, outline_at
from workstation.planning.mandible_border import unit

GRID_MM = 1.0
"""Between the places of a line where segments may meet."""

REFINED_MM = (0.4, 0.1, 0.02)
"""Steps in which these places are then moved."""

SQUARE = 0.5
"""Least cosine of a cut to the way of its segment; flatter, a saw would run along the bone."""

ROUNDS = 6
CLOSE_MM = 1e-4


class NoFit(ValueError):
    """Segments that cannot be fitted, or a graft that the bone is too short for."""


@dataclass(frozen=True, eq=False)
class Bends:
    """Where segments meet along a line: ``corners_mm`` (n + 1, 3), and how far it lies off them."""

    corners_mm: Floats
    away_mm: Floats

    @property
    def lengths_mm(self) -> Floats:
        """The length of each segment."""
        return np.asarray(np.linalg.norm(np.diff(self.corners_mm, axis=0), axis=1))


def fit_segments(line: Floats, count: int, least_mm: float, enough_mm: float) -> Bends:
    """Return the segments that follow a line (n, 3) best.

    The sum of squared distances of the line's points from their segments is least over all
    choices of corners on the line. With ``count`` 0 the fewest of one to four segments are taken
    that leave no point further off than ``enough_mm``, or else those that leave the least.

    Raises:
        NoFit: if there is no room for segments of ``least_mm``.
    """
    costs = _Costs(line, least_mm)
    if count:
        return costs.best(count)
    found = []
    for number in range(1, 5):
        try:
            bends = costs.best(number)
        except NoFit:
            break
        if bends.away_mm.max() <= enough_mm:
            return bends
        found.append(bends)
    if not found:
        costs.best(1)
    return min(found, key=lambda bends: float(bends.away_mm.max()))


class _Costs:
    """What each straight way between two points of a line leaves over."""

    def __init__(self, line: Floats, least_mm: float) -> None:
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1).mean()
        kept = np.arange(0, len(line) - 1, max(round(GRID_MM / steps), 1))
        self._line, self._least_mm = line, least_mm
        self._points = line[np.r_[kept, len(line) - 1]]

    @cached_property
    def _table(self) -> Floats:
        points = self._points
        count = len(points)
        table = np.full((count, count), np.inf)
        for start in range(count - 1):
            for end in range(start + 1, count):
                if np.linalg.norm(points[end] - points[start]) >= self._least_mm:
                    away = _off(points[start : end + 1], points[start], points[end])
                    table[start, end] = float((away**2).sum())
        return table

    def best(self, number: int) -> Bends:
        """Return the best corners for a number of segments.

        Raises:
            NoFit: if there is no room for so many.
        """
        count = len(self._points)
        total = np.full(count, np.inf)
        total[0] = 0.0
        came: list[npt.NDArray[np.int64]] = []
        for _ in range(number):
            ways = total[:, None] + self._table
            came.append(np.asarray(ways.argmin(axis=0)))
            total = ways.min(axis=0)
        if not np.isfinite(total[-1]):
            span = float(np.linalg.norm(np.diff(self._line, axis=0), axis=1).sum())
            raise NoFit(
                f"{number} segment{'s' * (number != 1)} of at least {self._least_mm:g} mm do not "
                f"fit along the {span:.0f} mm that are lost; take fewer, or lessen least_mm"
            )
        at = [count - 1]
        for row in reversed(came):
            at.append(int(row[at[-1]]))
        return self._refined(self._points[at[::-1]])

    def _refined(self, corners: Floats) -> Bends:
        """Return corners between the points of the grid where that comes nearer still."""
        length = arc_length_mm(self._line)
        places = length[[int(np.linalg.norm(self._line - c, axis=1).argmin()) for c in corners]]
        best = self._tried(places)
        for step in REFINED_MM:
            improved = True
            while improved:
                improved = False
                for n, sign in product(range(1, len(places) - 1), (1, -1)):
                    moved = places.copy()
                    moved[n] += sign * step
                    bends = self._tried(moved)
                    if _squared(bends) < _squared(best) and self._long_enough(bends):
                        places, best, improved = moved, bends, True
        return best

    def _tried(self, places: Floats) -> Bends:
        length = arc_length_mm(self._line)
        corners = np.stack([np.interp(places, length, self._line[:, a]) for a in range(3)], 1)
        return Bends(corners, _distances(self._line, corners))

    def _long_enough(self, bends: Bends) -> bool:
        return bool(bends.lengths_mm.min() >= self._least_mm)


def _squared(bends: Bends) -> float:
    return float((bends.away_mm**2).sum())


def _off(points: Floats, start: Floats, end: Floats) -> Floats:
    way = unit(end - start)
    arms = points - start
    along = np.clip(arms @ way, 0.0, float((end - start) @ way))
    return np.asarray(np.linalg.norm(arms - along[:, None] * way, axis=1))


def _distances(line: Floats, corners: Floats) -> Floats:
    ways = [_off(line, a, b) for a, b in pairwise(corners)]
    return np.asarray(np.min(ways, axis=0))


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane through a point (LPS mm) with a unit normal."""

    point_mm: Floats
    normal: Floats

    def moved(self, matrix: Floats) -> Plane:
        """Return the plane after a 4x4 move."""
        point = matrix[:3, :3] @ self.point_mm + matrix[:3, 3]
        return Plane(point, matrix[:3, :3] @ self.normal)

    def shifted(self, way_mm: float) -> Plane:
        """Return the plane shifted along its normal."""
        return Plane(self.point_mm + way_mm * self.normal, self.normal)

    def heights(self, points: Floats, foot: Floats, up: Floats) -> Floats:
        """Return how high above ``foot`` along ``up`` the plane meets lines along ``up``."""
        level = (points - foot) @ up
        return np.asarray(level + (self.point_mm - points) @ self.normal / (up @ self.normal))


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment as it will lie: its start and end, its cuts and its way out.

    It runs from the ankle's end of the graft to the knee's; the normals of both planes point
    the same way.
    """

    start_mm: Floats
    end_mm: Floats
    low: Plane
    high: Plane
    out: Floats

    @property
    def way(self) -> Floats:
        """The unit way from start to end."""
        return unit(self.end_mm - self.start_mm)

    @property
    def length_mm(self) -> float:
        """From start to end."""
        return float(np.linalg.norm(self.end_mm - self.start_mm))


def segments_of(
    corners: Floats, ways_out: Floats, first: Plane, last: Plane, gap_mm: float
) -> list[Segment]:
    """Return segments between corners (n + 1, 3); neighbours meet in the plane that halves them.

    ``ways_out`` (n, 3) is where the chosen side of the graft is to look. Normals of ``first`` and
    ``last`` point along the way from the first corner to the last. Each joint is left open by
    ``gap_mm``.

    Raises:
        NoFit: if a cut runs along its segment.
    """
    ways = np.array([unit(way) for way in np.diff(corners, axis=0)])
    planes = [first]
    planes += [Plane(p, unit(a + b)) for p, a, b in zip(corners[1:-1], ways[:-1], ways[1:])]
    planes.append(last)
    found = []
    for n, (way, out) in enumerate(zip(ways, ways_out)):
        low, high = planes[n], planes[n + 1]
        if min(low.normal @ way, high.normal @ way) < SQUARE:
            raise NoFit(
                f"a cut runs too flat across segment {n + 1}, more than 60 degrees from square; "
                "turn the cut of the mandible, or take more segments"
            )
        share = [0.5 if 0 < k < len(ways) else 1.0 for k in (n, n + 1)]
        low, high = low.shifted(share[0] * gap_mm), high.shifted(-share[1] * gap_mm)
        side = unit(out - (out @ way) * way)
        found.append(Segment(corners[n], corners[n + 1], low, high, side))
    return found


@dataclass(frozen=True, eq=False)
class Laid:
    """A segment on the fibula: ``move`` (4, 4) takes it from there to the mandible.

    ``low`` and ``high`` are its cuts in the fibula's space; heights are in mm above the ankle's
    tip: at the bone's middle, and the lowest and highest of the bone that the cuts meet.
    """

    segment: Segment
    move: Floats
    low: Plane
    high: Plane
    low_mm: float
    high_mm: float
    lowest_mm: float
    highest_mm: float
    shortest_mm: float
    wedge_mm: float
    up: Floats
    out: Floats


def lay_on_shaft(
    mesh: SurfaceMesh, shaft: Shaft, segments: list[Segment], side: Facing, turn_degrees: float,
    start_mm: float, kerf_mm: float,
) -> list[Laid]:  # fmt: skip
    """Return the segments one behind the other up a fibula from a height above the ankle's tip.

    Between neighbours the saw takes at least ``kerf_mm`` everywhere, so a wedge goes where they
    bend.

    Raises:
        NoFit: if both cuts of a segment cross within the bone, or the fibula ends before.
    """
    laid: list[Laid] = []
    before: Plane | None = None
    for n, segment in enumerate(segments, 1):
        height = laid[-1].high_mm + kerf_mm if laid else start_mm + kerf_mm
        for _ in range(ROUNDS):
            if height + segment.length_mm > shaft.length_mm:
                raise NoFit(_too_short(shaft, height + segment.length_mm))
            done = _at_height(mesh, shaft, segment, side, turn_degrees, height)
            outline = outline_at(mesh, shaft, height)
            above = done.low.heights(outline, shaft.ankle_mm, shaft.up)
            floor = np.full(len(outline), start_mm) if before is None else before.heights(
                outline, shaft.ankle_mm, shaft.up
            )  # fmt: skip
            missing = kerf_mm - float((above - floor).min())
            height += missing
            if abs(missing) < CLOSE_MM:
                break
        if done.shortest_mm <= 0:
            raise NoFit(
                f"both cuts of segment {n} cross within the fibula, so no piece is left between "
                "them; take fewer segments, or raise least_mm"
            )
        wedge = 0.0 if before is None else float((above - floor).max())
        laid.append(replace(done, wedge_mm=wedge))
        before = done.high
    return laid


def _too_short(shaft: Shaft, needed_mm: float) -> str:
    return (
        f"the fibula ends at {shaft.length_mm:.0f} mm and the graft needs it up to "
        f"{needed_mm:.0f} mm above the ankle; keep less at the ends, or take fewer segments"
    )


def _at_height(
    mesh: SurfaceMesh, shaft: Shaft, segment: Segment, side: Facing, turn: float, height: float
) -> Laid:
    """Return a segment laid on the fibula with its start at a height (mm) of the centre line."""
    start, end = shaft.centre(height), shaft.centre(height + segment.length_mm)
    up = unit(end - start)
    out = shaft.facing(side)
    out = unit(out - (out @ up) * up)
    angle = np.radians(turn)
    out = np.cos(angle) * out + np.sin(angle) * np.cross(up, out)
    here = np.column_stack([up, out, np.cross(up, out)])
    there = np.column_stack([segment.way, segment.out, np.cross(segment.way, segment.out)])
    move = np.eye(4)
    move[:3, :3] = there @ here.T
    move[:3, 3] = segment.start_mm - move[:3, :3] @ start
    back = np.asarray(np.linalg.inv(move), np.float64)
    low, high = segment.low.moved(back), segment.high.moved(back)
    top = height + segment.length_mm
    rings = [outline_at(mesh, shaft, h) for h in (height, (height + top) / 2, top)]
    feet = [low.heights(ring, shaft.ankle_mm, shaft.up) for ring in rings]
    heads = [high.heights(ring, shaft.ankle_mm, shaft.up) for ring in rings]
    shortest = min(float((head - foot).min()) for head, foot in zip(heads, feet))
    return Laid(segment, move, low, high, height, top, float(feet[0].min()),
                float(heads[2].max()), shortest, 0.0, up, out)  # fmt: skip
