from dataclasses import astuple

import numpy as np
import pytest

from hemodynamics.flow_march import Late, Samples
from hemodynamics.flow_settled import FLOOR, Averages, Repeats, Settling, sway


def sample(shear, speed):
    return Samples(
        times_s=[0.0],
        wss_pa=[np.full((2, 3), shear, np.float32)],
        velocity_m_s=[np.full((4, 3), speed, np.float32)],
        pressure_pa=[np.arange(4, dtype=np.float32) * speed],
        flows_ml_s=[{"inlet": speed, "outlet_1": -2 * speed}],
        pressures_pa=[{"inlet": 10 * speed, "outlet_1": speed}],
    )


def test_a_flow_that_swings_is_told_by_its_mean():
    late, last = Late(), sample(4.0, 0.5)
    for one, flow in ((sample(-1.0, 0.2), 2.0), (sample(4.0, 0.5), 3.0)):
        late.take(one, {"inlet": flow, "outlet_1": -flow}, np.array([1.0]))
    mean, flows, size_pa = late.mean(last)
    assert mean.wss_pa[0] == pytest.approx(1.5)
    assert size_pa == pytest.approx(2.5 * np.sqrt(3))  # not that of the mean vector
    assert mean.velocity_m_s[0] == pytest.approx(0.35)
    assert mean.pressure_pa[0] == pytest.approx(np.arange(4) * 0.35)
    assert mean.flows_ml_s[0] == pytest.approx({"inlet": 0.35, "outlet_1": -0.7})
    assert mean.pressures_pa[0] == pytest.approx({"inlet": 3.5, "outlet_1": 0.35})
    assert flows == {"inlet": 2.5, "outlet_1": -2.5}
    assert mean.times_s == last.times_s


def test_the_mean_goes_on_from_where_it_was():
    late, again, flows = Late(), Late(), {"inlet": 1.0, "outlet_1": -1.0}
    late.take(sample(1.0, 0.2), flows, np.array([1.0, 2.0]))
    again.restore(late.state_arrays())
    for each in (late, again):
        each.take(sample(3.0, 0.4), flows, np.array([3.0, 4.0]))
    last = sample(3.0, 0.4)
    assert np.array_equal(again.mean(last)[0].wss_pa[0], late.mean(last)[0].wss_pa[0])
    assert np.array_equal(again.patches_pa, late.patches_pa)
    Late().restore(Late().state_arrays())


@pytest.mark.parametrize(
    ("remaining", "swings"),
    [([0.9, 0.5, 0.3, 0.2, 0.1], False), ([0.9, 0.5, 0.4, 0.6, 0.3], True), ([], False)],
)
def test_a_change_that_does_not_fall_is_a_swing(remaining, swings):
    settling = Settling(np.zeros(1, np.int64), np.ones(1), remaining=remaining)
    assert settling.swings() is swings


def test_sway_is_measured_about_the_mean_and_by_its_steadiest_and_least_steady_patch():
    times = np.arange(16)
    still, moving = np.full(16, 3.0), 1.0 + 0.2 * np.cos(0.5 * np.pi * times)
    found = sway(np.column_stack([still, moving]), np.array([3.0, 1.0]))
    assert found.whole == pytest.approx(0.2 / np.sqrt(2) / 10)
    assert found.patch == pytest.approx(0.2 / np.sqrt(2) / 1.05)  # a floor of 2 % of the whole
    assert found.doubt == pytest.approx(0.0, abs=1e-12)  # whole turns: each part has the same mean
    growing = sway(np.column_stack([still, times + 1.0]), np.array([1.0, 1.0]))
    # Parts have the means 2.5, 6.5, 10.5 and 14.5; Student's factor for four is 3.182.
    assert growing.doubt == pytest.approx(3.182 * np.std([2.5, 6.5, 10.5, 14.5], ddof=1) / 2 /
                                          (8.5 + 0.02 * 5.75), rel=1e-3)  # fmt: skip
    assert sway(np.array([[1.0], [2.0]]), np.ones(1)).doubt == pytest.approx(
        12.706 / 3 / 1.02, 1e-3
    )


def test_the_doubt_of_a_mean_holds_in_nineteen_of_twenty_flows_whose_times_hang_together():
    rng, inside = np.random.default_rng(4), 0
    for _ in range(400):
        noise = rng.normal(size=17)
        shear = 1.0 + 0.1 * (noise[1:] + 0.5 * noise[:-1])
        found = sway(shear[:, None], np.ones(1))
        inside += abs(shear.mean() - 1.0) <= found.whole_doubt * shear.mean()
        assert min(astuple(found)) >= 0
    assert 0.91 < inside / 400 < 0.98


def test_what_sways_at_each_moment_may_still_have_the_same_averages():
    """Two patches: the shear of one turns about, that of the other becomes 10 percent larger."""
    wall = Settling(np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0]))
    first = np.zeros((4, 3, 3), np.float32)
    first[:, :2, 0], first[:, 2, 1] = [[1.0], [3.0], [2.0], [2.0]], 1.0
    second = np.roll(first, 2, axis=0)
    second[:, 2] *= 1.1
    repeats = Repeats(wall)
    assert repeats.judge(first, {"inlet": 1.0}) == np.inf
    assert repeats.averages is None
    assert repeats.judge(second, {"inlet": 1.0}) > 0.3
    mean = (2 * 2.0 + 2 * 1.1) / 4
    assert repeats.averages.whole == pytest.approx(0.05 / mean, rel=1e-5)
    assert repeats.averages.patch == pytest.approx(0.1 / (1.1 + FLOOR * mean), rel=1e-5)
    again = Repeats(wall)
    again.restore(repeats.state_arrays())
    assert again.averages == repeats.averages
    assert again.judge(second, {"inlet": 1.0}) == 0.0
    assert again.averages == Averages(0.0, 0.0)
