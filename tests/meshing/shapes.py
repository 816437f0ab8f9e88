"""Shapes of known size on grids that show every flip: oblique, anisotropic, left-handed."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from segmentation.volume import ImageGeometry, Label, LabelMap

OBLIQUE = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
LEFT_HANDED = OBLIQUE @ np.diag([1.0, 1.0, -1.0])


def grid(
    half_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float, float] = (0.9, 0.9, 2.0),
    axes: np.ndarray = LEFT_HANDED,
    centre_mm: tuple[float, float, float] = (31.3, -17.7, 204.1),
) -> ImageGeometry:
    size = tuple(int(np.ceil(2 * h / s)) + 1 for h, s in zip(half_mm, spacing_mm))
    origin = np.asarray(centre_mm) - axes @ ((np.array(size) - 1) / 2 * np.array(spacing_mm))
    return ImageGeometry(size, spacing_mm, tuple(origin), tuple(axes.ravel()), "1.2.3")


def label_of(
    geometry: ImageGeometry, inside: Callable[[np.ndarray], np.ndarray], name: str = "shape"
) -> LabelMap:
    """Label the voxels whose centre, LPS mm relative to the grid's middle, is inside."""
    k, j, i = np.indices(geometry.shape)
    points = geometry.to_world(np.stack([i, j, k], axis=-1)) - geometry.centre_mm()
    return LabelMap(inside(points), geometry, {1: Label(name, (10, 200, 30))})


def ellipsoid(
    radii_mm: tuple[float, float, float], shift_mm: tuple[float, float, float] = (0.2, -0.3, 0.4)
) -> Callable[[np.ndarray], np.ndarray]:
    def inside(points: np.ndarray) -> np.ndarray:
        return (((points - shift_mm) / np.asarray(radii_mm)) ** 2).sum(axis=-1) <= 1

    return inside


def tube(
    radius_mm: float, half_length_mm: float, along: tuple[float, float, float]
) -> Callable[[np.ndarray], np.ndarray]:
    axis = np.asarray(along) / np.linalg.norm(along)

    def inside(points: np.ndarray) -> np.ndarray:
        t = points @ axis
        away = np.linalg.norm(points - t[..., None] * axis, axis=-1)
        return (away <= radius_mm) & (np.abs(t) <= half_length_mm)

    return inside
