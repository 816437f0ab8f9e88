"""What cutting a surface takes: an organ with all its triangles, and the proxy that is dragged."""

from __future__ import annotations

from functools import partial

import numpy as np

from meshing.cutting import cut_by_plane
from meshing.surface import SurfaceMesh
from workstation.benchmark.rows import Row, median_ms

WHOLE, PROXY = 194, 71
"""Cells along each edge of the cube from which the organ is blown up: 12 n n triangles."""

TARGETS_MS = {WHOLE: 1000.0, PROXY: 50.0}
NORMAL = (0.86, 0.43, -0.29)
POINT_MM = (11.3, 4.1, -2.7)


def organ(cells: int) -> SurfaceMesh:
    """Return a closed organ of about 1.5 L with lobes, LPS mm; ``cells`` as in `WHOLE`."""
    at = np.arange(cells + 1)
    u, v = (grid.ravel() for grid in np.meshgrid(at, at, indexing="ij"))
    low, high = np.zeros_like(u), np.full_like(u, cells)
    # Each side is turned so that its triangles are counter-clockwise seen from outside.
    sides = [(high, u, v), (low, v, u), (v, high, u), (u, low, v), (u, v, high), (v, u, low)]
    corners = np.concatenate([np.stack(side, axis=1) for side in sides])
    places, names = np.unique(corners, axis=0, return_inverse=True)
    a = (at[:-1, None] * (cells + 1) + at[:-1]).ravel()
    b, c, d = a + cells + 1, a + cells + 2, a + 1
    side_cells = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    triangles = np.concatenate([side_cells + n * len(u) for n in range(6)])
    ray = np.tan((places / cells - 0.5) * np.pi / 2)  # cells of about the same size
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    x, y, z = 69 * ray.T
    height = 69 - 6 * np.sin(x / 17) * np.cos(y / 13) * np.sin(z / 15)
    points = ray * height[:, None] * (1.25, 0.9, 0.95)
    return SurfaceMesh(points, names.ravel()[triangles], "1.2.3", "liver")


def cuts(peers: bool) -> list[Row]:
    """Measure the exact cut by a plane, both parts closed."""
    rows = []
    for cells, target_ms in TARGETS_MS.items():
        mesh = organ(cells)
        ms = median_ms(partial(cut_by_plane, mesh, point_mm=POINT_MM, normal=NORMAL))
        what = f"plane cut, {len(mesh.triangles):,} triangles"
        rows.append(Row("cut", what, ms, target_ms))
    return rows
