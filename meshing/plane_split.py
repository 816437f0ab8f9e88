"""The quick way through a closed surface with a plane that meets none of its points.

Every edge that crosses the plane gets one new point, every triangle that crosses it falls into
three, and the loops in the plane are triangulated once for both parts. So the parts are closed
wherever the surface was, and their volumes add up to rounding.
"""

from __future__ import annotations

import manifold3d
import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NEAR = 1e-9
"""Points nearer to the plane than this share of the surface's extent need the exact way."""


def split_between_points(
    mesh: SurfaceMesh, distance_mm: Floats, direction: Floats
) -> tuple[SurfaceMesh, SurfaceMesh] | None:
    """Return the parts in front of and behind a plane, or None where a point lies on it.

    ``distance_mm`` are those of the points along ``direction``, the plane's unit normal.
    """
    if float(np.abs(distance_mm).min()) <= NEAR * float(np.ptp(distance_mm)):
        return None
    front = distance_mm > 0
    sides = front[mesh.triangles]
    count = sides[:, 0].astype(np.int8) + sides[:, 1] + sides[:, 2]
    crossed = (count == 1) | (count == 2)
    # The corner that is alone on its side comes first.
    alone = np.argmax(sides[crossed] == (count[crossed] == 1)[:, None], axis=1)
    rows = np.arange(len(alone))[:, None]
    a, b, c = mesh.triangles[crossed][rows, (alone[:, None] + np.arange(3)) % 3].T
    size = len(mesh.points_mm)
    low, high = np.minimum([a, a], [b, c]).ravel(), np.maximum([a, a], [b, c]).ravel()
    edges, number = np.unique(low * size + high, return_inverse=True)
    low, high = edges // size, edges % size
    part = (distance_mm[low] / (distance_mm[low] - distance_mm[high]))[:, None]
    cut_mm = mesh.points_mm[low] + part * (mesh.points_mm[high] - mesh.points_mm[low])
    x, y = number.ravel().reshape(2, -1)
    tip = np.stack([a, x + size, y + size], axis=1)
    rest = np.concatenate(
        [np.stack([x + size, b, c], axis=1), np.stack([x + size, c, y + size], axis=1)]
    )
    ahead = front[a]
    cap = _cap(cut_mm, np.where(ahead, y, x), np.where(ahead, x, y), direction) + size
    points = np.concatenate([mesh.points_mm, cut_mm])
    twice = np.concatenate([ahead, ahead])
    in_front = [mesh.triangles[count == 3], tip[ahead], rest[~twice], cap]
    behind = [mesh.triangles[count == 0], tip[~ahead], rest[twice], cap[:, ::-1]]
    return _part(mesh, points, in_front), _part(mesh, points, behind)


def _cap(points_mm: Floats, start: Integers, end: Integers, direction: Floats) -> Integers:
    """Return triangles that fill the loops of edges start to end, facing against ``direction``."""
    after = np.empty(len(points_mm), np.int64)
    after[start] = end
    follow, waiting = after.tolist(), np.ones(len(after), bool).tolist()
    loops = []
    for first in range(len(follow)):
        loop, at = [], first
        while waiting[at]:
            waiting[at] = False
            loop.append(at)
            at = follow[at]
        if loop:
            loops.append(np.array(loop))
    u = np.cross(np.eye(3)[int(np.argmin(np.abs(direction)))], direction)
    u /= np.linalg.norm(u)
    axes = np.stack([u, np.cross(u, direction)], axis=1)  # u x this = -direction
    flat = (points_mm - points_mm.mean(axis=0)) @ axes
    cells = manifold3d.triangulate([flat[loop] for loop in loops])
    return np.asarray(np.concatenate(loops)[np.asarray(cells, np.int64).reshape(-1, 3)])


def _part(mesh: SurfaceMesh, points: Floats, cells: list[Integers]) -> SurfaceMesh:
    triangles = np.concatenate(cells)
    used = np.zeros(len(points), bool)
    used[triangles] = True
    number = np.cumsum(used) - 1
    return mesh.reshaped(points[used], number[triangles])
