"""The walls of an orbit, seen from a point behind the eye: how far away they are on each ray.

A ray ends where bone or the air of a sinus begins, so that walls too thin to be seen as bone in a
CT end it too. Rays that leave the head through the lids make up the aperture. Space is DICOM
patient LPS mm.

The front is closed by the surface that connects points along the rim with their centre of gravity
(J. Jansen, Advanced concepts in orbital wall fractures, thesis, p. 33, figure 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import trimesh.creation
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from segmentation.resampling import resample_volume
from segmentation.volume import Floats, LabelMap, Volume

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

FINENESS = 6
"""Of the directions: 40,962 that are about 1.1 degrees apart, 0.4 mm at a wall."""

STEP_MM, REACH_MM = 0.4, 60.0
"""Along rays: between samples; how far a wall is looked for."""

AIR_HU = -400.0
"""Halfway from fat to air, and a little towards fat."""

NARROW_MM, TYPICAL_MM, STANDS_OUT_MM = 4.0, 20.0, 2.0
"""Fissures and canals are less than twice this wide, at a typical distance; through them rays lead
farther than by walls around them by more than this.
"""

RIM_POINTS, RIM_SLOPE, RIM_AHEAD = 72, 2.5, 0.2
"""Points that make up the rim; how much steeper than across rays a wall may be where directions
have more than this share that leads forward: beyond the rim, rays only graze bone.
"""

AROUND_MM, GRID_MM, NOSTRIL_MM, BEYOND_MM = 90.0, 1.5, 3.0, (1.5, 4.0, 7.0)
"""How much is seen around a point; on which grid the air around the head is found; half the width
of ways through which it does not get into the nose; how far behind skin it is looked for.
"""


class NoOrbit(ValueError):
    """From the point behind the eye no orbit is seen."""


@dataclass(frozen=True, eq=False)
class Ball:
    """Directions all around: unit vectors (n, 3), LPS, and the triangles between them."""

    ways: Floats
    triangles: Integers
    tree: cKDTree

    @property
    def edges(self) -> Integers:
        """The edges of the triangles, each in both directions, (n, 2)."""
        pairs = ((0, 1), (1, 2), (2, 0))
        return np.concatenate([self.triangles[:, [a, b]] for a, b in pairs])

    def near(self, radius_mm: float) -> Near:
        """Return which directions lie within a length at a typical distance, for each."""
        found = self.tree.query_ball_point(self.ways, radius_mm / TYPICAL_MM, return_sorted=True)
        sizes = np.array([len(n) for n in found], np.int64)
        flat = np.fromiter((place for n in found for place in n), np.int64, int(sizes.sum()))
        return Near(flat, sizes)


@dataclass(frozen=True, eq=False)
class Near:
    """Directions around each direction, one after the other, and how many each has."""

    flat: Integers
    sizes: Integers

    def mean(self, values: Floats) -> Floats:
        """Return the mean value around each direction."""
        return np.asarray(self._reduced(values, np.add) / self.sizes)

    def least(self, values: Floats) -> Floats:
        """Return the least value around each direction."""
        return self._reduced(values, np.minimum)

    def greatest(self, values: Floats) -> Floats:
        """Return the greatest value around each direction."""
        return self._reduced(values, np.maximum)

    def _reduced(self, values: Floats, how: np.ufunc) -> Floats:
        starts = np.cumsum(self.sizes) - self.sizes
        return np.asarray(how.reduceat(values[self.flat], starts))


@dataclass(frozen=True, eq=False)
class Orbit:
    """An orbit seen from inside.

    Attributes:
        middle_mm: the point that it is seen from.
        wall_mm: distance of the wall in each direction, fissures closed; NaN in the aperture.
        seen_mm: distance at which the ray ended, with fissures.
        front_mm: distance of the surface that closes the front; inf where there is none.
        rim_mm: points (n, 3) along the rim, a closed line without its last point.
    """

    middle_mm: Floats
    wall_mm: Floats
    seen_mm: Floats
    front_mm: Floats
    rim_mm: Floats

    @property
    def open(self) -> Mask:
        """The directions of the aperture."""
        return np.asarray(np.isnan(self.wall_mm))

    def reach_mm(self, wall_mm: Floats) -> Floats:
        """Return how far the cavity reaches in each direction, with a wall and the front."""
        return np.asarray(np.minimum(np.where(np.isnan(wall_mm), np.inf, wall_mm), self.front_mm))


def all_around(axes: Floats) -> Ball:
    """Return even directions all around in a frame of axes (rows: left or medial, back, up)."""
    ball = trimesh.creation.icosphere(subdivisions=FINENESS)
    ways = np.asarray(ball.vertices, float) @ axes
    flip = np.linalg.det(axes) < 0
    triangles = np.asarray(ball.faces, np.int64)
    return Ball(ways, triangles[:, ::-1] if flip else triangles, cKDTree(ways))


def see_orbit(
    volume: Volume, middle_mm: Floats, forward: Floats, ball: Ball, bone_hu: float
) -> Orbit:
    """Return the orbit around a point in a head CT; ``forward`` is the unit way to the lids.

    Raises:
        NoOrbit: if walls do not surround the point, or none of it is open.
    """
    seen, out = _rays(volume, _outside(volume), middle_mm, ball.ways, bone_hu)
    ahead = ball.ways @ forward
    aperture = _in_one(ball, (out & (ahead > -0.2)) | _over_rim(ball, seen, ahead), forward)
    closed = ~aperture & np.isfinite(seen)
    if aperture.mean() > 0.45 or aperture.mean() < 0.03 or closed.mean() < 0.5:
        raise NoOrbit(
            "the point does not lie in an orbit that is open in front; click into the fat behind "
            "the eye (inside_mm)"
        )
    wall = np.where(closed, seen, np.nan)
    narrow = ball.near(NARROW_MM)
    low = narrow.least(np.where(np.isnan(wall), np.inf, wall))
    opened = narrow.greatest(np.where(np.isfinite(low), low, -np.inf))
    fissure = ~closed | (seen > opened + STANDS_OUT_MM)
    wall = np.where(aperture, np.nan, np.where(fissure, opened, seen))
    rim = _rim(ball, aperture, wall, forward) + middle_mm
    front = _fan(rim - middle_mm, ball.ways, forward)
    lost = aperture & ~np.isfinite(front)
    known = np.flatnonzero(np.isfinite(front))
    if lost.any():
        front[lost] = front[known[cKDTree(ball.ways[known]).query(ball.ways[lost])[1]]]
    return Orbit(middle_mm, np.asarray(wall), seen, front, rim)


def around(volume: Volume, point_mm: Floats) -> Volume:
    """Return the part of an image around a point, LPS mm.

    Raises:
        NoOrbit: if the point lies outside.
    """
    index = volume.geometry.to_index(np.asarray(point_mm, float)[None])[0]
    reach = AROUND_MM / np.asarray(volume.geometry.spacing_mm)
    low = np.maximum(np.floor(index - reach).astype(int), 0)
    high = np.minimum(np.ceil(index + reach).astype(int) + 1, volume.geometry.size)
    if (index < 0).any() or (index > np.asarray(volume.geometry.size) - 1).any():
        raise NoOrbit("the point lies outside the image; click behind the eye (inside_mm)")
    part = volume.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    return Volume(part, volume.geometry.cropped(low.tolist(), part.shape[::-1]), volume.quantity)


def _outside(volume: Volume) -> LabelMap:
    """Return the air around the head, without that of nose and sinuses."""
    grid = volume.geometry.resampled((GRID_MM,) * 3)
    soft = Volume(np.asarray(volume.array, np.float32), volume.geometry)
    air = np.pad(resample_volume(soft, grid).array < AIR_HU, 1, mode="edge")
    wide = ndimage.distance_transform_edt(air) * GRID_MM > NOSTRIL_MM
    pieces = ndimage.label(wide)[0]
    ends = [np.moveaxis(pieces, axis, 0)[end] for axis in range(3) for end in (0, -1)]
    met = np.unique(np.concatenate([end.ravel() for end in ends]))
    core = np.isin(pieces, met[met > 0])
    near = ndimage.distance_transform_edt(~core) * GRID_MM <= NOSTRIL_MM + GRID_MM
    return LabelMap((near & air)[1:-1, 1:-1, 1:-1].view(np.uint8), grid)


def _rays(
    volume: Volume, outside: LabelMap, middle: Floats, ways: Floats, bone_hu: float
) -> tuple[Floats, Mask]:
    """Return where rays end, inf if nowhere, and which of them leave the head there."""
    radii = np.arange(1.0, REACH_MM, STEP_MM)
    soft = np.asarray(volume.array, np.float32)
    ends, out = np.full(len(ways), np.inf), np.zeros(len(ways), np.bool_)
    for start in range(0, len(ways), 6000):
        part = slice(start, start + 6000)
        points = middle + ways[part, None] * radii[None, :, None]
        index = volume.geometry.to_index(points)[..., ::-1]
        hu = ndimage.map_coordinates(
            soft, np.moveaxis(index, -1, 0), np.float32, order=1, cval=-1024
        )
        stop = (hu >= bone_hu) | (hu < AIR_HU)
        found = stop.any(axis=1)
        first = np.where(found, stop.argmax(axis=1), len(radii) - 1)
        row = np.arange(len(hu))
        here, before = hu[row, first], hu[row, np.maximum(first - 1, 0)]
        level = np.where(here < AIR_HU, AIR_HU, bone_hu)
        back = np.clip((here - level) / np.where(here == before, 1, here - before), 0, 1)
        ends[part] = np.where(found, radii[first] - STEP_MM * back, np.inf)
        air = np.zeros(len(hu), np.bool_)
        for beyond in BEYOND_MM:
            place = middle + ways[part] * (radii[first] + beyond)[:, None]
            at = outside.geometry.to_index(place)[:, ::-1].T
            air |= ndimage.map_coordinates(outside.array, at, order=0, mode="nearest") > 0
        out[part] = (air & (here < AIR_HU)) | ~found
    return ends, out


def _over_rim(ball: Ball, seen: Floats, ahead: Floats) -> Mask:
    """Return the directions in front that look over the rim at what lies behind it.

    Such as the side of the nose: no wall leads to it from the back that rays do not just graze.
    """
    even = np.where(np.isfinite(seen), seen, 1e6)
    ends = even[ball.edges]
    turn = np.linalg.norm(np.diff(ball.ways[ball.edges], axis=1)[:, 0], axis=1)
    step = np.abs(np.diff(ends, axis=1)[:, 0]) < RIM_SLOPE * turn * ends.mean(axis=1)
    back = (ahead < RIM_AHEAD)[ball.edges].all(axis=1)
    parts = connected(len(seen), ball.edges[step | back])
    main = int(np.bincount(parts[ahead < RIM_AHEAD]).argmax())
    return np.asarray((parts != main) & (ahead > RIM_AHEAD))


def _in_one(ball: Ball, mask: Mask, forward: Floats) -> Mask:
    """Return the directions of an aperture evened and in one piece, the one in front."""
    share = ball.near(2.5).mean(mask.astype(float))
    even = share > 0.5
    parts = connected(len(mask), ball.edges[even[ball.edges].all(axis=1)])
    front = np.flatnonzero(even & (ball.ways @ forward > 0.5))
    if not len(front):
        return np.zeros_like(mask)
    sizes = np.bincount(parts[front])
    piece = even & (parts == int(sizes.argmax()))
    rest = connected(len(mask), ball.edges[~piece[ball.edges].any(axis=1)])
    main = int(np.bincount(rest[~piece]).argmax())
    return np.asarray(piece | (rest != main))


def connected(count: int, edges: Integers) -> Integers:
    """Return which piece each of ``count`` nodes belongs to."""
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _rim(ball: Ball, aperture: Mask, wall: Floats, forward: Floats) -> Floats:
    """Return points along the bony rim off the middle, in their order around the way forward."""
    border = ball.edges[aperture[ball.edges[:, 0]] & ~aperture[ball.edges[:, 1]]][:, 1]
    border = np.unique(border[np.isfinite(wall[border])])
    points = ball.ways[border] * wall[border, None]
    across = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    across /= np.linalg.norm(across)
    up = np.cross(across, forward)
    off = points - points.mean(axis=0)
    turn = np.mod(np.arctan2(off @ up, off @ across), 2 * np.pi)
    bins = np.minimum((turn / (2 * np.pi) * RIM_POINTS).astype(int), RIM_POINTS - 1)
    rim = np.full((RIM_POINTS, 3), np.nan)
    for n in np.unique(bins):
        rim[n] = np.median(points[bins == n], axis=0)
    there = np.flatnonzero(~np.isnan(rim[:, 0]))
    if len(there) < RIM_POINTS // 2:
        raise NoOrbit("the rim of the orbit is not seen all around; is the front of the head cut?")
    for axis in range(3):
        rim[:, axis] = np.interp(np.arange(RIM_POINTS), there, rim[there, axis], period=RIM_POINTS)
    calm = ndimage.median_filter(rim, (5, 1), mode="wrap")
    return np.asarray(ndimage.gaussian_filter1d(calm, 1.0, axis=0, mode="wrap"))


def _fan(rim: Floats, ways: Floats, forward: Floats) -> Floats:
    """Return where rays meet the triangles between a rim and its centre of gravity, inf if not.

    By Cramer's rule on the three corners (Moeller and Trumbore 1997).
    """
    middle = rim.mean(axis=0)
    found = np.full(len(ways), np.inf)
    front = np.flatnonzero(ways @ forward > -0.5)
    for n in range(len(rim)):
        corners = np.stack([middle, rim[n], rim[(n + 1) % len(rim)]], axis=1)
        if abs(np.linalg.det(corners)) < 1e-9:
            continue
        shares = np.linalg.solve(corners, ways[front].T)
        total = shares.sum(axis=0)
        hit = (shares >= -1e-9).all(axis=0) & (total > 1e-9)
        found[front[hit]] = np.minimum(found[front[hit]], 1 / total[hit])
    return found


def cavity_ml(ball: Ball, reach_mm: Floats) -> float:
    """Return the volume of what lies within a distance in each direction."""
    corners = (ball.ways * reach_mm[:, None])[ball.triangles]
    return float(np.linalg.det(corners).sum() / 6000.0)
