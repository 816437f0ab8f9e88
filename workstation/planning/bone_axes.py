"""Balls, shafts and lines of support of a bone's surface: what its landmarks are found with.

Points are DICOM patient LPS millimetres, directions are unit vectors in LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from meshing.clipping import cross_section
from meshing.fitting import sphere_fit
from meshing.sections import Section
from meshing.surface import SurfaceMesh, area_mm2
from meshing.symmetry import even_points
from segmentation.volume import Floats

Bools = npt.NDArray[np.bool_]

SAMPLES = 12_000
PAIRS = 40_000
"""Pairs of points whose normals are crossed when a ball is looked for."""

BEST = 400
"""Balls that are compared, those whose normals cross best."""

NEAR_MM, RADIAL = 1.0, 0.9
"""A point is on a ball if so near to it and if its normal points from the centre (cosine)."""

SHAFT_STEP_MM, SHAFT_WIDER, LEAST_SHAFT_MM = 5.0, 1.4, 60.0
"""Of the sections of a shaft: apart, over their lower fifth at the most, together at the least."""

NO_NORMAL = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points spread evenly over a bone, with normals; each stands for ``each_mm2`` of it."""

    points_mm: Floats
    normals: Floats
    each_mm2: float

    @classmethod
    def of(cls, mesh: SurfaceMesh, count: int = SAMPLES) -> Cloud:
        """Return the points of a surface."""
        points, normals = even_points(mesh, count)
        return cls(points, normals, area_mm2(mesh) / count)

    def where(self, chosen: Bools) -> Cloud:
        """Return the chosen points."""
        return Cloud(self.points_mm[chosen], self.normals[chosen], self.each_mm2)


@dataclass(frozen=True, eq=False)
class Ball:
    """A part of a surface that is round: centre, radius, the share of a ball, the misfit."""

    centre_mm: Floats
    radius_mm: float
    share: float
    rms_mm: float


def find_ball(
    cloud: Cloud, least_mm: float, most_mm: float, *, hollow: bool = False
) -> Ball | None:
    """Return the most complete ball in a cloud, or None; a ``hollow`` one is seen from inside.

    The normals of two points of a ball meet in its centre; of many such pairs those that agree
    are tried, and the one that has most of its ball on the surface is fitted by least squares.
    """
    points = cloud.points_mm
    normals = -cloud.normals if hollow else cloud.normals
    if len(points) < 50:
        return None
    one, two = np.random.default_rng(0).integers(0, len(points), (2, PAIRS))
    apart = points[one] - points[two]
    turned = normals[one] - normals[two]
    square = (turned**2).sum(axis=1)
    wide = square > 0.1
    one, two, apart, turned, square = (a[wide] for a in (one, two, apart, turned, square))
    radius = (apart * turned).sum(axis=1) / square
    miss = np.linalg.norm(apart - radius[:, None] * turned, axis=1)
    fine = np.flatnonzero((radius > least_mm) & (radius < most_mm) & (miss < 3.0))
    fine = fine[np.argsort(miss[fine], kind="stable")[:BEST]]
    best, share = None, 0.0
    for n in fine:
        centre = points[one[n]] - radius[n] * normals[one[n]]
        covered = _covered(points, normals, centre, radius[n], 2 * NEAR_MM).sum() / radius[n] ** 2
        if covered > share:
            best, share = (centre, float(radius[n])), float(covered)
    return None if best is None else _fitted(points, normals, cloud.each_mm2, *best)


def _covered(
    points: Floats, normals: Floats, centre: Floats, radius: float, near_mm: float = NEAR_MM
) -> Bools:
    arms = points - centre
    length = np.linalg.norm(arms, axis=1)
    radial = (arms * normals).sum(axis=1) > RADIAL * length
    return np.asarray((np.abs(length - radius) < near_mm) & radial)


def _fitted(points: Floats, normals: Floats, each: float, centre: Floats, radius: float) -> Ball:
    for _ in range(6):
        on = _covered(points, normals, centre, radius, 1.5 * NEAR_MM)
        if on.sum() < 12:
            break
        model = sphere_fit(points[on], np.ones(int(on.sum())), np.append(centre, radius))
        centre, radius = model[:3], float(model[3])
    on = _covered(points, normals, centre, radius, 1.5 * NEAR_MM)
    off = np.linalg.norm(points[on] - centre, axis=1) - radius
    rms = float(np.sqrt((off**2).mean())) if len(off) else 0.0
    return Ball(centre, radius, float(on.sum()) * each / (4 * np.pi * radius**2), rms)


