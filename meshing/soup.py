"""Loose triangles brought together: points welded, scraps dropped, seams closed.

Every function takes points (n, 3) in LPS mm and triangles (m, 3) and returns new ones; a point
keeps its number unless it is said otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshing.holes import free_edges

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def finite(points: Floats, triangles: Integers) -> tuple[Floats, Integers]:
    """Drop triangles with a point that is not finite or does not exist, and those points."""
    known = np.all((triangles >= 0) & (triangles < len(points)), axis=1)
    triangles = triangles[known]
    good = np.asarray(np.isfinite(points).all(axis=1))
    return compact(points, triangles[good[triangles].all(axis=1)])


def compact(points: Floats, triangles: Integers) -> tuple[Floats, Integers]:
    """Drop points that no triangle uses; the others keep their order."""
    used = np.zeros(len(points), bool)
    used[triangles] = True
    number = np.cumsum(used) - 1
    return points[used], number[triangles].reshape(-1, 3)


def typical_edge_mm(points: Floats, triangles: Integers) -> float:
    """Return the median length of the triangles' edges that have a length; 0 without any."""
    start, end = triangles.ravel(), triangles[:, (1, 2, 0)].ravel()
    length = np.linalg.norm(points[start] - points[end], axis=1)
    length = length[length > 0]
    return float(np.median(length)) if len(length) else 0.0


def weld_same(points: Floats, triangles: Integers) -> Integers:
    """Return the triangles with the first point at each place."""
    _, first, same = np.unique(points + 0.0, axis=0, return_index=True, return_inverse=True)
    return first[same.ravel()][triangles]


def weld_free(points: Floats, triangles: Integers, reach_mm: float) -> Integers:
    """Return the triangles with points on free edges that lie within reach become one.

    Points that one edge joins stay apart: a short edge is no seam.
    """
    start, end = free_edges(triangles, len(points))
    names = np.unique(np.concatenate([start, end]))
    if not len(names):
        return triangles
    pairs = cKDTree(points[names]).query_pairs(reach_mm, output_type="ndarray")
    if not len(pairs):
        return triangles
    a, b = names[pairs[:, 0]], names[pairs[:, 1]]
    one, two = triangles.ravel(), triangles[:, (1, 2, 0)].ravel()
    count = len(points)
    joined = np.unique(np.minimum(one, two) * count + np.maximum(one, two))
    apart = ~np.isin(np.minimum(a, b) * count + np.maximum(a, b), joined)
    a, b = a[apart], b[apart]
    links = coo_matrix((np.ones(len(a), bool), (a, b)), (count, count))
    group = connected_components(links, directed=False)[1]
    first = np.full(group.max() + 1, count, np.int64)
    np.minimum.at(first, group, np.arange(count))
    return np.asarray(first[group][triangles])


def without_scraps(points: Floats, triangles: Integers, height_mm: float) -> Integers:
    """Return the triangles with three corners and more than a height, without doubles."""
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    p, q, r = (points[triangles[:, n]] for n in range(3))
    area = np.linalg.norm(np.cross(q - p, r - p), axis=1)
    longest = np.max([np.linalg.norm(d, axis=1) for d in (q - p, r - q, p - r)], axis=0)
    triangles = triangles[area > height_mm * longest]
    first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)[1]
    return triangles[np.sort(first)]


def close_seams(points: Floats, triangles: Integers, reach_mm: float) -> tuple[Integers, int]:
    """Split free edges at free points that lie on them; return the triangles and how many."""
    start, end = free_edges(triangles, len(points))
    names = np.unique(start)
    if not len(names):
        return triangles, 0
    middle = (points[start] + points[end]) / 2
    half = np.linalg.norm(points[start] - points[end], axis=1) / 2
    near = cKDTree(points[names]).query_ball_point(middle, half)
    on_edge: dict[tuple[int, int], list[int]] = {}
    for one, two, places in zip(start.tolist(), end.tolist(), near):
        found = _between(points, one, two, names[np.sort(np.asarray(places, np.int64))], reach_mm)
        if len(found):
            on_edge[one, two] = found
    if not on_edge:
        return triangles, 0
    return _split_at(triangles, on_edge), sum(map(len, on_edge.values()))


def _between(points: Floats, one: int, two: int, names: Integers, reach_mm: float) -> list[int]:
    """Return those of ``names`` that lie on an edge, in order from its start."""
    along = points[two] - points[one]
    length = float(np.linalg.norm(along))
    names = names[(names != one) & (names != two)]
    if length == 0.0 or not len(names):
        return []
    away = points[names] - points[one]
    at = away @ along / length
    off = np.linalg.norm(away - at[:, None] * along / length, axis=1)
    fits = (off <= reach_mm) & (at > reach_mm) & (at < length - reach_mm)
    return [int(n) for n in names[fits][np.argsort(at[fits], kind="stable")]]


def _split_at(triangles: Integers, on_edge: dict[tuple[int, int], list[int]]) -> Integers:
    """Return the triangles with points put onto some of their half-edges."""
    hit = {one for one, _ in on_edge}
    rows = np.flatnonzero(np.isin(triangles, list(hit)).any(axis=1))
    keep = np.ones(len(triangles), bool)
    made: list[tuple[int, int, int]] = []
    for row in rows.tolist():
        corners = triangles[row].tolist()
        for turn in range(3):
            a, b, c = corners[turn:] + corners[:turn]
            inner = [n for n in on_edge.get((a, b), ()) if n != c]
            if inner:  # one edge in a round; the caller comes again for the others
                keep[row] = False
                made += [(p, q, c) for p, q in zip([a, *inner], [*inner, b])]
                break
    return np.concatenate([triangles[keep], np.array(made, np.int64).reshape(-1, 3)])
