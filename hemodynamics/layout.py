"""Where the populations of a lattice stand in memory, and where walls and outlets find theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics.cell_passes import BLOCK, LANES
from hemodynamics.compiling import EARLY, RUNS
from hemodynamics.lattice import OPPOSITE, VELOCITIES, WEIGHTS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Runs = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]

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
    """Addresses of everything in one array of populations with a place for each link behind it.

    Populations are named by the address where they stand when a step has left them in their own
    cell, each in the place of its reverse; `pull` tells where a step among neighbours leaves
    them.

    Attributes:
        cells: number of fluid cells.
        pull: (blocks * BLOCK,) address that an arriving population is fetched from; for the
            name of a population, the address where it arrives.
        walls: how many links cross walls; they come first.
        order: (links,) numbers of the links in the order of the next four.
        arriving: (links,) address that a population arrives at, among those of its cell.
        sources: (links, 3) names of the populations that an arriving one is made of.
        factors: (links, 2) factors of the last two, of which the first is taken away; its own
            is one.
        push: (links,) what a unit of wall speed along the incoming velocity adds.
        place: (links,) where each link stands in that order.
    """

    cells: int
    pull: npt.NDArray[np.uint32]
    walls: int
    order: Ints
    arriving: npt.NDArray[np.uint32]
    sources: npt.NDArray[np.uint32]
    factors: Singles
    push: Singles
    place: Ints

    @property
    def size(self) -> int:
        """The length of the populations, without the places for links."""
        return len(self.pull)


def table(pull: npt.NDArray[np.uint32]) -> Runs:
    """Return the `runs` of a table of addresses, or where these take longer, all addresses.

    Then the first address of each block and their number come first, and codes are missing.
    """
    if RUNS:
        return runs(pull)
    return np.arange(0, len(pull) + 1, BLOCK).astype(np.uint64), pull, pull[:0]


def runs(pull: npt.NDArray[np.uint32]) -> Runs:
    """Return a table of addresses by runs of lanes whose addresses are neighbours.

    It is the first run of each block and the number of all; the address of the first lane of each
    run; and a code of its direction and its lanes, see `hemodynamics.compiling.scatter`.
    """
    lanes = pull.reshape(-1, LANES)
    begins = np.ones(lanes.shape, bool)
    begins[:, 1:] = lanes[:, 1:] != lanes[:, :-1] + np.uint32(1)
    at = np.flatnonzero(begins)
    count = np.diff(at, append=len(pull))
    lane, vector = at % LANES, at % BLOCK // LANES * LANES
    firsts = np.searchsorted(at, np.arange(0, len(pull) + 1, BLOCK)).astype(np.uint64)
    codes = (vector << LANES) + (((1 << count) - 1) << lane)
    return firsts, np.pad(pull[at], (0, EARLY), mode="edge"), codes.astype(np.uint32)


def address(direction: Any, cell: Any) -> Any:
    """Return where the population of a direction of a cell stands."""
    return (cell // LANES) * BLOCK + direction * LANES + cell % LANES


def name(direction: Any, cell: Any) -> Any:
    """Return the name of the population of a direction of a cell; see `Layout`."""
    return address(OPPOSITE[direction], cell)


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
    # Of neighbouring lanes stand side by side, so that they are moved together.
    order = np.lexsort(
        (links.cell, OPPOSITE[links.direction], links.cell // LANES, links.part != WALL)
    )
    walled = int(np.count_nonzero(links.part == WALL))
    cell, out = links.cell[order], links.direction[order]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    cells = np.arange(blocks * LANES)
    pull = np.empty((27, blocks * LANES), np.int64)
    for q in range(27):
        behind = cells.copy()
        behind[:count] = neighbours[OPPOSITE[q]]
        pull[q] = np.where(behind >= 0, address(OPPOSITE[q], behind), -1)
    pull[OPPOSITE[out], cell] = size + np.arange(len(order))
    if (pull < 0).any():
        raise ValueError("a cell has neither a neighbour nor a wall in some direction")
    table = pull.reshape(27, blocks, LANES).transpose(1, 0, 2).reshape(-1).astype(np.uint32)
    sources, factors, push = _interpolation(neighbours, cell, out, links.fraction[order])
    arriving = address(OPPOSITE[out], cell).astype(np.uint32)
    return Layout(count, table, walled, order, arriving, sources, factors, push, place)


def _interpolation(
    neighbours: Ints, cell: Ints, out: Ints, q: Floats
) -> tuple[npt.NDArray[np.uint32], Singles, Singles]:
    """Return what the arriving population of each link is made of."""
    incoming = OPPOSITE[out]
    first = neighbours[incoming, cell]
    second = np.where(first >= 0, neighbours[incoming, np.maximum(first, 0)], -1)
    near = q < 0.5
    one, two = near & (first >= 0), near & (second >= 0)
    far = ~near & (first >= 0)
    here, back = name(out, cell), name(incoming, cell)
    sources = np.stack([here, here, here])
    factors = np.stack([np.ones_like(q), np.zeros_like(q), np.zeros_like(q)])
    push = np.ones_like(q)
    # Close to the wall: linear, then quadratic where a second cell lies behind.
    sources[1][one] = name(out, first)[one]
    sources[2][two] = name(out, second)[two]
    factors[:, one] = np.stack([2 * q, 1 - 2 * q, 0 * q])[:, one]
    factors[:, two] = np.stack([q * (1 + 2 * q), 1 - 4 * q**2, -q * (1 - 2 * q)])[:, two]
    # Away from the wall.
    sources[1][~near] = back[~near]
    sources[2][far] = name(incoming, first)[far]
    ratio = 2 * q - 1
    factors[:, ~near] = np.stack([1 / (2 * q), ratio / (2 * q), 0 * q])[:, ~near]
    push[~near] = (1 / (2 * q))[~near]
    width = q * (2 * q + 1)
    factors[:, far] = np.stack([1 / width, ratio / q, -ratio / (2 * q + 1)])[:, far]
    push[far] = (1 / width)[far]
    push *= 6.0 * WEIGHTS[incoming]
    packed = np.ascontiguousarray(sources.T, np.uint32)
    # The factors of a link sum to one.
    return packed, np.ascontiguousarray(factors[1:].T, np.float32), push.astype(np.float32)


@dataclass(frozen=True)
class Outlet:
    """Names of what enters through an outlet: the flow a few cells inside goes on outside.

    Attributes:
        links: numbers of the links.
        sources, factors: (links, 8) names and factors of the populations inside.
        weights: (links,) of the incoming directions: what a unit of density adds.
        slopes: (links,) what a unit of speed out of the lumen adds; mostly negative.
        cells: (27 k,) names of all populations of the k cells that are copied from.
        departed: names of what leaves through the outlet, and of what comes in inside.
        arrived: addresses that what goes out inside arrives at, among those of its cells.
        gains: (2, departed and arrived) factors of two sums over them: by how much more leaves
            than goes out inside, and the flow inside.
    """

    links: Ints
    sources: npt.NDArray[np.uint32]
    factors: Singles
    weights: Singles
    slopes: Singles
    cells: npt.NDArray[np.uint32]
    departed: npt.NDArray[np.uint32]
    arrived: npt.NDArray[np.uint32]
    gains: Singles

    @cached_property
    def area(self) -> float:
        """The area of the outlet in faces of cells, as its links count it."""
        return -2.0 * float(self.slopes.sum())

    @cached_property
    def weight(self) -> float:
        """The sum of the weights."""
        return float(self.weights.sum())


def outlet(links: Links, chosen: Ints, inside: Ints, factors: Floats, normal: Floats) -> Outlet:
    """Return the outlet of the chosen links, each copied from up to 8 cells ``inside``.

    ``inside`` and ``factors`` are (8, links); the factors of a link sum to one. The copied
    cells lie behind the link's far end, against the outlet's outward ``normal``, so that flow
    that no longer changes along the vessel passes unchanged.
    """
    out = links.direction[chosen]
    incoming = OPPOSITE[out]
    cells = np.unique(inside[factors > 0])
    own, entering = name(out, links.cell[chosen]), name(incoming, inside)
    back, less = _summed(entering, factors)
    arrived, share = _summed(address(out, inside), factors)
    gains = np.zeros((2, len(own) + len(back) + len(arrived)))
    gains[0, : len(own)] = 1.0
    gains[1, len(own) : len(own) + len(back)] = -less
    gains[:, len(own) + len(back) :] = np.stack([-share, share])
    return Outlet(
        chosen,
        np.ascontiguousarray(entering.T, np.uint32),
        np.ascontiguousarray(factors.T, np.float32),
        WEIGHTS[incoming].astype(np.float32),
        (3.0 * WEIGHTS[incoming] * (VELOCITIES[incoming] @ normal)).astype(np.float32),
        name(np.arange(27)[:, None], cells).ravel().astype(np.uint32),
        np.concatenate([own, back]).astype(np.uint32),
        arrived.astype(np.uint32),
        gains.astype(np.float32),
    )


def _summed(places: Ints, factors: Floats) -> tuple[Ints, Floats]:
    """Return each place once, ascending, with the sum of its factors."""
    once, number = np.unique(places, return_inverse=True)
    return once, np.asarray(np.bincount(number.ravel(), factors.ravel()), np.float64)
