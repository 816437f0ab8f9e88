"""The 3D kernel on a graphics card: the passes of `hemodynamics.lattice` with a thread per cell.

The collision is the source that the processor runs too. Sums go by fixed trees, so that the same
flow comes out to the bit whenever it is computed on the same card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import cuda, float64

from hemodynamics.cell_passes import LANES
from hemodynamics.lattice import WEIGHTS, compiled
from hemodynamics.layout import Ints, Layout, Links, Outlet, Singles
from hemodynamics.link_passes import LINGERS
from hemodynamics.rheology import Rates
from hemodynamics.solver import Drag, Lattice, Opened, singles

Floats = npt.NDArray[np.float64]

THREADS = 128
"""Threads that work together: a power of two."""


def _device(function: Any) -> Any:
    return cuda.jit(device=True, fastmath=True)(function)


def _kernel(function: Any) -> Any:
    return cuda.jit(fastmath=True)(function)


_CELL = compiled(_device)
_collide, _moments, _settle = _CELL.collide, _CELL.moments, _CELL.settle
_departure, _shear_size, _rate_at = _CELL.departure, _CELL.shear_size, _CELL.rate_at
_dragged, _slowed = _CELL.dragged, _CELL.slowed
_WEIGHTS = tuple(WEIGHTS.astype(np.float32))


@_device
def _own(i: Any) -> Any:
    """Return the 27 addresses of a cell itself, whose first is ``i``."""
    return (
        i + 0 * LANES, i + 1 * LANES, i + 2 * LANES, i + 3 * LANES, i + 4 * LANES,
        i + 5 * LANES, i + 6 * LANES, i + 7 * LANES, i + 8 * LANES, i + 9 * LANES,
        i + 10 * LANES, i + 11 * LANES, i + 12 * LANES, i + 13 * LANES, i + 14 * LANES,
        i + 15 * LANES, i + 16 * LANES, i + 17 * LANES, i + 18 * LANES, i + 19 * LANES,
        i + 20 * LANES, i + 21 * LANES, i + 22 * LANES, i + 23 * LANES, i + 24 * LANES,
        i + 25 * LANES, i + 26 * LANES,
    )  # fmt: skip


@_device
def _others(a: Any, i: Any) -> Any:
    """Return the 27 addresses that a table has for a cell, whose first is at ``i``."""
    return (
        a[i + 0 * LANES], a[i + 1 * LANES], a[i + 2 * LANES], a[i + 3 * LANES],
        a[i + 4 * LANES], a[i + 5 * LANES], a[i + 6 * LANES], a[i + 7 * LANES],
        a[i + 8 * LANES], a[i + 9 * LANES], a[i + 10 * LANES], a[i + 11 * LANES],
        a[i + 12 * LANES], a[i + 13 * LANES], a[i + 14 * LANES], a[i + 15 * LANES],
        a[i + 16 * LANES], a[i + 17 * LANES], a[i + 18 * LANES], a[i + 19 * LANES],
        a[i + 20 * LANES], a[i + 21 * LANES], a[i + 22 * LANES], a[i + 23 * LANES],
        a[i + 24 * LANES], a[i + 25 * LANES], a[i + 26 * LANES],
    )  # fmt: skip


@_device
def _read(now: Any, at: Any) -> Any:
    """Return the 27 populations at these addresses."""
    return (
        now[at[0]], now[at[1]], now[at[2]], now[at[3]], now[at[4]], now[at[5]],
        now[at[6]], now[at[7]], now[at[8]], now[at[9]], now[at[10]], now[at[11]],
        now[at[12]], now[at[13]], now[at[14]], now[at[15]], now[at[16]], now[at[17]],
        now[at[18]], now[at[19]], now[at[20]], now[at[21]], now[at[22]], now[at[23]],
        now[at[24]], now[at[25]], now[at[26]],
    )  # fmt: skip


@_device
def _write(now: Any, at: Any, rho: Any, f: Any, w: Any) -> None:
    """Write the 27 populations, less their weights, each where its reverse stood."""
    now[at[26]] = rho * f[0] - w[0]
    now[at[25]] = rho * f[1] - w[1]
    now[at[24]] = rho * f[2] - w[2]
    now[at[23]] = rho * f[3] - w[3]
    now[at[22]] = rho * f[4] - w[4]
    now[at[21]] = rho * f[5] - w[5]
    now[at[20]] = rho * f[6] - w[6]
    now[at[19]] = rho * f[7] - w[7]
    now[at[18]] = rho * f[8] - w[8]
    now[at[17]] = rho * f[9] - w[9]
    now[at[16]] = rho * f[10] - w[10]
    now[at[15]] = rho * f[11] - w[11]
    now[at[14]] = rho * f[12] - w[12]
    now[at[13]] = rho * f[13] - w[13]
    now[at[12]] = rho * f[14] - w[14]
    now[at[11]] = rho * f[15] - w[15]
    now[at[10]] = rho * f[16] - w[16]
    now[at[9]] = rho * f[17] - w[17]
    now[at[8]] = rho * f[18] - w[18]
    now[at[7]] = rho * f[19] - w[19]
    now[at[6]] = rho * f[20] - w[20]
    now[at[5]] = rho * f[21] - w[21]
    now[at[4]] = rho * f[22] - w[22]
    now[at[3]] = rho * f[23] - w[23]
    now[at[2]] = rho * f[24] - w[24]
    now[at[1]] = rho * f[25] - w[25]
    now[at[0]] = rho * f[26] - w[26]


@_device
def _first(cell: Any) -> Any:
    """Return the address of the first population of a cell."""
    return (cell // LANES) * (27 * LANES) + cell % LANES


@_kernel
def _step_own(now: Any, count: Any, omega: Any, carry: Any, force: Any, source: Any) -> None:
    cell = cuda.grid(1)
    if cell < count:
        at = _own(_first(cell))
        rho, f = _collide(_read(now, at), omega, carry, force, source[0])
        _write(now, at, rho, f, _WEIGHTS)


@_kernel
def _step_others(
    now: Any, pull: Any, count: Any, omega: Any, carry: Any, force: Any, source: Any
) -> None:
    cell = cuda.grid(1)
    if cell < count:
        at = _others(pull, _first(cell))
        rho, f = _collide(_read(now, at), omega, carry, force, source[0])
        _write(now, at, rho, f, _WEIGHTS)


@_device
def _resist(
    f: Any, rates: Any, half: Any, linear: Any, quadratic: Any, carry: Any, force: Any, source: Any
) -> Any:
    m = _moments(f)
    omega = _rate_at(_shear_size(m), rates, half)
    share = _dragged(m, force, linear, quadratic)
    return _settle(m, omega, carry, _slowed(m, force, share), source)


@_kernel
def _step_resisting(
    now: Any, pull: Any, stay: Any, count: Any, rates: Any, half: Any, linear: Any,
    quadratic: Any, carry: Any, force: Any, source: Any,
) -> None:  # fmt: skip
    cell = cuda.grid(1)
    if cell < count:
        first = _first(cell)
        at = _own(first) if stay else _others(pull, first)
        rho, f = _resist(
            _read(now, at),
            rates,
            half,
            linear[cell],
            quadratic[cell],
            carry,
            force,
            source[0],
        )
        _write(now, at, rho, f, _WEIGHTS)


@_device
def _added_up(value: Any, out: Any, place: Any) -> None:
    """Write the sum of one value of each thread of a block, by halves."""
    held = cuda.shared.array(THREADS, float64)
    mine = cuda.threadIdx.x
    held[mine] = value
    cuda.syncthreads()
    width = THREADS // 2
    while width > 0:
        if mine < width:
            held[mine] += held[mine + width]
        cuda.syncthreads()
        width //= 2
    if mine == 0:
        out[place] = held[0]


@_kernel
def _links(
    now: Any, walls: Any, targets: Any, sources: Any, factors: Any, added: Any, lingering: Any,
    share: Any, gains: Any,
) -> None:  # fmt: skip
    """Fill what arrives from walls, the first of the links, and openings; sum the walls' gains."""
    n = cuda.grid(1)
    gained = 0.0
    if n < len(targets):
        first = now[sources[n, 0]]
        more = factors[n, 0] * (now[sources[n, 1]] - first)
        more += factors[n, 1] * (now[sources[n, 2]] - first)
        if n < walls:
            before = lingering[n]
            lingering[n] = more
            more += share * (before - more)
            gained = more
        now[targets[n]] = first + more + added[n]
    _added_up(gained, gains, cuda.blockIdx.x)


