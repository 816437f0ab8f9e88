"""A tree of boxes around triangles, so that questions about a few need not look at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAF = 4
"""Triangles in one leaf."""


@dataclass(frozen=True, eq=False)
class TriangleTree:
    """A complete binary tree: node n has the children 2 n and 2 n + 1, the root is node 1.

    Attributes:
        points_mm: (n, 3), LPS mm.
        triangles: (m, 3) point numbers.
        order: triangle numbers along a space-filling curve; leaf number l, which is node
            ``leaves + l``, holds `LEAF` of them from ``LEAF * l``.
        low_mm, high_mm: the corners of each node's box; an empty node's box is inside out.
        leaves: number of leaves, a power of two.
    """

    points_mm: Floats
    triangles: Integers
    order: Integers
    low_mm: Floats
    high_mm: Floats
    leaves: int


def triangle_tree(points_mm: Floats, triangles: Integers) -> TriangleTree:
    """Return the tree of triangles (m, 3) over points (n, 3) in LPS mm."""
    points = np.ascontiguousarray(points_mm, np.float64)
    cells = np.ascontiguousarray(triangles, np.int64)
    corners = points[cells]
    low, high = corners.min(axis=1), corners.max(axis=1)
    order = np.argsort(_along_curve((low + high) / 2), kind="stable").astype(np.int64)
    leaves = 1
    while leaves * LEAF < len(cells):
        leaves *= 2
    lows = np.full((leaves * LEAF, 3), np.inf)
    highs = np.full((leaves * LEAF, 3), -np.inf)
    lows[: len(cells)], highs[: len(cells)] = low[order], high[order]
    levels = [(lows.reshape(-1, LEAF, 3).min(axis=1), highs.reshape(-1, LEAF, 3).max(axis=1))]
    while len(levels[-1][0]) > 1:
        lows, highs = levels[-1]
        levels.append((lows.reshape(-1, 2, 3).min(axis=1), highs.reshape(-1, 2, 3).max(axis=1)))
    nowhere = np.zeros((1, 3))  # numbering starts at 1
    return TriangleTree(
        points,
        cells,
        order,
        np.vstack([nowhere, *(level[0] for level in reversed(levels))]),
        np.vstack([nowhere, *(level[1] for level in reversed(levels))]),
        leaves,
    )


def _along_curve(places: Floats) -> npt.NDArray[np.uint64]:
    """Return the position of each place (n, 3) along a Morton curve through their box."""
    if not len(places):
        return np.empty(0, np.uint64)
    start = places.min(axis=0)
    size = float(np.max(places.max(axis=0) - start)) or 1.0
    steps = ((places - start) * ((2**21 - 1) / size)).astype(np.uint64)
    x, y, z = (_spread(steps[:, n]) << np.uint64(n) for n in range(3))
    return np.asarray(x | y | z, np.uint64)


def _spread(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return 21-bit numbers with two zeros between one bit and the next."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits
