"""The ends of a vessel cut, lengthened and capped, ready for a volume mesh and a flow solver.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from meshing.centerline import Centerline
from meshing.lumen import (
    HOLE_SHARE,
    Opening,
    Piece,
    boundary_loops,
    ends_in_tube,
    fan,
    opening_of,
    signed_mm3,
    split_pieces,
)
from meshing.ring_caps import disc, tube
from meshing.ring_cut import NotSevered, cut_off
from meshing.sections import Slicer
from meshing.surface import SurfaceMesh, area_mm2, measured, require_watertight
from meshing.vessel_names import named_ends, renamed
from meshing.vessel_room import obstacles, room_mm
from meshing.vessel_sections import NoSection, place_on, require_frame
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RETREAT = 0.25  # of the distance that a cut moves inward where it meets no whole section
ATTEMPTS = 8
SHORTEST = 0.5  # diameters of an extension that is worth its place
CUT_RADII = 4.0  # that an end may lie short of its node where it was cut


def cut_ends(
    lumen: SurfaceMesh,
    centerline: Centerline,
    *,
    distance_mm: Annotated[float, Ge(0)] | None = None,
    ends: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut the ends of a vessel off, square to its centerline, so that they are open and flat.

    Sacs stay closed. Where the plane meets the rim of an end, the cut moves inward until it
    passes through wall all round. Of all ends, one that cannot be cut is left, with a finding.

    Args:
        lumen: the vessel's surface, open or closed.
        centerline: its branches and ends.
        distance_mm: how far inside the end of the centerline (mm) the cut lies; empty takes the
            radius of the vessel there.
        ends: which ends, such as "inlet, outlet_2"; empty takes all.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no such end, or its branch is too short for the cut.
        NoSection: if no plane across a named end, or across any, meets wall all round.
        NotSevered: if a cut there does not take anything off.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    chosen = _chosen_ends(centerline, ends)
    result, failures = cut_some(lumen, centerline, chosen, distance_mm, progress)
    if failures and (ends or len(failures) == len(chosen)):
        raise next(iter(failures.values()))
    return result


def cut_some(
    lumen: SurfaceMesh,
    centerline: Centerline,
    names: Sequence[str],
    distance_mm: float | None,
    progress: Progress,
) -> tuple[SurfaceMesh, dict[str, NoSection | NotSevered]]:
    """Return the surface with the named ends cut off, and why some were not.

    Raises:
        ValueError: if there is no such end.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    require_frame(lumen, centerline)
    pieces = split_pieces(lumen)
    findings = []
    failures: dict[str, NoSection | NotSevered] = {}
    for n, name in enumerate(names):
        progress(n / len(names), f"cutting {name}")
        try:
            pieces, place = _cut_one(pieces, centerline, name, distance_mm)
        except (NoSection, NotSevered) as error:
            failures[name] = error
            node = centerline.nodes[centerline.ends[name]]
            text = f"The end {name} was left as it is: {error}."
            findings.append(Finding(Severity.WARNING, "end_not_cut", text, node.point_mm))
            continue
        text = f"The end {name} was cut off square to the centerline."
        findings.append(Finding(Severity.INFO, "end_cut", text, _xyz(place)))
    points, triangles = _joined(pieces)
    result = lumen.reshaped(points, triangles)
    return _open(replace(result, findings=(*lumen.findings, *findings))), failures


def _chosen_ends(centerline: Centerline, ends: str) -> list[str]:
    names = [name for name in (part.strip() for part in ends.split(",")) if name]
    for name in names:
        centerline.end_branch(name)
    chosen = names or list(centerline.ends)
    if not chosen:
        raise ValueError("the centerline has no end that could be cut; it is a closed ring")
    return chosen


