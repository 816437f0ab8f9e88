"""Clinical data into a case: checked against its patient, kept byte-identical."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from segmentation.contract import Finding, Progress, silent
from workstation.case import Case
from workstation.case_record import now
from workstation.clinical import ClinicalError, ClinicalFile, ClinicalRecord
from workstation.clinical_match import match, patient_of_images
from workstation.fhir.parsing import is_clinical_file
from workstation.fhir.reading import read_clinical
from workstation.store import write_atomically


def split_clinical(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the paths that are FHIR files, and the others."""
    clinical = [path for path in paths if is_clinical_file(path)]
    return clinical, [path for path in paths if path not in clinical]


def import_clinical(
    case: Case, path: Path, linked_id: str = "", progress: Progress = silent
) -> ClinicalFile:
    """Read a FHIR file into the case; see `keep_clinical`."""
    return keep_clinical(case, path, read_clinical(path, progress), linked_id)


def keep_clinical(
    case: Case, path: Path, record: ClinicalRecord, linked_id: str = ""
) -> ClinicalFile:
    """Keep the file at ``path`` and the ``record`` that was read from it; a plan stays as it is.

    ``linked_id`` is the patient's ID in the file, by which a person vouches for the match.

    Raises:
        OtherPatient: if it belongs to another patient than the case.
        ClinicalError: if the file changed since it was read.
    """
    held = next((f for f in case.record.clinical if f.record.sha256 == record.sha256), None)
    if held is not None:
        return held
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ClinicalError(f"{path.name} changed while it was read; import it again")
    findings = _compare(case, record, linked_id)
    folder = case.folder / "files"
    folder.mkdir(exist_ok=True)
    ending = path.suffix if path.suffix in (".json", ".ndjson") else ".json"
    copy = folder / f"clinical-{record.sha256[:12]}{ending}"
    if not copy.exists():
        write_atomically(copy, lambda part: part.write_bytes(data))
    place = str(copy.relative_to(case.folder))
    made = ClinicalFile(place, path.name, now(), record, findings)
    case.record.clinical.append(made)
    case.save()
    return made


def _compare(case: Case, record: ClinicalRecord, linked_id: str) -> tuple[Finding, ...]:
    """Compare with the images' patient and with every record that the case holds."""
    known = [file.record.patient for file in case.record.clinical]
    if case.record.patient or not known:
        known.insert(0, patient_of_images(case.record.patient))
    found = [finding for patient in known for finding in match(patient, record.patient, linked_id)]
    return tuple(dict.fromkeys(found))
