"""Steady, transient and periodic solution of a lumped network.

Each instant is solved by Newton's method; time goes on by the second backward difference (BDF2)
with fixed or adaptive steps, begun by extrapolated backward Euler steps. Both are exact for sums,
so the volume of a closed network stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Gt
from scipy.sparse import csc_array, dia_array
from scipy.sparse.linalg import splu

from hemodynamics.lumped import (
    GROUND,
    Chamber,
    FlowSource,
    Network,
    PressureSource,
    Resistor,
    UnusableNetwork,
)
from hemodynamics.network_equations import Equations
from hemodynamics.network_tubes import Laid, laid_out
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Closed = tuple[int, Floats, float]
"""A row whose balance the others imply, the unknowns in its place as weights, and their sum."""

ITERATIONS, HALVINGS = 60, 12
ACCURACY = 1e-9
"""Newton's method ends when its step is smaller than this share of what there is."""

GROWTH, SAFETY = 1.8, 0.8
"""How much longer a step may be than the last (BDF2 is stable below 2.4), and caution."""

SMALLEST = 1e-9
"""Shortest adaptive step as a share of the longest."""


class NotSolved(RuntimeError):
    """Newton's method, or the march to a periodic state, did not arrive."""


@dataclass(frozen=True)
class NetworkResult:
    """Courses of a network's unknowns; all have one value for a steady solution.

    Attributes:
        times_s: of the values.
        pressures_mmhg: by node.
        flows_ml_s: by branch, from its start to its end.
        volumes_ml: by store.
        change: for a periodic solution, how far it may still be from the limit, as a share.
        cycles: periods that were computed for it.
    """

    times_s: Floats
    pressures_mmhg: Mapping[str, Floats]
    flows_ml_s: Mapping[str, Floats]
    volumes_ml: Mapping[str, Floats]
    change: float = 0.0
    cycles: int = 0

    def total_ml(self) -> Floats:
        """Return the whole stored volume over time."""
        volumes = np.zeros_like(self.times_s)
        for course in self.volumes_ml.values():
            volumes = volumes + course
        return volumes


def steady(network: Network) -> NetworkResult:
    """Return the state in which nothing changes; sources act with their means.

    A part of the network that no path joins to the ground keeps the volume it begins with.

    Raises:
        UnusableNetwork: if there is none, or a chamber beats, or more than one state fits.
        NotSolved: if it is not found.
    """
    for element in network.elements:
        if isinstance(element, Chamber) and element.contracted != element.relaxed:
            raise UnusableNetwork(
                f"{element.name!r} beats, so there is no steady state; ask for the periodic one"
            )
    laid = laid_out(network, None)
    equations = Equations(laid.network)
    closed = _closed_parts(equations)
    x = equations.start()
    for element in equations.branches:
        if isinstance(element, Resistor) and element.quadratic > 0:
            x[equations.column(element.name)] = 1.0  # at rest its law has no slope
    newton = _Newton(equations, closed)
    x = newton.solve(x, 0.0, np.zeros_like(x), None)
    return _result(laid, equations, np.zeros(1), x[None])


def transient(
    network: Network,
    duration_s: Annotated[float, Gt(0)],
    step_s: Annotated[float, Gt(0)],
    tolerance: float | None = None,
    progress: Progress = silent,
) -> NetworkResult:
    """Return the courses from the beginning that the stores and inertances hold.

    Steps are fixed; with a ``tolerance``, the share by which a volume or flow with inertia may
    be off in one step, they are adaptive and at most ``step_s``.

    Raises:
        UnusableNetwork: if some unknowns are not determined.
        NotSolved: if an instant is not solved.
    """
    count = max(1, round(duration_s / step_s))
    laid = laid_out(network, duration_s / count)
    equations = Equations(laid.network)
    march = _March(equations)
    if tolerance is None:
        found = np.empty((count, equations.size))
        for n in range(count):
            if n % 256 == 0:
                progress(n / count, "network")
            march.advance(duration_s / count)
            found[n] = march.x
        progress(1.0)
        return _result(laid, equations, np.linspace(0, duration_s, count + 1)[1:], found)
    times, states = _adaptive(march, duration_s, step_s, tolerance, progress)
    return _result(laid, equations, times, states)


