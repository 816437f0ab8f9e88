"""A donor's or recipient's file to its record: FHIR R4, our JSON, or CSV.

Our JSON is ``{"hilum": "transplant-record", "role": "donor", "values": [...]}``; each value is
``{"key", "value", "unit", "date", "source", "confirmed_by", "confirmed_on"}`` with the keys of
`FIELDS`; one with ``"set_aside_by"`` is kept and does not count, and a crossmatch names in
``"donor"`` with whose cells it was done. CSV has these words as its header. What is not
understood is listed, never dropped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from segmentation.contract import Finding
from workstation.clinical import ClinicalError, ClinicalValue, NotRead, moment, ordered
from workstation.fhir import codes
from workstation.fhir.reading import read_clinical
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_person import PersonRecord, Remark
from workstation.planning.transplant_tables import HlaTables, UnreadableTable, read_tables
from workstation.planning.transplant_typing import read_target, read_typing

FORMAT = "transplant-record"
SIZE_CAP_BYTES = 20_000_000
TABLES = (".csv", ".tsv", ".txt")
"""Endings of files that may hold a table beside the people; see `transplant_tables`."""

LAST_DAY = date(9990, 1, 1)
"""A file is read alike on every day; which values are in the future the review decides."""

_YEARS = {"a": 1.0, "years": 1.0, "year": 1.0, "": 1.0, "mo": 1 / 12, "months": 1 / 12}
_MM = {"mm": 1.0, "cm": 10.0}
_ML = {"mL": 1.0, "L": 1000.0, "cm3": 1.0}
_PLAIN = {"": 1.0, "1": 1.0}
_Q = codes.Quantity

OWN: Mapping[str, codes.Quantity] = {
    "age": _Q("a", _YEARS, 0, 120),
    "dialysis_years": _Q("a", _YEARS, 0, 80),
    "egfr": _Q("mL/min/1.73m2", {"mL/min/1.73m2": 1.0, "mL/min/{1.73_m2}": 1.0}, 1, 250),
    "anti_a_igg": _Q("1", _PLAIN, 1, 1e6),
    "anti_a_igm": _Q("1", _PLAIN, 1, 1e6),
    "anti_b_igg": _Q("1", _PLAIN, 1, 1e6),
    "anti_b_igm": _Q("1", _PLAIN, 1, 1e6),
    "cpra": _Q("%", {"%": 1.0}, 0, 100),
    "haplotype_frequency_sum": _Q("1", _PLAIN | {"%": 0.01}, 0, 1),
    "graft_volume": _Q("mL", _ML, 1, 6000),
    "liver_volume": _Q("mL", _ML, 50, 6000),
    "remnant_volume": _Q("mL", _ML, 1, 6000),
    "graft_ap_depth_mm": _Q("mm", _MM, 5, 500),
    "cavity_ap_depth_mm": _Q("mm", _MM, 5, 500),
    "graft_artery_count": _Q("1", _PLAIN, 1, 10),
    "tacrolimus": _Q("ng/mL", {"ng/mL": 1.0, "ug/L": 1.0}, 0, 200),
    "resistive_index": _Q("1", _PLAIN, 0, 2),
}
"""Numbers beyond those of FHIR, with unit, what other units are worth in it, and wide limits."""

MEASURED: Mapping[str, codes.Quantity] = {
    "diameter_": _Q("mm", _MM, 0.3, 80),
    "length_": _Q("mm", _MM, 0.5, 500),
    "distance_": _Q("mm", _MM, 0.5, 500),
}
"""Beginnings of keys that go on with the name of a vessel."""
YES_NO = ("hypertension", "diabetes", "stroke_death", "dcd", "black", "hcv", "smoker", "related",
          "prior_transplant")  # fmt: skip
CROSSMATCH = tuple(
    f"crossmatch_{kind}" for kind in ("cdc", "cdc_t", "cdc_b", "flow", "flow_t", "flow_b")
)
WORDS = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "1": "yes", "0": "no"}
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
RESULTS = {"positive": "positive", "pos": "positive", "negative": "negative", "neg": "negative"}
LISTS = ("antibody", "unacceptable_antigen")
STATES = ("final", "amended", "corrected", "preliminary")
HLA = ("hla", *(f"hla_{x}" for x in ("a", "b", "c", "drb1", "drb3", "drb4", "drb5", "dqb1", "dqa1",
                                     "dpb1", "dpa1")))  # fmt: skip

FIELDS = (
    *codes.QUANTITIES, *OWN, *YES_NO, *CROSSMATCH, *LISTS, *HLA, "abo", "rh", "sex", "birth_date",
    "transplant_date", *(f"{start}VESSEL" for start in MEASURED),
)  # fmt: skip
"""Keys of our JSON and CSV."""


_NOT_READ: TypeAdapter[Any] = TypeAdapter(tuple[NotRead, ...])
_NOTES: TypeAdapter[Any] = TypeAdapter(tuple[Finding, ...])


class UnreadableRecord(ClinicalError):
    """A file that is no record of a person; the text says why and what to do."""


def read_person(path: Path) -> PersonRecord:
    """Return the record of the one person in a file: FHIR R4, our JSON or CSV.

    Raises:
        UnreadableRecord: if it is none of them.
        ClinicalError: if a FHIR file holds two patients or is damaged.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > SIZE_CAP_BYTES:
        raise UnreadableRecord(f"{path.name} is too large for the record of one person")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    tables = _tables(data, path) if path.suffix.lower() in TABLES else None
    if tables is not None:
        return PersonRecord(sha256=digest, tables=tables)
    if path.suffix.lower() == ".csv":
        return _from_rows(_csv_rows(data, path.name), {}, digest)
    document = _json(data)
    if isinstance(document, dict) and document.get("hilum") == FORMAT:
        return from_document(document, path.name, digest)
    if isinstance(document, dict) and "resourceType" not in document:
        raise UnreadableRecord(
            f'{path.name} is JSON, but neither FHIR nor ours; ours begins with "hilum": "{FORMAT}"'
        )
    return _from_fhir(path, digest)


