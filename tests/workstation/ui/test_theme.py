import re

import pytest
import qtawesome
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QFont, QIcon

from workstation.ui.line_icon import LineIcon
from workstation.ui.theme import (
    DARK,
    LIGHT,
    SEGMENTS,
    VIEWS,
    apply_theme,
    icon,
    style_sheet,
    ui_font,
)


def luminance(colour):
    """Return the relative luminance of WCAG 2.2."""
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_text_can_be_read_on_every_background(theme):
    for background in (theme.window, theme.panel, theme.raised):
        for text in (theme.text, theme.muted, theme.accent):
            assert contrast(text, background) >= 4.5
    assert contrast(theme.on_accent, theme.accent) >= 4.5


def test_words_on_images_can_be_read():
    for colour in (DARK.text, DARK.muted, DARK.warning, *VIEWS.values()):
        assert contrast(colour, DARK.view) >= 4.5


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_the_style_sheet_is_complete_and_flat(theme):
    sheet = style_sheet(theme, 1.5)
    assert "$" not in sheet
    assert sheet.count("{") == sheet.count("}")
    assert not re.search("gradient|shadow", sheet)
    assert "font-size: 30px" in sheet  # key numbers: 20 px at 150 %


def test_every_colour_is_one():
    colours = [*SEGMENTS, *VIEWS.values()]
    assert all(QColor(colour).isValid() for colour in colours)
    assert len(set(SEGMENTS)) == len(SEGMENTS)


def test_figures_are_tabular(qapp):
    assert ui_font(17).pixelSize() == 17
    assert ui_font().featureValue(QFont.Tag("tnum")) == 1


def test_an_icon_is_drawn_and_an_unknown_one_named(qapp):
    assert not icon("ph.ruler").pixmap(20, 20).isNull()
    with pytest.raises(ValueError, match="no-such-icon"):
        icon("ph.no-such-icon")


def test_an_icon_without_room_draws_nothing_and_is_else_the_same(qapp, qtlog):
    plain = qtawesome.icon("ph.ruler", color=DARK.text, color_disabled=DARK.muted)
    engine = LineIcon(plain).clone()
    normal, off = QIcon.Mode.Normal, QIcon.State.Off
    assert engine.pixmap(QSize(0, 9), normal, off).isNull()
    for mode in (normal, QIcon.Mode.Disabled):
        expected = plain.pixmap(QSize(20, 20), 1.0, mode, off).toImage()
        assert icon("ph.ruler").pixmap(QSize(20, 20), 1.0, mode, off).toImage() == expected
    assert qtlog.records == []


@pytest.fixture
def restored(qapp):
    before = (qapp.font(), qapp.palette(), qapp.styleSheet())
    yield qapp
    qapp.setStyleSheet(before[2])
    qapp.setPalette(before[1])
    qapp.setFont(before[0])


def test_the_theme_reaches_the_application(restored):
    assert apply_theme(restored, dark=False, scale=2.0) is LIGHT
    assert restored.font().pixelSize() == round(13 * 1.6)  # the largest step
    assert restored.palette().window().color() == QColor(LIGHT.window)
    assert LIGHT.accent in restored.styleSheet()
