"""The passes over the links of a lattice, where populations meet walls and openings."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hemodynamics.compiling import for_both, for_processor, inlined, soon

CHUNK = 4096
"""Links whose gains are summed together, whatever the number of threads."""


AHEAD = 64
"""How many links early a processor is told what it will need."""

LINGERS = np.float32(4 / 9)
"""Which share of a wall's gain is that of the step before.

A gain that changes its sign in every step is held to a ninth. Without it such a swing grows
along walls where the relaxation time is near one half, until it stirs the flow: the jet behind a
nozzle broke down too early. In round tubes 0.35 is not enough at a relaxation time of 0.5012, nor
is one half, which leaves the swing as it is. No older gains count: a gain that comes four steps
late feeds sound that runs to and fro across a vessel, until it stirs the flow at outlets.
"""


@inlined
def _gain(now: Any, sources: Any, factors: Any, n: Any) -> Any:
    """Return what departed along a link, and by how much more arrives."""
    first = now[np.uint64(sources[n, 0])]
    more = factors[n, 0] * (now[np.uint64(sources[n, 1])] - first)
    return first, more + factors[n, 1] * (now[np.uint64(sources[n, 2])] - first)


@for_both
def walls(
    now: Any, count: Any, targets: Any, sources: Any, factors: Any, lingering: Any, share: Any,
    gains: Any,
) -> Any:  # fmt: skip
    """Fill what arrives from walls, the first ``count`` links; write what mass they gained."""
    for chunk in numba.prange(len(gains)):
        gained = np.float32(0.0)
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            after = min(n + AHEAD, count - 1)
            for k in range(3):
                soon(now, np.uint64(sources[after, k]))
            first, more = _gain(now, sources, factors, n)
            before = lingering[n]
            lingering[n] = more
            more += share * (before - more)
            now[np.uint64(targets[n])] = first + more
            gained += more
        gains[chunk] = gained


@for_processor
def inlets(now: Any, count: Any, targets: Any, sources: Any, factors: Any, added: Any) -> Any:
    """Fill what arrives from openings, all links but the first ``count``."""
    for n in range(count, len(targets)):
        first, more = _gain(now, sources, factors, n)
        now[np.uint64(targets[n])] = first + more + added[n]


@for_processor
def outlets(
    now: Any, targets: Any, sources: Any, factors: Any, weights: Any, slopes: Any, density: Any,
    speed: Any,
) -> Any:  # fmt: skip
    """Fill the incoming values of an outlet from those inside, shifted in density and speed."""
    for n in range(len(targets)):
        value = density * weights[n] + speed * slopes[n]
        for k in range(sources.shape[1]):
            value += factors[n, k] * now[np.uint64(sources[n, k])]
        now[np.uint64(targets[n])] = value


@for_processor
def weighed(now: Any, at: Any, gains: Any) -> Any:
    """Return two sums of populations, each with factors of its own."""
    one, two = 0.0, 0.0
    for n in range(len(at)):
        value = now[np.uint64(at[n])]
        one += gains[0, n] * value
        two += gains[1, n] * value
    return one, two


@inlined
def _sum(now: Any, at: Any) -> Any:
    """Return the sum of populations, in four parts, since one sum would wait for itself."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = len(at) // 4 * 4
    for n in range(0, whole, 4):
        a += now[np.uint64(at[n])]
        b += now[np.uint64(at[n + 1])]
        c += now[np.uint64(at[n + 2])]
        d += now[np.uint64(at[n + 3])]
    for n in range(whole, len(at)):
        a += now[np.uint64(at[n])]
    return (a + b) + (c + d)


@for_processor
def total(now: Any, at: Any) -> Any:
    """Return the sum of populations."""
    return _sum(now, at)


@for_processor
def difference(now: Any, plus: Any, minus: Any) -> Any:
    """Return the sum of populations less that of others."""
    return _sum(now, plus) - _sum(now, minus)
