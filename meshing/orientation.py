"""How a surface lies best on a printer's plate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import ConvexHull, QhullError

from meshing.surface import SurfaceMesh, measured
from segmentation.contract import Finding, Number, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]
Objective = Literal["least support", "least height"]
Size = tuple[float, float, float]

ON_PLATE_MM = 0.3
"""What lies within the first layer rests on the plate and needs no support."""

EVEN, FLAT = 96, 48  # directions tried: spread evenly, and with a facet of the hull on the plate
NEARBY_DEGREES = (8.0, 3.0, 1.0)
TURNS_DEGREES = np.arange(0.0, 90.0, 2.0)
AT_ONCE = 4_000_000  # products of triangles and directions between two reports of progress


@dataclass(frozen=True)
class Laying:
    """One way to lie on the plate.

    Attributes:
        up: the unit LPS direction that points away from the plate.
        axes: rows are the printer's x, y and z (``up``) as LPS unit vectors.
        size_mm: width, depth and height on the plate.
        support_mm3: overhanging area, seen from above, times its height over the plate: the
            most that supports can fill.
        overhang_mm2: area that needs support.
        fits: whether ``size_mm`` fits the printer.
    """

    up: tuple[float, float, float]
    axes: Floats
    size_mm: Size
    support_mm3: float
    overhang_mm2: float
    fits: bool


def laying(mesh: SurfaceMesh, up: npt.ArrayLike, overhang_degrees: float, build_mm: Size) -> Laying:
    """Return how a surface lies with the LPS direction ``up`` away from the plate.

    It is turned about ``up`` so that it fits ``build_mm`` (width, depth, height), or else so
    that it takes the least of the plate. Faces that lean by more than ``overhang_degrees`` from
    upright over nothing need support.
    """
    towards = np.asarray(up, np.float64) / np.linalg.norm(up)
    support, overhang = _supports(mesh, towards[None], overhang_degrees)
    return _laid(_outer(mesh), towards, build_mm, float(support[0]), float(overhang[0]))


def best_laying(
    mesh: SurfaceMesh,
    *,
    objective: Objective = "least support",
    overhang_degrees: float = 45.0,
    build_mm: Size = (np.inf, np.inf, np.inf),
    progress: Progress = silent,
) -> Laying:
    """Return the best way to lie among those that fit the printer, or among all if none does.

    Directions spread over the sphere and those that put a facet of the convex hull on the
    plate are tried, then some around the best. The objective decides; what is equal to a
    micrometre or a cubic millimetre is decided by the other.
    """
    outer = _outer(mesh)
    tried = _directions(outer)
    found: Laying | None = None
    for number, degrees in enumerate((0.0, *NEARBY_DEGREES)):
        directions = tried if found is None else _around(np.array(found.up), degrees)
        part = share(progress, number, 1 + len(NEARBY_DEGREES))
        support, overhang = _supports(mesh, directions, overhang_degrees, part)
        for n, up in enumerate(directions):
            one = _laid(outer, up, build_mm, float(support[n]), float(overhang[n]))
            if found is None or _cost(one, objective) < _cost(found, objective):
                found = one
    assert found is not None
    return found


def orient_for_print(
    mesh: SurfaceMesh,
    *,
    objective: Objective = "least support",
    overhang_degrees: Annotated[float, Ge(0), Le(90)] = 45.0,
    build_mm: Size = (250.0, 210.0, 220.0),
    progress: Progress = silent,
) -> SurfaceMesh:
    """Turn a surface as it is printed best.

    The result lies in the printer's axes, centred on the plate and resting on z = 0, in mm; it
    no longer lies in the patient, so it has no frame of reference.

    Args:
        mesh: the surface, LPS mm.
        objective: what matters most; least support takes the overhanging area, seen from above,
            times its height over the plate.
        overhang_degrees: how far a face may lean from upright before it needs support.
        build_mm: width, depth and height that the printer can build.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface is empty.
    """
    if not len(mesh.triangles):
        raise ValueError(f"the surface {mesh.name!r} is empty; there is nothing to turn")
    lain = best_laying(
        mesh,
        objective=objective,
        overhang_degrees=overhang_degrees,
        build_mm=build_mm,
        progress=progress,
    )
    points = mesh.points_mm @ lain.axes.T
    used = points[np.unique(mesh.triangles)]
    low, high = used.min(axis=0), used.max(axis=0)
    middle = (low + high) / 2
    placed = replace(
        mesh, points_mm=points - [middle[0], middle[1], low[2]], frame_uid="", findings=()
    )
    text = "This surface lies as it is printed, no longer where it is in the patient."
    notes = [Finding(Severity.INFO, "left_patient_space", text)]
    if not lain.fits:
        notes.append(Finding(Severity.WARNING, "too_large", too_large(lain, build_mm)))
    placed = measured(placed)
    return replace(
        placed,
        findings=(*placed.findings, *notes),
        numbers=(*placed.numbers, *laying_numbers(lain)),
    )


def laying_numbers(lain: Laying) -> tuple[Number, ...]:
    """Return what a person asks about a way to lie: size, supports and overhang."""
    names = ("width", "depth", "height")
    sizes = (
        Number(f"print_{name}", size, "mm", "extent on the plate")
        for name, size in zip(names, lain.size_mm)
    )
    source = "overhanging area seen from above, times its height over the plate"
    return (
        *sizes,
        Number("support_at_most", lain.support_mm3 / 1000.0, "mL", source),
        Number("overhang_area", lain.overhang_mm2 / 100.0, "cm2", "faces that need support"),
    )


def too_large(lain: Laying, build_mm: Size) -> str:
    """Return that a surface does not fit the printer, in words."""
    size = " x ".join(f"{side:.0f}" for side in lain.size_mm)
    room = " x ".join(f"{side:.0f}" for side in build_mm)
    return f"at its best it measures {size} mm and does not fit the printer's {room} mm"


def _cost(lain: Laying, objective: Objective) -> tuple[float, ...]:
    support, height = round(lain.support_mm3), round(lain.size_mm[2], 3)
    pair = (support, height) if objective == "least support" else (height, support)
    return (not lain.fits, *pair)


def _outer(mesh: SurfaceMesh) -> Floats:
    """Return the points of the convex hull, or all of a flat surface."""
    points = mesh.points_mm[np.unique(mesh.triangles)]
    try:
        return np.asarray(points[np.sort(ConvexHull(points).vertices)])
    except (QhullError, ValueError):
        return points


def _directions(outer: Floats) -> Floats:
    """Return unit directions to try: along the axes, spread evenly, with a flat side down."""
    n = np.arange(EVEN) + 0.5
    height, turn = 1 - 2 * n / EVEN, np.pi * (1 + 5**0.5) * n
    ring = np.sqrt(1 - height**2)
    even = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    try:
        hull = ConvexHull(outer)
    except (QhullError, ValueError):
        return np.concatenate([axes, even])
    normals, facet = np.unique(hull.equations[:, :3].round(3), axis=0, return_inverse=True)
    a, b, c = (outer[hull.simplices[:, n]] for n in range(3))
    area = np.bincount(facet.ravel(), np.linalg.norm(np.cross(b - a, c - a), axis=1))
    largest = normals[np.argsort(-area, kind="stable")[:FLAT]]
    down = -largest / np.linalg.norm(largest, axis=1, keepdims=True)
    return np.concatenate([axes, down, even])


def _around(up: Floats, degrees: float) -> Floats:
    """Return eight directions at an angle from one."""
    side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    side /= np.linalg.norm(side)
    other = np.cross(up, side)
    turn = np.arange(8)[:, None] * np.pi / 4
    leaned = np.cos(turn) * side + np.sin(turn) * other
    return np.asarray(np.cos(np.radians(degrees)) * up + np.sin(np.radians(degrees)) * leaned)


def _supports(
    mesh: SurfaceMesh, ups: Floats, overhang_degrees: float, progress: Progress = silent
) -> tuple[Floats, Floats]:
    """Return for each direction (n, 3) the support volume in mm3 and the overhang in mm2."""
    corners = mesh.points_mm[mesh.triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    area = np.linalg.norm(cross, axis=1)
    middle = corners.mean(axis=1)
    limit = np.sin(np.radians(overhang_degrees)) + 1e-9
    support, overhang = np.empty(len(ups)), np.empty(len(ups))
    step = max(1, AT_ONCE // max(len(area), 1))
    for start in range(0, len(ups), step):
        progress(start / len(ups), "trying how it lies")
        part = ups[start : start + step]
        below = -cross @ part.T
        height = middle @ part.T - (mesh.points_mm @ part.T).min(axis=0)
        needs = (below > limit * area[:, None]) & (height > ON_PLATE_MM)
        support[start : start + step] = np.where(needs, below * height, 0.0).sum(axis=0)
        overhang[start : start + step] = np.where(needs, area[:, None], 0.0).sum(axis=0)
    return support, overhang


def _laid(outer: Floats, up: Floats, build_mm: Size, support: float, overhang: float) -> Laying:
    side = np.cross(np.eye(3)[int(np.argmin(np.abs(up)))], up)
    side /= np.linalg.norm(side)
    flat = np.stack([outer @ side, outer @ np.cross(up, side)])
    height = float(np.ptp(outer @ up))
    turns = np.radians(np.concatenate([TURNS_DEGREES, TURNS_DEGREES + 90.0]))
    width = np.ptp(np.cos(turns)[:, None] * flat[0] + np.sin(turns)[:, None] * flat[1], axis=1)
    depth = np.roll(width, -len(TURNS_DEGREES))
    fits = (width <= build_mm[0]) & (depth <= build_mm[1]) & (height <= build_mm[2])
    best = int(np.lexsort((-width, (width * depth).round(3), ~fits))[0])
    x = np.cos(turns[best]) * side + np.sin(turns[best]) * np.cross(up, side)
    axes = np.stack([x, np.cross(up, x), up])
    size = float(width[best]), float(depth[best]), height
    towards = float(up[0]), float(up[1]), float(up[2])
    return Laying(towards, axes, size, support, overhang, bool(fits[best]))
