"""What bounds the body of a cranial implant, as distances on a grid.

The grid's third axis is the direction from which the implant is put in. Along that axis the
clearance to bone is the least one that is met on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.volume import Floats, ImageGeometry
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import SLANT_MM, Target, Vault

Field = npt.NDArray[np.float32]

AROUND_MM = 9.0
"""Bone this far around the hole stands in the way at most."""

SPIKE_MM = 0.05
"""The middles of bone's voxels lie this deep in bone, at the least."""

CALM_CELLS = 0.9
"""Over how many cells the distance to bone is evened."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Distances in mm on a grid, [k, j, i].

    Attributes:
        outer, inner: to the outside and the inside of a body, positive within.
        rim: to bone on the way out, negative in it.
        hole: where rays from the middle meet no bone.
        height: over the outside, as it goes on over the bone around the hole.
    """

    outer: Field
    inner: Field
    rim: Field
    hole: Mask
    height: Field


def grid_along(target: Target, axes: Floats, cell_mm: float) -> ImageGeometry:
    """Return a grid around the hole whose third axis leads out of the head; rows of ``axes``."""
    chart = target.chart
    near = ndimage.binary_dilation(target.hole, iterations=int(SLANT_MM + AROUND_MM))
    shown = near & ~np.isnan(target.outer_mm)
    ways, outer = chart.directions()[shown], target.outer_mm[shown]
    inner = np.minimum(target.inner_mm[shown], outer - 6.0)
    corners = np.concatenate([ways * outer[:, None], ways * inner[:, None]]) @ axes.T
    low, high = corners.min(axis=0) - 3.0, corners.max(axis=0) + 3.0
    size = np.ceil((high - low) / cell_mm).astype(int) + 1
    origin = chart.centre_mm + low @ axes
    return ImageGeometry(
        (int(size[0]), int(size[1]), int(size[2])),
        (cell_mm, cell_mm, cell_mm),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(axes.T.ravel()),
        "",
    )


def find_limits(
    vault: Vault, target: Target, grid: ImageGeometry, thickness_mm: float | None, thinnest: float
) -> Limits:
    """Return what bounds a body on a grid; it is no thinner than ``thinnest`` where bone is."""
    k, j, i = np.indices(grid.shape)
    world = grid.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    ways = world - target.chart.centre_mm
    distance = np.linalg.norm(ways, axis=1).reshape(grid.shape).astype(np.float32)
    chart = target.chart
    known = ~np.isnan(target.outer_mm)
    index = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    top, low = target.outer_mm[tuple(index)], target.inner_mm[tuple(index)]
    # Along a ray the walls are farther than across; the slope says by how much.
    slope = np.gradient(top, chart.step)
    across = 1.0 / np.sqrt(1.0 + (slope[0] ** 2 + slope[1] ** 2) / top**2)
    place = chart.places(ways)

    def at(values: Floats) -> Field:
        found = ndimage.map_coordinates(values, place, order=1, mode="nearest")
        return np.asarray(found.reshape(grid.shape), np.float32)

    outer = (at(top) - distance) * at(across)
    wall = np.maximum(at(top - low) * at(across), np.float32(thinnest))
    wall = wall if thickness_mm is None else np.full_like(wall, thickness_mm)
    hole: Mask = np.asarray(at(target.hole.astype(float)) > 0.5)
    near = at(target.away_mm) < SLANT_MM
    rim = _from_bone(vault, target, grid, world, _marrow(target, distance, place))
    # What must pass a place on the way out must pass all that lie above it.
    rim = np.minimum.accumulate(rim[::-1], axis=0)[::-1]
    body = np.where(near, outer, np.minimum(outer, np.float32(-grid.spacing_mm[0])))
    return Limits(body, wall - body, rim, hole, -outer)


def _marrow(target: Target, distance: Field, place: Floats) -> Mask:
    """Return what lies between the walls of bone, at distances from the middle."""
    # Rays beside the hole are left out: a rounded one would count into it.
    there = ndimage.binary_erosion(~np.isnan(target.bone.outer))
    nearest = np.clip(np.rint(place).astype(int), 0, 2 * target.chart.half)
    outer, inner = (
        np.where(there, wall, 0.0)[tuple(nearest)].reshape(distance.shape)
        for wall in (target.bone.outer, target.bone.inner)
    )
    return np.asarray((distance <= outer - 0.5) & (distance >= inner + 0.5))


def _from_bone(
    vault: Vault, target: Target, grid: ImageGeometry, world: Floats, marrow: Mask
) -> Field:
    """Return distances in mm to bone, negative in it.

    Next to bone they follow from how much of it is seen there, so that they are finer than cells.
    """
    index = vault.geometry.to_index(world)[:, ::-1].T
    seen = ndimage.map_coordinates(
        vault.mask.astype(np.float32), index, np.float32, order=1, prefilter=False
    ).reshape(grid.shape)
    bone = (seen >= 0.5) | marrow
    cell = grid.spacing_mm[0]
    rim = ndimage.distance_transform_edt(~bone, sampling=cell).astype(np.float32) - cell / 2
    deep = ndimage.distance_transform_edt(bone, sampling=cell).astype(np.float32)
    rim = np.where(bone, cell / 2 - deep, rim).astype(np.float32)
    voxel = float(np.prod(vault.geometry.spacing_mm)) ** (1 / 3)
    edge = ~marrow & (seen > 0.02) & (seen < 0.98)
    rim = np.where(edge, (0.5 - seen) * np.float32(voxel), rim)
    # A wall's steps from voxel to voxel would add up along the way in.
    return _off_voxels(vault, grid, ndimage.gaussian_filter(rim, CALM_CELLS))


def _off_voxels(vault: Vault, grid: ImageGeometry, rim: Field) -> Field:
    """Return distances to bone that are below zero in the middles of its voxels.

    Spikes of single voxels are lost between the cells of a grid, but not so.
    """
    index = vault.geometry.to_index(grid.corners_mm())
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, vault.geometry.size)
    part = vault.mask[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    shell = part & ~ndimage.binary_erosion(part)
    voxels = vault.geometry.to_world(np.argwhere(shell)[:, ::-1] + low)
    place = grid.to_index(voxels)[:, ::-1]
    place = place[((place >= 0) & (place < np.asarray(rim.shape) - 1)).all(axis=1)]
    over = ndimage.map_coordinates(rim, place.T, order=1) + SPIKE_MM
    place, over = place[over > 0], over[over > 0]
    less = np.zeros_like(rim)
    corner = np.floor(place).astype(int)
    for step in np.ndindex(2, 2, 2):
        np.maximum.at(less, tuple((corner + step).T), over)
    return np.asarray(rim - less)
