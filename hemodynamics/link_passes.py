"""The passes over the links of a lattice, where populations meet walls and openings."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hemodynamics.compiling import for_both, for_processor, soon

CHUNK = 4096
"""Links whose gains are summed together, whatever the number of threads."""


AHEAD = 24
"""How many links early a processor is told what it will need."""


@for_both
def walls(
    now: Any, targets: Any, sources: Any, factors: Any, added: Any, is_wall: Any, gains: Any
) -> Any:
    """Fill the incoming values of walls and inlets; write what mass the walls gained."""
    count = len(targets)
    for chunk in numba.prange(len(gains)):
        gained = np.float32(0.0)
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            after = min(n + AHEAD, count - 1)
            for k in range(3):
                soon(now, np.uint64(sources[after, k]))
            soon(now, np.uint64(targets[after]))
            first = now[np.uint64(sources[n, 0])]
            value = added[n] + factors[n, 0] * first
            value += factors[n, 1] * now[np.uint64(sources[n, 1])]
            value += factors[n, 2] * now[np.uint64(sources[n, 2])]
            now[np.uint64(targets[n])] = value
            if is_wall[n]:
                gained += value - first
        gains[chunk] = gained


@for_processor
def outlets(
    now: Any, pull: Any, stay: Any, targets: Any, sources: Any, factors: Any, shift: Any
) -> Any:
    """Fill the incoming values of an outlet from populations inside, shifted in density."""
    for n in range(len(targets)):
        value = shift[n]
        for k in range(sources.shape[0]):
            source = pull[sources[k, n]] if stay else sources[k, n]
            value += factors[k, n] * now[source]
        now[targets[n]] = value


@for_processor
def total(now: Any, pull: Any, stay: Any, sources: Any) -> Any:
    """Return the sum of populations that departed."""
    found = 0.0
    for n in range(len(sources)):
        found += now[pull[sources[n]] if stay else sources[n]]
    return found
