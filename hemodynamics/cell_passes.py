"""The passes over all cells of a lattice, for the processor."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hemodynamics.compiling import (
    RUNS,
    WIDE,
    for_both,
    for_processor,
    gather,
    inlined,
    scatter,
    soon,
)
from hemodynamics.lattice import HALF, ONE, TWO, WEIGHTS, compiled

LANES = WIDE
"""Cells of a block: the populations of one direction of a block are neighbours in memory."""
BLOCK = 27 * LANES


_CELL = compiled(inlined)
_moments, _settle, _collide = _CELL.moments, _CELL.settle, _CELL.collide
_departure, _shear_size, _rate_at = _CELL.departure, _CELL.shear_size, _CELL.rate_at
_dragged, _slowed = _CELL.dragged, _CELL.slowed
_WEIGHTS = tuple(WEIGHTS.astype(np.float32))


@inlined
def _load(a: Any, i: Any) -> Any:
    """Return the 27 populations of lane ``i`` of a block."""
    return (
        a[i + 0 * LANES], a[i + 1 * LANES], a[i + 2 * LANES], a[i + 3 * LANES],
        a[i + 4 * LANES], a[i + 5 * LANES], a[i + 6 * LANES], a[i + 7 * LANES],
        a[i + 8 * LANES], a[i + 9 * LANES], a[i + 10 * LANES], a[i + 11 * LANES],
        a[i + 12 * LANES], a[i + 13 * LANES], a[i + 14 * LANES], a[i + 15 * LANES],
        a[i + 16 * LANES], a[i + 17 * LANES], a[i + 18 * LANES], a[i + 19 * LANES],
        a[i + 20 * LANES], a[i + 21 * LANES], a[i + 22 * LANES], a[i + 23 * LANES],
        a[i + 24 * LANES], a[i + 25 * LANES], a[i + 26 * LANES],
    )  # fmt: skip


@inlined
def _store(a: Any, i: Any, rho: Any, f: Any, w: Any) -> Any:
    """Write the 27 populations of lane ``i``, less their weights, each where its reverse stood."""
    a[i + 26 * LANES] = rho * f[0] - w[0]
    a[i + 25 * LANES] = rho * f[1] - w[1]
    a[i + 24 * LANES] = rho * f[2] - w[2]
    a[i + 23 * LANES] = rho * f[3] - w[3]
    a[i + 22 * LANES] = rho * f[4] - w[4]
    a[i + 21 * LANES] = rho * f[5] - w[5]
    a[i + 20 * LANES] = rho * f[6] - w[6]
    a[i + 19 * LANES] = rho * f[7] - w[7]
    a[i + 18 * LANES] = rho * f[8] - w[8]
    a[i + 17 * LANES] = rho * f[9] - w[9]
    a[i + 16 * LANES] = rho * f[10] - w[10]
    a[i + 15 * LANES] = rho * f[11] - w[11]
    a[i + 14 * LANES] = rho * f[12] - w[12]
    a[i + 13 * LANES] = rho * f[13] - w[13]
    a[i + 12 * LANES] = rho * f[14] - w[14]
    a[i + 11 * LANES] = rho * f[15] - w[15]
    a[i + 10 * LANES] = rho * f[16] - w[16]
    a[i + 9 * LANES] = rho * f[17] - w[17]
    a[i + 8 * LANES] = rho * f[18] - w[18]
    a[i + 7 * LANES] = rho * f[19] - w[19]
    a[i + 6 * LANES] = rho * f[20] - w[20]
    a[i + 5 * LANES] = rho * f[21] - w[21]
    a[i + 4 * LANES] = rho * f[22] - w[22]
    a[i + 3 * LANES] = rho * f[23] - w[23]
    a[i + 2 * LANES] = rho * f[24] - w[24]
    a[i + 1 * LANES] = rho * f[25] - w[25]
    a[i + 0 * LANES] = rho * f[26] - w[26]


@for_processor
def _collide_block(a: Any, omega: Any, carry: Any, force: Any, source: Any) -> Any:
    """Collide one block of populations; the loop becomes vector instructions."""
    for lane in range(LANES):
        rho, f = _collide(_load(a, lane), omega, carry, force, source)
        _store(a, lane, rho, f, _WEIGHTS)


@for_processor
def _resist_block(
    a: Any,
    law: Any,
    linear: Any,
    quadratic: Any,
    omegas: Any,
    carry: Any,
    force: Any,
    source: Any,
) -> Any:
    """Collide one block whose cells have viscosities and drags of their own.

    ``law`` is a table of rates and its middle, ``omegas`` room for the rates of a block. Only
    the look-up cannot become vector instructions, so it has a loop of its own.
    """
    for lane in range(LANES):
        omegas[lane] = _shear_size(_moments(_load(a, lane)))
    for lane in range(LANES):
        omegas[lane] = _rate_at(omegas[lane], law[0], law[1])
    for lane in range(LANES):
        m = _moments(_load(a, lane))
        share = _dragged(m, force, linear[lane], quadratic[lane])
        rho, f = _settle(m, omegas[lane], carry, _slowed(m, force, share), source)
        _store(a, lane, rho, f, _WEIGHTS)


@inlined
def _fetch(now: Any, pull: Any, start: Any, block: Any) -> Any:
    """Copy what streams into the cells of a block from where it was left."""
    for n in range(BLOCK):
        block[n] = now[np.uint64(pull[np.uint64(start) + np.uint64(n)])]


@inlined
def _bring(now: Any, firsts: Any, places: Any, codes: Any, number: Any, block: Any) -> Any:
    """As `_fetch`, by runs of neighbours where a processor has instructions for them."""
    if RUNS:
        gather(now, places, codes, firsts[number], firsts[number + np.uint64(1)], block)
    else:
        # Table and populations outgrow the caches: what the next block takes is asked for early.
        after = min(firsts[number + np.uint64(1)], np.uint64(len(places) - BLOCK))
        for n in range(0, BLOCK, 8):
            soon(now, np.uint64(places[after + np.uint64(n)]))
        _fetch(now, places, firsts[number], block)


@inlined
def _put(now: Any, firsts: Any, places: Any, codes: Any, number: Any, block: Any) -> Any:
    """Copy a block to where it was brought from."""
    if RUNS:
        scatter(now, places, codes, firsts[number], firsts[number + np.uint64(1)], block)
    else:
        for n in range(BLOCK):
            now[np.uint64(places[firsts[number] + np.uint64(n)])] = block[n]


@for_both
def step_cells(
    now: Any, firsts: Any, places: Any, codes: Any, stay: Any, omega: Any, carry: Any, force: Any,
    source: Any, parts: Any,
) -> Any:  # fmt: skip
    """Stream and collide all blocks in place, in ``parts`` parts.

    Where populations ``stay`` each cell finds those that arrive in its own places, and leaves
    those that depart there, each where its reverse stood. The next step fetches them from the
    places of the neighbours, and leaves what departs there again (Bailey 2009,
    doi:10.1109/ICPP.2009.38).
    """
    blocks = len(firsts) - 1
    for part in numba.prange(parts):
        given = np.empty(BLOCK, np.float32)
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            start = block * BLOCK
            if stay:
                _collide_block(now[start : start + BLOCK], omega, carry, force, source)
            else:
                _bring(now, firsts, places, codes, np.uint64(block), given)
                _collide_block(given, omega, carry, force, source)
                _put(now, firsts, places, codes, np.uint64(block), given)


@for_both
def step_resisting_cells(
    now: Any, firsts: Any, places: Any, codes: Any, stay: Any, rates: Any, half: Any,
    linear: Any, quadratic: Any, carry: Any, force: Any, source: Any, parts: Any,
) -> Any:  # fmt: skip
    """As `step_cells`, with viscosities by a table of rates and a drag in each cell."""
    blocks, law = len(firsts) - 1, (rates, half)
    for part in numba.prange(parts):
        given, omegas = np.empty(BLOCK, np.float32), np.empty(LANES, np.float32)
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            start, first = block * BLOCK, block * LANES
            one, two = linear[first : first + LANES], quadratic[first : first + LANES]
            if stay:
                a = now[start : start + BLOCK]
                _resist_block(a, law, one, two, omegas, carry, force, source)
            else:
                _bring(now, firsts, places, codes, np.uint64(block), given)
                _resist_block(given, law, one, two, omegas, carry, force, source)
                _put(now, firsts, places, codes, np.uint64(block), given)


@for_both
def fields(
    now: Any, pull: Any, stay: Any, rates: Any, half: Any, linear: Any, quadratic: Any,
    force: Any, out: Any,
) -> Any:  # fmt: skip
    """Write density less one, velocity (3) and viscous stress (6) of each cell, lattice units."""
    for block in numba.prange(len(pull) // BLOCK):
        given = now[block * BLOCK : (block + 1) * BLOCK].copy()
        if not stay:
            _fetch(now, pull, block * BLOCK, given)
        for cell in range(block * LANES, min((block + 1) * LANES, out.shape[1])):
            m = _moments(_load(given, cell - block * LANES))
            omega = _rate_at(_shear_size(m), rates, half)
            left = _dragged(m, force, linear[cell], quadratic[cell])
            out[0, cell] = m[0]
            for n in range(3):
                moved = m[1 + n] / (m[0] + ONE)
                out[1 + n, cell] = left * moved + (left - ONE) * HALF * force[n]
            p = _departure(m)
            share = -(ONE - omega / TWO)
            for n in range(6):
                out[4 + n, cell] = share * p[n]
