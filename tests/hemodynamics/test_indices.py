import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

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


def plane(turn):
    """Return points, triangles of a plane of 8 mm, and its two directions, turned in space."""
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-4, 4, 9), np.linspace(-4, 4, 7)))
    i, j = (a.ravel() for a in np.meshgrid(np.arange(8), np.arange(6)))
    a = j * 9 + i
    cells = np.concatenate([np.stack([a, a + 1, a + 10], 1), np.stack([a, a + 10, a + 9], 1)])
    first, second = turn.apply([1.0, 0, 0]), turn.apply([0, 1.0, 0])
    return np.outer(x, first) + np.outer(y, second), cells, first, second, x, y


def test_the_gradient_of_linear_shear_is_exact():
    points, cells, first, second, x, y = plane(Rotation.from_rotvec([0.4, -0.8, 0.3]))
    wss = np.outer(20 + 0.5 * x + 0.9 * y, first)
    wss += np.outer(0.3 * y - 0.7 * x, second)
    (along, across) = (0.5, 0.3)
    found = indices.shear_gradient_pa_mm(points, cells, wss[None])
    middle = np.abs(points[cells].mean(axis=1) @ second) < 0.2
    assert np.allclose(found[middle], np.hypot(along, across), atol=0.05)
    straight = np.outer(20 + 0.5 * x, first)
    assert np.allclose(indices.shear_gradient_pa_mm(points, cells, straight[None]), 0.5)
    sideways = np.outer(np.full_like(x, 20.0), first) + np.outer(1e-6 * y, second)
    assert np.allclose(indices.shear_gradient_pa_mm(points, cells, sideways[None]), 1e-6)


def test_shear_across_the_flow_is_no_gradient_and_times_are_averaged():
    points, cells, first, _, x, y = plane(Rotation.identity())
    shear = np.outer(5 + 0.9 * y, first)
    assert np.allclose(indices.shear_gradient_pa_mm(points, cells, shear[None]), 0, atol=1e-12)
    rising = np.outer(5 + 0.2 * x, first)
    both = np.stack([shear, rising])
    assert np.allclose(indices.shear_gradient_pa_mm(points, cells, both), 0.1)


def test_the_gradient_on_a_cylinder_is_that_along_its_axis():
    turn, along = (
        a.ravel() for a in np.meshgrid(np.arange(64) * np.pi / 32, np.arange(-5, 6), indexing="xy")
    )
    points = np.stack([2 * np.cos(turn), 2 * np.sin(turn), along.astype(float)], axis=1)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(64), np.arange(10), indexing="xy"))
    a, b = j * 64 + i, j * 64 + (i + 1) % 64
    cells = np.concatenate([np.stack([a, b, b + 64], 1), np.stack([a, b + 64, a + 64], 1)])
    wss = np.zeros((1, len(points), 3))
    wss[0, :, 2] = 3 + 0.25 * along
    assert np.allclose(indices.shear_gradient_pa_mm(points, cells, wss), 0.25)


def test_still_walls_have_no_gradient():
    points, cells, *_ = plane(Rotation.identity())
    still = np.zeros((2, len(points), 3))
    assert np.array_equal(indices.shear_gradient_pa_mm(points, cells, still), np.zeros(len(cells)))


def test_a_jet_concentrates_shear():
    shear, areas = np.array([1.0, 1.0, 8.0]), np.array([5.0, 3.0, 2.0])
    assert indices.shear_concentration(shear, areas, 3.0, 1.0) == pytest.approx((16 / 24) / 0.2)
    assert indices.shear_concentration(shear, areas, 7.5, 1.0) == 0.0
    even = np.full(3, 5.0)
    assert indices.shear_concentration(even, areas, 3.0, 1.0) == pytest.approx(1.0)


def test_low_shear_index():
    shear, areas = np.array([1.0, 2.0, 8.0]), np.array([5.0, 3.0, 2.0])
    assert indices.low_shear_index(shear, areas, 4.0, 1.0) == pytest.approx(11 * 8 / (27 * 10))
    assert indices.low_shear_index(shear, areas, 1.5, 1.0) == 0.0


def test_two_jets_through_a_neck():
    # A tenth of the neck takes in 0.6 mL/s, a fifth 0.2; the rest lets it out again.
    inward, areas = np.array([0.6, 0.1, -8 / 70]), np.array([1.0, 2.0, 7.0])
    assert inward @ areas == pytest.approx(0.0)
    found = indices.inflow_concentration(inward, areas, parent_ml_s=4.0)
    assert found == pytest.approx((0.8 / 4.0) / (3.0 / 10.0))
    turned = np.stack([inward, -inward])
    found = indices.inflow_concentration(turned, areas, parent_ml_s=4.0)
    assert found == pytest.approx((0.8 / 4.0) / ((3.0 + 7.0) / 2 / 10.0))
    assert indices.inflow_concentration(-np.ones(3), areas, 4.0) == 0.0


def test_what_rounding_makes_of_steady_shear_is_told_as_none():
    rng = np.random.default_rng(3)
    kept = rng.normal(size=(1, 200, 3)).astype(np.float32)
    assert indices.told_osi(indices.osi(np.repeat(kept, 7, axis=0))).tolist() == [0.0] * 200
    assert indices.told_osi(np.array([1e-8, 2e-6, 0.3])).tolist() == [0.0, 2e-6, 0.3]
