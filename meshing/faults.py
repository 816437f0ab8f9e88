"""What keeps a surface from being a solid that a printer or solver can use, and where.

Every fault has a place, the worst first, so that a person can be led to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from meshing.check import MeshReport, check
from meshing.rays import windings
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight
from meshing.tree import triangle_tree
from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PRINTED = (".stl", ".3mf", ".obj", ".usdz", ".usdc", ".usda")
"""The endings of files for printers and solid modellers, whose surfaces are checked."""

TOLD = 12
"""Places of one kind of fault that are told one by one."""

SMALLEST_MM, LARGEST_MM = 1.0, 2500.0
"""No printed anatomy has a longest side outside of these."""

REPAIR = "Repair the surface, or make it again from its label"


def solid_faults(
    mesh: SurfaceMesh, *, crossings: bool = True, progress: Progress = silent
) -> tuple[Finding, ...]:
    """Return what keeps a surface from being one or several solids, each kind worst first.

    These are: no triangle, an absurd size, holes, edges with more than two triangles or with
    triangles that turn opposite ways, self-intersections, normals that point inward, and
    pieces that lie inside of another's material. A sound surface has none. Without ``crossings``
    self-intersections, which take most of the time, are not looked for.
    """
    if not len(mesh.triangles):
        return (_problem("empty_surface", f"{_name(mesh)} has no triangle", remedy=REPAIR),)
    report = check(mesh, crossings=crossings, progress=share(progress, 0, 2))
    found = [*_size(mesh), *_edges(mesh, report)]
    if len(report.crossings):
        found += _crossings(mesh, report.crossings)
    progress(0.5, "looking inside")
    if is_watertight(mesh):
        found += _nesting(mesh, np.unique(report.crossings))
    return tuple(found)


def fault_warnings(
    mesh: SurfaceMesh, *, crossings: bool = True, progress: Progress = silent
) -> tuple[Finding, ...]:
    """Return `solid_faults` as warnings, for a file that is written all the same."""
    found = solid_faults(mesh, crossings=crossings, progress=progress)
    return tuple(replace(fault, severity=Severity.WARNING) for fault in found)


def pieces_of(mesh: SurfaceMesh) -> Integers:
    """Return for each triangle the number of its connected piece."""
    return _groups(mesh.triangles, len(mesh.points_mm))


def places(
    mesh: SurfaceMesh, triangles: Integers, weight: Floats
) -> list[tuple[Integers, tuple[float, float, float]]]:
    """Return the connected patches that some triangles form, the greatest weight first.

    Each patch is its triangle numbers and a point (LPS mm) of the surface in its middle.
    """
    group = _groups(mesh.triangles[triangles], len(mesh.points_mm))
    order = np.argsort(group, kind="stable")
    patches = np.split(triangles[order], np.flatnonzero(np.diff(group[order])) + 1)
    patches.sort(key=lambda patch: (-float(weight[patch].sum()), int(patch[0])))
    return [(patch, _middle(mesh.points_mm[mesh.triangles[patch]])) for patch in patches]


def _groups(cells: Integers, count: int) -> Integers:
    """Return for each cell (rows of point numbers) the number of its connected group."""
    width = cells.shape[1] - 1
    start, end = np.repeat(cells[:, 0], width), cells[:, 1:].ravel()
    links = coo_matrix((np.ones(len(start), bool), (start, end)), (count, count))
    label = connected_components(links, directed=False)[1][cells[:, 0]]
    return np.asarray(np.unique(label, return_inverse=True)[1].ravel(), np.int64)


def _middle(corners: Floats) -> tuple[float, float, float]:
    """Return the corner that is nearest to the mean of all."""
    points = corners.reshape(-1, 3)
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    x, y, z = points[int(away.argmin())].tolist()
    return x, y, z


def _name(mesh: SurfaceMesh) -> str:
    return f"the surface {mesh.name!r}" if mesh.name else "the surface"


def _problem(
    code: str, sentence: str, place: tuple[float, float, float] | None = None, remedy: str = ""
) -> Finding:
    return Finding(Severity.PROBLEM, code, sentence, place, remedy)


def _size(mesh: SurfaceMesh) -> list[Finding]:
    extent = float(np.ptp(mesh.points_mm[mesh.triangles].reshape(-1, 3), axis=0).max())
    if SMALLEST_MM <= extent <= LARGEST_MM:
        return []
    shown = f"{extent:.3g} mm" if extent < 1000 else f"{extent / 1000:.3g} m"
    remedy = (
        "If it was read from a file in centimetres or metres, open the file again with that unit"
    )
    text = f"{_name(mesh)} is {shown} long; its unit or scale is wrong"
    return [_problem("absurd_size", text, remedy=remedy)]


def _edges(mesh: SurfaceMesh, report: MeshReport) -> list[Finding]:
    """Return the holes, and where edges are shared by too many or by contrary triangles."""
    crowded = "edges that more than two triangles share"
    return [
        *_on_edges(mesh, report.open_edges, "open_surface", "a hole", "around"),
        *_on_edges(mesh, report.crowded_edges, "non_manifold", crowded, "of"),
        *_on_edges(mesh, report.turned_edges, "turned_triangles", "triangles turned over", "along"),
    ]


def _on_edges(mesh: SurfaceMesh, edges: Integers, code: str, what: str, of: str) -> list[Finding]:
    if not len(edges):
        return []
    ends = mesh.points_mm[edges]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    group = _groups(edges, len(mesh.points_mm))
    total = np.bincount(group, length)
    order = np.argsort(-total, kind="stable")
    told = [
        _problem(
            code,
            f"{_name(mesh)} has {what}, {total[one]:.3g} mm {of} the edge",
            _middle(ends[group == one]),
            REPAIR,
        )
        for one in order[:TOLD]
    ]
    return told + _rest(code, what, len(order))


def _rest(code: str, what: str, count: int) -> list[Finding]:
    if count <= TOLD:
        return []
    more = counted(count - TOLD, "more place has", "more places have")
    return [_problem(f"{code}_more", f"{more} {what}", remedy=REPAIR)]


def _crossings(mesh: SurfaceMesh, pairs: Integers) -> list[Finding]:
    involved = np.unique(pairs)
    weight = np.bincount(pairs.ravel(), minlength=len(mesh.triangles)).astype(np.float64)
    patches = places(mesh, involved, weight)
    told = [
        _problem(
            "self_intersection",
            f"{_name(mesh)} runs through itself where {len(patch)} triangles meet",
            place,
            REPAIR,
        )
        for patch, place in patches[:TOLD]
    ]
    return told + _rest("self_intersection", "triangles that cross", len(patches))


def _nesting(mesh: SurfaceMesh, crossing: Integers) -> list[Finding]:
    """Return the pieces of a closed surface that are inside out, or inside another's material.

    Pieces with ``crossing`` triangles are partly inside and partly outside, which was told.
    """
    piece = pieces_of(mesh)
    corners = mesh.points_mm[mesh.triangles]
    arms = corners - corners[0, 0]
    enclosed = np.bincount(
        piece, np.einsum("ij,ij->i", arms[:, 0], np.cross(arms[:, 1], arms[:, 2]))
    )
    first = np.unique(piece, return_index=True)[1]
    if len(first) == 1:
        around = np.zeros(1, np.int64)
    else:
        tree = triangle_tree(mesh.points_mm, mesh.triangles)
        number = np.arange(len(first))
        around = windings(tree, corners[first].mean(axis=1), number, piece)
    if enclosed_mm3(mesh) < 0:
        text = f"The normals of {_name(mesh)} point inward: solid and empty are exchanged"
        place = _middle(corners[piece == int(np.argmin(enclosed))])
        return [_problem("inside_out", text, place, "Turn the triangles over")]
    outward = enclosed > 0
    whole = ~np.isin(np.arange(len(first)), piece[crossing])
    wrong = np.flatnonzero(whole & ((outward & (around >= 1)) | (~outward & (around <= 0))))
    order: Sequence[int] = sorted(wrong.tolist(), key=lambda n: (-abs(enclosed[n]), n))
    found = []
    for n in order[:TOLD]:
        volume = f"{abs(enclosed[n]) / 6000:.3g} mL"
        if outward[n]:
            code, text = "nested", f"a piece of {volume} lies inside of the material of another"
            remedy = "Unite the pieces, or turn the inner one over if it shall be a cavity"
        else:
            code, text = "inside_out", f"a piece of {volume} is inside out"
            remedy = "Turn the triangles of the piece over"
        found.append(_problem(code, text, _middle(corners[piece == n]), remedy))
    return found + _rest("nested", "pieces that lie wrongly inside others", len(order))
