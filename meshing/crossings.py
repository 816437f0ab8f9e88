"""Where a closed surface runs through itself: pieces united, folds cut out and filled anew."""

from __future__ import annotations

import manifold3d
import numpy as np
import numpy.typing as npt

from meshing.intersections import intersecting_pairs
from meshing.rim_fill import PATCHED, Hole, Shape, close
from meshing.shells import parts, separated
from meshing.surface import SurfaceMesh, is_watertight
from segmentation.contract import Progress, share, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WIDENINGS = (0, 1, 1, 2, 3, 4)
"""By how many rings of triangles each further attempt cuts out more."""

NUDGE_MM = 1e-3

MOST_CUT = 0.1
"""Share of the triangles that may be cut out in one attempt; more is no local fault."""


def crossing_pairs(shape: Shape, progress: Progress = silent) -> Integers:
    """Return the pairs (n, 2) of triangles that meet where they should not."""
    return intersecting_pairs(shape.points, shape.triangles, progress=progress)


def united(shape: Shape, pairs: Integers) -> Shape | None:
    """Return the shape with solids that run through each other as one, or None if that fails.

    Pieces that meet no other stay as they are; cavities stay cavities.
    """
    piece = parts(shape.triangles, len(shape.points))
    involved = np.unique(piece[pairs[piece[pairs[:, 0]] != piece[pairs[:, 1]]]])
    if len(involved) < 2:
        return None
    shift = shape.points.mean(axis=0)
    solids = []
    for number in involved:
        triangles = shape.triangles[piece == number]
        used, triangles = np.unique(triangles, return_inverse=True)
        solid = manifold3d.Manifold(
            manifold3d.Mesh64(shape.points[used] - shift, triangles.reshape(-1, 3).astype("u8"))
        )
        if solid.status() != manifold3d.Error.NoError or solid.volume() <= 0:
            return None
        solids.append(solid)
    one = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    largest, most = max(s.volume() for s in solids), sum(s.volume() for s in solids)
    if not 0.999 * largest <= one.volume() <= 1.001 * most:
        return None
    made = one.to_mesh64()
    points = np.asarray(made.vert_properties, np.float64)[:, :3] + shift
    triangles = np.asarray(made.tri_verts, np.int64).reshape(-1, 3) + len(shape.points)
    rest = ~np.isin(piece, involved)
    return Shape(
        np.concatenate([shape.points, points]),
        np.concatenate([shape.triangles[rest], triangles]),
        np.concatenate([shape.tag[rest], np.zeros(len(triangles), np.int64)]),
    )


def mended(
    shape: Shape, pairs: Integers, progress: Progress = silent
) -> tuple[Shape, list[Hole]] | None:
    """Return the shape with its folds cut out, and how they were filled; None if that fails.

    Each attempt cuts the triangles that cross others, and then more and more around them.
    """
    told: list[Hole] = []
    for number, rings in enumerate(WIDENINGS):
        part = share(progress, number, len(WIDENINGS))
        part(0.0, "filling anew where the surface runs through itself")
        bad = _around(shape, np.unique(pairs), rings)
        if np.count_nonzero(bad) > MOST_CUT * len(bad):
            return None
        shape = _without_crumbs(manifold(shape.only(~bad)))
        shape, holes = close(shape, ends="fill", progress=share(part, 0, 2))
        told += holes
        if not is_watertight(SurfaceMesh(shape.points, shape.triangles, "")):
            return None
        pairs = crossing_pairs(shape, share(part, 1, 2))
        if not len(pairs):
            return shape, told
    return None


def manifold(shape: Shape) -> Shape:
    """Return the shape with points of their own wherever solids or holes meet in one.

    Such points move inward by a thousandth of a millimetre, since files that name points by
    their place would tie them together again.
    """
    triangles, old = separated(shape.points, shape.triangles)
    points = shape.points[old]
    split = np.bincount(old, minlength=len(shape.points))[old] > 1
    if split.any():
        points = np.where(split[:, None], points + NUDGE_MM * _inward(points, triangles), points)
    return Shape(points, triangles, shape.tag)


def _inward(points: Floats, triangles: Integers) -> Floats:
    """Return unit vectors (n, 3) against the mean normal at each point."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    area = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    total = [np.bincount(triangles.ravel(), area[:, n], len(points)) for n in range(3)]
    inward = -np.stack(total, axis=1)
    return np.asarray(inward / np.maximum(np.linalg.norm(inward, axis=1), 1e-30)[:, None])


def _around(shape: Shape, cells: Integers, rings: int) -> Bools:
    """Return (m,) which triangles are among ``cells`` or within so many rings of them."""
    bad = np.zeros(len(shape.triangles), bool)
    bad[cells] = True
    for _ in range(rings):
        near = np.zeros(len(shape.points), bool)
        near[shape.triangles[bad]] = True
        bad = np.asarray(near[shape.triangles].any(axis=1))
    return bad


def _without_crumbs(shape: Shape) -> Shape:
    """Return the shape without the small open pieces that cutting out leaves."""
    piece = parts(shape.triangles, len(shape.points))
    count = np.bincount(piece)
    edge = shape.triangles.ravel(), shape.triangles[:, (1, 2, 0)].ravel()
    size = len(shape.points)
    free = ~np.isin(edge[0] * size + edge[1], edge[1] * size + edge[0])
    open_ = np.bincount(np.repeat(piece, 3), free) > 0
    crumb = open_ & (count < 0.02 * count.max()) & (count < 50)
    return shape.only(~crumb[piece])


def patched_share(shape: Shape) -> float:
    """Return the share of the area that fills holes."""
    a, b, c = (shape.points[shape.triangles[:, n]] for n in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    total = float(area.sum())
    return float(area[shape.tag == PATCHED].sum()) / total if total > 0 else 1.0
