"""A thin plate over a wall of the orbit that gave way: it lies on the walls around it.

The plate is a patch of the wall as it belongs there, moved into the orbit by the clearance, with a
second layer at its thickness along the normals. Tongues reach to bores near the rim. What bone
would stop on the way in is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy import ndimage
from scipy.spatial import cKDTree

from meshing.distance_fields import winding
from meshing.surface import SurfaceMesh, measured
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector, Volume
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.implant_moving import hand_move, moved_finding, moved_points
from workstation.planning.orbit_cavities import look
from workstation.planning.orbit_patch import Patch, clipped, facing, layered
from workstation.planning.orbit_target import OrbitalTarget, find_orbital_target
from workstation.planning.orbit_walls import Mask
from workstation.planning.orbit_way import Bone, bone_around, bone_mask, free_way, stopped

COLOUR = (0x9A, 0xA8, 0xB8)

RIM_BAND_MM, BORE_BONE_MM, BORES_APART_MM = (3.5, 9.0), 1.5, 7.0
BORES_WITHIN_MM = 25.0
"""How far behind the rim bores lie; bone they need; how far they lie apart at least; how far from
what gave way at most.
"""

SMOOTH_MM, PLACED_ROUNDS = 1.2, 6
"""Over what the underside is evened, and how often."""

LIFTS_MM = (0.8, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 36.0, 40.0)
"""Where on the way out the finished plate is held against bone."""

GIVEN_UP_MM = 1.0
"""Of a plate around what bone would stop."""

REACH_MM, BY = 50.0, 7
"""How far from the middle of an orbit its bone lies; the directions that a voxel of it bounds."""

BARRED = (
    "bone bars every way in for a plate over the hole; look at the skull's outline in front of "
    "the orbit"
)

COVERED = 95.0
"""Percent of what gave way that a plate is to lie over."""

HOLE_WORTH = 3.0
"""How much more it counts to keep the plate over what gave way than on wall around it."""


class NoOrbitalPlate(ValueError):
    """No plate can be laid within the limits that were set."""


@dataclass(frozen=True)
class PlateSize:
    """What a plate is asked to be; see `orbital_plate`."""

    thickness_mm: float = 0.5
    overlap_mm: float = 3.0
    clearance_mm: float = 0.2
    bevel_mm: float = 0.6
    screws: int = 2
    screw_mm: float = 1.7
    tongue_mm: float = 6.0


@dataclass(frozen=True)
class Hand:
    """How far a hand moves the finished plate; see `orbital_plate`."""

    shift_mm: Vector = (0.0, 0.0, 0.0)
    turn_degrees: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Bores:
    """Where the plate is screwed on: places in directions, and bone under them."""

    ways: list[int]
    bone_mm: list[float]


def orbital_plate(
    ct: Volume,
    skull: LabelMap,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    thickness_mm: Annotated[float, Ge(0.3), Le(1)] = 0.5,
    overlap_mm: Annotated[float, Ge(1), Le(8)] = 3.0,
    clearance_mm: Annotated[float, Ge(0), Le(1)] = 0.2,
    bevel_mm: Annotated[float, Ge(0), Le(2)] = 0.6,
    screws: Annotated[int, Ge(0), Le(4)] = 2,
    screw_mm: Annotated[float, Ge(1), Le(3)] = 1.7,
    tongue_mm: Annotated[float, Ge(4), Le(12)] = 6.0,
    inside_mm: Vector | None = None,
    bone_hu: Annotated[float, Ge(100), Le(600)] = 200.0,
    usual_mm: Annotated[float, Ge(1), Le(6)] = 2.0,
    shift_mm: Vector = (0.0, 0.0, 0.0),
    turn_degrees: Vector = (0.0, 0.0, 0.0),
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a thin plate for a wall of the orbit that gave way.

    Its underside is the mirrored wall of the other orbit, laid onto the whole walls around the
    defect, on which the plate rests. What bone would stop on its way in is left out; lids, muscles
    and the eye are not looked at.

    Args:
        ct: CT of the head in HU.
        skull: its bone, which the plate must not meet.
        plane: the mid-sagittal plane.
        patient: the declared side; without it, the larger orbit is taken for the broken one.
        thickness_mm: of the plate.
        overlap_mm: how far it lies on whole wall around the defect.
        clearance_mm: distance kept to the wall.
        bevel_mm: over how much of its edge it thins out to half.
        screws: bores near the rim.
        screw_mm: diameter of a bore.
        tongue_mm: width of the tongue that reaches from the plate to a bore.
        inside_mm: a point behind one eye, in the middle of the orbit; empty finds the eyes.
        bone_hu: from this on it is bone.
        usual_mm: walls of both sides differ by less where they are whole.
        shift_mm: how far the finished plate is moved by hand to the patient's left, back and up.
        turn_degrees: how far it is turned about these axes, one after the other, through the mean
            of its points.
        progress: told how far the work is.

    Raises:
        NoOrbitalDefect: if no wall gave way.
        NoOrbitalPlate: if nothing is left to lay a plate on.
        NoEyes: if the eyes are not found and no point is given.
        NoOrbit: if no orbit lies there.
        WrongSide: if the operation was declared to be on both sides.
        FrameMismatch: if plane, skull and image lie in different frames of reference.
    """
    if skull.geometry.frame_uid != ct.geometry.frame_uid:
        raise FrameMismatch("the skull lies in another frame of reference than the image")
    if tongue_mm < screw_mm + 2:
        raise ValueError("a tongue must be 2 mm wider than its bore; raise tongue_mm")
    pair, side = look(ct, plane, patient, inside_mm, bone_hu, progress)
    progress(0.6, "comparing the walls")
    target = find_orbital_target(pair, side, usual_mm)
    progress(0.7, "laying the plate")
    size = PlateSize(thickness_mm, overlap_mm, clearance_mm, bevel_mm, screws, screw_mm, tongue_mm)
    return lay_plate(target, skull, size, Hand(shift_mm, turn_degrees))


