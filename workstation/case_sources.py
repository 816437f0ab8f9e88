"""The originals of a case's DICOM sources: kept byte-identical, found and read again."""

from __future__ import annotations

import hashlib
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


def family_name(volumes: Sequence[dicom.ScannedVolume]) -> str:
    """Return a folder name for the originals of volumes that belong together, "" for none."""
    keys = "".join(v.key for v in volumes)
    return f"series-{hashlib.sha256(keys.encode()).hexdigest()[:12]}" if volumes else ""


def keep_originals(
    case_folder: Path,
    place: str,
    volumes: Sequence[dicom.ScannedVolume],
    progress: Progress = silent,
) -> None:
    """Copy the files of ``volumes`` to ``place`` in the case, all or none, unless it is there."""
    if (case_folder / place).is_dir():
        return
    (case_folder / "dicom").mkdir(exist_ok=True)
    part = case_folder / "dicom" / f".part-{Path(place).name}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        files = list(dict.fromkeys(source for volume in volumes for source in volume.files))
        dicom.copy_files(files, volumes[0].key, part, progress)
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
