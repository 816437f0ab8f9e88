"""How thick blood is at a shear rate: of one viscosity, or thinner the faster it is sheared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
