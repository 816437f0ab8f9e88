import numpy as np
import pytest

from hemodynamics.verification import straight


@pytest.fixture(scope="module")
def coarse():
    axis = straight.AXES["askew"]
    return straight.flow_in_tube(axis, 4.0, "steady"), axis


def test_the_errors_of_coarse_flow_are_small_but_seen(coarse):
    flow, axis = coarse
    found = straight.errors(flow, axis)
    assert 0.5 < found["velocity"] < 4.0
    assert 1.0 < found["shear"] < 8.0
    assert straight.pressure_gradient(flow, axis) == pytest.approx(1.0, abs=0.06)


def test_an_error_of_another_axis_is_seen(coarse):
    flow, _ = coarse
    assert straight.errors(flow, (4.0, 1.0, 2.0))["velocity"] > 10.0


def test_pulsatile_flow_without_pulse_is_poiseuilles(coarse):
    flow, axis = coarse
    along = np.array(axis) / np.linalg.norm(axis)
    velocity, shear = straight.exact(flow, along)
    assert shear[0] == pytest.approx(0.5570, abs=5e-4)
    assert velocity.max() == pytest.approx(2 / (4 * np.pi), rel=0.05)
