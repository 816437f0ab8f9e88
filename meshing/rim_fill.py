"""Closing what is open: vessel ends flat, cracks across, every other hole bent smoothly.

Space is LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from meshing.holes import Patch, half_edges, neighbours, patch, rim_normals, rims
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PATCHED = -1
"""The tag of a triangle that fills a hole; 0 is one that was there, 1, 2, ... those of end caps."""

FLATNESS = 0.12  # mean distance of an end's rim from its plane, over its radius
ALONG = 0.8  # cosine of the angle between a vessel's wall and the axis of its end
FEWEST = 8  # points of an end's rim
CRACK = 0.3  # width of a crack over the size of its rims
FACING = 0.7  # cosine of the angle between a hole's normal and the way to one that it faces
UNKNOWN = 0.15  # height of what may be missing over a hole's reach, found on damaged organs


@dataclass(frozen=True, eq=False)
class Shape:
    """Points, triangles and a tag for each triangle, see `PATCHED`."""

    points: Floats
    triangles: Integers
    tag: Integers

    def only(self, kept: npt.NDArray[np.bool_]) -> Shape:
        """Return the shape with some of its triangles; points stay."""
        return replace(self, triangles=self.triangles[kept], tag=self.tag[kept])


@dataclass(frozen=True, eq=False)
class Hole:
    """One rim and what became of it.

    ``kind`` is "hole", "end", "crack" or "fold"; ``bulge_mm3`` the volume between the patch and a
    flat one, positive outward; ``reach_mm`` how far its middle lies from its rim; and
    ``bridge_mm3`` what may be missing between it and another that it faces.
    """

    kind: str
    middle_mm: tuple[float, float, float]
    size_mm: float
    area_mm2: float = 0.0
    bulge_mm3: float = 0.0
    reach_mm: float = 0.0
    bridge_mm3: float = 0.0

    @property
    def doubt_mm3(self) -> float:
        """The volume that hangs on how it is filled: at the least a part of what it spans.

        An end is where a vessel goes on, so its flat cap is no guess.
        """
        if self.kind == "end":
            return 0.0
        bulge = abs(self.bulge_mm3) if self.kind == "hole" else 0.0
        return max(bulge, UNKNOWN * self.area_mm2 * self.reach_mm, self.bridge_mm3)


@dataclass(frozen=True, eq=False)
class _Rim:
    points: Integers
    middle: Floats
    normal: Floats  # unit, Newell's: out of the surface for a hole in a ball
    radius: float
    kind: str


def _rim(shape: Shape, rim: Integers) -> _Rim:
    around = shape.points[rim]
    middle = around.mean(axis=0)
    arms = around - middle
    area = np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0) / 2
    size = float(np.linalg.norm(area))
    radius = float(np.linalg.norm(arms, axis=1).mean())
    normal = area / size if size > 1e-12 * radius**2 else np.zeros(3)
    return _Rim(rim, middle, normal, radius, "hole")


def _is_end(shape: Shape, rim: _Rim, apexes: dict[tuple[int, int], int]) -> bool:
    """Tell whether a rim is the open end of a tube: flat, and the wall runs along its axis."""
    if len(rim.points) < FEWEST:
        return False
    around = shape.points[rim.points]
    off = float(np.abs((around - rim.middle) @ rim.normal).mean())
    if off > FLATNESS * rim.radius:
        return False
    after = np.roll(rim.points, -1)
    inner = shape.points[[apexes[b, a] for a, b in zip(rim.points.tolist(), after.tolist())]]
    edge = shape.points[after] - around
    length = np.linalg.norm(edge, axis=1, keepdims=True)
    along = edge / np.maximum(length, 1e-30)
    wall = inner - around
    wall -= (wall * along).sum(axis=1, keepdims=True) * along
    wall /= np.maximum(np.linalg.norm(wall, axis=1, keepdims=True), 1e-30)
    weight = length.ravel() / length.sum()
    return float(weight @ (wall @ rim.normal)) < -ALONG


def find_rims(shape: Shape) -> list[_Rim]:
    """Return the rims of all holes, each with its kind."""
    found = [_rim(shape, rim) for rim in rims(shape.triangles, len(shape.points))]
    start, end = half_edges(shape.triangles)
    wanted = np.zeros(len(shape.points), bool)
    for rim in found:
        wanted[rim.points] = True
    near = np.flatnonzero(wanted[start] & wanted[end])
    apex = shape.triangles[near // 3, (near + 2) % 3]
    apexes = dict(zip(zip(start[near].tolist(), end[near].tolist()), apex.tolist()))
    return [replace(r, kind="end") if _is_end(shape, r, apexes) else r for r in found]


def _cracks(shape: Shape, found: list[_Rim]) -> list[_Rim]:
    """Return the rims with the two sides of each crack joined into one."""
    left = sorted(range(len(found)), key=lambda n: -found[n].radius)
    joined: list[_Rim] = []
    big = [n for n in left if len(found[n].points) >= FEWEST]
    trees = {n: cKDTree(shape.points[found[n].points]) for n in big[:200]}
    gone: set[int] = set()
    for n, m in combinations(trees, 2):
        if n in gone or m in gone:
            continue
        one, two = found[n], found[m]
        apart = float(np.linalg.norm(one.middle - two.middle))
        if one.normal @ two.normal > -0.5 or apart > 2 * max(one.radius, two.radius):
            continue
        far = max(
            float(trees[n].query(shape.points[two.points])[0].mean()),
            float(trees[m].query(shape.points[one.points])[0].mean()),
        )
        if far <= 2 * CRACK * min(one.radius, two.radius):
            joined.append(_bridged(shape, one, two))
            gone |= {n, m}
    return joined + [found[n] for n in range(len(found)) if n not in gone]


def _bridged(shape: Shape, one: _Rim, two: _Rim) -> _Rim:
    """Return both rims as one, there and back over their shortest distance."""
    distance, place = cKDTree(shape.points[two.points]).query(shape.points[one.points])
    start = int(np.argmin(distance))
    a, b = np.roll(one.points, -start), np.roll(two.points, -int(place[start]))
    points = np.concatenate([a, a[:1], b, b[:1]])
    middle = shape.points[points].mean(axis=0)
    return _Rim(points, middle, one.normal, max(one.radius, two.radius), "crack")


def _bridges(found: list[_Rim]) -> list[float]:
    """Return for each hole the volume in mm3 between it and another that it faces, 0 for none.

    Where a branch was cut out whole, two stumps face each other over the gap.
    """
    volumes = [0.0] * len(found)
    big = [n for n, r in enumerate(found) if r.kind == "hole" and len(r.points) >= FEWEST]
    for n, m in combinations(big[:200], 2):
        one, two = found[n], found[m]
        gap = two.middle - one.middle
        apart = float(np.linalg.norm(gap))
        radius = max(one.radius, two.radius)
        facing = min(gap @ one.normal, -(gap @ two.normal)) > FACING * apart
        if facing and apart <= 6 * radius:
            between = np.pi * one.radius * two.radius * apart
            volumes[n], volumes[m] = max(volumes[n], between), max(volumes[m], between)
    return volumes


def close(shape: Shape, *, ends: str, progress: Progress = silent) -> tuple[Shape, list[Hole]]:
    """Return the shape with its holes closed, and what they were.

    ``ends`` says what becomes of vessel ends: "cap" flat, "fill" like other holes, or "keep".
    """
    found = _cracks(shape, find_rims(shape))
    if ends == "fill":
        found = [replace(r, kind="hole") if r.kind == "end" else r for r in found]
    edges = neighbours(shape.triangles, len(shape.points))
    points, cells, tags = [shape.points], [shape.triangles], [shape.tag]
    count, caps, told = len(shape.points), int(shape.tag.max(initial=0)), []
    bridges = _bridges(found)
    for number, rim in enumerate(found):
        progress(number / len(found), f"closing hole {number + 1} of {len(found)}")
        if rim.kind == "end" and ends == "keep":
            told.append(Hole("end", _place(rim), 2 * rim.radius))
            continue
        done = _filled(shape, rim, edges)
        names = np.concatenate([rim.points, count + np.arange(len(done.points_mm))])
        caps += rim.kind == "end"
        tag = caps if rim.kind == "end" else PATCHED
        count += len(done.points_mm)
        points.append(done.points_mm)
        cells.append(names[done.triangles])
        tags.append(np.full(len(done.triangles), tag))
        one = _told(np.concatenate([shape.points[rim.points], done.points_mm]), done, rim)
        told.append(replace(one, bridge_mm3=bridges[number]))
    closed = Shape(np.concatenate(points), np.concatenate(cells), np.concatenate(tags))
    return closed, told


def _filled(shape: Shape, rim: _Rim, edges: csr_matrix) -> Patch:
    flat = rim.kind == "end"
    if flat or rim.kind == "crack":
        normals = np.zeros((len(rim.points), 3))
    else:
        normals = rim_normals(shape.points, shape.triangles, rim.points)
    done = patch(shape.points, rim.points, normals, edges, bend=not flat)
    if not flat and _strays(done.points_mm, shape.points[rim.points]):
        done = patch(shape.points, rim.points, normals, edges, bend=False)
    return done


def _strays(made: Floats, around: Floats) -> bool:
    """Tell whether bent points left the neighbourhood of their hole."""
    middle = around.mean(axis=0)
    reach = float(np.linalg.norm(around - middle, axis=1).max())
    return bool(len(made)) and float(np.linalg.norm(made - middle, axis=1).max()) > 1.5 * reach


def _place(rim: _Rim) -> tuple[float, float, float]:
    x, y, z = np.round(rim.middle, 2).tolist()
    return x, y, z


def _told(points: Floats, done: Patch, rim: _Rim) -> Hole:
    a, b, c = (points[done.triangles[:, n]] - rim.middle for n in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    # Against a fan from the middle of the rim, which encloses nothing with that middle.
    bulge = float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6
    around = points[: len(rim.points)]
    length = float(np.linalg.norm(around - np.roll(around, 1, axis=0), axis=1).sum())
    return Hole(rim.kind, _place(rim), 2 * rim.radius, area, bulge, 2 * area / max(length, 1e-30))
