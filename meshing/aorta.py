"""The aorta's diameters across its line, and the neck above an aneurysm. Lengths in mm.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import cKDTree

from meshing.aorta_line import settled
from meshing.centerline import Branch, Centerline
from meshing.curves import arc_length_mm, unit
from meshing.lumen import Piece, split_pieces
from meshing.sections import FIELDS, Section, in_plane, measures
from meshing.surface import SurfaceMesh
from meshing.vessel_sections import require_frame, section_at
from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.measured import Measured, number_text

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

TILT_DEGREES = 5.0  # by which a section may be off square
LENGTHWISE = 1.2  # times the width square to the line: 5 degrees make none as wide in one limb
WIDENED = 1.1  # times its diameter at the top, and the neck of an aneurysm has ended
AXIS = 1.0  # diameters over which a direction is taken
LEAST = 5  # sections


@dataclass(frozen=True, eq=False)
class _Line:
    """The way of the aorta: places, distance from the inlet, direction, diameters (nan: none)."""

    points_mm: Floats
    along_mm: Floats
    tangents: Floats
    radius_mm: Floats
    maximum_mm: Floats
    minimum_mm: Floats
    equivalent_mm: Floats
    rests: bool

    def near(self, point_mm: Vector) -> int:
        return int(np.argmin(np.linalg.norm(self.points_mm - point_mm, axis=1)))

    def direction(self, start: float, stop: float) -> Floats:
        """Return the unit vector from one distance along the line to another."""
        ends = [
            np.array([np.interp(at, self.along_mm, self.points_mm[:, n]) for n in range(3)])
            for at in (start, stop)
        ]
        return np.asarray(unit(ends[1] - ends[0]))


def aorta_diameters(
    lumen: SurfaceMesh,
    centerline: Centerline,
    *,
    to: str = "",
    segments: str = "",
    renal_mm: Vector | None = None,
    wall_doubt_mm: Annotated[float, Ge(0), Le(5)] = 0.5,
    progress: Progress = silent,
) -> Measured:
    """Measure the diameters of the aorta at a right angle to its line, and where it is widest.

    The largest diameter of a section is the largest distance of two parallel tangents (Feret).
    The line is first brought onto the middle of its sections, so that it is the surface's own.
    The band holds sections tilted by 5 degrees and the doubt of both walls. The neck above an
    aneurysm runs from the lowest renal artery to where the aorta is a tenth wider than there.

    Args:
        lumen: the surface of the aorta; its outer wall where diameters are to include thrombus.
        centerline: the branches of this surface.
        to: the end to which the aorta runs, such as "outlet_1"; empty follows the widest branch
            at each fork.
        segments: named stretches by distance (mm) along the line from the inlet, such as
            "ascending=0-80, arch=80-150"; empty measures it as one.
        renal_mm: a point at the lowest renal artery, LPS mm; empty leaves out the neck.
        wall_doubt_mm: how far (mm) either wall may be off, such as half a voxel.
        progress: told how far the work is.

    Raises:
        ValueError: if an end or a segment does not fit, or the line has too few sections.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    require_frame(lumen, centerline)
    pieces = split_pieces(lumen)
    line = _line(pieces, centerline, _way(centerline, to), share(progress, 0, 2))
    stretches = _stretches(segments, line)
    numbers: list[Number] = []
    findings: list[Finding] = []
    best: tuple[float, Floats, Vector] = (0.0, np.empty((0, 3)), (0.0, 0.0, 0.0))
    for n, (name, low, high) in enumerate(stretches):
        progress((1 + n / len(stretches)) / 2, f"measuring {name or 'the aorta'}")
        found, ring, place = _segment(pieces, line, name, (low, high), wall_doubt_mm)
        numbers += found
        best = max(best, (found[0].value, ring, place), key=lambda entry: entry[0])
    if segments:
        widest = max((n for n in numbers if n.quantity.endswith(".maximum_diameter")),
                     key=lambda n: n.value)  # fmt: skip
        numbers.insert(0, replace(widest, quantity="maximum_diameter"))
    if renal_mm is not None:
        more, told = _neck(line, renal_mm)
        numbers += more
        findings += told
    if not line.rests:
        findings.append(_restless())
    size, ring, place = best
    findings.insert(0, _widest_finding(size, place))
    return Measured(
        lumen.frame_uid, (ring, line.points_mm), np.empty((0, 3)), number_text(size, "mm"), place,
        samples=_samples(line), findings=(*lumen.findings, *findings), numbers=tuple(numbers),
    )  # fmt: skip


