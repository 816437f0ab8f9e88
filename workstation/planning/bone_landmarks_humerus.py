"""Landmarks of the humerus, proposed from its surface in any pose; clicked points win.

The head's axis is the normal of the plane of the anatomical neck, through the middle of the head's
ball; retroversion is its angle with the line through both epicondyles (Boileau et al., Clin Orthop
Relat Res 2008;466:661-669). Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from meshing.fitting import plane_fit, plane_residuals, sphere_fit, sphere_residuals
from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_axes import Ball, Cloud, across_of, find_ball, long_axis, unit
from workstation.planning.bone_landmarks_parts import ball_text, head_numbers, put_shaft, upward
from workstation.planning.bone_landmarks_record import Choice, Marks, bone_surface

HEAD_MM = (16.0, 33.0)
"""Radii between which a ball is taken for a humeral head."""

WHOLE, ENOUGH = 0.22, 0.13
"""Share of a ball that a head shows at least, to be sure and to be proposed: it is a cap."""

FINE = 60_000
ON_MM, RADIAL = 1.2, 0.9
"""A point belongs to the head's joint surface if so near to its ball and facing from its middle."""

SECTORS, STEP_DEGREES, BARE = 36, 6.0, 2
"""The joint surface is followed from its middle outward in sectors, in steps of so many degrees;
it ends before so many steps without a point."""

RIM_MM, ROUNDS = 2.0, 3
"""Places of the rim farther from its plane, as beside the groove of the biceps, are left out."""

DISTAL, JOINT = 0.14, 0.05
"""Shares of the length within which the epicondyles, and the lower joint surface, lie."""

WIDTH_MM = (40.0, 85.0)
"""An elbow is so wide between its epicondyles."""

FLATTER, TIP_MM = 0.75, 0.5
"""An elbow is so much less deep than wide at least; points so near to the farthest are a tip."""

FRONT_MM = 2.5
"""By so much the lower joint surface lies in front of the shaft, at least, to tell the front."""

SURE = 0.6
"""Share of the rim that the neck's plane goes through where it is sure."""

Rim = tuple[Floats, Floats, float, float]
"""A point of the neck's plane, its normal, the rms misfit (mm), the share of the rim."""

LINES = (
    ("neck", "apex"),
    ("shaft_bottom", "shaft_top"),
    ("lateral_epicondyle", "medial_epicondyle"),
)


