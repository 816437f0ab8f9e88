"""Portal pressure after a resection, from measured values and the volumes of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.liver import LiverCirculation
from hemodynamics.liver_forecast import BAND_PERCENT, Forecast, Outcome, prepare
from hemodynamics.liver_loop import LARGEST
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import LabelMap
from workstation.planning.pressure_inputs import (
    NEEDED,
    PORTAL,
    TAKEN,
    assumed,
    inputs,
    known_of,
    missing,
)
from workstation.planning.pressure_limits import limits

Model = Literal["closed_loop", "four_resistor"]
After = Callable[[float], Measurements]
"""Tells the circulation after a volume fraction of the liver was removed."""

RESISTORS = "steady four-resistor model, not validated; hepatic resistances scale with 1 / remnant"
WIDENED = (
    "as the forecast, but the veins of the liver widen: resistance falls with the cube of the "
    "pressure in them, as in cats (Am J Physiol 1991;260:G325)"
)
LOOP = (
    "closed circulation tuned to the patient, not validated prospectively; rigid veins, no reflexes"
)
PER_100_ML = "flow / volume of the liver that is there"


def portal_pressure(
    liver: LabelMap,
    remnant: LabelMap,
    patient: Measurements,
    *,
    model: Model = "closed_loop",
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
        cardiac_output_l_min: Cardiac output; empty takes the patient's, or a normal adult's.
        buffer_response: Whether the hepatic artery narrows as portal flow per mass rises; pigs lost
            this response after extended resections (doi:10.1152/ajpgi.00113.2019).
        members: How many draws from the doubt of the inputs make the bands.
    """
    whole_ml = liver.volume_ml()
    removed = 1.0 - remnant.volume_ml() / whole_ml
    if not 0.0 < removed <= LARGEST:
        progress(1.0)
        return Measurements(findings=(_outside(removed),))
    after = pressure_after(
        {number.quantity: number.value for number in patient.numbers},
        whole_ml,
        model=model,
        cardiac_output_l_min=cardiac_output_l_min,
        buffer_response=buffer_response,
        members=members,
        progress=progress,
    )
    result = after(removed)
    progress(1.0)
    return result


def pressure_after(
    values: Mapping[str, float],
    whole_ml: float,
    *,
    model: Model = "closed_loop",
    cardiac_output_l_min: float | None = None,
    buffer_response: bool = False,
    members: int = 48,
    progress: Progress = silent,
) -> After:
    """Prepare once what tells, within milliseconds, all numbers after any resection.

    Args:
        values: of the patient, by their quantity.
        whole_ml: volume of the whole liver.
        model, cardiac_output_l_min, buffer_response, members: as in `portal_pressure`.
        progress: told how far the work is.

    Raises:
        ValueError: if the patient's values contradict each other.
    """
    known = dict(values)
    if cardiac_output_l_min is not None:
        known["cardiac_output_l_min"] = cardiac_output_l_min
    if model == "four_resistor":
        return lambda removed: _held(removed) or _four_resistors(known, removed)
    if PORTAL not in known:
        lacks = missing([NEEDED[PORTAL]], "every further value narrows its band")
        return lambda removed: Measurements(findings=(lacks,))
    forecast = prepare(known_of(known), members, buffer_response, progress)
    said = inputs(known, forecast)

    def after(removed: float) -> Measurements:
        outside = _held(removed)
        if outside is not None:
            return outside
        outcome = forecast.at(removed)
        numbers = (
            *_before(known, forecast, outcome),
            *_after(forecast, outcome),
            *_by_volume(outcome, whole_ml, removed),
        )
        return Measurements(numbers, (*said, *limits(outcome)))

    return after


def _held(removed: float) -> Measurements | None:
    """Return what is said where no model holds."""
    if 0.0 < removed <= LARGEST:
        return None
    return Measurements(findings=(_outside(removed),))


def _four_resistors(known: Mapping[str, float], removed: float) -> Measurements:
    lacks = [words for name, words in NEEDED.items() if name not in known]
    if lacks:
        besides = "or take the closed circulation, which assumes what is missing"
        return Measurements(findings=(missing(lacks, besides),))
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


def _drawn(forecast: Forecast) -> str:
    low, high = BAND_PERCENT
    return (
        f"band: {low:g}th to {high:g}th percentile of {len(forecast.members)} draws from the "
        "inputs' doubt"
    )


BEFORE = (
    ("before", "mmHg", "portal_mmhg", (PORTAL,)),
    ("gradient_before", "mmHg", "gradient_mmhg", (PORTAL, "cvp_mmhg")),
    ("portal_flow_before", "L/min", "portal_flow_l_min", ("portal_flow_l_min",)),
    ("arterial_flow_before", "L/min", "arterial_flow_l_min", ("arterial_flow_l_min",)),
    ("arterial_pressure_before", "mmHg", "arterial_mmhg", ("map_mmhg",)),
    ("cardiac_output_before", "L/min", "cardiac_output_l_min", ("cardiac_output_l_min",)),
)
"""Number, unit, property, and the inputs that it is."""


def _before(known: Mapping[str, float], forecast: Forecast, outcome: Outcome) -> Iterator[Number]:
    guessed = assumed(known, forecast)
    for name, unit, attribute, needs in BEFORE:
        value = getattr(outcome.before, attribute)
        if name == "before":
            yield Number(name, value, unit, "measured: as entered for the patient")
            continue
        made = [f"assumed: {guessed[key]}" for key in needs if key in guessed]
        made += [f"measured: {TAKEN[key]}" for key in needs if key not in guessed]
        source = f"{'; '.join(made)}; {_drawn(forecast)}"
        yield Number(name, value, unit, source, *outcome.bands_before[attribute])


AFTER = (
    ("after", "mmHg", "portal_mmhg"),
    ("gradient_after", "mmHg", "gradient_mmhg"),
    ("portal_flow_after", "L/min", "portal_flow_l_min"),
    ("arterial_flow_after", "L/min", "arterial_flow_l_min"),
    ("arterial_pressure_after", "mmHg", "arterial_mmhg"),
)


def _after(forecast: Forecast, outcome: Outcome) -> Iterator[Number]:
    buffer = "; with the arterial buffer response" if forecast.buffer else ""
    source = f"{LOOP}{buffer}; {_drawn(forecast)}"
    for name, unit, attribute in AFTER:
        value = getattr(outcome.after, attribute)
        yield Number(name, value, unit, source, *outcome.bands[attribute])
    for name, state, bands, model in (
        ("after_widened", outcome.widened, outcome.bands_widened, f"{WIDENED}{buffer}"),
        ("after_four_resistors", outcome.resistors, outcome.bands_resistors, RESISTORS),
    ):
        source = f"{model}; {_drawn(forecast)}"
        yield Number(name, state.portal_mmhg, "mmHg", source, *bands["portal_mmhg"])


def _by_volume(outcome: Outcome, whole_ml: float, removed: float) -> Iterator[Number]:
    """Yield the flows by the volume of the liver before, and of the remnant after."""
    left_ml = (1.0 - removed) * whole_ml
    for vessel in ("portal", "arterial"):
        attribute = f"{vessel}_flow_l_min"
        for when, state, bands, volume_ml in (
            ("before", outcome.before, outcome.bands_before, whole_ml),
            ("after", outcome.after, outcome.bands, left_ml),
        ):
            each = 1000.0 * 100.0 / volume_ml
            low, high = bands[attribute]
            value = each * getattr(state, attribute)
            name = f"{vessel}_flow_per_100_ml_{when}"
            yield Number(name, value, "mL/min", PER_100_ML, each * low, each * high)
