"""How long the edges of cells should be at each point of a surface."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, sin

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonDataModel import vtkStaticCellLocator

from meshing.surface import SurfaceMesh, to_vtk
from meshing.volume_mesh import Floats, Integers

REGULAR = 1.0 / (6.0 * np.sqrt(2.0))
"""Volume of a regular tetrahedron of edge 1."""

BALL_DEGREES = 40.0
"""Points seen from a ball's centre under less than this angle touch it at one place."""


@dataclass(frozen=True)
class Sizing:
    """What decides the length of edges, in mm; None and 0 ask for nothing.

    Attributes:
        edge_mm: the longest edge.
        finest_mm: the shortest edge that curvature and narrow places may ask for.
        wall_edge_mm: the longest edge on the surface.
        turn_degrees: the angle by which a curved surface may turn along one edge.
        cells_across: how many edges fit between opposite walls.
        grading: by how many mm the edge may grow for each mm of distance.
        focus_mm, focus_radius_mm, focus_edge_mm: a point, LPS, around which edges are shorter.
    """

    edge_mm: float
    finest_mm: float
    wall_edge_mm: float | None = None
    turn_degrees: float = 0.0
    cells_across: int = 0
    grading: float = 0.3
    focus_mm: tuple[float, float, float] | None = None
    focus_radius_mm: float = 0.0
    focus_edge_mm: float | None = None


def face_normals(points_mm: Floats, triangles: Integers) -> Floats:
    """Return the normal of each triangle with the length of twice its area in mm2; (m, 3)."""
    a, b, c = (points_mm[triangles[:, n]] for n in range(3))
    return np.asarray(np.cross(b - a, c - a))


def point_normals(points_mm: Floats, triangles: Integers) -> Floats:
    """Return the unit normal at each point, faces weighted by their angle there; (n, 3).

    Thürmer and Wüthrich, Computing vertex normals from polygonal facets, 1998.
    """
    faces = face_normals(points_mm, triangles)
    faces = faces / np.maximum(np.linalg.norm(faces, axis=1), 1e-300)[:, None]
    total = np.zeros_like(points_mm)
    for n in range(3):
        here, one, two = (points_mm[triangles[:, (n + k) % 3]] for k in range(3))
        x, y = one - here, two - here
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosine = np.einsum("ij,ij->i", x, y) / np.maximum(lengths, 1e-300)
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        np.add.at(total, triangles[:, n], faces * angle[:, None])
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1), 1e-300)[:, None])


def edges_of(triangles: Integers) -> Integers:
    """Return each edge once, lower point number first; int64 (e, 2)."""
    edges = np.sort(triangles[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0)


def averaging(edges: Integers, count: int) -> csr_array:
    """Return the matrix (n, n) that gives each point the mean of itself and its neighbours."""
    loops = np.arange(count)
    rows = np.concatenate([edges[:, 0], edges[:, 1], loops])
    columns = np.concatenate([edges[:, 1], edges[:, 0], loops])
    matrix = csr_array(coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count)))
    return csr_array(matrix.multiply(1.0 / matrix.sum(axis=1)[:, None]))


def ball_radii_mm(points_mm: Floats, normals: Floats) -> Floats:
    """Return the radius of the largest ball inside a surface that touches it at each point; (n,).

    A layer thicker than it folds. Shrinking balls: Ma, Bae,
    Choi, 3D medial axis point approximation using nearest neighbors and the normal field, 2012.
    """
    tree = cKDTree(points_mm)
    radii = np.full(len(points_mm), float(np.linalg.norm(np.ptp(points_mm, axis=0))))
    turning = np.arange(len(points_mm))
    limit = np.cos(np.radians(BALL_DEGREES))
    for _ in range(40):
        here, inward = points_mm[turning], -normals[turning]
        centres = here + inward * radii[turning][:, None]
        away, nearest = tree.query(centres)
        inside = away < radii[turning] * (1.0 - 1e-6)
        chord = points_mm[nearest] - here
        along = np.einsum("ij,ij->i", chord, inward)
        smaller = np.einsum("ij,ij->i", chord, chord) / (2.0 * np.maximum(along, 1e-300))
        new_centres = here + inward * smaller[:, None]
        one, two = here - new_centres, points_mm[nearest] - new_centres
        same = np.einsum("ij,ij->i", one, two) > limit * smaller**2
        keep = inside & ~same & (along > 0)
        turning = turning[keep]
        radii[turning] = smaller[keep]
        if not len(turning):
            break
    return radii


