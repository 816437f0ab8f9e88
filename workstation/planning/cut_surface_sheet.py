"""A deformable sheet over a plane: a grid of control points that are moved along its normal.

The sheet is a clamped cubic B-spline, with 4 x 4 control points a bicubic Bezier patch (Piegl and
Tiller, The NURBS Book, 1997, chapters 1 and 2). Heights over a plane cannot fold onto themselves,
so each point has one side. Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline

from segmentation.volume import LabelMap
from workstation.planning.proposal import Floats, Point, as_point

Heights = tuple[tuple[float, ...], ...]

EVEN = 1e-3  # weight of a straight row in the fit to a line, of one drawn point
SPARE_MM = 10.0  # how far a sheet reaches beyond its organ


@dataclass(frozen=True)
class Sheet:
    """A plane whose height follows control points.

    Attributes:
        point_mm: the middle of its plane, LPS mm.
        normal: unit normal of the plane, LPS, to the specimen.
        along: unit direction of the rows, in the plane; columns run along normal x along.
        reach_mm: how far it reaches to either side of the middle, along rows and columns; beyond,
            the height stays as it is at the rim.
        heights_mm: rows of heights of the control points over the plane, along the normal.
    """

    point_mm: Point
    normal: Point
    along: Point
    reach_mm: tuple[float, float]
    heights_mm: Heights

    @property
    def axes(self) -> Floats:
        """The directions (2, 3) of rows and columns."""
        return np.stack([np.asarray(self.along), np.cross(self.normal, self.along)])

    @property
    def control_mm(self) -> Floats:
        """The control points (rows, columns, 3), LPS mm."""
        heights = np.asarray(self.heights_mm)
        v, u = (_greville(n) for n in heights.shape)
        a, b = np.meshgrid((2 * u - 1) * self.reach_mm[0], (2 * v - 1) * self.reach_mm[1])
        flat = a[..., None] * self.axes[0] + b[..., None] * self.axes[1]
        return np.asarray(self.point_mm + flat + heights[..., None] * np.asarray(self.normal))

    def weights(self, points_mm: npt.ArrayLike) -> Floats:
        """Return the share (n, rows * columns) of each control point in the height at points."""
        flat = (np.asarray(points_mm, float) - self.point_mm) @ self.axes.T
        share = np.clip((flat / self.reach_mm + 1) / 2, 0, 1)
        rows, columns = len(self.heights_mm), len(self.heights_mm[0])
        u, v = _basis(share[:, 0], columns), _basis(share[:, 1], rows)
        return np.asarray((v[:, :, None] * u[:, None, :]).reshape(len(u), rows * columns))

    def over_plane_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return the heights (n,) of points (n, 3) over the plane."""
        return np.asarray((np.asarray(points_mm, float) - self.point_mm) @ np.asarray(self.normal))

    def side_mm(self, points_mm: npt.ArrayLike) -> Floats:
        """Return heights (n,) over the sheet of LPS points (n, 3): positive for the specimen."""
        points = np.asarray(points_mm, float)
        heights = np.asarray(self.heights_mm).ravel()
        return np.asarray(self.over_plane_mm(points) - self.weights(points) @ heights)

    def moved(self, row: int, column: int, by_mm: float) -> Sheet:
        """Return the sheet with one control point moved along the normal."""
        heights = [list(one) for one in self.heights_mm]
        heights[row][column] += by_mm
        return replace(self, heights_mm=tuple(tuple(one) for one in heights))

    def pulled(self, at_mm: Point, by_mm: float) -> Sheet:
        """Return the sheet bent by so much along the normal at an LPS mm point, and little aside.

        Of all changes of the heights that do this it is the smallest.
        """
        weights = self.weights([at_mm])[0]
        heights = np.asarray(self.heights_mm)
        change = (by_mm / float(weights @ weights)) * weights.reshape(heights.shape)
        return replace(self, heights_mm=tuple(map(tuple, (heights + change).tolist())))


def flat_sheet(organ: LabelMap, point: Point, normal: Point, along: Point, count: int) -> Sheet:
    """Return a plane as a sheet of count x count control points that reaches past an organ."""
    across = np.asarray(along) - np.dot(along, normal) * np.asarray(normal)
    length = float(np.linalg.norm(across))
    if length < 1e-6:
        raise ValueError("the rows of a cut must not run along its normal; give another direction")
    empty: Heights = tuple((0.0,) * count for _ in range(count))
    sheet = Sheet(point, normal, as_point(across / length), (1.0, 1.0), empty)
    flat = (organ.geometry.corners_mm() - point) @ sheet.axes.T
    half = np.abs(flat).max(axis=0) + SPARE_MM
    return replace(sheet, reach_mm=(float(half[0]), float(half[1])))


def through_line(sheet: Sheet, line_mm: npt.ArrayLike) -> Sheet:
    """Return the sheet bent to pass a line of LPS points (n, 3), the same in every row."""
    line = np.asarray(line_mm, float)
    share = np.clip((((line - sheet.point_mm) @ sheet.axes[0]) / sheet.reach_mm[0] + 1) / 2, 0, 1)
    columns = len(sheet.heights_mm[0])
    bend = EVEN * np.diff(np.eye(columns), n=2, axis=0)
    known = np.vstack([_basis(share, columns), bend])
    wanted = np.concatenate([sheet.over_plane_mm(line), np.zeros(len(bend))])
    row = np.linalg.lstsq(known, wanted, rcond=None)[0]
    heights = tuple(tuple(float(v) for v in row) for _ in sheet.heights_mm)
    return replace(sheet, heights_mm=heights)


def _knots(count: int) -> tuple[Floats, int]:
    degree = min(3, count - 1)
    inner = np.linspace(0, 1, count - degree + 1)
    return np.concatenate([np.zeros(degree), inner, np.ones(degree)]), degree


def _greville(count: int) -> Floats:
    """Return where control points of level height make a level, and sloping ones a slope."""
    knots, degree = _knots(count)
    return np.asarray([knots[n + 1 : n + 1 + degree].mean() for n in range(count)])


def _basis(share: Floats, count: int) -> Floats:
    knots, degree = _knots(count)
    return np.asarray(BSpline(knots, np.eye(count), degree)(share))
