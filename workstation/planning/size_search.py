"""The size and pose of an implant that fit a bone best, by an objective that is shown.

The bone is a field of signed distances on voxels. From many starts, poses of every size go
downhill together (Gauss-Newton with damping, Levenberg 1944, on the distances of points spread
over the part's seat); far points lose their pull step by step (graduated non-convexity, Blake
and Zisserman 1987, with the Geman-McClure weight).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from segmentation.contract import Progress, share, silent
from segmentation.volume import Floats, ImageGeometry, LabelMap, Vector
from workstation.planning.implant_families import Part

TOUCHING_MM = 0.5
"""A seat this close to bone is in contact."""

NEAR_MM = 3.0
"""A seat farther than this from bone is not covered; gaps count up to it."""

FACING = 0.5
"""Cosine between the way out of the part and that into bone, from which the seat faces it."""

FEW, SOME, MANY = 120, 500, 2500
"""Points on a seat: to look around, to refine, to judge."""

MOST_VOXELS = 12_000_000

KEPT = 5
"""Starts of each size that are refined."""

POLISHED = 3
"""Sizes whose score itself goes uphill at last."""

POLISH_STEP = 0.4
"""mm, and degrees, of its first steps."""


@dataclass(frozen=True)
class Weights:
    """What each term of the objective counts.

    The score, in %, is the mean of contact and coverage with their weights, minus the weight
    of gap (% for each mm) times the gap, minus that of interference times the interference.
    """

    contact: float = 1.0
    coverage: float = 1.0
    gap: float = 30.0
    interference: float = 30.0


@dataclass(frozen=True)
class Pose:
    """Where a part lies: its origin (LPS mm) and how it is turned (axis times degrees)."""

    position_mm: Vector
    turn_degrees: Vector = (0.0, 0.0, 0.0)

    @property
    def rotation(self) -> Floats:
        """The matrix whose columns are the part's axes in LPS."""
        return np.asarray(Rotation.from_rotvec(self.turn_degrees, degrees=True).as_matrix())

    def placed(self, points_mm: Floats) -> Floats:
        """Return points (n, 3) of the part's frame in LPS mm."""
        return np.asarray(points_mm @ self.rotation.T + np.asarray(self.position_mm))

    def nudged(self, shift_mm: Vector = (0, 0, 0), turn_degrees: Vector = (0, 0, 0)) -> Pose:
        """Return the pose moved along the part's own axes, and turned about them."""
        origin = np.asarray(self.position_mm) + self.rotation @ np.asarray(shift_mm, float)
        turn = Rotation.from_rotvec(turn_degrees, degrees=True).as_matrix()
        return _pose(self.rotation @ turn, origin)


@dataclass(frozen=True)
class Fit:
    """How a seat meets bone: shares in %, distances in mm (root of the mean square).

    Attributes:
        contact: of the seat within 0.5 mm of bone that it faces.
        coverage: of the seat within 3 mm of bone that it faces, or in it.
        gap_mm: distance to bone where the seat is outside of it, 3 mm at the most.
        interference_mm: depth in bone, 0 where the seat is outside of it.
        score: the objective, %.
    """

    contact: float
    coverage: float
    gap_mm: float
    interference_mm: float
    score: float


@dataclass(frozen=True)
class Candidate:
    """The best pose of one size, and how it fits."""

    size: str
    pose: Pose
    fit: Fit


