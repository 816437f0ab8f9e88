"""From where a cranial implant is put in: so that the least of it lies behind bone; and shown.

Along each of a few directions the missing bone and the bone around it are laid onto a plane across
it. What lies deeper than bone on the same place of the plane could not get there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy import ndimage

from meshing.distance_fields import winding
from meshing.measuring import as_vector
from meshing.surface import SurfaceMesh, require_watertight
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import SLANT_MM, WHOLE, Target

TILTS_DEGREES, BEARINGS = (0.0, 6.0, 12.0, 18.0, 24.0), 8
"""Directions that are tried: these tilts off the middle of the hole, towards so many sides."""

RASTER_MM, LEVEL_MM = 1.5, 1.0
"""Of the plane across a direction, and between the levels at which walls are looked at."""

AROUND_MM = 24.0
"""Bone this far around the hole may stand in the way."""

TILT_COST = 0.02
"""Share of the missing bone that a direction 45 degrees off must save to be worth it."""

LIFTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the way out at which contact is looked for."""

ARROW_MM = 6.0


class NoDirection(ValueError):
    """A surface does not know from where it is put in."""


@dataclass(frozen=True, eq=False)
class WayIn:
    """From where an implant is put in.

    Attributes:
        axes: rows are two unit directions across and the one out of the head (LPS).
        behind: share of the missing bone that lies behind other bone on this way.
    """

    axes: Floats
    behind: float


def best_way(target: Target) -> WayIn:
    """Return the direction along which the least of the missing bone lies behind other bone."""
    missing, bone = _missing(target), _bone(target)
    best: tuple[float, WayIn] | None = None
    for axes in _candidates(target.chart.axes):
        behind = _behind(missing @ axes.T, bone @ axes.T)
        cost = behind + TILT_COST * (1 - float(axes[2] @ target.chart.axes[2])) / (1 - 0.5**0.5)
        if best is None or cost < best[0]:
            best = cost, WayIn(axes, behind)
    assert best is not None
    return best[1]


def insertion_path(
    implant: SurfaceMesh,
    skull: LabelMap,
    *,
    length_mm: Annotated[float, Ge(5), Le(100)] = 40.0,
    progress: Progress = silent,
) -> Measured:
    """Show from where the implant is put in, and whether it touches bone on its way.

    The implant is moved out along its direction; bone voxels whose centres it meets are counted.

    Args:
        implant: the closed surface of the implant, as it was made here.
        skull: the skull with the hole.
        length_mm: how far it is moved.
        progress: told how far the work is.

    Raises:
        NoDirection: if the surface was not made here, so that its direction is not known.
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and skull lie in different frames of reference.
    """
    require_watertight(implant)
    if implant.frame_uid != skull.geometry.frame_uid:
        raise FrameMismatch("the implant lies in another frame of reference than the skull")
    known = {number.quantity: number.value for number in implant.numbers}
    if not {"removal.x", "removal.y", "removal.z"} <= known.keys():
        raise NoDirection("this surface has no direction of insertion; take an implant made here")
    way = np.array([known[f"removal.{axis}"] for axis in "xyz"])
    block = _swept(implant, skull, way * length_mm)
    met = []
    for n, part in enumerate(LIFTS):
        share(progress, n, len(LIFTS))(0.5, "moving the implant out")
        moved = block.geometry.to_index(implant.points_mm + part * length_mm * way)
        inside = np.abs(winding(moved, implant.triangles, block.array.shape)) > 0.5
        met.append(np.count_nonzero(inside & block.mask()) * block.geometry.voxel_ml)
    worst = max(met)
    number = Number("collision.volume", worst, "mL", f"bone voxels whose centres the implant meets "
                    f"at {len(LIFTS)} places of {length_mm:g} mm of its way; the most",
                    plain=True)  # fmt: skip
    top = implant.points_mm[int((implant.points_mm @ way).argmax())]
    middle = implant.points_mm.mean(axis=0)
    start = middle + ((top - middle) @ way + 4.0) * way
    end = start + length_mm * way
    across = np.cross(way, np.eye(3)[int(np.abs(way).argmin())])
    across *= ARROW_MM / 2 / np.linalg.norm(across)
    head = np.stack([start + ARROW_MM * way + across, start, start + ARROW_MM * way - across])
    text = "way in" if worst == 0 else f"meets {worst:.2g} mL of bone"
    return Measured(
        implant.frame_uid, (np.stack([end, start]), head), np.empty((0, 3)), text,
        as_vector(end), {"removal": as_vector(way)}, findings=_findings(worst), numbers=(number,),
    )  # fmt: skip


