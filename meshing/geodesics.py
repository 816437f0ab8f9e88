"""Shortest ways along a surface, and their lengths.

Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import potpourri3d

from meshing.measuring import INDEPENDENT, Uncertainty, pick_reach
from meshing.nearest import Nearest, NearestOnSurface
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured, banded, length_mm, middle_mm, number_text, picked
from segmentation.volume import Floats, Vector

CORNER = 1e-3  # how near to a corner or an edge of a triangle counts as on it


class Geodesics:
    """Shortest ways along one surface between any of its points.

    A way is found along edges (Dijkstra) and straightened by flipping edges until it is
    locally shortest on the triangles themselves (Sharp and Crane, You can find geodesic paths
    in triangle meshes by just flipping edges, ACM TOG 39(6), 2020). It ends at corners of
    triangles: points that are known beforehand become corners.

    Raises:
        ValueError: if the surface has no triangle, or is no manifold that faces one way.
    """

    def __init__(self, mesh: SurfaceMesh, points_mm: npt.ArrayLike = ()) -> None:
        mesh = _bare(mesh)
        found = NearestOnSurface(mesh)(points_mm)
        self._mesh = _with_corners(mesh, found)
        self._finder = NearestOnSurface(self._mesh)
        self._solver = _solver(self._mesh.points_mm, self._mesh.triangles)

    @property
    def mesh(self) -> SurfaceMesh:
        """The surface with the points known beforehand as corners."""
        return self._mesh

    def snapped(self, points_mm: npt.ArrayLike) -> Floats:
        """Return the nearest points on the surface of LPS mm points (n, 3)."""
        return self._finder(points_mm).point_mm

    def way(self, points_mm: npt.ArrayLike, closed: bool = False) -> Floats:
        """Return the way (m, 3) on the surface through points (n, 3), LPS mm, in order.

        Raises:
            ValueError: if two points lie on parts that do not hang together.
        """
        found = self._finder(points_mm)
        corners = self._mesh.triangles[found.triangle]
        away = np.linalg.norm(self._mesh.points_mm[corners] - found.point_mm[:, None], axis=2)
        stops = corners[np.arange(len(corners)), np.argmin(away, axis=1)].tolist()
        stops += stops[:1] if closed else []
        legs = [self._leg(a, b) for a, b in pairwise(stops)]
        return np.vstack([legs[0], *(leg[1:] for leg in legs[1:])])

    def _leg(self, start: int, end: int) -> Floats:
        if start == end:
            return self._mesh.points_mm[[start, end]]
        try:
            return np.asarray(self._solver.find_geodesic_path(start, end), np.float64)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                "there is no way along the surface between two of the points: they lie on "
                "parts that do not hang together"
            ) from error


def _bare(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface without doubled or collapsed triangles and points of no triangle."""
    cells = mesh.triangles
    first = np.unique(np.sort(cells, axis=1), axis=0, return_index=True)[1]
    kept = np.zeros(len(cells), bool)
    kept[first] = True
    kept &= (cells != np.roll(cells, 1, axis=1)).all(axis=1)
    used, place = np.unique(cells[kept], return_inverse=True)
    if kept.all() and len(used) == len(mesh.points_mm):
        return mesh
    return mesh.reshaped(mesh.points_mm[used], place.reshape(-1, 3))


def _with_corners(mesh: SurfaceMesh, found: Nearest) -> SurfaceMesh:
    """Return the surface with the found points as corners: their triangles become three.

    A point next to a corner takes that corner; of several in one triangle the first counts.
    """
    points, cells = [mesh.points_mm], mesh.triangles.copy()
    added: list[list[int]] = []
    number, taken = len(mesh.points_mm), set[int]()
    for point, cell in zip(found.point_mm, found.triangle.tolist()):
        if cell in taken:
            continue
        corners = mesh.points_mm[cells[cell]]
        share = np.linalg.lstsq(np.vstack([corners.T, np.ones(3)]), [*point, 1.0], rcond=None)[0]
        if share.max() > 1 - CORNER:
            continue
        taken.add(cell)
        share = np.maximum(share, CORNER)
        points.append((share / share.sum() @ corners)[None])
        a, b, c = cells[cell].tolist()
        cells[cell] = a, b, number
        added += [[b, c, number], [c, a, number]]
        number += 1
    if not added:
        return mesh
    return mesh.reshaped(np.vstack(points), np.vstack([cells, added]))


def _solver(points: Floats, triangles: npt.NDArray[np.int64]) -> Any:
    try:
        return potpourri3d.EdgeFlipGeodesicSolver(
            np.ascontiguousarray(points), np.ascontiguousarray(triangles)
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            "ways on this surface cannot be measured: more than two sheets meet at an edge or a "
            "point, or its triangles face different ways; repair it first"
        ) from error


def geodesic(
    mesh: SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...],
    closed: bool = False,
    uncertainty_mm: Uncertainty = None,
    progress: Progress = silent,
) -> Measured:
    """Measure the distance between points along a surface.

    Points are taken to the nearest place on the surface; the way between neighbours is the
    locally shortest one on its triangles.

    Args:
        mesh: the surface, LPS mm.
        points_mm: two or more points in order, LPS mm.
        closed: whether the way goes on from the last point to the first.
        uncertainty_mm: how far a point may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        ValueError: for too few points, points on parts that do not hang together, or a surface
            whose edges have more than two triangles.
    """
    points = picked(points_mm, 2, "a way on a surface")
    progress(0.1, "preparing the surface")
    ways = Geodesics(mesh, points)
    snapped = ways.snapped(points)
    progress(0.5, "searching the shortest way")
    path = ways.way(points, closed)
    reach, words = pick_reach(mesh, uncertainty_mm)
    value, far = length_mm(path), float(np.linalg.norm(reach, axis=1).max())
    moving = 2 if not closed and len(points) == 2 else len(points)
    source = f"locally shortest way on the triangles; {words}, {INDEPENDENT}"
    straight = length_mm(np.vstack([snapped, snapped[:1]]) if closed else snapped)
    numbers = (
        banded("length", value, "mm", source, far * np.sqrt(moving)),
        Number("straight", straight, "mm", "straight distances between the same points"),
    )
    off = float(np.linalg.norm(snapped - points, axis=1).max())
    findings = () if off <= max(2.0, 2 * far) else (_far_off(off),)
    text = number_text(value, "mm")
    return Measured(
        mesh.frame_uid, (path,), points, text, middle_mm(path),
        findings=findings, numbers=numbers,
    )  # fmt: skip


def _far_off(away_mm: float) -> Finding:
    text = f"A picked point lies {away_mm:.1f} mm off the surface; its nearest place was taken."
    return Finding(Severity.WARNING, "off_surface", text, remedy="Move the point to the surface.")
