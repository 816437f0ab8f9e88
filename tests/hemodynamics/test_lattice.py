from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.lattice import (
    LIMIT,
    MAGIC,
    OPPOSITE,
    VELOCITIES,
    WEIGHTS,
    collide,
    moments,
    of_cumulants,
)

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
TRIPLES = ((0, 0, 1), (0, 0, 2), (1, 1, 0), (1, 1, 2), (2, 2, 0), (2, 2, 1), (0, 1, 2))
MEAN = (0.1, -0.05, 0.02)
SECOND = (0.35, 0.30, 0.40, 0.02, -0.01, 0.03)
NONE = (0.0,) * 7


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
    expected = [
        f @ np.prod(c[:, axes], axis=1) for axes in ((), (0,), (1,), (2,), *PAIRS, *TRIPLES)
    ]
    assert np.allclose(moments(tuple(f)), expected)


def moment(axes, cumulants):
    """Return a raw moment: the sum over all ways to part its factors into cumulants."""
    if not axes:
        return 1.0
    first, rest = axes[0], range(1, len(axes))
    total = 0.0
    for count in range(3):
        for chosen in combinations(rest, count):
            block = tuple(sorted((first, *(axes[n] for n in chosen))))
            left = tuple(axes[n] for n in rest if n not in chosen)
            total += cumulants.get(block, 0.0) * moment(left, cumulants)
    return total


@pytest.mark.parametrize("third", [NONE, (0.03, -0.02, 0.05, 0.01, -0.04, 0.02, -0.03)])
def test_populations_have_their_cumulants_and_none_above_third_order(third):
    values = zip((*((a,) for a in range(3)), *PAIRS, *TRIPLES), (*MEAN, *SECOND, *third))
    cumulants = {tuple(sorted(axes)): value for axes, value in values}
    f = np.array(of_cumulants(MEAN, SECOND, third))
    for powers in np.ndindex(3, 3, 3):
        axes = tuple(axis for axis, power in enumerate(powers) for _ in range(power))
        found = f @ np.prod(VELOCITIES.astype(float) ** powers, axis=1)
        assert found == pytest.approx(moment(axes, cumulants), abs=1e-7)


def test_without_third_cumulants_they_have_the_moments_of_a_gaussian():
    xx, yy, zz, xy, xz, yz = SECOND
    covariance = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    f = np.array(of_cumulants(MEAN, SECOND, NONE))
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    weights /= weights.sum()
    grid = np.stack(np.meshgrid(nodes, nodes, nodes), axis=-1).reshape(-1, 3)
    points = grid @ np.linalg.cholesky(covariance).T + MEAN
    shares = np.einsum("a,b,c->abc", weights, weights, weights).transpose(1, 0, 2).ravel()
    for powers in np.ndindex(3, 3, 3):
        expected = shares @ np.prod(points**powers, axis=1)
        found = f @ np.prod(VELOCITIES.astype(float) ** powers, axis=1)
        assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("size", [1e-6, 0.02])
@pytest.mark.parametrize("carry", [0.0, 1.0])
def test_a_third_cumulant_lasts_as_its_rate_says_and_a_large_one_shorter(number, size, carry):
    third = np.zeros(7)
    third[number] = size
    tau = 0.52
    f = np.array(of_cumulants(MEAN, SECOND, third))
    rho, left = collide(tuple(f - WEIGHTS), 1 / tau, carry, (0.0, 0.0, 0.0), 0.0)
    slow = MAGIC / (tau - 0.5) + 0.5
    after = np.array(moments(tuple(left)))[10:]
    second = tuple(np.diag([1 / 3] * 3)[a, b] for a, b in PAIRS)
    relaxed = tuple(k + (1 - 1 / tau) * (s - k) for k, s in zip(second, SECOND))
    alone = np.array(moments(of_cumulants(MEAN, relaxed, NONE)))[10:]
    expected = carry * (1 - 1 / slow) * third * LIMIT / (LIMIT + size)
    assert after - alone == pytest.approx(expected, rel=1e-4, abs=2e-8)
    assert rho == pytest.approx(1.0)


@given(st.integers(0, 10_000), st.floats(0.1, 1.99))
def test_a_collision_keeps_mass_and_momentum_and_relaxes_stress(seed, omega):
    f = 0.01 * np.random.default_rng(seed).normal(size=27)
    rho, left = collide(tuple(f), omega, 1.0, (0.0, 0.0, 0.0), 0.0)
    after = rho * np.array(left) - WEIGHTS
    assert after.sum() == pytest.approx(f.sum(), abs=1e-6)
    assert np.allclose(after @ VELOCITIES, f @ VELOCITIES, atol=1e-6)
    shear = f @ (VELOCITIES[:, 0] * VELOCITIES[:, 1])
    even = (f @ VELOCITIES[:, 0]) * (f @ VELOCITIES[:, 1]) / (1 + f.sum())
    relaxed = after @ (VELOCITIES[:, 0] * VELOCITIES[:, 1])
    assert relaxed - even == pytest.approx((1 - omega) * (shear - even), abs=1e-6)


def test_rest_stays_rest_and_a_force_moves_it():
    rho, left = collide((0.0,) * 27, 1.5, 1.0, (0.0, 0.0, 0.0), 0.0)
    assert np.allclose(rho * np.array(left), WEIGHTS)
    rho, left = collide((0.0,) * 27, 1.5, 1.0, (0.01, 0.0, -0.02), 0.003)
    assert rho == pytest.approx(1.003)
    assert np.allclose(np.array(left) @ VELOCITIES, (0.01, 0.0, -0.02))
