"""FHIR R4 files to a `ClinicalRecord`: what is understood, and a list of what is not.

Only resources that are used are validated, with the R4B models of ``fhir.resources``; for
Patient, Observation, ImagingStudy, Consent, List and Specimen, R4B (4.3) reads R4 (4.0.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from fhir.resources.R4B.consent import Consent as ConsentModel
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.list import List as ListModel
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from pydantic import ValidationError

from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.wording import counted
from workstation.clinical import (
    ClinicalError,
    ClinicalPatient,
    ClinicalRecord,
    ClinicalValue,
    Consent,
    Identifier,
    ImagingReference,
    NotRead,
    ordered,
)
from workstation.fhir import codes
from workstation.fhir.crossmatch import CROSSMATCH
from workstation.fhir.parsing import SIZE_CAP_BYTES, Entry, parse
from workstation.fhir.values import (
    UNACCEPTABLE,
    Frame,
    NotUnderstood,
    clean,
    codings,
    components,
    concept_text,
    dicts,
    frame_of,
    is_known,
    loinc,
    said,
    values_of,
)

MODELS: Mapping[str, Any] = {
    "Patient": Patient,
    "Observation": Observation,
    "ImagingStudy": ImagingStudy,
    "Consent": ConsentModel,
    "List": ListModel,
}
SEXES = {"male": "M", "female": "F", "other": "O"}
DICOM_UID = "urn:oid:"
TOLD_EVERY = 200


def read_clinical(
    path: Path, progress: Progress = silent, today: date | None = None
) -> ClinicalRecord:
    """Return the clinical record of the one patient in a FHIR R4 file (JSON or NDJSON).

    Values dated after ``today`` (default: the present day in UTC) are not read.

    Raises:
        ClinicalError: if the file is not FHIR JSON, is too large, or holds two patients.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > SIZE_CAP_BYTES:
        raise ClinicalError(
            f"{path.name} is larger than {SIZE_CAP_BYTES >> 20} MiB; export one patient only"
        )
    data = path.read_bytes()
    progress(0.0, f"reading {path.name}")
    entries = parse(data, path.name)
    reading = _Reading(path.name, today or datetime.now(UTC).date())
    reading.take(entries, progress)
    return replace(reading.record(), sha256=hashlib.sha256(data).hexdigest())


