"""Views of a solid as a technical drawing shows them: parallel, to scale, with its outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from meshing.cell_sizes import point_normals
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh
from meshing.tree import triangle_tree
from segmentation.volume import Floats

TURNS = {
    "front": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "top": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "right": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
}
"""Third-angle views: their right, up and way to the eye in the axes of the drawing."""

FINEST_PX_MM, MOST_PX = 8.0, 640
LIGHT = np.array([-0.37, 0.56, 0.74])
PAPER, LINE = 255, 40
CREASE_MM = 0.8
"""A jump of depth between neighbouring pixels that is drawn as a line."""


@dataclass(frozen=True, eq=False)
class View:
    """One parallel view: grey pixels, and how wide and high the solid is in it, mm."""

    pixels: npt.NDArray[np.uint8]
    width_mm: float
    height_mm: float


def drawing_axes(out: Floats) -> Floats:
    """Return rows right, up and to the eye (LPS) of a drawing that looks at a solid's outside.

    Up is the patient's head, or front where the solid faces head or feet.
    """
    eye = out / np.linalg.norm(out)
    wanted = np.array([0.0, 0.0, 1.0]) if abs(eye[2]) < 0.9 else np.array([0.0, -1.0, 0.0])
    up = wanted - (wanted @ eye) * eye
    up /= np.linalg.norm(up)
    return np.stack([np.cross(up, eye), up, eye])


def outward(points_mm: Floats, head_mm: Floats) -> Floats:
    """Return the unit direction along the thin side of a solid that leads away from a middle."""
    flat = points_mm - points_mm.mean(axis=0)
    thin = np.linalg.eigh(flat.T @ flat)[1][:, 0]
    way = thin if thin @ (points_mm.mean(axis=0) - head_mm) >= 0 else -thin
    return np.asarray(way)


def sizes_mm(points_mm: Floats, axes: Floats) -> Floats:
    """Return how far points reach along each row of axes."""
    return np.asarray(np.ptp(points_mm @ axes.T, axis=0))


def largest_mm(points_mm: Floats) -> float:
    """Return the largest distance between two points."""
    return float(pdist(points_mm[ConvexHull(points_mm).vertices]).max())


def parallel_view(mesh: SurfaceMesh, axes: Floats) -> View:
    """Return the view of a solid along the third row of axes (right, up, to the eye)."""
    local = np.ascontiguousarray(mesh.points_mm @ axes.T)
    low, high = local.min(axis=0), local.max(axis=0)
    width, height, depth = high - low
    step = max(1 / FINEST_PX_MM, float(max(width, height)) / MOST_PX)
    columns, rows = int(np.ceil(width / step)), int(np.ceil(height / step))
    x = low[0] + (np.arange(columns) + 0.5) * width / columns
    y = high[1] - (np.arange(rows) + 0.5) * height / rows
    starts = np.stack(
        [*(a.ravel() for a in np.meshgrid(x, y)), np.full(rows * columns, high[2] + 1)]
    )
    away, cell = first_hits(
        triangle_tree(local, mesh.triangles),
        np.ascontiguousarray(starts.T),
        np.tile((0.0, 0.0, -1.0), (rows * columns, 1)),
        np.full(rows * columns, -1),
        reach_mm=float(depth) + 2.0,
    )
    hit = cell >= 0
    grey = np.full(rows * columns, PAPER, np.uint8)
    normals = _smooth(local, mesh, starts.T[hit], cell[hit])
    light = np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0.0, 1.0)
    grey[hit] = (125 + 115 * light).astype(np.uint8)
    seen = np.where(hit, away, float(depth) + 20.0).reshape(rows, columns)
    pixels = grey.reshape(rows, columns)
    pixels[_lines(seen)] = LINE
    return View(pixels, float(width), float(height))


def _smooth(
    local: Floats, mesh: SurfaceMesh, starts: Floats, cell: npt.NDArray[np.int64]
) -> Floats:
    """Return normals that change evenly over the triangles that rays along z met."""
    corners = mesh.triangles[cell]
    a, b, c = (local[corners[:, n], :2] for n in range(3))
    p = starts[:, :2]
    whole = _cross(b - a, c - a)
    whole = np.where(np.abs(whole) > 1e-12, whole, 1.0)
    shares = np.stack([_cross(b - p, c - p), _cross(c - p, a - p), _cross(a - p, b - p)], axis=1)
    shares = shares / whole[:, None]
    normals = point_normals(local, mesh.triangles)
    found = np.einsum("nk,nkc->nc", shares, normals[corners])
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9))


def _cross(one: Floats, two: Floats) -> Floats:
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])


def _lines(seen: Floats) -> npt.NDArray[np.bool_]:
    """Return the pixels in front of a jump of depth."""
    room = np.pad(seen, 1, constant_values=float(seen.max()))
    line = np.zeros(seen.shape, np.bool_)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        there = room[1 + down : 1 + down + seen.shape[0], 1 + right : 1 + right + seen.shape[1]]
        line |= there - seen > CREASE_MM
    return line
