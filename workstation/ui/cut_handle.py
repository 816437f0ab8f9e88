"""The handle of a cut plane in the 3D view: what can be grabbed, and what a drag makes of it.

Pure geometry in DICOM patient LPS millimetres; display positions are those of
`workstation.camera`. The handle has a ball at the centre (moves the plane along its normal),
an arrow tip on the normal and a rim (both tilt the plane about its centre).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from meshing.surface import SurfaceMesh
from workstation.camera import Camera, Floats, Size, Vector, rotation, unit, vector

Part = Literal["centre", "tip", "rim"]

BALL_REACH_PX = 12.0
RIM_REACH_PX = 7.0
RIM_POINTS = 96
ARROW = 0.6  # length of the arrow, of the radius
STEEP = 0.03  # squared sine of the angle under which the normal counts as facing the viewer


@dataclass(frozen=True)
class Cut:
    """A disc: centre (LPS mm), unit normal to the specimen (LPS), and radius in mm."""

    point_mm: Vector
    normal: Vector
    radius_mm: float

    @property
    def tip_mm(self) -> Vector:
        """The tip of the arrow on the normal."""
        return vector(np.asarray(self.point_mm) + self.arrow_mm * np.asarray(self.normal))

    @property
    def arrow_mm(self) -> float:
        """Length of the arrow."""
        return ARROW * self.radius_mm

    @property
    def rim_mm(self) -> Floats:
        """Points of the rim, (n, 3), counter-clockwise seen from the tip."""
        normal = np.asarray(self.normal)
        first = unit(np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))]))
        turn = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)[:, None]
        spokes = np.cos(turn) * first + np.sin(turn) * np.cross(normal, first)
        rim: Floats = np.asarray(self.point_mm) + self.radius_mm * spokes
        return rim

    def disc(self) -> SurfaceMesh:
        """Return the disc as triangles, for drawing only."""
        rim = np.arange(1, RIM_POINTS + 1)
        fan = np.stack([np.zeros_like(rim), rim, np.roll(rim, -1)], axis=1)
        points = np.vstack([np.asarray(self.point_mm), self.rim_mm])
        return SurfaceMesh(points, fan, "", name="cut surface")


@dataclass(frozen=True)
class CutDrag:
    """A drag that holds ``part`` of the cut ``start`` since the cursor was at (x, y)."""

    part: Part
    start: Cut
    camera: Camera
    size: Size
    x: float
    y: float
    held_mm: Vector

    def to(self, x: float, y: float) -> Cut:
        """Return the cut when the cursor has come to (x, y)."""
        if self.part == "centre":
            normal = np.asarray(self.start.normal)
            way = self._along_normal(x, y) - self._along_normal(self.x, self.y)
            return replace(self.start, point_mm=vector(self.start.point_mm + way * normal))
        turn = _between(self._on_sphere(self.x, self.y), self._on_sphere(x, y))
        return replace(self.start, normal=vector(unit(turn @ np.asarray(self.start.normal))))

    def _along_normal(self, x: float, y: float) -> float:
        """Millimetres along the normal to the point that is closest to the line of sight."""
        sight, normal = self.camera.ray(x, y, self.size), np.asarray(self.start.normal)
        cosine = float(sight @ normal)
        if 1 - cosine**2 < STEEP:
            return -y * self.camera.mm_per_pixel(self.start.point_mm, self.size)
        to_plane = np.subtract(self.start.point_mm, self.camera.eye_mm)
        return float((cosine * (sight @ to_plane) - normal @ to_plane) / (1 - cosine**2))

    def _on_sphere(self, x: float, y: float) -> Floats:
        """Unit vector from the centre to the held sphere's point under the cursor.

        Beside the sphere its outline holds, so the plane stops turning at the edge.
        """
        sight = self.camera.ray(x, y, self.size)
        centre = np.subtract(self.start.point_mm, self.camera.eye_mm)
        held = np.subtract(self.held_mm, self.camera.eye_mm)
        nearest = float(sight @ centre)
        radius = np.linalg.norm(held - centre)
        squared = float(radius**2 - centre @ centre + nearest**2)
        half_chord = np.sqrt(max(squared, 0.0))
        far = float(unit(held) @ held) > float(unit(held) @ centre)
        return unit(sight * (nearest + (half_chord if far else -half_chord)) - centre)


def part_at(cut: Cut, camera: Camera, x: float, y: float, size: Size) -> Part | None:
    """Return what of the handle lies under the pixel position (x, y)."""
    held = grab(cut, camera, x, y, size)
    return held.part if held else None


def grab(cut: Cut, camera: Camera, x: float, y: float, size: Size) -> CutDrag | None:
    """Start a drag at the pixel position (x, y), or return None where nothing can be held."""
    places = np.vstack([cut.point_mm, cut.tip_mm, cut.rim_mm])
    away = np.hypot(*(camera.project(places, size)[:, :2] - (x, y)).T)
    away = np.where(np.isnan(away), np.inf, away)
    rim = int(np.argmin(away[2:])) + 2
    choices: tuple[tuple[Part, int, float], ...] = (
        ("centre", 0, BALL_REACH_PX),
        ("tip", 1, BALL_REACH_PX),
        ("rim", rim, max(RIM_REACH_PX, float(np.ptp(away[rim : rim + 2])) / 2)),
    )
    for part, place, reach in choices:
        if away[place] <= reach:
            return CutDrag(part, cut, camera, size, x, y, vector(places[place]))
    return None


def _between(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation that takes the unit vector ``start`` to ``end``."""
    axis = np.cross(start, end)
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return np.eye(3)
    return rotation(axis / length, float(np.arctan2(length, start @ end)))
