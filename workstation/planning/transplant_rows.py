"""The rows of a transplant review: what was looked at, the verdict, and what stands behind it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from segmentation.contract import Finding, Number

Verdict = Literal["pass", "warn", "block", "unknown"]
ORDER: Mapping[Verdict, int] = {"block": 0, "unknown": 1, "warn": 2, "pass": 3}
"""Blocking rows first, then what nobody knows."""

INITIALS = ("abo", "hla", "cdc", "kdri", "epts", "lkdpi", "meld", "grwr")
TYPED = ("hla", "eplets")
"""Beginnings of rows that end in the name of a locus."""

SITE = "site rule"
"""How the rule of a row begins whose limit a centre sets for itself."""


@dataclass(frozen=True)
class Row:
    """One thing that was looked at.

    Attributes:
        name: such as "abo" or "hla.dr".
        verdict: pass, warn, block or unknown; unknown never counts as pass.
        value: the number or word that was judged, None where there is none.
        source: the records and formulas that it comes from.
        date: of the oldest value in it, ISO 8601, "" if nobody says.
        rule: the rule with its limit and where it is published, or that the site set it.
        reason: why the verdict is what it is, in one sentence.
        change: what would change the verdict, "" for nothing that a record could say.
        expires: the day after which a value in it is too old by the site's rule, "" for none.
        confirmed: who confirmed the values, as the records say, or the row, as the case keeps.
        inputs: a digest of every reading behind the row; a confirmation holds as long as it does.
    """

    name: str
    verdict: Verdict
    value: float | str | None
    unit: str
    source: str
    date: str
    rule: str
    reason: str = ""
    change: str = ""
    expires: str = ""
    confirmed: str = ""
    inputs: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Row:
        """Read what `to_json` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class Course:
    """Measured values over time, and the band that a person's earlier values foretell.

    Attributes:
        row: name of the row that judges the newest value.
        unit: of all values, "" for a plain ratio.
        start: the day from which days are counted, ISO 8601.
        days, values: every measured value and how many days after the start it was taken.
        band_days: days of the band; empty where too few values are known for one.
        expected, low, high: the band on these days; the newest value has no part in it.
        rule: the model of the band with its parameters.
        verdict: of the newest value.
    """

    row: str
    unit: str
    start: str
    days: tuple[float, ...]
    values: tuple[float, ...]
    band_days: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    rule: str = ""
    verdict: Verdict = "unknown"

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Course:
        """Read what `dataclasses.asdict` made, also after a way through JSON."""
        made: Course = TypeAdapter(cls).validate_python(record)
        return made


STEP_OF_IMAGES = "images, step "
"""How the source of a value begins that a step of the plan measured in images."""

OF_STEP, IN_PLAN = re.compile(STEP_OF_IMAGES), re.compile(r"\bplan \d+, step ")

FOLLOW_UP = "follow-up"
"""What stands for the organ in a sheet that follows a recipient after the transplant."""

SETTLE = "settle this: "
"""How a change begins that says no more than the reason of its row."""


@dataclass(frozen=True)
class Sheet:
    """A review of one pair: it tells, and never decides or allocates.

    ``organ`` and ``review_date`` are what it was made for; ``rows`` stand in the order of
    reading: blocking first, then unknown. ``courses`` are those of a follow-up.
    """

    rows: tuple[Row, ...] = ()
    organ: str = ""
    review_date: str = ""
    numbers: tuple[Number, ...] = ()
    findings: tuple[Finding, ...] = ()
    courses: tuple[Course, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `read` reverses it."""
        courses = [asdict(course) for course in self.courses]
        return {
            "organ": self.organ,
            "review_date": self.review_date,
            "rows": [row.to_json() for row in self.rows],
            "numbers": [number.to_json() for number in self.numbers],
            "findings": [finding.to_json() for finding in self.findings],
        } | ({"courses": courses} if courses else {})

    @classmethod
    def read(cls, record: Mapping[str, Any], path: object = None) -> Sheet:
        """Read what `to_json` wrote; there is no data file beside it."""
        return cls(
            tuple(Row.from_json(row) for row in record["rows"]),
            record["organ"],
            record["review_date"],
            tuple(Number.from_json(number) for number in record["numbers"]),
            tuple(Finding.from_json(finding) for finding in record["findings"]),
            tuple(Course.from_json(course) for course in record.get("courses", ())),
        )

    def count(self, verdict: Verdict) -> int:
        """Return how many rows have ``verdict``."""
        return sum(row.verdict == verdict for row in self.rows)

    @property
    def verdict(self) -> Verdict:
        """The verdict of the row that stands first; unknown for an empty sheet."""
        return self.rows[0].verdict if self.rows else "unknown"

    def row(self, name: str) -> Row:
        """Return the row called ``name``.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


def sentence(reason: str) -> str:
    """Return a reason as a sentence: with a capital and a stop."""
    ended = reason if reason.endswith((".", "!", "?")) or not reason else f"{reason}."
    return ended[:1].upper() + ended[1:]


def spoken(name: str) -> str:
    """Return the name of a row as it is said: ABO, HLA A, donor specific antibodies."""
    words = name.removeprefix("follow.").replace("_", " ").replace(".", " ").split()
    short = 4 if words[0] in TYPED else 1
    said = [w.upper() if w in INITIALS or len(w) <= short else w for w in words]
    return " ".join(said).replace("cpra", "cPRA")


def value_text(value: float | str | None, unit: str) -> str:
    """Return a row's value with its unit in words, "" for none."""
    if value is None:
        return ""
    shown = f"{value:.4g}" if isinstance(value, float) else value
    one = unit.removesuffix("es") if shown == "1" and unit == "mismatches" else unit
    return f"{shown} {one}".strip()


def in_plan(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a row whose source names, beside the steps that measured images, their plan."""
    return {**row, "source": OF_STEP.sub(f"plan {number}, step ", str(row["source"]))}


def row_key(row: Mapping[str, Any]) -> str:
    """Return under what a confirmation of a row is kept: it changes with all that the row says."""
    told = {"inputs": ""} | {name: value for name, value in row.items() if name != "confirmed"}
    told["source"] = IN_PLAN.sub(STEP_OF_IMAGES, str(row["source"]))  # plans are numbered anew
    return f"row:{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"


def as_shown(sheet: Sheet, rows: Iterable[Mapping[str, Any]]) -> Sheet:
    """Return a sheet as a case's summary, ``rows``, tells it: confirmed, with plan and step."""
    told = {row_key(row): (str(row["confirmed"]), str(row["source"])) for row in rows}
    shown = []
    for row in sheet.rows:
        confirmed, source = told.get(row_key(row.to_json()), (row.confirmed, row.source))
        shown.append(replace(row, confirmed=confirmed, source=source))
    return replace(sheet, rows=tuple(shown))


def in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return rows with the blocking ones first; rows of one verdict keep their order."""
    return tuple(sorted(rows, key=lambda row: ORDER[row.verdict]))


def aged(row: Row, old: str, expires: str) -> Row:
    """Return a row whose values may be too old: what passed is then unknown.

    ``old`` names what is too old, "" for nothing.
    """
    row = replace(row, expires=expires)
    if not old or row.verdict == "unknown":
        return row
    if row.verdict == "block":
        return replace(row, reason=f"{row.reason} Too old or without a date: {old}.".strip())
    return replace(
        row,
        verdict="unknown",
        reason=f"{row.reason} But too old or without a date: {old}.".strip(),
        change=f"a newer value: {old}",
    )
