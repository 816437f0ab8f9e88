"""Vessels of known axis and radius, as surfaces and labels."""

from collections.abc import Callable

import numpy as np

from meshing.surface import SurfaceMesh
from segmentation.volume import ImageGeometry, Label, LabelMap

Floats = np.ndarray
TILTED = np.array([2.0, -1.0, 3.0]) / np.sqrt(14)


def swept(axis_mm: Floats, radius_mm: Floats | float, sides: int = 32) -> SurfaceMesh:
    """An open tube around a curve, its rings across it, outward."""
    axis_mm = np.asarray(axis_mm, float)
    radius = np.broadcast_to(radius_mm, len(axis_mm))
    tangents = np.gradient(axis_mm, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    u = np.cross(tangents[0], [0.3, 0.5, -0.8])
    rings = []
    for centre, tangent, r in zip(axis_mm, tangents, radius):
        u = u - (u @ tangent) * tangent
        u /= np.linalg.norm(u)
        v = np.cross(tangent, u)
        angle = np.arange(sides) * 2 * np.pi / sides
        rings.append(centre + r * (np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v))
    n = np.arange(sides)
    triangles = []
    for k in range(len(axis_mm) - 1):
        a, b = k * sides + n, k * sides + (n + 1) % sides
        triangles += [np.stack([a, b, b + sides], 1), np.stack([a, b + sides, a + sides], 1)]
    return SurfaceMesh(np.concatenate(rings), np.concatenate(triangles), "1.2.3", "vessel")


def line(length_mm: float, along: Floats = TILTED, count: int = 60) -> Floats:
    return np.array([11.0, -40.0, 77.0]) + np.linspace(0, length_mm, count)[:, None] * along


def helix(radius_mm: float, pitch_mm: float, turns: float, count: int = 240) -> Floats:
    t = np.linspace(0, 2 * np.pi * turns, count)
    return np.stack([radius_mm * np.cos(t), radius_mm * np.sin(t), pitch_mm * t / (2 * np.pi)], 1)


def torus(ring_mm: float, radius_mm: float, sides: int = 24, around: int = 96) -> SurfaceMesh:
    """A closed ring in the plane z = 5."""
    t = np.arange(around)[:, None] * 2 * np.pi / around
    p = np.arange(sides)[None] * 2 * np.pi / sides
    away = ring_mm + radius_mm * np.cos(p)
    points = np.stack([away * np.cos(t), away * np.sin(t), 5 + radius_mm * np.sin(p) + 0 * t], -1)
    n = np.arange(around * sides).reshape(around, sides)
    a, b = n, np.roll(n, -1, axis=0)
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return SurfaceMesh(points.reshape(-1, 3), triangles, "1.2.3", "ring")


def capsule(start: Floats, stop: Floats, radius_mm: float) -> Callable[[Floats], Floats]:
    """Distance to the wall of a straight vessel with round ends, positive inside."""
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    axis = stop - start

    def depth(points: Floats) -> Floats:
        t = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
        return radius_mm - np.linalg.norm(points - start - t[..., None] * axis, axis=-1)

    return depth


def labelled(
    parts: list[Callable[[Floats], Floats]],
    low: Floats,
    high: Floats,
    spacing_mm: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> LabelMap:
    """The voxels inside any of the parts, on a grid from ``low`` to ``high``."""
    size = tuple(int(n) for n in np.ceil((np.asarray(high) - low) / spacing_mm) + 1)
    geometry = ImageGeometry(size, spacing_mm, tuple(low), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2.3")
    k, j, i = np.indices(geometry.shape)
    points = geometry.to_world(np.stack([i, j, k], axis=-1))
    inside = np.max([part(points) for part in parts], axis=0) > 0
    return LabelMap(inside, geometry, {1: Label("vessels", (200, 30, 30))})


def away_from(points: Floats, axis_mm: Floats) -> Floats:
    """The distance of each point to a polyline."""
    a, b = axis_mm[:-1], axis_mm[1:]
    along = b - a
    t = np.einsum("pax,ax->pa", points[:, None] - a, along) / (along**2).sum(axis=1)
    near = a + np.clip(t, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - near, axis=2).min(axis=1)
