"""A label's surface moved to the edge in the image, finer than the voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, map_coordinates

from meshing.cell_sizes import averaging, edges_of, point_normals
from meshing.intersections import self_intersections
from meshing.isosurface import isosurface
from meshing.mesh import SurfaceMesh, enclosed_mm3, measured
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, share, silent
from segmentation.volume import ImageGeometry, LabelMap, Volume, bounding_block

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NEAR_VOXELS = 2.0
"""Standard deviation of the surroundings whose mean is the level inside, or outside."""

STEPS_PER_VOXEL = 4
CLEAR = 3.0
"""Contrast, in standard deviations of the noise, from which the image counts half."""

HESITATION = 1.0
"""Weight of staying beside that of the image, 0 to 1."""


@dataclass(frozen=True, eq=False)
class _Levels:
    """The image, mean levels inside and outside at every voxel, and the noise; all [k, j, i]."""

    image: Floats
    inside: Floats
    outside: Floats
    noise: float
    geometry: ImageGeometry

    def at(self, field: Floats, points_mm: Floats) -> Floats:
        """Return a field at LPS mm points (..., 3), linear between voxels."""
        index = self.geometry.to_index(points_mm)[..., ::-1]
        return np.asarray(
            map_coordinates(field, np.moveaxis(index, -1, 0), order=1, mode="nearest")
        )


def fit_to_image(
    labels: LabelMap,
    volume: Volume,
    *,
    label: str = "",
    largest_move_voxels: Annotated[float, Gt(0), Le(3)] = 1.0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make a closed surface from a label, at the edge that the image shows.

    Each point of the label's surface moves along its normal to where the image is half-way
    between the levels inside and outside nearby. The less contrast there is for the noise, the
    more points move together, and the less they move. Where triangles would cross, points stay.

    Args:
        labels: the labelled voxels.
        volume: the image on the same grid.
        label: name of the label; empty takes all labels together.
        largest_move_voxels: how far a point may move, in mean voxel edges.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if image and labels lie on different grids.
        ValueError: if the label does not exist.
    """
    if not labels.geometry.same_grid(volume.geometry):
        raise FrameMismatch("the image and the labels have different grids; resample one first")
    start = isosurface(labels, label=label, progress=share(progress, 0, 3))
    if not len(start.triangles):
        return start
    progress(0.35, "measuring the levels inside and outside")
    levels = _levels(labels.mask(label or None), volume)
    edge_mm = float(np.prod(labels.geometry.spacing_mm)) ** (1 / 3)
    move, seen = _moves(start, levels, largest_move_voxels * edge_mm, edge_mm, progress)
    normals = point_normals(start.points_mm, start.triangles)
    for turn in range(6):
        part = share(share(progress, 2, 3), turn, 6)
        result = replace(start, points_mm=start.points_mm + move[:, None] * normals)
        pairs = self_intersections(result, progress=part)
        if not len(pairs):
            break
        crossing = np.zeros(len(move))
        crossing[start.triangles[pairs.ravel()].ravel()] = 1.0
        ring = averaging(edges_of(start.triangles), len(move))
        for _ in range(2):
            crossing = np.maximum(crossing, (ring @ crossing > 0).astype(float))
        move = np.where(crossing > 0, 0.0 if turn > 2 else move / 2, move)
    return _told(start, result, move, seen)


def _levels(mask: Mask, volume: Volume) -> _Levels:
    """Return the levels around a label, from voxels that its edge does not blur if there are."""
    spacing = np.asarray(volume.geometry.spacing_kji_mm)
    sigma = NEAR_VOXELS * float(np.prod(spacing)) ** (1 / 3) / spacing
    reach = [int(n) for n in np.ceil(4 * sigma) + 4]
    block = bounding_block(mask, (reach[0], reach[1], reach[2]))
    block = block or (slice(None),) * 3
    image, inside = volume.array[block].astype(np.float64), mask[block]
    geometry = volume.geometry.cropped(
        [s.start for s in block[::-1]], [s.stop - s.start for s in block[::-1]]
    )
    deep = binary_erosion(inside)
    far = ~binary_dilation(inside) & binary_dilation(inside, iterations=4)
    means = [_mean_of(image, choice, sigma) for choice in ((deep, inside), (far, ~inside))]
    residual = np.concatenate([(image - m)[c] for m, c in zip(means, (deep, far)) if c.any()])
    noise = 1.4826 * float(np.median(np.abs(residual))) if len(residual) else 0.0
    return _Levels(image, means[0], means[1], noise, geometry)


