"""Whether a printer can make a surface: faults, thin walls, narrow gaps, overhang, size."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from meshing.faults import pieces_of, places, solid_faults
from meshing.orientation import (
    ON_PLATE_MM,
    Laying,
    Size,
    best_laying,
    laying,
    laying_numbers,
    too_large,
)
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh, measured
from meshing.tree import triangle_tree
from segmentation.contract import Finding, Number, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TOLD = 12
"""Places of one kind that are told one by one."""

FACING = 0.94
"""Two sides make a wall or a gap if they face each other within 20 degrees (this is its cosine)."""

PATCH = 3.0
"""A thin place counts one by one from this many times the least wall or gap across."""

LOOKED = 3.0
"""Walls and gaps are measured up to this many times the least allowed."""

MANY_TRIANGLES = 1_000_000
"""Slicers become slow beyond this."""

CLOSEST_MM = 1.0  # between two samples
DENSEST = 24  # a triangle is sampled at most at the square of this


def printability(
    mesh: SurfaceMesh,
    *,
    wall_mm: Annotated[float, Gt(0), Le(20)] = 0.8,
    gap_mm: Annotated[float, Ge(0), Le(20)] = 0.4,
    overhang_degrees: Annotated[float, Ge(0), Le(90)] = 45.0,
    build_mm: Size = (250.0, 210.0, 220.0),
    lies: Literal["best", "as it is"] = "best",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Check whether a printer can make a surface, and mark where it cannot.

    The surface comes back with point data ``wall_mm`` and ``gap_mm`` (up to three times the
    least allowed) and ``overhang_degrees`` (0 upright or facing up, 90 a ceiling), its print
    size, and findings with their place, the worst first. Problems keep it from being printed:
    faults of the solid, walls that are too thin, and a size that does not fit the printer.
    Narrow gaps, overhang, loose pieces, cavities and too many triangles are warnings.

    A wall is measured along the normal to the next side that faces away within 20 degrees, so
    that a ridge is none.

    Args:
        mesh: the surface, LPS mm.
        wall_mm: the thinnest wall that the printer makes; 0.8 mm is two lines of a 0.4 mm nozzle.
        gap_mm: the narrowest gap that does not fuse; 0 does not look.
        overhang_degrees: how far a face may lean from upright before it needs support.
        build_mm: width, depth and height that the printer can build.
        lies: as it is best printed, or with the patient's head up as it is.
        progress: told how far the work is.
    """
    faults = solid_faults(mesh, progress=share(progress, 0, 4))
    if not len(mesh.triangles):
        return replace(mesh, findings=faults, numbers=())
    if lies == "best":
        lain = best_laying(
            mesh,
            overhang_degrees=overhang_degrees,
            build_mm=build_mm,
            progress=share(progress, 1, 4),
        )
    else:
        lain = laying(mesh, (0.0, 0.0, 1.0), overhang_degrees, build_mm)
    wall, thin = _across(mesh, -1.0, wall_mm, share(progress, 2, 4))
    gap, close = None, None
    if gap_mm:
        gap, close = _across(mesh, 1.0, gap_mm, share(progress, 3, 4))
    lean = _lean_degrees(mesh, lain)
    notes = [*faults, *_size(lain, build_mm), *_narrow(mesh, wall, thin, wall_mm, "wall")]
    if gap is not None and close is not None:
        notes += _narrow(mesh, gap, close, gap_mm, "gap")
    notes += [*_overhang(mesh, lain, lean, overhang_degrees), *_pieces(mesh, wall_mm), *_many(mesh)]
    notes.sort(key=lambda finding: finding.severity is not Severity.PROBLEM)
    data = {
        "wall_mm": _at_points(mesh, wall, np.minimum),
        "overhang_degrees": _at_points(mesh, lean, np.maximum),
    }
    if gap is not None:
        data["gap_mm"] = _at_points(mesh, gap, np.minimum)
    sound = measured(replace(mesh, findings=()))
    numbers = (*sound.numbers, *laying_numbers(lain), *_least(wall, wall_mm, "thinnest_wall"))
    if gap is not None:
        numbers += _least(gap, gap_mm, "narrowest_gap")
    return replace(
        mesh, point_data={**mesh.point_data, **data}, numbers=numbers, findings=tuple(notes)
    )


