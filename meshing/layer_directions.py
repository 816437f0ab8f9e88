"""Ways inward from a wall that every face around a point sees, for layers of prisms."""

from __future__ import annotations

import numpy as np

from meshing.cell_sizes import averaging, edges_of, face_normals, point_normals
from meshing.volume_mesh import Flags, Floats, Integers

BLIND, LEAST_SIGHT = 0.15, 0.35
"""Cosines that a layer's direction must and should make with every face around it at least."""

ROUNDS = 24
"""How often jagged places are evened; the place grows by a ring of points every third time."""

STEPS = 100


def opened(points_mm: Floats, triangles: Integers, on_wall: Flags) -> tuple[Floats, Floats]:
    """Return the points and unit vectors inward at those of the wall; (n, 3) each, mm.

    Where a place is so jagged that no direction is in sight of all faces, its points move towards
    the middle of their neighbours until there is one; points on the rim of the wall stay.
    """
    walls = triangles[on_wall]
    mean = averaging(edges_of(walls), len(points_mm))
    joined = mean.astype(bool)
    movable = np.zeros(len(points_mm), bool)
    movable[np.setdiff1d(walls, triangles[~on_wall])] = True
    points_mm = points_mm.copy()
    for turn in range(ROUNDS):
        directions = _directions(points_mm, triangles, on_wall)
        blind = _sights(points_mm, walls, directions) < BLIND
        if not blind.any():
            break
        jagged = np.zeros(len(points_mm), bool)
        jagged[walls[blind]] = True
        for _ in range(turn // 3):
            jagged = np.asarray(joined @ jagged, bool)
        jagged &= movable
        points_mm[jagged] = (mean @ points_mm)[jagged]
    return points_mm, directions


def unit(vectors: Floats) -> Floats:
    """Return vectors (n, 3) of length 1."""
    lengths = np.linalg.norm(vectors, axis=1)
    return np.asarray(vectors / np.maximum(lengths, 1e-300)[:, None])


def _sights(points_mm: Floats, walls: Integers, directions: Floats) -> Floats:
    """Return the cosine between each face, seen from inside, and the directions there; (m, 3)."""
    faces = unit(-face_normals(points_mm, walls))
    return np.asarray(np.einsum("tcj,tj->tc", directions[walls], faces))


def _directions(points_mm: Floats, triangles: Integers, on_wall: Flags) -> Floats:
    """Return directions that change smoothly, and the best seen ones where these see too little.

    On the rim they lie in the plane of the parts beyond.
    """
    walls, caps = triangles[on_wall], triangles[~on_wall]
    inward = -point_normals(points_mm, walls)
    mean = averaging(edges_of(walls), len(points_mm))
    for _ in range(3):
        inward = unit(mean @ inward)
    rim = np.intersect1d(walls, caps)
    across = np.zeros_like(points_mm)
    across[rim] = point_normals(points_mm, caps)[rim]
    inward = unit(_without(inward, across))
    poor = np.zeros(len(points_mm), bool)
    poor[walls[_sights(points_mm, walls, inward) < LEAST_SIGHT]] = True
    rows, columns = np.nonzero(poor[walls])
    owners = walls[rows, columns]
    faces = _without(unit(-face_normals(points_mm, walls))[rows], across[owners])
    numbers, best = _best_seen(owners, faces)
    inward[numbers] = best
    return inward


def _without(vectors: Floats, normals: Floats) -> Floats:
    """Return the part of each vector that lies across its unit normal; a zero takes nothing."""
    return np.asarray(vectors - np.einsum("ij,ij->i", vectors, normals)[:, None] * normals)


def _best_seen(owners: Integers, faces: Floats) -> tuple[Integers, Floats]:
    """Return the owners once each, and the directions whose least cosine to their faces is largest.

    That is the way to the point nearest the origin of the hull of the faces' normals, found by
    Gilbert's iteration (Aubry and Löhner, On the 'most normal' normal, 2008).
    """
    order = np.argsort(owners, kind="stable")
    faces = faces[order]
    numbers, starts, group = np.unique(owners[order], return_index=True, return_inverse=True)
    if not len(numbers):
        return numbers, np.empty((0, 3))
    place = np.add.reduceat(faces, starts) / np.bincount(group)[:, None]
    for _ in range(STEPS):
        cosines = np.einsum("ij,ij->i", faces, place[group])
        lowest = np.flatnonzero(cosines == np.minimum.reduceat(cosines, starts)[group])
        worst = faces[lowest[np.searchsorted(group[lowest], np.arange(len(numbers)))]]
        way = worst - place
        squared = np.maximum(np.einsum("ij,ij->i", way, way), 1e-300)
        share = np.clip(-np.einsum("ij,ij->i", place, way) / squared, 0.0, 1.0)
        place += share[:, None] * way
    return numbers, unit(place)
