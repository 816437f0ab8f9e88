"""DICOMDIR: the index of a DICOM medium (PS3.3 F.3). It is checked, never followed outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workstation.dicom.datasets import open_dataset
from workstation.dicom.sources import DicomError, Ignored, source_of
from workstation.dicom.values import text


def expand_directories(paths: Sequence[Path]) -> tuple[list[Path], list[Ignored]]:
    """Return ``paths`` with each DICOMDIR replaced by its folder, and files that it names in vain.

    What a DICOMDIR names lies below its folder by definition, so the folder is read and names
    that lead elsewhere are only reported.

    Raises:
        DicomError: when a DICOMDIR cannot be read.
    """
    expanded: list[Path] = []
    absent: list[Ignored] = []
    for path in paths:
        if path.is_file() and path.name.upper().startswith("DICOMDIR"):
            expanded.append(path.parent)
            absent += _absent(path)
        else:
            expanded.append(path)
    return expanded, absent


def _absent(path: Path) -> list[Ignored]:
    try:
        records = open_dataset(source_of(path)).get("DirectoryRecordSequence") or []
        names = [text(record, "ReferencedFileID") for record in records]
    except Exception as error:  # a damaged index can fail anywhere inside the parser
        raise DicomError(
            f"the index {path} cannot be read ({error})", "Open the folder of images itself"
        ) from error
    root = path.parent.resolve()
    found = []
    for name in filter(None, names):
        place = (root / name).resolve()
        if not place.is_relative_to(root):
            found.append(Ignored(name, f"the index {path} names a file outside its folder"))
        elif not place.exists() and not place.with_name(place.name.lower()).exists():
            found.append(Ignored(str(place), f"named by the index {path} but not there", True))
    return found
