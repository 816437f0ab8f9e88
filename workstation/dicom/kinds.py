"""Slices of one series sorted by kind: what can share a stack at all, and what is a copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from segmentation.contract import Finding, Severity
from workstation.dicom.datasets import open_dataset
from workstation.dicom.slices import Slice
from workstation.dicom.sources import Ignored
from workstation.dicom.volumes import SeriesPart, unusable

T = TypeVar("T")

ORIENTATION_TOLERANCE = 1e-3
SPACING_TOLERANCE_MM = 1e-4


@dataclass(frozen=True)
class Group:
    """Slices that should make one volume, what tells them apart, and what happened so far."""

    slices: list[Slice]
    label: str = ""
    findings: tuple[Finding, ...] = ()
    part: SeriesPart | None = None


def by(slices: Iterable[T], key: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    """Return the items by what ``key`` makes of them, in the order of first sight."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in slices:
        groups[key(item)].append(item)
    return dict(groups)


def counted(n: int, word: str) -> str:
    """Return a count with its noun, such as "1 file" or "3 files"."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def kinds_of(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Split by what never shares a stack; slices without a place stay with their kind."""
    kinds = by(
        slices,
        lambda s: (s.identity.frame_uid, s.form.rows, s.form.columns, s.form.photometric, s.key),
    )
    return [part for kind in kinds.values() for part in _same_planes(kind)]


def _same_planes(slices: list[Slice]) -> list[list[Slice]]:
    """Split by orientation and pixel spacing, unless a slice has none or is unusable."""
    if any(unusable(s)[0] for s in slices):
        return [slices]
    clusters: list[list[Slice]] = []
    for s in slices:
        home = next((c for c in clusters if _parallel(c[0], s)), None)
        if home is None:
            clusters.append([s])
        else:
            home.append(s)
    return clusters


def _parallel(a: Slice, b: Slice) -> bool:
    turned = np.abs(np.subtract(a.orientation, b.orientation)).max()  # type: ignore[arg-type]
    scaled = np.abs(np.subtract(a.pixel_spacing_mm, b.pixel_spacing_mm)).max()  # type: ignore[arg-type]
    return bool(turned <= ORIENTATION_TOLERANCE and scaled <= SPACING_TOLERANCE_MM)


def labelled(kinds: list[list[Slice]]) -> list[Group]:
    """Name each part by the words in which the parts of a series differ."""
    if len(kinds) == 1:
        return [Group(kinds[0])]
    words = [
        [*s.key, ("size", f"{s.form.columns}x{s.form.rows}")] for s in (kind[0] for kind in kinds)
    ]
    parts = []
    for n, kind in enumerate(kinds):
        own = [
            f"{name} {value}"
            for place, (name, value) in enumerate(words[n])
            if value and any(len(w) <= place or w[place] != words[n][place] for w in words)
        ]
        label = ", ".join([f"part {n + 1} of {len(kinds)}", *own])
        text = f"the series holds {len(kinds)} kinds of image; this is {label}"
        parts.append(Group(kind, label, (Finding(Severity.INFO, "split", text),)))
    return parts


def without_copies(part: Group) -> tuple[Group, list[Ignored]]:
    """Drop files that repeat another file's image at the same place, pixel for pixel."""
    kept: list[Slice] = []
    dropped: list[Ignored] = []
    for same in by(part.slices, lambda s: (s.sop_uid, s.frame, s.position_mm)).values():
        kept.append(same[0])
        for other in same[1:]:
            if same[0].sop_uid and same_pixels(same[0], other):
                dropped.append(Ignored(str(other.source), f"a copy of {same[0].source}"))
            else:
                kept.append(other)
    if not dropped:
        return part, []
    text = f"{counted(len(dropped), 'file')} repeated another file of the series and went unused"
    finding = Finding(Severity.INFO, "duplicate_copies", text)
    return replace(part, slices=kept, findings=(*part.findings, finding)), dropped


def same_pixels(a: Slice, b: Slice) -> bool:
    """Tell whether two images hold the same values, as stored and as rescaled."""
    if a.form != b.form or (a.slope, a.intercept) != (b.slope, b.intercept):
        return False
    if a.source.size == b.source.size and a.source.read_bytes() == b.source.read_bytes():
        return True
    try:
        return bool(open_dataset(a.source).PixelData == open_dataset(b.source).PixelData)
    except Exception:  # damaged pixels are not known to be equal
        return False
