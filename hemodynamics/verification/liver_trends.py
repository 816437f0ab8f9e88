"""The closed circulation with the liver: what it must keep, and how it must answer resections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import qmc

from hemodynamics.liver_forecast import VEINS, Known, patient_of
from hemodynamics.liver_loop import Circulation, calibrate
from hemodynamics.liver_periphery import Assumed, Patient, periphery
from hemodynamics.lumped import Compliance, Resistor
from hemodynamics.verification.liver_published import published
from hemodynamics.verification.rows import Means, Row
from segmentation.contract import Progress

PATIENTS = 200
FRACTIONS = (0.0, 0.25, 0.5, 0.7, 0.9)
ADULT = "normal adult, portal pressure 9 mmHg"
OWN = "follows from the model"
RULE = "Audebert 2017, doi:10.1016/j.jbiomech.2016.11.037: R / m and C m for a mass share m"


def liver(means: Means) -> Iterator[Row]:
    """Yield what the circulation keeps, how it changes, and measured changes beside it."""
    adult = calibrate(patient_of(Known(9.0)))
    yield from _kept(adult)
    yield _row("pressures held", "portal pressure, 60 % resected", _held(), 14.91, "mmHg", 0.005,
               "four-resistor network solved by hand")  # fmt: skip
    yield from _virtual(means.progress)
    yield from _scaling(adult)
    yield from published()


def _kept(adult: Circulation) -> Iterator[Row]:
    _, beat = adult.resected(0.6)
    total = beat.volumes_ml.sum(axis=1)
    lost = float(np.abs(total / total[0] - 1.0).max())
    size = np.abs(beat.pressures_mmhg).max(axis=0)
    moved = np.abs(beat.pressures_mmhg[-1] - beat.pressures_mmhg[0]) / size
    case = f"{ADULT}, 60 % resected"
    yield _row(case, "change of all blood over a beat, as a share", lost, 0.0, "", 1e-9, OWN)
    yield _row(case, "change of a pressure from beat to beat", 100 * float(moved.max()), 0.0, "%",
               0.1, OWN)  # fmt: skip


def _held() -> float:
    resistors = Patient(85.0, 9.0, 6.0, 4.0, 5.5, 1.0, 0.3)
    return periphery(resistors, 0.6, 85.0, 4.0).state.portal_mmhg


def _virtual(progress: Progress) -> Iterator[Row]:
    """Yield how many virtual patients do not answer larger resections one way."""
    unfit, wrong = 0, dict.fromkeys(VEINS, (0, 0))
    for number, patient in enumerate(virtual_patients(PATIENTS)):
        progress(number / PATIENTS, "virtual patients")
        try:
            tuned = calibrate(patient)
            answers = {
                widening: [tuned.resected(fraction, False, widening)[0] for fraction in FRACTIONS]
                for widening in VEINS
            }
        except (ValueError, RuntimeError):
            unfit += 1
            continue
        for widening, states in answers.items():
            rises = (np.diff([state.portal_mmhg for state in states]) > 0).all()
            falls = (np.diff([state.arterial_flow_l_min for state in states]) < 0).all()
            portal, artery = wrong[widening]
            wrong[widening] = (portal + (not rises), artery + (not falls))
    case = f"{PATIENTS} virtual patients, up to 90 % resected"
    yield _row(case, "that no heart of the model fits", unfit, 0.0, "patients", 0.0, OWN)
    for widening, (portal, artery) in wrong.items():
        veins = "; veins widen" if widening else "; rigid veins"
        for quantity, count in (
            ("whose portal pressure does not rise throughout", portal),
            ("whose arterial flow does not fall throughout", artery),
        ):
            yield _row(f"{case}{veins}", quantity, count, 0.0, "patients", 0.0, OWN)


def virtual_patients(count: int) -> Iterator[Patient]:
    """Yield patients spread evenly over usual and unusual pressures, flows and heart rates."""
    low = np.array([65, 2, 2.5, 0.15, 4, 0.15, 0.5, 55])
    high = np.array([110, 10, 14, 0.8, 8.5, 0.30, 0.85, 100])
    for share in qmc.LatinHypercube(8, rng=3).random(count):
        drawn = low + share * (high - low)
        arterial, caval, gradient, post, output, inflow, vein, rate = map(float, drawn)
        yield Patient(
            arterial, caval + gradient, caval + post * gradient, caval, output,
            output * inflow * vein, output * inflow * (1 - vein), Assumed(beats_min=rate),
        )  # fmt: skip


def _scaling(adult: Circulation) -> Iterator[Row]:
    """Yield how a remnant of mass share m holds and resists: C m and R / m, as they have it."""
    left = 0.4
    whole, less = (
        {element.name: element for element in adult.network(removed).elements}
        for removed in (0.0, 1.0 - left)
    )
    case = "remnant of 40 % of the mass, their rule"
    for part in ("portal", "artery", "vein"):
        pair = (whole[f"liver {part}"], less[f"liver {part}"])
        before, after = (e.resistance for e in pair if isinstance(e, Resistor))
        yield _row(case, f"{part} resistance, times as large", after / before, 2.5, "", 1e-9, RULE)
    stores = [e for e in (whole["liver store"], less["liver store"]) if isinstance(e, Compliance)]
    share = stores[1].compliance / stores[0].compliance
    yield _row(case, "liver compliance, times as large", share, 0.4, "", 1e-9, RULE)


def _row(
    case: str, quantity: str, value: float, reference: float, unit: str, limit: float, source: str
) -> Row:
    return Row("liver", case, quantity, float(value), reference, unit, limit, source)
