"""The portal pressure as a step: what it needs, says and bounds, from label maps and values."""

import numpy as np
import pytest

from segmentation.contract import Measurements, Number, Severity
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.pressure import portal_pressure, pressure_after
from workstation.planning.pressure_inputs import known_of

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = ImageGeometry((20, 10, 10), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), AXES, "2.25.7")
EVERY = {
    "map_mmhg": 85.0,
    "portal_pressure_mmhg": 9.0,
    "sinusoidal_pressure_mmhg": 6.0,
    "cvp_mmhg": 4.0,
    "portal_flow_l_min": 1.0,
    "arterial_flow_l_min": 0.3,
}


def part(name, columns):
    array = np.zeros(GRID.shape, np.uint8)
    array[:, :, :columns] = 1
    return LabelMap(array, GRID, {1: Label(name)})


def pressed(values, kept=8, **params):
    numbers = tuple(Number(k, v, "mmHg", "entered by hand") for k, v in values.items())
    return portal_pressure(
        part("liver", 20), part("remnant", kept), Measurements(numbers), members=16, **params
    )


def named(result):
    return {number.quantity: number for number in result.numbers}


def told(result):
    return {finding.code: finding for finding in result.findings}


def test_the_quick_model_gives_the_worked_example():
    found = named(pressed(EVERY, model="four_resistor"))
    assert found["after"].value == pytest.approx(14.91, abs=0.005)
    assert found["gradient_after"].value == pytest.approx(10.91, abs=0.005)
    assert found["portal_flow_after"].value == pytest.approx(0.922, abs=5e-4)
    assert found["arterial_flow_after"].value == pytest.approx(0.117, abs=5e-4)


def test_the_closed_circulation_gives_every_number_with_its_band():
    result = pressed(EVERY)
    found = named(result)
    assert found["before"].value == pytest.approx(9.0)
    assert found["portal_flow_before"].value == pytest.approx(1.0)
    assert found["after_four_resistors"].value == pytest.approx(14.91, abs=0.005)
    for name in (
        "gradient_before", "portal_flow_before", "arterial_flow_before", "after", "gradient_after",
        "portal_flow_after", "arterial_flow_after",
        "arterial_pressure_after", "after_widened", "after_four_resistors",
    ):  # fmt: skip
        number = found[name]
        assert number.low < number.value < number.high, name
        assert "band: 5th to 95th percentile" in number.source
    # Arterial pressure falls with the blood that the gut holds back, so it rises a little less.
    assert 13.0 < found["after"].value < 14.91
    text = told(result)["portal_pressure_assumed"].sentence
    assert "not validated prospectively" in text
    assert "Assumed: cardiac output 6" in text
    assert found["cardiac_output_before"].source.startswith("assumed: cardiac output 6")
    assert found["portal_flow_before"].source.startswith("measured: portal vein flow;")
    # 1 L/min through 2 mL of liver, and what is left of it through 40 % of that.
    assert found["portal_flow_per_100_ml_before"].value == pytest.approx(1e5 / 4)
    left = found["portal_flow_after"].value * 1e5 / 1.6
    assert found["portal_flow_per_100_ml_after"].value == pytest.approx(left)


def test_the_portal_pressure_alone_is_enough_and_what_is_assumed_is_said():
    result = pressed({"portal_pressure_mmhg": 9.0, "height_cm": 175.0, "body_weight_kg": 75.0})
    text = told(result)["portal_pressure_assumed"].sentence
    measured = told(result)["portal_pressure_measured"].sentence
    assert measured.startswith("Measured: portal vein pressure 9 (")
    for words in ("mean arterial pressure 87.5", "central venous pressure 4", "per m²"):
        assert words in text
    all_known = named(pressed(EVERY))["after"]
    alone = named(result)["after"]
    assert alone.high - alone.low > 0.9 * (all_known.high - all_known.low)


@pytest.mark.parametrize("model", ["closed_loop", "four_resistor"])
def test_nothing_is_guessed_without_a_portal_pressure(model):
    values = {k: v for k, v in EVERY.items() if k != "portal_pressure_mmhg"}
    result = pressed(values, model=model)
    assert result.numbers == ()
    assert "not entered: portal vein pressure" in told(result)["portal_pressure_inputs"].sentence


@pytest.mark.parametrize(
    ("kept", "code", "words"),
    [(20, "portal_pressure_nothing", "nothing"), (1, "portal_pressure_outside", "95%")],
)
def test_a_cut_that_the_model_does_not_hold_for_gives_no_number(kept, code, words):
    result = pressed(EVERY, kept)
    assert result.numbers == ()
    assert words in told(result)[code].sentence


def test_published_limits_are_marked():
    high = told(pressed({**EVERY, "portal_pressure_mmhg": 16.0}, 7))
    assert high["portal_pressure_failure"].severity is Severity.WARNING
    assert "Allard" in high["portal_pressure_failure"].sentence
    assert "at least 12 mmHg" in high["portal_pressure_gradient"].sentence
    assert "portal_pressure_graft" in high
    low = told(pressed({**EVERY, "portal_pressure_mmhg": 6.5, "cvp_mmhg": 3.5}, 19))
    assert "nil" in low["portal_pressure_safe"].sentence
    assert "portal_pressure_failure" not in low


def test_more_removed_means_more_pressure_and_less_arterial_flow():
    found = [named(pressed(EVERY, kept)) for kept in (16, 12, 8, 4)]
    assert (np.diff([f["after"].value for f in found]) > 0).all()
    assert (np.diff([f["arterial_flow_after"].value for f in found]) < 0).all()


def test_the_buffer_response_is_an_option_and_stated():
    passive, active = named(pressed(EVERY)), named(pressed(EVERY, buffer_response=True))
    assert active["arterial_flow_after"].value < passive["arterial_flow_after"].value
    assert "buffer response" in active["after"].source
    assert "buffer response" not in passive["after"].source


def test_body_surface_is_mosteller():
    known = known_of({"portal_pressure_mmhg": 9.0, "height_cm": 175.0, "body_weight_kg": 75.0})
    assert known.surface_m2 == pytest.approx(1.9094, abs=1e-4)


def test_what_was_measured_takes_the_place_of_what_is_assumed():
    usual = named(pressed({"portal_pressure_mmhg": 9.0}))
    values = {"portal_pressure_mmhg": 9.0, "cardiac_output_l_min": 8.0, "heart_rate_per_min": 90.0}
    result = pressed(values)
    found = named(result)
    assert found["cardiac_output_before"].value == pytest.approx(8.0)
    assert found["cardiac_output_before"].source.startswith("measured: cardiac output;")
    # The liver's flows follow the cardiac output where they were not measured.
    assert found["portal_flow_before"].value == pytest.approx(8.0 * 0.25 * 0.75)
    assert found["after"].value != usual["after"].value
    assert "cardiac output 8, heart rate 90" in told(result)["portal_pressure_measured"].sentence
    text = told(result)["portal_pressure_assumed"].sentence
    assert "cardiac output" not in text.split("Assumed:")[1].split("portal flow")[0]
    assert "heart rate" not in text


def test_prepared_once_it_tells_what_the_step_tells():
    after = pressure_after(EVERY, part("liver", 20).volume_ml(), members=16)
    assert after(0.6) == pressed(EVERY)
    assert after(0.0).numbers == after(0.95).numbers == ()
