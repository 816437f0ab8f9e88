"""A donor or a recipient as values with unit, date and source; contradictions stay visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from segmentation.contract import Finding, Number
from workstation.clinical import ClinicalValue, NotRead, moment
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_serology import related
from workstation.planning.transplant_tables import HlaTables
from workstation.planning.transplant_typing import (
    Copy,
    LocusTyping,
    Typing,
    read_typing,
    unknown_codes,
)

SAME = 0.005
"""Two readings of one time that differ by a smaller share are one reading, written twice."""

FOREVER = ("abo", "rh", "sex", "birth_date", "transplant_date")
"""Values that never change: two different ones are a contradiction whatever their dates."""

NO_TABLES = HlaTables()


@dataclass(frozen=True)
class Remark:
    """Who confirmed a value, and when, as the record says."""

    by: str
    date: str = ""


@dataclass(frozen=True)
class PersonRecord:
    """Everything that a file says about one person of a transplant, without name and numbers.

    Attributes:
        values: every reading, oldest first; `chosen` says which counts.
        role: "donor" or "recipient" if the file says so, else "".
        label: by what the file wants the person to be called, such as "donor 7".
        sha256: of the file.
        not_read: what was not understood, and why.
        confirmed: key to who confirmed its value.
        multiple_codes: NMDP codes to alleles, where the file brings their table.
        frame_uid: none; a record lies nowhere in space.
        tables: what a laboratory loads beside people; such a file describes nobody.
    """

    values: tuple[ClinicalValue, ...] = ()
    role: str = ""
    label: str = ""
    sha256: str = ""
    not_read: tuple[NotRead, ...] = ()
    confirmed: Mapping[str, Remark] = field(default_factory=dict)
    multiple_codes: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()
    frame_uid: str = ""
    tables: HlaTables = NO_TABLES

    def series(self, key: str) -> tuple[ClinicalValue, ...]:
        """Return all readings of ``key``, oldest first."""
        return tuple(value for value in self.values if value.key == key)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `read` reverses it."""
        return asdict(self) | {
            "findings": [finding.to_json() for finding in self.findings],
            "numbers": [number.to_json() for number in self.numbers],
        }

    @classmethod
    def read(cls, record: Mapping[str, Any], path: object = None) -> PersonRecord:
        """Read what `to_json` wrote; there is no data file beside it."""
        return _ADAPTER.validate_python({k: v for k, v in record.items() if k in _FIELDS})


_ADAPTER = TypeAdapter(PersonRecord)
_FIELDS = frozenset(PersonRecord.__dataclass_fields__)


@dataclass(frozen=True)
class Known:
    """What is known of one value on the day of the review.

    Attributes:
        value: the reading that counts, None where none does.
        doubt: why it does not count, "" if it does: it contradicts another one, lies in the
            future, or there is none.
        expires: the day after which the site wants a newer one, "" for never or no date.
        old: whether that day is over.
    """

    value: ClinicalValue | None
    doubt: str = ""
    expires: str = ""
    old: bool = False

    @property
    def number(self) -> float | None:
        """The number, None where it is in doubt."""
        return None if self.value is None or self.doubt else self.value.value

    @property
    def text(self) -> str:
        """The word, "" where it is in doubt."""
        return "" if self.value is None or self.doubt else self.value.text

    @property
    def yes(self) -> bool | None:
        """Whether a yes-or-no value says yes; None where it is in doubt."""
        return {"yes": True, "no": False}.get(self.text)


