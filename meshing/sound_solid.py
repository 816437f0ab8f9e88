"""Results of booleans without the specks that rounding leaves along a cut."""

from __future__ import annotations

import manifold3d
import numpy as np
import numpy.typing as npt

from meshing.booleans import from_solid
from meshing.intersections import self_intersections
from meshing.surface import SurfaceMesh, is_watertight

MERGED_MM = (1e-4, 1e-3, 3e-3)
"""How far points may move so that triangles along a cut do not cross, in mm, in turn."""


def sound_solid(
    like: SurfaceMesh, solid: manifold3d.Manifold, shift_mm: npt.NDArray[np.float64]
) -> SurfaceMesh | None:
    """Return the surface of a boolean's result, or None where it is open or runs through itself.

    A boolean is exact up to rounding, which can fold triangles of a few micrometres over; points
    are merged within `MERGED_MM`, as little as it takes, until no two triangles cross. The result
    is moved by ``shift_mm`` and has the name and colour of ``like``.
    """
    for tolerance in MERGED_MM:
        result = from_solid(like, solid.simplify(tolerance), shift_mm)
        if is_watertight(result) and not len(self_intersections(result)):
            return result
    return None
