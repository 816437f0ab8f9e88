"""Both orbits of a head CT with their volumes, and what of a wall gave way."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from meshing.distance_fields import winding
from meshing.symmetry import MirrorPlane
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.measured import Measured
from segmentation.volume import Floats, Label, LabelMap, Vector, Volume
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import WrongSide
from workstation.planning.orbit_target import (
    NoOrbitalDefect,
    OrbitalTarget,
    Pair,
    find_orbital_target,
    larger,
    see_pair,
)
from workstation.planning.orbit_walls import Ball

LEFT, RIGHT, DEFECT = 1, 2, 3
LABELS = {
    LEFT: Label("left orbit", (0x7F, 0xB8, 0xD8)),
    RIGHT: Label("right orbit", (0xA8, 0xC8, 0x8C)),
    DEFECT: Label("orbital defect", (0xE0, 0x70, 0x60)),
}

FRONT = (
    "front closed from points along the rim to their centre of gravity (Jansen, Advanced concepts "
    "in orbital wall fractures, p. 33), fissures narrower than 8 mm closed"
)

ALIKE_ML = 0.57
"""Orbits of one person differ by no more (In vitro orbital volume measurement using computed
tomography, hdl.handle.net/11615/29067)."""


def orbital_cavities(
    ct: Volume,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    inside_mm: Vector | None = None,
    bone_hu: Annotated[float, Ge(100), Le(600)] = 200.0,
    usual_mm: Annotated[float, Ge(1), Le(6)] = 2.0,
    progress: Progress = silent,
) -> LabelMap:
    """Find both orbits, their volumes, and where a wall gave way.

    Walls are seen from behind the eyes: a ray ends at bone or at the air of a sinus. What lies
    farther out than the mirrored wall of the other orbit, laid onto this one, is the defect. No
    displacement of the eye is told from the volumes.

    Args:
        ct: CT of the head in HU.
        plane: the mid-sagittal plane.
        patient: the declared side; without it, the larger orbit is taken for the broken one.
        inside_mm: a point behind one eye, in the middle of the orbit; empty finds the eyes.
        bone_hu: from this on it is bone.
        usual_mm: walls of both sides differ by less where they are whole.
        progress: told how far the work is.

    Raises:
        NoEyes: if the eyes are not found and no point is given.
        NoOrbit: if no orbit lies there.
        WrongSide: if the operation was declared to be on both sides.
        FrameMismatch: if the plane lies in another frame of reference.
    """
    pair, side = look(ct, plane, patient, inside_mm, bone_hu, progress)
    progress(0.7, "comparing the walls")
    target: OrbitalTarget | None = None
    try:
        target = find_orbital_target(pair, side, usual_mm)
        told = _defect(target)
    except NoOrbitalDefect as none:
        told = (Finding(Severity.WARNING, "no_orbital_defect", str(none)),)
    array = np.zeros(ct.geometry.shape, np.uint8)
    for value, name in ((LEFT, "left"), (RIGHT, "right")):
        orbit, ball = pair.orbits[name], pair.balls[name]
        progress(0.7 + 0.1 * value, "marking the orbits")
        _mark(array, ct, ball, orbit.middle_mm, orbit.reach_mm(orbit.wall_mm), value)
    if target is not None:
        broken = array == (LEFT if side == "left" else RIGHT)
        whole = np.zeros_like(array)
        reach = target.orbit.reach_mm(target.wall_mm)
        _mark(whole, ct, target.ball, target.orbit.middle_mm, reach, 1)
        array[broken & (whole == 0)] = DEFECT
    marked = float(np.count_nonzero(array)) * ct.geometry.voxel_ml
    whole_number = Number("volume", marked, "mL", "voxel count x voxel volume, both orbits")
    numbers = (whole_number, *_volumes(pair), *(_defect_numbers(target, pair) if target else ()))
    return LabelMap(array, ct.geometry, LABELS, told, numbers)


def look(
    ct: Volume,
    plane: Measured,
    patient: PatientFacts | None,
    inside_mm: Vector | None,
    bone_hu: float,
    progress: Progress,
) -> tuple[Pair, str]:
    """Return both orbits, and the side of the broken one: as declared, or the larger.

    Raises:
        WrongSide: if the operation was declared to be on both sides.
        FrameMismatch: if the plane lies in another frame of reference.
    """
    if plane.frame_uid != ct.geometry.frame_uid:
        raise FrameMismatch("the mid-sagittal plane lies in another frame than the image")
    declared = None if patient is None else patient.facts.get("side")
    if declared == "bilateral":
        raise WrongSide("an orbit is made from the other one, so that both cannot be; set a side")
    progress(0.05, "looking at both orbits")
    mirror = MirrorPlane(plane.places["point_mm"], plane.places["normal"])
    inside = None if inside_mm is None else np.asarray(inside_mm, float)
    pair = see_pair(ct, mirror, inside, bone_hu)
    return pair, larger(pair) if declared is None else str(declared)


def _mark(
    array: npt.NDArray[np.uint8], ct: Volume, ball: Ball, middle: Floats, reach: Floats, value: int
) -> None:
    """Give the voxels whose centres lie within a reach a value."""
    index = ct.geometry.to_index(middle + ball.ways * reach[:, None])
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, ct.geometry.size)
    block = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    inside = np.abs(winding(index - low, ball.triangles, array[block].shape)) > 0.5
    array[block][inside] = value


def _volumes(pair: Pair) -> tuple[Number, ...]:
    left, right = pair.volumes_ml["left"], pair.volumes_ml["right"]
    return (
        Number("orbit.left", left, "mL", FRONT, plain=True),
        Number("orbit.right", right, "mL", FRONT, plain=True),
        Number("orbit.difference", abs(left - right), "mL", "larger less smaller orbit; orbits of "
               f"one person differ by {ALIKE_ML} mL at most (hdl.handle.net/11615/29067)",
               plain=True),
    )  # fmt: skip


def _defect_numbers(target: OrbitalTarget, pair: Pair) -> tuple[Number, ...]:
    other = pair.volumes_ml["right" if target.side == "left" else "left"]
    after = pair.volumes_ml[target.side] - target.excess_ml
    off = float(np.median(target.asymmetry_mm))
    solid = target.area_cm2 * 0.1 * off
    return (
        Number("orbit.defect_area", target.area_cm2, "cm2", "directions in which the wall gave "
               "way, at the distance of the mirrored wall", plain=True),
        Number("orbit.excess", target.excess_ml, "mL", "between the wall as it is and where it "
               "belongs; band from the asymmetry of whole walls", target.excess_ml - solid,
               target.excess_ml + solid, plain=True),
        Number("orbit.restored_difference", after - other, "mL", "orbit with its wall restored "
               "less the other orbit; the plate's own volume is not counted", plain=True),
        Number("orbit.asymmetry", off, "mm", "mirrored wall, laid on, off the wall where that is "
               "whole; median", 0.0, float(np.percentile(target.asymmetry_mm, 95)), plain=True),
    )  # fmt: skip


def where(target: OrbitalTarget) -> str:
    """Return which wall gave way, in words."""
    way = target.ball.ways[target.gave_way].mean(axis=0)
    down, medial = -way[2], -way[0] if target.side == "left" else way[0]
    if down <= 0 and medial <= 0:
        return "the roof or the lateral wall"
    if min(down, medial) > 0.5 * max(down, medial):
        return "the floor and the medial wall"
    return "the floor" if down > medial else "the medial wall"


def _defect(target: OrbitalTarget) -> tuple[Finding, ...]:
    points = target.points_mm(np.nan_to_num(target.wall_mm))[target.gave_way].mean(axis=0)
    place = (float(points[0]), float(points[1]), float(points[2]))
    text = f"{where(target)} of the patient's {target.side} orbit gave way over "
    text += f"{target.area_cm2:.1f} cm²"
    thin = (
        "walls thinner than the image's voxels are seen only by the air behind them: where a sinus "
        "is full, they may seem broken"
    )
    return (
        Finding(Severity.INFO, f"orbital_defect_{target.side}", text, place),
        Finding(Severity.WARNING, "thin_walls", thin, place, "look at the outline in all slices"),
    )
