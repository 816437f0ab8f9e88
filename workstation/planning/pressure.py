"""Portal pressure after a resection, from measured values and the volumes of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.liver import LiverCirculation
from hemodynamics.liver_forecast import (
    BAND_PERCENT,
    FLOW_DOUBT,
    NORMAL_CVP,
    NORMAL_INDEX,
    NORMAL_MAP,
    NORMAL_OUTPUT,
    OUTPUT_DOUBT,
    PRESSURE_DOUBT_MMHG,
    SINUSOIDAL_SHARE,
    Forecast,
    Known,
    Outcome,
    prepare,
)
from hemodynamics.liver_loop import LARGEST, periphery
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import LabelMap
from workstation.planning.pressure_limits import limits

NEEDED = {
    "map_mmhg": "mean arterial pressure",
    "portal_pressure_mmhg": "portal vein pressure",
    "sinusoidal_pressure_mmhg": "sinusoidal pressure",
    "cvp_mmhg": "central venous pressure",
    "portal_flow_l_min": "portal vein flow",
    "arterial_flow_l_min": "hepatic artery flow",
}
RESISTORS = "steady four-resistor model, not validated; hepatic resistances scale with 1 / remnant"
LOOP = "closed circulation tuned to the patient, not validated prospectively; no reflexes"
FIELDS = {
    "map_mmhg": "arterial_mmhg",
    "sinusoidal_pressure_mmhg": "sinusoidal_mmhg",
    "cvp_mmhg": "caval_mmhg",
    "cardiac_output_l_min": "cardiac_output_l_min",
    "portal_flow_l_min": "portal_flow_l_min",
    "arterial_flow_l_min": "arterial_flow_l_min",
}
"""What of a patient's values the closed circulation takes besides the portal pressure."""


def portal_pressure(
    liver: LabelMap,
    remnant: LabelMap,
    patient: Measurements,
    *,
    model: Literal["closed_loop", "four_resistor"] = "closed_loop",
    cardiac_output_l_min: Annotated[float, Gt(0), Le(20)] | None = None,
    buffer_response: bool = False,
    members: Annotated[int, Ge(16), Le(200)] = 48,
    progress: Progress = silent,
) -> Measurements:
    """Estimate the portal pressure after the resection.

    The portal pressure before it must have been entered for the patient; without it there is a
    finding that says so, and no number. The closed circulation takes normal values for what else
    was not entered, says which, and widens its bands by their doubt. The four-resistor model
    needs every value.

    Args:
        model: Closed circulation with a beating heart, or four resistors between fixed pressures.
        cardiac_output_l_min: Cardiac output; empty takes that of a normal adult.
        buffer_response: Whether the hepatic artery narrows as portal flow per mass rises.
        members: How many draws from the doubt of the inputs make the bands.
    """
    known = {number.quantity: number.value for number in patient.numbers}
    if cardiac_output_l_min is not None:
        known["cardiac_output_l_min"] = cardiac_output_l_min
    removed = 1.0 - remnant.volume_ml() / liver.volume_ml()
    if model == "four_resistor":
        progress(1.0)
        return _four_resistors(known, removed)
    if "portal_pressure_mmhg" not in known:
        progress(1.0)
        return _missing(["portal vein pressure"], "every further value narrows its band")
    if not 0.0 < removed <= LARGEST:
        progress(1.0)
        return Measurements(findings=(_outside(removed),))
    forecast = prepare(known_of(known), members, buffer_response, progress)
    outcome = forecast.at(removed)
    progress(1.0)
    return Measurements(
        tuple(_numbers(forecast, outcome, removed)),
        (_assumptions(known, forecast), *limits(outcome)),
    )


def known_of(values: Mapping[str, float]) -> Known:
    """Return what the closed circulation takes from a patient's values, by their quantity."""
    given = {field: values[name] for name, field in FIELDS.items() if name in values}
    height, weight = values.get("height_cm"), values.get("body_weight_kg")
    surface = sqrt(height * weight / 3600) if height and weight else None  # Mosteller 1987
    return Known(values["portal_pressure_mmhg"], surface_m2=surface, **given)


def _four_resistors(known: Mapping[str, float], removed: float) -> Measurements:
    missing = [words for name, words in NEEDED.items() if name not in known]
    if missing:
        return _missing(missing, "or take the closed circulation, which assumes what is missing")
    before = LiverCirculation(*(known[name] for name in NEEDED))
    after = before.after_resection(removed)
    return Measurements(
        (
            Number("before", before.portal_mmhg, "mmHg", "entered by hand"),
            Number("after", after.portal_mmhg, "mmHg", RESISTORS),
            Number("gradient_after", after.gradient_mmhg, "mmHg", RESISTORS),
            Number("portal_flow_after", after.portal_flow_l_min, "L/min", RESISTORS),
            Number("arterial_flow_after", after.arterial_flow_l_min, "L/min", RESISTORS),
        )
    )


