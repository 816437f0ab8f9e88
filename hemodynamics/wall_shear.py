"""Shear stress at points of a wall from the viscous stress of the cells near it.

Each near cell gives the tangential traction on the wall that is nearest to it; a least-squares
fit over the cells around a point of the wall, in distance from the wall and along it, gives the
traction there. The fit is linear in the stress and is worked out once, as a sparse matrix.

Where flow pulsates, shear comes out late. At a wall that does not slip, nu d3u/dn3 is the rate
of change of du/dn (the momentum equation, differentiated), so every error of second order in
the cells that is odd across the wall is a delay, in proportion to the square of a cell by nu.
`undelayed` takes it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.sparse import csr_array, vstack
from scipy.spatial import KDTree

from hemodynamics.domain import Domain, Opening

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

REACH = 3.5
"""How far the cells lie, in cells, that count for a point of the wall."""

MOST = 96
"""Cells that count for one point, at the most."""

LEAST = 8
"""Cells that a fit needs."""

BATCH = 8192
"""Points of the wall that are fitted at once, so that memory stays small."""

STIRRED = 3.0
"""Cells from a flat end within which stress is not that of the vessel: they do not count."""

CALM = 5.0
"""Points of the wall nearer to a flat end take the shear found so many cells inside."""

WIDE = 0.75
"""Diameters from the middle of a flat end that belong to it; ends are not quite round."""

DELAY = 0.35
"""How late shear comes out, in spacing^2 / nu. Measured in askew tubes whose pulse has Womersley
numbers of 3.9 to 8.7 in its first five harmonics: 0.29 to 0.38 with 8 and 10 cells to the radius
and relaxation times of 0.506 to 0.527; less with 5 cells."""


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


def wall_shear(domain: Domain, points_mm: Floats, normals: Floats) -> WallShear:
    """Return the fit for points of the wall of a domain (LPS mm) with outward normals.

    Close to a flat end, where what enters or leaves disturbs the stress, a point takes the shear
    that is found a few cells farther inside.
    """
    h = domain.spacing_mm
    far, at = KDTree(points_mm).query(domain.cells_mm, distance_upper_bound=(REACH + 2.0) * h)
    beside_wall = np.isfinite(far)
    calm = beside_wall & (_depth_mm(domain.cells_mm, domain.openings, h) >= STIRRED * h)
    near = np.flatnonzero(calm if calm.any() else beside_wall)
    cells_mm, outward = domain.cells_mm[near], normals[at[near]]
    depth = np.einsum("nx,nx->n", points_mm[at[near]] - cells_mm, outward) / h
    places_mm = _inside(points_mm, domain.openings, CALM * h, h)
    tree = KDTree(cells_mm)
    rows = []
    for start in range(0, len(places_mm), BATCH):
        part = slice(start, start + BATCH)
        rows.append(_rows(tree, places_mm[part], normals[part], depth, h))
    return WallShear(near, outward, csr_array(vstack(rows, format="csr")), normals)


def _rows(tree: KDTree, places_mm: Floats, normals: Floats, depth: Floats, h: float) -> csr_array:
    """Return what the shear at some places is made of; ``depth`` is that of the cells, in cells."""
    count = len(places_mm)
    distance, number = tree.query(places_mm, k=min(MOST, tree.n))
    distance, number = distance.reshape(count, -1) / h, number.reshape(count, -1)
    weights = np.clip(1.0 - (distance / REACH) ** 2, 0.0, None) ** 2
    arms = (tree.data[number] - places_mm[:, None]) / h
    factors = _factors(arms, normals, depth[number], weights)
    # A point in a corner too narrow for cells takes the nearest one.
    few = np.count_nonzero(weights > 0, axis=1) < LEAST
    factors[few] = 0.0
    factors[few, 0] = 1.0
    ends = np.arange(count + 1) * number.shape[1]
    matrix = csr_array((factors.ravel(), number.ravel(), ends), shape=(count, tree.n))
    matrix.eliminate_zeros()
    return matrix


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


def _factors(arms: Floats, normals: Floats, depth: Floats, weights: Floats) -> Floats:
    """Return (points, k) shares of the neighbours' values in the fit's value at the wall.

    ``arms`` and ``depth`` are in cells.
    """
    first = np.cross(normals, np.eye(3)[np.argmin(np.abs(normals), axis=1)])
    first /= np.maximum(np.linalg.norm(first, axis=1), 1e-300)[:, None]
    second = np.cross(normals, first)
    along = arms @ np.stack([first, second], axis=2)
    basis = np.concatenate([np.ones_like(depth)[..., None], depth[..., None], along], axis=2)
    weighted = basis * weights[..., None]
    inverse = np.linalg.pinv(weighted.mT @ basis, rcond=1e-6, hermitian=True)
    return np.asarray((weighted @ inverse[:, :1].mT)[..., 0])