def lay_plate(
    target: OrbitalTarget, skull: LabelMap, size: PlateSize, hand: Hand = Hand()
) -> SurfaceMesh:
    """Return the plate for an orbit whose wall gave way; its numbers are those where it lies.

    Raises:
        NoOrbitalPlate: if nothing is left to lay a plate on.
    """
    bone = bone_around(skull, target.orbit.middle_mm)
    bounds = _bounds(target, bone)
    under = _underside(target, bounds - size.clearance_mm)
    way, stops = _way_in(target, bone, under, size)
    bores = _bores(target, skull, size, stops)
    inside = _footprint(target, under, size, bores, stops)
    if not (inside > 0).any():
        raise NoOrbitalPlate(BARRED)
    patch = clipped(target.ball.ways, target.ball.triangles, inside, under)
    kept = (inside > 0) & (cKDTree(patch.ways).query(target.ball.ways)[0] < 1e-6)
    if not (kept & target.gave_way).any() or not (kept & ~target.gave_way).any():
        raise NoOrbitalPlate(BARRED)
    points, triangles = layered(patch, target.orbit.middle_mm, size.thickness_mm, size.bevel_mm)
    matrix = hand_move(points, hand.shift_mm, hand.turn_degrees)
    moved = moved_finding("plate", matrix, points)
    if moved is not None:
        patch = _moved_patch(patch, target.orbit.middle_mm, matrix)
        kept = _behind(patch, target)
        bores = _moved_bores(bores, target, skull, matrix)
        way = matrix[:3, :3] @ way
    frame = skull.geometry.frame_uid
    points = moved_points(matrix, points)
    made = measured(SurfaceMesh(points, triangles, frame, "orbital plate", COLOUR))
    numbers = (
        Number("overlap.volume", _overlap_ml(made, skull), "mL", "of the plate, bone voxels whose "
               "centres lie in it", plain=True),
        *_places(target, bounds, patch),
        Number("thickness", size.thickness_mm, "mm", "along normals, as set; half of it at edges"),
    )  # fmt: skip
    if bores.bone_mm:
        source = "bone within 6 mm under the bores, along rays; the least"
        numbers += (Number("screw.bone_least", min(bores.bone_mm), "mm", source, plain=True),)
    covered = _covered(target, kept)
    numbers = (*numbers, covered, *_way_numbers(made, way, skull))
    found = _findings(target.side, bores, size.screws)
    if moved is not None:
        found = (*found, moved, *_met(numbers))
    if covered.value < COVERED:
        found = (*found, _uncovered(covered.value, by_hand=moved is not None))
    return replace(made, findings=(*made.findings, *found), numbers=(*made.numbers, *numbers))


