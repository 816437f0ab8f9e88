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

from hemodynamics.cell_passes import fields, step_cells, step_resisting_cells
from hemodynamics.lattice import WEIGHTS, of_cumulants
from hemodynamics.layout import Floats, Ints, Layout, Links, Outlet, Singles, name, table
from hemodynamics.link_passes import (
    CHUNK,
    LINGERS,
    difference,
    inlets,
    outlets,
    total,
    walls,
    weighed,
)
from hemodynamics.rheology import Rates

MOST_OPENINGS = 256
"""Openings that are remembered."""

LEAST_CELLS = 4096
"""Cells that are worth a thread of their own."""


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
        threads: by how many at once they are taken; it changes no bit of them.
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
        carry: float = 1.0,
    ) -> None:
        """Take ``rates`` for a fluid whose viscosity changes with shear; they replace ``tau``.

        ``carry`` is how far cumulants of third order last; see `hemodynamics.lattice.settle`.

        Raises:
            ValueError: if a drag is not one of each cell, or is negative.
        """
        self.layout, self.links = layout, links
        self.omega = np.float32(1.0 / tau) if rates is None else rates.table[-1]
        self.steps, self.leak = 0, 0.0
        self._resists = rates is not None or drag is not None
        self._carry = np.float32(carry)
        same = Rates(np.full(2, self.omega), np.float32(1.0))
        self._rates, self._half = (rates or same).table, (rates or same).half
        nothing = np.zeros(layout.cells)
        drag = drag or Drag(nothing, nothing)
        whole = layout.size // 27
        self._linear = _padded(drag.linear, layout.cells, whole)
        self._quadratic = _padded(drag.quadratic, layout.cells, whole)
        self._now: Singles = np.zeros(layout.size + len(layout.order), np.float32)
        self._table = table(layout.pull)
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
        self.threads = threads or min(numba.get_num_threads(), most)

    @property
    def _stays(self) -> bool:
        """Whether the next step leaves populations in their cells, having found them arrived."""
        return self.steps % 2 == 0

    def start(self, state: Singles) -> None:
        """Begin from a state (10, cells) such as `state` returns, instead of from rest."""
        density, keep = 1.0 + state[0], 1.0 - self.omega
        excess = -keep / (1.0 - self.omega / 2.0) * state[4:] / density
        excess[:3] += 1.0 / 3.0
        shares = of_cumulants(tuple(state[1:4]), tuple(excess), (np.float32(0.0),) * 7)
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
        return self.threads > 1

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
        targets, sources = self._opening(outlet, self._of_outlet).arrays[self._stays][:2]
        outlets(
            self._now, targets, sources, outlet.factors, outlet.weights, outlet.slopes, density,
            speed,
        )  # fmt: skip

    def _beyond(self, outlet: Outlet, pressure: float, impedance: float) -> tuple[Any, Any]:
        """Return by how much density and speed are higher at an outlet than inside.

        Sound that goes out inside comes to the outlet later. What leaves there is made of both
        density and speed; that its pressure is p + Z Q is the second equation.
        """
        more, flow = self._weighed(outlet)
        weight = outlet.weight
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
                self._now, *self._table, self._stays, self._rates, self._half, self._linear,
                self._quadratic, self._carry, self._force, spread, self.threads,
            )  # fmt: skip
        else:
            step_cells[self._parallel](
                self._now, *self._table, self._stays, self.omega, self._carry, self._force, spread,
                self.threads,
            )  # fmt: skip
        self.steps += 1

    def inflow(self, opening: Ints) -> float:
        """Return the mass that enters per step through the numbered links; `meet` comes first."""
        incoming, leaving = self._opening(opening, self._of_links).arrays[self._stays]
        return float(difference(self._now, incoming, leaving))

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
