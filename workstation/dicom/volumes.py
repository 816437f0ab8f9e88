"""A volume that a scan found: its slices, its grid, its findings, and what could repair it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from segmentation.contract import Finding, Severity, as_sentence
from segmentation.volume import ImageGeometry
from workstation.dicom.geometry import Placing, Planes, Stack, StackProblem, stack_geometry
from workstation.dicom.headers import VOLUME_CAP_BYTES
from workstation.dicom.slices import PatientIdentity, SeriesIdentity, Slice
from workstation.dicom.sources import Source

REMEDIES = {
    "missing_slices": "Fetch the series again",
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


@dataclass(frozen=True)
class SeriesPart:
    """Which part of a split series a volume is.

    Attributes:
        kind: what tells the parts apart: "time", "phase", "echo", "b-value", ...
        number: this part, from 1; count: how many parts there are.
        value: where the part lies along ``kind``, in ``unit``; None where nothing says so.
        unit: such as "ms" or "s/mm2"; "" for none.
    """

    kind: str
    number: int
    count: int
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Repair:
    """What would make a refused volume usable, if a person accepts it.

    Attributes:
        code: names the repair: "interpolate_missing", "resample_spacing" or
            "leave_out_slice".
        sentence: what would be done, how often and where.
        cost: what the image loses by it.
        slices: the slices that would be used; stack: how they would enter the grid.
    """

    code: str
    sentence: str
    cost: str
    slices: tuple[Slice, ...] = field(repr=False)
    stack: Stack = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", as_sentence(self.sentence))
        object.__setattr__(self, "cost", as_sentence(self.cost))


@dataclass(frozen=True, eq=False)
class ScannedVolume:
    """A volume that `read` will make, or a refused one; no pixels yet.

    Attributes:
        identity: patient, study and series.
        description: the series description, and which part of a split series this is.
        status: "ok", "repaired" (tilt corrected, or a repair accepted) or "refused".
        geometry: the grid (LPS mm) of the volume that `read` makes; None if refused.
        findings: what a reader must know; a refused volume has a problem among them.
        slices: its slices, in the order of the grid's z axis.
        stack: how the slices enter the grid; None if refused.
        key: tells the volumes of all series apart; the same for the same images anywhere.
        part: which part of a series that was split by time, echo and the like; else None.
        repairs: each would make this refused volume usable, if accepted.
        accepted: the codes of the repairs that were accepted.
    """

    identity: SeriesIdentity
    description: str
    status: str
    findings: tuple[Finding, ...]
    slices: tuple[Slice, ...]
    stack: Stack | None
    key: str
    part: SeriesPart | None = None
    repairs: tuple[Repair, ...] = ()
    accepted: tuple[str, ...] = ()

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


def volume_key(slices: Sequence[Slice]) -> str:
    """Return what tells the volume of these slices from all others, wherever its files lie."""
    names = sorted(f"{s.sop_uid} {s.frame} {s.instance} {s.position_mm}" for s in slices)
    text = "\n".join([slices[0].identity.series_uid, *names])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def problem_finding(code: str, text: str, place: tuple[float, ...] | None = None) -> Finding:
    """Return why a volume is refused, with what to do about it."""
    where = None if place is None else (place[0], place[1], place[2])
    return Finding(Severity.PROBLEM, code, text, where, REMEDIES.get(code, ""))


def unusable(s: Slice) -> tuple[str, str]:
    """Return why a slice cannot enter any stack, as (code, sentence), or empty texts."""
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


def stack_of(slices: Sequence[Slice], placing: Placing = "even") -> Stack:
    """Return the grid on which slices of known place and one size lie.

    Raises:
        StackProblem: when there is none, or it would be too large.
    """
    first = slices[0]
    frame = first.identity.frame_uid or first.identity.series_uid or first.sop_uid
    stack = stack_geometry(planes_of(slices), frame, placing)
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
