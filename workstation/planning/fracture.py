"""Fractures: fragments moved back into place, after the mirrored other side.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import cKDTree

from meshing.booleans import divide, measured_solid, piece_volumes_mm3, pieces
from meshing.comparison import point_areas_mm2, weighted_percentile
from meshing.measuring import require_one_frame
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, area_mm2, enclosed_mm3
from meshing.symmetry import even_points, face_normals
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.measured import Measured
from segmentation.transform import Transform
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_landmarks_record import bone_surface
from workstation.planning.bone_moves import (
    as_transform,
    moved_surface,
    six_numbers,
    turned_degrees,
)
from workstation.planning.fracture_registration import (
    lay_onto,
    principal_starts,
    turned_starts,
)

DISTANCE = "distance_mm"

Cloud = tuple[Floats, Floats]
"""Points (LPS mm) and the normals there."""

SAMPLES, FACING = 8000, 0.7

FRAGMENT_SHARE = 0.6
"""Of the surface of a fragment that the other side is taken to match."""

MATCHED, LEAST_SHARE, MOST_SHARE = 0.85, 20.0, 75.0
"""Of the surface of what is left of a bone, the part that is no fracture surface; and percent of
the other side's surface that are taken to have a counterpart, at the least and at the most."""

TOLD_SHARE = 0.02
"""Pieces with less than this part of a bone's volume are crumbs."""

TURN_DEGREES = 20.0
FAR_MM = 2.0
"""A fit that is worse than this (rms) is doubtful."""

CONTACT_MM, INSIDE_MM, NEAR_MM = 0.5, 2.0, 6.0
"""Touching; deeper in the target is fracture surface; nearer to the other piece is its edge."""


