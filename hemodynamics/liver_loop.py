"""A closed circulation with the liver in it: heart, lungs, gut, other organs, lobes in parallel.

The structure is that of Audebert 2017 (doi:10.1016/j.jbiomech.2016.11.037): four chambers with
valves and time-varying elastances, lungs, gut, other organs, a hepatic artery, a portal vein,
lobes with their own resistances, hepatic veins and a vena cava. Its parameter table was not
recovered, so nothing is taken from it: resistances follow from the patient's own mean pressures
and flows, the heart is tuned until it gives them, and the rest is assumed (`Assumed`). A lobe of
mass share m has resistances R / m and the compliance C m; a resection takes lobes off together
with the blood in them. No reflex acts, save the hepatic arterial buffer response where asked.

Since all but the valves is linear, mean flows follow from mean pressures exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hemodynamics.lumped import Chamber, Compliance, Element, Network, Resistor, Valve
from hemodynamics.network_loop import Beat, Loop, loop_of, means_of, settled
from hemodynamics.network_solution import NotSolved

Floats = npt.NDArray[np.float64]

PER_L_MIN = 1000.0 / 60.0
"""mL/s in one L/min."""

LARGEST = 0.9
"""Largest resected fraction: with a tenth of the liver, linear gut veins hold too much."""

LOG_ML = 100.0
"""Weight of a strength's logarithm beside volumes."""

LUNGS_OVER_CAVA_MMHG = 3.0
"""By how much the pressure before the left heart exceeds that before the right; an assumption."""

BUFFERING = 200
"""Most corrections of the artery."""

TUNING = 600
"""Beats in which the heart must be tuned."""


class NotCalibrated(ValueError):
    """No heart of this model gives the pressures and flows that were asked for."""


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
            44 % in cats, Lautt 1990 (Quantitation of the hepatic arterial buffer response).
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
class Heart:
    """Contracted elastances of the ventricles (mmHg/mL)."""

    left: float
    right: float


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


def network_of(
    patient: Patient,
    heart: Heart,
    lobes: Mapping[str, float],
    volumes_ml: Mapping[str, float] | None = None,
    artery_scale: float = 1.0,
) -> Network:
    """Return the circulation as a network, with the liver's ``lobes``: mass shares by name.

    ``artery_scale`` multiplies the arterial resistance of the liver.
    """
    r, assumed = Resistances.of(patient), patient.assumed
    elements: list[Element] = [*_chambers(patient, heart), *_lungs(assumed)]
    elements += [
        Compliance("arteries", "aorta", assumed.arteries_ml_mmhg),
        # A small part of each loss lies behind its store, where the veins are.
        Resistor("organ arterioles", "aorta", "organ veins", 0.96 * r.others),
        Compliance("organ store", "organ veins", assumed.organs_ml_mmhg),
        Resistor("organ outflow", "organ veins", "vena cava", 0.04 * r.others),
        Resistor("gut arterioles", "aorta", "gut veins", 0.98 * r.gut),
        Compliance("gut store", "gut veins", assumed.gut_ml_mmhg),
        Resistor("gut outflow", "gut veins", "portal vein", 0.02 * r.gut),
        Compliance("portal store", "portal vein", assumed.portal_ml_mmhg),
        Compliance("caval store", "vena cava", assumed.cava_ml_mmhg),
        Resistor("caval outflow", "vena cava", "right atrium", 0.004),
    ]
    for lobe, share in lobes.items():
        elements += [
            Resistor(f"{lobe} portal", "portal vein", lobe, r.portal / share),
            Resistor(f"{lobe} artery", "aorta", lobe, artery_scale * r.artery / share),
            Compliance(f"{lobe} store", lobe, assumed.liver_ml_mmhg * share),
            Resistor(f"{lobe} vein", lobe, "vena cava", r.veins / share),
        ]
    if volumes_ml is not None:
        elements = [
            replace(e, initial_ml=volumes_ml[e.node]) if isinstance(e, Compliance | Chamber) else e
            for e in elements
        ]
    return Network(tuple(elements), "circulation with the liver")


