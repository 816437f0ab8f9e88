"""Closed surfaces of known shape that no flip or turn maps onto themselves."""

import numpy as np
import trimesh

from meshing.surface import SurfaceMesh

CENTRE = np.array([40.0, -25.0, 130.0])
FRAME = "1.2.3"


def at(x: float, y: float, z: float) -> np.ndarray:
    """A point relative to the middle of all these shapes."""
    return CENTRE + np.array([x, y, z])


def solid(shape: trimesh.Trimesh, name: str = "solid") -> SurfaceMesh:
    return SurfaceMesh(shape.vertices, shape.faces, FRAME, name, (1, 2, 3))


def ball(radius: float = 20.0, middle: np.ndarray = CENTRE, detail: int = 3) -> SurfaceMesh:
    shape = trimesh.creation.icosphere(detail, radius)
    shape.apply_translation(middle)
    return solid(shape, "ball")


def box(size: tuple[float, float, float], middle: np.ndarray = CENTRE) -> SurfaceMesh:
    shape = trimesh.creation.box(size)
    shape.apply_translation(middle)
    return solid(shape, "box")


def pear(detail: int = 3) -> SurfaceMesh:
    """A ball with unequal axes, thinner to one side."""
    shape = trimesh.creation.icosphere(detail, 1.0)
    x, y, z = shape.vertices.T
    points = np.stack([30 * x, 20 * y * (1 + 0.4 * x), 16 * z * (1 - 0.3 * x) + 3 * y], axis=1)
    return SurfaceMesh(points + CENTRE, shape.faces, FRAME, "pear", (1, 2, 3))
