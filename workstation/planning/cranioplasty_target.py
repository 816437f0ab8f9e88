"""The bone that is missing: the other side mirrored and laid onto the rim, or the rim continued.

The difference between the mirrored side and the bone around the hole is carried into the hole by
thin-plate splines (Duchon 1977), so that the new surface meets the old one. Where there is nothing
to mirror, the spline continues the rim itself, with its curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

from segmentation.volume import Floats, ImageGeometry
from workstation.planning.cranioplasty_rays import (
    Chart,
    Mask,
    Walls,
    chart_around,
    disc,
    mirrored,
    vault_centre,
    walls,
)

FINE_MM, COARSE_MM, TYPICAL_MM = 1.0, 2.0, 80.0
"""Distance between rays, at a typical distance from the middle."""

LOWEST = np.radians(100.0)
"""The vault ends this far off the way up."""

SLANT_MM, WHOLE = 10.0, 0.7
"""The walls of a hole slant over less than this; bone there is thinner than this share of usual."""

OUTSIDE_MM, INSIDE_MM, RIM_MM = 3.0, 5.0, 24.0
"""From the hole and its slanting walls: from where the outside and the thickness of bone say how
it goes on, and up to where.
"""

AROUND_MM = 14.0
"""How far beyond the hole the surface is known."""

LEAST_CM2 = 2.0
"""A hole with less is none that an implant is made for."""

KNOTS, STIFF, STIFFEST = 350, 3.0, 3e4
"""Points that a spline goes by, and how little it follows the noise of each."""

THICKEST_MM = 15.0

PARTLY, HARDLY = 0.98, 0.3
"""Shares of the hole that can be mirrored: above the one all is, below the other nothing is."""

ACROSS = 0.1
"""A hole with more of its area than this on its lesser side crosses the midline."""


class NoDefect(ValueError):
    """There is no hole in the vault, or none where it was looked for."""


@dataclass(frozen=True, eq=False)
class Hole:
    """A hole in the vault.

    Attributes:
        area_cm2: of the surface that is missing.
        side: "left", "right", or "bilateral" if it crosses the midline.
        directions: unit vectors (n, 3), LPS, that meet no bone.
    """

    area_cm2: float
    side: str
    directions: Floats


@dataclass(frozen=True, eq=False)
class Vault:
    """A skull with its middle, the mirror through it, and the way up; LPS mm."""

    mask: Mask
    geometry: ImageGeometry
    centre_mm: Floats
    normal: Floats
    up: Floats


@dataclass(frozen=True, eq=False)
class Target:
    """Where the surfaces of the missing bone lie.

    Attributes:
        chart: the directions around the hole.
        outer_mm, inner_mm: distances from the centre; NaN away from the hole.
        hole: directions that meet no bone.
        bone: the walls of the bone that is there.
        mirrored: share of the hole for which the other side has bone.
        step_mm: distances of the new surface from the bone around the hole, outside.
    """

    chart: Chart
    outer_mm: Floats
    inner_mm: Floats
    hole: Mask
    bone: Walls
    mirrored: float
    step_mm: Floats

    @property
    def how(self) -> str:
        """What the surface was made from: "mirror", "partly" or "completion"."""
        if self.mirrored >= PARTLY:
            return "mirror"
        return "completion" if self.mirrored < HARDLY else "partly"


def vault_of(mask: Mask, geometry: ImageGeometry, point_mm: Floats, normal: Floats) -> Vault:
    """Return a skull ready to be looked at; raises as `vault_centre` does."""
    centre, up = vault_centre(mask, geometry, point_mm, normal)
    return Vault(mask, geometry, centre, normal, up)


def find_holes(vault: Vault) -> list[Hole]:
    """Return the holes in a vault, the largest first.

    A hole is where a ray from the middle leaves the head within the image and meets no bone.
    """
    chart = chart_around(vault.centre_mm, vault.up, LOWEST, COARSE_MM / TYPICAL_MM)
    ways = chart.directions()
    outer = walls(vault.mask, vault.geometry, vault.centre_mm, ways).outer
    radius = float(np.nanmedian(outer))
    edge = vault.geometry.to_index(vault.centre_mm + ways * radius)
    shown = ((edge >= 0) & (edge <= np.asarray(vault.geometry.size) - 1)).all(axis=-1)
    empty = np.isnan(outer) & shown & (chart.polar() <= LOWEST)
    empty = ndimage.binary_opening(empty, disc(1))
    pieces, count = ndimage.label(empty)
    areas = chart.cell_areas() * radius**2 / 100.0
    found = []
    for piece in range(1, count + 1):
        inside = pieces == piece
        area = float(areas[inside].sum())
        if area >= LEAST_CM2:
            left = float(areas[inside & (ways @ vault.normal > 0)].sum()) / area
            side = "left" if left > 1 - ACROSS else "right" if left < ACROSS else "bilateral"
            found.append(Hole(area, side, ways[inside]))
    return sorted(found, key=lambda hole: -hole.area_cm2)


def find_target(vault: Vault, directions: Floats) -> Target:
    """Return where the bone missing in some directions (n, 3) belongs.

    Raises:
        NoDefect: if hardly any bone is left around the hole.
    """
    middle = directions.mean(axis=0)
    reach = float(np.arccos(np.clip(_unit(directions) @ _unit(middle), -1, 1)).max())
    step = FINE_MM / TYPICAL_MM
    chart = chart_around(vault.centre_mm, middle, reach + 26.0 / TYPICAL_MM, step)
    ways = chart.directions()
    bone = walls(vault.mask, vault.geometry, vault.centre_mm, ways)
    other = walls(vault.mask, vault.geometry, vault.centre_mm, mirrored(ways, vault.normal))
    marked = np.zeros(chart.shape, np.bool_)
    place = np.rint(chart.places(directions)).astype(int)
    marked[tuple(np.clip(place, 0, 2 * chart.half))] = True
    marked = ndimage.binary_closing(np.pad(marked, 4), disc(3))[4:-4, 4:-4]
    marked = ndimage.binary_dilation(marked, disc(2))
    hole = marked & np.isnan(bone.outer)
    away = ndimage.distance_transform_edt(~_open(bone, hole)) * FINE_MM
    there = ~np.isnan(bone.outer) & (away < RIM_MM)
    rim, whole = there & (away > OUTSIDE_MM), there & (away > INSIDE_MM)
    if whole.sum() < 50:
        raise NoDefect("hardly any bone is left around the hole, so nothing says how it goes on")
    wanted = away < AROUND_MM
    outer, share = _laid(bone.outer, other.outer, rim, wanted, hole)
    thick = _thickness(_calm(bone.outer - bone.inner), _calm(other.outer - other.inner), whole,
                       wanted, hole)  # fmt: skip
    near = rim & (away < 8.0)
    off = np.abs(outer - bone.outer)[near]
    inner = outer - thick
    return Target(chart, outer, inner, hole, bone, share, off)


def _open(bone: Walls, hole: Mask) -> Mask:
    """Return the hole with its slanting walls: around it, where bone is thinner than usual."""
    away = ndimage.distance_transform_edt(~hole) * FINE_MM
    thick = bone.outer - bone.inner
    ring = (away > SLANT_MM) & (away < RIM_MM) & ~np.isnan(thick)
    usual = float(np.median(thick[ring])) if ring.any() else 0.0
    return np.asarray(hole | ((away < SLANT_MM) & ~(thick >= WHOLE * usual)))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _calm(values: Floats) -> Floats:
    """Return values without single outliers, NaN where they were."""
    nothing = np.isnan(values)
    if nothing.all():
        return values
    near = ndimage.distance_transform_edt(nothing, return_distances=False, return_indices=True)
    calm = ndimage.gaussian_filter(ndimage.median_filter(values[tuple(near)], 5), 1.0)
    return np.asarray(np.where(nothing, np.nan, calm))


def _laid(here: Floats, there: Floats, rim: Mask, wanted: Mask, hole: Mask) -> tuple[Floats, float]:
    """Return values in the wanted cells that continue those of the rim, and the share mirrored.

    ``there`` are those of the other side, laid onto the rim; where it has none, or hardly any,
    the rim alone is continued.
    """
    known = ~np.isnan(there)
    share = float((known & hole).sum()) / max(int(hole.sum()), 1)
    result = np.full(here.shape, np.nan)
    both = rim & known
    knots_from, values = rim, here
    if share >= HARDLY and both.sum() >= 50:
        laid = wanted & known
        result[laid] = there[laid] + _spline(both, here - there, laid)
        knots_from = rim | (laid & hole)
        values = np.where(rim, here, result)
    rest = wanted & np.isnan(result)
    if rest.any():
        result[rest] = _spline(knots_from, values, rest)
    return result, share if share >= HARDLY else 0.0


def _thickness(here: Floats, there: Floats, rim: Mask, wanted: Mask, hole: Mask) -> Floats:
    """Return the thickness in the wanted cells: the other side's, as much thicker as the rim is.

    Where the other side has none it is the rim's, continued stiffly.
    """
    known = ~np.isnan(there)
    result = np.full(here.shape, np.nan)
    if (known & hole).sum() >= HARDLY * hole.sum() and (rim & known).any():
        laid = wanted & known
        result[laid] = there[laid] + float(np.median((here - there)[rim & known]))
    rest = wanted & np.isnan(result)
    if rest.any():
        result[rest] = _spline(rim, here, rest, STIFFEST)
    return np.asarray(np.clip(result, 1.0, THICKEST_MM))


def _spline(at: Mask, values: Floats, wanted: Mask, stiff: float = STIFF) -> Floats:
    """Return a thin-plate spline through values at some cells, in the wanted cells."""
    cells = np.argwhere(at).astype(float)
    chosen = np.random.default_rng(0).permutation(len(cells))[:KNOTS]
    knots = cells[np.sort(chosen)]
    given = values[tuple(knots.astype(int).T)]
    spline = RBFInterpolator(knots, given, kernel="thin_plate_spline", smoothing=stiff)
    return np.asarray(spline(np.argwhere(wanted).astype(float)), np.float64)


def sampled(chart: Chart, values: npt.NDArray[np.float64], directions: Floats) -> Floats:
    """Return the values of a map in directions (n, 3), NaN outside it or next to none."""
    return np.asarray(
        ndimage.map_coordinates(values, chart.places(directions), order=1, cval=np.nan)
    )
