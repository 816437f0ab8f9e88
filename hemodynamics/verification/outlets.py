"""A three-element Windkessel, alone and behind a vessel, beside its differential equation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from hemodynamics.boundary import PA_PER_MMHG, Windkessel, pulse
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_setup import PROXIMAL_SHARE
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import tube

Floats = npt.NDArray[np.float64]

FLOW_ML_S, PERIOD_S, PRESSURE_MMHG, DECAY_S, CYCLES = 1.0, 0.5, 80.0, 0.5, 3
PERIODIC = 20
"""Cycles after which the equation repeats itself."""

SOURCE = "C dp/dt = q - p/R of a compliance, by scipy's LSODA at a tolerance of 1e-9"


def windkessel(means: Means) -> Iterator[Row]:
    """Yield the pressure of a Windkessel, alone and behind a vessel, beside its equation."""
    wave = pulse(FLOW_ML_S, PERIOD_S)
    proximal, distal, compliance = elements()
    law = Windkessel(proximal, distal, compliance, distal * FLOW_ML_S)
    times = np.linspace(0.0, CYCLES * PERIOD_S, 3001)
    stepped = []
    for time in times[1:]:
        flow = float(wave.flow_ml_s(time))
        law.advance(flow, times[1])
        stepped.append(law.stored_pa + proximal * flow)
    exact = equation(times, lambda time: float(wave.flow_ml_s(time)))[1:]
    off = 100 * float(np.abs(np.array(stepped) - exact).max() / np.ptp(exact))
    yield Row("windkessel", "alone, 1000 steps a cycle", "pressure, largest error by pulse", off,
              0.0, "%", 0.5, SOURCE)  # fmt: skip
    case = "behind a tube of radius 4 cells, last cycle"
    vessel = simulate_flow(
        tube(2.0, 6.0, 0.5, (4.0, 2.0, 1.0)), kind="pulsatile", mean_flow_ml_s=FLOW_ML_S,
        spacing_mm=0.5, period_s=PERIOD_S, cycles=CYCLES, outlets="windkessel",
        mean_pressure_mmhg=PRESSURE_MMHG, decay_s=DECAY_S, progress=means.progress,
    )  # fmt: skip
    late = equation(vessel.times_s + PERIODIC * PERIOD_S, lambda time: float(wave.flow_ml_s(time)))
    found = vessel.opening_pressures_pa["outlet_1"]
    yield Row("windkessel", case, "mean pressure", float(found.mean()) / PA_PER_MMHG,
              float(late.mean()) / PA_PER_MMHG, "mmHg", 0.8, SOURCE)  # fmt: skip
    off = 100 * float(np.sqrt(np.mean((found - late - (found - late).mean()) ** 2)) / np.ptp(late))
    yield Row("windkessel", case, "course of pressure, rms error by pulse", off, 0.0, "%", 5.0,
              SOURCE)  # fmt: skip


def elements() -> tuple[float, float, float]:
    """Return both resistances (Pa s/mL) and the compliance (mL/Pa)."""
    whole = PRESSURE_MMHG * PA_PER_MMHG / FLOW_ML_S
    distal = (1.0 - PROXIMAL_SHARE) * whole
    return PROXIMAL_SHARE * whole, distal, DECAY_S / distal


def equation(times_s: Floats, flow_ml_s: Callable[[float], float]) -> Floats:
    """Return the pressure (Pa) before a Windkessel that was charged for the mean flow at 0 s."""
    proximal, distal, compliance = elements()

    def slope(time: float, stored: Floats) -> Floats:
        return np.asarray((flow_ml_s(time) - stored / distal) / compliance)

    end = float(times_s[-1]) if len(times_s) else 0.0
    solved = solve_ivp(
        slope, (0.0, end), [distal * FLOW_ML_S], "LSODA", times_s, rtol=1e-9, atol=1e-6,
        max_step=PERIOD_S / 50,
    )  # fmt: skip
    flows = np.array([flow_ml_s(time) for time in times_s])
    return np.asarray(solved.y[0] + proximal * flows)
