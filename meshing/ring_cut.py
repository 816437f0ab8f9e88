"""A vessel cut off along one section, whatever else the plane passes. Points are LPS mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from meshing.lumen import Piece
from meshing.sections import Section

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SNAP = 0.2  # of an edge: a corner so close to the plane is moved onto it, so that no sliver is left


class NotSevered(ValueError):
    """A cut through one section leaves the vessel in one part, because it is part of a ring."""


def cut_off(piece: Piece, section: Section) -> Piece:
    """Return a piece without what lies beyond a section, on the side of its normal; open there.

    Only the section's own triangles are cut. Corners close to the plane are moved onto it along
    an edge, so that they stay on the surface.

    Raises:
        NotSevered: if both sides hang together elsewhere.
    """
    points = piece.points_mm.copy()
    offset = float(section.loop_mm[0] @ section.normal)
    cut = piece.triangles[section.triangles]
    near = np.unique(cut)
    side = points @ section.normal - offset
    side[_snapped(points, side, cut)] = 0.0
    on_plane = np.zeros(len(points), np.bool_)
    on_plane[near] = side[near] == 0.0
    touched = np.isin(np.arange(len(piece.triangles)), section.triangles)
    touched |= on_plane[piece.triangles].any(axis=1)
    split = _split(points, side, piece.triangles[touched], piece.wall[touched])
    return _kept(piece, points, split, touched)


def _snapped(points: Floats, side: Floats, cut: Ints) -> list[int]:
    """Move corners that are close to the plane onto it, along an edge; return which."""
    moved: list[int] = []
    edges = np.unique(np.sort(cut[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1), axis=0)
    old = points.copy()
    for a, b in edges.tolist():
        if side[a] * side[b] >= 0:
            continue
        share = side[a] / (side[a] - side[b])
        for corner, gap in ((a, share), (b, 1 - share)):
            if gap < SNAP and corner not in moved:
                points[corner] = old[a] + share * (old[b] - old[a])
                moved.append(corner)
                break
    return moved


class _Split:
    """The parts of cut triangles; each side has its own copy of the corners on the plane."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.points: list[Floats] = []
        self.made: dict[tuple[int, int, bool], int] = {}
        self.triangles: list[tuple[int, int, int]] = []
        self.front: list[bool] = []
        self.wall: list[bool] = []

    def corner(self, a: int, b: int, front: bool, place: Floats) -> int:
        """Return the number of a new corner on the edge a-b (a = b: of a corner on the plane)."""
        key = (min(a, b), max(a, b), front)
        if key not in self.made:
            self.made[key] = self.count + len(self.points)
            self.points.append(place)
        return self.made[key]


def _split(points: Floats, side: Floats, triangles: Ints, wall: npt.NDArray[np.bool_]) -> _Split:
    result = _Split(len(points))
    for triangle, is_wall in zip(triangles.tolist(), wall.tolist()):
        for front in (True, False):
            ring: list[int] = []
            clear = False
            for a, b in zip(triangle, (*triangle[1:], triangle[0])):
                if side[a] == 0.0:
                    ring.append(result.corner(a, a, front, points[a]))
                elif (side[a] > 0) == front:
                    ring.append(a)
                    clear = True
                if side[a] * side[b] < 0:
                    place = points[a] + side[a] / (side[a] - side[b]) * (points[b] - points[a])
                    ring.append(result.corner(a, b, front, place))
            if not clear:
                continue
            for n in range(1, len(ring) - 1):
                result.triangles.append((ring[0], ring[n], ring[n + 1]))
                result.front.append(front)
                result.wall.append(is_wall)
    return result


def _kept(piece: Piece, points: Floats, split: _Split, touched: npt.NDArray[np.bool_]) -> Piece:
    """Return what hangs together with the back of the cut."""
    triangles = np.concatenate([piece.triangles[~touched], np.array(split.triangles, np.int64)])
    wall = np.concatenate([piece.wall[~touched], np.array(split.wall, np.bool_)])
    points = np.concatenate([points, np.array(split.points)])
    start, end = triangles.ravel(), triangles[:, (1, 2, 0)].ravel()
    links = coo_matrix((np.ones(len(start), np.int8), (start, end)), (len(points), len(points)))
    part = connected_components(links, directed=False)[1][triangles[:, 0]]
    old = len(triangles) - len(split.triangles)
    front = np.array(split.front)
    beyond, behind = (np.unique(part[old:][side]) for side in (front, ~front))
    if np.intersect1d(beyond, behind).size or not len(behind):
        raise NotSevered(
            "the vessel hangs together on both sides of the cut, so that it cannot be cut off "
            "there; it is part of a ring"
        )
    keep = ~np.isin(part, beyond)
    used, numbered = np.unique(triangles[keep], return_inverse=True)
    return replace(
        piece,
        points_mm=points[used],
        triangles=numbered.reshape(-1, 3).astype(np.int64),
        wall=wall[keep],
        openings=(),
    )
