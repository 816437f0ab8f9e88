"""A cranial implant that a hand moves off the place in which it was made.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meshing.surface import SurfaceMesh, measured
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_moves import six_numbers, turned_degrees
from workstation.planning.fit import bone_to_fit

MOVED_CODE = "moved_by_hand"


def move_implant(
    implant: SurfaceMesh,
    skull: LabelMap,
    *,
    shift_mm: Vector = (0.0, 0.0, 0.0),
    turn_degrees: Vector = (0.0, 0.0, 0.0),
    progress: Progress = silent,
) -> SurfaceMesh:
    """Move a cranial implant by hand.

    What follows (way in, fit, placement error, marking, release) is that of the moved implant.
    Its shape stays; what was told of its first place is left out.

    Args:
        implant: the implant as it was made.
        skull: the skull with the hole, near which it must stay.
        shift_mm: how far it is moved to the patient's left, back and up, in mm.
        turn_degrees: how far it is turned about these axes, one after the other, through the
            mean of its points.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and skull lie in different frames of reference.
        ValueError: if no bone is near the implant where it was moved.
    """
    if implant.frame_uid != skull.geometry.frame_uid:
        raise FrameMismatch("the implant lies in another frame of reference than the skull")
    matrix = hand_move(implant.points_mm, shift_mm, turn_degrees)
    points = moved_points(matrix, implant.points_mm)
    moved = measured(replace(implant.reshaped(points, implant.triangles), findings=()))
    bone_to_fit(moved, skull)
    progress(0.9, "telling how far it was moved")
    known = {number.quantity: number for number in implant.numbers}
    numbers = (*moved.numbers, *turned_way(known, matrix), *move_numbers(matrix, implant.points_mm))
    found = [moved_finding("implant", matrix, implant.points_mm)]
    if "tabs.bone_least" in known and not np.allclose(matrix, np.eye(4)):
        text = "the bone under the screws of the tabs was measured before the implant was moved"
        found.append(Finding(Severity.WARNING, "tabs_moved", text, remedy="look at each tab"))
    return replace(moved, numbers=numbers, findings=tuple(f for f in found if f is not None))


def hand_move(points_mm: Floats, shift_mm: Vector, turn_degrees: Vector) -> Floats:
    """Return the 4x4 move of a part: turns through the mean of its points, then the shift."""
    return six_numbers(points_mm.mean(axis=0), shift_mm, turn_degrees)


def moved_points(matrix: Floats, points_mm: Floats) -> Floats:
    """Return points (n, 3) where a 4x4 move takes them."""
    return np.asarray(points_mm @ matrix[:3, :3].T + matrix[:3, 3])


def turned_way(known: dict[str, Number], matrix: Floats) -> tuple[Number, ...]:
    """Return the direction of removal of a part that was moved, as numbers; none if not known."""
    names = [f"removal.{axis}" for axis in "xyz"]
    if not set(names) <= known.keys():
        return ()
    way = matrix[:3, :3] @ np.array([known[name].value for name in names])
    return tuple(replace(known[name], value=float(v)) for name, v in zip(names, way))


def move_numbers(matrix: Floats, points_mm: Floats) -> tuple[Number, ...]:
    """Return how far a part was moved and turned."""
    return (
        Number("shift", _shift_mm(matrix, points_mm), "mm", "of the mean of its points, as set"),
        Number("turn", turned_degrees(matrix), "degrees", "in all, as set"),
    )


def moved_finding(what: str, matrix: Floats, points_mm: Floats) -> Finding | None:
    """Return that a part was moved by hand, None where it was not."""
    if np.allclose(matrix, np.eye(4)):
        return None
    shift, turn = _shift_mm(matrix, points_mm), turned_degrees(matrix)
    text = f"the {what} was moved by hand: {shift:.1f} mm, and turned by {turn:.1f} degrees"
    return Finding(Severity.INFO, MOVED_CODE, text)


def _shift_mm(matrix: Floats, points_mm: Floats) -> float:
    middle = points_mm.mean(axis=0)
    return float(np.linalg.norm(moved_points(matrix, middle[None])[0] - middle))
