"""A patient's clinical record as immutable values: laboratory, body, typing, consent, studies.

It knows no exchange format and no organ; `workstation.fhir` reads it and the case keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from pydantic import TypeAdapter

from segmentation.contract import Finding, Severity
from segmentation.wording import counted

IDENTITY_KEYS = ("abo", "rh")
"""Values that never change in a person's life: two different ones are a mix-up."""


class ClinicalError(ValueError):
    """Clinical data that cannot be used; the text says what, where and what to do."""


@dataclass(frozen=True)
class Identifier:
    """One number under which a system (its URI, "" for none) knows the patient."""

    value: str
    system: str = ""


@dataclass(frozen=True)
class ClinicalPatient:
    """Who the record says the patient is.

    ``birth_date`` is ISO 8601 and may be a year or a month; ``sex`` is F, M, O or "".
    """

    family: str = ""
    given: str = ""
    birth_date: str = ""
    sex: str = ""
    identifiers: tuple[Identifier, ...] = ()


@dataclass(frozen=True)
class ClinicalValue:
    """One observed value.

    Attributes:
        key: what it is, such as "creatinine", "body_weight", "abo", "hla_a", "antibody".
        value: the number in ``unit``, or None for a value that is a word.
        unit: the unit in UCUM, "" for words and pure numbers.
        text: the word (blood group, GL string, antigen), "" for a plain number.
        given: the value as it was written, with its own unit.
        system: code system of ``code``, which says what was observed.
        code: the code, such as "2160-0".
        display: the code in words.
        value_code: code of a coded value, "" for none.
        date: when it was observed, ISO 8601 as written, "" if nobody says.
        status: "final", "amended", "corrected" or "preliminary".
        specimen: what it was measured in, in words.
        resource: the resource it comes from, such as "Observation/17".
    """

    key: str
    value: float | None
    unit: str
    text: str
    given: str
    system: str
    code: str
    display: str
    value_code: str = ""
    date: str = ""
    status: str = "final"
    specimen: str = ""
    resource: str = ""

    @property
    def when(self) -> datetime:
        """The observation's time for comparison; the beginning of time if nobody says."""
        return moment(self.date) or datetime.min.replace(tzinfo=UTC)

    @property
    def origin(self) -> str:
        """Where the value comes from, in words and without identity."""
        system = "LOINC" if self.system == "http://loinc.org" else self.system
        code = f"{system} {self.code}".strip() or self.display
        kind = self.resource.partition("/")[0] if "/" in self.resource else "Observation"
        parts = [f"FHIR {kind}", code, self.date[:10] or "no date"]
        if self.status == "preliminary":
            parts.append("preliminary")
        return ", ".join(parts)


@dataclass(frozen=True)
class Consent:
    """A consent: what for, its state, and when it holds (ISO 8601, "" for open ends)."""

    scope: str
    status: str
    date: str = ""
    start: str = ""
    end: str = ""
    denies: bool = False
    resource: str = ""


@dataclass(frozen=True)
class ImagingReference:
    """An imaging study that the record names."""

    study_uid: str
    started: str = ""
    modalities: tuple[str, ...] = ()
    description: str = ""
    resource: str = ""


@dataclass(frozen=True)
class NotRead:
    """What was not understood, why, how often, and the first place."""

    what: str
    reason: str
    count: int = 1
    resource: str = ""


