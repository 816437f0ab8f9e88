"""The current plan's results as a FHIR R4 file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from workstation.case import Case, CaseError
from workstation.case_record import now
from workstation.clinical import ClinicalPatient, moment
from workstation.clinical_match import patient_of_images
from workstation.fhir.parsing import parse
from workstation.fhir.writing import PlanContent, plan_bundle
from workstation.planning.plan import Plan
from workstation.planning.template import templates
from workstation.store import write_atomically

PLAN = "plan"
ENDING = ".fhir.json"
OF_THE_RECORD = ("clinical_not_read", "clinical_unused", "consent")
"""Codes of findings that say nothing about the plan."""


def is_fhir_file(path: Path) -> bool:
    """Tell whether ``path`` asks, by its ending, for a FHIR bundle."""
    return path.name.lower().endswith(ENDING)


def write_plan_bundle(case: Case, name: str, path: Path) -> Path:
    """Write the numbers and findings of the current plan to ``path``; return ``path``.

    ``name`` must be "plan": a bundle holds all of it.

    The file is kept only when it has been read back and holds what was meant.

    Raises:
        CaseError: for another name or ending, if no step with a number is up to date, or the
            folder is not there.
        RuntimeError: if the file does not hold what was written.
    """
    if name != PLAN or not is_fhir_file(path):
        raise CaseError(
            "a FHIR bundle holds the whole plan; write it with: "
            f"hilum export CASE {PLAN} FILE{ENDING}"
        )
    if not path.parent.is_dir():
        raise CaseError(f"the folder {path.parent} is not there; make it first")
    document = plan_bundle(_content(case))
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")
        found = [entry.resource for entry in parse(part.read_bytes(), path.name)]
        if found != [entry["resource"] for entry in document["entry"]]:
            raise RuntimeError(f"{path.name} does not hold what was written; nothing was kept")

    write_atomically(path, write)
    return path


def _content(case: Case) -> PlanContent:
    plan, summary = case.plan(), case.summary()
    if not summary["numbers"]:
        raise CaseError("the plan has no number that is up to date; run it first")
    late = [s["output"] for s in summary["steps"] if s["state"] != "fresh"]
    sentences = [f["sentence"] for f in summary["findings"] if f["code"] not in OF_THE_RECORD]
    if late:
        sentences.insert(0, f"Not up to date and left out: {', '.join(late)}.")
    sentences += [_row(row) for row in summary.get("rows", ())]
    study = case.record.study
    day = study.get("date", "")
    return PlanContent(
        patient=_patient(case),
        study_uid=study.get("uid", ""),
        study_date=f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else "",
        series_uids=_series(case, plan),
        title=_title(plan),
        digest=plan.digest(),
        numbers=summary["numbers"],
        sentences=sentences,
        software=("Hilum", metadata.version("hilum")),
        recorded=now(),
        rows=summary.get("rows", ()),
    )


def _row(row: Mapping[str, Any]) -> str:
    """Return a row of a review in words: a verdict has no number that could carry it."""
    value = "" if row["value"] is None else f" {row['value']} {row['unit']}".rstrip()
    about = f"{row['source']}, {row['date'] or 'no date'}"
    return f"{row['verdict']}: {row['name']}{value}. {row['reason']} Rule: {row['rule']} ({about})"


def _patient(case: Case) -> ClinicalPatient:
    """Return the patient as the clinical record knows it, and under the images' ID too."""
    imaged = patient_of_images(case.record.patient)
    if not case.record.clinical:
        return imaged if moment(imaged.birth_date) else replace(imaged, birth_date="")
    known = case.record.clinical[0].record.patient
    numbers = {identifier.value for identifier in known.identifiers}
    more = (other for other in imaged.identifiers if other.value not in numbers)
    return replace(known, identifiers=(*known.identifiers, *more))


def _title(plan: Plan) -> str:
    known = templates().get(plan.template)
    return known.title if known is not None else "own plan"


def _series(case: Case, plan: Plan) -> tuple[str, ...]:
    records: list[dict[str, Any]] = [case.record.sources.get(name, {}) for name in plan.sources]
    return tuple(str(about["series_uid"]) for about in records if about.get("series_uid"))
