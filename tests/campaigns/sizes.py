"""Sizes and poses found in synthetic bones that were shaped for a known part.

The rule: a block of bone takes a generic part of a random size at a random pose (any turn, any
place on an oblique grid), as if prepared for it without play. Its surface is roughened by noise
of 0.3 mm (root of the mean square, correlated over about 2 mm) before it is cut into voxels of
0.9 mm. The search is told the place within 6 mm and two directions within 15 degrees, each off by
a random amount, and tries all sizes. A draw passes if the size is the right one, the middle of
the seat lies within 1 mm, and the part is turned by at most 1 degree (for a part that is round
about its axis: its axis).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from meshing.distance_fields import BAND, Grid, signed_distance
from segmentation.volume import ImageGeometry, LabelMap
from workstation.planning.implant_families import FAMILIES, Part
from workstation.planning.size_search import (
    Pose,
    Start,
    Weights,
    bone_field,
    search,
    seat_points,
)

CELL_MM = 0.9
NOISE_MM = 0.3
OFF_MM, OFF_DEGREES = 6.0, 15.0
KINDS = ("hip_stem", "acetabular_cup", "knee_femur", "knee_tibia")


@dataclass(frozen=True)
class Draw:
    """A bone with the part and the pose for which it was prepared."""

    bone: LabelMap
    part: Part
    pose: Pose
    start: Start


@dataclass(frozen=True)
class Verdict:
    """How the best candidate compares with the truth."""

    family: str
    size: str
    found: str
    off_mm: float
    off_degrees: float
    seconds: float

    @property
    def ok(self) -> bool:
        return self.size == self.found and self.off_mm <= 1.0 and self.off_degrees <= 1.0


def draw(seed: int, kinds: tuple[str, ...] = KINDS) -> Draw:
    """Return the ``seed``-th bone."""
    random = np.random.default_rng(seed)
    family = FAMILIES[kinds[seed % len(kinds)]]
    size = str(random.choice(list(family.sizes)))
    part = family.part(size)
    turn = Rotation.from_quat(random.normal(size=4))
    place = random.uniform(-40, 40, 3)
    pose = Pose(tuple(place), tuple(turn.as_rotvec(degrees=True)))
    bone = _bone(part, family.dimensions_of(size), pose, random)
    middle = pose.placed(seat_points(part, 2500)[0].mean(axis=0)[None])[0]
    wrong = Rotation.from_rotvec(_within(random, OFF_DEGREES), degrees=True) * turn
    axes = wrong.as_matrix()
    start = Start(tuple(middle + _within(random, OFF_MM)), tuple(axes[:, 2]), tuple(axes[:, 1]))
    return Draw(bone, part, pose, start)


def _within(random: np.random.Generator, most: float) -> np.ndarray:
    way = random.normal(size=3)
    return way / np.linalg.norm(way) * most * random.uniform()


def _bone(part: Part, d: dict[str, float], pose: Pose, random: np.random.Generator) -> LabelMap:
    """Return a block of bone on a turned grid, without what the part takes of it."""
    grid_turn = Rotation.from_rotvec(random.uniform(-20, 20, 3), degrees=True).as_matrix()
    points = part.mesh.points_mm
    around = pose.placed(np.vstack([points, points + 12, points - 12])) @ grid_turn
    low = around.min(axis=0) + random.uniform(0, CELL_MM, 3)
    count = np.ceil((around.max(axis=0) - low) / CELL_MM).astype(int)
    shape = tuple(count[::-1])
    grid = Grid(low, CELL_MM, shape)
    away = signed_distance(pose.placed(points) @ grid_turn, part.mesh.triangles, grid)
    noise = ndimage.gaussian_filter(random.normal(size=shape), 2.0 / CELL_MM)
    noise *= NOISE_MM / noise.std()
    k, j, i = np.indices(shape)
    world = (low + CELL_MM * np.stack([i, j, k], axis=-1)) @ grid_turn.T
    local = (world - np.asarray(pose.position_mm)) @ pose.rotation
    solid = _block(part.family, d, *np.moveaxis(local, -1, 0)) & (away + noise > 0)
    geometry = ImageGeometry(
        tuple(int(n) for n in count), (CELL_MM,) * 3, tuple(grid_turn @ low),
        tuple(grid_turn.ravel()), "1.2.3",
    )  # fmt: skip
    assert BAND * CELL_MM > 3 * NOISE_MM
    return LabelMap(solid.astype(np.uint8), geometry)


def _block(family: str, d: dict[str, float], x: np.ndarray, y: np.ndarray, z: np.ndarray):
    """Tell what is bone before the part is put in; coordinates of the part's frame, mm."""
    if family == "hip_stem":
        canal = np.hypot(x, y) < d["tip_mm"] / 2 + 1
        shaft = np.hypot((x - 6) / (d["width_mm"] / 2 + 14), y / (d["depth_mm"] / 2 + 8)) < 1
        return shaft & (z < 0) & ~(canal & (z < -d["length_mm"] + 5))
    if family == "acetabular_cup":
        return (np.sqrt(x**2 + y**2 + z**2) < d["outer_mm"] / 2 + 9) & (z < 0)
    if family == "knee_femur":
        half = d["depth_mm"] / 2
        inside = (np.abs(x) < d["width_mm"] / 2) & (np.abs(y) < half) & (z > 0)
        for side in (-1, 1):
            inside &= side * y - z < half - d["chamfer_mm"]
        return inside & (z < 50)
    return (np.hypot(x / (d["width_mm"] / 2 + 2), y / (d["depth_mm"] / 2 + 2)) < 1) & (z < 0)


def judge(one: Draw, near: int = 99) -> Verdict:
    """Search the sizes within ``near`` of the truth; return how the best compares with it."""
    began = time.process_time()
    family = FAMILIES[one.part.family]
    known = list(family.sizes)
    middle_size = known.index(one.part.size)
    parts = [family.part(s) for n, s in enumerate(known) if abs(n - middle_size) <= near]
    field = bone_field(one.bone)
    best = search(parts, field, one.start, Weights())[0]
    seconds = time.process_time() - began
    middle = seat_points(one.part, 2500)[0].mean(axis=0)[None]
    apart = best.pose.placed(middle) - one.pose.placed(middle)
    turned = best.pose.rotation.T @ one.pose.rotation
    angle = np.degrees(Rotation.from_matrix(turned).magnitude())
    if one.part.turns:
        angle = np.degrees(np.arccos(np.clip(turned[2, 2], -1, 1)))
    return Verdict(
        one.part.family, one.part.size, best.size, float(np.linalg.norm(apart)), float(angle),
        seconds,
    )  # fmt: skip
