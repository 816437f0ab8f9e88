"""What of a bone a guide meets that is put on from one direction: heights seen from there.

Whatever stays above these heights goes on and comes off along that direction without touching
bone; it has no undercut. Space is DICOM patient LPS in millimetres; a `Field` has axes of its own,
its third pointing out of the bone, against the direction from which the guide is put on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from manifold3d import Manifold
from scipy.ndimage import distance_transform_edt, grey_dilation

from meshing.booleans import as_solid
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh
from meshing.tree import triangle_tree
from segmentation.volume import Floats

APPROACH_MM = 60.0
"""Bone higher than this above the guide is not in its way: it is put on from below there."""

SMALL = 2.0
CLIFF = 4.0
"""A steeper slope is an edge; beside it the guide need not stay farther away than this asks."""


@dataclass(frozen=True, eq=False)
class Field:
    """Heights on a grid, in the axes (rows of ``axes``, LPS) about ``origin_mm``.

    Attributes:
        low_mm, step_mm: the first grid point (x, y) and the spacing.
        bone_mm: height of the bone [x, y]; the nearest one known where there is none below.
        over_bone: where bone lies below [x, y].
    """

    origin_mm: Floats
    axes: Floats
    low_mm: Floats
    step_mm: float
    bone_mm: Floats
    over_bone: npt.NDArray[np.bool_]

    def local(self, points_mm: Floats) -> Floats:
        """Return LPS points (n, 3) in the field's axes."""
        return np.asarray((np.asarray(points_mm) - self.origin_mm) @ self.axes.T)

    def places(self) -> Floats:
        """Return (nx, ny, 3) points on the bone as seen, in the field's axes."""
        x, y = (self.low_mm[a] + self.step_mm * np.arange(self.bone_mm.shape[a]) for a in (0, 1))
        grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
        return np.concatenate([grid, self.bone_mm[:, :, None]], axis=2)

    def to_lps(self) -> Floats:
        """Return (3, 4) what carries the field's axes to LPS."""
        return np.column_stack([self.axes.T, self.origin_mm])

    def between(self, low: Floats | float, high: Floats | float) -> Manifold:
        """Return the solid between two sheets of heights [x, y], in the field's axes."""
        places = self.places()
        rows, columns = self.bone_mm.shape
        sheets = []
        for height in (low, high):
            sheet = places.copy()
            sheet[:, :, 2] = height
            sheets.append(sheet.reshape(-1, 3))
        number = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
        top = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
        rim = np.concatenate([number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]])
        ahead, up = np.roll(rim, -1), rows * columns
        walls = [np.stack([rim, ahead, ahead + up], 1), np.stack([rim, ahead + up, rim + up], 1)]
        cells = np.concatenate([top[:, ::-1], top + up, *walls])
        return as_solid(SurfaceMesh(np.concatenate(sheets), cells, "", "sheet"), np.zeros(3))


def seen_from(
    mesh: SurfaceMesh, around_mm: Floats, insert: Floats, pad_mm: float, step_mm: float
) -> Field:
    """Return the heights of a bone around points (n, 3), LPS mm, as seen along ``insert``.

    Raises:
        ValueError: if no bone lies there.
    """
    up = -insert / np.linalg.norm(insert)
    aside = np.cross(np.eye(3)[int(np.argmin(np.abs(up)))], up)
    aside /= np.linalg.norm(aside)
    axes = np.stack([aside, np.cross(up, aside), up])
    origin = around_mm.mean(axis=0)
    local = (around_mm - origin) @ axes.T
    low, high = local[:, :2].min(axis=0) - pad_mm, local[:, :2].max(axis=0) + pad_mm
    count = np.ceil((high - low) / step_mm).astype(int) + 1
    field = Field(origin, axes, low, step_mm, np.zeros(tuple(count)), np.ones(tuple(count), bool))
    starts = field.places().reshape(-1, 3)
    start = float(local[:, 2].max()) + APPROACH_MM
    starts[:, 2] = start
    way, _ = first_hits(
        triangle_tree(mesh.points_mm, mesh.triangles), starts @ axes + origin,
        np.tile(-up, (len(starts), 1)), np.full(len(starts), -1), reach_mm=4 * APPROACH_MM,
    )  # fmt: skip
    height = (start - way).reshape(field.bone_mm.shape)
    known = np.isfinite(height)
    if not known.any():
        raise ValueError("no bone lies below the guide; turn the direction it is put on from")
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return Field(origin, axes, low, step_mm, height[tuple(nearest)], known)


def grown(heights_mm: Floats, radius_mm: float, step_mm: float) -> Floats:
    """Return heights on which a ball of the radius rolls: nowhere nearer than that to the first.

    A ball hardly larger than the grid's spacing rolls on the slope at each place.
    """
    if radius_mm < SMALL * step_mm:
        slopes = []
        for axis in (0, 1):
            rise = np.abs(np.diff(heights_mm, axis=axis)) / step_mm
            ends = [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)]
            slopes.append(np.maximum(np.pad(rise, ends), np.pad(rise, [e[::-1] for e in ends])))
        steep = np.minimum(np.hypot(*slopes), CLIFF)
        return np.asarray(heights_mm + radius_mm * np.sqrt(1.0 + steep**2))
    reach = int(radius_mm / step_mm)
    at = step_mm * np.arange(-reach, reach + 1)
    left = radius_mm**2 - at[:, None] ** 2 - at**2
    ball = np.where(left >= 0, np.sqrt(np.maximum(left, 0.0)), -np.inf)
    return np.asarray(grey_dilation(heights_mm, structure=ball, footprint=left >= 0))
