"""The generic families as exact solids of a CAD kernel, from the same dimensions as their meshes.

The kernel is Open CASCADE as Netgen brings it (LGPL-2.1 with an exception). It can end its process
on bad input, so nothing but `workstation.planning.step_process` imports this. Lengths are mm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from netgen.occ import (
    ArcOfCircle,
    Axes,
    Axis,
    Box,
    Circle,
    Cone,
    Cylinder,
    Face,
    MakePolygon,
    Prism,
    Segment,
    Sew,
    Solid,
    Sphere,
    ThruSections,
    Vertex,
    Wire,
    WorkPlane,
    gp_Ax2,
    gp_Dir,
    gp_Pnt,
    gp_Vec,
)

from segmentation.volume import Floats
from workstation.planning import implant_families_bones as bones
from workstation.planning import implant_families_joints as joints
from workstation.planning.implant_families_joints import Dimensions

Shape = Any

SECTIONS = 8
"""Of a thread, in one turn."""

PIECE = 32
"""Sections that are lofted at once."""

INSIDE = 0.98
"""Share of a screw's core at which its head begins, so that the faces do not just touch."""

SEWN_MM = 1e-5
WIDE_MM = 400.0
UP = gp_Dir(0, 0, 1)


def solid_of(family: str, d: Dimensions) -> Shape:
    """Return a family's part of some dimensions in its own frame.

    Raises:
        KeyError: if there is no such family.
    """
    shape = BUILD[family](d)
    (solid,) = shape.solids
    return solid if solid.mass > 0 else solid.Reversed()


def _point(x: float, y: float, z: float) -> Any:
    return gp_Pnt(float(x), float(y), float(z))


def _cone(z: float, high: float, low_radius: float, high_radius: float) -> Shape:
    """Return a cone or cylinder about z."""
    if abs(low_radius - high_radius) < 1e-9:
        return Cylinder(_point(0, 0, z), UP, low_radius, high)
    return Cone(gp_Ax2(_point(0, 0, z), UP), low_radius, high_radius, high, 2 * math.pi)


def _prism(corners: Floats, way: tuple[float, float, float]) -> Shape:
    """Return a flat outline (n, 3), swept along a way."""
    wire = MakePolygon([Vertex(_point(*corner)) for corner in [*corners, corners[0]]])
    return Prism(Face(wire), gp_Vec(*way))


def _rounded(low: tuple[float, float], high: tuple[float, float], r: float, z: float) -> Any:
    """Return a rectangle (x, y) with rounded corners as a wire at height z."""
    if r < 1e-6:
        xy = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        points = [_point(x, y, z) for x, y in xy]
        return Wire([Segment(a, b) for a, b in zip(points, [*points[1:], points[0]])])
    edges: list[Any] = []
    ends: list[tuple[Any, Any]] = []
    for quarter, (x, y) in enumerate(
        [(high[0] - r, high[1] - r), (low[0] + r, high[1] - r),
         (low[0] + r, low[1] + r), (high[0] - r, low[1] + r)]
    ):  # fmt: skip
        turns = (quarter * math.pi / 2 + n * math.pi / 4 for n in range(3))
        arc = [_point(x + r * math.cos(t), y + r * math.sin(t), z) for t in turns]
        ends.append((arc[0], arc[2]))
        edges.append(ArcOfCircle(*arc))
    for n, (_, end) in enumerate(ends):
        start = ends[(n + 1) % 4][0]
        edges.insert(2 * n + 1, Segment(end, start))
    return Wire(edges)


def hip_stem(d: Dimensions) -> Shape:
    """Return a tapered stem: a smooth loft through its sections, and its neck."""
    wires = []
    for z in np.linspace(-d["length_mm"], 0.0, joints.SLICES + 1):
        inner, outer, deep, corner = joints.stem_section(d, float(z))
        wires.append(_rounded((-outer, -deep), (inner, deep), corner, float(z)))
    lean = 180.0 - d["neck_angle_degrees"]
    long = d["offset_mm"] / math.sin(math.radians(lean))
    neck = _cone(-8.0, long + 8.0, d["neck_mm"] / 2, 0.9 * d["neck_mm"] / 2)
    neck = neck.Rotate(Axis((0, 0, 0), gp_Dir(0, 1, 0)), lean)
    above = Box(_point(-WIDE_MM, -WIDE_MM, -10.0), _point(WIDE_MM, WIDE_MM, WIDE_MM))
    return ThruSections(wires) + neck * above