@dataclass(frozen=True)
class ClinicalRecord:
    """Everything that one file, or several together, says about one patient.

    ``values`` hold every reading of a series in the order of time; `newest` takes the last.
    """

    patient: ClinicalPatient = ClinicalPatient()
    values: tuple[ClinicalValue, ...] = ()
    studies: tuple[ImagingReference, ...] = ()
    consents: tuple[Consent, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    notes: tuple[Finding, ...] = ()
    sha256: str = ""

    def series(self, key: str) -> tuple[ClinicalValue, ...]:
        """Return all values of ``key``, oldest first."""
        return tuple(value for value in self.values if value.key == key)

    def newest(self, key: str) -> ClinicalValue | None:
        """Return the last value of ``key``, or None."""
        found = self.series(key)
        return found[-1] if found else None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return asdict(self) | {"notes": [note.to_json() for note in self.notes]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ClinicalRecord:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is not that.
        """
        return TypeAdapter(cls).validate_python(record)

    def findings(self, today: date | None = None) -> tuple[Finding, ...]:
        """Return what a reader must know: consents, contradictions, what was not read."""
        day = today or datetime.now(UTC).date()
        found = [*self.notes, *(_consent_finding(consent, day) for consent in self.consents)]
        for key in IDENTITY_KEYS:
            texts = sorted({value.text for value in self.series(key)})
            if len(texts) > 1:
                text = f"the record holds different values of {key}: {', '.join(texts)}"
                remedy = "Find out whether two patients were mixed up before anything else."
                found.append(Finding(Severity.PROBLEM, "values_contradict", text, remedy=remedy))
        if self.not_read:
            count = sum(entry.count for entry in self.not_read)
            text = counted(
                count,
                "entry of the clinical data was not read; it is listed",
                "entries of the clinical data were not read; they are listed",
            )
            found.append(Finding(Severity.INFO, "clinical_not_read", text))
        return tuple(found)


@dataclass(frozen=True)
class ClinicalFile:
    """One file of clinical data that a case keeps.

    Attributes:
        file: where the case keeps it, relative to its folder.
        name: what it was called.
        added: when it came into the case, UTC.
        record: what was read from it.
        findings: how its patient compares with the patient of the case.
    """

    file: str
    name: str
    added: str
    record: ClinicalRecord
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that ``case.json`` holds."""
        findings = [finding.to_json() for finding in self.findings]
        return asdict(self) | {"record": self.record.to_json(), "findings": findings}

    def summary(self) -> dict[str, Any]:
        """Return what it holds besides values, without identity, as `hilum show` prints it."""
        whole = self.record.to_json()
        about = {name: whole[name] for name in ("studies", "consents", "not_read")}
        return {"file": self.file, "name": self.name, "added": self.added} | about


def ordered(values: Iterable[ClinicalValue]) -> tuple[ClinicalValue, ...]:
    """Return ``values`` without duplicates, oldest first.

    Of two with the same time the one that counts more stands last: a corrected before a final
    before a preliminary result.
    """
    rank = ("preliminary", "final", "amended", "corrected")
    unique = dict.fromkeys(values)
    return tuple(sorted(unique, key=lambda v: (v.when, rank.index(v.status), v.resource)))


def merged(records: Iterable[ClinicalRecord]) -> ClinicalRecord:
    """Return several records of one patient as one; the first names the patient."""
    known = list(records)
    if len(known) < 2:
        return known[0] if known else ClinicalRecord()
    return ClinicalRecord(
        known[0].patient,
        ordered(value for record in known for value in record.values),
        tuple(dict.fromkeys(study for record in known for study in record.studies)),
        tuple(dict.fromkeys(consent for record in known for consent in record.consents)),
        tuple(entry for record in known for entry in record.not_read),
        tuple(dict.fromkeys(note for record in known for note in record.notes)),
    )


def value_records(record: ClinicalRecord) -> list[dict[str, Any]]:
    """Return the values as JSON records, marked where they are the newest of their kind.

    Of antibodies and antigens, which stand beside each other, all are.
    """
    last = {v.key: v for v in record.values}
    lists = ("antibody", "unacceptable_antigen")
    return [
        vars(v) | {"newest": v.key in lists or v is last[v.key], "source": v.origin}
        for v in record.values
    ]


def file_findings(files: Iterable[ClinicalFile], today: date | None = None) -> list[Finding]:
    """Return what a reader of the case must know about its clinical data."""
    known = list(files)
    matches = [finding for file in known for finding in file.findings]
    return [*matches, *merged(file.record for file in known).findings(today)]


def moment(text: str) -> datetime | None:
    """Return the first moment of an ISO 8601 date or time, which may be a year or a month.

    A time without a zone counts as UTC. What is no date is None.
    """
    filled = f"{text}-01-01"[:10] if len(text) in (4, 7) else text  # a year, a month
    try:
        found = datetime.fromisoformat(filled)
    except ValueError:
        return None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        return None


def _consent_finding(consent: Consent, today: date) -> Finding:
    end = moment(consent.end)
    what = f"the consent for {consent.scope}"
    if consent.status != "active":
        text = f"{what} is {consent.status}"
    elif consent.denies:
        text = f"{what} denies it"
    elif end is not None and end.date() < today:
        text = f"{what} ended on {consent.end[:10]}"
    else:
        until = f" until {consent.end[:10]}" if end else ""
        return Finding(Severity.INFO, "consent", f"{what} is active{until}")
    remedy = "Ask for consent before the data are used for it."
    return Finding(Severity.WARNING, "consent_missing", text, remedy=remedy)