def _moved_patch(patch: Patch, middle_mm: Floats, matrix: Floats) -> Patch:
    """Return a patch where a hand moved it, seen from the same point."""
    points = moved_points(matrix, middle_mm + patch.ways * patch.under_mm[:, None]) - middle_mm
    away = np.linalg.norm(points, axis=1)
    turned = patch.normals @ matrix[:3, :3].T
    return replace(patch, ways=points / away[:, None], under_mm=away, normals=turned)


def _behind(patch: Patch, target: OrbitalTarget) -> Mask:
    """Return the directions in which a patch lies, by the nearest of its points."""
    apart = np.linalg.norm(np.diff(target.ball.ways[target.ball.edges], axis=1), axis=-1)
    away = cKDTree(patch.ways).query(target.ball.ways)[0]
    return np.asarray(away < float(np.median(apart)))


def _moved_bores(bores: _Bores, target: OrbitalTarget, skull: LabelMap, matrix: Floats) -> _Bores:
    """Return the bores with the bone that lies under them where a hand moved the plate."""
    if not bores.ways:
        return bores
    points = target.points_mm(np.nan_to_num(target.wall_mm))[bores.ways]
    ways = target.ball.ways[bores.ways] @ matrix[:3, :3].T
    here = np.ones(len(ways), np.bool_)
    deep = _bone_mm(skull, moved_points(matrix, points), ways, here)
    return _Bores(bores.ways, [float(mm) for mm in deep])


def _met(numbers: tuple[Number, ...]) -> list[Finding]:
    """Return what bone a plate meets that a hand moved, in its place and on its way in."""
    known = {number.quantity: number.value for number in numbers}
    remedy = "move it back, or off the bone"
    found = []
    if known["overlap.volume"] > 0:
        text = f"the plate overlaps bone by {known['overlap.volume']:.2g} mL where it was moved"
        found.append(Finding(Severity.WARNING, "implant_overlaps", text, remedy=remedy))
    if known["way.bone"] > 0:
        text = f"on its way in the plate meets up to {known['way.bone']:.2g} mL of bone"
        found.append(Finding(Severity.WARNING, "way_meets_bone", text, remedy=remedy))
    if known.get("screw.bone_least", BORE_BONE_MM) < BORE_BONE_MM:
        text = f"under a bore lie {known['screw.bone_least']:.1f} mm of bone only"
        found.append(Finding(Severity.WARNING, "screw_without_bone", text, remedy=remedy))
    return found


def _way_in(
    target: OrbitalTarget, bone: Bone, under: Floats, size: PlateSize
) -> tuple[Floats, Mask]:
    """Return the direction out of the orbit, and where bone would stop a plate on that way."""
    gave, closed = target.gave_way, ~target.orbit.open
    bare = _footprint(target, under, size, _Bores([], []), np.zeros_like(gave))
    there = np.flatnonzero(bare > 0)
    if not len(there):
        raise NoOrbitalPlate("no wall is left that a plate could lie on; raise overlap_mm")
    points = target.points_mm(under)
    normals = facing(points - target.orbit.middle_mm, target.ball.triangles)
    halfway = points + size.thickness_mm / 2 * normals
    forward = target.orbit.rim_mm.mean(axis=0) - target.orbit.middle_mm
    forward /= np.linalg.norm(forward)
    worth = np.where(gave[there], HOLE_WORTH, 1.0)
    way = free_way(halfway[there], worth, bone, forward)
    near = closed & (cKDTree(points[gave]).query(points)[0] < BORES_WITHIN_MM)
    stops = np.zeros_like(gave)
    stops[near] = stopped(halfway[near], way, bone)
    return way, stops


def _bores(target: OrbitalTarget, skull: LabelMap, size: PlateSize, stops: Mask) -> _Bores:
    """Return places for bores in thick bone behind the rim, the nearest to the defect first.

    Their tongues keep off what bone would stop on the way in.
    """
    orbit, ball, gave = target.orbit, target.ball, target.gave_way
    points = target.points_mm(np.nan_to_num(target.wall_mm))
    rim = cKDTree(orbit.rim_mm).query(points)[0]
    away = cKDTree(points[gave]).query(points)[0]
    low, high = RIM_BAND_MM
    fit = ~orbit.open & (rim > low) & (rim < high) & (away > 2.0) & ~gave & ~stops
    deep = _bone_mm(skull, points, ball.ways, fit & (away < BORES_WITHIN_MM))
    places = np.flatnonzero(deep >= BORE_BONE_MM)
    chosen: list[int] = []
    for place in places[np.argsort(away[places] + rim[places], kind="stable")]:
        if len(chosen) == size.screws:
            break
        apart = all(np.linalg.norm(points[place] - points[c]) > BORES_APART_MM for c in chosen)
        reach = size.tongue_mm / 2 + GIVEN_UP_MM
        if apart and not stops[_off_tongue(points, gave, place) < reach].any():
            chosen.append(int(place))
    return _Bores(chosen, [float(deep[c]) for c in chosen])


