"""The voxels of a vein as a graph, and the cheapest ways through it from one root.

A way is cheap where the vein is wide, so that it keeps to the middle, and however noisy the label
is, the ways from one root make a tree: there are no loops. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from segmentation.volume import ImageGeometry, LabelMap, bounding_block

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STEP_MM = 1.2  # edge of the cubes in which a vein is followed
CENTRING = 3.0  # cost of a way: length / depth to this power
BRIDGE = 3.0  # times dearer than the thinnest vein is a way through what is no vein
HUB_DRAW = 2.5  # a hub this many times as far as another piece is still the nearer one
HUB_REACH_MM = 40.0
STEPS = [
    (k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if (k, j, i) > (0, 0, 0)
]


@dataclass(frozen=True, eq=False)
class VeinGraph:
    """The cubes of a vein.

    Attributes:
        points_mm: their centres (n, 3), LPS mm.
        depth_mm: how deep each lies under the vein's wall.
        links: the cost of the way between neighbours, (n, n).
        piece: the number of the connected piece, 0 the largest.
    """

    points_mm: Floats
    depth_mm: Floats
    links: csr_matrix
    piece: Ints

    def of(self, chosen: Bools) -> VeinGraph:
        """Return the part of the chosen cubes."""
        links = self.links[chosen][:, chosen].tocsr()
        return _numbered(self.points_mm[chosen], self.depth_mm[chosen], links)


@dataclass(frozen=True, eq=False)
class Ways:
    """The cheapest way from the root to each cube of a vein.

    Attributes:
        before: the cube before it on its way, -1 at the root and where no way leads.
        cost: of the way; infinite where none leads.
        length_mm: of the way.
    """

    root: int
    before: Ints
    cost: Floats
    length_mm: Floats


def vein_graph(label: LabelMap) -> VeinGraph | None:
    """Return the voxels of a label as a graph of cubes; None where there are too few."""
    block = bounding_block(label.array, (3, 3, 3))
    if block is None:
        return None
    mask = label.array[block] != 0
    grid = label.geometry.cropped([s.start for s in block][::-1], mask.shape[::-1])
    mask, grid = padded(mask, grid)
    cubes, even = in_cubes(mask, grid)
    if not cubes.any():
        return None
    depth = ndimage.distance_transform_edt(cubes) * STEP_MM - STEP_MM / 2
    places = np.argwhere(cubes)
    return _linked(even.to_world(places[:, ::-1]), depth[cubes], places, cubes.shape)


def padded(mask: Bools, grid: ImageGeometry) -> tuple[Bools, ImageGeometry]:
    """Return a mask and its grid with one empty voxel more on each side."""
    size = tuple(n + 2 for n in mask.shape)
    return np.pad(mask, 1), grid.cropped((-1, -1, -1), size[::-1])


def in_cubes(mask: Bools, grid: ImageGeometry) -> tuple[Bools, ImageGeometry]:
    """Return a mask on a grid of cubes, from the signed distance to its wall."""
    even = grid.resampled((STEP_MM,) * 3)
    spacing = grid.spacing_kji_mm
    signed = ndimage.distance_transform_edt(mask, spacing).astype(np.float32)
    signed -= ndimage.distance_transform_edt(~mask, spacing).astype(np.float32)
    factor = np.array([STEP_MM / s for s in spacing])
    offset = (factor - 1) / 2
    found = ndimage.affine_transform(
        signed, factor, offset, even.shape, order=1, mode="nearest", output=np.float32
    )
    return found > 0, even


def _linked(points: Floats, depth: Floats, places: Ints, shape: tuple[int, ...]) -> VeinGraph:
    number = np.full(np.add(shape, 2), -1, np.int64)
    inner = tuple((places + 1).T)
    number[inner] = np.arange(len(places))
    dear = 1.0 / np.maximum(depth, 0.3 * STEP_MM) ** CENTRING
    rows, columns, costs = [], [], []
    for step in STEPS:
        other = number[tuple((places + 1 + step).T)]
        here = np.flatnonzero(other >= 0)
        there = other[here]
        rows.append(here)
        columns.append(there)
        costs.append(STEP_MM * float(np.linalg.norm(step)) * (dear[here] + dear[there]) / 2)
    row, column, cost = (np.concatenate(part) for part in (rows, columns, costs))
    links = coo_matrix((cost, (row, column)), shape=(len(places),) * 2)
    return _numbered(points, depth, (links + links.T).tocsr())


def _numbered(points: Floats, depth: Floats, links: csr_matrix) -> VeinGraph:
    _, piece = connected_components(links, directed=False)
    order = np.argsort(-np.bincount(piece), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return VeinGraph(points, depth, links, rank[piece].astype(np.int64))


def bridged(
    graph: VeinGraph, gap_mm: float, hub_mm: Floats | None = None, meeting: Bools | None = None
) -> VeinGraph:
    """Return the graph with its pieces linked where gaps are at most ``gap_mm`` wide.

    With a hub, such as the vena cava, which the veins reach outside of the label, a cube is added
    there at the end, and pieces are linked to it unless another is much nearer. The ``meeting``
    cubes are linked to it besides, as if a thin vein led there.
    """
    points, depth, links = graph.points_mm, graph.depth_mm, graph.links
    pairs = _bridges(points, graph.piece, gap_mm, hub_mm)
    if hub_mm is not None:
        points, depth = np.vstack([points, hub_mm]), np.append(depth, 1.0)
        pointers = np.append(links.indptr, links.nnz)
        links = csr_matrix((links.data, links.indices, pointers), shape=(len(points),) * 2)
    if pairs:
        a, b, gap = (np.array(column) for column in zip(*pairs))
        cost = gap * BRIDGE / (0.3 * STEP_MM) ** CENTRING
        more = coo_matrix((cost, (a, b)), shape=(len(points),) * 2)
        links = (links + more + more.T).tocsr()
    if meeting is not None and hub_mm is not None:
        own = np.flatnonzero(meeting)
        cost = np.linalg.norm(points[own] - hub_mm, axis=1) + STEP_MM
        hub = np.full(len(own), len(points) - 1)
        more = coo_matrix((cost, (own, hub)), shape=(len(points),) * 2).tocsr()
        links = (links + more + more.T).tocsr()
    return _numbered(points, depth, links)


def _bridges(
    points: Floats, piece: Ints, gap_mm: float, hub_mm: Floats | None
) -> list[tuple[int, int, float]]:
    """Return the shortest gaps (cube, cube, mm) that link each piece to a larger one or the hub."""
    own = [np.flatnonzero(piece == n) for n in range(int(piece.max()) + 1)]
    trees = [cKDTree(points[cubes]) for cubes in own]
    found = []
    for n, cubes in enumerate(own):
        best, link = gap_mm, None
        for m in range(n):
            gap, at = trees[m].query(points[cubes], distance_upper_bound=gap_mm)
            near = int(np.argmin(gap))
            if gap[near] < best:
                best, link = float(gap[near]), (int(cubes[near]), int(own[m][at[near]]))
        if hub_mm is not None:
            away = np.linalg.norm(points[cubes] - hub_mm, axis=1)
            near = int(np.argmin(away))
            if n == 0 or away[near] < min(HUB_DRAW * best, HUB_REACH_MM):
                best, link = float(away[near]), (int(cubes[near]), len(points))
        if link is not None:
            found.append((*link, best))
    return found


def ways_from(graph: VeinGraph, root: int) -> Ways:
    """Return the cheapest ways from a cube to all others."""
    cost, before = dijkstra(graph.links, indices=root, return_predecessors=True)
    before = np.where(before < 0, -1, before).astype(np.int64)
    length = np.zeros(len(cost))
    order = np.argsort(cost, kind="stable")
    order = order[np.isfinite(cost[order]) & (before[order] >= 0)]
    step = np.linalg.norm(graph.points_mm[order] - graph.points_mm[before[order]], axis=1)
    for place, far in zip(order.tolist(), step.tolist()):
        length[place] = length[before[place]] + far
    length[~np.isfinite(cost)] = -1.0
    return Ways(root, before, cost, length)


def widest_near_mm(graph: VeinGraph) -> Floats:
    """Return the largest depth among the neighbours of each cube, in mm."""
    links = graph.links.tocoo()
    found = graph.depth_mm.copy()
    np.maximum.at(found, links.row, graph.depth_mm[links.col])
    return found
