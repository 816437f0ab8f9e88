"""The globes of both eyes in a head CT, from which orbits are looked at.

Vitreous is between fat and muscle in density, and nothing else of its width lies in front of the
middle of the head in a pair with about the same distance from the midline.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from meshing.symmetry import MirrorPlane
from segmentation.resampling import resample_volume
from segmentation.volume import Floats, Volume, bounding_block

GRID_MM = 1.5
WATER_HU = (-30.0, 90.0)
CORE_MM, CORE_ML = 8.0, (0.05, 2.0)
"""What is left of a globe when this is taken off its surface: a little ball."""

PAIR_MM = 8.0
"""One eye and the mirror image of the other lie no farther apart."""

ASIDE_MM = (22.0, 45.0)
"""Of the middle of a globe from the midline."""


class NoEyes(ValueError):
    """The globes of both eyes were not found."""


def find_eyes(volume: Volume, plane: MirrorPlane) -> tuple[Floats, Floats]:
    """Return the middles of the left and the right globe, LPS mm.

    Raises:
        NoEyes: if there is no pair of globes.
    """
    block = bounding_block(volume.array > -300, (0, 0, 0))
    if block is None:
        raise NoEyes("the image shows no head")
    start = [s.start for s in block][::-1]
    array = volume.array[block]
    part = Volume(array, volume.geometry.cropped(start, array.shape[::-1]))
    coarse = resample_volume(part, part.geometry.resampled((GRID_MM,) * 3))
    low, high = WATER_HU
    calm = ndimage.gaussian_filter(np.asarray(coarse.array, np.float32), 0.7)
    depth = ndimage.distance_transform_edt((calm > low) & (calm < high)) * GRID_MM
    pieces, count = ndimage.label(depth > CORE_MM)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * GRID_MM**3 / 1000
    fit = [n for n in range(1, count + 1) if CORE_ML[0] <= sizes[n] <= CORE_ML[1]]
    if not fit:
        raise NoEyes(MISSING)
    middles = np.array(ndimage.center_of_mass(pieces > 0, pieces, fit))[:, ::-1]
    points = coarse.geometry.to_world(middles)
    return _pair(points, sizes[fit], plane)


MISSING = (
    "the globes of both eyes were not found in the image; click behind one of them, in the middle "
    "of an orbit (inside_mm)"
)


def _pair(points: Floats, sizes: Floats, plane: MirrorPlane) -> tuple[Floats, Floats]:
    """Return the pair of points about the midline whose lesser one is largest, the left first."""
    aside = (points - np.asarray(plane.point_mm)) @ np.asarray(plane.normal)
    best: tuple[float, Floats, Floats] | None = None
    there = (np.abs(aside) > ASIDE_MM[0]) & (np.abs(aside) < ASIDE_MM[1])
    for a in np.flatnonzero(there & (aside > 0)):
        for b in np.flatnonzero(there & (aside < 0)):
            apart = float(np.linalg.norm(points[a] - plane.mirrored(points[b][None])[0]))
            least = float(min(sizes[a], sizes[b]))
            if apart <= PAIR_MM and (best is None or least > best[0]):
                best = least, points[a], points[b]
    if best is None:
        raise NoEyes(MISSING)
    return best[1], best[2]
