"""Where the walls of a sac and of its vessel meet beneath a crease that blur has filled.

Voxels, the scanner's blur and smoothing fill a crease: its bottom lies outside of where sac and
vessel meet, and any curve on it is too wide. So both walls are carried on beneath the fill, each
from where it is free of it, until they cross; and the curve moves there, but by no more than a
blur of the known width fills a crease of that angle. A neck that is round itself stays so.

In an image, blur also draws the edge of a round wall inward, by its variance times the wall's mean
curvature (to first order in the variance, as the heat equation moves a level); both walls are put
back by this. Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import ndtr

from meshing.curves import resampled

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Gap = Callable[[Floats], Floats]
"""Distance to a wall in mm at points (n, 3), about, positive outside."""

BLUR = 0.65  # of a voxel's edge: its own width 0.29, scanner or smoothing 0.6, as squares add
FILLED = 2.0  # times the blur around the neck, the wall is not free of the fill
BEYOND = 3.0  # times the blur farther away, it says how the wall runs on
PLACES = 150  # along the curve
LEAST = 12  # points of a wall around a place
STEADY = 0.1  # weight of a wall that runs on as its model does; less follows steps of voxels
STEPS = 6  # to where both walls cross
DIFFERENCE_MM = 1e-4
PARALLEL = 0.2  # of the larger singular value: walls that hardly cross are not followed sideways
ANGLES = np.radians(np.arange(0, 171, 10))  # between the outward normals of both walls


def unfilled(
    points: Floats,
    sac: Bools,
    curve: Floats,
    vessel: tuple[Floats, Floats],
    blur_mm: float,
    drawn_in: bool = False,
) -> Floats:
    """Return a closed curve on a wall moved to where it would run had no blur filled the crease.

    ``points`` are those of the wall, ``sac`` tells which belong to the sac, ``vessel`` holds
    points along the middle of the vessel and its radius there, ``blur_mm`` is the standard
    deviation of the blur. Walls ``drawn_in`` lie on the edge in a blurred image. The curve comes
    back as it is where the walls are too short to tell.
    """
    even = _even(curve)
    away = cKDTree(even).query(points)[0]
    free = away > FILLED * blur_mm
    near = away < (FILLED + 2 * BEYOND) * blur_mm
    walls = points[sac & free], points[~sac & free & near]
    if min(map(len, walls)) < LEAST:
        return curve
    centre, radius = _ball(walls[0])
    sac_gap = _ellipsoid_gap(walls[0]) or _ball_gap(centre, radius)
    gaps: tuple[Gap, Gap] = (sac_gap, _tube_gap(*vessel))
    bends = np.array([1 / max(radius, blur_mm), 0.5 / float(np.median(vessel[1]))])
    inward = drawn_in * blur_mm**2 * bends
    fits = [_residual(g, w, even, BEYOND * blur_mm) for g, w in zip(gaps, walls)]

    def beyond(at: Floats) -> Floats:
        arms = at - even
        parts = [g(at) - f[:, 0] - (arms * f[:, 1:]).sum(axis=1) for g, f in zip(gaps, fits)]
        return np.stack(parts, axis=1) - inward

    met = even.copy()
    for _ in range(STEPS):
        step = np.einsum(
            "nij,nj->ni", np.linalg.pinv(_slopes(beyond, met), rcond=PARALLEL), beyond(met)
        )
        met = met - np.clip(step, -FILLED * blur_mm, FILLED * blur_mm)
    normals = _slopes(beyond, met)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)
    cosine = np.clip((normals[:, 0] * normals[:, 1]).sum(axis=1), -1, 1)
    depth = blur_mm * np.interp(np.arccos(cosine), ANGLES, _FILLS)
    bottom = points[cKDTree(points).query(met)[1]]
    arms = bottom - met
    length_mm = np.linalg.norm(arms, axis=1)
    rest = np.clip(1 - depth / np.maximum(length_mm, 1e-9), 0, 1)
    return np.asarray(met + rest[:, None] * arms)


def followed(points: Floats, curve: Floats, moved: Floats, blur_mm: float) -> Floats:
    """Return points (n, 3) of a wall after the curve on it moved as `unfilled` says.

    Next to the curve they move as it does, and less and less up to where the wall is free of the
    fill. They stay where the curve did.
    """
    even = _even(curve)
    if blur_mm <= 0 or len(moved) != len(even):
        return points
    gap, place = cKDTree(even).query(points)
    share = np.clip(1 - gap / (FILLED * blur_mm), 0, 1) ** 2
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
    tree = cKDTree(wall)
    found = np.zeros((len(at), 4))
    for n, place in enumerate(at):
        near = tree.query_ball_point(place, reach)
        if len(near) < LEAST:
            near = tree.query(place, LEAST)[1]
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
