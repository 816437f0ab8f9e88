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
from workstation.planning.resection import CutPlane

Part = Literal["centre", "tip", "rim"]

BALL_REACH_PX = 12.0
RIM_REACH_PX = 7.0
RIM_POINTS = 96
ARROW = 0.6  # length of the arrow, of the radius
NARROW = 0.25  # how wide the disc is in the telling view, of its diameter
OFF_FRONT = 0.35  # what a radian off the patient's front costs there
NO_SECTION_MM = 50.0  # radius of the handle of a cut that misses the organ
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

    def is_close_to(self, other: Cut) -> bool:
        """Tell whether both are the same disc, to a nanometre."""
        mine, theirs = (np.array([*c.point_mm, *c.normal, c.radius_mm]) for c in (self, other))
        return bool(np.allclose(mine, theirs, rtol=0, atol=1e-6))

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
    drag = grab(cut, camera, x, y, size)
    return drag.part if drag else None


def grab(cut: Cut, camera: Camera, x: float, y: float, size: Size) -> CutDrag | None:
    """Start a drag at the pixel position (x, y), or return None where nothing can be held."""
    cursor = np.array([x, y])
    balls: tuple[tuple[Part, Vector], ...] = (("centre", cut.point_mm), ("tip", cut.tip_mm))
    for part, point in balls:
        if np.linalg.norm(camera.project(point, size)[0, :2] - cursor) <= BALL_REACH_PX:
            return CutDrag(part, cut, camera, size, x, y, point)
    point, away_px = _nearest_on_rim(cut, camera, cursor, size)
    return CutDrag("rim", cut, camera, size, x, y, point) if away_px <= RIM_REACH_PX else None


def telling_direction(normal: Vector) -> Vector:
    """Return the direction to an eye (LPS unit vector) that shows a cut with ``normal`` well.

    It sees the disc narrow, so that neither part hides behind it, from not far off the
    patient's front.
    """
    turn, lift = np.radians(np.mgrid[-75:76:5, -20:36:5])
    eyes = np.stack([np.sin(turn) * np.cos(lift), -np.cos(turn) * np.cos(lift), np.sin(lift)], -1)
    facing = np.abs(eyes @ np.asarray(normal))
    off_front = np.arccos(np.clip(-eyes[..., 1], -1, 1))
    cost = np.abs(facing - NARROW) + OFF_FRONT * off_front
    return vector(eyes[np.unravel_index(int(np.argmin(cost)), cost.shape)])


def _nearest_on_rim(cut: Cut, camera: Camera, cursor: Floats, size: Size) -> tuple[Vector, float]:
    """Return the rim's point (LPS mm) drawn nearest to the cursor, and how far away in pixels."""
    rim = cut.rim_mm
    start = camera.project(rim, size)[:, :2]
    side = np.roll(start, -1, axis=0) - start
    length = np.maximum((side**2).sum(axis=1), 1e-9)
    along = np.clip(((cursor - start) * side).sum(axis=1) / length, 0, 1)[:, None]
    away = np.linalg.norm(start + along * side - cursor, axis=1)
    n = int(np.argmin(np.where(np.isnan(away), np.inf, away)))
    point = rim[n] + along[n] * (np.roll(rim, -1, axis=0)[n] - rim[n])
    return vector(point), float(away[n])


def _between(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation that takes the unit vector ``start`` to ``end``."""
    axis = np.cross(start, end)
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return np.eye(3)
    return rotation(axis / length, float(np.arctan2(length, start @ end)))


def centre_of(cut: CutPlane) -> Vector:
    """Return the middle of the cut inside the organ, projected onto the plane, LPS mm."""
    points = cut.surface.points_mm
    if not len(points):
        return cut.point_mm
    middle = points.mean(axis=0)
    x, y, z = (float(v) for v in middle - cut.distance_mm(middle) * np.asarray(cut.normal))
    return (x, y, z)


def reach_mm(cut: CutPlane) -> float:
    """Return the radius of most of the section; its farthest corners would hide the rest."""
    points = cut.surface.points_mm
    if not len(points):
        return NO_SECTION_MM
    return float(np.quantile(np.linalg.norm(points - points.mean(axis=0), axis=1), 0.8))
