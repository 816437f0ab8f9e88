"""The plot of slice positions: what it marks, where, and in which words."""

from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from workstation.dicom.files import SlicePositions
from workstation.ui.slice_plot import SlicePlot, missing_mm, places, told
from workstation.ui.theme import shown_colours


def positions_of(*values_mm: float, **marks: tuple[int, ...]) -> SlicePositions:
    gaps = tuple(b - a for a, b in pairwise(values_mm))
    return SlicePositions(values_mm, gaps, 2.0 if gaps else None, **marks)


MISSING = positions_of(-4.0, -2.0, 4.0, 6.0, 8.0, 10.0, missing=(1,))
UNEVEN = positions_of(0.0, 2.0, 4.7, 6.0, 6.0, 8.0, irregular=(1, 2), duplicates=(3,))
EVEN = positions_of(0.0, 2.0, 4.0, 6.0, 8.0, 10.0)


@pytest.fixture
def plot(qtbot: QtBot) -> SlicePlot:
    made = SlicePlot()
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.show()
    return made


def problem_columns(plot: SlicePlot) -> set[int]:
    """Return the columns in which the plot shows the problem colour."""
    image, problem = plot.grab().toImage(), QColor(shown_colours().problem)
    return {
        x
        for x in range(image.width())
        for y in range(image.height())
        if image.pixelColor(x, y) == problem
    }


def test_missing_slices_are_placed_evenly_in_their_gap() -> None:
    assert missing_mm(MISSING, 1) == [0.0, 2.0]
    assert told(MISSING).splitlines() == [
        "6 slices from −4 to 10 mm along their normal, most of them 2 mm apart.",
        "○ 2 slices are missing between slices 2 and 3, at 0, 2 mm.",
    ]


def test_uneven_and_repeated_places_are_told_in_order() -> None:
    assert [place.kind for place in places(UNEVEN)] == ["irregular", "irregular", "duplicates"]
    lines = told(UNEVEN).splitlines()
    assert lines[1] == "◇ 2.7 mm instead of 2 mm between slices 2 and 3, at 2 mm."
    assert lines[3] == "× Slices 4 and 5 lie at one place, 6 mm."


def test_many_places_are_counted_not_listed() -> None:
    values = tuple(float(2 * n + n % 2) for n in range(40))
    text = told(positions_of(*values, irregular=tuple(range(39))))
    assert len(text.splitlines()) == 8
    assert text.endswith("… and 33 more places.")


def test_one_slice_and_slices_without_a_place() -> None:
    assert told(SlicePositions((3.0,), (), None, absent=2)) == (
        "1 slice at 3 mm along its normal.\n2 more without a position."
    )


def test_what_is_wrong_is_marked_where_it_is(plot: SlicePlot) -> None:
    plot.show_positions(EVEN)
    assert not problem_columns(plot)
    plot.show_positions(MISSING)
    marked = problem_columns(plot)
    assert {plot.slice_at(x) for x in marked} == {1, 2}, "the gap is between these two"
    plot.show_positions(None)
    assert not problem_columns(plot)


def test_a_screen_reader_and_the_tooltip_get_the_values(plot: SlicePlot) -> None:
    plot.show_positions(MISSING)
    assert plot.accessibleDescription() == told(MISSING)
    x = next(x for x in range(plot.width()) if plot.slice_at(x) == 1)
    QTest.mouseMove(plot, QPoint(x + 3, 50))
    assert plot.toolTip() == (
        "Slice 2 of 6   −2 mm   6 mm to the next\n"
        "○ 2 slices are missing between slices 2 and 3, at 0, 2 mm"
    )


def test_the_keyboard_steps_through_slices_and_places(plot: SlicePlot) -> None:
    plot.show_positions(UNEVEN)
    seen = []
    for key in (Qt.Key.Key_PageDown, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp, Qt.Key.Key_Left):
        QTest.keyClick(plot, key)
        seen.append(plot.at)
    assert seen == [1, 2, 1, 0]
    QTest.keyClick(plot, Qt.Key.Key_Left)
    assert plot.at == 0
    for _ in range(9):
        QTest.keyClick(plot, Qt.Key.Key_Right)
    assert plot.at == 5
