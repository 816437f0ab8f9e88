"""A cut along a closed curve drawn on a surface: both sides as parts, closed by one membrane.

The curve's straight pieces become edges of the surface, so both sides keep its shape exactly;
the membrane spans it like a soap film. Space is LPS mm.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from meshing.booleans import TOLERANCE, BooleanFailed, require_solid, with_share
from meshing.geodesics import Geodesics
from meshing.holes import Patch, half_edges, neighbours, patch, triangulated
from meshing.intersections import intersecting_pairs
from meshing.nearest import NearestOnSurface
from meshing.soup import compact
from meshing.surface import SurfaceMesh, area_mm2, enclosed_mm3, is_watertight, measured
from segmentation.contract import Finding, Progress, Severity, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Vector = tuple[float, float, float]

SNAP = 1e-4
"""A point of the curve within this share of an edge's length from its end is that end."""


DEPTHS = (0.0, 0.05, 0.1, 0.2, 0.35)
"""How deep the film is dented, in radii of the curve, until it no longer meets the surface."""


class CurveDoesNotCut(ValueError):
    """A curve crosses itself or leaves the surface in one piece."""


def cut_along_curve(
    mesh: SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...],
    keep: Literal["inside", "outside", "both, named"] = "inside",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface along a curve drawn on it and keep one closed part.

    The curve is the shortest way on the surface through the points and back to the first. Its
    smaller side is the inside. The cut runs through the solid like a soap film on the curve.

    Args:
        mesh: the surface, LPS mm.
        points_mm: three or more points of the curve in order, LPS mm; the nearest places on the
            surface count.
        keep: which closed part stays; both, named, keeps the whole surface with its parts named
            inside and outside.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if there are too few points, the curve crosses itself, or it does not
            separate the surface.
        BooleanFailed: if the parts do not add up.
    """
    require_solid(mesh)
    if len(points_mm) < 3:
        raise CurveDoesNotCut("a closed curve needs three or more points on the surface; pick them")
    progress(0.1, "finding the way on the surface")
    ways = Geodesics(mesh, points_mm)
    way = ways.way(points_mm, closed=True)
    progress(0.4, "drawing the curve into the surface")
    drawn = draw_into(ways.mesh, way)
    left = _left_of(drawn)
    marked = mesh.reshaped(drawn.points, drawn.triangles)
    sides = [_area(marked, left), _area(marked, ~left)]
    inside = left if sides[0] <= sides[1] else ~left
    if keep == "both, named":
        parts = {"inside": np.flatnonzero(inside), "outside": np.flatnonzero(~inside)}
        return measured(replace(marked, boundaries=parts))
    progress(0.6, "spanning the cut")
    part = _spanned(mesh, drawn, left, bool(inside[0] == left[0]) == (keep == "inside"), progress)
    return with_share(part, mesh)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A surface with a curve's pieces among its edges; ``rim`` are the curve's points in order."""

    points: Floats
    triangles: Integers
    rim: Integers


def draw_into(mesh: SurfaceMesh, way: Floats) -> Drawn:
    """Return the surface with a way on it, whose pieces lie in one triangle each, as edges."""
    places = _places(mesh, way)
    names: dict[tuple[int, int, float], int] = {}
    added: list[Floats] = []
    rim: list[int] = []
    on_edge: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for a, b, at in places:
        if at == 0.0:
            number = a
        else:
            number = names.setdefault((a, b, round(at, 9)), len(mesh.points_mm) + len(added))
            if number == len(mesh.points_mm) + len(added):
                added.append(mesh.points_mm[a] + at * (mesh.points_mm[b] - mesh.points_mm[a]))
                on_edge[a, b][number] = at
        if not rim or rim[-1] != number:
            rim.append(number)
    while len(rim) > 1 and rim[-1] == rim[0]:
        rim.pop()
    if len(set(rim)) < len(rim):
        raise CurveDoesNotCut("the curve touches or crosses itself; draw it as one loop")
    points = np.concatenate([mesh.points_mm, np.array(added).reshape(-1, 3)])
    return Drawn(points, _retriangulated(mesh, points, on_edge, rim), np.array(rim))


