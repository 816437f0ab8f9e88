"""Landmarks of the femur, proposed from its surface in any pose; clicked points win.

What they are is that of Paley, Principles of Deformity Correction, Springer 2002, chapter 1: the
mechanical axis runs from the centre of the head to the middle of the knee, the joint line touches
both condyles, and the anatomical axis is that of the middle of the shaft. Points are DICOM patient
LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_axes import (
    Ball,
    Cloud,
    across_of,
    bridge,
    find_ball,
    long_axis,
    section_around,
    unit,
)
from workstation.planning.bone_landmarks_parts import ball_text, head_numbers, put_shaft, upward
from workstation.planning.bone_landmarks_record import Choice, Marks, bone_surface

HEAD_MM = (15.0, 34.0)
"""Radii between which a ball is taken for a femoral head."""

WHOLE, ENOUGH = 0.5, 0.38
"""Share of a ball that a head shows at least, to be sure and to be proposed; condyles show less."""

TWIN, ALIKE = 1.15, 0.72
"""A second ball, farther from the first one's centre than this many radii, whose radius and whose
share agree to more than this, tells condyles from a head.
"""

DISTAL = 0.16
"""Share of the femur's length that its condyles take up at the most."""

CONDYLES_MM = (28.0, 75.0)
"""Between these lie the points on which the condyles rest."""

ARCH_MM, LEVEL_MM, BIN_MM = 3.0, 1.0, 2.0
"""A notch is at least so high; its top is what lies so near to it; points are sorted into bins."""

FINE = 40_000
NECK_FROM, NECK_TO = 1.1, 2.1
"""Where the neck's narrowest section is looked for, in radii from the centre of the head."""

LINES = (
    ("head", "notch"),
    ("shaft_bottom", "shaft_top"),
    ("head", "neck"),
    ("lateral_distal", "medial_distal"),
    ("lateral_posterior", "medial_posterior"),
)


