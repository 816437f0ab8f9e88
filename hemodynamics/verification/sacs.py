"""Steady flow in lumens with a sac: ours beside OpenFOAM's on three meshes, finer at the sac.

What is compared is what a plan shows: the mean speed in the sac and the mean shear on its wall.
The reference is extrapolated from the meshes by the order that they show, with its uncertainty
(Celik et al., Procedure for estimation and reporting of uncertainty due to discretization in CFD
applications, Journal of Fluids Engineering 130, 2008). So are our own figures: where both tend to
the same, what parts them is the fineness of cells and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from hemodynamics.level_error import ORDERS, order_of
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

SOURCE = "OpenFOAM 1912, simpleFoam, extrapolated from three meshes"

SAFETY = 1.25
"""By how much an uncertainty exceeds the step to the extrapolated value, for three meshes."""

AROUND = 1.3
"""Radius of the ball of finer cells around a sac, by that of the sac, where none is given."""


@dataclass(frozen=True)
class Figures:
    """Mean speed in a sac (m/s) and mean shear on its wall (Pa)."""

    speed_m_s: float
    shear_pa: float

    def off(self, known: Figures) -> float:
        """Return how far they lie off what is known, by their limits: 1 is just within."""
        speed = abs(self.speed_m_s / known.speed_m_s - 1.0) / SPEED_LIMIT
        return max(speed, abs(self.shear_pa / known.shear_pa - 1.0) / SHEAR_LIMIT)


@dataclass(frozen=True)
class Sac:
    """A lumen with a sac.

    Attributes:
        name: of the check.
        case: in words.
        lumen: closed, with named ends.
        flow_ml_s: through the inlet.
        depth_mm: of LPS mm points (n, 3) of the lumen or its wall in the sac; negative outside.
        spacings_mm: edges of our cells, coarse to fine; the last is held to the limits, and so is
            what all three tend to.
        grids_mm: edges of OpenFOAM's cells, coarse to fine.
        finer: whether their cells have half that edge at the sac.
        around: radius of the ball in which they have, by that of the sac.
    """

    name: str
    case: str
    lumen: SurfaceMesh
    flow_ml_s: float
    depth_mm: Callable[[Floats], Floats]
    spacings_mm: tuple[float, float, float]
    grids_mm: tuple[float, float, float]
    finer: bool = True
    around: float = AROUND

    def grid(self, cell_mm: float, settled: float = 1e-6) -> Grid:
        """Return a mesh of OpenFOAM."""
        if not self.finer:
            return Grid(cell_mm, None, settled)
        points = self.lumen.points_mm[self.depth_mm(self.lumen.points_mm) > 0.0]
        centre = (points.min(axis=0) + points.max(axis=0)) / 2.0
        reach = float(np.linalg.norm(points - centre, axis=1).max())
        x, y, z = centre.tolist()
        return Grid(cell_mm, ((x, y, z), self.around * reach), settled)

    def share(self, points_mm: Floats, sizes_mm: Floats) -> Floats:
        """Return how much of each cell or face lies in the sac, 0 to 1.

        Flow fades fast behind a neck, so a sac that ended between cells would be another one for
        each mesh.
        """
        return np.asarray(np.clip(self.depth_mm(points_mm) / sizes_mm + 0.5, 0.0, 1.0))


def ours(sac: Sac, spacing_mm: float, progress: Progress = silent) -> FlowResult:
    """Return our flow in it."""
    return simulate_flow(
        sac.lumen, mean_flow_ml_s=sac.flow_ml_s, spacing_mm=spacing_mm,
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
    sac: Sac, shares: dict[str, float], grid: Grid, progress: Progress = silent
) -> openfoam.Solution:
    """Return OpenFOAM's flow in it, with the same split between outlets."""
    drive = openfoam.Drive(sac.flow_ml_s, shares, VISCOSITY_PA_S)
    return openfoam.solve(sac.lumen, grid, drive, progress)


