"""Shear stress at points of a wall from the viscous stress of the cells near it.

Each near cell gives the tangential traction on the wall that is nearest to it; a least-squares
fit over the cells around a point of the wall, in distance from the wall and along it, gives the
traction there. The fit is linear in the stress and is worked out once, as a sparse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.spatial import KDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REACH = {1: 2.5, 2: 3.5}
"""How far the cells lie, in cells, that count for a point of the wall, by order of the fit."""

MOST = 64
"""Cells that count for one point, at the most."""

LEAST = 8
"""Cells that a fit needs."""

CLEAR = 0.7
"""Cells nearer to the wall than this are left out where flow pulsates: their stress lags."""


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


def wall_shear(
    cells_mm: Floats, spacing_mm: float, points_mm: Floats, normals: Floats, pulsatile: bool
) -> WallShear:
    """Return the fit for points of a wall (LPS mm) with outward normals.

    In steady flow all cells count and the fit is linear in the distance from the wall; where
    flow pulsates it is quadratic, over the cells that are not closest to the wall.
    """
    order = 2 if pulsatile else 1
    reach = REACH[order]
    nearest = KDTree(points_mm)
    far, at = nearest.query(cells_mm, distance_upper_bound=(reach + 2.0) * spacing_mm)
    near = np.flatnonzero(np.isfinite(far))
    outward = normals[at[near]]
    depth = np.einsum("nx,nx->n", points_mm[at[near]] - cells_mm[near], outward) / spacing_mm
    if pulsatile:
        clear = depth > CLEAR
        near, outward, depth = near[clear], outward[clear], depth[clear]
    tree = KDTree(cells_mm[near])
    distance, number = tree.query(points_mm, k=min(MOST, len(near)))
    distance = np.atleast_2d(distance) / spacing_mm
    number = np.atleast_2d(number)
    weights = np.clip(1.0 - (distance / reach) ** 2, 0.0, None) ** 2
    factors = _factors(cells_mm[near][number] - points_mm[:, None], normals, spacing_mm,
                       depth[number], weights, order)  # fmt: skip
    # A point in a corner too narrow for cells takes the nearest one.
    few = np.count_nonzero(weights > 0, axis=1) < LEAST
    factors[few] = 0.0
    factors[few, 0] = 1.0
    rows = np.repeat(np.arange(len(points_mm)), number.shape[1])
    shape = (len(points_mm), len(near))
    matrix = csr_array(coo_array((factors.ravel(), (rows, number.ravel())), shape=shape))
    matrix.eliminate_zeros()
    return WallShear(near, outward, matrix, normals)


def _factors(
    arms_mm: Floats, normals: Floats, spacing_mm: float, depth: Floats, weights: Floats, order: int
) -> Floats:
    """Return (points, k) shares of the neighbours' values in the fit's value at the wall."""
    first = np.cross(normals, np.eye(3)[np.argmin(np.abs(normals), axis=1)])
    first /= np.maximum(np.linalg.norm(first, axis=1), 1e-300)[:, None]
    second = np.cross(normals, first)
    along = [np.einsum("pkx,px->pk", arms_mm, axis) / spacing_mm for axis in (first, second)]
    powers = [depth**n for n in range(order + 1)]
    basis = np.stack([*powers, *along], axis=2)
    weighted = basis * weights[..., None]
    normal = np.einsum("pkm,pkn->pmn", weighted, basis)
    inverse = np.linalg.pinv(normal, rcond=1e-6, hermitian=True)
    return np.asarray(np.einsum("pm,pkm->pk", inverse[:, 0], weighted))