def _cut_one(
    pieces: list[Piece], centerline: Centerline, name: str, distance_mm: float | None
) -> tuple[list[Piece], Floats]:
    """Return the pieces with one end cut off, and where."""
    branch, flows_out = centerline.end_branch(name)
    length = centerline.length_mm(branch)
    node = centerline.nodes[centerline.ends[name]]
    inward = node.radius_mm if distance_mm is None else distance_mm
    step = RETREAT * max(inward, node.radius_mm)
    for _ in range(ATTEMPTS):
        if inward >= length:
            break
        position = length - inward if flows_out else inward
        point, tangent, radius = place_on(centerline, branch, position)
        outward = tangent if flows_out else -tangent
        for n, piece in enumerate(pieces):
            section = Slicer(piece).around(point, outward, radius)
            if section is not None and section.whole:
                return [*pieces[:n], cut_off(piece, section), *pieces[n + 1 :]], point
        inward += step
    raise NoSection(
        f"no plane across the end {name!r} meets wall all round within {inward:.1f} mm; its branch "
        f"is {length:.1f} mm long; give another distance, or leave this end out"
    )


def _joined(pieces: Sequence[Piece]) -> tuple[Floats, Ints]:
    """Return the walls of all pieces, without the caps of their openings."""
    points, triangles = [], []
    count = 0
    for piece in pieces:
        used, numbered = np.unique(piece.triangles[piece.wall], return_inverse=True)
        points.append(piece.points_mm[used])
        triangles.append(numbered.reshape(-1, 3) + count)
        count += len(used)
    return np.concatenate(points), np.concatenate(triangles).astype(np.int64)


