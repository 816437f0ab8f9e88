"""A closed circulation with the liver in it: heart, lungs, gut, other organs, lobes in parallel.

The structure is that of Audebert 2017 (doi:10.1016/j.jbiomech.2016.11.037): four chambers with
valves and time-varying elastances, lungs, gut, other organs, a hepatic artery, a portal vein,
lobes with their own resistances, hepatic veins and a vena cava. Its parameter table was not
recovered, so nothing is taken from it: resistances follow from the patient's own mean pressures
and flows, the heart is tuned until it gives them, and the rest is assumed (`Assumed`). A lobe of
mass share m has resistances R / m and the compliance C m; a resection takes lobes off together
with the blood in them. No reflex acts, save the hepatic arterial buffer response where asked.

Since all but the valves is linear within a beat, mean flows follow from mean pressures exactly
(`liver_periphery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hemodynamics.liver_periphery import (
    PER_L_MIN,
    Assumed,
    Patient,
    Periphery,
    Resistances,
    Scales,
    State,
    periphery,
)
from hemodynamics.lumped import Chamber, Compliance, Element, Network, Resistor, Valve
from hemodynamics.network_loop import Beat, Loop, loop_of, settled
from hemodynamics.network_solution import NotSolved

Floats = npt.NDArray[np.float64]

LARGEST = 0.9
"""Largest resected fraction: with a tenth of the liver, linear gut veins hold too much."""

LOG_ML = 100.0
"""Weight of a strength's logarithm beside volumes."""

SETTLING = 1000
"""Beats in which the vessels of the liver must fit what flows through them."""

TUNING = 600
"""Beats in which the heart must be tuned."""


class NotCalibrated(ValueError):
    """No heart of this model gives the pressures and flows that were asked for."""


@dataclass(frozen=True)
class Heart:
    """Contracted elastances of the ventricles (mmHg/mL)."""

    left: float
    right: float


def network_of(
    patient: Patient,
    heart: Heart,
    lobes: Mapping[str, float],
    volumes_ml: Mapping[str, float] | None = None,
) -> Network:
    """Return the circulation as a network, with the liver's ``lobes``: mass shares by name."""
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
            Resistor(f"{lobe} artery", "aorta", lobe, r.artery / share),
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

    def network(self, removed: float = 0.0) -> Network:
        """Return the circulation when a fraction of the liver is removed with its blood."""
        left = 1.0 - removed
        volumes = dict(self.volumes_ml)
        volumes["liver"] *= left
        return network_of(self.patient, self.heart, {"liver": left}, volumes)

    def resected(
        self, removed: float, buffer: bool = False, widening: float = 0.0
    ) -> tuple[State, Beat]:
        """Return the settled state without the fraction ``removed`` of the liver.

        ``buffer`` and ``widening`` are those of `periphery`.

        Raises:
            ValueError: for a fraction outside 0 to `LARGEST`.
            NotSolved: if the circulation does not settle.
        """
        _check_fraction(removed)
        network = self.network(removed)
        loop = loop_of(network)
        volumes = _initial(network, loop)

        def answer(pressures: Floats) -> Periphery:
            arterial, caval = (float(pressure) for pressure in pressures)
            return periphery(self.patient, removed, arterial, caval, buffer, widening)

        seen = [loop.nodes.index(node) for node in ("aorta", "vena cava")]
        if buffer or widening:

            def beaten(x: Floats) -> Floats:
                """Return volumes and mean pressures of a beat with what the last ones make."""
                after, mean = _scaled(loop, answer(x[-2:]).scales).beat(x[:-2])
                return np.concatenate([after, mean[seen]])

            held = (self.patient.arterial_mmhg, self.patient.caval_mmhg)
            begin = np.concatenate([volumes, held])
            found, _ = settled(beaten, begin, 1e-9 * float(volumes.sum()), SETTLING)
            volumes, loop = found[:-2], _scaled(loop, answer(found[-2:]).scales)
        beat = loop.repeated(volumes)
        return answer(beat.mean_mmhg[seen]).state, beat


def _scaled(loop: Loop, scales: Scales) -> Loop:
    """Return a loop whose liver has its resistances times ``scales``."""
    nodes = [loop.nodes[end] for end in loop.ends.ravel()]
    ends = list(zip(nodes[::2], nodes[1::2]))
    factors = np.ones(len(ends))
    factors[ends.index(("portal vein", "liver"))] /= scales.portal
    factors[ends.index(("aorta", "liver"))] /= scales.artery
    factors[ends.index(("liver", "vena cava"))] /= scales.veins
    return replace(loop, forward=factors * loop.forward, backward=factors * loop.backward)


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
