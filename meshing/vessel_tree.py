"""One connected lumen to the centered lines of its branches.

The voxels inside are thinned to curves that join the ends and keep the topology; stubs are
pruned; the curves are brought onto the middle of the true wall. Points are LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centering import EndKind, Line, center, finished, flat_cap
from meshing.lumen import Piece, Wall
from meshing.sac_bypass import own_calibre
from meshing.surface import SurfaceMesh
from meshing.thinning import (
    Cells,
    cheapest_ways,
    connected_parts,
    fill,
    find_tips,
    geodesic_mm,
    subset,
    thin,
)
from meshing.vessel_graph import Bulge, Graph, graph_of, prune
from segmentation.contract import Progress, share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FINE = 4.0  # voxels to the radius of the narrowest end
COARSE = 5.0  # and to the mean radius where no end is known
VOXELS = 300_000  # inside, at first; a lumen too thin for them gets more
GRID = 80_000_000
TRIES = 3
LOST = 0.005  # of the voxels may be cut off by a neck thinner than a voxel
ROOTS = 4  # ends from which tips are looked for
TIP = 0.5  # radii that a tip stands out at least, to be looked at
BLOB = 3.0  # radii: what is shorter and has no end is no vessel


class NoCenterline(ValueError):
    """A lumen has no centerline; the text says why and what to do."""


@dataclass(frozen=True, eq=False)
class Tree:
    """What one connected lumen gave.

    Attributes:
        lines: the branches, as they join the joints.
        joints: number to position (x, y, z) and inscribed radius, mm.
        ends: joint number of each end to what kind it is.
        widths_mm: joint number of each end to the radius of the vessel there.
        asked: joint number to the number of the end that was asked for.
        bulges: sacs, which are no branches.
        stubs: how many bumps were passed over.
        lost_mm3: how much lies behind necks too thin to follow.
        voxel_mm: the grid that was thinned.
    """

    lines: list[Line]
    joints: dict[int, tuple[Floats, float]]
    ends: dict[int, EndKind]
    widths_mm: dict[int, float]
    asked: dict[int, int]
    bulges: list[Bulge]
    stubs: int
    lost_mm3: float
    voxel_mm: float


@dataclass(frozen=True, eq=False)
class _Grid:
    cells: Cells
    from_root: Floats
    root: int
    ends: Ints
    lost_mm3: float


def trace(piece: Piece, asked_mm: Floats, find_ends: bool, progress: Progress) -> Tree:
    """Return the branches of one connected lumen.

    The ends are its openings and what ``asked_mm`` (n, 3) adds; with ``find_ends`` also the
    blind ends; without it only what is asked.

    Raises:
        NoCenterline: if the lumen is a blob, or too thin to follow from end to end.
    """
    openings = piece.openings if find_ends else ()
    wanted = np.concatenate(
        [np.array([o.centre_mm - 0.3 * o.radius_mm * o.normal for o in openings]).reshape(-1, 3),
         asked_mm.reshape(-1, 3)]
    )  # fmt: skip
    wall = Wall(piece)
    progress(0.05, "filling the lumen")
    grid = _grid(piece, wanted, progress)
    depth = wall.nearly(grid.cells.centres_mm())
    progress(0.2, "looking for ends")
    tips = _blind_tips(piece, grid, depth) if find_ends else np.empty(0, np.int64)
    anchors = np.concatenate([grid.ends, tips])
    if len(anchors) < 2 and not find_ends:
        raise NoCenterline("a way needs two ends; give two points, or let the ends be found")
    progress(0.25, "thinning the lumen")
    graph = _skeleton(piece, grid, depth, depth, thin(grid.cells, depth, anchors))
    progress(0.35, "looking for sacs")
    graph = _past_sacs(piece, grid, depth, anchors, graph) or graph
    _require_vessel(graph)
    graph.bulges = _distinct([_fullest(bulge, grid.cells, depth) for bulge in graph.bulges])
    progress(0.4, "finishing the ends")
    flats = _finish(graph, piece, len(openings))
    for flat in flats.values():
        if flat is not None:
            piece = piece.without(flat)
    wall = Wall(piece) if any(f is not None for f in flats.values()) else wall
    lines = center(graph, piece, wall, grid.cells.spacing_mm, share(progress, 1, 2))
    return _tree(graph, grid, lines, piece, len(openings), flats)


def _skeleton(
    piece: Piece, grid: _Grid, depth: Floats, calibre: Floats, kept: npt.NDArray[np.bool_]
) -> Graph:
    graph = graph_of(grid.cells, kept, depth, calibre, grid.ends)
    prune(graph, lambda way: flat_cap(piece, way) is not None)
    return graph


def _past_sacs(
    piece: Piece, grid: _Grid, depth: Floats, anchors: Ints, graph: Graph
) -> Graph | None:
    """Return the graph whose ways pass beneath the sacs, or None where there is no sac."""
    centres = grid.cells.centres_mm()
    ends = [j.at_mm for n, j in graph.joints.items() if graph.degree(n) == 1]
    tips = np.array([a for a in anchors if not any((centres[a] == e).all() for e in ends)], int)
    calibre = own_calibre(graph, centres, depth, centres[tips])
    if calibre is None:
        return None
    targets = np.setdiff1d(anchors, tips)
    order = depth.copy()
    for way in cheapest_ways(grid.cells, grid.root, calibre**-2.0, targets):
        inside = way[calibre[way] < depth[way]]
        order[inside] = 2 * depth.max()  # the thinning leaves these for last
    return _skeleton(piece, grid, depth, calibre, thin(grid.cells, order, anchors))


def _fullest(bulge: Bulge, cells: Cells, depth: Floats) -> Bulge:
    """Return a sac with the largest sphere that can be reached from its own."""
    tree = cKDTree(cells.centres_mm())
    centre, radius = bulge.centre_mm, bulge.radius_mm
    while True:
        near = np.array(tree.query_ball_point(centre, radius), int)
        best = near[int(np.argmax(depth[near]))] if len(near) else -1
        if best < 0 or depth[best] <= radius:
            return replace(bulge, centre_mm=centre, radius_mm=radius)
        centre, radius = cells.centres_mm(np.array([best]))[0], float(depth[best])


def _distinct(bulges: list[Bulge]) -> list[Bulge]:
    """Return sacs once each, though several tips may lie in one; the longest way counts."""
    kept: list[Bulge] = []
    for bulge in sorted(bulges, key=lambda b: -b.length_mm):
        gaps = [np.linalg.norm(bulge.centre_mm - other.centre_mm) for other in kept]
        if all(gap > max(bulge.radius_mm, b.radius_mm) for gap, b in zip(gaps, kept)):
            kept.append(bulge)
    return kept


def _grid(piece: Piece, wanted: Floats, progress: Progress) -> _Grid:
    """Return the voxels that hang together, fine enough that no end is cut off."""
    narrow = min((o.radius_mm for o in piece.openings), default=np.inf)
    spacing = min(narrow / FINE, piece.mean_radius_mm / COARSE)
    extent = np.ptp(piece.points_mm, axis=0)
    spacing = max(spacing, (piece.volume_mm3 / VOXELS) ** (1 / 3))
    for attempt in range(TRIES):
        spacing = max(spacing, float(np.prod(extent / GRID ** (1 / 3)) ** (1 / 3)))
        progress(0.05 + 0.05 * attempt, "filling the lumen")
        cells = fill(SurfaceMesh(piece.points_mm, piece.triangles, ""), spacing)
        if len(cells.places):
            grid = _reached(cells, wanted)
            if grid.lost_mm3 <= LOST * piece.volume_mm3 and (grid.ends >= 0).all():
                return grid
        spacing /= 1.7
    if not len(cells.places):
        raise NoCenterline("the lumen is too thin to follow; check its unit")
    return grid


def _reached(cells: Cells, wanted: Floats) -> _Grid:
    """Return the voxels that hang together with the root, and the numbers of the wanted ends."""
    tree = cKDTree(cells.centres_mm())
    ends = np.asarray(tree.query(wanted)[1], np.int64) if len(wanted) else np.empty(0, np.int64)
    part = connected_parts(cells)
    keep = part == np.argmax(np.bincount(part))
    lost = float((~keep).sum()) * cells.spacing_mm**3
    inside = subset(cells, keep)
    rank = np.cumsum(keep) - 1
    ends = np.where(keep[ends], rank[ends], -1)
    near = int(ends[0]) if len(ends) and ends[0] >= 0 else -1
    root = near if near >= 0 else int(np.argmax(geodesic_mm(inside, 0)))
    from_root = geodesic_mm(inside, root)
    return _Grid(inside, from_root, root, ends, lost)


def _blind_tips(piece: Piece, grid: _Grid, depth: Floats) -> Ints:
    """Return the voxels at the tips of what may be branches, apart from the known ends.

    A sac beside the way from one end may lie at the end of the way from another.
    """
    cells = grid.cells
    far = int(np.argmax(grid.from_root))
    roots = grid.ends[:ROOTS].tolist() if len(grid.ends) else [grid.root, far]
    found = np.empty(0, np.int64) if len(grid.ends) else np.array([grid.root], np.int64)
    for root in roots:
        distance = grid.from_root if root == grid.root else geodesic_mm(cells, root)
        tips = find_tips(cells, distance, depth)
        far_out = tips.reach_mm > TIP * tips.depth_mm + 1.5 * cells.spacing_mm
        for cell, deep in zip(tips.cells[far_out], tips.depth_mm[far_out]):
            places = cells.centres_mm(np.append(found, cell))
            away = np.linalg.norm(places[:-1] - places[-1], axis=1)
            if not (away < 1.5 * min(deep, piece.mean_radius_mm)).any():
                found = np.append(found, cell)
    for opening in piece.openings:
        away = np.linalg.norm(cells.centres_mm(found) - opening.centre_mm, axis=1)
        found = found[away > 1.5 * opening.radius_mm]
    return np.setdiff1d(found, grid.ends)


def _require_vessel(graph: Graph) -> None:
    if not graph.ways:
        raise NoCenterline(
            "the lumen is as wide as it is long, so it has no centerline; give its ends as points"
        )
    way = graph.ways[0]
    ends = (graph.joints[way.start], graph.joints[way.stop])
    free = len(graph.ways) == 1 and way.start != way.stop and not any(e.forced for e in ends)
    if free and way.length_mm < BLOB * way.depth_mm.max():
        raise NoCenterline(
            "the lumen is hardly longer than wide, so it has no centerline; give its ends as points"
        )


def _finish(graph: Graph, piece: Piece, openings: int) -> dict[int, npt.NDArray[np.bool_] | None]:
    """Let every terminal way end where its vessel does; return the caps of blind ends."""
    flats: dict[int, npt.NDArray[np.bool_] | None] = {}
    for n in range(len(graph.ways)):
        for turned in (False, True):
            run = graph.ways[n].reversed() if turned else graph.ways[n]
            joint = graph.joints[run.stop]
            if graph.degree(run.stop) != 1 or run.start == run.stop:
                continue
            if joint.mark >= openings:
                continue
            if joint.mark < 0:
                flats[run.stop] = flat_cap(piece, run)
            opening = piece.openings[joint.mark] if joint.mark >= 0 else None
            run = finished(run, piece, opening, flats.get(run.stop))
            graph.ways[n] = run.reversed() if turned else run
    return flats


def _tree(
    graph: Graph,
    grid: _Grid,
    lines: list[Line],
    piece: Piece,
    openings: int,
    flats: dict[int, npt.NDArray[np.bool_] | None],
) -> Tree:
    joints, ends, widths, asked = {}, {}, {}, {}
    for number, joint in graph.joints.items():
        touching = [line for line in lines if number in (line.start, line.stop)]
        line = touching[0]
        run = line if line.stop == number else line.reversed()
        joints[number] = (run.points_mm[-1], float(run.radius_mm[-1]))
        if joint.mark >= openings:
            asked[number] = joint.mark - openings
        if len(touching) == 1 and line.start != line.stop:
            kind: EndKind = "flat" if flats.get(number) is not None else "round"
            if joint.mark >= 0:
                kind = "open" if joint.mark < openings else "asked"
            ends[number] = kind
            widths[number] = _width(run)
            if kind == "open":
                widths[number] = piece.openings[joint.mark].radius_mm
    return Tree(
        lines, joints, ends, widths, asked, graph.bulges, graph.stubs, grid.lost_mm3,
        grid.cells.spacing_mm,
    )  # fmt: skip


def _width(run: Line) -> float:
    """Return the median radius of the last third of a line, at most three radii long."""
    count = max(min(len(run.points_mm) // 3, 12), 1)
    area = run.sections[-count:, 0]
    by_area = np.sqrt(area[np.isfinite(area)] / np.pi)
    return float(np.median(by_area if len(by_area) else run.radius_mm[-count:]))
