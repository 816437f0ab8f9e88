"""Shear stress at points of a wall from the viscous stress of the cells near it.

Each near cell gives the tangential traction on the wall that is nearest to it; a least-squares
fit over the cells around a point of the wall gives the traction there. It is a parabola in the
distance from the wall, since layers of fast flow along a wall are as thin as few cells, and a
plane along it. The fit is linear in the stress and is worked out once, as a sparse matrix.

Where flow pulsates, shear comes out late. At a wall that does not slip, nu d3u/dn3 is the rate
of change of du/dn (the momentum equation, differentiated), so every error of second order in
the cells that is odd across the wall is a delay, in proportion to the square of a cell by nu.
`undelayed` takes it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.sparse import csr_array, vstack
from scipy.spatial import KDTree
from trimesh.triangles import points_to_barycentric

from hemodynamics.compiling import for_processor, inlined
from hemodynamics.domain import Domain, Opening
from meshing.mesh import SurfaceMesh
from meshing.nearest import NearestOnSurface

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

REACH = 3.5
"""How far the cells lie, in cells, that count for a point of the wall."""

MOST = 192
"""Cells that count for one point, at the most: all within that reach."""

LEAST = 8
"""Cells that a fit needs."""

TERMS = 5
"""Of a fit: its value at the wall, distance and its square, and two directions along the wall."""

RIDGE = 1e-4
"""By what share slopes are held back, so that a fit to few cells stays near their mean."""

TOUCHING, HARDLY = 0.4, 1e-3
"""Cells that lie nearer to the wall than so many cells count less, down to hardly at all: stress
comes out low there."""

BATCH = 8192
"""Points of the wall that are fitted at once, so that memory stays small."""

STIRRED = 3.0
"""Cells from a flat end within which stress is not that of the vessel: they do not count."""

CALM = 5.0
"""Points of the wall nearer to a flat end take the shear found so many cells inside."""

WIDE = 0.75
"""Diameters from the middle of a flat end that belong to it; ends are not quite round."""

DELAY = 0.2
"""How late shear comes out, in spacing^2 / nu. Measured in askew tubes with 5, 8 and 10 cells to
the radius whose pulse has Womersley numbers of 3.9 to 5.5 in its first harmonic: 0.15 to 0.2."""


@dataclass(frozen=True)
class WallShear:
    """The way from the stress of all cells to the shear on the wall.

    Attributes:
        cells: (near,) numbers of the cells whose stress is used.
        normals: (near, 3) the outward normal of the wall nearest to each.
        matrix: (points, near) what the shear at each point is made of.
        wall_normals: (points, 3).
    """

    cells: Ints
    normals: Floats
    matrix: csr_array
    wall_normals: Floats

    def __call__(self, stress: npt.NDArray[np.floating]) -> Floats:
        """Return the shear on the wall (points, 3), in the unit of the stress.

        ``stress`` is (6, cells): the viscous stress xx, yy, zz, xy, xz, yz. The shear points
        along the flow: it is what the fluid does to the wall.
        """
        xx, yy, zz, xy, xz, yz = stress[:, self.cells].astype(np.float64)
        x, y, z = self.normals.T
        force = -np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z,
                           xz * x + yz * y + zz * z], axis=1)  # fmt: skip
        across = np.einsum("nx,nx->n", force, self.normals)
        at_wall = self.matrix @ (force - across[:, None] * self.normals)
        across = np.einsum("nx,nx->n", at_wall, self.wall_normals)
        return np.asarray(at_wall - across[:, None] * self.wall_normals)


def wall_shear(domain: Domain, wall: SurfaceMesh, normals: Floats) -> WallShear:
    """Return the fit for the points of the wall of a domain (LPS mm) with outward normals.

    Close to a flat end, where what enters or leaves disturbs the stress, a point takes the shear
    that is found a few cells farther inside.
    """
    h, points_mm = domain.spacing_mm, wall.points_mm
    near, depth, outward = _beside(domain, wall, normals)
    cells_mm = domain.cells_mm[near]
    low = cells_mm.min(axis=0)
    ijk = np.rint((cells_mm - low) / h).astype(np.int64)
    index = np.full(ijk.max(axis=0) + 1, -1, np.int32)
    index[tuple(ijk.T)] = np.arange(len(near))
    places_mm = _inside(points_mm, domain.openings, CALM * h, h)
    rows = []
    for start in range(0, len(places_mm), BATCH):
        part = slice(start, start + BATCH)
        count = len(places_mm[part])
        number, factors = np.zeros((count, MOST), np.int32), np.zeros((count, MOST))
        found = np.zeros(count, np.int64)
        _fit(index, (places_mm[part] - low) / h, normals[part], depth, number, factors, found)
        # A point in a corner too narrow for cells takes the nearest one.
        few = np.flatnonzero(found < LEAST)
        number[few, 0] = KDTree(cells_mm).query(places_mm[part][few])[1] if len(few) else 0
        factors[few, 0], found[few] = 1.0, 1
        taken = np.arange(MOST) < found[:, None]
        ends = np.append(0, np.cumsum(found))
        shape = (count, len(near))
        rows.append(csr_array((factors[taken], number[taken], ends), shape=shape))
    return WallShear(near, outward, csr_array(vstack(rows, format="csr")), normals)


def _beside(domain: Domain, wall: SurfaceMesh, normals: Floats) -> tuple[Ints, Floats, Floats]:
    """Return the cells that count, how many cells deep they lie, and the normal of their wall."""
    h, corners = domain.spacing_mm, wall.points_mm[wall.triangles]
    longest = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max())
    reach = (REACH + 2.0) * h
    far, _ = KDTree(wall.points_mm).query(domain.cells_mm, distance_upper_bound=reach + longest)
    within = np.isfinite(far)
    calm = within & (_depth_mm(domain.cells_mm, domain.openings, h) >= STIRRED * h)
    near = np.flatnonzero(calm if calm.any() else within)
    foot = NearestOnSurface(wall)(domain.cells_mm[near])
    shares = points_to_barycentric(corners[foot.triangle], foot.point_mm)
    outward = np.einsum("nc,ncx->nx", shares, normals[wall.triangles[foot.triangle]])
    outward /= np.maximum(np.linalg.norm(outward, axis=1), 1e-300)[:, None]
    close = foot.distance_mm <= reach
    return near[close], foot.distance_mm[close] / h, outward[close]


@for_processor
def _fit(
    index: Any, places: Any, normals: Any, depth: Any, number: Any, factors: Any, found: Any
) -> Any:
    """Write for each place which cells count, how much in the fit's value there, and how many.

    ``index`` (i, j, k) numbers the cells, -1 for none; ``places`` and ``depth`` are in cells.
    """
    sizes = index.shape
    weights, terms = np.empty(MOST), np.empty((MOST, TERMS))
    for n in range(len(places)):
        place, normal = places[n], normals[n]
        first, second = _along(normal)
        count = 0
        lows = np.maximum(np.ceil(place - REACH).astype(np.int64), 0)
        highs = np.floor(place + REACH).astype(np.int64)
        for i in range(lows[0], min(highs[0] + 1, sizes[0])):
            for j in range(lows[1], min(highs[1] + 1, sizes[1])):
                for k in range(lows[2], min(highs[2] + 1, sizes[2])):
                    cell = index[i, j, k]
                    x, y, z = i - place[0], j - place[1], k - place[2]
                    away = (x * x + y * y + z * z) / (REACH * REACH)
                    if cell < 0 or away >= 1.0 or count == MOST:
                        continue
                    deep = depth[cell]
                    number[n, count] = cell
                    weights[count] = (1.0 - away) ** 2 * min(max(deep / TOUCHING, HARDLY), 1.0)
                    terms[count, 0], terms[count, 1], terms[count, 2] = 1.0, deep, deep * deep
                    terms[count, 3] = x * first[0] + y * first[1] + z * first[2]
                    terms[count, 4] = x * second[0] + y * second[1] + z * second[2]
                    count += 1
        found[n] = count
        if count >= LEAST:
            share = _solved(terms[:count], weights[:count])
            for c in range(count):
                factors[n, c] = weights[c] * (terms[c] * share).sum()


@inlined
def _along(normal: Any) -> Any:
    """Return two unit vectors across a normal."""
    least = 0
    for axis in range(3):
        if abs(normal[axis]) < abs(normal[least]):
            least = axis
    first = -normal[least] * normal
    first[least] += 1.0
    first /= np.sqrt((first * first).sum())
    return first, np.cross(normal, first)


@inlined
def _solved(terms: Any, weights: Any) -> Any:
    """Return what each term counts in the value of a weighted least-squares fit at the wall."""
    matrix = np.zeros((TERMS, TERMS))
    for c in range(len(weights)):
        for i in range(TERMS):
            for j in range(TERMS):
                matrix[i, j] += weights[c] * terms[c, i] * terms[c, j]
    for i in range(1, TERMS):
        matrix[i, i] += RIDGE * matrix[0, 0]
    wanted = np.zeros(TERMS)
    wanted[0] = 1.0
    return np.linalg.solve(matrix, wanted)


def undelayed(wss_pa: Singles, period_s: float, spacing_mm: float, nu_mm2_s: float) -> Singles:
    """Return shear (times, points, 3) over one period, at the times that it belongs to.

    The times are evenly spaced over the period; ``nu_mm2_s`` is the kinematic viscosity.
    """
    late_s = DELAY * spacing_mm**2 / nu_mm2_s
    spectrum = rfft(wss_pa, axis=0)
    turns = np.exp(2j * np.pi * late_s / period_s * np.arange(len(spectrum)))
    spectrum *= turns[:, None, None].astype(spectrum.dtype)
    return np.asarray(irfft(spectrum, n=len(wss_pa), axis=0), np.float32)


def _depth_mm(points_mm: Floats, openings: Iterable[Opening], slack_mm: float) -> Floats:
    """Return how far points lie from the nearest flat end, behind its cap; inf elsewhere."""
    depth = np.full(len(points_mm), np.inf)
    for opening in openings:
        behind, beside = _of(points_mm, opening, slack_mm)
        depth = np.where(beside, np.minimum(depth, behind), depth)
    return depth


def _inside(
    points_mm: Floats, openings: Iterable[Opening], least_mm: float, slack_mm: float
) -> Floats:
    """Return points moved inward along a flat end's axis until they lie so far from it."""
    moved = points_mm.copy()
    for opening in openings:
        behind, beside = _of(points_mm, opening, slack_mm)
        lacking = np.where(beside, np.clip(least_mm - behind, 0.0, None), 0.0)
        moved -= lacking[:, None] * opening.normal
    return moved


def _of(
    points_mm: Floats, opening: Opening, slack_mm: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return how far points lie behind an end's plane, and which lie behind the end itself.

    Other vessels may pass in front of an end, farther away than the slack.
    """
    arms = points_mm - opening.centre_mm
    behind = -(arms @ opening.normal)
    beside = np.linalg.norm(arms + behind[:, None] * opening.normal, axis=1)
    width = opening.diameter_mm
    return behind, (beside < WIDE * width) & (behind > -slack_mm) & (behind < width)