def mirrored_side(
    bone: SurfaceMesh,
    other: SurfaceMesh,
    plane: Measured | None = None,
    *,
    share_percent: Annotated[float, Ge(20), Le(100)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Mirror the healthy side and lay it onto the bone that is there.

    Adds point data ``distance_mm``, how far the mirrored bone lies from the one that is there;
    positive outside it.

    Args:
        bone: what is left of the bone, closed, LPS mm.
        other: the bone of the other side, in the same frame.
        plane: the plane to mirror at; empty takes the one across the patient's left axis.
        share_percent: how much of the mirrored surface has a counterpart, in percent; the rest is
            left out of the fit. Empty takes it from the surfaces of both bones.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
    """
    require_one_frame(bone, other)
    if plane is not None and plane.frame_uid != bone.frame_uid:
        raise FrameMismatch("the plane to mirror at lies in another frame than the bone")
    image = _mirrored(bone, other, plane)
    starts = [np.eye(4), *principal_starts(image, bone)]
    if share_percent is None:
        left = 100 * MATCHED * area_mm2(bone) / area_mm2(other)
        share_percent = float(np.clip(left, LEAST_SHARE, MOST_SHARE))
    laid = lay_onto(image, bone, starts, share=share_percent / 100, progress=share(progress, 0, 2))
    moved = moved_surface(image, as_transform(laid.matrix, bone.frame_uid, image.points_mm[0]))
    progress(0.6, "measuring distances")
    away = NearestOnSurface(bone).signed_mm(moved.points_mm, share(progress, 1, 2))
    areas, size = point_areas_mm2(moved), np.abs(away)
    source = f"nearest places, the best {share_percent:.3g} % of the surface"
    numbers = (
        Number("fit_rms", laid.rms_mm, "mm", source),
        Number("median", weighted_percentile(size, areas, 50), "mm",
               "distance of the mirrored bone from the one that is there, by area"),
        Number("95th_percentile", weighted_percentile(size, areas, 95), "mm",
               "distance of the mirrored bone from the one that is there, by area"),
    )  # fmt: skip
    return replace(
        moved, name=f"mirrored {other.name}".strip(), point_data={DISTANCE: away},
        numbers=numbers, findings=_doubtful(laid.rms_mm),
    )  # fmt: skip


def _mirrored(bone: SurfaceMesh, other: SurfaceMesh, plane: Measured | None) -> SurfaceMesh:
    if plane is None:
        normal = np.array([1.0, 0.0, 0.0])
        point = (bone.points_mm.mean(axis=0) + other.points_mm.mean(axis=0)) / 2
    else:
        normal = np.asarray(plane.places["normal"], float)
        point = np.asarray(plane.places["point_mm"], float)
    away = (other.points_mm - point) @ normal
    points = other.points_mm - 2 * away[:, None] * normal
    return replace(other.reshaped(points, other.triangles[:, ::-1]), numbers=(), findings=())


def fragment(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    number: Annotated[int, Ge(1), Le(50)] = 1,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Take a bone, or one fragment of a broken one: the largest, the second and so on.

    Args:
        bone: the closed surface or the label with all fragments; they must not touch.
        label: name of one of several labels: of a fragment that was labelled by itself.
        number: which piece, 1 is the largest.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if there are fewer pieces.
    """
    mesh = bone_surface(bone, label)
    progress(0.3, "telling the fragments apart")
    piece = pieces(mesh)
    volumes = piece_volumes_mm3(mesh, piece)
    order = np.argsort(-volumes, kind="stable")
    order = order[volumes[order] > 0]
    if number > len(order):
        raise ValueError(
            f"the bone has {len(order)} piece{'s' * (len(order) != 1)}, so there is no number "
            f"{number}; split the label where fragments touch"
        )
    kept = mesh.triangles[piece == order[number - 1]]
    used, cells = np.unique(kept, return_inverse=True)
    part = replace(mesh.reshaped(mesh.points_mm[used], cells.reshape(-1, 3)),
                   name=f"fragment {number}", findings=())  # fmt: skip
    part = measured_solid(part, enclosed_mm3(part))
    told = _pieces_told(volumes[order]) if number == 1 else ()
    return replace(part, findings=(*part.findings, *told))


def _pieces_told(volumes_mm3: Floats) -> tuple[Finding, ...]:
    """Say of how many pieces a bone is, from their volumes, the largest first."""
    kept = volumes_mm3[volumes_mm3 >= TOLD_SHARE * volumes_mm3.sum()]
    if len(kept) < 2:
        return ()
    sizes = [f"{volume / 1000:.3g}" for volume in kept[:5]]
    listed = f"{', '.join(sizes[:-1])} and {sizes[-1]} mL" + (len(kept) > 5) * " and smaller ones"
    text = f"the bone is in {len(kept)} pieces, of {listed}; this is the largest"
    return (Finding(Severity.INFO, "several_pieces", text),)


def reduction_move(
    fragment: SurfaceMesh,
    target: SurfaceMesh | None = None,
    *,
    share_percent: Annotated[float, Ge(20), Le(100)] = 100 * FRAGMENT_SHARE,
    shift_mm: Vector = (0.0, 0.0, 0.0),
    turn_degrees: Vector = (0.0, 0.0, 0.0),
    progress: Progress = silent,
) -> Transform:
    """Say how a fragment is moved back into place.

    With a target the fragment is first laid onto it, which is a proposal; shift and turn come on
    top of it, about the middle of the fragment where it lies then.

    Args:
        fragment: the piece that moves, LPS mm.
        target: the mirrored other side, laid onto the piece that stays; empty proposes nothing.
        share_percent: how much of the fragment's surface lies on the outside of the bone, in
            percent; the fracture surface is left out of the fit.
        shift_mm: further shift to the left, back and up, in mm.
        turn_degrees: further turns about the axes to the left, back and up, one after the other.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
    """
    matrix, numbers = np.eye(4), []
    findings: tuple[Finding, ...] = ()
    if target is not None:
        require_one_frame(fragment, target)
        starts = turned_starts(fragment, TURN_DEGREES)
        laid = lay_onto(fragment, target, starts, share=share_percent / 100, progress=progress)
        matrix, findings = laid.matrix, _doubtful(laid.rms_mm)
        source = f"nearest places on the target, the best {share_percent:g} % of the surface"
        numbers.append(Number("fit_rms", laid.rms_mm, "mm", source))
    middle = fragment.points_mm.mean(axis=0)
    there = matrix[:3, :3] @ middle + matrix[:3, 3]
    matrix = six_numbers(there, shift_mm, turn_degrees) @ matrix
    way = matrix[:3, :3] @ middle + matrix[:3, 3] - middle
    numbers += [
        Number("shift", float(np.linalg.norm(way)), "mm", "of the fragment's middle, in all"),
        Number("turn", turned_degrees(matrix), "degrees", "of the fragment, in all"),
    ]
    return as_transform(matrix, fragment.frame_uid, middle, numbers, findings)


def move_fragment(
    fragment: SurfaceMesh, move: Transform, *, progress: Progress = silent
) -> SurfaceMesh:
    """Put a fragment where a move takes it.

    Args:
        fragment: the piece that moves, LPS mm.
        move: how it is moved.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the move belongs to another frame.
    """
    move.require(fragment.frame_uid, fragment.frame_uid)
    moved = moved_surface(fragment, move)
    return measured_solid(moved, enclosed_mm3(moved))


def reduction_check(
    fragment: SurfaceMesh,
    other: SurfaceMesh,
    target: SurfaceMesh | None = None,
    also: SurfaceMesh | None = None,
    *,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Measure how a fragment lies against the piece that stays.

    Adds point data ``distance_mm``, the distance of the fragment from the other piece, negative
    where it lies in it. With a target, the step at the fracture line and the gap between the
    fracture surfaces too.

    Args:
        fragment: the fragment where it was moved, closed, LPS mm.
        other: the piece that stays, closed.
        target: the mirrored other side; without it there is neither step nor gap.
        also: another fragment, where it was moved, that this one must fit too.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if they lie in different frames.
        OpenSurface: if a piece is not closed.
    """
    others = [piece for piece in (other, also) if piece is not None]
    for piece in others:
        require_one_frame(fragment, piece)
    progress(0.0, "looking for a collision")
    shared = [divide(fragment, piece).inside for piece in others]
    collision = sum(enclosed_mm3(inside) for inside in shared if len(inside.triangles))
    other = _together(others)
    found = NearestOnSurface(other)
    away = found.signed_mm(fragment.points_mm, share(progress, 1, 3))
    cloud = even_points(fragment, SAMPLES)
    between = found.signed_mm(cloud[0], share(progress, 2, 3))
    part = float((between < CONTACT_MM).mean()) * area_mm2(fragment)
    deep = -min(float(away.min()), float(between.min()))
    numbers = [
        Number("collision_volume", collision / 1000, "mL", "what both pieces fill"),
        Number("contact_area", part / 100, "cm2",
               f"surface of the fragment within {CONTACT_MM:g} mm of the other piece, or in it"),
        Number("least_distance", -deep, "mm", "negative where the pieces collide"),
    ]  # fmt: skip
    findings = []
    if target is not None:
        require_one_frame(fragment, target)
        more, notes = _left_over(cloud, between, other, target)
        numbers, findings = numbers + more, notes
    if deep > CONTACT_MM:
        text = f"the pieces overlap by {collision / 1000:.2g} mL, {deep:.1f} mm deep"
        findings.append(Finding(Severity.WARNING, "pieces_collide", text, remedy="move it apart"))
    return replace(fragment, name="fit of the fragment", point_data={DISTANCE: away},
                   numbers=tuple(numbers), findings=tuple(findings))  # fmt: skip


def _together(pieces_: Sequence[SurfaceMesh]) -> SurfaceMesh:
    """Return pieces as one surface."""
    if len(pieces_) == 1:
        return pieces_[0]
    before = np.cumsum([0, *(len(piece.points_mm) for piece in pieces_[:-1])])
    cells = [piece.triangles + start for piece, start in zip(pieces_, before)]
    points = np.vstack([piece.points_mm for piece in pieces_])
    return pieces_[0].reshaped(points, np.vstack(cells))


def _left_over(
    cloud: Cloud, between: Floats, other: SurfaceMesh, target: SurfaceMesh
) -> tuple[list[Number], list[Finding]]:
    """Return the step and the gap that are left, from points and normals even over the fragment.

    ``between`` are their distances from the other piece. The step is by how much more the
    fragment stands out from the target than the other piece does beside it; the gap is between
    the fracture surfaces, which lie deep in the target.
    """
    out, facing = _stands_out(cloud, target)
    others = even_points(other, SAMPLES)
    theirs, there = _stands_out(others, target)
    there &= theirs > -INSIDE_MM
    edge = facing & (out > -INSIDE_MM) & (np.abs(between) < NEAR_MM)
    broken = ~facing & (out < -INSIDE_MM)
    numbers: list[Number] = []
    findings = []
    if edge.any() and there.any():
        beside = cKDTree(others[0][there]).query(cloud[0][edge])[1]
        step = np.abs(out[edge] - theirs[there][beside])
        numbers += _spread("step", step, "how much more one side of the fracture line stands out "
                           "from the target than the other")  # fmt: skip
    else:
        text = "the pieces lie too far from each other for a step to be told"
        findings.append(Finding(Severity.WARNING, "pieces_apart", text))
    if broken.any():
        gap = np.maximum(between[broken], 0.0)
        numbers += _spread("gap", gap, "from the fragment's fracture surface to the other piece")
    else:
        text = "the fragment has no fracture surface within the target, so no gap is told"
        findings.append(Finding(Severity.WARNING, "no_fracture_surface", text))
    return numbers, findings


def _stands_out(cloud: Cloud, target: SurfaceMesh) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return how far points lie outside the target (mm), and which of them face as it does."""
    finder = NearestOnSurface(target)
    found = finder(cloud[0])
    out = found.distance_mm * finder.side(cloud[0], found)
    facing = np.einsum("ij,ij->i", cloud[1], face_normals(target)[found.triangle]) > FACING
    return out, facing


def _spread(name: str, values: Floats, source: str) -> list[Number]:
    middle, high = np.percentile(values, (50, 95))
    return [
        Number(f"{name}_median", float(middle), "mm", f"{source}; median by area"),
        Number(f"{name}_95", float(high), "mm", f"{source}; 95th percentile by area"),
    ]


def _doubtful(rms_mm: float) -> tuple[Finding, ...]:
    if rms_mm <= FAR_MM:
        return ()
    text = f"the surfaces match within {rms_mm:.1f} mm only, so the place is doubtful"
    remedy = "look at it, and move the piece by hand"
    return (Finding(Severity.WARNING, "hardly_matches", text, remedy=remedy),)
