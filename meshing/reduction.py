"""Collapses of edges that can be taken back where they did harm.

What collapses leave is the surface of before with some of its points taken together, so a place
is given back its points without a record of what happened when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from meshing import collapse
from meshing.adjacency import edge_uses, fans, incidence
from meshing.grid_contour import outward
from meshing.integrals import volume_of
from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AT_ONCE = 0.3
"""Share of the edges, the cheapest, that one round looks at."""

WIDEST = 16.0
"""By how many times more edges a round looks at where few collapse, at the most."""

EVEN = 0.02
"""Most of a mean edge's length by which all points move so that the volume stays."""

TOLERATED = 0.001
"""Share by which the volume may differ."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A surface with points taken together: ``origin`` has the number of each earlier point's."""

    mesh: SurfaceMesh
    points_mm: Floats
    origin: Integers

    def remaining(self) -> tuple[Integers, Integers]:
        """Return the numbers of the earlier triangles that remain, and their points (m, 3)."""
        cells = self.origin[self.mesh.triangles]
        rows = np.flatnonzero((cells != np.roll(cells, 1, axis=1)).all(axis=1))
        return rows, cells[rows]


def reduced(
    start: Reduced, target: int, limit_mm2: float, locked: Flags, progress: Progress
) -> Reduced:
    """Collapse edges until few triangles remain, or none as cheap as a mean square distance.

    Points of ``locked`` (one flag for each of ``start``), and those of open or crowded edges,
    stay.
    """
    points, (_, cells) = start.points_mm.copy(), start.remaining()
    origin, locked = start.origin, locked.copy()
    quadrics = collapse.plane_quadrics(points, cells)
    first, wider = len(cells), 1.0
    while len(cells) > target:
        progress((first - len(cells)) / (first - target), "reducing the triangles")
        starts, members = incidence(cells, len(points))
        edges, uses, _ = edge_uses(cells, starts, members)
        costs, places = collapse.collapse_costs(points, quadrics, edges)
        chosen = _cheapest(costs, len(cells) - target, limit_mm2, wider)
        busy = locked.copy()
        busy[edges[uses != 2].ravel()] = True
        into = np.arange(len(points))
        gone = collapse.collapse_round(
            points, quadrics, cells, starts, members, edges[chosen], places[chosen], busy,
            into, len(cells) - target,
        )  # fmt: skip
        cells, stay = collapse.packed(cells, len(points))
        after = np.full(len(points), -1)
        after[stay] = np.arange(len(stay))
        origin = after[into][origin]
        points, quadrics, locked = points[stay], quadrics[stay], locked[stay]
        if gone < 2 + (first - target) // 500:
            if len(chosen) == len(costs) or wider > WIDEST:
                break
            wider *= 4.0  # the cheapest edges are those that may not collapse
    return replace(start, points_mm=points, origin=origin)


def _cheapest(costs: Floats, too_many: int, limit_mm2: float, wider: float) -> Integers:
    """Return the numbers of the cheapest edges in order: enough for one round, within a limit."""
    share_of_edges = min(AT_ONCE, max(1.5 * too_many / (2 * len(costs)), 0.02))
    place = min(len(costs) - 1, int(share_of_edges * wider * len(costs)))
    worst = min(float(np.partition(costs, place)[place]), limit_mm2)
    chosen = np.flatnonzero(costs <= worst)
    return np.asarray(chosen[np.argsort(costs[chosen], kind="stable")])


def of_its_volume(part: Reduced) -> Reduced:
    """Return a closed surface moved outward evenly, a little at the most, to the volume before."""
    _, cells = part.remaining()
    points = part.points_mm
    wanted = float(volume_of(part.mesh.points_mm, part.mesh.triangles))
    if abs(float(volume_of(points, cells)) - wanted) <= TOLERATED * abs(wanted):
        return part
    edges = points[cells[:, 0]] - points[cells[:, 1]]
    left_mm = EVEN * float(np.linalg.norm(edges, axis=1).mean())
    for _ in range(3):
        vectors = outward(points, cells)
        sizes = np.linalg.norm(vectors, axis=1)
        lacking_mm = (wanted - float(volume_of(points, cells))) / max(float(sizes.sum()), 1e-12)
        depth_mm = float(np.clip(lacking_mm, -left_mm, left_mm))
        left_mm -= abs(depth_mm)
        points = points + vectors * (depth_mm / np.maximum(sizes, 1e-12))[:, None]
    return replace(part, points_mm=points)


def taken_back(part: Reduced, loose: Flags) -> tuple[Reduced, Flags]:
    """Return the surface with earlier points (one flag each) at their places again.

    Where that would leave no manifold, more points come back. The flags of all are returned too.
    """
    before, count = part.mesh, len(part.points_mm)
    rim = _unsound(before.triangles, len(before.points_mm))
    while True:
        number = np.where(loose, count + np.arange(len(loose)), part.origin)
        used = np.zeros(count + len(loose), np.bool_)
        used[number] = True
        origin = (np.cumsum(used) - 1)[number]
        points = np.vstack([part.points_mm, before.points_mm])[used]
        result = replace(part, points_mm=points, origin=origin)
        bad = _unsound(result.remaining()[1], len(points))[origin] & ~rim
        more = loose | bad
        if np.array_equal(more, loose):
            return result, loose
        # Whole groups come back, so that no group is torn.
        together = np.zeros(count, np.bool_)
        together[part.origin[more]] = True
        loose = together[part.origin]


def _unsound(cells: Integers, count: int) -> Flags:
    """Return flags of the points at which triangles do not form a closed manifold."""
    starts, members = incidence(cells, count)
    edges, uses, balance = edge_uses(cells, starts, members)
    flags = np.asarray(fans(cells, starts, members) > 1)
    flags[edges[(uses != 2) | (balance != 0)].ravel()] = True
    return flags
