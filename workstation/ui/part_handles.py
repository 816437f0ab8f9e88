"""Handles of a part in 3D and on slices: what can be grabbed, and what a drag makes of it.

Pure geometry in DICOM patient LPS millimetres; display positions are pixels. A ball in the middle
moves freely, arrows along their direction, rings turn about theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segmentation.volume import Floats, Vector
from workstation.camera import Camera, Size, vector
from workstation.planning.live_fit_moves import Grip, Motion
from workstation.slices import Placement

Kind = Literal["ball", "shift", "turn"]

ARM_PX, RING_PX, SLICE_RING_PX = 84.0, 62.0, 56.0
BALL_REACH_PX, ARROW_REACH_PX, RING_REACH_PX = 11.0, 10.0, 7.0
RING_POINTS = 72


@dataclass(frozen=True)
class Held:
    """The part of a grip under a hand: which grip, what of it, and which of its directions."""

    grip: int
    kind: Kind
    number: int = 0


@dataclass(frozen=True, eq=False)
class SceneDrag:
    """A drag in 3D that holds something since the cursor was at (x, y)."""

    held: Held
    grip: Grip
    camera: Camera
    size: Size
    x: float
    y: float

    def to(self, x: float, y: float) -> Motion:
        """Return what the hand has done when the cursor has come to (x, y)."""
        if self.held.kind == "ball":
            centre = self.grip.centre_mm
            ends = [
                self.camera.at_depth_of(centre, *at, self.size) for at in ((self.x, self.y), (x, y))
            ]
            return Motion(vector(np.subtract(ends[1], ends[0])), grip=self.held.grip)
        if self.held.kind == "shift":
            way = self.grip.shifts[self.held.number]
            along = self._travel_mm(np.asarray(way), x, y)
            return Motion(vector(along * np.asarray(way)), grip=self.held.grip)
        axis = self.grip.turns[self.held.number]
        return Motion(axis=axis, degrees=self._angle(x, y), grip=self.held.grip)

    def _travel_mm(self, way: Floats, x: float, y: float) -> float:
        """Return how far along a direction the cursor went, as it is seen at the middle."""
        ends = np.asarray(self.grip.centre_mm) + np.outer((0.0, 1.0), way)
        start, end = self.camera.project(ends, self.size)[:, :2]
        seen = end - start
        squared = max(float(seen @ seen), 0.04 * self._px_per_mm() ** 2)  # no leaps end-on
        return float(np.array([x - self.x, y - self.y]) @ seen) / squared

    def _angle(self, x: float, y: float) -> float:
        """Return how far the ring followed the cursor along where it was held, in degrees."""
        ring = ring_mm(self.grip, self.held.number, self.camera, self.size)
        flat = self.camera.project(ring, self.size)[:, :2]
        near = int(np.argmin(np.linalg.norm(flat - (self.x, self.y), axis=1)))
        tangent = flat[(near + 1) % RING_POINTS] - flat[near - 1]
        radians = 4 * np.pi / RING_POINTS
        length = max(float(np.linalg.norm(tangent)), 0.3 * RING_PX * radians)
        way = tangent / max(float(np.linalg.norm(tangent)), 1e-9)
        travel = float(np.array([x - self.x, y - self.y]) @ way)
        return float(np.degrees(travel * radians / length))

    def _px_per_mm(self) -> float:
        return 1.0 / self.camera.mm_per_pixel(self.grip.centre_mm, self.size)


def ring_mm(grip: Grip, number: int, camera: Camera, size: Size) -> Floats:
    """Return the points of a ring in 3D, counter-clockwise about its axis; always as large."""
    radius = RING_PX * camera.mm_per_pixel(grip.centre_mm, size)
    axis = np.asarray(grip.turns[number])
    first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    first /= np.linalg.norm(first)
    turn = np.linspace(0, 2 * np.pi, RING_POINTS, endpoint=False)[:, None]
    spokes = np.cos(turn) * first + np.sin(turn) * np.cross(axis, first)
    return np.asarray(np.asarray(grip.centre_mm) + radius * spokes)


def tip_mm(grip: Grip, number: int, camera: Camera, size: Size) -> Vector:
    """Return the tip of an arrow in 3D."""
    arm = ARM_PX * camera.mm_per_pixel(grip.centre_mm, size)
    return vector(np.asarray(grip.centre_mm) + arm * np.asarray(grip.shifts[number]))


def held_in_scene(
    grips: Sequence[Grip], camera: Camera, x: float, y: float, size: Size
) -> Held | None:
    """Return what lies under the pixel position (x, y): a ball before an arrow, before a ring."""
    cursor, found = np.array([x, y]), []
    for n, grip in enumerate(grips):
        if grip.free:
            away = _away(camera.project(grip.centre_mm, size)[0, :2], cursor)
            found.append((0, away / BALL_REACH_PX, Held(n, "ball")))
        for k in range(len(grip.shifts)):
            away = _away(camera.project(tip_mm(grip, k, camera, size), size)[0, :2], cursor)
            found.append((1, away / ARROW_REACH_PX, Held(n, "shift", k)))
        for k in range(len(grip.turns)):
            ring = camera.project(ring_mm(grip, k, camera, size), size)[:, :2]
            away = float(np.nanmin(np.linalg.norm(ring - cursor, axis=1), initial=np.inf))
            found.append((2, away / RING_REACH_PX, Held(n, "turn", k)))
    near = [one for one in found if one[1] <= 1.0]
    return min(near, key=lambda one: one[:2])[2] if near else None


def grab_in_scene(
    grips: Sequence[Grip], camera: Camera, x: float, y: float, size: Size
) -> SceneDrag | None:
    """Start a drag in 3D at the pixel position (x, y), or return None where nothing is held."""
    held = held_in_scene(grips, camera, x, y, size)
    return None if held is None else SceneDrag(held, grips[held.grip], camera, size, x, y)


@dataclass(frozen=True, eq=False)
class SliceDrag:
    """A drag on a slice: the middle moves in it, the ring turns about the way across it."""

    held: Held
    grip: Grip
    placement: Placement
    x: float
    y: float

    def to(self, x: float, y: float) -> Motion:
        """Return what the hand has done when the cursor has come to (x, y)."""
        start, end = (np.asarray(self.placement.to_world(*at)) for at in ((self.x, self.y), (x, y)))
        if self.held.kind != "turn":
            way = end - start
            if not self.grip.free:  # only along its own directions
                axes = np.asarray(self.grip.shifts)
                way = (way @ axes.T) @ axes
            return Motion(vector(way), grip=self.held.grip)
        middle = self.placement.to_widget(self.grip.centre_mm)[:2]
        across = _across(self.placement)
        arms = [np.asarray(self.placement.to_world(*at)) - self.placement.to_world(*middle)
                for at in ((self.x, self.y), (x, y))]  # fmt: skip
        turned = np.arctan2(np.cross(arms[0], arms[1]) @ across, arms[0] @ arms[1])
        axis = _turn_of(self.grip, across)
        facing = float(np.sign(np.dot(axis, across)))
        return Motion(axis=axis, degrees=facing * float(np.degrees(turned)), grip=self.held.grip)


def grab_on_slice(
    grips: Sequence[Grip], placement: Placement, x: float, y: float
) -> SliceDrag | None:
    """Start a drag on a slice at the pixel position (x, y), or return None."""
    held = held_on_slice(grips, placement, x, y)
    return None if held is None else SliceDrag(held, grips[held.grip], placement, x, y)


def held_on_slice(grips: Sequence[Grip], placement: Placement, x: float, y: float) -> Held | None:
    """Return what lies under the pixel position (x, y) of a slice."""
    for n, grip in enumerate(grips):
        away = _away(placement.to_widget(grip.centre_mm)[:2], np.array([x, y]))
        if (grip.free or grip.shifts) and away <= BALL_REACH_PX:
            return Held(n, "ball")
        if can_turn(grip, placement) and abs(away - SLICE_RING_PX) <= RING_REACH_PX:
            return Held(n, "turn")
    return None


def can_turn(grip: Grip, placement: Placement) -> bool:
    """Tell whether a grip turns about the way across a slice, or nearly so."""
    across = _across(placement)
    return any(abs(np.dot(turn, across)) > 0.5 for turn in grip.turns)


def _turn_of(grip: Grip, across: Floats) -> Vector:
    """Return the axis to turn about on a slice: across it where the grip turns freely."""
    if len(grip.turns) == 3:
        return vector(across)
    return max(grip.turns, key=lambda turn: abs(float(np.dot(turn, across))))


def _across(placement: Placement) -> Floats:
    normal = np.asarray(placement.plane.normal, float)
    return np.asarray(normal / np.linalg.norm(normal))


def _away(place: Floats, cursor: Floats) -> float:
    away = float(np.linalg.norm(place - cursor))
    return away if np.isfinite(away) else np.inf
