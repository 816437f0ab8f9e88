"""Vessels as parts of a lumped network: Windkessels, and arteries in which waves travel.

An artery is a chain of segments, each with the inertia, the viscous loss and the compliance of
its length. The chain solves the linear one-dimensional equations of a wave; with segments much
shorter than the wave its error is of second order. Sherwin 2003
(doi:10.1023/B:ENGI.0000007979.32871.e2); units as in `hemodynamics.lumped`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

from hemodynamics.boundary import PA_PER_MMHG
from hemodynamics.lumped import GROUND, Compliance, Element, Inertance, Resistor
from hemodynamics.vessel_flow import DENSITY_KG_M3

PER_ML = 1e-6 / PA_PER_MMHG
"""Pa s/m3 in mmHg s/mL."""


@dataclass(frozen=True)
class Artery:
    """A straight artery of constant width.

    Attributes:
        length_mm, radius_mm: its size.
        wave_speed_m_s: how fast a pulse travels in it, see `wave_speed`.
        viscosity_pa_s: of the blood.
        profile: power of its velocity profile, 1 - (r / radius)^profile.
    """

    length_mm: float
    radius_mm: float
    wave_speed_m_s: float
    viscosity_pa_s: float = 0.0035
    profile: float = 2.0

    def __post_init__(self) -> None:
        if min(self.length_mm, self.radius_mm, self.wave_speed_m_s) <= 0 or self.viscosity_pa_s < 0:
            raise ValueError(f"an artery needs positive length, radius and wave speed, not {self}")

    @property
    def area_m2(self) -> float:
        """The area of its section."""
        return pi * (1e-3 * self.radius_mm) ** 2

    @property
    def impedance(self) -> float:
        """Its characteristic impedance rho c / A (mmHg s/mL): pressure by flow of a wave."""
        return DENSITY_KG_M3 * self.wave_speed_m_s / self.area_m2 * PER_ML

    @property
    def resistance(self) -> float:
        """Its resistance to steady flow (mmHg s/mL), 2 (profile + 2) mu l / (pi r^4).

        That is the shear at the wall of the profile; with Poiseuille's 8 mu l / (pi r^4).
        """
        shear = 2 * pi * (self.profile + 2) * self.viscosity_pa_s
        return shear * 1e-3 * self.length_mm / self.area_m2**2 * PER_ML

    @property
    def inertance(self) -> float:
        """Its inertance rho l / A (mmHg s2/mL)."""
        return DENSITY_KG_M3 * 1e-3 * self.length_mm / self.area_m2 * PER_ML

    @property
    def compliance(self) -> float:
        """Its compliance A l / (rho c^2) (mL/mmHg)."""
        return self.inertance / self.impedance**2

    @property
    def volume_ml(self) -> float:
        """Its volume at its radius."""
        return 1e3 * self.area_m2 * self.length_mm

    def elements(
        self,
        name: str,
        start: str,
        end: str,
        segments: int = 20,
        pressure_mmhg: float = 0.0,
        measured_mmhg: float = 0.0,
    ) -> tuple[Element, ...]:
        """Return the elements that join two nodes; names begin with ``name``.

        Waves shorter than some ten segments are distorted. The stores begin with the volume of
        ``pressure_mmhg``; the radius is that at ``measured_mmhg``.
        """
        part = self.compliance / segments
        blood_ml = self.volume_ml / segments - part * measured_mmhg
        nodes = [start, *(f"{name} {n}" for n in range(1, segments)), end]
        found: list[Element] = []
        for n, node in enumerate(nodes):
            share = 0.5 if n in (0, segments) else 1.0
            rest_ml = share * blood_ml
            filled_ml = rest_ml + share * part * pressure_mmhg
            found.append(
                Compliance(f"{name} wall {n}", node, share * part, rest_ml, GROUND, filled_ml)
            )
        for n in range(segments):
            inside = f"{name} in {n}" if self.viscosity_pa_s else nodes[n + 1]
            found.append(Inertance(f"{name} mass {n}", nodes[n], inside, self.inertance / segments))
            if self.viscosity_pa_s:
                loss = self.resistance / segments
                found.append(Resistor(f"{name} loss {n}", inside, nodes[n + 1], loss))
        return tuple(found)


def wave_speed(
    radius_mm: float, wall_mm: float, stiffness_kpa: float, poisson: float = 0.5
) -> float:
    """Return the speed (m/s) of a pulse in an elastic tube.

    Moens and Korteweg: sqrt(E h / (2 rho r (1 - nu^2))) for wall thickness h and Young's modulus E.
    """
    stiff = 1e3 * stiffness_kpa * wall_mm / radius_mm
    return sqrt(stiff / (2 * DENSITY_KG_M3 * (1 - poisson**2)))


def windkessel(
    name: str,
    node: str,
    proximal: float,
    compliance: float,
    distal: float,
    pressure_mmhg: float = 0.0,
    end: str = GROUND,
) -> tuple[Element, ...]:
    """Return a three-element Windkessel from ``node`` to ``end``.

    Its compliance begins at ``pressure_mmhg``.
    """
    middle = f"{name} middle"
    return (
        Resistor(f"{name} proximal", node, middle, proximal),
        Compliance(f"{name} store", middle, compliance, 0.0, GROUND, compliance * pressure_mmhg),
        Resistor(f"{name} distal", middle, end, distal),
    )
