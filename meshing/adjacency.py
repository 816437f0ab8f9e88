"""Which triangles meet at points and edges, in time that grows with their number only."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def incidence(triangles: Integers, points: int) -> tuple[Integers, Integers]:
    """Return starts (points + 1,) and triangle numbers: point p has those of starts[p : p + 2]."""
    starts = np.zeros(points + 1, np.int64)
    for n in range(len(triangles)):
        for m in range(3):
            starts[triangles[n, m] + 1] += 1
    for n in range(points):
        starts[n + 1] += starts[n]
    fill = starts[:-1].copy()
    members = np.empty(3 * len(triangles), np.int64)
    for n in range(len(triangles)):
        for m in range(3):
            point = triangles[n, m]
            members[fill[point]] = n
            fill[point] += 1
    return starts, members


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def edge_uses(
    triangles: Integers, starts: Integers, members: Integers
) -> tuple[Integers, Integers, Integers]:
    """Return edges (n, 2), smaller point first, how many triangles use each, and the balance.

    The balance is the number of uses from the smaller to the larger point less the others: 0
    where two neighbours agree on which side is outside.
    """
    edges = np.empty((3 * len(triangles), 2), np.int64)
    uses = np.zeros(3 * len(triangles), np.int64)
    balance = np.zeros(3 * len(triangles), np.int64)
    count = 0
    for point in range(len(starts) - 1):
        first = count
        for place in range(starts[point], starts[point + 1]):
            triangle = triangles[members[place]]
            for n in range(3):
                a, b = triangle[n], triangle[(n + 1) % 3]
                if point not in (a, b) or a == b:
                    continue
                other = b if a == point else a
                if other < point:
                    continue
                edge = first
                while edge < count and edges[edge, 1] != other:
                    edge += 1
                if edge == count:
                    edges[edge, 0], edges[edge, 1] = point, other
                    count += 1
                uses[edge] += 1
                balance[edge] += 1 if a == point else -1
    return edges[:count], uses[:count], balance[:count]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fans(triangles: Integers, starts: Integers, members: Integers) -> Integers:
    """Return for each point into how many fans its triangles fall; a manifold has one."""
    counts = np.zeros(len(starts) - 1, np.int64)
    largest = 0
    for point in range(len(counts)):
        largest = max(largest, starts[point + 1] - starts[point])
    group = np.empty(largest, np.int64)
    for point in range(len(counts)):
        first, size = starts[point], starts[point + 1] - starts[point]
        for n in range(size):
            group[n] = n
        for n in range(size):
            for m in range(n):
                if group[n] != group[m] and _share(
                    triangles[members[first + n]], triangles[members[first + m]], point
                ):
                    old, new = max(group[n], group[m]), min(group[n], group[m])
                    for other in range(size):
                        if group[other] == old:
                            group[other] = new
        for n in range(size):
            counts[point] += group[n] == n
    return counts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _share(one: Integers, other: Integers, point: int) -> bool:
    """Tell whether two triangles have a point in common besides this one."""
    for n in range(3):
        for m in range(3):
            if one[n] == other[m] and one[n] != point:
                return True
    return False


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def neighbours(triangles: Integers, starts: Integers, members: Integers) -> Integers:
    """Return (m, 3): the triangle across the edge from point n to the next, -1 where none is.

    Of several triangles across one edge the first that runs the other way is taken.
    """
    across = np.full((len(triangles), 3), -1, np.int64)
    for triangle in range(len(triangles)):
        for n in range(3):
            a, b = triangles[triangle, n], triangles[triangle, (n + 1) % 3]
            for place in range(starts[a], starts[a + 1]):
                other = members[place]
                for m in range(3):
                    if triangles[other, m] == b and triangles[other, (m + 1) % 3] == a:
                        across[triangle, n] = other
                        break
                if across[triangle, n] >= 0:
                    break
    return across


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pieces(triangles: Integers, starts: Integers, members: Integers) -> Integers:
    """Return for each triangle the number, from 0, of the piece that its edges connect it to."""
    piece = np.full(len(triangles), -1, np.int64)
    stack = np.empty(len(triangles), np.int64)
    count = 0
    for seed in range(len(triangles)):
        if piece[seed] >= 0:
            continue
        piece[seed], stack[0], depth = count, seed, 1
        while depth:
            depth -= 1
            triangle = stack[depth]
            for n in range(3):
                a, b = triangles[triangle, n], triangles[triangle, (n + 1) % 3]
                for place in range(starts[a], starts[a + 1]):
                    other = members[place]
                    if piece[other] < 0 and b in (
                        triangles[other, 0],
                        triangles[other, 1],
                        triangles[other, 2],
                    ):
                        piece[other], stack[depth] = count, other
                        depth += 1
        count += 1
    return piece