@dataclass(frozen=True, eq=False)
class BoneField:
    """Signed distances to bone in mm on voxels, [k, j, i]; negative in bone."""

    gap_mm: npt.NDArray[np.float32]
    geometry: ImageGeometry

    def __call__(self, points_mm: Floats) -> tuple[Floats, Floats]:
        """Return distances (...) and their gradients (..., 3) at LPS points (..., 3)."""
        shape = points_mm.shape[:-1]
        at = self.geometry.to_index(points_mm.reshape(-1, 3))
        last = np.array(self.gap_mm.shape[::-1]) - 1.0
        inside = np.clip(at, 0.0, last - 1e-6)
        beyond = np.linalg.norm((at - inside) * self.geometry.spacing_mm, axis=1)
        low = inside.astype(np.int64)
        u, v, w = (inside - low).T
        _, ny, nx = self.gap_mm.shape
        flat, first = self.gap_mm.ravel(), (low[:, 2] * ny + low[:, 1]) * nx + low[:, 0]
        corner = [[[flat[first + i + nx * (j + ny * k)] for i in (0, 1)] for j in (0, 1)]
                  for k in (0, 1)]  # fmt: skip
        x = [[c[0] + u * (c[1] - c[0]) for c in row] for row in corner]
        y = [row[0] + v * (row[1] - row[0]) for row in x]
        along_x = [[c[1] - c[0] for c in row] for row in corner]
        dx = [row[0] + v * (row[1] - row[0]) for row in along_x]
        slope = np.column_stack([
            dx[0] + w * (dx[1] - dx[0]),
            (1 - w) * (x[0][1] - x[0][0]) + w * (x[1][1] - x[1][0]),
            y[1] - y[0],
        ])  # fmt: skip
        gradient = (slope / self.geometry.spacing_mm) @ self.geometry.axes.T
        gap = y[0] + w * (y[1] - y[0]) + beyond
        return gap.reshape(shape), gradient.reshape(*shape, 3)


def bone_field(
    bone: LabelMap, site_mm: Vector | None = None, reach_mm: float = math.inf, cell_mm: float = 0.8
) -> BoneField:
    """Return the distances to bone within a box of half-width ``reach_mm`` around a site.

    Voxels are joined up to about ``cell_mm``.

    Raises:
        ValueError: if there is no bone there, or nothing else.
    """
    mask, geometry = bone.mask(), bone.geometry
    if site_mm is not None and math.isfinite(reach_mm):
        middle = geometry.to_index(np.asarray(site_mm))
        half = reach_mm / np.asarray(geometry.spacing_mm)
        start = np.clip(np.floor(middle - half).astype(int), 0, geometry.size)
        stop = np.clip(np.ceil(middle + half).astype(int) + 1, 0, geometry.size)
        if (stop - start < 2).any():
            raise ValueError("the site lies outside the image of the bone; choose another")
        mask = mask[start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]]
        geometry = geometry.cropped(start, mask.shape[::-1])
    where = ndimage.find_objects(mask.astype(np.uint8))
    if not where:
        raise ValueError("there is no bone at the site; choose another, or widen reach_mm")
    pad = [math.ceil(12.0 / s) for s in geometry.spacing_kji_mm]
    low = [max(s.start - p, 0) for s, p in zip(where[0], pad)]
    high = [min(s.stop + p, n) for s, p, n in zip(where[0], pad, mask.shape)]
    mask = mask[tuple(slice(a, b) for a, b in zip(low, high))]
    geometry = geometry.cropped(low[::-1], mask.shape[::-1])
    mask, geometry = _joined(mask, geometry, cell_mm)
    if mask.all() or not mask.any():
        raise ValueError("the site holds bone only; give a label with room for the implant")
    steps = geometry.spacing_kji_mm
    half_step = min(steps) / 2
    out = ndimage.distance_transform_edt(~mask, steps) - half_step
    inner = ndimage.distance_transform_edt(mask, steps) - half_step
    gap = ndimage.gaussian_filter(np.where(mask, -inner, out).astype(np.float32), 0.7)
    return BoneField(gap, geometry)


