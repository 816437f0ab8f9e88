"""The pieces of a fibula graft in the mandible: their bodies, their joints, how they follow it.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from manifold3d import Manifold, OpType

from meshing.booleans import SLIVER, as_solid, from_solid, measured_solid
from meshing.clipping import split_by_plane
from meshing.curves import arc_length_mm
from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh, area_mm2, enclosed_mm3
from meshing.symmetry import even_points
from meshing.tree import triangle_tree
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.measured import Measured, middle_mm
from segmentation.volume import Floats
from workstation.planning.bone_moves import as_transform, moved_surface
from workstation.planning.fibula_fit import Plane
from workstation.planning.fibula_graft import ENDS, KERF, count_of, cut_of, move_of, number_of
from workstation.planning.fit_placement import SmallMove, small_moves
from workstation.planning.mandible import UP, local_face
from workstation.planning.mandible_border import evenly
from workstation.planning.osteotomy import CONTACT_MM, cut_face
from workstation.planning.resection import CutPlane

GRAFT = (0x9F, 0xC2, 0xE6)
SAMPLES = 1500
JOINED_MM = 0.05
"""By so much pieces are made longer at either end, to be one solid with their neighbours."""

SEARCH_MM = 40.0
"""From this far outside of the arch the outer face of the bone is looked for."""


def graft_pieces(
    fibula: SurfaceMesh, graft: Measured, *, progress: Progress = silent
) -> SurfaceMesh:
    """Cut the fibula by the plan of a graft and place its pieces in the mandible.

    Args:
        fibula: the closed surface of the fibula that the graft was planned on.
        graft: as it was planned.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the measurement is no graft, or the planes miss the bone.
    """
    parts = placed_pieces(fibula, graft, progress)
    numbers = [
        Number(f"volume_{n}", enclosed_mm3(part) / 1000, "mL", f"of piece {n}, its marrow included")
        for n, part in enumerate(parts, 1)
    ]
    whole = replace(_together(parts, "graft"), colour=GRAFT)
    solid = measured_solid(whole, enclosed_mm3(whole))
    return replace(solid, numbers=(*numbers, *solid.numbers))


def placed_pieces(
    fibula: SurfaceMesh, graft: Measured, progress: Progress = silent, longer_mm: float = 0.0
) -> list[SurfaceMesh]:
    """Return the pieces of a graft in the mandible, each ``longer_mm`` at either end."""
    count, found = count_of(graft), []
    for n in range(1, count + 1):
        share(progress, n - 1, count)(0.1, f"cutting piece {n}")
        low, high = (cut_of(graft, n, end) for end in ENDS)
        above = split_by_plane(fibula, low.shifted(-longer_mm).point_mm, low.normal)[0]
        piece = split_by_plane(above, high.shifted(longer_mm).point_mm, high.normal)[1]
        move = as_transform(move_of(graft, n), graft.frame_uid, high.point_mm)
        placed = moved_surface(piece, move)
        found.append(replace(placed, frame_uid=graft.frame_uid, name=f"piece {n}"))
    return found


def _together(parts: list[SurfaceMesh], name: str) -> SurfaceMesh:
    """Return several surfaces in one."""
    starts = np.cumsum([0, *(len(part.points_mm) for part in parts[:-1])])
    points = np.concatenate([part.points_mm for part in parts])
    cells = np.concatenate([part.triangles + start for part, start in zip(parts, starts)])
    return replace(parts[0].reshaped(points, cells), name=name, numbers=(), findings=())


def fibula_cut(
    fibula: SurfaceMesh,
    graft: Measured,
    *,
    segment: Annotated[int, Ge(1), Le(4)] = 1,
    end: Literal["ankle", "knee"] = "ankle",
    progress: Progress = silent,
) -> CutPlane:
    """Take one cut of a graft as a plane through the fibula, for its guide.

    It is the middle of the saw's way: half its width outside of the piece.

    Args:
        fibula: the closed surface of the fibula.
        graft: as it was planned.
        segment: the piece, counted from the ankle up.
        end: ankle or knee, the end of the piece that is cut.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no such piece.
    """
    count = count_of(graft)
    if segment > count:
        raise ValueError(f"the graft has {count} pieces, so there is no piece {segment}")
    aside = number_of(graft, KERF) / 2
    plane = cut_of(graft, segment, end).shifted(-aside if end == "ankle" else aside)
    face = local_face(fibula, plane.point_mm, plane.normal)
    number = Number("area", area_mm2(face) / 100, "cm2", "fibula that the plane cuts")
    return CutPlane(as_vector(plane.point_mm), as_vector(plane.normal), fibula.frame_uid, face,
                    numbers=(number,))  # fmt: skip


def graft_fit(
    fibula: SurfaceMesh,
    graft: Measured,
    remaining: SurfaceMesh,
    border: Measured,
    *,
    move_mm: Annotated[float, Ge(0), Le(10)] = 1.0,
    turn_degrees: Annotated[float, Ge(0), Le(15)] = 1.0,
    progress: Progress = silent,
) -> Measurements:
    """Measure how the pieces of a graft meet each other and the mandible, and follow its border.

    Joints are numbered from the ankle's end: joint 1 is that of the mandible with piece 1. Values
    are those of the plan; bands go from the least to the most when the piece at a joint, or the
    graft as a whole for the border, is placed a little wrong: moved there and back along three
    axes and turned both ways about each, one at a time.

    Args:
        fibula: the closed surface of the fibula.
        graft: as it was planned.
        remaining: what the resection leaves of the mandible.
        border: its lower border, as it was.
        move_mm: by how much a piece may be placed wrong.
        turn_degrees: by how much it may be turned about its middle.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if graft, border and mandible lie in different frames.
    """
    if {remaining.frame_uid, border.frame_uid} != {graft.frame_uid}:
        raise FrameMismatch("graft, border and mandible lie in different frames of reference")
    parts = placed_pieces(fibula, graft, share(progress, 0, 2))
    numbers: list[Number] = []
    findings: list[Finding] = []
    for joint in range(len(parts) + 1):
        progress(0.5 + 0.4 * joint / len(parts), f"measuring joint {joint + 1}")
        n, end = (joint, "knee") if joint else (1, "ankle")
        own = parts[n - 1]
        other = parts[joint] if 0 < joint < len(parts) else remaining
        plane = cut_of(graft, n, end).moved(move_of(graft, n))
        made = _joint(joint + 1, own, other, plane, (move_mm, turn_degrees))
        numbers += made.numbers
        findings += made.findings
    numbers += _outline(parts, graft, border, (move_mm, turn_degrees))
    return Measurements(tuple(numbers), tuple(findings))


Error = tuple[float, float]
"""By how much a piece is placed wrong: mm and degrees."""


def _moves(middle_mm: Floats, error: Error) -> list[SmallMove]:
    """Return the twelve errors of placing a piece, along the patient's axes about a middle."""
    return list(small_moves(middle_mm, list(np.eye(3)), ("left", "back", "up"), *error))


