"""The parent vessel of a sac as it would run without it: beneath the sac, as wide as before.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshing.aneurysm_neck import NoNeck
from meshing.centerline import Centerline
from meshing.curves import arc_length_mm
from meshing.lumen import Piece, Wall
from meshing.surface import SurfaceMesh
from meshing.thinning import Cells, cheapest_ways, connected_parts, fill, subset

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

AROUND = 2.2  # radii of the sac around its centre, and
BESIDE = 3.0  # radii of the vessel beyond, are its neighbourhood
LEAST = 1.3  # radii of the sac from its centre, a vessel may be judged
NEXT = 40  # of its points
STEPS = 5.0  # voxels to the radius of the vessel
VOXELS = 80_000  # in the neighbourhood, about
GRID = 2.5e7  # voxels of the grid around the whole lumen
AWAY = 50.0  # a way avoids the sac at this many times its cost
SMOOTH = 10  # times that each point of a way takes the mean with its neighbours
BATCH = 2000


@dataclass(frozen=True)
class Ball:
    """The largest sphere inside a sac, LPS mm."""

    centre_mm: Floats
    radius_mm: float


@dataclass(frozen=True, eq=False)
class ParentVessel:
    """The vessel beneath a sac and its branches, and where the neighbourhood ends.

    Attributes:
        points_mm, radius_mm: (m, 3) and (m,) places on the ways from the widest end of the
            neighbourhood to each other one, past the sac.
        ends: how many vessels leave the neighbourhood.
        size_mm: the median radius of these.
        reach_mm: the radius of the neighbourhood around the ball's centre.
        through: the ways that do not avoid the sac, (n, 3) points and (n,) radii each.
    """

    points_mm: Floats
    radius_mm: Floats
    ends: int
    size_mm: float
    reach_mm: float
    through: tuple[tuple[Floats, Floats], ...] = ()

    def enclosed(self, ball: Ball) -> float:
        """Return how deep in a ball the vessel's middle runs on every way through, in its radii.

        It is negative where a way passes outside of the ball.
        """
        depths = []
        for points, radius in self.through:
            deep = ball.radius_mm - np.linalg.norm(points - ball.centre_mm, axis=1)
            depths.append(float((deep / radius).max()))
        return min(depths, default=-np.inf)


def share_outside(points_mm: Floats, vessel_mm: Floats, radius_mm: Floats) -> Floats:
    """Return how far points (n, 3) lie outside of a vessel, in radii of it; less than 0 inside.

    ``vessel_mm`` and ``radius_mm`` are places along its middle and its radius there.
    """
    share = np.empty(len(points_mm))
    for start in range(0, len(points_mm), BATCH):
        part = points_mm[start : start + BATCH, None]
        gap = np.linalg.norm(part - vessel_mm, axis=2) - radius_mm
        near = gap.argmin(axis=1)
        share[start : start + BATCH] = gap.min(axis=1) / radius_mm[near]
    return share


def parent_vessel(piece: Piece, centerline: Centerline, ball: Ball) -> ParentVessel:
    """Return the vessel that a sac hangs on.

    Where the branches of the centerline leave the neighbourhood of the sac's ``ball``, they are
    joined by ways along the middle of the lumen that avoid it. Between two such ends the radius
    of the vessel changes evenly.

    Raises:
        NoNeck: if fewer than two vessels leave the neighbourhood.
    """
    away = np.linalg.norm(centerline.points_mm - ball.centre_mm, axis=1)
    free = (away > LEAST * ball.radius_mm) & (centerline.point_data["beside_sac"] == 0)
    beside = np.argsort(np.where(free, away, np.inf))[: min(NEXT, max(int(free.sum()), 1))]
    usual = float(np.median(centerline.radius_mm[beside]))
    reach = AROUND * ball.radius_mm + BESIDE * min(usual, ball.radius_mm)
    ends = _ends(centerline, away < reach, int(np.argmin(away)))
    if len(ends) < 2:
        raise NoNeck(
            "fewer than two vessels leave the sac, so there is no vessel that it hangs on; click "
            "in the dome, and let the surface reach 1 cm of vessel on either side"
        )
    radius = np.array([_own_radius(centerline, end) for end in ends])
    size = float(np.median(radius))
    cells = _neighbourhood(piece, ball, reach + 2 * size, size / STEPS)
    depth = Wall(piece).nearly(cells.centres_mm())
    ways = _ways(cells, depth, ball, centerline.points_mm[ends], radius)
    through = _ways(cells, depth, None, centerline.points_mm[ends], radius)
    # Vessels that pass by, too, so that their wall is not taken for the sac's.
    others = free & (away > LEAST * ball.radius_mm + size)
    points = np.concatenate([way for way, _ in ways] + [centerline.points_mm[others]])
    radii = np.concatenate([width for _, width in ways] + [centerline.radius_mm[others]])
    return ParentVessel(points, radii, len(ends), size, reach, tuple(through))


def _ends(centerline: Centerline, near: Bools, start: int) -> Ints:
    """Return the points where the branches around ``start`` leave what is near, or end."""
    one, other = _links(centerline)
    kept = near[one] & near[other]
    count = len(near)
    graph = csr_array((np.ones(kept.sum(), np.int8), (one[kept], other[kept])), (count, count))
    group = connected_components(graph, directed=False)[1]
    own = group == group[start]
    leaving = np.concatenate([one[own[one] & ~own[other]], other[own[other] & ~own[one]]])
    tips = [end for end in _tips(centerline) if own[end]]
    return np.unique(np.concatenate([leaving, np.array(tips, np.int64)]))


def _links(centerline: Centerline) -> tuple[Ints, Ints]:
    """Return the pairs of points that follow each other, or are the same node."""
    one, other = [], []
    first: dict[int, int] = {}
    for branch in centerline.branches:
        along = np.arange(branch.start, branch.stop)
        one.append(along[:-1])
        other.append(along[1:])
        for node, at in ((branch.from_node, branch.start), (branch.to_node, branch.stop - 1)):
            if first.setdefault(node, at) != at:
                one.append(np.array([first[node]]))
                other.append(np.array([at]))
    return np.concatenate(one), np.concatenate(other)


def _tips(centerline: Centerline) -> list[int]:
    ends = set(centerline.ends.values())
    found = []
    for branch in centerline.branches:
        found += [branch.start] if branch.from_node in ends else []
        found += [branch.stop - 1] if branch.to_node in ends else []
    return found


def _own_radius(centerline: Centerline, at: int) -> float:
    """Return the median radius of a branch around one of its points, without sacs."""
    branch = next(b for b in centerline.branches if b.start <= at < b.stop)
    points, radius = centerline.points_mm[branch.points], centerline.radius_mm[branch.points]
    own = centerline.point_data["beside_sac"][branch.points] == 0
    here = max(centerline.radius_mm[at], float(np.median(radius)))  # a closed tip narrows to 0
    own &= np.linalg.norm(points - centerline.points_mm[at], axis=1) < 3 * here
    return float(np.median(radius[own])) if own.any() else float(here)


def _neighbourhood(piece: Piece, ball: Ball, reach_mm: float, wanted_mm: float) -> Cells:
    """Return the voxels of the lumen around the ball that hang together with it."""
    room = float(np.prod(np.ptp(piece.points_mm, axis=0) + 4 * wanted_mm))
    share = min(piece.volume_mm3, 4.2 * reach_mm**3)
    spacing = max(wanted_mm, (share / VOXELS) ** (1 / 3), (room / GRID) ** (1 / 3))
    cells = fill(SurfaceMesh(piece.points_mm, piece.triangles, ""), spacing)
    away = np.linalg.norm(cells.centres_mm() - ball.centre_mm, axis=1)
    cells, away = subset(cells, away < reach_mm), away[away < reach_mm]
    if not len(away):
        raise NoNeck("the sac is too small for its vessel to be followed; check the unit")
    part = connected_parts(cells)
    return subset(cells, part == part[np.argmin(away)])


def _ways(
    cells: Cells, depth: Floats, avoided: Ball | None, ends_mm: Floats, radius_mm: Floats
) -> list[tuple[Floats, Floats]]:
    """Return the ways (points, radii) from the widest end to each other one."""
    centres = cells.centres_mm()
    size = float(np.median(radius_mm))
    cost = (size / np.clip(depth, 0.3 * cells.spacing_mm, size)) ** 2
    if avoided:
        cost[np.linalg.norm(centres - avoided.centre_mm, axis=1) < avoided.radius_mm] *= AWAY
    at = cKDTree(centres).query(ends_mm)[1]
    first = int(np.argmax(radius_mm))
    rest = np.delete(np.arange(len(at)), first)
    found = cheapest_ways(cells, int(at[first]), cost, at[rest])
    ways = []
    for end, voxels in zip(rest, found):
        points = centres[voxels]
        for _ in range(SMOOTH):
            points[1:-1] = (points[:-2] + 2 * points[1:-1] + points[2:]) / 4
        along = arc_length_mm(points)
        width = np.interp(along, [0, max(along[-1], 1e-9)], [radius_mm[end], radius_mm[first]])
        ways.append((points, width))
    return ways
