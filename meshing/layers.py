"""Thin layers of prisms along the wall of a surface, for what changes fast there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu

from meshing.cell_quality import prism_jacobian
from meshing.cell_sizes import ball_radii_mm, edges_of, face_normals, graded, point_normals
from meshing.intersections import intersecting_pairs
from meshing.layer_directions import opened
from meshing.sized_remeshing import neighbours
from meshing.volume_mesh import Flags, Floats, Integers
from segmentation.contract import Finding, Progress, Severity

ROOM = 0.5
"""The layers take at most this share of the largest ball that touches the wall inside."""

SLOPE = 0.3
"""The thickness of the layers changes by at most this much for each mm along the wall."""

LEAST_JACOBIAN = 0.1
"""Of a prism, by that of a straight one on its triangle; less counts as folded."""
TURNS = 40
"""How often layers get a quarter thinner where they fold or cross."""

THINNED = 0.95
"""A place counts as thinned where less than this share of the thickness is left."""


class NoRoomForLayers(ValueError):
    """Layers cannot be laid along the wall without folding."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Prisms along the wall and the surface that is left for tetrahedra.

    Points are those of the wall, level by level from outside, then the others of the surface.

    Attributes:
        points_mm: (n, 3), LPS.
        prisms: (p, 6), the inner triangle first.
        inner: (m, 3) closed surface inside the layers, row by row the triangles of the surface.
        outer: (m, 3) the triangles of the boundary: of the wall outside, else as in ``inner``.
        quads: (k, 4) sides of the prisms in other parts, outward.
        quad_parts: (k,) the part that each lies in.
        findings: where the layers are thinner than asked.
    """

    points_mm: Floats
    prisms: Integers
    inner: Integers
    outer: Integers
    quads: Integers
    quad_parts: Integers
    findings: tuple[Finding, ...]


def layer_levels(count: int, first_mm: float, growth: float) -> Floats:
    """Return the depths in mm below the wall at which layers end: 0, then ``count`` more."""
    return np.concatenate([[0.0], np.cumsum(first_mm * growth ** np.arange(count))])


def lay(
    points_mm: Floats,
    triangles: Integers,
    parts: Integers,
    wall: Integers,
    levels_mm: Floats,
    share: float,
    progress: Progress,
) -> Layers:
    """Return layers along the parts ``wall`` of a closed surface.

    They grow inward, in the plane of the other parts where they meet these, and get thinner
    where there is no room; ``share`` makes all of them thinner.

    Raises:
        NoRoomForLayers: if some prism folds however thin it is.
    """
    on_wall = np.isin(parts, wall)
    walls = triangles[on_wall]
    numbers = np.unique(walls)
    total = float(levels_mm[-1])
    shares = levels_mm / total
    progress(0.0, "laying layers along the wall")
    before = points_mm
    points_mm, directions = opened(points_mm, triangles, on_wall)
    normals = point_normals(points_mm, walls)
    room = np.full(len(points_mm), np.inf)
    room[numbers] = ROOM * ball_radii_mm(points_mm[numbers], normals[numbers])
    thickness = np.minimum(room, total) * share
    edges = edges_of(walls)
    spread = _Spread(triangles, on_wall, len(points_mm))
    for turn in range(TURNS):
        progress(turn / TURNS, "laying layers along the wall")
        thickness[numbers] = graded(points_mm, edges, thickness, SLOPE)[numbers]
        moves = spread(directions * np.where(np.isfinite(thickness), thickness, 0.0)[:, None])
        bad = _folded(points_mm, triangles, parts, on_wall, moves, shares)
        if not len(bad):
            bad = _crossing(points_mm + moves, triangles)
        if not len(bad):
            break
        thickness[bad] *= 0.75
    else:
        place = points_mm[bad[0]]
        raise NoRoomForLayers(
            f"the layers fold at ({place[0]:.1f}, {place[1]:.1f}, {place[2]:.1f}) mm however thin "
            "they are; smooth or repair the surface there, or choose shorter edges"
        )
    findings = (
        *_evened(before, points_mm),
        *_thinned(points_mm[numbers], thickness[numbers], total),
    )
    return _assembled(points_mm, triangles, parts, on_wall, moves, shares, findings)


def _crossing(points_mm: Floats, triangles: Integers) -> Integers:
    """Return the points of triangles that cross others."""
    return np.unique(triangles[np.unique(intersecting_pairs(points_mm, triangles))])


class _Spread:
    """Carries the moves of the rim into the parts that have no layers, evenly."""

    def __init__(self, triangles: Integers, on_wall: Flags, count: int) -> None:
        self.free = np.setdiff1d(triangles[~on_wall], triangles[on_wall])
        if not len(self.free):
            return
        edges = edges_of(triangles[~on_wall])
        a, b = edges.T
        ones = np.ones(len(edges))
        joined = csr_array((np.r_[ones, ones], (np.r_[a, b], np.r_[b, a])), shape=(count, count))
        laplacian = csr_array(diags_array(np.asarray(joined.sum(axis=1)).ravel()) - joined)
        rows = laplacian[self.free]
        self.inside = splu(rows[:, self.free].tocsc())
        self.border = csr_array(
            rows - rows @ diags_array(np.isin(np.arange(count), self.free) * 1.0)
        )

    def __call__(self, moves: Floats) -> Floats:
        if not len(self.free):
            return moves
        moves = moves.copy()
        moves[self.free] = 0.0
        known = -(self.border @ moves)
        moves[self.free] = self.inside.solve(known)
        return moves


def _folded(
    points_mm: Floats,
    triangles: Integers,
    parts: Integers,
    on_wall: Flags,
    moves: Floats,
    shares: Floats,
) -> Integers:
    """Return the points of prisms that fold, and the rims of parts whose triangles tip over."""
    walls, count = triangles[on_wall], len(points_mm)
    best = _sharpest_sine(points_mm, walls)
    least = LEAST_JACOBIAN * np.maximum(best, 1e-3)
    bad = np.zeros(len(walls), bool)
    for outer, inner in pairwise(shares):
        both = np.concatenate([points_mm + inner * moves, points_mm + outer * moves])
        prisms = np.concatenate([walls, walls + count], axis=1)
        bad |= prism_jacobian(both, prisms) < least
    caps = triangles[~on_wall]
    before, after = face_normals(points_mm, caps), face_normals(points_mm + moves, caps)
    lengths = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    upright = np.einsum("ij,ij->i", before, after) > 0.8 * lengths[0] * lengths[1]
    tipped = ~upright | (lengths[1] < 0.1 * lengths[0])
    # A part is too small for the layers around it: they give way along its whole rim.
    cramped = np.isin(parts[~on_wall], parts[~on_wall][tipped])
    return np.union1d(walls[bad], np.intersect1d(walls, caps[cramped]))


def _sharpest_sine(points_mm: Floats, triangles: Integers) -> Floats:
    """Return the sine of the sharpest corner of each triangle; (m,)."""
    corners = points_mm[triangles]
    lengths = np.sort(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2), axis=1)
    area = np.linalg.norm(face_normals(points_mm, triangles), axis=1)
    return np.asarray(area / np.maximum(lengths[:, 1] * lengths[:, 2], 1e-300))


def _evened(before_mm: Floats, points_mm: Floats) -> tuple[Finding, ...]:
    away = np.linalg.norm(points_mm - before_mm, axis=1)
    if not away.any():
        return ()
    x, y, z = map(float, points_mm[np.argmax(away)])
    return (
        Finding(
            Severity.INFO,
            "wall_evened",
            f"The wall was evened at {np.count_nonzero(away)} points, by up to {away.max():.2g} "
            "mm: it is so jagged there that no layer could grow.",
            (x, y, z),
            "Smooth the surface, or choose shorter edges, if the wall matters there.",
        ),
    )


def _thinned(points_mm: Floats, thickness: Floats, total: float) -> tuple[Finding, ...]:
    share = float((thickness < THINNED * total).mean())
    if not share:
        return ()
    worst = int(np.argmin(thickness))
    x, y, z = map(float, points_mm[worst])
    return (
        Finding(
            Severity.INFO,
            "layers_thinned",
            f"The layers are thinner than asked along {100 * share:.2g} % of the wall's points, "
            f"where there is no room: {thickness[worst]:.2g} mm, not {total:.2g} mm, at worst.",
            (x, y, z),
            "Choose fewer or thinner layers, or shorter edges, if the wall matters there.",
        ),
    )


def _assembled(
    points_mm: Floats,
    triangles: Integers,
    parts: Integers,
    on_wall: Flags,
    moves: Floats,
    shares: Floats,
    findings: tuple[Finding, ...],
) -> Layers:
    """Return the layers with their points numbered anew."""
    walls = triangles[on_wall]
    numbers = np.unique(walls)
    others = np.setdiff1d(triangles, numbers)
    size, last = len(numbers), len(shares) - 1
    outside = np.zeros(len(points_mm), np.int64)
    outside[numbers] = np.arange(size)
    inside = outside + last * size
    inside[others] = (last + 1) * size + np.arange(len(others))
    levels = [points_mm[numbers] + share * moves[numbers] for share in shares]
    prisms = [
        np.concatenate([outside[walls] + (n + 1) * size, outside[walls] + n * size], axis=1)
        for n in range(last)
    ]
    inner = inside[triangles]
    beside = neighbours(triangles)
    quads, quad_parts = [], []
    for n in range(3):
        rim = on_wall & ~on_wall[beside[:, n]]
        a, b = (outside[triangles[rim, (n + k) % 3]] for k in (1, 2))
        for level in range(last):
            up, down = level * size, (level + 1) * size
            quads.append(np.stack([b + up, a + up, a + down, b + down], axis=1))
            quad_parts.append(parts[beside[rim, n]])
    return Layers(
        np.concatenate([*levels, (points_mm + moves)[others]]),
        np.concatenate(prisms),
        inner,
        np.where(on_wall[:, None], outside[triangles], inner),
        np.concatenate(quads),
        np.concatenate(quad_parts),
        findings,
    )
