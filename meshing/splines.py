"""A curved cutting surface, moved by a grid of control points.

A tensor-product B-spline (Piegl and Tiller, The NURBS Book, 1997, chapters 2 and 3): clamped,
uniform, of degree three, or less where a side has fewer than four points; with four by four
points it is the bicubic Bezier surface. Beyond its border it goes on straight along its
tangents, so it can cut an organ that is larger than itself. Space is LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline

from meshing.surface import SurfaceMesh

Floats = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]

SAMPLES = 48
"""Points along each side of what is drawn and cut; a liver's cut is then facetted every 4 mm."""


class FoldedSurface(ValueError):
    """A cutting surface folds over itself, so it has no two sides."""


@dataclass(frozen=True, eq=False)
class SplineSurface:
    """A surface P(u, v), u and v from 0 to 1 within its control points and beyond.

    Attributes:
        control_mm: float64 (rows, columns, 3), LPS mm; u runs over rows, v over columns.
        frame_uid: the DICOM frame of reference.
    """

    control_mm: Floats
    frame_uid: str

    def __post_init__(self) -> None:
        control = np.array(self.control_mm, np.float64)
        if control.ndim != 3 or min(control.shape[:2]) < 2 or control.shape[2] != 3:
            raise ValueError(
                "a cutting surface needs at least two rows of two control points, not "
                f"{' x '.join(map(str, control.shape[:2]))}"
            )
        if not np.isfinite(control).all():
            raise ValueError("a control point of a cutting surface is not finite")
        control.setflags(write=False)
        object.__setattr__(self, "control_mm", control)

    def points_mm(self, u: npt.ArrayLike, v: npt.ArrayLike) -> Floats:
        """Return points (len(u), len(v), 3), LPS mm; outside 0 to 1 along the border's tangents."""
        rows, columns, _ = self.control_mm.shape
        return np.asarray(
            np.einsum("ar,rcd,bc->abd", _basis(rows, u), self.control_mm, _basis(columns, v))
        )

    def normal(self) -> Floats:
        """Return the mean unit normal, along P_u x P_v."""
        t = np.linspace(0.0, 1.0, SAMPLES)
        total = _areas(self.points_mm(t, t)).sum(axis=(0, 1))
        length = float(np.linalg.norm(total))
        if length == 0.0:
            raise FoldedSurface("the control points of the cutting surface lie on one line")
        return np.asarray(total / length)

    def sheet(self, reach_mm: float = 0.0, *, parallel: bool = False) -> Floats:
        """Return a grid (a, b, 3) of points of the surface, and ``reach_mm`` beyond its border.

        Beyond, it follows the tangent at each point of the border or, with ``parallel``, the
        mean of a side's tangents, which never meet.
        """
        inner = np.linspace(0.0, 1.0, SAMPLES)
        if not reach_mm:
            return self.points_mm(inner, inner)
        if parallel:
            along = _extended(self.points_mm(inner, inner), reach_mm)
            return _extended(along.transpose(1, 0, 2), reach_mm).transpose(1, 0, 2)
        u_mm = np.linalg.norm(self.control_mm[-1] - self.control_mm[0], axis=-1).min()
        v_mm = np.linalg.norm(self.control_mm[:, -1] - self.control_mm[:, 0], axis=-1).min()
        if min(u_mm, v_mm) <= 0.0:
            raise FoldedSurface("opposite borders of the cutting surface meet; move them apart")
        u, v = (_beyond(inner, reach_mm / length) for length in (u_mm, v_mm))
        return self.points_mm(u, v)

    def drawn(self) -> SurfaceMesh:
        """Return the surface within its control points as triangles, normals along `normal`."""
        sheet = self.sheet()
        return SurfaceMesh(sheet.reshape(-1, 3), _cells(*sheet.shape[:2]), self.frame_uid, "cut")

    def front(self, mesh: SurfaceMesh) -> SurfaceMesh:
        """Return a closed solid: everything near ``mesh`` on the side of the mean normal.

        Raises:
            FoldedSurface: if, seen along its mean normal, the surface folds over itself there.
        """
        centre = (mesh.points_mm.min(axis=0) + mesh.points_mm.max(axis=0)) / 2.0
        radius = float(np.linalg.norm(mesh.points_mm - centre, axis=1).max())
        control = self.control_mm.reshape(-1, 3)
        reach = 2.0 * radius + float(np.linalg.norm(control - centre, axis=1).max())
        normal = self.normal()
        for parallel in (False, True):
            sheet = self.sheet(reach, parallel=parallel)
            folded = _areas(sheet) @ normal <= 0
            if not folded.any():
                break
        else:
            where = np.round(sheet[:-1, :-1][folded]).astype(int)
            nearest = where[np.argmin(np.linalg.norm(where - centre, axis=1))].tolist()
            raise FoldedSurface(
                f"the cutting surface folds over itself near {nearest} mm; move the control "
                "points there apart"
            )
        height = ((sheet - centre) @ normal)[..., None]
        top = sheet + (2.0 * reach - height) * normal
        return _between(sheet, top, self.frame_uid)


