"""Choose the size and pose of an implant from a library, and put it into the patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from meshing.surface import SurfaceMesh, measured
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, share, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.fit import implant_fit
from workstation.planning.implant_families import GENERIC, Part
from workstation.planning.implant_library import find_parts
from workstation.planning.size_search import (
    Candidate,
    Fit,
    Pose,
    Start,
    Weights,
    bone_field,
    judge,
    search,
)

AROUND_MM = 15.0
"""Bone this far around a placed part is looked at."""

AXIS_MM = 40.0
"""Length at which a part's axes are drawn."""

MAPPED_MM = 3.0
"""Farther from bone, or deeper in it, a map has one colour."""

TOLD = 3
"""Candidates whose numbers are told; the others are kept with their poses."""

FREE = 50.0
"""% of the seat with bone near it, below which a part hardly touches bone."""

GAP_NUMBERS = ("overlap.", "gap.", "contact.")
"""Of the numbers of a fit, those that mean something for any implant and bone."""

Share = Annotated[float, Ge(0), Le(100)]


class NoChoice(ValueError):
    """It is not said which part is meant, or where it goes."""


@dataclass(frozen=True)
class Chosen:
    """One candidate of a choice, as `candidates_of` reads it back.

    ``sha256`` is the checksum of an added library, "" for what ships; ``dimensions`` are the
    changes to a generic family's.
    """

    library: str
    sha256: str
    dimensions: str
    family: str
    size: str
    pose: Pose


def choose_implant(
    bone: LabelMap,
    *,
    family: str,
    site_mm: Vector | None = None,
    axis: Vector | None = None,
    front: Vector | None = None,
    reach_mm: Annotated[float, Ge(10), Le(400)] | None = None,
    sizes: str = "",
    library: str = GENERIC,
    library_sha256: str = "",
    dimensions: str = "",
    spread_mm: Annotated[float, Gt(0), Le(60)] = 12.0,
    spread_degrees: Annotated[float, Gt(0), Le(90)] = 25.0,
    contact_weight: Share = 1.0,
    coverage_weight: Share = 1.0,
    gap_weight: Share = 30.0,
    interference_weight: Share = 30.0,
    progress: Progress = silent,
) -> Measured:
    """Look for the size and place of an implant that fit a bone best.

    Every size is tried from many starts. The score, in %, is the mean of contact (seat within
    0.5 mm of bone that it faces) and coverage (within 3 mm) by their weights, less gap and
    interference (each the root of the mean square over the seat, mm) times theirs.

    Args:
        bone: what the implant must not be pressed into. For a stem it is hollow: cortex, or the
            bone as prepared.
        family: of the library, such as hip_stem; hilum implants list names them.
        site_mm: about where the middle of the seat goes; empty takes the middle of the bone.
        axis: about where the part's z axis points; empty tries all directions.
        front: about where the part's y axis points; empty tries all turns about the axis.
        reach_mm: bone farther than this from the site is left out; empty takes all.
        sizes: those to try, with commas between; empty tries all.
        library: generic, or the name of an added one.
        library_sha256: checksum of an added library, as hilum implants list prints it.
        dimensions: changes to a generic family's, such as length_mm=120, tip_mm=9.
        spread_mm: how far off the site may be.
        spread_degrees: how far off the axis may be.
        contact_weight: of contact in the score.
        coverage_weight: of coverage in the score.
        gap_weight: % of the score for each mm of gap.
        interference_weight: % of the score for each mm of interference.
        progress: told how far the work is.

    Raises:
        UnknownPart: if the library has no such family or size.
        ChangedLibrary: if the library's files are not those of the checksum.
        ValueError: if there is no bone at the site, or the directions are none.
    """
    progress(0.0, "building the parts")
    named = [size.strip() for size in sizes.split(",") if size.strip()]
    parts = find_parts(library, family, named, sha256=library_sha256,
                       dimensions=read_dimensions(dimensions))  # fmt: skip
    site = site_mm or _middle(bone)
    progress(0.05, "measuring distances to bone")
    field = bone_field(bone, site, reach_mm if reach_mm is not None else math.inf)
    weights = Weights(contact_weight, coverage_weight, gap_weight, interference_weight)
    start = Start(site, axis, front, spread_mm, spread_degrees)
    found = search(parts, field, start, weights, share(progress, 1, 2))
    part = next(part for part in parts if part.size == found[0].size)
    made_of = f"{library}@{library_sha256}@{dimensions}"
    return _as_measured(part, found, made_of, bone.geometry.frame_uid)


