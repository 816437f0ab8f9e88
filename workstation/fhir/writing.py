"""Results of a plan as a FHIR R4 bundle: report, one Observation per number, provenance.

A number's band goes into two components, lower and upper bound: ``referenceRange`` would say
what is normal, which a band is not, and an extension would be lost on most receivers. Units
are UCUM; codes are LOINC where one is known for exactly that, and else our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir.resources.R4B.bundle import Bundle

from workstation.clinical import ClinicalPatient
from workstation.fhir.codes import LOINC, UCUM
from workstation.fhir.review_rows import row_observation

CODES = "urn:x-hilum:number"
PLAN_DIGESTS = "urn:x-hilum:plan-digest"
DICOM_UIDS = "urn:dicom:uid"
RESEARCH = "Research use only, not for clinical decisions."
GENDERS = {"F": "female", "M": "male", "O": "other"}

UNITS: Mapping[str, str] = {
    "": "1",
    "%": "%",
    "mL": "mL",
    "mm": "mm",
    "cm": "cm",
    "mm²": "mm2",
    "mm2": "mm2",
    "cm²": "cm2",
    "cm2": "cm2",
    "kg": "kg",
    "mmHg": "mm[Hg]",
    "L/min": "L/min",
    "HU": "[hnsf'U]",
    "degrees": "deg",
}
"""Unit as the product writes it to UCUM; others are written in words only."""

KNOWN_CODES: Mapping[str, tuple[str, str]] = {
    "body_weight_kg": ("29463-7", "Body weight"),
    "height_cm": ("8302-2", "Body height"),
    "map_mmhg": ("8478-0", "Mean blood pressure"),
    "cvp_mmhg": ("60985-9", "Central venous pressure (CVP)"),
}
"""Quantity to its LOINC code."""


@dataclass(frozen=True)
class PlanContent:
    """What a bundle says about one plan.

    Attributes:
        patient: whose plan it is.
        study_uid: the imaging study, "" for none; ``study_date`` is ISO 8601 or "".
        series_uids: the series that the plan was made from.
        title: what was planned.
        digest: sha256 of the plan.
        numbers: number records as `hilum show --json` prints them.
        sentences: what a reader must know.
        software: name and version of the program.
        recorded: when the bundle was made, ISO 8601 with a zone.
        rows: those of a review, as `hilum show --json` prints them.
    """

    patient: ClinicalPatient
    study_uid: str
    study_date: str
    series_uids: tuple[str, ...]
    title: str
    digest: str
    numbers: Sequence[Mapping[str, Any]]
    sentences: Sequence[str]
    software: tuple[str, str]
    recorded: str
    rows: Sequence[Mapping[str, Any]] = ()


def plan_bundle(content: PlanContent) -> dict[str, Any]:
    """Return the bundle (type collection) as JSON; every resource is valid FHIR R4B.

    Raises:
        ValueError: if it is not; nothing of it may be sent then.
    """
    made = _Bundle(content)
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": content.recorded,
        "entry": made.entries(),
    }
    Bundle.model_validate(document)
    return document


class _Bundle:
    """The resources of one bundle and how they refer to each other."""

    def __init__(self, content: PlanContent) -> None:
        self._content = content
        self._subject = {"reference": self._address("patient")}
        self._study = {"reference": self._address("study")}
        self._device = {"reference": self._address("device")}

    def _address(self, name: str) -> str:
        return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{self._content.digest}/{name}')}"

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries, each resource after those that it refers to."""
        numbers = {f"number/{n['name']}": self._observation(n) for n in self._content.numbers}
        resources = {"patient": _patient(self._content.patient), "device": self._software()}
        if self._content.study_uid:
            resources["study"] = self._imaging_study()
        rows = {f"row/{row['name']}": self._row(row) for row in self._content.rows}
        resources |= numbers | rows
        resources["report"] = self._report([*numbers, *rows])
        resources["provenance"] = self._provenance([*numbers, *rows, "report"])
        return [
            {"fullUrl": self._address(name), "resource": resource}
            for name, resource in resources.items()
        ]

    def _software(self) -> dict[str, Any]:
        name, version = self._content.software
        return {
            "resourceType": "Device",
            "deviceName": [{"name": name, "type": "user-friendly-name"}],
            "version": [{"value": version}],
            "type": {"text": "surgical planning software, research use only"},
        }

    def _imaging_study(self) -> dict[str, Any]:
        study: dict[str, Any] = {
            "resourceType": "ImagingStudy",
            "status": "available",
            "subject": self._subject,
            "identifier": [_uid(self._content.study_uid)],
        }
        if self._content.study_date:
            study["started"] = self._content.study_date
        return study

    def _observation(self, number: Mapping[str, Any]) -> dict[str, Any]:
        name, quantity = str(number["name"]), str(number["name"]).rpartition(".")[2]
        coding = [{"system": CODES, "code": name}]
        if quantity in KNOWN_CODES and number["unit"] in UNITS:
            code, display = KNOWN_CODES[quantity]
            coding.insert(0, {"system": LOINC, "code": code, "display": display})
        made: dict[str, Any] = {
            "resourceType": "Observation",
            "status": "preliminary",
            "code": {"coding": coding, "text": name.replace(".", " ").replace("_", " ")},
            "subject": self._subject,
            "issued": self._content.recorded,
            "valueQuantity": _quantity(number["value"], number["unit"]),
            "method": {"text": number["source"]},
            "device": self._device,
            "note": [{"text": RESEARCH}],
        }
        entered = quantity in KNOWN_CODES  # a value of the patient, not of the images
        if self._content.study_uid and not entered:
            made["derivedFrom"] = [self._study]
        if self._content.study_date and not entered:
            made["effectiveDateTime"] = self._content.study_date
        bounds = [
            {
                "code": {"coding": [{"system": CODES, "code": f"{end}-bound"}], "text": words},
                "valueQuantity": _quantity(number[end], number["unit"]),
            }
            for end, words in (("low", "lower bound"), ("high", "upper bound"))
            if number[end] is not None
        ]
        return made | ({"component": bounds} if bounds else {})

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "status": "preliminary",
            "subject": self._subject,
            "issued": self._content.recorded,
            "device": self._device,
            "note": [{"text": RESEARCH}],
        } | row_observation(row, UNITS, self._content.software[1])

    def _report(self, numbers: Sequence[str]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "resourceType": "DiagnosticReport",
            "status": "preliminary",
            "code": {"text": f"Surgical plan: {self._content.title}"},
            "subject": self._subject,
            "issued": self._content.recorded,
            "result": [{"reference": self._address(name)} for name in numbers],
            "conclusion": "\n".join([RESEARCH, *self._content.sentences]),
        }
        if self._content.study_uid:
            made["imagingStudy"] = [self._study]
        return made

    def _provenance(self, targets: Sequence[str]) -> dict[str, Any]:
        plan = {"system": PLAN_DIGESTS, "value": f"sha256:{self._content.digest}"}
        sources = [{"identifier": plan, "display": "the plan: its steps and parameters"}] + [
            {"identifier": _uid(uid), "display": "image series"}
            for uid in self._content.series_uids
        ]
        name, version = self._content.software
        return {
            "resourceType": "Provenance",
            "target": [{"reference": self._address(target)} for target in targets],
            "recorded": self._content.recorded,
            "activity": {"text": "computed from images by a plan"},
            "agent": [{"who": self._device | {"display": f"{name} {version}"}}],
            "entity": [{"role": "source", "what": what} for what in sources],
        }


def _uid(uid: str) -> dict[str, str]:
    return {"system": DICOM_UIDS, "value": f"urn:oid:{uid}"}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    coded = {"system": UCUM, "code": UNITS[unit]} if unit in UNITS else {}
    return {"value": value, **({"unit": unit} if unit else {}), **coded}


def _patient(patient: ClinicalPatient) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Patient"}
    if patient.identifiers:
        made["identifier"] = [
            {"value": known.value} | ({"system": known.system} if known.system else {})
            for known in patient.identifiers
        ]
    if patient.family or patient.given:
        name: dict[str, Any] = {"family": patient.family} if patient.family else {}
        made["name"] = [name | ({"given": patient.given.split()} if patient.given else {})]
    if patient.birth_date:
        made["birthDate"] = patient.birth_date
    if patient.sex in GENDERS:
        made["gender"] = GENDERS[patient.sex]
    return made