def cup(d: Dimensions) -> Shape:
    """Return half a spherical shell, open towards z."""
    radius, origin = d["outer_mm"] / 2, _point(0, 0, 0)
    below = Box(_point(-WIDE_MM, -WIDE_MM, -WIDE_MM), _point(WIDE_MM, WIDE_MM, 0))
    return (Sphere(origin, radius) - Sphere(origin, radius - d["wall_mm"])) * below


def knee_femur(d: Dimensions) -> Shape:
    """Return a femoral part: a shell of one thickness over five cuts, notch and two pegs."""
    wide, thick = d["width_mm"], d["thickness_mm"]
    top = max(d["anterior_mm"], d["posterior_mm"]) + 1.0
    made = _across(joints.femur_cuts(d, thick), wide)
    made -= _across(joints.femur_opening(d, top), wide + 2.0)
    half, deep, high = 0.15 * wide, d["depth_mm"] / 2, top + thick
    aside = -0.45 * d["depth_mm"]
    made -= Box(_point(-half, aside - deep, -high), _point(half, aside + deep, high))
    for side in (-1, 1):
        foot = _point(side * 0.3 * wide, 0.05 * d["depth_mm"], -0.5)
        made += Cylinder(foot, UP, d["peg_mm"] / 2, d["peg_length_mm"] + 0.5)
    return made


def _across(outline: Floats, wide: float) -> Shape:
    """Return a sagittal outline (y, z) as a body of some width about x = 0."""
    corners = np.column_stack([np.full(len(outline), -wide / 2), outline])
    return _prism(corners, (wide, 0, 0))


def knee_tibia(d: Dimensions) -> Shape:
    """Return a tibial tray with a keel: a stem and two fins below the plate."""
    plate = _oval(0, 0, d["width_mm"] / 2, d["depth_mm"] / 2)
    plate -= _oval(0, -d["depth_mm"] / 2, 0.16 * d["width_mm"], 0.2 * d["depth_mm"])
    made = Prism(plate, gp_Vec(0, 0, d["plate_mm"]))
    made += _cone(-d["keel_mm"], d["keel_mm"], 0.35 * d["stem_mm"], d["stem_mm"] / 2)
    half, low, lift = d["fin_mm"] / 2, -0.8 * d["keel_mm"], 0.2
    for side in (-1, 1):
        corners = np.array([(0, half, lift), (0, half, low + lift),
                            (side * 0.3 * d["width_mm"], half, lift)])  # fmt: skip
        fin = _prism(corners, (0, -2 * half, 0))
        made += fin.Rotate(Axis((0, 0, 0), UP), -side * d["fin_angle_degrees"])
    return made


def _oval(x: float, y: float, across: float, deep: float) -> Any:
    """Return an ellipse as a face at z = 0; the kernel wants its long half first."""
    long, short = max(across, deep), min(across, deep)
    along = gp_Dir(1, 0, 0) if across >= deep else gp_Dir(0, 1, 0)
    if long - short < 1e-9:
        return Face(Wire([Circle(_point(x, y, 0), UP, long)]))
    return WorkPlane(Axes((x, y, 0), UP, along)).Ellipse(long, short).Face()


def screw(d: Dimensions) -> Shape:
    """Return a screw that points to -z: a lofted round thread with its tip, head and drive."""
    core = d["core_mm"]
    wires = [_ring(middle, radius) for middle, radius in bones.thread_sections(d, SECTIONS)]
    high = d["head_height_mm"] - joints.SUNK_MM
    head = _cone(0.0, high, INSIDE * core / 2, d["head_mm"] / 2)
    six = [n * math.pi / 3 for n in range(6)]
    low = 0.5 * d["head_height_mm"] - joints.SUNK_MM
    key = np.array([(d["drive_mm"] / 2 * math.cos(t), d["drive_mm"] / 2 * math.sin(t), low)
                    for t in six])  # fmt: skip
    head -= _prism(key, (0, 0, d["head_height_mm"]))
    # cuts and lofts of long threads can fail, so pieces are put together without a cut
    seat = Face(wires[-1]) - Face(Wire([Circle(_point(0, 0, 0), UP, INSIDE * core / 2)]))
    pieces = [ThruSections(wires[n : n + PIECE + 1], solid=False)
              for n in range(0, len(wires) - 1, PIECE)]  # fmt: skip
    faces = [Face(wires[0]), *seat.faces, *(face for piece in pieces for face in piece.faces),
             *(face for face in head.faces if face.center.z > SEWN_MM)]  # fmt: skip
    return Solid(Sew(faces, SEWN_MM))