def read_dimensions(text: str) -> dict[str, float]:
    """Return dimensions written as ``length_mm=120, tip_mm=9``.

    Raises:
        ValueError: for a part of the text that is not NAME=NUMBER.
    """
    found = {}
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = piece.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise ValueError(f"{piece!r} is not NAME=NUMBER, such as length_mm=120") from error
    return found


def _middle(bone: LabelMap) -> Vector:
    where = np.argwhere(bone.mask())
    if not len(where):
        raise ValueError("the bone's label is empty; segment the bone first")
    x, y, z = bone.geometry.to_world((where.min(axis=0) + where.max(axis=0))[::-1] / 2)
    return float(x), float(y), float(z)


def _as_measured(part: Part, found: Sequence[Candidate], made_of: str, frame_uid: str) -> Measured:
    best = found[0]
    places: dict[str, Vector] = {}
    numbers: list[Number] = []
    for rank, candidate in enumerate(found, 1):
        key = f"{rank}/{made_of}/{part.family}/{candidate.size}"
        places[f"position/{key}"] = candidate.pose.position_mm
        places[f"turn_degrees/{key}"] = candidate.pose.turn_degrees
        numbers += [
            replace(
                number,
                quantity=f"rank_{rank}.{number.quantity}",
                source=f"size {candidate.size}: {number.source}",
            )
            for number in fit_numbers(candidate.fit)
            if rank <= TOLD
        ]
    text = f"{part.mesh.name}: {best.fit.score:.0f} %"
    findings = [Finding(Severity.INFO, "best_size", _order(found), best.pose.position_mm)]
    hardly = f"the best size has bone near {best.fit.coverage:.0f} % of its seat only"
    remedy = "check site, axis and family, or widen spread_mm and spread_degrees"
    findings += _hardly_seated(best.fit, hardly, remedy)
    scores = {"score_percent": np.array([candidate.fit.score for candidate in found])}
    return Measured(frame_uid, _axes(best.pose), np.empty((0, 3)), text, best.pose.position_mm,
                    places, scores, tuple(findings), tuple(numbers))  # fmt: skip


def _order(found: Sequence[Candidate]) -> str:
    scored = ", ".join(f"{c.size} ({c.fit.score:.0f} %)" for c in found[:5])
    return f"sizes by their score: {scored}"


def _axes(pose: Pose) -> tuple[Floats, ...]:
    """Return the part's x, y and z axes as lines, LPS mm."""
    origin = np.asarray(pose.position_mm)
    return tuple(np.array([origin, origin + AXIS_MM * axis]) for axis in pose.rotation.T)


def candidates_of(choice: Measured) -> list[Chosen]:
    """Return the candidates of a choice, the best first."""
    found = []
    for name, place in choice.places.items():
        what, _, key = name.partition("/")
        if what == "position":
            _, library, family, size = key.split("/", 3)
            pose = Pose(place, choice.places[f"turn_degrees/{key}"])
            named, sha256, dimensions = library.split("@", 2)
            found.append(Chosen(named, sha256, dimensions, family, size, pose))
    return found


def fit_numbers(fit: Fit) -> tuple[Number, ...]:
    """Return how a seat meets bone as numbers."""
    seat = "over points spread evenly on the seat"
    return (
        Number("score", fit.score, "%", "mean of contact and coverage by their weights, less gap "
               "and interference times theirs"),
        Number("contact", fit.contact, "%", f"within 0.5 mm of bone that it faces, {seat}"),
        Number("coverage", fit.coverage, "%", f"within 3 mm of bone that it faces, {seat}"),
        Number("gap", fit.gap_mm, "mm", f"root of the mean square, 3 mm at the most, {seat}"),
        Number("interference", fit.interference_mm, "mm",
               f"depth in bone, root of the mean square, {seat}"),
    )  # fmt: skip


