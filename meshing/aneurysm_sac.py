"""The wall of a sac told apart from that of its vessel, and the curve between them.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

from meshing.aneurysm_neck import NoNeck
from meshing.aneurysm_vessel import Ball, ParentVessel, share_outside
from meshing.cell_sizes import averaging, ball_radii_mm, edges_of, point_normals
from meshing.curvature import curvature_map
from meshing.lumen import Piece, neighbours_of
from meshing.surface import SurfaceMesh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

OUTSIDE = 0.8  # radii outside of the vessel: more is rather sac, less rather vessel
EITHER = 0.2  # radii by which that is uncertain
DOUBT = 0.8  # radii on either side of that over which both become sure
PULL = 0.25  # cost in lengths of curve of one vessel radius of an area on the wrong side
CREASE = 1.5  # how much cheaper the curve is in a crease as sharp as the vessel is round
SAC = 1.5  # radii outside of the vessel and near the ball is surely sac
FAR = 0.7  # of the way out of the neighbourhood, beside the vessel, is surely vessel
STRONGER = np.array([1.0, 2.0, 4.0, 8.0])  # times that, until no branch is cut off
SHARPEST = 2.0  # as the vessel is round; sharper creases are no cheaper
COARSE = 0.3  # radii of the vessel: edges this long show small sacs; longer ones are
DIVISIONS = 3  # halved so often at the most
SEEN = 0.2  # radii of the vessel over which creases and the curve are smoothed
SHARE = 0.05  # of an edge that the curve keeps from its ends
SURE = 10**7  # a cost that is never paid
SCALE = 1000.0


def sac_curve(
    piece: Piece, vessel: ParentVessel, ball: Ball, begins: float = OUTSIDE
) -> tuple[Floats, int, Floats, Floats]:
    """Return the level of `sac_level`, the sac's tip, the curve, and the mean of what it has.

    Where triangles are too large to tell a small sac, it is looked for on smaller ones.

    Raises:
        NoNeck: if nothing near the ball stands out of the vessel, or there is no single curve.
    """
    for longest_mm in (np.inf, COARSE * vessel.size_mm):
        try:
            level, tip = sac_level(piece, vessel, ball, begins, longest_mm)
            return level, tip, *level_curve(piece.points_mm, piece.triangles, level, tip)
        except NoNeck as error:
            refused = error
    raise refused


def sac_level(
    piece: Piece, vessel: ParentVessel, ball: Ball, begins: float, longest_mm: float
) -> tuple[Floats, int]:
    """Return for each point of a lumen a level, positive on the sac's wall, and the sac's tip.

    The wall is divided where the curve is short and runs in the crease at the neck, the sac
    lying outside of the parent vessel by ``begins`` of its radius or more: the smallest cut of the
    triangles' graph (Boykov and Kolmogorov, IEEE TPAMI 26 (2004) 1124). Triangles with longer
    edges than ``longest_mm`` are divided for it.

    Raises:
        NoNeck: if nothing near the ball stands out of the vessel.
    """
    points, triangles = piece.points_mm, piece.triangles
    away = np.linalg.norm(points - ball.centre_mm, axis=1)
    near = np.flatnonzero((away[triangles] < vessel.reach_mm).all(axis=1))
    used, local = np.unique(triangles[near], return_inverse=True)
    mesh = _finer(SurfaceMesh(points[used], local.reshape(-1, 3), ""), longest_mm)
    away = np.linalg.norm(mesh.points_mm - ball.centre_mm, axis=1)
    outside = share_outside(mesh.points_mm, vessel.points_mm, vessel.radius_mm)
    mine = np.arange(len(outside)) < len(used)  # the points there were come first
    tip = int(np.argmax(np.where(mine & (away < 1.2 * ball.radius_mm), outside, -np.inf)))
    if outside[tip] < begins:
        raise NoNeck(
            "nothing stands out of the vessel there by its radius, so there is no neck to be "
            "found; draw the neck by points on the surface"
        )
    rounds = _rounds(mesh, SEEN * vessel.size_mm)
    close = away < 1.15 * ball.radius_mm
    far = (away > FAR * vessel.reach_mm) & (outside < begins)
    rim = np.flatnonzero(far & mine)
    wall = _wall(mesh, outside - begins, vessel.size_mm, rounds)
    level = np.full(len(points), -1.0)
    for pull in PULL * STRONGER:
        sac = _cut(wall, mesh.triangles, pull, (tip, close & (outside > SAC), far))
        level[used] = _smoothed(mesh, sac, rounds)[: len(used)]
        rest = _parts(triangles, level > 0)[used[rim[level[used[rim]] < 0]]]
        if len(np.unique(rest)) <= 1:  # else the sac would part a branch from the vessel
            return level, int(used[tip])
    raise NoNeck(
        "a branch leaves from the sac itself, so no neck parts it from all of the vessel; draw the "
        "neck by points on the surface"
    )


def _finer(mesh: SurfaceMesh, longest_mm: float) -> SurfaceMesh:
    """Return a surface with triangles divided in four until half of the edges are no longer.

    The shape stays, and so do the numbers of the points.
    """
    for _ in range(DIVISIONS):
        if _usual_edge_mm(mesh) <= longest_mm:
            break
        points, cells = mesh.points_mm, mesh.triangles
        edges = edges_of(cells)
        sides = np.sort(np.stack([cells, cells[:, (1, 2, 0)]], axis=2), axis=2)
        keys = edges[:, 0] * len(points) + edges[:, 1]
        order = np.argsort(keys)
        place = np.searchsorted(keys, sides[..., 0] * len(points) + sides[..., 1], sorter=order)
        ab, bc, ca = (len(points) + order[place]).T
        a, b, c = cells.T
        parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        divided = np.concatenate([np.stack(part, axis=1) for part in parts])
        mesh = SurfaceMesh(np.concatenate([points, points[edges].mean(axis=1)]), divided, "")
    return mesh


def whole_sac(piece: Piece, vessel: ParentVessel, ball: Ball) -> Ball:
    """Return the largest sphere in all that stands out of the vessel together with a ball."""
    points = piece.points_mm
    outside = share_outside(points, vessel.points_mm, vessel.radius_mm)
    out = outside > OUTSIDE
    away = np.linalg.norm(points - ball.centre_mm, axis=1)
    tip = int(np.argmax(np.where(away < 1.2 * ball.radius_mm, outside, -np.inf)))
    part = _parts(piece.triangles, out)
    own = np.flatnonzero(out & (part == part[tip]))
    if not len(own):
        return ball
    normals = point_normals(points, piece.triangles)
    used = np.unique(piece.triangles)
    place = np.searchsorted(used, own)
    radii = ball_radii_mm(points[used], normals[used])[place]
    best = int(np.argmax(radii))
    return Ball(points[own[best]] - radii[best] * normals[own[best]], float(radii[best]))


def _rounds(mesh: SurfaceMesh, reach_mm: float) -> int:
    """Return how many means over neighbours smooth over a distance."""
    edge_mm = max(_usual_edge_mm(mesh), 1e-9)
    return int(np.clip(np.ceil((reach_mm / edge_mm) ** 2 / 0.43), 2, 50))


def _usual_edge_mm(mesh: SurfaceMesh) -> float:
    ends = mesh.points_mm[edges_of(mesh.triangles)]
    return float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)))


@dataclass(frozen=True, eq=False)
class _Wall:
    """The graph of the triangles: neighbours, what parts them costs, and how far each is out.

    Attributes:
        one, other: numbers of neighbouring triangles.
        cost: of a curve between them, 1 for an edge of usual length outside of a crease.
        border: triangles where the neighbourhood ends.
        outside: for each triangle its area times how surely it is sac, -1 to 1, in the same
            unit.
    """

    one: Ints
    other: Ints
    cost: Floats
    border: Ints
    outside: Floats


def _wall(mesh: SurfaceMesh, beyond: Floats, size_mm: float, rounds: int) -> _Wall:
    points, cells = mesh.points_mm, mesh.triangles
    bend = curvature_map(mesh, smoothing=rounds).point_data["smallest_curvature_per_mm"]
    price = np.exp(-CREASE * np.clip(-bend * size_mm, 0, SHARPEST))
    across = neighbours_of(cells).ravel()
    own = np.repeat(np.arange(len(cells)), 3)
    start, end = cells.ravel(), cells[:, (1, 2, 0)].ravel()
    length = np.linalg.norm(points[start] - points[end], axis=1)
    cost = length * (price[start] + price[end]) / 2
    once = across > own
    usual = float(np.median(length))
    sides = points[cells[:, 1:]] - points[cells[:, :1]]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
    sure = np.clip(beyond[cells].mean(axis=1) / DOUBT, -1, 1)
    return _Wall(
        own[once], across[once], cost[once] / usual, own[across < 0], sure * area / size_mm / usual
    )


def _cut(wall: _Wall, cells: Ints, pull: float, known: tuple[int, Bools, Bools]) -> Bools:
    """Return which triangles the smallest cut leaves with the sac.

    ``known`` are the tip, the points that are surely the sac's, and those that are the vessel's.
    """
    tip, sac, vessel = known
    surely_sac = (cells == tip).any(axis=1) | sac[cells].all(axis=1)
    surely_vessel = np.asarray(vessel[cells].all(axis=1))
    surely_vessel[wall.border] = True
    pulled = np.rint(pull * SCALE * wall.outside)
    to_sac = np.where(surely_sac, SURE, np.maximum(pulled, 0))
    to_vessel = np.where(surely_vessel & ~surely_sac, SURE, np.maximum(-pulled, 0))
    cost = np.maximum(np.rint(SCALE * wall.cost), 1)
    return _smallest_cut(wall.one, wall.other, cost, to_sac, to_vessel)


def _smallest_cut(one: Ints, other: Ints, cost: Floats, source: Floats, sink: Floats) -> Bools:
    """Return which nodes stay with the source; ``source`` and ``sink`` cost (n,) to part."""
    count = len(source)
    nodes = np.arange(count)
    rows = np.concatenate([one, other, np.full(count, count), nodes])
    columns = np.concatenate([other, one, nodes, np.full(count, count + 1)])
    costs = np.concatenate([cost, cost, source, sink]).astype(np.int32)
    used = costs > 0
    graph = csr_array((costs[used], (rows[used], columns[used])), (count + 2, count + 2))
    left = graph - maximum_flow(graph, count, count + 1).flow
    left.data = (left.data > 0).astype(np.int32)
    left.eliminate_zeros()
    reached = np.zeros(count + 2, np.bool_)
    reached[breadth_first_order(left, count, return_predecessors=False)] = True
    return reached[:count]


def _smoothed(mesh: SurfaceMesh, sac: Bools, rounds: int) -> Floats:
    """Return a level at the points that changes its sign where the triangles do."""
    value = np.bincount(
        mesh.triangles.ravel(), np.repeat(np.where(sac, 1.0, -1.0), 3), len(mesh.points_mm)
    )
    level = value / np.maximum(np.bincount(mesh.triangles.ravel(), minlength=len(value)), 1)
    mean_of = averaging(edges_of(mesh.triangles), len(level))
    for _ in range(rounds):
        level = mean_of @ level
    return np.asarray(level)


def level_curve(points: Floats, cells: Ints, level: Floats, tip: int) -> tuple[Floats, Floats]:
    """Return the closed curve where a level is zero around ``tip``, and the mean of what it has.

    Raises:
        NoNeck: if there is no single such curve.
    """
    level = _one_part(cells, level, tip)
    loops = _loops(points, cells, level)
    dome = points[cells[(level[cells] > 0).all(axis=1)]]
    if not loops or not len(dome):
        raise NoNeck(
            "what stands out there is too small for a neck; click in the dome if that is another "
            "place, or take a finer surface"
        )
    if len(loops) != 1:
        raise NoNeck(
            f"the sac meets its vessel in {len(loops)} places; part what touches, or draw the "
            "neck by points on the surface"
        )
    return loops[0], dome.mean(axis=(0, 1))


def _one_part(cells: Ints, level: Floats, tip: int) -> Floats:
    """Return the level so that the sac is one part with the tip, and so is all the rest."""
    level = np.where(level == 0, 1e-9, level)
    sac = (level > 0) & (_parts(cells, level > 0) == _parts(cells, level > 0)[tip])
    part = _parts(cells, ~sac)
    main = np.argmax(np.bincount(part[~sac]))
    sac |= part != main
    return np.where(sac, np.abs(level), -np.abs(level))


def _parts(cells: Ints, member: Bools) -> Ints:
    """Return for each point the part of equal membership that it hangs together with."""
    edges = edges_of(cells)
    edges = edges[member[edges[:, 0]] == member[edges[:, 1]]]
    count = len(member)
    graph = csr_array((np.ones(len(edges), np.int8), tuple(edges.T)), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _loops(points: Floats, cells: Ints, level: Floats) -> list[Floats]:
    """Return the closed curves where the level changes its sign; each point lies on an edge."""
    follow: dict[tuple[int, int], tuple[int, int]] = {}
    positive = level > 0
    mixed = cells[positive[cells].any(axis=1) & ~positive[cells].all(axis=1)]
    for cell in mixed.tolist():
        out = into = (0, 0)
        for a, b in zip(cell, cell[1:] + cell[:1]):
            if positive[a] and not positive[b]:
                out = (a, b)
            elif positive[b] and not positive[a]:
                into = (b, a)
        follow[out] = into
    loops = []
    while follow:
        at = min(follow)
        loop = []
        while at in follow:
            loop.append(at)
            at = follow.pop(at)
        ends = np.array(loop)
        share = level[ends[:, 0]] / (level[ends[:, 0]] - level[ends[:, 1]])
        share = np.clip(share, SHARE, 1 - SHARE)[:, None]
        loops.append(points[ends[:, 0]] * (1 - share) + points[ends[:, 1]] * share)
    return loops
