"""Inside and distance of triangles on a regular grid: what stays when exact geometry fails.

Space is LPS mm; arrays are indexed [k, j, i] along z, y and x of the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from meshing.surface import enclosed_mm3, from_vtk
from segmentation.contract import Progress, share, silent

Floats = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]
Triangles = npt.NDArray[np.int64]

MOST_VOXELS = 40_000_000
"""Four bytes each, in a handful of arrays: what an ordinary machine has to spare."""

BAND = 2.5
"""Voxels to either side of the surface in which the distance is known."""

_BATCH = 20_000
_SHIFT = np.array([0.3819, 0.2361, 0.4472])  # off the planes on which segmented organs have points


class TooFine(ValueError):
    """A grid of the asked voxel size would not fit into memory."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Points ``origin_mm + step_mm * (i, j, k)``; ``shape`` is [k, j, i]."""

    origin_mm: Floats
    step_mm: float
    shape: tuple[int, int, int]


def grid_around(points_mm: Sequence[Floats], step_mm: float) -> Grid:
    """Return a grid that leaves a few voxels around all points.

    Raises:
        TooFine: if it had too many voxels.
    """
    low = np.min([p.min(axis=0) for p in points_mm], axis=0)
    high = np.max([p.max(axis=0) for p in points_mm], axis=0)
    origin = low - (4.0 + _SHIFT) * step_mm
    size = np.ceil((high - origin) / step_mm).astype(int) + 5
    if float(np.prod(size.astype(float))) > MOST_VOXELS:
        finest = float(np.prod(high - low + 1e-9)) / MOST_VOXELS
        raise TooFine(
            f"voxels of {step_mm:.3g} mm are too many for {np.round(high - low)} mm; take "
            f"{1.2 * finest ** (1 / 3):.2g} mm or more"
        )
    return Grid(origin, step_mm, (int(size[2]), int(size[1]), int(size[0])))


def signed_distance(
    points: Floats, triangles: Triangles, grid: Grid, progress: Progress = silent
) -> Field:
    """Return the distance in mm to the triangles, negative inside, cut off at `BAND` voxels.

    Inside is where most of six rays along the axes wind around the point, so small holes and
    doubled walls do no harm.
    """
    local = (points - grid.origin_mm) / grid.step_mm
    inside = winding(local, triangles, grid.shape, share(progress, 0, 2)) > 0.5
    distance = np.full(grid.shape, BAND * BAND, np.float32)
    part = share(progress, 1, 2)
    for start in range(0, len(triangles), _BATCH):
        part(start / len(triangles), "measuring distances")
        _nearest(local[triangles[start : start + _BATCH]], distance, BAND)
    distance = np.sqrt(distance) * np.float32(grid.step_mm)
    return np.where(inside, -distance, distance)


def winding(
    points: Floats, triangles: Triangles, shape: tuple[int, int, int], progress: Progress = silent
) -> Field:
    """Return [k, j, i] how often the triangles wind around each grid point, mean of six rays.

    ``points`` are (i, j, k). For a closed surface it is a whole number; for one with holes it
    lies between, like the generalised winding number (Jacobson et al., SIGGRAPH 2013).
    """
    total = np.zeros(shape, np.float32)
    for axis in range(3):
        progress(axis / 3, "finding the inside")
        order = [axis, (axis + 1) % 3, (axis + 2) % 3]
        size = [shape[2 - a] for a in order]
        steps = np.zeros((size[2], size[1], size[0] + 1), np.int32)
        _cross(points[:, order], triangles, steps)
        ahead = np.cumsum(steps, axis=2)
        # From the other end, the same crossings count the other way round.
        both = ahead[..., :-1].astype(np.float32) - 0.5 * ahead[..., -1:].astype(np.float32)
        # Axes of `both` are order[2], order[1], order[0]; put them back to z, y, x.
        where = {a: n for n, a in enumerate(reversed(order))}
        total += both.transpose(where[2], where[1], where[0])
    return total / np.float32(3.0)


