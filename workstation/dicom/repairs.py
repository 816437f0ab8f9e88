"""Repairs of refused volumes: offered with what they cost, made only if a person accepts.

A refused stack of slices can sometimes be used all the same: planes that no slice covers are
interpolated between their neighbours, or one slice at an end is left out. Every slice that is
used keeps its true place; nothing is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.dicom.geometry import Stack, StackProblem, place_text
from workstation.dicom.observations import observations
from workstation.dicom.slices import Slice
from workstation.dicom.sources import DicomError
from workstation.dicom.volumes import Repair, ScannedVolume, stack_of, unusable, volume_key

REPAIRS: Mapping[str, str] = {
    "interpolate_missing": "make missing slices from their neighbours",
    "resample_spacing": "resample uneven slices onto an even spacing",
    "leave_out_slice": "use the stack without a damaged slice or one that differs at its end",
}
"""Code of every repair to what it does, in a few words."""

LISTED = 3


def repairs_of(slices: Sequence[Slice], code: str) -> tuple[Repair, ...]:
    """Return what would make slices usable that are refused for ``code``; each alone does."""
    good = [s for s in slices if not unusable(s)[0]]
    if len(good) < 3 or len({(s.form.rows, s.form.columns) for s in good}) > 1:
        return ()
    found: list[Repair] = []
    for offer in OFFERS.get(code, ()):
        with suppress(StackProblem):
            repair = offer(slices, good)
            found += [repair] if repair else []
    return tuple(found)


def _without_one(slices: Sequence[Slice], good: Sequence[Slice]) -> Repair | None:
    """Leave out the unusable slice, or else the first or last one."""
    if len(good) == len(slices) - 1:
        stack = stack_of(good)
        return left_out("the slice that cannot be read lies at an end", _sorted(good, stack), stack)
    depth = np.array([s.position_mm for s in good]) @ _normal(good[0])
    order = np.argsort(depth, kind="stable").tolist() if len(good) == len(slices) else []
    for end, name in ((-1, "last"), (0, "first")) if order else ():
        rest = [good[n] for n in order if n != order[end]]
        with suppress(StackProblem):
            stack = stack_of(rest)
            place = place_text(np.asarray(good[order[end]].position_mm))
            text = f"the {name} slice, at {place}, does not fit to the others"
            return left_out(text, _sorted(rest, stack), stack)
    return None


def left_out(text: str, slices: Sequence[Slice], stack: Stack) -> Repair:
    """Return the repair that uses ``slices`` alone; ``text`` says what is wrong beside them."""
    return Repair(
        "leave_out_slice",
        f"{text}; the other {len(slices)} slices are used without it",
        "what it showed is not in the image, which ends earlier",
        tuple(slices),
        stack,
    )


def _interpolated(slices: Sequence[Slice], good: Sequence[Slice]) -> Repair | None:
    stack = stack_of(good, "missing")
    if not stack.interpolated:
        return None
    used = _sorted(good, stack)
    steps = np.rint(np.diff(stack.levels)).astype(int)
    before = np.flatnonzero(steps > 1).tolist()
    count = int((steps - 1).sum())
    listed = "; ".join(
        f"{steps[k] - 1} after {place_text(np.asarray(used[k].position_mm))}"
        for k in before[:LISTED]
    )
    more = f"; and in {counted(len(before) - LISTED, 'more place')}" if len(before) > LISTED else ""
    made = counted(count, "slice is", "slices are")
    widest = float(steps.max()) * stack.geometry.spacing_mm[2]
    return Repair(
        "interpolate_missing",
        f"{made} interpolated linearly between neighbours: {listed}{more}",
        f"what is thinner than {widest:.1f} mm can be lost or look smooth there",
        used,
        stack,
    )


def _resampled(slices: Sequence[Slice], good: Sequence[Slice]) -> Repair | None:
    if len(good) < len(slices):
        return None
    stack = stack_of(good, "resampled")
    gaps = np.diff(stack.levels) * stack.geometry.spacing_mm[2]
    spacing, count = stack.geometry.spacing_mm[2], stack.geometry.size[2]
    return Repair(
        "resample_spacing",
        f"{len(good)} slices, {gaps.min():.2f} to {gaps.max():.2f} mm apart, are interpolated "
        f"linearly onto {count} planes {spacing:.3f} mm apart",
        f"values between slices are smoothed; nothing finer than {gaps.max():.1f} mm is resolved",
        _sorted(good, stack),
        stack,
    )


OFFERS: Mapping[str, tuple[Callable[[Sequence[Slice], Sequence[Slice]], Repair | None], ...]] = {
    "missing_slices": (_interpolated,),
    "irregular_spacing": (_resampled, _without_one),
    "drift": (_without_one,),
    "corners": (_without_one,),
    "truncated": (_without_one, _interpolated),
    "no_position": (_without_one,),
}
"""Why a stack is refused to what may repair it, the gentlest first."""


def _sorted(slices: Sequence[Slice], stack: Stack) -> tuple[Slice, ...]:
    return tuple(slices[n] for n in stack.order)


def _normal(s: Slice) -> np.ndarray:
    assert s.orientation is not None
    return np.cross(s.orientation[:3], s.orientation[3:])


def accept(volume: ScannedVolume, codes: Collection[str], by: str = "") -> ScannedVolume:
    """Return a refused volume as the first of its repairs that ``codes`` allow makes it.

    What is not refused comes back as it is. ``by`` names who accepted, if anybody says so.

    Raises:
        DicomError: if none of the volume's repairs is among ``codes``; it names them.
    """
    if volume.status != "refused":
        return volume
    repair = next((r for r in volume.repairs if r.code in codes), None)
    if repair is None:
        raise not_repaired(volume, codes)
    person = f" by {by}" if by else ""
    done = Finding(
        Severity.WARNING,
        repair.code,
        f"{repair.sentence} {repair.cost} This repair was accepted{person}",
    )
    causes = [replace(f, severity=Severity.WARNING, remedy="") for f in _problems(volume)]
    others = [f for f in volume.findings if f.severity is not Severity.PROBLEM]
    seen = {f.code for f in others}
    news = [f for f in observations(repair.slices, repair.stack) if f.code not in seen]
    return replace(
        volume,
        status="repaired",
        findings=(done, *causes, *others, *news),
        slices=repair.slices,
        stack=repair.stack,
        key=volume_key(repair.slices),
        repairs=(),
        accepted=(repair.code,),
    )


def _problems(volume: ScannedVolume) -> list[Finding]:
    return [f for f in volume.findings if f.severity is Severity.PROBLEM]


def not_repaired(volume: ScannedVolume, codes: Collection[str] = ()) -> DicomError:
    """Return the error that says why a volume is refused, and which repairs it has."""
    cause = _problems(volume)[0]
    if not volume.repairs:
        extra = f"No repair is possible, {', '.join(codes)} neither" if codes else ""
        return DicomError(
            f"this series is refused: {cause.sentence.rstrip('.')}",
            " ".join(part for part in (cause.remedy, extra) if part),
        )
    offers = ", ".join(r.code for r in volume.repairs)
    return DicomError(
        f"this series is refused: {cause.sentence.rstrip('.')}",
        f"{cause.remedy} Or accept a repair: {offers}".strip(),
    )
