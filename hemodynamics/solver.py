"""The 3D kernel: a sparse lattice Boltzmann solver. Only `hemodynamics.flow` imports it.

Cells stand in blocks of `LANES`, inside which the lanes of one direction are neighbours in
memory, so that a block is collided with vector instructions. There is one array: every other
step works in place, the steps between fetch from neighbours by a table of addresses and put
back there. At a wall or an opening that address is one of a list behind the populations, and a
pass over the links fills what arrives from there before each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hemodynamics.lattice import (
    BLOCK,
    LANES,
    OPPOSITE,
    VELOCITIES,
    WEIGHTS,
    fields,
    gaussian,
    step_cells,
    step_resisting_cells,
)
from hemodynamics.link_passes import CHUNK, LINGERS, inlets, outlets, total, walls, weighed
from hemodynamics.rheology import Rates

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

MOST_OPENINGS = 256
"""Openings that are remembered."""

LEAST_CELLS = 4096
"""Cells that are worth a thread of their own."""

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
    order = np.lexsort((links.direction, links.cell, links.part != WALL))
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

    @property
    def area(self) -> float:
        """The area of the outlet in faces of cells, as its links count it."""
        return -2.0 * float(self.slopes.sum())


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


@dataclass(frozen=True)
class Drag:
    """What slows each cell: the acceleration is -(linear + quadratic |v|) v, lattice units.

    For a permeability k and a pressure gradient of C / 2 density v^2, linear is the kinematic
    viscosity times the time step over k, and quadratic is C / 2 times the cell's edge.

    Attributes:
        linear, quadratic: (cells,), zero where nothing is in the way.
    """

    linear: Floats
    quadratic: Floats


@dataclass
class Opened:
    """What a lattice knows of an opening.

    Attributes:
        asked_for: what the caller named it by, kept so that its identity stays its own.
        arrays: addresses by whether populations stay: where they arrive, where they come from
            and, of an outlet, all that its cells hold and what its two sums are over.
        given: what does not change from step to step.
        density: the step and the mean density, less one, that an outlet had then.
        last: the speeds that were last set.
    """

    asked_for: object
    arrays: Sequence[tuple[Any, ...]]
    given: tuple[Any, ...]
    density: tuple[int, float] | None = None
    last: Singles | None = None


class Lattice:
    """The populations of a domain and the steps they take, all in lattice units.

    Attributes:
        omega: relaxation rate 1 / tau; the viscosity is (tau - 1/2) / 3.
        steps: how many steps were taken.
        leak: the mass that walls gained in the last step and that was spread over all cells.
    """

    def __init__(
        self,
        layout: Layout,
        links: Links,
        tau: float,
        threads: int = 0,
        rates: Rates | None = None,
        drag: Drag | None = None,
    ) -> None:
        """Take ``rates`` for a fluid whose viscosity changes with shear; they replace ``tau``.

        Raises:
            ValueError: if a drag is not one of each cell, or is negative.
        """
        self.layout, self.links = layout, links
        self.omega = np.float32(1.0 / tau) if rates is None else rates.table[-1]
        self.steps, self.leak = 0, 0.0
        self._resists = rates is not None or drag is not None
        same = Rates(np.full(2, self.omega), np.float32(1.0))
        self._rates, self._half = (rates or same).table, (rates or same).half
        nothing = np.zeros(layout.cells)
        drag = drag or Drag(nothing, nothing)
        whole = layout.size // 27
        self._linear = _padded(drag.linear, layout.cells, whole)
        self._quadratic = _padded(drag.quadratic, layout.cells, whole)
        self._now: Singles = np.zeros(layout.size + len(layout.order), np.float32)
        self._added = np.zeros(len(layout.order), np.float32)
        self._gains = np.zeros(-(-layout.walls // CHUNK), np.float32)
        self._lingering = np.zeros(layout.walls, np.float32)
        self._lingers = np.float32(0.0)  # until walls were met once
        self._force = singles((0.0, 0.0, 0.0))
        self._openings: dict[int, Opened] = {}
        # Where links fill arriving populations and find departed ones, by whether these stay.
        self._targets = (layout.pull[layout.arriving], layout.arriving)
        self._sources = (layout.sources, layout.pull[layout.sources])
        most = max(layout.cells // LEAST_CELLS, 1)
        self._threads = threads or min(numba.get_num_threads(), most)

    @property
    def _stays(self) -> bool:
        """Whether the next step leaves populations in their cells, having found them arrived."""
        return self.steps % 2 == 0

    def start(self, state: Singles) -> None:
        """Begin from a state (10, cells) such as `state` returns, instead of from rest."""
        density, keep = 1.0 + state[0], 1.0 - self.omega
        excess = -keep / (1.0 - self.omega / 2.0) * state[4:] / density
        excess[:3] += 1.0 / 3.0
        shares = gaussian(tuple(state[1:4]), tuple(excess))
        cells = np.arange(self.layout.cells)
        for q in range(27):
            departed = name(q, cells)
            at = self.layout.pull[departed] if self._stays else departed
            self._now[at] = density * shares[q] - WEIGHTS[q]
        self._lingers = np.float32(0.0)
        self._openings.clear()

    @property
    def _parallel(self) -> bool:
        """Which of the compiled passes is used."""
        return self._threads > 1

    def push(self, links: Ints, speed: Floats) -> None:
        """Set the speed of the boundary along the incoming velocity, of the numbered links."""
        at, factors = self._opening(links, self._of_links).given
        self._added[at] = factors * speed

    def density(self, outlet: Outlet) -> float:
        """Return the mean density, less one, of the cells that an outlet copies from."""
        kept = self._opening(outlet, self._of_outlet)
        if kept.density is None or kept.density[0] != self.steps:
            kept.density = (self.steps, self._mean(kept.arrays[self._stays][2]))
        return kept.density[1]

    def _mean(self, cells: Any) -> float:
        """Return the mean sum of 27 populations."""
        return float(total(self._now, cells) * 27 / len(cells))

    def hold(self, outlet: Outlet, pressure: float, impedance: float = 0.0) -> None:
        """Fill what enters through an outlet: it has ``pressure`` and ``impedance`` by outflow."""
        density, speed = self._beyond(outlet, pressure, impedance)
        shift = density * outlet.weights + speed * outlet.slopes
        targets, sources = self._opening(outlet, self._of_outlet).arrays[self._stays][:2]
        outlets(self._now, targets, sources, outlet.factors, shift)

    def _beyond(self, outlet: Outlet, pressure: float, impedance: float) -> tuple[Any, Any]:
        """Return by how much density and speed are higher at an outlet than inside.

        Sound that goes out inside comes to the outlet later. What leaves there is made of both
        density and speed; that its pressure is p + Z Q is the second equation.
        """
        more, flow = self._weighed(outlet)
        weight = float(outlet.weights.sum())
        lacking = pressure + impedance * (flow + 2.0 * more) - self.density(outlet) / 3.0
        density = lacking / (2.0 * impedance * weight + 1.0 / 3.0)
        return np.float32(density), np.float32(2.0 * (more - weight * density) / outlet.area)

    def _weighed(self, outlet: Outlet) -> tuple[float, float]:
        """Return the two sums of an outlet."""
        places = self._opening(outlet, self._of_outlet).arrays[self._stays][3]
        more, flow = weighed(self._now, places, outlet.gains)
        return float(more), float(flow)

    def meet(self) -> None:
        """Fill what comes back from walls and enters through inlets, before `hold` and `step`."""
        layout, targets = self.layout, self._targets[self._stays]
        links = (self._now, layout.walls, targets, self._sources[self._stays], layout.factors)
        walls[self._parallel](*links, self._lingering, self._lingers, self._gains)
        self._lingers = LINGERS
        inlets(*links, self._added)
        self.leak = float(self._gains.sum(dtype=np.float64))

    def step(self, force: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """Stream and collide once, under an acceleration."""
        self._force = singles(force)
        spread = np.float32(-self.leak / self.layout.cells)
        if self._resists:
            step_resisting_cells[self._parallel](
                self._now, self.layout.pull, self._stays, self._rates, self._half, self._linear,
                self._quadratic, self._force, spread, self._threads,
            )  # fmt: skip
        else:
            step_cells[self._parallel](
                self._now, self.layout.pull, self._stays, self.omega, self._force, spread,
                self._threads,
            )  # fmt: skip
        self.steps += 1

    def inflow(self, opening: Ints) -> float:
        """Return the mass that enters per step through the numbered links; `meet` comes first."""
        incoming, leaving = self._opening(opening, self._of_links).arrays[self._stays]
        return float(total(self._now, incoming) - total(self._now, leaving))

    def state(self) -> Singles:
        """Return (10, cells): density less one, velocity, viscous stress xx yy zz xy xz yz.

        The velocity leaves out half of the acceleration of the last step's force, not of drag.
        """
        out = np.empty((10, self.layout.cells), np.float32)
        fields[self._parallel](
            self._now, self.layout.pull, self._stays, self._rates, self._half, self._linear,
            self._quadratic, self._force, out,
        )  # fmt: skip
        return out

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that a run needs to go on as if it had never stopped."""
        return {
            "populations": self._now.copy(),
            "pushed": self._added.copy(),
            "lingering": self._lingering.copy(),
            "lingers": np.array(self._lingers),
            "leak": np.array(self.leak),
            "steps": np.array(self.steps),
            "force": np.array(self._force),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned, on a lattice of the same layout.

        Raises:
            ValueError: if they are those of another lattice.
        """
        populations, pushed = arrays["populations"], arrays["pushed"]
        if populations.shape != self._now.shape or pushed.shape != self._added.shape:
            raise ValueError(
                f"a checkpoint of {len(populations):,} populations does not fit a lattice of "
                f"{len(self._now):,}; begin anew, or go on with the same lumen and cells"
            )
        self._now[:], self._added[:] = populations, pushed
        self._lingering[:], self._lingers = arrays["lingering"], np.float32(arrays["lingers"])
        self.leak, self.steps = float(arrays["leak"]), int(arrays["steps"])
        self._force = singles(arrays["force"])
        self._openings.clear()

    def _opening(self, asked_for: Any, make: Callable[[Any], Opened]) -> Opened:
        """Return what is known of an opening, worked out when first asked for."""
        known = self._openings.get(id(asked_for))
        if known is None:
            if len(self._openings) >= MOST_OPENINGS:
                self._openings.clear()
            known = self._openings[id(asked_for)] = make(asked_for)
        return known

    def _of_links(self, links: Ints) -> Opened:
        at = self.layout.place[links]
        pairs = [(self._targets[stays][at], self._sources[stays][at, 0]) for stays in (False, True)]
        return Opened(links, pairs, (at, self.layout.push[at]))

    def _of_outlet(self, outlet: Outlet) -> Opened:
        at, pull = self.layout.place[outlet.links], self.layout.pull
        gone, come = outlet.departed, outlet.arrived
        gone, come = np.append(gone, pull[come]), np.append(pull[gone], come)
        groups = [
            (self._targets[0][at], outlet.sources, np.sort(outlet.cells), gone),
            (self._targets[1][at], pull[outlet.sources], np.sort(pull[outlet.cells]), come),
        ]
        return Opened(outlet, groups, (outlet.factors, outlet.weights, outlet.slopes, outlet.gains))


def singles(force: Sequence[float] | npt.NDArray[Any]) -> tuple[Any, Any, Any]:
    """Return an acceleration in single precision."""
    return np.float32(force[0]), np.float32(force[1]), np.float32(force[2])


def _padded(given: Floats, cells: int, whole: int) -> Singles:
    """Return one value for each lane of all blocks.

    Raises:
        ValueError: if there is not one of each cell, or one is negative.
    """
    if len(given) != cells or not (np.asarray(given) >= 0).all():
        raise ValueError(f"a drag needs one value of zero or more for each of {cells:,} cells")
    return np.pad(given, (0, whole - cells)).astype(np.float32)
