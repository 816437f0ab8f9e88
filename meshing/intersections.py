"""Where a surface meets itself, decided with exact arithmetic."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from meshing.mesh import SurfaceMesh
from meshing.predicates import side_of_line, side_of_plane
from meshing.tree import LEAF, TriangleTree, triangle_tree
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AT_ONCE = 50_000
"""Triangles between two reports of progress."""


def self_intersections(mesh: SurfaceMesh, *, progress: Progress = silent) -> Integers:
    """Return the pairs (n, 2) of triangle numbers that meet where they should not, in order.

    Two triangles may share a point or an edge by its point numbers; whatever else they have in
    common, a touch included, counts. Points at one place must be one point beforehand.
    Triangles without area are left out, since `meshing.check` counts them.
    """
    return intersecting_pairs(mesh.points_mm, mesh.triangles, progress=progress)


def intersecting_pairs(
    points_mm: Floats,
    triangles: Integers,
    *,
    among: Flags | None = None,
    progress: Progress = silent,
) -> Integers:
    """Return `self_intersections` of points (n, 3) in mm and triangles (m, 3).

    Where ``among`` (m,) is given, only pairs with at least one of those triangles are looked for.
    """
    tree = triangle_tree(points_mm, triangles)
    asked = np.ones(len(tree.triangles), np.bool_) if among is None else among
    found: list[Integers] = []
    for start in range(0, len(tree.triangles), AT_ONCE):
        progress(start / len(tree.triangles), "looking for self-intersections")
        stop = min(start + AT_ONCE, len(tree.triangles))
        found.append(_pairs_of(tree, asked, start, stop))
    pairs = np.vstack([np.empty((0, 2), np.int64), *found])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _pairs_of(tree: TriangleTree, asked: Flags, start: int, stop: int) -> Integers:
    """Return the pairs of the triangles at these places of the tree's order."""
    room = 1024
    while True:
        pairs = np.empty((room, 2), np.int64)
        count = _collect(
            tree.points_mm,
            tree.triangles,
            tree.order,
            tree.low_mm,
            tree.high_mm,
            tree.leaves,
            asked,
            start,
            stop,
            pairs,
        )
        if count <= room:
            return pairs[:count]
        room = count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _collect(
    points: Floats,
    triangles: Integers,
    order: Integers,
    low: Floats,
    high: Floats,
    leaves: int,
    asked: Flags,
    start: int,
    stop: int,
    pairs: Integers,
) -> int:
    """Fill in pairs (first number smaller); return how many there are, even if they do not fit.

    Of two asked triangles the one that comes first finds the pair.
    """
    count = 0
    stack = np.empty(128, np.int64)
    a, b = np.empty((3, 3)), np.empty((3, 3))
    lows, highs = np.empty(3), np.empty(3)
    for place in range(start, stop):
        one = order[place]
        if not asked[one]:
            continue
        _copy(points, triangles[one], a)
        for n in range(3):
            lows[n] = min(a[0, n], a[1, n], a[2, n])
            highs[n] = max(a[0, n], a[1, n], a[2, n])
        stack[0], depth = 1, 1
        while depth:
            depth -= 1
            node = stack[depth]
            if not _boxes_meet(low[node], high[node], lows, highs):
                continue
            if node < leaves:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node
                depth += 2
                continue
            first = LEAF * (node - leaves)
            for other_place in range(first, min(first + LEAF, len(order))):
                other = order[other_place]
                if other_place <= place and asked[other]:
                    continue
                _copy(points, triangles[other], b)
                if _apart(b, lows, highs) or not _meet(a, b, triangles[one], triangles[other]):
                    continue
                if count < len(pairs):
                    pairs[count, 0], pairs[count, 1] = min(one, other), max(one, other)
                count += 1
    return count


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _copy(points: Floats, triangle: Integers, corners: Floats) -> None:
    for n in range(3):
        for m in range(3):
            corners[n, m] = points[triangle[n], m]


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _apart(b: Floats, lows: Floats, highs: Floats) -> bool:
    """Tell whether the box of a triangle misses another box."""
    for n in range(3):
        if lows[n] > max(b[0, n], b[1, n], b[2, n]) or highs[n] < min(b[0, n], b[1, n], b[2, n]):
            return True
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _boxes_meet(low: Floats, high: Floats, lows: Floats, highs: Floats) -> bool:
    return bool(
        low[0] <= highs[0]
        and high[0] >= lows[0]
        and low[1] <= highs[1]
        and high[1] >= lows[1]
        and low[2] <= highs[2]
        and high[2] >= lows[2]
    )


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _meet(a: Floats, b: Floats, one: Integers, other: Integers) -> bool:
    """Tell whether two triangles share more than points and edges of the same numbers."""
    shared, mine, mine_too, its, its_too = 0, 0, 0, 0, 0
    for n in range(3):
        for m in range(3):
            if one[n] == other[m]:
                if shared == 0:
                    mine, its = n, m
                else:
                    mine_too, its_too = n, m
                shared += 1
    if shared > 2:
        return True
    if shared == 2:
        u, v, p, q = a[mine], a[mine_too], a[3 - mine - mine_too], b[3 - its - its_too]
        if side_of_plane(u, v, p, q) != 0 or _dimension(b) < 0:
            return False
        axis = _dimension(a)
        x, y = (axis + 1) % 3, (axis + 2) % 3
        turns = side_of_line(u, v, p, x, y) * side_of_line(u, v, q, x, y)
        return bool(axis >= 0 and turns > 0)
    if shared == 1:
        p, q = a[(mine + 1) % 3], a[(mine + 2) % 3]
        if side_of_plane(b[0], b[1], b[2], p) * side_of_plane(b[0], b[1], b[2], q) > 0:
            return False
        u, v = b[(its + 1) % 3], b[(its + 2) % 3]
        if _dimension(a) < 0 or _dimension(b) < 0:
            return False
        return bool(_cuts(p, q, b) or _cuts(u, v, a))
    return bool(_apart_meet(a, b))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _apart_meet(a: Floats, b: Floats) -> bool:
    """Tell whether two triangles without a common point number meet."""
    lowest, highest = 1, -1
    for n in range(3):
        side = side_of_plane(b[0], b[1], b[2], a[n])
        lowest, highest = min(lowest, side), max(highest, side)
    if lowest > 0 or highest < 0 or _dimension(a) < 0 or _dimension(b) < 0:
        return False
    found = False
    for n in range(3):
        m = (n + 1) % 3
        found = found or _cuts(a[n], a[m], b) or _cuts(b[n], b[m], a)
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _dimension(a: Floats) -> int:
    """Return the axis along which a triangle looks largest, or -1 if it has no area."""
    size, axis = 0.0, 0
    for n in range(3):
        x, y = (n + 1) % 3, (n + 2) % 3
        area = abs(
            (a[1, x] - a[0, x]) * (a[2, y] - a[0, y]) - (a[1, y] - a[0, y]) * (a[2, x] - a[0, x])
        )
        if area > size:
            size, axis = area, n
    if side_of_line(a[0], a[1], a[2], (axis + 1) % 3, (axis + 2) % 3) != 0:
        return axis
    for n in range(3):
        if side_of_line(a[0], a[1], a[2], (n + 1) % 3, (n + 2) % 3) != 0:
            return n
    return -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _cuts(p: Floats, q: Floats, b: Floats) -> bool:
    """Tell whether the segment p q meets a triangle with an area, ends and edges included."""
    before, after = side_of_plane(b[0], b[1], b[2], p), side_of_plane(b[0], b[1], b[2], q)
    if before * after > 0:
        return False
    if before == 0 and after == 0:
        return bool(_cuts_in_plane(p, q, b))
    lowest, highest = 0, 0
    for n in range(3):
        turn = side_of_plane(p, q, b[n], b[(n + 1) % 3])
        lowest, highest = min(lowest, turn), max(highest, turn)
    return lowest == 0 or highest == 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _cuts_in_plane(p: Floats, q: Floats, b: Floats) -> bool:
    """Tell whether the segment p q meets a triangle that lies in its plane."""
    axis = _dimension(b)
    x, y = (axis + 1) % 3, (axis + 2) % 3
    turn = side_of_line(b[0], b[1], b[2], x, y)
    inside = True
    for n in range(3):
        u, v = b[n], b[(n + 1) % 3]
        of_p, of_q = side_of_line(u, v, p, x, y), side_of_line(u, v, q, x, y)
        inside = inside and of_p * turn >= 0
        of_u, of_v = side_of_line(p, q, u, x, y), side_of_line(p, q, v, x, y)
        if of_p * of_q <= 0 and of_u * of_v <= 0 and _overlap(p, q, u, v, x, y):
            return True
    return inside


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _overlap(p: Floats, q: Floats, u: Floats, v: Floats, x: int, y: int) -> bool:
    """Tell whether the boxes of two segments meet: what is left to ask where they line up."""
    for n in (x, y):
        if max(p[n], q[n]) < min(u[n], v[n]) or max(u[n], v[n]) < min(p[n], q[n]):
            return False
    return True
