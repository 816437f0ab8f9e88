"""Osteotomy: a bone is cut by a plane and one piece moved, about a hinge or freely.

A cut's normal points to the piece that moves. Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from meshing.booleans import measured_solid
from meshing.clipping import cross_section, split_by_plane
from meshing.cutting import middle_plane
from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, area_mm2, enclosed_mm3
from meshing.symmetry import even_points
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
from segmentation.transform import Transform
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_landmarks_record import DIRECTIONS, bone_surface
from workstation.planning.bone_moves import (
    as_transform,
    moved_surface,
    six_numbers,
    turn_about,
    turned_degrees,
)
from workstation.planning.resection import CutPlane

Kind = Literal["opening", "closing", "free"]
Degrees = Annotated[float, Ge(0), Le(60)]

CONTACT_MM = 0.5
"""Bone nearer than this counts as touching: saw cuts are no flatter."""

LEAST_MM = 0.1
"""A piece that reaches less far beyond the cut needs no wedge taken off."""

SAMPLES = 4000

MOVED = (0x9F, 0xC2, 0xE6)
"""The colour of a piece that was moved, beside the bone as it was."""


def bone_cut(
    bone: SurfaceMesh | LabelMap,
    landmarks: Measured | None = None,
    *,
    label: str = "",
    point_mm: Vector | None = None,
    normal: Vector | None = None,
    progress: Progress = silent,
) -> CutPlane:
    """Place the plane of an osteotomy.

    Args:
        bone: the closed surface or the label of a bone.
        landmarks: of the bone; they say which way is down.
        label: name of one of several labels.
        point_mm: a point of the plane, LPS mm; empty takes the middle of the bone.
        normal: direction (LPS) to the piece that moves; empty takes the way down the bone's
            mechanical axis, or without landmarks its long axis.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the plane misses the bone.
    """
    mesh = bone_surface(bone, label)
    if normal is None and landmarks is not None and "up" in landmarks.places:
        normal = as_vector(-np.asarray(landmarks.places["up"]))
    point, direction = middle_plane(mesh, point_mm, normal)
    progress(0.2, "cutting the bone")
    face = cut_face(split_by_plane(mesh, point, direction)[1], point, direction)
    area = cross_section(mesh, point, direction).area_mm2
    number = Number("area", area / 100, "cm2", "bone that the plane cuts, its marrow included")
    return CutPlane(as_vector(point), as_vector(direction), mesh.frame_uid, face,
                    numbers=(number,))  # fmt: skip


def cut_face(fixed: SurfaceMesh, point: Floats, direction: Floats) -> SurfaceMesh:
    """Return the part of a piece's surface that lies in the plane that cut it off."""
    off = np.abs((fixed.points_mm - point) @ direction) < 1e-4
    cells = fixed.triangles[off[fixed.triangles].all(axis=1)]
    used, cells = np.unique(cells, return_inverse=True)
    return replace(fixed.reshaped(fixed.points_mm[used], cells.reshape(-1, 3)),
                   numbers=(), findings=(), name="cut")  # fmt: skip


def osteotomy_move(
    cut: CutPlane,
    *,
    kind: Kind = "opening",
    hinge_mm: Vector | None = None,
    hinge_axis: Vector | None = None,
    angle_degrees: Degrees = 0.0,
    shift_mm: Vector = (0.0, 0.0, 0.0),
    turn_degrees: Vector = (0.0, 0.0, 0.0),
    progress: Progress = silent,
) -> Transform:
    """Say how the piece beyond a cut is moved.

    About a hinge it opens or closes a wedge by an angle; freely it is shifted along and turned
    about the patient's axes, about the middle of the cut.

    Args:
        cut: the plane; its normal points to the piece that moves.
        kind: opening and closing turn about the hinge, free takes the six numbers.
        hinge_mm: the point of the cut about which a wedge opens, LPS mm.
        hinge_axis: direction of the hinge, LPS; empty takes the one in the cut across the way
            from the hinge to the middle of the cut.
        angle_degrees: angle of the wedge.
        shift_mm: shift to the left, back and up, in mm, where the piece moves freely.
        turn_degrees: turns about the axes to the left, back and up, one after the other.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no hinge for a wedge, or it lies in the middle of the cut.
    """
    progress(0.1, "placing the piece")
    centre = even_points(cut.surface, SAMPLES)[0].mean(axis=0)
    if kind == "free":
        matrix = six_numbers(centre, shift_mm, turn_degrees)
    elif angle_degrees == 0.0:
        matrix = np.eye(4)
    else:
        matrix = _hinged(cut, centre, hinge_mm, hinge_axis,
                         angle_degrees if kind == "opening" else -angle_degrees)  # fmt: skip
    numbers = (*move_numbers(matrix, centre, np.asarray(cut.normal)),)
    return as_transform(matrix, cut.frame_uid, centre, numbers)


