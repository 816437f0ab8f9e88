"""How many threads a lattice takes its steps with: on a busy machine one may be the fastest.

A pass over the cells is over when its last thread is. Where another program holds a core, all
threads wait for the one that stands there, at every pass, and steps take ten times as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hemodynamics.solver import Lattice

TRIED = 20
"""Steps by which a number of threads is judged."""

AGAIN_S = 3.0
"""How long what was found to be the fastest is kept."""

SLOW = 2.5e7
"""Updates of a cell per second below which one thread is tried: a single one does twice that on
usual processors."""


class Pacer:
    """Lets a lattice take its steps with all threads, or with one where that is faster now.

    The number of threads changes no bit of a result.
    """

    def __init__(self, lattice: Lattice, now: Callable[[], float] = time.monotonic) -> None:
        self._lattice, self._now = lattice, now
        self._all = lattice.threads
        self._paces: dict[int, float] = {}
        self._count, self._since, self._until = 0, now(), 0.0

    def step(self) -> None:
        """Hear that a step was taken."""
        self._count += 1
        if self._all == 1 or self._count < TRIED:
            return
        now, lattice = self._now(), self._lattice
        pace = (now - self._since) / self._count
        self._count, self._since = 0, now
        if now < self._until:
            return
        if not self._paces and lattice.threads != self._all:  # time to try all of them again
            lattice.threads = self._all
            self._until = 0.0
            return
        self._paces[lattice.threads] = pace
        if len(self._paces) == 1 and pace * SLOW > lattice.layout.cells:
            lattice.threads = 1
            return
        lattice.threads = min(self._paces, key=lambda threads: self._paces[threads])
        self._paces, self._until = {}, now + AGAIN_S
