"""The 3D kernel: a sparse lattice Boltzmann solver. Only `hemodynamics.flow` imports it.

Cells stand in blocks of `LANES`, inside which the lanes of one direction are neighbours in
memory, so that a block is collided with vector instructions. What a cell receives is looked up
in a table of addresses; at a wall or an opening that address is one of a list of incoming
values, which a pass over the links fills before each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hemodynamics.lattice import (
    BLOCK,
    LANES,
    OPPOSITE,
    WEIGHTS,
    fields,
    gaussian,
    outlets,
    step_cells,
    walls,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

WALL = 0
"""The part of a link that crosses the vessel wall; openings are counted from 1."""


@dataclass(frozen=True)
class Links:
    """Where a step from a cell leaves the fluid.

    Attributes:
        cell: (n,) number of the cell.
        direction: (n,) number of the velocity that leaves.
        fraction: (n,) how far along the step the wall or opening lies, above 0 to 1.
        part: (n,) `WALL`, or the number of the opening.
    """

    cell: Ints
    direction: Ints
    fraction: Floats
    part: Ints


@dataclass(frozen=True)
class Layout:
    """Addresses of everything in one array of populations with the incoming values behind it.

    Attributes:
        cells: number of fluid cells.
        pull: (blocks * BLOCK,) address of what each population becomes.
        sources: (3, links) addresses that an incoming value is made of.
        factors: (3, links) their factors.
        push: (links,) what a unit of wall speed along the incoming velocity adds.
    """

    cells: int
    pull: npt.NDArray[np.int32]
    sources: npt.NDArray[np.int32]
    factors: Singles
    push: Singles

    @property
    def size(self) -> int:
        """The length of the populations, without the incoming values."""
        return len(self.pull)


def address(direction: Any, cell: Any) -> Any:
    """Return where the population of a direction of a cell stands."""
    return (cell // LANES) * BLOCK + direction * LANES + cell % LANES


def lay_out(neighbours: Ints, links: Links) -> Layout:
    """Return the addresses for cells whose neighbours (27, cells) are known, -1 where none.

    Walls are interpolated quadratically (Bouzidi 2001, doi:10.1063/1.1399290), linearly where a
    second cell behind is missing, and half-way where the first is missing too.

    Raises:
        ValueError: if there are more cells than addresses, or a missing neighbour has no link.
    """
    count = neighbours.shape[1]
    blocks = -(-count // LANES)
    size = blocks * BLOCK
    if size + len(links.cell) >= 2**31:
        raise ValueError(f"{count:,} cells are too many for one domain; choose a coarser spacing")
    cells = np.arange(blocks * LANES)
    pull = np.empty((27, blocks * LANES), np.int64)
    for q in range(27):
        behind = cells.copy()
        behind[:count] = neighbours[OPPOSITE[q]]
        pull[q] = np.where(behind >= 0, address(q, behind), -1)
    incoming = OPPOSITE[links.direction]
    pull[incoming, links.cell] = size + np.arange(len(links.cell))
    if (pull < 0).any():
        raise ValueError("a cell has neither a neighbour nor a wall in some direction")
    table = pull.reshape(27, blocks, LANES).transpose(1, 0, 2).reshape(-1).astype(np.int32)
    sources, factors, push = _interpolation(neighbours, links, incoming)
    return Layout(count, table, sources, factors, push)


def _interpolation(
    neighbours: Ints, links: Links, incoming: Ints
) -> tuple[npt.NDArray[np.int32], Singles, Singles]:
    """Return what the incoming value of each link is made of."""
    cell, out, q = links.cell, links.direction, links.fraction
    first = neighbours[incoming, cell]
    second = np.where(first >= 0, neighbours[incoming, np.maximum(first, 0)], -1)
    near = q < 0.5
    one, two = near & (first >= 0), near & (second >= 0)
    far = ~near & (first >= 0)
    here, back = address(out, cell), address(incoming, cell)
    sources = np.stack([here, here, here])
    factors = np.stack([np.ones_like(q), np.zeros_like(q), np.zeros_like(q)])
    push = np.ones_like(q)
    # Close to the wall: linear, then quadratic where a second cell lies behind.
    sources[1][one] = address(out, first)[one]
    sources[2][two] = address(out, second)[two]
    factors[:, one] = np.stack([2 * q, 1 - 2 * q, 0 * q])[:, one]
    factors[:, two] = np.stack([q * (1 + 2 * q), 1 - 4 * q**2, -q * (1 - 2 * q)])[:, two]
    # Away from the wall.
    sources[1][~near] = back[~near]
    sources[2][far] = address(incoming, first)[far]
    ratio = 2 * q - 1
    factors[:, ~near] = np.stack([1 / (2 * q), ratio / (2 * q), 0 * q])[:, ~near]
    push[~near] = (1 / (2 * q))[~near]
    width = q * (2 * q + 1)
    factors[:, far] = np.stack([1 / width, ratio / q, -ratio / (2 * q + 1)])[:, far]
    push[far] = (1 / width)[far]
    push *= 6.0 * WEIGHTS[incoming]
    return sources.astype(np.int32), factors.astype(np.float32), push.astype(np.float32)


@dataclass(frozen=True)
class Outlet:
    """Addresses of what enters through an outlet: the flow a few cells inside goes on outside.

    Attributes:
        links: numbers of the links.
        sources, factors: (8, links) addresses and factors of the populations inside.
        weights: (links,) of the incoming directions.
        cells: (27, k) addresses of all populations of the cells that are copied from.
    """

    links: Ints
    sources: npt.NDArray[np.int32]
    factors: Singles
    weights: Singles
    cells: Ints


def outlet(links: Links, chosen: Ints, inside: Ints, factors: Floats) -> Outlet:
    """Return the outlet of the chosen links, each copied from up to 8 cells ``inside``.

    ``inside`` and ``factors`` are (8, links); the factors of a link sum to one. The copied
    cells lie behind the link's far end, against the outlet's normal, so that flow that no
    longer changes along the vessel passes unchanged.
    """
    incoming = OPPOSITE[links.direction[chosen]]
    cells = np.unique(inside[factors > 0])
    return Outlet(
        chosen,
        address(incoming, inside).astype(np.int32),
        factors.astype(np.float32),
        WEIGHTS[incoming].astype(np.float32),
        address(np.arange(27)[:, None], cells),
    )


class Lattice:
    """The populations of a domain and the steps they take, all in lattice units.

    Attributes:
        omega: relaxation rate 1 / tau; the viscosity is (tau - 1/2) / 3.
        steps: how many steps were taken.
        leak: the mass that walls gained in the last step and that was spread over all cells.
    """

    def __init__(self, layout: Layout, links: Links, tau: float, threads: int = 0) -> None:
        self.layout, self.links = layout, links
        self.omega = np.float32(1.0 / tau)
        self.steps, self.leak = 0, 0.0
        self._now: Singles = np.zeros(layout.size + len(links.cell), np.float32)
        self._after = self._now.copy()
        self._added = np.zeros(len(links.cell), np.float32)
        self._is_wall = links.part == WALL
        self._threads = threads or numba.get_num_threads()

    def start(self, state: Singles) -> None:
        """Begin from a state (10, cells) such as `state` returns, instead of from rest."""
        density, keep = 1.0 + state[0], 1.0 - self.omega
        excess = -keep / (1.0 - self.omega / 2.0) * state[4:] / density
        excess[:3] += 1.0 / 3.0
        shares = gaussian(tuple(state[1:4]), tuple(excess))
        cells = np.arange(self.layout.cells)
        for q in range(27):
            self._now[address(q, cells)] = density * shares[q] - WEIGHTS[q]

    def push(self, links: Ints, speed: Floats) -> None:
        """Set the speed of the boundary along the incoming velocity, of the numbered links."""
        self._added[links] = self.layout.push[links] * speed

    def density(self, outlet: Outlet) -> float:
        """Return the mean density, less one, of the cells that an outlet copies from."""
        return float(self._now[outlet.cells].sum(dtype=np.float64) / outlet.cells.shape[1])

    def hold(self, outlet: Outlet, excess: float) -> None:
        """Fill what enters through an outlet whose density, less one, is ``excess``."""
        shift = np.float32(excess - self.density(outlet)) * outlet.weights
        outlets(self._now, self.layout.size, outlet.links, outlet.sources, outlet.factors, shift)

    def meet(self) -> None:
        """Fill what comes back from walls and enters through inlets, before `hold` and `step`."""
        layout = self.layout
        self.leak = walls(
            self._now, layout.size, layout.sources, layout.factors, self._added, self._is_wall
        )

    def step(self, force: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """Stream and collide once, under an acceleration."""
        push = tuple(np.float32(part) for part in force)
        spread = np.float32(-self.leak / self.layout.cells)
        step_cells(
            self._now, self._after, self.layout.pull, self.omega, push, spread, self._threads
        )
        self._now, self._after = self._after, self._now
        self.steps += 1

    def inflow(self, opening: Ints) -> float:
        """Return the mass that enters per step through the numbered links; `meet` comes first."""
        incoming = self._now[self.layout.size + opening]
        leaving = self._now[self.layout.sources[0, opening]]
        return float(np.sum(incoming - leaving, dtype=np.float64))

    def state(self) -> Singles:
        """Return (10, cells): density less one, velocity, viscous stress xx yy zz xy xz yz."""
        out = np.empty((10, self.layout.cells), np.float32)
        fields(self._now, self.layout.pull, self.omega, self.layout.cells, out)
        return out
