"""Names, numbers and dates as a person reads them."""

import pytest

from workstation.report_layout import shown_band
from workstation.ui.words import band_text, date_text, parameter_label, readable, value_text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (612.4, "mL", "612"),
        (61.24, "mL", "61.2"),
        (7.44, "mm", "7.4"),
        (-0.26, "mm", "-0.3"),
        (1612.4, "mL", "1\u202f612"),
        (0.01234, "Pa", "0.0123"),
    ],
)
def test_numbers_have_a_sensible_number_of_digits(value: float, unit: str, text: str) -> None:
    assert value_text(value, unit) == text


def test_a_band_is_never_invented() -> None:
    number = {"unit": "mm", "low": 6.6, "high": 8.1}
    assert band_text(number) == "6.6 to 8.1 mm"
    assert band_text(number | {"low": None}) == "uncertainty not known"
    for words in ("as planned", "as entered", "as set"):
        bare = {"low": None, "high": None, "source": f"of the plate, {words}; along it"}
        assert band_text(number | bare) == shown_band(number | bare) == words


def test_names() -> None:
    assert readable("portal_vein") == "Portal vein"
    assert readable("tumor.volume") == "Tumour volume"
    assert parameter_label("lower_hu") == "Lower"
    assert parameter_label("portal_flow_l_min") == "Portal flow"
    assert parameter_label("map_mmhg") == "MAP", "mean arterial pressure"
    assert readable("thickness_map") == "Thickness map"
    assert readable("alignment.mLDFA") == "Alignment mLDFA"
    assert readable("mLDFA") == "mLDFA"
    assert readable("hla.a") == "HLA A"
    assert readable("hla.dr") == "HLA DR"
    assert readable("score.kdri") == "Score KDRI"


def test_dates() -> None:
    assert date_text("20261002") == "2026-10-02"
    assert date_text("unknown") == "unknown"
