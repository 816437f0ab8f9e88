"""A donor or recipient as it is entered by hand: a record as a document, changed and kept again.

A document is that of `workstation.transplant_record`; what a person sets aside stays in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from workstation.case import Case
from workstation.case_sources import check_name
from workstation.clinical import ClinicalValue, moment
from workstation.planning.plan import Plan
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_person import Person, PersonRecord, said
from workstation.planning.transplant_typing import read_typing
from workstation.transplant_record import CROSSMATCH, FORMAT, YES_NO, quantity_of, read_values

CHOICES: Mapping[str, tuple[str, ...]] = {
    "abo": ("A", "A1", "A2", "B", "AB", "A1B", "A2B", "O"),
    "rh": ("positive", "negative"),
    "sex": ("F", "M"),
    **dict.fromkeys(YES_NO, ("yes", "no")),
    **dict.fromkeys(CROSSMATCH, ("negative", "positive")),
}
"""Keys whose values are one of a few words."""

LISTED_TOGETHER = "unacceptable_antigen"
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Conflict:
    """Values of one person that contradict each other, as rows of the person's document."""

    about: str
    rows: tuple[int, ...]


def empty_document(role: str) -> dict[str, Any]:
    """Return the document of a person of whom nothing is known yet."""
    return {"hilum": FORMAT, "role": role, "values": []}


def document_of(record: PersonRecord, role: str = "") -> dict[str, Any]:
    """Return a record of any origin as a document of our JSON, with all that it says."""
    rows: list[dict[str, Any]] = []
    for value in record.values:
        row = _entry(value)
        if value.key in record.confirmed:
            remark = record.confirmed[value.key]
            row |= {"confirmed_by": remark.by, "confirmed_on": remark.date}
        last = rows[-1] if rows else {}
        same = ("key", "date", "source", "status", "confirmed_by")
        if value.key == LISTED_TOGETHER and all(last.get(k) == row.get(k) for k in same):
            last["value"] = f"{last['value']}, {row['value']}"
        else:
            rows.append(row)
    document = {**empty_document(record.role or role), "label": record.label, "values": rows}
    if record.multiple_codes:
        document["nmdp_codes"] = dict(record.multiple_codes)
    if record.not_read:
        document["not_read"] = [
            {"what": n.what, "reason": n.reason, "count": n.count, "resource": n.resource}
            for n in record.not_read
        ]
    if record.findings:
        document["notes"] = [finding.to_json() for finding in record.findings]
    return document


def _entry(value: ClinicalValue) -> dict[str, Any]:
    row: dict[str, Any] = {"key": value.key, "value": value.text or value.value}
    if value.unit == "{MFI}":
        row["mfi"] = value.value
    elif value.value is not None and value.unit not in ("", "1"):
        row["unit"] = value.unit
    if value.key in CROSSMATCH and value.specimen:
        row["donor"] = value.specimen  # with whose cells it was done
    if value.date:
        row["date"] = value.date
    if value.status != "final":
        row["status"] = value.status
    if value.key in CROSSMATCH and value.specimen:
        row["donor"] = value.specimen
    return row | {"source": value.resource or value.display}


def refusal(entry: Entry, today: date) -> str:
    """Return in one sentence why an entry cannot be used, "" if it can."""
    try:
        read_values(str(entry["key"]), entry, "entered by hand")
    except (ValueError, UnreadableTyping) as error:
        return f"{said(str(entry['key'])).capitalize()}: {error}."
    when = moment(str(entry.get("date") or ""))
    if when is not None and when.date() > today:
        return f"The date {entry['date']} lies in the future."
    return ""


def is_aside(entry: Entry) -> bool:
    """Tell whether a person set an entry aside."""
    return bool(entry.get("set_aside_by"))


def converted(entry: Entry) -> str:
    """Return a usable entry's number in the unit that is kept, "" where it is given in it."""
    values = read_values(str(entry["key"]), entry, "")
    value, unit = values[0].value, values[0].unit
    if value is None or unit in ("", "1", "{MFI}") or unit == entry.get("unit"):
        return ""
    return f"= {value:.4g} {unit}"


def units_of(key: str) -> tuple[str, ...]:
    """Return the units in which a value may be given, the first as it is kept."""
    quantity = quantity_of(key)
    if quantity is None or quantity.unit == "1":
        return ()
    return tuple(dict.fromkeys((quantity.unit, *(unit for unit in quantity.factors if unit))))


def conflicts(document: Mapping[str, Any], record: PersonRecord, role: str) -> list[Conflict]:
    """Return what contradicts itself in a person's record, with the rows of its document."""
    person = Person(record, role, date.max, lambda key: None)
    rows = document["values"]
    found = []
    for key in dict.fromkeys(value.key for value in record.values):
        known = person.chosen(key)
        if known.value is not None and known.doubt and not key.startswith(("hla", "antibody")):
            own = [n for n, row in enumerate(rows) if row["key"] == key and not is_aside(row)]
            if len({str(rows[n]["value"]) for n in own}) > 1:
                found.append(Conflict(known.doubt, tuple(own)))
    typed = _typed_rows(rows)
    for locus, own in typed.items():
        doubt = person.typing_doubt(locus)
        if doubt and len(own) > 1:
            found.append(Conflict(doubt, tuple(own)))
    return found


def _typed_rows(rows: Sequence[Entry]) -> dict[str, list[int]]:
    """Return locus to the rows that type it."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if not str(row["key"]).startswith("hla") or is_aside(row):
            continue
        try:
            loci = read_typing(str(row["value"]))
        except UnreadableTyping:
            continue
        for locus in loci:
            found.setdefault(locus, []).append(number)
    return found


def resolved(
    document: Mapping[str, Any], conflict: Conflict, kept: int, by: str, on: str
) -> dict[str, Any]:
    """Return a document where ``kept`` counts and the other rows of a conflict are set aside.

    Who chose, and when, is noted at every row; nothing is taken out.
    """
    rows = [dict(row) for row in document["values"]]
    for number in conflict.rows:
        if number == kept:
            rows[number] |= {"confirmed_by": by, "confirmed_on": on}
        elif str(rows[number]["value"]) != str(rows[kept]["value"]):
            rows[number] |= {"set_aside_by": by, "set_aside_on": on}
    return {**document, "values": rows}


def keep_document(case: Case, plan: Plan, source: str, document: Mapping[str, Any]) -> Plan:
    """Keep a document as a record of the case; return the plan that uses it.

    The version that was there before stays, so the change can be undone.
    """
    check_name(source)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{source}.json"
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        case.import_file(path, source, "record")
    return plan.with_sources(**{source: case.record.sources[source]["sha256"]})


def kept_document(case: Case, plan: Plan, source: str, role: str) -> dict[str, Any]:
    """Return the document of a person as the plan uses it, from a record of any origin."""
    record: PersonRecord = case.value(source, plan)
    about = case.record.sources[source]["versions"][plan.sources[source]]
    path = case.folder / about["file"]
    if path.suffix == ".json":
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict) and found.get("hilum") == FORMAT:
            rows = found.get("values")
            if isinstance(rows, list) and all(isinstance(r, dict) and "key" in r for r in rows):
                return {**found, "values": [dict(row) for row in rows]}
    return document_of(record, role)
