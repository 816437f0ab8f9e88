"""Surfaces of many labels that touch: their walls are shared, without gap or overlap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.ndimage import gaussian_filter

from meshing import label_walls
from meshing.integrals import area_of, volume_of
from meshing.mesh import SurfaceMesh, area_mm2, bounding_block, measured
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import LabelMap

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[np.uint16]

OUTSIDE = "outside"
"""What lies beyond all labels, in the names of walls."""

NEAREST = 0.03
"""Least weight of each voxel in the place of a point between them: no two points meet."""

STEEPNESS = 1.2
"""By how much smoothed labels' difference changes across a voxel, about."""

ROUNDS = 24
LEAP = 0.5
"""Share of its volume from which on a label's lack bounds its shift."""

MEMORY = 6
"""Rounds after which shifts of labels are no longer remembered."""

WITHIN = 0.002
"""Share of its volume by which a label's part may differ from its voxels."""


@dataclass(frozen=True, eq=False)
class _Walls:
    """Triangles over points between voxels, with the labels behind and before each."""

    triangles: Integers
    sides: Integers
    voxels: Integers
    sizes: Integers
    places: Floats
    edge_mm: float

    def points(self, weights: Floats) -> Floats:
        """Return points (x, y, z) in mm along the axes: weighted means of their voxels."""
        return np.asarray(np.einsum("nv,nvc->nc", weights, self.places))


