"""Rows of a transplant review as FHIR R4 Observations, and such Observations read again.

A verdict is coded twice: as our own, and by HL7's interpretation that comes nearest (pass N
normal, warn A abnormal, block AA critically abnormal, unknown IND indeterminate). The rule and
its version are the method; a row without a value says that the value is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workstation.fhir.codes import UCUM

ROWS = "urn:x-hilum:review-row"
PARTS = "urn:x-hilum:review-row-part"
VERDICTS = "urn:x-hilum:verdict"
RULES = "urn:x-hilum:rule"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

INTERPRETED: Mapping[str, tuple[str, str]] = {
    "pass": ("N", "Normal"),
    "warn": ("A", "Abnormal"),
    "block": ("AA", "Critical abnormal"),
    "unknown": ("IND", "Indeterminate"),
}
IMAGING = ("vessel", "fit")
OTHER = ("size", "score", "records", "follow")
SAID = ("source", "reason", "change", "expires", "confirmed", "inputs")
"""Parts of a row that are words and stand in components."""


def row_observation(
    row: Mapping[str, Any], units: Mapping[str, str], version: str
) -> dict[str, Any]:
    """Return what is a row's own in an Observation; ``units`` are those of ours in UCUM."""
    name, verdict = str(row["name"]), str(row["verdict"])
    code, display = INTERPRETED[verdict]
    made: dict[str, Any] = {
        "category": [_category(name)],
        "code": {
            "coding": [{"system": ROWS, "code": name}],
            "text": name.replace("_", " ").replace(".", ", "),
        },
        "interpretation": [
            {
                "coding": [
                    {"system": INTERPRETATION, "code": code, "display": display},
                    {"system": VERDICTS, "code": verdict},
                ],
                "text": verdict,
            }
        ],
        "method": {
            "coding": [{"system": RULES, "code": name, "version": version}],
            "text": row["rule"],
        },
        "component": [_part(part, str(row[part])) for part in SAID if row.get(part)],
    }
    if row["date"]:
        made["effectiveDateTime"] = row["date"]
    value, unit = row["value"], str(row["unit"])
    if isinstance(value, float | int):
        coded = {"system": UCUM, "code": units[unit]} if unit in units else {}
        made["valueQuantity"] = {"value": value, **({"unit": unit} if unit else {}), **coded}
    elif value is not None:
        made["valueString"] = value
        made["component"] += [_part("unit", unit)] if unit else []
    else:
        made["dataAbsentReason"] = {"coding": [{"system": ABSENT, "code": "unknown"}]}
        made["component"] += [_part("unit", unit)] if unit else []
    return made


def read_rows(resources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that stand in FHIR resources, as `row_observation` wrote them."""
    return [_row(r) for r in resources if _code(r.get("code"), ROWS)]


def _row(resource: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        _code(part["code"], PARTS): part["valueString"] for part in resource.get("component", ())
    }
    quantity = resource.get("valueQuantity", {})
    number = quantity.get("value")
    return {
        "name": _code(resource["code"], ROWS),
        "verdict": _code(resource["interpretation"][0], VERDICTS),
        "value": resource.get("valueString") if number is None else float(number),
        "unit": quantity.get("unit", parts.get("unit", "")),
        "date": resource.get("effectiveDateTime", ""),
        "rule": resource["method"]["text"],
        **{part: parts.get(part, "") for part in SAID},
    }


def _code(concept: Any, system: str) -> str:
    codings = concept.get("coding", ()) if isinstance(concept, Mapping) else ()
    return next((str(c["code"]) for c in codings if c.get("system") == system), "")


def _part(name: str, text: str) -> dict[str, Any]:
    return {"code": {"coding": [{"system": PARTS, "code": name}]}, "valueString": text}


def _category(name: str) -> dict[str, Any]:
    kind = name.partition(".")[0]
    if kind in OTHER:
        return {"text": "transplant review"}
    code = "imaging" if kind in IMAGING else "laboratory"
    return {"coding": [{"system": CATEGORY, "code": code}], "text": "transplant review"}
