"""Closed loops of blood whose every node stores some: many heart beats in milliseconds.

Where each node holds one compliance or chamber, and resistors and valves join the nodes, the
pressures follow from the volumes at once, and the volumes V obey dV/dt = what flows in less what
flows out. The classical Runge-Kutta rule of fourth order follows them beat by beat. Every flow
leaves one store and enters another, so the sum of the volumes stays. Units as in
`hemodynamics.lumped`; `network_solution` solves any network, more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from hemodynamics.lumped import GROUND, Chamber, Compliance, Network, Resistor, Valve
from hemodynamics.network_solution import NotSolved

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS = 600
"""Steps in a beat."""

STABLE = 2.7
"""Product of a step and the fastest rate that the Runge-Kutta rule follows (below 2.78)."""


DEPTH = 6
"""Earlier states from which the next guess is made."""


class NotALoop(ValueError):
    """A network is not a closed loop of stores, resistors and valves with one period."""


@dataclass(frozen=True)
class Beat:
    """A loop whose state repeats itself, over one beat.

    Attributes:
        times_s: (n,) from 0 to the period.
        pressures_mmhg, volumes_ml: (n, nodes) then.
        mean_mmhg: (nodes,) mean pressures over the beat, weighted as the steps were.
        change: how far a further beat moves a volume, as a share of all blood.
        beats: that were computed.
    """

    times_s: Floats
    pressures_mmhg: Floats
    volumes_ml: Floats
    mean_mmhg: Floats
    change: float
    beats: int


@dataclass(frozen=True)
class Loop:
    """A closed loop as arrays, in the order of its nodes.

    Attributes:
        nodes: their names.
        period_s: of the heart.
        stiffness: (2 steps + 1, nodes) mmHg/mL at every half step of a beat.
        rest_ml: (nodes,) unstressed volumes.
        ends: (links, 2) nodes that resistors and valves join.
        forward, backward: (links,) their conductances (mL/s/mmHg).
    """

    nodes: tuple[str, ...]
    period_s: float
    stiffness: Floats
    rest_ml: Floats
    ends: Ints
    forward: Floats
    backward: Floats

    def repeated(self, volumes_ml: Floats, tolerance: float = 1e-9, most_beats: int = 1000) -> Beat:
        """Return the beat that repeats itself, with the blood of ``volumes_ml`` (nodes,).

        Raises:
            NotSolved: if it does not settle.
        """
        whole = float(np.abs(volumes_ml).sum())
        state, beats = settled(
            lambda x: self.beat(x)[0],
            np.array(volumes_ml, np.float64),
            tolerance * whole,
            most_beats,
        )
        step = self.period_s / STEPS
        links = (self.ends, self.forward, self.backward)
        after, mean, trace = _beat(state, step, self.stiffness, self.rest_ml, *links)
        pressures = self.stiffness[::2] * (trace - self.rest_ml)
        change = float(np.abs(after - state).max() / whole)
        return Beat(np.linspace(0, self.period_s, STEPS + 1), pressures, trace, mean, change, beats)

    def beat(self, volumes_ml: Floats) -> tuple[Floats, Floats]:
        """Return the volumes one beat later, and the mean pressures over it."""
        step = self.period_s / STEPS
        links = (self.ends, self.forward, self.backward)
        volumes, mean, _ = _beat(volumes_ml, step, self.stiffness, self.rest_ml, *links)
        return volumes, mean


def loop_of(network: Network) -> Loop:
    """Return the arrays of a network.

    Raises:
        NotALoop: naming what does not fit, or what is too stiff for the steps.
    """
    stores: dict[str, Compliance | Chamber] = {}
    links: list[Resistor | Valve] = []
    for element in network.elements:
        if isinstance(element, Compliance | Chamber) and element.node not in stores:
            stores[element.node] = element
        elif isinstance(element, Valve) or (
            isinstance(element, Resistor) and element.quadratic == 0
        ):
            links.append(element)
        else:
            raise NotALoop(f"{element.name!r} cannot be part of a closed loop of stores")
    nodes = network.nodes
    if any(node not in stores for node in nodes) or GROUND in (e for x in links for e in _ends(x)):
        raise NotALoop("every node of the loop must store blood, and none flows off")
    if any(store.outside != GROUND for store in stores.values()):
        raise NotALoop("in a closed loop nothing but the air acts from outside")
    periods = {s.period_s for s in stores.values() if isinstance(s, Chamber)}
    if len(periods) != 1:
        raise NotALoop("the chambers of a closed loop must have one period")
    place = {node: n for n, node in enumerate(nodes)}
    period = periods.pop()
    times = np.linspace(0, period, 2 * STEPS + 1)
    loop = Loop(
        nodes,
        period,
        np.stack([_stiffness(stores[node], times) for node in nodes], axis=1),
        np.array([stores[node].unstressed_ml for node in nodes]),
        np.array([[place[end] for end in _ends(link)] for link in links], np.int64),
        np.array([1 / link.resistance for link in links]),
        np.array([x.leak if isinstance(x, Valve) else 1 / x.resistance for x in links]),
    )
    _check_steps(loop)
    return loop


def _ends(link: Resistor | Valve) -> tuple[str, str]:
    return link.start, link.end


def _stiffness(store: Compliance | Chamber, times_s: Floats) -> Floats:
    if isinstance(store, Compliance):
        return np.full(len(times_s), 1 / store.compliance)
    since = (times_s - store.onset_s) % store.period_s
    rising = since < store.rise_s
    phase = np.where(rising, since / store.rise_s, 1 + (since - store.rise_s) / store.fall_s)
    active = 0.5 - 0.5 * np.cos(np.pi * np.minimum(phase, 2.0))
    return np.asarray(store.relaxed + (store.contracted - store.relaxed) * active)


def _check_steps(loop: Loop) -> None:
    """Raise if some link is too wide between stores too stiff for the steps."""
    stiffest = loop.stiffness.max(axis=0)
    wide = np.maximum(loop.forward, loop.backward)
    rates = np.zeros(len(loop.nodes))
    for (start, end), conductance in zip(loop.ends, wide):
        rates[start] += conductance
        rates[end] += conductance
    fastest = float((rates * stiffest).max())
    if fastest * loop.period_s / STEPS > STABLE:
        raise NotALoop(f"a rate of {fastest:.4g}/s is too fast for {STEPS} steps in a beat")


def settled(
    step: Callable[[Floats], Floats], state: Floats, tolerance: float, most: int
) -> tuple[Floats, int]:
    """Return the state that a step leaves as it is, and the steps that it took.

    Anderson 1965 (doi:10.1145/321296.321305) with `DEPTH` earlier states. Its states are sums of
    earlier ones with weights that add up to one, so what every step keeps, such as the blood,
    is kept.

    Raises:
        NotSolved: if there is none, or it takes more than ``most`` steps.
    """
    states: list[Floats] = []
    moves: list[Floats] = []
    for taken in range(1, most + 1):
        move = step(state) - state
        if not np.isfinite(move).all():
            break
        if np.abs(move).max() < tolerance:
            return state, taken
        states, moves = [*states[-DEPTH:], state], [*moves[-DEPTH:], move]
        following = state + move
        if len(moves) > 1:
            moved, change = np.diff(states, axis=0).T, np.diff(moves, axis=0).T
            weights = np.linalg.lstsq(change, move, rcond=1e-10)[0]
            following = following - (moved + change) @ weights
        state = following
    raise NotSolved("the circulation does not settle; check its pressures and flows")


def means_of(loop: Loop, beat: Beat) -> Mapping[str, float]:
    """Return the mean pressure (mmHg) by node."""
    return {node: float(mean) for node, mean in zip(loop.nodes, beat.mean_mmhg)}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _beat(
    start: Floats,
    step: float,
    stiffness: Floats,
    rest: Floats,
    ends: Ints,
    forward: Floats,
    backward: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Follow one beat; return the last volumes, the mean pressures and the volumes over time."""
    steps, n = len(stiffness) // 2, len(start)
    volumes = start.copy()
    trace = np.empty((steps + 1, n))
    trace[0] = volumes
    mean = np.zeros(n)
    near, pressure, rate = np.empty(n), np.empty(n), np.empty(n)
    total = np.empty(n)
    for k in range(steps):
        for i in range(n):
            near[i] = volumes[i]
            total[i] = 0.0
        for stage in range(4):
            row = 2 * k + (stage + 1) // 2
            weight = 1.0 / 6.0 if stage in (0, 3) else 1.0 / 3.0
            for i in range(n):
                pressure[i] = stiffness[row, i] * (near[i] - rest[i])
                mean[i] += weight * pressure[i]
                rate[i] = 0.0
            for j in range(len(ends)):
                a, b = ends[j, 0], ends[j, 1]
                drop = pressure[a] - pressure[b]
                flow = drop * (forward[j] if drop > 0 else backward[j])
                rate[a] -= flow
                rate[b] += flow
            ahead = step if stage == 2 else 0.5 * step
            for i in range(n):
                total[i] += weight * rate[i]
                near[i] = volumes[i] + ahead * rate[i]
        for i in range(n):
            volumes[i] += step * total[i]
        trace[k + 1] = volumes
    return volumes, mean / steps, trace