@dataclass
class _Reading:
    """What has been read so far."""

    where: str
    today: date
    patient: ClinicalPatient = field(default_factory=ClinicalPatient)
    names: frozenset[str] = frozenset()
    specimens: dict[str, str] = field(default_factory=dict)
    values: list[ClinicalValue] = field(default_factory=list)
    studies: list[ImagingReference] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    missed: dict[tuple[str, str], NotRead] = field(default_factory=dict)
    nameless: int = 0

    def take(self, entries: list[Entry], progress: Progress) -> None:
        """Read all entries."""
        self._find_patient(entries)
        for entry in entries:
            if entry.kind == "Specimen":
                text = concept_text(entry.resource.get("type"))
                self.specimens |= {name: text for name in (entry.name, entry.address) if name}
        readers: Mapping[str, Callable[[Entry], None]] = {
            "Observation": self._observation,
            "ImagingStudy": self._study,
            "Consent": self._consent,
            "List": self._list,
        }
        for n, entry in enumerate(entries):
            if n % TOLD_EVERY == 0:
                progress(n / len(entries), "checking the resources")
            if entry.kind in readers:
                self._read(entry, readers[entry.kind])
            elif entry.kind not in ("Patient", "Specimen"):
                self._miss(clean(entry.kind), "this kind of resource is not used", entry.name)

    def record(self) -> ClinicalRecord:
        """Return what was read."""
        notes = []
        if self.nameless:
            text = (
                counted(self.nameless, "resource", "resources")
                + f" of {self.where} without a patient; taken as the only patient's in the file"
            )
            notes.append(Finding(Severity.WARNING, "no_subject", text))
        return ClinicalRecord(
            self.patient,
            ordered(self.values),
            tuple(self.studies),
            tuple(self.consents),
            tuple(self.missed.values()),
            tuple(notes),
        )

    def _miss(self, what: str, reason: str, resource: str) -> None:
        known = self.missed.get((what, reason))
        count = known.count + 1 if known else 1
        first = known.resource if known else clean(resource)
        self.missed[what, reason] = NotRead(what, reason, count, first)

    def _read(self, entry: Entry, reader: Callable[[Entry], None]) -> None:
        what = _what(entry)
        for inner in dicts(entry.resource.get("contained")):
            kind = clean(inner.get("resourceType"))
            self._miss(kind or "contained", "it is contained in another resource", entry.name)
        if entry.kind == "Observation" and not _is_readable(entry.resource):
            self._miss(what, _why_unknown(entry.resource), entry.name)
            return
        try:
            MODELS[entry.kind].model_validate(entry.resource)
            self._check_subject(entry)
            reader(entry)
        except NotUnderstood as error:
            self._miss(what, str(error), entry.name)
        except (ValidationError, RecursionError) as error:
            self._miss(what, f"it is not valid FHIR R4: {_first(error)}", entry.name)

    # Patient -------------------------------------------------------------------------

    def _find_patient(self, entries: list[Entry]) -> None:
        found = [entry for entry in entries if entry.kind == "Patient"]
        names = {entry.name or f"patient {n}" for n, entry in enumerate(found)}
        if len(names) > 1:
            raise ClinicalError(
                f"{self.where} holds {len(names)} patients; export one patient at a time"
            )
        if not found:
            self._find_subject(entries)
            return
        resource = found[0].resource
        try:
            Patient.model_validate(resource)
        except (ValidationError, RecursionError) as error:
            raise ClinicalError(
                f"the patient in {self.where} is not valid FHIR R4: {_first(error)}; export the "
                "record anew"
            ) from error
        self.patient = _patient(resource)
        self.names = frozenset(n for e in found for n in (e.name, e.address) if n)

    def _find_subject(self, entries: list[Entry]) -> None:
        """Take the one subject that all resources refer to, where no patient is in the file."""
        names = {_subject(entry.resource)[0] for entry in entries} - {""}
        if len(names) > 1:
            raise ClinicalError(
                f"{self.where} holds values of {len(names)} patients; export one patient at a time"
            )
        self.names = frozenset(names)

    def _check_subject(self, entry: Entry) -> None:
        """Raise unless the resource is about the patient.

        Raises:
            NotUnderstood: naming whom it is about instead.
        """
        name, number = _subject(entry.resource)
        if not name and not number:
            self.nameless += 1
            return
        if name and (name in self.names or any(name.endswith(f"/{n}") for n in self.names)):
            return
        if number and number in {known.value for known in self.patient.identifiers}:
            return
        raise NotUnderstood("it is about somebody else than the patient of the file")

    # Resources -----------------------------------------------------------------------

    def _observation(self, entry: Entry) -> None:
        resource = entry.resource
        specimen = resource.get("specimen")
        specimen = specimen if isinstance(specimen, dict) else {}
        name = clean(specimen.get("reference"))
        words = self.specimens.get(name, "") or clean(specimen.get("display"))
        frame = frame_of(resource, entry.name, words, self.today)
        inner = components(resource)
        if is_known(resource):
            self.values += values_of(resource, frame, inner)
            inner = [part for part in inner if is_known(part)]
        for part in inner:
            self._component(part, frame)

    def _component(self, part: dict[str, Any], frame: Frame) -> None:
        what = f"component {concept_text(part.get('code')) or 'without a code'}"
        if not is_known(part):
            self._miss(what, "its code is not one that is read", frame.resource)
            return
        try:
            self.values += values_of(part, frame)
        except NotUnderstood as error:
            self._miss(what, str(error), frame.resource)

    def _study(self, entry: Entry) -> None:
        resource = entry.resource
        uids = [
            clean(i.get("value")).removeprefix(DICOM_UID)
            for i in resource.get("identifier", ())
            if i.get("system") == "urn:dicom:uid" or str(i.get("value")).startswith(DICOM_UID)
        ]
        if not uids:
            raise NotUnderstood("it holds no study instance UID (urn:dicom:uid)")
        modalities = tuple(clean(m.get("code")) for m in resource.get("modality", ()))
        started, words = clean(resource.get("started")), clean(resource.get("description"))
        self.studies.append(ImagingReference(uids[0], started, modalities, words, entry.name))

    def _consent(self, entry: Entry) -> None:
        resource = entry.resource
        status = clean(resource.get("status"))
        if status == "entered-in-error":
            raise NotUnderstood("its status is entered-in-error")
        provision = resource.get("provision") or {}
        period = provision.get("period") or {}
        self.consents.append(
            Consent(
                concept_text(resource.get("scope")) or "an unnamed purpose",
                status,
                clean(resource.get("dateTime")),
                clean(period.get("start")),
                clean(period.get("end")),
                provision.get("type") == "deny",
                entry.name,
            )
        )

    def _list(self, entry: Entry) -> None:
        resource = entry.resource
        title = f"{clean(resource.get('title'))} {concept_text(resource.get('code'))}".strip()
        if not UNACCEPTABLE.search(title):
            raise NotUnderstood("only lists of unacceptable antigens are read")
        if resource.get("status") != "current":
            raise NotUnderstood(f"its status is {clean(resource.get('status')) or 'missing'}")
        for item in resource.get("entry", ()):
            text = clean(item.get("item", {}).get("display"))
            if item.get("deleted") or not text:
                self._miss("entry of the list", "it is deleted or has no display", entry.name)
                continue
            self.values.append(
                ClinicalValue(
                    "unacceptable_antigen",
                    None,
                    "",
                    text,
                    text,
                    "",
                    "",
                    title,
                    date=clean(resource.get("date")),
                    resource=entry.name,
                )
            )


