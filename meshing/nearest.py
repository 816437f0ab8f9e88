"""The nearest point of a surface, exactly and for many points: distance, place and side.

A bounding-volume tree in Morton order (Lauterbach et al., Fast BVH construction on GPUs, 2009)
is walked for each point; the nearest point of a triangle is found after Ericson, Real-time
collision detection, 2005, section 5.1.5, and the side by angle-weighted pseudonormals
(Baerentzen and Aanaes, IEEE TVCG 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAF = 4  # triangles in a leaf of the tree
CHUNK = 20_000  # points between two reports of progress
BITS = 16  # of each coordinate in the Morton order


@dataclass(frozen=True)
class Nearest:
    """For n points: distances in mm (n,), the nearest points (n, 3) and their triangles (n,).

    ``feature`` (n,) says where on its triangle each lies: 0 to 2 its corners, 3 to 5 the edges
    that begin there, 6 inside.
    """

    distance_mm: Floats
    point_mm: Floats
    triangle: Integers
    feature: Integers


class NearestOnSurface:
    """Finds nearest points on one surface; LPS mm.

    Raises:
        ValueError: if the surface has no triangle.
    """

    def __init__(self, mesh: SurfaceMesh) -> None:
        if not len(mesh.triangles):
            raise ValueError(f"the surface {mesh.name or 'without a name'!r} has no triangle")
        self._mesh = mesh
        corners = mesh.points_mm[mesh.triangles]
        self._order, self._low, self._high = _tree(corners)
        self._corners = np.ascontiguousarray(corners[self._order])
        self._normals: tuple[Floats, Floats, Floats] | None = None

    def __call__(self, points_mm: npt.ArrayLike, progress: Progress = silent) -> Nearest:
        """Return the nearest points of the surface to LPS mm points (n, 3)."""
        points = np.ascontiguousarray(points_mm, np.float64).reshape(-1, 3)
        squared, place = np.full(len(points), np.inf), np.full((len(points), 3), np.nan)
        triangle = np.zeros(len(points), np.int64)
        feature = np.zeros(len(points), np.int64)
        walk = _compiled()
        for start in range(0, len(points), CHUNK):
            progress(start / max(len(points), 1), "measuring distances")
            part = slice(start, start + CHUNK)
            walk(
                points[part], self._corners, self._low, self._high,
                squared[part], place[part], triangle[part], feature[part],
            )  # fmt: skip
        return Nearest(np.sqrt(squared), place, self._order[triangle], feature)

    def side(self, points_mm: npt.ArrayLike, found: Nearest) -> Floats:
        """Return +1 for points (n, 3) outside (where normals point), -1 inside, 0 on it."""
        if self._normals is None:
            self._normals = _pseudonormals(self._mesh)
        faces, edges, corners = self._normals
        cells, spot = found.triangle, found.feature
        normal = faces[cells].copy()
        on_edge, on_corner = (spot >= 3) & (spot < 6), spot < 3
        normal[on_edge] = edges[cells[on_edge], spot[on_edge] - 3]
        normal[on_corner] = corners[self._mesh.triangles[cells[on_corner], spot[on_corner]]]
        away = np.asarray(points_mm, float).reshape(-1, 3) - found.point_mm
        return np.asarray(np.sign(np.einsum("ij,ij->i", away, normal)))

    def signed_mm(self, points_mm: npt.ArrayLike, progress: Progress = silent) -> Floats:
        """Return distances in mm (n,) of LPS mm points (n, 3); negative inside."""
        found = self(points_mm, progress)
        return np.asarray(found.distance_mm * self.side(points_mm, found))


def _tree(corners: Floats) -> tuple[Integers, Floats, Floats]:
    """Return the triangles' order and the boxes (low, high) of a complete binary tree of them."""
    centre = corners.mean(axis=1)
    low, high = centre.min(axis=0), centre.max(axis=0)
    scaled = (centre - low) / max(float((high - low).max()), 1e-12) * (2**BITS - 1)
    cells = scaled.astype(np.uint64)
    code = np.zeros(len(cells), np.uint64)
    for bit in range(BITS):
        for axis in range(3):
            one = (cells[:, axis] >> np.uint64(bit)) & np.uint64(1)
            code |= one << np.uint64(3 * bit + axis)
    order = np.argsort(code, kind="stable").astype(np.int64)
    leaves = 1
    while leaves * LEAF < len(order):
        leaves *= 2
    ends = np.minimum(np.arange(leaves + 1) * LEAF, len(order))
    first, last = corners[order].min(axis=1), corners[order].max(axis=1)
    box_low, box_high = np.full((2 * leaves - 1, 3), np.inf), np.full((2 * leaves - 1, 3), -np.inf)
    used = int(np.count_nonzero(ends[:-1] < len(order)))
    at = leaves - 1
    box_low[at : at + used] = np.minimum.reduceat(first, ends[:used])
    box_high[at : at + used] = np.maximum.reduceat(last, ends[:used])
    while at:
        below = slice(at, 2 * at + 1)
        at //= 2
        box_low[at : 2 * at + 1] = box_low[below].reshape(-1, 2, 3).min(axis=1)
        box_high[at : 2 * at + 1] = box_high[below].reshape(-1, 2, 3).max(axis=1)
    return order, box_low, box_high


