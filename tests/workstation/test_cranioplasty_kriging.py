"""Values on a vault, continued: trends kept, what is known met, the other side heeded or not."""

import numpy as np
import pytest

from workstation.planning.cranioplasty_kriging import Known, Model, Variation, continued, joined
from workstation.planning.cranioplasty_rays import mirrored

NORMAL, UP = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
ROUGH = Variation(1.0, 0.3)


def some(count, seed=0, left=False):
    ways = np.random.default_rng(seed).normal(size=(count, 3))
    ways[:, 2] = np.abs(ways[:, 2])
    if left:
        ways[:, 0] = np.abs(ways[:, 0]) + 0.4
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def test_what_is_known_is_met_within_its_noise():
    ways = some(150)
    values = 80 + np.sin(4 * ways[:, 0]) + ways[:, 1]
    model = Model((ROUGH,), 1e-3, "level")
    assert continued(Known(ways, values), ways, model, NORMAL, UP) == pytest.approx(
        values, abs=0.01
    )


def test_a_trend_is_carried_on_where_nothing_is_known():
    def form(ways):
        return 80 + 3 * ways[:, 1] - 2 * ways[:, 2] ** 2 + ways[:, 1] * ways[:, 2] + ways[:, 0]

    ways, away = some(200), some(50, 1) * [1, 1, -1]
    got = continued(Known(ways, form(ways)), away, Model((ROUGH,), 0.1, "bent"), NORMAL, UP)
    assert got == pytest.approx(form(away), abs=1e-6)


def test_a_slope_is_not_carried_on_without_end():
    ways = some(300)
    ways = ways[ways[:, 1] < 0]
    steep = np.clip(10 * (ways[:, 1] + 0.3), 0, None)
    far = np.array([[0.0, 1.0, 0.0]])
    got = continued(Known(ways, steep), far, Model((ROUGH,), 0.1, "level"), NORMAL, UP)
    assert abs(got[0]) < steep.max()


@pytest.mark.parametrize("alike", [True, False])
def test_the_other_side_tells_only_where_sides_are_alike(alike):
    ways = some(300, left=True)
    bumps = np.exp(-((ways - ways[0]) ** 2).sum(axis=1) / 0.02)
    model = Model((Variation(1.0, 0.3, alike),), 0.05, "level")
    got = continued(Known(ways, bumps), mirrored(ways[:1], NORMAL), model, NORMAL, UP)
    assert (got[0] > 0.8) == alike


def test_more_noise_evens_more():
    ways = some(200)
    noise = np.random.default_rng(3).normal(size=200)
    spread = [
        continued(Known(ways, noise), ways, Model((ROUGH,), off, "level"), NORMAL, UP).std()
        for off in (0.1, 1.0, 5.0)
    ]
    assert spread[0] > 1.5 * spread[1] > 2 * spread[2]


def test_parts_are_joined_in_their_order():
    one, other = (Known(some(n, n), np.full(n, float(n))) for n in (2, 3))
    both = joined(one, other)
    assert both.values_mm.tolist() == [2, 2, 3, 3, 3]
    assert np.array_equal(both.directions[2:], other.directions)
