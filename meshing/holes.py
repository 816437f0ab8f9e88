"""Holes of a surface: their rims, and patches that close them.

A patch is triangulated so that it bends least at its sharpest edge and then has the smallest
area, refined to the size of the triangles around it, and then either bent smoothly into them or
stretched like a soap film. After Liepa, Filling holes in meshes, SGP 2003. Space is LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import spsolve

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_RIM = 300
"""Points of a rim that are triangulated at best; from longer ones short ears are cut first."""

_ROUNDS = 2  # fairing weights follow the shape, so the system is solved that often


@dataclass(frozen=True, eq=False)
class Patch:
    """What closes a rim of n points: ``points_mm`` are new, ``triangles`` count the rim first."""

    points_mm: Floats
    triangles: Integers


def half_edges(triangles: Integers) -> tuple[Integers, Integers]:
    """Return start and end of the three half-edges of each triangle, in order."""
    return triangles.ravel(), triangles[:, (1, 2, 0)].ravel()


def free_edges(triangles: Integers, points: int) -> tuple[Integers, Integers]:
    """Return start and end of the half-edges that have no opposite."""
    start, end = half_edges(triangles)
    free = ~np.isin(start * points + end, end * points + start)
    return start[free], end[free]


def rims(triangles: Integers, points: int) -> list[Integers]:
    """Return the point numbers around each hole, in the direction that a patch must run.

    At each point at most one hole may pass, see `meshing.repair`.
    """
    start, end = free_edges(triangles, points)
    before = dict(zip(end.tolist(), start.tolist()))
    found = []
    while before:
        first = min(before)
        rim, at = [first], before.pop(first)
        while at != first:
            rim.append(at)
            at = before.pop(at)
        found.append(np.array(rim, np.int64))
    return found


def neighbours(triangles: Integers, points: int) -> csr_matrix:
    """Return the symmetric matrix of the edges, entries 1."""
    start, end = half_edges(triangles)
    both = coo_matrix(
        (
            np.ones(2 * len(start), np.int8),
            (np.concatenate([start, end]), np.concatenate([end, start])),
        ),
        (points, points),
    ).tocsr()
    both.data[:] = 1
    return both


def rim_normals(points_mm: Floats, triangles: Integers, rim: Integers) -> Floats:
    """Return (n, 3) unit normals of the triangles along a rim, the n-th at its n-th edge."""
    start, end = np.roll(rim, -1), rim
    a, b = half_edges(triangles)
    count = len(points_mm)
    order = np.argsort(a * count + b)
    at = order[np.searchsorted((a * count + b)[order], start * count + end)] // 3
    corners = points_mm[triangles[at]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-30)[:, None])


def patch(
    points_mm: Floats, rim: Integers, normals: Floats, edges: csr_matrix, *, bend: bool
) -> Patch:
    """Return what closes a rim (point numbers): bent smoothly, or else stretched.

    ``normals`` are those of `rim_normals`, or zeros where the rim has no surface to follow;
    ``edges`` those of `neighbours`.
    """
    around = points_mm[rim]
    taken = _chords(rim, edges)
    triangles = triangulated(around, normals, taken)
    if not len(triangles):  # every chord exists already
        n = len(rim)
        spokes = np.stack([np.arange(n), np.roll(np.arange(n), -1), np.full(n, n)], axis=1)
        return Patch(around.mean(axis=0)[None], spokes.astype(np.int64))
    length = np.linalg.norm(np.roll(around, -1, axis=0) - around, axis=1)
    size = (length + np.roll(length, 1)) / 2
    # A rim point on very short edges would ask for needles.
    size = np.maximum(size, 0.3 * np.median(length))
    made, triangles = _refined(around, size, triangles)
    if not len(made):
        return Patch(made, triangles)
    outer = _outer(points_mm, rim, edges) if bend else None
    return Patch(_faired(around, made, triangles, outer), triangles)


def _chords(rim: Integers, edges: csr_matrix) -> Bools:
    """Return (n, n) which points of a rim an edge joins already."""
    taken = edges[rim][:, rim].toarray().astype(bool)
    n = np.arange(len(rim))
    taken[n, (n + 1) % len(rim)] = taken[(n + 1) % len(rim), n] = False
    # A rim that goes there and back over a bridge passes two of its points twice.
    return np.asarray(taken | (rim[:, None] == rim))


def triangulated(around: Floats, normals: Floats, taken: Bools) -> Integers:
    """Return triangles of rim places; none where existing edges forbid them all."""
    rest = np.arange(len(around))
    ears: list[Integers] = []
    if len(rest) > MOST_RIM:
        rest, cut = _cut_ears(around, taken, MOST_RIM)
        ears.append(cut)
    kept = normals[rest] if len(rest) == len(around) else np.zeros((len(rest), 3))
    best = _best(around[rest], kept, taken[np.ix_(rest, rest)])
    if len(rest) > 2 and best[0, -1] < 0:
        return np.empty((0, 3), np.int64)
    found, todo = [], [(0, len(rest) - 1)]
    while todo:
        i, j = todo.pop()
        if j - i < 2:
            continue
        k = int(best[i, j])
        found.append((rest[i], rest[k], rest[j]))
        todo += [(i, k), (k, j)]
    return np.concatenate([*ears, np.array(found, np.int64).reshape(-1, 3)])


@njit(cache=True)  # type: ignore[untyped-decorator]
def _cut_ears(around: Floats, taken: Bools, most: int) -> tuple[Integers, Integers]:
    """Cut the ears with the shortest chords until ``most`` points are left."""
    n = len(around)
    before, after = np.arange(n) - 1, np.arange(n) + 1
    before[0], after[n - 1] = n - 1, 0
    alive = np.ones(n, np.bool_)
    cut = np.empty((n - most, 3), np.int64)
    count = 0
    for step in range(n - most):
        least, at = np.inf, -1
        for m in range(n):
            if alive[m] and not taken[before[m], after[m]]:
                d = around[before[m]] - around[after[m]]
                far = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
                if far < least:
                    least, at = far, m
        if at < 0:
            break
        cut[step, 0], cut[step, 1], cut[step, 2] = before[at], at, after[at]
        count += 1
        taken[before[at], after[at]] = taken[after[at], before[at]] = True
        after[before[at]], before[after[at]] = after[at], before[at]
        alive[at] = False
    rest = np.flatnonzero(alive)
    for m in range(len(rest)):  # sides of what is left are no chords
        one, two = rest[m], rest[(m + 1) % len(rest)]
        taken[one, two] = taken[two, one] = False
    return rest, cut[:count]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _normal(a: Floats, b: Floats, c: Floats, out: Floats) -> float:
    """Write the unit normal of a triangle; return twice its area."""
    u0, u1, u2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    v0, v1, v2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    out[0], out[1], out[2] = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    size = np.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2])
    if size > 0.0:
        out /= size
    return float(size)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _best(p: Floats, normals: Floats, taken: Bools) -> Integers:
    """Return (n, n) the apex of the best triangle over each chord, -1 for none (Liepa 2003)."""
    n = len(p)
    best = np.full((n, n), -1, np.int64)
    bend, area = np.zeros((n, n)), np.zeros((n, n))
    here, there = np.empty(3), np.empty(3)
    for gap in range(2, n):
        for i in range(n - gap):
            j = i + gap
            bend[i, j], area[i, j] = np.inf, np.inf
            if taken[i, j] and gap < n - 1:
                continue
            for k in range(i + 1, j):
                if bend[i, k] == np.inf or bend[k, j] == np.inf:
                    continue
                size = _normal(p[i], p[k], p[j], here)
                worst = max(bend[i, k], bend[k, j])
                for side in range(3):
                    if side == 0:
                        one, two = i, k
                    elif side == 1:
                        one, two = k, j
                    elif gap == n - 1:
                        one, two = n - 1, n
                    else:
                        continue
                    if two - one == 1:
                        there[:] = normals[one]
                    else:
                        _normal(p[one], p[best[one, two]], p[two], there)
                    if there[0] != 0.0 or there[1] != 0.0 or there[2] != 0.0:
                        cosine = here[0] * there[0] + here[1] * there[1] + here[2] * there[2]
                        worst = max(worst, 1.0 - cosine)
                total = area[i, k] + area[k, j] + size
                # Bends that differ by less than rounding are equal.
                if worst < bend[i, j] - 1e-9 or (worst < bend[i, j] + 1e-9 and total < area[i, j]):
                    bend[i, j], area[i, j], best[i, j] = worst, total, k
    return best


def _refined(around: Floats, size: Floats, triangles: Integers) -> tuple[Floats, Integers]:
    """Return new points and all triangles, about as large as ``size`` asks at the rim."""
    flat = np.cross(
        around[triangles[:, 1]] - around[triangles[:, 0]],
        around[triangles[:, 2]] - around[triangles[:, 0]],
    )
    area = float(np.linalg.norm(flat, axis=1).sum()) / 2.0
    room = int(8.0 * area / max(float(np.min(size)) ** 2, 1e-12)) + 4 * len(around) + 64
    room = min(room, 60_000)
    points = np.empty((len(around) + room, 3))
    points[: len(around)] = around
    sizes = np.empty(len(points))
    sizes[: len(around)] = size
    cells = np.empty((len(triangles) + 2 * room, 3), np.int64)
    cells[: len(triangles)] = triangles
    used, count = _split_and_flip(points, sizes, cells, len(triangles), len(around))
    return _chords_split(points[:used], cells[:count], len(around))


def _chords_split(points: Floats, triangles: Integers, rim: int) -> tuple[Floats, Integers]:
    """Return new points and triangles with each inner edge between rim points halved.

    Such an edge could not move away from the surface around it.
    """
    made: list[Floats] = list(points[rim:])
    cells: list[list[int]] = triangles.tolist()
    beside: dict[tuple[int, int], int] = {}
    for n, t in enumerate(cells):
        beside |= {(t[m - 1], t[m]): n for m in range(3)}
    for a, b in sorted(beside):
        if not (a < b < rim and (b, a) in beside):
            continue
        number = rim + len(made)
        made.append((points[a] + points[b]) / 2)
        for start, end in ((a, b), (b, a)):
            n = beside[start, end]
            apex = next(x for x in cells[n] if x not in (a, b))
            beside[end, apex] = len(cells)
            cells[n] = [start, number, apex]
            cells.append([number, end, apex])
    return np.array(made).reshape(-1, 3), np.array(cells, np.int64)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _split_and_flip(p: Floats, size: Floats, t: Integers, count: int, rim: int) -> tuple[int, int]:
    """Split triangles at their centroids and flip edges to Delaunay, until all are small."""
    used = rim
    beside = np.full(t.shape, -1, np.int64)  # the triangle across edge m to m + 1
    for one in range(count):
        for m in range(3):
            for two in range(count):
                for k in range(3):
                    if t[two, k] == t[one, (m + 1) % 3] and t[two, (k + 1) % 3] == t[one, m]:
                        beside[one, m] = two
    _flip_all(p, t, beside, count, rim)
    for _ in range(60):
        before = count
        for cell in range(before):
            if used == len(p):
                break
            a, b, c = t[cell]
            middle = (p[a] + p[b] + p[c]) / 3.0
            want = (size[a] + size[b] + size[c]) / 3.0
            split = True
            for m in range(3):
                far = np.sqrt(((p[t[cell, m]] - middle) ** 2).sum()) * 1.4142
                split = split and far > want and far > size[t[cell, m]]
            if not split:
                continue
            p[used], size[used] = middle, want
            bc, ca = beside[cell, 1], beside[cell, 2]
            t[cell, 2] = used
            t[count, 0], t[count, 1], t[count, 2] = b, c, used
            t[count + 1, 0], t[count + 1, 1], t[count + 1, 2] = c, a, used
            beside[cell, 1], beside[cell, 2] = count, count + 1
            beside[count, 0], beside[count, 1], beside[count, 2] = bc, count + 1, cell
            beside[count + 1, 0], beside[count + 1, 1], beside[count + 1, 2] = ca, cell, count
            for out, new in ((bc, count), (ca, count + 1)):
                if out >= 0:
                    for m in range(3):
                        if beside[out, m] == cell and t[out, m] == t[new, 1]:
                            beside[out, m] = new
            count += 2
            used += 1
        _flip_all(p, t, beside, count, rim)
        if count == before:
            break
    return used, count


@njit(cache=True)  # type: ignore[untyped-decorator]
def _cotangent(at: Floats, one: Floats, two: Floats) -> float:
    u0, u1, u2 = one[0] - at[0], one[1] - at[1], one[2] - at[2]
    v0, v1, v2 = two[0] - at[0], two[1] - at[1], two[2] - at[2]
    x, y, z = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    area = np.sqrt(x * x + y * y + z * z)
    return float((u0 * v0 + u1 * v1 + u2 * v2) / max(area, 1e-30))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _flip_all(p: Floats, t: Integers, beside: Integers, count: int, rim: int) -> None:
    """Flip inner edges whose opposite angles exceed 180 degrees, a few times over."""
    for _ in range(12):
        flips = 0
        for one in range(count):
            for m in range(3):
                two = beside[one, m]
                if two < 0:
                    continue
                k = 0
                while not (t[two, k] == t[one, (m + 1) % 3] and t[two, (k + 1) % 3] == t[one, m]):
                    k += 1
                a, b = t[one, m], t[one, (m + 1) % 3]
                c, d = t[one, (m + 2) % 3], t[two, (k + 2) % 3]
                if c < rim and d < rim:
                    continue  # the surface may have that edge already
                if _cotangent(p[c], p[a], p[b]) + _cotangent(p[d], p[a], p[b]) >= -1e-6:
                    continue
                if _joined(t, beside, one, (m + 2) % 3, d):
                    continue
                # one = (c, a, d), two = (c, d, b)
                across_ca, across_bc = beside[one, (m + 2) % 3], beside[one, (m + 1) % 3]
                across_ad, across_db = beside[two, (k + 1) % 3], beside[two, (k + 2) % 3]
                t[one, 0], t[one, 1], t[one, 2] = c, a, d
                t[two, 0], t[two, 1], t[two, 2] = c, d, b
                beside[one, 0], beside[one, 1], beside[one, 2] = across_ca, across_ad, two
                beside[two, 0], beside[two, 1], beside[two, 2] = one, across_db, across_bc
                _tell(t, beside, across_ad, d, a, one)
                _tell(t, beside, across_bc, c, b, two)
                flips += 1
                break
        if flips == 0:
            break


@njit(cache=True)  # type: ignore[untyped-decorator]
def _tell(t: Integers, beside: Integers, cell: int, start: int, end: int, new: int) -> None:
    """Set the neighbour of a triangle across its edge start to end."""
    if cell < 0:
        return
    for m in range(3):
        if t[cell, m] == start and t[cell, (m + 1) % 3] == end:
            beside[cell, m] = new


@njit(cache=True)  # type: ignore[untyped-decorator]
def _joined(t: Integers, beside: Integers, cell: int, corner: int, other: int) -> bool:
    """Tell whether an edge joins a corner of a triangle to another point already."""
    pivot = t[cell, corner]
    for way in range(2):  # around the corner, and the other way round from a border
        at = cell
        for _ in range(200):
            m = 0
            while t[at, m] != pivot:
                m += 1
            if t[at, (m + 1) % 3] == other or t[at, (m + 2) % 3] == other:
                return True
            at = beside[at, m] if way == 0 else beside[at, (m + 2) % 3]
            if at < 0 or at == cell:
                break
        if at == cell:
            break
    return False


def _outer(points_mm: Floats, rim: Integers, edges: csr_matrix) -> tuple[Floats, Integers]:
    """Return the surface's points next to a rim, and pairs (place on the rim, such a point)."""
    part = edges[rim].tocoo()
    outside = ~np.isin(part.col, rim)
    names, position = np.unique(part.col[outside], return_inverse=True)
    return points_mm[names], np.stack([part.row[outside], position.ravel()], axis=1)


