"""A region that blood seeps through: coils in a sac, or the mesh of a flow diverter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics.solver import Drag
from meshing.distance_fields import winding
from meshing.integrals import area_of, volume_of
from meshing.mesh import SurfaceMesh, require_watertight
from meshing.nearest import NearestOnSurface
from meshing.thickness import thickness_map
from segmentation.contract import Finding, FrameMismatch, Number, Progress, silent

Floats = npt.NDArray[np.float64]

CELLS_THICK = 2.0
"""Cells that a region counts as thick at the least: the diagonal of a cell is 1.73."""


@dataclass(frozen=True, eq=False)
class PorousRegion:
    """A closed region that resists the flow by Darcy's and Forchheimer's law.

    The pressure gradient along the flow is viscosity / permeability times the speed, and half
    of density times the inertial coefficient times the square of the speed.

    Attributes:
        surface: its closed boundary, LPS mm.
        permeability_m2: Darcy's; small where little gets through.
        inertial_1_m: Forchheimer's coefficient; 0 where only viscosity counts.
        source: where the two come from, such as a packing density and a wire.
    """

    surface: SurfaceMesh
    permeability_m2: float
    inertial_1_m: float = 0.0
    source: str = ""
    name: str = ""
    findings: tuple[Finding, ...] = field(default=())
    numbers: tuple[Number, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0.0 < self.permeability_m2 < np.inf or not 0.0 <= self.inertial_1_m < np.inf:
            raise ValueError(
                f"a permeability of {self.permeability_m2:g} m2 with an inertial coefficient of "
                f"{self.inertial_1_m:g} 1/m is no porous region; the first must be above zero and "
                "the second not below"
            )
        require_watertight(self.surface)

    @property
    def frame_uid(self) -> str:
        """The DICOM frame of reference."""
        return self.surface.frame_uid


def inside(
    region: PorousRegion, cells_mm: Floats, spacing_mm: float, progress: Progress = silent
) -> npt.NDArray[np.bool_]:
    """Return which cells of a lumen (centres (n, 3) on a lattice, LPS mm) lie in a region."""
    points = (region.surface.points_mm - cells_mm[0]) / spacing_mm
    first = np.floor(points.min(axis=0)).astype(int) - 1
    i, j, k = (int(n) for n in np.ceil(points.max(axis=0)).astype(int) + 2 - first)
    whole = winding(points - first, region.surface.triangles, (k, j, i), progress) > 0.5
    index = np.rint((cells_mm - cells_mm[0]) / spacing_mm).astype(int) - first
    within = ((index >= 0) & (index < (i, j, k))).all(axis=1)
    found = np.zeros(len(cells_mm), np.bool_)
    found[within] = whole[tuple(index[within][:, ::-1].T)]
    return found


def thickness_mm(region: PorousRegion) -> float:
    """Return how thick a region is in mm: the diameter of the largest ball that it holds."""
    return float(thickness_map(region.surface).point_data["thickness_mm"].max())


def drag_of(
    region: PorousRegion,
    cells_mm: Floats,
    spacing_mm: float,
    step_s: float,
    nu_mm2_s: float,
    progress: Progress = silent,
) -> Drag:
    """Return what slows each cell of a lattice, in its units; nothing outside of the region.

    Blood would pass between the cells of a region thinner than `CELLS_THICK` of them, so it
    counts as that thick, and resists less in each place: the pressure that it costs is the same.
    """
    mine = inside(region, cells_mm, spacing_mm, progress)
    whole_mm, weaker = CELLS_THICK * spacing_mm, 1.0
    thick_mm = whole_mm if _bulky(region, whole_mm) else thickness_mm(region)
    if thick_mm < whole_mm:
        near = _within(region, cells_mm, 0.5 * (whole_mm - thick_mm))
        mine, weaker = mine | near, thick_mm / whole_mm
    share = weaker * mine.astype(np.float64)
    linear = nu_mm2_s * step_s / (1e6 * region.permeability_m2)
    return Drag(linear * share, 0.5e-3 * region.inertial_1_m * spacing_mm * share)


def _bulky(region: PorousRegion, than_mm: float) -> bool:
    """Return whether volume and area say already that a region is as thick as that."""
    surface = (region.surface.points_mm, region.surface.triangles)
    return bool(2.0 * volume_of(*surface) >= than_mm * area_of(*surface))


def _within(region: PorousRegion, cells_mm: Floats, reach_mm: float) -> npt.NDArray[np.bool_]:
    """Return which cells lie no farther from the surface of a region than that."""
    points = region.surface.points_mm
    low, high = points.min(axis=0) - reach_mm, points.max(axis=0) + reach_mm
    around = np.flatnonzero(((cells_mm >= low) & (cells_mm <= high)).all(axis=1))
    found = np.zeros(len(cells_mm), np.bool_)
    if len(around):
        away = NearestOnSurface(region.surface)(cells_mm[around]).distance_mm
        found[around] = away <= reach_mm
    return found


def require_same_frame(region: PorousRegion, lumen: SurfaceMesh) -> None:
    """Raise unless a region and a lumen live in one frame.

    Raises:
        FrameMismatch: naming both frames.
    """
    if region.frame_uid != lumen.frame_uid:
        raise FrameMismatch(
            f"the porous region lies in frame {region.frame_uid!r} and the lumen in "
            f"{lumen.frame_uid!r}; make both from the same image"
        )


def to_record(region: PorousRegion) -> dict[str, Any]:
    """Return what of a region is not its surface, as plain JSON."""
    return {
        "permeability_m2": region.permeability_m2,
        "inertial_1_m": region.inertial_1_m,
        "source": region.source,
        "name": region.name,
    }


def from_record(record: Mapping[str, Any], surface: SurfaceMesh, **notes: Any) -> PorousRegion:
    """Return the region whose record and surface those are; ``notes`` are findings and numbers."""
    fields = ("permeability_m2", "inertial_1_m", "source", "name")
    return PorousRegion(surface, **{name: record[name] for name in fields}, **notes)
