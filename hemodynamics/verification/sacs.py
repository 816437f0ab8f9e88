"""Steady flow in lumens with a sac: ours beside OpenFOAM's on two meshes.

What is compared is what a plan shows: the mean speed in the sac and the mean shear on its wall.
The reference is extrapolated from both meshes, by Richardson's rule for a method of second order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from hemodynamics.verification import openfoam
from hemodynamics.verification.openfoam_case import Grid
from hemodynamics.verification.rows import Means, Row
from meshing.comparison import point_areas_mm2
from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress, share, silent

Floats = npt.NDArray[np.float64]

VISCOSITY_PA_S = 0.0035
SPEED_LIMIT, SHEAR_LIMIT = 0.03, 0.05
"""By how much sac speed and sac shear may differ from the reference, as shares of it."""

SOURCE = "OpenFOAM 1912, simpleFoam, extrapolated from two meshes"


@dataclass(frozen=True)
class Sac:
    """A lumen with a sac.

    Attributes:
        name: of the check.
        case: in words.
        lumen: closed, with named ends.
        flow_ml_s: through the inlet.
        depth_mm: of LPS mm points (n, 3) of the lumen or its wall in the sac; negative outside.
        spacing_mm: edge of our cells.
        grids_mm: edges of OpenFOAM's cells, coarse and fine.
    """

    name: str
    case: str
    lumen: SurfaceMesh
    flow_ml_s: float
    depth_mm: Callable[[Floats], Floats]
    spacing_mm: float
    grids_mm: tuple[float, float]

    def share(self, points_mm: Floats, sizes_mm: Floats) -> Floats:
        """Return how much of each cell or face lies in the sac, 0 to 1.

        Flow fades fast behind a neck, so a sac that ended between cells would be another one for
        each mesh.
        """
        return np.asarray(np.clip(self.depth_mm(points_mm) / sizes_mm + 0.5, 0.0, 1.0))


@dataclass(frozen=True)
class Figures:
    """Mean speed in a sac (m/s) and mean shear on its wall (Pa)."""

    speed_m_s: float
    shear_pa: float


def ours(sac: Sac, progress: Progress = silent) -> FlowResult:
    """Return our flow in it."""
    return simulate_flow(
        sac.lumen, mean_flow_ml_s=sac.flow_ml_s, spacing_mm=sac.spacing_mm,
        viscosity_pa_s=VISCOSITY_PA_S, most_exchanges=30.0, progress=progress,
    )  # fmt: skip


def figures_of_ours(sac: Sac, flow: FlowResult) -> Figures:
    """Return the figures of our flow."""
    sizes = np.full(len(flow.cells_mm), flow.spacing_mm)
    speed = np.linalg.norm(flow.velocity_m_s[0].astype(float), axis=1)
    areas, points = point_areas_mm2(flow.wall), flow.wall.points_mm
    shear = flow.wall.point_data["tawss_pa"]
    return Figures(
        float(np.average(speed, weights=sac.share(flow.cells_mm, sizes))),
        float(np.average(shear, weights=areas * sac.share(points, np.sqrt(areas)))),
    )


def theirs(
    sac: Sac, shares: dict[str, float], grid_mm: float, progress: Progress = silent
) -> openfoam.Solution:
    """Return OpenFOAM's flow in it, with the same split between outlets."""
    drive = openfoam.Drive(sac.flow_ml_s, shares, VISCOSITY_PA_S)
    return openfoam.solve(sac.lumen, Grid(grid_mm), drive, progress)


def figures_of_theirs(sac: Sac, flow: openfoam.Solution) -> Figures:
    """Return the figures of OpenFOAM's flow."""
    volumes, areas = flow.volumes_mm3, flow.wall_areas_mm2
    speed = np.linalg.norm(flow.velocity_m_s, axis=1)
    shear = np.linalg.norm(flow.wss_pa, axis=1)
    return Figures(
        float(np.average(speed, weights=volumes * sac.share(flow.cells_mm, np.cbrt(volumes)))),
        float(np.average(shear, weights=areas * sac.share(flow.wall_mm, np.sqrt(areas)))),
    )


def extrapolated(coarse: float, fine: float, ratio: float) -> float:
    """Return what a method of second order tends to, from cells finer by ``ratio`` above 1."""
    return fine + (fine - coarse) / (ratio**2 - 1.0)


def beside_openfoam(make: Callable[[Means], Sac]) -> Callable[[Means], Iterator[Row]]:
    """Return the check of a sac."""

    def run(means: Means) -> Iterator[Row]:
        openfoam.require_openfoam()
        yield from compare(make(means), means.progress)

    return run


def compare(sac: Sac, progress: Progress = silent) -> Iterator[Row]:
    """Yield our speed and shear beside OpenFOAM's, and how far its meshes differ."""
    flow = ours(sac, share(progress, 0, 3))
    found = figures_of_ours(sac, flow)
    shares = dict(flow.conditions["outflow_shares"])
    solutions = [
        theirs(sac, shares, grid, share(progress, n, 3)) for n, grid in enumerate(sac.grids_mm, 1)
    ]
    coarse, fine = (figures_of_theirs(sac, solution) for solution in solutions)
    # The mesh that was made counts, layers and all, not the one that was asked for.
    ratio = (len(solutions[1].cells_mm) / len(solutions[0].cells_mm)) ** (1 / 3)
    quantities = (
        ("mean speed in the sac", "m/s", "speed_m_s", SPEED_LIMIT),
        ("mean shear on the sac", "Pa", "shear_pa", SHEAR_LIMIT),
    )
    counts = " and ".join(f"{len(solution.cells_mm):,}" for solution in solutions)
    note = f"{len(flow.cells_mm):,} cells of ours, {counts} of OpenFOAM"
    for quantity, unit, key, limit in quantities:
        low, high = getattr(coarse, key), getattr(fine, key)
        reference = extrapolated(low, high, ratio)
        value = getattr(found, key)
        yield Row(
            sac.name, sac.case, quantity, value, reference, unit, limit * reference, SOURCE,
            note=note,
        )  # fmt: skip
        change = 100 * abs(high / reference - 1.0)
        yield Row(
            sac.name, sac.case, f"{quantity}: OpenFOAM's finer mesh off the extrapolated", change,
            0.0, "%", 100 * limit, SOURCE,
        )  # fmt: skip
