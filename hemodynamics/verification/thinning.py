"""Steady flow of blood that thins with shear in a straight tube, beside its exact solution.

In a round tube the shear stress grows straight from the axis to the wall, whatever the fluid. The
shear rate at each radius follows from it by the fluid's law, and the velocity and the flow by
integration; the wall's stress is the one that gives the flow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.optimize import brentq

from hemodynamics.flow import simulate_flow
from hemodynamics.rheology import CarreauYasuda
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import tube
from hemodynamics.verification.straight import AXES, RADIUS_MM

Floats = npt.NDArray[np.float64]

FLOW_ML_S, LENGTH_MM, CELLS = 0.3, 12.0, 8.0
DEVELOPED_MM = (1.0, 4.0)
"""The part behind the middle that is compared: blood enters with the profile of a fluid that does
not thin."""

STEPS = 2001
SOURCE = "integral of the shear stress that balances the pressure, for Carreau's law"


def shear_rates_1_s(blood: CarreauYasuda, stress_pa: Floats) -> Floats:
    """Return the shear rates at which the stress is that, all not negative."""
    rates = np.concatenate([[0.0], np.logspace(-6, 6, 20_000)])
    stresses = rates * blood.viscosity_at(rates)
    return np.asarray(np.interp(stress_pa, stresses, rates))


def profile(blood: CarreauYasuda, wall_stress_pa: float) -> tuple[Floats, Floats]:
    """Return radii from 0 to the tube's (m) and the velocities there (m/s)."""
    radii = np.linspace(0.0, RADIUS_MM * 1e-3, STEPS)
    rates = shear_rates_1_s(blood, wall_stress_pa * radii / radii[-1])
    fallen = cumulative_trapezoid(rates, radii, initial=0.0)
    return radii, fallen[-1] - fallen


def wall_stress_pa(blood: CarreauYasuda, flow_ml_s: float) -> float:
    """Return the stress at the wall for a flow through the tube."""

    def missing(stress: float) -> float:
        radii, velocity = profile(blood, stress)
        return float(2 * np.pi * trapezoid(velocity * radii, radii)) - flow_ml_s * 1e-6

    return float(brentq(missing, 1e-6, 1e3, rtol=1e-10))


def thinning(means: Means) -> Iterator[Row]:
    """Yield velocity and wall shear of blood that thins, in a tube askew to the cells."""
    blood, axis = CarreauYasuda(), AXES["askew"]
    flow = simulate_flow(
        tube(RADIUS_MM, LENGTH_MM, 0.25, axis), mean_flow_ml_s=FLOW_ML_S, blood="carreau",
        spacing_mm=RADIUS_MM / CELLS, most_exchanges=20.0, progress=means.progress,
    )  # fmt: skip
    along = np.array(axis) / np.linalg.norm(axis)
    stress = wall_stress_pa(blood, FLOW_ML_S)
    radii, velocity = profile(blood, stress)
    here = _developed(flow.cells_mm @ along)
    away = np.linalg.norm(flow.cells_mm - np.outer(flow.cells_mm @ along, along), axis=1)[here]
    exact = np.interp(away * 1e-3, radii, velocity)
    off = flow.velocity_m_s[0][here] - exact[:, None] * along
    case = f"tube askew, radius {CELLS:g} cells, Carreau's blood"
    percent = 100 * float(np.linalg.norm(off) / np.linalg.norm(exact))
    yield Row("thinning", case, "velocity, rms error", percent, 0.0, "%", 1.0, SOURCE)
    wall = _developed(flow.wall.points_mm @ along)
    missed = flow.wss_pa[0][wall] - stress * along
    percent = 100 * float(np.sqrt(np.mean((missed**2).sum(axis=1)))) / stress
    yield Row("thinning", case, "wall shear, rms error", percent, 0.0, "%", 2.0, SOURCE)


def _developed(places_mm: Floats) -> npt.NDArray[np.bool_]:
    return (places_mm > DEVELOPED_MM[0]) & (places_mm < DEVELOPED_MM[1])
