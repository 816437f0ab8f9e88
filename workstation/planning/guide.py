"""Guides for drills and saws that sit on a bone, put on from one direction without undercut.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from manifold3d import CrossSection, Error, Manifold, OpType

from meshing.booleans import from_solid, measured_solid
from meshing.lettering import NoPlaceForText, letter
from meshing.nearest import NearestOnSurface
from meshing.printability import printability
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh, enclosed_mm3
from meshing.tree import triangle_tree
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.marks import Points
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_landmarks_record import bone_surface
from workstation.planning.guide_field import APPROACH_MM, Field, grown, seen_from
from workstation.planning.proposal import as_point
from workstation.planning.resection import CutPlane
from workstation.planning.screws import seats_and_tips, sizes_of, upright

SIDES = 64
FAR_MM = 200.0
DEEP_MM = 3.0
"""How far sleeves and the slot's block begin below the bone as seen; bone then takes it off."""

LETTERS_MM = (5.0, 4.0, 3.0)
"""Heights of capital letters that are tried, one after the other."""

RAISED_MM = 0.6
PLACES = 12
LIFT_MM = 4.0
EXACT = 0.95
"""Walls thinner than this share of what was asked for are told; they are made of facets."""

STEEPEST = 0.3
"""Cosine, or sine for a cut, to the direction of the guide below which it guides nothing."""

INTO = "into"
"""The place of a seat that is the direction in which a guide is put on."""

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
COLOUR = (0xE8, 0xD8, 0x9A)


@dataclass(frozen=True)
class _Tools:
    """What is added to a guide's body and what is taken from it, in the field's axes."""

    added: list[Manifold]
    taken: list[Manifold]
    feet: list[tuple[float, float]]


