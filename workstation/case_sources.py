"""The originals of a case's DICOM sources: kept byte-identical, found and read again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, silent
from segmentation.volume import Volume
from workstation.case_record import CaseError, now
from workstation.dicom import files as dicom
from workstation.store import sync_folder


def keep_originals(
    case_folder: Path,
    place: str,
    files: Sequence[dicom.Source],
    stem: str,
    progress: Progress = silent,
) -> None:
    """Copy ``files`` to ``place`` in the case, all or none, unless they are there already."""
    if (case_folder / place).is_dir():
        return
    (case_folder / "dicom").mkdir(exist_ok=True)
    part = case_folder / "dicom" / f".part-{Path(place).name}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        dicom.copy_files(files, stem, part, progress)
        sync_folder(part)
        part.rename(case_folder / place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(case_folder / "dicom")


def source_record(scanned: dicom.ScannedVolume, place: str) -> dict[str, Any]:
    """Return what ``case.json`` says about a volume whose originals lie in ``place``."""
    record: dict[str, Any] = {
        "kind": "dicom",
        "folder": place,
        "volume": scanned.key,
        "series_uid": scanned.series_uid,
        "modality": scanned.modality,
        "description": scanned.description,
    }
    if scanned.part is not None:
        record["part"] = asdict(scanned.part)
    if scanned.accepted:
        said = {f.code: f.sentence for f in scanned.findings}
        record["accepted"] = [
            {"code": code, "sentence": said.get(code, ""), "time": now()}
            for code in scanned.accepted
        ]
    return record


def accepted_codes(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the repairs that were accepted for a source, by its record."""
    return tuple(str(entry["code"]) for entry in about.get("accepted", ()))


def find_series(case_folder: Path, name: str, about: Mapping[str, Any]) -> dicom.ScannedVolume:
    """Scan the kept originals of a source and return its volume, with what was accepted.

    Raises:
        CaseError: if they are no longer there.
    """
    folder = case_folder / str(about["folder"])
    found = dicom.scan([folder]).volumes if folder.is_dir() else ()
    volume = next((v for v in found if v.key == about["volume"]), None)
    if volume is None:
        raise CaseError(f"the originals of {name!r} are no longer in {about['folder']}")
    return dicom.accept(volume, accepted_codes(about))


def reread_series(
    case_folder: Path, name: str, about: Mapping[str, Any], progress: Progress = silent
) -> Volume:
    """Read a DICOM source anew from its kept originals."""
    return dicom.read(find_series(case_folder, name, about), progress)
