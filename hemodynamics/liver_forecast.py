"""What a resection does to the portal pressure, with a band from what is not known exactly.

`prepare` tunes the closed circulation to the patient's values and to an ensemble of values that
the patient may have as well (Latin hypercube, McKay 1979, Technometrics 21:239). It solves each
member for a few resected fractions; between them its mean arterial and caval pressure are
interpolated, and everything else follows from these exactly. The value itself is always that of
the full model. Rigid veins are what portal pressures of people point to, so the value has them;
what veins that widen as those of cats would give (`WIDENING`) stands beside it, with its own band.
What else the model leaves out is in no band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.stats import norm, qmc

from hemodynamics.liver_loop import LARGEST, Circulation, NotCalibrated, calibrate
from hemodynamics.liver_periphery import WIDENING, Assumed, Patient, State, periphery
from hemodynamics.network_loop import NotALoop
from hemodynamics.network_solution import NotSolved
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Solved = tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
Bands = Mapping[str, tuple[float, float]]

SEED = 20_261
VEINS = (0.0, WIDENING)
"""How the veins of the liver widen: not at all, and as those of cats."""

KNOTS = (0.0, 0.3, 0.55, 0.72, 0.83, LARGEST)
"""Resected fractions at which every member is solved in full."""

BAND_PERCENT = (5.0, 95.0)
FARTHEST = 2.0
"""Standard deviations beyond which nothing is drawn."""

PRESSURE_DOUBT_MMHG, FLOW_DOUBT, OUTPUT_DOUBT = 1.0, 0.15, 0.10
"""Standard deviations of what is measured: mmHg, and shares of flows; assumptions."""

NORMAL_MAP = (87.5, 9.0)
NORMAL_CVP = (4.0, 1.0)
NORMAL_OUTPUT = (6.0, 1.0)
NORMAL_INDEX = (3.25, 0.375)
"""Mean and standard deviation of normal adults, whose usual ranges (70-105 and 2-6 mmHg, 4-8
L/min, 2.5-4.0 L/min/m2) are taken as two standard deviations either way; CVP and MAP in mmHg."""

LIVER_SHARE = (0.25, 0.025)
"""Of the cardiac output: 20-30 %, American Society of Anesthesiologists, Toolbox question 5."""

PORTAL_SHARE = (0.75, 0.05)
"""Of the liver's inflow; as above, its doubt an assumption."""

SINUSOIDAL_SHARE = (0.4, 0.15)
"""Of the portocaval gradient, what lies behind the sinusoids; an assumption."""

STRETCH = 0.4
"""Standard deviation of the logarithm of the veins' compliances; an assumption."""


@dataclass(frozen=True)
class Known:
    """What was measured before the resection; None where it was not.

    Pressures in mmHg, flows in L/min, ``beats_min`` the heart rate, ``surface_m2`` that of the
    body.
    """

    portal_mmhg: float
    arterial_mmhg: float | None = None
    sinusoidal_mmhg: float | None = None
    caval_mmhg: float | None = None
    cardiac_output_l_min: float | None = None
    portal_flow_l_min: float | None = None
    arterial_flow_l_min: float | None = None
    beats_min: float | None = None
    surface_m2: float | None = None


@dataclass(frozen=True)
class Outcome:
    """Means before and after a resection; bands (low, high) go by the name of a property.

    ``widened`` is what comes after if the veins of the liver widen, ``resistors`` if they do not
    and the pressures of aorta and vena cava stay.
    """

    before: State
    after: State
    widened: State
    resistors: State
    bands_before: Bands
    bands: Bands
    bands_widened: Bands
    bands_resistors: Bands


BANDED = (
    "portal_mmhg",
    "gradient_mmhg",
    "portal_flow_l_min",
    "arterial_flow_l_min",
    "arterial_mmhg",
    "cardiac_output_l_min",
)


@dataclass(frozen=True, eq=False)
class Surface:
    """Mean arterial and caval pressures (mmHg) of an ensemble by the resected fraction."""

    widening: float
    arterial: CubicSpline
    caval: CubicSpline


