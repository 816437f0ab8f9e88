"""Bands: they hold the value, narrow with what is measured, and follow the full model."""

import pytest

from hemodynamics.liver_forecast import BANDED, Known, patient_of, prepare
from hemodynamics.liver_loop import calibrate
from hemodynamics.liver_periphery import periphery

SURE = Known(9.0, 85.0, 6.0, 4.0, 5.5, 1.0, 0.3)
LITTLE = Known(9.0)


@pytest.fixture(scope="module")
def sure():
    return prepare(SURE, 24)


@pytest.fixture(scope="module")
def little():
    return prepare(LITTLE, 24)


def test_bands_hold_the_value_and_widen_with_what_is_assumed(sure, little):
    narrow, wide = sure.at(0.6), little.at(0.6)
    for name in BANDED:
        low, high = wide.bands[name]
        assert low < getattr(wide.after, name) < high
    for name in ("arterial_flow_l_min", "arterial_mmhg", "cardiac_output_l_min"):
        spans = [o.bands[name][1] - o.bands[name][0] for o in (narrow, wide)]
        assert spans[0] < 0.8 * spans[1], name
    assert narrow.after.portal_mmhg > narrow.before.portal_mmhg == pytest.approx(9.0)


def test_the_surface_of_the_ensemble_follows_the_full_model(sure):
    for place, member in enumerate(sure.members[:4]):
        full = calibrate(member)
        for removed in (0.15, 0.45, 0.65, 0.87):
            for surface in (sure.rigid, sure.widened):
                exact, _ = full.resected(removed, False, surface.widening)
                held = (float(c(removed)[place]) for c in (surface.arterial, surface.caval))
                state = periphery(member, removed, *held, False, surface.widening).state
                assert state.portal_mmhg == pytest.approx(exact.portal_mmhg, abs=0.05)


def test_veins_that_widen_and_resistors_stand_beside_with_bands(sure):
    outcome = sure.at(0.6)
    assert outcome.widened.portal_mmhg < outcome.after.portal_mmhg < outcome.resistors.portal_mmhg
    assert outcome.resistors.portal_mmhg == pytest.approx(14.913, abs=1e-3)
    for state, bands in (
        (outcome.widened, outcome.bands_widened),
        (outcome.resistors, outcome.bands_resistors),
    ):
        low, high = bands["portal_mmhg"]
        assert low < state.portal_mmhg < high


def test_the_same_values_give_the_same_bands(sure):
    assert prepare(SURE, 24).at(0.5).bands == sure.at(0.5).bands


def test_what_is_not_measured_is_that_of_a_normal_adult():
    patient = patient_of(LITTLE)
    assert patient.arterial_mmhg == 87.5
    assert patient.caval_mmhg == 4.0
    assert patient.sinusoidal_mmhg == pytest.approx(6.0)
    assert patient.portal_flow_l_min == pytest.approx(6.0 * 0.25 * 0.75)
    tall = patient_of(Known(9.0, surface_m2=2.0))
    assert tall.cardiac_output_l_min == pytest.approx(6.5)


def test_low_portal_pressure_lowers_an_assumed_caval_pressure_only():
    assert patient_of(Known(4.0)).caval_mmhg == 3.0
    with pytest.raises(ValueError, match="must fall"):
        patient_of(Known(4.0, caval_mmhg=5.0))


def test_draws_that_contradict_themselves_are_left_out_and_counted():
    # Half of the draws have more flow through the liver than the heart gives.
    forecast = prepare(Known(9.0, 85.0, 6.0, 4.0, 1.5, 1.0, 0.3), 24)
    assert 0 < forecast.failed <= 12
    assert len(forecast.members) == 24 - forecast.failed
