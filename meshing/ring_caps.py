"""Discs over the open ends of a vessel, and tubes that lengthen it. Points are LPS mm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay, QhullError

from meshing.lumen import Opening
from meshing.sections import in_plane

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLEAR = 0.6  # edges that a point inside a cap keeps from its rim


def disc(ring_mm: Floats, opening: Opening, *, fan: bool = False) -> tuple[Floats, Ints]:
    """Return the points inside a cap and its triangles over a ring of corners.

    Corners are numbered as in ``ring_mm`` (n, 3), points inside from n on; triangles are about
    as large as the edges of the ring and run along it, their normals out of the vessel. With
    ``fan`` they all meet in the middle, so that no edge joins two corners of the ring.
    """
    u, v = in_plane(opening.normal)
    arms = ring_mm - opening.centre_mm
    flat = np.stack([arms @ u, arms @ v], axis=1)
    edge = float(np.linalg.norm(np.roll(flat, -1, axis=0) - flat, axis=1).mean())
    inner = _lattice(flat, edge)
    triangles = None if fan else _filled(flat, inner)
    if triangles is None:  # also where the ring is bent too much to be filled in its plane
        n = np.arange(len(flat))
        inner = np.zeros((1, 2))
        triangles = np.stack([n, np.roll(n, -1), np.full(len(n), len(n))], axis=1)
    return opening.centre_mm + inner[:, :1] * u + inner[:, 1:] * v, triangles.astype(np.int64)


def _lattice(flat: Floats, edge: float) -> Floats:
    """Return the points of a lattice of equilateral triangles well inside a polygon."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    rows = np.arange(low[1], high[1] + edge, edge * np.sqrt(3) / 2)
    grid = [
        (x, y)
        for n, y in enumerate(rows)
        for x in np.arange(low[0] + (n % 2) * edge / 2, high[0] + edge, edge)
    ]
    places = np.array(grid).reshape(-1, 2)
    return places[_inside(flat, places) & (_from_rim(flat, places) > CLEAR * edge)]


def _from_rim(flat: Floats, places: Floats) -> Floats:
    along = np.roll(flat, -1, axis=0) - flat
    length = np.maximum((along**2).sum(axis=1), 1e-24)
    t = np.clip(((places[:, None] - flat) * along).sum(axis=2) / length, 0, 1)
    return np.asarray(np.linalg.norm(places[:, None] - flat - t[..., None] * along, axis=2).min(1))


def _inside(flat: Floats, places: Floats) -> npt.NDArray[np.bool_]:
    """Return which places lie inside a polygon (crossings of a ray)."""
    a, b = flat, np.roll(flat, -1, axis=0)
    x, y = places[:, :1], places[:, 1:]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    crossing = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / rise
    return np.asarray((spans & (x < crossing)).sum(axis=1) % 2 == 1)


def _filled(flat: Floats, inner: Floats) -> Ints | None:
    """Return the Delaunay triangles inside a polygon, or None if they do not keep its edges."""
    places = np.concatenate([flat, inner])
    try:
        triangles = Delaunay(places).simplices.astype(np.int64)
    except QhullError:
        return None
    corners = places[triangles]
    triangles = triangles[_inside(flat, corners.mean(axis=1))]
    a, b, c = (places[triangles[:, n]] for n in range(3))
    doubled = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = np.where((doubled < 0)[:, None], triangles[:, ::-1], triangles)
    n = np.arange(len(flat))
    rim = {(int(p), int(q)) for p, q in zip(n, np.roll(n, -1))}
    edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in triangles for i in range(3)}
    free = {edge for edge in edges if edge[::-1] not in edges}
    return triangles if free == rim and len(edges) == 3 * len(triangles) else None


def tube(ring_mm: Floats, opening: Opening, length_mm: float) -> tuple[Floats, Ints]:
    """Return the points and triangles of a tube from a ring to a circle of the same area.

    It runs straight along the opening's normal; within a diameter, or half of its length, the
    ring turns smoothly into a circle. Corners are numbered as in ``ring_mm``, points of the tube
    from n on, ring by ring.
    """
    count = len(ring_mm)
    edges = np.linalg.norm(np.roll(ring_mm, -1, axis=0) - ring_mm, axis=1)
    rings = max(int(np.ceil(length_mm / max(edges.mean(), 1e-9))), 2)
    u, v = in_plane(opening.normal)
    arms = ring_mm - opening.centre_mm
    angle = np.unwrap(np.arctan2(arms @ v, arms @ u))
    even = np.concatenate([[0], np.cumsum(edges)[:-1]]) / edges.sum() * 2 * np.pi
    even = even * np.sign(angle[-1] - angle[0])
    even = even + (angle - even).mean()
    circle = opening.radius_mm * (np.cos(even)[:, None] * u + np.sin(even)[:, None] * v)
    turning = min(2 * opening.radius_mm, length_mm / 2)
    points = []
    for n in range(1, rings + 1):
        along = length_mm * n / rings
        share = min(along / turning, 1.0)
        round_share = share * share * (3 - 2 * share)
        points.append(
            opening.centre_mm
            + along * opening.normal
            + (1 - round_share) * arms
            + round_share * circle
        )
    corners = np.arange(count)
    base = np.arange(rings)[:, None] * count
    a, b = base + corners, base + np.roll(corners, -1)
    walls = [np.stack([a, b, b + count], -1), np.stack([a, b + count, a + count], -1)]
    triangles = np.concatenate([wall.reshape(-1, 3) for wall in walls])
    return np.concatenate(points), triangles.astype(np.int64)
