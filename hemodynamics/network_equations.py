"""The equations of a lumped network: modified nodal analysis with volumes as unknowns.

The unknowns are the pressures of the nodes, the flows of the branches and the stored volumes.
Every node balances its flows, every branch and store adds its law::

    A x + B dx/dt + s(t) + f(x, t) = 0

with constant sparse A and B, sources s, and f for what is not linear or beats. Ho, Ruehli and
Brennan 1975 (doi:10.1109/TCS.1975.1084079). Since volumes stand in the balances themselves, any
linear rule for dx/dt keeps their sum to the accuracy of the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from hemodynamics.lumped import (
    GROUND,
    Branch,
    Chamber,
    Collapsible,
    Compliance,
    Course,
    FlowSource,
    Inertance,
    Network,
    PressureSource,
    Resistor,
    Storage,
    Valve,
    Vein,
    ends_of,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Entry = tuple[int, int, float]

STIFF, SOFT = 10.0, -1.5
"""Exponents of a vein's tube law, distended and collapsed."""

LEAST = 1e-3
"""Share of its unstressed volume below which a vein's law goes on as a straight line."""


@dataclass(frozen=True)
class Bent:
    """What bends a network's laws: columns are unknowns, the last one the ground's zero."""

    rows: Ints
    one: Ints
    two: Ints
    outside: Ints
    first: Floats
    second: Floats