def _way(centerline: Centerline, to: str) -> list[Branch]:
    """Return the branches from the inlet to an end, or along the widest one at each fork."""
    way: list[Branch] = []
    if to:
        way.append(centerline.end_branch(to)[0])
        while before := [b for b in centerline.branches if b.to_node == way[0].from_node]:
            if before[0] in way:
                break
            way.insert(0, before[0])
        return way
    leaving = [centerline.branches[0]]
    while leaving:
        way.append(max(leaving, key=lambda b: float(np.median(centerline.radius_mm[b.points]))))
        leaving = [
            b for b in centerline.branches if b.from_node == way[-1].to_node and b not in way
        ]
    return way


def _line(
    pieces: list[Piece], centerline: Centerline, way: list[Branch], progress: Progress
) -> _Line:
    """Return the branches of a way as one line on the middle of its sections, with diameters."""
    index = np.concatenate([np.arange(b.start + (n > 0), b.stop) for n, b in enumerate(way)])
    found = centerline.points_mm[index]
    junction = centerline.point_data["in_junction"][index] > 0
    begin, end = (centerline.nodes[n].kind == "round" for n in (way[0].from_node, way[-1].to_node))
    line = settled(pieces, found, centerline.radius_mm[index], junction, (begin, end), progress)
    own = ~junction[cKDTree(found).query(line.points_mm)[1]] & np.isfinite(line.sections[:, 0])
    if own.sum() < LEAST:
        raise ValueError("the line has too few sections of its own to be measured; give a longer "
                         "piece of the aorta")  # fmt: skip
    largest, least, same_area = (
        np.where(own, line.sections[:, FIELDS.index(f"{name}_diameter_mm")], np.nan)
        for name in ("maximum", "minimum", "equivalent")
    )
    return _Line(
        line.points_mm,
        arc_length_mm(line.points_mm),
        line.tangents,
        line.radius_mm,
        largest,
        least,
        same_area,
        line.rests,
    )


def _stretches(segments: str, line: _Line) -> list[tuple[str, float, float]]:
    """Return name, begin and end (mm) of each segment; one without a name where none is given."""
    end = float(line.along_mm[-1])
    if not segments.strip():
        return [("", 0.0, end)]
    found = []
    for part in segments.split(","):
        name, _, span = (text.strip() for text in part.partition("="))
        low, dash, high = span.partition("-")
        try:
            start, stop = float(low), float(high)
        except ValueError:
            start, stop = 0.0, -1.0
        if not name or not dash or not start < stop:
            raise ValueError(
                f"the segment {part.strip()!r} is not understood; write it as arch=80-150"
            )
        inside = (line.along_mm >= start) & (line.along_mm <= stop)
        if not np.isfinite(line.maximum_mm[inside]).any():
            raise ValueError(
                f"the segment {name} from {start:g} to {stop:g} mm has no section; the line is "
                f"{end:.0f} mm long"
            )
        found.append((name, start, stop))
    return found


def _segment(
    pieces: list[Piece], line: _Line, name: str, span: tuple[float, float], doubt_mm: float
) -> tuple[list[Number], Floats, Vector]:
    """Return the numbers of a segment, the ring of its widest section, and where that is."""
    inside = (line.along_mm >= span[0]) & (line.along_mm <= span[1])
    at = int(np.nanargmax(np.where(inside, line.maximum_mm, np.nan)))
    value = float(line.maximum_mm[at])
    place = line.points_mm[at]
    section = section_at(pieces, place, line.tangents[at], float(line.radius_mm[at]))
    ring = np.empty((0, 3)) if section is None else section.loop_mm
    tilted = [value, *_tilted(pieces, line, at)]
    wall = np.sqrt(2) * doubt_mm
    low = value - float(np.hypot(value - min(tilted), wall))
    high = value + float(np.hypot(max(tilted) - value, wall))
    begin = f"{name}." if name else ""
    where = f"{line.along_mm[at]:.1f} mm from the inlet"
    source = (
        f"largest width of the section at a right angle to the line, {where}; band: planes tilted "
        f"by {TILT_DEGREES:g} degrees and {doubt_mm:g} mm at either wall"
    )
    mean = float(np.nanmean(np.where(inside, line.equivalent_mm, np.nan)))
    numbers = [
        Number(f"{begin}maximum_diameter", value, "mm", source, max(low, 0.0), high),
        Number(f"{begin}minor_diameter", float(line.minimum_mm[at]), "mm", f"least width, {where}"),
        Number(f"{begin}equivalent_diameter", float(line.equivalent_mm[at]), "mm",
               f"of a disc of the section's area, {where}"),
        Number(f"{begin}mean_diameter", mean, "mm", "mean of the equivalent diameters"),
        Number(f"{begin}position", float(line.along_mm[at]), "mm", "along the line from the inlet"),
    ]  # fmt: skip
    closed = np.concatenate([ring, ring[:1]])
    return numbers, closed, (float(place[0]), float(place[1]), float(place[2]))