def flat_control_points(
    mesh: SurfaceMesh, point_mm: Floats, normal: Floats, rows: int = 4, columns: int = 4
) -> Floats:
    """Return (rows, columns, 3) points of the plane, LPS mm, just larger than the surface."""
    u = np.cross(np.eye(3)[int(np.argmin(np.abs(normal)))], normal)
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    flat = (mesh.points_mm - point_mm) @ np.stack([u, v]).T
    a, b = (
        np.linspace(flat[:, n].min(), flat[:, n].max(), k) for n, k in ((0, rows), (1, columns))
    )
    return np.asarray(point_mm + a[:, None, None] * u + b[:, None] * v)


def _basis(count: int, t: npt.ArrayLike) -> Floats:
    """Return the weights (len(t), count) of control points, continued straight outside 0 to 1."""
    t = np.atleast_1d(np.asarray(t, float))
    degree = min(3, count - 1)
    inner = np.linspace(0.0, 1.0, count - degree + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    spline = BSpline(knots, np.eye(count), degree)
    held = np.clip(t, 0.0, 1.0)
    return np.asarray(spline(held) + (t - held)[:, None] * spline.derivative()(held))


def _beyond(inner: Floats, reach: float) -> Floats:
    steps = reach * np.array([0.01, 0.05, 0.2, 0.5, 1.0])
    return np.concatenate([-steps[::-1], inner, 1.0 + steps])


def _extended(sheet: Floats, reach_mm: float) -> Floats:
    """Return a grid of points with rows added before and after, along its mean tangents there."""
    steps = reach_mm * np.array([0.01, 0.05, 0.2, 0.5, 1.0])[:, None, None]
    first, last = (sheet[0] - sheet[1]), (sheet[-1] - sheet[-2])
    before, after = (t.sum(axis=0) / np.linalg.norm(t.sum(axis=0)) for t in (first, last))
    return np.concatenate([sheet[:1] + steps[::-1] * before, sheet, sheet[-1:] + steps * after])


def _areas(sheet: Floats) -> Floats:
    """Return the area vectors (a - 1, b - 1, 3) of the cells of a grid of points."""
    one, two = sheet[1:, 1:] - sheet[:-1, :-1], sheet[:-1, 1:] - sheet[1:, :-1]
    return np.cross(one, two) / 2.0


def _cells(rows: int, columns: int) -> Triangles:
    """Return two triangles for each cell of a grid, facing along rows x columns."""
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    return np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])


def _between(low: Floats, high: Floats, frame_uid: str) -> SurfaceMesh:
    """Return the closed solid between two sheets of one grid; ``high`` is on the normal's side."""
    rows, columns, _ = low.shape
    count = rows * columns
    number = np.arange(count).reshape(rows, columns)
    border = np.concatenate(
        [number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]]
    )  # counter-clockwise seen against the normal
    after = np.roll(border, -1)
    cells = _cells(rows, columns)
    walls = [(border, after, after + count), (border, after + count, border + count)]
    triangles = np.concatenate(
        [cells[:, ::-1], cells + count, *(np.stack(wall, axis=1) for wall in walls)]
    )
    points = np.concatenate([low.reshape(-1, 3), high.reshape(-1, 3)])
    return SurfaceMesh(points, triangles, frame_uid, "the cutting surface")
