"""Fewer triangles, with what that costs in mm."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge

from meshing.mesh import SurfaceMesh, enclosed_mm3, is_watertight, measured
from meshing.simplification import simplify
from segmentation.contract import Finding, Progress, Severity, silent


def decimate(
    mesh: SurfaceMesh,
    *,
    triangles: Annotated[int, Ge(4)] = 60_000,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Reduce the number of triangles of a surface, keeping it closed.

    Quadric error collapse (Garland and Heckbert, SIGGRAPH 1997), less bold until a closed
    surface stays closed and keeps its volume within one percent; if more triangles than asked
    remain, a finding says so. Point data are dropped. A surface that has fewer triangles
    already comes back as it is.

    Args:
        mesh: the surface, LPS mm.
        triangles: number of triangles to keep.
        progress: told how far the work is.
    """
    if len(mesh.triangles) <= triangles:
        return mesh
    closed = is_watertight(mesh)
    result = mesh
    for attempt, boldness in enumerate((7.0, 4.0)):
        progress(0.1 + 0.4 * attempt, "reducing the triangles")
        points, cells = simplify(mesh.points_mm, mesh.triangles, triangles, boldness)
        tried = mesh.reshaped(points, cells)
        if not closed or _as_closed(mesh, tried):
            result = tried
            break
    if len(result.triangles) > triangles:
        text = f"{len(result.triangles)} triangles are kept, since fewer would open or shrink it."
        note = Finding(Severity.INFO, "triangles_kept", text)
        result = replace(result, findings=(*result.findings, note))
    return measured(result)


def _as_closed(before: SurfaceMesh, after: SurfaceMesh) -> bool:
    """Tell whether a surface is closed and has the other's volume within one percent."""
    return is_watertight(after) and bool(
        np.isclose(enclosed_mm3(before), enclosed_mm3(after), rtol=0.01)
    )
