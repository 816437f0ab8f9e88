import numpy as np
import pytest

from hemodynamics.flow_march import Late, Samples
from hemodynamics.flow_settled import Settling


def sample(shear, speed):
    return Samples(
        times_s=[0.0],
        wss_pa=[np.full((2, 3), shear, np.float32)],
        velocity_m_s=[np.full((4, 3), speed, np.float32)],
        pressure_pa=[np.arange(4, dtype=np.float32) * speed],
        flows_ml_s=[{"inlet": speed}],
    )


def test_a_flow_that_swings_is_told_by_its_mean():
    late, last = Late(), sample(4.0, 0.5)
    for one in (sample(1.0, 0.2), sample(4.0, 0.5)):
        late.take(one)
    mean = late.mean(last)
    assert mean.wss_pa[0] == pytest.approx(2.5)
    assert mean.velocity_m_s[0] == pytest.approx(0.35)
    assert mean.pressure_pa[0] == pytest.approx(np.arange(4) * 0.35)
    assert mean.flows_ml_s == last.flows_ml_s


def test_the_mean_goes_on_from_where_it_was():
    late, again = Late(), Late()
    late.take(sample(1.0, 0.2))
    again.restore(late.state_arrays())
    for each in (late, again):
        each.take(sample(3.0, 0.4))
    last = sample(3.0, 0.4)
    assert np.array_equal(again.mean(last).wss_pa[0], late.mean(last).wss_pa[0])
    Late().restore(Late().state_arrays())


@pytest.mark.parametrize(
    ("remaining", "swings"),
    [([0.9, 0.5, 0.3, 0.2, 0.1], False), ([0.9, 0.5, 0.4, 0.6, 0.3], True), ([], False)],
)
def test_a_change_that_does_not_fall_is_a_swing(remaining, swings):
    settling = Settling(np.zeros(1, np.int64), np.ones(1), remaining=remaining)
    assert settling.swings() is swings
