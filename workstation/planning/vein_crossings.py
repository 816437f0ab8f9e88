"""Where a cut crosses the branches of a tree of veins, and what lies behind.

Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from segmentation.volume import LabelMap
from workstation.planning.couinaud_names import TERRITORIES

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAMPLES = 300_000  # voxels of an organ that stand for it
REACH_VOXELS = 2.0  # a branch this far outside the label still counts as in the organ
GRAZE = 0.1  # share of its width from which on a branch is told of whose wall is taken


@dataclass(frozen=True)
class Crossing:
    """Where a cut crosses a branch.

    Attributes:
        branch: the number of the branch in its tree, from 0.
        point: the number of the first point of the tree behind the cut.
        point_mm: where, LPS mm.
        diameter_mm: of the branch there, twice the radius of its largest sphere: the mean of the
            two points of the tree beside the cut.
        name: of the branch, "" where it has none.
    """

    branch: int
    point: int
    point_mm: tuple[float, float, float]
    diameter_mm: float
    name: str


@dataclass(frozen=True)
class Grazed:
    """Where a cut takes a part of the wall of a branch whose axis stays.

    Attributes:
        branch, point_mm, diameter_mm, name: as those of a `Crossing`.
        share: of the diameter that lies on the specimen's side, below a half.
    """

    branch: int
    point_mm: tuple[float, float, float]
    diameter_mm: float
    name: str
    share: float


def beside_organ(organ: LabelMap, points_mm: Floats) -> Bools:
    """Tell for each point (n, 3), LPS mm, whether it lies in an organ or just beside it."""
    inside = np.argwhere(organ.array)
    near = cKDTree(inside[:: max(1, len(inside) // SAMPLES)])
    index = organ.geometry.to_index(points_mm)[:, ::-1]
    return np.asarray(near.query(index)[0] <= REACH_VOXELS)


def linked(tree: Centerline, inside: Bools) -> Bools:
    """Tell of each step to the next point of a tree whether it is one of a branch in the organ."""
    along = np.zeros(max(len(tree.points_mm) - 1, 0), np.bool_)
    for branch in tree.branches:
        along[branch.start : branch.stop - 1] = True
    return np.asarray(along & inside[:-1] & inside[1:])


def step_diameters_mm(tree: Centerline) -> Floats:
    """Return the diameter in mm of each step to the next point of a tree, the mean of both."""
    radius = np.asarray(tree.radius_mm, float)
    return np.asarray(radius[:-1] + radius[1:])


def side_changes(removed: Bools, steps: Bools) -> npt.NDArray[np.intp]:
    """Return the steps of a tree on which a cut passes, the one count of what it crosses.

    Args:
        removed: for each point of the tree whether it lies on the specimen's side.
        steps: the steps that count, as `linked` tells them.
    """
    return np.flatnonzero((removed[1:] != removed[:-1]) & steps)


def crossed_branches(
    tree: Centerline,
    distance_mm: Callable[[Floats], Floats],
    side_mm: Callable[[Floats], Floats] | None = None,
    inside: Bools | None = None,
    freed: Bools | None = None,
) -> tuple[Crossing, ...]:
    """Return where a cut crosses the branches of a tree, the widest first.

    A branch is crossed where its axis passes from one side to the other: where at least half of
    its width is removed. What only touches its wall, or takes less, does not cross it. A branch
    that leaves a stem that is freed is divided at the stem.

    Args:
        tree: the branches, each from its root on.
        distance_mm: signed distances in mm of LPS points (n, 3) from the cut.
        side_mm: the sides of LPS points (n, 3), where they are quicker to tell.
        inside: for each point of the tree whether it lies in the organ, beyond which no cut goes;
            empty takes all.
        freed: for each point of the tree whether it is freed of the specimen; empty frees none.
    """
    if not tree.branches:
        return ()
    removed = np.asarray((side_mm or distance_mm)(tree.points_mm), float) >= 0
    there = np.ones(len(removed), np.bool_) if inside is None else inside
    free = np.zeros(len(removed), np.bool_) if freed is None else freed
    steps = side_changes(removed & ~free, linked(tree, there))
    wide = step_diameters_mm(tree)
    found = []
    for number, branch in enumerate(tree.branches):
        for step in steps[(steps >= branch.start) & (steps < branch.stop)]:
            a, b = np.abs(np.asarray(distance_mm(tree.points_mm[step : step + 2]), float))
            share = float(a / max(a + b, 1e-12))
            if free[step : step + 2].any():
                share = 0.5
            x, y, z = tree.points_mm[step] + share * (
                tree.points_mm[step + 1] - tree.points_mm[step]
            )
            name, point = name_of(tree, number), (float(x), float(y), float(z))
            found.append(Crossing(number, int(step) + 1, point, float(wide[step]), name))
    return tuple(sorted(found, key=lambda c: (-c.diameter_mm, c.branch, c.point)))


def entered_branches(tree: Centerline, removed: Bools, inside: Bools) -> tuple[Crossing, ...]:
    """Return where branches come into the organ, or begin, on the specimen's side, as crossings.

    There they are divided, though no side changes.

    Args:
        tree: the branches, each from its root on.
        removed: for each point of the tree whether it lies on the specimen's side.
        inside: for each point of the tree whether it lies in the organ.
    """
    found = []
    ends = {branch.to_node for branch in tree.branches}
    for number, branch in enumerate(tree.branches):
        side, here = removed[branch.points], inside[branch.points]
        before = np.r_[branch.from_node in ends, here[:-1]]
        for point in np.flatnonzero(side & here & ~before) + branch.start:
            x, y, z = (float(c) for c in tree.points_mm[point])
            wide = 2 * float(tree.radius_mm[point])
            found.append(Crossing(number, int(point), (x, y, z), wide, name_of(tree, number)))
    return tuple(found)


def name_of(tree: Centerline, number: int) -> str:
    """Return the name of a branch, "" where it has none."""
    if "territory" not in tree.point_data:
        return ""
    code = int(tree.point_data["territory"][tree.branches[number].points].max())
    return TERRITORIES[code].name if code else ""


def grazed_branches(
    tree: Centerline,
    distance_mm: Callable[[Floats], Floats],
    near: Bools,
    crossings: tuple[Crossing, ...],
) -> tuple[Grazed, ...]:
    """Return the branches of which a cut takes less than half of the width, the widest first.

    Args:
        tree: the branches.
        distance_mm: signed distances in mm of LPS points (n, 3) from the cut.
        near: the points of the tree that count: on the remnant's side, in the organ.
        crossings: where the cut crosses branches; beside them no wall is told of.
    """
    at = np.flatnonzero(near)
    for crossing in crossings:
        away = np.linalg.norm(tree.points_mm[at] - crossing.point_mm, axis=1)
        at = at[away > 2 * crossing.diameter_mm]
    if not len(at):
        return ()
    radius = tree.radius_mm[at]
    share = (radius - np.abs(distance_mm(tree.points_mm[at]))) / (2 * radius)
    found = []
    for number, branch in enumerate(tree.branches):
        own = (at >= branch.start) & (at < branch.stop) & (share > GRAZE)
        if own.any():
            n = int(np.flatnonzero(own)[np.argmax(share[own])])
            x, y, z = (float(c) for c in tree.points_mm[at[n]])
            wide = 2 * float(radius[n])
            found.append(Grazed(number, (x, y, z), wide, name_of(tree, number), float(share[n])))
    return tuple(sorted(found, key=lambda g: (-g.diameter_mm, g.branch)))


def first_crossings(tree: Centerline, crossings: tuple[Crossing, ...]) -> tuple[Crossing, ...]:
    """Return the crossings behind no other one, seen from the root, in their order."""
    reach = [behind(tree, [c.point]) for c in crossings]
    return tuple(
        one
        for n, one in enumerate(crossings)
        if not any(lost[one.point] for m, lost in enumerate(reach) if m != n)
    )


def behind(tree: Centerline, points: list[int]) -> Bools:
    """Return which points of a tree lie at or behind the given ones, seen from its root.

    Where branches run in a ring, each is followed once.
    """
    lost = np.zeros(len(tree.points_mm), np.bool_)
    starts: dict[int, list[int]] = {}
    for number, branch in enumerate(tree.branches):
        starts.setdefault(branch.from_node, []).append(number)
    for point in points:
        number = next(n for n, b in enumerate(tree.branches) if b.start <= point < b.stop)
        lost[point : tree.branches[number].stop] = True
        following, seen = list(starts.get(tree.branches[number].to_node, ())), set[int]()
        while following:
            number = following.pop()
            if number in seen:
                continue
            seen.add(number)
            branch = tree.branches[number]
            lost[branch.points] = True
            following += starts.get(branch.to_node, ())
    return lost