def contour(field: Field, grid: Grid) -> tuple[Floats, Triangles]:
    """Return the closed surface, LPS mm and normals outward, where a signed distance is zero."""
    # A point that lies on the level would make triangles without area.
    tiny = np.float32(1e-4 * grid.step_mm)
    field = np.where(np.abs(field) < tiny, np.where(field < 0, -tiny, tiny), field)
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(field.ravel(), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    mesh = from_vtk(edges.GetOutput(), frame_uid="")
    inward = enclosed_mm3(mesh) < 0
    triangles = mesh.triangles[:, ::-1] if inward else mesh.triangles
    return grid.origin_mm + grid.step_mm * mesh.points_mm, triangles


@njit(cache=True)  # type: ignore[untyped-decorator]
def _side(p: Floats, a: int, b: int, y: float, z: float) -> float:
    """Return on which side of edge a-b (y, z) lies; exactly opposite for b-a, never zero."""
    flip = 1.0
    if a > b:
        a, b, flip = b, a, -1.0
    dy, dz = p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    value = dy * (z - p[a, 2]) - dz * (y - p[a, 1])
    if value == 0.0:
        value = 1.0 if (dz > 0.0 or (dz == 0.0 and dy > 0.0)) else -1.0
    return float(flip * value)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _cross(p: Floats, triangles: Triangles, steps: npt.NDArray[np.int32]) -> None:
    """Add to ``steps`` [z, y, x] -1 or +1 behind each place where an x line enters or leaves."""
    for n in range(len(triangles)):
        a, b, c = triangles[n]
        y0 = max(int(np.ceil(min(p[a, 1], p[b, 1], p[c, 1]))), 0)
        y1 = min(int(np.floor(max(p[a, 1], p[b, 1], p[c, 1]))), steps.shape[1] - 1)
        z0 = max(int(np.ceil(min(p[a, 2], p[b, 2], p[c, 2]))), 0)
        z1 = min(int(np.floor(max(p[a, 2], p[b, 2], p[c, 2]))), steps.shape[0] - 1)
        for z in range(z0, z1 + 1):
            for y in range(y0, y1 + 1):
                u = _side(p, a, b, y, z)
                v = _side(p, b, c, y, z)
                w = _side(p, c, a, y, z)
                if (u > 0.0) != (v > 0.0) or (v > 0.0) != (w > 0.0):
                    continue
                total = u + v + w
                x = (v * p[a, 0] + w * p[b, 0] + u * p[c, 0]) / total
                at = min(max(int(np.floor(x)) + 1, 0), steps.shape[2] - 1)
                steps[z, y, at] += -1 if u > 0.0 else 1


@njit(cache=True)  # type: ignore[untyped-decorator]
def _nearest(corners: Floats, squared: Field, band: float) -> None:
    """Lower ``squared`` [k, j, i] to the squared distance in voxels to each triangle."""
    for n in range(len(corners)):
        a, b, c = corners[n, 0], corners[n, 1], corners[n, 2]
        low = np.empty(3, np.int64)
        high = np.empty(3, np.int64)
        for d in range(3):
            low[d] = max(int(np.ceil(min(a[d], b[d], c[d]) - band)), 0)
            top = squared.shape[2 - d] - 1
            high[d] = min(int(np.floor(max(a[d], b[d], c[d]) + band)), top)
        for k in range(low[2], high[2] + 1):
            for j in range(low[1], high[1] + 1):
                for i in range(low[0], high[0] + 1):
                    far = squared_to_triangle(float(i), float(j), float(k), a, b, c)
                    if far < squared[k, j, i]:
                        squared[k, j, i] = far


@njit(cache=True)  # type: ignore[untyped-decorator]
def squared_to_triangle(x: float, y: float, z: float, a: Floats, b: Floats, c: Floats) -> float:
    """Return the squared distance of a point to a triangle (Ericson, 2005, section 5.1.5)."""
    ab0, ab1, ab2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    ac0, ac1, ac2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    ap0, ap1, ap2 = x - a[0], y - a[1], z - a[2]
    d1 = ab0 * ap0 + ab1 * ap1 + ab2 * ap2
    d2 = ac0 * ap0 + ac1 * ap1 + ac2 * ap2
    bp0, bp1, bp2 = x - b[0], y - b[1], z - b[2]
    d3 = ab0 * bp0 + ab1 * bp1 + ab2 * bp2
    d4 = ac0 * bp0 + ac1 * bp1 + ac2 * bp2
    cp0, cp1, cp2 = x - c[0], y - c[1], z - c[2]
    d5 = ab0 * cp0 + ab1 * cp1 + ab2 * cp2
    d6 = ac0 * cp0 + ac1 * cp1 + ac2 * cp2
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    s, t = 0.0, 0.0
    if d1 <= 0.0 and d2 <= 0.0:
        pass
    elif d3 >= 0.0 and d4 <= d3:
        s = 1.0
    elif d6 >= 0.0 and d5 <= d6:
        t = 1.0
    elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        s = d1 / (d1 - d3) if d1 != d3 else 0.0
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        t = d2 / (d2 - d6) if d2 != d6 else 0.0
    elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        whole = (d4 - d3) + (d5 - d6)
        t = (d4 - d3) / whole if whole != 0.0 else 0.0
        s = 1.0 - t
    else:
        whole = va + vb + vc
        s, t = (vb / whole, vc / whole) if whole != 0.0 else (0.0, 0.0)
    r0 = ap0 - s * ab0 - t * ac0
    r1 = ap1 - s * ab1 - t * ac1
    r2 = ap2 - s * ab2 - t * ac2
    return float(r0 * r0 + r1 * r1 + r2 * r2)