def _faired(
    around: Floats, made: Floats, triangles: Integers, outer: tuple[Floats, Integers] | None
) -> Floats:
    """Return new places of the made points: least bending, or least stretch without ``outer``."""
    rim, free = len(around), len(made)
    start, end = half_edges(triangles)
    links = np.stack([start, end], axis=1)
    fixed = around
    if outer is not None:
        fixed = np.concatenate([around, outer[0]])
        extra = outer[1] + np.array([0, rim + free])
        links = np.concatenate([links, extra])
    links = np.unique(np.sort(links, axis=1), axis=0)
    for _ in range(_ROUNDS):
        points = np.concatenate([fixed[:rim], made, fixed[rim:]])
        made = _solved(points, links, rim, free, bend=outer is not None)
    return made


def _solved(points: Floats, links: Integers, rim: int, free: int, *, bend: bool) -> Floats:
    a, b = links.T
    length = np.linalg.norm(points[a] - points[b], axis=1)
    weight = 1.0 / np.maximum(length, 1e-3 * float(np.median(length)) + 1e-30)
    count = len(points)
    near = coo_matrix((np.r_[weight, weight], (np.r_[a, b], np.r_[b, a])), (count, count)).tocsr()
    near = diags(1.0 / np.maximum(np.asarray(near.sum(axis=1)).ravel(), 1e-30)) @ near
    umbrella = (near - diags(np.ones(count))).tocsr()
    inner = np.arange(rim, rim + free)
    if bend:
        known = np.arange(rim + free)
        system = umbrella[inner][:, known] @ umbrella[known]
    else:
        system = umbrella[inner]
    rest = np.setdiff1d(np.arange(count), inner)
    right = -(system[:, rest] @ points[rest])
    return np.asarray(spsolve(system[:, inner].tocsc(), right)).reshape(-1, 3)