def shared_surfaces(
    labels: LabelMap,
    *,
    smoothing_mm: Annotated[float, Ge(0), Le(5)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make the surfaces of all labels at once, with shared walls where they touch.

    The result is one surface of which each wall between two labels is a named part, such as
    "liver|tumor" or "liver|outside"; its normals point from the first to the second. What
    `surface_of_label` takes out of it is closed by itself, and neighbours have the same
    triangles, so the parts fill the whole without gap or overlap.

    Args:
        labels: the labelled voxels.
        smoothing_mm: standard deviation of the smoothing in mm; 0 keeps the voxel steps, empty
            takes 0.6 of a voxel's mean edge.
        progress: told how far the work is.
    """
    block = bounding_block(labels.array != 0)
    frame = labels.geometry.frame_uid
    if block is None:
        text = "The labels have no voxel, so the surface is empty."
        note = Finding(Severity.WARNING, "empty_label", text)
        return SurfaceMesh(
            np.empty((0, 3)), np.empty((0, 3), np.int64), frame, "walls", findings=(note,)
        )
    spacing = np.asarray(labels.geometry.spacing_mm)
    edge_mm = float(np.prod(spacing)) ** (1 / 3)
    used_mm = 0.6 * edge_mm if smoothing_mm is None else smoothing_mm
    values = np.pad(labels.array[block].astype(np.uint16), 1)
    progress(0.05, "finding the walls")
    found, sides = label_walls.walls(values, label_walls.CHAINS)
    numbers, triangles = np.unique(found, return_inverse=True)
    voxels, sizes = label_walls.voxels_of(numbers, values.shape)
    _, nj, ni = values.shape
    places = np.stack([voxels % ni, voxels // ni % nj, voxels // (ni * nj)], axis=-1) * spacing
    walls = _Walls(triangles.reshape(-1, 3), sides, voxels, sizes, places, edge_mm)
    weights = _weights(walls, values, used_mm / spacing[::-1], progress)
    start = np.array([s.start for s in block]) - 1
    points = labels.geometry.to_world(walls.points(weights) / spacing + start[::-1])
    cells = walls.triangles
    if np.linalg.det(labels.geometry.axes) < 0:
        cells = cells[:, ::-1]
    progress(0.95, "measuring the walls")
    mesh = SurfaceMesh(points, cells, frame, "walls", boundaries=_parts(labels, sides))
    return replace(mesh, numbers=_numbers(labels, mesh, sides))


def surface_of_label(walls: SurfaceMesh, *, label: str, progress: Progress = silent) -> SurfaceMesh:
    """Take the closed surface of one label out of shared walls.

    Args:
        walls: what `shared_surfaces` made, LPS mm.
        label: name of the label.
        progress: told how far the work is.

    Raises:
        ValueError: if no wall belongs to that label.
    """
    progress(0.2, "collecting the walls")
    pieces = []
    for name, part in walls.boundaries.items():
        behind, _, before = name.partition("|")
        if label in (behind, before):
            cells = walls.triangles[part]
            pieces.append(cells if label == behind else cells[:, ::-1])
    if not pieces:
        known = sorted({side for name in walls.boundaries for side in name.split("|")})
        raise ValueError(f"no wall belongs to {label!r}; the labels here are: {', '.join(known)}")
    used, cells = np.unique(np.vstack(pieces), return_inverse=True)
    mesh = walls.reshaped(walls.points_mm[used], cells.reshape(-1, 3))
    return measured(replace(mesh, name=label, numbers=(), findings=()))


def _weights(walls: _Walls, values: Values, sigma: Floats, progress: Progress) -> Floats:
    """Return the weight of each point's voxels (n, 4), so that labels keep their volumes."""
    present = [int(v) for v in np.unique(values)]
    corner = values.ravel()[walls.voxels]
    strength = np.zeros((len(corner), 4, 4))  # [point, whose label, at which voxel]
    for number, value in enumerate(present):
        progress(0.1 + 0.5 * number / len(present), "smoothing the labels")
        wanted = (corner == value).any(axis=1)
        field = _smoothed(values == value, sigma).ravel()
        at = field[walls.voxels[wanted]]
        mine = corner[wanted] == value
        strength[wanted] += mine[:, :, None] * at[:, None, :]
    shift = np.zeros(max(present) + 1)
    weights = _meeting(walls, corner, strength, shift)
    shifts: list[Floats] = []
    steps: list[Floats] = []
    low, high = np.full(len(shift), -np.inf), np.full(len(shift), np.inf)
    for turn in range(ROUNDS):
        progress(0.6 + 0.3 * turn / ROUNDS, "keeping the volumes")
        lacking = _lacking(walls, values, walls.points(weights))
        if max(abs(part) for part, _ in lacking.values()) < WITHIN:
            break
        step = np.zeros(len(shift))
        for value, (part, depth_mm) in lacking.items():
            step[value] = STEEPNESS * depth_mm / walls.edge_mm
            if abs(part) > LEAP:
                (low if part > 0 else high)[value] = shift[value]
        shifts.append(shift)
        steps.append(step)
        shift = _next(shifts[-MEMORY:], steps[-MEMORY:])
        # A label of few voxels leaps from nothing to all it can have: its shift is halved in.
        leapt = np.isfinite(high - low) & ((shift <= low) | (shift >= high))
        shift[leapt] = (low[leapt] + high[leapt]) / 2
        weights = _meeting(walls, corner, strength, shift)
    return weights


def _next(shifts: list[Floats], steps: list[Floats]) -> Floats:
    """Return shifts closer to where steps vanish, from those tried (Anderson mixing).

    Anderson, Iterative procedures for nonlinear integral equations, Journal of the ACM 12 (1965):
    one label's gain is its neighbours' loss, so single steps creep where labels are thin.
    """
    if len(steps) == 1:
        return np.asarray(shifts[0] + steps[0])
    turned, gone = np.diff(steps, axis=0).T, np.diff(shifts, axis=0).T
    share = np.linalg.lstsq(turned, steps[-1], rcond=1e-6)[0]
    return np.asarray(shifts[-1] + steps[-1] - (gone + turned) @ share)


def _meeting(walls: _Walls, corner: Values, strength: Floats, shift: Floats) -> Floats:
    """Return where labels are equally strong: the weights (n, 4) of each point's voxels."""
    strong = strength + shift[corner][:, :, None]
    weights = np.zeros((len(corner), 4))
    edge = walls.sizes == 2
    ahead = strong[edge, 0, 0] - strong[edge, 1, 0]
    behind = strong[edge, 1, 1] - strong[edge, 0, 1]
    share = ahead / np.maximum(ahead + behind, 1e-6)
    weights[edge, 1] = np.clip(share, NEAREST, 1.0 - NEAREST)
    weights[edge, 0] = 1.0 - weights[edge, 1]
    for size in (3, 4):
        here = walls.sizes == size
        equations = np.ones((int(here.sum()), size, size))
        equations[:, :-1] = np.diff(strong[here, :size, :size], axis=1)
        known = np.zeros((len(equations), size, 1))
        known[:, -1] = 1.0
        turned = equations.transpose(0, 2, 1)
        # A little pull to the middle settles what the equations leave open.
        square = turned @ equations + 1e-3 * np.eye(size)
        found = np.linalg.solve(square, turned @ known + 1e-3 / size)[:, :, 0]
        found = np.maximum(found, NEAREST)
        weights[here, :size] = found / found.sum(axis=1, keepdims=True)
    return weights


def _smoothed(mask: npt.NDArray[np.bool_], sigma: Floats) -> Floats:
    """Return a mask smoothed without shrinking, twice the smoothed less once more smoothed."""
    exact = mask.astype(np.float32)
    if not sigma.any():
        return exact.astype(np.float64)
    once = gaussian_filter(exact, sigma, mode="nearest", truncate=3.0)
    return np.asarray(2.0 * once - gaussian_filter(once, sigma, mode="nearest", truncate=3.0))


def _lacking(walls: _Walls, values: Values, points: Floats) -> dict[int, tuple[float, float]]:
    """Return for each label the share of its volume, and the depth in mm, that its part lacks."""
    lacking = {}
    counts = np.bincount(values.ravel())
    for value in (int(v) for v in np.flatnonzero(counts) if v):
        behind, before = walls.sides[:, 0] == value, walls.sides[:, 1] == value
        cells = np.vstack([walls.triangles[behind], walls.triangles[before][:, ::-1]])
        wanted = float(counts[value]) * walls.edge_mm**3
        missing = wanted - float(volume_of(points, cells))
        lacking[value] = (missing / wanted, missing / float(area_of(points, cells)))
    return lacking


def _names(labels: LabelMap, value: int) -> str:
    if value == 0:
        return OUTSIDE
    name = labels.labels[value].name if value in labels.labels else ""
    return (name or f"label {value}").replace("|", "/")


def _parts(labels: LabelMap, sides: Integers) -> dict[str, Integers]:
    """Return the triangles of the wall between each two labels, by both names."""
    pairs, of = np.unique(sides, axis=0, return_inverse=True)
    of = of.ravel()
    return {
        f"{_names(labels, int(behind))}|{_names(labels, int(before))}": np.flatnonzero(of == n)
        for n, (behind, before) in enumerate(pairs)
    }


def _numbers(labels: LabelMap, mesh: SurfaceMesh, sides: Integers) -> tuple[Number, ...]:
    """Return the volume of each label's part and the area of all walls."""
    source = "volume enclosed by the label's walls (divergence theorem)"
    numbers = []
    for value in np.unique(sides[sides > 0]).tolist():
        behind, before = sides[:, 0] == value, sides[:, 1] == value
        cells = np.vstack([mesh.triangles[behind], mesh.triangles[before][:, ::-1]])
        volume_ml = float(volume_of(mesh.points_mm, cells)) / 1000.0
        numbers.append(Number(f"volume of {_names(labels, value)}", volume_ml, "mL", source))
    area = Number("area", area_mm2(mesh) / 100.0, "cm2", "sum of the triangle areas")
    return (*numbers, area)
