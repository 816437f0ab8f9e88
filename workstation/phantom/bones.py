"""Synthetic long bones and a pelvis whose landmarks and angles are known, as closed surfaces.

A bone is built on the left in its own mechanical frame (x to the patient's left, y back, z up,
the directions of LPS); a right one is the mirror image of a left one with its own angles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from meshing.distance_fields import contour, grid_around
from meshing.mesh import SurfaceMesh
from segmentation.volume import Floats, Vector
from workstation.phantom.shapes import (
    Ellipsoid,
    Shape,
    column,
    ellipsoid,
    half_space,
    intersection,
    round_cone,
    union,
)

Side = Literal["left", "right"]

HEAD_MM, CONDYLE_MM, NECK_MM = 24.0, 20.0, 54.0
"""Radii of the femoral head and of each condyle, and from the head's centre to the shaft's axis."""

ARCH_MM = 12.0
"""How far the condyles reach below the notch."""

SPINE_MM = 6.0
"""Radius of the knobs on which a pelvis lies when it lies on its front."""


@dataclass(frozen=True, eq=False)
class BonePhantom:
    """A bone, its landmarks (LPS mm) and its angles (degrees) by name."""

    mesh: SurfaceMesh
    places: Mapping[str, Floats]
    angles: Mapping[str, float]

    def posed(self, turn: Floats, shift_mm: Floats) -> BonePhantom:
        """Return the bone turned by a rotation (3, 3) about the origin, then shifted (mm)."""
        mesh = self.mesh.reshaped(self.mesh.points_mm @ turn.T + shift_mm, self.mesh.triangles)
        places = {name: turn @ place + shift_mm for name, place in self.places.items()}
        return BonePhantom(mesh, places, self.angles)

    def mirrored(self) -> BonePhantom:
        """Return its mirror image at x = 0: the bone of the other side with the same angles."""
        flip = np.array([-1.0, 1.0, 1.0])
        mesh = self.mesh.reshaped(self.mesh.points_mm * flip, self.mesh.triangles[:, ::-1])
        places = {name: place * flip for name, place in self.places.items()}
        return BonePhantom(mesh, places, self.angles)


def femur(
    side: Side = "left",
    *,
    mldfa: float = 88.0,
    neck_shaft: float = 127.0,
    version: float = 14.0,
    length_mm: float = 420.0,
    step_mm: float = 2.5,
    frame_uid: str = "2.25.8",
) -> BonePhantom:
    """Return a femur; the notch is the origin and the head's centre stands above it.

    ``length_mm`` is that of the mechanical axis; angles are in degrees, those of `BonePhantom`
    and the cell size ``step_mm`` of the surface in mm.
    """
    across = np.array([np.sin(np.radians(mldfa)), 0.0, np.cos(np.radians(mldfa))])
    below = np.array([across[2], 0.0, -across[0]])
    middle = np.array([0.0, 16.0, CONDYLE_MM - ARCH_MM])
    lateral, medial = middle + 23 * across, middle - 23 * across
    behind = np.array([0.0, CONDYLE_MM, 0.0])
    head = np.array([0.0, 0.0, length_mm])
    low, base = np.array([0.0, 0.0, 50.0]), head + np.array([30.0, 0.0, -35.0])
    for _ in range(20):
        shaft = (base - low) / np.linalg.norm(base - low)
        neck = _neck(shaft, neck_shaft, version)
        base = head - NECK_MM * neck
    block = intersection(ellipsoid((0, 0, 40), (40, 26, 60)), half_space((0, 0, 0), (0, 0, -1)))
    solid = union(
        *(ellipsoid(_at(c), (CONDYLE_MM,) * 3) for c in (lateral, medial)),
        block,
        round_cone(_at(low + np.array([0.0, 0.0, 10.0])), _at(base), 15.0, 14.0),
        round_cone(_at(head - 8 * neck), _at(base), 13.0, 16.0),
        ellipsoid(_at(head), (HEAD_MM,) * 3),
        round_cone(_at(base), _at(base + np.array([17.0, 4.0, 12.0])), 14.0, 13.0),
    )
    places = {
        "head": head,
        "notch": np.zeros(3),
        "lateral_distal": lateral + CONDYLE_MM * below,
        "medial_distal": medial + CONDYLE_MM * below,
        "lateral_posterior": lateral + behind,
        "medial_posterior": medial + behind,
        "neck": base,
        "shaft_top": base,
        "shaft_bottom": low,
    }
    angles = {"mLDFA": mldfa, "neck_shaft_angle": neck_shaft, "femoral_version": version}
    name = f"{side} femur"
    return made_bone(solid, (-50, -40, -25), (85, 50, length_mm + 30), places, angles, side, name,
                 step_mm, frame_uid)  # fmt: skip


def tibia(
    side: Side = "left",
    *,
    mpta: float = 87.0,
    slope: float = 6.0,
    length_mm: float = 360.0,
    step_mm: float = 2.5,
    frame_uid: str = "2.25.8",
) -> BonePhantom:
    """Return a tibia; the ankle's centre is the origin, the plateau's middle stands above it.

    ``mpta`` and the plateau's ``slope`` to the back are in degrees, lengths in mm.
    """
    turn, fall = np.radians(mpta), np.radians(slope)
    medial = np.array([-np.sin(turn), 0.0, -np.cos(turn)])
    back = np.array([0.0, np.cos(fall), -np.sin(fall)])
    up = np.cross(back, medial)
    up *= np.sign(up[2]) / np.linalg.norm(up)
    top = np.array([0.0, 0.0, length_mm])
    plateau = intersection(
        column((0, 0), (38, 26)),
        half_space(_at(top), _at(up)),
        half_space((0, 0, length_mm - 28), (0, 0, -1)),
    )
    end = intersection(
        column((0, 0), (21, 19)),
        half_space((0, 0, 0), (0, 0, -1)),
        half_space((0, 0, 28), (0, 0, 1)),
    )
    solid = union(
        plateau,
        ellipsoid(_at(top), (5, 5, 8)),
        round_cone((0, 0, length_mm - 40), (0, 0, length_mm - 110), 24.0, 13.0),
        round_cone((0, 0, length_mm - 100), (0, 0, 70), 13.0, 11.0),
        round_cone((0, 0, 70), (0, 0, 22), 11.0, 17.0),
        ellipsoid((0, -24, length_mm - 48), (9, 9, 14)),
        end,
        round_cone((-25, 0, 8), (-26, 0, -9), 7.0, 6.0),
    )
    places = {"plateau": top, "ankle": np.zeros(3)}
    angles = {"MPTA": mpta, "posterior_slope": slope}
    return made_bone(solid, (-45, -40, -25), (45, 40, length_mm + 20), places, angles, side,
                 f"{side} tibia", step_mm, frame_uid)  # fmt: skip


def leg(
    side: Side = "left", *, varus: float = 0.0, bone: Mapping[str, float] | None = None
) -> tuple[BonePhantom, BonePhantom]:
    """Return a femur and a tibia that stand under each other with a joint line in common.

    ``varus`` (degrees) is how far the joint opens on the lateral side; ``bone`` has angles of
    `femur` and `tibia`. The knee's angle on its medial side follows as
    180 + MPTA - mLDFA - varus.
    """
    given = dict(bone or {})
    own = {name: given.pop(name) for name in ("mpta", "slope") if name in given}
    thigh, shin = femur("left", **given), tibia("left", **own)  # type: ignore[arg-type]
    bow = np.radians(shin.angles["MPTA"] - thigh.angles["mLDFA"] - varus)
    turn = np.array([[np.cos(bow), 0, -np.sin(bow)], [0, 1, 0], [np.sin(bow), 0, np.cos(bow)]])
    shin = shin.posed(turn, np.array([0.0, 8.0, -ARCH_MM - 4.0]) - turn @ shin.places["plateau"])
    pair = (thigh, shin) if side == "left" else (thigh.mirrored(), shin.mirrored())
    return pair


def pelvis(*, step_mm: float = 3.0, frame_uid: str = "2.25.8") -> BonePhantom:
    """Return a pelvis whose anterior plane is y = 0, with the pubis as far up as z = 0 (LPS mm)."""
    knob = SPINE_MM
    parts: list[Shape] = [
        round_cone((20, knob, 0), (-20, knob, 0), knob, knob),
        ellipsoid((0, 130, 95), (48, 22, 50)),
    ]
    for sign in (1.0, -1.0):
        spine, socket = (sign * 118, knob, 92.0), (sign * 88, 52.0, 22.0)
        wing = Ellipsoid((sign * 98, 62.0, 95.0), (9.0, 50.0, 44.0))
        parts += [
            round_cone(spine, (sign * 108, 35.0, 95.0), knob, 9.0),
            wing.shape(),
            round_cone((sign * 96, 62.0, 70.0), socket, 12.0, 22.0),
            round_cone(socket, (sign * 14, 14.0, 2.0), 14.0, 8.0),
            round_cone(socket, (sign * 60, 80.0, -40.0), 16.0, 14.0),
            round_cone((sign * 60, 80.0, -40.0), (sign * 14, 16.0, -6.0), 8.0, 7.0),
            round_cone((sign * 95, 112.0, 105.0), (sign * 30, 128.0, 95.0), 12.0, 14.0),
        ]
    places = {
        "left_spine": np.array([118.0, 0.0, 92.0]),
        "right_spine": np.array([-118.0, 0.0, 92.0]),
        "pubis": np.zeros(3),
    }
    return made_bone(union(*parts), (-135, -10, -65), (135, 165, 160), places, {}, "left", "pelvis",
                 step_mm, frame_uid)  # fmt: skip


def _neck(shaft: Floats, neck_shaft: float, version: float) -> Floats:
    """Return the way from the shaft to the head that makes both angles (degrees)."""
    turn = np.radians(version)
    flat = np.array([-np.cos(turn), -np.sin(turn), 0.0])

    def way(lift: float) -> Floats:
        return np.asarray(np.cos(lift) * flat + np.sin(lift) * np.array([0.0, 0.0, 1.0]))

    wanted = np.cos(np.radians(neck_shaft))
    lift = brentq(lambda lift: float(way(lift) @ -shaft) - wanted, -0.5, 1.5)
    return way(float(lift))


def _at(point: Floats) -> Vector:
    return float(point[0]), float(point[1]), float(point[2])


def made_bone(
    solid: Shape, low: Vector, high: Vector, places: Mapping[str, Floats],
    angles: Mapping[str, float], side: Side, name: str, step_mm: float, frame_uid: str,
) -> BonePhantom:  # fmt: skip
    """Return a bone as the surface of a solid in a box (LPS mm), mirrored for the right side."""
    grid = grid_around([np.array([low, high], float)], step_mm)
    z, y, x = (
        (grid.origin_mm[a] + grid.step_mm * np.arange(n)).astype(np.float32)
        for a, n in zip((2, 1, 0), grid.shape)
    )
    field = solid.distance_mm(x[None, None, :], y[None, :, None], z[:, None, None])
    field = np.ascontiguousarray(np.broadcast_to(field, grid.shape), np.float32)
    points, triangles = contour(field, grid)
    mesh = SurfaceMesh(points, triangles, frame_uid, name, (232, 222, 200))
    bone = BonePhantom(mesh, {n: np.asarray(p, float) for n, p in places.items()}, dict(angles))
    return bone if side == "left" else bone.mirrored()
