import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics import indices

TIMES = np.arange(1000) / 1000


def shear(along, across=0.0):
    """Return wall shear (times, 1, 3)."""
    along, across = np.broadcast_arrays(along, across, TIMES)[:2]
    return np.stack([along, across, np.zeros_like(along)], axis=1)[:, None, :]


def test_worked_example_of_shear_that_turns_back():
    wss = shear(1 + 2 * np.cos(2 * np.pi * TIMES))
    assert indices.tawss_pa(wss)[0] == pytest.approx(1.43599, abs=2e-5)
    assert indices.osi(wss)[0] == pytest.approx(0.15181, abs=1e-5)
    assert indices.rrt_1_pa(wss)[0] == pytest.approx(1.0)


def test_worked_example_of_pressure_loss():
    # 300 Pa are lost while the vessel narrows from 0.40 to 0.50 m/s.
    assert indices.pressure_loss_coefficient(300, 0.4, 0, 0.5) == pytest.approx(2.9752, abs=1e-4)


def test_still_walls_have_no_index_but_infinite_residence():
    still = np.zeros((4, 2, 3))
    assert indices.osi(still).tolist() == [0, 0]
    assert np.isinf(indices.rrt_1_pa(still)).all()


@given(st.integers(0, 10_000))
def test_osi_is_between_none_and_a_half_and_ties_residence_to_shear(seed):
    wss = np.random.default_rng(seed).normal(size=(20, 5, 3))
    index = indices.osi(wss)
    assert ((index >= 0) & (index <= 0.5)).all()
    again = 1 / ((1 - 2 * index) * indices.tawss_pa(wss))
    assert np.allclose(indices.rrt_1_pa(wss), again)


def test_shear_to_and_fro_has_half():
    assert indices.osi(shear(np.sin(2 * np.pi * TIMES)))[0] == pytest.approx(0.5)


def test_low_shear_is_weighted_by_area():
    share = indices.low_shear_share(np.array([0.1, 1.0, 0.5]), np.array([2.0, 5.0, 1.0]), 4.0)
    assert share == pytest.approx(2 / 8)
