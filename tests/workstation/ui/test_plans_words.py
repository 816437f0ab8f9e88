from workstation.ui.plans_words import cell_text, limit_text, row_title, setting_text

LIMITS = [
    {"state": "passed", "side": "at least", "value": 30.0, "words": "after chemotherapy"},
    {"state": "passed", "side": "at least", "value": 40.0, "words": "cirrhosis"},
    {"state": "in doubt", "side": "at least", "value": 20.0, "words": "normal"},
]


def test_a_number_stands_with_unit_band_and_limits():
    value = {"value": 21.0, "low": 19.0, "high": 23.0, "limits": LIMITS}
    assert cell_text(value, "%").splitlines() == [
        "21.0 %",
        "19.0 to 23.0 %",
        "▲ below 30, 40 %",
        "! band reaches below 20 %",
    ]
    assert "at least 30 %: after chemotherapy" in limit_text(value, "%")
    assert cell_text(None, "mL") == "–"
    assert limit_text(None, "mL") == ""


def test_settings_read_as_words():
    assert setting_text("planning.cut_wedge") == "cut wedge"
    assert setting_text([1.25, -3.0, 10.123456]) == "1.25, -3, 10.12"
    assert setting_text([[1, 2], [3, 4]]) == "2 entries"
    assert [setting_text(v) for v in (True, None, 4.0)] == ["yes", "–", "4"]
    assert row_title("cut", "margin_mm") == "Cut: margin mm"
