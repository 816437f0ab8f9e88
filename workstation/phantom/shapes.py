"""Solid shapes as signed distances, in DICOM patient LPS millimetres.

A distance is negative inside. It is exact for round cones and first order (value over
gradient) for the rest, which keeps the zero surface, hence every volume, exact.
Smooth unions use the quadratic polynomial blend, which adds at most a quarter of the
blend length at the seam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.volume import ImageGeometry, Vector

Values = npt.NDArray[Any]
Points = npt.NDArray[np.float64]
Distance = Callable[[Values, Values, Values], Values]

EVERYWHERE = 1e4


@dataclass(frozen=True)
class Shape:
    """A solid: signed distance in mm from LPS x, y, z, and a box (LPS mm) that holds it."""

    distance_mm: Distance
    low_mm: Vector = (-EVERYWHERE,) * 3
    high_mm: Vector = (EVERYWHERE,) * 3


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid: LPS centre and half axes in mm; the columns of ``axes`` are unit LPS axes."""

    centre_mm: Vector
    radii_mm: Vector
    axes: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    @property
    def volume_ml(self) -> float:
        """The exact volume in mL."""
        return float(4 / 3 * np.pi * np.prod(self.radii_mm) / 1000)

    def reach_mm(self, direction: npt.ArrayLike) -> float:
        """Return how far, in mm, the surface reaches from the centre along a unit direction.

        This is the support function |R (A^T n)| of the ellipsoid with axes A and radii R.
        """
        along = np.asarray(self.axes).T @ np.asarray(direction, float)
        return float(np.linalg.norm(along * self.radii_mm))

    def shape(self) -> Shape:
        """Return the solid."""
        radii, axes = self.radii_mm, np.asarray(self.axes)

        def distance(x: Values, y: Values, z: Values) -> Values:
            offset = [v - np.float32(c) for v, c in zip((x, y, z), self.centre_mm)]
            local = [sum(np.float32(a) * v for a, v in zip(axis, offset) if a) for axis in axes.T]
            value = np.sqrt(sum((v / np.float32(r)) ** 2 for v, r in zip(local, radii)))
            slope = np.sqrt(sum((v / np.float32(r * r)) ** 2 for v, r in zip(local, radii)))
            return np.asarray(value * (value - 1) / np.maximum(slope, np.float32(1e-6)))

        reach = [self.reach_mm(axis) for axis in np.eye(3)]
        return Shape(distance, *_box(self.centre_mm, self.centre_mm, reach))


def _box(a: npt.ArrayLike, b: npt.ArrayLike, margin: npt.ArrayLike) -> tuple[Vector, Vector]:
    low = np.minimum(a, b) - np.asarray(margin)
    high = np.maximum(a, b) + np.asarray(margin)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def ellipsoid(centre_mm: Vector, radii_mm: Vector) -> Shape:
    """Return an ellipsoid along the patient axes: LPS centre and half axes in mm."""
    return Ellipsoid(centre_mm, radii_mm).shape()


def column(
    centre_mm: tuple[float, float], radii_mm: tuple[float, float], *, square: bool = False
) -> Shape:
    """Return an endless cylinder along z: LPS centre (x, y) and half axes in mm.

    Its section is an ellipse or, if ``square``, the superellipse |x/a|^2.5 + |y/b|^2.5 = 1.
    """
    (cx, cy), (a, b) = centre_mm, radii_mm
    power = 2.5 if square else 2.0

    def distance(x: Values, y: Values, z: Values) -> Values:
        u, v = np.abs(x - np.float32(cx)) / a, np.abs(y - np.float32(cy)) / b
        # u to the power less one; square roots are far quicker than general powers.
        du, dv = (u * np.sqrt(u), v * np.sqrt(v)) if square else (u, v)
        total = np.maximum(u * du + v * dv, np.float32(1e-6))
        root = total ** (1 / power)
        slope = np.sqrt((du / a) ** 2 + (dv / b) ** 2) * root / total
        return np.asarray((root - 1) / np.maximum(slope, np.float32(1e-4)))

    low = (cx - a, cy - b, -EVERYWHERE)
    return Shape(distance, low, (cx + a, cy + b, EVERYWHERE))


def half_space(point_mm: Vector, outward: Vector) -> Shape:
    """Return the half space behind the plane through an LPS point with an outward normal."""
    normal = np.asarray(outward, float) / np.linalg.norm(outward)
    level = float(normal @ np.asarray(point_mm))
    nx, ny, nz = (np.float32(v) for v in normal)
    return Shape(lambda x, y, z: np.asarray(nx * x + ny * y + nz * z - np.float32(level)))


