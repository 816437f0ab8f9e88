"""From where a plate of an orbit is put in, and what of it bone would stop on that way.

Each point halfway through the plate is moved out along a direction; where it comes nearer to the
centre of a voxel of bone than the plate is thick and its points are apart, that place is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from segmentation.volume import Floats, LabelMap
from workstation.planning.orbit_walls import Mask

TILTS_DEGREES, BEARINGS = (0.0, 8.0, 16.0, 24.0, 32.0, 40.0), 12
"""Directions that are tried: these tilts off straight out, towards so many sides."""

OUT_MM, AROUND_MM = 40.0, 80.0
"""How far the plate is moved; how far from the middle of the orbit bone is looked at."""

STEP_MM, NEAR_MM = 0.4, 0.35
"""Between places on the way; half the diagonal of what lies around a point halfway through."""

COARSE, COARSE_STEP_MM, COARSE_NEAR_MM = 3, 1.0, 0.6
"""While directions are compared: every so many points; and as above."""

TILT_COST = 0.02
"""Share of the plate that a direction 45 degrees off must save to be worth it."""


@dataclass(frozen=True, eq=False)
class Bone:
    """Centres of the voxels of bone around an orbit, LPS mm."""

    points_mm: Floats
    tree: cKDTree


def bone_mask(skull: LabelMap) -> Mask:
    """Return the voxels of the skull, or of all labels where none is called that."""
    names = [label.name for label in skull.labels.values()]
    return skull.mask("skull" if "skull" in names else None)


def bone_around(skull: LabelMap, middle_mm: Floats) -> Bone:
    """Return the bone around the middle of an orbit."""
    mask = bone_mask(skull)
    index = skull.geometry.to_index(middle_mm[None])[0]
    reach = AROUND_MM / np.asarray(skull.geometry.spacing_mm)
    low = np.maximum(np.floor(index - reach).astype(int), 0)
    high = np.maximum(np.ceil(index + reach).astype(int) + 1, low)
    part = mask[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    points = skull.geometry.to_world((np.argwhere(part)[:, ::-1] + low).astype(float))
    return Bone(points, cKDTree(points))


def free_way(points_mm: Floats, worth: Floats, bone: Bone, forward: Floats) -> Floats:
    """Return the unit direction out on which bone stops the least of a plate.

    ``worth`` weighs its points; ``forward`` leads straight out.
    """
    a = np.cross(forward, (0.0, 0.0, 1.0))
    a /= np.linalg.norm(a)
    few, weights = points_mm[::COARSE], worth[::COARSE] / worth[::COARSE].sum()
    best, least = forward, np.inf
    for tilt in np.radians(TILTS_DEGREES):
        for bearing in np.arange(BEARINGS if tilt else 1) * 2 * np.pi / BEARINGS:
            side = np.cos(bearing) * a + np.sin(bearing) * np.cross(a, forward)
            way = np.cos(tilt) * forward + np.sin(tilt) * side
            met = stopped(few, way, bone, COARSE_STEP_MM, COARSE_NEAR_MM)
            cost = float(weights[met].sum()) + TILT_COST * (1 - np.cos(tilt)) / (1 - 0.5**0.5)
            if cost < least:
                best, least = way, cost
    return best


def stopped(
    points_mm: Floats,
    way: Floats,
    bone: Bone,
    step_mm: float = STEP_MM,
    near_mm: float = NEAR_MM,
) -> Mask:
    """Return which points of a plate come too near to bone on their way out."""
    lifts = np.arange(0.0, OUT_MM + step_mm, step_mm)
    moved = points_mm[:, None] + lifts[None, :, None] * way
    away = bone.tree.query(moved.reshape(-1, 3), distance_upper_bound=near_mm)[0]
    return np.asarray(np.isfinite(away).reshape(len(points_mm), -1).any(axis=1))
