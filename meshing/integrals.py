"""Sums over the triangles of a surface, without a copy of them."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def volume_of(points: Floats, triangles: Integers) -> float:
    """Return the enclosed volume in mm3 below all triangles, by the divergence theorem.

    It is negative where normals point inward, and the enclosed volume of a closed surface.
    """
    total = 0.0
    if not len(triangles):
        return total
    x, y, z = points[triangles[0, 0], 0], points[triangles[0, 0], 1], points[triangles[0, 0], 2]
    for n in range(len(triangles)):
        a, b, c = triangles[n, 0], triangles[n, 1], triangles[n, 2]
        ax, ay, az = points[a, 0] - x, points[a, 1] - y, points[a, 2] - z
        bx, by, bz = points[b, 0] - x, points[b, 1] - y, points[b, 2] - z
        cx, cy, cz = points[c, 0] - x, points[c, 1] - y, points[c, 2] - z
        total += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return total / 6.0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def area_of(points: Floats, triangles: Integers) -> float:
    """Return the area of all triangles in mm2."""
    total = 0.0
    for n in range(len(triangles)):
        a, b, c = triangles[n, 0], triangles[n, 1], triangles[n, 2]
        ux, uy, uz = (
            points[b, 0] - points[a, 0],
            points[b, 1] - points[a, 1],
            points[b, 2] - points[a, 2],
        )
        vx, vy, vz = (
            points[c, 0] - points[a, 0],
            points[c, 1] - points[a, 1],
            points[c, 2] - points[a, 2],
        )
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        total += np.sqrt(x * x + y * y + z * z)
    return total / 2.0
