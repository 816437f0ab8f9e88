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
    "heart_rate": "heart_rate_per_min",
    "bilirubin": "bilirubin_mg_dl",
    "albumin": "albumin_g_dl",
    "inr": "inr",
    "creatinine": "creatinine_mg_dl",
    "sodium": "sodium_mmol_l",
}
"""Key of a clinical value to the parameter of the patient's step; both use the same unit."""

DIGITS = 2
"""Decimals that a value keeps: hundredths of a kg, cm or mmHg."""

REMEDY = "Use the clinical values in the plan, or keep those it has."


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
    found = []
    for step in plan.steps:
        held = list(_held(step, record))
        unused = [value for name, value in held if name not in step.params]
        if unused:
            known = ", ".join(map(_words, unused))
            text = f"the plan does not use what the clinical record holds: {known}"
            finding = Finding(Severity.INFO, "clinical_unused", text, remedy=REMEDY)
            found.append((step.output, finding))
        for name, value in held:
            if name in step.params and step.params[name] != _number(value):
                found.append((step.output, _difference(step, name, value)))
    return found


def _held(step: Step, record: ClinicalRecord) -> Iterator[tuple[str, ClinicalValue]]:
    for key, name in PARAMETERS.items() if step.stage == STAGE else ():
        value = record.newest(key)
        if value is not None and value.value is not None and value.value > 0:
            yield name, value


def _number(value: ClinicalValue) -> float:
    return round(value.value or 0.0, DIGITS)


def _words(value: ClinicalValue) -> str:
    unit = value.unit.replace("[Hg]", "Hg")
    return f"{value.key.replace('_', ' ')} {_number(value):g} {unit} ({value.origin})"


def _difference(step: Step, name: str, value: ClinicalValue) -> Finding:
    """Tell of a value that the plan has otherwise, and where the plan has it from."""
    used = step.params[name]
    known = {(n, v): origin for n, v, origin in step.params.get("origins", ())}
    origin = known.get((name, used), "entered by hand")
    text = f"the clinical record holds {_words(value)}; the plan uses {used:g} ({origin})"
    severity = Severity.WARNING if (name, used) in known else Severity.INFO
    return Finding(severity, "clinical_newer", text, remedy=REMEDY)
