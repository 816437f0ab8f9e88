"""Where the wall of an orbit belongs: that of the other orbit, mirrored and laid onto this one.

The other orbit is mirrored at the mid-sagittal plane, so that every ray has its mirror image. Where
walls are whole, their difference tells how far the mirror image is shifted and scaled. Where a wall
lies farther out than that by more than is usual, it gave way; there, the difference along its edge
is continued by a stiff thin-plate spline (Duchon 1977).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from meshing.symmetry import MirrorPlane
from segmentation.volume import Floats, Volume
from workstation.planning.orbit_eyes import find_eyes
from workstation.planning.orbit_walls import (
    Ball,
    Mask,
    Orbit,
    all_around,
    around,
    cavity_ml,
    connected,
    see_orbit,
)

BEHIND_MM = 14.0
"""From the middle of the globe back to the point that an orbit is seen from."""

TRIM, ROUNDS = 0.75, 8
"""Share of the directions, the best matching ones, that decide how the mirror image is laid."""

RING_MM, KNOTS, STIFF = (2.5, 12.0), 300, 10.0
"""From the edge of what gave way: where the difference is taken; at how many points; how stiffly
it is continued.
"""

LEAST_CM2 = 0.5
"""Less than this is no defect that a plate is made for."""


class NoOrbitalDefect(ValueError):
    """No wall of the orbit gave way."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Both orbits, seen along rays that are each other's mirror images."""

    orbits: dict[str, Orbit]
    balls: dict[str, Ball]
    volumes_ml: dict[str, float]


@dataclass(frozen=True, eq=False)
class OrbitalTarget:
    """Where the wall of one orbit belongs.

    Attributes:
        side: of the orbit whose wall gave way.
        wall_mm: in each direction; that of the orbit itself where it is whole.
        gave_way: directions in which it gave way.
        area_cm2: of the wall there.
        excess_ml: volume between where the wall is and where it belongs.
        asymmetry_mm: distances of the laid mirror image from the wall where that is whole.
    """

    side: str
    ball: Ball
    orbit: Orbit
    wall_mm: Floats
    gave_way: Mask
    area_cm2: float
    excess_ml: float
    asymmetry_mm: Floats

    def points_mm(self, distances_mm: Floats) -> Floats:
        """Return the LPS mm points at a distance in each direction."""
        return np.asarray(self.orbit.middle_mm + self.ball.ways * distances_mm[:, None])


def see_pair(volume: Volume, plane: MirrorPlane, inside_mm: Floats | None, bone_hu: float) -> Pair:
    """Return both orbits of a head CT, seen from behind the globes or from a given point.

    Raises:
        NoEyes: if no point is given and the globes are not found.
        NoOrbit: if the points do not lie in orbits.
    """
    normal = np.asarray(plane.normal)
    up = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    up /= np.linalg.norm(up)
    back = np.cross(up, normal)
    if inside_mm is None:
        left, right = find_eyes(volume, plane)
        middle = (left + plane.mirrored(right[None])[0]) / 2 + BEHIND_MM * back
    else:
        is_left = (inside_mm - np.asarray(plane.point_mm)) @ normal > 0
        middle = inside_mm if is_left else plane.mirrored(inside_mm[None])[0]
    middles = {"left": middle, "right": plane.mirrored(middle[None])[0]}
    axes = {"left": np.stack([normal, back, up]), "right": np.stack([-normal, back, up])}
    balls = {side: all_around(axes[side]) for side in axes}
    orbits = {
        side: see_orbit(around(volume, middles[side]), middles[side], -back, balls[side], bone_hu)
        for side in axes
    }
    volumes = {side: cavity_ml(balls[side], o.reach_mm(o.wall_mm)) for side, o in orbits.items()}
    return Pair(orbits, balls, volumes)


