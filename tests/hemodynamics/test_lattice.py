import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.lattice import OPPOSITE, VELOCITIES, WEIGHTS, collide, gaussian, moments

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def test_the_lattice_is_isotropic():
    c = VELOCITIES.astype(float)
    assert WEIGHTS.sum() == pytest.approx(1)
    assert np.allclose(WEIGHTS @ c, 0)
    assert np.allclose(np.einsum("q,qa,qb->ab", WEIGHTS, c, c), np.eye(3) / 3)
    assert np.array_equal(VELOCITIES[OPPOSITE], -VELOCITIES)


@given(st.integers(0, 10_000))
def test_moments_are_sums_over_the_velocities(seed):
    f = np.random.default_rng(seed).normal(size=27)
    c = VELOCITIES
    expected = [f.sum(), *(f @ c), *(f @ (c[:, a] * c[:, b]) for a, b in PAIRS)]
    assert np.allclose(moments(tuple(f)), expected)


def test_a_gaussian_has_the_moments_of_a_gaussian():
    mean = np.array([0.1, -0.05, 0.02])
    covariance = np.array([[0.35, 0.02, -0.01], [0.02, 0.30, 0.03], [-0.01, 0.03, 0.40]])
    f = np.array(gaussian(tuple(mean), tuple(covariance[a, b] for a, b in PAIRS)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    weights /= weights.sum()
    grid = np.stack(np.meshgrid(nodes, nodes, nodes), axis=-1).reshape(-1, 3)
    points = grid @ np.linalg.cholesky(covariance).T + mean
    shares = np.einsum("a,b,c->abc", weights, weights, weights).transpose(1, 0, 2).ravel()
    for powers in np.ndindex(3, 3, 3):
        expected = shares @ np.prod(points**powers, axis=1)
        assert f @ np.prod(VELOCITIES.astype(float) ** powers, axis=1) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.floats(0.1, 1.99))
def test_a_collision_keeps_mass_and_momentum_and_relaxes_stress(seed, omega):
    f = 0.01 * np.random.default_rng(seed).normal(size=27)
    rho, left = collide(tuple(f), omega, (0.0, 0.0, 0.0), 0.0)
    after = rho * np.array(left) - WEIGHTS
    assert after.sum() == pytest.approx(f.sum(), abs=1e-6)
    assert np.allclose(after @ VELOCITIES, f @ VELOCITIES, atol=1e-6)
    shear = f @ (VELOCITIES[:, 0] * VELOCITIES[:, 1])
    even = (f @ VELOCITIES[:, 0]) * (f @ VELOCITIES[:, 1]) / (1 + f.sum())
    relaxed = after @ (VELOCITIES[:, 0] * VELOCITIES[:, 1])
    assert relaxed - even == pytest.approx((1 - omega) * (shear - even), abs=1e-6)


def test_rest_stays_rest_and_a_force_moves_it():
    rho, left = collide((0.0,) * 27, 1.5, (0.0, 0.0, 0.0), 0.0)
    assert np.allclose(rho * np.array(left), WEIGHTS)
    rho, left = collide((0.0,) * 27, 1.5, (0.01, 0.0, -0.02), 0.003)
    assert rho == pytest.approx(1.003)
    assert np.allclose(np.array(left) @ VELOCITIES, (0.01, 0.0, -0.02))
