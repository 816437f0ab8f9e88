"""Lumped networks as values: JSON round trip, and what is refused and how it is named."""

import json

import pytest
from hypothesis import given
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

EVERY = (
    PressureSource("heart", "aorta", Course(90.0, 0.8, (3.0, -1.0), (5.0,))),
    Resistor("artery", "aorta", "organ", 0.5, 0.01),
    Inertance("vessel", "organ", "bed", 0.002, 1.0),
    Compliance("bed", "bed", 1.5, 20.0, "tissue", 60.0),
    Collapsible("sinusoid", "bed", "cava", 0.3, "tissue"),
    Vein("cava_wall", "cava", 3.0, 200.0, initial_ml=180.0),
    Valve("tricuspid", "cava", "right", 0.01, 1e-4),
    Chamber("ventricle", "right", 0.6, 0.05, 0.8, 0.25, 0.15, 0.1, 10.0, initial_ml=90.0),
    FlowSource("loss", "ground", Course(0.2), "right"),
    PressureSource("abdomen", "tissue", Course(5.0)),
)
LINE = (Resistor("r", "a", "b", 1.0), PressureSource("p", "a", Course(1.0)))


def test_every_element_goes_to_json_and_back():
    network = Network(EVERY, "right heart")
    text = json.dumps(network.to_json())
    assert Network.from_json(json.loads(text)) == network
    assert network.nodes == ("aorta", "organ", "bed", "cava", "right", "tissue")


@given(st.floats(1e-6, 1e6), st.floats(0, 1e6), st.floats(-1e4, 1e4))
def test_numbers_survive_json(resistance, quadratic, pressure):
    network = Network(
        (
            Resistor("r", "a", "ground", resistance, quadratic),
            PressureSource("p", "a", Course(pressure)),
        )
    )
    assert Network.from_json(json.loads(json.dumps(network.to_json()))) == network


def test_parts_between_which_blood_flows():
    loop = (Resistor("x", "c", "d", 1.0), Compliance("s", "d", 1.0))
    leak = FlowSource("f", "c", Course(1.0), "a")
    parts = Network((*LINE, *loop, leak)).parts()
    assert set(parts) == {frozenset({"ground", "a", "b"}), frozenset({"c", "d"})}


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ((Resistor("r", "a", "b", 1.0),), "nothing sets the pressure of a, b"),
        ((*LINE, FlowSource("f", "lonely", Course(1.0))), "nothing sets the pressure of lonely"),
        ((*LINE, Resistor("r", "b", "ground", 1.0)), "two elements are called 'r'"),
        ((*LINE, Resistor("x", "b", "b", 1.0)), "'x' joins 'b' with itself"),
        ((*LINE, Resistor("x", "a", "b", -1.0)), "resistance of 'x'"),
        ((*LINE, Resistor("x", "a", "b", 0.0)), "'x' has no resistance"),
        ((*LINE, Resistor("x", "a", "b", float("nan"))), "resistance of 'x'"),
        ((*LINE, Compliance("c", "ground", 1.0)), "at the ground"),
        ((*LINE, Compliance("c", "b", 1.0, outside="nowhere")), "'nowhere', which is no node"),
        ((*LINE, PressureSource("q", "a", Course(2.0))), "'q' contradicts others"),
        (
            (
                *LINE,
                PressureSource("q", "b", Course(2.0), "a"),
                PressureSource("s", "b", Course(0)),
            ),
            "'s' contradicts others",
        ),
        ((*LINE, Chamber("v", "b", 2.0, 0.1, 0.5, 0.4, 0.2)), "longer than its period"),
    ],
)
def test_what_cannot_be_is_refused_by_name(elements, words):
    with pytest.raises(UnusableNetwork, match=words):
        Network(elements)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"elements": [{"kind": "pump"}]}, "pump"),
        ({"elements": [{"kind": "resistor", "name": "r", "start": "a"}]}, "end: Field required"),
        ({"elements": LINE[0].__dict__ | {"force": 1}}, "elements"),
        ({"elements": [LINE[0].__dict__ | {"force": 1}]}, "force"),
        ({"elements": [LINE[0].__dict__ | {"resistance": "1"}]}, "resistance"),
        ({"elements": [LINE[0].__dict__]}, "nothing sets the pressure"),
    ],
)
def test_bad_files_are_refused_with_what_is_wrong(record, words):
    with pytest.raises(UnusableNetwork, match=words):
        Network.from_json(record)


def test_a_chamber_contracts_and_relaxes():
    chamber = Chamber("v", "n", 2.0, 0.1, 1.0, 0.3, 0.2, onset_s=0.1)
    assert chamber.elastance(0.1) == pytest.approx(0.1)
    assert chamber.elastance(0.25) == pytest.approx(1.05)
    assert chamber.elastance(0.4) == pytest.approx(2.0)
    assert chamber.elastance(0.5) == pytest.approx(1.05)
    assert chamber.elastance(0.7) == chamber.elastance(1.05) == pytest.approx(0.1)


def test_a_course_is_a_sum_of_harmonics():
    course = Course(2.0, 0.5, (1.0,), (0.0, 3.0))
    assert course.at(0.0) == pytest.approx(3.0)
    assert course.at(0.0625) == pytest.approx(2.0 + 0.5**0.5 + 3.0)
    assert Course(2.0).at(7.0) == 2.0
