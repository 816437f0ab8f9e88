"""One kind of slices as even stacks: split by time, echo, phase, repetition or spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.dicom.geometry import SAME_PLACE_MM, Stack, StackProblem, equidistant_blocks
from workstation.dicom.kinds import Group, by, same_pixels
from workstation.dicom.parts import in_order, parts_of
from workstation.dicom.slices import Slice
from workstation.dicom.volumes import planes_of, stack_of


def split_stacks(part: Group) -> list[tuple[Group, Stack]]:
    """Return the even stacks that slices of one kind make: one, or the parts of a split.

    Raises:
        StackProblem: when they make none.
    """
    try:
        return [(part, stack_of(part.slices))]
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


def _thinned(part: Group) -> list[tuple[Group, Stack]] | None:
    """Drop images that are the same pixel for pixel at one place, though named differently."""
    kept: list[Slice] = []
    for same in by(part.slices, lambda s: s.position_mm).values():
        if not all(same_pixels(same[0], other) for other in same[1:]):
            return None
        kept.append(same[0])
    count = counted(len(part.slices) - len(kept), "image")
    text = f"{count} repeated another image of the series under another name and went unused"
    finding = Finding(Severity.WARNING, "duplicate_copies", text)
    thinner = replace(part, slices=kept, findings=(*part.findings, finding))
    try:
        return [(thinner, stack_of(kept))]
    except StackProblem:
        return None


def _split_by_hint(part: Group, fewest: int) -> list[tuple[Group, Stack]] | None:
    """Split by the first header value under which every part is an even stack."""
    for name, _ in part.slices[0].hints:
        groups = {
            str(word): own for word, own in by(part.slices, partial(_hint, name=name)).items()
        }
        few = min(map(len, groups.values()))
        if len(groups) > 1 and few >= fewest:
            found = _all_even(part, name, in_order(groups))
            if found:
                return found
    return None


def _hint(s: Slice, name: str) -> str:
    return dict(s.hints).get(name, "")


def _split_by_number(part: Group) -> list[tuple[Group, Stack]] | None:
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
    return _all_even(marked, "repetition", [(str(r + 1), g) for r, g in enumerate(groups)])


def _split_by_spacing(part: Group) -> list[tuple[Group, Stack]] | None:
    blocks = equidistant_blocks(planes_of(part.slices))
    if blocks is None or len(blocks) < 2:
        return None
    text = "the slice spacing changes; each run of even spacing is a volume of its own"
    marked = replace(
        part, findings=(*part.findings, Finding(Severity.WARNING, "split_by_spacing", text))
    )
    groups = [[part.slices[n] for n in block] for block in blocks]
    return _all_even(marked, "block", [(str(n + 1), g) for n, g in enumerate(groups)])


def _all_even(
    part: Group, axis: str, groups: Sequence[tuple[str, list[Slice]]]
) -> list[tuple[Group, Stack]] | None:
    found = []
    places = parts_of(axis, groups)
    for n, (word, slices) in enumerate(groups):
        try:
            stack = stack_of(slices)
        except StackProblem:
            return None
        name = f"{n + 1} of {len(groups)}: {axis} {word}".strip()
        text = f"the series was split into {len(groups)} volumes; this is {name}"
        findings = (*part.findings, Finding(Severity.INFO, "split", text))
        own = places[n] or part.part
        found.append((Group(slices, _join(part.label, name), findings, own), stack))
    return found


def _join(*words: str) -> str:
    return "; ".join(word for word in words if word)
