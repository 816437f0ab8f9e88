"""The 3D flow kernel beside copying memory, on the processor and on a card where there is one.

A step of the lattice reads and writes 27 single-precision populations of each cell, and every
other step a table of where they are: 27 addresses of a cell on a card, runs of neighbours on the
processor. The peer is a copy that moves as many bytes with as many threads, measured in turns
with the steps, so the ratio is one over the share of the copy's bandwidth. What a wall's links
read besides is not counted. Times are medians, and shares are told with their quartiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np
from numba import cuda

from hemodynamics.gpu import CudaLattice, card
from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import WALL, Floats, Ints, Layout, Links, Singles, lay_out, table
from hemodynamics.solver import Lattice
from workstation.benchmark.rows import Row

BYTES_A_CELL = 27 * 4 * 2
"""What a step reads and writes of each cell, without the table."""

SHARE = 0.6
"""What part of the copy's bandwidth is asked for."""

TIMES = 200.0
"""How many times faster than the processor a data-centre card should be."""

RADIUS, LENGTH, LENGTH_ON_CARD = 24, 160, 1600
"""Of the tube, in cells: what a processor's caches do not hold, and what fills a card."""

STEPS, ROUNDS = 2, 15


def flow(peers: bool) -> list[Row]:
    """Measure a step of the kernel, with and without its walls; the copy is always beside it."""
    return processor_rows() + (card_rows() if card() else [])


def tube(radius: float, length: int) -> tuple[Ints, Links]:
    """Return neighbours (27, cells) and links of a tube along z that closes upon itself."""
    reach = int(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = np.broadcast_to(np.hypot(x, y) < radius, (length, *x.shape))
    index = np.full(inside.shape, -1)
    index[inside] = np.arange(np.count_nonzero(inside))
    neighbours = np.stack(
        [np.roll(index, (-z, -y, -x), (0, 1, 2))[inside] for x, y, z in VELOCITIES]
    )
    direction, cell = np.nonzero(neighbours < 0)
    half = np.full(len(cell), 0.5)
    return neighbours, Links(cell, direction, half, np.full(len(cell), WALL))


def processor_rows() -> list[Row]:
    """Measure the processor, with all its threads."""
    neighbours, links = tube(RADIUS, LENGTH)
    layout = lay_out(neighbours, links)
    lattice = Lattice(layout, links, 0.55, numba.get_num_threads())
    source = np.ones(_moved(layout, sum(part.nbytes for part in table(layout.pull))), np.float32)
    target = np.zeros_like(source)
    peer = "copying, same threads"
    return _rows(lattice, lambda: _copy(source, target), peer, "flow", lambda: None, _processor_s)


def card_rows() -> list[Row]:
    """Measure the first CUDA card, beside copying there and beside the processor."""
    neighbours, links = tube(RADIUS, LENGTH_ON_CARD)
    layout = lay_out(neighbours, links)
    lattice = CudaLattice(layout, links, 0.55)
    source = cuda.to_device(np.ones(_moved(layout, layout.pull.nbytes), np.float32))
    target = cuda.device_array_like(source)
    rows = _rows(
        lattice,
        lambda: target.copy_to_device(source),
        f"copying on {card()}",
        "flow on a card",
        lattice.wait,
        time.perf_counter,
    )
    alone = Lattice(layout, links, 0.55, numba.get_num_threads())
    turns = _turns([_steps(alone, meets=True)], lambda: None, _processor_s)
    ms = float(np.median(turns)) / STEPS
    whole = rows[-1].ms
    what = f"a step with walls, {layout.cells:,} cells, on a card"
    return [
        *rows,
        Row("flow, card and processor", what, whole, ms / TIMES, "the processor, all threads", ms),
    ]


def _moved(layout: Layout, read: int) -> int:
    """Return how many numbers a copy takes to move what a step with such a table (bytes) does."""
    return (layout.cells * BYTES_A_CELL + read // 2) // 8


def _processor_s() -> float:
    """Return the processor's time for each thread: what else runs here takes none of it."""
    return time.process_time() / int(numba.get_num_threads())


def _rows(
    lattice: Lattice,
    copy: Callable[[], None],
    peer: str,
    name: str,
    wait: Callable[[], None],
    clock: Callable[[], float],
) -> list[Row]:
    works = [_steps(lattice, meets=False), _steps(lattice, meets=True), copy]
    kernel, whole, copied = _turns(works, wait, clock)
    cells, peer_ms = lattice.layout.cells, float(np.median(copied))

    def row(what: str, times: Floats) -> Row:
        ms = float(np.median(times)) / STEPS
        low, high = np.percentile(100.0 * STEPS * copied / times, (25, 75))
        rate = f"{cells / ms / 1000:,.0f} million cells a second"
        share = f"{low:.0f} to {high:.0f} % of the copy"
        return Row(name, f"{what}, {rate}, {share}", ms, peer_ms / SHARE, peer, peer_ms)

    return [row("streaming and collision", kernel), row("with walls", whole)]


def _steps(lattice: Lattice, meets: bool) -> Callable[[], None]:
    """Return steps of a lattice; an even number, since every other is of another kind."""

    def steps() -> None:
        for _ in range(STEPS):
            if meets:
                lattice.meet()
            lattice.step((1e-6, 0.0, 0.0))

    return steps


def _turns(
    works: list[Callable[[], None]], wait: Callable[[], None], clock: Callable[[], float]
) -> Floats:
    """Return the times (works, turns) of each work in ms, taken in turns."""
    taken = np.empty((len(works), ROUNDS + 1))
    for turn in range(ROUNDS + 1):
        for n, work in enumerate(works):
            wait()
            start = clock()
            work()
            wait()
            taken[n, turn] = 1000.0 * (clock() - start)
    return taken[:, 1:]  # the first turn warms up


@numba.njit(parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy(source: Singles, target: Singles) -> None:
    for n in numba.prange(len(source)):
        target[n] = source[n]
