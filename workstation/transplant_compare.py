"""Several donors for one recipient, or the reverse: the same rows side by side, in given order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, silent
from workstation.clinical import ClinicalError
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_sheet import transplant_sheet
from workstation.stage import Stage
from workstation.transplant_record import read_person

SHOWN = (
    "abo", "virtual_crossmatch", "donor_specific_antibodies", "hla.total", "score.kdri",
    "score.lkdpi",
)  # fmt: skip
"""Rows that the table shows beside the counts."""

RECORDS = (".json", ".ndjson", ".csv")
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
        inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in RECORDS] if (
            path.is_dir()
        ) else [path]  # fmt: skip
        if not inside:
            raise ClinicalError(f"the folder {path} holds no record (.json, .ndjson, .csv)")
        found += inside
    return found


def compare_people(
    fixed: Path,
    others: Sequence[Path],
    settings: Mapping[str, Any],
    many_recipients: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Return the sheets of one recipient with every donor, or of one donor with every recipient.

    They stand in the order that was given: it is no ranking. A file that cannot be read has an
    error in the place of its sheet. ``settings`` are those of the stage `transplant_sheet`.

    Raises:
        ClinicalError: if the record of the one person cannot be read.
        StageError: for a setting that is refused.
    """
    checked = Stage("Plan", transplant_sheet).check_params(settings)
    one = read_person(fixed)
    rows = []
    for number, path in enumerate(people_files(others)):
        if number % TOLD_EVERY == 0:
            progress(number / len(others), path.name)
        rows.append(_compared(one, path, checked, many_recipients))
    return {
        "recipient" if not many_recipients else "donor": fixed.name,
        "order": "as given; it is no ranking",
        "crossmatch": "those that name a donor count for that one; the others for none",
        "pairs": rows,
    }


def of_named_donors(person: PersonRecord) -> PersonRecord:
    """Return a record without the crossmatches that do not say with which donor they were done.

    Among several donors they may not count for any.
    """
    kept = tuple(v for v in person.values if not v.key.startswith("crossmatch") or v.specimen)
    return replace(person, values=kept)


def _compared(
    one: PersonRecord, path: Path, settings: Mapping[str, Any], many_recipients: bool
) -> dict[str, Any]:
    try:
        other = read_person(path)
    except (ClinicalError, OSError) as error:
        return {"file": path.name, "label": "", "verdict": "unknown", "error": str(error)}
    donor, taker = (one, other) if many_recipients else (other, one)
    sheet = transplant_sheet(donor, of_named_donors(taker), **settings)
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
