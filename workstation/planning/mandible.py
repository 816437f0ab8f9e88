"""The mandible: its lower border, cuts across it, and what a resection takes and leaves.

Space is DICOM patient LPS in millimetres; the border runs from the patient's right to the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from manifold3d import Manifold

from meshing.booleans import (
    Division,
    divide,
    from_solid,
    measured_solid,
    piece_volumes_mm3,
    pieces,
    with_share,
)
from meshing.clipping import split_by_plane
from meshing.curves import arc_length_mm
from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, enclosed_mm3
from meshing.symmetry import even_points, symmetry_plane
from segmentation.anatomy import ANATOMY
from segmentation.contract import (
    PLANNED,
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.marks import Points
from segmentation.measured import Measured, picked
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.fracture import fragment
from workstation.planning.guide import INTO
from workstation.planning.mandible_border import STEP_MM, along, border_of, smoothed, unit
from workstation.planning.osteotomy import cut_face
from workstation.planning.resection import CutPlane

Which = Literal["first", "second"]

MANDIBLE = "mandible"
UP = "up"
SHARES = {"first": 1 / 3, "second": 2 / 3}
"""Where along the border a cut lies that nobody placed."""

OFF_MM = 15.0
"""A point this far from the border was not meant for it."""

SPOTS, ASIDE_MM = 4000, 20.0
WIDE, ALIKE_PERCENT = 0.5, 75.0
"""A mandible is whole on both sides where at least so much of it lies that far aside of its
middle, and so much of it has a counterpart."""

CROSS_MM = 0.1
BESIDE_MM = 0.5
SEAT_MM = 25.0
LOST = (0xC0, 0x5A, 0x50)


class NoMandible(ValueError):
    """The mandible is not told apart from the skull, or not in the image."""


class CutsCross(ValueError):
    """Cuts that lie at one place, or run through each other within bone."""


def take_mandible(
    bones: SurfaceMesh | LabelMap, *, label: str = "", progress: Progress = silent
) -> SurfaceMesh:
    """Take the mandible as one solid, its marrow filled.

    Args:
        bones: labels with one called mandible, or a closed surface of the mandible alone.
        label: name of its label; empty takes "mandible", or the only label there is.
        progress: told how far the work is.

    Raises:
        NoMandible: if no label is that of a mandible.
        OpenSurface: if the surface is not closed.
    """
    name = label
    if isinstance(bones, LabelMap) and not name:
        names = [known.name for known in bones.labels.values()]
        name = next((n for n in names if n.lower() == MANDIBLE), "")
        if not name and len(names) != 1:
            raise NoMandible(
                f"no label is called mandible (there are: {', '.join(names) or 'none'}); separate "
                "it from the skull with the scissors, or name its label"
            )
    solid = fragment(bones, label=name, progress=progress)
    return replace(solid, name=MANDIBLE, colour=ANATOMY["bone"].colour)


def mandible_border(
    mandible: SurfaceMesh,
    *,
    path_mm: Points = (),
    smooth_mm: Annotated[float, Ge(0.5), Le(20)] = 4.0,
    progress: Progress = silent,
) -> Measured:
    """Find the lower border of the mandible, or follow points that were picked along it.

    Found by itself it runs from angle to angle over the chin, where the bone reaches lowest;
    behind that, up a ramus, it is for you to pick.

    Args:
        mandible: its closed surface, LPS mm; the patient's head points up in the image.
        path_mm: three or more points along the border, from one end to the other, LPS mm.
        smooth_mm: over which length of the border steps are evened out (standard deviation).
        progress: told how far the work is.

    Raises:
        ValueError: if there are too few points, or no border is found.
    """
    progress(0.2, "following the border")
    if path_mm:
        points = picked(path_mm, 3, "the border of the mandible")
        away = NearestOnSurface(mandible)(points).distance_mm
        if away.max() > OFF_MM:
            n = int(away.argmax()) + 1
            raise ValueError(
                f"point {n} of the border lies {away.max():.0f} mm off the mandible; pick it anew"
            )
        line, up = smoothed(points, 0.0), _up_of(points)
        told = Finding(Severity.INFO, "border_picked", f"{len(points)} points were picked")
    else:
        line, up = border_of(mandible.points_mm, smooth_mm)
        points = np.empty((0, 3))
        told = Finding(Severity.INFO, "border_found", "the border was found from angle to angle")
    if line[-1, 0] < line[0, 0]:
        line = line[::-1]
    length = float(arc_length_mm(line)[-1])
    numbers = (Number("length", length, "mm", "along the border"),)
    places = {UP: as_vector(up), "right_end": as_vector(line[0]), "left_end": as_vector(line[-1])}
    middle = as_vector(line[len(line) // 2])
    return Measured(mandible.frame_uid, (line,), points, f"border {length:.0f} mm", middle, places,
                    findings=(told,), numbers=numbers)  # fmt: skip


def mandible_midplane(mandible: SurfaceMesh, *, progress: Progress = silent) -> Measured:
    """Find the mid-sagittal plane of a mandible that is whole on both sides.

    Where it is not, as half a mandible, the plane says so and tells no side.

    Args:
        mandible: its closed surface, before anything is resected.
        progress: told how far the work is.
    """
    plane = symmetry_plane(mandible, progress=progress)
    normal = np.asarray(plane.places["normal"])
    away = np.abs((even_points(mandible, SPOTS)[0] - plane.places["point_mm"]) @ normal)
    wide = float((away > ASIDE_MM).mean())
    known = {number.quantity: number.value for number in plane.numbers}
    if wide >= WIDE and known["symmetric"] >= ALIKE_PERCENT:
        return plane
    text = (
        f"this mandible does not tell the patient's middle: {known['symmetric']:.0f} % of it has "
        f"a counterpart on the other side, and {wide:.0%} lies more than {ASIDE_MM:g} mm aside"
    )
    remedy = "plan from a head CT, whose skull tells it"
    told = Finding(Severity.WARNING, "middle_unsure", text, plane.text_mm, remedy)
    return replace(plane, findings=(*plane.findings, told))


def _up_of(points: Floats) -> Floats:
    """Return the way up across the plane through points along the arch (n, 3)."""
    arms = points - points.mean(axis=0)
    up = np.linalg.svd(arms, full_matrices=False)[2][2]
    flat = np.linalg.matrix_rank(arms, tol=1e-3) < 2
    up = np.array([0.0, 0.0, 1.0]) if flat else up
    return np.asarray(up * (1.0 if up[2] >= 0 else -1.0))


def mandible_cut(
    mandible: SurfaceMesh,
    border: Measured,
    *,
    which: Which = "first",
    point_mm: Vector | None = None,
    normal: Vector | None = None,
    progress: Progress = silent,
) -> CutPlane:
    """Place a cut across the mandible at a point of its border.

    Args:
        mandible: its closed surface.
        border: the line along which the graft will follow.
        which: the first or the second of the two cuts between which bone is lost; it says where
            a cut lies that has no point yet: at a third or at two thirds of the border.
        point_mm: a point of the plane, LPS mm.
        normal: direction (LPS) across the cut; empty takes the way of the border there.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if border and mandible lie in different frames.
        ValueError: if the plane misses the bone.
    """
    _require_frame(mandible, border)
    line = border.lines_mm[0]
    placed = point_mm is not None
    point = np.asarray(point_mm, float) if placed else along(line, SHARES[which])[0]
    nearest = int(np.linalg.norm(line - point, axis=1).argmin())
    way = unit(np.gradient(line, axis=0)[nearest])
    way = way if which == "first" else -way
    direction = way if normal is None else unit(np.asarray(normal, float))
    progress(0.3, "cutting the mandible")
    face = local_face(mandible, point, direction)
    tilt = float(np.degrees(np.arccos(min(abs(float(direction @ way)), 1.0))))
    numbers = (
        Number("area", _area_cm2(face), "cm2", "bone that the plane cuts, its marrow included"),
        Number("tilt", tilt, "degrees", f"of the cut from square across the border, {PLANNED}"),
        Number("along", float(arc_length_mm(line)[nearest]), "mm",
               f"from the border's end on the patient's right, {PLANNED}"),
    )  # fmt: skip
    findings: tuple[Finding, ...] = ()
    if not placed:
        text = f"nobody has placed the {which} cut; it lies at {SHARES[which]:.0%} of the border"
        findings = (Finding(Severity.WARNING, "cut_not_placed", text, as_vector(point),
                            "pick point_mm where the bone is to be cut"),)  # fmt: skip
    return CutPlane(as_vector(point), as_vector(direction), mandible.frame_uid, face,
                    numbers=numbers, findings=findings)  # fmt: skip


def local_face(mandible: SurfaceMesh, point: Floats, direction: Floats) -> SurfaceMesh:
    """Return the part of a plane within bone that lies nearest to a point, not the whole arch's.

    Raises:
        ValueError: if the plane misses the bone.
    """
    face = cut_face(split_by_plane(mandible, point, direction)[1], point, direction)
    piece = pieces(face)
    away = np.linalg.norm(face.points_mm - point, axis=1)[face.triangles].min(axis=1)
    kept = face.triangles[piece == piece[int(away.argmin())]]
    used, cells = np.unique(kept, return_inverse=True)
    return face.reshaped(face.points_mm[used], cells.reshape(-1, 3))


def _area_cm2(face: SurfaceMesh) -> float:
    a, b, c = (face.points_mm[face.triangles[:, n]] for n in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 200)


def lost_stretch(
    line: Floats, first: CutPlane, second: CutPlane
) -> tuple[Floats, CutPlane, CutPlane]:
    """Return the part of a line between two cuts, and the cuts turned to face it.

    The line's own order counts: the cut that it meets first comes first.

    Raises:
        CutsCross: if nothing lies between them.
        ValueError: if a cut misses the line.
    """
    ends = [(_crossing(line, first, "first"), first), (_crossing(line, second, "second"), second)]
    (low, before), (high, after) = sorted(ends, key=lambda end: end[0])
    length = arc_length_mm(line)
    if high - low < 1.0:
        raise CutsCross(
            f"the two cuts meet the border {high - low:.1f} mm apart, so nothing lies between "
            "them; move one of them"
        )
    count = max(int((high - low) / STEP_MM), 2)
    places = np.linspace(low, high, count + 1)
    lost = np.stack([np.interp(places, length, line[:, a]) for a in range(3)], axis=1)
    middle = lost[len(lost) // 2]
    return lost, _facing(before, middle), _facing(after, middle)


def _crossing(line: Floats, cut: CutPlane, name: str) -> float:
    """Return how far along a line (mm) it meets a cut, at the place nearest to the cut's point."""
    level, length = cut.distance_mm(line), arc_length_mm(line)
    at = np.flatnonzero((level[:-1] < 0) != (level[1:] < 0))
    if not len(at):
        raise ValueError(
            f"the {name} cut does not cross the border of the mandible; move it onto the border, "
            "or pick the border further (mandible_border.path_mm)"
        )
    share = level[at] / (level[at] - level[at + 1])
    spots = line[at] + share[:, None] * (line[at + 1] - line[at])
    n = int(np.linalg.norm(spots - np.asarray(cut.point_mm), axis=1).argmin())
    return float(length[at[n]] + share[n] * (length[at[n] + 1] - length[at[n]]))