@dataclass(frozen=True, eq=False)
class Forecast:
    """A patient's circulation and its ensemble, ready for any resected fraction.

    Attributes:
        circulation: of the patient's own values.
        members: the ensemble's patients.
        rigid, widened: their mean pressures with rigid veins and with veins that widen.
        failed: draws that contradict themselves or that no heart of the model fits.
        buffer: whether the hepatic arterial buffer response acts.
    """

    circulation: Circulation
    members: tuple[Patient, ...]
    rigid: Surface
    widened: Surface
    failed: int
    buffer: bool

    def at(self, removed: float) -> Outcome:
        """Return what removing the volume fraction ``removed`` (0 to `LARGEST`) does.

        Raises:
            ValueError: for a fraction outside that range.
        """
        after, bands = self._after(removed, self.rigid)
        widened, bands_widened = self._after(removed, self.widened)
        resistors, *drawn = (
            periphery(one, removed, one.arterial_mmhg, one.caval_mmhg).state
            for one in (self.circulation.patient, *self.members)
        )
        return Outcome(
            self.circulation.before,
            after,
            widened,
            resistors,
            self.bands_before,
            bands,
            bands_widened,
            _bands(resistors, drawn),
        )

    def _after(self, removed: float, surface: Surface) -> tuple[State, Bands]:
        """Return the patient's means and their bands with the veins of a ``surface``."""
        veins = (self.buffer, surface.widening)
        after, _ = self.circulation.resected(removed, *veins)
        pressures = zip(surface.arterial(removed), surface.caval(removed))
        drawn = [
            periphery(member, removed, float(high), float(low), *veins).state
            for member, (high, low) in zip(self.members, pressures)
        ]
        return after, _bands(after, drawn)

    @cached_property
    def bands_before(self) -> Bands:
        """The bands of the means before any resection."""
        drawn = [
            periphery(member, 0.0, member.arterial_mmhg, member.caval_mmhg).state
            for member in self.members
        ]
        return _bands(self.circulation.before, drawn)


def _bands(state: State, drawn: Sequence[State]) -> Bands:
    """Return the band of each property, which holds the state's own value."""
    bands = {}
    for name in BANDED:
        value = getattr(state, name)
        low, high = np.percentile([getattr(other, name) for other in drawn], BAND_PERCENT)
        bands[name] = (min(float(low), value), max(float(high), value))
    return bands


def patient_of(known: Known) -> Patient:
    """Return the patient with the likeliest value of everything that was not measured.

    Raises:
        ValueError: if the values contradict each other.
    """
    return _drawn(known, np.zeros(9))


def prepare(
    known: Known, members: int = 48, buffer: bool = False, progress: Progress = silent
) -> Forecast:
    """Return the forecast for a patient; members that were solved before are not solved again.

    Raises:
        ValueError: if the values contradict each other.
        NotCalibrated: if no heart of the model fits them, or less than half of the ensemble.
    """
    circulation = calibrate(patient_of(known))
    unit = qmc.LatinHypercube(9, rng=SEED).random(members)
    turns = np.clip(norm.ppf(unit), -FARTHEST, FARTHEST)
    fitted: list[Patient] = []
    solved: list[Solved] = []
    for number, turn in enumerate(turns):
        progress(number / members, "ensemble")
        try:
            patient = _drawn(known, turn)
        except ValueError:  # the draw contradicts itself
            continue
        found = _solved(patient, buffer)
        if found is not None:
            fitted.append(patient)
            solved.append(found)
    if 2 * len(fitted) < members:
        raise NotCalibrated(
            f"the model fits {len(fitted)} of {members} draws from the patient's values; check them"
        )
    rows = np.array(solved)  # (members, veins, pressures, knots)
    rigid, widened = (
        Surface(widening, *(CubicSpline(KNOTS, rows[:, place, of], axis=1) for of in (0, 1)))
        for place, widening in enumerate(VEINS)
    )
    failed = members - len(fitted)
    return Forecast(circulation, tuple(fitted), rigid, widened, failed, buffer)


