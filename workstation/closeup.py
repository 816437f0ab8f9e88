"""Eyes and pictures that show a person one place of a surface, how it lies, and what a file holds.

Everything is in DICOM patient LPS millimetres, drawn without a graphics card.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from workstation.camera import Camera, Vector, unit, vector

NEAR = 0.45  # of the surface's extent: how far the eye is from a fault
LEAST_MM = 25.0
PAPER = (0x0B, 0x0E, 0x11)
BOTH, LOST, ADDED = (0xB8, 0xC4, 0xCE), (0xE5, 0x64, 0x5A), (0x4D, 0xA3, 0xFF)
ROOM = 0.06  # left free around a silhouette
STEP_PX = 0.7  # between two samples of a triangle

Picture = npt.NDArray[np.uint8]


def closeup(surface: SurfaceMesh, point_mm: Vector, camera: Camera) -> Camera:
    """Return an eye that looks from outside at a place of a surface, head up where it can."""
    middle = surface.points_mm[surface.triangles].mean(axis=1)
    a, b, c = (surface.points_mm[surface.triangles[:, n]] for n in range(3))
    away = np.linalg.norm(middle - point_mm, axis=1)
    extent = float(np.ptp(surface.points_mm, axis=0).max())
    near = away <= max(float(away.min()) + 0.02 * extent, 1.0)
    outward = np.cross(b - a, c - a)[near].sum(axis=0)
    towards = unit(outward) if np.linalg.norm(outward) > 0 else camera.axes[2]
    up = (0.0, 0.0, 1.0) if abs(towards[2]) < 0.95 else (0.0, -1.0, 0.0)
    eye = np.asarray(point_mm) + max(NEAR * extent, LEAST_MM) * towards
    return Camera(vector(eye), point_mm, up, camera.angle_deg)


def as_printed(surface: SurfaceMesh, up: Vector, camera: Camera) -> Camera:
    """Return an eye that sees a surface as it lies on the plate, from a little above."""
    standing = unit(up)
    side = np.cross(standing, np.eye(3)[int(np.argmin(np.abs(standing)))])
    towards = unit(unit(side) + 0.35 * standing)
    middle = (surface.points_mm.min(axis=0) + surface.points_mm.max(axis=0)) / 2
    eye = middle + camera.distance_mm * towards
    seen = Camera(vector(eye), vector(middle), vector(standing), camera.angle_deg)
    return seen.frame(surface.points_mm, (4, 3))


def overlay_picture(written: SurfaceMesh, read: SurfaceMesh, side_px: int = 220) -> Picture:
    """Return silhouettes from the front and from the left, uint8 (side, 2 sides, 3).

    Grey is what was written and came back, red what only was written, blue what only came back.
    """
    points = np.concatenate([written.points_mm, read.points_mm])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = side_px * (1 - 2 * ROOM) / max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2
    found = []
    for axes in ((0, 2), (1, 2)):
        sides = [_silhouette(mesh, middle, axes, scale, side_px) for mesh in (written, read)]
        picture = np.tile(np.array(PAPER, np.uint8), (side_px, side_px, 1))
        picture[sides[0] & sides[1]] = BOTH
        picture[sides[0] & ~sides[1]] = LOST
        picture[~sides[0] & sides[1]] = ADDED
        found.append(picture)
    return np.concatenate(found, axis=1)


def _silhouette(
    mesh: SurfaceMesh,
    middle: npt.NDArray[np.float64],
    axes: tuple[int, int],
    scale: float,
    side: int,
) -> npt.NDArray[np.bool_]:
    flat = (mesh.points_mm - middle)[:, axes] * scale * [1.0, -1.0] + side / 2
    corners = flat[mesh.triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.maximum(np.ceil(longest / STEP_PX), 1).astype(int)
    drawn = np.zeros((side, side), bool)
    for count in np.unique(parts):
        i, j = np.indices((count + 1, count + 1)).reshape(2, -1)
        inside = i + j <= count
        u, v = i[inside] / count, j[inside] / count
        weights = np.stack([1 - u - v, u, v], axis=1)
        for block in np.array_split(
            corners[parts == count], max(1, int((parts == count).sum()) // 20_000)
        ):
            pixels = np.einsum("sk,tkx->tsx", weights, block).reshape(-1, 2).astype(int)
            x, y = np.clip(pixels, 0, side - 1).T
            drawn[y, x] = True
    return drawn
