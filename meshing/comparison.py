"""How far two surfaces lie apart: a map on one of them, and symmetric numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meshing.measuring import require_one_frame
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, is_watertight, measured
from segmentation.contract import Finding, Number, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]

DISTANCE = "distance_mm"
"""The name of the map in the point data."""

FARTHEST_IN_FACE = 1 / np.sqrt(3)
"""Of the longest edge: no place of an acute triangle is farther than this from a corner."""


def distance_map(
    mesh: SurfaceMesh, reference: SurfaceMesh, *, progress: Progress = silent
) -> SurfaceMesh:
    """Map the distance of a surface from another one.

    Every point of the surface gets its distance to the nearest place of the reference,
    positive where it lies outside (on the side to which the reference's normals point) and
    negative inside. The numbers are symmetric: both surfaces are measured from the other.

    Args:
        mesh: the surface that carries the map, LPS mm.
        reference: the surface it is compared with, in the same frame.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the surfaces lie in different frames.
        ValueError: if one of them has no triangle.
    """
    require_one_frame(mesh, reference)
    to_reference = NearestOnSurface(reference).signed_mm(mesh.points_mm, share(progress, 0, 2))
    back = NearestOnSurface(mesh)(reference.points_mm, share(progress, 1, 2)).distance_mm
    there = np.abs(to_reference)
    numbers = _numbers(mesh, reference, to_reference, back)
    away = there.max() >= back.max()
    far, where = (there, mesh) if away else (back, reference)
    findings = [_farthest(far, where, reference if away else mesh)]
    if not is_watertight(reference):
        findings.append(_open(reference))
    known = measured(replace(mesh, findings=()))
    kept = {name: array for name, array in mesh.point_data.items() if name != DISTANCE}
    return replace(
        known,
        name=mesh.name or "distance",
        point_data={**kept, DISTANCE: to_reference},
        numbers=(*numbers, *known.numbers),
        findings=tuple(findings),
    )


def point_areas_mm2(mesh: SurfaceMesh) -> Floats:
    """Return the area in mm2 that each point stands for: a third of each triangle beside it."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    total = np.bincount(mesh.triangles.ravel(), np.repeat(areas, 3), len(mesh.points_mm))
    return np.asarray(total, np.float64)


def weighted_percentile(values: Floats, weights: Floats, percent: float) -> float:
    """Return the value below which ``percent`` of the weight lies."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order])
    place = int(np.searchsorted(summed, percent / 100 * summed[-1]))
    return float(values[order][min(place, len(order) - 1)])


def _numbers(
    mesh: SurfaceMesh, reference: SurfaceMesh, signed: Floats, back: Floats
) -> tuple[Number, ...]:
    """Return the symmetric numbers of two maps of distances."""
    there, weights = np.abs(signed), point_areas_mm2(mesh)
    others = point_areas_mm2(reference)
    both = ((there, weights), (back, others))
    mean = [float(np.average(d, weights=w)) for d, w in both]
    square = [float(np.average(d**2, weights=w)) for d, w in both]
    p95 = [weighted_percentile(d, w, 95) for d, w in both]
    top = [float(d.max()) for d, _ in both]
    highest = max(_highest(mesh, there), _highest(reference, back))
    source = "nearest places, both ways, weighted by area"
    bound = f"{source}; high end: no place between the measured points is farther"
    return (
        Number("mean", sum(mean) / 2, "mm", source),
        Number("rms", float(np.sqrt(sum(square) / 2)), "mm", source),
        Number("95th_percentile", max(p95), "mm", f"{source}; the larger of the two"),
        Number("hausdorff", max(top), "mm", bound, max(top), highest),
        Number(
            "mean_signed", float(np.average(signed, weights=weights)), "mm",
            "weighted by area; above zero the surface lies outside the reference",
        ),
    )  # fmt: skip


def _highest(mesh: SurfaceMesh, away: Floats) -> float:
    """Return a bound of the distance between the points at which it was measured.

    A distance changes by no more than the way walked, so inside a triangle it is at most that
    of the farthest corner plus the way to the nearest one.
    """
    corners = mesh.points_mm[mesh.triangles]
    longest = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(axis=1)
    return float((away[mesh.triangles].max(axis=1) + FARTHEST_IN_FACE * longest).max())


def _farthest(away: Floats, where: SurfaceMesh, other: SurfaceMesh) -> Finding:
    place = int(np.argmax(away))
    x, y, z = (float(v) for v in where.points_mm[place])
    name, against = where.name or "the surface", other.name or "the other"
    text = f"The largest distance is {away[place]:.2f} mm, from {name} to {against}."
    return Finding(Severity.INFO, "farthest_point", text, (x, y, z))


def _open(reference: SurfaceMesh) -> Finding:
    text = (
        f"The surface {reference.name or 'that is compared with'} is not closed; near its rim "
        "the sign of the distance says little."
    )
    return Finding(Severity.WARNING, "open_reference", text, remedy="Close it, or read sizes only.")
