"""Even triangles over a closed surface, all alike or finer where it bends."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt

from meshing.cell_sizes import curvature_per_mm, edges_of, graded
from meshing.deviation import apart_mm, distance_numbers
from meshing.intersections import self_intersections
from meshing.mesh import SurfaceMesh, measured, require_watertight
from meshing.sized_remeshing import lines_of, remeshed
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.wording import counted


def remesh(
    mesh: SurfaceMesh,
    *,
    edge_length_mm: Annotated[float, Gt(0)] = 1.0,
    follow_curvature: bool = False,
    finest_mm: Annotated[float, Gt(0)] = 0.3,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cover a closed surface with even triangles.

    Long edges are split, short ones collapse, others flip until points have about six
    neighbours (Botsch and Kobbelt, A remeshing approach to multiresolution modeling, SGP 2004).
    Creases and the borders between named parts stay. Point data are dropped.

    Args:
        mesh: a closed surface, LPS mm.
        edge_length_mm: how long edges are to be, in flat places if the curvature is followed.
        follow_curvature: use shorter edges, half the radius of curvature, where the surface bends.
        finest_mm: shortest edges where the curvature is followed.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
    """
    require_watertight(mesh)
    parts = np.zeros(len(mesh.triangles), np.int64)
    for number, part in enumerate(mesh.boundaries.values(), start=1):
        parts[part] = number
    sizes = np.full(len(mesh.points_mm), edge_length_mm)
    if follow_curvature:
        progress(0.05, "measuring the curvature")
        bend = curvature_per_mm(mesh.points_mm, mesh.triangles, lines_of(mesh, parts))
        sizes = np.clip(
            0.5 / np.maximum(bend, 1e-9), min(finest_mm, edge_length_mm), edge_length_mm
        )
        sizes = graded(mesh.points_mm, edges_of(mesh.triangles), sizes, 0.3)
    even, numbers = remeshed(mesh, parts, sizes, share(progress, 0, 2))
    names = {name: np.flatnonzero(numbers == n) for n, name in enumerate(mesh.boundaries, start=1)}
    result = replace(mesh.reshaped(even.points_mm, even.triangles), boundaries=names)
    pairs = self_intersections(result, progress=share(progress, 2, 4))
    if len(pairs):
        at = result.points_mm[result.triangles[pairs[0, 0]]].mean(axis=0)
        text = counted(
            len(pairs), "pair of the new triangles crosses", "pairs of the new triangles cross"
        )
        text += ", since edges are long for the shape."
        place = (float(at[0]), float(at[1]), float(at[2]))
        note = Finding(
            Severity.WARNING, "self_intersections", text, place, "Use shorter edges, or repair it."
        )
        result = replace(result, findings=(*result.findings, note))
    apart = distance_numbers(apart_mm(mesh, result, share(progress, 3, 4)))
    result = measured(result)
    return replace(result, numbers=(*result.numbers, *apart))
