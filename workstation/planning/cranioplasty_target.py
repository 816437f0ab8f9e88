"""The bone that is missing: the other side mirrored and laid onto the rim, or the rim continued.

The difference between the mirrored side and the bone around the hole is carried into the hole by
stiff thin-plate splines (Duchon 1977). At the rim a spline through the bone itself takes over, so
that the new surface meets the old one. Where there is nothing to mirror, that spline continues the
rim, with its curvature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import RBFInterpolator
from skimage.draw import polygon

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

Completion = Literal["auto", "smooth"]

FINE_MM, COARSE_MM, TYPICAL_MM = 1.0, 2.0, 80.0
"""Distance between rays, at a typical distance from the middle."""

LOWEST = np.radians(100.0)
"""The vault ends this far off the way up."""

SLANT_MM, WHOLE = 14.0, 0.7
"""The walls of a hole slant over less than this; bone there is thinner than this share of usual."""

OUTSIDE_MM, INSIDE_MM, RIM_MM = 3.0, 5.0, 24.0
"""From the hole and its slanting walls: from where the outside and the thickness of bone say how
it goes on, and up to where.
"""

AROUND_MM = 26.0
"""How far beyond the hole the surface is known."""

LEAST_CM2 = 2.0
"""A hole with less is none that an implant is made for."""

KNOTS = 350
"""Points that a spline goes by."""

CLOSE, STIFF, STIFFER, STIFFEST = 3.0, 1e3, 3e4, 1e5
"""How little splines follow single points: the rim's outside, the mirror's distance from it; the
rim's thickness, and the mirror's difference from that. On holes cut into a head these came nearest.
"""

MEET_MM, MEET_THICK_MM = 8.0, 20.0
"""In this depth the rim has 1/e of its say in how the outside, and how the thickness goes on."""

STEEP, LUMP_MM, LUMP_WIDE_MM = 0.9, 2.5, 6.0
"""The outside of a vault is less steep than this against rays, and has no lumps that stand out by
this much and are narrower than twice this; orbits, arches and things on the skin are no vault.
"""

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
        away_mm: distances from the hole, at a typical distance from the middle.
        bone: the walls of the bone that is there.
        mirrored: share of the hole for which the other side has bone.
        step_mm: distances of the new surface from the bone around the hole, outside.
        completion: what was asked for.
    """

    chart: Chart
    outer_mm: Floats
    inner_mm: Floats
    hole: Mask
    away_mm: Floats
    bone: Walls
    mirrored: float
    step_mm: Floats
    completion: Completion

    @property
    def how(self) -> str:
        """What the surface was made from: "mirror", "partly", "completion" or "smooth"."""
        if self.completion == "smooth":
            return "smooth"
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
    found = (_hole(vault, chart, pieces == piece, radius) for piece in range(1, count + 1))
    large = [hole for hole in found if hole.area_cm2 >= LEAST_CM2]
    return sorted(large, key=lambda hole: -hole.area_cm2)


def drawn_hole(vault: Vault, outline_mm: Floats) -> Hole:
    """Return the hole within an outline that was drawn, points (n, 3) in LPS mm.

    Raises:
        NoDefect: if the outline has too few points, or hardly anything is missing within it.
    """
    if len(outline_mm) < 3:
        raise NoDefect("an outline needs three points or more; draw it around the hole")
    ways = _unit(outline_mm - vault.centre_mm)
    middle = _unit(ways.mean(axis=0))
    reach = float(np.arccos(np.clip(ways @ middle, -1, 1)).max())
    chart = chart_around(vault.centre_mm, middle, reach + 0.1, COARSE_MM / TYPICAL_MM)
    row, column = polygon(*chart.places(ways), shape=chart.shape)
    inside = np.zeros(chart.shape, np.bool_)
    inside[row, column] = True
    outer = walls(vault.mask, vault.geometry, vault.centre_mm, chart.directions()).outer
    radius = float(np.linalg.norm(outline_mm - vault.centre_mm, axis=1).mean())
    hole = _hole(vault, chart, inside & np.isnan(outer), radius)
    if hole.area_cm2 < LEAST_CM2:
        raise NoDefect("no bone is missing within the outline; draw it around the hole")
    return hole


def _hole(vault: Vault, chart: Chart, inside: Mask, radius_mm: float) -> Hole:
    """Return a hole made of some cells of a chart, its area taken at a distance."""
    ways = chart.directions()
    areas = chart.cell_areas() * radius_mm**2 / 100.0
    area = float(areas[inside].sum())
    left = float(areas[inside & (ways @ vault.normal > 0)].sum()) / max(area, 1e-9)
    side = "left" if left > 1 - ACROSS else "right" if left < ACROSS else "bilateral"
    return Hole(area, side, ways[inside])