def _facing(cut: CutPlane, place: Floats) -> CutPlane:
    """Return a cut whose normal points to a place."""
    if cut.distance_mm(place) >= 0:
        return cut
    return replace(cut, normal=as_vector(-np.asarray(cut.normal)))


def resected_mandible(
    mandible: SurfaceMesh,
    border: Measured,
    first: CutPlane,
    second: CutPlane,
    third: CutPlane | None = None,
    fourth: CutPlane | None = None,
    *,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Take the part of the mandible that a resection removes.

    It is what lies between the first two cuts along the border; further cuts bound it where
    their normals point away from what is spared.

    Args:
        mandible: its closed surface.
        border: the lower border; it tells which part lies between the cuts.
        first: one cut across the mandible.
        second: the other one.
        third: a further cut whose normal points to what is removed.
        fourth: one more.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
        CutsCross: if nothing is removed, or the cuts cross within bone.
        OpenSurface: if the surface is not closed.
    """
    done = _divided(mandible, border, (first, second, third, fourth), progress)
    gone = replace(done.inside, name="resected", colour=LOST, findings=done.findings)
    return with_share(gone, mandible)


def remaining_mandible(
    mandible: SurfaceMesh,
    border: Measured,
    first: CutPlane,
    second: CutPlane,
    third: CutPlane | None = None,
    fourth: CutPlane | None = None,
    *,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Take what a resection leaves of the mandible.

    Args:
        mandible: its closed surface.
        border: the lower border; it tells which part lies between the cuts.
        first: one cut across the mandible.
        second: the other one.
        third: a further cut whose normal points to what is removed.
        fourth: one more.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
        CutsCross: if nothing is removed, or the cuts cross within bone.
        OpenSurface: if the surface is not closed.
    """
    done = _divided(mandible, border, (first, second, third, fourth), progress)
    left = replace(done.outside, name="remaining mandible", findings=done.findings)
    return replace(measured_solid(left, enclosed_mm3(left)), findings=done.findings)


def _divided(
    mandible: SurfaceMesh, border: Measured, cuts: Sequence[CutPlane | None], progress: Progress
) -> Division:
    """Return the mandible divided: inside what is removed, outside what is left."""
    _require_frame(mandible, border, *cuts)
    first, second, *others = cuts
    assert first is not None
    assert second is not None
    lost, one, two = lost_stretch(border.lines_mm[0], first, second)
    _require_apart(mandible, one, two)
    progress(0.2, "cutting the mandible")
    planes = [one, two, *(cut for cut in others if cut is not None)]
    rough = divide(mandible, _block(mandible, planes, mandible.points_mm)).inside
    if not len(rough.triangles):
        raise CutsCross("nothing lies between the cuts; turn their normals to what is removed")
    progress(0.5, "taking out what lies between the cuts")
    done = divide(mandible, _block(mandible, planes, _nearest_piece(rough, lost).points_mm))
    count = int((piece_volumes_mm3(done.inside, pieces(done.inside)) > 0).sum())
    if count > 1:
        raise CutsCross(
            f"the cuts take {count} separate parts out of the mandible; turn them so that they "
            "meet it only where it is to be cut"
        )
    return done


def _block(mandible: SurfaceMesh, planes: Sequence[CutPlane], around: Floats) -> SurfaceMesh:
    """Return the solid in front of all planes, within a box about points."""
    low, high = around.min(axis=0) - BESIDE_MM, around.max(axis=0) + BESIDE_MM
    at = mandible.points_mm.mean(axis=0)
    solid = Manifold.cube(tuple(high - low)).translate(tuple(low - at))
    for plane in planes:
        normal = np.asarray(plane.normal)
        solid = solid.trim_by_plane(
            tuple(normal), float((np.asarray(plane.point_mm) - at) @ normal)
        )
    return replace(from_solid(mandible, solid, at), name="cuts")


def _nearest_piece(part: SurfaceMesh, line: Floats) -> SurfaceMesh:
    """Return the piece of a surface that comes nearest to most of a line."""
    piece = pieces(part)
    if piece.max() == 0:
        return part
    votes = np.bincount(piece[NearestOnSurface(part)(line).triangle])
    kept = part.triangles[piece == int(votes.argmax())]
    used, cells = np.unique(kept, return_inverse=True)
    return part.reshaped(part.points_mm[used], cells.reshape(-1, 3))


def _require_apart(mandible: SurfaceMesh, one: CutPlane, two: CutPlane) -> None:
    """Raise where two cuts cross within the bone."""
    for cut, other in ((one, two), (two, one)):
        face = local_face(mandible, np.asarray(cut.point_mm), np.asarray(cut.normal))
        behind = other.distance_mm(face.points_mm)
        if float(behind.min()) < CROSS_MM:
            raise CutsCross(
                "the two cuts cross within the bone, so no piece lies between them as a whole; "
                "turn one of them or move them apart"
            )


def guide_seat(cut: CutPlane, border: Measured, *, progress: Progress = silent) -> Measured:
    """Say from where the guide of a cut is put on the mandible: from outside of the arch.

    Args:
        cut: across the mandible.
        border: its lower border.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
    """
    if cut.frame_uid != border.frame_uid:
        raise FrameMismatch("the cut lies in another frame of reference than the border")
    line, up = border.lines_mm[0], np.asarray(border.places[UP], float)
    spot = np.asarray(cut.point_mm)
    nearest = int(np.linalg.norm(line - spot, axis=1).argmin())
    into = -unit(np.cross(np.gradient(line, axis=0)[nearest], up))
    arrow = np.array([spot - SEAT_MM * into, spot])
    return Measured(border.frame_uid, (arrow,), arrow[1:], "guide", as_vector(arrow[0]),
                    {INTO: as_vector(into)})  # fmt: skip


def _require_frame(mandible: SurfaceMesh, *others: Measured | CutPlane | None) -> None:
    if any(o is not None and o.frame_uid != mandible.frame_uid for o in others):
        raise FrameMismatch("mandible, border and cuts lie in different frames of reference")
