"""Several donors for one recipient, or the reverse: the same rows side by side, in given order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segmentation.contract import Progress, silent
from workstation.case import open_case
from workstation.case_record import CaseError
from workstation.clinical import ClinicalError, ClinicalValue
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_rows import STEP_OF_IMAGES
from workstation.planning.transplant_sheet import transplant_sheet
from workstation.stage import Stage
from workstation.transplant_record import read_person

SHOWN = (
    "abo", "virtual_crossmatch", "donor_specific_antibodies", "hla.total", "score.kdri",
    "score.lkdpi",
)  # fmt: skip
"""Rows that the table shows beside the counts."""

RECORDS = (".json", ".ndjson", ".csv")
CASE = "case.json"
"""What makes a folder a case; its person has values from the images of its plan."""

TABLES = ("codes", "eplets", "frequencies")
TOLD_EVERY = 20


def people_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that ``paths`` name; a folder stands for the records in it, by name.

    Raises:
        ClinicalError: if a path is not there or a folder holds no record.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ClinicalError(f"{path} is not there; check the path")
        if path.name == CASE:
            found.append(path.parent)
        elif not path.is_dir() or (path / CASE).exists():
            found.append(path)
        else:
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in RECORDS]
            inside += [p for p in sorted(path.iterdir()) if (p / CASE).exists()]
            if not inside:
                raise ClinicalError(f"the folder {path} holds no record (.json, .ndjson, .csv)")
            found += inside
    return found


def person_of(path: Path, role: str) -> PersonRecord:
    """Return the donor or recipient (``role``) of a file, or of the plan of a case.

    A case gives what its plan made of the record: also what was measured in its images, each
    value with the number of the plan and the step.

    Raises:
        ClinicalError: if it cannot be read, or the case has no such person or is not computed.
        CaseError: if the case cannot be opened.
    """
    folder = path.parent if path.name == CASE else path
    if not (folder / CASE).exists():
        return read_person(path)
    with open_case(folder, write=False) as case:
        plan = case.plan()
        key = plan.keys().get(role, "")
        found = case.values.get(key)
        number = case.plan_number
    if not isinstance(found, PersonRecord):
        raise ClinicalError(
            f"the case {folder.name} has no {role} that is computed; run its transplant plan"
        )
    return replace(found, values=tuple(_placed(v, number, folder) for v in found.values))


def _placed(value: ClinicalValue, number: int, folder: Path) -> ClinicalValue:
    origin = f"plan {number} of {folder.name}, step "
    return replace(value, resource=value.resource.replace(STEP_OF_IMAGES, origin))


def compare_people(
    fixed: Path,
    others: Sequence[Path],
    settings: Mapping[str, Any],
    many_recipients: bool = False,
    progress: Progress = silent,
    tables: Mapping[str, Path] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the sheets of one recipient with every donor, or of one donor with every recipient.

    People are files or cases; ``tables`` are files of `TABLES`. See `compare_records`.

    Raises:
        ClinicalError, CaseError: if the one person or a table cannot be read.
    """
    one = person_of(fixed, "donor" if many_recipients else "recipient")
    loaded = {name: read_person(path) for name, path in tables.items()}
    return compare_records(one, fixed.name, others, settings, many_recipients, progress, loaded)


def compare_records(
    one: PersonRecord,
    called: str,
    others: Sequence[Path],
    settings: Mapping[str, Any],
    many_recipients: bool = False,
    progress: Progress = silent,
    tables: Mapping[str, PersonRecord] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the sheets of ``one`` person, which is ``called`` so, with every other one.

    They stand in the order that was given: it is no ranking. A person who cannot be read has an
    error in the place of a sheet. ``settings`` are those of the stage `transplant_sheet`.

    Raises:
        StageError: for a setting that is refused.
        TransplantError: for a table without its columns.
    """
    checked = Stage("Plan", transplant_sheet).check_params(settings)
    files = people_files(others)
    rows = []
    for number, path in enumerate(files):
        if number % TOLD_EVERY == 0:
            progress(number / len(files), path.name)
        rows.append(_compared(one, path, checked, many_recipients, tables))
    return {
        "recipient" if not many_recipients else "donor": called,
        "order": "as given; it is no ranking",
        "crossmatch": "those that name a donor count for that one; the others for none",
        "tables": sorted(tables),
        "pairs": rows,
    }


def of_named_donors(person: PersonRecord) -> PersonRecord:
    """Return a record without the crossmatches that do not say with which donor they were done.

    Among several donors they may not count for any.
    """
    kept = tuple(v for v in person.values if not v.key.startswith("crossmatch") or v.specimen)
    return replace(person, values=kept)


def _compared(
    one: PersonRecord,
    path: Path,
    settings: Mapping[str, Any],
    many_recipients: bool,
    tables: Mapping[str, PersonRecord],
) -> dict[str, Any]:
    try:
        other = person_of(path, "recipient" if many_recipients else "donor")
    except (ClinicalError, CaseError, OSError) as error:
        return {"file": path.name, "label": "", "verdict": "unknown", "error": str(error)}
    donor, taker = (one, other) if many_recipients else (other, one)
    taker = of_named_donors(taker)
    codes, eplets, frequencies = (tables.get(name) for name in TABLES)
    sheet = transplant_sheet(donor, taker, None, codes, eplets, frequencies, **settings)
    by_name = {row.name: row for row in sheet.rows}
    return {
        "file": path.name,
        "label": other.label,
        "verdict": sheet.verdict,
        "counts": {v: sheet.count(v) for v in ("block", "unknown", "warn", "pass")},
        "blocking": [row.name for row in sheet.rows if row.verdict == "block"],
        "unknown": [row.name for row in sheet.rows if row.verdict == "unknown"],
        "values": {
            name: {"verdict": by_name[name].verdict, "value": by_name[name].value}
            for name in SHOWN
            if name in by_name
        },
    }