def _findings(worst: float) -> tuple[Finding, ...]:
    if worst == 0:
        text = "the implant goes in along its direction without touching bone"
        return (Finding(Severity.INFO, "insertion_free", text),)
    text = f"on its way in the implant meets {worst:.2g} mL of bone"
    remedy = "raise implant.clearance_mm, or make the implant again from this skull"
    return (Finding(Severity.PROBLEM, "insertion_blocked", text, remedy=remedy),)


def _swept(implant: SurfaceMesh, skull: LabelMap, out_mm: Floats) -> LabelMap:
    """Return the skull in the box through which an implant moves."""
    ends = np.concatenate([implant.points_mm, implant.points_mm + out_mm])
    index = skull.geometry.to_index(ends)
    start = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, skull.geometry.size)
    if (stop <= start).any():
        raise ValueError("the implant lies outside the image of the skull")
    names = [label.name for label in skull.labels.values()]
    mask = skull.mask("skull" if "skull" in names else None)
    part = mask[start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]]
    return replace(
        skull,
        array=part.view(np.uint8),
        geometry=skull.geometry.cropped(start, part.shape[::-1]),
        labels={},
    )


def _candidates(axes: Floats) -> list[Floats]:
    """Return axes whose third is tilted off that of the given ones, the nearest first."""
    made = []
    for tilt in np.radians(TILTS_DEGREES):
        for n in range(BEARINGS if tilt else 1):
            bearing = 2 * np.pi * n / BEARINGS
            side = np.cos(bearing) * axes[0] + np.sin(bearing) * axes[1]
            way = np.cos(tilt) * axes[2] + np.sin(tilt) * side
            a = np.cross(axes[1], way)
            a /= np.linalg.norm(a)
            made.append(np.stack([a, np.cross(way, a), way]))
    return made


def _levels(target: Target, inner: Floats, outer: Floats, cells: Mask) -> Floats:
    """Return points (n, 3) off the centre between two walls, in the directions of some cells."""
    shown = cells & ~np.isnan(inner) & ~np.isnan(outer)
    ways, low, high = target.chart.directions()[shown], inner[shown], outer[shown]
    count = int(np.ceil(float((high - low).max(initial=0.0)) / LEVEL_MM)) + 1
    depth = low[:, None] + LEVEL_MM * np.arange(count)
    ray, level = np.nonzero(depth <= high[:, None])
    return np.asarray(ways[ray] * depth[ray, level][:, None])


def _missing(target: Target) -> Floats:
    """Return points of the missing bone, off the centre: in the hole and by its slanting walls."""
    inside = _levels(target, target.inner_mm, target.outer_mm, ndimage.binary_erosion(target.hole))
    thick = target.bone.outer - target.bone.inner
    thin = thick < WHOLE * (target.outer_mm - target.inner_mm)
    slanting = (target.away_mm < SLANT_MM) & ~target.hole & thin
    under = _levels(target, target.inner_mm, target.bone.inner - LEVEL_MM, slanting)
    over = _levels(target, target.bone.outer + LEVEL_MM, target.outer_mm, slanting)
    return np.concatenate([inside, under, over])


def _bone(target: Target) -> Floats:
    """Return points of the bone around the hole, off the centre."""
    near = (target.away_mm > 0) & (target.away_mm < AROUND_MM)
    return _levels(target, target.bone.inner, target.bone.outer, near)


def _behind(missing: Floats, bone: Floats) -> float:
    """Return the share of points that lie deeper than bone; the third axis leads out."""
    if not len(missing) or not len(bone):
        return 0.0
    low = np.minimum(missing[:, :2].min(axis=0), bone[:, :2].min(axis=0))
    cells = [np.floor((points[:, :2] - low) / RASTER_MM).astype(int) for points in (missing, bone)]
    size = np.maximum(cells[0].max(axis=0), cells[1].max(axis=0)) + 1
    height = np.full(int(size.prod()), -np.inf)
    np.maximum.at(height, cells[1][:, 0] * size[1] + cells[1][:, 1], bone[:, 2])
    over = height[cells[0][:, 0] * size[1] + cells[0][:, 1]]
    return float((over > missing[:, 2] + RASTER_MM).mean())
