"""Where rays meet a surface: what lies opposite a wall or across a gap, and what lies inside."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from meshing.tree import LEAF, TriangleTree
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

AT_ONCE = 50_000
"""Rays between two reports of progress."""

SLANTED = (0.613, 0.347, 0.7097)
"""A direction that no drawn or scanned surface runs along."""


def first_hits(
    tree: TriangleTree,
    starts_mm: Floats,
    directions: Floats,
    skipped: Integers,
    *,
    reach_mm: float,
    progress: Progress = silent,
) -> tuple[Floats, Integers]:
    """Return how far each ray goes and which triangle it meets first; infinity and -1 for none.

    Args:
        tree: the surface.
        starts_mm: (n, 3), LPS mm.
        directions: (n, 3) unit vectors.
        skipped: the triangle that each ray starts on, or -1.
        reach_mm: how far to look.
        progress: told how far the work is.
    """
    distance = np.full(len(starts_mm), np.inf)
    triangle = np.full(len(starts_mm), -1, np.int64)
    for start in range(0, len(starts_mm), AT_ONCE):
        progress(start / len(starts_mm), "looking across walls and gaps")
        part = slice(start, start + AT_ONCE)
        _first(
            tree.points_mm,
            tree.triangles,
            tree.order,
            tree.low_mm,
            tree.high_mm,
            tree.leaves,
            np.ascontiguousarray(starts_mm[part], np.float64),
            np.ascontiguousarray(directions[part], np.float64),
            np.ascontiguousarray(skipped[part], np.int64),
            reach_mm,
            distance[part],
            triangle[part],
        )
    return distance, triangle


def windings(tree: TriangleTree, points_mm: Floats, own: Integers, piece: Integers) -> Integers:
    """Return how often the surface encloses each point (n, 3), LPS mm.

    Triangles whose ``piece`` is the point's ``own`` are left out; a solid counts 1, a cavity -1.
    """
    count = np.zeros(len(points_mm), np.int64)
    _wind(
        tree.points_mm,
        tree.triangles,
        tree.order,
        tree.low_mm,
        tree.high_mm,
        tree.leaves,
        np.ascontiguousarray(points_mm, np.float64),
        np.asarray(SLANTED),
        np.ascontiguousarray(own, np.int64),
        np.ascontiguousarray(piece, np.int64),
        count,
    )
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _first(
    points: Floats,
    triangles: Integers,
    order: Integers,
    low: Floats,
    high: Floats,
    leaves: int,
    starts: Floats,
    directions: Floats,
    skipped: Integers,
    reach: float,
    distance: Floats,
    triangle: Integers,
) -> None:
    stack = np.empty(128, np.int64)
    for n in range(len(starts)):
        best, found = reach, -1
        stack[0], depth = 1, 1
        while depth:
            depth -= 1
            node = stack[depth]
            if not _box_on_ray(low[node], high[node], starts[n], directions[n], best):
                continue
            if node < leaves:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node
                depth += 2
                continue
            first = LEAF * (node - leaves)
            for place in range(first, min(first + LEAF, len(order))):
                cell = order[place]
                if cell != skipped[n]:
                    away, _ = _along(points, triangles[cell], starts[n], directions[n])
                    if 0.0 <= away < best:
                        best, found = away, cell
        if found >= 0:
            distance[n], triangle[n] = best, found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _wind(
    points: Floats,
    triangles: Integers,
    order: Integers,
    low: Floats,
    high: Floats,
    leaves: int,
    starts: Floats,
    direction: Floats,
    own: Integers,
    piece: Integers,
    count: Integers,
) -> None:
    stack = np.empty(128, np.int64)
    for n in range(len(starts)):
        stack[0], depth = 1, 1
        while depth:
            depth -= 1
            node = stack[depth]
            if not _box_on_ray(low[node], high[node], starts[n], direction, np.inf):
                continue
            if node < leaves:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node
                depth += 2
                continue
            first = LEAF * (node - leaves)
            for place in range(first, min(first + LEAF, len(order))):
                cell = order[place]
                if piece[cell] != own[n]:
                    away, side = _along(points, triangles[cell], starts[n], direction)
                    if away >= 0.0:
                        count[n] += 1 if side > 0 else -1


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _box_on_ray(low: Floats, high: Floats, start: Floats, direction: Floats, reach: float) -> bool:
    near, far = 0.0, reach
    for n in range(3):
        if low[n] > high[n]:
            return False
        if direction[n] == 0.0:
            if start[n] < low[n] or start[n] > high[n]:
                return False
            continue
        one = (low[n] - start[n]) / direction[n]
        other = (high[n] - start[n]) / direction[n]
        near, far = max(near, min(one, other)), min(far, max(one, other))
    return near <= far * (1.0 + 1e-12) + 1e-12


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _along(
    points: Floats, triangle: Integers, start: Floats, direction: Floats
) -> tuple[float, float]:
    """Return how far along the ray a triangle lies (-1: not), and its normal along the ray.

    Moeller and Trumbore, Fast minimum storage ray-triangle intersection, 1997.
    """
    a, b, c = points[triangle[0]], points[triangle[1]], points[triangle[2]]
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    px = direction[1] * vz - direction[2] * vy
    py = direction[2] * vx - direction[0] * vz
    pz = direction[0] * vy - direction[1] * vx
    det = ux * px + uy * py + uz * pz
    if det == 0.0:
        return -1.0, 0.0
    wx, wy, wz = start[0] - a[0], start[1] - a[1], start[2] - a[2]
    s = (wx * px + wy * py + wz * pz) / det
    if s < 0.0 or s > 1.0:
        return -1.0, 0.0
    qx, qy, qz = wy * uz - wz * uy, wz * ux - wx * uz, wx * uy - wy * ux
    t = (direction[0] * qx + direction[1] * qy + direction[2] * qz) / det
    if t < 0.0 or s + t > 1.0:
        return -1.0, 0.0
    # The determinant is minus the direction along the normal: outward along the ray is exit.
    return (vx * qx + vy * qy + vz * qz) / det, -det
