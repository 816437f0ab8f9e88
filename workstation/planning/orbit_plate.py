"""A thin plate over a wall of the orbit that gave way: it lies on the walls around it.

The plate is a patch of the wall as it belongs there, moved into the orbit by the clearance, with a
second layer at its thickness along the normals. Tongues reach to bores near the rim.
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
from workstation.planning.orbit_cavities import look
from workstation.planning.orbit_patch import Patch, clipped, layered
from workstation.planning.orbit_target import OrbitalTarget, find_orbital_target
from workstation.planning.orbit_walls import Mask

COLOUR = (0x9A, 0xA8, 0xB8)

RIM_BAND_MM, BORE_BONE_MM, BORES_APART_MM = (3.5, 9.0), 1.5, 7.0
"""How far behind the rim bores lie; bone they need; how far they lie apart at least."""

SMOOTH_MM, PLACED_ROUNDS = 2.0, 6
"""Over what the underside is evened, and how often."""

TILTS_DEGREES, BEARINGS = (0.0, 12.0, 24.0, 36.0), 8
LIFTS_MM = (1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 24.0, 36.0)


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
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a thin plate for a wall of the orbit that gave way.

    Its underside is the mirrored wall of the other orbit, laid onto the whole walls around the
    defect, on which the plate rests. It is told from where it goes in past bone; lids, muscles and
    the eye are not looked at.

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
    return lay_plate(target, skull, size)


def lay_plate(target: OrbitalTarget, skull: LabelMap, size: PlateSize) -> SurfaceMesh:
    """Return the plate for an orbit whose wall gave way.

    Raises:
        NoOrbitalPlate: if nothing is left to lay a plate on.
    """
    bores = _bores(target, skull, size.screws)
    under = _underside(target, size.clearance_mm)
    inside = _footprint(target, under, size, bores)
    patch = clipped(target.ball.ways, target.ball.triangles, inside, under)
    if not len(patch.triangles):
        raise NoOrbitalPlate("no wall is left that a plate could lie on; raise overlap_mm")
    points, triangles = layered(patch, target.orbit.middle_mm, size.thickness_mm, size.bevel_mm)
    frame = skull.geometry.frame_uid
    made = measured(SurfaceMesh(points, triangles, frame, "orbital plate", COLOUR))
    numbers = _numbers(made, target, patch, bores, skull, size.thickness_mm)
    found = _findings(target.side, bores, size.screws)
    return replace(made, findings=(*made.findings, *found), numbers=(*made.numbers, *numbers))


def _bores(target: OrbitalTarget, skull: LabelMap, wanted: int) -> _Bores:
    """Return places for bores in thick bone behind the rim, the nearest to the defect first."""
    orbit, ball = target.orbit, target.ball
    points = target.points_mm(np.nan_to_num(target.wall_mm))
    rim = cKDTree(orbit.rim_mm).query(points)[0]
    gave = cKDTree(points[target.gave_way])
    away = gave.query(points)[0]
    low, high = RIM_BAND_MM
    fit = ~orbit.open & (rim > low) & (rim < high) & (away > 2.0) & ~target.gave_way
    deep = _bone_mm(skull, points, ball.ways, fit)
    places = np.flatnonzero(fit & (deep >= BORE_BONE_MM))
    chosen: list[int] = []
    for place in places[np.argsort(away[places] + rim[places], kind="stable")]:
        if len(chosen) == wanted:
            break
        if all(np.linalg.norm(points[place] - points[c]) > BORES_APART_MM for c in chosen):
            chosen.append(int(place))
    return _Bores(chosen, [float(deep[c]) for c in chosen])


def _bone_mm(skull: LabelMap, points: Floats, ways: Floats, there: Mask) -> Floats:
    """Return how much bone lies within 6 mm behind points of a wall."""
    deep = np.zeros(len(points))
    steps = np.arange(0.25, 6.0, 0.5)
    along = points[there, None] + ways[there, None] * steps[None, :, None]
    index = skull.geometry.to_index(along)[..., ::-1]
    mask = skull.mask("skull" if "skull" in _names(skull) else None)
    seen = ndimage.map_coordinates(mask.view(np.uint8), np.moveaxis(index, -1, 0), order=0)
    deep[there] = 0.5 * seen.sum(axis=1)
    return deep


def _names(skull: LabelMap) -> list[str]:
    return [label.name for label in skull.labels.values()]


def _underside(target: OrbitalTarget, clearance_mm: float) -> Floats:
    """Return the distance of the plate's underside in each direction: smooth, and clear of walls.

    Where the plate lies on whole wall, that wall bounds it; in the defect, where the wall belongs.
    """
    ball = target.ball
    limit = np.where(np.isnan(target.wall_mm), np.inf, target.wall_mm)
    limit = np.minimum(limit, np.where(target.gave_way, np.inf, target.orbit.seen_mm))
    known = np.flatnonzero(np.isfinite(limit))
    nearest = known[cKDTree(ball.ways[known]).query(ball.ways)[1]]
    limit = limit[nearest] - clearance_mm
    under, near = limit, ball.near(SMOOTH_MM)
    for _ in range(PLACED_ROUNDS):
        under = np.minimum(near.mean(under), limit)
    smooth = near.mean(under)
    over = near.greatest(np.maximum(smooth - limit, 0.0))
    return np.asarray(smooth - near.mean(over))


def _footprint(
    target: OrbitalTarget,
    under: Floats,
    size: PlateSize,
    bores: _Bores,
) -> Floats:
    """Return how far within the plate each direction lies, mm; below zero outside."""
    points = target.points_mm(under)
    gave = target.gave_way
    hole, rest = cKDTree(points[gave]), cKDTree(points[~gave])
    near, place = hole.query(points)
    inside = np.where(gave, rest.query(points)[0] + size.overlap_mm, size.overlap_mm - near)
    for way in bores.ways:
        start = points[gave][int(place[way])]
        along = points[way] - start
        share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0, 1)
        off = np.linalg.norm(points - start - share[:, None] * along, axis=1)
        inside = np.maximum(inside, size.tongue_mm / 2 - off)
    rim = cKDTree(points[target.orbit.open]).query(points)[0]
    inside = target.ball.near(1.0).mean(np.minimum(inside, rim - 1.0))
    for way in bores.ways:
        inside = np.minimum(
            inside, np.linalg.norm(points - points[way], axis=1) - size.screw_mm / 2
        )
    return np.asarray(inside)


def _numbers(
    made: SurfaceMesh,
    target: OrbitalTarget,
    patch: Patch,
    bores: _Bores,
    skull: LabelMap,
    thickness_mm: float,
) -> tuple[Number, ...]:
    points = target.orbit.middle_mm + patch.ways * patch.under_mm[:, None]
    known = np.flatnonzero(~target.orbit.open)
    here = known[cKDTree(target.ball.ways[known]).query(patch.ways)[1]]
    gap = (target.wall_mm[here] - patch.under_mm)[~target.gave_way[here]]
    rim = cKDTree(target.orbit.rim_mm).query(points)[0]
    off = np.abs(patch.under_mm - target.wall_mm[here])[target.gave_way[here]]
    way, met = _way_out(made, target, skull)
    box = "of the plate, bone voxels whose centres lie in it"
    found = [
        Number("overlap.volume", _overlap_ml(made, skull), "mL", box, plain=True),
        Number("gap.mean", float(gap.mean()), "mm", "underside off the whole wall it lies on, "
               "along rays", 0.0, float(np.percentile(gap, 95)), plain=True),
        Number("wall.off", float(off.mean()), "mm", "underside off where the wall belongs, in the "
               "defect, along rays; mean", 0.0, float(np.percentile(off, 95)), plain=True),
        Number("plate.behind_rim", float(rim.max()), "mm", "farthest point of the plate from the "
               "nearest place of the rim", plain=True),
        Number("thickness", thickness_mm, "mm", "along normals, as set; half of it at edges"),
        Number("way.bone", met, "mL", "most bone met on the way out, among places moved by up to "
               f"{LIFTS_MM[-1]:g} mm; the least of the directions tried", plain=True),
        *(Number(f"removal.{axis}", float(v), "1", "unit direction out of the orbit, LPS")
          for axis, v in zip("xyz", way)),
    ]  # fmt: skip
    if bores.bone_mm:
        found.append(Number("screw.bone_least", min(bores.bone_mm), "mm", "bone within 6 mm under "
                            "the bores, along rays; the least", plain=True))  # fmt: skip
    return tuple(found)


def _overlap_ml(made: SurfaceMesh, skull: LabelMap) -> float:
    """Return the volume of bone voxels whose centres lie in a surface."""
    index = skull.geometry.to_index(made.points_mm)
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, skull.geometry.size)
    bone = skull.mask("skull" if "skull" in _names(skull) else None)
    part = bone[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    inside = np.abs(winding(index - low, made.triangles, part.shape)) > 0.5
    return float(np.count_nonzero(inside & part)) * skull.geometry.voxel_ml


def _way_out(made: SurfaceMesh, target: OrbitalTarget, skull: LabelMap) -> tuple[Floats, float]:
    """Return the direction out of the orbit on which least bone is met, and how much, mL."""
    bone = skull.mask("skull" if "skull" in _names(skull) else None)
    forward = target.orbit.rim_mm.mean(axis=0) - target.orbit.middle_mm
    forward /= np.linalg.norm(forward)
    a = np.cross(forward, (0.0, 0.0, 1.0))
    a /= np.linalg.norm(a)
    best: tuple[int, Floats] | None = None
    for tilt in np.radians(TILTS_DEGREES):
        for bearing in np.arange(BEARINGS if tilt else 1) * 2 * np.pi / BEARINGS:
            side = np.cos(bearing) * a + np.sin(bearing) * np.cross(a, forward)
            way = np.cos(tilt) * forward + np.sin(tilt) * side
            met = max(_met(made.points_mm + lift * way, bone, skull) for lift in LIFTS_MM)
            if best is None or met < best[0]:
                best = met, way
    assert best is not None
    return best[1], best[0] * skull.geometry.voxel_ml


def _met(points: Floats, bone: Mask, skull: LabelMap) -> int:
    """Return how many voxels of bone points lie in."""
    index = np.rint(skull.geometry.to_index(points)).astype(int)
    index = index[((index >= 0) & (index < skull.geometry.size)).all(axis=1)]
    flat = np.ravel_multi_index(tuple(index[:, ::-1].T), bone.shape)
    return int(np.count_nonzero(bone.ravel()[np.unique(flat)]))


def _findings(side: str, bores: _Bores, wanted: int) -> tuple[Finding, ...]:
    made = Finding(Severity.INFO, f"implant_{side}", f"the plate is made for the {side} orbit")
    eye = "lids, muscles, nerve and eye are not looked at: the way in is told past bone only"
    found = [made, Finding(Severity.WARNING, "soft_tissue_unseen", eye)]
    if len(bores.ways) < wanted:
        text = f"{wanted - len(bores.ways)} of {wanted} screws found no {BORE_BONE_MM:g} mm of "
        text += "bone behind the rim near the defect and were left out"
        found.append(Finding(Severity.WARNING, "screw_without_bone", text))
    return tuple(found)