def _mean_of(image: Floats, choices: tuple[Mask, Mask], sigma: Floats) -> Floats:
    """Return the local mean over the first choice of voxels, or the second where it has none."""
    total, weight = np.zeros_like(image), np.zeros_like(image)
    for choice, trust in zip(choices, (1.0, 1e-3)):
        total += trust * gaussian_filter(np.where(choice, image, 0.0), sigma)
        weight += trust * gaussian_filter(choice.astype(np.float64), sigma)
    return np.asarray(total / np.maximum(weight, 1e-12))


def _moves(
    mesh: SurfaceMesh, levels: _Levels, largest_mm: float, edge_mm: float, progress: Progress
) -> tuple[Floats, Floats]:
    """Return how far each point moves outward in mm, and how clearly the image shows it, 0 to 1."""
    points, normals = mesh.points_mm, point_normals(mesh.points_mm, mesh.triangles)
    count = int(np.ceil(largest_mm / edge_mm * STEPS_PER_VOXEL))
    steps = np.linspace(-largest_mm, largest_mm, 2 * count + 1)
    progress(0.4, "looking for the edge in the image")
    high, low = levels.at(levels.inside, points), levels.at(levels.outside, points)
    middle, turn = (high + low) / 2, np.sign(high - low)
    profile = np.stack([levels.at(levels.image, points + s * normals) for s in steps], axis=-1)
    above = (profile - middle[:, None]) * turn[:, None]
    falls = (above[:, :-1] > 0) & (above[:, 1:] <= 0)
    part = above[:, :-1] / np.maximum(above[:, :-1] - above[:, 1:], 1e-12)
    places = np.where(falls, steps[:-1] + part * (steps[1] - steps[0]), np.inf)
    best = np.abs(places).argmin(axis=1)
    found = places[np.arange(len(places)), best]
    contrast = np.abs(high - low) / max(levels.noise, 1e-9)
    seen = np.where(np.isfinite(found), contrast**2 / (contrast**2 + CLEAR**2), 0.0)
    found = np.where(np.isfinite(found), found, 0.0)
    ring = averaging(edges_of(mesh.triangles), len(points))
    # Noise moves an edge by about its share of the contrast: average until it is a tenth.
    typical = float(np.median(contrast))
    rounds = int(np.clip(2.0 * (10.0 / max(typical, 1e-3)) ** 2, 0, 40))
    pull, weight = found * seen, seen.copy()
    for turn_number in range(rounds):
        progress(0.5 + 0.1 * turn_number / rounds, "moving points together")
        pull, weight = (pull + ring @ pull) / 2, (weight + ring @ weight) / 2
    move = pull / (weight + HESITATION * (1.0 - weight))
    return np.clip(move, -largest_mm, largest_mm), seen


def _told(start: SurfaceMesh, result: SurfaceMesh, move: Floats, seen: Floats) -> SurfaceMesh:
    """Return the result with what moved, and where the image was of no use."""
    result = measured(result)
    change = 100.0 * (enclosed_mm3(result) / enclosed_mm3(start) - 1.0)
    shown = 100.0 * float(np.mean(seen > 0.5))
    source = "over the points of the label's surface"
    numbers = (
        Number("largest_move", float(np.abs(move).max()), "mm", source),
        Number("mean_move", float(np.abs(move).mean()), "mm", source),
        Number("volume_change", change, "%", "against the label's surface"),
        Number("clear_edge", shown, "%", "share of points where the image shows an edge"),
    )
    notes = result.findings
    if shown < 50.0:
        text = f"The image shows a clear edge at {shown:.0f} percent of the surface only."
        remedy = "Take the label's own surface if the image does not show this structure."
        notes = (*notes, Finding(Severity.WARNING, "faint_edge", text, remedy=remedy))
    return replace(result, findings=notes, numbers=(*result.numbers, *numbers))
