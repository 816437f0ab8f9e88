"""How a shoulder is aligned: angles of the glenoid and of the humeral head from their landmarks.

Glenoid version after Friedman et al., J Bone Joint Surg Am 1992;74:1032-1037: of the line from the
front to the back of the rim against the perpendicular of the transverse axis (trigonum to middle of
the glenoid), seen along the scapular plane from above. Inclination in the same way of the line from
the top to the bottom of the rim, seen across the scapular plane; with another transverse axis it is
another number (Gauci et al., J Clin Med 2022;11:6050). Humeral retroversion against the line
through both epicondyles, seen along the shaft (Boileau et al., Clin Orthop Relat Res
2008;466:661-669). Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from meshing.measuring import as_vector
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats
from workstation.planning.bone_alignment import (
    Angles,
    banded,
    between,
    doubtful,
    require_pair,
    side_told,
)
from workstation.planning.bone_axes import across_of, unit
from workstation.planning.bone_landmarks_record import Side, anterior_of, place, reach_mm

SCAPULA = (
    "trigonum", "glenoid", "inferior_angle", "glenoid_superior", "glenoid_inferior",
    "glenoid_anterior", "glenoid_posterior",
)  # fmt: skip
HUMERUS, ELBOW = ("head", "apex", "shaft_bottom", "shaft_top"), (
    "medial_epicondyle", "lateral_epicondyle",
)  # fmt: skip

DRAWN = (
    ("trigonum", "glenoid"), ("trigonum", "inferior_angle"),
    ("glenoid_inferior", "glenoid_superior"), ("glenoid_posterior", "glenoid_anterior"),
    ("head", "apex"), ("shaft_bottom", "shaft_top"),
    ("lateral_epicondyle", "medial_epicondyle"),
)  # fmt: skip


def shoulder_alignment(
    scapula: Measured | None = None,
    humerus: Measured | None = None,
    *,
    progress: Progress = silent,
) -> Measured:
    """Measure how the glenoid and the humeral head are turned.

    With a scapula the version and the inclination of its glenoid, with a humerus the angle between
    neck and shaft and, where the elbow is in the image, the head's retroversion.

    Args:
        scapula: landmarks of the scapula.
        humerus: landmarks of the humerus of the same shoulder, in the same scan.
        progress: told how far the work is.

    Raises:
        NoLandmark: if a landmark that is needed is missing.
        WrongPair: if the bones belong to different shoulders.
        FrameMismatch: if they lie in different frames of reference.
    """
    known, side = require_pair("scapula and humerus", scapula, humerus)
    progress(0.1, "measuring the angles")
    names, points = _points(scapula, humerus)
    reach = max(reach_mm(bone) for bone in known)
    numbers = banded(lambda p: _angles(dict(zip(names, p)), side), points, reach)
    at = dict(zip(names, points))
    lines = tuple(np.array([at[a], at[b]]) for a, b in DRAWN if {a, b} <= at.keys())
    text = f"{side or ''} {numbers[0].quantity.replace('_', ' ')} {numbers[0].value:.1f}°".strip()
    findings = (side_told(side, "shoulder"), *_no_elbow(humerus, side), *doubtful(known))
    return Measured(
        known[0].frame_uid, lines, points, text, as_vector(points[1]),
        {name: as_vector(point) for name, point in at.items()},
        findings=findings, numbers=numbers,
    )  # fmt: skip


def _points(scapula: Measured | None, humerus: Measured | None) -> tuple[list[str], Floats]:
    names: list[str] = []
    points: list[Floats] = []
    for bone, wanted, what in ((scapula, SCAPULA, "scapula"), (humerus, HUMERUS, "humerus")):
        if bone is not None:
            names += wanted
            points += [place(bone, name, what) for name in wanted]
    if humerus is not None and set(ELBOW) <= humerus.places.keys():
        names += ELBOW
        points += [np.asarray(humerus.places[name], float) for name in ELBOW]
    return names, np.array(points)


def _angles(p: Mapping[str, Floats], side: Side | None) -> Angles:
    found: Angles = {}
    if "glenoid" in p:
        found |= _glenoid(p, side)
    if "head" in p:
        found |= _humeral(p, side)
    return found


def _glenoid(p: Mapping[str, Floats], side: Side | None) -> Angles:
    lateral = unit(p["glenoid"] - p["trigonum"])
    up = across_of(p["trigonum"] - p["inferior_angle"], lateral)
    rim = p["glenoid_anterior"] - p["glenoid_posterior"]
    front = across_of(across_of(rim, lateral), up)
    if side is not None:
        front = anterior_of(up, -lateral, side)
    high = p["glenoid_superior"] - p["glenoid_inferior"]
    plane = "scapular plane through trigonum, inferior angle and middle of the glenoid"
    return {
        "glenoid_version": (
            float(np.degrees(np.arctan2(-rim @ lateral, rim @ front))), "degrees",
            "of the line across the glenoid against the perpendicular of the transverse axis "
            f"(Friedman 1992), across the {plane}; below zero it faces back (retroversion)",
        ),
        "glenoid_inclination": (
            float(np.degrees(np.arctan2(-high @ lateral, high @ up))), "degrees",
            "of the line down the glenoid against the perpendicular of the transverse axis, in "
            f"the {plane}; above zero it faces up",
        ),
    }  # fmt: skip


def _humeral(p: Mapping[str, Floats], side: Side | None) -> Angles:
    up, out = unit(p["shaft_top"] - p["shaft_bottom"]), p["apex"] - p["head"]
    found: Angles = {
        "humeral_neck_shaft_angle": (
            between(out, -up), "degrees",
            "between the normal of the plane of the anatomical neck and the shaft, in space",
        ),
    }  # fmt: skip
    if side is not None and set(ELBOW) <= p.keys():
        medial = across_of(p["medial_epicondyle"] - p["lateral_epicondyle"], up)
        back = -anterior_of(up, medial, side)
        found["humeral_retroversion"] = (
            float(np.degrees(np.arctan2(out @ back, out @ medial))), "degrees",
            "of that normal against the line through both epicondyles, seen along the shaft "
            "(Boileau 2008); above zero the head faces back",
        )  # fmt: skip
    return found


def _no_elbow(humerus: Measured | None, side: Side | None) -> tuple[Finding, ...]:
    if humerus is None:
        return ()
    if set(ELBOW) <= humerus.places.keys() and side is not None:
        return ()
    text = "the epicondyles or the side are unknown, so the head's retroversion is not measured"
    remedy = "declare the side, and give both epicondyles if the image shows them"
    return (Finding(Severity.WARNING, "no_retroversion", text, remedy=remedy),)
