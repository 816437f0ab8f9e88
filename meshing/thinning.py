"""Voxels of a lumen thinned to curves that keep its topology, and the tips of its branches."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from meshing.surface import SurfaceMesh, to_vtk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS = np.array([(k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1)], np.int64)
"""The 27 cells of a neighbourhood, (k, j, i); the middle one is number 13."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The voxels inside a lumen on a grid along the patient axes, with an empty margin.

    Attributes:
        shape: of the grid (k, j, i).
        origin_mm: the centre of voxel (0, 0, 0), (x, y, z), LPS mm.
        spacing_mm: the edge of a voxel.
        places: the flat numbers of the voxels inside, ascending.
        number: for each voxel of the grid its position in ``places``, or -1.
    """

    shape: tuple[int, int, int]
    origin_mm: Floats
    spacing_mm: float
    places: Ints
    number: npt.NDArray[np.int32]

    def centres_mm(self, which: Ints | None = None) -> Floats:
        """Return the centres (n, 3), LPS mm, of the voxels inside, or of ``which`` of them."""
        flat = self.places if which is None else self.places[which]
        return (
            self.origin_mm + np.stack(np.unravel_index(flat, self.shape)[::-1], 1) * self.spacing_mm
        )

    def offsets(self) -> Ints:
        """Return the steps of flat numbers to the 27 cells of a neighbourhood."""
        return np.asarray(STEPS @ (self.shape[1] * self.shape[2], self.shape[2], 1), np.int64)


def fill(surface: SurfaceMesh, spacing_mm: float) -> Cells:
    """Return the voxels whose centre lies inside a closed surface."""
    low, high = surface.points_mm.min(axis=0), surface.points_mm.max(axis=0)
    size = np.ceil((high - low) / spacing_mm).astype(int) + 5
    # Not on a lattice with the points of made surfaces, which would lie on voxel centres.
    origin = low - (2.0 + 0.0137) * spacing_mm
    image = vtkImageData()
    image.SetDimensions(*(int(n) for n in size))
    image.SetSpacing(spacing_mm, spacing_mm, spacing_mm)
    image.SetOrigin(*origin.tolist())
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(to_vtk(surface))
    stencil.SetOutputSpacing(*image.GetSpacing())
    stencil.SetOutputOrigin(*image.GetOrigin())
    stencil.SetOutputWholeExtent(*image.GetExtent())
    draw = vtkImageStencilToImage()
    draw.SetInputConnection(stencil.GetOutputPort())
    draw.SetOutputScalarTypeToUnsignedChar()
    draw.SetInsideValue(1)
    draw.SetOutsideValue(0)
    draw.Update()
    shape = (int(size[2]), int(size[1]), int(size[0]))
    inside = vtk_to_numpy(draw.GetOutput().GetPointData().GetScalars()).reshape(shape).copy()
    for axis in range(3):
        np.moveaxis(inside, axis, 0)[[0, -1]] = 0
    places = np.flatnonzero(inside)
    number = np.full(inside.size, -1, np.int32)
    number[places] = np.arange(len(places), dtype=np.int32)
    return Cells(shape, origin, spacing_mm, places, number)


def subset(cells: Cells, keep: npt.NDArray[np.bool_]) -> Cells:
    """Return some of the voxels."""
    number = np.full(len(cells.number), -1, np.int32)
    places = cells.places[keep]
    number[places] = np.arange(len(places), dtype=np.int32)
    return Cells(cells.shape, cells.origin_mm, cells.spacing_mm, places, number)


def connected_parts(cells: Cells) -> Ints:
    """Return for each voxel the number of the part it hangs together with (26 neighbours)."""
    rows, columns = [], []
    for offset in cells.offsets()[14:]:
        to = cells.number[cells.places + offset]
        rows.append(np.flatnonzero(to >= 0))
        columns.append(to[to >= 0])
    ends = np.concatenate(rows), np.concatenate(columns)
    count = len(cells.places)
    links = coo_matrix((np.ones(len(ends[0]), np.int8), ends), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def geodesic_mm(cells: Cells, seed: int) -> Floats:
    """Return the length in mm of the shortest way inside from a voxel; inf where there is none."""
    return _walked(cells, seed, np.ones(len(cells.places)))[0]


def cheapest_ways(cells: Cells, seed: int, cost: Floats, targets: Ints) -> list[Ints]:
    """Return the voxels on the way from each target to ``seed`` with the least summed cost."""
    before = _walked(cells, seed, cost)[1]
    ways = []
    for target in targets:
        way = [int(target)]
        while before[way[-1]] >= 0:
            way.append(int(before[way[-1]]))
        ways.append(np.array(way, np.int64))
    return ways


def _walked(cells: Cells, seed: int, cost: Floats) -> tuple[Floats, Ints]:
    lengths = np.linalg.norm(STEPS, axis=1) * cells.spacing_mm
    distance, before = _compiled(_walk)(
        cells.number, cells.places, cells.offsets(), lengths, seed, cost
    )
    return distance, before


@dataclass(frozen=True, eq=False)
class Tips:
    """Local maxima of a distance along the lumen, farthest first.

    Attributes:
        cells: which voxels.
        reach_mm: how far each stands out beyond where its part joins a farther one.
        depth_mm: the largest distance to the wall within that part.
    """

    cells: Ints
    reach_mm: Floats
    depth_mm: Floats


def find_tips(cells: Cells, distance_mm: Floats, depth_mm: Floats) -> Tips:
    """Return the tips of the parts of a lumen that ``distance_mm`` runs into.

    The merge tree of the superlevel sets of the distance: each maximum lives until its part
    joins that of a farther one (Edelsbrunner, Letscher and Zomorodian, Discrete Comput Geom
    28 (2002) 511: persistence).
    """
    order = np.argsort(-distance_mm, kind="stable")
    which, reach, depth = _compiled(_merge)(
        cells.number, cells.places, cells.offsets(), order, distance_mm, depth_mm
    )
    return Tips(which, reach, depth)


def thin(cells: Cells, depth_mm: Floats, anchors: Ints) -> npt.NDArray[np.bool_]:
    """Return which voxels stay when all that can go without a change of topology have gone.

    Distance-ordered homotopic thinning (Pudney, Comput Vis Image Underst 72 (1998) 404): the
    shallowest simple point goes first; ``anchors`` stay. What is left are curves on the ridge
    of the depth that join the anchors, and one ring around each tunnel.
    """
    kept = _compiled(_thin)(
        cells.number, cells.places, cells.offsets(), depth_mm, anchors, _ADJACENT, _FACES
    )
    return np.asarray(kept, np.bool_)


@cache
def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled loop; numba takes a second to import, so only when needed."""
    from numba import njit

    compiled: Callable[..., Any] = njit(cache=True)(loop)
    return compiled


