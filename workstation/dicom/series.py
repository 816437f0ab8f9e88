"""Slices into volumes: what belongs together, what is a copy, what must be split or refused."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from segmentation.contract import Finding, Severity
from segmentation.volume import ImageGeometry
from workstation.dicom.datasets import open_dataset
from workstation.dicom.geometry import (
    SAME_PLACE_MM,
    Planes,
    Stack,
    StackProblem,
    equidistant_blocks,
    stack_geometry,
)
from workstation.dicom.headers import VOLUME_CAP_BYTES
from workstation.dicom.slices import PatientIdentity, SeriesIdentity, Slice
from workstation.dicom.sources import Ignored, Source
from workstation.dicom.values import empty_value

T = TypeVar("T")

ORIENTATION_TOLERANCE = 1e-3
SPACING_TOLERANCE_MM = 1e-4

REMEDIES = {
    "missing_slices": "Fetch the series again; if slices are lost for good, it cannot be used",
    "irregular_spacing": "Use a reconstruction with even slice spacing",
    "same_position": "Send each phase or repetition as a series of its own",
    "truncated": "Copy or fetch the series again",
    "unreadable_slice": "Copy or fetch the series again",
    "slice_differs": "Fetch the series again from its origin",
    "no_position": "Export it from the archive as original CT or MR slices with their geometry",
    "mosaic": "Export it unpacked, as single slices or enhanced multi-frame",
    "colour": "Use the original greyscale images",
    "multi_frame": "Export it as single slices or enhanced multi-frame",
    "mixed_patients": "Sort out at the origin to whom these slices belong",
}


@dataclass(frozen=True, eq=False)
class ScannedVolume:
    """A volume that `read` will make, or a refused one; no pixels yet.

    Attributes:
        identity: patient, study and series.
        description: the series description, and which part of a split series this is.
        status: "ok", "repaired" (tilt corrected) or "refused".
        geometry: the grid (LPS mm) of the volume that `read` makes; None if refused.
        findings: what a reader must know; a refused volume has a problem among them.
        slices: its slices, in the order of the grid's z axis.
        stack: how the slices enter the grid; None if refused.
        key: tells the volumes of all series apart; the same for the same images anywhere.
    """

    identity: SeriesIdentity
    description: str
    status: str
    findings: tuple[Finding, ...]
    slices: tuple[Slice, ...]
    stack: Stack | None
    key: str

    @property
    def geometry(self) -> ImageGeometry | None:
        """The voxel grid of the volume that `read` makes."""
        return self.stack.geometry if self.stack else None

    @property
    def series_uid(self) -> str:
        """The series instance UID."""
        return self.identity.series_uid

    @property
    def modality(self) -> str:
        """The modality code, such as CT or MR."""
        return self.identity.modality

    @property
    def patient(self) -> PatientIdentity:
        """Whose images these are."""
        return self.identity.patient

    @property
    def synthetic(self) -> bool:
        """Whether the images say that they were made up."""
        return self.identity.synthetic

    @property
    def files(self) -> tuple[Source, ...]:
        """The files that hold its slices, each once, in slice order."""
        return tuple(dict.fromkeys(s.source for s in self.slices))


@dataclass(frozen=True)
class _Part:
    """Slices that should make one volume, what tells them apart, and what happened so far."""

    slices: list[Slice]
    label: str = ""
    findings: tuple[Finding, ...] = ()


def volumes_of_series(
    slices: Sequence[Slice], lost: Sequence[Ignored]
) -> tuple[list[ScannedVolume], list[Ignored]]:
    """Return the volumes of one series, and the slices that are used in none.

    ``lost`` lists the files of the series that could not be read.
    """
    patients = _by(slices, lambda s: s.identity.patient.patient_id or s.identity.patient.name)
    if len(patients) > 1:
        text = f"one series UID is used for {len(patients)} patients"
        return [_refused(_Part(part), "mixed_patients", text) for part in patients.values()], []
    volumes: list[ScannedVolume] = []
    copies: list[Ignored] = []
    for group in _labelled(_kinds(slices)):
        unique, dropped = _without_copies(group)
        copies += dropped
        volumes += _volumes(unique)
    if lost:
        text = f"{_count(len(lost), 'file')} of this series cannot be read: {lost[0].reason}"
        volumes = [_refuse(v, "unreadable_slice", text) for v in volumes]
    return _without_strays(volumes), copies


def _by(slices: Iterable[T], key: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in slices:
        groups[key(item)].append(item)
    return dict(groups)


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _kinds(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Split by what never shares a stack; slices without a place stay with their kind."""
    kinds = _by(
        slices,
        lambda s: (s.identity.frame_uid, s.form.rows, s.form.columns, s.form.photometric, s.key),
    )
    return [part for kind in kinds.values() for part in _same_planes(kind)]


