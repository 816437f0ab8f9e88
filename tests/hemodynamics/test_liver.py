import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.liver import LiverCirculation

BEFORE = LiverCirculation(85.0, 9.0, 6.0, 4.0, 1.0, 0.3)


@pytest.mark.parametrize(
    ("fraction", "portal", "gradient", "portal_flow", "arterial_flow"),
    [
        (0.0, 9.00, 5.00, 1.000, 0.300),
        (0.3, 10.79, 6.79, 0.976, 0.208),
        (0.5, 13.05, 9.05, 0.947, 0.147),
        (0.6, 14.91, 10.91, 0.922, 0.117),
        (0.7, 17.82, 13.82, 0.884, 0.087),
    ],
)
def test_worked_example(fraction, portal, gradient, portal_flow, arterial_flow):
    after = BEFORE.after_resection(fraction)
    assert after.portal_mmhg == pytest.approx(portal, abs=0.006)
    assert after.gradient_mmhg == pytest.approx(gradient, abs=0.006)
    assert after.portal_flow_l_min == pytest.approx(portal_flow, abs=0.0006)
    assert after.arterial_flow_l_min == pytest.approx(arterial_flow, abs=0.0006)


@given(st.floats(0.0, 0.9), st.floats(0.0, 0.9))
def test_portal_pressure_rises_with_what_is_removed(a, b):
    low, high = sorted((a, b))
    assert (
        BEFORE.after_resection(low).portal_mmhg <= BEFORE.after_resection(high).portal_mmhg + 1e-9
    )


@pytest.mark.parametrize(
    "values", [(85, 9, 10, 4, 1, 0.3), (85, 9, 6, 4, 0, 0.3), (5, 9, 6, 4, 1, 1)]
)
def test_impossible_circulations_are_refused(values):
    with pytest.raises(ValueError, match="must"):
        LiverCirculation(*values)


def test_a_whole_liver_cannot_be_removed():
    with pytest.raises(ValueError, match="fraction"):
        BEFORE.after_resection(1.0)
