"""Closed loops against a closed form, the general solver, and volume that must stay."""

from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.lumped import Chamber, Compliance, Inertance, Network, Resistor, Valve
from hemodynamics.network_loop import NotALoop, loop_of, means_of, settled
from hemodynamics.network_solution import NotSolved, periodic

PUMP = Chamber("pump", "a", 2.0, 0.1, 0.8, 0.24, 0.12, unstressed_ml=5.0, initial_ml=125.0)
PARTS = (
    PUMP,
    Valve("out", "a", "b", 0.02, 1e-4),
    Compliance("arteries", "b", 1.5, initial_ml=100.0),
    Resistor("body", "b", "c", 1.0),
    Compliance("veins", "c", 30.0, unstressed_ml=40.0, initial_ml=200.0),
    Valve("in", "c", "a", 0.02),
)


def test_a_pump_beats_as_the_general_solver_says():
    network = Network(PARTS)
    loop = loop_of(network)
    assert loop.nodes == ("a", "b", "c")
    beat = loop.repeated(np.array([125.0, 100.0, 200.0]))
    found = periodic(network, 0.8, 400, tolerance=1e-5)
    for place, node in enumerate(loop.nodes):
        other = found.pressures_mmhg[node]
        # Steps of 2 ms blur the closing of a valve.
        np.testing.assert_allclose(
            beat.pressures_mmhg[:, place].max(), other.max(), rtol=0.01, atol=0.02
        )
        assert means_of(loop, beat)[node] == pytest.approx(other.mean(), rel=4e-3)
    np.testing.assert_allclose(beat.volumes_ml.sum(axis=1), 425.0, rtol=1e-12)
    np.testing.assert_allclose(beat.volumes_ml[0], beat.volumes_ml[-1], atol=1e-5)
    assert beat.change < 1e-8


def test_two_stores_even_out_as_an_exponential():
    still = replace(PUMP, contracted=0.5, relaxed=0.5, unstressed_ml=0.0)
    network = Network((still, Resistor("r", "a", "b", 1.0), Compliance("c", "b", 2.0)))
    after, mean = loop_of(network).beat(np.array([40.0, 0.0]))
    # Equal compliances of 2 mL/mmHg: the difference of volumes decays with 1 s.
    assert after[0] - after[1] == pytest.approx(40.0 * np.exp(-0.8), rel=1e-9)
    assert mean[0] + mean[1] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((*PARTS, Inertance("mass", "b", "c", 1.0)), "'mass' cannot"),
        ((*PARTS, Resistor("leak", "b", "ground", 1.0)), "flows off"),
        ((*PARTS, Resistor("open", "b", "d", 1.0)), "must store"),
        ((*PARTS, Compliance("twice", "b", 1.0)), "'twice' cannot"),
        (PARTS[2:5], "one period"),
        ((*PARTS, Resistor("wide", "a", "b", 1e-4)), "too fast"),
    ],
)
def test_what_is_no_loop_is_refused(parts, words):
    with pytest.raises(NotALoop, match=words):
        loop_of(Network(parts))


def test_settling_keeps_what_each_step_keeps():
    mix = np.array([[0.9, 0.2, 0.0], [0.1, 0.7, 0.3], [0.0, 0.1, 0.7]])
    found, taken = settled(lambda x: mix @ x, np.array([6.0, 0.0, 0.0]), 1e-12, 50)
    assert found == pytest.approx(mix @ found, abs=1e-11)
    assert found.sum() == pytest.approx(6.0, rel=1e-12)
    assert taken < 10
    with pytest.raises(NotSolved):
        settled(lambda x: x + 1.0, np.zeros(2), 1e-9, 20)
