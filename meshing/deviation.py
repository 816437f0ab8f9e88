"""How far two surfaces lie apart, in numbers that travel with a result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meshing.mesh import SurfaceMesh
from meshing.nearest import NearestOnSurface
from segmentation.contract import Number, Progress, share, silent

Floats = npt.NDArray[np.float64]

SAMPLES = 40_000
"""Points of either surface from which the distance to the other is measured, at the most."""


def samples_of(mesh: SurfaceMesh, most: int = SAMPLES) -> Floats:
    """Return points (n, 3) spread over a surface, LPS mm: of its points and triangle middles."""
    points = mesh.points_mm[:: max(1, -(-2 * len(mesh.points_mm) // most))]
    cells = mesh.triangles[:: max(1, -(-2 * len(mesh.triangles) // most))]
    return np.vstack([points, mesh.points_mm[cells].mean(axis=1)])


def apart_mm(one: SurfaceMesh, other: SurfaceMesh, progress: Progress = silent) -> Floats:
    """Return distances in mm from samples of each of two surfaces to the other."""
    there = NearestOnSurface(other)(samples_of(one), share(progress, 0, 2)).distance_mm
    back = NearestOnSurface(one)(samples_of(other), share(progress, 1, 2)).distance_mm
    return np.concatenate([there, back])


def distance_numbers(distances_mm: Floats, ways: str = "both ways") -> tuple[Number, ...]:
    """Return the largest and the mean of distances such as `apart_mm` as numbers."""
    source = f"{ways}, from {len(distances_mm)} points"
    return (
        Number("largest_distance", float(distances_mm.max(initial=0.0)), "mm", source),
        Number("mean_distance", float(distances_mm.mean()), "mm", source),
    )
