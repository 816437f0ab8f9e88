"""Flow against exact solutions, from a surface: tilted tubes, steady and pulsatile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import jv

from hemodynamics.boundary import pulse
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_result import FlowResult
from tests.hemodynamics.tubes import capped_tube

RADIUS_MM, LENGTH_MM, FLOW_ML_S = 2.0, 6.0, 1.0
VISCOSITY, DENSITY = 0.0035, 1060.0
PERIOD_S = 0.5


@dataclass(frozen=True)
class Verdict:
    """Errors over the middle half of a tube, rms by the rms of the exact values."""

    name: str
    velocity: float
    shear: float
    shear_bias: float
    imbalance: float
    change: float
    bars: tuple[float, float, float]

    @property
    def faults(self) -> list[str]:
        """What misses its bar: velocity, shear, mass."""
        found = {"velocity": self.velocity, "shear": self.shear, "mass": self.imbalance}
        return [name for (name, value), bar in zip(found.items(), self.bars) if not value <= bar]


def exact(flow: FlowResult, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the velocity (times, cells) and the shear (times,) of the tube, in m/s and Pa."""
    away = flow.cells_mm - np.outer(flow.cells_mm @ axis, axis)
    share = np.linalg.norm(away, axis=1) / RADIUS_MM
    radius, nu = RADIUS_MM * 1e-3, VISCOSITY / DENSITY
    area = np.pi * radius**2
    mean = FLOW_ML_S * 1e-6 / area
    velocity = np.tile(2 * mean * (1 - share**2), (len(flow.times_s), 1))
    shear = np.full(len(flow.times_s), 4 * VISCOSITY * mean / radius)
    if flow.conditions["kind"] == "steady":
        return velocity, shear
    wave = pulse(FLOW_ML_S, PERIOD_S)
    for k, size in enumerate(wave.harmonics_ml_s[1:] * 1e-6 / area, 1):
        omega = 2 * np.pi * k / PERIOD_S
        a = np.sqrt(-1j) * radius * np.sqrt(omega / nu)
        whole = 1 - 2 * jv(1, a) / (a * jv(0, a))
        turn = size * np.exp(1j * omega * flow.times_s)
        velocity += np.outer(turn, (1 - jv(0, a * share) / jv(0, a)) / whole).real
        shear += (turn * -VISCOSITY / radius * a * jv(1, a) / jv(0, a) / whole).real
    return velocity, shear


def judge(name: str, cells: float, bars: tuple[float, float, float], **options: object) -> Verdict:
    """Return the errors of a tube of a radius of so many cells."""
    mesh, axis = capped_tube(RADIUS_MM, LENGTH_MM, rings=24)
    flow = simulate_flow(
        mesh, spacing_mm=RADIUS_MM / cells, mean_flow_ml_s=FLOW_ML_S, viscosity_pa_s=VISCOSITY,
        period_s=PERIOD_S, **options,
    )  # fmt: skip
    velocity, shear = exact(flow, axis)
    inside = np.abs(flow.cells_mm @ axis) < LENGTH_MM / 4
    error = flow.velocity_m_s[:, inside] - velocity[:, inside, None] * axis
    wall = np.abs(flow.wall.points_mm @ axis) < LENGTH_MM / 4
    computed = flow.wss_pa[:, wall]
    missed = computed - shear[:, None, None] * axis
    size = np.sqrt(np.mean(shear**2))
    numbers = {number.quantity: number.value for number in flow.numbers}
    return Verdict(
        name,
        float(np.linalg.norm(error) / np.linalg.norm(velocity[:, inside])),
        float(np.sqrt(np.mean((missed**2).sum(axis=2))) / size),
        float((computed @ axis).mean() / shear.mean() - 1),
        numbers["imbalance"] / 100,
        float(flow.residuals[-1]),
        bars,
    )


CASES = (
    lambda: judge("Poiseuille, 6 cells", 6, (0.03, 0.06, 1e-3), kind="steady"),
    lambda: judge("Poiseuille, 10 cells", 10, (0.01, 0.02, 1e-3), kind="steady"),
    lambda: judge("Womersley, 6 cells", 6, (0.03, 0.1, 1e-3), kind="pulsatile", cycles=2),
    lambda: judge("Womersley, 10 cells", 10, (0.01, 0.02, 1e-3), kind="pulsatile", cycles=2),
    lambda: judge(
        "Windkessel, 5 cells, three cycles", 5, (0.04, 0.15, 1e-3), kind="pulsatile", cycles=3,
        outlets="windkessel",
    ),
)  # fmt: skip
