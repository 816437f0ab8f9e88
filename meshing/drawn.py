"""Measurements as thin tubes and beads, for pictures in 3D."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from segmentation.measured import Measured, length_mm
from segmentation.volume import Floats

SIDES = 8  # of a tube
BEAD = 2.2  # radius of a bead, of the tube's
THICK_MM, THIN_MM = 0.8, 0.15
THINNESS = 1 / 80  # radius of a tube, of the length of the line

Triangles = npt.NDArray[np.int64]


def as_tubes(value: Measured, name: str = "") -> SurfaceMesh:
    """Return the lines of a measurement as tubes and its picked points as beads, LPS mm."""
    longest = max((length_mm(line) for line in value.lines_mm), default=0.0)
    radius = float(np.clip(longest * THINNESS, THIN_MM, THICK_MM))
    parts = [_tube(line, radius) for line in value.lines_mm if len(line) > 1]
    spots = value.picked_mm if len(value.picked_mm) else np.empty((0, 3))
    parts += [_bead(spot, BEAD * radius) for spot in spots]
    points, cells, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
    for part_points, part_cells in parts:
        points.append(part_points)
        cells.append(part_cells + count)
        count += len(part_points)
    return SurfaceMesh(np.vstack(points), np.vstack(cells), value.frame_uid, name)


def _tube(line: Floats, radius: float) -> tuple[Floats, Triangles]:
    """Return a tube around a polyline; its sections are carried along without twist."""
    way = np.gradient(line, axis=0)
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    side = np.cross(way[0], np.eye(3)[int(np.argmin(np.abs(way[0])))])
    turn = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)[:, None]
    rings = []
    for point, along in zip(line, way):
        side = side - (side @ along) * along
        length = np.linalg.norm(side)
        if length < 1e-9:
            side = np.cross(along, np.eye(3)[int(np.argmin(np.abs(along)))])
            length = np.linalg.norm(side)
        side = side / length
        up = np.cross(along, side)
        rings.append(point + radius * (np.cos(turn) * side + np.sin(turn) * up))
    start = (np.arange(len(line) - 1) * SIDES)[:, None] + np.arange(SIDES)
    after = (np.arange(len(line) - 1) * SIDES)[:, None] + (np.arange(SIDES) + 1) % SIDES
    one = np.stack([start, after, after + SIDES], axis=-1).reshape(-1, 3)
    two = np.stack([start, after + SIDES, start + SIDES], axis=-1).reshape(-1, 3)
    return np.vstack(rings), np.vstack([one, two]).astype(np.int64)


def _bead(centre: Floats, radius: float) -> tuple[Floats, Triangles]:
    """Return an octahedron split twice: round enough for a dot."""
    points = np.vstack([np.eye(3), -np.eye(3)])
    signs = [(a, b, c) for a in (0, 3) for b in (1, 4) for c in (2, 5)]
    cells = np.array([s if sum(n > 2 for n in s) % 2 == 0 else (s[0], s[2], s[1]) for s in signs])
    for _ in range(2):
        corners = points[cells]
        middles = (corners + np.roll(corners, -1, axis=1)) / 2
        every = np.concatenate([corners, middles], axis=1).reshape(-1, 3)
        points, place = np.unique(np.round(every, 9), axis=0, return_inverse=True)
        place = place.reshape(-1, 6)
        cells = np.vstack([place[:, c] for c in ([0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5])])
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return centre + radius * points, cells.astype(np.int64)
