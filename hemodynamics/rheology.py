"""How thick blood is at a shear rate: of one viscosity, or thinner the faster it is sheared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIDDLE_1_S = 10.0
"""About the shear rate (1/s) in the middle of a table of rates."""


@dataclass(frozen=True)
class Newtonian:
    """One viscosity whatever the shear rate; 0.0035 Pa s is usual for large arteries."""

    viscosity_pa_s: float = 0.0035

    def viscosity_at(self, shear_rate_1_s: npt.ArrayLike) -> Floats:
        """Return the viscosity (Pa s) at shear rates (1/s)."""
        return np.full(np.shape(shear_rate_1_s), self.viscosity_pa_s)


@dataclass(frozen=True)
class CarreauYasuda:
    """Shear-thinning blood; `shape` 2 is Carreau's law.

    The viscosity is infinite + (zero - infinite) (1 + (time rate)^shape)^((power - 1) / shape).
    The defaults are Carreau's law for blood by Cho and Kensey (Biorheology 28, 1991, 241-262) as
    later work gives them; they were not compared with the paper itself.

    Attributes:
        zero_pa_s: viscosity at rest.
        infinite_pa_s: viscosity at high shear rates.
        time_s: one over the shear rate where thinning begins.
        power: below 1 blood thins; 1 is Newtonian.
        shape: how sharply thinning begins.
    """

    zero_pa_s: float = 0.056
    infinite_pa_s: float = 0.00345
    time_s: float = 3.313
    power: float = 0.3568
    shape: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.infinite_pa_s <= self.zero_pa_s:
            raise ValueError(
                f"viscosities of {self.zero_pa_s:g} Pa s at rest and {self.infinite_pa_s:g} Pa s "
                "at high shear are not those of a fluid that thins; the first must not be smaller"
            )
        if not (self.time_s > 0 and 0 < self.power <= 1 and self.shape > 0):
            raise ValueError(
                "a Carreau-Yasuda fluid needs a positive time and shape, and a power above 0 to 1"
            )

    def viscosity_at(self, shear_rate_1_s: npt.ArrayLike) -> Floats:
        """Return the viscosity (Pa s) at shear rates (1/s)."""
        bend = 1.0 + (self.time_s * np.asarray(shear_rate_1_s, np.float64)) ** self.shape
        thinned = bend ** ((self.power - 1.0) / self.shape)
        return np.asarray(self.infinite_pa_s + (self.zero_pa_s - self.infinite_pa_s) * thinned)


Rheology = Newtonian | CarreauYasuda
"""What a flow can be made of."""


@dataclass(frozen=True)
class Rates:
    """The relaxation rates of a lattice by `hemodynamics.lattice.shear_size`.

    Attributes:
        table: rates at sizes whose square root s makes s / (s + half) go evenly from 0 to 1.
        half: the s at the middle of the table.
    """

    table: npt.NDArray[np.float32]
    half: np.float32


def rates(
    fluid: Rheology, spacing_mm: float, step_s: float, density_kg_m3: float, entries: int = 1024
) -> Rates:
    """Return the relaxation rates of a fluid on a lattice of that cell and time step.

    The size is the shear rate times the relaxation time tau that belongs to it, so the shear
    rate is the root of rate (1/2 + 3 viscosity(rate)) = size, which bisection finds.
    """
    step_mm2 = spacing_mm**2 / step_s
    half = np.sqrt(MIDDLE_1_S * step_s)
    share = np.linspace(0.0, 1.0, entries)[:-1]
    size = (half * share / (1.0 - share)) ** 2
    low, high = np.zeros_like(size), 2.0 * size
    for _ in range(100):
        middle = 0.5 * (low + high)
        above = middle * _tau(fluid, middle / step_s, step_mm2, density_kg_m3) > size
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    at = np.append(_tau(fluid, 0.5 * (low + high) / step_s, step_mm2, density_kg_m3), 0.0)
    at[-1] = at[-2]
    return Rates((1.0 / at).astype(np.float32), np.float32(half))


def _tau(fluid: Rheology, rate_1_s: Floats, step_mm2_s: float, density_kg_m3: float) -> Floats:
    """Return the relaxation times, in steps, at shear rates."""
    nu_mm2_s = 1e6 * fluid.viscosity_at(rate_1_s) / density_kg_m3
    return np.asarray(0.5 + 3.0 * nu_mm2_s / step_mm2_s)