def _pseudonormals(mesh: SurfaceMesh) -> tuple[Floats, Floats, Floats]:
    """Return normals of faces (m, 3), of their edges (m, 3, 3) and of points (n, 3)."""
    cells = mesh.triangles
    a, b, c = (mesh.points_mm[cells[:, n]] for n in range(3))
    faces = np.cross(b - a, c - a)
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-300)
    corners = np.zeros_like(mesh.points_mm)
    for n, (here, one, two) in enumerate(((a, b, c), (b, c, a), (c, a, b))):
        u, v = one - here, two - here
        size = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        cosine = np.einsum("ij,ij->i", u, v) / np.maximum(size, 1e-300)
        angle = np.arccos(np.clip(cosine, -1, 1))
        np.add.at(corners, cells[:, n], angle[:, None] * faces)
    ends = np.sort(np.stack([cells, np.roll(cells, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    name = ends[:, 0] * len(mesh.points_mm) + ends[:, 1]
    _, edge = np.unique(name, return_inverse=True)
    total = np.zeros((int(edge.max()) + 1, 3))
    np.add.at(total, edge.ravel(), np.repeat(faces, 3, axis=0))
    return faces, total[edge.ravel()].reshape(-1, 3, 3), corners


def _walk(
    points: Any, corners: Any, low: Any, high: Any,
    squared: Any, place: Any, triangle: Any, feature: Any,
) -> None:  # fmt: skip
    """Fill in, for each point, the squared distance, nearest point, triangle and feature."""
    first_leaf = len(low) // 2
    stack = np.empty(128, np.int64)
    t, q = np.empty((3, 3)), np.empty(3)
    guess = 0
    for n in range(len(points)):
        p = points[n]
        bound = 0.0  # no farther than a corner of the last answer
        for a in range(3):
            bound += (corners[guess, 0, a] - p[a]) ** 2
        best = bound * (1 + 1e-9) + 1e-12
        stack[0], top = 0, 1
        while top:
            top -= 1
            node = stack[top]
            gap = 0.0
            for a in range(3):
                gap += max(low[node, a] - p[a], 0.0, p[a] - high[node, a]) ** 2
            if gap >= best:
                continue
            if node < first_leaf:
                left, right = 2 * node + 1, 2 * node + 2
                near, far = 0.0, 0.0
                for a in range(3):
                    near += max(low[left, a] - p[a], 0.0, p[a] - high[left, a]) ** 2
                    far += max(low[right, a] - p[a], 0.0, p[a] - high[right, a]) ** 2
                if near > far:
                    left, right = right, left
                stack[top], stack[top + 1] = right, left
                top += 2
                continue
            start = (node - first_leaf) * LEAF
            for cell in range(start, min(start + LEAF, len(corners))):
                d1, d2, d3, d4, d5, d6 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                for a in range(3):
                    for c in range(3):
                        t[c, a] = corners[cell, c, a]
                    ab, ac = t[1, a] - t[0, a], t[2, a] - t[0, a]
                    d1 += ab * (p[a] - t[0, a])
                    d2 += ac * (p[a] - t[0, a])
                    d3 += ab * (p[a] - t[1, a])
                    d4 += ac * (p[a] - t[1, a])
                    d5 += ab * (p[a] - t[2, a])
                    d6 += ac * (p[a] - t[2, a])
                vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
                v, w = 0.0, 0.0  # of the second and third corner
                if d1 <= 0 and d2 <= 0:
                    spot = 0
                elif d3 >= 0 and d4 <= d3:
                    spot, v = 1, 1.0
                elif d6 >= 0 and d5 <= d6:
                    spot, w = 2, 1.0
                elif vc <= 0 and d1 >= 0 and d3 <= 0:
                    spot, v = 3, d1 / (d1 - d3)
                elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
                    spot, w = 4, (d4 - d3) / ((d4 - d3) + (d5 - d6))
                    v = 1.0 - w
                elif vb <= 0 and d2 >= 0 and d6 <= 0:
                    spot, w = 5, d2 / (d2 - d6)
                else:
                    spot, v, w = 6, vb / (va + vb + vc), vc / (va + vb + vc)
                away = 0.0
                for a in range(3):
                    q[a] = t[0, a] + v * (t[1, a] - t[0, a]) + w * (t[2, a] - t[0, a])
                    away += (p[a] - q[a]) ** 2
                if away < best:
                    best = away
                    squared[n], triangle[n], feature[n] = away, cell, spot
                    place[n, 0], place[n, 1], place[n, 2] = q[0], q[1], q[2]
        guess = triangle[n]


@cache
def _compiled() -> Callable[..., None]:
    """Return the compiled walk; numba takes a second to import, so only when needed."""
    from numba import njit

    compiled: Callable[..., None] = njit(cache=True, nogil=True, error_model="numpy")(_walk)
    return compiled