def find_target(vault: Vault, directions: Floats, completion: Completion = "auto") -> Target:
    """Return where the bone missing in some directions (n, 3) belongs.

    The completion "auto" mirrors what can be mirrored, "smooth" nothing.

    Raises:
        NoDefect: if hardly any bone is left around the hole.
    """
    middle = directions.mean(axis=0)
    reach = float(np.arccos(np.clip(_unit(directions) @ _unit(middle), -1, 1)).max())
    step = FINE_MM / TYPICAL_MM
    chart = chart_around(vault.centre_mm, middle, reach + 30.0 / TYPICAL_MM, step)
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
    there = ~np.isnan(bone.outer) & (away < RIM_MM) & ~_steep(bone.outer, step)
    rim, whole = there & (away > OUTSIDE_MM), there & (away > INSIDE_MM)
    if whole.sum() < 50:
        raise NoDefect("hardly any bone is left around the hole, so nothing says how it goes on")
    wanted = away < AROUND_MM
    share = float((~np.isnan(other.outer) & hole).sum()) / max(int(hole.sum()), 1)
    share = share if share >= HARDLY and completion == "auto" else 0.0
    gap = _Gap(hole, wanted, share > 0)
    smooth = np.where(_steep(other.outer, step) | _lumps(other.outer), np.nan, other.outer)
    outer = _laid(gap, bone.outer, smooth, rim, _Ways(CLOSE, STIFF, MEET_MM))
    thick = _laid(gap, _calm(bone.outer - bone.inner), _calm(smooth - other.inner), whole,
                  _Ways(STIFFER, STIFFEST, MEET_THICK_MM))  # fmt: skip
    off = np.abs(outer - bone.outer)[rim & (away < 8.0)]
    inner = outer - np.clip(thick, 1.0, THICKEST_MM)
    far = np.asarray(ndimage.distance_transform_edt(~hole) * FINE_MM)
    return Target(chart, outer, inner, hole, far, bone, share, off, completion)


@dataclass(frozen=True, eq=False)
class _Gap:
    """Where values are wanted: in the hole and around it, by the mirror or without it."""

    hole: Mask
    wanted: Mask
    by_mirror: bool


@dataclass(frozen=True)
class _Ways:
    """How a rim and a mirror's distance from it are continued; see `CLOSE` and `MEET_MM`."""

    rim: float
    mirror: float
    meet_mm: float


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


def _steep(outer: Floats, step: float) -> Mask:
    """Return where the outside is too steep against rays for a vault."""
    nothing = np.isnan(outer)
    if nothing.all():
        return nothing
    near = ndimage.distance_transform_edt(nothing, return_distances=False, return_indices=True)
    whole = outer[tuple(near)]
    slope = np.gradient(ndimage.gaussian_filter(whole, 1.0), step)
    return np.asarray(np.hypot(*slope) > STEEP * whole)


def _lumps(outer: Floats) -> Mask:
    """Return where something narrow stands out of the outside."""
    low = np.where(np.isnan(outer), 0.0, outer)
    flat = ndimage.grey_opening(low, footprint=disc(LUMP_WIDE_MM / FINE_MM))
    return np.asarray((flat > 0) & (low - flat > LUMP_MM))


def _laid(gap: _Gap, here: Floats, there: Floats, rim: Mask, ways: _Ways) -> Floats:
    """Return values in the wanted cells that continue those of the rim.

    ``there`` are those of the other side, laid onto the rim; where it has none, or by_mirror is
    false, the rim alone is continued.
    """
    result = np.full(here.shape, np.nan)
    result[gap.wanted] = _spline(rim, here, gap.wanted, ways.rim)
    known = ~np.isnan(there)
    both = rim & known
    if not gap.by_mirror or both.sum() < 50:
        return result
    laid = gap.wanted & known
    mirror = there[laid] + _spline(both, here - there, laid, ways.mirror)
    if (gap.hole & ~known).any():
        values = here.copy()
        values[laid & gap.hole] = mirror[gap.hole[laid]]
        rest = gap.wanted & ~known
        result[rest] = _spline(rim | (laid & gap.hole), values, rest, ways.rim)
    depth = ndimage.distance_transform_edt(gap.hole) * FINE_MM
    own = np.exp(-depth[laid] / ways.meet_mm)
    result[laid] = own * result[laid] + (1 - own) * mirror
    return result


def _spline(at: Mask, values: Floats, wanted: Mask, stiff: float) -> Floats:
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