def femur_landmarks(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    side: Choice = None,
    head_mm: Vector | None = None,
    neck_mm: Vector | None = None,
    notch_mm: Vector | None = None,
    lateral_distal_mm: Vector | None = None,
    medial_distal_mm: Vector | None = None,
    lateral_posterior_mm: Vector | None = None,
    medial_posterior_mm: Vector | None = None,
    shaft_top_mm: Vector | None = None,
    shaft_bottom_mm: Vector | None = None,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the landmarks and axes of a femur.

    Each is proposed from the shape of the bone, in any position, and says how it was found; what
    the image does not show is not proposed. A point given by hand wins. Which side the bone
    belongs to follows from its shape and is compared with the side that is declared.

    Args:
        bone: the closed surface or the label of one femur.
        label: name of one of several labels.
        side: the side that the bone is meant to belong to; another one is refused.
        head_mm: centre of the femoral head, by hand, LPS mm.
        neck_mm: middle of the neck, by hand.
        notch_mm: top of the notch between the condyles, by hand: the middle of the knee.
        lateral_distal_mm: lowest point of the lateral condyle, by hand.
        medial_distal_mm: lowest point of the medial condyle, by hand.
        lateral_posterior_mm: rearmost point of the lateral condyle, by hand.
        medial_posterior_mm: rearmost point of the medial condyle, by hand.
        shaft_top_mm: upper end of the middle of the shaft, by hand.
        shaft_bottom_mm: lower end of the middle of the shaft, by hand.
        uncertainty_mm: how far a landmark may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        WrongSide: if the bone is that of the other side.
        ValueError: if there is nothing to look at.
    """
    given = {
        "head": head_mm, "neck": neck_mm, "notch": notch_mm,
        "lateral_distal": lateral_distal_mm, "medial_distal": medial_distal_mm,
        "lateral_posterior": lateral_posterior_mm, "medial_posterior": medial_posterior_mm,
        "shaft_top": shaft_top_mm, "shaft_bottom": shaft_bottom_mm,
    }  # fmt: skip
    mesh = bone_surface(bone, label)
    return _found(mesh, Marks("femur", given, bone), side, uncertainty_mm, progress)


def _found(
    mesh: SurfaceMesh, marks: Marks, side: Choice, uncertainty_mm: float | None, progress: Progress
) -> Measured:
    """Return the landmarks, found one after the other: each needs those before it."""
    cloud = Cloud.of(mesh)
    progress(0.2, "looking for the head")
    ball = _head(cloud, marks)
    axis = upward(cloud, marks)
    progress(0.4, "looking for the shaft")
    put_shaft(mesh, axis, marks)
    progress(0.6, "looking for the neck")
    _neck(mesh, ball, marks)
    progress(0.7, "looking for the condyles")
    _condyles(mesh, marks)
    marks.span("length", "head", "notch", "centre of the head to the notch")
    found = marks.require_side(side)
    text = f"{found or ''} femur".strip()
    return marks.measured(mesh, LINES, text, head_numbers(ball), uncertainty_mm)


def _head(cloud: Cloud, marks: Marks) -> Ball | None:
    """Put the centre of the head; return its ball where one was found."""
    axis = long_axis(cloud.points_mm)
    height = cloud.points_mm @ axis
    reach = max(0.22 * float(np.ptp(height)), 60.0)
    ends = (height < height.min() + reach, height > height.max() - reach)
    balls = [(find_ball(cloud.where(end), *HEAD_MM), end) for end in ends]
    best, end = max(balls, key=lambda found: 0.0 if found[0] is None else found[0].share)
    if best is None or best.share < ENOUGH:
        marks.put("head", None, "no end of the bone is round enough for a head")
        return None
    away = np.linalg.norm(cloud.points_mm - best.centre_mm, axis=1)
    other = find_ball(cloud.where(end & (away > TWIN * best.radius_mm)), *HEAD_MM)
    alike = other is not None and min(
        other.share / best.share, other.radius_mm / best.radius_mm, best.radius_mm / other.radius_mm
    )
    if alike > ALIKE:
        marks.put("head", None, "the end that is round has two balls, so these are condyles")
        return None
    marks.put("head", best.centre_mm, ball_text(best), sure=best.share >= WHOLE)
    return best


def _neck(mesh: SurfaceMesh, ball: Ball | None, marks: Marks) -> None:
    head = marks.points.get("head")
    if head is None or ball is None or "medial" not in marks.directions:
        marks.put("neck", None, "the head or the shaft is unknown")
        return
    up, medial = marks.directions["up"], marks.directions["medial"]
    aside = float((head - marks.points["shaft_top"]) @ medial)
    towards = unit(-aside * medial - 0.75 * aside * up)
    best: tuple[float, Floats] | None = None
    for _ in range(4):
        cuts = []
        for times in np.arange(NECK_FROM, NECK_TO, 0.08):
            at = head + times * ball.radius_mm * towards
            cut = section_around(mesh, at, towards)
            if cut is not None and np.linalg.norm(cut[0] - at) < 0.6 * ball.radius_mm:
                cuts.append((cut[1], cut[0]))
        if not cuts:
            break
        best = min(cuts, key=lambda cut: cut[0])
        towards = unit(best[1] - head)
    if best is None or best[0] > 0.9 * np.pi * ball.radius_mm**2:
        marks.put("neck", None, "no narrow section beside the head")
        return
    how = f"middle of the neck's narrowest section, {best[0] / 100:.1f} cm²"
    marks.put("neck", best[1], how)


def _condyles(mesh: SurfaceMesh, marks: Marks) -> None:
    """Put the points on which the condyles rest, below and behind, and the notch."""
    names = ("medial_posterior", "lateral_posterior", "medial_distal", "lateral_distal")
    needed = {"up", "medial"} <= marks.directions.keys() and "head" in marks.points
    low = None
    if needed:
        up = marks.directions["up"]
        height = mesh.points_mm @ up
        low = mesh.points_mm[height < height.min() + DISTAL * float(np.ptp(height))]
        needed = _behind(low, marks)
    if low is None or not needed:
        for name in (*names, "notch"):
            marks.put(name, None, "no two condyles are there")
        return
    fine = Cloud.of(mesh, FINE).points_mm
    height = fine @ marks.directions["up"]
    fine = fine[height < height.min() + DISTAL * float(np.ptp(height))]
    notch, arch = _below(low, fine, marks)
    top = f"middle of the top of the arch between the condyles, {arch:.1f} mm high"
    marks.put("notch", notch, top if notch is not None else "no arch between the condyles")
    if "notch" in marks.points:
        marks.directions["up"] = unit(marks.points["head"] - marks.points["notch"])
        _behind(low, marks)
        _below(low, fine, marks)
    _put_condyles(marks, low)


def _behind(low: Floats, marks: Marks) -> bool:
    """Turn the directions by the condyles' rear; tell whether there are two of them."""
    up, rough = marks.directions["up"], marks.directions["medial"]
    front = np.cross(up, rough)
    shaft = marks.points["shaft_bottom"]
    away = (low - shaft) @ front
    back = -front if -float(away.min()) > float(away.max()) else front
    rest = bridge(low, (rough, front), back)
    if rest is None:
        return False
    ends = low[list(rest)]
    line = across_of(ends[1] - ends[0], up)
    apart = abs(float((ends[1] - ends[0]) @ line))
    if not CONDYLES_MM[0] < apart < CONDYLES_MM[1]:
        return False
    medial = line if line @ rough > 0 else -line
    marks.directions["medial"] = medial
    anterior = np.cross(up, medial)
    marks.directions["anterior"] = anterior if anterior @ back < 0 else -anterior
    return True


def _below(low: Floats, fine: Floats, marks: Marks) -> tuple[Floats | None, float]:
    """Return the top of the arch between the condyles and its height in mm."""
    up, medial = marks.directions["up"], marks.directions["medial"]
    rest = bridge(low, (medial, up), -up, 30.0)
    if rest is None:
        return None, 0.0
    one, two = sorted((low[n] for n in rest), key=lambda p: float(p @ medial))
    start, width = float(one @ medial), float((two - one) @ medial)
    if not CONDYLES_MM[0] < width < CONDYLES_MM[1]:
        return None, 0.0
    level = float(one @ up) + (fine @ medial - start) / width * float((two - one) @ up)
    height, place = fine @ up - level, ((fine @ medial - start) / BIN_MM).astype(int)
    count = int(width / BIN_MM)
    inside = (place >= 0) & (place < count) & (fine @ medial >= start)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, place[inside], height[inside])
    lowest = np.where(np.isfinite(lowest), lowest, -np.inf)
    top = float(lowest.max())
    if top < ARCH_MM:
        return None, top
    near = inside & (np.abs(height - top) < LEVEL_MM)
    near &= np.isin(place, np.flatnonzero(lowest > top - LEVEL_MM))
    along, away = fine[near] @ medial, fine[near] @ marks.directions["anterior"]
    point = fine[near].mean(axis=0)
    point += ((along.min() + along.max()) / 2 - point @ medial) * medial
    point += ((away.min() + away.max()) / 2 - point @ marks.directions["anterior"]) * (
        marks.directions["anterior"]
    )
    return point, top


def _put_condyles(marks: Marks, low: Floats) -> None:
    up, medial = marks.directions["up"], marks.directions["medial"]
    back = -marks.directions["anterior"]
    for name, towards, within in (("posterior", back, 40.0), ("distal", -up, 30.0)):
        axes = (medial, back) if name == "posterior" else (medial, up)
        rest = bridge(low, axes, towards, within)
        ends: list[Floats] = [] if rest is None else sorted(
            (low[n] for n in rest), key=lambda p: float(p @ medial))  # fmt: skip
        apart = float((ends[1] - ends[0]) @ medial) if ends else 0.0
        fine = CONDYLES_MM[0] < apart < CONDYLES_MM[1]
        for n, one in enumerate(("lateral", "medial")):
            how = f"where a ruler rests on both condyles, {apart:.0f} mm apart"
            point = ends[n] if fine else None
            marks.put(f"{one}_{name}", point, how if fine else "no two condyles are there")
