"""Generic screws, plates and cages as solids in mm. Their figures are round, not a standard's."""

from __future__ import annotations

import math

import numpy as np
from manifold3d import CrossSection, Manifold, Mesh

from segmentation.volume import Floats
from workstation.planning.implant_families_joints import (
    FLAT,
    ROUND,
    SUNK_MM,
    Dimensions,
    Mask,
)

TURN, AROUND = 16, 32
"""Sections of a thread in one turn, and corners of each."""

TIP, BLUNT = 0.6, 0.05
"""Length of a screw's tip in outer diameters, and the share of its width that its end keeps."""


def screw(d: Dimensions) -> Manifold:
    """Return a screw that points to -z, its head above z = 0; the thread is a round one."""
    core = d["core_mm"]
    angles = 2 * math.pi * np.arange(AROUND) / AROUND
    even = math.sqrt(angles[1] / math.sin(angles[1]))  # the polygon has the circle's area
    circle = even * np.column_stack([np.cos(angles), np.sin(angles), np.zeros(AROUND)])
    rings = [middle + radius * circle for middle, radius in thread_sections(d, TURN)]
    head = Manifold.cylinder(d["head_height_mm"], core / 2, d["head_mm"] / 2, ROUND)
    drive = Manifold.cylinder(d["head_height_mm"], d["drive_mm"] / 2, -1.0, 6)
    head -= drive.translate((0, 0, 0.5 * d["head_height_mm"]))
    return _stacked(np.array(rings)) + head.translate((0, 0, -SUNK_MM))


def thread_sections(d: Dimensions, turn: int) -> list[tuple[Floats, float]]:
    """Return middle (mm) and radius of a thread's round sections, ``turn`` of them in one turn.

    They run from the tip, where they are small, up to the head at z = 0, about the z axis.

    Raises:
        ValueError: if the core is not thinner than the thread.
    """
    outer, core, length = d["thread_mm"], d["core_mm"], d["length_mm"]
    if not core < outer:
        raise ValueError(f"a screw's core ({core:g} mm) must be thinner than its thread")
    radius, aside = (outer + core) / 4, (outer - core) / 4
    found = []
    for z in np.linspace(-length, 0.0, math.ceil(length / d["pitch_mm"] * turn) + 1):
        wide = min(1.0, BLUNT + (1 - BLUNT) * (z + length) / (TIP * outer))
        angle = -2 * math.pi * z / d["pitch_mm"]
        across = (wide * aside * math.cos(angle), -wide * aside * math.sin(angle), z)
        found.append((np.array(across), float(wide * radius)))
    return found


def _stacked(rings: Floats) -> Manifold:
    """Return the body between rings (n, m, 3) that run counterclockwise, one above the other."""
    count, around = rings.shape[:2]
    number = np.arange(count * around).reshape(count, around)
    low, high = number[:-1], number[1:]
    right, over = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    sides = [np.stack(t, -1).reshape(-1, 3) for t in ((low, right, over), (low, over, high))]
    fan = np.column_stack([np.arange(1, around - 1), np.arange(2, around)])
    below = np.column_stack([np.full(around - 2, number[0, 0]), number[0][fan[:, ::-1]]])
    above = np.column_stack([np.full(around - 2, number[-1, 0]), number[-1][fan]])
    corners = np.concatenate([*sides, below, above]).astype(np.uint32)
    return Manifold(Mesh(rings.reshape(-1, 3).astype(np.float32), corners))


def screw_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a screw meet bone: its shaft."""
    return np.asarray(middles[:, 2] < -FLAT)


def plate(d: Dimensions) -> Manifold:
    """Return a straight plate along x with rounded ends, countersunk holes and a flat back."""
    holes, spacing = round(d["holes"]), d["spacing_mm"]
    wide, thick = d["width_mm"], d["thickness_mm"]
    if d["hole_mm"] >= min(wide, spacing):
        raise ValueError(f"holes of {d['hole_mm']:g} mm do not fit this plate; make them smaller")
    half = (holes - 1) * spacing / 2
    end = CrossSection.circle(wide / 2, ROUND)
    made = CrossSection.batch_hull([end.translate((-half, 0)), end.translate((half, 0))])
    solid = made.extrude(thick)
    hole = Manifold.cylinder(thick + 2, d["hole_mm"] / 2, -1.0, 32).translate((0, 0, -1))
    sink = Manifold.cylinder(0.5 * thick + SUNK_MM, d["hole_mm"] / 2, 0.7 * d["hole_mm"], 32)
    hole += sink.translate((0, 0, 0.5 * thick))
    for n in range(holes):
        solid -= hole.translate((n * spacing - half, 0, 0))
    return solid


def plate_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a plate meet bone: its back."""
    return np.asarray((np.abs(middles[:, 2]) < FLAT) & (normals[:, 2] < -0.9))


def cage(d: Dimensions) -> Manifold:
    """Return a cage for an intervertebral space: a wedge, higher in front, with a window."""
    rise = math.tan(math.radians(d["lordosis_degrees"] / 2)) * d["depth_mm"] / 2
    low, high = d["height_mm"] / 2 - rise, d["height_mm"] / 2 + rise
    if low < 1.0:
        raise ValueError("the back of the cage would be too low; lessen lordosis_degrees")
    wide, deep = d["width_mm"], d["depth_mm"]
    corner = 0.2 * min(wide, deep)
    flat = CrossSection.square((wide - 2 * corner, deep - 2 * corner), True)
    outline = flat.offset(corner, circular_segments=48)
    window = flat.offset(corner - d["rim_mm"], circular_segments=48)
    ring = (outline - window).extrude(2 * high, 0).translate((0, 0, -high))
    half = wide / 2 + 1
    ends = [(x, s * y, t * (high if s > 0 else low)) for x in (-half, half)
            for s, y in ((-1, deep / 2), (1, deep / 2)) for t in (-1, 1)]  # fmt: skip
    return ring ^ Manifold.hull_points(np.array(ends, float))


def cage_seat(middles: Floats, normals: Floats, d: Dimensions) -> Mask:
    """Tell which triangles of a cage meet bone: its upper and lower faces."""
    return np.asarray(np.abs(normals[:, 2]) > 0.8)
