"""Angles from landmarks with the bands that the landmarks' errors give them.

Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segmentation.contract import Finding, Number, Severity
from segmentation.measured import Measured
from segmentation.volume import Floats
from workstation.planning.bone_landmarks_record import NoLandmark, Side, require_frame, side_of

Angles = dict[str, tuple[float, str, str]]
"""Quantity to value, unit and how it is defined."""

STEP_MM = 1e-3


class WrongPair(ValueError):
    """Two bones do not belong together."""


def banded(measure: Callable[[Floats], Angles], points: Floats, reach: float) -> tuple[Number, ...]:
    """Return the numbers of ``measure`` with the bands that landmarks off by ``reach`` mm give.

    First-order, in any direction, combined as independent errors (root of the sum of squares).
    """
    found = measure(points)
    slopes: dict[str, float] = dict.fromkeys(found, 0.0)
    for place_ in np.ndindex(points.shape):
        shift = np.zeros_like(points)
        shift[place_] = STEP_MM
        more, less = measure(points + shift), measure(points - shift)
        for name in found:
            slopes[name] += ((more[name][0] - less[name][0]) / (2 * STEP_MM)) ** 2
    numbers = []
    for name, (value, unit_name, how) in found.items():
        half = reach * float(np.sqrt(slopes[name]))
        source = f"{how}; each landmark within {reach:.2f} mm, independent of each other"
        numbers.append(Number(name, value, unit_name, source, value - half, value + half))
    return tuple(numbers)


def between(one: Floats, two: Floats) -> float:
    """Return the angle in degrees between two directions."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, two)), one @ two)))


def require_pair(what: str, *bones: Measured | None) -> tuple[list[Measured], Side | None]:
    """Return the bones that are given and the side of the patient that they belong to.

    Raises:
        NoLandmark: if none is given.
        WrongPair: if they belong to different sides.
        FrameMismatch: if they lie in different frames of reference.
    """
    known = [bone for bone in bones if bone is not None]
    if not known:
        raise NoLandmark(f"neither {what.replace(' and ', ' nor ')} is given; find the landmarks "
                         "of one first")  # fmt: skip
    require_frame(known[0].frame_uid, *known)
    sides = {side_of(bone) for bone in known} - {None}
    if len(sides) > 1:
        raise WrongPair(f"the {what.replace(' and ', ' and the ')} belong to different sides of "
                        "the patient; check which file is which")  # fmt: skip
    return known, next(iter(sides), None)


def side_told(side: Side | None, limb: str) -> Finding:
    """Say which side of the patient was measured, or that the shape does not tell."""
    if side is None:
        text = "the shape does not say which side this is; every angle holds for either side"
        return Finding(Severity.WARNING, "side_unknown", text)
    return Finding(Severity.INFO, f"side_{side}", f"this is the patient's {side} {limb}")


def doubtful(bones: Sequence[Measured]) -> tuple[Finding, ...]:
    """Say how many of the landmarks that are used are doubtful."""
    count = sum(f.code == "landmark_doubtful" for bone in bones for f in bone.findings)
    if not count:
        return ()
    text = f"{count} of the landmarks are doubtful; the bands do not hold for them"
    remedy = "look at the landmarks first"
    return (Finding(Severity.WARNING, "doubtful_landmarks", text, remedy=remedy),)
