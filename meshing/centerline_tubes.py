"""Centerlines as thin tubes or in their own width, for pictures. Points are LPS mm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meshing.centerline import Centerline
from meshing.curves import local_fit, unit
from meshing.surface import SurfaceMesh

SIDES = 8
THIN = 0.12  # of the median radius of the vessel
LEAST_MM = 0.1


def as_tubes(value: Centerline, name: str = "") -> SurfaceMesh:
    """Return a thin tube along every branch, with the vessel's radius in mm on its points."""
    thickness = max(THIN * float(np.median(value.radius_mm)), LEAST_MM)
    points: list[npt.NDArray[np.float64]] = []
    triangles, radii = [], []
    for branch in value.branches:
        line, radius = value.points_mm[branch.points], value.radius_mm[branch.points]
        start = sum(len(part) for part in points)
        points.append(_rings(line, thickness))
        triangles.append(start + _tube(len(line)))
        radii.append(np.repeat(radius, SIDES))
    return SurfaceMesh(
        np.concatenate(points),
        np.concatenate(triangles),
        value.frame_uid,
        name or value.name,
        point_data={"radius_mm": np.concatenate(radii)},
    )


def as_vessels(
    value: Centerline, branches: Sequence[int], name: str = "", wider: float = 1.0
) -> SurfaceMesh:
    """Return chosen branches as tubes of the vessel's own width, times ``wider``."""
    points: list[npt.NDArray[np.float64]] = []
    triangles, start = [], 0
    for number in branches:
        place = value.branches[number].points
        points.append(_rings(value.points_mm[place], wider * value.radius_mm[place]))
        triangles.append(start + _tube(len(points[-1]) // SIDES))
        start += len(points[-1])
    return SurfaceMesh(np.concatenate(points), np.concatenate(triangles), value.frame_uid, name)


def _rings(
    line: npt.NDArray[np.float64], thickness: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return points around a line; each ring is turned as little as possible from the last."""
    tangents = local_fit(line, np.full(len(line), 1e-6)).tangents
    turn = np.arange(SIDES) * 2 * np.pi / SIDES
    u = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    rings = []
    for centre, tangent, wide in zip(line, tangents, np.broadcast_to(thickness, len(line))):
        u = unit(u - (u @ tangent) * tangent)
        v = np.cross(tangent, u)
        rings.append(centre + wide * (np.cos(turn)[:, None] * u + np.sin(turn)[:, None] * v))
    return np.concatenate(rings)


def _tube(count: int) -> npt.NDArray[np.int64]:
    """Return the triangles of a tube of ``count`` rings, closed by a fan at either end."""
    n = np.arange(SIDES)
    ring = np.arange(count - 1)[:, None] * SIDES
    a, b = ring + n, ring + (n + 1) % SIDES
    wall = [np.stack([a, b, b + SIDES], -1), np.stack([a, b + SIDES, a + SIDES], -1)]
    fan = np.stack([np.zeros(SIDES - 2, int), n[2:], n[1:-1]], axis=1)
    last = (count - 1) * SIDES + fan[:, ::-1]
    return np.concatenate([*(part.reshape(-1, 3) for part in wall), fan, last]).astype(np.int64)
