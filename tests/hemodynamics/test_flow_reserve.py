"""Flow reserve of a narrowing: the published law by hand, its bounds, and what it lacks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemodynamics.flow_reserve import (
    WHOLE,
    Narrowing,
    flow_reserve,
    fractional_flow_reserve,
    narrowing_of,
    solved,
)
from meshing.centerline import centerline
from meshing.vessel_findings import stenosis
from tests.hemodynamics.test_flow_files import some_flow
from tests.meshing.vessels import line, swept

MMHG = 133.322
PRESSURES = {"aortic_pressure_mmhg": 90.0, "flow_ml_s": 3.0}


def numbers(result):
    return {number.quantity: number.value for number in result.numbers}


def codes(result):
    return [finding.code for finding in result.findings]


@pytest.fixture(scope="module")
def coronary():
    along = np.linspace(0, 30, 61)
    radius = 1.5 - 0.75 * np.exp(-(((along - 14) / 3) ** 2))
    return centerline(swept(line(30.0, count=61), radius))


def vessel(least, length=10.0, flow=3.0, normal=3.0):
    """Return a vessel of 40 mm with a narrowing shaped like a cosine in its middle."""
    along = np.linspace(0, 40, 401)
    bump = np.where(abs(along - 20) < length / 2, 1 + np.cos(2 * np.pi * (along - 20) / length), 0)
    return Narrowing(along, normal - (normal - least) * bump / 2, least, normal, length, flow)


def test_the_law_of_young_and_tsai_by_hand():
    linear, quadratic = vessel(1.5).losses(0.0035, "young_tsai")
    area = np.pi * 0.0015**2
    viscous = 32 * ((0.83 * 10 + 1.64 * 1.5) / 3.0) * 4.0**2
    tube = 128 * 0.0035 * 0.03 / (np.pi * 0.003**4)
    assert linear == pytest.approx((viscous * 0.0035 / (0.003 * area) + tube) * 1e-6 / MMHG)
    speed = 3e-6 / area
    loss = 0.5 * 1.52 * 1060 * 3.0**2 * speed**2
    assert 3.0**2 * quadratic == pytest.approx(loss / MMHG)
    assert 9 * quadratic == pytest.approx(9.80, rel=2e-3)


def test_the_measured_law_integrates_what_a_cosine_loses():
    linear, quadratic = vessel(1.5).losses(0.0035)
    depth = 0.5
    mean = (1 + 3 / 2 * (depth / 2 / (1 - depth / 2)) ** 2) / (1 - depth / 2) ** 4
    exact = mean * (1 - (depth / 2 / (1 - depth / 2)) ** 2) ** -3.5
    between = 128 * 0.0035 * (0.03 + 0.01 * exact) / (np.pi * 0.003**4) * 1e-6 / MMHG
    assert linear == pytest.approx(between, rel=1e-3)
    assert quadratic == vessel(1.5).losses(0.0035, "young_tsai")[1]


def test_a_tube_without_narrowing_loses_what_poiseuille_says():
    linear, quadratic = vessel(3.0).losses(0.0035)
    poiseuille = 8 * 0.0035 * 0.04 / (np.pi * 0.0015**4)
    assert linear == pytest.approx(1e-6 * poiseuille / MMHG)
    assert quadratic == 0.0


@settings(max_examples=25, deadline=None)
@given(st.floats(0.6, 2.9), st.floats(0.5, 6), st.floats(1, 30))
def test_a_reserve_lies_between_vein_and_aorta(least, flow, length):
    found = vessel(least, length, flow)
    for law in ("measured", "young_tsai"):
        reserve, through = solved(found, 90.0, 5.0, 0.0035, law)
        linear, quadratic = found.losses(0.0035, law)
        lost = linear * through + quadratic * through**2
        assert 5 / 90 < reserve < 1
        assert 0 < through < flow
        assert 90 * (1 - reserve) == pytest.approx(lost, rel=1e-6)
        assert 90 * reserve - 5 == pytest.approx(through * 85 / flow, rel=1e-6)
        assert solved(found.wider(-0.1), 90.0, 5.0, 0.0035, law)[0] < reserve


def test_a_narrowed_vessel_and_its_band(coronary):
    result = fractional_flow_reserve(coronary, **PRESSURES)
    found = numbers(result)
    size = numbers(stenosis(coronary))
    given_ = narrowing_of(coronary, size, 3.0)
    assert given_.length_mm == WHOLE * size["length"]
    assert given_.diameter_mm.min() == size["minimum_diameter"]
    assert found["fractional_flow_reserve"] == pytest.approx(solved(given_, 90, 5, 0.0035)[0])
    assert 0.6 < found["fractional_flow_reserve"] < 0.95
    assert found["pressure_drop"] == pytest.approx(90 * (1 - found["fractional_flow_reserve"]))
    assert found["flow"] < 3.0
    number = result.numbers[0]
    assert number.full_name("ffr") == "fractional_flow_reserve"
    assert number.low < number.value < number.high
    sure = fractional_flow_reserve(
        coronary, **PRESSURES, diameter_doubt_mm=0.0, flow_doubt_percent=0.0
    ).numbers[0]
    assert number.high - number.low > 2 * (sure.high - sure.low) > 0


def test_the_verdict_names_the_threshold(coronary):
    exact = {"diameter_doubt_mm": 0.0, "flow_doubt_percent": 0.0}
    mild = fractional_flow_reserve(coronary, aortic_pressure_mmhg=90, flow_ml_s=0.5, **exact)
    assert any("above the threshold" in f.sentence for f in mild.findings)
    tight = fractional_flow_reserve(coronary, aortic_pressure_mmhg=90, flow_ml_s=8.0, **exact)
    assert any("at or below the threshold" in f.sentence for f in tight.findings)
    assert "turbulent_throat" in codes(
        fractional_flow_reserve(coronary, aortic_pressure_mmhg=200, flow_ml_s=20.0)
    )
    open_ = fractional_flow_reserve(coronary, **PRESSURES, diameter_doubt_mm=0.4)
    assert "reserve_open" in codes(open_)


@pytest.mark.parametrize("left_out", list(PRESSURES))
def test_what_is_not_given_is_not_guessed(coronary, left_out):
    result = fractional_flow_reserve(
        coronary, **{name: value for name, value in PRESSURES.items() if name != left_out}
    )
    assert "reserve_inputs" in codes(result)
    assert "fractional_flow_reserve" not in numbers(result)
    assert numbers(result)["diameter_stenosis"] > 40


def test_an_aortic_pressure_below_the_venous_one_is_refused(coronary):
    with pytest.raises(ValueError, match="does not exceed the venous one"):
        fractional_flow_reserve(
            coronary, aortic_pressure_mmhg=10, flow_ml_s=1.0, venous_pressure_mmhg=12
        )


def computed(drops_mmhg):
    flow = some_flow()
    times = len(flow.times_s)
    pressures = {"inlet": np.linspace(4000, 4200, times)}
    flows = {"inlet": np.full(times, 3.0)}
    for number, drop in enumerate(drops_mmhg, 1):
        pressures[f"outlet_{number}"] = pressures["inlet"] - drop * MMHG
        flows[f"outlet_{number}"] = np.full(times, -3.0 / len(drops_mmhg))
    return dataclasses.replace(flow, opening_pressures_pa=pressures, flows_ml_s=flows)


def test_the_reserve_of_a_computed_flow():
    result = flow_reserve(computed((9.0, 27.0)), aortic_pressure_mmhg=90.0)
    found = numbers(result)
    assert found["outlet_1.reserve"] == pytest.approx(0.9)
    assert found["outlet_2.reserve"] == found["fractional_flow_reserve"] == pytest.approx(0.7)
    assert codes(result) == ["hyperaemia", "reserve"]
    assert codes(flow_reserve(computed((9.0,)))) == ["reserve_inputs"]
    with pytest.raises(ValueError, match="more than the aortic pressure"):
        flow_reserve(computed((95.0,)), aortic_pressure_mmhg=90.0)


def test_a_flow_at_rest_gives_no_reserve_and_its_source_is_told(coronary):
    result = fractional_flow_reserve(coronary, **PRESSURES, flow_state="rest")
    found = numbers(result)
    assert "fractional_flow_reserve" not in found
    assert found["resting_pressure_ratio"] < 1
    assert not {"reserve", "reserve_open"} & {*codes(result)}
    assert {"flow_at_rest", "flow_source", "reserve_model"} <= {*codes(result)}
    told = fractional_flow_reserve(coronary, **PRESSURES, flow_source="Doppler")
    assert "flow_source" not in codes(told)
    assert "Doppler" in told.numbers[0].source


def test_the_narrowing_is_drawn_and_its_pressure_falls_along_the_branch(coronary):
    result = fractional_flow_reserve(coronary, **PRESSURES)
    found = {number.quantity: number for number in result.numbers}
    pressure = result.samples["pressure_mmhg"]
    assert pressure[0] == pytest.approx(90.0)
    assert (np.diff(pressure) <= 0).all()
    assert 90 - pressure[-1] == pytest.approx(found["pressure_drop"].value, rel=1e-6)
    ring = result.lines_mm[0] - result.lines_mm[0][:-1].mean(axis=0)
    assert 2 * np.linalg.norm(ring, axis=1) == pytest.approx(found["minimum_diameter"].value)
    assert result.text_mm == pytest.approx(line(30.0, count=61)[28], abs=0.6)
    share = found["diameter_stenosis"]
    assert share.low < share.value < share.high
    assert share.high - share.low == pytest.approx(30 / found["reference_diameter"].value)
