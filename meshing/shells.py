"""The outer skin of triangles that may face any way and meet in any number at an edge.

Around each edge, sorted by angle, every triangle's side faces the next triangle's side; sides
that face each other bound one space. What separates the space outside from a space inside is
skin, turned outward; what has the same space on both sides is a wall or a fin and goes. The
idea is that of cell complexes of arrangements (Zhou et al., ACM TOG 35 (2016) 39).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Skin:
    """Which triangles are skin, and how they must turn.

    Attributes:
        kept: (m,) whether a triangle separates outside from inside.
        turned: (m,) whether it faced inward.
        twisted: (m,) whether it belongs to a piece with one side only, like a Moebius band.
    """

    kept: Bools
    turned: Bools
    twisted: Bools


@dataclass(frozen=True, eq=False)
class _Edges:
    """Half-edges grouped by edge and, where more than two meet, by the angle around it.

    ``order`` sorts half-edges (triangle * 3 + corner); ``first`` tells where each group starts;
    ``forward`` whether a half-edge runs from the lower to the higher point number.
    """

    order: Integers
    first: Integers
    forward: Bools

    def next_around(self) -> tuple[Integers, Integers]:
        """Return pairs of half-edges: each with the next one around its edge."""
        count = np.diff(np.append(self.first, len(self.order)))
        group = np.repeat(np.arange(len(count)), count)
        place = np.arange(len(self.order))
        after = place + 1
        last = after == (self.first + count)[group]
        after[last] = self.first[group[last]]
        several = count[group] > 1
        return self.order[several], self.order[after[several]]


def _edges(points: Floats, triangles: Integers) -> _Edges:
    start, end = triangles.ravel(), triangles[:, (1, 2, 0)].ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    name = low * len(points) + high
    order = np.argsort(name, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(name[order]) != 0])
    count = np.diff(np.append(first, len(order)))
    if (count > 2).any():
        angle = np.zeros(len(order))
        for at in np.flatnonzero(count > 2):
            half = order[first[at] : first[at] + count[at]]
            angle[half] = _angles(points, low[half[0]], high[half[0]], _apexes(triangles, half))
        order = np.lexsort((angle, name))
    return _Edges(order, first, start < end)


def _apexes(triangles: Integers, half: Integers) -> Integers:
    return np.asarray(triangles[half // 3, (half + 2) % 3])


def _angles(points: Floats, low: int, high: int, apexes: Integers) -> Floats:
    """Return the angles of points around the edge from ``low`` to ``high``, counter-clockwise."""
    axis = points[high] - points[low]
    axis = axis / np.linalg.norm(axis)
    away = points[apexes] - points[low]
    away = away - (away @ axis)[:, None] * axis
    u = away[0] / max(float(np.linalg.norm(away[0])), 1e-30)
    v = np.cross(axis, u)
    return np.asarray(np.arctan2(away @ v, away @ u))


def skin(points: Floats, triangles: Integers) -> Skin:
    """Tell which triangles bound what is solid; each connected piece is judged for itself."""
    count = len(triangles)
    edges = _edges(points, triangles)
    here, there = edges.next_around()
    # Side 2 n is where triangle n faces, 2 n + 1 its back. Counter-clockwise around its edge
    # a half-edge that runs forward has its face ahead.
    ahead = 2 * (here // 3) + ~edges.forward[here]
    behind = 2 * (there // 3) + edges.forward[there]
    size = 2 * count
    facing = coo_matrix((np.ones(len(ahead), bool), (ahead, behind)), (size, size))
    spaces, space = connected_components(facing, directed=False)
    joined = coo_matrix((np.ones(len(here), bool), (here // 3, there // 3)), (count, count))
    piece = connected_components(joined, directed=False)[1]
    outside = _outside(points, triangles, piece, space, spaces)
    front, back = space[0::2], space[1::2]
    kept = (outside[front] != outside[back]) & (front != back)
    whole = np.bincount(piece, front != back) > 0
    return Skin(kept, kept & outside[back], ~whole[piece])


def _outside(
    points: Floats, triangles: Integers, piece: Integers, space: Integers, spaces: int
) -> Bools:
    """Return for each space whether it is the one outside of its piece.

    Seen from within, a bounded space has a positive volume and the one outside a negative one.
    """
    weight = np.bincount(piece, minlength=piece.max() + 1)
    middle = np.stack(
        [np.bincount(piece, points[triangles].mean(axis=1)[:, n]) / weight for n in range(3)], 1
    )
    a, b, c = (points[triangles[:, n]] - middle[piece] for n in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    total = np.bincount(space[1::2], volume, spaces) - np.bincount(space[0::2], volume, spaces)
    of_piece = np.zeros(spaces, np.int64)
    of_piece[space[0::2]] = of_piece[space[1::2]] = piece
    order = np.lexsort((total, of_piece))
    lowest = np.r_[True, np.diff(of_piece[order]) != 0]
    outside = np.zeros(spaces, bool)
    outside[order[lowest]] = True
    return outside


def separated(points: Floats, triangles: Integers) -> tuple[Integers, Integers]:
    """Return triangles and, for each of their points, the old number, so that all is manifold.

    Triangles must face outward. Where several solids meet at an edge or a point, each gets
    points of its own; where nothing fits, an edge stays free.
    """
    edges = _edges(points, triangles)
    here, there = edges.next_around()
    # The space between is solid where both show it their backs.
    solid = ~edges.forward[here] & edges.forward[there]
    one, two = here[solid], there[solid]
    ends = [(one, _next(two)), (_next(one), two)]  # corners of both at the same point
    corners = triangles.size
    links = coo_matrix(
        (
            np.ones(2 * len(one), bool),
            (np.concatenate([e[0] for e in ends]), np.concatenate([e[1] for e in ends])),
        ),
        (corners, corners),
    )
    count, fan = connected_components(links, directed=False)
    old = np.zeros(count, np.int64)
    old[fan] = triangles.ravel()
    # The order of the old points is kept, as far as there is one.
    order = np.argsort(old, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    return rank[fan].reshape(-1, 3), old[order]


def _next(half: Integers) -> Integers:
    return half - half % 3 + (half + 1) % 3


def parts(triangles: Integers, points: int) -> Integers:
    """Return for each triangle the number of the piece, connected through points."""
    a, b, c = triangles.T
    links = coo_matrix((np.ones(2 * len(a), bool), (np.r_[a, a], np.r_[b, c])), (points, points))
    number = connected_components(links, directed=False)[1][a]
    return np.asarray(np.unique(number, return_inverse=True)[1].ravel(), np.int64)