def _places(mesh: SurfaceMesh, way: Floats) -> list[tuple[int, int, float]]:
    """Return for each point of a way its edge (lower point first) and the share along it.

    A share of 0 is the first point itself.
    """
    found = NearestOnSurface(mesh)(way)
    cells = mesh.triangles[found.triangle]
    places = []
    for point, cell in zip(way, cells.tolist()):
        best: tuple[float, int, int, float] = (np.inf, 0, 0, 0.0)
        for n in range(3):
            a, b = sorted((cell[n], cell[(n + 1) % 3]))
            along = mesh.points_mm[b] - mesh.points_mm[a]
            length2 = max(float(along @ along), 1e-30)
            at = min(max(float((point - mesh.points_mm[a]) @ along) / length2, 0.0), 1.0)
            off = float(np.linalg.norm(mesh.points_mm[a] + at * along - point))
            best = min(best, (off, a, b, at))
        _, a, b, at = best
        if at < SNAP:
            places.append((a, a, 0.0))
        elif at > 1 - SNAP:
            places.append((b, b, 0.0))
        else:
            places.append((a, b, at))
    return places


def _retriangulated(
    mesh: SurfaceMesh,
    points: Floats,
    on_edge: dict[tuple[int, int], dict[int, float]],
    rim: list[int],
) -> Integers:
    """Return the triangles, those that the curve meets divided along it."""
    start, end = half_edges(mesh.triangles)
    count = len(points)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    hit = np.isin(key, [a * count + b for a, b in on_edge]).reshape(-1, 3).any(axis=1)
    chords = defaultdict(list)
    for pair in zip(rim, rim[1:] + rim[:1]):
        chords[min(pair)].append(pair)
    made: list[Integers] = []
    joined: set[frozenset[int]] = set()
    for cell in mesh.triangles[hit].tolist():
        ring: list[int] = []
        for a, b in zip(cell, cell[1:] + cell[:1]):
            inner = on_edge.get((min(a, b), max(a, b)), {})
            ring += [a, *sorted(inner, key=lambda n: inner[n] if a < b else -inner[n])]
        wanted = [p for n in ring for p in chords.get(n, ()) if p[0] in ring and p[1] in ring]
        for polygon in _divided(ring, wanted, joined):
            names = np.array(polygon)
            free = np.zeros((len(names), len(names)), bool)
            made.append(names[triangulated(points[names], np.zeros((len(names), 3)), free)])
    kept = mesh.triangles[~hit]
    all_cells = np.concatenate([kept, *made])
    _require_edges(all_cells, rim, count)
    return all_cells


def _divided(
    ring: list[int], chords: list[tuple[int, int]], joined: set[frozenset[int]]
) -> list[list[int]]:
    """Return the polygons into which chords between its points divide a ring."""
    polygons = [ring]
    for a, b in chords:
        if frozenset((a, b)) in joined:
            continue
        for polygon in polygons:
            if a not in polygon or b not in polygon:
                continue
            i, j = sorted((polygon.index(a), polygon.index(b)))
            joined.add(frozenset((a, b)))
            if j - i > 1 and (i, j) != (0, len(polygon) - 1):
                polygons.remove(polygon)
                polygons += [polygon[i : j + 1], polygon[j:] + polygon[: i + 1]]
            break
    return polygons


def _require_edges(triangles: Integers, rim: list[int], count: int) -> None:
    """Raise unless every piece of the curve is an edge."""
    start, end = half_edges(triangles)
    one = np.array(rim)
    pieces = one * count + np.roll(one, -1)
    if not np.isin(pieces, start * count + end).all():
        raise CurveDoesNotCut(
            "the curve crosses itself, or runs over an edge where the surface folds; draw it with "
            "more points"
        )


