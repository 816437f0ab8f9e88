"""Generic joint parts as solids in mm: stem, cup, femoral and tibial knee. Not any product.

Each has its own frame, which its family states; z points out of the bone that it sits in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from manifold3d import CrossSection, Manifold, OpType

from segmentation.volume import Floats

Dimensions = Mapping[str, float]
Mask = npt.NDArray[np.bool_]

ROUND = 64
"""Segments of a circle."""

SLICES = 16
"""Of a stem, along its length."""

SUNK_MM = 0.01
"""How deep one part of a solid begins in another, so that they become one."""

FLAT = 0.05
"""mm within which a triangle's middle lies on a face."""


def hip_stem(d: Dimensions) -> Manifold:
    """Return a tapered stem with a curved inner side, a neck and its taper for a head."""
    levels = np.linspace(-d["length_mm"], 0.0, SLICES + 1)
    rings = [_stem_ring(d, z) for z in levels]
    body = Manifold.batch_boolean(
        [Manifold.hull_points(np.vstack(pair)) for pair in pairwise(rings)], OpType.Add
    )
    return body + _neck(d)


def stem_section(d: Dimensions, z: float) -> tuple[float, float, float, float]:
    """Return how far a stem's section at height z reaches (mm): medially, laterally, in depth.

    The last is the radius of its corners.
    """
    part = 1.0 + z / d["length_mm"]
    half = d["tip_mm"] / 2
    inner = half + (d["width_mm"] - d["tip_mm"]) * part**2.5
    outer = half + (0.15 * d["width_mm"]) * part**4
    deep = (d["tip_mm"] + (d["depth_mm"] - d["tip_mm"]) * part) / 2
    return inner, outer, deep, 0.35 * min(half, deep)


def _stem_ring(d: Dimensions, z: float) -> Floats:
    """Return the corners (n, 3) of a stem's section, rounded, at height z."""
    inner, outer, deep, corner = stem_section(d, z)
    turn = np.linspace(0, 2 * math.pi, 4 * 6 + 1)[:-1] + math.pi / 24
    cosine, sine = np.cos(turn), np.sin(turn)
    x = np.where(cosine > 0, inner - corner, corner - outer) + corner * cosine
    y = np.sign(sine) * (deep - corner) + corner * sine
    return np.column_stack([x, y, np.full(len(x), z)])


def stem_head_mm(d: Dimensions) -> tuple[float, float, float]:
    """Return the centre of a stem's head in its frame, mm."""
    lean = math.radians(180.0 - d["neck_angle_degrees"])
    return d["offset_mm"], 0.0, d["offset_mm"] / math.tan(lean)


def _neck(d: Dimensions) -> Manifold:
    lean = 180.0 - d["neck_angle_degrees"]
    long = d["offset_mm"] / math.sin(math.radians(lean))
    bar = Manifold.cylinder(long + 8.0, d["neck_mm"] / 2, 0.9 * d["neck_mm"] / 2, ROUND)
    return bar.translate((0, 0, -8.0)).rotate((0, lean, 0)).trim_by_plane((0, 0, 1), -10.0)


def stem_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a stem meet bone: its sides below the cut."""
    tip = middles[:, 2] < -d["length_mm"] + FLAT
    return (middles[:, 2] < -FLAT) & ~tip & (np.abs(normals[:, 2]) < 0.95)


def cup(d: Dimensions) -> Manifold:
    """Return a hemispherical shell, open towards z."""
    outer = Manifold.sphere(d["outer_mm"] / 2, ROUND)
    inner = Manifold.sphere(d["outer_mm"] / 2 - d["wall_mm"], ROUND)
    return (outer - inner).trim_by_plane((0, 0, -1), 0.0)


def cup_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a cup meet bone: its outside."""
    return np.asarray((np.einsum("ij,ij->i", middles, normals) > 0) & (normals[:, 2] < 0.9))


