"""What ``hilum deidentify`` does. JSON goes to standard output, everything else to error."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

from segmentation.contract import Progress, as_sentence
from workstation.dicom.burned_in import Rectangle
from workstation.dicom.confidentiality import Option, Profile
from workstation.dicom.deidentify_files import Held, Order, Outcome, deidentify_files
from workstation.dicom.pseudonyms import Pseudonyms, new_key, read_key

DONE, PROBLEM = 0, 1

Work = Callable[[str, Callable[[Progress], Any]], Any]
"""Runs a function as a titled job that a person can follow and stop; returns its result."""

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
        print("\n".join(_lines(outcome, options.key)))
    return DONE if outcome.written else PROBLEM


def order_of(options: argparse.Namespace) -> Order:
    """Return what the command line asks for; makes the key file if it is not there.

    Raises:
        ValueError, OSError: if the key or the subject cannot be used.
    """
    if options.key is not None and "folder" in options:
        _keep_apart(options.key, options.folder)
    chosen = frozenset(option for switch, option in _SWITCHES if getattr(options, switch))
    return Order(
        profile=Profile(chosen),
        names=Pseudonyms(read_key(options.key) if options.key is not None else new_key()),
        subject=options.subject,
        accepted=tuple(getattr(options, "accept_pixels", ())),
        blackout=tuple(Rectangle(*r) for r in getattr(options, "blackout", ())),
    )


def _keep_apart(key: Path, folder: Path) -> None:
    if key.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"the key {key} would lie among the images that are given away; keep it elsewhere"
        )


def originals(paths: Sequence[Path]) -> list[Path]:
    """Return ``paths``, with the kept originals in place of a case."""
    return [path / "dicom" if (path / "case.json").is_file() else path for path in paths]


def _lines(outcome: Outcome, key: Path | None) -> list[str]:
    """Return the report for a person."""
    document = outcome.to_json()
    lines = [f"{outcome.written} files written to {outcome.folder}"]
    if not outcome.written:
        lines = ["nothing was written"]
    for title, held in (("held back", outcome.quarantined), ("left out", outcome.skipped)):
        groups = Counter((str(PurePath(h.path).parent), h.reason) for h in held)
        lines += [
            f"{title}: {count} file(s) in {folder}: {reason}"
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
