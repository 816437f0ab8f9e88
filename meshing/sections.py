"""Cross-sections of a lumen: the one loop around a point, never that of a neighbour.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.lumen import Piece, neighbours_of

Floats = npt.NDArray[np.float64]

DIRECTIONS = 90  # in which the width of a section is measured, two degrees apart
REACH = 3.0  # how far, in radii, the wall of a section begins to be looked for
FIELDS = (
    "area_mm2",
    "perimeter_mm",
    "equivalent_diameter_mm",
    "minimum_diameter_mm",
    "maximum_diameter_mm",
    "mean_diameter_mm",
    "circularity",
    "hydraulic_diameter_mm",
)
"""What `measures` gives, in this order."""


@dataclass(frozen=True, eq=False)
class Section:
    """The loop in which a plane cuts the wall around a point.

    Attributes:
        loop_mm: its corners (n, 3); the first is not repeated.
        normal: unit normal of the plane.
        triangles: the triangles of the piece that it crosses, one for each corner.
        whole: whether it lies on vessel wall all round, not on the cap of an end.
    """

    loop_mm: Floats
    normal: Floats
    triangles: npt.NDArray[np.int64]
    whole: bool

    @cached_property
    def flat(self) -> Floats:
        """The corners (n, 2) in the plane, in mm, about their mean."""
        u, v = in_plane(self.normal)
        arms = self.loop_mm - self.loop_mm.mean(axis=0)
        return np.stack([arms @ u, arms @ v], axis=1)

    @property
    def area_mm2(self) -> float:
        """The enclosed area in mm2."""
        x, y = self.flat.T
        return abs(float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0])) / 2

    @property
    def centroid_mm(self) -> Floats:
        """The centre of gravity of the enclosed area."""
        a = self.flat
        b = np.concatenate([a[1:], a[:1]])
        cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        twice = float(cross.sum())
        if abs(twice) < 1e-12:
            return np.asarray(self.loop_mm.mean(axis=0))
        x, y = ((a + b) * cross[:, None]).sum(axis=0) / (3 * twice)
        u, v = in_plane(self.normal)
        return np.asarray(self.loop_mm.mean(axis=0) + x * u + y * v)


def in_plane(normal: Floats) -> tuple[Floats, Floats]:
    """Return two unit vectors that span the plane across ``normal``."""
    x, y, z = (float(n) for n in normal)
    ux, uy, uz = (0.0, z, -y) if abs(x) <= min(abs(y), abs(z)) else (-z, 0.0, x)
    if abs(z) < min(abs(x), abs(y)):
        ux, uy, uz = y, -x, 0.0
    length = math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / length, uy / length, uz / length
    return np.array([ux, uy, uz]), np.array([y * uz - z * uy, z * ux - x * uz, x * uy - y * ux])


def measures(section: Section) -> Floats:
    """Return the measures of a section, in the order of `FIELDS`.

    The equivalent diameter is that of a disc of the same area; the others are the least and
    largest distance of two parallel tangents (Feret) and their mean over all directions.
    Circularity is 4 pi A / P^2 and the hydraulic diameter 4 A / P.
    """
    area = section.area_mm2
    loop = section.flat
    perimeter = float(np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1).sum())
    angle = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    along = loop @ np.stack([np.cos(angle), np.sin(angle)])
    width = along.max(axis=0) - along.min(axis=0)
    same_area = 2 * np.sqrt(area / np.pi)
    rounded = 4 * np.pi * area / perimeter**2
    feret = (width.min(), width.max(), width.mean())
    values = (area, perimeter, same_area, *feret, rounded, 4 * area / perimeter)
    return np.array(values, np.float64)


class Slicer:
    """Cuts one piece of a lumen, again and again."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._neighbours = neighbours_of(piece.triangles)
        self._marks = np.zeros(len(piece.triangles), np.int64)
        self._count = 0
        self._middle = piece.points_mm[piece.triangles].mean(axis=1)

    def around(self, point_mm: Floats, normal: Floats, radius_mm: float) -> Section | None:
        """Return the smallest loop around a point in the plane across ``normal``, or None.

        ``radius_mm`` is roughly how far the wall is.
        """
        normal = normal / max(float(np.linalg.norm(normal)), 1e-12)
        u, v = in_plane(normal)
        self._count += 1
        triangles, loop = _compiled()(
            self._piece.points_mm, self._piece.triangles, self._neighbours, self._middle,
            self._marks, self._count, np.asarray(point_mm, float), normal, u, v,
            REACH * radius_mm,
        )  # fmt: skip
        if not len(triangles):
            return None
        return Section(loop, normal, triangles, bool(self._piece.wall[triangles].all()))


@cache
def _compiled() -> Callable[..., Any]:
    """Return the compiled walk; numba takes a second to import, so only when needed."""
    from numba import njit

    compiled: Callable[..., Any] = njit(cache=True)(_around)
    return compiled


def _around(
    points: Any, triangles: Any, across: Any, middle: Any, marks: Any, count: int,
    centre: Any, normal: Any, u: Any, v: Any, reach: float,
) -> Any:  # fmt: skip
    """Walk every loop that passes within reach, and keep the smallest around the centre."""
    best = np.empty(0, np.int64)
    ring = np.empty((0, 3))
    least = np.inf
    offset = centre @ normal
    side = np.empty(3)
    for first in range(len(triangles)):
        if marks[first] == count:
            continue
        far = 0.0
        for axis in range(3):
            far += (middle[first, axis] - centre[axis]) ** 2
        if far > reach * reach:
            continue
        cells = [np.int64(first)]
        cells.clear()
        corners = [0.0]
        corners.clear()
        at = np.int64(first)
        whole = False
        while at >= 0 and marks[at] != count:
            up = -1
            for n in range(3):
                p = points[triangles[at, n]]
                side[n] = p[0] * normal[0] + p[1] * normal[1] + p[2] * normal[2] - offset
            for n in range(3):
                m = (n + 1) % 3
                if side[n] >= 0 and side[m] < 0:
                    share = side[n] / (side[n] - side[m])
                    a, b = triangles[at, n], triangles[at, m]
                    for axis in range(3):
                        corners.append(
                            points[a, axis] + share * (points[b, axis] - points[a, axis])
                        )
                if side[n] < 0 and side[m] >= 0:
                    up = n
            marks[at] = count
            if up < 0:
                break
            cells.append(at)
            at = across[at, up]
            whole = at == first
        if not whole:
            continue
        size = len(cells)
        loop = np.array(corners).reshape(size, 3)
        turn, area = 0.0, 0.0
        for n in range(size):
            m = (n + 1) % size
            ax, ay, bx, by = 0.0, 0.0, 0.0, 0.0
            for axis in range(3):
                ax += (loop[n, axis] - centre[axis]) * u[axis]
                ay += (loop[n, axis] - centre[axis]) * v[axis]
                bx += (loop[m, axis] - centre[axis]) * u[axis]
                by += (loop[m, axis] - centre[axis]) * v[axis]
            turn += np.arctan2(ax * by - ay * bx, ax * bx + ay * by)
            area += ax * by - ay * bx
        if abs(turn) > np.pi and abs(area) < least:
            least = abs(area)
            best = np.array(cells)
            ring = loop
    return best, ring