def _same_planes(slices: list[Slice]) -> list[list[Slice]]:
    """Split by orientation and pixel spacing, unless a slice has none or is unusable."""
    if any(_unusable(s)[0] for s in slices):
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


def _unusable(s: Slice) -> tuple[str, str]:
    if s.problem[0]:
        return s.problem
    absent = [
        name
        for name, value in (
            ("position", s.position_mm),
            ("orientation", s.orientation),
            ("pixel spacing", s.pixel_spacing_mm),
        )
        if value is None
    ]
    if absent:
        return "no_position", f"the header has no usable {' and '.join(absent)}"
    return "", ""


def _labelled(kinds: list[list[Slice]]) -> list[_Part]:
    """Name each part by the words in which the parts of a series differ."""
    if len(kinds) == 1:
        return [_Part(kinds[0])]
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
        parts.append(_Part(kind, label, (Finding(Severity.INFO, "split", text),)))
    return parts


def _without_copies(part: _Part) -> tuple[_Part, list[Ignored]]:
    """Drop files that repeat another file's image at the same place, pixel for pixel."""
    kept: list[Slice] = []
    dropped: list[Ignored] = []
    for same in _by(part.slices, lambda s: (s.sop_uid, s.frame, s.position_mm)).values():
        kept.append(same[0])
        for other in same[1:]:
            if same[0].sop_uid and _same_pixels(same[0], other):
                dropped.append(Ignored(str(other.source), f"a copy of {same[0].source}"))
            else:
                kept.append(other)
    if not dropped:
        return part, []
    text = f"{_count(len(dropped), 'file')} repeated another file of the series and went unused"
    finding = Finding(Severity.INFO, "duplicate_copies", text)
    return replace(part, slices=kept, findings=(*part.findings, finding)), dropped


def _same_pixels(a: Slice, b: Slice) -> bool:
    if a.form != b.form or (a.slope, a.intercept) != (b.slope, b.intercept):
        return False
    if a.source.size == b.source.size and a.source.read_bytes() == b.source.read_bytes():
        return True
    try:
        return bool(open_dataset(a.source).PixelData == open_dataset(b.source).PixelData)
    except Exception:  # damaged pixels are not known to be equal
        return False


def _volumes(part: _Part) -> list[ScannedVolume]:
    bad = [(s, *_unusable(s)) for s in part.slices if _unusable(s)[0]]
    if bad:
        of = f" ({len(bad)} of {len(part.slices)} images)" if len(part.slices) > 1 else ""
        return [_refused(part, bad[0][1], bad[0][2] + of)]
    if len({s.quantity for s in part.slices}) > 1:
        return [_refused(part, "mixed_values", "its slices hold different quantities")]
    try:
        return [_accepted(p, stack) for p, stack in _stacks(part)]
    except StackProblem as problem:
        return [_refused(part, problem.code, str(problem), problem.place_mm)]


def _stacks(part: _Part) -> list[tuple[_Part, Stack]]:
    try:
        return [(part, _stack(part.slices))]
    except StackProblem as problem:
        if problem.code == "same_position":
            found = _split_by_hint(part, 2) or _split_by_number(part) or _thinned(part)
        elif problem.code in ("irregular_spacing", "drift"):
            found = _split_by_hint(part, 3) or _split_by_spacing(part)
        else:
            found = None
        if found is None:
            raise
        return found


def _thinned(part: _Part) -> list[tuple[_Part, Stack]] | None:
    """Drop images that are the same pixel for pixel at one place, though named differently."""
    kept: list[Slice] = []
    for same in _by(part.slices, lambda s: s.position_mm).values():
        if not all(_same_pixels(same[0], other) for other in same[1:]):
            return None
        kept.append(same[0])
    count = _count(len(part.slices) - len(kept), "image")
    text = f"{count} repeated another image of the series under another name and went unused"
    finding = Finding(Severity.WARNING, "duplicate_copies", text)
    thinner = replace(part, slices=kept, findings=(*part.findings, finding))
    try:
        return [(thinner, _stack(kept))]
    except StackProblem:
        return None


def _stack(slices: Sequence[Slice]) -> Stack:
    first = slices[0]
    planes = planes_of(slices)
    frame = first.identity.frame_uid or first.identity.series_uid or first.sop_uid
    stack = stack_geometry(planes, frame)
    if np.prod(stack.geometry.size, dtype=float) * 2 > VOLUME_CAP_BYTES:
        raise StackProblem("too_large", f"the volume would have {stack.geometry.size} voxels")
    return stack


