"""What of a patient's circulation was measured, what is assumed, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from hemodynamics.liver_forecast import (
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
)
from segmentation.contract import Finding, Severity
from segmentation.wording import counted

PORTAL = "portal_pressure_mmhg"
NEEDED = {
    "map_mmhg": "mean arterial pressure",
    PORTAL: "portal vein pressure",
    "sinusoidal_pressure_mmhg": "sinusoidal pressure",
    "cvp_mmhg": "central venous pressure",
    "portal_flow_l_min": "portal vein flow",
    "arterial_flow_l_min": "hepatic artery flow",
}
"""What the four resistors need, in their order."""

TAKEN = NEEDED | {"cardiac_output_l_min": "cardiac output", "heart_rate_per_min": "heart rate"}
"""What the closed circulation takes."""

FIELDS = {
    "map_mmhg": "arterial_mmhg",
    "sinusoidal_pressure_mmhg": "sinusoidal_mmhg",
    "cvp_mmhg": "caval_mmhg",
    "cardiac_output_l_min": "cardiac_output_l_min",
    "portal_flow_l_min": "portal_flow_l_min",
    "arterial_flow_l_min": "arterial_flow_l_min",
    "heart_rate_per_min": "beats_min",
}
"""What of a patient's values the closed circulation takes besides the portal pressure."""


def known_of(values: Mapping[str, float]) -> Known:
    """Return what the closed circulation takes from a patient's values, by their quantity."""
    given = {field: values[name] for name, field in FIELDS.items() if name in values}
    height, weight = values.get("height_cm"), values.get("body_weight_kg")
    surface = sqrt(height * weight / 3600) if height and weight else None  # Mosteller 1987
    return Known(values[PORTAL], surface_m2=surface, **given)


def missing(names: list[str], besides: str) -> Finding:
    """Return the finding that a forecast lacks inputs."""
    sentence = f"The portal pressure is not estimated; not entered: {', '.join(names)}."
    remedy = f"Enter the patient's values to get an estimate; {besides}"
    return Finding(Severity.INFO, "portal_pressure_inputs", sentence, remedy=remedy)


def assumed(known: Mapping[str, float], forecast: Forecast) -> dict[str, str]:
    """Return, by its quantity, what stands in for each value that was not measured."""
    patient = forecast.circulation.patient
    index, spread = NORMAL_INDEX
    heart = f"{NORMAL_OUTPUT[0]:g} ± {NORMAL_OUTPUT[1]:g} L/min, normal adult"
    if known_of(known).surface_m2 is not None:
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
        "heart_rate_per_min": f"heart rate {patient.assumed.beats_min:g} per min",
    }
    return {name: words for name, words in usual.items() if name not in known}


def inputs(known: Mapping[str, float], forecast: Forecast) -> tuple[Finding, Finding]:
    """Return what was measured, and what was assumed and is unproven."""
    measured = [f"{words} {known[name]:g}" for name, words in TAKEN.items() if name in known]
    entered = Finding(
        Severity.INFO,
        "portal_pressure_measured",
        f"Measured: {', '.join(measured)} (mmHg, L/min, per min; doubt ± {PRESSURE_DOUBT_MMHG:g} "
        f"mmHg, arterial ± {3 * PRESSURE_DOUBT_MMHG:g}; flows ± {FLOW_DOUBT:.0%}, output "
        f"± {OUTPUT_DOUBT:.0%}).",
    )
    told = assumed(known, forecast)
    failed = ""
    if forecast.failed:
        failed = " " + counted(
            forecast.failed,
            "draw fits no heart or contradicts itself; left out.",
            "draws fit no heart or contradict themselves; left out.",
        )
    unproven = Finding(
        Severity.INFO,
        "portal_pressure_assumed",
        "The portal pressure after the resection is an estimate of a model that is not validated "
        f"prospectively. Assumed: {'; '.join((*told.values(), 'compliances and lungs'))}. "
        "Infusions, bleeding and reflexes are left out. The veins of the liver are taken as rigid, "
        "as rises in living donors suggest; if they widened as those of cats, and as rises in pigs "
        f"suggest, the pressure would be lower, as stated beside it.{failed}",
    )
    return entered, unproven
