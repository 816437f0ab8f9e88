"""Lumped networks against closed-form solutions, and volume that must not be lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemodynamics.lumped import (
    Chamber,
    Collapsible,
    Compliance,
    Course,
    FlowSource,
    Inertance,
    Network,
    PressureSource,
    Resistor,
    UnusableNetwork,
    Valve,
    Vein,
)
from hemodynamics.network_equations import LEAST, tube_law
from hemodynamics.network_solution import NotSolved, periodic, steady, transient


def held(node, pressure, *harmonics):
    return PressureSource(f"hold_{node}", node, Course(pressure, *harmonics))


def rc():
    return Network((held("a", 10.0), Resistor("r", "a", "b", 2.0), Compliance("c", "b", 0.5)))


def test_rc_charges_as_an_exponential():
    found = transient(rc(), 4.0, 0.01)
    exact = 10.0 * (1 - np.exp(-found.times_s))
    assert found.times_s[-1] == 4.0
    np.testing.assert_allclose(found.pressures_mmhg["b"], exact, atol=2e-4)
    np.testing.assert_allclose(found.volumes_ml["c"], 0.5 * exact, atol=1e-4)


def test_steps_are_of_second_order():
    errors = []
    for step in (0.04, 0.02, 0.01):
        found = transient(rc(), 1.0, step)
        errors.append(abs(found.pressures_mmhg["b"][-1] - 10.0 * (1 - np.exp(-1.0))))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.15)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_adaptive_steps_keep_their_tolerance(tolerance):
    found = transient(rc(), 6.0, 1.0, tolerance)
    exact = 10.0 * (1 - np.exp(-found.times_s))
    assert found.times_s[-1] == pytest.approx(6.0)
    error = np.abs(found.pressures_mmhg["b"] - exact).max()
    assert error < 10 * 40 * tolerance
    assert len(found.times_s) < 80 * (1e-4 / tolerance) ** (1 / 3)


def test_rlc_rings_at_its_frequency_and_decays():
    r, inertance, c = 0.4, 0.1, 0.25
    network = Network(
        (
            held("a", 10.0),
            Resistor("r", "a", "m", r),
            Inertance("l", "m", "b", inertance),
            Compliance("c", "b", c),
        )
    )
    decay = r / (2 * inertance)
    omega = np.sqrt(1 / (inertance * c) - decay**2)
    found = transient(network, 2.0, 5e-4)
    t = found.times_s
    exact = 10 - 10 * np.exp(-decay * t) * (np.cos(omega * t) + decay / omega * np.sin(omega * t))
    np.testing.assert_allclose(found.pressures_mmhg["b"], exact, atol=2e-4)
    flow = 10 * np.exp(-decay * t) * np.sin(omega * t) / (omega * inertance)
    np.testing.assert_allclose(found.flows_ml_s["l"], flow, atol=2e-4)


def test_windkessel_answers_a_beating_flow_as_its_impedance():
    proximal, distal, c, period = 0.05, 1.0, 1.3, 0.8
    network = Network(
        (
            FlowSource("heart", "a", Course(80.0, period, (40.0,), (25.0,))),
            Resistor("proximal", "a", "b", proximal),
            Compliance("c", "b", c),
            Resistor("distal", "b", "ground", distal),
        )
    )
    found = periodic(network, period, 400, tolerance=1e-6)
    omega = 2 * np.pi / period
    impedance = proximal + distal / (1 + 1j * omega * distal * c)
    wave = impedance * (40.0 - 25.0j) * np.exp(1j * omega * found.times_s)
    np.testing.assert_allclose(
        found.pressures_mmhg["a"], 80.0 * (proximal + distal) + wave.real, atol=2e-3
    )
    assert found.change < 1e-6
    assert found.cycles > 10


def test_a_periodic_state_that_takes_long_is_not_called_settled_early():
    slow = Network(
        (
            FlowSource("f", "a", Course(1.0, 1.0, (0.5,))),
            Compliance("c", "a", 100.0),
            Resistor("r", "a", "ground", 1.0),
        )
    )
    found = periodic(slow, 1.0, 20, tolerance=1e-3, most_cycles=2000)
    assert found.pressures_mmhg["a"].mean() == pytest.approx(1.0, abs=2e-3)
    with pytest.raises(NotSolved, match="after 30 cycles"):
        periodic(slow, 1.0, 20, tolerance=1e-3, most_cycles=30)


def test_nodes_and_elements_may_share_names():
    network = Network((held("a", 6.0), Resistor("a", "a", "node a", 2.0),
                       Resistor("node a", "node a", "ground", 1.0)))  # fmt: skip
    found = steady(network)
    assert found.flows_ml_s["a"][0] == pytest.approx(2.0)
    assert found.pressures_mmhg["node a"][0] == pytest.approx(2.0)


@pytest.mark.parametrize("leak", [0.0, 0.01])
def test_a_valve_opens_one_way(leak):
    def flow(drop):
        network = Network((held("a", drop), Valve("v", "a", "b", 2.0, leak), held("b", 0.0)))
        return steady(network).flows_ml_s["v"][0]

    assert flow(6.0) == pytest.approx(3.0)
    assert flow(-6.0) == pytest.approx(-6.0 * leak)


def test_a_valve_rectifies_a_beating_pressure():
    period, resistance = 1.0, 0.5
    network = Network(
        (
            held("a", 0.0, period, (), (10.0,)),
            Valve("v", "a", "b", resistance),
            Resistor("r", "b", "ground", resistance),
        )
    )
    found = periodic(network, period, 300)
    assert found.flows_ml_s["v"].min() >= 0.0
    assert found.flows_ml_s["v"].mean() == pytest.approx(10.0 / np.pi, rel=1e-3)


@pytest.mark.parametrize(
    ("start", "end", "outside", "flow"),
    [
        (10.0, 0.0, 5.0, 2.5),
        (10.0, 4.9, 5.0, 2.5),
        (10.0, 7.0, 5.0, 1.5),
        (4.0, 0.0, 5.0, 0.0),
        (10.0, 0.0, -5.0, 5.0),
        (0.0, 10.0, 5.0, -2.5),
    ],
)
def test_a_collapsible_vessel_is_a_waterfall(start, end, outside, flow):
    network = Network(
        (
            held("a", start),
            held("b", end),
            held("o", outside),
            Collapsible("v", "a", "b", 2.0, "o"),
        )
    )
    assert steady(network).flows_ml_s["v"][0] == pytest.approx(flow)


@pytest.mark.parametrize("flow", [3.0, -3.0])
def test_a_stenosis_loses_pressure_with_the_square_of_its_flow(flow):
    network = Network(
        (
            FlowSource("f", "a", Course(flow)),
            Resistor("s", "a", "b", 0.5, 0.2),
            Resistor("r", "b", "ground", 4.0),
        )
    )
    found = steady(network)
    assert found.flows_ml_s["s"][0] == pytest.approx(flow)
    exact = 4.5 * flow + 0.2 * flow * abs(flow)
    assert found.pressures_mmhg["a"][0] == pytest.approx(exact)
    driven = Network((held("a", exact), *network.elements[1:]))
    assert steady(driven).flows_ml_s["s"][0] == pytest.approx(flow)
    orifice = Network((held("a", 5.0), Resistor("s", "a", "ground", 0.0, 0.2)))
    assert steady(orifice).flows_ml_s["s"][0] == pytest.approx(5.0)


def test_a_vein_fills_along_its_tube_law():
    area = 1.2
    pressure = 3.0 * (area**10 - area**-1.5)
    network = Network(
        (held("a", pressure + 4.0), held("o", 4.0), Resistor("r", "a", "b", 1.0),
         Vein("v", "b", 3.0, 50.0, "o"))
    )  # fmt: skip
    assert steady(network).volumes_ml["v"][0] == pytest.approx(60.0, rel=1e-9)
    found = transient(network, 200.0, 0.5)
    assert found.volumes_ml["v"][-1] == pytest.approx(60.0, rel=1e-6)


def test_the_tube_law_goes_on_below_its_least_volume():
    area = np.array([LEAST / 2, LEAST, 0.5, 1.0, 1.3])
    law, slope = tube_law(area)
    assert (np.diff(law) > 0).all()
    assert law[3] == pytest.approx(0.0, abs=1e-12)
    ahead, behind = tube_law(area + 1e-7)[0], tube_law(area - 1e-7)[0]
    np.testing.assert_allclose((ahead - behind) / 2e-7, slope, rtol=1e-4)


def heart(filling, load, chamber):
    return Network(
        (
            held("vein", filling),
            held("aorta", load),
            Valve("mitral", "vein", "heart", 1e-4),
            Valve("aortic", "heart", "aorta", 1e-4),
            chamber,
        )
    )


def test_a_chamber_between_two_pressures_does_the_work_of_a_rectangle():
    filling, load, unstressed = 8.0, 90.0, 10.0
    chamber = Chamber("lv", "heart", 2.5, 0.08, 0.9, 0.3, 0.15, 0.2, unstressed, initial_ml=80.0)
    found = periodic(heart(filling, load, chamber), 0.9, 1500)
    pressure, volume = found.pressures_mmhg["heart"], found.volumes_ml["lv"]
    largest, least = unstressed + filling / 0.08, unstressed + load / 2.5
    assert volume.max() == pytest.approx(largest, rel=2e-3)
    assert volume.min() == pytest.approx(least, rel=2e-3)
    around = np.append(volume, volume[0])
    middle = 0.5 * (pressure + np.append(pressure[1:], pressure[0]))
    work = -np.sum(middle * np.diff(around))
    assert work == pytest.approx((load - filling) * (largest - least), rel=5e-3)
    ejected = found.flows_ml_s["aortic"].mean() * 0.9
    assert ejected == pytest.approx(largest - least, rel=5e-3)
    assert found.flows_ml_s["aortic"].min() > -1e-9


def closed_loop():
    return Network(
        (
            Chamber("lv", "heart", 2.5, 0.08, 0.8, 0.3, 0.15, 0.1, 10.0, initial_ml=100.0),
            Valve("aortic", "heart", "root", 0.005),
            Inertance("aorta", "root", "artery", 5e-4),
            Compliance("arteries", "artery", 1.5, 500.0, initial_ml=620.0),
            Resistor("body", "artery", "vein", 1.0),
            Vein("veins", "vein", 4.0, 2500.0, "abdomen", initial_ml=2700.0),
            Collapsible("cava", "vein", "atrium", 0.01, "abdomen"),
            PressureSource("belly", "abdomen", Course(2.0)),
            Compliance("atria", "atrium", 20.0, 50.0, initial_ml=150.0),
            Valve("mitral", "atrium", "heart", 0.005),
            Compliance("root", "root", 0.05),
        )
    )


@pytest.mark.parametrize("tolerance", [None, 1e-3])
def test_a_closed_loop_loses_no_volume(tolerance):
    found = transient(closed_loop(), 1.6, 2e-3, tolerance)
    total = found.total_ml()
    assert np.abs(total / total[0] - 1).max() < 1e-9
    assert np.ptp(found.volumes_ml["lv"]) > 20


def test_a_closed_loop_settles_and_keeps_its_volume():
    found = periodic(closed_loop(), 0.8, 200, tolerance=1e-3)
    assert found.total_ml()[-1] == pytest.approx(3570.0, rel=1e-9)
    assert found.flows_ml_s["body"].mean() == pytest.approx(
        found.flows_ml_s["cava"].mean(), rel=2e-3
    )


def test_a_closed_loop_at_rest_shares_its_volume():
    network = Network(
        (
            Compliance("a", "x", 1.0, initial_ml=9.0),
            Compliance("b", "y", 2.0),
            Resistor("r", "x", "y", 5.0),
        )
    )
    found = steady(network)
    assert found.pressures_mmhg["x"][0] == pytest.approx(3.0)
    assert found.volumes_ml["b"][0] == pytest.approx(6.0)
    late = transient(network, 60.0, 0.1)
    assert late.pressures_mmhg["y"][-1] == pytest.approx(3.0, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=12), st.floats(-50, 50))
def test_flows_balance_in_any_ladder(resistances, pressure):
    elements = [held("n0", pressure)]
    for i, resistance in enumerate(resistances):
        elements.append(Resistor(f"r{i}", f"n{i}", f"n{i + 1}", resistance))
        elements.append(Resistor(f"g{i}", f"n{i + 1}", "ground", 2 * resistance, 0.01))
    found = steady(Network(tuple(elements)))
    flow = {name: course[0] for name, course in found.flows_ml_s.items()}
    for i in range(len(resistances) - 1):
        assert flow[f"r{i}"] == pytest.approx(flow[f"g{i}"] + flow[f"r{i + 1}"], abs=1e-9)
    away = sum(flow[f"g{i}"] for i in range(len(resistances)))
    assert flow["hold_n0"] == pytest.approx(away, abs=1e-9)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ((held("a", -1.0), Valve("v", "a", "b", 1.0), Resistor("r", "b", "c", 1.0)), "'b', 'c'"),
        ((Compliance("c", "a", 1.0), FlowSource("f", "a", Course(1.0))), "'f' fills a"),
        (
            (Chamber("v", "a", 2.0, 1.0, 1.0, 0.2, 0.2), Resistor("r", "a", "ground", 1.0)),
            "'v' beats",
        ),
    ],
)
def test_what_has_no_steady_state_is_refused_by_name(elements, words):
    with pytest.raises(UnusableNetwork, match=words):
        steady(Network(elements))


def test_periods_must_agree():
    network = Network((held("a", 1.0, 0.7, (1.0,)), Resistor("r", "a", "ground", 1.0)))
    with pytest.raises(UnusableNetwork, match=r"'hold_a' has a period of 0.7 s"):
        periodic(network, 1.0)
    assert periodic(network, 1.4, 50).flows_ml_s["r"].mean() == pytest.approx(1.0)


def test_four_hundred_unknowns_answer_as_a_line():
    count, r, c, omega = 133, 0.01, 0.002, 2 * np.pi
    elements = [held("n0", 10.0, 1.0, (2.0,))]
    for i in range(count):
        elements.append(Resistor(f"r{i}", f"n{i}", f"n{i + 1}", r))
        elements.append(Compliance(f"c{i}", f"n{i + 1}", c))
    pressure, flow = 1.0 + 0.0j, 0.0j  # from the far end, where nothing flows on
    for _ in range(count):
        flow += 1j * omega * c * pressure
        pressure += r * flow
    found = transient(Network(tuple(elements)), 4.0, 2e-3)
    late = found.times_s > 3.0
    far = 10.0 + (2.0 / pressure * np.exp(1j * omega * found.times_s)).real
    np.testing.assert_allclose(found.pressures_mmhg[f"n{count}"][late], far[late], atol=1e-3)
    near = (2.0 * flow / pressure * np.exp(1j * omega * found.times_s)).real
    np.testing.assert_allclose(found.flows_ml_s["r0"][late], near[late], atol=2e-3)