@_kernel
def _spread(gains: Any, cells: Any, leak: Any, source: Any) -> None:
    """Sum what the walls gained, and take it from all cells; one block of threads."""
    gained = 0.0
    for n in range(cuda.threadIdx.x, len(gains), THREADS):
        gained += gains[n]
    _added_up(gained, leak, 0)
    if cuda.threadIdx.x == 0:
        source[0] = -leak[0] / cells


@_kernel
def _differences(now: Any, plus: Any, minus: Any, out: Any) -> None:
    """Sum populations less others, where there are others; one block of threads."""
    found = 0.0
    for n in range(cuda.threadIdx.x, len(plus), THREADS):
        found += now[plus[n]]
        if n < len(minus):
            found -= now[minus[n]]
    _added_up(found, out, 0)


@_kernel
def _weighed(now: Any, at: Any, gains: Any, out: Any) -> None:
    """Sum populations with factors; one block of threads for each row of factors."""
    found, row = 0.0, cuda.blockIdx.x
    for n in range(cuda.threadIdx.x, len(at), THREADS):
        found += gains[row, n] * now[at[n]]
    _added_up(found, out, row)


@_kernel
def _outlets(
    now: Any, targets: Any, sources: Any, factors: Any, weights: Any, slopes: Any, density: Any,
    speed: Any,
) -> None:  # fmt: skip
    n = cuda.grid(1)
    if n < len(targets):
        value = density * weights[n] + speed * slopes[n]
        for k in range(sources.shape[1]):
            value += factors[n, k] * now[sources[n, k]]
        now[targets[n]] = value


