"""The lumen of a vessel made ready for a centerline: pieces, openings, distance to its wall.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshing.surface import SurfaceMesh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOLE_SHARE = 0.2  # an opening narrower than this share of the mean radius is a hole, no end
TUBE = 0.02  # of its radius, how far the rim of a straight round tube may be out of round
SPECK_SHARE = 0.01  # a piece with less of the largest one's volume is dirt
SAMPLE_SHARE = 0.12  # spacing of the samples of the wall, of the mean radius
SAMPLES = 400_000
SLACK = 0.01  # of a distance that is wanted quickly
NEAR = 6  # samples whose triangles are tried for the exact distance


@dataclass(frozen=True, eq=False)
class Opening:
    """An open end of a surface.

    Attributes:
        loop: point numbers around it, in the direction in which its cap runs.
        centre_mm: the centroid of the loop's line (x, y, z), LPS mm.
        normal: unit vector out of the vessel, LPS.
        radius_mm: that of a disc of the same area.
    """

    loop: Ints
    centre_mm: Floats
    normal: Floats
    radius_mm: float


@dataclass(frozen=True, eq=False)
class Piece:
    """One connected part of a lumen, closed by caps over its openings, normals outward.

    Attributes:
        points_mm: (n, 3), LPS mm; the centres of the caps stand last.
        triangles: (m, 3); the caps stand behind the wall.
        wall: for each triangle whether it is vessel wall, not the cap of an end.
        openings: the open ends.
        holes: how many small holes were closed.
        inside_out: whether its normals pointed inward as it was given.
    """

    points_mm: Floats
    triangles: Ints
    wall: npt.NDArray[np.bool_]
    openings: tuple[Opening, ...] = ()
    holes: int = 0
    inside_out: bool = False
    volume_mm3: float = field(init=False)
    mean_radius_mm: float = field(init=False)

    def __post_init__(self) -> None:
        a, b, c = (self.points_mm[self.triangles[:, n]] for n in range(3))
        area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1)[self.wall].sum()) / 2
        volume = abs(signed_mm3(self.points_mm, self.triangles))
        object.__setattr__(self, "volume_mm3", volume)
        object.__setattr__(self, "mean_radius_mm", 2 * volume / max(area, 1e-12))

    def without(self, caps: npt.NDArray[np.bool_]) -> Piece:
        """Return the piece with further triangles counted as caps."""
        return replace(self, wall=self.wall & ~caps)


def signed_mm3(points: Floats, triangles: Ints) -> float:
    """Return the enclosed volume in mm3, negative when the normals point inward."""
    a, b, c = (points[triangles[:, n]] - points[triangles[0, 0]] for n in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0


def split_pieces(mesh: SurfaceMesh) -> list[Piece]:
    """Return the connected parts of a lumen, largest first; cavities and specks are left out.

    Raises:
        ValueError: if the surface is empty or encloses nothing.
    """
    points, triangles = _welded(mesh)
    if not len(triangles):
        raise ValueError("the lumen has no triangle; make its surface first")
    start = triangles.ravel()
    end = triangles[:, (1, 2, 0)].ravel()
    links = coo_matrix((np.ones(len(start), np.int8), (start, end)), (len(points), len(points)))
    group = connected_components(links, directed=False)[1][triangles[:, 0]]
    # Open parts too: against a point within, so that what a cap would add hardly counts.
    corners = points[triangles] - _middles(points, triangles, group)[:, None]
    cone = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    rough = np.bincount(group, np.nan_to_num(cone))
    likely = np.flatnonzero(np.abs(rough) > SPECK_SHARE / 4 * np.abs(rough).max())
    parts = [_closed(points, triangles[group == n]) for n in likely]
    size = [signed_mm3(p.points_mm, p.triangles) for p in parts]
    largest = max(size, key=abs, default=0.0)
    if abs(largest) < 1e-9:
        raise ValueError("the lumen encloses no volume; it is flat or not a vessel")
    # Shells turned against the largest one bound cavities inside it.
    kept = [n for n, v in enumerate(size) if v / largest > SPECK_SHARE]
    kept.sort(key=lambda n: -abs(size[n]))
    return [_outward(parts[n], size[n]) for n in kept]


def _middles(points: Floats, triangles: Ints, group: Ints) -> Floats:
    """Return for each triangle the mean corner of its group."""
    centres = points[triangles].mean(axis=1)
    count = np.maximum(np.bincount(group), 1)
    mean = np.stack([np.bincount(group, centres[:, n]) / count for n in range(3)], axis=1)
    return np.asarray(mean[group])


def _welded(mesh: SurfaceMesh) -> tuple[Floats, Ints]:
    """Return points and triangles with coincident points joined and empty triangles gone."""
    points, same = np.unique(mesh.points_mm + 0.0, axis=0, return_inverse=True)
    a, b, c = same.ravel()[mesh.triangles].T
    keep = (a != b) & (b != c) & (c != a)
    return points, np.stack([a, b, c], axis=1)[keep].astype(np.int64)


def _outward(piece: Piece, signed: float) -> Piece:
    if signed > 0:
        return piece
    turned = tuple(replace(o, loop=o.loop[::-1], normal=-o.normal) for o in piece.openings)
    triangles = piece.triangles[:, ::-1].copy()
    return replace(piece, triangles=triangles, openings=turned, inside_out=True)


def boundary_loops(triangles: Ints) -> list[Ints]:
    """Return the open ends as rings of point numbers, in the direction in which caps run."""
    start = triangles.ravel()
    end = triangles[:, (1, 2, 0)].ravel()
    count = int(triangles.max()) + 1
    free = ~np.isin(end * count + start, start * count + end)
    follow: dict[int, list[int]] = {}
    for a, b in sorted(zip(end[free].tolist(), start[free].tolist()), reverse=True):
        follow.setdefault(a, []).append(b)
    rings = []
    for first in sorted(follow):
        path = [first]
        while follow.get(path[-1]):
            at = follow[path[-1]].pop()
            if at in path:  # a corner that two openings share closes the one just walked
                rings.append(path[path.index(at) :])
                del path[path.index(at) + 1 :]
            else:
                path.append(at)
    return [np.array(ring, np.int64) for ring in rings if len(ring) > 2]


def opening_of(points: Floats, loop: Ints) -> Opening:
    """Return the measures of an open end."""
    ring = points[loop]
    after = np.roll(ring, -1, axis=0)
    length = np.linalg.norm(after - ring, axis=1)
    centre = ((ring + after) / 2 * length[:, None]).sum(axis=0) / max(length.sum(), 1e-12)
    area = np.cross(ring - centre, after - centre).sum(axis=0) / 2
    size = float(np.linalg.norm(area))
    return Opening(loop, centre, area / max(size, 1e-12), float(np.sqrt(size / np.pi)))


def ends_in_tube(points: Floats, triangles: Ints, opening: Opening) -> bool:
    """Return whether the wall runs out to an opening as a straight round tube.

    An end that was lengthened does. However narrow, it is no hole: a hole lies in the wall.
    """
    rim = points[opening.loop]
    away = np.linalg.norm(rim - opening.centre_mm, axis=1)
    if np.ptp(away) > TUBE * opening.radius_mm:
        return False
    on_rim = np.zeros(len(points), np.bool_)
    on_rim[opening.loop] = True
    a, b, c = (points[corner] for corner in triangles[on_rim[triangles].sum(axis=1) == 2].T)
    across = np.cross(b - a, c - a)
    size = np.linalg.norm(across, axis=1)
    return bool((np.abs(across @ opening.normal) <= TUBE * size).all())


def _closed(points: Floats, triangles: Ints) -> Piece:
    """Return a connected part with a fan of triangles over each opening."""
    used, numbered = np.unique(triangles, return_inverse=True)
    points, triangles = points[used], numbered.reshape(-1, 3).astype(np.int64)
    ends = [opening_of(points, loop) for loop in boundary_loops(triangles)]
    fans = [fan(end.loop, len(points) + n) for n, end in enumerate(ends)]
    wall = np.arange(len(triangles) + sum(map(len, fans))) < len(triangles)
    closed = Piece(
        np.concatenate([points, *(end.centre_mm[None] for end in ends)]),
        np.concatenate([triangles, *fans]),
        wall,
    )
    least = HOLE_SHARE * closed.mean_radius_mm
    real = [end.radius_mm >= least or ends_in_tube(points, triangles, end) for end in ends]
    filled = np.concatenate(
        [wall[: len(triangles)], *(np.full(len(f), not r) for f, r in zip(fans, real))]
    )
    kept = tuple(end for end, is_end in zip(ends, real) if is_end)
    return replace(closed, wall=filled, openings=kept, holes=len(ends) - len(kept))


def fan(loop: Ints, centre: int) -> Ints:
    """Return triangles from the ring of an opening to a point; they close it flat."""
    return np.stack([loop, np.roll(loop, -1), np.full(len(loop), centre)], axis=1)


def neighbours_of(triangles: Ints) -> Ints:
    """Return (m, 3): the triangle across each edge (n, n + 1) of a triangle; -1 for none."""
    count = int(triangles.max()) + 1
    start, end = triangles.ravel(), triangles[:, (1, 2, 0)].ravel()
    forward, backward = start * count + end, end * count + start
    order = np.argsort(forward, kind="stable")
    ranked = forward[order]
    place = np.minimum(np.searchsorted(ranked, backward), len(ranked) - 1)
    across = np.where(ranked[place] == backward, order[place] // 3, -1)
    return np.asarray(across.reshape(-1, 3), np.int64)


class Wall:
    """The wall of a piece, for distances to it in mm; the caps of its ends do not count."""

    def __init__(self, piece: Piece) -> None:
        triangles = piece.triangles[piece.wall]
        self._corners = piece.points_mm[triangles]
        spacing = max(SAMPLE_SHARE * piece.mean_radius_mm, 1e-6)
        edges = np.linalg.norm(self._corners - np.roll(self._corners, 1, axis=1), axis=2)
        while True:
            parts = np.maximum(np.ceil(edges.max(axis=1) / spacing), 1).astype(int)
            if ((parts + 1) * (parts + 2) // 2).sum() <= max(SAMPLES, 3 * len(parts)):
                break
            spacing *= 1.3
        samples, owners = [], []
        for k in np.unique(parts):
            which = np.flatnonzero(parts == k)
            weights = _barycentric(int(k))
            samples.append(np.einsum("sw,twx->tsx", weights, self._corners[which]).reshape(-1, 3))
            owners.append(np.repeat(which, len(weights)))
        self._owner = np.concatenate(owners)
        self._tree = cKDTree(np.concatenate(samples))

    def nearly(self, points_mm: Floats) -> Floats:
        """Return the distances of points (n, 3) to the wall, up to a hundredth too large, quickly.

        On an axis all of the wall is equally far, which is where an exact search is slow.
        """
        return np.asarray(self._tree.query(points_mm, eps=SLACK)[0])

    def distance(self, points_mm: Floats) -> Floats:
        """Return the distances of points (n, 3) to the triangles of the wall."""
        from trimesh.triangles import closest_point  # a slow import, for this alone

        near = self._tree.query(points_mm, k=NEAR)[1]
        triangles = self._corners[self._owner[near.ravel()]]
        asked = np.repeat(points_mm, NEAR, axis=0)
        away = np.linalg.norm(closest_point(triangles, asked) - asked, axis=1)
        return np.asarray(away.reshape(-1, NEAR).min(axis=1))


def _barycentric(parts: int) -> Floats:
    """Return the weights of the points of a triangle whose edges are cut into ``parts``."""
    grid = [(a, b, parts - a - b) for a in range(parts + 1) for b in range(parts + 1 - a)]
    return np.array(grid, float) / parts
