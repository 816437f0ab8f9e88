"""What a hand moves in a plan: the numbers it sets, the parameters of a step that hold them.

Space is DICOM patient LPS in millimetres: x to the left, y to the back, z up. Turns about an axis
are counter-clockwise seen from where it points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from meshing.measuring import as_vector
from segmentation.volume import Floats, Vector
from workstation.planning.bone_moves import six_numbers
from workstation.planning.size_search import Pose

DIGITS = 4
UPRIGHT = 0.9998
"""Sine of the angle from which on a turn is not taken further about the axis to the back."""

STEEP_DEGREES = 75.0
"""A plane is told by tilts up to here; beyond it faces another way."""

Values = tuple[float, ...]
AXES: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
WAYS = ("left", "back", "up")
SEEN = ("the left", "the back", "above")


@dataclass(frozen=True)
class Entry:
    """A number that says where something is held: title, unit and limits."""

    title: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Motion:
    """What a hand does to one grip: a shift in mm, and a turn about an axis through it."""

    shift_mm: Vector = (0.0, 0.0, 0.0)
    axis: Vector = (0.0, 0.0, 1.0)
    degrees: float = 0.0
    grip: int = 0


@dataclass(frozen=True)
class Grip:
    """Where something can be held: along which unit directions it moves, about which it turns.

    A ``free`` one moves in all directions.
    """

    centre_mm: Vector
    shifts: tuple[Vector, ...] = ()
    turns: tuple[Vector, ...] = ()
    free: bool = False


class Hold(Protocol):
    """Something a hand can move, told by a few numbers, its values."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the values are, where a person can enter them; as many, or none."""

    @property
    def start(self) -> Values:
        """The values that the plan has now."""

    def moved(self, values: Values, motion: Motion) -> Values:
        """Return the values after a motion."""

    def grips(self, values: Values) -> tuple[Grip, ...]:
        """Return where it is held at some values."""

    def params(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the step that say some values."""

    def matrix(self, values: Values) -> Floats:
        """Return the 4x4 move of the part, LPS mm, from where it was prepared."""


SIX = (
    *(Entry(title, "mm", -500.0, 500.0) for title in ("To the left", "To the back", "Up")),
    *(Entry(f"Turn, seen from {side}", "°", -180.0, 180.0) for side in SEEN),
)


@dataclass(frozen=True, eq=False)
class SixHold:
    """A part that is shifted along the patient's axes and turned about them through its middle.

    Attributes:
        start: shift to the left, back and up (mm), and the turns about these axes (degrees), one
            after the other.
        pivot_mm: the middle of turns, where the part lies without shift and turn.
        home: 4x4, takes the part from where it was prepared to where it lies without them.
        as_params: makes parameters of the 4x4 of shift and turn, and of the values.
    """

    start: Values
    pivot_mm: Vector
    home: Floats
    as_params: Callable[[Floats, Values], dict[str, Any]]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Shift and turn along the patient's axes."""
        return SIX

    def moved(self, values: Values, motion: Motion) -> Values:
        """Return the values after a motion about the part's middle."""
        shift = np.asarray(values[:3]) + motion.shift_mm
        turn = Rotation.from_euler("xyz", values[3:], degrees=True)
        more = Rotation.from_rotvec(np.radians(motion.degrees) * np.asarray(motion.axis))
        angles = values[3:]
        if motion.degrees:
            both = more * turn
            if abs(both.as_matrix()[2, 0]) > UPRIGHT:  # the three angles are not unique there
                return values
            angles = tuple(both.as_euler("xyz", degrees=True))
        return _rounded((*shift, *angles))

    def grips(self, values: Values) -> tuple[Grip, ...]:
        """Return the middle of the part, held along and about the patient's axes."""
        centre = as_vector(np.asarray(self.pivot_mm) + values[:3])
        return (Grip(centre, AXES, AXES, free=True),)

    def params(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the step that say some values."""
        return self.as_params(self._six(values), values)

    def matrix(self, values: Values) -> Floats:
        """Return the move of the part from where it was prepared."""
        return np.asarray(self._six(values) @ self.home)

    def _six(self, values: Values) -> Floats:
        x, y, z, a, b, c = values
        return six_numbers(self.pivot_mm, (x, y, z), (a, b, c))


def six_hold(matrix: Floats, middle_mm: Vector, params: Mapping[str, Any], **also: str) -> SixHold:
    """Return how a fragment, or a piece that moves freely, is held.

    ``matrix`` and ``middle_mm`` are those of the step's transform; what it does besides the shift
    and turn in ``params`` is a proposal that stays. ``also`` are parameters that go with them.
    """

    def told(six: Floats, values: Values) -> dict[str, Any]:
        return {**also, "shift_mm": list(values[:3]), "turn_degrees": list(values[3:])}

    shift = tuple(float(v) for v in params.get("shift_mm", (0.0, 0.0, 0.0)))
    turn = tuple(float(v) for v in params.get("turn_degrees", (0.0, 0.0, 0.0)))
    there = matrix[:3, :3] @ np.asarray(middle_mm) + matrix[:3, 3] - np.asarray(shift)
    pivot = as_vector(there)
    now = six_numbers(pivot, (shift[0], shift[1], shift[2]), (turn[0], turn[1], turn[2]))
    return SixHold((*shift, *turn), pivot, np.linalg.inv(now) @ matrix, told)


def seated_hold(middle_mm: Vector, params: Mapping[str, Any]) -> SixHold:
    """Return how an implant of the skull is held that lies where shift and turn took it.

    ``middle_mm`` is the mean of its points there, LPS.
    """
    shift = as_vector(np.asarray(params.get("shift_mm", (0.0, 0.0, 0.0)), float))
    turn = as_vector(np.asarray(params.get("turn_degrees", (0.0, 0.0, 0.0)), float))
    pivot = as_vector(np.asarray(middle_mm) - shift)
    now = six_numbers(pivot, shift, turn)
    return replace(six_hold(now, pivot, params), home=np.asarray(np.linalg.inv(now), np.float64))


def pose_hold(now: Pose, home: Pose, middle_mm: Vector) -> SixHold:
    """Return how an implant of a library is held that was prepared at the pose ``now``.

    Values count from the pose ``home``, which a search found; ``middle_mm`` is the part's own.
    """
    first, here = _as_matrix(home), _as_matrix(now)
    pivot = first[:3, :3] @ np.asarray(middle_mm) + first[:3, 3]
    six = here @ np.linalg.inv(first)
    angles = Rotation.from_matrix(six[:3, :3]).as_euler("xyz", degrees=True)
    shift = six[:3, :3] @ pivot + six[:3, 3] - pivot

    def params(matrix: Floats, values: Values) -> dict[str, Any]:
        pose = matrix @ first
        turn = Rotation.from_matrix(pose[:3, :3]).as_rotvec(degrees=True)
        return {"position_mm": list(_rounded(pose[:3, 3])), "turn_degrees": list(_rounded(turn))}

    return SixHold(
        _rounded((*shift, *angles)), as_vector(pivot), first @ np.linalg.inv(here), params
    )


def pose_of_params(params: Mapping[str, Any]) -> Pose:
    """Return the pose that the parameters of a placed implant say."""
    position, turn = params["position_mm"], params["turn_degrees"]
    return Pose((position[0], position[1], position[2]), (turn[0], turn[1], turn[2]))


@dataclass(frozen=True, eq=False)
class HingeHold:
    """A piece that turns about a hinge: a wedge that opens or closes by ``angle_degrees``.

    Attributes:
        angle_degrees: of the wedge now.
        hinge_mm, axis: a point of the hinge and the unit axis about which the angle grows.
        most_degrees: the largest angle.
        turned: makes the 4x4 move of an angle.
    """

    angle_degrees: float
    hinge_mm: Vector
    axis: Vector
    most_degrees: float
    turned: Callable[[float], Floats]

    @property
    def start(self) -> Values:
        """The angle."""
        return (self.angle_degrees,)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The angle."""
        return (Entry("Angle of the wedge", "°", 0.0, self.most_degrees),)

    def moved(self, values: Values, motion: Motion) -> Values:
        """Return the angle after a motion."""
        angle = values[0] + motion.degrees * float(np.dot(motion.axis, self.axis))
        return _rounded((min(max(angle, 0.0), self.most_degrees),))

    def grips(self, values: Values) -> tuple[Grip, ...]:
        """Return the hinge."""
        return (Grip(self.hinge_mm, (), (self.axis,)),)

    def params(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the step that say some values."""
        return {"angle_degrees": values[0]}

    def matrix(self, values: Values) -> Floats:
        """Return the move of the piece."""
        return self.turned(values[0])


class PlaneHold:
    """A plane, told by its level along the patient's axis that it is across, and two tilts."""

    def __init__(self, point_mm: Vector, normal: Vector) -> None:
        direction = np.asarray(normal, float) / np.linalg.norm(normal)
        self._axis = int(np.abs(direction).argmax())
        self._aside = [n for n in range(3) if n != self._axis]
        self._sign = float(np.sign(direction[self._axis]))
        self._point = np.asarray(point_mm, float)
        self.start = self._values(float(self._point[self._axis]), direction)

    def _values(self, level: float, normal: Floats) -> Values:
        slopes = normal[self._aside] / normal[self._axis]
        return _rounded((level, *np.degrees(np.arctan(slopes))))

    def plane(self, values: Values) -> tuple[Vector, Vector]:
        """Return a point and the unit normal, LPS."""
        point, normal = self._point.copy(), np.ones(3)
        point[self._axis] = values[0]
        normal[self._aside] = np.tan(np.radians(values[1:]))
        return as_vector(point), as_vector(self._sign * normal / np.linalg.norm(normal))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Level and tilts."""
        tilts = (Entry(f"Tilted {_to(n)}", "°", -STEEP_DEGREES, STEEP_DEGREES) for n in self._aside)
        return (Entry(f"Level, {_to(self._axis)}", "mm", -5000.0, 5000.0), *tilts)

    def moved(self, values: Values, motion: Motion) -> Values:
        """Return the values after a motion about the plane's point."""
        normal = np.asarray(self.plane(values)[1])
        level = values[0] + float(normal @ motion.shift_mm) / normal[self._axis]
        if not motion.degrees:
            return _rounded((level, *values[1:]))
        turn = Rotation.from_rotvec(np.radians(motion.degrees) * np.asarray(motion.axis))
        turned = self._values(level, turn.apply(normal))
        same_way = turn.apply(normal)[self._axis] * self._sign > 0
        return turned if same_way and max(map(abs, turned[1:])) <= STEEP_DEGREES else values

    def grips(self, values: Values) -> tuple[Grip, ...]:
        """Return the plane's point, held along the normal and about two axes in the plane."""
        point, normal = self.plane(values)
        first = np.cross(normal, AXES[self._aside[0]])
        first = first / np.linalg.norm(first)
        turns = (as_vector(first), as_vector(np.cross(normal, first)))
        return (Grip(point, (normal,), turns),)

    def params(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the step that say some values."""
        point, normal = self.plane(values)
        return {"point_mm": list(_rounded(point)), "normal": [round(v, 8) for v in normal]}

    def matrix(self, values: Values) -> Floats:
        """A plane moves no part."""
        return np.eye(4)


@dataclass(frozen=True, eq=False)
class PointsHold:
    """Points that are moved one by one, in one parameter or several of the same length."""

    names: tuple[str, ...]
    points_mm: tuple[Vector, ...]

    @property
    def start(self) -> Values:
        """All coordinates, point after point."""
        return tuple(v for point in self.points_mm for v in point)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """None: coordinates are entered in the step's own form."""
        return ()

    def moved(self, values: Values, motion: Motion) -> Values:
        """Return the values after one point was moved."""
        points = np.array(values).reshape(-1, 3)
        points[motion.grip] += motion.shift_mm
        return _rounded(points.ravel())

    def grips(self, values: Values) -> tuple[Grip, ...]:
        """Return every point."""
        points = np.array(values).reshape(-1, 3)
        return tuple(Grip(as_vector(point), free=True) for point in points)

    def params(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the step that say some values."""
        parts = np.array(values).reshape(len(self.names), -1, 3)
        return {name: part.tolist() for name, part in zip(self.names, parts)}

    def matrix(self, values: Values) -> Floats:
        """Points move no part."""
        return np.eye(4)


def _to(axis: int) -> str:
    return "up" if axis == 2 else f"to the {WAYS[axis]}"


def _rounded(values: Sequence[float] | Floats) -> Values:
    return tuple(round(float(v), DIGITS) for v in values)


def _as_matrix(pose: Pose) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = pose.rotation, pose.position_mm
    return matrix
