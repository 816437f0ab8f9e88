"""Steady flow by processor time, ours and OpenFOAM's, where both are as far from the exact one.

Both compute flow in a straight tube that lies askew to the cells, from its surface. The error is
that of wall shear in the middle half, rms by the exact value. OpenFOAM's mesh is fixed; ours takes
the coarsest cells of a list whose error is no larger.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from hemodynamics.flow import simulate_flow
from hemodynamics.verification.openfoam import Drive, require_openfoam, solve
from hemodynamics.verification.openfoam_case import Grid
from hemodynamics.verification.rows import CannotRun
from hemodynamics.verification.shapes import tube
from meshing.mesh import SurfaceMesh
from workstation.benchmark.rows import Row

Floats = npt.NDArray[np.float64]

RADIUS_MM, LENGTH_MM, FLOW_ML_S, VISCOSITY_PA_S = 2.0, 12.0, 1.0, 0.0035
AXIS = (4.0, 2.0, 1.0)
GRID_MM = 0.35
CELLS = (4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0)
"""Cells across the radius, of ours."""

TIMES = 3.0
"""How many times less processor time ours is to take."""


def beside_openfoam(peers: bool) -> list[Row]:
    """Measure steady flow in a tube beside OpenFOAM; nothing without peers or OpenFOAM."""
    if not peers:
        return []
    try:
        require_openfoam()
    except CannotRun:
        return []
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
    return [Row("flow beside OpenFOAM", what, ms, taken / TIMES, "OpenFOAM, mesh and flow", taken)]


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