def _left_of(drawn: Drawn) -> Bools:
    """Return which triangles lie to the left of the curve, seen from outside.

    Raises:
        CurveDoesNotCut: if one can walk from its left to its right.
    """
    start, end = half_edges(drawn.triangles)
    count = len(drawn.points)
    low, high = np.minimum(start, end), np.maximum(start, end)
    key = low * count + high
    after = np.roll(drawn.rim, -1)
    wall = np.minimum(drawn.rim, after) * count + np.maximum(drawn.rim, after)
    order = np.argsort(key, kind="stable").reshape(-1, 2)  # closed: two of each
    order = order[~np.isin(key[order[:, 0]], wall)]
    cells = len(drawn.triangles)
    links = coo_matrix((np.ones(len(order), bool), (order // 3).T), (cells, cells))
    part = connected_components(links, directed=False)[1]
    forward = np.isin(start * count + end, drawn.rim * count + after)
    backward = np.isin(end * count + start, drawn.rim * count + after)
    lefts = np.unique(part[np.flatnonzero(forward) // 3])
    rights = np.unique(part[np.flatnonzero(backward) // 3])
    if np.isin(lefts, rights).any():
        raise CurveDoesNotCut(
            "the curve does not separate the surface, as around a handle; draw a loop with two "
            "sides"
        )
    left = np.isin(part, lefts)
    # Pieces of the surface that the curve does not touch stay with the larger side.
    apart = ~left & ~np.isin(part, rights)
    if left.sum() > (~left & ~apart).sum():
        left |= apart
    return left


def _area(mesh: SurfaceMesh, cells: Bools) -> float:
    return area_mm2(mesh.reshaped(mesh.points_mm, mesh.triangles[cells]))


def _spanned(
    mesh: SurfaceMesh, drawn: Drawn, left: Bools, left_wanted: bool, progress: Progress
) -> SurfaceMesh:
    """Return one of both parts, closed by the flattest film that stays inside the solid.

    Raises:
        CurveDoesNotCut: if nothing is cut off.
        BooleanFailed: if the parts are not closed or do not add up.
    """
    rim = drawn.rim[::-1]  # against the left part's free edges
    edges = neighbours(drawn.triangles, len(drawn.points))
    film = patch(drawn.points, rim, np.zeros((len(rim), 3)), edges, bend=False)
    names = np.concatenate([rim, len(drawn.points) + np.arange(len(film.points_mm))])
    cells = names[film.triangles]
    around = drawn.points[rim]
    middle = around.mean(axis=0)
    radius = float(np.linalg.norm(around - middle, axis=1).mean())
    dent = _dent(around, film)
    smaller_left = bool(left.sum() <= (~left).sum())
    inward = dent if smaller_left else -dent
    points, folded = drawn.points, True
    for number, depth in enumerate(DEPTHS):
        progress(0.6 + 0.3 * number / len(DEPTHS), "spanning the cut")
        points = np.concatenate([drawn.points, film.points_mm + depth * radius * inward])
        folded = _crosses(points, drawn.triangles, cells)
        if not folded:
            break
    sides = [
        mesh.reshaped(*compact(points, np.concatenate([drawn.triangles[side], cut])))
        for side, cut in ((left, cells), (~left, cells[:, ::-1]))
    ]
    volumes, whole = [enclosed_mm3(side) for side in sides], enclosed_mm3(mesh)
    if not all(map(is_watertight, sides)) or abs(sum(volumes) - whole) > TOLERANCE * whole:
        raise BooleanFailed("the parts of the curve's two sides do not add up; repair the surface")
    if min(volumes) <= 0:
        raise CurveDoesNotCut("the curve cuts nothing off; draw it around what shall come off")
    findings = _told(depth * radius, middle, folded)
    return replace(sides[0 if left_wanted else 1], findings=findings, numbers=())


def _dent(around: Floats, film: Patch) -> Floats:
    """Return (k, 3) vectors that dent a film's points, at most 1 long, along its normal.

    The dent has the shape of a membrane under even pressure.
    """
    rim, free = len(around), len(film.points_mm)
    if not free:
        return np.zeros((0, 3))
    links = neighbours(film.triangles, rim + free).astype(float)
    laplacian = diags(np.asarray(links.sum(axis=1)).ravel()) - links
    height = np.atleast_1d(spsolve(laplacian.tocsr()[rim:, rim:].tocsc(), np.ones(free)))
    arms = around - around.mean(axis=0)
    normal = np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0)
    return np.asarray(height[:, None] / height.max() * normal / np.linalg.norm(normal))


def _crosses(points: Floats, skin: Integers, film: Integers) -> bool:
    """Tell whether a film meets itself or the skin anywhere but along its rim."""
    low, high = points[film].min(axis=(0, 1)), points[film].max(axis=(0, 1))
    corners = points[skin]
    near = ((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high)).all(axis=1)
    pairs = intersecting_pairs(points, np.concatenate([film, skin[near]]))
    return bool((pairs.min(axis=1, initial=len(film)) < len(film)).any())


def _told(depth_mm: float, middle: Floats, folded: bool) -> tuple[Finding, ...]:
    x, y, z = middle.tolist()
    if folded:
        text = "The cut leaves the solid where the curve bends around it."
        remedy = "Draw the curve with smaller bends, or repair the part."
        return (Finding(Severity.WARNING, "cut_leaves_solid", text, (x, y, z), remedy),)
    if depth_mm == 0.0:
        return ()
    text = f"The cut was dented by {depth_mm:.2g} mm, so that it stays inside the solid."
    return (Finding(Severity.INFO, "cut_dented", text, (x, y, z)),)
