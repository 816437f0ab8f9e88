"""Splits, collapses and flips of the edges of a closed triangle surface, compiled.

A surface is a few arrays, all of them changed in place: ``points`` (float64 (n, 3)), ``sizes``
(the edge length wanted at each point), ``kinds`` (0 inside a part, 1 on a line between parts, 2
where lines meet), ``corners`` (int64 (m, 3)), ``beside`` (the triangle across the edge opposite
each corner), ``lines`` (whether that edge lies on a line), ``parts`` (a number for each triangle,
-1 for one that is gone) and ``first`` (some triangle of each point, -1 for one that is gone).
Imported by the process that meshes only, since numba takes a second to start.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LONG, SHORT = 4.0 / 3.0, 4.0 / 5.0
"""Longer edges are split, shorter ones collapse (Botsch and Kobbelt, SGP 2004)."""

_compiled = numba.njit(cache=True)


@_compiled  # type: ignore[untyped-decorator]
def _place(row: Integers, value: int) -> int:
    if row[0] == value:
        return 0
    return 1 if row[1] == value else 2


@_compiled  # type: ignore[untyped-decorator]
def _length(points: Floats, a: int, b: int) -> float:
    x = points[a, 0] - points[b, 0]
    y = points[a, 1] - points[b, 1]
    z = points[a, 2] - points[b, 2]
    return float(np.sqrt(x * x + y * y + z * z))


@_compiled  # type: ignore[untyped-decorator]
def _join(
    corners: Integers,
    beside: Integers,
    lines: Flags,
    t: int,
    points: tuple[int, int, int],
    across: tuple[int, int, int],
    on: tuple[bool, bool, bool],
) -> None:
    """Give triangle ``t`` its points, and what lies across the edge opposite each."""
    for n in range(3):
        corners[t, n], beside[t, n], lines[t, n] = points[n], across[n], on[n]


@_compiled  # type: ignore[untyped-decorator]
def _close(beside: Integers, lines: Flags, one: int, other: int, gone: int, on_line: bool) -> None:
    """Let two triangles border on one another where ``gone`` lay between them."""
    i, j = _place(beside[one], gone), _place(beside[other], gone)
    beside[one, i], beside[other, j] = other, one
    lines[one, i] = lines[other, j] = on_line


@_compiled  # type: ignore[untyped-decorator]
def _normal(p: Floats, q: Floats, r: Floats) -> Floats:
    ux, uy, uz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    vx, vy, vz = r[0] - p[0], r[1] - p[1], r[2] - p[2]
    return np.array([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])


@_compiled  # type: ignore[untyped-decorator]
def _agree(one: Floats, two: Floats, least: float) -> bool:
    """Tell whether the cosine between two vectors is at least ``least``."""
    product = one[0] * two[0] + one[1] * two[1] + one[2] * two[2]
    a = one[0] ** 2 + one[1] ** 2 + one[2] ** 2
    b = two[0] ** 2 + two[1] ** 2 + two[2] ** 2
    return bool(product > least * np.sqrt(a * b) and b > 0.0)


@_compiled  # type: ignore[untyped-decorator]
def _ring(corners: Integers, beside: Integers, first: Integers, a: int, ring: Integers) -> int:
    """Write the triangles around point ``a`` in order; return how many, 0 for too many."""
    start = first[a]
    at, count = start, 0
    while True:
        if count == len(ring):
            return 0
        ring[count] = at
        count += 1
        at = beside[at, (_place(corners[at], a) + 1) % 3]
        if at == start:
            return count


@_compiled  # type: ignore[untyped-decorator]
def _meet(beside: Integers, t: int, old: int, new: int) -> None:
    """Let triangle ``t`` border on ``new`` where it bordered on ``old``."""
    beside[t, _place(beside[t], old)] = new


@_compiled  # type: ignore[untyped-decorator]
def split_long(
    points: Floats,
    sizes: Floats,
    kinds: Integers,
    corners: Integers,
    beside: Integers,
    lines: Flags,
    parts: Integers,
    first: Integers,
    used: Integers,
) -> int:
    """Halve edges that are too long; ``used`` counts points and triangles, growing with them.

    Returns how many were halved; the arrays have room for as many as fit.
    """
    done = 0
    for t in range(used[1]):
        for i in range(3):
            if parts[t] < 0 or used[0] + 1 > len(points) or used[1] + 2 > len(corners):
                continue
            c, a, b = corners[t, i], corners[t, (i + 1) % 3], corners[t, (i + 2) % 3]
            length = _length(points, a, b)
            if length <= LONG * (sizes[a] + sizes[b]) / 2.0:
                continue
            if length < _length(points, b, c) or length < _length(points, c, a):
                continue  # the longest edge of a triangle first
            u = beside[t, i]
            j = _place(beside[u], t)
            d = corners[u, j]
            on_line = lines[t, i]
            t_ca, t_bc = beside[t, (i + 2) % 3], beside[t, (i + 1) % 3]
            f_ca, f_bc = lines[t, (i + 2) % 3], lines[t, (i + 1) % 3]
            u_ad, u_db = beside[u, (j + 1) % 3], beside[u, (j + 2) % 3]
            f_ad, f_db = lines[u, (j + 1) % 3], lines[u, (j + 2) % 3]
            m, t2, u2 = used[0], used[1], used[1] + 1
            used[0] += 1
            used[1] += 2
            points[m] = (points[a] + points[b]) / 2.0
            sizes[m] = (sizes[a] + sizes[b]) / 2.0
            kinds[m] = 1 if on_line else 0
            parts[t2], parts[u2] = parts[t], parts[u]
            _join(corners, beside, lines, t, (c, a, m), (u2, t2, t_ca), (on_line, False, f_ca))
            _join(corners, beside, lines, t2, (c, m, b), (u, t_bc, t), (on_line, f_bc, False))
            _join(corners, beside, lines, u, (d, b, m), (t2, u2, u_db), (on_line, False, f_db))
            _join(corners, beside, lines, u2, (d, m, a), (t, u_ad, u), (on_line, f_ad, False))
            _meet(beside, t_bc, t, t2)
            _meet(beside, u_ad, u, u2)
            first[m], first[a], first[b], first[c], first[d] = t, t, u, t, u
            done += 1
    return done


@_compiled  # type: ignore[untyped-decorator]
def flip_edges(
    points: Floats,
    corners: Integers,
    beside: Integers,
    lines: Flags,
    parts: Integers,
    first: Integers,
    used: Integers,
) -> int:
    """Turn edges whose opposite angles exceed 180 degrees together; return how many."""
    ring = np.empty(200, np.int64)
    done = 0
    for t in range(used[1]):
        for i in range(3):
            if parts[t] < 0 or lines[t, i]:
                continue
            c, a, b = corners[t, i], corners[t, (i + 1) % 3], corners[t, (i + 2) % 3]
            u = beside[t, i]
            j = _place(beside[u], t)
            d = corners[u, j]
            if not _should_turn(points, a, b, c, d):
                continue
            count = _ring(corners, beside, first, c, ring)
            joined = count == 0
            for n in range(count):
                row = corners[ring[n]]
                joined = joined or row[0] == d or row[1] == d or row[2] == d
            if joined:
                continue
            t_ca, t_bc = beside[t, (i + 2) % 3], beside[t, (i + 1) % 3]
            f_ca, f_bc = lines[t, (i + 2) % 3], lines[t, (i + 1) % 3]
            u_ad, u_db = beside[u, (j + 1) % 3], beside[u, (j + 2) % 3]
            f_ad, f_db = lines[u, (j + 1) % 3], lines[u, (j + 2) % 3]
            _join(corners, beside, lines, t, (c, a, d), (u_ad, u, t_ca), (f_ad, False, f_ca))
            _join(corners, beside, lines, u, (d, b, c), (t_bc, t, u_db), (f_bc, False, f_db))
            _meet(beside, u_ad, u, t)
            _meet(beside, t_bc, t, u)
            first[a], first[b], first[c], first[d] = t, u, t, u
            done += 1
    return done


@_compiled  # type: ignore[untyped-decorator]
def _should_turn(points: Floats, a: int, b: int, c: int, d: int) -> bool:
    p, q, r, s = points[a], points[b], points[c], points[d]
    cosines = 0.0
    angle = 0.0
    for tip in (r, s):
        x, y = p - tip, q - tip
        product = x[0] * y[0] + x[1] * y[1] + x[2] * y[2]
        lengths = np.sqrt((x * x).sum() * (y * y).sum())
        cosines = min(max(product / max(lengths, 1e-300), -1.0), 1.0)
        angle += np.arccos(cosines)
    if angle <= np.pi + 1e-6:
        return False
    before = _normal(r, p, q) + _normal(s, q, p)
    one, two = _normal(r, p, s), _normal(s, q, r)
    return bool(_agree(before, one, 0.8) and _agree(before, two, 0.8))


@_compiled  # type: ignore[untyped-decorator]
def _fits(
    points: Floats,
    sizes: Floats,
    corners: Integers,
    ring: Integers,
    count: int,
    moved: int,
    other: int,
    place: Floats,
) -> bool:
    """Tell whether the triangles around ``moved`` stay upright when it goes to ``place``."""
    for n in range(count):
        row = corners[ring[n]]
        if row[0] == other or row[1] == other or row[2] == other:
            continue  # it vanishes
        i = _place(row, moved)
        q, r = row[(i + 1) % 3], row[(i + 2) % 3]
        before = _normal(points[moved], points[q], points[r])
        after = _normal(place, points[q], points[r])
        if not _agree(before, after, 0.7):
            return False
        x = np.sqrt(((place - points[q]) ** 2).sum())
        y = np.sqrt(((place - points[r]) ** 2).sum())
        if x > LONG * (sizes[other] + sizes[q]) / 2.0 or y > LONG * (sizes[other] + sizes[r]) / 2.0:
            return False
        area = np.sqrt((after * after).sum())
        if area < 0.1 * max(x, y) ** 2:  # a needle
            return False
    return True


@_compiled  # type: ignore[untyped-decorator]
def collapse_short(
    points: Floats,
    sizes: Floats,
    kinds: Integers,
    corners: Integers,
    beside: Integers,
    lines: Flags,
    parts: Integers,
    first: Integers,
    used: Integers,
) -> int:
    """Draw edges that are too short together into one point; return how many.

    Nothing folds, no needle or long edge arises, and lines between parts keep their place.
    """
    ring_a, ring_b = np.empty(100, np.int64), np.empty(100, np.int64)
    done = 0
    for t in range(used[1]):
        for i in range(3):
            if parts[t] < 0:
                break
            c, a, b = corners[t, i], corners[t, (i + 1) % 3], corners[t, (i + 2) % 3]
            on_line = lines[t, i]
            short = _length(points, a, b) < SHORT * (sizes[a] + sizes[b]) / 2.0
            if not short or kinds[a] > kinds[b] or kinds[a] == 2 or (kinds[a] == 1 and not on_line):
                continue
            u = beside[t, i]
            j = _place(beside[u], t)
            d = corners[u, j]
            f_ca, f_bc = lines[t, (i + 2) % 3], lines[t, (i + 1) % 3]
            f_ad, f_db = lines[u, (j + 1) % 3], lines[u, (j + 2) % 3]
            if (f_ca and f_bc) or (f_ad and f_db) or c == d:
                continue
            count_a, count_b = _rings_of_edge(corners, beside, first, (a, b, c, d), ring_a, ring_b)
            if count_a == 0:
                continue
            place = points[b].copy()
            if kinds[a] == kinds[b] == 0:
                place = (points[a] + points[b]) / 2.0
            if not _fits(points, sizes, corners, ring_a, count_a, a, b, place):
                continue
            if not _fits(points, sizes, corners, ring_b, count_b, b, a, place):
                continue
            t_ca, t_bc = beside[t, (i + 2) % 3], beside[t, (i + 1) % 3]
            u_ad, u_db = beside[u, (j + 1) % 3], beside[u, (j + 2) % 3]
            points[b] = place
            sizes[b] = min(sizes[a], sizes[b])
            for n in range(count_a):
                corners[ring_a[n], _place(corners[ring_a[n]], a)] = b
            _close(beside, lines, t_ca, t_bc, t, f_ca or f_bc)
            _close(beside, lines, u_ad, u_db, u, f_ad or f_db)
            parts[t] = parts[u] = -1
            first[a] = -1
            first[b], first[c], first[d] = t_bc, t_bc, u_db
            done += 1
            break
    return done


@_compiled  # type: ignore[untyped-decorator]
def _rings_of_edge(
    corners: Integers,
    beside: Integers,
    first: Integers,
    abcd: tuple[int, int, int, int],
    ring_a: Integers,
    ring_b: Integers,
) -> tuple[int, int]:
    """Fill in the rings of ``a`` and ``b``, between ``c`` and ``d``; return how many triangles.

    They are 0 where the surface would be pinched if the edge became a point.
    """
    a, b, c, d = abcd
    for point in (c, d):
        if _ring(corners, beside, first, point, ring_a) in (0, 3):
            return 0, 0
    count_a = _ring(corners, beside, first, a, ring_a)
    count_b = _ring(corners, beside, first, b, ring_b)
    pinched = count_a < 3 or count_b < 3 or count_a + count_b < 7
    if pinched or _common(corners, ring_a, count_a, ring_b, count_b, a, b) != 2:
        return 0, 0
    return count_a, count_b


@_compiled  # type: ignore[untyped-decorator]
def _common(
    corners: Integers,
    ring_a: Integers,
    count_a: int,
    ring_b: Integers,
    count_b: int,
    a: int,
    b: int,
) -> int:
    """Return how many points are joined to both ``a`` and ``b``."""
    found = 0
    for n in range(count_a):
        row = corners[ring_a[n]]
        point = row[(_place(row, a) + 1) % 3]
        for m in range(count_b):
            other = corners[ring_b[m]]
            if point != b and other[(_place(other, b) + 1) % 3] == point:
                found += 1
    return found


@_compiled  # type: ignore[untyped-decorator]
def centred(
    points: Floats,
    sizes: Floats,
    kinds: Integers,
    corners: Integers,
    beside: Integers,
    lines: Flags,
    first: Integers,
    used: Integers,
) -> Floats:
    """Return where each point should slide to: the middle of its ring, or of its line."""
    target = points[: used[0]].copy()
    ring = np.empty(200, np.int64)
    for a in range(used[0]):
        count = _ring(corners, beside, first, a, ring) if first[a] >= 0 and kinds[a] < 2 else 0
        middle, weight, normal = np.zeros(3), 0.0, np.zeros(3)
        for n in range(count):
            row = corners[ring[n]]
            i = _place(row, a)
            q, r = row[(i + 1) % 3], row[(i + 2) % 3]
            face = _normal(points[a], points[q], points[r])
            normal += face
            if kinds[a] == 0:
                size = (sizes[a] + sizes[q] + sizes[r]) / 3.0
                share = np.sqrt((face * face).sum()) / size**4
                middle += share * (points[a] + points[q] + points[r]) / 3.0
                weight += share
            elif lines[ring[n], (i + 2) % 3]:
                middle += points[q]
                weight += 1.0
        if weight > 0.0:
            step = middle / weight - points[a]
            if kinds[a] == 0:
                step -= normal * (step * normal).sum() / max((normal * normal).sum(), 1e-300)
            target[a] = points[a] + step
    return target


@_compiled  # type: ignore[untyped-decorator]
def move_upright(
    points: Floats,
    target: Floats,
    corners: Integers,
    beside: Integers,
    first: Integers,
    used: Integers,
) -> None:
    """Move each point to its target unless a triangle around it would tip over."""
    ring = np.empty(200, np.int64)
    for a in range(used[0]):
        count = _ring(corners, beside, first, a, ring) if first[a] >= 0 else 0
        upright = count > 0
        for n in range(count):
            row = corners[ring[n]]
            i = _place(row, a)
            q, r = points[row[(i + 1) % 3]], points[row[(i + 2) % 3]]
            upright = upright and _agree(_normal(points[a], q, r), _normal(target[a], q, r), 0.5)
        if upright:
            points[a] = target[a]
