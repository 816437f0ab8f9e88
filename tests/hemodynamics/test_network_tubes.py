"""Elastic tubes in networks: their walls, segments and courses, and what is told of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.lumped import (
    Course,
    FlowSource,
    Network,
    PressureSource,
    Resistor,
    Tube,
    UnusableNetwork,
)
from hemodynamics.network import circulation
from hemodynamics.network_solution import periodic, steady, transient
from hemodynamics.network_tubes import artery_of, highest_hz, segments_of, slowing
from hemodynamics.tube_report import waves as separated
from hemodynamics.verification.rows import Means
from hemodynamics.verification.waves import waves

TUBE = Tube("artery", "near", "far", 300.0, 4.0, wave_speed_m_s=6.0)
HEART = {"mean": 20.0, "period_s": 0.8, "cosines": [3.0], "sines": [9.0, 4.0]}


def described(**tube):
    given = {"kind": "tube", "name": "artery", "start": "near", "end": "far", "length_mm": 300,
             "radius_mm": 4, "initial_mmhg": 80}  # fmt: skip
    return {
        "elements": [
            {"kind": "flow source", "name": "heart", "end": "near", "flow": HEART},
            given | tube,
            {"kind": "resistor", "name": "body", "start": "far", "end": "ground", "resistance": 4},
        ]
    }


def numbers(result):
    return {number.quantity: number for number in result.numbers}


def test_validation_rows_pass():
    rows = list(waves(Means()))
    assert [row.case for row in rows if row.verdict != "pass"] == []
    assert len(rows) == 10


def test_three_ways_to_tell_a_wall_agree():
    stiff = Tube("a", "x", "y", 300.0, 4.0, young_kpa=500.0, wall_mm=0.5, poisson=0.0)
    speed = artery_of(stiff).wave_speed_m_s
    assert speed == pytest.approx(np.sqrt(5e5 * 0.5 / (2 * 1060 * 4.0)))
    soft = 133.322 / (1060 * speed**2)  # distensibility by mmHg
    known = Tube("a", "x", "y", 300.0, 4.0, distensibility_per_mmhg=soft)
    assert artery_of(known).wave_speed_m_s == pytest.approx(speed)
    assert artery_of(known).compliance == pytest.approx(soft * artery_of(known).volume_ml)


@pytest.mark.parametrize(
    ("wall", "words"),
    [
        ({}, "told once"),
        ({"wave_speed_m_s": 6, "distensibility_per_mmhg": 0.01}, "told once"),
        ({"young_kpa": 400}, "both young_kpa and wall_mm"),
        ({"wave_speed_m_s": 6, "segments": 7}, "segments"),
        ({"wave_speed_m_s": 6, "length_mm": 0}, "length_mm"),
        ({"wave_speed_m_s": 6, "end": "near"}, "joins 'near' with itself"),
        ({"wave_speed_m_s": 0.5, "measured_mmhg": 90}, "holds nothing well below 90 mmHg"),
    ],
)
def test_a_tube_that_cannot_be_is_refused(wall, words):
    with pytest.raises(UnusableNetwork, match=words):
        circulation(network=described(**wall))


def test_a_part_of_a_tube_keeps_its_name_to_itself():
    other = Resistor("artery mass 3", "far", "ground", 1.0)
    with pytest.raises(UnusableNetwork, match="'artery mass 3' is a part of the tube 'artery'"):
        transient(Network((TUBE, other)), 0.1, 1e-3)
    middle = Resistor("r", "far", "artery.middle", 1.0)
    with pytest.raises(UnusableNetwork, match=r"'artery.middle' is a part"):
        steady(Network((TUBE, middle, Resistor("q", "artery.middle", "ground", 1.0))))


def test_segments_follow_the_steps():
    assert segments_of(TUBE, None) == 2
    assert segments_of(TUBE, 1.0) == 2
    assert segments_of(TUBE, 2e-3) == 26  # 25 steps of travel, made even
    assert segments_of(replace(TUBE, segments=8), 2e-3) == 8
    assert segments_of(replace(TUBE, length_mm=1e6), 1e-3) == 400
    assert slowing(TUBE, 2e-3, highest_hz(TUBE, 2e-3, 0.03)) == pytest.approx(0.03)


def test_steady_loss_follows_the_profile():
    def drop(profile):
        tube = replace(TUBE, profile=profile)
        flow = FlowSource("f", "near", Course(5.0))
        found = steady(Network((flow, tube, Resistor("r", "far", "ground", 1.0))))
        assert found.flows_ml_s["artery.start"][0] == pytest.approx(5.0)
        return found.pressures_mmhg["near"][0] - found.pressures_mmhg["far"][0]

    poiseuille = 8 * 0.0035 * 0.3 * 5e-6 / (np.pi * 0.004**4) / 133.322
    assert drop(2.0) == pytest.approx(poiseuille)
    assert drop(9.0) == pytest.approx(poiseuille * 11 / 4)


def test_the_volume_is_that_of_the_radius_at_its_pressure():
    tube = replace(TUBE, viscosity_pa_s=0.0, measured_mmhg=70.0)
    held = (PressureSource("p", "near", Course(90.0)), Resistor("r", "far", "ground", 1.0))
    found = steady(Network((*held, replace(tube, viscosity_pa_s=1e-9))))
    exact = np.pi * 16 * 0.3 * (1 + 20 * 133.322 / (1060 * 36))
    assert found.volumes_ml["artery"][0] == pytest.approx(exact, rel=1e-6)


def test_an_end_at_the_ground_and_what_the_courses_hold():
    drive = PressureSource("p", "near", Course(10.0, 0.8, (), (5.0,)))
    found = periodic(Network((drive, replace(TUBE, end="ground"))), 0.8, 100, tolerance=1e-3)
    assert set(found.pressures_mmhg) == {"near", "artery.middle"}
    assert set(found.flows_ml_s) == {"p", "artery.start", "artery.end"}
    assert set(found.volumes_ml) == {"artery"}
    stored = np.gradient(found.volumes_ml["artery"], found.times_s)[2:-2]
    gained = (found.flows_ml_s["artery.start"] - found.flows_ml_s["artery.end"])[2:-2]
    assert np.abs(stored - gained).max() < 0.02 * np.abs(gained).max()


def test_what_is_told_of_a_tube():
    result = circulation(network=json.dumps(described(wave_speed_m_s=6)), steps=200)
    found = numbers(result)
    assert found["artery.travel_time"].value == pytest.approx(50.0)
    assert found["artery.travel_time"].unit == "ms"
    impedance = 1060 * 6 / (np.pi * 0.004**2) * 1e-6 / 133.322
    assert found["artery.impedance"].value == pytest.approx(impedance)
    assert found["artery.highest_frequency"].value == pytest.approx(6.5, abs=0.2)
    assert 0 < found["artery.reflection"].value < 1
    assert found["artery.start.flow"].value == pytest.approx(20.0, rel=1e-4)
    assert not any(" " in name for name in result.columns)
    (finding,) = result.findings
    assert finding.code == "linear_waves"
    assert "profile of power 2" in finding.sentence
    speed = 100 * found["artery.start.flow_maximum"].value * 1e-6 / (np.pi * 0.004**2) / 6
    assert f"up to {speed:.2g} % of the wave speed (artery)" in finding.sentence
    rest = circulation(network=described(wave_speed_m_s=6), kind="steady")
    assert rest.findings == ()
    assert "artery.reflection" not in numbers(rest)


def test_coarse_steps_are_told():
    result = circulation(network=described(wave_speed_m_s=6), steps=40)
    slowed = next(f for f in result.findings if f.code == "waves_slowed")
    assert "source heart sends waves of up to 2.5 Hz" in slowed.sentence
    assert slowed.remedy


def test_what_runs_back_at_a_half_closed_end():
    impedance = artery_of(TUBE).impedance
    tube = replace(TUBE, viscosity_pa_s=0.0)
    pulse = FlowSource("f", "near", Course(0.0, 0.8, (), (1.0,)))
    network = Network((pulse, tube, Resistor("r", "far", "ground", 3 * impedance)))
    found = periodic(network, 0.8, 400, tolerance=1e-5)
    forward, backward = separated(tube, found)
    assert np.ptp(backward) / np.ptp(forward) == pytest.approx(0.5, rel=2e-3)
    late = np.argmax(backward) - np.argmax(forward)
    assert late * 0.8 / 400 == pytest.approx(0.1, abs=0.004)  # there and back
