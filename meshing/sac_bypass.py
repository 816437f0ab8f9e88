"""Sacs on a vessel: where they are, and the vessel's own calibre beneath them.

The ridge of the distance to the wall runs through the middle of a wide sac and out again. The
vessel itself goes on beneath it, as wide as it is before and after.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.vessel_graph import Graph

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REACH = 2.5  # radii over which a vessel is compared with itself
WIDER = 1.4  # than its way on, and it may be a sac
AROUND = 2.5  # radii around the place of a tip that belong to its sac


@dataclass(frozen=True, eq=False)
class _Points:
    """All points of a graph, each joint once."""

    at_mm: Floats
    depth_mm: Floats
    near: list[list[int]]
    tips: list[int]


def own_calibre(
    graph: Graph, places_mm: Floats, depth_mm: Floats, tips_mm: Floats
) -> Floats | None:
    """Return the depth (n,) of ``places_mm`` with that of sacs cut down to their vessel's radius.

    A sac is where the graph is wider than on every way out of there, and a blind tip
    (``tips_mm``, (m, 3)) hangs on it; a vessel that is wide all round has none. Returns None
    where there is no sac.
    """
    points = _points(graph)
    if len(points.at_mm) < 3 or not len(tips_mm):
        return None
    own = np.array([_own(points, n) for n in range(len(points.at_mm))])
    wide = points.depth_mm > WIDER * own
    away = np.linalg.norm(tips_mm[:, None] - points.at_mm, axis=2) - points.depth_mm
    sac = np.zeros(len(own), np.bool_)
    for place in np.unique(away.argmin(axis=1)):
        if wide[place]:
            span = np.linalg.norm(points.at_mm - points.at_mm[place], axis=1)
            sac |= wide & (span < AROUND * points.depth_mm[place])
    if not sac.any():
        return None
    nearest = cKDTree(points.at_mm).query(places_mm)[1]
    return np.where(sac[nearest], np.minimum(depth_mm, own[nearest]), depth_mm)


def _points(graph: Graph) -> _Points:
    numbers = {joint: n for n, joint in enumerate(graph.joints)}
    at = [j.at_mm for j in graph.joints.values()]
    depth = [j.depth_mm for j in graph.joints.values()]
    near: list[list[int]] = [[] for _ in at]
    for way in graph.ways:
        before = numbers[way.start]
        for point, deep in zip(way.points_mm[1:-1], way.depth_mm[1:-1]):
            near[before].append(len(at))
            near.append([before])
            before = len(at)
            at.append(point)
            depth.append(float(deep))
        near[before].append(numbers[way.stop])
        near[numbers[way.stop]].append(before)
    tips = [numbers[j] for j in graph.joints if graph.degree(j) == 1]
    return _Points(np.array(at), np.array(depth), near, tips)


def _own(points: _Points, start: int) -> float:
    """Return the radius of the narrowest place on the widest way out of a point's surroundings."""
    here, radius = points.at_mm[start], float(points.depth_mm[start])
    away = np.linalg.norm(points.at_mm - here, axis=1)
    ends = points.at_mm[points.tips]
    heap = [(-radius, start)]
    seen = {start}
    while heap:
        narrow, at = heapq.heappop(heap)
        depth = points.depth_mm[at]
        at_end = len(ends) and np.linalg.norm(ends - points.at_mm[at], axis=1).min() <= 1.2 * depth
        if at != start and (away[at] > REACH * radius or at_end):
            return -narrow
        for other in points.near[at]:
            if other not in seen:
                seen.add(other)
                heapq.heappush(heap, (-min(-narrow, float(points.depth_mm[other])), other))
    return radius
