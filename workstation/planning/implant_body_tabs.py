"""What is cut into the body of a cranial implant, and the tabs by which screws hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from segmentation.volume import Floats, ImageGeometry
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import Target
from workstation.planning.implant_body_limits import Field, Limits

Pattern = Literal["triangles", "squares"]

INWARD_MM = 5.0
"""How far a tab reaches onto the body from its edge."""

SINK_MM = 1.5
"""How far a tab goes down into the body."""

FLANK_CELLS = 4.0
"""Over how many cells the edge is looked at for the way a tab leads."""


@dataclass(frozen=True)
class Perforations:
    """Round holes on a lattice: diameter, distances from middle to middle and to the edge, mm."""

    diameter_mm: float
    spacing_mm: float
    rim_mm: float
    pattern: Pattern


@dataclass(frozen=True)
class Tabs:
    """Fixation tabs: how many, their size, the bore for the screw, and where the first one is."""

    count: int
    reach_mm: float
    width_mm: float
    thickness_mm: float
    screw_mm: float
    turn_degrees: float


@dataclass(frozen=True, eq=False)
class Tabbed:
    """A body with tabs.

    Attributes:
        inside_mm: the body.
        screws_mm: LPS points (n, 3) on bone under the middle of each bore.
        bone_mm: thickness of bone there.
        without: how many tabs found no bone to hold on to and were left out.
    """

    inside_mm: Field
    screws_mm: Floats
    bone_mm: Floats
    without: int


def perforated(inside: Field, holes: Perforations, cell_mm: float) -> Field:
    """Return the body with round holes along its way in, as far from its edge as is said."""
    flat = (inside > 0).any(axis=0)
    deep = ndimage.distance_transform_edt(np.pad(flat, 1))[1:-1, 1:-1] * cell_mm
    b, a = np.indices(flat.shape) * cell_mm
    radius = holes.diameter_mm / 2
    nearest = np.full(flat.shape, np.inf)
    for y, x in _lattice((b.max() / 2, a.max() / 2), holes.spacing_mm, holes.pattern):
        cell = round(y / cell_mm), round(x / cell_mm)
        within = all(0 <= c < n for c, n in zip(cell, flat.shape))
        if within and deep[cell] >= holes.rim_mm + radius:
            nearest = np.minimum(nearest, np.hypot(b - y, a - x))
    return np.asarray(np.minimum(inside, (nearest - radius).astype(np.float32)))


def _lattice(
    middle: tuple[float, float], spacing: float, pattern: Pattern
) -> list[tuple[float, float]]:
    """Return the points of a lattice over a rectangle around its middle."""
    square = pattern == "squares"
    row_mm = spacing if square else spacing * np.sqrt(3) / 2
    rows, columns = int(middle[0] // row_mm), int(middle[1] // spacing) + 1
    return [
        (middle[0] + row * row_mm,
         middle[1] + (column + (0.0 if square else (row % 2) / 2)) * spacing)
        for row in range(-rows, rows + 1)
        for column in range(-columns, columns + 1)
    ]  # fmt: skip


def tabbed(
    inside: Field,
    limits: Limits,
    target: Target,
    grid: ImageGeometry,
    tabs: Tabs,
    clearance_mm: float,
) -> Tabbed:
    """Return a body with tabs that lie on the bone around it, spread evenly along its edge.

    They keep the clearance to bone. Bores are at right angles to the bone.
    """
    cell = grid.spacing_mm[0]
    feet = _feet(np.asarray((inside > 0).any(axis=0)), tabs, grid)
    under = np.minimum(limits.rim, limits.height)
    layer = np.minimum(np.float32(tabs.thickness_mm + clearance_mm) - under,
                       limits.rim - np.float32(clearance_mm))  # fmt: skip
    layer = np.minimum(layer, limits.height + np.float32(SINK_MM))
    b, a = np.indices(inside.shape[1:]) * cell
    result, screws, bone = inside, [], []
    for start, out in feet:
        end = start + (tabs.reach_mm - tabs.width_mm / 2) * out
        place = _on_bone(limits, target, grid, end)
        if place is None:
            continue
        along = np.clip((b - start[0]) * out[0] + (a - start[1]) * out[1], -INWARD_MM,
                        tabs.reach_mm - tabs.width_mm / 2)  # fmt: skip
        off = np.hypot(b - start[0] - along * out[0], a - start[1] - along * out[1])
        foot = (tabs.width_mm / 2 - off).astype(np.float32)
        result = np.maximum(result, np.minimum(layer, foot))
        screws.append(place[0])
        bone.append(place[1])
    for point in screws if tabs.screw_mm else ():
        reach_mm = 2.0 + 2 * tabs.thickness_mm
        result = np.minimum(result, _bore(grid, target, point, tabs.screw_mm / 2, reach_mm))
    points = np.asarray(screws, float).reshape(-1, 3)
    return Tabbed(np.asarray(result, np.float32), points, np.asarray(bone), len(feet) - len(screws))


def _feet(flat: Mask, tabs: Tabs, grid: ImageGeometry) -> list[tuple[Floats, Floats]]:
    """Return where tabs begin on the edge of a body and which way they lead, (b, a) in mm.

    The first is at the top of the head, the others follow at even distances along the edge.
    """
    cell = grid.spacing_mm[0]
    flat = ndimage.binary_fill_holes(flat)
    edge = np.argwhere(flat & ~ndimage.binary_erosion(flat)) * cell
    off = edge - np.argwhere(flat).mean(axis=0) * cell
    up = grid.axes[2, [1, 0]]
    angle = np.mod(np.arctan2(off[:, 0], off[:, 1]) - np.arctan2(up[0], up[1]), 2 * np.pi)
    order = np.argsort(angle, kind="stable")
    edge = edge[order]
    steps = np.linalg.norm(np.diff(edge, axis=0, append=edge[:1]), axis=1)
    length = np.cumsum(np.minimum(steps, 3 * cell))
    slope = np.gradient(ndimage.gaussian_filter(flat.astype(float), FLANK_CELLS))
    feet = []
    for n in range(tabs.count):
        share = np.mod(n / tabs.count + tabs.turn_degrees / 360.0, 1.0)
        start = edge[int(np.searchsorted(length, share * length[-1]))]
        place = tuple(np.rint(start / cell).astype(int))
        out = -np.array([slope[0][place], slope[1][place]])
        feet.append((start, out / max(float(np.linalg.norm(out)), 1e-9)))
    return feet


def _on_bone(
    limits: Limits, target: Target, grid: ImageGeometry, end: Floats
) -> tuple[Floats, float] | None:
    """Return the point on bone under a place (b, a), LPS mm, and the bone's thickness there."""
    cell = grid.spacing_mm[0]
    b, a = (round(float(x) / cell) for x in end)
    if not (0 <= b < grid.shape[1] and 0 <= a < grid.shape[2]):
        return None
    below = np.flatnonzero(limits.rim[:, b, a] <= 0)
    if not len(below):
        return None
    point = grid.to_world(np.array([[a, b, float(below[-1])]]))[0]
    chart = target.chart
    place = np.rint(chart.places((point - chart.centre_mm)[None]))[:, 0].astype(int)
    if not ((place >= 0) & (place <= 2 * chart.half)).all():
        return None
    row, column = int(place[0]), int(place[1])
    deep = float(target.bone.outer[row, column] - target.bone.inner[row, column])
    outside = float(np.linalg.norm(point - chart.centre_mm))
    there = abs(float(target.bone.outer[row, column]) - outside) < 4.0
    return (point, deep) if there else None


def _bore(
    grid: ImageGeometry, target: Target, point: Floats, radius: float, reach_mm: float
) -> Field:
    """Return the distance from a bore at right angles to the outside, positive without it."""
    chart = target.chart
    centre = (point - chart.centre_mm)[None]
    row, column = (int(c) for c in np.rint(chart.places(centre))[:, 0])
    part = (slice(row - 4, row + 5), slice(column - 4, column + 5))
    surface = (chart.directions()[part] * target.bone.outer[part][..., None]).reshape(-1, 3)
    surface = surface[~np.isnan(surface).any(axis=1)]
    flat = np.linalg.svd(surface - surface.mean(axis=0), full_matrices=False)[2][2]
    normal = flat * np.sign(flat @ centre[0])
    k, j, i = np.indices(grid.shape)
    away = grid.to_world(np.stack([i, j, k], axis=-1)) - point
    height = away @ normal
    off = np.linalg.norm(away - height[..., None] * normal, axis=-1)
    return np.asarray(np.maximum(off - radius, np.abs(height) - reach_mm), np.float32)
