"""Walls of the orbits of a real head broken by a rule, and how well they are given back.

The rule. From behind the eye a ray leads to the wall, given by its angle from straight down towards
the midline (``medial``: 0 is the floor, 90 the medial wall) and by how far it leads back
(``back``, degrees). Around where it meets the wall, within a radius (mm), the wall is pushed out by
a dome of a depth (mm) at its middle: what lies between the wall, less 1 mm for its bone, and the
dome becomes fat (-80 HU). What is given back is compared with the wall before. Walls here are thin
bone between fat and air, blurred over voxels of 0.5 x 0.5 x 1.25 mm, so that the truth itself is
known to about 0.5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meshing.surface import is_watertight, isosurface
from meshing.symmetry import MirrorPlane, find_symmetry
from segmentation.skull import propose_skull
from segmentation.volume import Array, Floats, LabelMap, Volume
from tests.campaigns.implants import HEAD, only_skull
from workstation.dicom import files as dicom
from workstation.planning.orbit_plate import PlateSize, lay_plate
from workstation.planning.orbit_target import Pair, find_orbital_target, see_pair
from workstation.planning.orbit_walls import Mask, around, cavity_ml, see_orbit

BONE_HU, FAT_HU, WALL_MM, USUAL_MM = 200.0, -80.0, 1.0, 2.0

PLACES = (  # side, medial, back (degrees), radius, depth (mm)
    ("left", 10, 10, 8, 5), ("right", 10, 10, 8, 5), ("left", 20, 20, 10, 6),
    ("right", 20, 20, 10, 6), ("left", 60, 10, 8, 4), ("right", 60, 10, 8, 4),
    ("left", 80, 20, 9, 4), ("right", 80, 20, 9, 4), ("left", 35, 10, 12, 6),
    ("right", 35, 10, 12, 6), ("left", 0, 25, 7, 8), ("right", 0, 25, 7, 8),
)  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """The real head before anything was broken."""

    ct: Volume
    skull: LabelMap
    plane: MirrorPlane
    pair: Pair


@dataclass(frozen=True)
class Verdict:
    """How a wall that was given back agrees with the one that was there."""

    name: str
    found_cm2: float
    broken_cm2: float
    excess_ml: float
    true_excess_ml: float
    mean_mm: float
    largest_95_mm: float
    gap_mm: float
    overlap_ml: float
    way_bone_ml: float
    closed: bool
    without_screw: bool

    @property
    def faults(self) -> tuple[str, ...]:
        """What is not as it should be."""
        missed = {
            "wall": self.mean_mm > 1.0,
            "largest": self.largest_95_mm > 2.0,
            "overlap": self.overlap_ml > 0,
            "way in": self.way_bone_ml > 0,
            "open": not self.closed,
        }
        return tuple(name for name, fault in missed.items() if fault)


def whole(folder: Path) -> Whole:
    """Return the real head."""
    ct = dicom.read(dicom.scan([folder / HEAD]).volumes[0])
    skull = only_skull(propose_skull(ct))
    plane = find_symmetry(isosurface(skull, cell_mm=3.0))
    return Whole(ct, skull, plane, see_pair(ct, plane, None, BONE_HU))


def broken(known: Whole, place: tuple[str, float, float, float, float]) -> tuple[Volume, Mask]:
    """Return the head with a wall broken by the rule, and which directions were (a mask)."""
    side, medial, back, radius, depth = place
    orbit, ball = known.pair.orbits[side], known.pair.balls[side]
    left = np.asarray(known.plane.normal)
    normal = left if side == "left" else -left
    up = np.array([0, 0, 1.0]) - left[2] * left
    up /= np.linalg.norm(up)
    behind = np.cross(up, left)
    m, b = np.radians([medial, back])
    way = np.cos(b) * (-np.cos(m) * up - np.sin(m) * normal) + np.sin(b) * behind
    middle, wall = orbit.middle_mm, np.nan_to_num(orbit.wall_mm, nan=1e3)
    points = ball.ways * wall[:, None]
    at = points[int(ball.tree.query(way)[1])]
    grid = known.ct.geometry
    index = grid.to_index((middle + at)[None])[0]
    reach = (radius + depth + 3) / np.asarray(grid.spacing_mm)
    low, high = np.floor(index - reach).astype(int), np.ceil(index + reach).astype(int) + 1
    block = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    k, j, i = np.meshgrid(*(np.arange(s.start, s.stop) for s in block), indexing="ij")
    off = grid.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3)) - middle
    far = np.linalg.norm(off, axis=1)
    near = ball.tree.query(off / far[:, None])[1]
    aside = np.linalg.norm(points[near] - at, axis=1)
    out = far - wall[near]
    dome = depth * (1 - (aside / radius) ** 2) + WALL_MM
    gone = (aside < radius) & (out > -WALL_MM) & (out < dome)
    array = known.ct.array.copy()
    part = array[block]
    part[gone.reshape(k.shape)] = FAT_HU
    return replace(known.ct, array=array), np.linalg.norm(points - at, axis=1) < radius


def _forward(plane: MirrorPlane) -> Floats:
    way = -np.cross([0, 0, 1.0], np.asarray(plane.normal))
    return np.asarray(way / np.linalg.norm(way))


def judge(known: Whole, place: tuple[str, float, float, float, float]) -> Verdict:
    """Return how the wall that is given back agrees with the one before."""
    side = place[0]
    ct, gone = broken(known, place)
    was, ball = known.pair.orbits[side], known.pair.balls[side]
    forward = _forward(known.plane)
    now = see_orbit(around(ct, was.middle_mm), was.middle_mm, forward, ball, BONE_HU)
    volumes = {**known.pair.volumes_ml, side: cavity_ml(ball, now.reach_mm(now.wall_mm))}
    pair = Pair({**known.pair.orbits, side: now}, known.pair.balls, volumes)
    target = find_orbital_target(pair, side, USUAL_MM)
    true = volumes[side] - known.pair.volumes_ml[side]
    off = np.abs(target.wall_mm - was.wall_mm)[target.gave_way & gone]
    bone = np.logical_and(known.skull.mask(), _on(ct, known.skull) >= BONE_HU)
    skull = replace(known.skull, array=bone.view(np.uint8))
    plate = lay_plate(target, skull, PlateSize())
    numbers = {n.quantity: n.value for n in plate.numbers}
    solid = 4 * np.pi / len(ball.ways) / 100
    return Verdict(
        "/".join(f"{part}" for part in place),
        target.area_cm2,
        float(np.nansum(was.wall_mm[gone] ** 2) * solid),
        target.excess_ml,
        true,
        float(off.mean()),
        float(np.percentile(off, 95)),
        numbers["gap.mean"],
        numbers["overlap.volume"],
        numbers["way.bone"],
        is_watertight(plate),
        any(f.code == "screw_without_bone" for f in plate.findings),
    )


def _on(ct: Volume, skull: LabelMap) -> Array:
    """Return the image on the voxels of the skull, which are some of its own."""
    start = np.rint(ct.geometry.to_index(np.asarray(skull.geometry.origin_mm)[None])[0]).astype(int)
    part = tuple(slice(a, a + n) for a, n in zip(start[::-1], skull.array.shape))
    return np.asarray(ct.array[part])