def long_axis(points_mm: Floats) -> Floats:
    """Return the direction in which points reach farthest."""
    arms = points_mm - points_mm.mean(axis=0)
    return np.asarray(np.linalg.eigh(arms.T @ arms)[1][:, -1])


def section_around(
    mesh: SurfaceMesh, point_mm: Floats, normal: Floats
) -> tuple[Floats, float] | None:
    """Return centroid (LPS mm) and area (mm2) of the section of which a point is the nearest."""
    loops = cross_section(mesh, point_mm, normal).loops_mm
    found = [Section(loop, normal, NO_NORMAL, True) for loop in loops if len(loop) > 3]
    if not found:
        return None
    large = max(section.area_mm2 for section in found)
    near = min(
        (section for section in found if section.area_mm2 > 0.2 * large),
        key=lambda section: float(np.linalg.norm(section.centroid_mm - point_mm)),
    )
    return near.centroid_mm, near.area_mm2


def find_shaft(mesh: SurfaceMesh, axis: Floats) -> tuple[Floats, Floats] | None:
    """Return the lower and the upper end (LPS mm, along ``axis``) of a shaft's axis, or None.

    The shaft is where sections are hardly larger than the smallest fifth of them; its axis is
    the line through their centroids, of the middle third of the bone where the bone is whole.
    """
    middle = mesh.points_mm.mean(axis=0)
    height = (mesh.points_mm - middle) @ axis
    low, high = float(height.min()), float(height.max())
    levels = np.arange(low + SHAFT_STEP_MM, high - SHAFT_STEP_MM / 2, SHAFT_STEP_MM)
    cuts = [section_around(mesh, middle + level * axis, axis) for level in levels]
    known = [cut for cut in cuts if cut is not None]
    if len(known) * SHAFT_STEP_MM < LEAST_SHAFT_MM:
        return None
    centres, areas = np.array([c for c, _ in known]), np.array([a for _, a in known])
    thin = areas < SHAFT_WIDER * np.percentile(areas, 20)
    along = (centres - middle) @ axis
    inner = thin & (along > low + 0.33 * (high - low)) & (along < high - 0.33 * (high - low))
    if inner.sum() * SHAFT_STEP_MM < LEAST_SHAFT_MM:
        inner = thin
    if inner.sum() * SHAFT_STEP_MM < LEAST_SHAFT_MM:
        return None
    used = centres[inner]
    centre = used.mean(axis=0)
    way = long_axis(used)
    way = way * np.sign(way @ axis)
    reach = (used - centre) @ way
    if np.ptp(reach) < 2 * np.sqrt(float(areas[inner].mean()) / np.pi):
        return None
    return centre + reach.min() * way, centre + reach.max() * way


def bridge(
    points_mm: Floats, across: Sequence[Floats], towards: Floats, within_degrees: float = 40.0
) -> tuple[int, int] | None:
    """Return the two points on which a ruler comes to lie that is laid on from ``towards``.

    Points are seen along the direction that is across both of ``across``; the ruler is the
    longest edge of their convex hull that faces ``towards`` within an angle.
    """
    axes = np.stack(list(across), axis=1)
    flat = points_mm @ axes
    try:
        hull = ConvexHull(flat)
    except QhullError:
        return None
    way = towards @ axes
    way /= np.linalg.norm(way)
    ends = hull.simplices
    length = np.linalg.norm(flat[ends[:, 0]] - flat[ends[:, 1]], axis=1)
    faces = hull.equations[:, :2] @ way > np.cos(np.radians(within_degrees))
    if not faces.any():
        return None
    edge = ends[int(np.argmax(np.where(faces, length, 0.0)))]
    return int(edge[0]), int(edge[1])


def unit(vector: npt.ArrayLike) -> Floats:
    """Return a vector of length 1."""
    found = np.asarray(vector, float)
    return np.asarray(found / np.linalg.norm(found))


def across_of(vector: Floats, axis: Floats) -> Floats:
    """Return the direction of a vector without its part along a unit axis."""
    return unit(vector - (vector @ axis) * axis)