def _how(error: Error) -> str:
    return f"band of placing it {error[0]:g} mm or {error[1]:g} degrees wrong, twelve ways"


def _joint(
    n: int, own: SurfaceMesh, other: SurfaceMesh, plane: Plane, error: Error
) -> Measurements:
    """Return how the face of a piece meets what lies beyond it."""
    face = cut_face(own, plane.point_mm, plane.normal)
    spots = even_points(face, SAMPLES)[0]
    bone, middle = NearestOnSurface(other), own.points_mm.mean(axis=0)
    held = [spots, *(move.of(spots) for move in _moves(middle, error))]
    every = [np.maximum(bone.signed_mm(points), 0.0) for points in held]
    shares = [float((away <= CONTACT_MM).mean()) for away in every]
    gaps = [float(away.min()) for away in every]
    part, area, how = shares[0], area_mm2(face) / 100, _how(error)
    source = f"face of the graft within {CONTACT_MM:g} mm of bone, marrow included; {how}"
    across = f"least distance across the joint; {how}"
    numbers = (
        Number(f"contact_share_{n}", 100 * part, "%", source, 100 * min(shares), 100 * max(shares)),
        Number(f"contact_area_{n}", part * area, "cm2", source,
               min(shares) * area, max(shares) * area),
        Number(f"bone_gap_{n}", gaps[0], "mm", across, min(gaps), max(gaps)),
    )  # fmt: skip
    findings: tuple[Finding, ...] = ()
    if part == 0.0:
        text = f"no bone meets the graft at joint {n}"
        findings = (Finding(Severity.PROBLEM, "no_contact", text, as_vector(spots.mean(axis=0)),
                            "move the graft (lift_mm, inset_mm) or the cut"),)  # fmt: skip
    return Measurements(numbers, findings)


