"""Vessels with sacs of known neck, as surfaces: unions of balls, ellipsoids and tubes."""

from collections.abc import Callable

import numpy as np

from meshing.distance_fields import contour, grid_around
from meshing.surface import SurfaceMesh

Floats = np.ndarray
Depth = Callable[[Floats], Floats]
"""Distance to the wall in mm at points (..., 3), about, positive inside."""

TILT = np.linalg.qr(np.array([[2.0, -1.0, 0.3], [0.4, 1.1, -0.9], [-0.7, 0.5, 1.3]]))[0]
SHIFT_MM = np.array([12.0, -31.0, 55.0])


def tube(start: Floats, stop: Floats, radius_mm: float) -> Depth:
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    axis = stop - start

    def depth(points: Floats) -> Floats:
        share = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
        return radius_mm - np.linalg.norm(points - start - share[..., None] * axis, axis=-1)

    return depth


def ball(centre: Floats, radius_mm: float) -> Depth:
    return lambda points: radius_mm - np.linalg.norm(points - np.asarray(centre, float), axis=-1)


def ellipsoid(centre: Floats, radii_mm: Floats) -> Depth:
    radii = np.asarray(radii_mm, float)

    def depth(points: Floats) -> Floats:
        share = np.linalg.norm((points - np.asarray(centre, float)) / radii, axis=-1)
        return (1 - share) * radii.min()

    return depth


def surface(
    parts: list[Depth], box_mm: tuple[Floats, Floats], step_mm: float = 0.3, tilt: bool = True
) -> SurfaceMesh:
    """The closed surface of a union, its ends cut flat by the box; tilted and shifted."""
    low, high = (np.asarray(corner, float) for corner in box_mm)
    grid = grid_around([np.stack([low, high])], step_mm)
    k, j, i = np.indices(grid.shape)
    points = grid.origin_mm + step_mm * np.stack([i, j, k], axis=-1)
    inside = np.max([part(points) for part in parts], axis=0)
    box = np.minimum(points - low, high - points).min(axis=-1)
    vertices, triangles = contour(-np.minimum(inside, box).astype(np.float32), grid)
    if tilt:
        vertices = placed(vertices)
    return SurfaceMesh(vertices, triangles, "1.2.3", "lumen")


def placed(points: Floats) -> Floats:
    """Points of a shape where `surface` puts them."""
    return np.asarray(points, float) @ TILT.T + SHIFT_MM


def ball_on_tube(
    radius_mm: float = 3.0, height_mm: float = 4.0, vessel_mm: float = 1.5, step_mm: float = 0.3
) -> SurfaceMesh:
    """A ball whose centre lies ``height_mm`` above the axis (x) of a tube through the origin."""
    parts = [tube((-20, 0, 0), (20, 0, 0), vessel_mm), ball((0, 0, height_mm), radius_mm)]
    return surface(parts, ((-12, -6, -4), (12, 6, 9)), step_mm)


def neck_points(radius_mm: float, height_mm: float, vessel_mm: float, count: int = 400) -> Floats:
    """The curve in which the ball of `ball_on_tube` meets its tube, before it is placed."""
    angle = np.linspace(-np.pi, np.pi, count, endpoint=False)
    y, z = vessel_mm * np.sin(angle), vessel_mm * np.cos(angle)
    square = radius_mm**2 - y**2 - (z - height_mm) ** 2
    on = square > 0
    x = np.sqrt(square[on])
    one = np.stack([x, y[on], z[on]], axis=1)
    other = np.stack([-x, y[on], z[on]], axis=1)[::-1]
    return np.concatenate([one, other])
