"""The wall of a dome without the steps of voxels, so that its hull and area are not theirs.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.cell_sizes import point_normals
from meshing.sections import in_plane

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST = 12  # points around one, and a quadric is fitted to them
BEYOND = 2.0  # reaches away, a point does not count any more
STEADY = 1e-9  # of the weights, so that points on a line have a quadric too


def evened(points: Floats, wall: Ints, reach_mm: float) -> Floats:
    """Return points with those of the triangles ``wall`` on the quadrics of their surroundings.

    Each moves along its normal onto the quadric that fits the points around it best, weighted by
    a Gaussian of ``reach_mm`` (moving least squares): what is narrower than the reach is evened
    out, and a wall that is curved no more sharply stays where it is.
    """
    used = np.unique(wall)
    own, normals = points[used], point_normals(points, wall)[used]
    near = cKDTree(own).query_ball_point(own, BEYOND * reach_mm)
    moved = points.copy()
    for n, (place, normal) in enumerate(zip(own, normals)):
        beside = np.array(near[n])
        beside = beside[normals[beside] @ normal > 0]
        if len(beside) >= LEAST:
            moved[used[n]] = place + _height(own[beside] - place, normal, reach_mm) * normal
    return moved


def _height(arms: Floats, normal: Floats, reach_mm: float) -> float:
    """Return how high above a place the quadric of points lies, ``arms`` from there."""
    u, v = in_plane(normal)
    x, y = arms @ u / reach_mm, arms @ v / reach_mm
    weight = np.exp(-(x**2) - y**2)[:, None]
    rows = np.column_stack([np.ones(len(x)), x, y, x**2, x * y, y**2])
    square = (rows * weight).T @ rows + STEADY * weight.sum() * np.eye(6)
    return float(np.linalg.solve(square, (rows * weight).T @ (arms @ normal))[0])