def femur_cuts(d: Dimensions, beyond_mm: float = 0.0) -> Floats:
    """Return the sagittal outline (y forward, z up) of the five cuts, n by 2, open at the top.

    ``beyond_mm`` sets it outwards: the outside of the part.
    """
    half, bevel, b = d["depth_mm"] / 2, d["chamfer_mm"], beyond_mm
    back, front = d["posterior_mm"], d["anterior_mm"]
    slope = b * math.tan(math.radians(22.5))
    return np.array([
        (-half - b, back), (-half - b, bevel - slope), (-half + bevel - slope, -b),
        (half - bevel + slope, -b), (half + b, bevel - slope), (half + b, front),
    ])  # fmt: skip


def femur_opening(d: Dimensions, top_mm: float) -> Floats:
    """Return the sagittal outline (y, z) of what the five cuts leave free, up to a height."""
    half = d["depth_mm"] / 2
    return np.vstack([[(-half, top_mm)], femur_cuts(d)[1:-1], [(half, top_mm)]])


def knee_femur(d: Dimensions) -> Manifold:
    """Return a femoral part: a shell of one thickness over five cuts, notch and two pegs."""
    wide, thick = d["width_mm"], d["thickness_mm"]
    shell = _across(femur_cuts(d, thick), wide)
    top = max(d["anterior_mm"], d["posterior_mm"]) + 1.0
    made = shell - _across(femur_opening(d, top), wide + 2.0)
    notch = Manifold.cube((0.3 * wide, d["depth_mm"], 2 * top + 2 * thick), True)
    made -= notch.translate((0, -0.45 * d["depth_mm"], 0))
    peg = Manifold.cylinder(d["peg_length_mm"] + 0.5, d["peg_mm"] / 2, -1.0, 32)
    for side in (-1, 1):
        made += peg.translate((side * 0.3 * wide, 0.05 * d["depth_mm"], -0.5))
    return made


def _across(outline: Floats, wide: float) -> Manifold:
    """Return a sagittal outline (y, z) as a body of some width about x = 0."""
    # extruded along z, then turned so that (u, v, w) lies along (y, z, x)
    flat = CrossSection([outline]).extrude(wide).translate((0, 0, -wide / 2))
    return flat.transform(np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], float))


def femur_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a femoral part meet bone: those that face its middle, and pegs."""
    outline = femur_cuts(d)
    seat = np.zeros(len(middles), np.bool_)
    for a, b in pairwise(outline):
        along = (b - a) / np.linalg.norm(b - a)
        inward = np.array([-along[1], along[0]])
        seat |= (np.abs((middles[:, 1:] - a) @ inward) < FLAT) & (normals[:, 1:] @ inward > 0.9)
    pegs = (middles[:, 2] > FLAT) & (np.abs(middles[:, 1]) < d["depth_mm"] / 4)
    return seat | (pegs & (np.abs(normals[:, 2]) < 0.1))


def knee_tibia(d: Dimensions) -> Manifold:
    """Return a tibial tray with a keel: a stem and two fins below the plate."""
    plate = tray_outline(d).extrude(d["plate_mm"])
    stem = Manifold.cylinder(d["keel_mm"], 0.35 * d["stem_mm"], d["stem_mm"] / 2, 48)
    made = plate + stem.translate((0, 0, -d["keel_mm"]))
    for side in (-1, 1):
        corners = [(0, 0), (0, -0.8 * d["keel_mm"]), (side * 0.3 * d["width_mm"], 0)]
        fin = CrossSection([corners[::side]]).extrude(d["fin_mm"])
        fin = fin.translate((0, 0, -d["fin_mm"] / 2)).rotate((90, 0, 0))
        turned = fin.rotate((0, 0, side * -d["fin_angle_degrees"]))
        made += turned.translate((0, 0, 0.2))
    return made


def tray_outline(d: Dimensions) -> CrossSection:
    """Return the outline (x, y) of a tray: an oval with a dent at the back (-y)."""
    oval = CrossSection.circle(1.0, ROUND).scale((d["width_mm"] / 2, d["depth_mm"] / 2))
    dent = CrossSection.circle(1.0, 32).scale((0.16 * d["width_mm"], 0.2 * d["depth_mm"]))
    return oval - dent.translate((0, -d["depth_mm"] / 2))


def tibia_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a tray meet bone: its lower face and the keel."""
    lower = (np.abs(middles[:, 2]) < FLAT) & (normals[:, 2] < -0.9)
    return lower | (middles[:, 2] < -FLAT)