def _walk(
    number: Any, places: Any, offsets: Any, lengths: Any, seed: int, cost: Any
) -> tuple[Any, Any]:
    """Dijkstra over the 26 neighbours; a step costs its length times the mean cost."""
    distance = np.full(len(places), np.inf)
    before = np.full(len(places), -1, np.int64)
    distance[seed] = 0.0
    heap = [(0.0, np.int64(seed))]
    while len(heap) > 0:
        far, at = heapq.heappop(heap)
        if far > distance[at]:
            continue
        for n in range(27):
            to = number[places[at] + offsets[n]]
            if to < 0:
                continue
            there = far + lengths[n] * (cost[at] + cost[to]) / 2
            if there < distance[to]:
                distance[to] = there
                before[to] = at
                heapq.heappush(heap, (there, np.int64(to)))
    return distance, before


def _merge(number: Any, places: Any, offsets: Any, order: Any, distance: Any, depth: Any) -> Any:
    """Join voxels from far to near; a part that meets one with a farther top ends there."""
    root = np.full(len(places), -1, np.int64)  # by the number of the part's top
    deepest = depth.copy()
    tips, reach, deep = [np.int64(-1)], [0.0], [0.0]
    for at in order:
        root[at] = at
        for n in range(27):
            to = number[places[at] + offsets[n]]
            if to < 0 or root[to] < 0 or to == at:
                continue
            one = at
            while root[one] != one:
                root[one] = root[root[one]]
                one = root[one]
            two = np.int64(to)
            while root[two] != two:
                root[two] = root[root[two]]
                two = root[two]
            if one == two:
                continue
            ahead = distance[one] > distance[two] or (distance[one] == distance[two] and one < two)
            high, low = (one, two) if ahead else (two, one)
            if distance[low] > distance[at]:
                tips.append(low)
                reach.append(distance[low] - distance[at])
                deep.append(deepest[low])
            root[low] = high
            deepest[high] = max(deepest[high], deepest[low])
    top = np.int64(order[0])
    tips[0], reach[0], deep[0] = top, distance[top], deepest[top]
    return np.array(tips), np.array(reach), np.array(deep)


