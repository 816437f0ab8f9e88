"""A flow taken over from coarser cells, so that a run on finer ones has little left to settle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from hemodynamics.domain import Domain
from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import WALL

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

NEAREST_CUT = 0.5
"""Of a link: a wall that is closer to a cell counts as this far when the flow is carried beyond."""


@dataclass(frozen=True)
class Snapshot:
    """What a run takes over from another.

    Attributes:
        domain: the cells of the other.
        state: (10, cells) pressure less the gauge (Pa), velocity (m/s), viscous stress xx yy zz
            xy xz yz (Pa).
        outflows_ml_s: name of an outlet to the flow through it.
        stored_pa: name of an outlet to the pressure of its Windkessel's compliance.
    """

    domain: Domain
    state: Singles
    outflows_ml_s: Mapping[str, float]
    stored_pa: Mapping[str, float]

    def at(self, places_mm: Floats) -> Singles:
        """Return the state (10, places) at LPS mm places in or beside the other's cells."""
        domain, spacing = self.domain, self.domain.spacing_mm
        low = domain.cells_mm.min(axis=0) - 2.0 * spacing
        index = np.rint((domain.cells_mm - low) / spacing).astype(int)
        shape = tuple(int(n) + 3 for n in index.max(axis=0))
        known, beyond = self._with_ghosts(index, shape)
        where = ((places_mm - low) / spacing).T
        weight = map_coordinates(beyond, where, order=1)
        lost = weight < 1e-3
        found = np.stack([map_coordinates(part, where, order=1) for part in known])
        found /= np.where(lost, 1.0, weight)
        if lost.any():
            nearest = cKDTree(domain.cells_mm).query(places_mm[lost])[1]
            found[:, lost] = self.state[:, nearest]
            found[1:4, lost] = 0.0
        return found.astype(np.float32)

    def _with_ghosts(
        self, index: npt.NDArray[np.int64], shape: tuple[int, ...]
    ) -> tuple[Singles, Singles]:
        """Return the state on a dense grid, 0 where unknown, and 1 where it is known.

        Beyond the wall the velocity goes on straight through zero where the wall is; beyond
        openings all goes on unchanged.
        """
        links = self.domain.links
        fraction = np.maximum(links.fraction, NEAREST_CUT)
        turned = np.where(links.part == WALL, 1.0 - 1.0 / fraction, 1.0)
        ghost = np.ravel_multi_index(
            tuple((index[links.cell] + VELOCITIES[links.direction]).T), shape
        )
        size = int(np.prod(shape))
        count = np.bincount(ghost, minlength=size)
        at = np.ravel_multi_index(tuple(index.T), shape)
        known = np.zeros((10, size), np.float32)
        for n, values in enumerate(self.state):
            factor = turned if 1 <= n <= 3 else 1.0
            total = np.bincount(ghost, values[links.cell] * factor, minlength=size)
            known[n] = total / np.maximum(count, 1)
            known[n, at] = values
        there = (count > 0).astype(np.float32)
        there[at] = 1.0
        return known.reshape(10, *shape), there.reshape(shape)
