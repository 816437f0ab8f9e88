"""Folders, files and ZIPs of DICOM without identity: what was written, held back, left out."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydicom.dataset import Dataset

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.burned_in import (
    Rectangle,
    black_out,
    clear_unused_bits,
    may_be_accepted,
    reason_to_look,
    shows_head,
    vouches,
)
from workstation.dicom.confidentiality import BASIC_CODE, OPTION_CODES, Action, Profile, table
from workstation.dicom.datasets import open_dataset
from workstation.dicom.deidentify import Request, deidentify, identity_of
from workstation.dicom.objects import lenient
from workstation.dicom.pseudonyms import Pseudonyms
from workstation.dicom.sources import DicomError, Source, find_sources
from workstation.dicom.values import text

EVERYTHING = "all"
_WORDS = {
    Action.REMOVE: "removed",
    Action.EMPTY: "emptied",
    Action.DUMMY: "replaced by a dummy",
    Action.MAP: "UIDs replaced",
    Action.KEEP: "kept",
    Action.CLEAN: "cleaned",
}


@dataclass(frozen=True)
class Order:
    """What to do with every file.

    ``accepted`` names files, folders or ZIPs whose pixels a person has looked at, or is ``all``;
    ``subject`` is the patient's new ID, made from the key where it is empty; ``blackout`` is
    what to blacken in the accepted images.
    """

    profile: Profile
    names: Pseudonyms
    subject: str = ""
    accepted: tuple[str, ...] = ()
    blackout: tuple[Rectangle, ...] = ()

    def __post_init__(self) -> None:
        if self.subject and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", self.subject):
            raise ValueError(
                f"{self.subject!r} cannot be the ID of a subject; use up to 64 letters, digits, "
                "blanks and . _ -"
            )


@dataclass(frozen=True)
class Held:
    """An object that was not written, and why; ``final`` if a look does not help."""

    path: str
    reason: str
    series_uid: str = field(default="", repr=False)
    final: bool = False

    def to_json(self) -> dict[str, str]:
        """Return the record of ``hilum deidentify --json``."""
        return {"path": self.path, "reason": self.reason}


@dataclass
class Outcome:
    """What became of the files. It holds no value of any attribute."""

    order: Order
    folder: Path
    written: int = 0
    cleared: int = 0
    unsaid: int = 0
    quarantined: list[Held] = field(default_factory=list)
    skipped: list[Held] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    heads: Counter[bool | None] = field(default_factory=Counter)
    _looked_at: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._looked_at = frozenset(str(PurePosixPath(a)) for a in self.order.accepted)

    def was_looked_at(self, source: Source) -> bool:
        """Tell whether a person has looked at the pixels of ``source``."""
        place = PurePosixPath(str(source))
        over = {str(p) for p in (place, *place.parents)}
        return EVERYTHING in self._looked_at or not over.isdisjoint(self._looked_at)

    @property
    def warnings(self) -> list[str]:
        """What a person must know before the result is given away."""
        said = []
        if self.heads[True]:
            said.append(
                counted(self.heads[True], "file shows", "files show")
                + " a head: a face can be drawn from it, and nothing was done about it (113102 is "
                "not claimed); deface it before it leaves"
            )
        if self.heads[None]:
            said.append(
                counted(self.heads[None], "file does", "files do")
                + " not say which part of the body is shown: if it is the head, a face can be "
                "drawn from it"
            )
        if self.unsaid:
            said.append(
                counted(self.unsaid, "file does", "files do")
                + " not say whether text is burned into the pixels; original slices rarely carry "
                "any, but look at them before they leave"
            )
        if self.cleared:
            said.append(
                f"{counted(self.cleared, 'file')} held something in unused bits of pixels, where "
                "overlays may lie; it was cleared, and all pixel values stay the same"
            )
        return said

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``hilum deidentify --json``."""
        options = self.order.profile.options
        codes = [BASIC_CODE, *(OPTION_CODES[o] for o in OPTION_CODES if o in options)]
        return {
            "folder": str(self.folder),
            "written": self.written,
            "quarantined": [held.to_json() for held in self.quarantined],
            "skipped": [held.to_json() for held in self.skipped],
            "warnings": self.warnings,
            "profile": {
                "table": table().title,
                "codes": [{"code": number, "meaning": words} for number, words in codes],
            },
            "attributes": {words: self.counts[action.value] for action, words in _WORDS.items()}
            | {
                "held a name or number of the patient": self.counts["repeated"],
                "unreadable, left out": self.counts["unreadable"],
            },
        }


