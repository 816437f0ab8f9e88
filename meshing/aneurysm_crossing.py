"""Where the walls of a sac and of its vessel meet beneath a crease that is filled.

Voxels, the scanner's blur and smoothing fill a crease: its bottom lies outside of where sac and
vessel meet, and any curve on it is too wide. So do triangles, which bridge it. So both walls are
carried on beneath the fill, each from where it is free of it, until they cross; and the curve moves
there, but by no more than a blur of the known width fills a crease of that angle. A neck that is
round itself stays so.

A triangle of edge e that lies across a crease of planes at an angle a leaves its bottom out by
e/2 tan(a/2) at the most, where it lies across evenly, and by two thirds of that on average. Up to
right angles that is what blurs of 0.65 e and 0.43 e fill; `BRIDGED` lies between, since triangles
also come from voxels that nobody knows any more. Their corners lie on the walls, so the walls are
free of the fill half an edge away.

In an image, blur also draws the edge of a round wall inward, by its variance times the wall's mean
curvature (to first order in the variance, as the heat equation moves a level); both walls are put
back by this. Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import ndtr

from meshing.curves import resampled
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from segmentation.volume import LabelMap, Volume

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Gap = Callable[[Floats], Floats]
"""Distance to a wall in mm at points (n, 3), about, positive outside."""

BLUR = 0.65  # of a voxel's edge: its own width 0.29, scanner or smoothing 0.6, as squares add
FILLED = 2.0  # times the blur around the neck, the wall is not free of the fill
BEYOND = 3.0  # times the blur farther away, it says how the wall runs on
BRIDGED = 0.5  # of an edge: the blur that fills a crease as triangles do; walls are free as near
ALONG = 1.5  # edges farther away, the wall says how it runs on
AROUND = 2.0  # edges around the neck, triangles are measured
PLACES = 150  # along the curve
LEAST = 12  # points of a wall around a place,
FEW = 8  # of the whole wall at the least,
ENOUGH = 20  # for an ellipsoid to be told from a ball
STEADY = 0.1  # weight of a wall that runs on as its model does; less follows steps of voxels
STEPS = 6  # to where both walls cross
DIFFERENCE_MM = 1e-4
PARALLEL = 0.2  # of the larger singular value: walls that hardly cross are not followed sideways
ANGLES = np.radians(np.arange(0, 171, 10))  # between the outward normals of both walls


@dataclass(frozen=True)
class Fill:
    """What fills the crease at a neck, and how far.

    Attributes:
        blur_mm: the standard deviation of a blur that fills it as deep.
        free_mm: the wall is free of the fill so far from the neck.
        reach_mm: as far again, the wall says how it runs on.
        voxels: whether voxels fill it, not triangles.
        drawn_in: whether this blur also draws in walls that are round.
    """

    blur_mm: float
    free_mm: float
    reach_mm: float
    voxels: bool = True
    drawn_in: bool = False

    @property
    def doubt_mm(self) -> float:
        """How far widths may be off, as known shapes were: the blur, or one edge of a triangle."""
        return self.blur_mm if self.voxels else self.blur_mm / BRIDGED

    @property
    def words(self) -> str:
        """What fills the crease, to stand after "less what"."""
        if self.voxels:
            return f"a blur of {self.blur_mm:.2g} mm fills"
        return f"triangles of {self.doubt_mm:.2g} mm bridge"


def fill_at(points: Floats, cells: Ints, curve: Floats, image: Volume | LabelMap | None) -> Fill:
    """Return what fills the crease beneath a closed curve on a wall: voxels, or its triangles.

    The edge in an image is drawn in where it is round; the surface of a label is not.
    """
    bridged = of_triangles(_edge_mm(points, cells, curve))
    if image is None:
        return bridged
    edge_mm = float(np.cbrt(np.prod(image.geometry.spacing_mm)))
    seen = of_voxels(BLUR * edge_mm, isinstance(image, Volume))
    return max(seen, bridged, key=lambda fill: fill.blur_mm)


def of_voxels(blur_mm: float, drawn_in: bool = False) -> Fill:
    """Return how far an image of this blur (standard deviation, mm) fills a crease."""
    return Fill(blur_mm, FILLED * blur_mm, BEYOND * blur_mm, True, drawn_in)


def of_triangles(edge_mm: float) -> Fill:
    """Return how far triangles of this edge (mm) fill a crease."""
    return Fill(BRIDGED * edge_mm, BRIDGED * edge_mm, ALONG * edge_mm, False)


def _edge_mm(points: Floats, cells: Ints, curve: Floats) -> float:
    """Return the edge of the triangles next to a curve: two make a square of it on average."""
    corners = points[cells]
    sides = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
    away = cKDTree(_even(curve)).query(corners.mean(axis=1))[0]
    near = away <= max(AROUND * float(np.sqrt(2 * np.median(area))), float(away.min()))
    return float(np.sqrt(2 * area[near].mean()))


def unfilled(
    wall: tuple[Floats, Ints], sac: Bools, curve: Floats, vessel: tuple[Floats, Floats], fill: Fill
) -> Floats:
    """Return a closed curve on a wall moved to where it would run had nothing filled the crease.

    ``wall`` holds points and triangles, ``sac`` tells which points belong to the sac, ``vessel``
    holds points along the middle of the vessel and its radius there. The curve comes back as it
    is where the walls are too short to tell.
    """
    even = _even(curve)
    sides = _free_sides(wall[0], sac, even, fill)
    if min(map(len, sides)) < FEW:
        return curve
    centre, radius = _ball(sides[0])
    sac_gap = _ellipsoid_gap(sides[0]) or _ball_gap(centre, radius)
    gaps: tuple[Gap, Gap] = (sac_gap, _tube_gap(*vessel))
    bends = np.array([1 / max(radius, fill.blur_mm), 0.5 / float(np.median(vessel[1]))])
    inward = fill.drawn_in * fill.blur_mm**2 * bends
    fits = [_residual(g, w, even, fill.reach_mm) for g, w in zip(gaps, sides)]

    def beyond(at: Floats) -> Floats:
        arms = at - even
        parts = [g(at) - f[:, 0] - (arms * f[:, 1:]).sum(axis=1) for g, f in zip(gaps, fits)]
        return np.stack(parts, axis=1) - inward

    met, cosine = _crossing(beyond, even, FILLED * fill.blur_mm)
    depth = fill.blur_mm * np.interp(np.arccos(cosine), ANGLES, _FILLS)
    arms = NearestOnSurface(SurfaceMesh(*wall, ""))(met).point_mm - met
    length_mm = np.linalg.norm(arms, axis=1)
    rest = np.clip(1 - depth / np.maximum(length_mm, 1e-9), 0, 1)
    return np.asarray(met + rest[:, None] * arms)


def _free_sides(points: Floats, sac: Bools, even: Floats, fill: Fill) -> tuple[Floats, Floats]:
    """Return the points of the sac's wall, and of the vessel's nearby, that are free of fill."""
    away = cKDTree(even).query(points)[0]
    free = away > fill.free_mm
    other = np.flatnonzero(~sac & free)
    other = other[np.argsort(away[other], kind="stable")]
    near = int((away[other] < fill.free_mm + 2 * fill.reach_mm).sum())
    return points[sac & free], points[np.sort(other[: max(near, 4 * LEAST)])]


def _crossing(
    beyond: Callable[[Floats], Floats], start: Floats, longest_mm: float
) -> tuple[Floats, Floats]:
    """Return where both walls cross next to each place, and the cosine of their angle there."""
    met = start.copy()
    for _ in range(STEPS):
        step = np.einsum(
            "nij,nj->ni", np.linalg.pinv(_slopes(beyond, met), rcond=PARALLEL), beyond(met)
        )
        met = met - np.clip(step, -longest_mm, longest_mm)
    normals = _slopes(beyond, met)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)
    return met, np.clip((normals[:, 0] * normals[:, 1]).sum(axis=1), -1, 1)


def followed(points: Floats, curve: Floats, moved: Floats, free_mm: float) -> Floats:
    """Return points (n, 3) of a wall after the curve on it moved as `unfilled` says.

    Next to the curve they move as it does, and less and less up to where the wall is free of the
    fill. They stay where the curve did.
    """
    even = _even(curve)
    if free_mm <= 0 or len(moved) != len(even):
        return points
    gap, place = cKDTree(even).query(points)
    share = np.clip(1 - gap / free_mm, 0, 1) ** 2
    return np.asarray(points + share[:, None] * (moved - even)[place])


def _even(curve: Floats) -> Floats:
    """Return places at equal distances along a closed curve."""
    ring = np.concatenate([curve, curve[:1]])
    length = float(np.linalg.norm(np.diff(ring, axis=0), axis=1).sum())
    return resampled(ring, length / PLACES)[:-1]


def _slopes(beyond: Callable[[Floats], Floats], at: Floats) -> Floats:
    """Return the gradients (n, 2, 3) of both gaps."""
    here = beyond(at)
    steps = DIFFERENCE_MM * np.eye(3)
    return np.stack([(beyond(at + step) - here) / DIFFERENCE_MM for step in steps], axis=2)


def _tube_gap(middle: Floats, radius: Floats) -> Gap:
    def gap(at: Floats) -> Floats:
        arms = np.linalg.norm(at[:, None] - middle, axis=2) - radius
        return np.asarray(arms.min(axis=1))

    return gap


def _ball(wall: Floats) -> tuple[Floats, float]:
    """Return the sphere that fits points best: least squares of its equation."""
    rows = np.column_stack([2 * wall, np.ones(len(wall))])
    found = np.linalg.lstsq(rows, (wall**2).sum(axis=1), rcond=None)[0]
    centre = found[:3]
    radius = float(np.sqrt(max(found[3] + centre @ centre, 0.0)))
    return centre, radius


def _ball_gap(centre: Floats, radius: float) -> Gap:
    return lambda at: np.asarray(np.linalg.norm(at - centre, axis=1) - radius)


def _ellipsoid_gap(wall: Floats) -> Gap | None:
    """Return the gap to the ellipsoid that fits points best, or None if their quadric is none.

    A stretched sac narrows towards its neck as no ball does. Least squares of the quadric's
    equation; its value by the size of its gradient is the distance to it, to first order.
    """
    if len(wall) < ENOUGH:
        return None
    middle = wall.mean(axis=0)
    size = float(np.linalg.norm(wall - middle, axis=1).mean())
    x, y, z = ((wall - middle) / size).T
    rows = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z, 2 * x, 2 * y, 2 * z], 1)
    xx, yy, zz, xy, xz, yz, *slope = np.linalg.lstsq(rows, np.ones(len(wall)), rcond=None)[0]
    form = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if np.linalg.eigvalsh(form).min() <= 0:
        return None

    def gap(at: Floats) -> Floats:
        place = (at - middle) / size
        half = place @ form + slope
        value = (place * (half + slope)).sum(axis=1) - 1
        return np.asarray(size * value / np.maximum(2 * np.linalg.norm(half, axis=1), 1e-9))

    return gap


def _residual(gap: Gap, wall: Floats, at: Floats, reach_mm: float) -> Floats:
    """Return the gap of the wall around each place (n, 4): its value there, and its slope."""
    gaps = gap(wall)
    reach = reach_mm * (1 + FILLED / BEYOND)
    least = min(LEAST, len(wall))
    tree = cKDTree(wall)
    found = np.zeros((len(at), 4))
    for n, place in enumerate(at):
        near = tree.query_ball_point(place, reach)
        if len(near) < least:
            near = tree.query(place, least)[1]
        arms = (wall[near] - place) / reach_mm
        weight = np.exp(-2 * (arms**2).sum(axis=1))[:, None] + 1e-12
        rows = np.column_stack([np.ones(len(arms)), arms])
        square = (rows * weight).T @ rows + STEADY * weight.sum() * np.diag([0.0, 1, 1, 1])
        value = np.linalg.solve(square, (rows * weight).T @ gaps[near])
        found[n] = value[0], *(value[1:] / reach_mm)
    return found


def _fills() -> Floats:
    """Return by how many standard deviations a blur fills creases between planes of `ANGLES`.

    Half of what the blur sees there lies outside: a Gaussian's share in the wedge between both
    planes is a half.
    """
    x = np.linspace(-8, 8, 3201)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    depths = []
    for angle in ANGLES:
        low, high = 0.0, 4.0  # of the point in front of each plane
        spread = max(np.sin(angle), 1e-6)
        for _ in range(30):
            middle = (low + high) / 2
            share = (density * ndtr((middle + np.cos(angle) * x) / spread))[x > -middle].sum()
            low, high = (low, middle) if share > 0.5 else (middle, high)
        depths.append(low / np.cos(angle / 2))
    return np.array(depths)


_FILLS = _fills()
