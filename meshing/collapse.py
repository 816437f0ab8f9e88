"""Edge collapses that can neither open a surface nor make it hang together at a point.

Quadric error metrics: Garland and Heckbert, SIGGRAPH 1997. An edge collapses only if its ends
have just the two points of its own triangles as common neighbours (the link condition: Dey,
Edelsbrunner, Guha, Nekhayev, Topology preserving edge contraction, 1999) and no triangle turns.
In one round a point takes part in one collapse, so the lists of triangles around the others hold
but for those that went.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PULL = 1e-3
"""Weight of an edge's middle beside the planes around it, which settles flat places."""

TURN = 0.2
"""Least cosine between a triangle's normals before and after."""

ROUND = 0.03
"""Least roundness of a triangle, 1 for an equilateral one, unless it was worse before."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def plane_quadrics(points: Floats, triangles: Integers) -> Floats:
    """Return per point (n, 11): the quadric of its triangles' planes weighted by area, the area."""
    found = np.zeros((len(points), 11))
    part = np.empty(11)
    for n in range(len(triangles)):
        a, b, c = points[triangles[n, 0]], points[triangles[n, 1]], points[triangles[n, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        size = np.sqrt(x * x + y * y + z * z)
        if size == 0.0:
            continue
        x, y, z, area = x / size, y / size, z / size, size / 2
        d = -(x * a[0] + y * a[1] + z * a[2])
        part[0], part[1], part[2], part[3] = x * x, x * y, x * z, x * d
        part[4], part[5], part[6] = y * y, y * z, y * d
        part[7], part[8], part[9], part[10] = z * z, z * d, d * d, 1.0
        for m in range(3):
            for k in range(11):
                found[triangles[n, m], k] += part[k] * area
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def collapse_costs(points: Floats, quadrics: Floats, edges: Integers) -> tuple[Floats, Floats]:
    """Return per edge the mean squared distance in mm2 from the planes, and the best place."""
    costs, places = np.empty(len(edges)), np.empty((len(edges), 3))
    q = np.empty(11)
    for n in range(len(edges)):
        a, b = edges[n, 0], edges[n, 1]
        for k in range(11):
            q[k] = quadrics[a, k] + quadrics[b, k]
        mx, my, mz = (
            (points[a, 0] + points[b, 0]) / 2,
            (points[a, 1] + points[b, 1]) / 2,
            (points[a, 2] + points[b, 2]) / 2,
        )
        pull = PULL * q[10] + 1e-12
        xx, xy, xz, yy, yz, zz = q[0] + pull, q[1], q[2], q[4] + pull, q[5], q[7] + pull
        # Solved relative to the middle, where the numbers are small.
        gx = q[0] * mx + q[1] * my + q[2] * mz + q[3]
        gy = q[1] * mx + q[4] * my + q[5] * mz + q[6]
        gz = q[2] * mx + q[5] * my + q[7] * mz + q[8]
        cxx, cxy, cxz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        determinant = xx * cxx + xy * cxy + xz * cxz
        cyy, cyz, czz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
        x = -(cxx * gx + cxy * gy + cxz * gz) / determinant
        y = -(cxy * gx + cyy * gy + cyz * gz) / determinant
        z = -(cxz * gx + cyz * gy + czz * gz) / determinant
        places[n, 0], places[n, 1], places[n, 2] = mx + x, my + y, mz + z
        at_middle = gx * mx + gy * my + gz * mz + q[3] * mx + q[6] * my + q[8] * mz + q[9]
        bent = x * (q[0] * x + q[1] * y + q[2] * z) + y * (q[1] * x + q[4] * y + q[5] * z)
        bent += z * (q[2] * x + q[5] * y + q[7] * z)
        total = at_middle + 2 * (gx * x + gy * y + gz * z) + bent
        length = (
            (points[a, 0] - points[b, 0]) ** 2
            + (points[a, 1] - points[b, 1]) ** 2
            + (points[a, 2] - points[b, 2]) ** 2
        )
        costs[n] = (max(total, 0.0) + PULL * PULL * q[10] * length) / (q[10] + 1e-30)
    return costs, places


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def collapse_round(
    points: Floats,
    quadrics: Floats,
    triangles: Integers,
    starts: Integers,
    members: Integers,
    edges: Integers,
    places: Floats,
    locked: Flags,
    into: Integers,
    most: int,
) -> int:
    """Collapse edges in order, in place; return how many triangles went: their rows become -1.

    ``locked`` points stay; a collapse locks its ends. ``into`` gets for each point that goes the
    one it went into. At most about ``most`` triangles go.
    """
    gone = 0
    mark = np.full(len(points), -1, np.int64)
    for n in range(len(edges)):
        a, b = edges[n, 0], edges[n, 1]
        if gone >= most:
            break
        if locked[a] or locked[b]:
            continue
        common = _common(triangles, starts, members, a, b, mark, n)
        if common != 2 or _turns(points, triangles, starts, members, a, b, places[n]):
            continue
        locked[a] = locked[b] = True
        into[b] = a
        for m in range(3):
            points[a, m] = places[n, m]
        for k in range(11):
            quadrics[a, k] += quadrics[b, k]
        for place in range(starts[b], starts[b + 1]):
            triangle = triangles[members[place]]
            if triangle[0] < 0:
                continue
            if a in (triangle[0], triangle[1], triangle[2]):
                triangle[:] = -1
                gone += 1
            else:
                for m in range(3):
                    if triangle[m] == b:
                        triangle[m] = a
    return gone


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _common(
    triangles: Integers,
    starts: Integers,
    members: Integers,
    a: int,
    b: int,
    mark: Integers,
    stamp: int,
) -> int:
    """Return how many points are neighbours of both a and b; -1 if the edge must stay.

    It must where a neighbour would be left with two triangles only.
    """
    for place in range(starts[a], starts[a + 1]):
        if triangles[members[place], 0] >= 0:
            for m in range(3):
                mark[triangles[members[place], m]] = 2 * stamp
    count = 0
    for place in range(starts[b], starts[b + 1]):
        if triangles[members[place], 0] < 0:
            continue
        for m in range(3):
            point = triangles[members[place], m]
            if point in (a, b) or mark[point] != 2 * stamp:
                continue
            mark[point] = 2 * stamp + 1
            count += 1
            fan = 0
            for other in range(starts[point], starts[point + 1]):
                fan += triangles[members[other], 0] >= 0
            if fan <= 3:
                return -1
    return count


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _turns(
    points: Floats,
    triangles: Integers,
    starts: Integers,
    members: Integers,
    a: int,
    b: int,
    to: Floats,
) -> bool:
    """Tell whether a triangle that stays would turn or become a sliver."""
    for end in (a, b):
        for place in range(starts[end], starts[end + 1]):
            triangle = triangles[members[place]]
            if triangle[0] < 0:
                continue
            corner = 0 if triangle[0] == end else (1 if triangle[1] == end else 2)
            p, q = triangle[(corner + 1) % 3], triangle[(corner + 2) % 3]
            if p in (a, b) or q in (a, b):
                continue
            sx, sy, sz = (
                points[q, 0] - points[p, 0],
                points[q, 1] - points[p, 1],
                points[q, 2] - points[p, 2],
            )
            ux, uy, uz = (
                points[end, 0] - points[p, 0],
                points[end, 1] - points[p, 1],
                points[end, 2] - points[p, 2],
            )
            vx, vy, vz = to[0] - points[p, 0], to[1] - points[p, 1], to[2] - points[p, 2]
            ox, oy, oz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
            nx, ny, nz = sy * vz - sz * vy, sz * vx - sx * vz, sx * vy - sy * vx
            before = np.sqrt(ox * ox + oy * oy + oz * oz)
            after = np.sqrt(nx * nx + ny * ny + nz * nz)
            if ox * nx + oy * ny + oz * nz < TURN * before * after or after == 0.0:
                return True
            side = sx * sx + sy * sy + sz * sz
            old = (
                side
                + ux * ux
                + uy * uy
                + uz * uz
                + (ux - sx) ** 2
                + (uy - sy) ** 2
                + (uz - sz) ** 2
            )
            new = (
                side
                + vx * vx
                + vy * vy
                + vz * vz
                + (vx - sx) ** 2
                + (vy - sy) ** 2
                + (vz - sz) ** 2
            )
            # Twice the area by the squared edges, 1 / (2 sqrt 3) at the most.
            if 3.4641 * after / new < ROUND and after / new < before / max(old, 1e-300):
                return True
    return False


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def packed(triangles: Integers, points: int) -> tuple[Integers, Integers]:
    """Return triangles without the rows of -1 over renumbered points, and the points kept."""
    number = np.full(points, -1, np.int64)
    count = 0
    for n in range(len(triangles)):
        if triangles[n, 0] >= 0:
            count += 1
            for m in range(3):
                number[triangles[n, m]] = 0
    kept = np.flatnonzero(number == 0)
    for n in range(len(kept)):
        number[kept[n]] = n
    cells = np.empty((count, 3), np.int64)
    count = 0
    for n in range(len(triangles)):
        if triangles[n, 0] >= 0:
            for m in range(3):
                cells[count, m] = number[triangles[n, m]]
            count += 1
    return cells, kept