def _xyz(point: Floats) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _open(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return a surface that is meant to be open with its numbers."""
    numbers = [Number("area", area_mm2(mesh) / 100.0, "cm2", "sum of the triangle areas")]
    for n, opening in enumerate(_openings(mesh)[0], 1):
        text = "of a disc of the opening's area"
        numbers.append(Number(f"opening_{n}.diameter", 2 * opening.radius_mm, "mm", text))
    return replace(mesh, numbers=tuple(numbers))


# ---------------------------------------------------------------- openings and names


def _openings(mesh: SurfaceMesh) -> tuple[list[Opening], list[Opening]]:
    """Return the open ends, widest first, and the small holes."""
    if not len(mesh.triangles):
        return [], []
    found = [opening_of(mesh.points_mm, loop) for loop in boundary_loops(mesh.triangles)]
    found.sort(key=lambda o: (-o.radius_mm, *o.centre_mm))
    usual = max(2 * _closed_mm3(mesh, found) / max(area_mm2(mesh), 1e-9), 1e-9)
    least = HOLE_SHARE * min(usual, found[0].radius_mm if found else usual)
    ends: list[Opening] = []
    holes: list[Opening] = []
    for o in found:
        is_end = o.radius_mm >= least or ends_in_tube(mesh.points_mm, mesh.triangles, o)
        (ends if is_end else holes).append(o)
    return ends, holes


def _closed_mm3(mesh: SurfaceMesh, found: list[Opening]) -> float:
    """Return the volume in mm3 that a surface encloses with flat fans over its openings."""
    count = len(mesh.points_mm)
    fans = [fan(o.loop, count + n) for n, o in enumerate(found)]
    points = np.concatenate([mesh.points_mm, *(o.centre_mm[None] for o in found)])
    return abs(signed_mm3(points, np.concatenate([mesh.triangles, *fans])))


def _names(ends: list[Opening], centerline: Centerline | None) -> list[str]:
    """Return the name of each opening: of the centerline's end that it leads straight back to."""
    usual = list(named_ends(range(len(ends)), {}))
    if centerline is None:
        return usual
    gaps = sorted(
        (_gap(opening, np.array(centerline.nodes[node].point_mm)), n, name)
        for n, opening in enumerate(ends)
        for name, node in centerline.ends.items()
    )
    named: dict[int, str] = {}
    for gap, n, name in gaps:
        if n not in named and name not in named.values() and gap < 4 * ends[n].radius_mm:
            named[n] = name
    spare = (f"opening_{n}" for n in range(1, len(ends) + 1))
    return [named[n] if n in named else next(spare) for n in range(len(ends))]


def _gap(opening: Opening, node: Floats) -> float:
    """Return how far a node lies from the line that runs from an opening back into the vessel.

    An opening that was cut lies short of its node. Were that counted in full, the far end of a
    straight vessel would be nearer, and inlet and outlet would change places.
    """
    arm = opening.centre_mm - node
    back = float(arm @ opening.normal)
    aside = float(np.linalg.norm(arm - back * opening.normal))
    return aside + 0.02 * abs(back) + max(-back - CUT_RADII * opening.radius_mm, 0.0)


# ---------------------------------------------------------------- extensions and caps


def extend_ends(
    lumen: SurfaceMesh,
    centerline: Centerline | None = None,
    *,
    diameters: Annotated[float, Gt(0), Le(50)] = 5.0,
    ends: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Lengthen the open ends of a vessel by straight tubes that end in circles.

    Flow extensions keep the conditions at inlet and outlets away from the vessel itself. Each
    runs along the normal of its opening and turns smoothly into a circle of the same area. One
    that would run into the vessel or into another is shorter, or left out, with a finding.

    Args:
        lumen: the vessel's surface with open ends, best cut square before.
        centerline: its branches; it names the ends.
        diameters: length of each extension in diameters of its end.
        ends: which ends, such as "inlet, outlet_2"; empty takes all.
        progress: told how far the work is.

    Raises:
        ValueError: if no end is open, or there is no end of that name.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    openings, names = _named_openings(lumen, centerline)
    wanted = [part.strip() for part in ends.split(",") if part.strip()] or names
    _require_known(wanted, names)
    points, triangles, findings = lumen.points_mm, lumen.triangles, []
    for n, (opening, name) in enumerate(zip(openings, names)):
        if name not in wanted:
            continue
        progress(n / len(openings), f"lengthening {name}")
        rim = lumen.points_mm[opening.loop]
        length = diameters * 2 * opening.radius_mm
        room = room_mm(opening, rim, obstacles(points, triangles), length)
        findings.append(_lengthened(name, opening, length, room))
        if room < min(length, SHORTEST * 2 * opening.radius_mm):
            continue
        fresh, faces = tube(rim, opening, room)
        triangles = np.concatenate([triangles, _renumbered(faces, opening.loop, len(points))])
        points = np.concatenate([points, fresh])
    result = lumen.reshaped(points, triangles)
    return _open(replace(result, findings=(*lumen.findings, *findings)))


def _lengthened(name: str, opening: Opening, length_mm: float, room_mm: float) -> Finding:
    """Return what became of an end that was to be lengthened."""
    place = _xyz(opening.centre_mm)
    if room_mm >= length_mm:
        text = f"The end {name} was lengthened by {length_mm:.1f} mm."
        return Finding(Severity.INFO, "end_lengthened", text, place)
    if room_mm >= SHORTEST * 2 * opening.radius_mm:
        text = (
            f"The end {name} was lengthened by {room_mm:.1f} instead of {length_mm:.1f} mm; "
            "farther on it would run into the vessel."
        )
        return Finding(Severity.WARNING, "end_shortened", text, place)
    text = f"The end {name} was not lengthened; it would run into the vessel at once."
    remedy = "Cut it off farther inside"
    return Finding(Severity.WARNING, "end_not_lengthened", text, place, remedy)


def cap_ends(
    lumen: SurfaceMesh,
    centerline: Centerline | None = None,
    *,
    names: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Close the open ends of a vessel by flat caps and name its parts: wall, inlet, outlets.

    The parts carry the names of the centerline's ends; without one, the widest is the inlet.
    Small holes are closed and belong to the wall.

    Args:
        lumen: the vessel's surface with open ends.
        centerline: its branches; it names the ends.
        names: new names of ends, such as "inlet=ica, outlet_1=mca".
        progress: told how far the work is.

    Raises:
        ValueError: if no end is open, or a name does not fit.
        OpenSurface: if the surface is not closed even with its caps, because it is damaged.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    openings, found = _named_openings(lumen, centerline)
    called = list(renamed({name: n for n, name in enumerate(found)}, names))
    holes = _openings(lumen)[1]
    points, triangles = [lumen.points_mm], [lumen.triangles]
    count, rows = len(lumen.points_mm), len(lumen.triangles)
    parts: dict[str, Ints] = {}
    wall = [np.arange(rows)]
    numbers = []
    for n, opening in enumerate([*openings, *holes]):
        progress(n / (len(openings) + len(holes)), "capping the ends")
        inner, faces = _cap(lumen, opening, count, is_hole=n >= len(openings))
        points.append(inner)
        triangles.append(faces)
        mine = np.arange(rows, rows + len(faces))
        count, rows = count + len(inner), rows + len(faces)
        if n < len(openings):
            parts[called[n]] = mine
            size = np.pi * opening.radius_mm**2
            numbers.append(Number(f"{called[n]}.area", size, "mm2", "area of the opening"))
        else:
            wall.append(mine)
    closed = lumen.reshaped(np.concatenate(points), np.concatenate(triangles))
    require_watertight(closed)
    kept = tuple(f for f in lumen.findings if f.code != "open_surface")
    result = measured(replace(closed, findings=(*kept, *_cap_findings(centerline, called, holes))))
    parts = {"wall": np.concatenate(wall), **parts}
    return replace(result, boundaries=parts, numbers=(*result.numbers, *numbers))


def _cap(lumen: SurfaceMesh, opening: Opening, count: int, is_hole: bool) -> tuple[Floats, Ints]:
    """Return the points and triangles of a cap; no edge of it is one of the wall's already."""
    ring = lumen.points_mm[opening.loop]
    inner, faces = disc(ring, opening, fan=is_hole)
    cap = _renumbered(faces, opening.loop, count)
    keys = [_edge_keys(part, count + len(inner)) for part in (lumen.triangles, cap)]
    rim = len(opening.loop)
    if np.isin(np.unique(keys[1]), keys[0]).sum() > rim:
        inner, faces = disc(ring, opening, fan=True)
        cap = _renumbered(faces, opening.loop, count)
    return inner, cap


def _edge_keys(triangles: Ints, count: int) -> Ints:
    """Return a number for each edge, the same for both directions."""
    ends = np.sort(triangles[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1)
    return np.asarray(ends[:, 0] * count + ends[:, 1])


def _named_openings(
    lumen: SurfaceMesh, centerline: Centerline | None
) -> tuple[list[Opening], list[str]]:
    if centerline is not None:
        require_frame(lumen, centerline)
    openings = _openings(lumen)[0]
    if not openings:
        raise ValueError(f"{lumen.name or 'the surface'!r} has no open end; cut its ends off first")
    return openings, _names(openings, centerline)


def open_ends(lumen: SurfaceMesh, centerline: Centerline) -> list[str]:
    """Return the names of the open ends of a lumen, the widest first; small holes are none.

    Raises:
        FrameMismatch: if both live in different frames.
    """
    require_frame(lumen, centerline)
    return _names(_openings(lumen)[0], centerline)


def _require_known(wanted: list[str], names: list[str]) -> None:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(
            f"there is no open end {unknown[0]!r}; the open ends are: {', '.join(names)}"
        )


def _renumbered(faces: Ints, loop: Ints, count: int) -> Ints:
    """Return triangles over a ring and new points in the numbers of the whole surface."""
    rim = len(loop)
    return np.where(faces < rim, loop[np.minimum(faces, rim - 1)], faces - rim + count)


def _cap_findings(
    centerline: Centerline | None, names: list[str], holes: list[Opening]
) -> list[Finding]:
    findings = []
    if centerline is None:
        text = f"The widest end was taken as {names[0]}."
        findings.append(Finding(Severity.INFO, "inlet_assumed", text))
    if holes:
        text = counted(
            len(holes),
            "small hole was closed and belongs to the wall.",
            "small holes were closed and belong to the wall.",
        )
        findings.append(Finding(Severity.WARNING, "holes_closed", text))
    return findings