@_kernel
def _place(added: Any, at: Any, values: Any) -> None:
    n = cuda.grid(1)
    if n < len(at):
        added[at[n]] = values[n]


def _blocks(count: int) -> int:
    return max(-(-count // THREADS), 1)


class NoCard(RuntimeError):
    """A card was asked for and there is none."""


class CudaLattice(Lattice):
    """A `Lattice` whose populations live on the first CUDA card.

    What stands in the processor's memory is a copy that `state` and the checkpoints go through.
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
        """Take what `Lattice` takes.

        Raises:
            ValueError: if a drag is not one of each cell, or is negative.
            RuntimeError: if there is no card, or its memory does not suffice; the driver's words.
        """
        self._leak = cuda.to_device(np.zeros(1))
        super().__init__(layout, links, tau, threads, rates, drag, carry)
        put = cuda.to_device
        self._card_now, self._card_added = put(self._now), put(self._added)
        self._card_pull, self._card_factors = put(layout.pull), put(layout.factors)
        self._card_lingering = put(self._lingering)
        self._card_targets = tuple(put(at) for at in self._targets)
        self._card_sources = tuple(put(np.ascontiguousarray(at)) for at in self._sources)
        self._card_gains = put(np.zeros(_blocks(len(layout.order))))
        self._card_spread, self._card_sum = put(np.zeros(1, np.float32)), put(np.zeros(1))
        self._card_sums = put(np.zeros(2))
        self._law = (put(self._rates), self._half, put(self._linear), put(self._quadratic))

    @property
    def leak(self) -> float:
        """The mass that walls gained in the last step and that was spread over all cells."""
        return float(self._leak.copy_to_host()[0])

    @leak.setter
    def leak(self, mass: float) -> None:
        self._leak.copy_to_device(np.array([mass]))

    def start(self, state: Singles) -> None:
        """Begin from a state (10, cells) such as `state` returns, instead of from rest."""
        self._bring()
        super().start(state)
        self._card_now.copy_to_device(self._now)

    def push(self, links: Ints, speed: Floats) -> None:
        """Set the speed of the boundary along the incoming velocity, of the numbered links."""
        known = self._opening(links, self._of_links)
        at, factors, places = known.given
        values = (factors * speed).astype(np.float32)
        if known.last is None or not np.array_equal(known.last, values):
            known.last, self._added[at] = values, values
            _place[_blocks(len(at)), THREADS](self._card_added, places, cuda.to_device(values))

    def hold(self, outlet: Outlet, pressure: float, impedance: float = 0.0) -> None:
        """Fill what enters through an outlet; see `Lattice.hold`."""
        density, speed = self._beyond(outlet, pressure, impedance)
        known = self._opening(outlet, self._of_outlet)
        targets, sources = known.arrays[self._stays][:2]
        _outlets[_blocks(len(outlet.links)), THREADS](
            self._card_now, targets, sources, *known.given[:3], density, speed
        )

    def meet(self) -> None:
        """Fill what comes back from walls and enters through inlets, before `hold` and `step`."""
        targets, sources = self._card_targets[self._stays], self._card_sources[self._stays]
        _links[_blocks(len(self.layout.order)), THREADS](
            self._card_now, self.layout.walls, targets, sources, self._card_factors,
            self._card_added, self._card_lingering, self._lingers, self._card_gains,
        )  # fmt: skip
        self._lingers = LINGERS
        cells = float(self.layout.cells)
        _spread[1, THREADS](self._card_gains, cells, self._leak, self._card_spread)

    def step(self, force: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """Stream and collide once, under an acceleration."""
        self._force = singles(force)
        count = self.layout.size // 27
        grid, now, source = (_blocks(count), THREADS), self._card_now, self._card_spread
        if self._resists:
            _step_resisting[grid](
                now,
                self._card_pull,
                self._stays,
                count,
                *self._law,
                self._carry,
                self._force,
                source,
            )
        elif self._stays:
            _step_own[grid](now, count, self.omega, self._carry, self._force, source)
        else:
            _step_others[grid](
                now, self._card_pull, count, self.omega, self._carry, self._force, source
            )
        self.steps += 1

    def inflow(self, opening: Ints) -> float:
        """Return the mass that enters per step through the numbered links; `meet` comes first."""
        incoming, leaving = self._opening(opening, self._of_links).arrays[self._stays]
        return self._sum(incoming, leaving)

    def state(self) -> Singles:
        """Return (10, cells); see `Lattice.state`."""
        self._bring()
        return super().state()

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that a run needs to go on as if it had never stopped."""
        self._bring()
        return super().state_arrays()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned, on a lattice of the same layout.

        Raises:
            ValueError: if they are those of another lattice.
        """
        super().restore(arrays)
        self._card_now.copy_to_device(self._now)
        self._card_added.copy_to_device(self._added)
        self._card_lingering.copy_to_device(self._lingering)
        self._card_spread.copy_to_device(np.array([-self.leak / self.layout.cells], np.float32))

    def wait(self) -> None:
        """Return when the card has done all that it was given."""
        cuda.synchronize()

    def _bring(self) -> None:
        self._card_now.copy_to_host(self._now)
        self._card_lingering.copy_to_host(self._lingering)

    def _sum(self, plus: Any, minus: Any) -> float:
        _differences[1, THREADS](self._card_now, plus, minus, self._card_sum)
        return float(self._card_sum.copy_to_host()[0])

    def _weighed(self, outlet: Outlet) -> tuple[float, float]:
        known = self._opening(outlet, self._of_outlet)
        places, gains = known.arrays[self._stays][3], known.given[3]
        _weighed[2, THREADS](self._card_now, places, gains, self._card_sums)
        more, flow = self._card_sums.copy_to_host()
        return float(more), float(flow)

    def _mean(self, cells: Any) -> float:
        return self._sum(cells, cells[:0]) * 27 / len(cells)

    def _of_links(self, links: Ints) -> Opened:
        known = super()._of_links(links)
        at, factors = known.given
        return Opened(links, _on_card(known.arrays), (at, factors, cuda.to_device(at)))

    def _of_outlet(self, outlet: Outlet) -> Opened:
        known = super()._of_outlet(outlet)
        return Opened(outlet, _on_card(known.arrays), _on_card([known.given])[0])


def _on_card(groups: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(cuda.to_device(array) for array in group) for group in groups]


def card() -> str | None:
    """Return the name of the CUDA card that flows would be computed on, None without one."""
    if not cuda.is_available():
        return None
    found = cuda.get_current_device().name
    return found.decode() if isinstance(found, bytes) else str(found)


def lattice_on(device: Literal["auto", "cpu", "cuda"]) -> type[Lattice]:
    """Return the kind of lattice for a device; "auto" takes a card where there is one.

    Raises:
        NoCard: if a card is asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and card() is None):
        return Lattice
    if card() is None:
        raise NoCard(
            "there is no CUDA card that this Python can use; install NVIDIA's driver and "
            "hilum[gpu], or compute on the processor"
        )
    return CudaLattice