def _joined(
    mask: npt.NDArray[np.bool_], geometry: ImageGeometry, cell_mm: float
) -> tuple[npt.NDArray[np.bool_], ImageGeometry]:
    """Return a mask whose voxels are joined to blocks of up to ``cell_mm``, by majority."""
    while True:
        by = [max(1, math.floor(cell_mm / s + 1e-6)) for s in geometry.spacing_mm]
        if mask.size / math.prod(by) <= MOST_VOXELS:
            break
        cell_mm *= 1.25
    if by == [1, 1, 1]:
        return mask, geometry
    kji = by[::-1]
    padded = np.pad(mask, [(0, -n % b) for n, b in zip(mask.shape, kji)])
    k, j, i = (n // b for n, b in zip(padded.shape, kji))
    blocks = padded.reshape(k, kji[0], j, kji[1], i, kji[2]).mean(axis=(1, 3, 5))
    origin = geometry.to_world((np.array(by) - 1) / 2)
    spacing = np.asarray(geometry.spacing_mm) * by
    x, y, z = (float(v) for v in origin)
    a, b, c = (float(v) for v in spacing)
    coarse = ImageGeometry((i, j, k), (a, b, c), (x, y, z), geometry.direction, geometry.frame_uid)
    return blocks >= 0.5, coarse


def seat_points(part: Part, count: int) -> tuple[Floats, Floats]:
    """Return points spread evenly over a part's seat and the normals there; both (n, 3), mm.

    They are the same every time.
    """
    mesh = part.mesh
    corners = mesh.points_mm[mesh.triangles[part.seat]]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(cross, axis=1)
    ends = np.cumsum(twice)
    number = np.arange(count)
    cell = np.searchsorted(ends, (number + 0.5) / count * ends[-1])
    u = (0.5 + number * 0.7548776662466927) % 1.0  # Roberts' sequence
    v = (0.5 + number * 0.5698402909980532) % 1.0
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (corners[cell, n] for n in range(3))
    points = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return points, cross[cell] / np.maximum(twice[cell], 1e-30)[:, None]


def judge(part: Part, pose: Pose, field: BoneField, weights: Weights) -> Fit:
    """Return how a part at a pose fits."""
    points, normals = seat_points(part, MANY)
    gap, slope = field(pose.placed(points))
    into = -np.einsum("ij,ij->i", slope, normals @ pose.rotation.T)
    faces = into > FACING * np.maximum(np.linalg.norm(slope, axis=1), 1e-9)
    contact = 100.0 * float(np.mean(faces & (np.abs(gap) <= TOUCHING_MM)))
    coverage = 100.0 * float(np.mean((faces & (gap <= NEAR_MM)) | (gap < 0)))
    width = np.where(faces | (gap < 0), np.clip(gap, 0.0, NEAR_MM), NEAR_MM)
    apart = float(np.sqrt(np.mean(width**2)))
    depth = float(np.sqrt(np.mean(np.minimum(gap, 0.0) ** 2)))
    shares = weights.contact * contact + weights.coverage * coverage
    shares /= max(weights.contact + weights.coverage, 1e-9)
    score = shares - weights.gap * apart - weights.interference * depth
    return Fit(contact, coverage, apart, depth, score)


@dataclass(frozen=True, eq=False)
class Start:
    """Where a search begins.

    Attributes:
        site_mm: about where the middle of the part's seat goes, LPS.
        axis, front: about where the part's z and y axes point, LPS; None for anywhere.
        spread_mm, spread_degrees: how far the truth may be from them.
    """

    site_mm: Vector
    axis: Vector | None = None
    front: Vector | None = None
    spread_mm: float = 12.0
    spread_degrees: float = 25.0

    def rotations(self) -> Floats:
        """Return the rotations (n, 3, 3) from which the search begins."""
        if self.axis is None:
            return _everywhere(96)
        base = _facing(self.axis, self.front)
        tilts = Rotation.from_rotvec(_ball(12) * math.radians(self.spread_degrees))
        turns = 12 if self.front is None else 1
        twists = Rotation.from_rotvec([(0, 0, 2 * math.pi * n / turns) for n in range(turns)])
        made = [tilt * Rotation.from_matrix(base) * twist for twist in twists for tilt in tilts]
        return np.asarray([rotation.as_matrix() for rotation in made])


def _facing(axis: Vector, front: Vector | None) -> Floats:
    """Return the rotation that takes z to ``axis`` and y as near to ``front`` as it goes."""
    z = np.asarray(axis, float)
    if np.linalg.norm(z) < 1e-9:
        raise ValueError("the axis has no length; give a direction such as [0, 0, 1]")
    z = z / np.linalg.norm(z)
    ahead = np.eye(3)[int(np.argmin(np.abs(z)))] if front is None else np.asarray(front, float)
    y = ahead - (ahead @ z) * z
    if np.linalg.norm(y) < 1e-6 * max(float(np.linalg.norm(ahead)), 1e-9):
        raise ValueError("axis and front point the same way; give two directions")
    y /= np.linalg.norm(y)
    return np.column_stack([np.cross(y, z), y, z])


def _everywhere(count: int) -> Floats:
    """Return rotations spread evenly (super-Fibonacci spirals, Alexa, CVPR 2022)."""
    s = np.arange(count) + 0.5
    d, t = 2 * math.pi * s, s / count
    alpha, beta = d / math.sqrt(2), d / 1.533751168755204
    r, q = np.sqrt(t), np.sqrt(1 - t)
    four = [r * np.sin(alpha), r * np.cos(alpha), q * np.sin(beta), q * np.cos(beta)]
    return np.asarray(Rotation.from_quat(np.column_stack(four)).as_matrix())


def _ball(count: int) -> Floats:
    """Return points (n, 3) spread over the unit ball, the first in its middle."""
    n = np.arange(count)[:, None]
    cube = (n * np.array([0.8191725134, 0.6710436067, 0.5497004779])) % 1.0
    height, turn = 2 * cube[:, 1] - 1, 2 * math.pi * cube[:, 2]
    wide = np.sqrt(1 - height**2)
    unit = np.column_stack([wide * np.cos(turn), wide * np.sin(turn), height])
    return np.asarray(np.cbrt(cube[:, :1]) * unit)


def search(
    parts: list[Part], field: BoneField, start: Start, weights: Weights,
    progress: Progress = silent,
) -> list[Candidate]:  # fmt: skip
    """Return the best pose of each size, the best fit first.

    Raises:
        ValueError: if there is no part, or the directions of the start are none.
    """
    if not parts:
        raise ValueError("there is no size to try; choose some")
    found = []
    for number, part in enumerate(parts):
        step = share(progress, number, len(parts))
        step(0.0, f"trying size {part.size}")
        found.append(_best_pose(part, field, start, weights, step))
    found.sort(key=lambda c: -c.fit.score)
    of_size = {part.size: part for part in parts}
    for number, candidate in enumerate(found[:POLISHED]):
        progress(0.97, f"refining size {candidate.size}")
        found[number] = _polished(of_size[candidate.size], candidate, field, weights)
    return sorted(found, key=lambda c: -c.fit.score)


def _polished(part: Part, candidate: Candidate, field: BoneField, weights: Weights) -> Candidate:
    """Return a candidate whose score itself has gone uphill (Nelder and Mead, 1965)."""
    pose, middle = candidate.pose, seat_points(part, SOME)[0].mean(axis=0)
    centre, rotation = pose.placed(middle[None])[0], Rotation.from_matrix(pose.rotation)

    def moved(step: Floats) -> Pose:
        turned = (Rotation.from_rotvec(step[3:], degrees=True) * rotation).as_matrix()
        return _pose(turned, centre + step[:3] - turned @ middle)

    def loss(step: Floats) -> float:
        return -judge(part, moved(step), field, weights).score

    simplex = np.vstack([np.zeros(6), POLISH_STEP * np.eye(6)])
    options = {"initial_simplex": simplex, "maxfev": 250, "xatol": 0.01, "fatol": 0.01}
    better = moved(minimize(loss, np.zeros(6), method="Nelder-Mead", options=options).x)
    fit = judge(part, better, field, weights)
    return Candidate(part.size, better, fit) if fit.score > candidate.fit.score else candidate


def _best_pose(
    part: Part, field: BoneField, start: Start, weights: Weights, progress: Progress
) -> Candidate:
    points, _ = seat_points(part, FEW)
    rotations = start.rotations()
    shifts = _ball(len(rotations))[::-1] * start.spread_mm
    middle = seat_points(part, SOME)[0].mean(axis=0)
    origins = np.asarray(start.site_mm) + shifts - rotations @ middle
    rotations, origins, cost = descend(points, field, rotations, origins, weights, 8.0, 14)
    best = np.argsort(cost, kind="stable")[:KEPT]
    rotations, origins = rotations[best], origins[best]
    points, _ = seat_points(part, SOME)
    for scale, rounds in ((4.0, 12), (2.0, 12), (1.0, 25)):
        progress(0.5, f"refining size {part.size}")
        rotations, origins, _ = descend(points, field, rotations, origins, weights, scale, rounds)
    poses = [_pose(r, o) for r, o in zip(rotations, origins)]
    fits = [judge(part, pose, field, weights) for pose in poses]
    winner = int(np.argmax([fit.score for fit in fits]))
    return Candidate(part.size, poses[winner], fits[winner])


def _pose(rotation: Floats, origin: Floats) -> Pose:
    a, b, c = Rotation.from_matrix(rotation).as_rotvec(degrees=True)
    return Pose((float(origin[0]), float(origin[1]), float(origin[2])),
                (float(a), float(b), float(c)))  # fmt: skip


def descend(
    points: Floats, field: BoneField, rotations: Floats, origins: Floats, weights: Weights,
    scale_mm: float, rounds: int,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Move poses (rotations (s, 3, 3), origins (s, 3)) downhill; return them and their costs.

    A gap of ``scale_mm`` or more hardly pulls; interference always does.
    """
    damping = np.full(len(origins), 1e-3)
    state = _cost(points, field, rotations, origins, weights, scale_mm)
    for _ in range(rounds):
        cost, hessian, slope = state
        diagonal = np.einsum("sii->si", hessian).copy()
        ridge = damping[:, None] * diagonal + 1e-9
        step = -np.linalg.solve(hessian + ridge[:, :, None] * np.eye(6), slope[..., None])[..., 0]
        turn = Rotation.from_rotvec(step[:, :3]).as_matrix()
        tried_rotations, tried_origins = turn @ rotations, origins + step[:, 3:]
        tried = _cost(points, field, tried_rotations, tried_origins, weights, scale_mm)
        better = tried[0] < cost
        rotations = np.where(better[:, None, None], tried_rotations, rotations)
        origins = np.where(better[:, None], tried_origins, origins)
        state = (
            np.where(better, tried[0], cost),
            np.where(better[:, None, None], tried[1], hessian),
            np.where(better[:, None], tried[2], slope),
        )
        damping = np.clip(np.where(better, damping * 0.3, damping * 5), 1e-7, 1e6)
    return rotations, origins, state[0]


def _cost(
    points: Floats, field: BoneField, rotations: Floats, origins: Floats, weights: Weights,
    scale_mm: float,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Return for each pose its cost, the Gauss-Newton matrix (6, 6) and the slope (6,).

    The six are a turn about the part's origin and a shift, both along LPS axes.
    """
    arms = np.einsum("sij,nj->sni", rotations, points)
    gap, towards = field(arms + origins[:, None, :])
    outside = gap > 0
    ratio = 1.0 + (gap / scale_mm) ** 2
    pull = np.where(outside, weights.gap / ratio**2, weights.interference)
    value = np.where(outside, weights.gap * gap**2 / ratio, weights.interference * gap**2)
    jacobian = np.concatenate([np.cross(arms, towards), towards], axis=2)
    weighted = jacobian * pull[..., None]
    count = len(points)
    hessian = np.einsum("sni,snj->sij", weighted, jacobian, optimize=True) / count
    slope = np.einsum("sni,sn->si", weighted, gap) / count
    return value.mean(axis=1), hessian, slope
