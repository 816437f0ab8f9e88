"""Single solids of known volume on any voxel grid, for tests of what measures them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segmentation.volume import ImageGeometry, Label, LabelMap, Vector, Volume
from workstation.phantom.rendering import coverage
from workstation.phantom.shapes import Shape, ellipsoid, round_cone


@dataclass(frozen=True, eq=False)
class KnownSolid:
    """One solid: an image with partial volume (HU), the voxel-centre truth, the exact volume."""

    volume: Volume
    truth: LabelMap
    exact_ml: float


def sphere(
    geometry: ImageGeometry,
    centre_mm: Vector,
    radius_mm: float,
    *,
    inside_hu: float = 100.0,
    outside_hu: float = 0.0,
) -> KnownSolid:
    """Return a sphere about an LPS centre, on a grid of any orientation that holds it."""
    centre = _along_axes(geometry, centre_mm)
    shape = ellipsoid(centre, (radius_mm, radius_mm, radius_mm))
    exact_ml = 4 / 3 * np.pi * radius_mm**3 / 1000
    return _drawn(geometry, shape, float(exact_ml), inside_hu, outside_hu)


def tube(
    geometry: ImageGeometry,
    start_mm: Vector,
    end_mm: Vector,
    radius_mm: float,
    *,
    inside_hu: float = 100.0,
    outside_hu: float = 0.0,
) -> KnownSolid:
    """Return a straight tube with half-sphere ends about two LPS points.

    The grid may have any orientation and must hold the tube.
    """
    shape = round_cone(
        _along_axes(geometry, start_mm), _along_axes(geometry, end_mm), radius_mm, radius_mm
    )
    length = float(np.linalg.norm(np.subtract(end_mm, start_mm)))
    exact_ml = np.pi * radius_mm**2 * (length + 4 / 3 * radius_mm) / 1000
    return _drawn(geometry, shape, float(exact_ml), inside_hu, outside_hu)


def _along_axes(geometry: ImageGeometry, point_mm: Vector) -> Vector:
    x, y, z = geometry.axes.T @ np.asarray(point_mm, float)
    return float(x), float(y), float(z)


def _drawn(
    geometry: ImageGeometry, shape: Shape, exact_ml: float, inside_hu: float, outside_hu: float
) -> KnownSolid:
    straight = replace(
        geometry,
        origin_mm=_along_axes(geometry, geometry.origin_mm),
        direction=tuple(np.eye(3).ravel()),
    )
    image = np.full(geometry.shape, outside_hu, np.float32)
    truth = np.zeros(geometry.shape, np.uint8)
    block, part, mask = coverage(shape, straight)
    image[block] += part * np.float32(inside_hu - outside_hu)
    truth[block] = mask
    return KnownSolid(
        Volume(image, geometry), LabelMap(truth, geometry, {1: Label("solid")}), exact_ml
    )
