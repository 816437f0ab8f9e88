"""What screws come near: each other, and what they must not reach."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from manifold3d import Manifold

from meshing.nearest import NearestOnSurface
from meshing.surface import isosurface
from segmentation.contract import Finding, Number, Progress, Severity
from segmentation.volume import LabelMap
from workstation.planning.critical_structures import slug_of
from workstation.planning.proposal import as_point, tight

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