def _chambers(patient: Patient, heart: Heart) -> list[Element]:
    """Return the heart; that it fills well at the patient's own pressures is assumed."""
    period = 60.0 / patient.assumed.beats_min
    stroke = PER_L_MIN * patient.cardiac_output_l_min * period
    left, right = patient.lung_veins_mmhg, patient.caval_mmhg

    def chamber(name: str, contracted: float, relaxed: float, atrial: bool) -> Chamber:
        rise, fall, onset = (0.09, 0.09, 0.83) if atrial else (0.3, 0.15, 0.0)
        times = (rise * period, fall * period, onset * period)
        return Chamber(name, name, contracted, relaxed, period, *times)

    return [
        chamber("left atrium", left / 40, left / 60, True),
        Valve("mitral", "left atrium", "left ventricle", 0.006),
        chamber("left ventricle", heart.left, left / (2.2 * stroke), False),
        Valve("aortic", "left ventricle", "aorta", 0.008),
        chamber("right atrium", right / 40, right / 60, True),
        Valve("tricuspid", "right atrium", "right ventricle", 0.003),
        chamber("right ventricle", heart.right, right / (3.0 * stroke), False),
        Valve("pulmonary", "right ventricle", "lung arteries", 0.006),
    ]


def _lungs(assumed: Assumed) -> list[Element]:
    return [
        Compliance("lung arterial store", "lung arteries", assumed.lung_arteries_ml_mmhg),
        Resistor("lungs", "lung arteries", "lung veins", assumed.lung_resistance),
        Compliance("lung venous store", "lung veins", assumed.lung_veins_ml_mmhg),
        Resistor("lung outflow", "lung veins", "left atrium", 0.01),
    ]


WHOLE: Mapping[str, float] = {"liver": 1.0}


@dataclass(frozen=True)
class Circulation:
    """A patient's circulation, tuned: its heart and how much stressed blood each node holds."""

    patient: Patient
    heart: Heart
    volumes_ml: Mapping[str, float]

    @property
    def before(self) -> State:
        """The means that the circulation was tuned to."""
        return periphery(
            self.patient, 0.0, self.patient.arterial_mmhg, self.patient.caval_mmhg
        ).state

    def network(self, removed: float = 0.0, artery_scale: float = 1.0) -> Network:
        """Return the circulation when a fraction of the liver is removed with its blood."""
        left = 1.0 - removed
        volumes = dict(self.volumes_ml)
        volumes["liver"] *= left
        return network_of(self.patient, self.heart, {"liver": left}, volumes, artery_scale)

    def resected(self, removed: float, buffer: bool = False) -> tuple[State, Beat]:
        """Return the settled state without the fraction ``removed`` of the liver.

        ``buffer`` lets the hepatic artery narrow as portal flow per mass rises.

        Raises:
            ValueError: for a fraction outside 0 to `LARGEST`.
            NotSolved: if the circulation does not settle.
        """
        _check_fraction(removed)
        scale, start = 1.0, None
        while True:
            network = self.network(removed, scale)
            loop = loop_of(network)
            beat = loop.repeated(_initial(network, loop) if start is None else start)
            mean = means_of(loop, beat)
            state = periphery(self.patient, removed, mean["aorta"], mean["vena cava"], buffer)
            wanted = state.artery_scale
            if abs(wanted / scale - 1.0) < 1e-6:
                return state.state, beat
            scale, start = wanted, beat.volumes_ml[-1]


@dataclass(frozen=True)
class Periphery:
    """Means that follow from those of aorta and vena cava, and what scales the artery."""

    state: State
    artery_scale: float


def periphery(
    patient: Patient, removed: float, arterial_mmhg: float, caval_mmhg: float, buffer: bool = False
) -> Periphery:
    """Return the mean flows of gut and liver between mean arterial and caval pressure.

    With ``buffer`` the arterial conductance per mass is that before times (portal flow per mass
    before / after) ^ b; b makes up for `Assumed.buffered` of a small change of portal flow.
    """
    r = Resistances.of(patient)
    left = 1.0 - removed
    power = 0.0
    if buffer:
        power = patient.assumed.buffered * patient.portal_flow_l_min / patient.arterial_flow_l_min
    before = PER_L_MIN * patient.portal_flow_l_min
    scale, wanted = 1.0, 1.0
    # A narrower artery lets more portal blood through, so from 1 the scale goes one way only.
    for _ in range(BUFFERING):
        scale = wanted
        gut, portal, artery = 1 / r.gut, left / r.portal, left / (scale * r.artery)
        veins = left / r.veins
        # Flow balance at the portal vein and at the sinusoids, by Cramer's rule.
        a, b = gut + portal, portal + artery + veins
        supply, drained = arterial_mmhg * gut, arterial_mmhg * artery + caval_mmhg * veins
        fall = a * b - portal * portal
        at_portal = (supply * b + portal * drained) / fall
        at_sinusoids = (a * drained + portal * supply) / fall
        portal_flow = (arterial_mmhg - at_portal) * gut
        wanted = (portal_flow / left / before) ** power
        if abs(wanted / scale - 1.0) < 1e-12 or not buffer:
            break
    artery_flow = (arterial_mmhg - at_sinusoids) * artery
    others = (arterial_mmhg - caval_mmhg) / r.others
    flows = (q / PER_L_MIN for q in (portal_flow, artery_flow, portal_flow + artery_flow + others))
    return Periphery(State(arterial_mmhg, at_portal, at_sinusoids, caval_mmhg, *flows), scale)