def _tilted(pieces: list[Piece], line: _Line, at: int) -> list[float]:
    """Return the largest widths of sections tilted to four sides.

    In a tight bend a tilted plane may run lengthwise into the limb beside it; that is no section of
    this place.
    """
    u, v = in_plane(line.tangents[at])
    tilt = np.tan(np.radians(TILT_DEGREES))
    found = []
    for side in (u, v, -u, -v):
        normal = np.asarray(unit(line.tangents[at] + tilt * side))
        section = section_at(pieces, line.points_mm[at], normal, float(line.radius_mm[at]))
        if section is not None:
            found.append(_largest(section))
    return [width for width in found if width < LENGTHWISE * line.maximum_mm[at]]


def _largest(section: Section) -> float:
    return float(measures(section)[FIELDS.index("maximum_diameter_mm")])


def _neck(line: _Line, renal_mm: Vector) -> tuple[list[Number], list[Finding]]:
    """Return length, diameter and angles of the neck between renal artery and aneurysm."""
    known = np.isfinite(line.equivalent_mm)
    along, width = line.along_mm[known], line.equivalent_mm[known]
    top = int(np.argmin(np.abs(along - line.along_mm[line.near(renal_mm)])))
    wide = np.flatnonzero(width[top:] > WIDENED * width[top])
    if not len(wide):
        text = "The aorta is nowhere a tenth wider than at the renal artery: no neck was measured."
        return [], [Finding(Severity.WARNING, "no_aneurysm", text, renal_mm)]
    end = top + int(wide[0])
    back = end + int(np.argmax(width[end:]))
    size = float(width[top])
    length = float(along[end] - along[top])
    top_at, end_at, back_at = (float(along[n]) for n in (top, end, back))
    above = line.direction(max(top_at - 2 * AXIS * size, 0), top_at)
    own = line.direction(top_at, max(end_at, top_at + 0.5 * AXIS * size))
    sac = line.direction(end_at, max(back_at, end_at + AXIS * size))
    source = (
        f"from the section {top_at:.1f} mm from the inlet to where the equivalent diameter is "
        f"{WIDENED:g} times as large"
    )
    numbers = [
        Number("neck.length", length, "mm", source),
        Number("neck.diameter", size, "mm", "of a disc of the section's area at the renal artery"),
        Number("neck.end_diameter", float(width[end]), "mm", "the same where the neck ends"),
        Number("neck.angle", _angle(own, sac), "degrees",
               "between the neck and the line from its end to the widest place"),
    ]  # fmt: skip
    if top_at > AXIS * size:
        text = "between the aorta above the renal artery and the neck"
        numbers.append(Number("neck.suprarenal_angle", _angle(above, own), "degrees", text))
    return numbers, []


def _angle(one: Floats, other: Floats) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def _samples(line: _Line) -> dict[str, Floats]:
    """Return the columns of all measured sections, for tables and for a later comparison."""
    known = np.isfinite(line.maximum_mm)
    x, y, z = line.points_mm[known].T
    return {
        "along_mm": line.along_mm[known],
        "maximum_diameter_mm": line.maximum_mm[known],
        "minimum_diameter_mm": line.minimum_mm[known],
        "equivalent_diameter_mm": line.equivalent_mm[known],
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
    }


def _widest_finding(size_mm: float, place: Vector) -> Finding:
    text = f"The widest place is {size_mm:.1f} mm across, at a right angle to the line."
    return Finding(Severity.INFO, "widest_place", text, place)


def _restless() -> Finding:
    text = "The line of the aorta did not settle; where it bends, a section may be oblique."
    remedy = "Look at the section at the widest place; give a lumen without its branches."
    return Finding(Severity.WARNING, "line_not_settled", text, remedy=remedy)