class Equations:
    """The equations of one network without tubes, in the order nodes, branches, stores."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes = network.nodes
        self.branches = [e for e in network.elements if isinstance(e, Branch)]
        self.stores = [e for e in network.elements if isinstance(e, Storage)]
        names = (*self.nodes, *(e.name for e in (*self.branches, *self.stores)))
        self.names = names
        self.size = len(names)
        self._node = {name: place for place, name in enumerate(self.nodes)}
        self._node[GROUND] = self.size  # a column of zeros
        others = names[len(self.nodes) :]
        self._column = {name: place for place, name in enumerate(others, len(self.nodes))}
        a, b = self._linear()
        self.a, self.b = self._matrix(a), self._matrix(b)
        self._sources = [e for e in network.elements if isinstance(e, PressureSource | FlowSource)]
        self._chambers = [e for e in self.stores if isinstance(e, Chamber)]
        self._gather()
        self._pattern(a, b)
        bent = (self._quadratic, self._valves, self._falls, self._veins, self._beats)
        self.is_linear = False
        self._straight = self.bend(np.zeros(self.size), 0.0)
        self.is_linear = not any(part.first.any() for part in bent)

    # What is linear and constant ------------------------------------------------------

    def node(self, name: str) -> int:
        """Return the column of a node's pressure."""
        return self._node[name]

    def column(self, element: str) -> int:
        """Return the column of a branch's flow or a store's volume."""
        return self._column[element]

    def _linear(self) -> tuple[list[Entry], list[Entry]]:
        a: list[Entry] = []
        b: list[Entry] = []
        for element in self.branches:
            row, (start, end) = self.column(element.name), map(self.node, ends_of(element))
            a += [(start, row, -1.0), (end, row, 1.0)]
            if isinstance(element, Resistor | Inertance):
                a += [(row, start, 1.0), (row, end, -1.0)]
            if isinstance(element, PressureSource):
                a += [(row, start, -1.0), (row, end, 1.0)]
            if isinstance(element, Resistor | Collapsible):
                a.append((row, row, -element.resistance))
            if isinstance(element, Valve):
                a.append((row, row, -1.0))
            if isinstance(element, Inertance):
                b.append((row, row, -element.inertance))
        for store in self.stores:
            row, node, outside = (
                self.column(store.name),
                *map(self.node, (store.node, store.outside)),
            )
            b.append((node, row, -1.0))
            factor = store.compliance if isinstance(store, Compliance) else 1.0
            a += [(row, node, factor), (row, outside, -factor)]
            if isinstance(store, Compliance):
                a.append((row, row, -1.0))
        return a, b

    def _matrix(self, entries: Sequence[Entry]) -> csc_array:
        rows, columns, values = self._inside(entries)
        return csc_array((values, (rows, columns)), shape=(self.size, self.size))

    def _inside(self, entries: Sequence[Entry]) -> tuple[Ints, Ints, Floats]:
        """Return the entries without those of the ground, which has no pressure of its own."""
        kept = [e for e in entries if e[0] < self.size and e[1] < self.size]
        rows, columns, values = np.array(kept, float).reshape(-1, 3).T
        return rows.astype(np.int64), columns.astype(np.int64), values

    def start(self) -> Floats:
        """Return the unknowns at the beginning; only volumes and flows with inertia count."""
        x = np.zeros(self.size)
        for store in self.stores:
            given = store.initial_ml
            x[self.column(store.name)] = store.unstressed_ml if given is None else given
        for element in self.branches:
            if isinstance(element, Inertance):
                x[self.column(element.name)] = element.initial_ml_s
        return x

    # What acts from outside, bends and beats --------------------------------------------

    def sources(self, time_s: float | None) -> Floats:
        """Return s(t): what sources add, and the unstressed volumes; for None, of the means."""
        s = self._constant.copy()
        for source in self._sources:
            if isinstance(source, PressureSource):
                s[self.column(source.name)] -= _value(source.pressure, time_s)
            else:
                flow = _value(source.flow, time_s)
                for node, sign in ((source.start, -1.0), (source.end, 1.0)):
                    if node != GROUND:
                        s[self.node(node)] += sign * flow
        return s

    def _gather(self) -> None:
        self._constant = np.zeros(self.size)
        for store in self.stores:
            if isinstance(store, Compliance):
                self._constant[self.column(store.name)] = store.unstressed_ml
        self._quadratic = self._bent(Resistor, lambda e: (e.quadratic, 0.0))
        self._valves = self._bent(Valve, lambda e: (1.0 / e.resistance, e.leak))
        self._falls = self._bent(Collapsible, lambda e: (1.0, 0.0))
        self._veins = self._bent(Vein, lambda e: (e.stiffness_mmhg, e.unstressed_ml))
        self._beats = self._bent(Chamber, lambda e: (e.unstressed_ml, 0.0))

    def _bent(self, kind: type, values: Any) -> Bent:
        found = [e for e in (*self.branches, *self.stores) if isinstance(e, kind)]
        places = [[self.column(e.name), *self._ends(e)] for e in found]
        numbers = [values(e) for e in found]
        columns = np.array(places, np.int64).reshape(-1, 4).T
        first, second = np.array(numbers, float).reshape(-1, 2).T
        rows, one, two, outside = columns
        return Bent(rows, one, two, outside, first, second)

    def _ends(self, element: Any) -> tuple[int, int, int]:
        one, *others = (self.node(n) for n in ends_of(element))
        outside = self.node(getattr(element, "outside", GROUND))
        return one, (others[0] if others else one), outside

    def bend(self, x: Floats, time_s: float) -> tuple[Floats, Floats]:
        """Return f(x, t) and its derivatives, in the order of the places that it changes."""
        if self.is_linear:
            return self._straight
        y = np.append(x, 0.0)
        f, slopes = np.zeros(self.size + 1), []
        part = self._quadratic
        q = y[part.rows]
        f[part.rows] -= part.first * q * np.abs(q)
        slopes.append(-2.0 * part.first * np.abs(q))
        part = self._valves
        drop = y[part.one] - y[part.two]
        conductance = np.where(drop > 0, part.first, part.second)
        f[part.rows] += conductance * drop
        slopes += [conductance, -conductance]
        part = self._falls
        high, low, outside = y[part.one], y[part.two], y[part.outside]
        f[part.rows] += np.maximum(high, outside) - np.maximum(low, outside)
        first, second = (high >= outside).astype(float), (low >= outside).astype(float)
        slopes += [first, -second, second - first]
        part = self._veins
        tube, steep = tube_law(y[part.rows] / part.second)
        f[part.rows] -= part.first * tube
        slopes.append(-part.first / part.second * steep)
        part = self._beats
        elastance = np.array([chamber.elastance(time_s) for chamber in self._chambers])
        f[part.rows] -= elastance * (y[part.rows] - part.first)
        slopes.append(-elastance)
        return f[: self.size], np.concatenate(slopes)

    # The derivatives as one sparse matrix -----------------------------------------------

    def _pattern(self, a: Sequence[Entry], b: Sequence[Entry]) -> None:
        bent = [(self._quadratic, "rows"), (self._valves, "one"), (self._valves, "two")]
        bent += [(self._falls, "one"), (self._falls, "two"), (self._falls, "outside")]
        bent += [(self._veins, "rows"), (self._beats, "rows")]
        changing = [np.stack([part.rows, getattr(part, of)], axis=1) for part, of in bent]
        places = np.concatenate([np.array(a, float).reshape(-1, 3)[:, :2],
                                 np.array(b, float).reshape(-1, 3)[:, :2], *changing])  # fmt: skip
        rows, columns = places.astype(np.int64).T
        self._used = (rows < self.size) & (columns < self.size)
        keys, self._slot = np.unique(
            columns[self._used] * self.size + rows[self._used], return_inverse=True
        )
        self._row = (keys % self.size).astype(np.int32)
        counts = np.bincount(keys // self.size, minlength=self.size)
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        self._values = [np.array([e[2] for e in part], float) for part in (a, b)]

    def slope(self, rate: float, bent: Floats) -> csc_array:
        """Return A + ``rate`` B + df/dx, with the derivatives that `bend` gave."""
        every = np.concatenate([self._values[0], rate * self._values[1], bent])
        data = np.bincount(self._slot, every[self._used], minlength=len(self._row))
        return csc_array((data, self._row, self._first), shape=(self.size, self.size))


def _value(course: Course, time_s: float | None) -> float:
    return course.mean if time_s is None else course.at(time_s)


def tube_law(area: Floats) -> tuple[Floats, Floats]:
    """Return a^10 - a^-1.5 and its derivative; far below a collapse it goes on straight."""
    held = np.maximum(area, LEAST)
    steep = STIFF * held ** (STIFF - 1) - SOFT * held ** (SOFT - 1)
    return held**STIFF - held**SOFT + steep * (area - held), steep