def planes_of(slices: Sequence[Slice]) -> Planes:
    """Return where the slices, all of known place and one size, lie."""
    return Planes(
        np.array([s.position_mm for s in slices], float),
        np.array([s.orientation for s in slices], float),
        np.array([s.pixel_spacing_mm for s in slices], float),
        slices[0].form.rows,
        slices[0].form.columns,
        slices[0].thickness_mm,
    )


def _split_by_hint(part: _Part, fewest: int) -> list[tuple[_Part, Stack]] | None:
    """Split by the first header value under which every part is an even stack."""
    for name, _ in part.slices[0].hints:
        groups = _by(part.slices, partial(_hint, name=name))
        few = min(map(len, groups.values()))
        if len(groups) > 1 and few >= fewest:
            found = _all_even(part, [(f"{name} {v}", g) for v, g in groups.items()])
            if found:
                return found
    return None


def _hint(s: Slice, name: str) -> str:
    return dict(s.hints).get(name, "")


def _split_by_number(part: _Part) -> list[tuple[_Part, Stack]] | None:
    """Split repetitions by instance number, if the numbers tell them apart beyond doubt."""
    planes = planes_of(part.slices)
    depth = planes.positions_mm @ planes.axes()[:, 2]
    order = np.argsort(depth, kind="stable")
    places = np.split(order, np.nonzero(np.diff(depth[order]) >= SAME_PLACE_MM)[0] + 1)
    if len({len(place) for place in places}) > 1 or len(places) < 2:
        return None  # slices that all claim one place are more often damaged than repeated
    numbers = np.array([sorted(part.slices[n].instance for n in place) for place in places])
    steps = np.diff(numbers, axis=0)
    one_way = bool(np.all(steps > 0) or np.all(steps < 0))
    apart = bool(np.all(numbers.max(axis=0)[:-1] < numbers.min(axis=0)[1:]))
    if len(np.unique(numbers)) < numbers.size or not (one_way or apart):
        return None
    ranked = [sorted(place, key=lambda n: part.slices[n].instance) for place in places]
    groups = [[part.slices[place[r]] for place in ranked] for r in range(len(places[0]))]
    text = "repetitions at the same places were told apart by instance number"
    marked = replace(
        part, findings=(*part.findings, Finding(Severity.WARNING, "split_by_number", text))
    )
    return _all_even(marked, [(f"repetition {r + 1}", g) for r, g in enumerate(groups)])


def _split_by_spacing(part: _Part) -> list[tuple[_Part, Stack]] | None:
    blocks = equidistant_blocks(planes_of(part.slices))
    if blocks is None or len(blocks) < 2:
        return None
    text = "the slice spacing changes; each run of even spacing is a volume of its own"
    marked = replace(
        part, findings=(*part.findings, Finding(Severity.WARNING, "split_by_spacing", text))
    )
    groups = [[part.slices[n] for n in block] for block in blocks]
    return _all_even(marked, [(f"block {n + 1}", g) for n, g in enumerate(groups)])


def _all_even(
    part: _Part, groups: Sequence[tuple[str, list[Slice]]]
) -> list[tuple[_Part, Stack]] | None:
    found = []
    for n, (label, slices) in enumerate(groups):
        try:
            stack = _stack(slices)
        except StackProblem:
            return None
        name = f"{n + 1} of {len(groups)}: {label.strip()}"
        text = f"the series was split into {len(groups)} volumes; this is {name}"
        findings = (*part.findings, Finding(Severity.INFO, "split", text))
        found.append((_Part(slices, _join(part.label, name), findings), stack))
    return found


def _join(*words: str) -> str:
    return "; ".join(word for word in words if word)


def _without_strays(volumes: list[ScannedVolume]) -> list[ScannedVolume]:
    """Refuse a stack whose next slice is there, but with another shape: it was damaged."""
    result = []
    for volume in volumes:
        stray = _continuation(volume, volumes)
        text = (
            f"the slice that continues this stack ({stray.source.name}) has another orientation, "
            "pixel spacing or size"
            if stray
            else ""
        )
        result.append(_refuse(volume, "slice_differs", text) if stray else volume)
    return result


