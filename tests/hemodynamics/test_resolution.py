import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.flow_setup import spacings_of
from hemodynamics.resolution import (
    LEAST_CELLS,
    discretisation_error,
    expected_error_percent,
    spacing_for,
)
from tests.hemodynamics.tubes import capped_tube
from tests.hemodynamics.wishes import wishes

MEASURED = {5: 3.98, 8: 1.23, 10: 1.08, 16: 0.59}
STEADY = {5: 1.87, 8: 0.82, 10: 0.83, 16: 0.52}


@pytest.mark.parametrize("cells", MEASURED)
def test_the_law_is_close_to_what_was_measured(cells):
    assert expected_error_percent(2.0, 2.0 / cells) == pytest.approx(MEASURED[cells], rel=0.35)
    number = discretisation_error(20.0, 2.0, 2.0 / cells)
    assert number.low == pytest.approx(STEADY[cells], rel=0.25)
    assert (number.value, number.high) == (20.0, 25.0)
    assert discretisation_error(0.1, 2.0, 2.0 / cells).value == number.low


@given(st.floats(0.3, 15), st.floats(0.2, 3.3))
def test_spacing_and_error_reverse_each_other(radius_mm, percent):
    spacing = spacing_for(radius_mm, percent)
    assert expected_error_percent(radius_mm, spacing) == pytest.approx(percent)


def test_no_target_asks_for_cells_that_were_never_tried():
    assert spacing_for(2.0, 80.0) == pytest.approx(2.0 / LEAST_CELLS)
    assert spacing_for(4.0, 3.0) == pytest.approx(2 * spacing_for(2.0, 3.0))


@pytest.mark.parametrize(
    ("radius", "spacing"), [(0.0, 0.1), (2.0, 0.0), (-1.0, 0.1), (1.0, float("nan"))]
)
def test_impossible_sizes_are_refused(radius, spacing):
    with pytest.raises(ValueError, match="must be positive"):
        expected_error_percent(radius, spacing)


def test_no_error_at_all_cannot_be_had():
    with pytest.raises(ValueError, match="cannot be reached"):
        spacing_for(2.0, 0.0)


def test_a_flow_takes_the_cells_that_its_target_needs():
    lumen, _ = capped_tube(2.0, 8.0, sections=96)
    *_, spacing = spacings_of(lumen, wishes(target_error_percent=3.0))
    assert expected_error_percent(2.0, spacing) == pytest.approx(3.0, rel=0.01)
    assert spacings_of(lumen, wishes(target_error_percent=3.0, spacing_mm=0.5))[-1] == 0.5
    elsewhere = spacings_of(lumen, wishes(target_error_percent=3.0, inlets="outlet_1, inlet"))
    assert elsewhere[-1] == pytest.approx(spacing, rel=1e-6)