def round_cone(a_mm: Vector, b_mm: Vector, radius_a_mm: float, radius_b_mm: float) -> Shape:
    """Return a tube with round ends from LPS point a to b whose radius changes linearly."""
    axis = np.subtract(b_mm, a_mm)
    scaled = axis / max(float(axis @ axis), 1e-9)

    def distance(x: Values, y: Values, z: Values) -> Values:
        dx, dy, dz = (v - np.float32(c) for v, c in zip((x, y, z), a_mm))
        along = np.float32(scaled[0]) * dx + np.float32(scaled[1]) * dy + np.float32(scaled[2]) * dz
        t = np.clip(along, 0, 1)
        squared = sum((d - np.float32(u) * t) ** 2 for d, u in zip((dx, dy, dz), axis))
        return np.asarray(np.sqrt(squared) - (radius_a_mm + (radius_b_mm - radius_a_mm) * t))

    return Shape(distance, *_box(a_mm, b_mm, max(radius_a_mm, radius_b_mm)))


def _smooth_max(a: Values, b: Values, blend_mm: float) -> Values:
    result = np.maximum(a, b)
    if blend_mm > 0:
        overlap = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
        result = result + overlap * overlap / np.float32(4 * blend_mm)
    return np.asarray(result)


def intersection(*shapes: Shape, blend_mm: float = 0.0) -> Shape:
    """Return what all shapes share; edges are rounded over ``blend_mm``."""

    def distance(x: Values, y: Values, z: Values) -> Values:
        return reduce(
            lambda a, b: _smooth_max(a, b, blend_mm), (s.distance_mm(x, y, z) for s in shapes)
        )

    low, high = (np.asarray([getattr(s, n) for s in shapes]) for n in ("low_mm", "high_mm"))
    return Shape(distance, *_box(low.max(axis=0), high.min(axis=0), 0))


def union(*shapes: Shape, blend_mm: float = 0.0) -> Shape:
    """Return what any of the shapes holds; creases are filled over ``blend_mm``."""

    def distance(x: Values, y: Values, z: Values) -> Values:
        return -reduce(
            lambda a, b: _smooth_max(a, b, blend_mm), (-s.distance_mm(x, y, z) for s in shapes)
        )

    low, high = (np.asarray([getattr(s, n) for s in shapes]) for n in ("low_mm", "high_mm"))
    return Shape(distance, *_box(low.min(axis=0), high.max(axis=0), blend_mm / 4))


def outside(shape: Shape) -> Shape:
    """Return everything that ``shape`` does not hold."""
    return Shape(lambda x, y, z: -shape.distance_mm(x, y, z))


def grown(shape: Shape, margin_mm: float) -> Shape:
    """Return ``shape`` grown outward by a margin in mm (inward if negative)."""
    return Shape(
        lambda x, y, z: shape.distance_mm(x, y, z) - np.float32(margin_mm),
        *_box(shape.low_mm, shape.high_mm, margin_mm),
    )


def chain(points_mm: Sequence[Vector], radii_mm: Sequence[float], blend_mm: float = 0.0) -> Shape:
    """Return round cones joined end to end: LPS points and radii in mm."""
    cones = (
        round_cone(*ends, *radii) for ends, radii in zip(pairwise(points_mm), pairwise(radii_mm))
    )
    return union(*cones, blend_mm=blend_mm)


@dataclass(frozen=True, eq=False)
class Path:
    """A thin tube: LPS centreline points (n, 3) and radii (n,), in mm."""

    points_mm: Points
    radius_mm: npt.NDArray[np.float64]

    def cones(self, shrink_mm: float = 0.0) -> list[Shape]:
        """Return the round cones between successive points, thinner by ``shrink_mm``."""
        ends = [tuple(float(v) for v in p) for p in self.points_mm]
        radii = [float(r) - shrink_mm for r in self.radius_mm]
        return [
            round_cone((*a,), (*b,), ra, rb)  # type: ignore[arg-type]
            for a, b, ra, rb in zip(ends, ends[1:], radii, radii[1:])
        ]


Block = tuple[slice, slice, slice]


def block_around(shape: Shape, geometry: ImageGeometry, margin: int = 2) -> Block:
    """Return the array block [k, j, i] of an axial grid that holds ``shape`` and a margin."""
    low = np.floor(geometry.to_index(shape.low_mm)).astype(int) - margin
    high = np.ceil(geometry.to_index(shape.high_mm)).astype(int) + margin + 1
    low, high = np.clip(low, 0, geometry.size), np.clip(high, 0, geometry.size)
    i, j, k = (slice(int(a), int(max(a, b))) for a, b in zip(low, high))
    return k, j, i


def coordinates_mm(geometry: ImageGeometry, block: Block) -> tuple[Values, Values, Values]:
    """Return LPS x, y, z of the voxel centres of a block, shaped to broadcast to [k, j, i]."""
    x, y, z = (
        np.float32(origin) + np.arange(s.start, s.stop, dtype=np.float32) * np.float32(step)
        for origin, step, s in zip(geometry.origin_mm, geometry.spacing_mm, block[::-1])
    )
    return x[None, None, :], y[None, :, None], z[:, None, None]
