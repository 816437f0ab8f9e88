"""Kernels of the walls between many labels, by tetrahedra between voxel centres.

Each cell of eight voxel centres falls into six tetrahedra about its diagonal (Freudenthal), whose
faces match those of the next cell. In each, the part of a label is what is nearer to its corners:
walls run through a point on every edge between two labels, one in every face of three and one in
every tetrahedron of four. Each label's part is the dual neighbourhood of its voxels, hence a
manifold, and walls are triangles that both sides share.
"""

from __future__ import annotations

from itertools import permutations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[np.uint16]

CHAINS = np.array(
    [[0, 1 << a, (1 << a) | (1 << b), 7] for a, b, _ in permutations(range(3))], np.int64
)
"""The corners (bit i + 2 j + 4 k) of the six tetrahedra, each within the next."""

FACE, MIDDLE, CODES = 8, 100, 128
"""A point's number is its lowest voxel's times `CODES`, plus the step of its edge, or `FACE` plus
both steps of its face, or `MIDDLE` plus the tetrahedron."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walls(labels: Values, chains: Integers) -> tuple[Integers, Integers]:
    """Return triangles (m, 3) of point numbers, and the labels (m, 2) behind and before each.

    Behind is the smaller label, but never 0. The border of ``labels`` [k, j, i] must hold one
    value only. Triangles are counter-clockwise seen from before on a right-handed grid.
    """
    nk, nj, ni = labels.shape
    room = 1 << 16
    cells, sides = np.empty((room, 3), np.int64), np.empty((room, 2), np.int64)
    found, between = np.empty((12, 3), np.int64), np.empty((12, 2), np.int64)
    value = np.empty(4, np.int64)
    count = 0
    for k in range(nk - 1):
        for j in range(nj - 1):
            for i in range(ni - 1):
                if _one_value(labels, k, j, i):
                    continue
                if count + 72 > room:
                    room *= 2
                    cells, sides = _longer(cells, room), _longer(sides, room)
                voxel = (k * nj + j) * ni + i
                for tetrahedron in range(6):
                    for n in range(4):
                        bits = chains[tetrahedron, n]
                        value[n] = labels[k + (bits >> 2), j + ((bits >> 1) & 1), i + (bits & 1)]
                    more = _split(value, found, between)
                    for n in range(more):
                        a, b = between[n, 0], between[n, 1]
                        if value[a] == 0 or value[a] > value[b] > 0:
                            a, b = b, a
                        turn = _turn(chains[tetrahedron], found[n], a, b)
                        for m in range(3):
                            corner = m if turn > 0 else 2 - m
                            cells[count, m] = _number(
                                voxel, ni, nj, chains[tetrahedron], found[n, corner], tetrahedron
                            )
                        sides[count, 0], sides[count, 1] = value[a], value[b]
                        count += 1
    return cells[:count], sides[:count]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _longer(rows: Integers, room: int) -> Integers:
    longer = np.empty((room, rows.shape[1]), np.int64)
    longer[: len(rows)] = rows
    return longer


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _one_value(labels: Values, k: int, j: int, i: int) -> bool:
    first = labels[k, j, i]
    for bits in range(1, 8):
        if labels[k + (bits >> 2), j + ((bits >> 1) & 1), i + (bits & 1)] != first:
            return False
    return True


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _split(value: Integers, found: Integers, between: Integers) -> int:
    """Write the walls inside one tetrahedron; return how many triangles.

    A wall's corner is a set of the tetrahedron's corners, as bits: two of an edge, three of a
    face or all four. ``between`` gets one corner on either side of each triangle.
    """
    count = 0
    for a in range(4):
        for b in range(a + 1, 4):
            if value[a] == value[b]:
                continue
            c = 0
            while c in (a, b):
                c += 1
            d = 6 - a - b - c
            ab, abc, abd = (1 << a) | (1 << b), 15 ^ (1 << d), 15 ^ (1 << c)
            free_c = value[c] != value[a] and value[c] != value[b]
            free_d = value[d] != value[a] and value[d] != value[b]
            if free_c and free_d and value[c] != value[d]:
                count = _add(found, between, count, a, b, ab, abc, 15)
                count = _add(found, between, count, a, b, ab, 15, abd)
            elif free_c and free_d:
                count = _add(found, between, count, a, b, ab, abc, abd)
            elif free_c or free_d:
                # One of the others shares a label: the wall is a strip of two edges, drawn once.
                other, third = (d, c) if free_c else (c, d)
                twin = a if value[other] == value[a] else b
                if twin < other:
                    across = b if twin == a else a
                    one, two = (1 << twin) | (1 << across), (1 << other) | (1 << across)
                    near, far = one | (1 << third), two | (1 << third)
                    count = _add(found, between, count, twin, across, one, near, far)
                    count = _add(found, between, count, twin, across, one, far, two)
    if count == 0:
        count = _split_in_two(value, found, between)
    return count


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _split_in_two(value: Integers, found: Integers, between: Integers) -> int:
    """Write the wall of a tetrahedron of two labels: a triangle, or a strip of two."""
    same = 0
    for n in range(1, 4):
        same += value[n] == value[0]
    if same == 3:
        return 0
    if same == 1:
        b = 1
        while value[b] != value[0]:
            b += 1
        c = 2 if b == 1 else 1
        d = 6 - b - c
        ac, ad, bd, bc = 1 | (1 << c), 1 | (1 << d), (1 << b) | (1 << d), (1 << b) | (1 << c)
        count = _add(found, between, 0, 0, c, ac, ad, bd)
        return int(_add(found, between, count, 0, c, ac, bd, bc))
    alone = 0
    if same == 2:
        while value[alone] == value[0]:
            alone += 1
    p, q, r = (alone + 1) % 4, (alone + 2) % 4, (alone + 3) % 4
    bit = 1 << alone
    return int(_add(found, between, 0, alone, p, bit | (1 << p), bit | (1 << q), bit | (1 << r)))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _add(
    found: Integers, between: Integers, count: int, a: int, b: int, p: int, q: int, r: int
) -> int:
    found[count, 0], found[count, 1], found[count, 2] = p, q, r
    between[count, 0], between[count, 1] = a, b
    return count + 1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _turn(chain: Integers, corners: Integers, a: int, b: int) -> float:
    """Return whether a triangle is seen counter-clockwise from corner b (> 0) or from a (< 0)."""
    at = np.zeros((3, 3))
    for m in range(3):
        size = 0
        for n in range(4):
            if corners[m] & (1 << n):
                size += 1
                for axis in range(3):
                    at[m, axis] += (chain[n] >> axis) & 1
        at[m] /= size
    u, v = at[1] - at[0], at[2] - at[0]
    total = 0.0
    for axis in range(3):
        x, y = (axis + 1) % 3, (axis + 2) % 3
        way = ((chain[b] >> axis) & 1) - ((chain[a] >> axis) & 1)
        total += (u[x] * v[y] - u[y] * v[x]) * way
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _number(voxel: int, ni: int, nj: int, chain: Integers, corners: int, tetrahedron: int) -> int:
    """Return the number of a wall's corner, the same from every tetrahedron that has it."""
    first, second, third = -1, 0, 0
    for n in range(4):
        if corners & (1 << n):
            bits = chain[n]
            if first < 0:
                first = bits
            elif second == 0:
                second = bits ^ first
            else:
                third = bits ^ first
    low = voxel + (first & 1) + ((first >> 1) & 1) * ni + (first >> 2) * ni * nj
    if corners == 15:
        return int(low * CODES + MIDDLE + tetrahedron)
    return int(low * CODES + (FACE + 8 * second + third if third else second))


def voxels_of(numbers: Integers, shape: tuple[int, int, int]) -> tuple[Integers, Integers]:
    """Return for each point number its voxels (n, 4), flat, and how many they are.

    Voxels beyond those that a point has repeat its first.
    """
    low, code = numbers // CODES, numbers % CODES
    bits = np.zeros((len(numbers), 4), np.int64)
    edge, face, middle = code < FACE, (code >= FACE) & (code < MIDDLE), code >= MIDDLE
    bits[edge, 1] = code[edge]
    bits[face, 1], bits[face, 2] = (code[face] - FACE) // 8, (code[face] - FACE) % 8
    bits[middle] = CHAINS[code[middle] - MIDDLE]
    _, nj, ni = shape
    step = (bits & 1) + ((bits >> 1) & 1) * ni + (bits >> 2) * ni * nj
    return low[:, None] + step, np.where(edge, 2, np.where(face, 3, 4))