def _thin(
    number: Any, places: Any, offsets: Any, depth: Any, anchors: Any, adjacent: Any, faces: Any
) -> Any:
    """Remove simple points, shallowest first; neighbours of what went are looked at again."""
    kept = np.ones(len(places), np.uint8)
    fixed = np.zeros(len(places), np.uint8)
    for anchor in anchors:
        fixed[anchor] = 1
    queued = np.ones(len(places), np.uint8)
    heap = [(depth[n], np.int64(n)) for n in range(len(places))]
    heapq.heapify(heap)
    here = np.zeros(27, np.uint8)
    seen = np.zeros(27, np.uint8)
    stack = np.zeros(64, np.int64)
    while len(heap) > 0:
        _, at = heapq.heappop(heap)
        queued[at] = 0
        if fixed[at] or not kept[at]:
            continue
        for n in range(27):
            to = number[places[at] + offsets[n]]
            here[n] = 1 if to >= 0 and kept[to] else 0
        here[13] = 0
        # Simple: one object part in the 26 neighbours, one background part that a face touches
        # (Bertrand and Malandain, Pattern Recognit Lett 15 (1994) 169).
        parts = 0
        seen[:] = 0
        for n in range(27):
            if here[n] == 0 or seen[n]:
                continue
            parts += 1
            if parts > 1:
                break
            stack[0], size = n, 1
            seen[n] = 1
            while size > 0:
                size -= 1
                cell = stack[size]
                for m in range(27):
                    if adjacent[cell, m] and here[m] and not seen[m]:
                        seen[m] = 1
                        stack[size] = m
                        size += 1
        if parts != 1:
            continue
        parts = 0
        seen[:] = 0
        for n in (4, 10, 12, 14, 16, 22):
            if here[n] or seen[n]:
                continue
            parts += 1
            if parts > 1:
                break
            stack[0], size = n, 1
            seen[n] = 1
            while size > 0:
                size -= 1
                cell = stack[size]
                for m in range(27):
                    if faces[cell, m] and not here[m] and not seen[m]:
                        seen[m] = 1
                        stack[size] = m
                        size += 1
        if parts != 1:
            continue
        kept[at] = 0
        for n in range(27):
            to = number[places[at] + offsets[n]]
            if to >= 0 and kept[to] and not queued[to]:
                queued[to] = 1
                heapq.heappush(heap, (depth[to], np.int64(to)))
    return kept


_APART = np.abs(STEPS[:, None] - STEPS[None]).max(axis=2)
_CITY = np.abs(STEPS[:, None] - STEPS[None]).sum(axis=2)
_ADJACENT = (_APART == 1) & (np.arange(27) != 13)[:, None] & (np.arange(27) != 13)[None]
_CORNER = np.abs(STEPS).sum(axis=1) == 3
_FACES = (_CITY == 1) & ~_CORNER[:, None] & ~_CORNER[None] & _ADJACENT