def periodic(
    network: Network,
    period_s: float,
    steps: int = 400,
    tolerance: float = 1e-4,
    most_cycles: int = 500,
    progress: Progress = silent,
) -> NetworkResult:
    """Return one period of the state that repeats itself; times count from its beginning.

    Cycles follow one another until the geometric series of their changes leaves less than
    ``tolerance``, as a share of each unknown's largest value.

    Raises:
        UnusableNetwork: if a part beats with another period, or unknowns are not determined.
        NotSolved: if it does not settle.
    """
    _check_periods(network, period_s)
    laid = laid_out(network, period_s / steps)
    equations = Equations(laid.network)
    march = _March(equations)
    before = np.full((steps, equations.size), np.inf)
    change = np.inf
    for cycle in range(1, most_cycles + 1):
        progress(min(0.99, (cycle - 1) / 20), f"cycle {cycle}")
        found = np.empty_like(before)
        for n in range(steps):
            march.advance(period_s / steps)
            found[n] = march.x
        if cycle > 1:
            latest = _change(equations, before, found)
            left = _left(change, latest)
            if left < tolerance and cycle > 2:
                progress(1.0)
                times = np.linspace(0, period_s, steps + 1)[1:]
                return _result(laid, equations, times, found, left, cycle)
            change = latest
        before = found
    raise NotSolved(
        f"after {most_cycles} cycles the network still changes by {100 * change:.3g} percent"
    )


def _left(earlier: float, latest: float) -> float:
    """Return what a geometric series of changes still adds after the latest one."""
    if latest == 0.0:
        return 0.0
    ratio = latest / earlier if np.isfinite(earlier) and earlier > 0 else 1.0
    return float(latest * max(1.0, ratio / (1.0 - ratio))) if ratio < 1.0 else np.inf


def _change(equations: Equations, before: Floats, found: Floats) -> float:
    """Return the largest change of an unknown as a share of its largest value."""
    size = np.abs(found).max(axis=0)
    nodes, branches = len(equations.nodes), len(equations.branches)
    for start, end in pairwise((0, nodes, nodes + branches, equations.size)):
        group = size[start:end]
        group[:] = np.maximum(group, 1e-3 * group.max(initial=1e-12))
    return float((np.abs(found - before).max(axis=0) / np.maximum(size, 1e-300)).max(initial=0.0))


# ---------------------------------------------------------------- one instant


