"""Landmarks of the tibia, proposed from its surface in any pose; clicked points win.

The mechanical axis runs from the middle of the plateau to the middle of the ankle, and the joint
line lies on both halves of the plateau (Paley, Principles of Deformity Correction, Springer 2002,
chapter 1). Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from meshing.fitting import plane_fit
from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_axes import Cloud, across_of, long_axis, section_around, unit
from workstation.planning.bone_landmarks_record import Choice, Marks, bone_surface

FINE = 30_000
END, PLATEAU = 0.12, 0.07
"""Shares of the length: of an end, and of what may hold the plateau with its slope."""

FLAT, OVERHANG = 0.85, 1.4
"""Cosine to the axis of what faces along it; by how much an outline of the plateau is larger
than that of the ankle."""

WIDTH_MM = (50.0, 110.0)
"""A plateau is so wide."""

SPINES, RIM = 0.18, 0.8
"""Of half the width: what the spines take up in the middle, and where the rim begins."""

LEVEL_MM, SECTION_MM = 4.0, 7.0
"""What belongs to the ankle's joint surface, and how far below the plateau its outline is taken."""

TUBEROSITY = (0.09, 0.18)
"""Shares of the length below the plateau between which the tuberosity lies."""

STANDS_OUT = 1.15
"""How much farther the tuberosity reaches to the front than the bone reaches back there."""

LINES = (("plateau", "ankle"), ("lateral_plateau", "medial_plateau"))