def humerus_landmarks(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    side: Choice = None,
    head_mm: Vector | None = None,
    apex_mm: Vector | None = None,
    neck_mm: Vector | None = None,
    shaft_top_mm: Vector | None = None,
    shaft_bottom_mm: Vector | None = None,
    medial_epicondyle_mm: Vector | None = None,
    lateral_epicondyle_mm: Vector | None = None,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the landmarks and axes of a humerus.

    Each is proposed from the shape of the bone, in any position, and says how it was found; what
    the image does not show is not proposed. A point given by hand wins. Where the elbow is in the
    image, the side that the bone belongs to follows and is compared with the one declared.

    Args:
        bone: the closed surface or the label of one humerus.
        label: name of one of several labels.
        side: the side that the bone is meant to belong to; another one is refused.
        head_mm: centre of the head's ball, by hand, LPS mm.
        apex_mm: middle of the head's joint surface, by hand.
        neck_mm: middle of the plane of the anatomical neck, by hand.
        shaft_top_mm: upper end of the middle of the shaft, by hand.
        shaft_bottom_mm: lower end of the middle of the shaft, by hand.
        medial_epicondyle_mm: tip of the medial epicondyle, by hand.
        lateral_epicondyle_mm: tip of the lateral epicondyle, by hand.
        uncertainty_mm: how far a landmark may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        WrongSide: if the bone is that of the other side.
        ValueError: if there is nothing to look at.
    """
    given = {
        "head": head_mm, "apex": apex_mm, "neck": neck_mm, "shaft_top": shaft_top_mm,
        "shaft_bottom": shaft_bottom_mm, "medial_epicondyle": medial_epicondyle_mm,
        "lateral_epicondyle": lateral_epicondyle_mm,
    }  # fmt: skip
    mesh = bone_surface(bone, label)
    marks = Marks("humerus", given, bone)
    cloud = Cloud.of(mesh)
    progress(0.2, "looking for the head")
    ball = _head(mesh, cloud, marks)
    progress(0.6, "looking for the shaft")
    put_shaft(mesh, upward(cloud, marks), marks)
    progress(0.8, "looking for the epicondyles")
    _epicondyles(mesh, marks)
    _directions(mesh, marks)
    marks.span("epicondylar_width", "medial_epicondyle", "lateral_epicondyle", "tip to tip")
    found = marks.require_side(side)
    marks.face_front(found)
    return marks.measured(mesh, LINES, f"{found or ''} humerus".strip(), head_numbers(ball),
                          uncertainty_mm)  # fmt: skip


def _head(mesh: SurfaceMesh, cloud: Cloud, marks: Marks) -> Ball | None:
    """Put the head's middle, the neck's and that of the joint surface; return the head's ball."""
    height = cloud.points_mm @ long_axis(cloud.points_mm)
    reach = max(0.22 * float(np.ptp(height)), 55.0)
    ends = (height < height.min() + reach, height > height.max() - reach)
    fine = Cloud.of(mesh, FINE)
    balls = [find_ball(cloud.where(end), *HEAD_MM) for end in ends]
    heads = [_followed(fine, b) for b in balls if b is not None and b.share > ENOUGH]
    known = [head for head in heads if head is not None]
    if not known:
        for name in ("head", "neck", "apex"):
            marks.put(name, None, "no end of the bone is round and has a neck as a head has")
        return None
    ball, plane = max(known, key=lambda head: head[0].share)
    marks.put("head", ball.centre_mm, ball_text(ball), sure=ball.share >= WHOLE)
    _put_neck(ball, plane, marks)
    return ball


def _followed(cloud: Cloud, ball: Ball) -> tuple[Ball, Rim] | None:
    """Return the ball of a joint surface alone with the plane of its rim; None without a rim."""
    plane = None
    for _ in range(ROUNDS):
        plane = _rim_plane(cloud, ball)
        if plane is None or not HEAD_MM[0] < ball.radius_mm < HEAD_MM[1]:
            return None
        ball = _ball_above(cloud, ball, plane[0], plane[1])
    return None if plane is None else (ball, plane)


def _put_neck(ball: Ball, plane: Rim, marks: Marks) -> None:
    centre, out, rms, share = plane
    how = f"plane through the rim of the joint surface, rms {rms:.1f} mm, {100 * share:.0f} % of it"
    marks.put("neck", centre, how, sure=share > SURE)
    apex = ball.centre_mm + ball.radius_mm * out
    marks.put("apex", apex, "on the head's ball above the middle of the neck", sure=share > SURE)


def _ball_above(cloud: Cloud, ball: Ball, point: Floats, out: Floats) -> Ball:
    """Return the ball of what lies above the neck's plane: the neck itself is no part of it."""
    arms = cloud.points_mm - ball.centre_mm
    near = np.abs(np.linalg.norm(arms, axis=1) - ball.radius_mm) < RIM_MM
    near &= (cloud.points_mm - point) @ out > RIM_MM
    if near.sum() < SECTORS:
        return ball
    points = cloud.points_mm[near]
    model = sphere_fit(points, np.ones(len(points)), np.append(ball.centre_mm, ball.radius_mm))
    rms = float(np.sqrt((sphere_residuals(model, points) ** 2).mean()))
    share = len(points) * cloud.each_mm2 / (4 * np.pi * float(model[3]) ** 2)
    return Ball(model[:3], float(model[3]), share, rms)


def _rim_plane(cloud: Cloud, ball: Ball) -> Rim | None:
    """Return the plane of the anatomical neck, or None.

    It is given as the point nearest to the ball's centre and its normal (towards the joint
    surface), with the rms misfit in mm and the share of the rim that it goes through.
    """
    arms = cloud.points_mm - ball.centre_mm
    length = np.linalg.norm(arms, axis=1)
    ways = arms / length[:, None]
    on = np.abs(length - ball.radius_mm) < ON_MM
    on &= (ways * cloud.normals).sum(axis=1) > RADIAL
    ways = ways[on]
    if len(ways) < SECTORS:
        return None
    out = unit(ways.mean(axis=0))
    for _ in range(ROUNDS):
        rim = ball.centre_mm + ball.radius_mm * _rim(ways, out)
        model = plane_fit(rim, np.ones(len(rim)))
        near = np.abs(plane_residuals(model, rim)) < RIM_MM
        if near.sum() < SECTORS / 3:
            return None
        model = plane_fit(rim[near], np.ones(int(near.sum())))
        out = unit(model[3:] * np.sign(model[3:] @ out))
    rms = float(np.sqrt((plane_residuals(model, rim[near]) ** 2).mean()))
    level = float((model[:3] - ball.centre_mm) @ out)
    return ball.centre_mm + level * out, out, rms, float(near.mean())


def _rim(ways: Floats, out: Floats) -> Floats:
    """Return where the joint surface ends, as directions from the ball's centre, one a sector."""
    one = across_of(np.eye(3)[int(np.argmin(np.abs(out)))], out)
    two = np.cross(out, one)
    turn = np.arctan2(ways @ two, ways @ one)
    sector = np.minimum(((turn + np.pi) / (2 * np.pi) * SECTORS).astype(int), SECTORS - 1)
    polar = np.degrees(np.arccos(np.clip(ways @ out, -1, 1)))
    ends = []
    for n in range(SECTORS):
        inside = np.sort(polar[sector == n])
        steps = np.diff(inside, prepend=0.0)
        bare = np.flatnonzero(steps > BARE * STEP_DEGREES)
        last = bare[0] - 1 if len(bare) else len(inside) - 1
        if last < 0:
            continue
        angle, about = np.radians(inside[last]), (n + 0.5) / SECTORS * 2 * np.pi - np.pi
        side = np.cos(about) * one + np.sin(about) * two
        ends.append(np.cos(angle) * out + np.sin(angle) * side)
    return np.array(ends).reshape(-1, 3)


def _epicondyles(mesh: SurfaceMesh, marks: Marks) -> None:
    """Put the tips between which the lower end is widest; the medial one lies under the head."""
    names = ("medial_epicondyle", "lateral_epicondyle")
    ends = _widest(mesh, marks) if {"up", "medial"} <= marks.directions.keys() else None
    for n, name in enumerate(names):
        if ends is None:
            marks.put(name, None, "the lower end is not that of an elbow")
        else:
            wide = float(np.linalg.norm(ends[0] - ends[1]))
            marks.put(name, ends[n], f"where the lower end is widest, {wide:.0f} mm")


def _widest(mesh: SurfaceMesh, marks: Marks) -> tuple[Floats, Floats] | None:
    """Return the medial and the lateral tip of the lower end, None where it is no elbow."""
    up, medial = marks.directions["up"], marks.directions["medial"]
    fine = Cloud.of(mesh, FINE // 2).points_mm
    height = fine @ up
    low = fine[height < height.min() + DISTAL * float(np.ptp(height))]
    best, wide = None, 0.0
    for degrees in np.arange(-90.0, 90.0, 1.0):
        turn = np.radians(degrees)
        across = np.cos(turn) * medial + np.sin(turn) * np.cross(up, medial)
        reach = low @ across
        if float(np.ptp(reach)) > wide:
            wide, best = float(np.ptp(reach)), (across, reach)
    if best is None or not WIDTH_MM[0] < wide < WIDTH_MM[1]:
        return None
    across, reach = best
    deep = float(np.ptp(low @ np.cross(up, across)))
    if deep > FLATTER * wide:
        return None
    one, two = (low[far > far.max() - TIP_MM].mean(axis=0) for far in (reach, -reach))
    return (one, two) if across @ medial > 0 else (two, one)


def _directions(mesh: SurfaceMesh, marks: Marks) -> None:
    """Tell front from back by the lower joint surface, which lies in front of the shaft."""
    if not {"medial_epicondyle", "lateral_epicondyle"} <= marks.points.keys():
        marks.directions.pop("medial", None)
        return
    if "up" not in marks.directions:
        return
    up = marks.directions["up"]
    line = marks.points["medial_epicondyle"] - marks.points["lateral_epicondyle"]
    marks.directions["medial"] = across_of(line, up)
    way = np.cross(up, marks.directions["medial"])
    height = mesh.points_mm @ up
    joint = mesh.points_mm[height < height.min() + JOINT * float(np.ptp(height))]
    ahead = float((joint.mean(axis=0) - marks.points["shaft_bottom"]) @ way)
    if abs(ahead) > FRONT_MM:
        marks.directions["anterior"] = np.sign(ahead) * way
