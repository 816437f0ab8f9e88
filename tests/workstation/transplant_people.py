"""People of transplants for tests: a record from keys, seen on one day."""

from __future__ import annotations

from datetime import date
from typing import Any

from workstation.planning.transplant_person import Person, PersonRecord
from workstation.planning.transplant_rows import Row, Sheet
from workstation.planning.transplant_sheet import transplant_sheet
from workstation.planning.transplant_site import Site
from workstation.transplant_record import from_document

DAY = "2026-03-01"
UNITS = {
    "age": "a",
    "height": "cm",
    "body_weight": "kg",
    "creatinine": "mg/dL",
    "graft_volume": "mL",
    "liver_volume": "mL",
    "remnant_volume": "mL",
    "dialysis_years": "a",
    "egfr": "mL/min/1.73m2",
    "systolic_pressure": "mm[Hg]",
    "bilirubin": "mg/dL",
    "albumin": "g/dL",
    "sodium": "mmol/L",
    "cpra": "%",
}


def record(values: dict[str, Any], **about: Any) -> PersonRecord:
    """Return a record; every value is of the day of the review unless it says otherwise."""
    rows = []
    for key, given in values.items():
        several = given if isinstance(given, list) else [given]
        for one in several:
            row = dict(one) if isinstance(one, dict) else {"value": one}
            unit = UNITS.get(key, "mm" if key.endswith("_mm") or key.startswith("diam") else "")
            rows.append({"key": key, "unit": unit, "date": DAY, "source": "test"} | row)
    made = from_document({"values": rows} | about, "test", about.get("sha256", ""))
    assert not made.not_read, made.not_read
    return made


def person(role: str, site: Site | None = None, **values: Any) -> Person:
    """Return a person as seen on the day of the review."""
    return Person(record(values), role, date.fromisoformat(DAY), (site or Site()).max_days)


def sheet(donor: dict[str, Any], recipient: dict[str, Any], **settings: Any) -> Sheet:
    """Return the sheet of a pair."""
    made = {"review_date": DAY} | settings
    return transplant_sheet(record(donor), record(recipient), **made)


def row(name: str, donor: dict[str, Any], recipient: dict[str, Any], **settings: Any) -> Row:
    """Return one row of the sheet of a pair."""
    return sheet(donor, recipient, **settings).row(name)
