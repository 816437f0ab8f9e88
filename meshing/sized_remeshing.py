"""A closed surface with even triangles of wanted sizes, its parts and creases kept.

Imported by the process that meshes only, since numba takes a second to start.
"""

from __future__ import annotations

import numpy as np

from meshing import edge_moves
from meshing.cell_sizes import edges_of, face_normals, point_normals
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from meshing.volume_mesh import Floats, Integers
from segmentation.contract import Progress

ROUNDS = 8
FITS = 3
CREASE_DEGREES = 50.0
"""Edges along which a surface turns by more are kept as lines."""


def lines_of(surface: SurfaceMesh, parts: Integers) -> Integers:
    """Return the edges of a closed surface between two parts, and its creases; int64 (e, 2)."""
    triangles = surface.triangles
    beside = neighbours(triangles)
    normals = face_normals(surface.points_mm, triangles)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    cosine = np.einsum("tc,tnc->tn", normals, normals[beside])
    crease = cosine < np.cos(np.radians(CREASE_DEGREES))
    flat = np.linalg.norm(normals, axis=1) == 0
    crease &= ~(flat[:, None] | flat[beside])
    on_line = crease | (parts[beside] != parts[:, None])
    pairs = np.stack([triangles[:, (1, 2, 0)], triangles[:, (2, 0, 1)]], axis=-1)[on_line]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def neighbours(triangles: Integers) -> Integers:
    """Return the triangle across the edge opposite each corner of a closed surface; (m, 3)."""
    start, end = triangles[:, (1, 2, 0)].ravel(), triangles[:, (2, 0, 1)].ravel()
    count = int(triangles.max(initial=0)) + 1
    forward = np.argsort(start * count + end)
    backward = np.argsort(end * count + start)
    beside = np.empty(triangles.size, np.int64)
    beside[forward] = backward // 3
    return beside.reshape(-1, 3)


def remeshed(
    surface: SurfaceMesh, parts: Integers, sizes: Floats, progress: Progress
) -> tuple[SurfaceMesh, Integers]:
    """Return a surface whose edges are as long as ``sizes`` (mm at each point), and its parts.

    ``parts`` is a number for each triangle. Points stay on the surface, and those on lines
    between parts or on creases on these; corners stay. Botsch and Kobbelt, A remeshing approach
    to multiresolution modeling, SGP 2004, with sizes that vary.
    """
    lines = lines_of(surface, parts)
    work = _Work(surface, parts, sizes, lines)
    nearest = NearestOnSurface(surface)
    for turn in range(ROUNDS):
        progress(turn / ROUNDS, "making even triangles")
        work.split()
        work.collapse()
        work.flip()
        work.slide(surface, nearest, sizes, lines)
    for _ in range(FITS):
        progress(1.0, "making even triangles")
        work.fit(surface, nearest, lines)
    return work.result(surface)