class Person:
    """A record as it is seen on one day, with the site's limits on the age of values."""

    def __init__(
        self,
        record: PersonRecord,
        role: str,
        today: date,
        max_days: Callable[[str], float | None],
    ) -> None:
        self.record = record
        self.role = role
        self.today = today
        self._max_days = max_days
        self._typing: tuple[Typing, dict[str, str]] | None = None
        self._readings: dict[str, str] = {}

    def chosen(self, key: str) -> Known:
        """Return the newest reading of ``key``, or why none can be used.

        Of readings at one time none is chosen when they differ; of a value that never changes
        none is chosen when any differ; a dated reading goes before an undated one.
        """
        return self.chosen_of(key, self.record.series(key))

    def chosen_of(self, key: str, every: Sequence[ClinicalValue]) -> Known:
        """Return which of several readings of ``key``, oldest first, counts; see `chosen`."""
        if not every:
            return Known(None, f"the {self.role}'s {said(key)} is not in the record")
        past = [v for v in every if not self.is_future(v)]
        if not past:
            return Known(None, f"the {self.role}'s {said(key)} is dated after the review")
        last = past[-1]
        rivals = past if key in FOREVER else [v for v in past if v.when == last.when]
        rivals = _corrected(rivals)
        other = next((v for v in rivals if _differs(v, last)), None)
        if other is not None:
            both = f"{_short(other)} and {_short(last)}"
            return Known(last, f"the {self.role}'s {said(key)} is given twice: {both}")
        return self._dated(key, last)

    def readings(self, key: str) -> str:
        """Return all readings of ``key``, or of the whole typing, in words that differ if any does.

        Later readings that are not used yet are among them.
        """
        kind = "hla" if key.startswith("hla") else key
        if kind not in self._readings:
            found = (v for v in self.record.values if v.key == kind or _of_typing(v, kind))
            self._readings[kind] = "; ".join(map(repr, found))
        return self._readings[kind]

    def lists(self, key: str) -> tuple[ClinicalValue, ...]:
        """Return the readings of a list, such as antibodies, that are not in the future."""
        return tuple(v for v in self.record.series(key) if not self.is_future(v))

    def aged(self, key: str, value: ClinicalValue) -> Known:
        """Return ``value`` with the day on which it becomes too old."""
        return self._dated(key, value)

    def source(self, value: ClinicalValue | None) -> str:
        """Say where a value comes from."""
        if value is None:
            return f"{self.role} record"
        return f"{self.role}: {value.resource or value.display or 'record'}"

    def age_years(self) -> Known:
        """Return the age on the day of the review, from the birth date or as it was given."""
        born = self.chosen("birth_date")
        day = moment(born.text) if born.text else None
        if day is None:
            return self.chosen("age")
        years = (self.today - day.date()).days / 365.25
        assert born.value is not None
        if not 0 <= years <= 120:
            return Known(born.value, f"the {self.role}'s birth date gives an age of {years:.0f}")
        number = ClinicalValue(
            "age", round(years, 2), "a", "", "from the birth date", "", "", "age",
            date=self.today.isoformat(), resource=born.value.resource,
        )  # fmt: skip
        return Known(number)

    def typing(self) -> Typing:
        """Return locus to typing; what contradicts itself or cannot be read is in `doubts`."""
        return self._read_typing()[0]

    def typing_doubt(self, locus: str) -> str:
        """Return why a locus has no typing, "" if it has one."""
        found, doubts = self._read_typing()
        return "" if locus in found else doubts.get(locus, doubts.get("", ""))

    def unknown_codes(self) -> tuple[str, ...]:
        """Return the NMDP codes of the typings that no loaded table explains."""
        texts = [v.text for v in self.record.values if v.key.startswith("hla")]
        table = self.record.multiple_codes
        found = (code for text in texts for code in unknown_codes(text, table))
        return tuple(dict.fromkeys(found))

    def typing_source(self) -> tuple[str, str]:
        """Return source and newest date of the typing."""
        values = [
            v for v in self.record.values if v.key.startswith("hla") and not self.is_future(v)
        ]
        if not values:
            return f"{self.role} record", ""
        return self.source(values[-1]), max(v.date[:10] for v in values)

    def _read_typing(self) -> tuple[Typing, dict[str, str]]:
        if self._typing is None:
            self._typing = self._typed()
        return self._typing

    def _typed(self) -> tuple[Typing, dict[str, str]]:
        found: dict[str, LocusTyping] = {}
        doubts: dict[str, str] = {}
        for value in self.record.values:
            if not value.key.startswith("hla") or self.is_future(value):
                continue
            try:
                read = read_typing(value.text, self.record.multiple_codes)
            except UnreadableTyping as error:
                doubts[value.key.removeprefix("hla_").upper().removeprefix("HLA")] = str(error)
                continue
            for locus, typing in read.items():
                known = found.get(locus)
                if known is not None and not _agree(known, typing):
                    doubts[locus] = (
                        f"the {self.role} is typed twice at {locus}: {known.text} and {typing.text}"
                    )
                elif known is None or _detail(typing) >= _detail(known):
                    found[locus] = typing
        return MappingProxyType({k: v for k, v in found.items() if k not in doubts}), doubts

    def is_future(self, value: ClinicalValue) -> bool:
        """Tell whether a value is dated after the review."""
        when = moment(value.date)
        return when is not None and when.date() > self.today

    def _dated(self, key: str, value: ClinicalValue) -> Known:
        days, when = self._max_days(key), moment(value.date)
        if days is None:
            return Known(value)
        if when is None:
            return Known(value, "", "", old=True)
        last = when.date() + timedelta(days=int(days))
        return Known(value, "", last.isoformat(), self.today > last)


def _of_typing(value: ClinicalValue, kind: str) -> bool:
    return kind == "hla" and value.key.startswith(kind)


def said(key: str) -> str:
    """Return a key in words."""
    return key.replace("_", " ")


def _corrected(values: list[ClinicalValue]) -> list[ClinicalValue]:
    """Return the values of the highest standing: a corrected one stands for those before it."""
    corrected = [v for v in values if v.status in ("amended", "corrected")]
    return corrected or [v for v in values if v.status != "preliminary"] or values


def _differs(one: ClinicalValue, other: ClinicalValue) -> bool:
    if one.value is None or other.value is None:
        return one.text != other.text and not _subtype(one, other)
    return abs(one.value - other.value) > SAME * max(abs(one.value), abs(other.value))


def _subtype(one: ClinicalValue, other: ClinicalValue) -> bool:
    """Tell whether one blood group is only the subtype of the other, such as A and A1."""
    plain = [v.text.replace("1", "") for v in (one, other)]
    return one.key == "abo" and plain[0] == plain[1]


def _short(value: ClinicalValue) -> str:
    what = value.text if value.value is None else f"{value.value:.4g} {value.unit}".strip()
    return f"{what[:60]} ({value.date[:10] or 'no date'}, {value.resource or 'record'})"


def _agree(one: LocusTyping, other: LocusTyping) -> bool:
    """Tell whether two typings of a locus can both be true."""
    return _within(one.copies, other.copies) and _within(other.copies, one.copies)


def _within(one: tuple[Copy, ...], other: tuple[Copy, ...]) -> bool:
    if len(other) < 2:
        return True  # the second copy of the other one is not named and may be anything
    return all(any(_may_be(a, b) for b in other) for a in one)


def _may_be(one: Copy, other: Copy) -> bool:
    for a in one:
        for b in other:
            if a.allele and b.allele:
                if a.allele == b.allele:
                    return True
            elif not a.antigen or not b.antigen or related(a.antigen, (b.antigen,)) != "no":
                return True
    return False


def _detail(typing: LocusTyping) -> tuple[int, int, int]:
    """Return how much a typing says: copies, alleles, how few possibilities."""
    alleles = sum(any(p.allele for p in copy) for copy in typing.copies)
    return len(typing.copies), alleles, -sum(map(len, typing.copies))


__all__ = ["Known", "Person", "PersonRecord", "Remark", "said"]
