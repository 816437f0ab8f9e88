"""Where the eye of a 3D picture is, as a value; and its exact projection.

Everything is in DICOM patient LPS millimetres. Display positions are pixels from the top left
corner of a picture of ``size`` (width, height); the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians, tan
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]
Size = tuple[int, int]
Side = Literal["A", "P", "L", "R", "S", "I"]

ROOM = 0.12  # of the half picture, left free around what `Camera.frame` shows
NEAREST_MM, FARTHEST_MM = 2.0, 20000.0

# side the eye is on -> (direction from the scene to the eye, what is up on the screen)
SIDES: dict[Side, tuple[Vector, Vector]] = {
    "A": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "P": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "L": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "R": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "S": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "I": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
}


@dataclass(frozen=True)
class Camera:
    """A perspective eye: where it is, what it looks at, what is up, and how wide it sees.

    Attributes:
        eye_mm, focal_mm: LPS points; they must differ.
        up: the LPS direction that is up on the screen; not along the line of sight.
        angle_deg: the full vertical angle of view.
    """

    eye_mm: Vector = (0.0, -500.0, 0.0)
    focal_mm: Vector = (0.0, 0.0, 0.0)
    up: Vector = (0.0, 0.0, 1.0)
    angle_deg: float = 30.0

    @property
    def axes(self) -> Floats:
        """Rows: screen right, screen up and towards the viewer, as LPS unit vectors."""
        towards = unit(np.subtract(self.eye_mm, self.focal_mm))
        right = unit(np.cross(self.up, towards))
        return np.stack([right, np.cross(towards, right), towards])

    @property
    def distance_mm(self) -> float:
        """Distance from the eye to the focal point."""
        return float(np.linalg.norm(np.subtract(self.eye_mm, self.focal_mm)))

    def look_from(self, side: Side) -> Camera:
        """Look at the same point from the patient's ``side``, at the same distance."""
        towards, up = SIDES[side]
        eye = np.asarray(self.focal_mm) + self.distance_mm * np.asarray(towards)
        return Camera(vector(eye), self.focal_mm, up, self.angle_deg)

    def frame(self, points_mm: Floats, size: Size) -> Camera:
        """Keep the direction and show all ``points_mm`` (n, 3), with a little room around."""
        centre = (points_mm.min(axis=0) + points_mm.max(axis=0)) / 2
        x, y, towards = np.abs((points_mm - centre) @ self.axes.T).T
        slope = tan(radians(self.angle_deg) / 2) * (1 - ROOM)
        aspect = size[0] / max(size[1], 1)
        needed = towards + np.maximum(x / aspect, y) / slope
        eye = centre + self.axes[2] * max(float(needed.max()), 1.0)
        return Camera(vector(eye), vector(centre), self.up, self.angle_deg)

    def orbit(self, right_px: float, down_px: float, pivot_mm: Vector, size: Size) -> Camera:
        """Turn the scene about ``pivot_mm`` as the drag goes; the short side is half a turn."""
        per_pixel = pi / max(min(size), 1)
        right, up, _ = self.axes
        turn = rotation(up, -right_px * per_pixel) @ rotation(right, -down_px * per_pixel)
        pivot = np.asarray(pivot_mm)
        return Camera(
            vector(pivot + turn @ (np.asarray(self.eye_mm) - pivot)),
            vector(pivot + turn @ (np.asarray(self.focal_mm) - pivot)),
            vector(turn @ up),
            self.angle_deg,
        )

    def pan(self, right_px: float, down_px: float, at_mm: Vector, size: Size) -> Camera:
        """Move the scene with the drag, so that what lies at ``at_mm`` stays under the cursor."""
        right, up, _ = self.axes
        shift = (up * down_px - right * right_px) * self.mm_per_pixel(at_mm, size)
        return Camera(
            vector(np.asarray(self.eye_mm) + shift),
            vector(np.asarray(self.focal_mm) + shift),
            self.up,
            self.angle_deg,
        )

    def zoom(self, factor: float, at_mm: Vector) -> Camera:
        """Come ``factor`` times nearer to ``at_mm``, which keeps its place on the screen.

        The eye stays between `NEAREST_MM` and `FARTHEST_MM` from what it looks at.
        """
        at, away = np.asarray(at_mm), self.distance_mm
        factor = away / min(max(away / factor, NEAREST_MM), FARTHEST_MM)
        return Camera(
            vector(at + (np.asarray(self.eye_mm) - at) / factor),
            vector(at + (np.asarray(self.focal_mm) - at) / factor),
            self.up,
            self.angle_deg,
        )

    def project(self, points_mm: npt.ArrayLike, size: Size) -> Floats:
        """Return (n, 3): x and y in pixels and the depth in mm; NaN behind the eye."""
        relative = np.asarray(points_mm, np.float64).reshape(-1, 3) - np.asarray(self.eye_mm)
        x, y, towards = (relative @ self.axes.T).T
        depth = np.where(towards < 0, -towards, np.nan)
        focal_px = size[1] / 2 / tan(radians(self.angle_deg) / 2)
        return np.stack(
            [size[0] / 2 + focal_px * x / depth, size[1] / 2 - focal_px * y / depth, depth], axis=1
        )

    def ray(self, x: float, y: float, size: Size) -> Floats:
        """Return the LPS unit direction from the eye through the pixel position (x, y)."""
        focal_px = size[1] / 2 / tan(radians(self.angle_deg) / 2)
        return unit(np.array([x - size[0] / 2, size[1] / 2 - y, -focal_px]) @ self.axes)

    def at_depth_of(self, point_mm: Vector, x: float, y: float, size: Size) -> Vector:
        """Return the LPS point under the pixel position (x, y), as deep as ``point_mm``."""
        direction, towards = self.ray(x, y, size), self.axes[2]
        depth = np.dot(np.subtract(point_mm, self.eye_mm), towards) / np.dot(direction, towards)
        return vector(np.asarray(self.eye_mm) + depth * direction)

    def mm_per_pixel(self, point_mm: Vector, size: Size) -> float:
        """Return the length of one pixel at the depth of ``point_mm``, at least a micrometre."""
        depth = float(np.dot(np.subtract(self.eye_mm, point_mm), self.axes[2]))
        return max(2 * depth * tan(radians(self.angle_deg) / 2) / max(size[1], 1), 1e-3)


def unit(direction: npt.ArrayLike) -> Floats:
    """Return ``direction`` with length 1.

    Raises:
        ValueError: for a direction without length.
    """
    array = np.asarray(direction, np.float64)
    length = float(np.linalg.norm(array))
    if not length > 0:
        raise ValueError("a direction in space needs a length above zero")
    return array / length


def vector(array: Floats) -> Vector:
    """Return three floats as a plain tuple, which compares and hashes."""
    return float(array[0]), float(array[1]), float(array[2])


def rotation(axis: Floats, angle_rad: float) -> Floats:
    """Return the 3x3 matrix that turns about the unit ``axis`` (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn: Floats = np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross
    return turn