class _Work:
    """The arrays that the compiled moves change."""

    def __init__(
        self, surface: SurfaceMesh, parts: Integers, sizes: Floats, lines: Integers
    ) -> None:
        self.points = surface.points_mm.copy()
        self.sizes = sizes.copy()
        self.corners = surface.triangles.copy()
        self.beside = neighbours(self.corners)
        self.parts = parts.astype(np.int64)
        count = len(self.points)
        self.used = np.array([count, len(self.corners)], np.int64)
        opposite = np.stack([self.corners[:, (1, 2, 0)], self.corners[:, (2, 0, 1)]], axis=-1)
        names = opposite.min(axis=-1) * count + opposite.max(axis=-1)
        self.lines = np.isin(names, lines[:, 0] * count + lines[:, 1])
        degree = np.bincount(lines.ravel(), minlength=count)
        self.kinds = np.where(degree == 0, 0, np.where(degree == 2, 1, 2)).astype(np.int64)
        self._pin_bends(lines)
        self.first = np.full(count, -1, np.int64)
        self.first[self.corners.ravel()] = np.repeat(np.arange(len(self.corners)), 3)

    def _pin_bends(self, lines: Integers) -> None:
        """Make corners of the points where a line turns sharply."""
        total = np.zeros_like(self.points)
        for one, two in (lines.T, lines.T[::-1]):
            step = self.points[two] - self.points[one]
            length = np.maximum(np.linalg.norm(step, axis=1), 1e-300)
            np.add.at(total, one, step / length[:, None])
        turned = np.linalg.norm(total, axis=1) > 2.0 * np.sin(np.radians(CREASE_DEGREES) / 2.0)
        self.kinds[turned & (self.kinds == 1)] = 2

    def _grow(self, points: int, triangles: int) -> None:
        """Make room for more points and triangles."""
        for name, more, fill in (
            ("points", points, 0.0),
            ("sizes", points, 1.0),
            ("kinds", points, 0),
            ("first", points, -1),
            ("corners", triangles, 0),
            ("beside", triangles, 0),
            ("lines", triangles, False),
            ("parts", triangles, -1),
        ):
            array = getattr(self, name)
            room = np.full((more, *array.shape[1:]), fill, array.dtype)
            setattr(self, name, np.concatenate([array, room]))

    def split(self) -> None:
        for _ in range(30):
            self._grow(len(self.points) - int(self.used[0]) + 1000 + int(self.used[0]), 0)
            self._grow(0, 1000 + 2 * int(self.used[1]))
            done = edge_moves.split_long(
                self.points, self.sizes, self.kinds, self.corners, self.beside, self.lines,
                self.parts, self.first, self.used,
            )  # fmt: skip
            self._trim()
            if not done:
                break

    def _trim(self) -> None:
        points, triangles = map(int, self.used)
        for name in ("points", "sizes", "kinds", "first"):
            setattr(self, name, getattr(self, name)[:points])
        for name in ("corners", "beside", "lines", "parts"):
            setattr(self, name, getattr(self, name)[:triangles])

    def collapse(self) -> None:
        for _ in range(5):
            done = edge_moves.collapse_short(
                self.points, self.sizes, self.kinds, self.corners, self.beside, self.lines,
                self.parts, self.first, self.used,
            )  # fmt: skip
            if not done:
                break

    def flip(self) -> None:
        for _ in range(5):
            done = edge_moves.flip_edges(
                self.points, self.corners, self.beside, self.lines, self.parts, self.first,
                self.used,
            )  # fmt: skip
            if not done:
                break

    def slide(
        self, surface: SurfaceMesh, nearest: NearestOnSurface, sizes: Floats, lines: Integers
    ) -> None:
        """Even the points out on the surface and on its lines."""
        target = edge_moves.centred(
            self.points, self.sizes, self.kinds, self.corners, self.beside, self.lines,
            self.first, self.used,
        )  # fmt: skip
        inside = np.flatnonzero((self.kinds == 0) & (self.first >= 0))
        found = nearest(target[inside])
        target[inside] = found.point_mm
        around = surface.triangles[found.triangle]
        wanted, corners = sizes[around], surface.points_mm[around]
        near = 1.0 / np.maximum(np.linalg.norm(corners - target[inside][:, None], axis=2), 1e-9)
        self.sizes[inside] = (wanted * near).sum(axis=1) / near.sum(axis=1)
        along = np.flatnonzero((self.kinds == 1) & (self.first >= 0))
        target[along] = _onto_segments(target[along], surface.points_mm[lines])
        self._move(target)

    def fit(self, surface: SurfaceMesh, nearest: NearestOnSurface, lines: Integers) -> None:
        """Move the points so that the middles of edges lie as often outside as inside.

        With all points on a curved surface, flat triangles would cut volume off it.
        """
        kept = self.parts >= 0
        edges = edges_of(self.corners[kept])
        middles = self.points[edges].mean(axis=1)
        away = nearest(middles).point_mm - middles
        smooth = self.kinds[edges].min(axis=1) == 0
        target = self.points.copy()
        normals = point_normals(self.points, self.corners[kept])
        step = _mean_of_edges(edges[smooth], away[smooth], len(self.points))
        step = normals * np.einsum("ij,ij->i", step, normals)[:, None]
        target[self.kinds == 0] += step[self.kinds == 0]
        on_line = self.lines[kept]
        rows = self.corners[kept]
        pairs = np.stack([rows[:, (1, 2, 0)], rows[:, (2, 0, 1)]], axis=-1)[on_line]
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        middles = self.points[pairs].mean(axis=1)
        away = _onto_segments(middles, surface.points_mm[lines]) - middles
        step = _mean_of_edges(pairs, away, len(self.points))
        own = np.flatnonzero(self.kinds == 1)
        # Simpson's rule along an edge: its ends weigh one, its middle four.
        step *= 2.0 / 3.0
        step[own] += (
            _onto_segments(self.points[own], surface.points_mm[lines]) - self.points[own]
        ) / 3.0
        target[self.kinds == 1] += step[self.kinds == 1]
        self._move(target)

    def _move(self, target: Floats) -> None:
        edge_moves.move_upright(
            self.points, target, self.corners, self.beside, self.first, self.used
        )

    def result(self, surface: SurfaceMesh) -> tuple[SurfaceMesh, Integers]:
        kept = self.parts >= 0
        used, triangles = np.unique(self.corners[kept], return_inverse=True)
        mesh = surface.reshaped(self.points[used], triangles.reshape(-1, 3))
        return mesh, self.parts[kept]


def _mean_of_edges(edges: Integers, values: Floats, count: int) -> Floats:
    """Return the mean of what lies on the edges at each of ``count`` points; (count, 3)."""
    total, uses = np.zeros((count, 3)), np.bincount(edges.ravel(), minlength=count)
    for n in range(2):
        np.add.at(total, edges[:, n], values)
    return np.asarray(total / np.maximum(uses, 1)[:, None])


def _onto_segments(points_mm: Floats, segments_mm: Floats) -> Floats:
    """Return the point of some segments (k, 2, 3) closest to each point (n, 3)."""
    start, way = segments_mm[:, 0], segments_mm[:, 1] - segments_mm[:, 0]
    squared = np.maximum(np.einsum("ij,ij->i", way, way), 1e-300)
    found = np.empty_like(points_mm)
    for n, point in enumerate(points_mm):
        share = np.clip(((point - start) * way).sum(axis=1) / squared, 0.0, 1.0)
        places = start + share[:, None] * way
        found[n] = places[np.argmin(((places - point) ** 2).sum(axis=1))]
    return found
