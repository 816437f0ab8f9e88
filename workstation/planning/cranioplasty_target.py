"""The bone that is missing: the other side mirrored and laid onto the rim, or the vault continued.

How far the mirrored side is off the bone around the hole is continued into the hole by kriging, and
so is the outside itself where there is nothing to mirror, and the thickness; see
`cranioplasty_kriging`. What is known is the bone around the hole, the other side, and the vault
farther away. Saw cuts and orbits are too steep, lumps too narrow to tell how the vault goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.draw import polygon

from segmentation.volume import Floats, ImageGeometry
from workstation.planning.cranioplasty_kriging import (
    Known,
    Model,
    Variation,
    continued,
    joined,
)
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

RIM_KNOTS, OTHER_KNOTS, FAR_KNOTS = 500, 450, 400
"""How many directions are taken of the rim, of the other side, and of the vault farther away."""

EVERY = 5
"""Values are continued in every fifth direction, and interpolated by cubic splines between."""

FAR_POLAR = np.radians(85.0)
"""The vault farther away is looked at down to this far off the way up."""

MIRROR_OFF = Model((Variation(1.0, 1.0),), 0.6, "level")
OUTSIDE = Model((Variation(15.0, 2.0, alike=True), Variation(1.0, 0.6)), 0.3, "bent")
THICKNESS = Model(
    (Variation(1.7, 1.2, alike=True), Variation(0.6, 0.2, alike=True), Variation(0.4, 0.2)),
    0.5,
    "level",
)
"""How the distance of the mirrored outside from bone varies, how the outside does, and how the
thickness. Begun from the restricted likelihood on the vault of one head, then chosen among few by
holes that were cut into that head; more noise than a voxel gives keeps their steps from counting.
"""

STEEP, BESIDE = 0.9, 2
"""The outside of a vault is less steep than this against rays, and so many directions beside what
is steeper tell nothing: saw cuts and orbits are no vault.
"""

LUMP_MM, LUMP_WIDE = 2.5, 6
"""Nor does a vault stand out by this much where it is narrower than twice so many directions, as
arches and things on the skin do.
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
    marked = np.zeros(chart.shape, np.bool_)
    place = np.rint(chart.places(directions)).astype(int)
    marked[tuple(np.clip(place, 0, 2 * chart.half))] = True
    marked = ndimage.binary_closing(np.pad(marked, 4), disc(3))[4:-4, 4:-4]
    marked = ndimage.binary_dilation(marked, disc(2))
    hole = marked & np.isnan(bone.outer)
    far = np.asarray(ndimage.distance_transform_edt(~hole) * FINE_MM)
    away = np.asarray(ndimage.distance_transform_edt(~_open(bone, hole)) * FINE_MM)
    rim = _seen(ways, bone, step, far, away)
    if (rim.whole & (away < RIM_MM)).sum() < 50:
        raise NoDefect("hardly any bone is left around the hole, so nothing says how it goes on")
    other = _mirrored(vault, chart, far, away)
    gap = _Gap(vault, chart, hole, away, completion == "auto")
    farther = _farther(vault, chart, far)
    outer, share = _outside(gap, rim, other, farther)
    thick = gap.continued(
        joined(
            _known(rim, rim.thick_mm, rim.whole, RIM_KNOTS),
            *([_known(other, other.thick_mm, other.whole, OTHER_KNOTS)] if gap.by_mirror else []),
            _known(farther, farther.thick_mm, farther.whole, FAR_KNOTS),
        ),
        THICKNESS,
    )
    outer[away >= AROUND_MM] = np.nan
    off = np.abs(outer - bone.outer)[rim.sound & (away > OUTSIDE_MM) & (away < 8.0)]
    inner = outer - np.clip(thick, 1.0, THICKEST_MM)
    return Target(chart, outer, inner, hole, far, bone, share, off, completion)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The outside and the thickness of bone in some directions.

    ``sound`` is where the outside, and ``whole`` where the thickness tells how a vault goes on.
    """

    directions: Floats
    outer_mm: Floats
    thick_mm: Floats
    sound: Mask
    whole: Mask


@dataclass(frozen=True, eq=False)
class _Gap:
    """A hole in a chart, distances from its slanting walls, and whether it is mirrored."""

    vault: Vault
    chart: Chart
    hole: Mask
    away_mm: Floats
    by_mirror: bool

    def continued(self, known: Known, model: Model) -> Floats:
        """Return values in all directions of the chart."""
        if not self.by_mirror:
            parts = tuple(replace(part, alike=False) for part in model.variations)
            model = replace(model, variations=parts)
        half = self.chart.half // EVERY + 1
        wide = replace(self.chart, step=EVERY * self.chart.step, half=half)
        ways = wide.directions().reshape(-1, 3)
        values = continued(known, ways, model, self.vault.normal, self.vault.up)
        place = (np.indices(self.chart.shape) - self.chart.half) / EVERY + half
        return np.asarray(ndimage.map_coordinates(values.reshape(wide.shape), place))


def _seen(directions: Floats, bone: Walls, step: float, far_mm: Floats, away_mm: Floats) -> _Seen:
    """Return what bone tells, far enough from a hole and away from its slanting walls."""
    cut = ndimage.binary_dilation(_steep(bone.outer, step), disc(BESIDE))
    vault = ~(np.isnan(bone.outer) | _lumps(bone.outer) | cut)
    sound = vault & (far_mm > OUTSIDE_MM)
    thick = _calm(np.where(sound, bone.outer, np.nan) - bone.inner)
    return _Seen(directions, bone.outer, thick, sound, sound & (away_mm > INSIDE_MM))


def _mirrored(vault: Vault, chart: Chart, far_mm: Floats, away_mm: Floats) -> _Seen:
    """Return what the other side tells, in the directions in which it lies."""
    ways = mirrored(chart.directions(), vault.normal)
    other = walls(vault.mask, vault.geometry, vault.centre_mm, ways)
    apart = [_sampled_or_far(chart, values, ways) for values in (far_mm, away_mm)]
    return _seen(ways, other, chart.step, apart[0], apart[1])


def _farther(vault: Vault, chart: Chart, far_mm: Floats) -> _Seen:
    """Return what the vault tells that is farther from the hole than the rim."""
    wide = chart_around(vault.centre_mm, vault.up, FAR_POLAR, COARSE_MM / TYPICAL_MM)
    ways = wide.directions()
    bone = walls(vault.mask, vault.geometry, vault.centre_mm, ways)
    apart = _sampled_or_far(chart, far_mm, ways)
    beyond = (apart > RIM_MM) & (wide.polar() < FAR_POLAR)
    seen = _seen(ways, bone, wide.step, apart, apart)
    return replace(seen, sound=seen.sound & beyond, whole=seen.whole & beyond)


def _sampled_or_far(chart: Chart, distances_mm: Floats, directions: Floats) -> Floats:
    """Return distances in directions (..., 3), those outside the chart as large as can be."""
    found = sampled(chart, distances_mm, directions.reshape(-1, 3))
    return np.nan_to_num(found, nan=np.inf).reshape(directions.shape[:-1])


def _known(seen: _Seen, values_mm: Floats, where: Mask, count: int) -> Known:
    """Return the values in some of the directions, spread by chance, always the same."""
    cells = np.flatnonzero(where)
    chosen = np.sort(np.random.default_rng(0).permutation(cells)[:count])
    return Known(seen.directions.reshape(-1, 3)[chosen], values_mm.ravel()[chosen])


def _outside(gap: _Gap, rim: _Seen, other: _Seen, farther: _Seen) -> tuple[Floats, float]:
    """Return the outside in the chart, and the share of the hole that the mirror gives."""
    near = rim.sound & (gap.away_mm < RIM_MM)
    result = np.full(gap.chart.shape, np.nan)
    both = near & other.sound
    share = 0.0
    if gap.by_mirror and both.sum() >= 50:
        off = _known(rim, rim.outer_mm - other.outer_mm, both, RIM_KNOTS)
        laid = other.outer_mm + gap.continued(off, MIRROR_OFF)
        result[other.sound] = laid[other.sound]
        share = float((other.sound & gap.hole).sum()) / max(int(gap.hole.sum()), 1)
    mirror = gap.hole & ~np.isnan(result)
    parts = (
        _known(rim, rim.outer_mm, near, RIM_KNOTS),
        _known(rim, result, mirror, OTHER_KNOTS),
        _known(farther, farther.outer_mm, farther.sound, FAR_KNOTS),
    )
    rest = np.isnan(result)
    result[rest] = gap.continued(joined(*parts), OUTSIDE)[rest]
    return result, share


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
    flat = ndimage.grey_opening(low, footprint=disc(LUMP_WIDE))
    return np.asarray((flat > 0) & (low - flat > LUMP_MM))


def sampled(chart: Chart, values: npt.NDArray[np.float64], directions: Floats) -> Floats:
    """Return the values of a map in directions (n, 3), NaN outside it or next to none."""
    return np.asarray(
        ndimage.map_coordinates(values, chart.places(directions), order=1, cval=np.nan)
    )
