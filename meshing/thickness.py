"""How thick a solid is below each point of its surface."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt

from meshing.cell_sizes import point_normals
from meshing.mesh import SurfaceMesh, require_watertight
from meshing.nearest import NearestOnSurface
from segmentation.contract import Number, Progress, share, silent

Floats = npt.NDArray[np.float64]

TURNS = 12
OWN_COSINE = 0.75
"""A touch this near to the ball's own point, seen from the ball's middle, is a bump beside it."""


def thickness_map(
    mesh: SurfaceMesh,
    *,
    largest_mm: Annotated[float, Gt(0)] = 50.0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Map the wall thickness of a closed surface.

    The thickness at a point is the diameter of the largest ball inside that touches the surface
    there (shrinking balls; Ma, Bae, Choi, 3D medial axis point approximation, The Visual Computer
    28 (2012) 7). Point data ``thickness_mm`` are added.

    Args:
        mesh: a closed surface, LPS mm.
        largest_mm: nothing thicker is told apart.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
    """
    require_watertight(mesh)
    nearest = NearestOnSurface(mesh)
    inward = -point_normals(mesh.points_mm, mesh.triangles)
    radius = np.full(len(mesh.points_mm), largest_mm / 2)
    going = np.arange(len(radius))
    for turn in range(TURNS):
        part = share(progress, turn, TURNS)
        going = going[_shrink(nearest, mesh.points_mm, inward, radius, going, part)]
        if not len(going):
            break
    thickness = 2.0 * radius
    source = "diameter of the largest ball inside, over the points of the surface"
    numbers = (
        Number("least_thickness", float(thickness.min()), "mm", source),
        Number("thickness, 5th percentile", float(np.percentile(thickness, 5)), "mm", source),
        Number("thickness, median", float(np.median(thickness)), "mm", source),
    )
    return replace(
        mesh,
        point_data={**mesh.point_data, "thickness_mm": thickness},
        numbers=(*mesh.numbers, *numbers),
    )


def _shrink(
    nearest: NearestOnSurface,
    points: Floats,
    inward: Floats,
    radius: Floats,
    going: npt.NDArray[np.int64],
    progress: Progress,
) -> npt.NDArray[np.bool_]:
    """Shrink the balls of some points where they reach through the surface; tell which did."""
    here, way = points[going], inward[going]
    middle = here + radius[going, None] * way
    found = nearest(middle, progress)
    through = found.distance_mm < radius[going] * (1.0 - 1e-4)
    arm = found.point_mm - here
    depth = np.einsum("nc,nc->n", arm, way)
    smaller = np.einsum("nc,nc->n", arm, arm) / np.maximum(2.0 * depth, 1e-12)
    own = np.einsum("nc,nc->n", arm, arm) < 2.0 * (1.0 - OWN_COSINE) * smaller**2
    shrinks = through & ~own & (depth > 0) & (smaller < radius[going])
    radius[going[shrinks]] = smaller[shrinks]
    return np.asarray(shrinks)