def _missing(names: list[str], besides: str) -> Measurements:
    sentence = f"The portal pressure is not estimated; not entered: {', '.join(names)}."
    remedy = f"Enter the patient's values to get an estimate; {besides}"
    return Measurements(
        findings=(Finding(Severity.INFO, "portal_pressure_inputs", sentence, remedy=remedy),)
    )


def _outside(removed: float) -> Finding:
    if removed <= 0:
        sentence = "The portal pressure is not estimated: nothing of the liver is removed."
        return Finding(Severity.INFO, "portal_pressure_nothing", sentence, remedy="Place the cut.")
    return Finding(
        Severity.PROBLEM,
        "portal_pressure_outside",
        f"The portal pressure is not estimated: {removed:.0%} of the liver would be removed, and "
        f"the model holds for at most {LARGEST:.0%}.",
        remedy="Leave more of the liver.",
    )


def _numbers(forecast: Forecast, outcome: Outcome, removed: float) -> Iterator[Number]:
    low, high = BAND_PERCENT
    buffer = "; with the arterial buffer response" if forecast.buffer else ""
    band = (
        f"band: {low:g}th to {high:g}th percentile of {len(forecast.members)} draws from the "
        "inputs' doubt"
    )
    source = f"{LOOP}{buffer}; {band}"
    before, after = outcome.before, outcome.after
    yield Number("before", before.portal_mmhg, "mmHg", "as entered for the patient")
    tuned = f"as entered for the patient, or assumed where not entered; {band}"
    for name, unit, attribute in (
        ("gradient_before", "mmHg", "gradient_mmhg"),
        ("portal_flow_before", "L/min", "portal_flow_l_min"),
        ("arterial_flow_before", "L/min", "arterial_flow_l_min"),
    ):
        limits_before = outcome.bands_before[attribute]
        yield Number(name, getattr(before, attribute), unit, tuned, *limits_before)
    for name, unit, attribute in (
        ("after", "mmHg", "portal_mmhg"),
        ("gradient_after", "mmHg", "gradient_mmhg"),
        ("portal_flow_after", "L/min", "portal_flow_l_min"),
        ("arterial_flow_after", "L/min", "arterial_flow_l_min"),
        ("arterial_pressure_after", "mmHg", "arterial_mmhg"),
    ):
        yield Number(name, getattr(after, attribute), unit, source, *outcome.bands[attribute])
    held = (before.arterial_mmhg, before.caval_mmhg)
    simple = periphery(forecast.circulation.patient, removed, *held).state
    yield Number("after_four_resistors", simple.portal_mmhg, "mmHg", RESISTORS)


def _assumptions(known: Mapping[str, float], forecast: Forecast) -> Finding:
    """Return the finding that says what was measured, what was assumed, and what is unproven."""
    patient = forecast.circulation.patient
    index, spread = NORMAL_INDEX
    surface = known_of(known).surface_m2
    heart = f"{NORMAL_OUTPUT[0]:g} ± {NORMAL_OUTPUT[1]:g} L/min, normal adult"
    if surface is not None:
        heart = f"{index:g} ± {spread:g} L/min per m² of body surface, normal adult"
    share = f"{SINUSOIDAL_SHARE[0]:.0%} ± {SINUSOIDAL_SHARE[1]:.0%} of the portocaval gradient"
    usual = {
        "map_mmhg": f"mean arterial pressure {NORMAL_MAP[0]:g} ± {NORMAL_MAP[1]:g} mmHg",
        "cvp_mmhg": f"central venous pressure {NORMAL_CVP[0]:g} ± {NORMAL_CVP[1]:g} mmHg",
        "sinusoidal_pressure_mmhg": f"drop behind the sinusoids {share}",
        "cardiac_output_l_min": f"cardiac output {heart}",
        "portal_flow_l_min": f"portal flow {patient.portal_flow_l_min:.2f} L/min, 75 % of the "
        "liver's quarter of the cardiac output",
        "arterial_flow_l_min": f"hepatic artery flow {patient.arterial_flow_l_min:.2f} L/min, the "
        "rest of that quarter",
    }
    words = NEEDED | {"cardiac_output_l_min": "cardiac output"}
    measured = [text for name, text in words.items() if name in known]
    assumed = [text for name, text in usual.items() if name not in known]
    told = "; ".join(assumed) if assumed else "no mean pressure or flow"
    failed = ""
    if forecast.failed:
        failed = f" {forecast.failed} draws fit no heart or contradict themselves; left out."
    return Finding(
        Severity.INFO,
        "portal_pressure_assumed",
        "The portal pressure after the resection is an estimate of a model that is not validated "
        f"prospectively. Entered: {', '.join(measured)} (doubt ± {PRESSURE_DOUBT_MMHG:g} mmHg, "
        f"arterial ± {3 * PRESSURE_DOUBT_MMHG:g}; flows ± {FLOW_DOUBT:.0%}, output "
        f"± {OUTPUT_DOUBT:.0%}). Assumed: {told}; compliances, heart rate and lungs. Infusions, "
        "bleeding, reflexes and portal veins that widen are left out, so a steep rise may be "
        f"overstated.{failed}",
    )
