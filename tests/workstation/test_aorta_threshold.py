"""The largest diameter of an aorta beside the threshold of a guideline."""

import numpy as np
import pytest

from segmentation.contract import Number, Severity
from segmentation.measured import Measured
from workstation.planning.aorta_threshold import aorta_threshold


def wide(size_mm: float) -> Measured:
    number = Number("maximum_diameter", size_mm, "mm", "made up", size_mm - 1, size_mm + 1.5)
    return Measured("1.2", (), np.empty((0, 3)), "", (0.0, 0.0, 0.0), numbers=(number,))


def codes(found):
    return {finding.code: finding.severity for finding in found.findings}


@pytest.mark.parametrize(("female", "threshold"), [(True, 50.0), (False, 55.0)])
def test_what_is_left_to_the_threshold_has_the_band_of_the_diameter(female, threshold):
    found = aorta_threshold(wide(47.0), female=female, site="infrarenal")
    rule, left = found.numbers
    assert rule.value == threshold
    assert "Wanhainen 2019" in rule.source
    assert (left.low, left.value, left.high) == (
        threshold - 48.5, threshold - 47, threshold - 46
    )  # fmt: skip
    assert codes(found)["threshold"] is Severity.INFO


def test_at_and_within_the_band_it_warns():
    reached = aorta_threshold(wide(58.0), female=False, site="infrarenal")
    assert codes(reached)["threshold"] is Severity.WARNING
    assert reached.numbers[1].value == -3
    assert "threshold_open" in codes(aorta_threshold(wide(54.5), female=False, site="infrarenal"))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "threshold_inputs"),
        ({"female": True}, "threshold_inputs"),
        ({"site": "elsewhere"}, "threshold_inputs"),
        ({"female": True, "site": "elsewhere"}, "threshold_elsewhere"),
    ],
)
def test_nothing_is_assumed(given, code):
    found = aorta_threshold(wide(58.0), **given)
    assert not found.numbers
    assert code in codes(found)


def test_what_is_no_aorta_is_refused():
    empty = Measured("1.2", (), np.empty((0, 3)), "", (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="measure the diameters"):
        aorta_threshold(empty, female=True, site="infrarenal")
