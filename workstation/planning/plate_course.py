"""The course of a plate on bone: where it lies, how it is bent, and where its holes are.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d, maximum_filter1d
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from meshing.geodesics import Geodesics
from meshing.nearest import NearestOnSurface
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh
from meshing.tree import triangle_tree
from segmentation.contract import Progress
from segmentation.sampling import along_line
from segmentation.volume import Floats

STEP_MM = 0.5
"""Between the sections of a plate."""

ABOVE_MM = 15.0
"""From this height above its path the bone under a plate is looked for."""

ACROSS = 9
TRIES = 12
CLOSE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Course:
    """Sections of a plate: middles of the underside (n, 3), LPS mm, and the way out of the bone.

    ``gap_mm`` is the distance to bone of each section's places, (n, `ACROSS`).
    """

    base_mm: Floats
    normals: Floats
    gap_mm: Floats

    def along_mm(self) -> Floats:
        """Return the way (mm) along the underside to each section."""
        steps = np.linalg.norm(np.diff(self.base_mm, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def frames(self) -> Floats:
        """Return (n, 3, 3): columns along, across and out of the bone at each section."""
        return frames_of(self.base_mm, self.normals)

    def at(self, places_mm: Floats) -> tuple[Floats, Floats]:
        """Return points (k, 3) of the underside and frames (k, 3, 3) at ways along it."""
        along, frames = self.along_mm(), self.frames()
        base = np.stack([np.interp(places_mm, along, self.base_mm[:, a]) for a in range(3)], 1)
        nine = frames.reshape(len(frames), 9)
        mixed = np.stack([np.interp(places_mm, along, nine[:, a]) for a in range(9)], 1)
        t, _, n = np.moveaxis(mixed.reshape(-1, 3, 3), 2, 0)
        return base, _frames(t, n)


def frames_of(base_mm: Floats, normals: Floats) -> Floats:
    """Return (n, 3, 3): columns along a line, across it, and out along its normals."""
    return _frames(np.gradient(base_mm, axis=0), normals)


def _frames(along: Floats, out: Floats) -> Floats:
    t = _unit(along)
    n = _unit(out - np.einsum("ij,ij->i", out, t)[:, None] * t)
    return np.stack([t, np.cross(n, t), n], axis=2)


def lay(
    mesh: SurfaceMesh,
    points_mm: Floats,
    width_mm: float,
    stand_off_mm: float,
    smooth_mm: float,
    progress: Progress,
) -> Course:
    """Lay a plate, flat across, along the shortest way over a bone through points (n, 3).

    The way and the directions out of the bone are smoothed over ``smooth_mm``; then the plate is
    lifted until no place of its underside is nearer to bone than ``stand_off_mm``.

    Raises:
        ValueError: if there is no way, or no place where the plate is clear of the bone.
    """
    progress(0.2, "searching the way over the bone")
    way = along_line(Geodesics(mesh, points_mm).way(points_mm), STEP_MM)[1]
    sigma = max(smooth_mm / STEP_MM, 1.0)
    path = _evened(way, sigma)
    normals = _unit(_evened(_ways_out(mesh, way, width_mm), sigma))
    progress(0.5, "bending the plate")
    aside = np.linspace(-width_mm / 2, width_mm / 2, ACROSS)
    high = _heights(mesh, path, normals, aside)
    high = maximum_filter1d(high, 2 * _radius(sigma) + 1, mode="nearest")
    high = correlate1d(high, _weights(sigma), mode="nearest")
    near = NearestOnSurface(mesh)
    lift = stand_off_mm
    for _ in range(TRIES):
        base = path + (high + lift)[:, None] * normals
        across = frames_of(base, normals)[:, :, 1]
        places = base[:, None] + aside[:, None] * across[:, None]
        gap = near.signed_mm(places.reshape(-1, 3)).reshape(len(base), ACROSS)
        missing = stand_off_mm - float(gap.min())
        if missing <= CLOSE_MM:
            return Course(base, frames_of(base, normals)[:, :, 2], gap)
        lift += missing
    raise ValueError(
        "the plate cannot be laid clear of the bone along this path; take a narrower plate, or "
        "points on a flatter part"
    )


def bends(frames: Floats) -> Floats:
    """Return (k - 1, 3) degrees between neighbouring frames (k, 3, 3).

    Twist about the plate's length, bend across its flat (positive around a convex bone), and
    bend on edge: the rotation vector in the plate's own axes.
    """
    turn = np.swapaxes(frames[:-1], 1, 2) @ frames[1:]
    return np.asarray(np.degrees(Rotation.from_matrix(turn).as_rotvec()))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _radius(sigma: float) -> int:
    return int(np.ceil(2.0 * sigma))


def _weights(sigma: float) -> Floats:
    """Return a bell's weights that reach no farther than the greatest values were spread."""
    at = np.arange(-_radius(sigma), _radius(sigma) + 1)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    return np.asarray(bell / bell.sum())


def _evened(values: Floats, sigma: float) -> Floats:
    """Smooth rows along a line; both ends stay, the line goes on beyond them turned about."""
    reach = min(_radius(sigma), len(values) - 1)
    before = 2 * values[0] - values[reach:0:-1]
    after = 2 * values[-1] - values[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, values, after])
    return np.asarray(correlate1d(longer, _weights(sigma), axis=0)[reach : reach + len(values)])


def _ways_out(mesh: SurfaceMesh, way: Floats, width_mm: float) -> Floats:
    """Return the mean direction out of the bone under the plate's width at each place (n, 3)."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    twice = np.cross(b - a, c - a)
    own = twice[NearestOnSurface(mesh)(way).triangle]
    tree = cKDTree((a + b + c) / 3)
    out = []
    for near, mine in zip(tree.query_ball_point(way, width_mm / 2), own):
        around = twice[near]
        out.append(mine + around[around @ mine > 0].sum(axis=0))
    return _unit(np.array(out))


def _heights(mesh: SurfaceMesh, path: Floats, normals: Floats, aside: Floats) -> Floats:
    """Return how high (mm) above each place (n,) bone reaches anywhere across the plate."""
    across = frames_of(path, normals)[:, :, 1]
    starts = path[:, None] + aside[:, None] * across[:, None] + ABOVE_MM * normals[:, None]
    down = np.repeat(-normals, len(aside), axis=0)
    tree = triangle_tree(mesh.points_mm, mesh.triangles)
    way, _ = first_hits(tree, starts.reshape(-1, 3), down, np.full(len(down), -1),
                        reach_mm=2 * ABOVE_MM)  # fmt: skip
    high = np.where(np.isfinite(way), ABOVE_MM - way, -ABOVE_MM).reshape(len(path), -1)
    return np.asarray(high.max(axis=1))
