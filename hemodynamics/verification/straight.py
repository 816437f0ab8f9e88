"""Flow in straight round tubes that lie askew to the cells, steady and pulsatile.

The exact solutions are those of Hagen and Poiseuille and of Womersley (J Physiol 1955;127:553).
Everything is computed by `simulate_flow`, from a surface, as for a patient. Errors are those of
the middle half of a tube: rms of the difference by rms of the exact values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import jv

from hemodynamics.boundary import pulse
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import tube
from hemodynamics.vessel_flow import DENSITY_KG_M3
from segmentation.contract import Progress, share, silent

Floats = npt.NDArray[np.float64]
Axis = tuple[float, float, float]

RADIUS_MM, LENGTH_MM, FLOW_ML_S, VISCOSITY_PA_S, PERIOD_S = 2.0, 6.0, 1.0, 0.0035, 0.5
AXES: dict[str, Axis] = {"straight": (1.0, 0.0, 0.0), "askew": (4.0, 2.0, 1.0)}
CELLS = 10.0
"""Cells across the radius."""

POISEUILLE, WOMERSLEY = "Hagen-Poiseuille law", "Womersley 1955, doi:10.1113/jphysiol.1955.sp005276"


def poiseuille(means: Means) -> Iterator[Row]:
    """Yield errors of steady flow: velocity, wall shear, pressure and mass."""
    for n, (words, axis) in enumerate(AXES.items()):
        case = f"tube {words}, radius {CELLS:g} cells"
        flow = flow_in_tube(axis, CELLS, "steady", share(means.progress, n, len(AXES)))
        found = errors(flow, axis)
        yield _row("poiseuille", case, "velocity, rms error", found["velocity"], 1.0)
        yield _row("poiseuille", case, "wall shear, rms error", found["shear"], 2.0)
        gradient = 100 * abs(pressure_gradient(flow, axis) - 1.0)
        yield _row("poiseuille", case, "pressure gradient, error", gradient, 1.0)
        yield _row("poiseuille", case, "mass that is missing", _imbalance(flow), 0.1)


def womersley(means: Means) -> Iterator[Row]:
    """Yield errors of pulsatile flow: velocity, wall shear and mass."""
    axis = AXES["askew"]
    case = f"tube askew, radius {CELLS:g} cells, second cycle"
    flow = flow_in_tube(axis, CELLS, "pulsatile", means.progress)
    found = errors(flow, axis)
    yield _row("womersley", case, "velocity, rms error", found["velocity"], 1.0)
    yield _row("womersley", case, "wall shear, rms error", found["shear"], 2.0)
    yield _row("womersley", case, "mass that is missing", _imbalance(flow), 0.1)
    alpha = next(n.value for n in flow.numbers if n.quantity == "womersley")
    exact = RADIUS_MM * 1e-3 * np.sqrt(2 * np.pi / PERIOD_S * DENSITY_KG_M3 / VISCOSITY_PA_S)
    yield Row("womersley", case, "Womersley number", alpha, float(exact), "", 0.005, WOMERSLEY)


def flow_in_tube(
    axis: Axis,
    cells: float,
    kind: Literal["steady", "pulsatile"],
    progress: Progress = silent,
    cycles: int = 2,
) -> FlowResult:
    """Return the flow in a tube along ``axis`` whose radius has so many cells."""
    return simulate_flow(
        tube(RADIUS_MM, LENGTH_MM, 0.25, axis), kind=kind, mean_flow_ml_s=FLOW_ML_S,
        spacing_mm=RADIUS_MM / cells, viscosity_pa_s=VISCOSITY_PA_S, period_s=PERIOD_S,
        cycles=cycles, progress=progress,
    )  # fmt: skip


def errors(flow: FlowResult, axis: Axis) -> dict[str, float]:
    """Return the errors of velocity and shear, and the bias of shear, in percent."""
    along = np.array(axis) / np.linalg.norm(axis)
    velocity, shear = exact(flow, along)
    cells = np.abs(flow.cells_mm @ along) < LENGTH_MM / 4
    wall = np.abs(flow.wall.points_mm @ along) < LENGTH_MM / 4
    off = flow.velocity_m_s[:, cells] - velocity[:, cells, None] * along
    missed = flow.wss_pa[:, wall] - shear[:, None, None] * along
    size = np.sqrt(np.mean(shear**2))
    return {
        "velocity": 100 * float(np.linalg.norm(off) / np.linalg.norm(velocity[:, cells])),
        "shear": 100 * float(np.sqrt(np.mean((missed**2).sum(axis=2))) / size),
        "shear_bias": 100 * float((flow.wss_pa[:, wall] @ along).mean() / shear.mean() - 1.0),
    }


def exact(flow: FlowResult, along: Floats) -> tuple[Floats, Floats]:
    """Return the exact velocity (times, cells) in m/s and wall shear (times,) in Pa."""
    away = flow.cells_mm - np.outer(flow.cells_mm @ along, along)
    ratio = np.linalg.norm(away, axis=1) / RADIUS_MM
    radius, nu = RADIUS_MM * 1e-3, VISCOSITY_PA_S / DENSITY_KG_M3
    area = np.pi * radius**2
    mean = FLOW_ML_S * 1e-6 / area
    velocity = np.tile(2 * mean * (1 - ratio**2), (len(flow.times_s), 1))
    shear = np.full(len(flow.times_s), 4 * VISCOSITY_PA_S * mean / radius)
    if flow.conditions["kind"] == "steady":
        return velocity, shear
    wave = pulse(FLOW_ML_S, PERIOD_S)
    for omega, size in zip(wave.frequencies_1_s[1:], wave.harmonics_ml_s[1:] * 1e-6 / area):
        a = np.sqrt(-1j * omega / nu) * radius
        whole = 1 - 2 * jv(1, a) / (a * jv(0, a))
        turn = size * np.exp(1j * omega * flow.times_s)
        velocity += np.outer(turn, (1 - jv(0, a * ratio) / jv(0, a)) / whole).real
        shear -= (turn * VISCOSITY_PA_S / radius * a * jv(1, a) / jv(0, a) / whole).real
    return velocity, shear


def pressure_gradient(flow: FlowResult, axis: Axis) -> float:
    """Return the pressure gradient of a steady flow by the exact one."""
    along = flow.cells_mm @ (np.array(axis) / np.linalg.norm(axis))
    middle = np.abs(along) < LENGTH_MM / 4
    slope = np.polyfit(along[middle], flow.pressure_pa[0][middle], 1)[0] * 1e3
    radius = RADIUS_MM * 1e-3
    return float(-slope / (8 * VISCOSITY_PA_S * FLOW_ML_S * 1e-6 / (np.pi * radius**4)))


def _imbalance(flow: FlowResult) -> float:
    return next(n.value for n in flow.numbers if n.quantity == "imbalance")


def _row(name: str, case: str, quantity: str, value: float, limit: float) -> Row:
    source = POISEUILLE if name == "poiseuille" else WOMERSLEY
    return Row(name, case, quantity, value, 0.0, "%", limit, source)