@lru_cache(maxsize=2048)
def _solved(patient: Patient, buffer: bool) -> Solved | None:
    """Return mean arterial and caval pressures at the `KNOTS`, for rigid veins and widening ones.

    None where no heart fits.
    """
    try:
        member = calibrate(patient)
        veins = [
            [member.before, *(member.resected(f, buffer, widening)[0] for f in KNOTS[1:])]
            for widening in VEINS
        ]
    except (NotCalibrated, NotALoop, NotSolved):
        return None
    return tuple(
        (tuple(s.arterial_mmhg for s in states), tuple(s.caval_mmhg for s in states))
        for states in veins
    )


def _drawn(known: Known, turns: Floats) -> Patient:
    """Return a patient who is ``turns`` (9,) standard deviations off the likeliest values."""
    t = [float(turn) for turn in turns]
    portal = known.portal_mmhg + PRESSURE_DOUBT_MMHG * t[0]
    arterial = _value(known.arterial_mmhg, 3 * PRESSURE_DOUBT_MMHG, NORMAL_MAP, t[1])
    caval = _value(known.caval_mmhg, PRESSURE_DOUBT_MMHG, NORMAL_CVP, t[2])
    if any(t) or known.caval_mmhg is None:
        caval = float(np.clip(caval, 1.0, max(portal - 1.0, 1.0)))
    if known.sinusoidal_mmhg is None:
        share = float(np.clip(SINUSOIDAL_SHARE[0] + SINUSOIDAL_SHARE[1] * t[3], 0.05, 0.95))
        sinusoidal = caval + share * (portal - caval)
    else:
        sinusoidal = known.sinusoidal_mmhg + PRESSURE_DOUBT_MMHG * t[3]
        if any(t):
            margin = 0.05 * (portal - caval)
            sinusoidal = float(np.clip(sinusoidal, caval + margin, portal - margin))
    normal = NORMAL_OUTPUT
    if known.surface_m2 is not None:
        normal = (known.surface_m2 * NORMAL_INDEX[0], known.surface_m2 * NORMAL_INDEX[1])
    given = known.cardiac_output_l_min
    output = _value(given, OUTPUT_DOUBT * (given or 0.0), normal, t[4])
    inflow = output * (LIVER_SHARE[0] + LIVER_SHARE[1] * t[5])
    by_vein = PORTAL_SHARE[0] + PORTAL_SHARE[1] * t[6]
    vein, artery = inflow * by_vein, inflow * (1 - by_vein)
    if known.portal_flow_l_min is not None:
        vein = known.portal_flow_l_min * (1 + FLOW_DOUBT * t[5])
    if known.arterial_flow_l_min is not None:
        artery = known.arterial_flow_l_min * (1 + FLOW_DOUBT * t[6])
    usual = Assumed() if known.beats_min is None else Assumed(beats_min=known.beats_min)
    assumed = _stretched(usual, float(np.exp(STRETCH * t[7])), float(np.exp(STRETCH * t[8])))
    return Patient(arterial, portal, sinusoidal, caval, output, vein, artery, assumed)


def _value(measured: float | None, doubt: float, normal: tuple[float, float], turn: float) -> float:
    return normal[0] + normal[1] * turn if measured is None else measured + doubt * turn


def _stretched(assumed: Assumed, splanchnic: float, other: float) -> Assumed:
    return replace(
        assumed,
        gut_ml_mmhg=assumed.gut_ml_mmhg * splanchnic,
        portal_ml_mmhg=assumed.portal_ml_mmhg * splanchnic,
        liver_ml_mmhg=assumed.liver_ml_mmhg * splanchnic,
        organs_ml_mmhg=assumed.organs_ml_mmhg * other,
        cava_ml_mmhg=assumed.cava_ml_mmhg * other,
    )