def place_implant(
    bone: LabelMap,
    choice: Measured | None = None,
    *,
    rank: Annotated[int, Ge(1), Le(200)] = 1,
    family: str = "",
    size: str = "",
    position_mm: Vector | None = None,
    turn_degrees: Vector | None = None,
    library: str = "",
    library_sha256: str = "",
    dimensions: str = "",
    contact_weight: Share = 1.0,
    coverage_weight: Share = 1.0,
    gap_weight: Share = 30.0,
    interference_weight: Share = 30.0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Put an implant from a library into the patient.

    What is left empty is taken from the choice: part, size and pose. The numbers are those of
    the choice, for this pose.

    Args:
        bone: the bone that takes the implant.
        choice: ranked candidates.
        rank: which candidate; 1 is the best.
        family: of the library, such as hip_stem.
        size: of the family.
        position_mm: where the part's origin goes.
        turn_degrees: how the part is turned: an axis (x, y, z) whose length is the angle.
        library: generic, or the name of an added one.
        library_sha256: checksum of an added library, as hilum implants list prints it.
        dimensions: changes to a generic family's, such as length_mm=120, tip_mm=9.
        contact_weight: of contact in the score.
        coverage_weight: of coverage in the score.
        gap_weight: % of the score for each mm of gap.
        interference_weight: % of the score for each mm of interference.
        progress: told how far the work is.

    Raises:
        NoChoice: if part or pose are neither given nor chosen.
        UnknownPart: if the library has no such family or size.
        ChangedLibrary: if the library's files are not those of the checksum.
        FrameMismatch: if bone and choice lie in different frames of reference.
        ValueError: if there is no bone around the part.
    """
    if choice is not None and choice.frame_uid != bone.geometry.frame_uid:
        raise FrameMismatch("the choice was made in another frame of reference than the bone")
    part, pose = meant_part(
        choice,
        rank=rank,
        family=family,
        size=size,
        position_mm=position_mm,
        turn_degrees=turn_degrees,
        library=library,
        library_sha256=library_sha256,
        dimensions=dimensions,
    )
    progress(0.4, "measuring distances to bone")
    placed = pose.placed(part.mesh.points_mm)
    middle = (placed.min(axis=0) + placed.max(axis=0)) / 2
    reach = float(np.ptp(placed, axis=0).max()) / 2 + AROUND_MM
    x, y, z = (float(v) for v in middle)
    field = bone_field(bone, (x, y, z), reach)
    weights = Weights(contact_weight, coverage_weight, gap_weight, interference_weight)
    fit = judge(part, pose, field, weights)
    mesh = replace(part.mesh, points_mm=placed, frame_uid=bone.geometry.frame_uid)
    mesh = measured(mesh)
    return replace(
        mesh,
        numbers=(*mesh.numbers, *fit_numbers(fit), *_pose_numbers(pose, part)),
        findings=(*mesh.findings, *_placed(part, fit)),
    )


def meant_part(
    choice: Measured | None,
    *,
    rank: int = 1,
    family: str = "",
    size: str = "",
    position_mm: Vector | None = None,
    turn_degrees: Vector | None = None,
    library: str = "",
    library_sha256: str = "",
    dimensions: str = "",
) -> tuple[Part, Pose]:
    """Return the part that `place_implant` places with these parameters, and its pose.

    Raises:
        NoChoice: if part or pose are neither given nor chosen.
        UnknownPart: if the library has no such family or size.
        ChangedLibrary: if the library's files are not those of the checksum.
    """
    chosen = _meant(choice, rank, family, size)
    pose = _pose(chosen, position_mm, turn_degrees)
    parts = find_parts(
        library or (chosen.library if chosen else GENERIC),
        family or (chosen.family if chosen else ""),
        [size or (chosen.size if chosen else "")],
        sha256=library_sha256 or (chosen.sha256 if chosen and not library else ""),
        dimensions=read_dimensions(dimensions or (chosen.dimensions if chosen else "")),
    )
    return parts[0], pose


def _meant(choice: Measured | None, rank: int, family: str, size: str) -> Chosen | None:
    """Return the candidate that is meant: that of the rank, or of the size where one is given."""
    found = candidates_of(choice) if choice is not None else []
    found = [c for c in found if not family or c.family == family]
    if size:
        return next((c for c in found if c.size == size), found[0] if found else None)
    if found and rank > len(found):
        there = "is 1 candidate" if len(found) == 1 else f"are {len(found)} candidates"
        raise NoChoice(f"there {there} only; choose a lower rank")
    if not found and not (family and size):
        raise NoChoice("no part is named; give family and size, or a choice for this family")
    return found[rank - 1]


def _pose(chosen: Chosen | None, position: Vector | None, turn: Vector | None) -> Pose:
    if chosen is not None:
        return Pose(position or chosen.pose.position_mm, turn or chosen.pose.turn_degrees)
    if position is None:
        raise NoChoice("nothing says where the part goes; give position_mm and turn_degrees")
    return Pose(position, turn or (0.0, 0.0, 0.0))


def _pose_numbers(pose: Pose, part: Part) -> tuple[Number, ...]:
    made = [
        Number(f"{word}.{axis}", value, unit, source)
        for word, values, unit, source in (
            ("position", pose.position_mm, "mm", "the part's origin, LPS"),
            ("turn", pose.turn_degrees, "degrees", "turn about LPS axes: axis times angle"),
        )
        for axis, value in zip("xyz", values)
    ]
    for name, place in part.places.items():
        there = pose.placed(np.array([place]))[0]
        made += [Number(f"{name}.{axis}", float(value), "mm", f"the part's {name}, LPS")
                 for axis, value in zip("xyz", there)]  # fmt: skip
    return tuple(made)


def pose_of(implant: SurfaceMesh) -> Pose | None:
    """Return the pose of a placed implant, None for another surface."""
    known = {number.quantity: number.value for number in implant.numbers}
    try:
        x, y, z, a, b, c = (
            known[f"{word}.{axis}"] for word in ("position", "turn") for axis in "xyz"
        )
    except KeyError:
        return None
    return Pose((x, y, z), (a, b, c))


def _placed(part: Part, fit: Fit) -> tuple[Finding, ...]:
    """Return what is said of a placed part."""
    note = Finding(Severity.INFO, "library_note", part.note)
    text = f"only {fit.coverage:.0f} % of the seat have bone near"
    return note, *_hardly_seated(fit, text, "move the part, or choose another candidate")


def _hardly_seated(fit: Fit, text: str, remedy: str) -> tuple[Finding, ...]:
    """Return what is said of a part that hardly touches bone, nothing of one that does."""
    if fit.coverage >= FREE:
        return ()
    return (Finding(Severity.WARNING, "hardly_seated", text, remedy=remedy),)


def part_fit(implant: SurfaceMesh, bone: LabelMap, *, progress: Progress = silent) -> SurfaceMesh:
    """Map the gap between a placed implant and the bone around it.

    Adds point data ``gap_mm``, the distance to the bone's surface, 3 mm at the most, negative
    where the implant lies in bone. The gap in numbers is that of where the implant faces bone
    within 3 mm.

    Args:
        implant: the placed implant.
        bone: the bone that takes it.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and bone lie in different frames of reference.
        ValueError: if there is no bone near the implant.
    """
    fitted = implant_fit(implant, bone, progress=progress)
    numbers = tuple(n for n in fitted.numbers if n.quantity.startswith(GAP_NUMBERS))
    remedy = "move the implant, or choose another size; a press fit overlaps a little"
    findings = tuple(
        replace(f, remedy=remedy) if f.code == "implant_overlaps" else f for f in fitted.findings
    )
    gap = {"gap_mm": np.clip(fitted.point_data["gap_mm"], -MAPPED_MM, MAPPED_MM)}
    return replace(fitted, point_data=gap, numbers=numbers, findings=findings)