def _hinged(
    cut: CutPlane, centre: Floats, hinge_mm: Vector | None, axis: Vector | None, angle: float
) -> Floats:
    if hinge_mm is None:
        raise ValueError("a wedge needs a hinge: set hinge_mm to the point that stays together")
    hinge, normal = np.asarray(hinge_mm, float), np.asarray(cut.normal)
    arm = centre - hinge
    arm = arm - (arm @ normal) * normal
    if np.linalg.norm(arm) < 1.0:
        raise ValueError("the hinge lies in the middle of the cut; put it at the bone's edge")
    way = np.cross(arm, normal) if axis is None else np.asarray(axis, float)
    length = float(np.linalg.norm(way))
    if length == 0.0:
        raise ValueError("the axis of the hinge has no direction")
    lift = np.cross(way, arm) @ normal
    return turn_about(hinge, way * np.sign(lift or 1.0) / length, angle)


def move_numbers(matrix: Floats, centre: Floats, normal: Floats) -> tuple[Number, ...]:
    """Return how far a 4x4 move turns a piece, and shifts the middle of its cut (LPS mm)."""
    shift = matrix[:3, :3] @ centre + matrix[:3, 3] - centre
    aside = float(np.linalg.norm(shift - (shift @ normal) * normal))
    return (
        Number("turn", turned_degrees(matrix), "degrees",
               f"turn of the piece that moves, {PLANNED}"),
        Number("lengthening", float(shift @ normal), "mm",
               "shift of the middle of the cut, across the cut; above zero the bone gets longer; "
               f"{PLANNED}"),
        Number("offset", aside, "mm", f"shift of the middle of the cut, along the cut, {PLANNED}"),
    )  # fmt: skip


def remaining_bone(
    bone: SurfaceMesh | LabelMap, cut: CutPlane, *, label: str = "", progress: Progress = silent
) -> SurfaceMesh:
    """Take the piece of a cut bone that stays where it is.

    Args:
        bone: the closed surface or the label of the bone.
        cut: the plane; its normal points to the piece that moves.
        label: name of one of several labels.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if cut and bone lie in different frames.
        OpenSurface: if the surface is not closed.
        ValueError: if the plane misses the bone.
    """
    mesh = _in_frame(bone, label, cut)
    fixed = split_by_plane(mesh, cut.point_mm, cut.normal)[1]
    return measured_solid(replace(fixed, name="remaining bone"), enclosed_mm3(fixed))


