"""Lumens of exactly known shape: round pipes of any course and width, capped and named.

Points are LPS mm. The rings are regular polygons of the circle's area, so that flow and pressure
are those of the round pipe up to the second order of the polygon's angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import trimesh.creation
from scipy.spatial import KDTree

from meshing.booleans import combine_surfaces
from meshing.mesh import SurfaceMesh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FRAME_UID = "2.25.1"
"""The frame of reference of what was made by code."""


def pipe(
    centres_mm: Floats, tangents: Floats, radii_mm: Floats, sections: int = 64, name: str = "pipe"
) -> SurfaceMesh:
    """Return the closed lumen through rings, with the parts wall, inlet and outlet_1.

    ``centres_mm`` and ``tangents`` are (n, 3), from inlet to outlet. Rings are turned as little as
    possible from one to the next.
    """
    first = _any_across(tangents[0])
    turns = 2.0 * np.pi * (np.arange(sections) + 0.5) / sections
    # A polygon of the circle's area reaches a little beyond the circle.
    reach = np.sqrt(2.0 * np.pi / sections / np.sin(2.0 * np.pi / sections))
    rings = []
    for centre, tangent, radius in zip(centres_mm, tangents, radii_mm):
        first = first - (first @ tangent) * tangent
        first /= np.linalg.norm(first)
        second = np.cross(tangent, first)
        spokes = np.outer(np.cos(turns), first) + np.outer(np.sin(turns), second)
        rings.append(centre + reach * radius * spokes)
    points = np.concatenate([*rings, centres_mm[:1], centres_mm[-1:]])
    wall = _between(len(rings), sections)
    here = np.arange(sections)
    after = np.roll(here, -1)
    last = (len(rings) - 1) * sections
    inlet = np.stack([np.full(sections, len(points) - 2), after, here], axis=1)
    outlet = np.stack([np.full(sections, len(points) - 1), last + here, last + after], axis=1)
    count = len(wall)
    parts = {
        "wall": np.arange(count),
        "inlet": count + here,
        "outlet_1": count + sections + here,
    }
    triangles = np.concatenate([wall, inlet, outlet])
    return SurfaceMesh(points, triangles, FRAME_UID, name, boundaries=parts)


def revolved(
    outline_mm: Sequence[tuple[float, float]],
    edge_mm: float,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    sections: int = 64,
    name: str = "pipe",
) -> SurfaceMesh:
    """Return a straight pipe with an outline of pairs (place along the axis, radius), mm.

    ``edge_mm`` is how far apart its rings are at the most. The inlet is the first of the pairs.
    """
    corners = np.array(outline_mm, float)
    places = [corners[:1]]
    for before, after in pairwise(corners):
        count = int(np.ceil(np.linalg.norm(after - before) / edge_mm))
        shares = np.linspace(0.0, 1.0, count + 1)[1:, None]
        places.append(before + shares * (after - before))
    along, radii = np.concatenate(places).T
    direction = np.array(axis, float) / np.linalg.norm(axis)
    tangents = np.tile(direction, (len(along), 1))
    return pipe(np.outer(along, direction), tangents, radii, sections, name)


def tube(
    radius_mm: float,
    length_mm: float,
    edge_mm: float,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    sections: int = 64,
) -> SurfaceMesh:
    """Return a straight round tube whose middle is the origin."""
    ends = [(-length_mm / 2, radius_mm), (length_mm / 2, radius_mm)]
    return revolved(ends, edge_mm, axis, sections, "tube")


def bend(
    radius_mm: float, curvature_mm: float, angle: float, straight_mm: float, edge_mm: float
) -> SurfaceMesh:
    """Return a round tube bent in the x-z plane by ``angle`` (radians), with straight ends.

    The bend begins at the origin, along z, and its centre of curvature lies at x =
    ``curvature_mm``.
    """
    count = int(np.ceil(straight_mm / edge_mm))
    lead = np.linspace(-straight_mm, 0.0, count + 1)[:-1]
    turns = np.linspace(0.0, angle, int(np.ceil(angle * curvature_mm / edge_mm)) + 1)
    zero = np.zeros_like
    bow = curvature_mm * np.stack([1 - np.cos(turns), zero(turns), np.sin(turns)], axis=1)
    bow_tangents = np.stack([np.sin(turns), zero(turns), np.cos(turns)], axis=1)
    before = np.stack([zero(lead), zero(lead), lead], axis=1)
    ahead = np.linspace(0.0, straight_mm, count + 1)[1:, None]
    after = bow[-1] + ahead * bow_tangents[-1]
    tangents = np.concatenate([
        np.tile(bow_tangents[0], (len(before), 1)),
        bow_tangents,
        np.tile(bow_tangents[-1], (len(after), 1)),
    ])  # fmt: skip
    centres = np.concatenate([before, bow, after])
    return pipe(centres, tangents, np.full(len(centres), radius_mm), name="bend")


def _any_across(tangent: Floats) -> Floats:
    across: Floats = np.cross(tangent, np.eye(3)[np.argmin(np.abs(tangent))])
    return across


def _between(rings: int, sections: int) -> Ints:
    """Return the triangles between rings of points, outward where the rings run ahead."""
    here = np.arange(sections)
    after = np.roll(here, -1)
    start = sections * np.arange(rings - 1)[:, None]
    a, b = start + here, start + after
    c, d = a + sections, b + sections
    pairs = np.stack([np.stack([a, b, d], axis=2), np.stack([a, d, c], axis=2)], axis=2)
    return np.asarray(pairs.reshape(-1, 3), np.int64)


def with_sphere(
    radius_mm: float,
    length_mm: float,
    sphere_mm: float,
    aside_mm: float,
    edge_mm: float,
    sections: int = 64,
) -> SurfaceMesh:
    """Return a tube along z with a sphere of radius ``sphere_mm`` on its side.

    The tube's middle is the origin and the sphere's centre lies at y = ``aside_mm``.
    """
    straight = tube(radius_mm, length_mm, edge_mm, sections=sections)
    finer = int(np.ceil(np.log2(1.2 * sphere_mm / edge_mm)))
    ball = trimesh.creation.icosphere(subdivisions=max(finer, 2), radius=sphere_mm)
    centre = np.array([0.0, aside_mm, 0.0])
    sphere = SurfaceMesh(ball.vertices + centre, ball.faces, FRAME_UID, "sphere")
    joined = combine_surfaces(straight, sphere)
    heights = joined.points_mm[joined.triangles][..., 2]
    parts = {
        "inlet": np.flatnonzero(heights.max(axis=1) < -length_mm / 2 + 1e-6),
        "outlet_1": np.flatnonzero(heights.min(axis=1) > length_mm / 2 - 1e-6),
    }
    wall = np.setdiff1d(np.arange(len(heights)), np.concatenate([*parts.values()]))
    return replace(joined, boundaries={"wall": wall, **parts}, numbers=(), findings=())


def with_rounded_sphere(
    radius_mm: float,
    length_mm: float,
    sphere_mm: float,
    aside_mm: float,
    rounding_mm: float,
    edge_mm: float,
) -> SurfaceMesh:
    """Return a tube with a sphere on its side whose neck a ball of ``rounding_mm`` rolls around.

    The ball rolls inside the tissue, its middle along the line that lies as far outside the tube
    as outside the sphere; what it cannot reach of the tissue becomes lumen.
    """
    lumen = with_sphere(radius_mm, length_mm, sphere_mm, aside_mm, edge_mm, 128)
    reach, ball = radius_mm + rounding_mm, sphere_mm + rounding_mm
    aside = np.array([0.0, aside_mm, 0.0])
    # On the tube's offset, at the height y, this is the square of z on the sphere's offset.
    lowest = (reach**2 - ball**2 + aside_mm**2) / (2.0 * aside_mm)
    y = lowest + (reach - lowest) * np.sin(np.linspace(0.0, np.pi / 2, 4000)) ** 2
    x, z = np.sqrt(reach**2 - y**2), np.sqrt(2.0 * aside_mm * (y - lowest))
    course = np.concatenate([np.stack([i * x, y, k * z], 1) for i in (1, -1) for k in (1, -1)])
    away, nearest = KDTree(course).query(lumen.points_mm)
    middle = course[nearest]
    spokes = (lumen.points_mm - middle) / away[:, None]
    to_tube = -middle * [1.0, 1.0, 0.0] / reach
    to_sphere = (aside - middle) / ball
    both = np.einsum("nx,nx->n", to_tube, to_sphere)
    one, other = (np.einsum("nx,nx->n", spokes, arm) for arm in (to_tube, to_sphere))
    between = (one > both * other) & (other > both * one)
    moved = np.where(between[:, None], middle + rounding_mm * spokes, lumen.points_mm)
    return replace(lumen, points_mm=moved, name="rounded")
