"""Landmarks of the pelvis, proposed from its surface; clicked points win.

The anterior pelvic plane is the one a pelvis rests on when it lies on its front: it touches both
anterior superior iliac spines and the pubis. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from meshing.surface import SurfaceMesh
from meshing.symmetry import find_symmetry
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, LabelMap, Vector
from workstation.planning.bone_axes import Cloud, across_of, bridge, find_ball, unit
from workstation.planning.bone_landmarks_parts import ball_text
from workstation.planning.bone_landmarks_record import Marks, bone_surface

TURNED_DEGREES = 50.0
"""A pelvis may be turned so far from the scanner's axes."""

PLANE_MM, SPINES_MM = (55.0, 160.0), (150.0, 330.0)
"""Between these lie the pubis and the spines, and one spine and the other."""

MIDDLE_MM = 45.0
"""The pubis lies so close to the mid-sagittal plane."""

ROUNDS = 4
SOCKET_MM, SOCKET = (18.0, 36.0), 0.15
"""Radii of a hip socket, and the share of a ball that it shows at least."""

LINES = (("left_spine", "right_spine"), ("left_spine", "pubis"), ("right_spine", "pubis"))


def pelvis_landmarks(
    bone: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    left_spine_mm: Vector | None = None,
    right_spine_mm: Vector | None = None,
    pubis_mm: Vector | None = None,
    left_socket_mm: Vector | None = None,
    right_socket_mm: Vector | None = None,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Find the landmarks of a pelvis and its anterior plane.

    The pelvis may be turned by up to 50 degrees from the scanner's axes. What the image does not
    show is not proposed; a point given by hand wins.

    Args:
        bone: the closed surface or the label of the whole pelvis.
        label: name of one of several labels.
        left_spine_mm: left anterior superior iliac spine, by hand, LPS mm.
        right_spine_mm: right anterior superior iliac spine, by hand.
        pubis_mm: front of the pubic symphysis, by hand.
        left_socket_mm: centre of the left hip socket, by hand.
        right_socket_mm: centre of the right hip socket, by hand.
        uncertainty_mm: how far a landmark may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if there is nothing to look at.
    """
    given = {
        "left_spine": left_spine_mm, "right_spine": right_spine_mm, "pubis": pubis_mm,
        "left_socket": left_socket_mm, "right_socket": right_socket_mm,
    }  # fmt: skip
    progress(0.0, "reading the bone")
    mesh = bone_surface(bone, label)
    marks = Marks("pelvis", given, bone)
    progress(0.1, "looking for the middle")
    plane = find_symmetry(mesh)
    middle, left = np.asarray(plane.point_mm), np.asarray(plane.normal)
    progress(0.5, "laying the pelvis on its front")
    spots = _resting(mesh.points_mm, middle, left)
    why = "touches the plane on which the pelvis rests on its front"
    for n, name in enumerate(("left_spine", "right_spine", "pubis")):
        lacking = "the pelvis rests on no three such points"
        marks.put(name, spots[n] if spots else None, why if spots else lacking)
    progress(0.6, "looking for the sockets")
    _sockets(Cloud.of(mesh, 20_000), middle, left, marks)
    if {"left_spine", "right_spine", "pubis"} <= marks.points.keys():
        across = unit(marks.points["left_spine"] - marks.points["right_spine"])
        spines = (marks.points["left_spine"] + marks.points["right_spine"]) / 2
        marks.directions["up"] = across_of(spines - marks.points["pubis"], across)
        marks.directions["left"] = across
        marks.directions["anterior"] = np.cross(marks.directions["up"], -across)
    marks.span("between_spines", "left_spine", "right_spine", "one spine to the other")
    return marks.measured(mesh, LINES, "pelvis", uncertainty_mm=uncertainty_mm)


def _resting(points: Floats, middle: Floats, left: Floats) -> tuple[Floats, Floats, Floats] | None:
    """Return the points of the left and the right spine and of the pubis; None where unclear."""
    front = across_of(np.array([0.0, -1.0, 0.0]), left)
    up = np.cross(front, left)
    rest = bridge(points, (front, up), front, TURNED_DEGREES)
    if rest is None:
        return None
    low, high = sorted((points[n] for n in rest), key=lambda p: float(p @ up))
    if (
        not PLANE_MM[0]
        < float(np.linalg.norm(high - low - ((high - low) @ left) * left))
        < (PLANE_MM[1])
    ):
        return None
    aside = (points - middle) @ left
    outward = across_of(front, unit(across_of(high - low, left)))
    level = (points - low) @ across_of(high - low, left)
    upper, lower = level > 0.5 * level[points @ up <= high @ up].max(), np.abs(aside) < MIDDLE_MM
    lower &= np.abs(level) < 30.0
    if not lower.any():
        return None
    spots: list[Floats] = []
    for _ in range(ROUNDS):
        reach = points @ outward
        spots = []
        for chosen in (upper & (aside > MIDDLE_MM), upper & (aside < -MIDDLE_MM), lower):
            if not chosen.any():
                return None
            near = chosen & (reach > reach[chosen].max() - 0.3)
            spots.append(points[near].mean(axis=0))
        across = unit(spots[0] - spots[1])
        spine = across_of((spots[0] + spots[1]) / 2 - spots[2], across)
        outward = np.cross(spine, -across)
    spots[2] = spots[2] - ((spots[2] - middle) @ left) * left
    wide = float(np.linalg.norm(spots[0] - spots[1]))
    return (spots[0], spots[1], spots[2]) if SPINES_MM[0] < wide < SPINES_MM[1] else None


def _sockets(cloud: Cloud, middle: Floats, left: Floats, marks: Marks) -> None:
    aside = (cloud.points_mm - middle) @ left
    for name, sign in (("left_socket", 1.0), ("right_socket", -1.0)):
        part = cloud.where(sign * aside > 0.3 * np.abs(aside).max())
        ball = find_ball(part, *SOCKET_MM, hollow=True)
        if ball is None or ball.share < SOCKET:
            marks.put(name, None, "no hollow is round enough for a hip socket")
            continue
        how = ball_text(ball, "hollow", "a ball")
        marks.put(name, ball.centre_mm, how, sure=ball.share > 2 * SOCKET)