def _outline(
    parts: list[SurfaceMesh], graft: Measured, border: Measured, error: Error
) -> list[Number]:
    """Return how far the graft's surface lies from the lost part of the border."""
    ends = graft.lines_mm[0][[0, -1]]
    line = border.lines_mm[0]
    low, high = sorted(int(np.linalg.norm(line - end, axis=1).argmin()) for end in ends)
    whole, lost = _together(parts, "graft"), line[low : high + 1]
    bone, moves = NearestOnSurface(whole), _moves(whole.points_mm.mean(axis=0), error)
    every = [bone(points).distance_mm for points in (lost, *(m.back(lost) for m in moves))]
    means, most = ([float(f(away)) for away in every] for f in (np.mean, np.max))
    source = f"of the mandible's lost border from the surface of the graft; {_how(error)}"
    return [
        Number("border_mean", means[0], "mm", source, min(means), max(means)),
        Number("border_most", most[0], "mm", source, min(most), max(most)),
    ]


def rebuilt_mandible(
    remaining: SurfaceMesh, fibula: SurfaceMesh, graft: Measured, *, progress: Progress = silent
) -> SurfaceMesh:
    """Join the graft with what is left of the mandible to one solid, for a plate along it.

    Args:
        remaining: what the resection leaves of the mandible.
        fibula: the closed surface of the fibula.
        graft: as it was planned.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if graft and mandible lie in different frames.
    """
    if remaining.frame_uid != graft.frame_uid:
        raise FrameMismatch("graft and mandible lie in different frames of reference")
    parts = placed_pieces(fibula, graft, share(progress, 0, 2), longer_mm=JOINED_MM)
    at = remaining.points_mm.mean(axis=0)
    whole = Manifold.batch_boolean([as_solid(m, at) for m in (remaining, *parts)], OpType.Add)
    solids = [s for s in whole.decompose() if s.volume() > SLIVER * whole.volume()]
    mesh = from_solid(remaining, Manifold.batch_boolean(solids, OpType.Add), at)
    count = len(solids)
    findings: tuple[Finding, ...] = ()
    if count > 1:
        text = f"mandible and graft are {count} pieces that do not touch"
        findings = (Finding(Severity.WARNING, "loose_pieces", text, remedy="lessen gap_mm"),)
    solid = measured_solid(replace(mesh, name="rebuilt mandible"), enclosed_mm3(mesh))
    return replace(solid, findings=findings)


def plate_line(
    rebuilt: SurfaceMesh,
    graft: Measured,
    border: Measured,
    *,
    beyond_mm: Annotated[float, Gt(0), Le(80)] = 25.0,
    every_mm: Annotated[float, Ge(3), Le(40)] = 10.0,
    progress: Progress = silent,
) -> Measured:
    """Draw the line of a plate on the outer face of the graft and of the bone at both its ends.

    Args:
        rebuilt: the mandible with the graft.
        graft: as it was planned.
        border: the lower border of the mandible, as it was.
        beyond_mm: how far the line goes on over the mandible at either end, along the border.
        every_mm: distance between its points.
        progress: told how far the work is.

    Raises:
        ValueError: if the border ends before, or no bone is met.
    """
    up = np.asarray(border.places[UP], float)
    chain = np.asarray(graft.lines_mm[0])
    line = border.lines_mm[0]
    ends = sorted(int(np.linalg.norm(line - spot, axis=1).argmin()) for spot in chain[[0, -1]])
    if np.linalg.norm(line[ends[0]] - chain[0]) > np.linalg.norm(line[ends[1]] - chain[0]):
        chain = chain[::-1]
    length = arc_length_mm(line)
    first, last = (int(np.searchsorted(length, at)) for at in
                   (length[ends[0]] - beyond_mm, length[ends[1]] + beyond_mm))  # fmt: skip
    if first == 0 or last >= len(line):
        raise ValueError(
            f"the border ends less than {beyond_mm:g} mm beyond the graft; lessen beyond_mm, or "
            "pick the border further (path_mm)"
        )
    before = line[first : ends[0]] + (chain[0] - line[ends[0]])
    after = line[ends[1] + 1 : last] + (chain[-1] - line[ends[1]])
    middle = evenly(np.concatenate([before, chain, after]), every_mm)
    progress(0.5, "looking for the outer face")
    out = np.cross(np.gradient(middle, axis=0), up)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    tree = triangle_tree(rebuilt.points_mm, rebuilt.triangles)
    way, _ = first_hits(tree, middle + SEARCH_MM * out, -out, np.full(len(out), -1),
                        reach_mm=2 * SEARCH_MM)  # fmt: skip
    met = np.isfinite(way)
    if met.sum() < 2:
        raise ValueError("no outer face of bone is met along the graft; pick the path by hand")
    spots = middle[met] + (SEARCH_MM - way[met])[:, None] * out[met]
    number = Number("length", float(arc_length_mm(spots)[-1]), "mm", "between its points")
    return Measured(rebuilt.frame_uid, (spots,), spots, "plate", middle_mm(spots),
                    numbers=(number,))  # fmt: skip
