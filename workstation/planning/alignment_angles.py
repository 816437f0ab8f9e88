"""How a leg and a pelvis are aligned: angles, lengths and offsets from their landmarks.

Angles of the leg after Paley, Principles of Deformity Correction, Springer 2002, chapters 1 and 2:
mLDFA, MPTA and JLCA are those of the joint lines with the mechanical axes and with each other in
the frontal plane; normal values are mLDFA 88 (85 to 90), MPTA 87 (85 to 90), JLCA 0 to 2 degrees.
The frontal plane of a bone holds its mechanical axis and its medial direction: of the femur that
of the line behind its condyles, of the tibia that of the middles of its plateau. What concerns
both bones is seen in the femur's frontal plane. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from meshing.measuring import as_vector
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured, number_text
from segmentation.volume import Floats
from workstation.planning.bone_alignment import (
    Angles,
    WrongPair,
    banded,
    between,
    doubtful,
    require_pair,
    side_told,
)
from workstation.planning.bone_axes import across_of, unit
from workstation.planning.bone_landmarks_record import (
    Side,
    place,
    reach_mm,
)

FEMUR = (
    "head", "notch", "lateral_distal", "medial_distal", "lateral_posterior", "medial_posterior",
)  # fmt: skip
SHAFT, NECK = ("shaft_bottom", "shaft_top"), "neck"
TIBIA = ("plateau", "ankle", "lateral_plateau", "medial_plateau")
PELVIS = ("left_spine", "right_spine", "pubis")

MOST_BENT = 15.0
"""A knee that is bent more (degrees) does not show how the leg stands."""


def leg_alignment(
    femur: Measured | None = None, tibia: Measured | None = None, *, progress: Progress = silent
) -> Measured:
    """Measure how a leg is aligned.

    With a femur its own angles, with a tibia its own, with both how the leg stands: the angle of
    the knee, how far its middle lies off the line from hip to ankle, and the leg's length.

    Args:
        femur: landmarks of the femur.
        tibia: landmarks of the tibia of the same leg, in the same scan.
        progress: told how far the work is.

    Raises:
        NoLandmark: if a landmark that is needed is missing.
        WrongPair: if the bones belong to different legs.
        FrameMismatch: if they lie in different frames of reference.
    """
    known, side = require_pair("femur and tibia", femur, tibia)
    progress(0.1, "measuring the angles")
    names, points = _points(femur, tibia)
    reach = max(reach_mm(bone) for bone in known)
    numbers = banded(lambda p: _angles(dict(zip(names, p))), points, reach)
    lines = _drawn(dict(zip(names, points)))
    findings = _told(side, known, numbers)
    shown = next((n for n in numbers if n.quantity == "HKA"), numbers[0])
    unit_name = "°" if shown.unit == "degrees" else f" {shown.unit}"
    text = f"{side or ''} {shown.quantity} {shown.value:.1f}{unit_name}".strip()
    return Measured(
        known[0].frame_uid, lines, points, text, as_vector(points[1]),
        {name: as_vector(point) for name, point in zip(names, points)},
        findings=findings, numbers=numbers,
    )  # fmt: skip


def pelvic_alignment(pelvis: Measured, *, progress: Progress = silent) -> Measured:
    """Measure how a pelvis lies in the scanner: tilt, obliquity and rotation.

    They hold for the position in which the patient was scanned, against the scanner's axes; a
    standing patient has others.

    Args:
        pelvis: landmarks of the pelvis.
        progress: told how far the work is.

    Raises:
        NoLandmark: if a spine or the pubis is missing.
    """
    progress(0.1, "measuring the angles")
    points = np.array([place(pelvis, name, "pelvis") for name in PELVIS])
    numbers = banded(lambda p: _pelvic(*p), points, reach_mm(pelvis))
    text = f"tilt {number_text(numbers[0].value, 'degrees')}"
    loop = np.vstack([points, points[:1]])
    return Measured(
        pelvis.frame_uid, (loop,), points, text, as_vector(points[2]),
        dict(zip(PELVIS, map(as_vector, points))), numbers=numbers,
    )  # fmt: skip


def side_difference(left: Measured, right: Measured, *, progress: Progress = silent) -> Measured:
    """Compare the alignment of the left and the right leg.

    Args:
        left: alignment of the left leg.
        right: alignment of the right leg.
        progress: told how far the work is.

    Raises:
        WrongPair: if a leg is that of the other side.
        ValueError: if they have no number in common.
    """
    progress(0.1, "comparing both sides")
    for value, wanted in ((left, "left"), (right, "right")):
        other = "right" if wanted == "left" else "left"
        if any(f.code == f"side_{other}" for f in value.findings):
            raise WrongPair(f"what was given as the {wanted} leg is the {other} one")
    others = {number.quantity: number for number in right.numbers}
    numbers = tuple(
        _difference(number, others[number.quantity])
        for number in left.numbers
        if number.quantity in others
    )
    if not numbers:
        raise ValueError("the two sides have no number in common; measure the same bones on both")
    return Measured(left.frame_uid, left.lines_mm, left.picked_mm, "left less right",
                    left.text_mm, numbers=numbers)  # fmt: skip


def _difference(left: Number, right: Number) -> Number:
    value, half = left.value - right.value, float(np.hypot(_half(left), _half(right)))
    source = f"left less right, errors independent; each is {left.source}"
    return Number(left.quantity, value, left.unit, source, value - half, value + half)


def _half(number: Number) -> float:
    if number.low is None or number.high is None:
        raise ValueError(f"{number.quantity} has no band; take the alignment of a leg")
    return (number.high - number.low) / 2


def _points(femur: Measured | None, tibia: Measured | None) -> tuple[list[str], Floats]:
    names: list[str] = []
    points: list[Floats] = []
    for bone, wanted, what in ((femur, FEMUR, "femur"), (tibia, TIBIA, "tibia")):
        if bone is None:
            continue
        names += wanted
        points += [place(bone, name, what) for name in wanted]
        also = [n for n in (*SHAFT, NECK) if n in bone.places] if what == "femur" else []
        names += also
        points += [np.asarray(bone.places[name], float) for name in also]
    return names, np.array(points)


def _angles(p: Mapping[str, Floats]) -> Angles:
    """Return what landmarks of a femur, a tibia or both say."""
    found: Angles = {}
    if "head" in p and "plateau" in p:
        found |= _standing(p)
    if "head" in p:
        found |= _femoral(p)
    if "plateau" in p:
        found |= _tibial(p)
    return found


def _femoral(p: Mapping[str, Floats]) -> Angles:
    up, medial, front = _frontal(p)
    joint = _in(p["lateral_distal"] - p["medial_distal"], front)
    found: Angles = {
        "mLDFA": (between(up, joint), "degrees",
                  "on the lateral side, between the femur's mechanical axis and its joint line "
                  "(Paley 2002); above 90 varus"),
    }  # fmt: skip
    if "shaft_top" in p:
        shaft = unit(p["shaft_top"] - p["shaft_bottom"])
        found["anatomical_mechanical"] = (
            between(_in(shaft, front), up), "degrees",
            "between the axis of the middle of the shaft and the mechanical axis, frontal plane",
        )  # fmt: skip
        if "neck" in p:
            found["neck_shaft_angle"] = (
                between(p["head"] - p["neck"], -shaft), "degrees",
                "between the axis of the neck (middle of its narrowest section to the head's "
                "centre) and that of the shaft, in space",
            )  # fmt: skip
    if "neck" in p:
        neck = _in(p["head"] - p["neck"], up)
        found["femoral_version"] = (
            float(np.degrees(np.arctan2(neck @ front, neck @ medial))), "degrees",
            "between the axis of the neck and the line behind the condyles, seen along the "
            "mechanical axis; above zero the head lies to the front (anteversion)",
        )  # fmt: skip
    length = float(np.linalg.norm(p["head"] - p["notch"]))
    found["femur_length"] = length, "mm", "centre of the head to the notch"
    return found


def _tibial(p: Mapping[str, Floats]) -> Angles:
    up = unit(p["plateau"] - p["ankle"])
    medial = across_of(p["medial_plateau"] - p["lateral_plateau"], up)
    front = np.cross(up, medial)
    joint = _in(p["medial_plateau"] - p["lateral_plateau"], front)
    length = float(np.linalg.norm(p["plateau"] - p["ankle"]))
    return {
        "MPTA": (between(-up, joint), "degrees",
                 "on the medial side, between the tibia's mechanical axis and its joint line "
                 "(Paley 2002); below 85 varus"),
        "tibia_length": (length, "mm", "middle of the plateau to the middle of the ankle"),
    }  # fmt: skip


def _standing(p: Mapping[str, Floats]) -> Angles:
    """Return what needs both bones, seen in the femur's frontal plane."""
    thigh, medial, front = _frontal(p)
    shin = _in(p["plateau"] - p["ankle"], front)
    bend = float(np.degrees(np.arctan2(shin @ medial, shin @ thigh)))
    upper = _in(p["lateral_distal"] - p["medial_distal"], front)
    lower = _in(p["lateral_plateau"] - p["medial_plateau"], front)
    opening = float(np.degrees(np.arctan2(lower @ -thigh, lower @ -medial)
                               - np.arctan2(upper @ -thigh, upper @ -medial)))  # fmt: skip
    ray = _in(p["ankle"] - p["head"], front)
    across = across_of(medial, ray)
    off = float((p["head"] - p["notch"]) @ across)
    flexed = unit(p["plateau"] - p["ankle"])
    flexion = float(np.degrees(np.arcsin(np.clip(flexed @ front, -1, 1))))
    whole = float(np.linalg.norm(p["head"] - p["ankle"]))
    seen = "in the femur's frontal plane (Paley 2002)"
    return {
        "HKA": (180.0 + bend, "degrees",
                f"on the medial side, between both mechanical axes, {seen}; below 180 varus"),
        "MAD": (off, "mm", "from the middle of the knee (the notch) to the line from the head's "
                f"centre to the ankle, {seen}; above zero that line lies medial (varus)"),
        "JLCA": (opening, "degrees", f"between both joint lines, {seen}; above zero they open to "
                 "the lateral side (varus)"),
        "knee_flexion": (flexion, "degrees", "of the tibia's axis against the femur's frontal "
                         "plane; above zero the knee is bent"),
        "leg_length": (whole, "mm", "centre of the head to the middle of the ankle, straight"),
    }  # fmt: skip


