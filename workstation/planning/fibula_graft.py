"""A graft of the fibula for the mandible: its segments, the cuts of both bones, and their angles.

Space is DICOM patient LPS in millimetres. Segments are numbered from the ankle's end up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from meshing.curves import arc_length_mm
from meshing.measuring import as_vector
from meshing.surface import SurfaceMesh
from segmentation.contract import (
    PLANNED,
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.measured import Measured
from segmentation.volume import Floats
from workstation.planning.fibula import Facing, shaft_of
from workstation.planning.fibula_fit import (
    Bends,
    Laid,
    NoFit,
    Plane,
    fit_segments,
    lay_on_shaft,
    segments_of,
)
from workstation.planning.mandible import UP, lost_stretch
from workstation.planning.mandible_border import unit
from workstation.planning.resection import CutPlane

AnkleAt = Literal["right", "left"]

KERF = "kerf"
ROWS = ("x", "y", "z")
ENDS = ("ankle", "knee")


def fibula_graft(
    border: Measured,
    first: CutPlane,
    second: CutPlane,
    fibula: SurfaceMesh,
    axis: Measured,
    *,
    segments: Annotated[int, Ge(0), Le(4)] = 0,
    least_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    enough_mm: Annotated[float, Gt(0), Le(20)] = 2.0,
    from_ankle_mm: Annotated[float, Ge(0), Le(300)] | None = None,
    from_knee_mm: Annotated[float, Ge(0), Le(300)] | None = None,
    kerf_mm: Annotated[float, Ge(0), Le(5)] | None = None,
    outward: Facing = "lateral",
    turn_degrees: Annotated[float, Ge(-180), Le(180)] = 0.0,
    ankle_at: AnkleAt = "right",
    lift_mm: Annotated[float, Ge(-30), Le(30)] | None = None,
    inset_mm: Annotated[float, Ge(-30), Le(30)] = 0.0,
    gap_mm: Annotated[float, Ge(0), Le(3)] = 0.0,
    progress: Progress = silent,
) -> Measured:
    """Fit a graft of one to four segments of the fibula along the lost part of the mandible.

    The middle of the graft follows the border, lifted so that its underside lies there. The
    numbers tell each segment's length, and the cuts of both bones in degrees.

    Args:
        border: the lower border of the mandible.
        first: one cut of the mandible.
        second: the other one.
        fibula: the closed surface of the fibula.
        axis: its ends, centre line and sides.
        segments: how many; 0 takes the fewest that follow the border within enough_mm.
        least_mm: length that no segment may fall below; yours to enter, since short ones may
            lose their blood supply.
        enough_mm: distance from the border's line that is near enough, where segments is 0.
        from_ankle_mm: length of fibula that stays above the ankle's tip; yours to enter.
        from_knee_mm: length that stays below the knee's tip; yours to enter.
        kerf_mm: width of the saw's cut; yours to enter.
        outward: side of the fibula that looks out of the arch, such as that of the plate.
        turn_degrees: turn of the graft about its length from there, right-handed up the fibula.
        ankle_at: the patient's side at which the ankle's end of the graft lies.
        lift_mm: of the graft's middle above the border; empty takes the fibula's mean radius.
        inset_mm: of the graft's middle inside the border's line, seen from above.
        gap_mm: left open at each joint, 0 for bone on bone.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if border and cuts, or fibula and axis, lie in different frames.
        NoFit: if the segments do not fit, a piece has no length, or the fibula is too short.
        CutsCross: if nothing lies between the cuts.
        ValueError: if a length that is yours to enter is missing.
    """
    least, low, high, kerf = _entered(
        least_mm=least_mm, from_ankle_mm=from_ankle_mm, from_knee_mm=from_knee_mm, kerf_mm=kerf_mm
    )
    _require_frames(border, (first, second), fibula, axis)
    shaft = shaft_of(axis)
    lift = number_of(axis, "radius") if lift_mm is None else lift_mm
    up = np.asarray(border.places[UP], float)
    line = _middle_line(border.lines_mm[0], up, lift, inset_mm)
    lost, before, after = lost_stretch(line, first, second)
    progress(0.2, "fitting the segments")
    bends = fit_segments(lost, segments, least, enough_mm)
    progress(0.5, "laying them on the fibula")
    ends = (_plane(before, lost[0], 1.0), _plane(after, lost[-1], -1.0))
    corners = bends.corners_mm
    if ankle_at == "left":
        corners = corners[::-1]
        ends = (_turned(ends[1]), _turned(ends[0]))
    outs = _ways_out(corners, up, ankle_at)
    wanted = segments_of(corners, outs, *ends, gap_mm)
    laid = lay_on_shaft(fibula, shaft, wanted, outward, turn_degrees, low, kerf)
    reach = laid[-1].highest_mm + kerf
    _require_length(shaft.length_mm, reach, high)
    chosen = ("asked for" if segments else
              "fewest near enough to the border, or those that come nearest")  # fmt: skip
    numbers = (
        Number("segments", float(len(laid)), "", chosen),
        Number(KERF, kerf, "mm", "as entered"),
        Number("lost_length", float(arc_length_mm(lost)[-1]), "mm",
               "along the line of the graft's middle, between the cuts"),
        *_deviation(bends),
        *(number for n, piece in enumerate(laid, 1) for number in _of_piece(n, piece)),
        *_joints(laid),
        *_of_mandible(before, after, lost),
        Number("used_to", reach, "mm", f"highest saw cut above the ankle's tip, {PLANNED}"),
        *_left_over(axis, shaft.length_mm - reach, laid[0].lowest_mm - kerf),
    )  # fmt: skip
    return Measured(
        border.frame_uid, (corners,), corners, f"graft of {len(laid)}, "
        f"{sum(p.segment.length_mm for p in laid):.0f} mm", as_vector(corners[len(corners) // 2]),
        _places(laid), numbers=numbers, findings=_told(axis, bends, enough_mm, ankle_at, outward),
    )  # fmt: skip


def _entered(**lengths: float | None) -> list[float]:
    """Return lengths that a person has entered.

    Raises:
        ValueError: naming those that are missing.
    """
    missing = [name for name, value in lengths.items() if value is None]
    if missing:
        raise ValueError(
            f"enter {', '.join(missing)} for the graft, in mm; they are a surgeon's choice and no "
            "value is assumed"
        )
    return [value for value in lengths.values() if value is not None]


def _require_frames(
    border: Measured, cuts: Sequence[CutPlane], fibula: SurfaceMesh, axis: Measured
) -> None:
    if any(cut.frame_uid != border.frame_uid for cut in cuts):
        raise FrameMismatch("the cuts lie in another frame of reference than the mandible's border")
    if fibula.frame_uid != axis.frame_uid:
        raise FrameMismatch("the axis lies in another frame of reference than the fibula")


def _require_length(length: float, reach: float, kept: float) -> None:
    """Raise unless a fibula (mm) is long enough for a graft and what stays below the knee."""
    if reach > length - kept:
        raise NoFit(
            f"the fibula is {reach + kept - length:.1f} mm too short: the graft ends "
            f"{reach:.1f} mm above the ankle's tip and {kept:g} mm are to stay below the knee of "
            f"the {length:.0f} mm; keep less at the ends, or take fewer segments"
        )


def number_of(value: Measured, name: str) -> float:
    """Return a number of a measurement by its name."""
    return next(n.value for n in value.numbers if n.quantity == name)


def _middle_line(line: Floats, up: Floats, lift: float, inset: float) -> Floats:
    """Return where the middle of the graft is to run, from the border (right to left)."""
    ways = np.gradient(line, axis=0)
    out = np.cross(ways, up)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(line + lift * up - inset * out)


def _plane(cut: CutPlane, spot: Floats, sign: float) -> Plane:
    return Plane(spot, sign * np.asarray(cut.normal))


def _turned(plane: Plane) -> Plane:
    return Plane(plane.point_mm, -plane.normal)


def _ways_out(corners: Floats, up: Floats, ankle_at: AnkleAt) -> Floats:
    """Return the way out of the arch (n, 3) at each segment, across it and the way up."""
    sign = 1.0 if ankle_at == "right" else -1.0
    return np.array([sign * np.cross(unit(way), up) for way in np.diff(corners, axis=0)])


# Numbers -----------------------------------------------------------------------------------


def _deviation(bends: Bends) -> tuple[Number, ...]:
    source = "of the border's line, lifted to the graft's middle, from the segments' middle"
    return (
        Number("deviation_mean", float(bends.away_mm.mean()), "mm", source),
        Number("deviation_most", float(bends.away_mm.max()), "mm", source),
    )


def _left_over(axis: Measured, knee_mm: float, ankle_mm: float) -> tuple[Number, ...]:
    """Return what stays of the fibula; it is known as well as its tips are."""
    low = next((n.value - n.low for n in axis.numbers
                if n.quantity == "length" and n.low is not None), 0.0)  # fmt: skip
    off = low / 2
    knee = "fibula that stays below the knee; band of where both tips lie"
    ankle = "fibula that stays above the ankle's tip; band of where that tip lies"
    return (
        Number("left_at_knee", knee_mm, "mm", knee, knee_mm - 2 * off, knee_mm + 2 * off),
        Number("left_at_ankle", ankle_mm, "mm", ankle, ankle_mm - off, ankle_mm + off),
    )


def _of_piece(n: int, piece: Laid) -> list[Number]:
    found = [
        Number(
            f"length_{n}",
            piece.segment.length_mm,
            "mm",
            f"of segment {n} along its middle, {PLANNED}",
        ),
        Number(
            f"shortest_{n}",
            piece.shortest_mm,
            "mm",
            f"of segment {n} on its shortest side, {PLANNED}",
        ),
    ]
    heights = (piece.low_mm, piece.high_mm)
    for end, plane, height in zip(ENDS, (piece.low, piece.high), heights):
        tilt, toward = cut_angles(plane, piece)
        where = f"{end}'s cut of segment {n}, {PLANNED}"
        found += [
            Number(f"{end}_at_{n}", height, "mm", f"{where}, above the ankle's tip, at the middle"),
            Number(f"{end}_tilt_{n}", tilt, "degrees", f"{where}, from square to the fibula"),
            Number(f"{end}_toward_{n}", toward, "degrees",
                   f"{where}: where it reaches highest, about the fibula's axis from the side that "
                   "looks out, right-handed up the fibula; 0 for a square cut"),
        ]  # fmt: skip
    return found


def cut_angles(plane: Plane, piece: Laid) -> tuple[float, float]:
    """Return a cut's tilt from square to its segment, and where it is highest, in degrees."""
    along = float(np.clip(plane.normal @ piece.up, -1.0, 1.0))
    tilt = float(np.degrees(np.arccos(along)))
    if tilt < 0.05:
        return tilt, 0.0
    aside = np.cross(piece.up, piece.out)
    steep = -(plane.normal - along * piece.up)
    toward = float(np.degrees(np.arctan2(steep @ aside, steep @ piece.out)))
    return tilt, (round(toward, 6) + 180.0) % 360.0 - 180.0


