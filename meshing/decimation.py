"""Fewer triangles: to a number of them, or as far as an error in mm allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt

from meshing import collapse
from meshing.adjacency import edge_uses, incidence
from meshing.deviation import apart_mm, distance_numbers
from meshing.intersections import self_intersections
from meshing.mesh import SurfaceMesh, measured
from segmentation.contract import Finding, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AT_ONCE = 0.3
"""Share of the edges, the cheapest, that one round looks at."""

ATTEMPTS = 3
"""How often triangles that would cross are kept in place and the rest is reduced again."""


def decimate(
    mesh: SurfaceMesh,
    *,
    triangles: Annotated[int, Ge(4)] = 60_000,
    largest_error_mm: Annotated[float, Gt(0)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Reduce the number of triangles of a surface, keeping it closed.

    Edges collapse where that moves the surface least (quadric error; Garland and Heckbert,
    SIGGRAPH 1997), and only where the surface stays a manifold; where triangles would cross, the
    surface keeps those it had. If more triangles than asked remain, a finding says so. The
    largest distance to the surface it was made from is measured. Point data are dropped. A
    surface that has fewer triangles already comes back as it is.

    Args:
        mesh: the surface, LPS mm.
        triangles: number of triangles to keep; not looked at where an error is given.
        largest_error_mm: instead of a number of triangles: how far the surface may move at the
            most; as few triangles as possible are kept.
        progress: told how far the work is.
    """
    if largest_error_mm is not None:
        return _within(mesh, largest_error_mm, progress)
    if len(mesh.triangles) <= triangles:
        return mesh
    result = _sound(mesh, triangles, np.inf, share(progress, 0, 2))
    return _told(mesh, result, triangles, apart_mm(mesh, result, share(progress, 1, 2)))


def _within(mesh: SurfaceMesh, largest_mm: float, progress: Progress) -> SurfaceMesh:
    """Return a surface of few triangles whose measured distance keeps within a limit."""
    allowed_mm = largest_mm / 2
    for attempt in range(6):
        part = share(progress, attempt, 6)
        result = _sound(mesh, 4, allowed_mm**2, share(part, 0, 2))
        distances = apart_mm(mesh, result, share(part, 1, 2))
        reached_mm = float(distances.max(initial=0.0))
        if reached_mm <= largest_mm:
            return _told(mesh, result, len(result.triangles), distances)
        allowed_mm *= min(0.7, 0.8 * largest_mm / reached_mm)
    return _told(mesh, mesh, 0, np.zeros(1))


def _told(
    before: SurfaceMesh, after: SurfaceMesh, triangles: int, distances_mm: Floats
) -> SurfaceMesh:
    """Return the result with its numbers, and what a reader must know."""
    notes = list(after.findings)
    if len(after.triangles) > triangles:
        text = f"{len(after.triangles)} triangles are kept, since fewer would open or fold it."
        notes.append(Finding(Severity.INFO, "triangles_kept", text))
    result = measured(replace(after, findings=tuple(notes)))
    return replace(result, numbers=(*result.numbers, *distance_numbers(distances_mm)))


def _sound(mesh: SurfaceMesh, target: int, limit_mm2: float, progress: Progress) -> SurfaceMesh:
    """Return the reduced surface; what would make it cross itself is left as it was."""
    kept = np.zeros(len(mesh.points_mm), np.bool_)
    for attempt in range(ATTEMPTS):
        part = share(progress, attempt, ATTEMPTS)
        reduced = _reduce(mesh, target, limit_mm2, kept, share(part, 0, 2))
        result = mesh.reshaped(reduced.points_mm, reduced.triangles)
        pairs = self_intersections(result, progress=share(part, 1, 2))
        if not len(pairs):
            break
        crossing = np.zeros(len(result.points_mm), np.bool_)
        crossing[result.triangles[pairs.ravel()].ravel()] = True
        kept |= crossing[reduced.origin]
    return result


@dataclass(frozen=True, eq=False)
class _Reduced:
    """What collapses left; ``origin`` says for each earlier point which one it went into."""

    points_mm: Floats
    triangles: Integers
    origin: Integers


def _reduce(
    mesh: SurfaceMesh, target: int, limit_mm2: float, kept: Flags, progress: Progress
) -> _Reduced:
    points, cells = np.array(mesh.points_mm), np.array(mesh.triangles)
    numbers, kept = np.arange(len(points)), kept.copy()
    quadrics = collapse.plane_quadrics(points, cells)
    first = len(cells)
    while len(cells) > target:
        progress((first - len(cells)) / (first - target), "reducing the triangles")
        starts, members = incidence(cells, len(points))
        edges, uses, _ = edge_uses(cells, starts, members)
        costs, places = collapse.collapse_costs(points, quadrics, edges)
        chosen = _cheapest(costs, len(cells) - target, limit_mm2)
        locked = kept.copy()
        locked[edges[uses != 2].ravel()] = True
        into = np.arange(len(points))
        gone = collapse.collapse_round(
            points, quadrics, cells, starts, members, edges[chosen], places[chosen], locked,
            into, len(cells) - target,
        )  # fmt: skip
        cells, stay = collapse.packed(cells, len(points))
        after = np.full(len(points), -1)
        after[stay] = np.arange(len(stay))
        numbers = after[into][numbers]
        points, quadrics, kept = points[stay], quadrics[stay], kept[stay]
        if gone < 2 + (first - target) // 500:
            break
    return _Reduced(points, cells, numbers)


def _cheapest(costs: Floats, too_many: int, limit_mm2: float) -> Integers:
    """Return the numbers of the cheapest edges in order: enough for one round, within a limit."""
    share_of_edges = min(AT_ONCE, max(1.5 * too_many / (2 * len(costs)), 0.02))
    place = min(len(costs) - 1, int(share_of_edges * len(costs)))
    worst = min(float(np.partition(costs, place)[place]), limit_mm2)
    chosen = np.flatnonzero(costs <= worst)
    return np.asarray(chosen[np.argsort(costs[chosen], kind="stable")])