def _is_readable(observation: Mapping[str, Any]) -> bool:
    parts = components(dict(observation))
    return is_known(dict(observation)) or any(map(is_known, parts))


def _why_unknown(observation: Mapping[str, Any]) -> str:
    if any(code in codes.PANELS for code in loinc(observation.get("code"))):
        return "it only groups others, which are read on their own"
    if CROSSMATCH.search(said(observation.get("code"))):
        return "the crossmatch does not say whether it is CDC or flow, or names both T and B cells"
    return "its code is not one that is read"


def _what(entry: Entry) -> str:
    """Name a resource by its type and, where it has one, by its code."""
    concept = entry.resource.get("code")
    known = next(iter(codings(concept)), None)
    words = concept_text(concept)
    number = f" {known[1]}" if known and known[1] != words else ""
    return f"{entry.kind}{number} {words}".strip()


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    first = error.errors(include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return clean(f"{place}: {first['msg']}")


def _subject(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return reference and identifier of whom a resource is about."""
    about = resource.get("subject", resource.get("patient"))
    if not isinstance(about, dict):
        return "", ""
    identifier = about.get("identifier")
    number = clean(identifier.get("value")) if isinstance(identifier, dict) else ""
    return clean(about.get("reference")), number


def _patient(resource: Mapping[str, Any]) -> ClinicalPatient:
    order = ("official", "usual", "")
    names = sorted(
        resource.get("name", ()),
        key=lambda n: order.index(n.get("use")) if n.get("use") in order else len(order),
    )
    name = names[0] if names else {}
    given = " ".join(clean(part) for part in name.get("given", ()))
    family = clean(name.get("family")) or ("" if given else clean(name.get("text")))
    identifiers = tuple(
        Identifier(clean(i.get("value")), clean(i.get("system")))
        for i in resource.get("identifier", ())
        if i.get("value")
    )
    return ClinicalPatient(
        family,
        given,
        clean(resource.get("birthDate")),
        SEXES.get(str(resource.get("gender")), ""),
        identifiers,
    )
