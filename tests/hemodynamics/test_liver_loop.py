"""The closed circulation: what it was tuned to, what it keeps, and how it answers a resection."""

from dataclasses import replace

import numpy as np
import pytest

from hemodynamics.liver import LiverCirculation
from hemodynamics.liver_loop import NotCalibrated, calibrate, network_of
from hemodynamics.liver_periphery import WIDENING, Patient, periphery
from hemodynamics.network_loop import loop_of, means_of
from hemodynamics.network_solution import periodic
from hemodynamics.verification.liver_trends import virtual_patients

PATIENT = Patient(85.0, 9.0, 6.0, 4.0, 5.5, 1.0, 0.3)


@pytest.fixture(scope="module")
def tuned():
    return calibrate(PATIENT)


def test_the_tuned_circulation_has_the_patients_values(tuned):
    state, beat = tuned.resected(0.0)
    for name in (
        "arterial_mmhg", "portal_mmhg", "sinusoidal_mmhg", "caval_mmhg", "portal_flow_l_min",
        "arterial_flow_l_min", "cardiac_output_l_min",
    ):  # fmt: skip
        assert getattr(state, name) == pytest.approx(getattr(PATIENT, name), rel=1e-5), name
    pulse = np.ptp(beat.pressures_mmhg[:, loop_of(tuned.network()).nodes.index("aorta")])
    assert 25 < pulse < 70


def test_the_beat_repeats_itself_and_keeps_the_blood(tuned):
    _, beat = tuned.resected(0.6)
    total = beat.volumes_ml.sum(axis=1)
    assert np.abs(total / total[0] - 1).max() < 1e-12
    kept = sum(tuned.volumes_ml.values()) - 0.6 * tuned.volumes_ml["liver"]
    assert total[0] == pytest.approx(kept, rel=1e-9)
    size = np.abs(beat.pressures_mmhg).max(axis=0)
    assert (np.abs(beat.pressures_mmhg[-1] - beat.pressures_mmhg[0]) / size).max() < 1e-3


def test_flows_of_the_beat_itself_are_those_of_its_means(tuned):
    state, beat = tuned.resected(0.5)
    loop = loop_of(tuned.network(0.5))
    mean = means_of(loop, beat)
    assert mean["portal vein"] == pytest.approx(state.portal_mmhg, abs=1e-5)
    assert mean["liver"] == pytest.approx(state.sinusoidal_mmhg, abs=1e-5)
    aortic = np.maximum(
        beat.pressures_mmhg[:, loop.nodes.index("left ventricle")]
        - beat.pressures_mmhg[:, loop.nodes.index("aorta")],
        0,
    )
    output = np.trapezoid(aortic / 0.008, beat.times_s) / loop.period_s * 60e-3
    assert output == pytest.approx(state.cardiac_output_l_min, rel=2e-3)


def test_the_general_solver_agrees(tuned):
    _, beat = tuned.resected(0.5)
    loop = loop_of(tuned.network(0.5))
    volumes = dict(zip(loop.nodes, map(float, beat.volumes_ml[0])))
    network = network_of(PATIENT, tuned.heart, {"liver": 0.5}, volumes)
    found = periodic(network, loop.period_s, 200, tolerance=2e-3)
    for node in ("aorta", "portal vein", "vena cava", "liver"):
        assert found.pressures_mmhg[node].mean() == pytest.approx(
            means_of(loop, beat)[node], rel=6e-3
        )


def test_lobes_in_parallel_are_one_liver(tuned):
    shares = {"left lateral": 0.15, "left medial": 0.2, "right": 0.25}
    volumes = dict(tuned.volumes_ml)
    liver = volumes.pop("liver")
    volumes |= {lobe: liver * share for lobe, share in shares.items()}
    loop = loop_of(network_of(PATIENT, tuned.heart, shares, volumes))
    beat = loop.repeated(np.array([volumes[node] for node in loop.nodes]))
    whole, _ = tuned.resected(0.4)
    mean = means_of(loop, beat)
    assert mean["portal vein"] == pytest.approx(whole.portal_mmhg, rel=1e-6)
    for lobe in shares:
        assert mean[lobe] == pytest.approx(whole.sinusoidal_mmhg, rel=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 0.7])
def test_with_pressures_held_it_is_the_four_resistor_model(fraction):
    resistors = LiverCirculation(85.0, 9.0, 6.0, 4.0, 1.0, 0.3).after_resection(fraction)
    state = periphery(PATIENT, fraction, 85.0, 4.0).state
    assert state.portal_mmhg == pytest.approx(resistors.portal_mmhg, rel=1e-12)
    assert state.arterial_flow_l_min == pytest.approx(resistors.arterial_flow_l_min, rel=1e-9)


