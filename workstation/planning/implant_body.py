"""The body of a cranial implant: thick enough, clear of the bone, and free to be put in.

It is the zero level of a distance on a grid whose third axis is the direction from which the
implant is put in. Along that axis the clearance to bone is the least one that is met on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, Lt
from scipy import ndimage

from meshing.distance_fields import Grid, contour
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, measured
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, ImageGeometry, LabelMap
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import require_side, side_of, vault_of_label
from workstation.planning.cranioplasty_insertion import WayIn, best_way
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import Target, Vault, find_target
from workstation.planning.implant_body_limits import Limits, find_limits, grid_along
from workstation.planning.implant_body_tabs import (
    Pattern,
    Perforations,
    Tabbed,
    Tabs,
    perforated,
    tabbed,
)

COLOUR = (0x7F, 0xB8, 0xD8)


class NoImplant(ValueError):
    """No body is left within the limits that were set."""


@dataclass(frozen=True, eq=False)
class _Body:
    """Distances in mm on a grid, positive inside the implant, [k, j, i]."""

    inside_mm: npt.NDArray[np.float32]
    grid: ImageGeometry
    limits: Limits


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
    perforation_rim_mm: Annotated[float, Ge(1), Le(30)] = 6.0,
    perforation_pattern: Pattern = "triangles",
    tabs: Annotated[int, Ge(0), Le(12)] = 0,
    tab_reach_mm: Annotated[float, Ge(4), Le(16)] = 10.0,
    tab_width_mm: Annotated[float, Ge(4), Le(16)] = 8.0,
    tab_thickness_mm: Annotated[float, Ge(0.5), Le(6)] | None = None,
    tab_turn_degrees: Annotated[float, Ge(0), Lt(360)] = 0.0,
    screw_mm: Annotated[float, Ge(0), Le(4)] = 2.0,
    cell_mm: Annotated[float, Gt(0.2), Le(2)] = 0.8,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make the body of a cranial implant for a hole in the skull.

    The outside is that of the missing bone. The direction of insertion is the one along which the
    least of it lies behind bone. The body keeps the clearance to bone all the way along which it
    is put in, so that it goes in without touching, and parts thinner than allowed are taken off.

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
        perforation_rim_mm: between holes and the edge of the implant.
        perforation_pattern: the lattice on which the holes lie.
        tabs: how many fixation tabs lie on the bone around the implant.
        tab_reach_mm: how far a tab reaches over the edge.
        tab_width_mm: of a tab.
        tab_thickness_mm: of a tab; empty takes the least thickness allowed.
        tab_turn_degrees: by how much of the edge the first tab is set on from the top.
        screw_mm: diameter of the bore in each tab; 0 makes none.
        cell_mm: of the grid on which the implant is made.
        progress: told how far the work is.

    Raises:
        NoImplant: if nothing is left within these limits.
        NoDefect: if the defect is empty or hardly any bone is left around it.
        WrongSide: if the implant lies on another side than was declared.
        ValueError: if perforations or tabs leave less than the least thickness between them.
    """
    holes = Perforations(
        perforation_mm, perforation_spacing_mm, perforation_rim_mm, perforation_pattern
    )
    thick = minimum_mm if tab_thickness_mm is None else tab_thickness_mm
    held = Tabs(tabs, tab_reach_mm, tab_width_mm, thick, screw_mm, tab_turn_degrees)
    _require_room(holes, held, minimum_mm)
    vault = vault_of_label(skull, plane)
    missing = _places(defect)
    side = side_of(missing, plane)
    require_side(side, None if patient is None else patient.facts.get("side"))
    progress(0.05, "laying the outside")
    target = _target(vault, defect, missing)
    progress(0.3, "keeping clear of bone")
    size = _Size(thickness_mm, minimum_mm, clearance_mm, bevel_mm, cell_mm)
    way = best_way(target)
    body = _body(vault, target, way, size)
    if perforation_mm:
        body = replace(body, inside_mm=perforated(body.inside_mm, holes, cell_mm))
    progress(0.7, "making tabs" if tabs else "making the surface")
    body, fixed = _held(body, target, size, held)
    mesh = _surface(body, skull.geometry.frame_uid)
    numbers = (*_numbers(mesh, body, way), *_tab_numbers(fixed))
    found = _findings(numbers, size.least, side)
    return replace(mesh, numbers=numbers, findings=(*found, *_tab_findings(fixed, tabs)))


@dataclass(frozen=True)
class _Size:
    """How thick a body is, how it keeps clear, and the cells it is made on; mm."""

    thickness_mm: float | None
    minimum_mm: float
    clearance_mm: float
    bevel_mm: float
    cell_mm: float

    @property
    def least(self) -> float:
        """The least thickness that is kept."""
        if self.thickness_mm is None:
            return self.minimum_mm
        return min(self.minimum_mm, self.thickness_mm - self.cell_mm / 2)