def tibia_landmarks(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    side: Choice = None,
    plateau_mm: Vector | None = None,
    ankle_mm: Vector | None = None,
    medial_plateau_mm: Vector | None = None,
    lateral_plateau_mm: Vector | None = None,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the landmarks and axes of a tibia.

    Each is proposed from the shape of the bone, in any position, and says how it was found; what
    the image does not show is not proposed. A point given by hand wins. Which side the bone
    belongs to follows from its shape and is compared with the side that is declared.

    Args:
        bone: the closed surface or the label of one tibia, without the fibula.
        label: name of one of several labels.
        side: the side that the bone is meant to belong to; another one is refused.
        plateau_mm: middle of the plateau, by hand, LPS mm.
        ankle_mm: middle of the ankle's joint surface, by hand.
        medial_plateau_mm: middle of the medial half of the plateau, by hand.
        lateral_plateau_mm: middle of the lateral half of the plateau, by hand.
        uncertainty_mm: how far a landmark may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        WrongSide: if the bone is that of the other side.
        ValueError: if there is nothing to look at.
    """
    given = {
        "plateau": plateau_mm, "ankle": ankle_mm, "medial_plateau": medial_plateau_mm,
        "lateral_plateau": lateral_plateau_mm,
    }  # fmt: skip
    progress(0.0, "reading the bone")
    mesh = bone_surface(bone, label)
    marks = Marks("tibia", given, bone)
    cloud = Cloud.of(mesh, FINE)
    progress(0.2, "looking for the plateau")
    up = _upward(mesh, cloud)
    halves = None if up is None else _plateau(mesh, cloud, up, marks)
    progress(0.6, "looking for the ankle")
    _ankle(cloud, up, marks)
    if up is not None and halves is not None:
        _directions(mesh, cloud, up, halves, marks)
    _put_halves(halves, marks)
    marks.span("length", "plateau", "ankle", "middle of the plateau to the middle of the ankle")
    found = marks.require_side(side)
    text = f"{found or ''} tibia".strip()
    return marks.measured(mesh, LINES, text, uncertainty_mm=uncertainty_mm)


def _upward(mesh: SurfaceMesh, cloud: Cloud) -> Floats | None:
    """Return the way along the bone to its wider end, None where neither end is a plateau."""
    axis = long_axis(cloud.points_mm)
    height = cloud.points_mm @ axis
    low, length = float(height.min()), float(np.ptp(height))
    ends = (height < low + END * length, height > low + (1 - END) * length)
    sizes = [_extent(cloud.points_mm[end], axis) for end in ends]
    (wide, deep), narrow = max(sizes), min(sizes)
    if not WIDTH_MM[0] < wide < WIDTH_MM[1] or wide * deep < OVERHANG * narrow[0] * narrow[1]:
        return None
    return axis if sizes[1] > sizes[0] else -axis


def _extent(points: Floats, axis: Floats) -> tuple[float, float]:
    """Return how wide and how deep points reach across an axis, in mm."""
    flat = points - points.mean(axis=0)
    flat = flat - (flat @ axis)[:, None] * axis
    wide = across_of(long_axis(flat), axis)
    return float(np.ptp(flat @ wide)), float(np.ptp(flat @ np.cross(axis, wide)))


def _plateau(
    mesh: SurfaceMesh, cloud: Cloud, up: Floats, marks: Marks
) -> tuple[Floats, Floats] | None:
    """Put the middle of the plateau; return the middles of its halves, in no order."""
    height = cloud.points_mm @ up
    faces = (cloud.normals @ up > FLAT) & (height > height.max() - PLATEAU * np.ptp(height) - 8.0)
    if faces.sum() < 60:
        return None
    points = cloud.points_mm[faces]
    points, model = _on_plane(points, up)
    below = model[:3] - SECTION_MM * up
    cut = section_around(mesh, below, up)
    if cut is None:
        return None
    drop = float((model[:3] - cut[0]) @ model[3:]) / float(up @ model[3:])
    middle = cut[0] + drop * up
    arms = points - points.mean(axis=0)
    wide = across_of(long_axis(arms), up)
    along = (points - middle) @ wide
    half = float(np.percentile(np.abs(along), 98))
    used = (np.abs(along) > SPINES * half) & (np.abs(along) < RIM * half)
    one, two = used & (along < 0), used & (along > 0)
    if min(one.sum(), two.sum()) < 15:
        return None
    how = f"middle of the bone's outline {SECTION_MM:.0f} mm below the plateau, raised to it"
    marks.put("plateau", middle, how)
    marks.directions["plateau_normal"] = model[3:]
    return points[one].mean(axis=0), points[two].mean(axis=0)


def _on_plane(points: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Return the points of the plateau's plane and the plane: point and normal, (6,)."""
    model = plane_fit(points, np.ones(len(points)))
    for within in (4.0, 2.5, 2.0):
        off = (points - model[:3]) @ model[3:]
        off = off - np.median(off)
        kept = np.abs(off) < within
        if kept.sum() < 40:
            break
        points = points[kept]
        model = plane_fit(points, np.ones(len(points)))
    if model[3:] @ up < 0:
        model = np.append(model[:3], -model[3:])
    return points, model


def _ankle(cloud: Cloud, up: Floats | None, marks: Marks) -> None:
    if up is None:
        marks.put("ankle", None, "it is not plain which end is the plateau")
        return
    height = cloud.points_mm @ up
    end = (cloud.normals @ up < -FLAT) & (height < height.min() + END * float(np.ptp(height)))
    if end.sum() < 30:
        marks.put("ankle", None, "no joint surface at the lower end")
        return
    level = float(np.median(height[end]))
    flat = end & (np.abs(height - level) < LEVEL_MM)
    points = cloud.points_mm[flat]
    share = float(flat.sum()) / float(end.sum())
    how = f"middle of the lower joint surface, {flat.sum() * cloud.each_mm2 / 100:.1f} cm²"
    marks.put("ankle", points.mean(axis=0), how, sure=share > 0.6)


def _directions(
    mesh: SurfaceMesh, cloud: Cloud, up: Floats, halves: tuple[Floats, Floats], marks: Marks
) -> None:
    """Tell front from back by the tuberosity, and medial from lateral by the malleolus."""
    if "ankle" not in marks.points or "plateau" not in marks.points:
        return
    axis = unit(marks.points["plateau"] - marks.points["ankle"])
    across = across_of(halves[1] - halves[0], axis)
    height = cloud.points_mm @ up
    length = float(np.ptp(height))
    tip = cloud.points_mm[height < height.min() + 0.012 * length]
    inward = float((tip.mean(axis=0) - marks.points["ankle"]) @ across)
    if abs(inward) > 6.0:
        marks.directions["medial"] = np.sign(inward) * across
    depth = (marks.points["plateau"] - cloud.points_mm) @ axis / length
    some = cloud.points_mm[(depth > TUBEROSITY[0]) & (depth < TUBEROSITY[1])]
    way = np.cross(axis, across)
    reach = (some - marks.points["plateau"]) @ way
    front, back = float(reach.max()), -float(reach.min())
    if max(front, back) > STANDS_OUT * min(front, back):
        marks.directions["anterior"] = way if front > back else -way
    marks.directions["up"] = axis


def _put_halves(halves: tuple[Floats, Floats] | None, marks: Marks) -> None:
    """Put the middles of the plateau's halves where it is known which is which."""
    medial = marks.directions.get("medial")
    if halves is None:
        for name in ("plateau", "medial_plateau", "lateral_plateau"):
            marks.put(name, None, "no plateau is there")
        return
    ordered: list[Floats | None] = [None, None]
    why = "the inner ankle does not tell medial from lateral"
    if medial is not None:
        first, second = sorted(halves, key=lambda p: float(p @ medial))
        ordered, why = [first, second], "middle of that half of the plateau, without the spines"
    for name, point in zip(("lateral_plateau", "medial_plateau"), ordered):
        marks.put(name, point, why)
