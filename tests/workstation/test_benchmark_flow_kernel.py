import numpy as np
import pytest

from hemodynamics.lattice import OPPOSITE
from hemodynamics.layout import lay_out
from hemodynamics.solver import Lattice
from workstation.benchmark import flow_kernel


def test_the_tube_is_one_that_flow_goes_through():
    neighbours, links = flow_kernel.tube(3.5, 6)
    cells = np.arange(neighbours.shape[1])
    for q in range(27):
        there = neighbours[q] >= 0
        assert np.array_equal(neighbours[OPPOSITE[q], neighbours[q, there]], cells[there])
    lattice = Lattice(lay_out(neighbours, links), links, 0.8)
    for _ in range(60):
        lattice.meet()
        lattice.step((0.0, 0.0, 1e-4))
    lattice.meet()
    assert lattice.state()[3].min() > 1e-4


def test_the_kernel_is_measured_beside_a_copy(monkeypatch):
    for name, value in (("RADIUS", 3), ("LENGTH", 6), ("ROUNDS", 1)):
        monkeypatch.setattr(flow_kernel, name, value)
    monkeypatch.setattr(flow_kernel, "card", lambda: None)
    rows = flow_kernel.flow(peers=False)
    assert [row.name for row in rows] == ["flow", "flow"]
    assert rows[0].peer_ms == rows[1].peer_ms
    for row in rows:
        assert row.target_ms == pytest.approx(row.peer_ms / flow_kernel.SHARE)
        assert "million cells a second" in row.what
