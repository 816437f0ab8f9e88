"""Errors told by coarser cells: on numbers that are known, and on flows whose shear is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.flow import simulate_flow
from hemodynamics.level_error import (
    FLOOR,
    banded,
    comparable,
    error_finding,
    half_band,
    shear_error_percent,
)
from segmentation.contract import Number, Severity
from tests.hemodynamics.known_flow import tube_flow
from tests.hemodynamics.tubes import capped_tube


def known(spacings_mm, factors, **conditions):
    """Return Poiseuille's flow with shear multiplied on each of some cells, the finest first."""
    found = None
    for spacing, factor in reversed(list(zip(spacings_mm, factors))):
        flow = tube_flow()
        data = flow.wall.point_data
        wall = replace(flow.wall, point_data={**data, "tawss_pa": factor * data["tawss_pa"]})
        found = replace(
            flow, wall=wall, wss_pa=np.float32(factor) * flow.wss_pa, spacing_mm=spacing,
            conditions={**flow.conditions, **conditions}, coarser=found,
        )  # fmt: skip
    return found


def levels_with(spacings_mm, values, quantity="wss.mean", unit="Pa", **conditions):
    flow = known(spacings_mm, [1.0] * len(values), **conditions)
    return [
        (level, [Number(quantity, value, unit, "known")])
        for level, value in zip(flow.levels(), values)
    ]


@given(st.floats(0.5, 9.0), st.floats(-3.0, 3.0), st.sampled_from([1.0, 2.0]), st.floats(0.05, 0.4))
def test_a_value_that_tends_to_a_limit_as_cells_shrink_has_it_in_its_band(limit, by, order, h):
    spacings = [h, 1.5 * h, 2.25 * h]
    values = [limit + by * spacing**order for spacing in spacings]
    half = half_band(values, spacings)
    assert half >= abs(values[0] - limit) * (1 - 1e-9)
    if abs(by) > 0.01:
        steepest = h * max(abs(np.diff(values)) / np.diff(spacings))
        told = 1.25 * max(abs(values[0] - limit), 0.5 * steepest)
        assert half == pytest.approx(told, rel=1e-3)


def test_a_high_order_that_three_levels_show_does_not_hide_the_steepest_change():
    half = half_band([4.0, 3.99, 3.0], [0.2, 0.3, 0.45])
    assert half == pytest.approx(0.5 * 1.25 * 0.2 * 0.99 / 0.15)


def test_the_steepest_change_counts_even_where_the_last_one_is_by_chance_small():
    assert half_band([4.0, 4.01, 3.0], [0.2, 0.3, 0.45]) == pytest.approx(1.25 * 0.2 * 1.01 / 0.15)
    (number,) = banded(levels_with([0.2, 0.3, 0.45], [4.0, 4.01, 3.0]))
    assert "both ways" in number.source
    assert "4 with cells of 0.2 mm, 4.01 with cells of 0.3 mm" in number.source


def test_one_level_or_levels_out_of_order_tell_nothing():
    for values, spacings in (([1.0], [0.2]), ([1.0, 2.0], [0.3, 0.2]), ([1.0, 2.0], [0.2])):
        with pytest.raises(ValueError, match=r"two levels|fine to coarse"):
            half_band(values, spacings)


def test_bands_keep_to_what_a_number_can_be_and_have_a_floor():
    for quantity, unit, values, band in (
        ("wss.mean", "Pa", [1.0, 0.1], (0.0, 1.0 + 1.25 * 1.8)),
        ("wss.low_area", "%", [95.0, 60.0], (7.5, 100.0)),
        ("osi.mean", "", [0.4, 0.3], (0.15, 0.5)),
        ("wss.mean", "Pa", [2.0, 2.0], (2 * (1 - FLOOR), 2 * (1 + FLOOR))),
        ("outlet_1.pressure_drop", "Pa", [1.0, -1.0], (-4.0, 6.0)),
    ):
        (number,) = banded(levels_with([0.2, 0.3], values, quantity, unit))
        assert (number.low, number.high) == pytest.approx(band)