def _require_room(holes: Perforations, tabs: Tabs, minimum_mm: float) -> None:
    """Raise unless what is left between openings is as thick as the least thickness."""
    if holes.diameter_mm and holes.spacing_mm < holes.diameter_mm + minimum_mm:
        raise ValueError(
            f"perforations of {holes.diameter_mm:g} mm need {holes.diameter_mm + minimum_mm:g} mm "
            "or more from middle to middle; widen perforation_spacing_mm"
        )
    if not tabs.count:
        return
    if tabs.thickness_mm < minimum_mm:
        raise ValueError(
            f"tabs of {tabs.thickness_mm:g} mm are thinner than minimum_mm ({minimum_mm:g} mm); "
            "raise tab_thickness_mm"
        )
    if tabs.width_mm < tabs.screw_mm + 2 * minimum_mm:
        raise ValueError(
            f"a bore of {tabs.screw_mm:g} mm needs a tab {tabs.screw_mm + 2 * minimum_mm:g} mm "
            "wide or more; raise tab_width_mm"
        )
    if tabs.reach_mm < tabs.width_mm:
        raise ValueError("a tab must reach at least as far as it is wide; raise tab_reach_mm")


def _places(defect: LabelMap) -> Floats:
    """Return the LPS mm points (n, 3) of the missing bone."""
    voxels = np.argwhere(defect.mask())
    if not len(voxels):
        raise NoImplant("the defect has no voxel; look for the hole first")
    return defect.geometry.to_world(voxels[:, ::-1])


def _target(vault: Vault, defect: LabelMap, missing: Floats) -> Target:
    """Return the surfaces of the missing bone, made in the way that the defect was."""
    ways = missing[:: max(1, len(missing) // 40_000)] - vault.centre_mm
    smooth = any(finding.code == "target_smooth" for finding in defect.findings)
    units = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return find_target(vault, units, "smooth" if smooth else "auto")


def _body(vault: Vault, target: Target, way: WayIn, size: _Size) -> _Body:
    """Return the body without openings and tabs."""
    grid = grid_along(target, way.axes, size.cell_mm)
    # Half a cell more than the least thickness, so that cells lie deep enough everywhere.
    thinnest = size.minimum_mm + size.cell_mm / 2
    limits = find_limits(vault, target, grid, size.thickness_mm, thinnest)
    clear = limits.rim - np.float32(size.clearance_mm)
    inside = np.minimum(np.minimum(limits.outer, limits.inner), clear)
    if size.bevel_mm:
        slanted = (limits.outer + clear - size.bevel_mm) / np.float32(np.sqrt(2))
        inside = np.minimum(inside, slanted)
    return _Body(_strong(inside, limits.hole, size.least, size.cell_mm), grid, limits)


def _held(body: _Body, target: Target, size: _Size, tabs: Tabs) -> tuple[_Body, Tabbed | None]:
    """Return the body with its tabs."""
    if not tabs.count:
        return body, None
    fixed = tabbed(body.inside_mm, body.limits, target, body.grid, tabs, size.clearance_mm)
    return replace(body, inside_mm=fixed.inside_mm), fixed


def _tab_numbers(fixed: Tabbed | None) -> tuple[Number, ...]:
    if fixed is None or not len(fixed.bone_mm):
        return ()
    source = "between the walls of the bone under the bores, along rays from the middle"
    least = float(fixed.bone_mm.min())
    return (
        Number("tabs", float(len(fixed.bone_mm)), "1", "tabs that lie on bone"),
        Number("tabs.bone_least", least, "mm", f"{source}; the least"),
    )


def _tab_findings(fixed: Tabbed | None, wanted: int) -> tuple[Finding, ...]:
    if fixed is None or not fixed.without:
        return ()
    text = f"{fixed.without} of {wanted} tabs found no bone to hold on to and were left out"
    remedy = "turn them with implant.tab_turn_degrees, or let them reach farther"
    return (Finding(Severity.WARNING, "tab_without_bone", text, remedy=remedy),)


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
    away, nearest = ndimage.distance_transform_edt(~core, sampling=cell_mm, return_indices=True)
    ball = inside[tuple(nearest)] + np.float32(cell_mm / 2) - away.astype(np.float32)
    return np.asarray(np.minimum(inside, ball))


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


def _numbers(mesh: SurfaceMesh, body: _Body, way: WayIn) -> tuple[Number, ...]:
    """Return the numbers of an implant's surface."""
    known = {number.quantity: number for number in measured(mesh).numbers}
    if "volume" not in known:
        raise NoImplant("the surface of the implant came out open; change cell_mm a little")
    thickness = ball_thickness_mm(mesh, body)
    cell_mm = body.grid.spacing_mm[0]
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
            for axis, value in zip("xyz", way.axes[2])
        ),
        Number(
            "behind",
            100 * way.behind,
            "%",
            "of the missing bone that lies behind other bone "
            "on the way in; the least of 33 directions",
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
