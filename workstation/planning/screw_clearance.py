"""What screws come near: each other, and what they must not reach."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from manifold3d import Manifold

from meshing.nearest import NearestOnSurface
from meshing.surface import isosurface
from segmentation.contract import Finding, Number, Progress, Severity
from segmentation.measured import Measured
from segmentation.volume import LabelMap
from workstation.planning.critical_structures import slug_of
from workstation.planning.plan import Plan, Step
from workstation.planning.proposal import as_point, tight

HOLE = "hole_diameter"
"""What a plate's course calls the diameter of its holes."""

PATHS, APART = "planning.screw_paths", "planning.screws_apart"

FINE_MM = 0.4
"""Between the places of a screw from which the distance to a structure is taken."""

FAR_MM = 50.0
"""Screws farther apart than this have no number for their gap."""

TOUCHING_MM = 0.01


def between_screws(bodies: list[Manifold], safety_mm: float) -> tuple[list[Number], list[Finding]]:
    """Return the gaps between screws that come near each other, and which collide."""
    numbers, findings = [], []
    source = f"between the solids of the screws, threads as cylinders; none beyond {FAR_MM:g} mm"
    for (i, one), (j, other) in combinations(enumerate(bodies, 1), 2):
        gap = float(one.min_gap(other, FAR_MM))
        if gap >= FAR_MM:
            continue
        numbers.append(Number(f"gap_{i}_{j}", gap, "mm", source))
        findings += _near(f"screws {i} and {j}", one, other, gap, safety_mm)
    return numbers, findings


def between_sets(
    bodies: list[Manifold], others: list[Manifold], names: tuple[str, str], safety_mm: float
) -> tuple[Number, list[Finding]]:
    """Return the least gap between two sets of screws, and which of them come too near.

    ``names`` are what the sets are called.
    """
    found: list[Finding] = []
    least = FAR_MM
    for i, one in enumerate(bodies, 1):
        for j, other in enumerate(others, 1):
            gap = float(one.min_gap(other, FAR_MM))
            least = min(least, gap)
            which = f"screw {i} of {names[0]} and screw {j} of {names[1]}"
            found += _near(which, one, other, gap, safety_mm)
    source = f"between the solids of both sets, threads as cylinders; {FAR_MM:g} stands for more"
    return Number("gap_least", least, "mm", source), found


def to_plate(
    bodies: list[Manifold], plate: Manifold, called: str, safety_mm: float
) -> tuple[Number, list[Finding]]:
    """Return the least gap between screws and a plate that is not theirs, and what is too near."""
    found: list[Finding] = []
    gaps = [float(body.min_gap(plate, FAR_MM)) for body in bodies]
    for i, (body, gap) in enumerate(zip(bodies, gaps), 1):
        found += _near(f"screw {i} of {called} and the plate", body, plate, gap, safety_mm)
    source = f"between the screws with heads and the plate; {FAR_MM:g} stands for more"
    return Number("gap_plate", min(gaps), "mm", source), found


def through_holes(course: Measured, diameter_mm: float, head_mm: float) -> list[Finding]:
    """Return why screws and the holes of their plate do not go together."""
    hole = {number.quantity: number.value for number in course.numbers}.get(HOLE)
    remedy = "enter the hole of your plate and the sizes of its screws"
    if hole is None or diameter_mm <= hole < head_mm:
        return []
    text = f"heads of {head_mm:g} mm fall through the plate's {hole:g} mm holes"
    if diameter_mm > hole:
        text = f"screws of {diameter_mm:g} mm do not go through the plate's {hole:g} mm holes"
    return [Finding(Severity.PROBLEM, "hole_does_not_fit", text, remedy=remedy)]


def screw_problems(plan: Plan, values: Mapping[str, Any], part: Step) -> list[Finding] | None:
    """Return what is wrong with the screws that go through a guide or a plate.

    ``values`` are the results of the plan by name, ``part`` is the step that made the guide or
    plate. None where it has no screws.
    """
    course = part.inputs.get("course", "")
    screws = {
        s.output for s in plan.steps
        if course and s.stage == PATHS and s.inputs.get("course") == course
    }  # fmt: skip
    screws |= {part.inputs["screws"]} if "screws" in part.inputs else set()
    apart = {s.output for s in plan.steps if s.stage == APART and screws & {*s.inputs.values()}}
    if not screws:
        return None
    told = [values[name] for name in sorted(screws | apart) if name in values]
    return [f for value in told for f in value.findings if f.severity is Severity.PROBLEM]


def _near(
    which: str, one: Manifold, other: Manifold, gap: float, safety_mm: float
) -> list[Finding]:
    """Return that two screws collide or come too near, where they do."""
    if gap <= TOUCHING_MM:
        shared = one ^ other
        low = np.reshape(shared.bounding_box(), (2, 3)) if not shared.is_empty() else None
        place = None if low is None else as_point(low.mean(axis=0))
        text = f"{which} collide, by {shared.volume():.2g} mm3"
        return [Finding(Severity.PROBLEM, "screws_collide", text, place, "turn one")]
    if gap < safety_mm:
        text = f"{which} come within {gap:.1f} mm of each other"
        return [Finding(Severity.WARNING, "screws_near", text)]
    return []


def to_structures(
    bodies: list[Manifold], critical: LabelMap, safety_mm: float, progress: Progress
) -> tuple[list[Number], list[Finding]]:
    """Return how near each screw comes to each label, negative in it, and what is too near."""
    numbers, findings = [], []
    half = max(critical.geometry.spacing_mm) / 2
    source = "from screw with head to the label's surface, negative within it; band: half a voxel"
    spots = [np.asarray(b.refine_to_length(FINE_MM).to_mesh64().vert_properties)[:, :3]
             for b in bodies]  # fmt: skip
    for k, (value, known) in enumerate(critical.labels.items()):
        progress(k / len(critical.labels), f"measuring distances to {known.name}")
        whole = tight(LabelMap(critical.array == value, critical.geometry, {1: known}))
        if whole is None:
            continue
        near, name = NearestOnSurface(isosurface(whole)), known.name.replace("_", " ")
        for n, points in enumerate(spots, 1):
            away = near.signed_mm(points)
            least, place = float(away.min()), as_point(points[int(np.argmin(away))])
            numbers.append(Number(f"{slug_of(known.name)}_{n}", least, "mm", source,
                                  least - half, least + half))  # fmt: skip
            if least <= 0:
                text = f"screw {n} runs into {name}"
                findings.append(Finding(Severity.PROBLEM, "screw_hits", text, place, "move it"))
            elif least < safety_mm:
                text = f"screw {n} comes within {least:.1f} mm of {name}"
                findings.append(Finding(Severity.WARNING, "screw_near", text, place, "move it"))
    return numbers, findings