def cutting_guide(
    bone: SurfaceMesh | LabelMap,
    screws: Measured | None = None,
    cut: CutPlane | None = None,
    other_cut: CutPlane | None = None,
    seat: Measured | None = None,
    *,
    label: str = "",
    insert: Vector | None = None,
    thickness_mm: Annotated[float, Ge(1), Le(15)] = 3.0,
    margin_mm: Annotated[float, Ge(1), Le(30)] = 6.0,
    stand_off_mm: Annotated[float, Ge(0), Le(3)] = 0.2,
    reach_mm: Annotated[float, Ge(1), Le(40)] = 8.0,
    drill_mm: Annotated[float, Gt(0), Le(20)] = 2.5,
    drill_clearance_mm: Annotated[float, Ge(0), Le(2)] = 0.1,
    wall_mm: Annotated[float, Ge(0.8), Le(10)] = 2.0,
    sleeve_mm: Annotated[float, Ge(0), Le(60)] = 8.0,
    blade_mm: Annotated[float, Gt(0), Le(5)] = 0.6,
    blade_clearance_mm: Annotated[float, Ge(0), Le(2)] = 0.1,
    slot_length_mm: Annotated[float, Gt(0), Le(150)] | None = None,
    slot_height_mm: Annotated[float, Ge(0), Le(60)] = 8.0,
    slot_at_mm: Vector | None = None,
    windows_mm: Points = (),
    window_mm: Annotated[float, Gt(0), Le(60)] = 6.0,
    text: str = "",
    step_mm: Annotated[float, Ge(0.25), Le(2)] = 0.5,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a guide that sits on bone, with sleeves for drills and a slot for the saw.

    It follows the planned screws and the planned cut. Its underside lies above the bone as seen
    from where it is put on, so it has no undercut. Sizes are for you to choose; no study stands
    behind the defaults.

    Args:
        bone: the closed surface or the label of a bone.
        screws: planned screws; each gets a sleeve along its axis.
        cut: planned plane; it gets a slot for the blade of the saw.
        other_cut: one more plane with a slot in the same guide.
        seat: what says from where the guide is put on, such as the axis of a fibula.
        label: name of one of several labels.
        insert: direction (LPS) in which the guide is put on; empty takes that of the seat, or of
            the screws.
        thickness_mm: least thickness of the body.
        margin_mm: how far the body reaches around sleeves and slot.
        stand_off_mm: distance kept to bone.
        reach_mm: how far the underside reaches down around the bone.
        drill_mm: diameter of the drill.
        drill_clearance_mm: on each side of the drill.
        wall_mm: of sleeves, and around the slot.
        sleeve_mm: height of sleeves above the body.
        blade_mm: thickness of the saw's blade with its set.
        blade_clearance_mm: on each side of the blade.
        slot_length_mm: of the slot; empty takes the width of the bone as seen, at the cut.
        slot_height_mm: height of the slot's walls above the body.
        slot_at_mm: the middle of the (first) slot, LPS mm; empty takes that of the bone as seen.
        windows_mm: points of the bone that are to be seen through the guide, LPS mm.
        window_mm: diameter of these windows.
        text: side and name that stand out on the guide, such as R 4711; empty writes nothing.
        step_mm: grid on which the underside is made.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if bone, screws and cut live in different frames.
        OpenSurface: if the bone is not closed.
        ValueError: if nothing is guided, no direction is known, or the guide falls apart.
    """
    mesh = bone_surface(bone, label)
    cuts = [plane for plane in (cut, other_cut) if plane is not None]
    axes = _axes(mesh, screws, cuts, seat)
    into = _direction(insert, axes, seat)
    progress(0.1, "looking at the bone")
    pad = margin_mm + thickness_mm + wall_mm + sleeve_mm + slot_height_mm
    around = _around(axes, cuts, slot_at_mm, slot_length_mm)
    field = seen_from(mesh, around, into, pad, step_mm)
    parts = [_Tools([], _windows(field, windows_mm, window_mm), [])]
    radius, high = drill_mm / 2 + drill_clearance_mm, thickness_mm + sleeve_mm
    parts.append(_sleeves(field, axes, radius, wall_mm, high))
    gap, high = blade_mm + 2 * blade_clearance_mm, thickness_mm + slot_height_mm
    for plane in cuts:
        at = slot_at_mm if plane is cuts[0] else None
        parts.append(_slot(field, plane, gap, wall_mm, high, slot_length_mm, at))
    tools = _together(parts)
    progress(0.4, "making the body")
    outline = CrossSection.batch_hull(
        [CrossSection.circle(margin_mm, SIDES).translate(foot) for foot in tools.feet]
    )
    patch = _within(field, outline)
    low = float(field.bone_mm[patch & field.over_bone].max()) - reach_mm
    under = grown(np.maximum(field.bone_mm, low), stand_off_mm, step_mm)
    made = _as_mesh(_body(field, tools, outline, under, thickness_mm), field, mesh.frame_uid)
    progress(0.8, "measuring the guide")
    seated = 100.0 * float(field.over_bone[patch].mean())
    numbers, findings = _measures(made, mesh, into, seated)
    thin = _walls(made, min(wall_mm, thickness_mm))
    numbers, findings = [*numbers, *thin.numbers], [*findings, *thin.findings]
    findings += _too_wide(screws, drill_mm)
    made, notes = _written(made, field, text, np.argwhere(patch), np.array(tools.feet))
    done = measured_solid(replace(made, findings=()), enclosed_mm3(made))
    return replace(done, numbers=(*numbers, *done.numbers), findings=(*findings, *notes))


def _together(parts: list[_Tools]) -> _Tools:
    return _Tools(
        [solid for part in parts for solid in part.added],
        [solid for part in parts for solid in part.taken],
        [foot for part in parts for foot in part.feet],
    )


def _body(
    field: Field, tools: _Tools, outline: CrossSection, under: Floats, thickness_mm: float
) -> Manifold:
    """Return the body above its underside within the outline, with its tools and their holes."""
    sheet = field.between(under, grown(under, thickness_mm, field.step_mm))
    base = sheet ^ outline.extrude(2 * FAR_MM).translate((0, 0, -FAR_MM))
    whole = Manifold.batch_boolean([base, *tools.added], OpType.Add)
    below = field.between(float(under.min()) - FAR_MM, under)
    return Manifold.batch_boolean([whole, below, *tools.taken], OpType.Subtract)


def _too_wide(screws: Measured | None, drill_mm: float) -> list[Finding]:
    """Return that the drill leaves screws no bone to hold in, where it is as thick as they are."""
    thick = sizes_of(screws).diameter_mm if screws is not None else np.inf
    if drill_mm < thick:
        return []
    text = f"a drill of {drill_mm:g} mm leaves screws of {thick:g} mm no bone to hold in"
    remedy = "enter the drill of your set, or the screws that go with it"
    return [Finding(Severity.PROBLEM, "drill_too_wide", text, remedy=remedy)]


def _axes(
    mesh: SurfaceMesh, screws: Measured | None, cuts: list[CutPlane], seat: Measured | None
) -> list[tuple[Floats, Floats]]:
    """Return where each screw enters bone and its direction, LPS."""
    if screws is None and not cuts:
        raise ValueError("there is nothing to guide; plan screws or a cut first")
    if any(
        value is not None and value.frame_uid != mesh.frame_uid for value in (screws, seat, *cuts)
    ):
        raise FrameMismatch(
            "bone, screws, seat and cuts live in different frames; register them first"
        )
    if screws is None:
        return []
    found = []
    for n, (head, tip) in enumerate(seats_and_tips(screws), 1):
        way = (tip - head) / np.linalg.norm(tip - head)
        found.append((np.asarray(screws.places[f"entry_{n}"], float), way))
    return found


def _direction(
    insert: Vector | None, axes: list[tuple[Floats, Floats]], seat: Measured | None
) -> Floats:
    """Return the unit direction in which the guide is put on, LPS."""
    if insert is not None:
        way = np.asarray(insert, float)
    elif seat is not None and INTO in seat.places:
        way = np.asarray(seat.places[INTO], float)
    elif axes:
        way = np.sum([axis for _, axis in axes], axis=0)
    else:
        raise ValueError("say in which direction the guide is put on: set insert")
    length = float(np.linalg.norm(way))
    if length < 1e-6:
        raise ValueError("the direction in which the guide is put on has no length; set insert")
    way = way / length
    for n, (_, axis) in enumerate(axes, 1):
        if axis @ way < STEEPEST:
            raise ValueError(
                f"screw {n} runs across the direction in which the guide is put on; turn one of "
                "them, or make a guide of its own"
            )
    return np.asarray(way)


def _around(
    axes: list[tuple[Floats, Floats]], cuts: list[CutPlane], at: Vector | None, long: float | None
) -> Floats:
    """Return the places (n, 3), LPS mm, that a guide must reach."""
    points = [entry for entry, _ in axes]
    for cut in cuts:
        face = cut.surface.points_mm
        if cut is cuts[0] and at is not None and long is not None:
            face = face[np.linalg.norm(face - np.asarray(at), axis=1) <= long]
        points += list(face)
    if cuts and at is not None:
        points.append(np.asarray(at, float))
    return np.array(points)


def _sleeves(
    field: Field, axes: list[tuple[Floats, Floats]], radius: float, wall: float, high: float
) -> _Tools:
    """Return sleeves of a bore's radius with their walls, as high above the bone as told."""
    made = _Tools([], [], [])
    for entry, axis in axes:
        foot, up = field.local(entry[None])[0], -field.axes @ axis
        sleeve = Manifold.cylinder(high + DEEP_MM, radius + wall, -1.0, SIDES)
        bore = Manifold.cylinder(2 * FAR_MM, radius, -1.0, SIDES)
        made.added.append(sleeve.transform(upright(foot - DEEP_MM * up, up)))
        made.taken.append(bore.transform(upright(foot - FAR_MM * up, up)))
        made.feet.append((float(foot[0]), float(foot[1])))
    return made


def _slot(
    field: Field, cut: CutPlane, gap: float, wall: float, high: float,
    long: float | None, at: Vector | None,
) -> _Tools:  # fmt: skip
    """Return a slot in the plane of a cut, and the block around it."""
    normal = field.axes @ np.asarray(cut.normal)
    along = np.cross(normal, [0.0, 0.0, 1.0])
    if np.linalg.norm(along) < STEEPEST:
        raise ValueError("the cut lies across the direction in which the guide is put on; turn it")
    along /= np.linalg.norm(along)
    up = np.cross(along, normal)
    up *= np.sign(up[2])
    offset = float(normal @ field.local(np.asarray(cut.point_mm)[None])[0])
    places = field.places()[field.over_bone]
    face = field.local(cut.surface.points_mm) @ along
    beside = np.maximum(face.min() - places @ along, places @ along - face.max())
    trace = places[(np.abs(places @ normal - offset) <= field.step_mm) & (beside <= field.step_mm)]
    if not len(trace):
        raise ValueError("no bone is seen at the cut from where the guide is put on; turn it")
    way = trace @ along
    middle = (way.min() + way.max()) / 2 if at is None else field.local(np.array([at]))[0] @ along
    half = float(np.ptp(way)) / 2 if long is None else long / 2
    near = trace[np.abs(way - middle) <= half]
    if not len(near):
        raise ValueError("no bone is seen below the slot; move slot_at_mm onto the cut")
    low, top = float((near @ up).min()), float((near @ up).max())
    turn = np.column_stack([along, normal, up, np.zeros(3)])
    if np.linalg.det(turn[:, :3]) < 0:
        turn[:, 0] *= -1
        middle = -middle

    def box(aside: float, thick: float, start: float, end: float) -> Manifold:
        size = (2 * (half + aside), thick, end - start)
        corner = (middle - half - aside, offset - thick / 2, start)
        return Manifold.cube(size).translate(corner).transform(turn)

    block = box(wall, gap + 2 * wall, low - DEEP_MM, top + high)
    ends = [turn[:, :3] @ (middle + s * (half + wall), offset, top) for s in (-1, 1)]
    return _Tools([block], [box(0.0, gap, low - FAR_MM, top + FAR_MM)],
                  [(float(x), float(y)) for x, y, _ in ends])  # fmt: skip


def _windows(field: Field, places_mm: Points, wide: float) -> list[Manifold]:
    tool = Manifold.cylinder(2 * FAR_MM, wide / 2, -1.0, SIDES).translate((0, 0, -FAR_MM))
    local = field.local(np.asarray(places_mm, float).reshape(-1, 3))
    return [tool.translate((float(x), float(y), 0.0)) for x, y, _ in local]


def _within(field: Field, outline: CrossSection) -> Mask:
    """Return which grid points [x, y] lie within an outline that bulges everywhere."""
    corners = np.asarray(outline.to_polygons()[0])
    edges = np.roll(corners, -1, axis=0) - corners
    away = field.places()[:, :, None, :2] - corners
    return np.asarray((edges[:, 0] * away[..., 1] - edges[:, 1] * away[..., 0] >= 0).all(axis=2))


def _as_mesh(body: Manifold, field: Field, frame_uid: str) -> SurfaceMesh:
    if body.status() != Error.NoError or len(body.decompose()) != 1:
        raise ValueError(
            "the guide falls apart: a slot or window cuts through it; widen the margin, shorten "
            "the slot or make the windows smaller"
        )
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), frame_uid, "guide", COLOUR)
    return from_solid(like, body.transform(field.to_lps()), np.zeros(3))


