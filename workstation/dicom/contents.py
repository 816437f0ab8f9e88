"""What the DICOM objects of a study hold that are no images: segments, numbers, contours, files.

Objects of any maker; one that is damaged is listed with its problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segmentation.contract import Progress, silent
from workstation.dicom.datasets import open_dataset
from workstation.dicom.encapsulated import read_document
from workstation.dicom.label_source import is_dicom, structures_in
from workstation.dicom.objects import lenient
from workstation.dicom.sources import DicomError, Ignored, source_of
from workstation.dicom.structured_report import read_comments, read_report
from workstation.dicom.values import text

Contents = dict[str, Any]


def objects_among(ignored: Sequence[Ignored], progress: Progress = silent) -> list[Contents]:
    """Return what the objects among files that are no images hold, as JSON records.

    Objects inside archives are not opened.
    """
    found = []
    whole = [Path(item.path) for item in ignored if not item.damaged]
    for n, path in enumerate(whole):
        progress(n / len(whole), f"looking into object {n + 1} of {len(whole)}")
        with suppress(OSError):
            found += _contents(path) if path.is_file() and is_dicom(path) else []
    return found


@lenient()
def _contents(path: Path) -> list[Contents]:
    """Return one record of an object that is known here, none of any other file."""
    try:
        header = open_dataset(source_of(path), pixels=False)
    except Exception:  # the parser raises many kinds; the scan has said so already
        return []
    kind = text(header, "Modality")
    if kind not in _READ:
        return []
    record: Contents = {
        "path": str(path),
        "modality": kind,
        "description": text(header, "SeriesDescription") or text(header, "StructureSetLabel"),
        "made_by": text(header, "Manufacturer"),
        "series_uid": text(header, "SeriesInstanceUID"),
    }
    try:
        return [record | _READ[kind](path)]
    except DicomError as error:
        return [record | {"problem": error.sentence}]


def _structures(path: Path) -> Contents:
    labels = structures_in(path).values()
    return {"structures": [{"name": label.name, "code": label.code} for label in labels]}


def _report(path: Path) -> Contents:
    numbers = [
        {"name": n.full_name(group.name), "value": n.value, "unit": n.unit}
        | {"low": n.low, "high": n.high, "source": n.source}
        for group in read_report(path)
        for n in group.numbers
    ]
    return {"numbers": numbers, "comments": list(read_comments(path))}


def _document(path: Path) -> Contents:
    document = read_document(path)
    return {"title": document.title, "kind": document.kind, "bytes": len(document.content)}


_READ: Mapping[str, Callable[[Path], Contents]] = {
    "SEG": _structures,
    "RTSTRUCT": _structures,
    "SR": _report,
    "M3D": _document,
    "DOC": _document,
}
"""Modality to what reads the content of its objects."""


def _band(number: Contents) -> str:
    return f" ({number['low']:.4g} to {number['high']:.4g})"


def content_lines(record: Contents) -> list[str]:
    """Return a record as lines for a person."""
    lines = [f"{record['modality']:9} {record['description'] or '-'}  {record['path']}"]
    if "problem" in record:
        lines.append(f"          problem: {record['problem']}")
    if "structures" in record:
        names = ", ".join(item["name"] for item in record["structures"])
        lines.append(f"          structures: {names}")
    for number in record.get("numbers", ()):
        band = "" if None in (number["low"], number["high"]) else _band(number)
        lines.append(f"          {number['name']} {number['value']:.4g} {number['unit']}{band}")
    lines += [f"          {comment}" for comment in record.get("comments", ())]
    if "kind" in record:
        lines.append(f"          {record['title']} ({record['kind']}, {record['bytes']} bytes)")
    return lines