def warn_of_strays(volumes: list[ScannedVolume]) -> list[ScannedVolume]:
    """Add a finding to a stack that a slice of another series seems to continue."""
    result = []
    for volume in volumes:
        stray = _continuation(volume, volumes)
        if stray and stray.identity.series_uid != volume.series_uid:
            text = f"a lone slice of another series ({stray.source.name}) would continue this stack"
            finding = Finding(Severity.WARNING, "stray_slice", text)
            volume = replace(volume, findings=(*volume.findings, finding))
        result.append(volume)
    return result


def _continuation(volume: ScannedVolume, others: Sequence[ScannedVolume]) -> Slice | None:
    """Return a slice of a tiny volume that lies one step beyond either end of ``volume``."""
    count = len(volume.slices)
    if volume.stack is None or count < 3:
        return None
    positions = np.array([s.position_mm for s in volume.slices], float)
    step = (positions[-1] - positions[0]) / (count - 1)
    ends = (positions[0] - step, positions[-1] + step)
    reach = max(0.1 * float(np.linalg.norm(step)), SAME_PLACE_MM)
    tiny = (s for other in others if len(other.slices) <= 2 for s in other.slices)
    for s in tiny:
        if s.position_mm is None or s.key != volume.slices[0].key:
            continue
        if any(np.linalg.norm(np.subtract(s.position_mm, end)) < reach for end in ends):
            return s
    return None


def _accepted(part: _Part, stack: Stack) -> ScannedVolume:
    slices = [part.slices[n] for n in stack.order]
    findings = [*part.findings, *_observations(slices, stack)]
    status = "repaired" if stack.tilted else "ok"
    return _volume(part, status, findings, slices, stack)


def _observations(slices: Sequence[Slice], stack: Stack) -> list[Finding]:
    first, found = slices[0], []
    if stack.tilted:
        text = (
            f"the slices are sheared by {stack.tilt_degrees:.1f} degrees (gantry tilt); "
            "they were resampled in their planes onto an orthogonal grid "
            f"whose empty corners hold {empty_value(first.quantity):g}"
        )
        found.append(Finding(Severity.WARNING, "gantry_tilt", text))
    if len(slices) == 1:
        text = "a single slice; its depth is the nominal slice thickness"
        found.append(Finding(Severity.WARNING, "single_slice", text))
    apart, thick = stack.geometry.spacing_mm[2], first.thickness_mm
    if thick is not None and 0 < 1.5 * thick < apart:
        text = f"the slices are {apart:g} mm apart and {thick:g} mm thick: gaps are not seen"
        found.append(Finding(Severity.WARNING, "slice_gaps", text))
    if first.identity.modality == "CT" and len({(s.slope, s.intercept) for s in slices}) > 1:
        text = "slope or intercept differ between slices; each slice was rescaled by its own"
        found.append(Finding(Severity.WARNING, "rescale_varies", text))
    if not first.identity.frame_uid:
        text = "no frame of reference: it cannot be combined with other series unregistered"
        found.append(Finding(Severity.WARNING, "no_frame_of_reference", text))
    if first.form.photometric == "MONOCHROME1":
        text = "high values are meant to be shown dark (MONOCHROME1); the values are kept"
        found.append(Finding(Severity.INFO, "monochrome1", text))
    if first.quantity.startswith("CT value"):
        text = "the CT values are not declared to be Hounsfield units"
        found.append(Finding(Severity.WARNING, "not_hounsfield", text))
    return found


def _refused(
    part: _Part, code: str, text: str, place: tuple[float, ...] | None = None
) -> ScannedVolume:
    problem = _problem(code, text, place)
    return _volume(part, "refused", [problem, *part.findings], part.slices, None)


def _refuse(volume: ScannedVolume, code: str, text: str) -> ScannedVolume:
    findings = (_problem(code, text, None), *volume.findings)
    return replace(volume, status="refused", findings=findings, stack=None)


def _problem(code: str, text: str, place: tuple[float, ...] | None) -> Finding:
    where = None if place is None else (place[0], place[1], place[2])
    return Finding(Severity.PROBLEM, code, text, where, REMEDIES.get(code, ""))


def _volume(
    part: _Part,
    status: str,
    findings: Sequence[Finding],
    slices: Sequence[Slice],
    stack: Stack | None,
) -> ScannedVolume:
    identity = slices[0].identity
    description = f"{identity.description} [{part.label}]" if part.label else identity.description
    names = sorted(f"{s.sop_uid} {s.frame} {s.instance} {s.position_mm}" for s in slices)
    digest = hashlib.sha256("\n".join([identity.series_uid, *names]).encode()).hexdigest()
    return ScannedVolume(
        identity, description.strip(), status, tuple(findings), tuple(slices), stack, digest[:16]
    )