def deidentify_files(
    paths: Sequence[Path], folder: Path, order: Order, progress: Progress = silent
) -> Outcome:
    """Write what may leave of ``paths`` into the new ``folder``, which appears whole or not.

    Names of files and folders are made from replacements alone. A file that cannot be read is
    listed and left out.

    Raises:
        DicomError: if a path is not there, ``folder`` is not new or lies in a path, or there are
            several patients where one subject was named.
        OSError: if ``folder`` cannot be written.
    """
    _require_new(folder, paths)
    sources, ignored = find_sources(paths)
    outcome = Outcome(order, folder, skipped=[Held(i.path, i.reason) for i in ignored])
    patients: set[str] = set()
    with tempfile.TemporaryDirectory(prefix=".deidentify-", dir=folder.parent) as scratch:
        room = Path(scratch) / "out"
        room.mkdir()
        for n, source in enumerate(sources):
            progress(n / len(sources), f"file {n + 1} of {len(sources)}")
            _deidentify_one(source, room, outcome, patients)
        if outcome.written:
            if folder.exists():
                folder.rmdir()
            room.rename(folder)
    return outcome


def _require_new(folder: Path, paths: Sequence[Path]) -> None:
    place = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DicomError(f"{folder} is there already", "Name a new folder; nothing is overwritten")
    if not place.parent.is_dir():
        raise DicomError(f"the folder {folder.parent} is not there", "Make it first")
    for path in paths:
        if place.is_relative_to(path.resolve()):
            raise DicomError(
                f"{folder} lies inside {path}, among the images with identity",
                "Name a folder elsewhere",
            )


@lenient()
def _deidentify_one(source: Source, room: Path, outcome: Outcome, patients: set[str]) -> None:
    try:
        data = open_dataset(source)
        sop_class, series = text(data, "SOPClassUID"), text(data, "SeriesInstanceUID")
    except Exception as error:  # a damaged file can fail anywhere inside the parser
        outcome.skipped.append(Held(str(source), f"damaged or not DICOM: {error}"[:200]))
        return
    if "DirectoryRecordSequence" in data:
        reason = "an index of a medium, which names files that have other names now"
        outcome.skipped.append(Held(str(source), reason))
        return
    if not sop_class:
        outcome.skipped.append(Held(str(source), "not a DICOM object"))
        return
    reason = reason_to_look(data)
    seen = outcome.was_looked_at(source)
    if reason and not (seen and may_be_accepted(data)):
        final = not may_be_accepted(data)
        outcome.quarantined.append(Held(str(source), reason, series, final))
        return
    patients.add(identity_of(data))
    if outcome.order.subject and len(patients) > 1:
        raise DicomError(
            "the images belong to several patients, and one subject was named",
            "De-identify one patient at a time, or name no subject",
        )
    _write(source, data, bool(reason), room, outcome)


def _write(source: Source, data: Dataset, seen: bool, room: Path, outcome: Outcome) -> None:
    order = outcome.order
    try:
        cleared = clear_unused_bits(data)
        if seen and order.blackout and "PixelData" in data:
            black_out(data, order.blackout)
        clean, counts = deidentify(data, request_for(data, order, seen))
        subject = str(clean.PatientID).replace(" ", "_")
        place = room / subject / str(clean.get("SeriesInstanceUID") or "series")
        path = place / f"{clean.SOPInstanceUID}.dcm"
        if path.exists():
            outcome.skipped.append(Held(str(source), "the same object as another file"))
            return
        place.mkdir(parents=True, exist_ok=True)
        clean.save_as(path, enforce_file_format=True)
    except OSError:
        raise
    except Exception as error:  # a damaged value can fail anywhere inside the writer
        outcome.skipped.append(Held(str(source), f"cannot be de-identified: {error}"[:200]))
        return
    outcome.written += 1
    outcome.cleared += cleared
    outcome.unsaid += not (seen or vouches(data))
    outcome.counts += counts
    head = shows_head(data)
    if head is not False and ("Rows" in data or "EncapsulatedDocument" in data):
        outcome.heads[head] += 1


def request_for(data: Dataset, order: Order, seen: bool) -> Request:
    """Return how one object is de-identified."""
    identity = identity_of(data)
    return Request(
        profile=order.profile,
        names=order.names,
        identity=identity,
        subject=order.subject or order.names.subject(identity),
        seen=seen,
        blackened=seen and bool(order.blackout) and "PixelData" in data,
        face=shows_head(data) is True,
    )