class _Newton:
    """Solves A x + B (rate x + past) + s + f = 0, with rows of closed parts replaced."""

    def __init__(self, equations: Equations, closed: Sequence[Closed] = ()) -> None:
        self._equations = equations
        self._made: tuple[Any, Any] = (None, None)
        self._keep = np.ones(equations.size)
        self._sums = csc_array((equations.size, equations.size))
        self._totals = np.zeros(equations.size)
        for row, weights, total in closed:
            self._keep[row], self._totals[row] = 0.0, total
            columns = np.flatnonzero(weights)
            places = (np.full(len(columns), row), columns)
            self._sums = self._sums + csc_array((weights[columns], places), self._sums.shape)
        self._replaces = bool(len(closed))

    def solve(self, x: Floats, rate: float, past: Floats, time_s: float | None) -> Floats:
        """Return the solution near ``x``.

        Raises:
            UnusableNetwork, NotSolved: if there is none, or it is not found.
        """
        equations = self._equations
        constant = equations.sources(time_s) + equations.b @ past
        residual, slopes = self._residual(x, rate, constant, time_s)
        for _ in range(ITERATIONS):
            step = self._factor(rate, slopes).solve(-residual)
            if not np.isfinite(step).all():
                raise self._undetermined(rate, slopes)
            if equations.is_linear or self._is_small(step, x):
                return np.asarray(x + step)
            size = float(np.abs(residual).max())
            for _ in range(HALVINGS):
                near = x + step
                residual, slopes = self._residual(near, rate, constant, time_s)
                if np.abs(residual).max() < size:
                    break
                step = 0.5 * step
            x = near
        where = equations.names[int(np.argmax(np.abs(residual)))]
        at = "" if time_s is None else f" at {time_s:.4g} s"
        raise NotSolved(f"the network was not solved{at}; it fails at {where!r}: shorten the step")

    def _is_small(self, step: Floats, x: Floats) -> bool:
        """Tell whether a step is small beside the pressures, flows and volumes that there are."""
        nodes, branches = len(self._equations.nodes), len(self._equations.branches)
        for part in (
            slice(0, nodes),
            slice(nodes, nodes + branches),
            slice(nodes + branches, None),
        ):
            scale = 1.0 + np.abs(x[part]).max(initial=0.0)
            if np.abs(step[part]).max(initial=0.0) > ACCURACY * scale:
                return False
        return True

    def _residual(
        self, x: Floats, rate: float, constant: Floats, time_s: float | None
    ) -> tuple[Floats, Floats]:
        equations = self._equations
        f, slopes = equations.bend(x, time_s or 0.0)
        found = equations.a @ x + constant + f
        if rate:
            found += rate * (equations.b @ x)
        if self._replaces:
            found = self._keep * found + self._sums @ x - self._totals
        return found, slopes

    def _matrix(self, rate: float, slopes: Floats) -> csc_array:
        matrix = self._equations.slope(rate, slopes)
        if not self._replaces:
            return matrix
        size = len(self._keep)
        return csc_array(
            dia_array((self._keep[None], [0]), shape=(size, size)) @ matrix + self._sums
        )

    def _factor(self, rate: float, slopes: Floats) -> Any:
        key = (rate, slopes.tobytes())
        if self._made[0] != key:
            try:
                self._made = (key, splu(self._matrix(rate, slopes)))
            except RuntimeError:
                raise self._undetermined(rate, slopes) from None
        return self._made[1]

    def _undetermined(self, rate: float, slopes: Floats) -> UnusableNetwork:
        """Return the error that names the unknowns which the equations leave open."""
        *_, turned = np.linalg.svd(self._matrix(rate, slopes).toarray())
        free = np.abs(turned[-1])
        names = [self._equations.names[i] for i in np.flatnonzero(free > 0.1 * free.max())]
        return UnusableNetwork(
            f"the network does not determine {', '.join(map(repr, names))}: give their part a "
            "pressure, a path for the flow, or a compliance"
        )


def _closed_parts(equations: Equations) -> list[Closed]:
    """Return for each part without the ground a row, weights of unknowns, and their fixed sum."""
    found = []
    start = equations.start()
    for nodes in equations.network.parts():
        if GROUND in nodes:
            continue
        sources = [e for e in equations.network.elements if isinstance(e, FlowSource)]
        crossing = [e for e in sources if (e.start in nodes) != (e.end in nodes)]
        into = sum(e.flow.mean * (1 if e.end in nodes else -1) for e in crossing)
        if abs(into) > 1e-12:
            raise UnusableNetwork(
                f"{crossing[0].name!r} fills {', '.join(sorted(nodes))}, from which nothing "
                "flows off; there is no steady state"
            )
        weights = np.zeros(equations.size)
        stores = [s for s in equations.stores if s.node in nodes]
        for store in stores:
            weights[equations.column(store.name)] = 1.0
        found.append((equations.node(stores[0].node), weights, float(weights @ start)))
    return found


# ---------------------------------------------------------------- through time