def gaps_mm(points_mm: Floats, triangles: Integers) -> Floats:
    """Return the way from each point of a closed surface straight in to the opposite wall; (n,)."""
    size = float(np.linalg.norm(np.ptp(points_mm, axis=0)))
    locator = vtkStaticCellLocator()
    locator.SetDataSet(to_vtk(SurfaceMesh(points_mm, triangles, "")))
    locator.BuildLocator()
    inward = -point_normals(points_mm, triangles)
    start, end = points_mm + 1e-5 * size * inward, points_mm + size * inward
    gaps = np.full(len(points_mm), np.inf)
    share, cell, part = reference(0.0), reference(0), reference(0)
    place, local = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for n, (one, two) in enumerate(zip(start.tolist(), end.tolist())):
        hit = locator.IntersectWithLine(one, two, 0.0, share, place, local, part, cell)  # type: ignore[call-overload]
        if hit:
            gaps[n] = np.linalg.norm(np.asarray(place) - points_mm[n])
    return gaps


def curvature_per_mm(points_mm: Floats, triangles: Integers, lines: Integers) -> Floats:
    """Return the largest normal curvature at each point, in 1/mm; edges in ``lines`` are creases.

    It is the turn of the averaged normal along the edges of a point, averaged over its ring.
    """
    edges = edges_of(triangles)
    mean = averaging(edges, len(points_mm))
    normals = mean @ point_normals(points_mm, triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    creased = np.zeros(len(points_mm), bool)
    creased[lines.ravel()] = True
    smooth = edges[~creased[edges].any(axis=1)]
    a, b = smooth.T
    length = np.maximum(np.linalg.norm(points_mm[a] - points_mm[b], axis=1), 1e-300)
    turn = np.linalg.norm(normals[a] - normals[b], axis=1) / length
    largest = np.zeros(len(points_mm))
    np.maximum.at(largest, a, turn)
    np.maximum.at(largest, b, turn)
    return np.asarray(mean @ largest)


def edge_lengths_mm(
    points_mm: Floats, triangles: Integers, lines: Integers, sizing: Sizing
) -> Floats:
    """Return the edge length wanted at each point of a surface in mm; (n,)."""
    sizes = np.full(len(points_mm), sizing.edge_mm)
    if sizing.turn_degrees:
        curvature = curvature_per_mm(points_mm, triangles, lines)
        chord = 2.0 * sin(radians(sizing.turn_degrees) / 2.0)
        sizes = np.minimum(sizes, chord / np.maximum(curvature, 1e-12))
    if sizing.cells_across:
        gaps = gaps_mm(points_mm, triangles)
        gaps[lines.ravel()] = np.inf  # a crease has no opposite wall
        sizes = np.minimum(sizes, gaps / sizing.cells_across)
    sizes = np.maximum(sizes, min(sizing.finest_mm, sizing.edge_mm))
    if sizing.wall_edge_mm is not None:
        sizes = np.minimum(sizes, sizing.wall_edge_mm)
    if sizing.focus_mm is not None and sizing.focus_edge_mm is not None:
        away = np.linalg.norm(points_mm - np.asarray(sizing.focus_mm), axis=1)
        beyond = np.maximum(away - sizing.focus_radius_mm, 0.0)
        sizes = np.minimum(sizes, sizing.focus_edge_mm + sizing.grading * beyond)
    return graded(points_mm, edges_of(triangles), sizes, sizing.grading)


def graded(points_mm: Floats, edges: Integers, sizes: Floats, grading: float) -> Floats:
    """Return sizes in mm, none larger than a neighbour's plus ``grading`` times the distance."""
    sizes = sizes.copy()
    a, b = edges.T
    rise = grading * np.linalg.norm(points_mm[a] - points_mm[b], axis=1)
    while True:
        before = sizes.copy()
        np.minimum.at(sizes, a, before[b] + rise)
        np.minimum.at(sizes, b, before[a] + rise)
        if np.allclose(sizes, before, rtol=1e-3, atol=0.0):
            return sizes


def expected_tetrahedra(
    points_mm: Floats, triangles: Integers, sizes: Floats, volume_mm3: float, sizing: Sizing
) -> float:
    """Return about how many tetrahedra will fill a surface.

    Edges grow with the depth below the surface until they are ``edge_mm`` long; the count is the
    integral of one over the volume of a regular tetrahedron.
    """
    area = np.linalg.norm(face_normals(points_mm, triangles), axis=1) / 2.0
    edge = np.minimum(sizes[triangles].mean(axis=1), sizing.edge_mm)
    # A depth of a third of volume by area empties a ball, and thin things sooner.
    most = 3.0 * volume_mm3 / max(float(area.sum()), 1e-300)
    depth = np.minimum((sizing.edge_mm - edge) / sizing.grading, most)
    deep = edge + sizing.grading * depth
    shell = area * (1.0 / edge**2 - 1.0 / deep**2) / (2.0 * sizing.grading * REGULAR)
    core = max(volume_mm3 - float((area * depth).sum()), 0.0) / (REGULAR * sizing.edge_mm**3)
    return float(shell.sum() + core)