def _pelvic(left: Floats, right: Floats, pubis: Floats) -> Angles:
    across = unit(left - right)
    rise = (left + right) / 2 - pubis
    rise = rise - (rise @ across) * across
    flat = np.linalg.norm(across[:2])
    plane = "of the anterior pelvic plane (both spines and pubis)"
    return {
        "pelvic_tilt": (float(np.degrees(np.arctan2(-rise[1], rise[2]))), "degrees",
                        f"{plane} off the table's plane, seen from the side, as scanned; above "
                        "zero the spines lie in front of the pubis (anterior tilt)"),
        "pelvic_obliquity": (float(np.degrees(np.arctan2(across[2], flat))), "degrees",
                             "of the line between the spines, as scanned; above zero the left "
                             "is higher"),
        "pelvic_rotation": (float(np.degrees(np.arctan2(-across[1], across[0]))), "degrees",
                            "of the line between the spines about the head-foot axis, as "
                            "scanned; above zero the left lies further to the front"),
    }  # fmt: skip


def _frontal(p: Mapping[str, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return up, medial and front of a femur; front is such on either side."""
    up = unit(p["head"] - p["notch"])
    medial = across_of(p["medial_posterior"] - p["lateral_posterior"], up)
    front = np.cross(up, medial)
    back = (p["medial_posterior"] + p["lateral_posterior"]) / 2 - p["notch"]
    return up, medial, front if front @ back < 0 else -front


def _in(vector: Floats, normal: Floats) -> Floats:
    """Return the direction of a vector's shadow on the plane across ``normal``."""
    return across_of(vector, normal)


def _drawn(p: Mapping[str, Floats]) -> tuple[Floats, ...]:
    pairs = (("head", "notch"), ("plateau", "ankle"), ("head", "ankle"),
             ("lateral_distal", "medial_distal"), ("lateral_plateau", "medial_plateau"),
             ("shaft_bottom", "shaft_top"), ("neck", "head"))  # fmt: skip
    return tuple(np.array([p[a], p[b]]) for a, b in pairs if a in p and b in p)


def _told(
    side: Side | None, bones: list[Measured], numbers: tuple[Number, ...]
) -> tuple[Finding, ...]:
    found = [side_told(side, "leg"), *doubtful(bones)]
    bend = next((n.value for n in numbers if n.quantity == "knee_flexion"), 0.0)
    if abs(bend) > MOST_BENT:
        text = f"the knee is bent by {bend:.0f}°, so what concerns both bones misleads"
        remedy = "use the angles of each bone alone"
        found.append(Finding(Severity.WARNING, "knee_bent", text, remedy=remedy))
    return tuple(found)