def figures_of_theirs(sac: Sac, flow: openfoam.Solution) -> Figures:
    """Return the figures of OpenFOAM's flow."""
    volumes, areas = flow.volumes_mm3, flow.wall_areas_mm2
    speed = np.linalg.norm(flow.velocity_m_s, axis=1)
    shear = np.linalg.norm(flow.wss_pa, axis=1)
    return Figures(
        float(np.average(speed, weights=volumes * sac.share(flow.cells_mm, np.cbrt(volumes)))),
        float(np.average(shear, weights=areas * sac.share(flow.wall_mm, np.sqrt(areas)))),
    )


@dataclass(frozen=True)
class Limit:
    """What a quantity tends to with finer cells, give or take the uncertainty, and its order."""

    value: float
    uncertainty: float
    order: float


def extrapolated(values: Sequence[float], cells: Sequence[int]) -> Limit:
    """Return what values from three meshes, coarse to fine, of so many cells tend to."""
    coarse, middle, fine = values
    first, second = middle - coarse, fine - middle
    ratio = (cells[2] / cells[1]) ** (1 / 3)
    order = ORDERS[0]
    if first * second > 0.0:
        order = order_of(first / second, ratio, (cells[1] / cells[0]) ** (1 / 3))
    step = second / (ratio**order - 1.0)
    return Limit(fine + step, SAFETY * abs(step), order)


def beside_openfoam(make: Callable[[Means], Sac]) -> Callable[[Means], Iterator[Row]]:
    """Return the check of a sac."""

    def run(means: Means) -> Iterator[Row]:
        openfoam.require_openfoam()
        yield from compare(make(means), means.progress)

    return run


def compare(sac: Sac, progress: Progress = silent) -> Iterator[Row]:
    """Yield our speed and shear beside OpenFOAM's, and how certain its own are."""
    parts = len(sac.spacings_mm) + len(sac.grids_mm)
    flows = [
        ours(sac, spacing, share(progress, n, parts)) for n, spacing in enumerate(sac.spacings_mm)
    ]
    found = [figures_of_ours(sac, flow) for flow in flows]
    shares = dict(flows[-1].conditions["outflow_shares"])
    solutions = [
        theirs(sac, shares, sac.grid(cell), share(progress, n, parts))
        for n, cell in enumerate(sac.grids_mm, len(flows))
    ]
    figures = [figures_of_theirs(sac, solution) for solution in solutions]
    # The meshes that were made count, layers and all, not those that were asked for.
    cells = [len(solution.cells_mm) for solution in solutions]
    quantities = (
        ("mean speed in the sac", "m/s", "speed_m_s", SPEED_LIMIT),
        ("mean shear on the sac", "Pa", "shear_pa", SHEAR_LIMIT),
    )
    for quantity, unit, key, limit in quantities:
        mine = Series([getattr(one, key) for one in found], [len(f.cells_mm) for f in flows])
        other = Series([getattr(one, key) for one in figures], cells)
        yield from _rows(sac, quantity, unit, limit, mine, other)


@dataclass(frozen=True)
class Series:
    """A figure from three meshes, coarse to fine, and how many cells they have."""

    values: Sequence[float]
    cells: Sequence[int]

    def off(self, known: float) -> str:
        """Return in words how far each lies off what is known."""
        return ", ".join(
            f"{100 * (value / known - 1):+.1f} % with {count:,} cells"
            for value, count in zip(self.values, self.cells)
        )


def _rows(
    sac: Sac, quantity: str, unit: str, limit: float, mine: Series, other: Series
) -> Iterator[Row]:
    """Yield the rows of a quantity."""
    reference = extrapolated(other.values, other.cells)
    tends = extrapolated(mine.values, mine.cells)
    known, doubt = reference.value, 100 * reference.uncertainty / reference.value
    yield Row(
        sac.name, sac.case, quantity, mine.values[-1], known, unit, limit * known, SOURCE,
        note=f"{mine.off(known)}; OpenFOAM {other.off(known)}",
    )  # fmt: skip
    yield Row(
        sac.name, sac.case, f"{quantity}: what ours tends to", tends.value, known, unit,
        limit * known, SOURCE,
        note=f"order {tends.order:.1f}, give or take {100 * tends.uncertainty / known:.1f} %",
    )  # fmt: skip
    yield Row(
        sac.name, sac.case, f"{quantity}: uncertainty of the reference", doubt, 0.0, "%",
        100 * limit, SOURCE, note=f"order {reference.order:.1f}",
    )  # fmt: skip
