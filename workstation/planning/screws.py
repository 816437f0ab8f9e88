"""Screws: how long they are, what bone holds them, and what they come near.

A screw is a straight shaft with a flat tip under a cylindrical head; its thread is not modelled.
Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from manifold3d import Manifold, OpType

from meshing.booleans import as_solid, from_solid, measured_solid, piece_volumes_mm3, pieces
from meshing.surface import SurfaceMesh, enclosed_mm3
from segmentation.contract import (
    PLANNED,
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.marks import Points
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Volume
from segmentation.wording import counted
from workstation.planning.bone_landmarks_record import bone_surface
from workstation.planning.proposal import as_point
from workstation.planning.screw_clearance import (
    TOUCHING_MM,
    between_screws,
    between_sets,
    through_holes,
    to_plate,
    to_structures,
)
from workstation.planning.screw_density import density_of

Hold = Literal["both cortices", "target"]

SIDES = 48
"""Of the cylinders that stand for shafts and heads; they are too thin by 0.2 % of the radius."""

OFF_MM = 5.0
"""An entry farther from where its axis meets bone was not meant for this bone."""

REACH_MM = 400.0
"""No screw goes through more than this."""

SIZES = ("diameter", "head_diameter", "head_height")
COLOUR = (0xC8, 0xCC, 0xD2)

Stretch = tuple[float, float]
"""From where to where (mm along an axis) it runs in bone."""


@dataclass(frozen=True)
class Sizes:
    """Diameter of the shaft, diameter and height of the head, in mm."""

    diameter_mm: float
    head_mm: float
    height_mm: float


@dataclass(frozen=True, eq=False)
class Screw:
    """One screw: under its head at ``seat_mm`` (LPS), along ``axis``, ``length_mm`` long.

    ``stretches`` are where its axis runs in bone, in mm from the seat, the far side of the last
    being where it leaves bone; ``walls`` the same without the marrow that a label leaves out.
    """

    seat_mm: Floats
    axis: Floats
    needed_mm: float
    length_mm: float
    stretches: tuple[Stretch, ...]
    walls: tuple[Stretch, ...]

    @property
    def tip_mm(self) -> Floats:
        """Its tip, LPS mm."""
        return np.asarray(self.seat_mm + self.length_mm * self.axis)

    @property
    def entry_mm(self) -> Floats:
        """Where it enters bone, LPS mm."""
        return np.asarray(self.seat_mm + self.stretches[0][0] * self.axis)

    def cortices(self) -> int:
        """Return how many cortices it has hold in: one, or both where it leaves the far side."""
        return 2 if self.length_mm >= self.stretches[-1][1] - TOUCHING_MM else 1

    def in_bone_mm(self) -> float:
        """Return the length of its shaft within the label of the bone."""
        return sum(max(min(end, self.length_mm) - start, 0.0) for start, end in self.walls)


class Bone:
    """A closed bone whose crossings with straight ways are wanted."""

    def __init__(self, mesh: SurfaceMesh) -> None:
        piece = pieces(mesh)
        cavity = piece_volumes_mm3(mesh, piece)[piece] < 0
        shell = mesh.reshaped(mesh.points_mm, mesh.triangles[~cavity])
        nowhere = np.zeros(3)
        self._walls = as_solid(mesh, nowhere)
        self._outer = self._walls if not cavity.any() else as_solid(shell, nowhere)

    def stretches(self, start_mm: Floats, axis: Floats, *, walls: bool = False) -> list[Stretch]:
        """Return where a way from ``start_mm`` (LPS) along ``axis`` runs in bone, also behind it.

        With ``walls`` marrow that the surface leaves out is no bone.
        """
        low, high = start_mm - REACH_MM * axis, start_mm + REACH_MM * axis
        found: list[Stretch] = []
        opened: float | None = None
        for hit in (self._walls if walls else self._outer).ray_cast(tuple(low), tuple(high)):
            along = 2 * REACH_MM * hit.distance - REACH_MM
            if np.dot(hit.normal, axis) < 0:
                opened = along if opened is None else opened
            elif opened is not None:
                found.append((opened, along))
                opened = None
        return found


def series_of(text: str) -> tuple[float, ...]:
    """Return the lengths (mm) in a text such as "10 12 14", ascending.

    Raises:
        ValueError: if a word is no length.
    """
    try:
        lengths = sorted(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no series of lengths; write them in mm with blanks between, as 10 12 14"
        ) from error
    if lengths and lengths[0] <= 0:
        raise ValueError("a screw's length must be above 0 mm; correct the series")
    return tuple(lengths)


def screw_paths(
    bone: SurfaceMesh | LabelMap,
    volume: Volume | None = None,
    critical: LabelMap | None = None,
    course: Measured | None = None,
    *,
    label: str = "",
    entries_mm: Points = (),
    targets_mm: Points = (),
    diameter_mm: Annotated[float, Gt(0), Le(20)] = 3.5,
    head_mm: Annotated[float, Gt(0), Le(30)] = 6.0,
    head_height_mm: Annotated[float, Gt(0), Le(20)] = 2.5,
    series_mm: str = "",
    hold: Hold = "both cortices",
    stretches: Annotated[int, Ge(1), Le(4)] = 1,
    beyond_mm: Annotated[float, Ge(0), Le(10)] = 0.0,
    cortex_hu: float | None = None,
    safety_mm: Annotated[float, Ge(0), Le(50)] = 2.0,
    progress: Progress = silent,
) -> Measured:
    """Plan screws and tell their lengths, their hold in bone and what they come near.

    Each screw goes from its entry to its target; with a plate and no entries, one goes through
    each hole across the plate. Sizes are round figures, not a maker's: enter those of your set.

    Args:
        bone: the closed surface or the label of a bone; its marrow may be left out.
        volume: the image, for the density along each screw.
        critical: nerves, vessels and roots that screws must not reach, one label each.
        course: of a plate that lies on the bone; heads then sit in its holes.
        label: name of one of several labels of the bone.
        entries_mm: for each screw the point where it enters the bone, LPS mm.
        targets_mm: for each screw a point that its axis goes through, LPS mm.
        diameter_mm: of the shaft with its thread.
        head_mm: diameter of the head.
        head_height_mm: height of the head.
        series_mm: the lengths that there are, such as "10 12 14 16"; empty rounds nothing.
        hold: both cortices takes the next longer screw that leaves the far side; target the next
            shorter one that ends before the target.
        stretches: how often a screw enters bone: 2 through an open marrow or into another bone.
        beyond_mm: how far the tip is to stand out on the far side.
        cortex_hu: from this value on the image shows cortex; empty judges by the label only.
        safety_mm: what comes nearer to a structure or another screw is told.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the values live in different frames.
        OpenSurface: if the bone is not closed.
        ValueError: if entries and targets do not go together, or an axis misses the bone.
    """
    mesh = bone_surface(bone, label)
    _require_frame(mesh.frame_uid, volume, critical, course)
    axes = _axes(course, entries_mm, targets_mm)
    if hold == "target" and _in_plate(course, entries_mm):
        raise ValueError("screws through a plate's holes have no target; hold both cortices")
    progress(0.1, "crossing the bone")
    solid, sizes = Bone(mesh), Sizes(diameter_mm, head_mm, head_height_mm)
    crossed = [_crossing(solid, n, seat, target, stretches, snap=not _in_plate(course, entries_mm))
               for n, (seat, target) in enumerate(axes, 1)]  # fmt: skip
    aims = [target for _, target in axes] if hold == "target" else None
    screws, findings = _with_lengths(crossed, aims, beyond_mm, series_of(series_mm))
    bodies = [body(screw, sizes) for screw in screws]
    parts = [between_screws(bodies, safety_mm)]
    if critical is not None:
        parts.append(to_structures(bodies, critical, safety_mm, share(progress, 1, 3)))
    samples: Mapping[str, Floats] = {}
    if volume is not None:
        progress(0.7, "sampling the image")
        rows = [(s.seat_mm, s.axis, s.stretches, s.length_mm) for s in screws]
        density = density_of(volume, rows, cortex_hu)
        samples = density.samples
        parts.append((list(density.numbers), list(density.findings)))
    if course is not None and _in_plate(course, entries_mm):
        findings += through_holes(course, sizes.diameter_mm, sizes.head_mm)
    numbers = [*_sizes(sizes), *_lengths(screws, given=bool(series_mm.strip()))]
    numbers += [number for part, _ in parts for number in part]
    findings += [finding for _, part in parts for finding in part]
    plan = _planned(screws, mesh.frame_uid)
    return replace(plan, samples=samples, numbers=tuple(numbers), findings=tuple(findings))


def _planned(screws: list[Screw], frame_uid: str) -> Measured:
    places = {}
    for n, screw in enumerate(screws, 1):
        ends = {"seat": screw.seat_mm, "entry": screw.entry_mm, "tip": screw.tip_mm}
        places.update({f"{what}_{n}": as_point(point) for what, point in ends.items()})
    return Measured(
        frame_uid,
        tuple(np.stack([screw.seat_mm, screw.tip_mm]) for screw in screws),
        np.array([screw.entry_mm for screw in screws]),
        f"{len(screws)} screw{'s' * (len(screws) != 1)}",
        as_point(screws[0].seat_mm),
        places=places,
    )


def screws_apart(
    screws: Measured,
    others: Measured,
    plate: SurfaceMesh | None = None,
    *,
    safety_mm: Annotated[float, Ge(0), Le(50)] = 2.0,
    called: str = "the first set",
    others_called: str = "the other set",
    progress: Progress = silent,
) -> Measurements:
    """Tell how near screws come to other screws in the same bone, and which collide.

    Args:
        screws: as they were planned.
        others: those that were planned apart from them, such as those of a plate.
        plate: the plate of the others, which the first set must not run into.
        safety_mm: what comes nearer than this is told.
        called: what the screws are called where they are told of.
        others_called: what the others are called.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
        OpenSurface: if the plate is not closed.
        ValueError: if one of them is no plan of screws.
    """
    if {screws.frame_uid} != {v.frame_uid for v in (others, plate) if v is not None}:
        raise FrameMismatch("the screws live in different frames; register them first")
    first, second = (
        [_cylinders(seat, tip, sizes_of(plan)) for seat, tip in seats_and_tips(plan)]
        for plan in (screws, others)
    )
    progress(0.3, "looking between the screws")
    gap, findings = between_sets(first, second, (called, others_called), safety_mm)
    numbers = [gap]
    if plate is not None:
        number, more = to_plate(first, as_solid(plate, np.zeros(3)), called, safety_mm)
        numbers, findings = [*numbers, number], [*findings, *more]
    return Measurements(tuple(numbers), tuple(findings))


def screw_bodies(screws: Measured, *, progress: Progress = silent) -> SurfaceMesh:
    """Make planned screws as solids: shafts with their heads, threads left out.

    Args:
        screws: as they were planned.
        progress: told how far the work is.

    Raises:
        ValueError: if that is no plan of screws.
    """
    sizes = sizes_of(screws)
    made = [_cylinders(np.asarray(s), np.asarray(t), sizes) for s, t in seats_and_tips(screws)]
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), screws.frame_uid, "screws",
                       COLOUR)  # fmt: skip
    mesh = from_solid(like, Manifold.batch_boolean(made, OpType.Add), np.zeros(3))
    return measured_solid(mesh, enclosed_mm3(mesh))


def seats_and_tips(screws: Measured) -> list[tuple[Floats, Floats]]:
    """Return where each planned screw's head sits and where its tip is, LPS mm.

    Raises:
        ValueError: if there is none.
    """
    found: list[tuple[Floats, Floats]] = []
    while f"seat_{len(found) + 1}" in screws.places:
        n = len(found) + 1
        ends = (np.asarray(screws.places[f"{what}_{n}"], float) for what in ("seat", "tip"))
        found.append((next(ends), next(ends)))
    if not found:
        raise ValueError("the measurement holds no screws; plan them first")
    return found


def sizes_of(screws: Measured) -> Sizes:
    """Return the sizes that screws were planned with.

    Raises:
        ValueError: if that is no plan of screws.
    """
    values = {number.quantity: number.value for number in screws.numbers}
    if not set(SIZES) <= values.keys():
        raise ValueError("the measurement holds no screws; plan them first")
    return Sizes(*(values[name] for name in SIZES))


def body(screw: Screw, sizes: Sizes) -> Manifold:
    """Return a screw as a solid, LPS mm."""
    return _cylinders(screw.seat_mm, screw.tip_mm, sizes)


def upright(point_mm: Floats, axis: Floats) -> Floats:
    """Return (3, 4) what carries the z axis at the origin onto an axis through a point, LPS."""
    aside = np.cross(np.eye(3)[int(np.argmin(np.abs(axis)))], axis)
    aside /= np.linalg.norm(aside)
    return np.column_stack([aside, np.cross(axis, aside), axis, point_mm])


def _cylinders(seat: Floats, tip: Floats, sizes: Sizes) -> Manifold:
    length = float(np.linalg.norm(tip - seat))
    shaft = Manifold.cylinder(length, sizes.diameter_mm / 2, -1.0, SIDES)
    head = Manifold.cylinder(sizes.height_mm, sizes.head_mm / 2, -1.0, SIDES)
    whole = shaft + head.translate((0, 0, -sizes.height_mm))
    return whole.transform(upright(seat, (tip - seat) / length))


def _require_frame(frame_uid: str, *others: Volume | LabelMap | Measured | None) -> None:
    for other in others:
        if other is None:
            continue
        theirs = other.frame_uid if isinstance(other, Measured) else other.geometry.frame_uid
        if theirs != frame_uid:
            raise FrameMismatch(
                "bone, image, structures and plate live in different frames; register them first"
            )


def _in_plate(course: Measured | None, entries: Points) -> bool:
    return course is not None and not entries


def _axes(course: Measured | None, entries: Points, targets: Points) -> list[tuple[Floats, Floats]]:
    """Return a place and a place further along it for each screw, LPS mm."""
    if course is not None and not entries:
        found: list[tuple[Floats, Floats]] = []
        while f"into_{len(found) + 1}" in course.places:
            n = len(found) + 1
            seat, into = (np.asarray(course.places[f"{what}_{n}"]) for what in ("seat", "into"))
            found.append((seat, seat + into))
        if not found:
            raise ValueError("the plate has no holes; give it some, or give entries and targets")
        return found
    if not entries:
        raise ValueError("there is no screw yet; give the points where screws enter the bone")
    if len(entries) != len(targets):
        raise ValueError(
            f"{counted(len(entries), 'entry', 'entries')} and {counted(len(targets), 'target')} do "
            "not make screws; give one target for each entry"
        )
    pairs = list(zip(np.asarray(entries, float), np.asarray(targets, float)))
    for n, (entry, target) in enumerate(pairs, 1):
        if np.linalg.norm(target - entry) < 1.0:
            raise ValueError(f"entry and target of screw {n} lie at one place; move one of them")
    return pairs


def _crossing(
    bone: Bone, n: int, start: Floats, target: Floats, wanted: int, *, snap: bool
) -> Screw:
    """Return a screw, its length still unknown, along the axis through two points.

    With ``snap`` its head sits where the axis enters the bone, else at ``start``.
    """
    axis = (target - start) / np.linalg.norm(target - start)
    found = bone.stretches(start, axis)
    if not snap:
        found = [stretch for stretch in found if stretch[1] > 0]
    first = min(range(len(found)), key=lambda k: abs(found[k][0]), default=-1)
    if first < 0 or abs(found[first][0]) > (OFF_MM if snap else REACH_MM):
        raise ValueError(
            f"the axis of screw {n} does not enter the bone within {OFF_MM:g} mm of its entry; "
            "put the entry on the bone and the target beyond it"
        )
    run = found[first : first + wanted]
    if len(run) < wanted:
        raise ValueError(
            f"screw {n} enters bone {len(run)} time{'s' * (len(run) != 1)} only, not {wanted}; "
            "lessen the stretches, or turn it"
        )
    shift = run[0][0] if snap else 0.0
    walls = [w for w in bone.stretches(start, axis, walls=True)
             if w[1] > run[0][0] and w[0] < run[-1][1]]  # fmt: skip
    return Screw(start + shift * axis, axis, 0.0, 0.0,
                 tuple((a - shift, b - shift) for a, b in run),
                 tuple((a - shift, b - shift) for a, b in walls))  # fmt: skip


def _with_lengths(
    screws: list[Screw], aims: list[Floats] | None, beyond_mm: float, series: tuple[float, ...]
) -> tuple[list[Screw], list[Finding]]:
    """Return screws with their lengths: to the far side, or to their ``aims`` where given."""
    made, findings = [], list[Finding]()
    for n, screw in enumerate(screws, 1):
        if aims is None:
            needed = screw.stretches[-1][1] + beyond_mm
        else:
            needed = float((aims[n - 1] - screw.seat_mm) @ screw.axis)
        length, notes = _rounded(n, needed, series, up=aims is None)
        made.append(replace(screw, needed_mm=needed, length_mm=length))
        findings += notes
        if aims is None and made[-1].cortices() < 2:
            findings.append(_one_cortex(n, made[-1]))
    return made, findings


def _rounded(
    n: int, needed: float, series: tuple[float, ...], *, up: bool
) -> tuple[float, list[Finding]]:
    """Return the length of the series that fits, and what must be said of it."""
    if needed <= 0:
        raise ValueError(f"the target of screw {n} lies before the bone; move it into the bone")
    if not series:
        return needed, []
    fits = [length for length in series if (length >= needed if up else length <= needed)]
    if fits:
        return (fits[0] if up else fits[-1]), []
    taken = series[-1] if up else series[0]
    what = "long" if up else "short"
    text = f"no screw of the series is {what} enough for screw {n}: {needed:.1f} mm are needed"
    return taken, [Finding(Severity.PROBLEM, "no_such_length", text, remedy="add lengths to it")]


def _lengths(screws: list[Screw], *, given: bool) -> list[Number]:
    taken = "next of the series given" if given else "as needed; no series was given"
    numbers = []
    for n, screw in enumerate(screws, 1):
        numbers += [
            Number(f"length_{n}", screw.length_mm, "mm",
                   f"from under the head to tip, {PLANNED}; {taken}"),
            Number(f"needed_{n}", screw.needed_mm, "mm", "before rounding to the series"),
            Number(f"in_bone_{n}", screw.in_bone_mm(), "mm",
                   "shaft along its axis within the surface or label of the bone"),
            Number(f"beyond_{n}", screw.length_mm - screw.stretches[-1][1], "mm",
                   "tip beyond the far side of the bone; negative ends within"),
            Number(f"cortices_{n}", float(screw.cortices()), "",
                   "by the label: 2 where the tip reaches the far side of the bone"),
        ]  # fmt: skip
    return numbers


def _sizes(sizes: Sizes) -> list[Number]:
    values = (sizes.diameter_mm, sizes.head_mm, sizes.height_mm)
    return [Number(name, v, "mm", "as entered for all screws") for name, v in zip(SIZES, values)]


def _one_cortex(n: int, screw: Screw) -> Finding:
    short = screw.stretches[-1][1] - screw.length_mm
    text = f"screw {n} ends {short:.1f} mm before the far side and holds in one cortex"
    return Finding(
        Severity.WARNING, "one_cortex", text, as_point(screw.tip_mm), "take a longer one"
    )
