"""A patch of a surface that is seen from a point, cut out smoothly and made into a thin plate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segmentation.volume import Floats
from workstation.planning.orbit_walls import connected

Integers = npt.NDArray[np.int64]

EDGE_SHARE = 0.5
"""Of the thickness that is left at a bevelled edge."""

SNAP_MM = 0.03
"""Points this near to the edge of a patch count as inside, so that no sliver is cut."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Part of a surface around a point.

    Attributes:
        ways: directions (n, 3) of its points.
        under_mm: their distances.
        normals: unit normals that lead towards the point.
        inside_mm: how far within the patch they lie.
        triangles: (m, 3), facing the point.
    """

    ways: Floats
    under_mm: Floats
    normals: Floats
    inside_mm: Floats
    triangles: Integers


def clipped(ways: Floats, triangles: Integers, inside_mm: Floats, under_mm: Floats) -> Patch:
    """Return the largest piece of a surface around a point on which a value is above zero.

    ``ways`` (n, 3) are unit directions, ``triangles`` face outwards.
    """
    level = np.where(np.abs(inside_mm) < SNAP_MM, SNAP_MM, inside_mm)
    normals = facing(ways * under_mm[:, None], triangles)
    table = np.column_stack([ways, under_mm, normals, level])
    count = (level > 0)[triangles].sum(axis=1)
    whole = triangles[count == 3]
    pairs, corners = _cut(triangles[(count == 1) | (count == 2)], level)
    share = level[pairs[:, 0]] / (level[pairs[:, 0]] - level[pairs[:, 1]])
    between = table[pairs[:, 0]] + share[:, None] * (table[pairs[:, 1]] - table[pairs[:, 0]])
    table = np.concatenate([table, between])
    cells = np.concatenate([whole, corners])[:, ::-1]
    edges = np.concatenate([cells[:, [0, 1]], cells[:, [1, 2]]])
    piece = connected(len(table), edges)[cells[:, 0]] if len(cells) else np.zeros(0, int)
    cells = cells[piece == np.bincount(piece).argmax()] if len(cells) else cells
    used, flat = np.unique(cells, return_inverse=True)
    kept = table[used]
    unit = kept[:, :3] / np.linalg.norm(kept[:, :3], axis=1, keepdims=True)
    out = kept[:, 4:7] / np.linalg.norm(kept[:, 4:7], axis=1, keepdims=True)
    return Patch(unit, kept[:, 3], out, kept[:, 7], flat.reshape(-1, 3).astype(np.int64))


def _cut(triangles: Integers, level: Floats) -> tuple[Integers, Integers]:
    """Return the edges that are cut (inside end first), and triangles of what lies inside.

    Cut edges are numbered behind all points.
    """
    count = len(level)
    keys: dict[tuple[int, int], int] = {}
    made: list[tuple[int, int, int]] = []

    def on(a: int, b: int) -> int:
        return count + keys.setdefault((a, b), len(keys))

    for triangle in triangles.tolist():
        inside = [level[c] > 0 for c in triangle]
        turn = inside.index(sum(inside) == 1)
        a, b, c = triangle[turn:] + triangle[:turn]
        if sum(inside) == 1:
            made.append((a, on(a, b), on(a, c)))
        else:
            made += [(on(b, a), b, c), (on(b, a), c, on(c, a))]
    pairs = np.array(list(keys), np.int64).reshape(-1, 2)
    return pairs, np.array(made, np.int64).reshape(-1, 3)


def layered(
    patch: Patch, middle_mm: Floats, thickness_mm: float, bevel_mm: float
) -> tuple[Floats, Integers]:
    """Return the points and triangles of a closed plate on a patch.

    Towards its edge it thins out to half over the width of the bevel, on the side of the point.
    """
    under = middle_mm + patch.ways * patch.under_mm[:, None]
    share = np.clip(patch.inside_mm / max(bevel_mm, 1e-6), 0.0, 1.0)
    share = EDGE_SHARE + (1 - EDGE_SHARE) * share if bevel_mm else np.ones(len(under))
    over = under + patch.normals * (thickness_mm * share)[:, None]
    top, below = patch.triangles, patch.triangles[:, ::-1] + len(over)
    edges = np.concatenate([top[:, [0, 1]], top[:, [1, 2]], top[:, [2, 0]]])
    code = edges[:, 0] * len(over) + edges[:, 1]
    single = edges[~np.isin(code, edges[:, 1] * len(over) + edges[:, 0])]
    a, b = single[:, 0], single[:, 1]
    sides = np.concatenate([
        np.column_stack([b, a, a + len(over)]),
        np.column_stack([b, a + len(over), b + len(over)]),
    ])  # fmt: skip
    return np.concatenate([over, under]), np.concatenate([top, below, sides])


def facing(points: Floats, triangles: Integers) -> Floats:
    """Return the unit normals of a surface's points, leading to the point that it surrounds."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    across = np.cross(c - a, b - a)
    summed = np.zeros_like(points)
    for n in range(3):
        np.add.at(summed, triangles[:, n], across)
    return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12))
