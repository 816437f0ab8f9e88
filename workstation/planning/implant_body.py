"""The body of a cranial implant: thick enough, clear of the bone, and free to be put in.

It is the zero level of a distance on a grid whose third axis is the direction from which the
implant is put in. Along that axis the clearance to bone is the least one that is met on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy import ndimage
from scipy.spatial import cKDTree

from meshing.distance_fields import Grid, contour
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, measured
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, ImageGeometry, LabelMap
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import require_side, side_of, vault_of_label
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import SLANT_MM, Target, Vault, find_target

COLOUR = (0x7F, 0xB8, 0xD8)

AROUND_MM = 9.0
"""Bone this far around the hole stands in the way at most."""

SPIKE_MM = 0.2
"""Kept between the middles of bone's voxels and the implant, at the least."""

FREE_MM = 6.0
"""Between perforations and the rim."""


class NoImplant(ValueError):
    """No body is left within the limits that were set."""


@dataclass(frozen=True, eq=False)
class _Body:
    """Distances in mm on a grid, positive inside the implant, [k, j, i]."""

    inside_mm: npt.NDArray[np.float32]
    grid: ImageGeometry


def cranial_implant(
    skull: LabelMap,
    defect: LabelMap,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    thickness_mm: Annotated[float, Ge(1), Le(12)] | None = None,
    minimum_mm: Annotated[float, Ge(0.5), Le(6)] = 2.0,
    clearance_mm: Annotated[float, Ge(0), Le(3)] = 0.2,
    bevel_mm: Annotated[float, Ge(0), Le(4)] = 0.0,
    perforation_mm: Annotated[float, Ge(0), Le(6)] = 0.0,
    perforation_spacing_mm: Annotated[float, Ge(4), Le(40)] = 12.0,
    cell_mm: Annotated[float, Gt(0.2), Le(2)] = 0.8,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make the body of a cranial implant for a hole in the skull.

    The outside is that of the missing bone. The body keeps the clearance to bone all the way along
    which it is put in, so that it goes in without touching, and parts thinner than allowed are
    taken off.

    Args:
        skull: the skull with the hole.
        defect: the missing bone.
        plane: the mid-sagittal plane.
        patient: the declared side; an implant for another side is refused.
        thickness_mm: of the implant; empty takes that of the missing bone.
        minimum_mm: nothing thinner is made.
        clearance_mm: distance kept to bone.
        bevel_mm: how much is taken off the outer edge, along the surface and down.
        perforation_mm: diameter of holes through the implant; 0 makes none.
        perforation_spacing_mm: between the middles of neighbouring holes.
        cell_mm: of the grid on which the implant is made.
        progress: told how far the work is.

    Raises:
        NoImplant: if nothing is left within these limits.
        NoDefect: if the defect is empty or hardly any bone is left around it.
        WrongSide: if the implant lies on another side than was declared.
    """
    if perforation_mm and perforation_spacing_mm < perforation_mm + minimum_mm:
        raise ValueError(
            f"perforations of {perforation_mm:g} mm need {perforation_mm + minimum_mm:g} mm or "
            "more from middle to middle; widen perforation_spacing_mm"
        )
    vault = vault_of_label(skull, plane)
    voxels = np.argwhere(defect.mask())
    if not len(voxels):
        raise NoImplant("the defect has no voxel; look for the hole first")
    missing = defect.geometry.to_world(voxels[:, ::-1])
    side = side_of(missing, plane)
    require_side(side, None if patient is None else patient.facts.get("side"))
    progress(0.05, "laying the outside")
    ways = missing[:: max(1, len(missing) // 40_000)] - vault.centre_mm
    target = find_target(vault, ways / np.linalg.norm(ways, axis=1, keepdims=True))
    progress(0.3, "keeping clear of bone")
    # Half a cell more than the least thickness, so that cells lie deep enough everywhere.
    thinnest = minimum_mm + cell_mm / 2
    least = minimum_mm if thickness_mm is None else min(minimum_mm, thickness_mm - cell_mm / 2)
    grid = _grid(target, cell_mm)
    outer, inner, rim, hole = _limits(vault, target, grid, thickness_mm, thinnest)
    clear = rim - clearance_mm
    inside = np.minimum(np.minimum(outer, inner), clear)
    if bevel_mm:
        inside = np.minimum(inside, (outer + clear - bevel_mm) / np.float32(np.sqrt(2)))
    progress(0.6, "taking off what is too thin")
    inside = _strong(inside, hole, least, cell_mm)
    if perforation_mm:
        inside = _perforated(inside, perforation_mm / 2, perforation_spacing_mm, cell_mm)
    progress(0.8, "making the surface")
    body = _Body(inside, grid)
    mesh = _surface(body, skull.geometry.frame_uid)
    numbers = _numbers(mesh, body, target)
    return replace(mesh, numbers=numbers, findings=_findings(numbers, least, side))


def _grid(target: Target, cell_mm: float) -> ImageGeometry:
    """Return a grid around the hole whose third axis leads out of the head."""
    chart = target.chart
    near = ndimage.binary_dilation(target.hole, iterations=int(SLANT_MM + AROUND_MM))
    shown = near & ~np.isnan(target.outer_mm)
    ways, outer = chart.directions()[shown], target.outer_mm[shown]
    inner = np.minimum(target.inner_mm[shown], outer - 6.0)
    corners = np.concatenate([ways * outer[:, None], ways * inner[:, None]]) @ chart.axes.T
    low, high = corners.min(axis=0) - 3.0, corners.max(axis=0) + 3.0
    size = np.ceil((high - low) / cell_mm).astype(int) + 1
    origin = chart.centre_mm + low @ chart.axes
    return ImageGeometry(
        (int(size[0]), int(size[1]), int(size[2])),
        (cell_mm, cell_mm, cell_mm),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(chart.axes.T.ravel()),
        "",
    )


def _limits(
    vault: Vault, target: Target, grid: ImageGeometry, thickness_mm: float | None, thinnest: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32], Mask]:
    """Return distances in mm to the outside, the inside and bone on the way, and the hole."""
    k, j, i = np.indices(grid.shape)
    world = grid.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    ways = world - target.chart.centre_mm
    radius = np.linalg.norm(ways, axis=1)
    chart = target.chart
    known = ~np.isnan(target.outer_mm)
    index = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    top, low = target.outer_mm[tuple(index)], target.inner_mm[tuple(index)]
    # Along a ray the walls are farther than across; the slope says by how much.
    slope = np.gradient(top, chart.step)
    across = 1.0 / np.sqrt(1.0 + (slope[0] ** 2 + slope[1] ** 2) / top**2)
    place = chart.places(ways)

    def at(values: Floats) -> npt.NDArray[np.float32]:
        found = ndimage.map_coordinates(values, place, order=1, mode="nearest")
        return np.asarray(found.reshape(grid.shape), np.float32)

    distance = radius.reshape(grid.shape).astype(np.float32)
    outer = (at(top) - distance) * at(across)
    wall = np.maximum(at(top - low) * at(across), np.float32(thinnest))
    wall = wall if thickness_mm is None else np.full_like(wall, thickness_mm)
    hole: Mask = np.asarray(at(target.hole.astype(float)) > 0.5)
    cell = grid.spacing_mm[0]
    near = at(target.away_mm) < SLANT_MM
    bone = _bone(vault, target, world, distance, place)
    rim = ndimage.distance_transform_edt(~bone, sampling=cell).astype(np.float32) - cell / 2
    rim = np.where(bone, np.float32(-cell / 2), rim)
    rim = _from_voxels(vault, grid, world, rim)
    # What must pass a place on the way out must pass all that lie above it.
    rim = np.minimum.accumulate(rim[::-1], axis=0)[::-1]
    outer = np.where(near, outer, np.minimum(outer, np.float32(-cell)))
    return outer, wall - outer, rim, hole


def _bone(
    vault: Vault, target: Target, world: Floats, distance: npt.NDArray[np.float32], place: Floats
) -> Mask:
    """Return where bone is, its marrow filled."""
    index = vault.geometry.to_index(world)[:, ::-1].T
    seen = ndimage.map_coordinates(
        vault.mask.view(np.uint8), index, np.float32, order=1, prefilter=False
    )
    bone = (seen >= 0.5).reshape(distance.shape)
    there = ~np.isnan(target.bone.outer)
    filled = [np.where(there, values, 0.0) for values in (target.bone.outer, target.bone.inner)]
    nearest = np.rint(place).astype(int)
    nearest = np.clip(nearest, 0, 2 * target.chart.half)
    outer, inner = (values[tuple(nearest)].reshape(distance.shape) for values in filled)
    return np.asarray(bone | ((distance <= outer - 0.5) & (distance >= inner + 0.5)))


def _from_voxels(
    vault: Vault, grid: ImageGeometry, world: Floats, rim: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return distances to bone that are no more than those to the middles of its voxels.

    Spikes of single voxels are lost between the cells of a grid, but not so.
    """
    index = vault.geometry.to_index(grid.corners_mm())
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, vault.geometry.size)
    part = vault.mask[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    shell = part & ~ndimage.binary_erosion(part)
    voxels = vault.geometry.to_world(np.argwhere(shell)[:, ::-1] + low)
    near = np.flatnonzero((np.abs(rim) < 1.5 * grid.spacing_mm[0]).ravel())
    away = cKDTree(voxels).query(world[near])[0] - SPIKE_MM
    result = rim.copy().ravel()
    result[near] = np.minimum(result[near], away)
    return result.reshape(rim.shape)


def _strong(
    inside: npt.NDArray[np.float32], hole: Mask, least: float, cell_mm: float
) -> npt.NDArray[np.float32]:
    """Return the body without what is thinner than allowed, in one piece.

    Only what lies in a ball of the least thickness that fits into the body stays.
    """
    radius = least / 2
    pieces, count = ndimage.label(inside >= radius - cell_mm / 4)
    if not count:
        raise NoImplant(
            f"no part of the implant would be {least:g} mm thick; allow less, or less clearance"
        )
    sizes = np.bincount(pieces[hole & (pieces > 0)], minlength=count + 1)
    core = pieces == int(sizes.argmax())
    away = ndimage.distance_transform_edt(~core, sampling=cell_mm)
    return np.asarray(np.minimum(inside, (radius + cell_mm / 4 - away).astype(np.float32)))


def _perforated(
    inside: npt.NDArray[np.float32], radius: float, spacing: float, cell_mm: float
) -> npt.NDArray[np.float32]:
    """Return the body with round holes along its way in, on a lattice of triangles."""
    flat = (inside > 0).any(axis=0)
    deep = ndimage.distance_transform_edt(np.pad(flat, 1))[1:-1, 1:-1] * cell_mm
    b, a = np.indices(flat.shape) * cell_mm
    middle = [n * cell_mm / 2 for n in flat.shape]
    nearest = np.full(flat.shape, np.inf)
    row_mm = spacing * np.sqrt(3) / 2
    for row in range(-int(middle[0] // row_mm), int(middle[0] // row_mm) + 1):
        for column in range(-int(middle[1] // spacing) - 1, int(middle[1] // spacing) + 1):
            y = middle[0] + row * row_mm
            x = middle[1] + (column + (row % 2) / 2) * spacing
            cell = round(y / cell_mm), round(x / cell_mm)
            within = all(0 <= c < n for c, n in zip(cell, flat.shape))
            if within and deep[cell] >= FREE_MM + radius:
                nearest = np.minimum(nearest, np.hypot(b - y, a - x))
    return np.asarray(np.minimum(inside, (nearest - radius).astype(np.float32)))


def _surface(body: _Body, frame_uid: str) -> SurfaceMesh:
    """Return the closed surface of a body, LPS mm."""
    field = np.pad(-body.inside_mm, 1, constant_values=np.float32(body.grid.spacing_mm[0]))
    points, triangles = contour(field, Grid(np.full(3, -1.0), 1.0, field.shape))
    return SurfaceMesh(body.grid.to_world(points), triangles, frame_uid, "implant", COLOUR)


def ball_thickness_mm(mesh: SurfaceMesh, body: _Body) -> float:
    """Return the largest diameter of which balls inside a surface hold 99 % of it together.

    That is the least thickness of the body without its edges and corners, where no ball fits.
    """
    cell_mm = body.grid.spacing_mm[0]
    solid = body.inside_mm > 0
    cells = np.argwhere(solid)
    depth = np.zeros(solid.shape, np.float32)
    depth[solid] = NearestOnSurface(mesh)(body.grid.to_world(cells[:, ::-1])).distance_mm
    low, high = 0.0, float(depth.max())
    for _ in range(7):
        radius = (low + high) / 2
        away = ndimage.distance_transform_edt(depth < radius - cell_mm / 4, sampling=cell_mm)
        kept = float((away[solid] <= radius + cell_mm / 2).mean())
        low, high = (radius, high) if kept >= 0.99 else (low, radius)
    return 2 * low


def _numbers(mesh: SurfaceMesh, body: _Body, target: Target) -> tuple[Number, ...]:
    """Return the numbers of an implant's surface."""
    known = {number.quantity: number for number in measured(mesh).numbers}
    if "volume" not in known:
        raise NoImplant("the surface of the implant came out open; change cell_mm a little")
    thickness = ball_thickness_mm(mesh, body)
    cell_mm = body.grid.spacing_mm[0]
    way = target.chart.axes[2]
    return (
        *known.values(),
        Number(
            "thickness.minimum",
            thickness,
            "mm",
            "largest diameter of which balls inside hold 99 % of the body together",
            max(thickness - cell_mm, 0.0),
            thickness + cell_mm,
            plain=True,
        ),
        *(
            Number(f"removal.{axis}", float(value), "1", "unit direction out of the head, LPS")
            for axis, value in zip("xyz", way)
        ),
    )


def _findings(numbers: tuple[Number, ...], least: float, side: str) -> tuple[Finding, ...]:
    """Return what must be known of an implant."""
    known = {number.quantity: number.value for number in numbers}
    where = {"bilateral": "across the midline"}.get(side, f"for the patient's {side} side")
    found = [Finding(Severity.INFO, f"implant_{side}", f"the implant is made {where}")]
    if known["thickness.minimum"] < least - 0.05:
        text = f"the implant is {known['thickness.minimum']:.1f} mm thick at the least, where "
        text += f"{least:g} mm was asked for"
        found.append(Finding(Severity.WARNING, "thin_implant", text, remedy="make it thicker"))
    return tuple(found)