def _ring(middle: Floats, radius: float) -> Any:
    """Return a flat circle of four arcs; the seam of a whole one does not outlive a STEP file."""
    turns = np.arange(9) * math.pi / 4
    across = radius * np.column_stack([np.cos(turns), np.sin(turns), np.zeros(9)])
    points = [_point(*place) for place in middle + across]
    return Wire([ArcOfCircle(*points[n : n + 3]) for n in (0, 2, 4, 6)])


def plate(d: Dimensions) -> Shape:
    """Return a straight plate along x with rounded ends, countersunk holes and a flat back."""
    count, thick = round(d["holes"]), d["thickness_mm"]
    half, r = (count - 1) * d["spacing_mm"] / 2, d["width_mm"] / 2
    corners = [_point(-half, -r, 0), _point(half, -r, 0), _point(half, r, 0), _point(-half, r, 0)]
    right, left = _point(half + r, 0, 0), _point(-half - r, 0, 0)
    edges = [
        Segment(corners[0], corners[1]),
        ArcOfCircle(corners[1], right, corners[2]),
        Segment(corners[2], corners[3]),
        ArcOfCircle(corners[3], left, corners[0]),
    ]
    solid = Prism(Face(Wire(edges)), gp_Vec(0, 0, thick))
    bore, high = d["hole_mm"] / 2, 0.5 * thick + joints.SUNK_MM
    for n in range(count):
        x = n * d["spacing_mm"] - half
        solid -= Cylinder(_point(x, 0, -1), UP, bore, thick + 2)
        solid -= Cone(gp_Ax2(_point(x, 0, 0.5 * thick), UP), bore, 1.4 * bore, high, 2 * math.pi)
    return solid


def cage(d: Dimensions) -> Shape:
    """Return a cage for an intervertebral space: a wedge, higher in front, with a window."""
    wide, deep, rim = d["width_mm"] / 2, d["depth_mm"] / 2, d["rim_mm"]
    rise = math.tan(math.radians(d["lordosis_degrees"] / 2)) * deep
    low, high = d["height_mm"] / 2 - rise, d["height_mm"] / 2 + rise
    corner = 0.4 * min(wide, deep)
    outside = Face(_rounded((-wide, -deep), (wide, deep), corner, -high))
    window = Face(_rounded((rim - wide, rim - deep), (wide - rim, deep - rim),
                           max(corner - rim, 0.0), -high))  # fmt: skip
    ring = Prism(outside - window, gp_Vec(0, 0, 2 * high))
    outline = np.array([(-deep, -low), (deep, -high), (deep, high), (-deep, low)])
    return ring * _across(outline, 2 * wide + 2)


BUILD: Mapping[str, Callable[[Dimensions], Shape]] = MappingProxyType({
    "hip_stem": hip_stem,
    "acetabular_cup": cup,
    "knee_femur": knee_femur,
    "knee_tibia": knee_tibia,
    "cortical_screw_3_5": screw,
    "cortical_screw_4_5": screw,
    "cancellous_screw": screw,
    "pedicle_screw": screw,
    "straight_plate": plate,
    "spinal_cage": cage,
})  # fmt: skip


def extent_mm(shape: Shape) -> Floats:
    """Return the lowest and highest corner (2, 3) of a shape, found as distances to far walls."""
    far, wall = 4 * WIDE_MM, 4 * WIDE_MM
    corners = np.zeros((2, 3))
    for axis in range(3):
        for row, way in enumerate((-1.0, 1.0)):
            spots = np.zeros((4, 3))
            spots[:, (axis + 1) % 3] = wall * np.array([-1, 1, 1, -1])
            spots[:, (axis + 2) % 3] = wall * np.array([-1, -1, 1, 1])
            spots[:, axis] = way * far
            points = [_point(*spot) for spot in spots]
            edges = [Segment(a, b) for a, b in pairwise([*points, points[0]])]
            corners[row, axis] = way * (far - shape.Distance(Face(Wire(edges))))
    return corners
