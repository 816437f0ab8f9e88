"""What ``hilum deidentify`` does. JSON goes to standard output, everything else to error."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from segmentation.contract import as_sentence
from segmentation.wording import counted
from workstation.case import Case, CaseError
from workstation.console import Work
from workstation.dicom.burned_in import Rectangle
from workstation.dicom.confidentiality import Option, Profile
from workstation.dicom.datasets import open_dataset
from workstation.dicom.deidentify_files import Held, Order, Outcome, deidentify_files
from workstation.dicom.pseudonyms import Pseudonyms, new_key, read_key
from workstation.dicom.sources import source_of
from workstation.dicom.values import text

DONE, PROBLEM = 0, 1

"""Runs a function as a titled job that a person can follow and stop; returns its result."""

Write = Callable[..., Sequence[Path]]
"""Exports to a path, telling its ``progress``; returns the files."""

_OURS = ("SEG", "SR", "M3D")
_SWITCHES: tuple[tuple[str, Option], ...] = (
    ("keep_dates", "full_dates"),
    ("shift_dates", "shifted_dates"),
    ("keep_device", "device"),
    ("keep_institution", "institution"),
    ("keep_patient_characteristics", "patient"),
    ("keep_uids", "uids"),
    ("clean_descriptions", "descriptors"),
)


def main(options: argparse.Namespace, work: Work) -> int:
    """De-identify what ``options`` name; return the exit code.

    Raises:
        DicomError, ValueError, OSError: with cause and remedy.
    """
    order = order_of(options)
    paths = originals(options.paths)
    outcome = work("De-identify", lambda p: deidentify_files(paths, options.folder, order, p))
    if options.json:
        json.dump(outcome.to_json(), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        print("\n".join(report_lines(outcome, options.key)))
    return DONE if outcome.written else PROBLEM


def order_of(options: argparse.Namespace) -> Order:
    """Return what the command line asks for; makes the key file if it is not there.

    Raises:
        ValueError, OSError: if the key or the subject cannot be used.
    """
    place = options.folder if "folder" in options else options.file
    if options.key is not None:
        _keep_apart(options.key, place)
    chosen = frozenset(option for switch, option in _SWITCHES if getattr(options, switch))
    return Order(
        profile=Profile(chosen),
        names=Pseudonyms(read_key(options.key) if options.key is not None else new_key()),
        subject=options.subject,
        accepted=tuple(options.accept_pixels),
        blackout=tuple(Rectangle(*r) for r in options.blackout),
    )


def export(options: argparse.Namespace, work: Work, case: Case, write: Write) -> int:
    """Export what ``options`` name without identity; return the exit code.

    ``write`` writes it with identity, into a temporary place. Objects made here from labels,
    surfaces and numbers need no look; pictures and documents stay held back.

    Raises:
        CaseError: if it is neither DICOM nor the name of original images.
        DicomError, ValueError, OSError: with cause and remedy.
    """
    order, one = order_of(options), options.file.suffix.lower() == ".dcm"
    if not one and options.file.suffix:
        raise CaseError(
            "only DICOM is de-identified; give a .dcm file, or a new folder for original images"
        )
    folder = originals_of(case, options.name)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=options.file.parent) as scratch:
        room = Path(scratch)
        if folder is None or one:
            folder = room / ("made.dcm" if one else "made")
            made = work("Export", lambda p: write(folder, progress=p))
            order = replace(order, accepted=(*order.accepted, *_own(made)))
        place = room / "clean" if one else options.file
        outcome = work("De-identify", lambda p: deidentify_files([folder], place, order, p))
        if one and outcome.written:
            next(place.rglob("*.dcm")).replace(options.file)
    print("\n".join(report_lines(replace(outcome, folder=options.file), options.key)))
    return DONE if outcome.written else PROBLEM


def originals_of(case: Case, name: str) -> Path | None:
    """Return the folder of the original DICOM images of a source; None if it has none."""
    versions = case.record.sources.get(name, {}).get("versions", {})
    about = versions.get(case.record.sources[name]["sha256"], {}) if versions else {}
    return case.folder / about["folder"] if about.get("kind") == "dicom" else None


def _own(made: Sequence[Path]) -> list[str]:
    """Return the files that hold labels, numbers or surfaces, of which we know the content."""
    headers = {path: open_dataset(source_of(path), pixels=False) for path in made}
    return [str(path) for path, data in headers.items() if text(data, "Modality") in _OURS]


def _keep_apart(key: Path, folder: Path) -> None:
    if key.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"the key {key} would lie among the images that are given away; keep it elsewhere"
        )


def originals(paths: Sequence[Path]) -> list[Path]:
    """Return ``paths``, with the kept originals in place of a case."""
    return [path / "dicom" if (path / "case.json").is_file() else path for path in paths]


def report_lines(outcome: Outcome, key: Path | None) -> list[str]:
    """Return the report for a person."""
    document = outcome.to_json()
    lines = [f"{counted(outcome.written, 'file')} written to {outcome.folder}"]
    if not outcome.written:
        lines = ["nothing was written"]
    for title, held in (("held back", outcome.quarantined), ("left out", outcome.skipped)):
        groups = Counter((str(PurePath(h.path).parent), h.reason) for h in held)
        lines += [
            f"{title}: {counted(count, 'file')} in {folder}: {reason}"
            for (folder, reason), count in groups.items()
        ]
    lines += _advice(outcome.quarantined)
    lines += [f"warning: {as_sentence(w)}" for w in outcome.warnings]
    if outcome.written:
        counts = ", ".join(f"{n} {words}" for words, n in document["attributes"].items() if n)
        lines.append(f"attributes: {counts}")
        lines.append(f"profile: {document['profile']['table'].split(':')[0]}")
        lines.append(_about_key(key))
    return lines


def _advice(held: Sequence[Held]) -> list[str]:
    if not any(not h.final for h in held):
        return []
    return [
        "Look at every image that was held back; then give its file or folder, or all, with "
        "--accept-pixels, and parts to blacken with --blackout."
    ]


def _about_key(key: Path | None) -> str:
    if key is None:
        return "key: none was kept, so later images of a patient will not fall in with these"
    return f"key: {key}; whoever has it can tell who is who, so keep it apart from the images"
