"""Kernels of surfaces whose points slide along the edges of a voxel grid.

A point lies between a voxel inside and a neighbour outside, so which voxels are inside fixes all
triangles (marching cubes; Lorensen and Cline, SIGGRAPH 1987), and no sliding can open the surface
or make it hang together at a point or an edge. Two triangles of one cell are the only ones that
could cross.
"""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


def contour(inside: Bytes) -> tuple[Float32s, Integers]:
    """Return points (i, j, k), half-way between voxels, and triangles around voxels of 1.

    Voxels that touch across the diagonal of a cell's face stay apart there.
    """
    image = vtkImageData()
    image.SetDimensions(*inside.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(inside.ravel()))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    found = edges.GetOutput()
    if not found.GetNumberOfPoints():
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.int64)
    points = vtk_to_numpy(found.GetPoints().GetData())
    cells = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    # Flying edges turns triangles towards the lower values, which is outward here.
    return points, cells.astype(np.int64)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def ends_of(points: Float32s, inside: Bytes) -> tuple[Integers, Integers]:
    """Return the flat number of the voxel inside, and the step to the one outside, per point."""
    _, nj, ni = inside.shape
    strides = (1, ni, ni * nj)
    flat = inside.ravel()
    inner = np.empty(len(points), np.int64)
    step = np.empty(len(points), np.int64)
    for n in range(len(points)):
        low, stride = 0, 0
        for axis in range(3):
            place = int(np.floor(points[n, axis]))
            low += place * strides[axis]
            if points[n, axis] - place > 0.25:
                stride = strides[axis]
        if flat[low]:
            inner[n], step[n] = low, stride
        else:
            inner[n], step[n] = low + stride, -stride
    return inner, step


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def filtered_at(inside: Bytes, places: Integers, kernel: Float32s) -> Float32s:
    """Return a correlation with a kernel [k, j, i] of odd sizes at some flat voxel numbers.

    Every place must lie further from the border than the kernel reaches.
    """
    _, nj, ni = inside.shape
    nk, mj, mi = kernel.shape
    flat = inside.ravel()
    found = np.empty(len(places), np.float32)
    for n in range(len(places)):
        total = np.float32(0.0)
        corner = places[n] - ((nk // 2) * nj + mj // 2) * ni - mi // 2
        for k in range(nk):
            for j in range(mj):
                row = corner + (k * nj + j) * ni
                for i in range(mi):
                    if flat[row + i]:
                        total += kernel[k, j, i]
        found[n] = total
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place_points(
    shares: Floats, inner: Integers, step: Integers, shape: tuple[int, int, int], spacing: Floats
) -> Floats:
    """Return points (x, y, z) in mm along the grid's axes at shares of the way outward."""
    _, nj, ni = shape
    points = np.empty((len(shares), 3))
    for n in range(len(shares)):
        points[n, 0] = inner[n] % ni * spacing[0]
        points[n, 1] = inner[n] // ni % nj * spacing[1]
        points[n, 2] = inner[n] // (ni * nj) * spacing[2]
        stride = abs(step[n])
        axis = 0 if stride == 1 else (1 if stride == ni else 2)
        points[n, axis] += shares[n] * spacing[axis] * (1.0 if step[n] > 0 else -1.0)
    return points


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def outward(points: Floats, triangles: Integers) -> Floats:
    """Return per point a third of the area vectors around it, mm2: how the volume grows."""
    vectors = np.zeros(points.shape)
    for n in range(len(triangles)):
        a, b, c = triangles[n, 0], triangles[n, 1], triangles[n, 2]
        ux, uy, uz = (
            points[b, 0] - points[a, 0],
            points[b, 1] - points[a, 1],
            points[b, 2] - points[a, 2],
        )
        vx, vy, vz = (
            points[c, 0] - points[a, 0],
            points[c, 1] - points[a, 1],
            points[c, 2] - points[a, 2],
        )
        x, y, z = (uy * vz - uz * vy) / 6, (uz * vx - ux * vz) / 6, (ux * vy - uy * vx) / 6
        for corner in (a, b, c):
            vectors[corner, 0] += x
            vectors[corner, 1] += y
            vectors[corner, 2] += z
    return vectors


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spread(values: Floats, triangles: Integers, times: int) -> Floats:
    """Return values per point diffused over the surface; their sum stays."""
    uses = np.zeros(len(values))
    for n in range(len(triangles)):
        for m in range(3):
            uses[triangles[n, m]] += 2.0
    for _ in range(times):
        after = values * 0.5
        for n in range(len(triangles)):
            a, b, c = triangles[n, 0], triangles[n, 1], triangles[n, 2]
            of_a, of_b, of_c = (
                0.5 * values[a] / uses[a],
                0.5 * values[b] / uses[b],
                0.5 * values[c] / uses[c],
            )
            after[a] += of_b + of_c
            after[b] += of_c + of_a
            after[c] += of_a + of_b
        values = after
    return values


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def missing_volume(inside: Bytes, inner: Integers, step: Integers, missing: Floats) -> Floats:
    """Return per point its part of the volume, in voxels, that straight cells leave out.

    ``missing`` holds for each of the 256 patterns of a cell how much of the voxels' share lies
    outside the surface while every point is half-way; a cell's points get equal parts.
    """
    _, nj, ni = inside.shape
    flat = inside.ravel()
    parts = np.zeros(len(inner))
    strides = (1, ni, ni * nj)
    for n in range(len(inner)):
        low = min(inner[n], inner[n] + step[n])
        stride = abs(step[n])
        u = strides[1] if stride == 1 else strides[0]
        v = strides[1] if stride == strides[2] else strides[2]
        for cell in (low, low - u, low - v, low - u - v):
            pattern, crossed = 0, 0
            for bit in range(8):
                corner = cell + (bit & 1) + ((bit >> 1) & 1) * ni + (bit >> 2) * ni * nj
                if flat[corner]:
                    pattern |= 1 << bit
            for bit in range(8):
                for axis in range(3):
                    if not bit & (1 << axis):
                        other = bit | (1 << axis)
                        crossed += ((pattern >> bit) & 1) != ((pattern >> other) & 1)
            parts[n] += missing[pattern] / crossed
    return parts


@cache
def missing_by_pattern() -> Floats:
    """Return for 256 patterns of a cell's corners (bit i + 2 j + 4 k) what `contour` leaves out.

    The part of a cell inside the surface follows from the divergence theorem about its middle:
    its triangles, and the part inside of each of its faces.
    """
    missing = np.zeros(256)
    areas = np.array([0, 1 / 8, 1 / 2, 7 / 8, 1])
    for pattern in range(256):
        corners = np.array([(pattern >> n) & 1 for n in range(8)], np.uint8).reshape(2, 2, 2)
        points, triangles = contour(np.pad(corners, 1))
        around = points[triangles].astype(np.float64) - 1.5
        here = np.all(np.abs(around.mean(axis=1)) < 0.5, axis=1)
        a, b, c = (around[here, n] for n in range(3))
        volume = float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0
        for axis in range(3):
            for face in np.moveaxis(corners, axis, 0):
                diagonal = face.sum() == 2 and face[0, 0] == face[1, 1]
                volume += (0.25 if diagonal else float(areas[face.sum()])) / 6.0
        missing[pattern] = corners.sum() / 8.0 - volume
    return missing
