"""Waves in arteries made of lumped segments: speed, impedance, reflection, and steady loss."""

import numpy as np
import pytest

from hemodynamics.lumped import Compliance, Course, FlowSource, Network, Resistor
from hemodynamics.network_solution import periodic, steady, transient
from hemodynamics.network_vessels import Artery, wave_speed, windkessel

THIN = Artery(400.0, 4.0, 8.0, viscosity_pa_s=0.0)
PERIOD = 0.4
PULSE = Course(0.0, PERIOD, (), (1.0,))  # mL/s


def line(artery, load, segments=40):
    elements = artery.elements("a", "near", "far", segments)
    source = FlowSource("heart", "near", PULSE)
    return Network((source, *elements, Resistor("load", "far", "ground", load)))


def settled(network, steps=400):
    return periodic(network, PERIOD, steps, tolerance=1e-4)


def test_a_matched_end_sends_nothing_back():
    found = settled(line(THIN, THIN.impedance))
    delay = THIN.length_mm * 1e-3 / THIN.wave_speed_m_s
    at = 2 * np.pi / PERIOD * found.times_s
    exact = THIN.impedance * np.sin(at)
    np.testing.assert_allclose(found.pressures_mmhg["near"], exact, atol=0.005 * exact.max())
    late = THIN.impedance * np.sin(at - 2 * np.pi / PERIOD * delay)
    np.testing.assert_allclose(found.pressures_mmhg["far"], late, atol=0.01 * late.max())


def test_more_segments_come_closer_by_the_square():
    def error(segments):
        found = settled(line(THIN, 1.6 * THIN.impedance, segments), 800)
        phase = 2 * np.pi / PERIOD * THIN.length_mm * 1e-3 / THIN.wave_speed_m_s
        load = 1.6
        ratio = 1 / (np.cos(phase) + 1j * np.sin(phase) / load)  # of pressures, far by near
        far, near = (
            2 * np.mean(found.pressures_mmhg[node] * np.exp(-2j * np.pi * found.times_s / PERIOD))
            for node in ("far", "near")
        )
        return abs(far / near - ratio)

    assert error(8) / error(16) == pytest.approx(4.0, rel=0.15)


def test_a_pulse_travels_at_its_speed_and_is_doubled_at_a_closed_end():
    artery = Artery(600.0, 4.0, 6.0, 0.0)
    width, start = 0.02, 0.06
    period, harmonics = 2.0, 60
    orders = np.arange(1, harmonics + 1)
    size = np.exp(-0.5 * (2 * np.pi * orders / period * width) ** 2) / period
    turn = 2 * np.pi * orders / period * start
    flow = Course(0.0, period, tuple(2 * size * np.cos(turn)), tuple(2 * size * np.sin(turn)))
    shut = artery.elements("a", "near", "far", 150)
    found = transient(Network((FlowSource("f", "near", flow), *shut)), 0.25, 5e-4)
    far, near = found.pressures_mmhg["far"], found.pressures_mmhg["near"]
    first = near[found.times_s < 0.12]
    arrival = found.times_s[np.argmax(far)] - found.times_s[np.argmax(first)]
    assert arrival == pytest.approx(0.6 / 6.0, rel=0.01)
    base = near[0]
    assert (far.max() - base) / (first.max() - base) == pytest.approx(2.0, rel=0.03)


def test_a_bifurcation_reflects_by_its_impedances():
    parent, child = Artery(400.0, 4.0, 8.0, 0.0), Artery(300.0, 2.5, 9.0, 0.0)
    network = Network(
        (
            FlowSource("heart", "near", PULSE),
            *parent.elements("p", "near", "fork", 60),
            *child.elements("l", "fork", "left", 40),
            *child.elements("r", "fork", "right", 40),
            Resistor("left_end", "left", "ground", child.impedance),
            Resistor("right_end", "right", "ground", child.impedance),
        )
    )
    found = settled(network)
    both = child.impedance / 2
    reflection = (both - parent.impedance) / (both + parent.impedance)
    phase = 2 * np.pi / PERIOD * 0.4 / 8.0
    ratio = (1 + reflection * np.exp(-2j * phase)) / (1 - reflection * np.exp(-2j * phase))
    turn = np.exp(-2j * np.pi * found.times_s / PERIOD)
    entry = 2 * np.mean(found.pressures_mmhg["near"] * turn) / (-1j)  # sin has the phase -i
    assert entry / parent.impedance == pytest.approx(ratio, rel=0.01)


def test_steady_flow_loses_what_poiseuille_says():
    artery = Artery(300.0, 2.0, 8.0)
    elements = artery.elements("a", "near", "far", 5)
    source = FlowSource("f", "near", Course(4.0))
    found = steady(Network((source, *elements, Resistor("end", "far", "ground", 10.0))))
    drop = found.pressures_mmhg["near"][0] - found.pressures_mmhg["far"][0]
    assert drop == pytest.approx(8 * 0.0035 * 0.3 * 4e-6 / (np.pi * 0.002**4) / 133.322)
    volume = artery.volume_ml + artery.compliance * (40.0 + drop / 2)
    assert found.total_ml()[0] == pytest.approx(volume)


def test_an_artery_begins_at_its_pressure():
    artery = Artery(100.0, 3.0, 7.0)
    wall = [e for e in artery.elements("a", "x", "y", 4, 80.0) if isinstance(e, Compliance)]
    assert len(wall) == 5
    for store in wall:
        assert (store.initial_ml - store.unstressed_ml) / store.compliance == pytest.approx(80.0)
    assert sum(e.unstressed_ml for e in wall) == pytest.approx(np.pi * 9 * 100 / 1000)
    with pytest.raises(ValueError, match="positive length"):
        Artery(0.0, 3.0, 7.0)


def test_a_windkessel_and_the_speed_of_its_artery():
    network = Network(
        (FlowSource("f", "a", Course(80.0)), *windkessel("body", "a", 0.05, 1.3, 1.0, 90.0))
    )
    assert steady(network).pressures_mmhg["a"][0] == pytest.approx(84.0)
    assert wave_speed(10.0, 1.0, 500.0) == pytest.approx(np.sqrt(5e5 * 0.1 / (2 * 1060 * 0.75)))