def from_document(document: Mapping[str, Any], name: str, digest: str = "") -> PersonRecord:
    """Return the record in a document of our JSON.

    Raises:
        UnreadableRecord: if it holds no values.
    """
    values = document.get("values")
    if isinstance(values, dict):  # the short form: key to value, or to its record
        values = [
            {"key": key, **(about if isinstance(about, dict) else {"value": about})}
            for key, about in values.items()
        ]
    if not isinstance(values, list):
        raise UnreadableRecord(f"{name} holds no list of values")
    return _from_rows(values, document, digest)


def _tables(data: bytes, path: Path) -> HlaTables | None:
    try:
        return read_tables(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None
    except UnreadableTable as error:
        raise UnreadableRecord(f"{path.name}: {error}; nothing of it was read") from error


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None  # NDJSON, or damaged: the reader of FHIR says which


def _csv_rows(data: bytes, name: str) -> list[dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableRecord(f"{name} is no CSV file in UTF-8: {error}") from error
    if not rows or "key" not in rows[0] or "value" not in rows[0]:
        raise UnreadableRecord(f"{name} needs the columns key, value, unit, date, source")
    return [{str(k): v for k, v in row.items() if k and v} for row in rows]


def _from_fhir(path: Path, digest: str) -> PersonRecord:
    record = read_clinical(path, today=LAST_DAY)
    values = list(record.values)
    patient = record.patient
    for key, text in (("birth_date", patient.birth_date), ("sex", patient.sex)):
        if text:
            about = {"system": "", "code": "", "display": "Patient", "resource": "Patient"}
            values.append(ClinicalValue(key, None, "", text, text, **about))
    return PersonRecord(
        ordered(values), "", "", digest, record.not_read, findings=record.notes
    )  # fmt: skip


@dataclass
class _Reading:
    """What has been read so far."""

    values: list[ClinicalValue] = field(default_factory=list)
    missed: list[NotRead] = field(default_factory=list)
    confirmed: dict[str, Remark] = field(default_factory=dict)

    def take(self, number: int, row: Any) -> None:
        """Read one value, or list why not."""
        place = f"value {number + 1}"
        if not isinstance(row, dict):
            self.missed.append(NotRead(place, "it is no record with key and value"))
            return
        key = str(row.get("key", "")).strip().lower()
        if row.get("set_aside_by"):
            who = f"{row['set_aside_by']} {row.get('set_aside_on', '')}".strip()[:80]
            what = f"{key} {row.get('value')}"[:80]
            self.missed.append(NotRead(what, f"set aside by {who}", 1, place))
            return
        try:
            for value in read_values(key, row, place):
                self.values.append(value)
        except (ValueError, UnreadableTyping) as error:
            self.missed.append(NotRead(key[:40] or place, str(error)[:200], 1, place))
            return
        if row.get("confirmed_by"):
            by, when = str(row["confirmed_by"])[:80], str(row.get("confirmed_on", ""))[:10]
            self.confirmed[key] = Remark(by, when)


def _from_rows(rows: Iterable[Any], document: Mapping[str, Any], digest: str) -> PersonRecord:
    reading = _Reading()
    for number, row in enumerate(rows):
        reading.take(number, row)
    role = str(document.get("role", "")).lower()
    table = document.get("nmdp_codes")
    return PersonRecord(
        ordered(reading.values),
        role if role in ("donor", "recipient") else "",
        str(document.get("label", ""))[:60],
        digest,
        (*reading.missed, *_kept(_NOT_READ, document.get("not_read"))),
        reading.confirmed,
        {str(k).upper(): str(v) for k, v in table.items()} if isinstance(table, dict) else {},
        _kept(_NOTES, document.get("notes")),
    )


def _kept(adapter: TypeAdapter[Any], given: Any) -> tuple[Any, ...]:
    """Return what the file that a document was made from could not say, () if it is damaged."""
    try:
        return tuple(adapter.validate_python(given or ()))
    except ValidationError:
        return ()


def read_values(key: str, row: Mapping[str, Any], place: str) -> list[ClinicalValue]:
    """Return the values of one entry.

    Raises:
        ValueError, UnreadableTyping: saying why it cannot be used.
    """
    given, unit = row.get("value"), str(row.get("unit") or "").strip()
    when = str(row.get("date") or "").strip()
    if when and moment(when) is None:
        raise ValueError(f"its date {when[:40]!r} is none; write it as 2026-03-01")
    source = str(row.get("source") or place)[:120]
    status = str(row.get("status") or STATES[0]).lower()
    if status not in STATES:
        raise ValueError(f"its status {status[:20]!r} is not known (known: {', '.join(STATES)})")
    said = f"{given} {unit}".strip()[:200]
    cells = str(row.get("donor") or "").strip()[:80] if key in CROSSMATCH else ""
    if given is None or given == "":
        raise ValueError("it has no value")

    def made(value: float | None, kind: str, text: str) -> ClinicalValue:
        return ClinicalValue(
            key, value, kind, text, said, "", "", key, date=when, status=status,
            specimen=cells, resource=source,
        )  # fmt: skip

    quantity = quantity_of(key)
    if quantity is not None:
        return [made(_number(key, quantity, given, unit), quantity.unit, "")]
    if key in LISTS:
        return [made(*part) for part in _listed(key, row, given)]
    return [made(None, "", _word(key, given))]


def quantity_of(key: str) -> codes.Quantity | None:
    """Return of what kind a number is, None for a word."""
    vessel = next((kind for start, kind in MEASURED.items() if key.startswith(start)), None)
    if vessel is not None:
        return vessel
    return OWN.get(key) or codes.QUANTITIES.get(key)


def _number(key: str, quantity: codes.Quantity, given: Any, unit: str) -> float:
    text = str(given).strip()
    if key.startswith("anti_"):
        text = text.removeprefix("1:")
    if isinstance(given, bool):
        raise ValueError(f"{given!r} is no number")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no number") from None
    if key in codes.QUANTITIES:
        return codes.convert(key, number, unit)
    factor = quantity.factors.get(codes.plain_unit(unit), quantity.factors.get(unit))
    if factor is None:
        known = ", ".join(name or "no unit" for name in quantity.factors)
        raise ValueError(f"the unit {unit[:20]!r} is not known for it (known: {known})")
    found = number * factor
    if not isfinite(found) or not quantity.low <= found <= quantity.high:
        limits = f"{quantity.low:g} to {quantity.high:g} {quantity.unit}".strip()
        raise ValueError(f"{number:g} {unit} is not plausible (what is: {limits})")
    return found


def _listed(
    key: str, row: Mapping[str, Any], given: Any
) -> Iterable[tuple[float | None, str, str]]:
    words = given if isinstance(given, list) else str(given).replace(";", ",").split(",")
    names = [str(word).strip() for word in words if str(word).strip()]
    for name in names:
        if name.lower() not in ("none", "no", "negative"):
            read_target(name)
    mfi = row.get("mfi")
    if mfi in (None, "") or key != "antibody":
        return [(None, "", name) for name in names]
    if isinstance(mfi, bool) or not 0 <= float(mfi) <= 1e6:
        raise ValueError(f"its intensity {mfi} is not plausible (what is: 0 to 1000000)")
    return [(float(mfi), "{MFI}", name) for name in names]


def _word(key: str, given: Any) -> str:
    text = str(given).strip()
    if key == "abo":
        found = codes.abo_of_text(text)
    elif key == "rh":
        found = codes.rh_of_text(text)
    elif key == "sex":
        found = SEXES.get(text.lower(), "")
    elif key in ("birth_date", "transplant_date"):
        found = text if moment(text) else ""
    elif key in YES_NO:
        found = WORDS.get(text.lower(), "")
    elif key in CROSSMATCH:
        found = RESULTS.get(text.lower(), "")
    elif key in HLA:
        read_typing(text)
        found = text
    else:
        raise ValueError(f"the key {key[:40]!r} is not known")
    if not found:
        raise ValueError(f"{text[:40]!r} is no value for {key}")
    return found
