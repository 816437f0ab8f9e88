import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hemodynamics import gpu
from hemodynamics.gpu import CudaLattice, card
from hemodynamics.layout import lay_out
from hemodynamics.solver import Lattice
from tests.hemodynamics.tubes import periodic_tube


def test_the_card_does_what_the_processor_does():
    """On numba's simulator, which runs the card's own source without a card."""
    command = [sys.executable, "-W", "error", "-m", "tests.hemodynamics.gpu_beside_processor"]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout):
        assert found["state"] < 1e-6
        assert found["size"] > 1e-3
        assert found["sums"] < 1e-6
        assert found["kept"]


def test_a_card_that_is_not_there_is_not_taken(monkeypatch):
    monkeypatch.setattr(gpu, "card", lambda: None)
    assert gpu.lattice_on("auto") is gpu.lattice_on("cpu") is Lattice
    with pytest.raises(gpu.NoCard, match="no CUDA card"):
        gpu.lattice_on("cuda")
    monkeypatch.setattr(gpu, "card", lambda: "a card")
    assert gpu.lattice_on("auto") is gpu.lattice_on("cuda") is CudaLattice
    assert gpu.lattice_on("cpu") is Lattice


@pytest.mark.gpu
@pytest.mark.skipif(card() is None, reason="needs a CUDA card")
def test_a_real_card_agrees_over_many_steps_and_with_itself():
    _, neighbours, links, axis, _ = periodic_tube(6.0)
    layout = lay_out(neighbours, links)
    lattices = [kind(layout, links, 0.55) for kind in (Lattice, CudaLattice, CudaLattice)]
    for lattice in lattices:
        for _ in range(300):
            lattice.meet()
            lattice.step(tuple(1e-4 * axis))
        lattice.meet()
    one, two, three = (lattice.state() for lattice in lattices)
    assert np.abs(one - two)[1:4].max() < 1e-4 * np.abs(one[1:4]).max()
    assert np.array_equal(two, three)