def _off_tongue(points: Floats, gave: Mask, place: int) -> Floats:
    """Return how far points lie off the line from what gave way to a place."""
    hole = points[gave]
    start = hole[int(np.linalg.norm(hole - points[place], axis=1).argmin())]
    along = points[place] - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[:, None] * along, axis=1))


def _bone_mm(skull: LabelMap, points: Floats, ways: Floats, there: Mask) -> Floats:
    """Return how much bone lies within 6 mm behind points of a wall."""
    deep = np.zeros(len(points))
    steps = np.arange(0.25, 6.0, 0.5)
    along = points[there, None] + ways[there, None] * steps[None, :, None]
    index = skull.geometry.to_index(along)[..., ::-1]
    seen = ndimage.map_coordinates(
        bone_mask(skull).view(np.uint8), np.moveaxis(index, -1, 0), order=0
    )
    deep[there] = 0.5 * seen.sum(axis=1)
    return deep


def _bounds(target: OrbitalTarget, bone: Bone) -> Floats:
    """Return how far out a plate may lie in each direction: as far as rays or the skull let it.

    Where the plate lies on whole wall, that wall bounds it; in the defect, where the wall belongs.
    """
    limit = np.where(np.isnan(target.wall_mm), np.inf, target.wall_mm)
    limit = np.minimum(limit, np.where(target.gave_way, np.inf, target.orbit.seen_mm))
    limit = np.where(target.orbit.open, limit, np.minimum(limit, _nearest_bone(target, bone)))
    known = np.flatnonzero(np.isfinite(limit))
    nearest = known[cKDTree(target.ball.ways[known]).query(target.ball.ways)[1]]
    return np.asarray(limit[nearest])


def _underside(target: OrbitalTarget, limit: Floats) -> Floats:
    """Return the distance of the plate's underside in each direction: smooth, and within limits."""
    under, near = limit, target.ball.near(SMOOTH_MM)
    for _ in range(PLACED_ROUNDS):
        under = np.minimum(near.mean(under), limit)
    smooth = near.mean(under)
    over = near.greatest(np.maximum(smooth - limit, 0.0))
    return np.asarray(smooth - near.mean(over))


def _nearest_bone(target: OrbitalTarget, bone: Bone) -> Floats:
    """Return how far away the nearest centre of a voxel of bone lies by each direction."""
    off = bone.points_mm - target.orbit.middle_mm
    far = np.linalg.norm(off, axis=1)
    off, far = off[far < REACH_MM], far[far < REACH_MM]
    nearest = np.full(len(target.ball.ways), np.inf)
    by = target.ball.tree.query(off / far[:, None], k=BY)[1]
    np.minimum.at(nearest, by, far[:, None])
    return nearest


def _footprint(
    target: OrbitalTarget, under: Floats, size: PlateSize, bores: _Bores, stops: Mask
) -> Floats:
    """Return how far within the plate each direction lies, mm; below zero outside."""
    points = target.points_mm(under)
    gave = target.gave_way
    hole, rest = cKDTree(points[gave]), cKDTree(points[~gave])
    beyond = size.overlap_mm - hole.query(points)[0]
    inside = np.where(gave, rest.query(points)[0] + size.overlap_mm, beyond)
    for way in bores.ways:
        inside = np.maximum(inside, size.tongue_mm / 2 - _off_tongue(points, gave, way))
    inside = np.minimum(inside, cKDTree(points[target.orbit.open]).query(points)[0] - 1.0)
    if stops.any():
        inside = np.minimum(inside, cKDTree(points[stops]).query(points)[0] - GIVEN_UP_MM)
    inside = target.ball.near(1.0).mean(inside)
    for way in bores.ways:
        bore = np.linalg.norm(points - points[way], axis=1) - size.screw_mm / 2
        inside = np.minimum(inside, bore)
    return np.asarray(inside)