def _normals(mesh: SurfaceMesh) -> tuple[Floats, Floats]:
    """Return the unit normals and areas in mm2 of the triangles; no area has no normal."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    cross = np.cross(b - a, c - a)
    twice = np.linalg.norm(cross, axis=1)
    return cross / np.where(twice > 0, twice, 1.0)[:, None], twice / 2


def _across(
    mesh: SurfaceMesh, side: float, least_mm: float, progress: Progress
) -> tuple[Floats, Floats]:
    """Return for each triangle the least way to the side that faces it, mm, up to a limit.

    And how much of its area, in mm2, has less than ``least_mm``: of a long triangle of a cut's
    face, only what lies at the rim. ``side`` is -1 into the material (a wall) and 1 out of it (a
    gap).
    """
    reach = LOOKED * least_mm
    normals, area = _normals(mesh)
    starts, owner = _samples(mesh, max(2.0 * least_mm, CLOSEST_MM))
    kept = area[owner] > 0
    starts, owner = starts[kept], owner[kept]
    directions = side * normals[owner]
    tree = triangle_tree(mesh.points_mm, mesh.triangles)
    away, hit = first_hits(tree, starts, directions, owner, reach_mm=reach, progress=progress)
    faces = np.einsum("ij,ij->i", normals[hit], directions) * -side >= FACING
    away = np.where((hit >= 0) & faces, away, reach)
    least = np.full(len(mesh.triangles), reach)
    np.minimum.at(least, owner, away)
    samples = np.bincount(owner, minlength=len(least))
    narrow = np.bincount(owner, away < least_mm, len(least))
    return least, area * narrow / np.maximum(samples, 1)


def _samples(mesh: SurfaceMesh, spacing_mm: float) -> tuple[Floats, Integers]:
    """Return points on the triangles, at most about ``spacing_mm`` apart, and whose they are."""
    corners = mesh.points_mm[mesh.triangles]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.clip(np.ceil(edges / spacing_mm), 1, DENSEST).astype(int)
    points, owner = [], []
    for count in np.unique(parts):
        which = np.flatnonzero(parts == count)
        i, j = (n.ravel() for n in np.indices((count, count)))
        upright = i + j < count
        turned = i + j < count - 1
        u = np.concatenate([(i[upright] + 1 / 3), (i[turned] + 2 / 3)]) / count
        v = np.concatenate([(j[upright] + 1 / 3), (j[turned] + 2 / 3)]) / count
        weights = np.stack([1 - u - v, u, v], axis=1)
        points.append(np.einsum("sk,tkx->tsx", weights, corners[which]).reshape(-1, 3))
        owner.append(np.repeat(which, len(weights)))
    return np.concatenate(points), np.concatenate(owner)


def _lean_degrees(mesh: SurfaceMesh, lain: Laying) -> Floats:
    """Return how far each triangle hangs over: 0 upright, facing up or on the plate, 90 flat."""
    up = np.asarray(lain.up)
    normals, _ = _normals(mesh)
    height = mesh.points_mm @ up
    above = height[mesh.triangles].mean(axis=1) - height[np.unique(mesh.triangles)].min()
    lean = np.degrees(np.arcsin(np.clip(-(normals @ up), 0.0, 1.0)))
    return np.asarray(np.where(above > ON_PLATE_MM, lean, 0.0))


def _at_points(mesh: SurfaceMesh, values: Floats, choose: np.ufunc) -> npt.NDArray[np.float32]:
    """Return at each point the least or greatest value of its triangles."""
    start = values.max() if choose is np.minimum else 0.0
    points = np.full(len(mesh.points_mm), start)
    for corner in range(3):
        choose.at(points, mesh.triangles[:, corner], values)
    return points.astype(np.float32)


def _narrow(
    mesh: SurfaceMesh, across: Floats, area: Floats, least_mm: float, what: str
) -> list[Finding]:
    """Return the places where a wall or gap is narrower than allowed, the largest first.

    ``area`` is how much of each triangle, in mm2, is that narrow.

    Places smaller than `PATCH` times the least allowed across, such as a crest that gets lost
    without harm, are told together as a warning.
    """
    thin = np.flatnonzero(across < least_mm)
    if not len(thin):
        return []
    patches = places(mesh, thin, area)
    told: list[Finding] = []
    spots: list[tuple[float, float, float]] = []
    for patch, place in patches:
        covers = float(area[patch].sum())
        if covers < (PATCH * least_mm) ** 2 or len(told) == TOLD:
            spots.append(place)
            continue
        worst = patch[int(across[patch].argmin())]
        x, y, z = mesh.points_mm[mesh.triangles[worst]].mean(axis=0).tolist()
        told.append(_narrow_place(what, float(across[worst]), covers, least_mm, (x, y, z)))
    if spots:
        which = "more" if told else "small"
        several = (
            f"{len(spots)} {which} places have" if len(spots) > 1 else f"one {which} place has"
        )
        text = f"{several} a {what} under {least_mm:g} mm"
        told.append(Finding(Severity.WARNING, f"narrow_{what}s", text, spots[0]))
    return told


def _narrow_place(
    what: str, least: float, covers: float, allowed: float, place: tuple[float, float, float]
) -> Finding:
    text = (
        f"a {what} is only {least:.2f} mm, where {allowed:g} mm is the least, over {covers:.3g} mm²"
    )
    if what == "gap":
        remedy = "The printer may fuse it; widen it, or print the parts apart"
        return Finding(Severity.WARNING, "narrow_gap", text, place, remedy)
    remedy = "Thicken it, print larger, or choose a printer with a finer line"
    return Finding(Severity.PROBLEM, "thin_wall", text, place, remedy)


def _size(lain: Laying, build_mm: Size) -> list[Finding]:
    if lain.fits:
        return []
    remedy = "Split it into parts with pins, or choose a larger printer"
    return [Finding(Severity.PROBLEM, "too_large", too_large(lain, build_mm), remedy=remedy)]


def _overhang(
    mesh: SurfaceMesh, lain: Laying, lean: Floats, overhang_degrees: float
) -> list[Finding]:
    over = np.flatnonzero(lean > overhang_degrees + 1e-6)
    if not len(over):
        return []
    _, area = _normals(mesh)
    patch, place = places(mesh, over, area)[0]
    text = (
        f"{area[over].sum() / 100:.3g} cm² lean by more than {overhang_degrees:g} degrees and "
        f"need support, the largest patch {area[patch].sum() / 100:.3g} cm²"
    )
    remedy = "Let the slicer add supports, or print with powder or resin"
    return [Finding(Severity.WARNING, "overhang", text, place, remedy)]


def _pieces(mesh: SurfaceMesh, wall_mm: float) -> list[Finding]:
    """Return that there are loose pieces, crumbs or cavities, where there are."""
    piece = pieces_of(mesh)
    corners = mesh.points_mm[mesh.triangles]
    arms = corners - corners[0, 0]
    six = np.einsum("ij,ij->i", arms[:, 0], np.cross(arms[:, 1], arms[:, 2]))
    volume = np.bincount(piece, six) / 6.0
    first = corners[np.unique(piece, return_index=True)[1], 0]
    places_mm = [(float(x), float(y), float(z)) for x, y, z in first]
    crumbs = np.flatnonzero((volume > 0) & (volume < (2 * wall_mm) ** 3))
    found = []
    if len(crumbs):
        size = f"smaller than {2 * wall_mm:g} mm"
        one = f"a crumb is {size} and gets lost"
        text = one if len(crumbs) == 1 else f"{len(crumbs)} crumbs are {size} and get lost"
        found.append(
            Finding(Severity.WARNING, "crumbs", text, places_mm[crumbs[0]], "Keep the main piece")
        )
    solid = np.flatnonzero(volume >= (2 * wall_mm) ** 3)
    if len(solid) > 1:
        least = int(solid[volume[solid].argmin()])
        text = f"it falls into {len(solid)} loose pieces, the least {volume[least] / 1000:.3g} mL"
        remedy = "Keep one piece, or join the pieces"
        found.append(Finding(Severity.WARNING, "loose_pieces", text, places_mm[least], remedy))
    cavities = np.flatnonzero(volume < 0)
    if len(cavities):
        largest = int(cavities[volume[cavities].argmin()])
        size = f"{-volume[largest] / 1000:.3g} mL"
        several = f"{len(cavities)} closed cavities, the largest"
        text = f"{several if len(cavities) > 1 else 'a closed cavity of'} {size}"
        remedy = "Powder and resin stay inside; open a drain, or fill the cavity"
        found.append(Finding(Severity.WARNING, "cavity", text, places_mm[largest], remedy))
    return found


def _many(mesh: SurfaceMesh) -> list[Finding]:
    if len(mesh.triangles) <= MANY_TRIANGLES:
        return []
    text = f"{len(mesh.triangles):,} triangles make slicers slow"
    return [Finding(Severity.WARNING, "many_triangles", text, remedy="Reduce the triangles")]


def _least(across: Floats, allowed: float, name: str) -> tuple[Number, ...]:
    """Return the least wall or gap where one was found within what was looked at."""
    least = float(across.min())
    if least >= LOOKED * allowed:
        return ()
    return (Number(name, least, "mm", "along the normal to the side that faces it"),)
