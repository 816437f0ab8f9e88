"""Resections in two stages: shares by hand, pressure of occluded branches, and what is asked."""

import numpy as np
import pytest

from hemodynamics.liver import LiverCirculation
from segmentation.contract import FrameMismatch, Measurements, Number, Severity
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.pressure import portal_pressure
from workstation.planning.staged import staged_resection

GRID = ImageGeometry((20, 10, 10), (10, 10, 10), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3")
NORMAL = LiverCirculation(85.0, 9.0, 6.0, 4.0, 1.0, 0.3)


def block(low: int, high: int, grid: ImageGeometry = GRID) -> LabelMap:
    array = np.zeros(grid.shape, np.uint8)
    array[:, :, low:high] = 1
    return LabelMap(array, grid, {1: Label("liver", (1, 2, 3))})


def person(**values: float) -> Measurements:
    return Measurements(tuple(Number(name, v, "", "entered") for name, v in values.items()))


PRESSURES = person(
    map_mmhg=85.0,
    portal_pressure_mmhg=9.0,
    sinusoidal_pressure_mmhg=6.0,
    cvp_mmhg=4.0,
    portal_flow_l_min=1.0,
    arterial_flow_l_min=0.3,
)
LIVER, REMNANT, TUMOR = block(0, 16), block(0, 4), block(14, 16)
STATED = {
    "growth_percent_per_week": 10.0,
    "growth_low_percent_per_week": 5.0,
    "growth_high_percent_per_week": 12.0,
    "weeks": 4.0,
}


def found(result: Measurements) -> dict[str, Number]:
    return {n.quantity: n for n in result.numbers}


def codes(result: Measurements) -> dict[str, Severity]:
    return {f.code: f.severity for f in result.findings}


def test_the_remnant_grows_as_stated_and_keeps_the_band() -> None:
    made = staged_resection(LIVER, REMNANT, tumor=TUMOR, background="cirrhosis", **STATED)
    values = found(made)
    assert values["remnant_before"].value == 400
    assert values["share_before"].value == pytest.approx(100 * 400 / 1400)
    after = values["remnant_after"]
    assert (after.low, after.value, after.high) == pytest.approx((480, 560, 592))
    assert values["share_after"].value == pytest.approx(40)
    assert values["share_after"].low == pytest.approx(100 * 480 / 1400)
    assert codes(made)["limit_in_doubt"] is Severity.WARNING
    assert "growth_assumed" in codes(made)
    slow = staged_resection(LIVER, REMNANT, background="cirrhosis",
                            growth_percent_per_week=1.0, weeks=2.0)  # fmt: skip
    assert "limit_not_reached" in codes(slow)
    assert found(slow)["share_after"].low is None
    much = staged_resection(LIVER, block(0, 12), growth_percent_per_week=12.0, weeks=4.0)
    assert "growth_beyond_liver" in codes(much)
    assert "growth_beyond_liver" not in codes(made)


def test_nothing_is_predicted_without_a_stated_growth() -> None:
    made = staged_resection(LIVER, REMNANT, PRESSURES, weeks=4.0)
    assert set(found(made)) == {"remnant_before", "share_before"}
    assert codes(made) == {"growth_not_stated": Severity.WARNING}


def test_occluded_branches_raise_the_portal_pressure_less_than_a_resection() -> None:
    shut, out = NORMAL.after_portal_occlusion(0.6), NORMAL.after_resection(0.6)
    assert NORMAL.portal_mmhg < shut.portal_mmhg < out.portal_mmhg
    # Balance by hand: gut 76, portal 3 / 0.4, artery 79 / 0.3, veins 2 / 1.3 mmHg min/L.
    gut, portal, artery, veins = 76.0, 7.5, 79 / 0.3, 2 / 1.3
    flow = (shut.arterial_mmhg - shut.portal_mmhg) / gut
    assert flow == pytest.approx((shut.portal_mmhg - shut.sinusoidal_mmhg) / portal)
    assert flow + (85 - shut.sinusoidal_mmhg) / artery == pytest.approx(
        (shut.sinusoidal_mmhg - 4) / veins
    )
    with pytest.raises(ValueError, match="occluded"):
        NORMAL.after_portal_occlusion(1.0)
    made = staged_resection(LIVER, REMNANT, PRESSURES, occluded=block(8, 14), tumor=TUMOR)
    part = 600 / 1400
    expected = NORMAL.after_portal_occlusion(part).portal_mmhg
    assert found(made)["pressure_first_stage"].value == pytest.approx(expected)
    assert found(made)["occluded_share"].value == pytest.approx(100 * part)
    assert "remnant_occluded" not in codes(made)


def test_the_second_stage_is_eased_by_the_growth() -> None:
    made = found(staged_resection(LIVER, REMNANT, PRESSURES, **STATED))
    whole = portal_pressure(LIVER, REMNANT, PRESSURES)
    at_once = {n.quantity: n.value for n in whole.numbers}["after"]
    assert made["pressure_at_once"].value == pytest.approx(at_once)
    second = made["pressure_second_stage"]
    assert second.low is not None
    assert second.high is not None
    assert NORMAL.portal_mmhg < second.value < at_once
    assert second.low < second.value < second.high
    assert made["gradient_second_stage"].value < second.value


def test_what_does_not_fit_is_said() -> None:
    wrong = staged_resection(LIVER, REMNANT, occluded=block(2, 10))
    assert found(wrong)["remnant_occluded"].value == 200
    assert {"remnant_occluded", "first_stage_inputs"} <= set(codes(wrong))
    none = staged_resection(LIVER, REMNANT, PRESSURES, occluded=block(0, 0))
    assert "nothing_occluded" in codes(none)
    with pytest.raises(ValueError, match="in order"):
        staged_resection(LIVER, REMNANT, **(STATED | {"growth_low_percent_per_week": 11.0}))
    with pytest.raises(ValueError, match="give both or neither"):
        staged_resection(LIVER, REMNANT, growth_percent_per_week=3.0, weeks=2.0,
                         growth_low_percent_per_week=1.0)  # fmt: skip
    with pytest.raises(ValueError, match="no liver is left"):
        staged_resection(LIVER, block(14, 16), tumor=TUMOR)
    other = ImageGeometry((20, 10, 10), (9, 10, 10), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3")
    with pytest.raises(FrameMismatch):
        staged_resection(LIVER, block(0, 4, other))
