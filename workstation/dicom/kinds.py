"""Slices of one series sorted by kind: what can share a stack at all, and what is a copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.dicom.datasets import open_dataset
from workstation.dicom.parts import parts_of_kinds, word_order
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


def kinds_of(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Split by what never shares a stack; slices without a place stay with their kind."""
    kinds = by(
        slices,
        lambda s: (
            s.identity.study_uid,
            s.identity.frame_uid,
            s.form.rows,
            s.form.columns,
            s.form.photometric,
            s.key,
        ),
    )
    return [part for kind in kinds.values() for part in _same_planes(kind)]


def _same_planes(slices: list[Slice]) -> list[list[Slice]]:
    """Split by orientation and pixel spacing, unless a slice has none or is unusable."""
    if any(unusable(s)[0] for s in slices):
        return [slices]
    turned = np.array([s.orientation for s in slices], float)
    planes = np.hstack([turned, np.array([s.pixel_spacing_mm for s in slices], float)])
    allowed = np.repeat([ORIENTATION_TOLERANCE, SPACING_TOLERANCE_MM], [6, 2])
    clusters: list[list[Slice]] = []
    first = np.empty_like(planes)  # of each cluster
    for s, plane in zip(slices, planes):
        alike = (np.abs(first[: len(clusters)] - plane) <= allowed).all(axis=1)
        if alike.any():
            clusters[int(alike.argmax())].append(s)
        else:
            first[len(clusters)] = plane
            clusters.append([s])
    return clusters


def labelled(kinds: list[list[Slice]]) -> list[Group]:
    """Name each part by the words in which the parts of a series differ."""
    if len(kinds) == 1:
        return [Group(kinds[0])]
    kinds = sorted(kinds, key=lambda kind: [word_order(word) for _, word in kind[0].key])
    words = [
        [*s.key, ("size", f"{s.form.columns}x{s.form.rows}")] for s in (kind[0] for kind in kinds)
    ]
    said = [set(column) for column in zip_longest(*words)]
    parts = []
    places = parts_of_kinds(kinds)
    for n, kind in enumerate(kinds):
        own = [
            f"{name} {value}"
            for place, (name, value) in enumerate(words[n])
            if value and len(said[place]) > 1
        ]
        label = ", ".join([f"part {n + 1} of {len(kinds)}", *own])
        text = f"the series holds {len(kinds)} kinds of image; this is {label}"
        findings = (Finding(Severity.INFO, "split", text), *_mixed(kind, kinds))
        parts.append(Group(kind, label, findings, places[n]))
    return parts


def _mixed(kind: list[Slice], kinds: list[list[Slice]]) -> tuple[Finding, ...]:
    """Warn where only the geometry sets a part apart: one of them may have a damaged header."""
    others = [k for k in kinds if k is not kind and _nature(k[0]) == _nature(kind[0])]
    if not others:
        return ()
    count = counted(sum(map(len, others)), "image")
    text = f"{count} of this series have another orientation, pixel spacing or size"
    return (Finding(Severity.WARNING, "mixed_geometry", text),)


def _nature(s: Slice) -> Hashable:
    return s.identity.study_uid, s.identity.frame_uid, s.key


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
