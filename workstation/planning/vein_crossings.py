"""Where a cut crosses the branches of a tree of veins, and what lies behind.

Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshing.centerline import Centerline
from workstation.planning.couinaud_names import TERRITORIES

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Crossing:
    """Where a cut crosses a branch.

    Attributes:
        branch: the number of the branch in its tree, from 0.
        point: the number of the first point of the tree behind the cut.
        point_mm: where, LPS mm.
        diameter_mm: of the branch there, twice the radius of its largest sphere.
        name: of the branch, "" where it has none.
    """

    branch: int
    point: int
    point_mm: tuple[float, float, float]
    diameter_mm: float
    name: str


def crossed_branches(
    tree: Centerline, distance_mm: Callable[[Floats], Floats]
) -> tuple[Crossing, ...]:
    """Return where a cut crosses the branches of a tree, the widest first.

    Args:
        tree: the branches, each from its root on.
        distance_mm: signed distances in mm of LPS points (n, 3) from the cut.
    """
    if not tree.branches:
        return ()
    distance = np.asarray(distance_mm(tree.points_mm), float)
    codes = tree.point_data.get("territory", np.zeros(len(distance)))
    found = []
    for number, branch in enumerate(tree.branches):
        side = distance[branch.points] >= 0
        for step in np.flatnonzero(side[1:] != side[:-1]) + branch.start:
            a, b = float(distance[step]), float(distance[step + 1])
            share = a / (a - b)
            x, y, z = tree.points_mm[step] + share * (
                tree.points_mm[step + 1] - tree.points_mm[step]
            )
            radius = (1 - share) * tree.radius_mm[step] + share * tree.radius_mm[step + 1]
            code = int(codes[branch.points].max())
            name = TERRITORIES[code].name if code else ""
            point = (float(x), float(y), float(z))
            found.append(Crossing(number, int(step) + 1, point, 2 * float(radius), name))
    return tuple(sorted(found, key=lambda c: (-c.diameter_mm, c.branch, c.point)))


def behind(tree: Centerline, points: list[int]) -> Bools:
    """Return which points of a tree lie at or behind the given ones, seen from its root."""
    lost = np.zeros(len(tree.points_mm), np.bool_)
    starts: dict[int, list[int]] = {}
    for number, branch in enumerate(tree.branches):
        starts.setdefault(branch.from_node, []).append(number)
    for point in points:
        number = next(n for n, b in enumerate(tree.branches) if b.start <= point < b.stop)
        lost[point : tree.branches[number].stop] = True
        following = list(starts.get(tree.branches[number].to_node, ()))
        while following:
            branch = tree.branches[following.pop()]
            lost[branch.points] = True
            following += starts.get(branch.to_node, ())
    return lost
