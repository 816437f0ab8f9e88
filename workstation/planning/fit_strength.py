"""How much of an implant's strength a load takes, by a formula: for a first look only."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from scipy.spatial import ConvexHull

from meshing.cell_sizes import face_normals
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh, require_watertight
from meshing.tree import triangle_tree
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.volume import Floats

POISSON = (0.30, 0.35, 0.45)
"""Least, middle and largest ratio that is reckoned with, from metals to soft polymers."""

THIN_SHARE = 5.0
"""Percent of the loaded surface that may be thinner than what the band reckons with."""

FACING = 0.5
"""Cosine between a normal and the thin side, above which a triangle is on that side."""

LIMITS = (
    "the stress is that of a flat round plate of even thickness, resting freely on its rim, under "
    "a still load at its middle: no holes, screws, bevels, bend of the skull, impact, fatigue or "
    "contact are in it, and it proves nothing about the strength of the implant"
)


def implant_strength(
    implant: SurfaceMesh,
    *,
    load_n: Annotated[float, Gt(0), Le(100_000)] | None = None,
    load_diameter_mm: Annotated[float, Gt(0), Le(200)] = 20.0,
    yield_mpa: Annotated[float, Gt(0), Le(5000)] | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Estimate the bending stress of a plate-like implant under a load, for a first look.

    The largest bending moment of a round plate on a simply supported rim under a load on a circle
    at its middle is P/(4 pi) [(1 + v) ln(a/c) + 1 - (1 - v) c^2/(4 a^2)] (Timoshenko,
    Woinowsky-Krieger, Theory of Plates and Shells, 1959, article 16), and the stress six times
    that over the thickness squared. The plate has the area of the implant, seen along its thin
    side, and its thickness is the median under the load. The band holds Poisson's ratios of 0.30
    to 0.45, and the thickness that 5 % and 95 % of the surface under the load stay under.

    Args:
        implant: the closed surface of a plate-like implant.
        load_n: the load; without one there is no stress.
        load_diameter_mm: of the circle on which the load rests.
        yield_mpa: yield strength of the material as its maker states it; none is assumed.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        ValueError: if the load's circle is wider than the implant.
    """
    require_watertight(implant)
    radius = plate_radius_mm(implant.points_mm)
    if load_diameter_mm >= 2 * radius:
        raise ValueError(
            f"the load rests on {load_diameter_mm:g} mm, but the implant is only "
            f"{2 * radius:.0f} mm wide; make load_diameter_mm smaller"
        )
    if load_n is None:
        text = "the stress under a load is not known, because no load was given"
        asked = Finding(Severity.INFO, "no_load", text, remedy="set the load and yield strength")
        return Measurements(findings=(asked,))
    progress(0.2, "measuring how thick it is under the load")
    thick = chords_mm(implant, load_diameter_mm / 2)
    thin, middle, wide = np.percentile(thick, (THIN_SHARE, 50, 100 - THIN_SHARE)).tolist()
    stress = [
        6 * plate_moment_n(load_n, radius, load_diameter_mm / 2, poisson) / across_mm**2
        for poisson, across_mm in zip(POISSON, (wide, middle, thin))
    ]
    source = (
        f"round plate of {2 * radius:.0f} mm, {middle:.1f} mm thick, resting on its rim; "
        f"{load_n:g} N on {load_diameter_mm:g} mm (Timoshenko 1959, article 16)"
    )
    low, value, high = stress
    numbers = [Number("stress", value, "MPa", source, low, high)]
    if yield_mpa is not None:
        part = [100 * s / yield_mpa for s in stress]
        said = f"{source}; yield strength {yield_mpa:g} MPa as given"
        numbers.append(Number("share_of_yield", part[1], "%", said, part[0], part[2]))
    numbers += [Number("span", 2 * radius, "mm", "diameter of a circle of the implant's area")]
    return Measurements(tuple(numbers), _findings(high, yield_mpa))


def plate_moment_n(load_n: float, radius_mm: float, load_radius_mm: float, poisson: float) -> float:
    """Return the largest bending moment of a simply supported round plate, N mm per mm."""
    ratio = load_radius_mm / radius_mm
    bracket = (1 + poisson) * np.log(1 / ratio) + 1 - (1 - poisson) * ratio**2 / 4
    return float(load_n / (4 * np.pi) * bracket)


def plate_radius_mm(points_mm: Floats) -> float:
    """Return the radius of a circle of the area of points (n, 3), seen along their thin side."""
    flat = (points_mm - points_mm.mean(axis=0)) @ _axes(points_mm)
    return float(np.sqrt(ConvexHull(flat[:, 1:]).volume / np.pi))


def chords_mm(implant: SurfaceMesh, radius_mm: float) -> Floats:
    """Return how thick an implant is, through its thin side, within a radius of its middle.

    Raises:
        ValueError: if nothing of it lies there.
    """
    axes, middle = _axes(implant.points_mm), implant.points_mm.mean(axis=0)
    centroids = implant.points_mm[implant.triangles].mean(axis=1)
    local = (centroids - middle) @ axes
    normals = face_normals(implant.points_mm, implant.triangles)
    facing = normals @ axes[:, 0] > FACING * np.linalg.norm(normals, axis=1)
    starts = np.flatnonzero(facing & (np.linalg.norm(local[:, 1:], axis=1) <= radius_mm))
    through, _ = first_hits(
        triangle_tree(implant.points_mm, implant.triangles),
        centroids[starts],
        np.tile(-axes[:, 0], (len(starts), 1)),
        starts,
        reach_mm=float(np.ptp(local[:, 0])) + 1.0,
    )
    if not np.isfinite(through).any():
        raise ValueError("no part of the implant lies under the load; widen load_diameter_mm")
    return np.asarray(through[np.isfinite(through)])


def _axes(points_mm: Floats) -> Floats:
    """Return the main axes of points in columns, the shortest first."""
    flat = points_mm - points_mm.mean(axis=0)
    return np.asarray(np.linalg.eigh(flat.T @ flat)[1])


def _findings(high_mpa: float, yield_mpa: float | None) -> tuple[Finding, ...]:
    found = [Finding(Severity.WARNING, "screening_only", LIMITS)]
    if yield_mpa is None:
        text = "the share of the yield strength is not known, because no material was given"
        found.append(Finding(Severity.INFO, "no_yield", text, remedy="set yield_mpa"))
    elif high_mpa >= yield_mpa:
        text = f"by this formula the stress may reach {high_mpa:.0f} MPa, the yield strength or "
        text += "more"
        remedy = "make the implant thicker, or have it computed and tested"
        found.append(Finding(Severity.WARNING, "above_yield", text, remedy=remedy))
    return tuple(found)