def _measures(
    guide: SurfaceMesh, bone: SurfaceMesh, into: Floats, seat_percent: float
) -> tuple[list[Number], list[Finding]]:
    """Return how near a guide comes to bone, and what of it bone holds when it is taken off."""
    points = guide.points_mm
    gap = float(NearestOnSurface(bone).signed_mm(points).min())
    tree = triangle_tree(bone.points_mm, bone.triangles)
    way, _ = first_hits(tree, points, np.tile(-into, (len(points), 1)),
                        np.full(len(points), -1), reach_mm=APPROACH_MM)  # fmt: skip
    held = np.isfinite(way)
    numbers = [
        Number("gap_least", gap, "mm", "from the guide's corners to the bone; negative within"),
        Number("undercut", 100.0 * float(held.mean()), "%",
               "of the guide's corners that meet bone on the way off, along its direction"),
        Number("over_bone", seat_percent, "%", "of the guide's outline that has bone below it"),
    ]  # fmt: skip
    findings = []
    if gap < 0:
        text = f"the guide runs {-gap:.2f} mm into the bone"
        findings.append(Finding(Severity.PROBLEM, "guide_in_bone", text, remedy="lessen the step"))
    if held.any():
        place = as_point(points[held][0])
        text = "bone holds the guide when it is taken off"
        findings.append(Finding(Severity.PROBLEM, "undercut", text, place, "turn its direction"))
    return numbers, findings