def osteotomy(
    bone: SurfaceMesh | LabelMap,
    cut: CutPlane,
    move: Transform,
    *,
    label: str = "",
    trim: bool = True,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a bone and move the piece beyond the cut.

    Gives the moved piece; the numbers say how high the wedge is, how much bone a closing wedge
    takes away, and over which area bone meets bone.

    Args:
        bone: the closed surface or the label of the bone.
        cut: the plane; its normal points to the piece that moves.
        move: how the piece is moved.
        label: name of one of several labels.
        trim: take off what of the moved piece would lie beyond the cut: the closing wedge.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if cut, move and bone lie in different frames.
        OpenSurface: if the surface is not closed.
        ValueError: if the plane misses the bone.
    """
    mesh = _in_frame(bone, label, cut)
    move.require(mesh.frame_uid, mesh.frame_uid)
    point, normal = np.asarray(cut.point_mm), np.asarray(cut.normal)
    progress(0.1, "cutting the bone")
    front, fixed = split_by_plane(mesh, point, normal)
    piece = moved_surface(front, move)
    reach = (piece.points_mm - point) @ normal
    overlaps = float(reach.min()) < -LEAST_MM
    taken = 0.0
    if overlaps and trim:
        progress(0.4, "taking off the wedge")
        whole = enclosed_mm3(piece)
        piece = split_by_plane(piece, point, normal)[0]
        taken = whole - enclosed_mm3(piece)
    progress(0.6, "measuring the contact")
    face = cut_face(fixed, point, normal)
    spots = even_points(face, SAMPLES)[0]
    numbers = (
        *wedge_numbers(spots, move, normal, taken, area_mm2(face)),
        *contact_numbers(NearestOnSurface(piece)(spots).distance_mm, area_mm2(face)),
    )
    findings = () if trim or not overlaps else (_collides(-float(reach.min())),)
    solid = measured_solid(replace(piece, name="moved piece", colour=MOVED), enclosed_mm3(piece))
    return replace(solid, numbers=(*numbers, *solid.numbers), findings=findings)


def move_landmarks(
    landmarks: Measured,
    move: Transform,
    cut: CutPlane | None = None,
    *,
    progress: Progress = silent,
) -> Measured:
    """Carry landmarks along with the piece that moves.

    Args:
        landmarks: of the bone that is cut, or of one that moves with the piece.
        move: how the piece is moved.
        cut: the plane; landmarks in front of it move, the others stay. Without a cut all move.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
    """
    move.require(landmarks.frame_uid, landmarks.frame_uid)
    if cut is not None and cut.frame_uid != landmarks.frame_uid:
        raise FrameMismatch("the cut lies in another frame of reference than the landmarks")

    def moved(points: Floats) -> Floats:
        goes = np.ones(len(points), bool) if cut is None else cut.distance_mm(points) > 0
        return np.where(goes[:, None], move.apply(points), points)

    places = {
        name: spot if name in DIRECTIONS else as_vector(moved(np.array([spot]))[0])
        for name, spot in landmarks.places.items()
    }
    return replace(
        landmarks,
        lines_mm=tuple(moved(line) for line in landmarks.lines_mm),
        picked_mm=moved(landmarks.picked_mm),
        text=f"{landmarks.text}, corrected",
        places=places,
        numbers=tuple(n for n in landmarks.numbers if n.quantity == "landmark_reach"),
        findings=tuple(f for f in landmarks.findings if f.severity is not Severity.INFO),
    )


def _in_frame(bone: SurfaceMesh | LabelMap, label: str, cut: CutPlane) -> SurfaceMesh:
    mesh = bone_surface(bone, label)
    if mesh.frame_uid != cut.frame_uid:
        raise FrameMismatch("the cut lies in another frame of reference than the bone")
    return mesh


def wedge_numbers(
    spots: Floats, move: Transform, normal: Floats, taken_mm3: float, area: float
) -> tuple[Number, ...]:
    """Return height and volume of the wedge that opens, or of the one that is taken away."""
    gap = (move.apply(spots) - spots) @ normal
    opened = area * float(np.maximum(gap, 0).mean())
    return (
        Number("wedge_height", float(np.abs(gap).max()), "mm",
               "largest distance by which the cut's faces part or come together, across the cut, "
               f"{PLANNED}"),
        Number("gap_volume", opened / 1000, "mL", "between the faces where they part"),
        Number("taken_away", taken_mm3 / 1000, "mL", "bone that a closing wedge takes away"),
    )  # fmt: skip


def contact_numbers(away_mm: Floats, area: float) -> tuple[Number, ...]:
    """Return contact of a face (mm2) with the other piece, from distances of even samples."""
    part = float((away_mm <= CONTACT_MM).mean())
    source = f"cut face of the bone that stays, with the moved piece within {CONTACT_MM:g} mm"
    half = 1.96 * float(np.sqrt(part * (1 - part) / len(away_mm)))
    low, high = max(part - half, 0.0), min(part + half, 1.0)
    return (
        Number("contact_area", area * part / 100, "cm2", f"{source}; band of the sampling",
               area * low / 100, area * high / 100),
        Number("contact_share", 100 * part, "%", f"{source}; band of the sampling",
               100 * low, 100 * high),
        Number("largest_gap", float(away_mm.max()), "mm", "from that face to the moved piece"),
    )  # fmt: skip


def _collides(deep_mm: float) -> Finding:
    text = f"the moved piece reaches {deep_mm:.1f} mm into the bone that stays"
    return Finding(Severity.WARNING, "pieces_collide", text, remedy="switch trim on, or move it")