def calibrate(patient: Patient, tolerance: float = 1e-5) -> Circulation:
    """Return the circulation that has a patient's mean pressures and flows.

    The ventricles' strengths and the blood are adjusted after each beat, until arterial, caval
    and pulmonary venous pressure are those wanted; all flows follow. ``tolerance`` (mL) is how
    far a beat and its correction may still move a volume.

    Raises:
        NotCalibrated: if no strength gives them.
    """
    stroke = PER_L_MIN * patient.cardiac_output_l_min * 60.0 / patient.assumed.beats_min
    strength = np.log([patient.arterial_mmhg / (0.8 * stroke), 16.0 / (0.8 * stroke)])
    weak, strong = (loop_of(network_of(patient, Heart(s, s), WHOLE)) for s in (1.0, 2.0))
    goal = (patient.arterial_mmhg, patient.caval_mmhg, patient.lung_veins_mmhg)
    seen = [weak.nodes.index(node) for node in ("aorta", "vena cava", "lung veins")]
    sides = [weak.nodes.index(f"{side} ventricle") for side in ("left", "right")]

    def adjusted(x: Floats) -> Floats:
        """Return the volumes and strengths after a beat and a correction."""
        stiffness = weak.stiffness.copy()
        for side, log_strength in zip(sides, x[-2:] / LOG_ML):
            more = strong.stiffness[:, side] - weak.stiffness[:, side]
            stiffness[:, side] += (np.exp(np.clip(log_strength, -4, 4)) - 1.0) * more
        volumes, mean = replace(weak, stiffness=stiffness).beat(x[:-2])
        errors = mean[seen] / goal - 1.0
        # A weak left heart leaves blood in the lungs; a weak right one in the cava.
        turned = np.clip([-0.25 * errors[0], -0.15 * errors[2]], -0.1, 0.1)
        volumes[seen[1]] -= 12.0 * patient.caval_mmhg * np.clip(errors[1], -0.3, 0.3)
        return np.concatenate([volumes, x[-2:] + LOG_ML * turned])

    begin = np.concatenate([_first(patient, weak), LOG_ML * strength])
    try:
        found, _ = settled(adjusted, begin, tolerance, TUNING)
    except NotSolved:
        raise NotCalibrated(
            f"no heart of the model gives {patient.cardiac_output_l_min:g} L/min at "
            f"{patient.arterial_mmhg:g} mmHg with {patient.caval_mmhg:g} mmHg in the vena cava; "
            "check these values"
        ) from None
    heart = Heart(*(float(s) for s in np.exp(found[-2:] / LOG_ML)))
    return Circulation(patient, heart, dict(zip(weak.nodes, map(float, found[:-2]))))


def _first(patient: Patient, loop: Loop) -> Floats:
    """Return volumes near those of the patient's mean pressures."""
    lungs = patient.lung_veins_mmhg
    pressures = {
        "aorta": patient.arterial_mmhg,
        "organ veins": patient.caval_mmhg + 0.04 * (patient.arterial_mmhg - patient.caval_mmhg),
        "gut veins": patient.portal_mmhg + 0.02 * (patient.arterial_mmhg - patient.portal_mmhg),
        "portal vein": patient.portal_mmhg,
        "liver": patient.sinusoidal_mmhg,
        "vena cava": patient.caval_mmhg,
        "right atrium": patient.caval_mmhg,
        "right ventricle": patient.caval_mmhg,
        "lung arteries": lungs + 0.08 * PER_L_MIN * patient.cardiac_output_l_min,
        "lung veins": lungs,
        "left atrium": lungs,
        "left ventricle": lungs,
    }
    relaxed = loop.stiffness[0]
    at_rest = np.array([pressures[node] for node in loop.nodes])
    return np.asarray(at_rest / relaxed + loop.rest_ml)


def _initial(network: Network, loop: Loop) -> Floats:
    stores = {e.node: e for e in network.elements if isinstance(e, Compliance | Chamber)}
    return np.array([stores[node].initial_ml or 0.0 for node in loop.nodes])


def _check_fraction(removed: float) -> None:
    if not 0.0 <= removed <= LARGEST:
        raise ValueError(
            f"the resected fraction must lie between 0 and {LARGEST:g}, not {removed:.3g}; the "
            "model does not hold for less liver"
        )