def _joints(laid: Sequence[Laid]) -> list[Number]:
    found = []
    for n, (one, two) in enumerate(pairwise(laid), 1):
        bend = float(np.clip(one.segment.way @ two.segment.way, -1, 1))
        found += [
            Number(f"bend_{n}", float(np.degrees(np.arccos(bend))), "degrees",
                   f"between segments {n} and {n + 1}, {PLANNED}"),
            Number(f"wedge_{n}", two.wedge_mm, "mm",
                   f"largest height of fibula lost between segments {n} and {n + 1}, with the saw, "
                   f"{PLANNED}"),
        ]  # fmt: skip
    return found


def _of_mandible(before: CutPlane, after: CutPlane, lost: Floats) -> list[Number]:
    ways = (unit(lost[1] - lost[0]), unit(lost[-2] - lost[-1]))
    found = []
    for side, cut, way in zip(("right", "left"), (before, after), ways):
        along = float(np.clip(np.asarray(cut.normal) @ way, -1, 1))
        source = f"the mandible's cut towards its {side} end, from square to the border, {PLANNED}"
        tilt = float(np.degrees(np.arccos(along)))
        found.append(Number(f"mandible_tilt_{side}", tilt, "degrees", source))
    return found


def _told(
    axis: Measured, bends: Bends, enough_mm: float, ankle_at: AnkleAt, outward: Facing
) -> tuple[Finding, ...]:
    """Say how the graft lies, and what is not as it should be."""
    text = (
        f"the ankle's end lies at the patient's {ankle_at} end of the gap, and the fibula's "
        f"{outward} side looks out of the arch"
    )
    found = [Finding(Severity.INFO, "graft_lies", text)]
    worst = int(bends.away_mm.argmax())
    if bends.away_mm[worst] > enough_mm:
        text = f"the graft leaves the border's line by up to {bends.away_mm[worst]:.1f} mm"
        remedy = "take more segments, or shorter ones"
        found.append(Finding(Severity.WARNING, "graft_off_border", text, remedy=remedy))
    found += [f for f in axis.findings if f.severity is not Severity.INFO]
    return tuple(found)


