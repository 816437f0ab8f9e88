"""Tubes on a lattice that close upon themselves, so that their flow is known exactly."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import WALL, Links
from meshing.mesh import SurfaceMesh


def periodic_tube(radius, period=(4, 2, 1), centre=(0.31, 0.17, 0.05)):
    """Return cells (n, 3), neighbours (27, n), links, the axis, and offsets from it (n, 3).

    The axis runs through ``centre`` along ``period``, after which the tube repeats.
    """
    period = np.array(period)
    length = np.linalg.norm(period)
    axis = period / length
    reach = np.arange(-int(radius + length + 3), int(radius + length + 4))
    z, y, x = np.meshgrid(reach, reach, reach, indexing="ij")
    grid = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    arm = grid - centre
    along = arm @ axis
    away = arm - along[:, None] * axis
    kept = (np.linalg.norm(away, axis=1) < radius) & (along >= 0) & (along < length)
    cells, away = grid[kept], away[kept]
    number = {tuple(cell): n for n, cell in enumerate(cells.tolist())}
    neighbours = np.full((27, len(cells)), -1)
    for q, velocity in enumerate(VELOCITIES):
        for turn in (-1, 1, 0):
            there = (cells + velocity + turn * period).tolist()
            found = np.array([number.get(tuple(cell), -1) for cell in there])
            neighbours[q] = np.where(found >= 0, found, neighbours[q])
    q, cell = np.nonzero(neighbours < 0)
    step = VELOCITIES[q] - np.outer(VELOCITIES[q] @ axis, axis)
    a, b = (step**2).sum(axis=1), 2 * (away[cell] * step).sum(axis=1)
    c = (away[cell] ** 2).sum(axis=1) - radius**2
    fraction = (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)
    links = Links(cell, q, np.clip(fraction, 1e-6, 1.0), np.full(len(cell), WALL))
    return cells, neighbours, links, axis, away


def capped_tube(
    radius_mm=2.0, length_mm=8.0, turn=((1.0, 0.4, 0.2), 0.7), name="tube", rings=1, sections=64
):
    """Return a closed round tube with the ends "inlet" and "outlet_1", and its axis."""
    side = [(radius_mm, z) for z in np.linspace(-length_mm / 2, length_mm / 2, rings + 1)]
    outline = [(0, -length_mm / 2), *side, (0, length_mm / 2)]
    solid = trimesh.creation.revolve(outline, sections=sections)
    points, normals = solid.vertices, solid.face_normals
    top, bottom = normals[:, 2] > 0.9, normals[:, 2] < -0.9
    rotation = Rotation.from_rotvec(turn[1] * np.array(turn[0]) / np.linalg.norm(turn[0]))
    parts = {
        "wall": np.flatnonzero(~top & ~bottom),
        "inlet": np.flatnonzero(bottom),
        "outlet_1": np.flatnonzero(top),
    }
    mesh = SurfaceMesh(rotation.apply(points), solid.faces, "1.2", name, boundaries=parts)
    return mesh, rotation.apply([0.0, 0.0, 1.0])
