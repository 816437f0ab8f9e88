"""Rigid moves of pieces of bone, as matrices and as transforms within one frame of reference.

Points are DICOM patient LPS millimetres; a move takes the points of a piece to their new places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from meshing.measuring import as_vector
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Number
from segmentation.transform import Transform
from segmentation.volume import Floats, ImageGeometry, Vector


def turn_about(point_mm: npt.ArrayLike, axis: npt.ArrayLike, degrees: float) -> Floats:
    """Return the 4x4 turn about a line through a point (LPS mm) along a unit axis."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float)).as_matrix()
    return _about(np.asarray(point_mm, float), turn)


def six_numbers(centre_mm: npt.ArrayLike, shift_mm: Vector, turn_degrees: Vector) -> Floats:
    """Return the 4x4 move: turns about x, y and z (LPS) through a centre, then a shift in mm."""
    turn = Rotation.from_euler("xyz", turn_degrees, degrees=True).as_matrix()
    matrix = _about(np.asarray(centre_mm, float), turn)
    matrix[:3, 3] += shift_mm
    return matrix


def turned_degrees(matrix: Floats) -> float:
    """Return by how much a move turns."""
    return float(np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude()))


def as_transform(
    matrix: Floats,
    frame_uid: str,
    centre_mm: npt.ArrayLike,
    numbers: Sequence[Number] = (),
    findings: Sequence[Finding] = (),
) -> Transform:
    """Return a move as a transform of a frame into itself; its grid is one voxel at ``centre``."""
    grid = ImageGeometry(
        (1, 1, 1), (1.0, 1.0, 1.0), as_vector(centre_mm), tuple(np.eye(3).ravel()), frame_uid
    )
    return Transform(frame_uid, frame_uid, tuple(matrix.ravel()), grid,
                     findings=tuple(findings), numbers=tuple(numbers))  # fmt: skip


def moved_surface(mesh: SurfaceMesh, move: Transform) -> SurfaceMesh:
    """Return a surface at its new place, without the numbers of the old one."""
    return replace(
        mesh.reshaped(move.apply(mesh.points_mm), mesh.triangles), numbers=(), findings=()
    )


def _about(point: Floats, turn: Floats) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = point - turn @ point
    return matrix
