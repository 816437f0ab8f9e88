"""Prints how far the card's lattice is from the processor's: run with NUMBA_ENABLE_CUDASIM=1."""

import json
import sys

import numpy as np

from hemodynamics.gpu import CudaLattice
from hemodynamics.lattice import VELOCITIES
from hemodynamics.layout import lay_out, outlet
from hemodynamics.rheology import CarreauYasuda, rates
from hemodynamics.solver import Drag, Lattice
from tests.hemodynamics.test_solver import closed_box


def beside(steps, **law):
    """Return the largest difference of the states, their size, and those of sums."""
    neighbours, links = closed_box(3)
    layout = lay_out(neighbours, links)
    x = np.arange(27) % 3
    inlet = np.flatnonzero((links.part == 1) & (np.arange(len(links.part)) % 2 == 0))
    exits = np.flatnonzero((x[links.cell] == 2) & (VELOCITIES[links.direction, 0] == 1))
    inside = np.repeat((links.cell[exits] - 1)[None], 8, axis=0)
    out = outlet(links, exits, inside, np.full(inside.shape, 1 / 8), np.array([1.0, 0.0, 0.0]))
    pair = [kind(layout, links, 0.6, **law) for kind in (Lattice, CudaLattice)]
    sums = []
    for lattice in pair:
        lattice.push(inlet, -VELOCITIES[links.direction[inlet], 0] * 0.01)
        for n in range(steps):
            lattice.meet()
            lattice.hold(out, 0.0007 * n, 0.02)
            found = [lattice.inflow(inlet), lattice.inflow(exits), lattice.density(out)]
            lattice.step((1e-4, 2e-4, -1e-4))
        lattice.meet()
        sums.append([*found, lattice.leak])
    one, two = (lattice.state() for lattice in pair)
    kept = pair[1].state_arrays()
    again = CudaLattice(layout, links, 0.6, **law)
    again.restore(kept)
    return {
        "state": float(np.abs(one - two).max()),
        "size": float(np.abs(one).max()),
        "sums": float(np.abs(np.array(sums[0]) - np.array(sums[1])).max()),
        "kept": bool(np.array_equal(again.state(), two)),
    }


if __name__ == "__main__":
    table = rates(CarreauYasuda(), 0.3, 2e-4, 1060.0)
    drag = Drag(np.linspace(0, 0.5, 27), np.linspace(0, 4, 27))
    json.dump([beside(2), beside(2, rates=table, drag=drag)], sys.stdout)