def _places(target: OrbitalTarget, bounds: Floats, patch: Patch) -> tuple[Number, ...]:
    """Return how a plate lies: off whole walls, off where the wall belongs, and behind the rim."""
    points = target.orbit.middle_mm + patch.ways * patch.under_mm[:, None]
    known = np.flatnonzero(~target.orbit.open)
    here = known[cKDTree(target.ball.ways[known]).query(patch.ways)[1]]
    gave, whole = target.gave_way[here], ~target.orbit.open & ~target.gave_way
    gap, seen = (
        cKDTree(target.points_mm(wall)[whole]).query(points[~gave])[0]
        for wall in (bounds, target.wall_mm)
    )
    rim = cKDTree(target.orbit.rim_mm).query(points)[0]
    off = np.abs(patch.under_mm - target.wall_mm[here])[gave]
    skull = "underside off the nearest point of whole wall, which begins where rays meet bone or "
    skull += "air, or at the skull's label, whichever is nearer"
    rays = "underside off the nearest of the points at which rays meet whole wall"
    belongs = "underside off where the wall belongs, in the defect, along rays; mean"
    behind = "farthest point of the plate from the nearest place of the rim"
    return (
        _mean("gap.mean", gap, skull),
        _mean("gap.rays", seen, rays),
        _mean("wall.off", off, belongs),
        Number("plate.behind_rim", float(rim.max()), "mm", behind, plain=True),
    )


def _mean(name: str, found_mm: Floats, source: str) -> Number:
    """Return a mean distance, and below which 95 % of them stay."""
    high = float(np.percentile(found_mm, 95))
    return Number(name, float(found_mm.mean()), "mm", source, 0.0, high, plain=True)


def _covered(target: OrbitalTarget, kept: Mask) -> Number:
    areas = np.nan_to_num(target.wall_mm) ** 2 * target.gave_way
    share = 100 * float(areas[kept].sum() / areas.sum())
    source = "of the wall that gave way, what lies behind the plate"
    return Number("defect.covered", share, "%", source, plain=True)


def _way_numbers(made: SurfaceMesh, way: Floats, skull: LabelMap) -> tuple[Number, ...]:
    moved = (replace(made, points_mm=made.points_mm + lift * way) for lift in LIFTS_MM)
    met = max(_overlap_ml(surface, skull) for surface in moved)
    source = f"bone voxels whose centres the plate meets at {len(LIFTS_MM)} places of "
    source += f"{LIFTS_MM[-1]:g} mm of its way out; the most"
    out = "unit direction out of the orbit, LPS"
    return (
        Number("way.bone", met, "mL", source, plain=True),
        *(Number(f"removal.{axis}", float(v), "1", out) for axis, v in zip("xyz", way)),
    )


def _overlap_ml(made: SurfaceMesh, skull: LabelMap) -> float:
    """Return the volume of bone voxels whose centres lie in a surface."""
    index = skull.geometry.to_index(made.points_mm)
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, skull.geometry.size)
    if (high <= low).any():
        return 0.0
    part = bone_mask(skull)[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    inside = np.abs(winding(index - low, made.triangles, part.shape)) > 0.5
    return float(np.count_nonzero(inside & part)) * skull.geometry.voxel_ml


def _uncovered(covered: float, by_hand: bool) -> Finding:
    text = f"the plate lies over {covered:.0f} % of the wall that gave way"
    text += " where it was moved" if by_hand else ": bone would stop the rest of it on its way in"
    return Finding(Severity.WARNING, "defect_uncovered", text)


def _findings(side: str, bores: _Bores, wanted: int) -> tuple[Finding, ...]:
    made = Finding(Severity.INFO, f"implant_{side}", f"the plate is made for the {side} orbit")
    eye = "lids, muscles, nerve and eye are not looked at: the way in is told past bone only"
    found = [made, Finding(Severity.WARNING, "soft_tissue_unseen", eye)]
    if len(bores.ways) < wanted:
        text = f"{wanted - len(bores.ways)} of {wanted} screws found no {BORE_BONE_MM:g} mm of "
        text += "bone behind the rim near the defect and were left out"
        found.append(Finding(Severity.WARNING, "screw_without_bone", text))
    return tuple(found)