def test_portal_pressure_rises_and_arterial_flow_falls_in_200_virtual_patients():
    for patient in virtual_patients(200):
        tuned = calibrate(patient)
        states, beats = zip(*(tuned.resected(f) for f in (0.0, 0.25, 0.5, 0.7, 0.9)))
        assert (np.diff([s.portal_mmhg for s in states]) > 0).all(), patient
        assert (np.diff([s.gradient_mmhg for s in states]) > 0).all(), patient
        assert (np.diff([s.arterial_flow_l_min for s in states]) < 0).all(), patient
        for beat in beats:
            assert np.ptp(beat.volumes_ml.sum(axis=1)) < 1e-9 * beat.volumes_ml[0].sum()
            assert beat.change < 1e-3


@pytest.mark.parametrize("power", [1.0, WIDENING])
def test_a_resistance_falls_with_a_power_of_the_pressure_in_it(power):
    before = periphery(PATIENT, 0.0, 85.0, 4.0, widening=power).state
    assert before.portal_mmhg == pytest.approx(9.0, rel=1e-12)
    after = periphery(PATIENT, 0.6, 85.0, 4.0, widening=power).state
    flow = after.portal_flow_l_min + after.arterial_flow_l_min
    for fall, through, mean, resistance, pressure in (
        (3.0, 1.0, 7.5, 0.4 * (after.portal_mmhg - after.sinusoidal_mmhg) /
         after.portal_flow_l_min, (after.portal_mmhg + after.sinusoidal_mmhg) / 2),
        (2.0, 1.3, 5.0, 0.4 * (after.sinusoidal_mmhg - 4.0) / flow,
         (after.sinusoidal_mmhg + 4.0) / 2),
    ):  # fmt: skip
        assert resistance * pressure**power == pytest.approx(fall / through * mean**power)


def test_veins_that_widen_settle_with_the_beat_and_keep_the_blood(tuned):
    rigid, _ = tuned.resected(0.7)
    for buffer in (False, True):
        state, beat = tuned.resected(0.7, buffer, WIDENING)
        total = beat.volumes_ml.sum(axis=1)
        assert np.abs(total / total[0] - 1).max() < 1e-12
        mean = dict(zip(loop_of(tuned.network()).nodes, beat.mean_mmhg))
        assert mean["portal vein"] == pytest.approx(state.portal_mmhg, abs=1e-4)
        assert 9.0 < state.portal_mmhg < rigid.portal_mmhg


def test_widening_veins_keep_the_trends_in_virtual_patients():
    for patient in virtual_patients(24):
        tuned = calibrate(patient)
        states = [tuned.resected(f, False, WIDENING)[0] for f in (0.0, 0.25, 0.5, 0.7, 0.9)]
        assert (np.diff([s.portal_mmhg for s in states]) > 0).all(), patient
        assert (np.diff([s.arterial_flow_l_min for s in states]) < 0).all(), patient


def test_the_buffer_narrows_the_artery_as_portal_flow_per_mass_rises(tuned):
    passive, _ = tuned.resected(0.6)
    active, _ = tuned.resected(0.6, buffer=True)
    assert active.arterial_flow_l_min < 0.5 * passive.arterial_flow_l_min
    assert active.portal_mmhg < passive.portal_mmhg


def test_a_small_change_of_portal_flow_is_buffered_as_assumed():
    # The gut takes one part in a thousand less; arterial and sinusoidal pressure hardly move.
    less = replace(PATIENT, portal_mmhg=9.0, sinusoidal_mmhg=4.001)
    lower = periphery(less, 0.0, 85.0, 4.0, buffer=True)
    raised = periphery(less, 0.0, 85.0 * 0.999, 4.0, buffer=True)
    vein = raised.state.portal_flow_l_min - lower.state.portal_flow_l_min
    passive = periphery(less, 0.0, 85.0 * 0.999, 4.0).state.arterial_flow_l_min
    gained = raised.state.arterial_flow_l_min - passive
    assert gained / -vein == pytest.approx(0.44, rel=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"sinusoidal_mmhg": 10.0}, "must fall"), ({"cardiac_output_l_min": 1.2}, "less than"),
     ({"caval_mmhg": -1.0}, "must fall"), ({"portal_flow_l_min": 0.0}, "positive")],
)  # fmt: skip
def test_contradictory_values_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(PATIENT, **change)


def test_a_heart_that_cannot_be_is_said():
    with pytest.raises(NotCalibrated, match="no heart"):
        calibrate(replace(PATIENT, caval_mmhg=0.05, cardiac_output_l_min=12.0))


def test_a_full_vena_cava_is_no_obstacle():
    congested = Patient(60.0, 30.0, 25.0, 20.0, 3.0, 0.6, 0.15)
    state, _ = calibrate(congested).resected(0.0)
    assert state.caval_mmhg == pytest.approx(20.0, rel=1e-4)
    assert congested.lung_veins_mmhg == 23.0


@pytest.mark.parametrize("fraction", [-0.1, 0.95, 1.0])
def test_too_little_liver_is_refused(tuned, fraction):
    with pytest.raises(ValueError, match="fraction"):
        tuned.resected(fraction)
