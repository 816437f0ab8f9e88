"""The shape of a wedge around a lesion: its margin, and the cone in which it opens.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from meshing.nearest import NearestOnSurface
from meshing.surface import isosurface
from segmentation.volume import ImageGeometry, LabelMap
from workstation.planning.cut_surface import centres_mm
from workstation.planning.proposal import Floats, holds

NEAR_CELLS = 2.0  # of the grid around the margin, where distances are exact
BLOCK = 3  # cells in each direction that are judged by their middle first
CLOSE_VOXELS = 3.0  # from a lesion's surface, from where its corners stand for its triangles
OUTSIDE = -1.0  # any negative level serves


@dataclass(frozen=True, eq=False)
class Cone:
    """The cone in which a wedge opens: a lesion's middle, the way to the surface, half its width.

    ``centre_mm`` (3,) in LPS mm, ``axis`` (3,) a unit direction in LPS.
    """

    centre_mm: Floats
    axis: Floats
    radius_mm: float

    def places(self, points_mm: Floats) -> tuple[Floats, Floats]:
        """Return how far points (n, 3) lie along the axis from the middle, and off the axis."""
        away = points_mm - self.centre_mm
        along = away @ self.axis
        return along, np.linalg.norm(away - along[:, None] * self.axis, axis=1)


def cone_of(lesion_mm: Floats, organ_mm: Floats) -> Cone:
    """Return the cone of a lesion, from places (n, 3) on its surface and on the organ's, LPS mm."""
    centre = lesion_mm.mean(axis=0)
    way = organ_mm[np.argmin(np.linalg.norm(organ_mm - centre, axis=1))] - centre
    axis = way / max(float(np.linalg.norm(way)), 1e-9)
    return Cone(centre, axis, float(Cone(centre, axis, 0.0).places(lesion_mm)[1].max()))


class Wedge:
    """What is removed around one lesion."""

    def __init__(
        self, lesion: LabelMap, organ_mm: Floats | None, margin_mm: float, slope: float
    ) -> None:
        """Prepare a wedge that opens by a slope to places on the organ's surface, LPS mm.

        Without these places it is closed around the lesion.
        """
        self._lesion, self._margin_mm, self._slope = lesion, margin_mm, slope
        self._skin = isosurface(lesion)
        self._nearest = cKDTree(self._skin.points_mm)
        self._cone = None if organ_mm is None else cone_of(self._skin.points_mm, organ_mm)

    def places(self, samples_mm: Floats) -> Floats:
        """Return which of places (n, 3) it may hold, and the lesion's surface."""
        corners = self._skin.points_mm
        low, high = corners.min(axis=0) - self._margin_mm, corners.max(axis=0) + self._margin_mm
        held = np.all((samples_mm >= low) & (samples_mm <= high), axis=1)
        if self._cone is not None:
            held |= self._in_cone(samples_mm) >= 0
        return np.concatenate([corners, samples_mm[held]])

    def level(self, grid: ImageGeometry) -> Floats:
        """Return on a grid [k, j, i] what is positive within the margin and in the cone."""
        level = self._offset(grid)
        if self._cone is not None:
            level = np.maximum(level, self._in_cone(centres_mm(grid)))
        return np.asarray(level.reshape(grid.shape))

    def _in_cone(self, points_mm: Floats) -> Floats:
        assert self._cone is not None
        along, beside = self._cone.places(points_mm)
        radius = self._cone.radius_mm + self._margin_mm
        wall = (radius + along * self._slope - beside) / np.hypot(1.0, self._slope)
        return np.asarray(np.minimum(wall, along))

    def _offset(self, grid: ImageGeometry) -> Floats:
        """Return by how much cells (n,) lie within the margin; exact only near its border.

        Elsewhere a bound serves: only where the level changes its sign does its value matter.
        """
        step = max(grid.spacing_mm)
        near_mm, radius_mm = NEAR_CELLS * step, step * np.sqrt(3.0) * (BLOCK - 1) / 2
        middles = [np.arange(0, n, BLOCK) + (BLOCK - 1) / 2 for n in grid.shape]
        k, j, i = np.meshgrid(*middles, indexing="ij")
        centres = grid.to_world(np.stack([i, j, k], -1).reshape(-1, 3))
        reach_mm = self._margin_mm + near_mm + radius_mm
        coarse = self._margin_mm - self._signed(centres, reach_mm)
        offset = coarse.reshape(k.shape)
        for axis in range(3):
            offset = np.repeat(offset, BLOCK, axis=axis)
        offset = offset[tuple(slice(n) for n in grid.shape)].ravel()
        unsure = np.flatnonzero(np.abs(offset) < near_mm + radius_mm)
        offset[unsure] = self._margin_mm - self._signed(
            centres_mm(grid)[unsure], self._margin_mm + near_mm, near_mm
        )
        return np.asarray(offset)

    def _signed(self, points_mm: Floats, farthest_mm: float, near_mm: float = 0.0) -> Floats:
        """Return distances (n,) from the lesion's surface, negative inside, farthest ones cut.

        Where corners of triangles would not tell the distance, and it is within ``near_mm`` of
        the margin, triangles do.
        """
        apart = self._nearest.query(points_mm, distance_upper_bound=farthest_mm)[0]
        apart = np.minimum(apart, farthest_mm)
        signed = np.where(holds(self._lesion, points_mm), -apart, apart)
        close = apart < CLOSE_VOXELS * max(self._lesion.geometry.spacing_mm)
        asked = np.flatnonzero(close & (np.abs(signed - self._margin_mm) < near_mm))
        if len(asked):
            signed[asked] = NearestOnSurface(self._skin).signed_mm(points_mm[asked])
        return np.asarray(signed)


def places_of(wedges: Sequence[Wedge], samples_mm: Floats) -> Floats:
    """Return places (m, 3), LPS mm, of an organ's samples (n, 3) and lesions that wedges hold."""
    return np.concatenate([wedge.places(samples_mm) for wedge in wedges])


def closed_at_rim(level: Floats) -> None:
    """Make a level [k, j, i] negative on all sides of its grid: what lies beyond is not removed."""
    for axis in range(3):
        sides = np.moveaxis(level, axis, 0)[[0, -1]]
        np.moveaxis(level, axis, 0)[[0, -1]] = np.minimum(sides, OUTSIDE)