def find_orbital_target(pair: Pair, side: str, usual_mm: float) -> OrbitalTarget:
    """Return where the wall of the orbit on a side belongs, by the other orbit.

    A wall that lies ``usual_mm`` farther out than the mirror image gave way.

    Raises:
        NoOrbitalDefect: if none did, over 0.5 cm2 or more.
    """
    orbit, ball = pair.orbits[side], pair.balls[side]
    other = pair.orbits["right" if side == "left" else "left"]
    laid = _laid_on(orbit, other, ball)
    excess = orbit.wall_mm - laid
    gave, area = _gave_way(ball, laid, excess, usual_mm)
    if area < LEAST_CM2:
        raise NoOrbitalDefect(
            f"no wall of the {side} orbit lies {usual_mm:g} mm farther out than that of the other "
            f"one, over {LEAST_CM2:g} cm² or more; look at the side, or lower usual_mm"
        )
    points = ball.ways * laid[:, None]
    far = cKDTree(points[gave]).query(np.where(np.isnan(points), 1e6, points))[0]
    ring = (far > RING_MM[0]) & (far < RING_MM[1]) & (np.abs(excess) < usual_mm)
    if ring.sum() < 50:
        raise NoOrbitalDefect("hardly any wall is whole around what gave way")
    wall = np.where(gave, laid + _continued(points, excess, ring, gave), orbit.wall_mm)
    blend = (far > 0) & (far < RING_MM[0]) & ~np.isnan(laid)
    wall[blend] = np.minimum(wall, laid + _continued(points, excess, ring, blend))[blend]
    before, after = orbit.reach_mm(orbit.wall_mm), orbit.reach_mm(wall)
    whole = ~gave & ~np.isnan(excess)
    return OrbitalTarget(
        side, ball, orbit, np.asarray(wall), gave, area,
        cavity_ml(ball, before) - cavity_ml(ball, after), np.abs(excess[whole]),
    )  # fmt: skip


def larger(pair: Pair) -> str:
    """Return the side of the larger orbit."""
    return max(pair.volumes_ml, key=lambda side: pair.volumes_ml[side])


def _laid_on(orbit: Orbit, other: Orbit, ball: Ball) -> Floats:
    """Return the mirrored wall, shifted and scaled so that most of it lies on the wall."""
    off = orbit.wall_mm - other.wall_mm
    known = np.isfinite(off)
    terms = np.column_stack([np.ones(len(off)), ball.ways])
    kept = known
    for _ in range(ROUNDS):
        fit = np.linalg.lstsq(terms[kept], off[kept], rcond=None)[0]
        away = np.abs(off - terms @ fit)
        kept = known & (away <= np.quantile(away[known], TRIM))
    return np.asarray(other.wall_mm + terms @ fit)


def _gave_way(ball: Ball, laid: Floats, excess: Floats, usual_mm: float) -> tuple[Mask, float]:
    """Return the directions of the largest defect, in one piece, and its area in cm2."""
    far = np.nan_to_num(excess, nan=0.0) > usual_mm
    kept = ball.near(1.5).mean(far.astype(float)) > 0.5
    parts = connected(len(far), ball.edges[kept[ball.edges].all(axis=1)])
    solid = 4 * np.pi / len(ball.ways)
    bulge = np.where(kept, (np.nan_to_num(laid + excess) ** 3 - np.nan_to_num(laid) ** 3), 0.0)
    piece = kept & (parts == int(np.bincount(parts, weights=np.maximum(bulge, 0)).argmax()))
    return piece, float((laid[piece] ** 2).sum() * solid / 100.0)


def _continued(points: Floats, values: Floats, ring: Mask, wanted: Mask) -> Floats:
    """Return values everywhere, those wanted continued from a ring by a thin-plate spline."""
    result = np.zeros(len(values))
    chosen = np.flatnonzero(ring)
    chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:KNOTS])
    spline = RBFInterpolator(
        points[chosen], values[chosen], kernel="thin_plate_spline", smoothing=STIFF
    )
    result[wanted] = spline(points[wanted])
    return result
