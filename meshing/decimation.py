"""Fewer triangles: to a number of them, or as far as an error in mm allows."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from meshing.deviation import distance_numbers, samples_of
from meshing.intersections import intersecting_pairs
from meshing.mesh import SurfaceMesh, is_watertight, measured
from meshing.nearest import NearestOnSurface
from meshing.reduction import Reduced, of_its_volume, reduced, taken_back
from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.wording import counted

REDUCED_AGAIN = 4
"""How often more triangles are reduced for those that came back where they crossed."""

FEW = 0.05
"""Share of points that may have come back for it: beyond, the surface bears no fewer triangles."""

CLOSER = 6
"""How often less is reduced, for a surface that moved too far."""


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
    distances_mm = NearestOnSurface(result)(samples_of(mesh), share(progress, 1, 2)).distance_mm
    return _told(result, triangles, distance_numbers(distances_mm, "from the surface before"))


def _within(mesh: SurfaceMesh, largest_mm: float, progress: Progress) -> SurfaceMesh:
    """Return a surface of few triangles whose measured distance keeps within a limit."""
    allowed_mm, before = largest_mm / 2, NearestOnSurface(mesh)
    samples = samples_of(mesh)
    for attempt in range(CLOSER):
        part = share(progress, attempt, CLOSER)
        result = _sound(mesh, 4, allowed_mm**2, share(part, 0, 2))
        there = NearestOnSurface(result)(samples, share(part, 2, 4)).distance_mm
        back = before(samples_of(result), share(part, 3, 4)).distance_mm
        distances_mm = np.concatenate([there, back])
        reached_mm = float(distances_mm.max())
        if reached_mm <= largest_mm:
            return _told(result, len(result.triangles), distance_numbers(distances_mm))
        allowed_mm *= min(0.7, 0.8 * largest_mm / reached_mm)
    return _told(mesh, 0, distance_numbers(np.zeros(1)))


def _told(after: SurfaceMesh, triangles: int, numbers: tuple[Number, ...]) -> SurfaceMesh:
    """Return the result with its numbers, and what a reader must know."""
    notes = list(after.findings)
    if len(after.triangles) > triangles:
        text = f"{len(after.triangles)} triangles are kept, since fewer would open or fold it."
        notes.append(Finding(Severity.INFO, "triangles_kept", text))
    result = measured(replace(after, findings=tuple(notes)))
    return replace(result, numbers=(*result.numbers, *numbers))


def _sound(mesh: SurfaceMesh, target: int, limit_mm2: float, progress: Progress) -> SurfaceMesh:
    """Return the reduced surface; where it would cross itself it is as it was."""
    count = len(mesh.points_mm)
    start = Reduced(mesh, mesh.points_mm, np.arange(count))
    part = reduced(start, target, limit_mm2, np.zeros(count, np.bool_), share(progress, 0, 2))
    closed = is_watertight(mesh)
    part = of_its_volume(part) if closed else part
    rows, cells = part.remaining()
    changed, loose = np.ones(len(cells), np.bool_), np.zeros(count, np.bool_)
    progress = share(progress, 1, 2)
    for attempt in itertools.count():
        pairs = intersecting_pairs(part.points_mm, cells, among=changed, progress=progress)
        # What crosses between points that came back already crossed before.
        held = np.zeros(len(part.points_mm), np.bool_)
        held[part.origin[loose]] = True
        new = pairs[~held[cells[pairs]].all(axis=(1, 2))]
        if not len(new):
            break
        torn = np.zeros(len(part.points_mm), np.bool_)
        torn[cells[new.ravel()].ravel()] = True
        before = part
        part, loose = taken_back(part, loose | torn[part.origin])
        if attempt < REDUCED_AGAIN and loose.mean() < FEW:
            held = np.zeros(len(part.points_mm), np.bool_)
            held[part.origin[loose]] = True
            part = reduced(part, target, limit_mm2, held, progress)
            part = of_its_volume(part) if closed else part
        rows, cells = part.remaining()
        earlier = before.points_mm[before.origin[mesh.triangles[rows]]]
        changed = np.asarray((earlier != part.points_mm[cells]).any(axis=(1, 2)))
    # Points that came back may have left too little volume; a shift that crosses is not made.
    moved = of_its_volume(part) if closed else part
    if moved is not part and len(intersecting_pairs(moved.points_mm, cells)) <= len(pairs):
        part = moved
    result = mesh.reshaped(part.points_mm, cells)
    return replace(result, findings=(*result.findings, *_crossing(len(pairs))))


def _crossing(pairs: int) -> tuple[Finding, ...]:
    if not pairs:
        return ()
    text = counted(
        pairs,
        "pair of triangles crosses, as it did before.",
        "pairs of triangles cross, as they did before.",
    )
    note = Finding(Severity.WARNING, "self_intersections", text, remedy="Repair the surface.")
    return (note,)