def _walls(guide: SurfaceMesh, least_mm: float) -> Measurements:
    """Return the thinnest wall of a guide, and where it is thinner than was asked for."""
    seen = printability(guide, wall_mm=EXACT * least_mm, gap_mm=0.0, lies="as it is")
    numbers = tuple(
        replace(n, quantity="wall_least") for n in seen.numbers if n.quantity == "thinnest_wall"
    )
    return Measurements(numbers, tuple(f for f in seen.findings if f.code == "thin_wall"))


def _written(
    guide: SurfaceMesh, field: Field, text: str, patch: Integers, feet: Floats
) -> tuple[SurfaceMesh, list[Finding]]:
    """Return a guide with a text that stands out where there is room, and a word on it."""
    if not text.strip():
        return guide, []
    at = field.low_mm + field.step_mm * patch
    middle = at.mean(axis=0)
    free = np.linalg.norm(at[:, None] - feet, axis=2).min(axis=1) - np.linalg.norm(
        at - middle, axis=1
    )
    order = np.argsort(-free, kind="stable")[:: max(len(free) // PLACES, 1)]
    for high, n in product(LETTERS_MM, order):
        local = np.array([*at[n], field.bone_mm[tuple(patch[n])]])
        top = as_point(local @ field.axes + field.origin_mm + LIFT_MM * field.axes[2])
        try:
            made = letter(guide, text=text, click_mm=top, raised=True, height_mm=high,
                          depth_mm=RAISED_MM)  # fmt: skip
        except NoPlaceForText:
            continue
        note = Finding(Severity.INFO, "marked", f"{text!r} stands out on the guide", top)
        return replace(made, name=guide.name, colour=guide.colour), [note]
    remedy = "widen the margin, or write less"
    told = f"{text!r} has no place on the guide"
    return guide, [Finding(Severity.WARNING, "not_marked", told, remedy=remedy)]