# What the steps after it go on with ----------------------------------------------------------


def _places(laid: Sequence[Laid]) -> dict[str, tuple[float, float, float]]:
    """Return cuts in the fibula's space and moves to the mandible, by name."""
    found = {}
    for n, piece in enumerate(laid, 1):
        for end, plane in zip(ENDS, (piece.low, piece.high)):
            found[f"{end}_point_{n}"] = as_vector(plane.point_mm)
            found[f"{end}_normal_{n}"] = as_vector(plane.normal)
        for row, name in enumerate(ROWS):
            found[f"turn_{name}_{n}"] = as_vector(piece.move[row, :3])
        found[f"shift_{n}"] = as_vector(piece.move[:3, 3])
    return found


def count_of(graft: Measured) -> int:
    """Return how many segments a graft has.

    Raises:
        ValueError: if the measurement is no graft.
    """
    count = 0
    while f"shift_{count + 1}" in graft.places:
        count += 1
    if not count:
        raise ValueError("the measurement is no graft of the fibula; fit the graft first")
    return count


def move_of(graft: Measured, number: int) -> Floats:
    """Return the 4x4 move of a segment from the fibula to the mandible."""
    move = np.eye(4)
    for row, name in enumerate(ROWS):
        move[row, :3] = graft.places[f"turn_{name}_{number}"]
    move[:3, 3] = graft.places[f"shift_{number}"]
    return move


def cut_of(graft: Measured, number: int, end: str) -> Plane:
    """Return the ankle's or knee's cut of a segment in the fibula's space, normal to the knee."""
    point, normal = (graft.places[f"{end}_{what}_{number}"] for what in ("point", "normal"))
    return Plane(np.asarray(point, float), np.asarray(normal, float))
