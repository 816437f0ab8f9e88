"""The volumes of one series: sorted, split, checked, and accepted or refused by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.dicom.geometry import SAME_PLACE_MM, Stack, StackProblem
from workstation.dicom.kinds import Group, by, kinds_of, labelled, without_copies
from workstation.dicom.observations import observations
from workstation.dicom.repairs import left_out, repairs_of
from workstation.dicom.slices import Slice
from workstation.dicom.sources import Ignored
from workstation.dicom.splitting import split_stacks
from workstation.dicom.volumes import ScannedVolume, problem_finding, unusable, volume_key


def volumes_of_series(
    slices: Sequence[Slice], lost: Sequence[Ignored]
) -> tuple[list[ScannedVolume], list[Ignored]]:
    """Return the volumes of one series, and the slices that are used in none.

    ``lost`` lists the files of the series that could not be read.
    """
    patients = by(slices, lambda s: s.identity.patient.patient_id or s.identity.patient.name)
    if len(patients) > 1:
        text = f"one series UID is used for {len(patients)} patients"
        return [_refused(Group(part), "mixed_patients", text) for part in patients.values()], []
    volumes: list[ScannedVolume] = []
    copies: list[Ignored] = []
    for group in labelled(kinds_of(slices)):
        unique, dropped = without_copies(group)
        copies += dropped
        volumes += _volumes(unique)
    if lost:
        text = f"{counted(len(lost), 'file')} of this series cannot be read: {lost[0].reason}"
        volumes = [_refuse(v, "unreadable_slice", text) for v in volumes]
    return _without_strays(volumes), copies


def _volumes(part: Group) -> list[ScannedVolume]:
    bad = [(s, *unusable(s)) for s in part.slices if unusable(s)[0]]
    if bad:
        of = f" ({len(bad)} of {len(part.slices)} images)" if len(part.slices) > 1 else ""
        return [_refused(part, bad[0][1], bad[0][2] + of)]
    if len({s.quantity for s in part.slices}) > 1:
        return [_refused(part, "mixed_values", "its slices hold different quantities")]
    try:
        return [_accepted(p, stack) for p, stack in split_stacks(part)]
    except StackProblem as problem:
        return [_refused(part, problem.code, str(problem), problem.place_mm)]


def _without_strays(volumes: list[ScannedVolume]) -> list[ScannedVolume]:
    """Refuse a stack whose next slice is there, but with another shape: it was damaged."""
    result, loose = [], _Loose(volumes)
    for volume in volumes:
        stray = loose.continuation(volume)
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
    result, loose = [], _Loose(volumes)
    for volume in volumes:
        stray = loose.continuation(volume)
        if stray and stray.identity.series_uid != volume.series_uid:
            text = f"a lone slice of another series ({stray.source.name}) would continue this stack"
            finding = Finding(Severity.WARNING, "stray_slice", text)
            volume = replace(volume, findings=(*volume.findings, finding))
        result.append(volume)
    return result


class _Loose:
    """The slices of tiny volumes, by what never shares a stack."""

    def __init__(self, volumes: Sequence[ScannedVolume]) -> None:
        self._slices: dict[Hashable, list[Slice]] = defaultdict(list)
        for s in (s for v in volumes if len(v.slices) <= 2 for s in v.slices):
            if s.position_mm is not None:
                self._slices[s.key].append(s)
        self._places = {
            key: np.array([s.position_mm for s in own]) for key, own in self._slices.items()
        }

    def continuation(self, volume: ScannedVolume) -> Slice | None:
        """Return a slice that lies one step beyond either end of ``volume``."""
        count, key = len(volume.slices), volume.slices[0].key
        if volume.stack is None or count < 3 or key not in self._places:
            return None
        first = np.array(volume.slices[0].position_mm, float)
        last = np.array(volume.slices[-1].position_mm, float)
        step = (last - first) / (count - 1)
        reach = max(0.1 * float(np.linalg.norm(step)), SAME_PLACE_MM)
        apart = self._places[key][:, None] - np.stack([first - step, last + step])
        near = np.flatnonzero((np.linalg.norm(apart, axis=2) < reach).any(axis=1))
        return self._slices[key][near[0]] if len(near) else None


def _accepted(part: Group, stack: Stack) -> ScannedVolume:
    slices = tuple(part.slices[n] for n in stack.order)
    findings = (*part.findings, *observations(slices, stack))
    status = "repaired" if stack.tilted else "ok"
    return replace(_volume(part, status, findings, slices), stack=stack)


def _refused(
    part: Group, code: str, text: str, place: tuple[float, ...] | None = None
) -> ScannedVolume:
    repairs = repairs_of(part.slices, code)
    if code == "missing_slices" and not repairs:
        text += "; that is too much to be interpolated"
    findings = (problem_finding(code, text, place), *part.findings)
    refused = _volume(part, "refused", findings, tuple(part.slices))
    return replace(refused, repairs=repairs)


def _refuse(volume: ScannedVolume, code: str, text: str) -> ScannedVolume:
    """Refuse a volume for what lies beside it; to leave that out is the repair."""
    repairs = volume.repairs
    if volume.stack is not None:
        repairs = (left_out(text, volume.slices, volume.stack),)
    findings = (problem_finding(code, text), *volume.findings)
    return replace(volume, status="refused", findings=findings, stack=None, repairs=repairs)


def _volume(
    part: Group, status: str, findings: tuple[Finding, ...], slices: tuple[Slice, ...]
) -> ScannedVolume:
    identity = slices[0].identity
    description = f"{identity.description} [{part.label}]" if part.label else identity.description
    return ScannedVolume(
        identity,
        description.strip(),
        status,
        findings,
        slices,
        None,
        volume_key(slices),
        part.part,
    )
