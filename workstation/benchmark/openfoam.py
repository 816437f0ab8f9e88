"""Steady flow by processor time, ours and OpenFOAM's, where both are equally good.

In a straight tube that lies askew to the cells the error is that of wall shear in the middle half,
rms by the exact value. OpenFOAM's mesh is fixed; ours takes the coarsest cells of a list whose
error is no larger. In a sac each takes the coarsest of its cells whose mean speed and shear are,
as with all finer ones, within the limits of the verification from what OpenFOAM's meshes tend to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt

from hemodynamics.flow import simulate_flow
from hemodynamics.verification import sac_cases, sacs
from hemodynamics.verification.openfoam import Drive, require_openfoam, solve
from hemodynamics.verification.openfoam_case import Grid
from hemodynamics.verification.rows import CannotRun, Means
from hemodynamics.verification.shapes import tube
from meshing.mesh import SurfaceMesh
from workstation.benchmark.rows import Row

Floats = npt.NDArray[np.float64]

RADIUS_MM, LENGTH_MM, FLOW_ML_S, VISCOSITY_PA_S = 2.0, 12.0, 1.0, 0.0035
AXIS = (4.0, 2.0, 1.0)
GRID_MM = 0.35
CELLS = (4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0)
"""Cells across the radius, of ours."""

SACS: tuple[tuple[Callable[[Means], sacs.Sac], sacs.Figures], ...] = (
    (sac_cases.rounded, sacs.Figures(0.008255, 0.1013)),
)
"""Sacs and what three meshes of OpenFOAM tended to there, within 0.3 percent."""

SAC_GRIDS_MM = (0.22, 0.3, 0.4)
SAC_SPACINGS_MM = (0.2, 0.25, 0.3, 0.35)
"""Edges of OpenFOAM's cells, half as long at the sac, and of ours, fine to coarse."""

SETTLED = 1e-5
"""Residuals at which OpenFOAM's flow in a sac no longer changes in its third digit."""

TIMES = 3.0
"""How many times less processor time ours is to take."""


def beside_openfoam(peers: bool) -> list[Row]:
    """Measure steady flow beside OpenFOAM's; nothing without peers or OpenFOAM.

    The sac of a patient needs the data whose folder HILUM_DATA names.
    """
    if not peers:
        return []
    try:
        require_openfoam()
    except CannotRun:
        return []
    data = os.environ.get("HILUM_DATA")
    threads = numba.get_num_threads()
    numba.set_num_threads(1)  # as OpenFOAM runs; threads that wait take processor time too
    try:
        rows = [in_a_tube()]
        for make, known in SACS:
            try:
                sac = make(Means(Path(data) if data else None))
            except CannotRun:
                continue
            rows.append(in_a_sac(sac, known))
    finally:
        numba.set_num_threads(threads)
    return rows


def in_a_tube() -> Row:
    """Return the row of a straight tube."""
    lumen = tube(RADIUS_MM, LENGTH_MM, 0.3, AXIS)
    drive = Drive(FLOW_ML_S, {"outlet_1": 1.0}, VISCOSITY_PA_S)
    theirs = solve(lumen, Grid(GRID_MM), drive)
    bar = shear_error(theirs.wall_mm, theirs.wss_pa, theirs.wall_areas_mm2)
    error, ms, cells = ours(lumen, bar)
    taken = 1000.0 * (theirs.meshing_s + theirs.solving_s)
    what = (
        f"flow in a tube, processor time; shear off by {error:.1f} % in {cells:,} cells, "
        f"OpenFOAM by {bar:.1f} % in {len(theirs.cells_mm):,}"
    )
    return Row("flow beside OpenFOAM", what, ms, taken / TIMES, "OpenFOAM, mesh and flow", taken)


def in_a_sac(sac: sacs.Sac, known: sacs.Figures) -> Row:
    """Return the row of a sac whose mean speed and shear are ``known``.

    Raises:
        RuntimeError: if the finest cells of ours or of OpenFOAM's are not within the limits.
    """
    shares: dict[str, float] = {}

    def ours(spacing_mm: float) -> Try:
        before = time.process_time()
        flow = sacs.ours(sac, spacing_mm)
        ms = 1000.0 * (time.process_time() - before)
        shares.update(flow.conditions["outflow_shares"])
        return Try(sacs.figures_of_ours(sac, flow).off(known), ms, len(flow.cells_mm))

    def theirs(edge_mm: float) -> Try:
        flow = sacs.theirs(sac, shares, sac.grid(edge_mm, SETTLED))
        ms = 1000.0 * (flow.meshing_s + flow.solving_s)
        return Try(sacs.figures_of_theirs(sac, flow).off(known), ms, len(flow.cells_mm))

    mine, other = coarsest(ours, SAC_SPACINGS_MM), coarsest(theirs, SAC_GRIDS_MM)
    what = (
        f"flow in {sac.case}, processor time; off by {100 * mine.off:.0f} % of the limit in "
        f"{mine.cells:,} cells, OpenFOAM by {100 * other.off:.0f} % in {other.cells:,}"
    )
    return Row(
        "sac beside OpenFOAM", what, mine.ms, other.ms / TIMES, "OpenFOAM, mesh and flow", other.ms
    )


@dataclass(frozen=True)
class Try:
    """A flow: how far off by its limit, processor time (ms) and number of cells."""

    off: float
    ms: float
    cells: int


def coarsest(compute: Callable[[float], Try], edges_mm: Sequence[float]) -> Try:
    """Return the last flow, fine to coarse, before one that is not within its limit.

    Raises:
        RuntimeError: if the first is not.
    """
    best = None
    for edge in edges_mm:
        found = compute(edge)
        if found.off > 1.0:
            break
        best = found
    if best is None:
        raise RuntimeError(f"cells of {edges_mm[0]:g} mm are not within the limits of the sac")
    return best


def ours(lumen: SurfaceMesh, bar: float) -> tuple[float, float, int]:
    """Return error (percent), processor time (ms) and cells of the coarsest that meets a bar.

    Raises:
        RuntimeError: if none of the list does.
    """
    for cells in CELLS:
        before = time.process_time()
        flow = simulate_flow(
            lumen, mean_flow_ml_s=FLOW_ML_S, spacing_mm=RADIUS_MM / cells,
            viscosity_pa_s=VISCOSITY_PA_S,
        )  # fmt: skip
        ms = 1000.0 * (time.process_time() - before)
        wall = flow.wall
        error = shear_error(wall.points_mm, flow.wss_pa[0], np.ones(len(wall.points_mm)))
        if error <= bar:
            return error, ms, len(flow.cells_mm)
    raise RuntimeError(f"no cells of the list bring the error of shear below {bar:.2g} percent")


def shear_error(places_mm: Floats, wss_pa: npt.NDArray[np.floating], areas_mm2: Floats) -> float:
    """Return the error of shear (n, 3) at places of the tube's wall, in percent."""
    along = np.array(AXIS) / np.linalg.norm(AXIS)
    exact = 4 * VISCOSITY_PA_S * FLOW_ML_S * 1e-6 / (np.pi * (RADIUS_MM * 1e-3) ** 3)
    middle = np.abs(places_mm @ along) < LENGTH_MM / 4
    off = ((wss_pa[middle] - exact * along) ** 2).sum(axis=1)
    return 100.0 * float(np.sqrt(np.average(off, weights=areas_mm2[middle]))) / exact
