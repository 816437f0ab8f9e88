"""Velocity and pressure anywhere in a lumen, between the centres of its cells. LPS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemodynamics.flow_result import FlowResult

Floats = npt.NDArray[np.float64]

_CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])


@dataclass(frozen=True, eq=False)
class Places:
    """Points between cells: the eight cells around each and their shares.

    Attributes:
        cells: (m, 8) numbers of cells; any where the share is zero.
        shares: (m, 8) trilinear weights; zero where no cell of the lumen lies.
    """

    cells: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]

    @property
    def inside(self) -> npt.NDArray[np.float32]:
        """How much of each point lies among cells of the lumen (m,), 0 to 1."""
        return np.asarray(self.shares.sum(axis=1))

    def of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return values (cells, ...) at the points (m, ...), falling to zero beyond the cells.

        It suits velocity, which is zero at the wall.
        """
        return np.asarray(np.einsum("mc,mc...->m...", self.shares, values[self.cells]))

    def nearby(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return values (cells,) at the points (m,), carried on to the wall; nan far away.

        It suits pressure.
        """
        inside = self.inside
        found = np.full(len(inside), np.nan, np.float32)
        return np.divide(self.of(values), inside, out=found, where=inside > 1e-6)


class Field:
    """Where the cells of a flow lie, so that values between them are found quickly.

    Attributes:
        spacing_mm: edge of a cell.
        table: number of the cell at each place of the grid, -1 for none; the outermost places
            are empty.
    """

    def __init__(self, flow: FlowResult) -> None:
        if not len(flow.cells_mm):
            raise ValueError(f"the flow {flow.name!r} was not computed; there is nothing to show")
        self.spacing_mm = flow.spacing_mm
        self._low = flow.cells_mm.min(axis=0) - flow.spacing_mm
        place = np.rint((flow.cells_mm - self._low) / flow.spacing_mm).astype(np.int64)
        self._shape = place.max(axis=0) + 2
        self.table = np.full(tuple(int(n) for n in self._shape), -1, np.int32)
        self.table[tuple(place.T)] = np.arange(len(place))
        self._steps = self._flat(_CORNERS)

    @property
    def box_mm(self) -> Floats:
        """The lowest and the highest corner of all cells (2, 3)."""
        return np.stack([self._low, self._low + self.spacing_mm * (self._shape - 1)])

    def _flat(self, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        _, ny, nz = self._shape
        return np.asarray((place[..., 0] * ny + place[..., 1]) * nz + place[..., 2])

    def at(self, points_mm: Floats) -> Places:
        """Return how values are found at points (m, 3); beside the lumen all shares are zero."""
        where = (points_mm - self._low) / self.spacing_mm
        base = np.floor(where).astype(np.int64)
        known = ((base >= 0) & (base <= self._shape - 2)).all(axis=1)
        base = np.where(known[:, None], base, 0)
        part = (where - base).astype(np.float32)
        cells = self.table.ravel()[self._flat(base)[:, None] + self._steps].astype(np.int64)
        shares = np.ones(cells.shape, np.float32)
        for axis in range(3):
            far = part[:, axis, None]
            shares *= np.where(_CORNERS[:, axis], far, 1 - far)
        shares[(cells < 0) | ~known[:, None]] = 0
        return Places(np.maximum(cells, 0), shares)
