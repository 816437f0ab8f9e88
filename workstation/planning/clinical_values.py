"""Patient values of a plan from a clinical record, and where the two differ."""

from __future__ import annotations

from collections.abc import Iterator

from segmentation.contract import Finding, Severity
from workstation.clinical import ClinicalRecord, ClinicalValue
from workstation.planning.plan import Plan, Step

STAGE = "planning.patient"
PARAMETERS = {
    "body_weight": "body_weight_kg",
    "height": "height_cm",
    "mean_arterial_pressure": "map_mmhg",
    "central_venous_pressure": "cvp_mmhg",
}
"""Key of a clinical value to the parameter of the patient's step; both use the same unit."""

DIGITS = 4


def with_clinical(plan: Plan, record: ClinicalRecord) -> Plan:
    """Return ``plan`` with its patient values taken from ``record``, and their origin.

    Values that the record does not hold stay as they are.
    """
    for step in plan.steps:
        found = dict(_held(step, record))
        if found:
            kept = [o for o in step.params.get("origins", ()) if o[0] not in found]
            origins = [(name, _number(value), value.origin) for name, value in found.items()]
            values = {name: _number(value) for name, value in found.items()}
            plan = plan.with_params(step.output, **values, origins=(*kept, *origins))
    return plan


def differences(plan: Plan, record: ClinicalRecord) -> list[tuple[str, Finding]]:
    """Return, by the output of its step, what the record knows otherwise than the plan."""
    return [
        (step.output, finding)
        for step in plan.steps
        for name, value in _held(step, record)
        if (finding := _difference(step, name, value)) is not None
    ]


def _held(step: Step, record: ClinicalRecord) -> Iterator[tuple[str, ClinicalValue]]:
    for key, name in PARAMETERS.items() if step.stage == STAGE else ():
        value = record.newest(key)
        if value is not None and value.value is not None and value.value > 0:
            yield name, value


def _number(value: ClinicalValue) -> float:
    return round(value.value or 0.0, DIGITS)


def _difference(step: Step, name: str, value: ClinicalValue) -> Finding | None:
    used, newest = step.params.get(name), _number(value)
    what = value.key.replace("_", " ")
    known = f"{newest:g} {value.unit} ({value.origin})"
    if used is None:
        text = f"the clinical record holds a {what} that the plan does not use: {known}"
        return Finding(Severity.INFO, "clinical_unused", text, remedy=REMEDY)
    if used == newest:
        return None
    origins = {o[0]: o for o in step.params.get("origins", ())}
    by_hand = name not in origins or origins[name][1] != used
    how = ", entered by hand" if by_hand else f" ({origins[name][2]})"
    text = f"the clinical record holds another {what}: {known}; the plan uses {used:g}{how}"
    severity = Severity.INFO if by_hand else Severity.WARNING
    return Finding(severity, "clinical_newer", text, remedy=REMEDY)


REMEDY = "Use the clinical values in the plan, or keep those it has."