class _March:
    """A network at one time, and its last states."""

    def __init__(self, equations: Equations) -> None:
        self.equations = equations
        self.time_s = 0.0
        self.x = equations.start()
        self.last: list[tuple[float, Floats]] = []  # length of each step and the state before
        self._newton = _Newton(equations)

    def tried(self, step_s: float) -> Floats:
        """Return the state one step on, without going there."""
        if not self.last:
            half, end = self.time_s + 0.5 * step_s, self.time_s + step_s
            whole = self._euler(self.x, step_s, end)
            halves = self._euler(self._euler(self.x, 0.5 * step_s, half), 0.5 * step_s, end)
            return 2 * halves - whole  # the leading errors of either cancel
        before_s, before = self.last[0]
        ratio = step_s / before_s
        rate = (1 + 2 * ratio) / (1 + ratio) / step_s
        past = (ratio**2 / (1 + ratio) * before - (1 + ratio) * self.x) / step_s
        guess = self.x + ratio * (self.x - before) if len(self.last) > 1 else self.x
        return self._newton.solve(guess, rate, past, self.time_s + step_s)

    def _euler(self, x: Floats, step_s: float, time_s: float) -> Floats:
        """Return the state at a time, one backward Euler step after ``x``."""
        return self._newton.solve(x, 1 / step_s, -x / step_s, time_s)

    def advance(self, step_s: float, x: Floats | None = None) -> None:
        """Go one step on, to ``x`` if that was tried before."""
        x = self.tried(step_s) if x is None else x
        self.last = [(step_s, self.x), *self.last[:1]]
        self.x, self.time_s = x, self.time_s + step_s

    def error(self, step_s: float, x: Floats) -> Floats:
        """Return the error of the step to ``x``, from its distance to an extrapolation."""
        (one_s, one), (two_s, two) = self.last
        slope = (self.x - one) / one_s
        curve = (slope - (one - two) / two_s) / (one_s + two_s)
        ahead = self.x + step_s * (slope + (step_s + one_s) * curve)
        ratio = step_s / one_s
        share = step_s * (1 + ratio) / (1 + 2 * ratio) / (step_s + one_s + two_s)
        return np.asarray(np.abs(x - ahead) * share / (1 + share))


def _adaptive(
    march: _March, duration_s: float, step_s: float, tolerance: float, progress: Progress
) -> tuple[Floats, Floats]:
    moving = np.unique(march.equations.b.tocoo().col)
    times, states = [], []
    step = 1e-4 * step_s
    while march.time_s < duration_s * (1 - 1e-12):
        step = min(step, step_s, duration_s - march.time_s)
        try:
            x = march.tried(step)
            worst = 0.0
            if len(march.last) == 2:
                size = np.maximum(np.abs(x), np.abs(march.x)) + 1e-6
                worst = float((march.error(step, x) / size)[moving].max(initial=0.0)) / tolerance
        except NotSolved:
            worst = 8.0
            if step < SMALLEST * step_s:
                raise
        if worst > 1.0 and step > SMALLEST * step_s:
            step *= max(0.2, SAFETY * worst ** (-1 / 3))
            continue
        march.advance(step, x)
        times.append(march.time_s)
        states.append(x)
        if len(times) % 64 == 0:
            progress(march.time_s / duration_s, "network")
        step *= min(GROWTH, SAFETY * max(worst, 1e-3) ** (-1 / 3))
    progress(1.0)
    return np.array(times), np.array(states)


def _check_periods(network: Network, period_s: float) -> None:
    """Raise unless all that beats repeats itself in the period."""
    for element in network.elements:
        own = None
        if isinstance(element, Chamber):
            own = element.period_s
        elif isinstance(element, PressureSource):
            own = element.pressure.period_s
        elif isinstance(element, FlowSource):
            own = element.flow.period_s
        if own is not None and abs(period_s / own - round(period_s / own)) > 1e-9:
            raise UnusableNetwork(
                f"{element.name!r} has a period of {own:g} s, which does not divide {period_s:g} s"
            )


def _result(
    laid: Laid,
    equations: Equations,
    times: Floats,
    states: Floats,
    change: float = 0.0,
    cycles: int = 0,
) -> NetworkResult:
    columns = dict(zip(equations.nodes, states.T))
    flows = {e.name: states[:, equations.column(e.name)] for e in equations.branches}
    volumes = {e.name: states[:, equations.column(e.name)] for e in equations.stores}
    found = laid.together(columns, flows, volumes)
    for course in (times, *(course for courses in found for course in courses.values())):
        course.setflags(write=False)
    return NetworkResult(times, *found, change, cycles)
