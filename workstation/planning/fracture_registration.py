"""One surface laid onto another by turning and shifting: iterative closest points.

Points of the one are matched with the nearest places of the other that face the same way; the
move that brings them onto the tangent planes there is solved for (Chen and Medioni, Image and
Vision Computing 10 (1992) 145-155), and only the best matching share of the points decides
(Chetverikov et al., ICPR 2002). Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from meshing.symmetry import even_points, face_normals
from segmentation.contract import Progress, silent
from segmentation.volume import Floats

COARSE, FINE = 600, 3000
"""Points that are matched while starts are compared, and at last."""

ROUNDS, FINE_ROUNDS = 12, 40
FACING = 0.3
WRONG_WAY_MM = 1e3
STILL_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Laid:
    """The 4x4 move found, and how well it lays the deciding share of the points (mm).

    ``cost_mm`` is the same with a penalty for points whose nearest place faces another way.
    """

    matrix: Floats
    rms_mm: float
    cost_mm: float


def lay_onto(
    moving: SurfaceMesh,
    target: SurfaceMesh,
    starts: Sequence[Floats],
    *,
    share: float,
    progress: Progress = silent,
) -> Laid:
    """Return the move that lays ``share`` (0 to 1) of one surface onto another best.

    ``starts`` are 4x4 moves to begin from; the best of them is refined.

    Raises:
        ValueError: if a surface is empty or there is no start.
    """
    if not starts:
        raise ValueError("laying one surface onto another needs a place to start from")
    finder, faces = NearestOnSurface(target), face_normals(target)
    best: Laid | None = None
    coarse = even_points(moving, COARSE)
    for n, start in enumerate(starts):
        progress(0.6 * n / len(starts), "trying places")
        found = _improved(coarse, finder, faces, start, share, ROUNDS)
        if best is None or found.cost_mm < best.cost_mm:
            best = found
    assert best is not None
    progress(0.7, "laying it on")
    return _improved(even_points(moving, FINE), finder, faces, best.matrix, share, FINE_ROUNDS)


def principal_starts(moving: SurfaceMesh, target: SurfaceMesh) -> list[Floats]:
    """Return the four moves that lay the principal axes of one surface onto the other's."""
    middles, frames = [], []
    for mesh in (moving, target):
        points = even_points(mesh, FINE)[0]
        middle = points.mean(axis=0)
        axes = np.linalg.eigh((points - middle).T @ (points - middle))[1]
        axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
        middles.append(middle)
        frames.append(axes)
    starts = []
    for flip in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        turn = frames[1] @ np.diag(flip) @ frames[0].T
        starts.append(_matrix(turn, middles[1] - turn @ middles[0]))
    return starts


def turned_starts(moving: SurfaceMesh, degrees: float) -> list[Floats]:
    """Return moves about a surface's middle: none, and turns by an angle about each axis."""
    middle = moving.points_mm.mean(axis=0)
    starts = [np.eye(4)]
    for axis in np.vstack([np.eye(3), -np.eye(3)]):
        turn = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
        starts.append(_matrix(turn, middle - turn @ middle))
    return starts


def _matrix(turn: Floats, shift: Floats) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


def _improved(
    cloud: tuple[Floats, Floats], finder: NearestOnSurface, faces: Floats, start: Floats,
    share: float, rounds: int,
) -> Laid:  # fmt: skip
    matrix, rms, cost = start, np.inf, np.inf
    for _ in range(rounds):
        points = cloud[0] @ matrix[:3, :3].T + matrix[:3, 3]
        normals = cloud[1] @ matrix[:3, :3].T
        found = finder(points)
        out = faces[found.triangle]
        alike = np.einsum("ij,ij->i", normals, out) > FACING
        away = np.where(alike, found.distance_mm, found.distance_mm + WRONG_WAY_MM)
        kept = away <= np.quantile(away, share)
        rms = float(np.sqrt((found.distance_mm[kept] ** 2).mean()))
        cost = float(np.sqrt((away[kept] ** 2).mean()))
        step = _solved(points[kept], found.point_mm[kept], out[kept])
        matrix = step @ matrix
        middle = points.mean(axis=0)
        if (
            np.linalg.norm(step[:3, :3] @ middle + step[:3, 3] - middle)
            + 100 * np.linalg.norm(step[:3, :3] - np.eye(3))
            < STILL_MM
        ):
            break
    return Laid(matrix, rms, cost)


def _solved(points: Floats, places: Floats, normals: Floats) -> Floats:
    """Return the small move that brings points onto the planes at their places."""
    middle = points.mean(axis=0)
    rows = np.hstack([np.cross(points - middle, normals), normals])
    right = np.einsum("ij,ij->i", normals, places - points)
    free = np.linalg.lstsq(rows, right, rcond=None)[0]
    turn = Rotation.from_rotvec(free[:3]).as_matrix()
    return _matrix(turn, middle + free[3:] - turn @ middle)