def test_what_a_flow_without_rest_may_still_move_by_is_in_the_band():
    unrest = {"whole": 0.02, "patch": 0.3}
    for quantity, share in (("wss.mean", 0.02), ("wss.dome_mean", 0.3)):
        (number,) = banded(levels_with([0.2, 0.3], [2.0, 2.0], quantity, unrest=unrest))
        assert number.high == pytest.approx(2.0 * (1 + FLOOR + share))


def test_levels_whose_walls_were_treated_otherwise_are_not_compared():
    flow = known([0.2, 0.3, 0.45], [1.0, 0.9, 0.7])
    rough = replace(flow.coarser, conditions={**flow.conditions, "walls": 0.5})
    assert [level.spacing_mm for level in comparable(flow)] == [0.2, 0.3, 0.45]
    assert [level.spacing_mm for level in comparable(replace(flow, coarser=rough))] == [0.2, 0.45]
    unlike = levels_with([0.2, 0.3], [2.0, 1.0])
    (number,) = banded([unlike[0], (unlike[1][0], [Number("other", 1.0, "Pa", "known")])])
    assert number.low is None


def test_the_error_of_all_shear_is_seen_though_its_mean_is_the_same():
    flow = known([0.2, 0.3], [1.0, 0.9])
    assert shear_error_percent(list(flow.levels())) == pytest.approx(2 * 10.0, rel=1e-4)
    turned = replace(flow.coarser, wss_pa=-flow.wss_pa)
    assert shear_error_percent([flow, turned]) == pytest.approx(2 * 200.0, rel=1e-4)


def test_a_large_error_is_told_with_the_cells_that_make_it_small():
    flow = known([0.2, 0.3], [1.0, 0.9])
    told = error_finding(flow, Number("wss.mean", 2.0, "Pa", "known", 1.6, 2.4), "the mean shear")
    assert told.severity is Severity.WARNING
    assert "the mean shear of 2 Pa may be off by 20 percent" in told.sentence
    assert "Take cells of 0.1 mm (spacing_mm), 16 times as long" in told.remedy
    assert "5 percent take cells of 0.05 to 0.1 mm" in told.remedy
    assert "77,000 to 620,000" in told.remedy  # 9,654 times 2 and 4 to the third
    small = Number("wss.mean", 2.0, "Pa", "known", 1.86, 2.14)
    assert error_finding(flow, small, "it").severity is Severity.INFO
    assert error_finding(flow, Number("wss.mean", 2.0, "Pa", "known", 1.92, 2.08), "it") is None
    assert error_finding(flow, Number("wss.mean", 2.0, "Pa", "known"), "it") is None


@pytest.fixture(scope="module")
def tube():
    return capped_tube(2.0, 8.0, sections=96)[0]


def test_the_bands_of_a_tube_hold_its_exact_shear(tube):
    flow = simulate_flow(tube, mean_flow_ml_s=1.0, spacing_mm=0.4)
    assert [level.spacing_mm for level in flow.levels()] == pytest.approx([0.4, 0.6])
    numbers = {number.quantity: number for number in flow.numbers}
    exact = 4e6 * 0.0035 / (np.pi * 2.0**3) * 1e-3
    assert numbers["wss.mean"].low <= exact <= numbers["wss.mean"].high
    assert numbers["wss.discretisation_error"].value < 12
    assert not {"cell_error", "cell_error_unknown"} & {f.code for f in flow.findings}
    assert all(number.low is None for name, number in numbers.items() if name.endswith(".flow"))


def test_where_no_coarser_cells_fit_the_error_is_not_known(tube):
    flow = simulate_flow(tube, mean_flow_ml_s=1.0, spacing_mm=0.9)
    numbers = {number.quantity: number for number in flow.numbers}
    assert flow.coarser is None
    assert "wss.discretisation_error" not in numbers
    assert numbers["wss.mean"].low is None
    assert "cell_error_unknown" in {finding.code for finding in flow.findings}
