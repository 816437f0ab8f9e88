"""Portal pressure after a resection, from measured values and the volumes of the plan."""

from __future__ import annotations

from hemodynamics.liver import LiverCirculation
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import LabelMap

NEEDED = {
    "map_mmhg": "mean arterial pressure",
    "portal_pressure_mmhg": "portal vein pressure",
    "sinusoidal_pressure_mmhg": "sinusoidal pressure",
    "cvp_mmhg": "central venous pressure",
    "portal_flow_l_min": "portal vein flow",
    "arterial_flow_l_min": "hepatic artery flow",
}
MODEL = "steady four-resistor model, not validated; hepatic resistances scale with 1 / remnant"


def portal_pressure(
    liver: LabelMap, remnant: LabelMap, patient: Measurements, *, progress: Progress = silent
) -> Measurements:
    """Estimate the portal pressure after the resection.

    Every value of the circulation must have been entered for the patient; without them there
    is a finding that names what is missing, and no number.
    """
    known = {number.quantity: number.value for number in patient.numbers}
    missing = [words for name, words in NEEDED.items() if name not in known]
    progress(1.0)
    if missing:
        sentence = f"The portal pressure is not estimated; not entered: {', '.join(missing)}."
        return Measurements(
            findings=(
                Finding(
                    Severity.INFO,
                    "portal_pressure_inputs",
                    sentence,
                    remedy="Enter the patient's values to get an estimate.",
                ),
            )
        )
    before = LiverCirculation(*(known[name] for name in NEEDED))
    after = before.after_resection(1.0 - remnant.volume_ml() / liver.volume_ml())
    return Measurements(
        (
            Number("before", before.portal_mmhg, "mmHg", "entered by hand"),
            Number("after", after.portal_mmhg, "mmHg", MODEL),
            Number("gradient_after", after.gradient_mmhg, "mmHg", MODEL),
            Number("portal_flow_after", after.portal_flow_l_min, "L/min", MODEL),
            Number("arterial_flow_after", after.arterial_flow_l_min, "L/min", MODEL),
        )
    )
