import pytest

from workstation.ui.settings import Settings, keep_settings, read_settings


def test_settings_come_back(tmp_path):
    file = tmp_path / "new" / "window.json"
    liked = Settings(dark=False, scale=1.3, wide_rail=False)
    keep_settings(file, liked)
    assert read_settings(file) == liked


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"dark": true, "scale": "wide", "wide_rail": true}'],
)
def test_what_makes_no_sense_is_the_default(tmp_path, text):
    file = tmp_path / "window.json"
    file.write_text(text)
    assert read_settings(file) == Settings()


@pytest.mark.parametrize("scale", ["0", "17", "NaN", "-1"])
def test_a_scale_that_would_hide_the_window_is_not_taken(tmp_path, scale):
    file = tmp_path / "window.json"
    file.write_text(f'{{"dark": false, "scale": {scale}, "wide_rail": true}}')
    assert read_settings(file) == Settings(dark=False)


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    keep_settings(tmp_path / "file" / "window.json", Settings())
