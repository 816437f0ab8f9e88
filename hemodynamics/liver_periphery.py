"""Mean pressures and flows of gut and liver between aorta and vena cava, also after a resection.

Resistances follow from the patient's own means; a remnant of mass share m has R / m, as in
Audebert 2017 (doi:10.1016/j.jbiomech.2016.11.037). The veins of the liver are rigid, or widen with
the pressure in them: resistance times the n-th power of the distending pressure stays the same. In
cats n is 3 (Index of contractility, Am J Physiol 1991;260:G325, portal and hepatic veins) or 1
(Greenway 1988, doi:10.1152/ajpheart.1988.254.3.H452). The distending pressure is taken as the mean
of those at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hemodynamics.network_solution import NotSolved

PER_L_MIN = 1000.0 / 60.0
"""mL/s in one L/min."""

LUNGS_OVER_CAVA_MMHG = 3.0
"""By how much the pressure before the left heart exceeds that before the right; an assumption."""

WIDENING = 3.0
"""Power of the distending pressure with which the resistance of cats' hepatic vessels falls."""

CORRECTIONS = 50
"""Most steps towards the mean pressures in the liver."""


@dataclass(frozen=True)
class Assumed:
    """What is not measured in a patient, each an assumption.

    Attributes:
        arteries_ml_mmhg: systemic arterial compliance; stroke volume 75 mL by 50 mmHg of pulse.
        organs_ml_mmhg, cava_ml_mmhg: veins of the other organs and great veins.
        gut_ml_mmhg, portal_ml_mmhg, liver_ml_mmhg: splanchnic veins and the liver's blood.
        lung_arteries_ml_mmhg, lung_veins_ml_mmhg: the lungs'.
        lung_veins_mmhg: mean pressure before the left heart (normal wedge pressure 6-12), or more
            where the caval pressure is high.
        lung_resistance: mmHg s/mL (normal below 2 mmHg min/L, that is 0.12).
        beats_min: heart rate.
        buffered: share of a change of portal flow that the artery makes up for, if it does:
            44 % in cats, Lautt 1990 (Quantitation of the hepatic arterial buffer response);
            abolished in 8 pigs after an extended resection (doi:10.1152/ajpgi.00113.2019).
    """

    arteries_ml_mmhg: float = 1.5
    organs_ml_mmhg: float = 40.0
    cava_ml_mmhg: float = 20.0
    gut_ml_mmhg: float = 15.0
    portal_ml_mmhg: float = 3.0
    liver_ml_mmhg: float = 20.0
    lung_arteries_ml_mmhg: float = 5.0
    lung_veins_ml_mmhg: float = 20.0
    lung_veins_mmhg: float = 8.0
    lung_resistance: float = 0.08
    beats_min: float = 75.0
    buffered: float = 0.44


@dataclass(frozen=True)
class Patient:
    """Mean pressures (mmHg) and flows (L/min) at rest before a resection.

    Raises:
        ValueError: unless pressures fall from artery to portal vein to sinusoids to vena cava,
            and flows are positive and leave some for the other organs.
    """

    arterial_mmhg: float
    portal_mmhg: float
    sinusoidal_mmhg: float
    caval_mmhg: float
    cardiac_output_l_min: float
    portal_flow_l_min: float
    arterial_flow_l_min: float
    assumed: Assumed = field(default_factory=Assumed)

    def __post_init__(self) -> None:
        falling = (self.arterial_mmhg, self.portal_mmhg, self.sinusoidal_mmhg, self.caval_mmhg, 0.0)
        if not all(high > low for high, low in pairwise(falling)):
            raise ValueError(
                "pressures must fall from artery to portal vein to sinusoids to vena cava to 0, "
                f"not {falling[:-1]} mmHg; check the values of the patient"
            )
        if min(self.portal_flow_l_min, self.arterial_flow_l_min, self.others_l_min) <= 0:
            raise ValueError(
                f"portal flow {self.portal_flow_l_min:g} and arterial flow "
                f"{self.arterial_flow_l_min:g} L/min must be positive and together less than the "
                f"cardiac output {self.cardiac_output_l_min:g} L/min; check the patient's values"
            )

    @property
    def others_l_min(self) -> float:
        """Flow through all but gut and liver."""
        return self.cardiac_output_l_min - self.portal_flow_l_min - self.arterial_flow_l_min

    @property
    def lung_veins_mmhg(self) -> float:
        """Mean pressure before the left heart, as assumed; a full vena cava means full lungs."""
        return max(self.assumed.lung_veins_mmhg, self.caval_mmhg + LUNGS_OVER_CAVA_MMHG)


@dataclass(frozen=True)
class Resistances:
    """Of the periphery (mmHg s/mL); the liver's are those of the whole organ."""

    others: float
    gut: float
    portal: float
    artery: float
    veins: float

    @classmethod
    def of(cls, patient: Patient) -> Resistances:
        """Return what gives a patient's pressures and flows."""
        p = patient
        portal, artery = (PER_L_MIN * q for q in (p.portal_flow_l_min, p.arterial_flow_l_min))
        return cls(
            others=(p.arterial_mmhg - p.caval_mmhg) / (PER_L_MIN * p.others_l_min),
            gut=(p.arterial_mmhg - p.portal_mmhg) / portal,
            portal=(p.portal_mmhg - p.sinusoidal_mmhg) / portal,
            artery=(p.arterial_mmhg - p.sinusoidal_mmhg) / artery,
            veins=(p.sinusoidal_mmhg - p.caval_mmhg) / (portal + artery),
        )


@dataclass(frozen=True)
class State:
    """Means over a beat: pressures in mmHg, flows in L/min."""

    arterial_mmhg: float
    portal_mmhg: float
    sinusoidal_mmhg: float
    caval_mmhg: float
    portal_flow_l_min: float
    arterial_flow_l_min: float
    cardiac_output_l_min: float

    @property
    def gradient_mmhg(self) -> float:
        """The portocaval pressure gradient."""
        return self.portal_mmhg - self.caval_mmhg


@dataclass(frozen=True)
class Scales:
    """What multiplies the resistances of the liver by its mass."""

    portal: float = 1.0
    artery: float = 1.0
    veins: float = 1.0


@dataclass(frozen=True)
class Periphery:
    """Means that follow from those of aorta and vena cava, and what scales the resistances."""

    state: State
    scales: Scales


def periphery(
    patient: Patient,
    removed: float,
    arterial_mmhg: float,
    caval_mmhg: float,
    buffer: bool = False,
    widening: float = 0.0,
) -> Periphery:
    """Return the mean flows of gut and liver between mean arterial and caval pressure.

    With ``buffer`` the arterial conductance per mass is that before times (portal flow per mass
    before / after) ^ b; b makes up for `Assumed.buffered` of a small change of portal flow. With
    ``widening`` (0 to `WIDENING`) the resistances per mass of portal and hepatic veins fall with
    that power of the mean of the pressures at their ends.

    Raises:
        NotSolved: if no pressures are found.
    """
    power = 0.0
    if buffer:
        power = patient.assumed.buffered * patient.portal_flow_l_min / patient.arterial_flow_l_min
    liver = _Balance(patient, 1.0 - removed, arterial_mmhg, caval_mmhg, power, widening)
    portal, sinusoidal = patient.portal_mmhg, patient.sinusoidal_mmhg
    for _ in range(CORRECTIONS):
        up, rise = liver.corrections(portal, sinusoidal)
        portal, sinusoidal = portal + up, sinusoidal + rise
        if abs(up) + abs(rise) < 1e-11 * arterial_mmhg:
            return liver.periphery(portal, sinusoidal)
    raise NotSolved("no pressures in the liver balance its flows")


@dataclass(frozen=True)
class _Balance:
    """What flows to and from the portal vein and the sinusoids at given pressures, in mL/s."""

    patient: Patient
    left: float
    arterial_mmhg: float
    caval_mmhg: float
    power: float
    widening: float
    resistances: Resistances = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resistances", Resistances.of(self.patient))

    def scales(self, portal: float, sinusoidal: float) -> Scales:
        """Return what the pressures (mmHg) make of the resistances by mass."""
        before = self.patient
        inflow = (before.portal_mmhg + before.sinusoidal_mmhg) / (portal + sinusoidal)
        outflow = (before.sinusoidal_mmhg + before.caval_mmhg) / (sinusoidal + self.caval_mmhg)
        supply = (self.arterial_mmhg - portal) / self.resistances.gut / self.left
        return Scales(
            inflow**self.widening,
            (supply / (PER_L_MIN * before.portal_flow_l_min)) ** self.power,
            outflow**self.widening,
        )

    def flows(self, portal: float, sinusoidal: float) -> tuple[float, float, float, float]:
        """Return those through the gut, portal veins, artery and hepatic veins."""
        r, scales = self.resistances, self.scales(portal, sinusoidal)
        return (
            (self.arterial_mmhg - portal) / r.gut,
            (portal - sinusoidal) * self.left / (scales.portal * r.portal),
            (self.arterial_mmhg - sinusoidal) * self.left / (scales.artery * r.artery),
            (sinusoidal - self.caval_mmhg) * self.left / (scales.veins * r.veins),
        )

    def corrections(self, portal: float, sinusoidal: float) -> tuple[float, float]:
        """Return by how much either pressure should rise, by Newton's rule."""
        gut, vein, artery, drain = self.flows(portal, sinusoidal)
        lacks, spare = gut - vein, vein + artery - drain
        falls = self.arterial_mmhg - sinusoidal
        # How the flows change with the pressure at the portal vein, and at the sinusoids.
        wider = self.widening * vein / (portal + sinusoidal)
        by_portal = vein / (portal - sinusoidal) + wider
        by_sinusoids = wider - vein / (portal - sinusoidal)
        widens = artery * self.power / (self.arterial_mmhg - portal)
        leaves = drain / (sinusoidal - self.caval_mmhg)
        leaves += self.widening * drain / (sinusoidal + self.caval_mmhg)
        a, b = -1.0 / self.resistances.gut - by_portal, -by_sinusoids
        c, d = by_portal + widens, by_sinusoids - artery / falls - leaves
        size = a * d - b * c
        return (b * spare - d * lacks) / size, (c * lacks - a * spare) / size

    def periphery(self, portal: float, sinusoidal: float) -> Periphery:
        """Return the means at pressures that balance the flows."""
        gut, _, artery, _ = self.flows(portal, sinusoidal)
        others = (self.arterial_mmhg - self.caval_mmhg) / self.resistances.others
        flows = (q / PER_L_MIN for q in (gut, artery, gut + artery + others))
        state = State(self.arterial_mmhg, portal, sinusoidal, self.caval_mmhg, *flows)
        return Periphery(state, self.scales(portal, sinusoidal))
