"""Refreshes come once per turn of the event loop, and one failure does not stop the others."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton, QSlider, QStackedWidget
from pytestqt.qtbot import QtBot

from workstation.session import Session
from workstation.ui.bind import Bindings
from workstation.ui.guard import set_reporter


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def bindings(qtbot: QtBot, session: Session) -> Iterator[Bindings]:
    made = Bindings(session)
    yield made
    made.close()
    assert not session.changed


def test_many_changes_make_one_refresh(qtbot: QtBot, session: Session, bindings: Bindings) -> None:
    calls: list[int] = []
    bindings.add(lambda: calls.append(1))
    for _ in range(5):
        session.notify()
    assert not calls
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == [1]


def test_one_failure_is_reported_and_the_rest_is_refreshed(bindings: Bindings) -> None:
    reported: list[Exception] = []
    before = set_reporter(reported.append)
    refreshed: list[str] = []
    bindings.add(lambda: {}["nothing"])
    bindings.add(lambda: refreshed.append("after"))
    try:
        bindings.refresh()
    finally:
        set_reporter(before)
    assert [type(e) for e in reported] == [KeyError]
    assert refreshed == ["after"]


def test_a_slider_shows_the_getter_and_calls_the_setter_only_for_a_hand(
    qtbot: QtBot, bindings: Bindings
) -> None:
    slider, state, heard = QSlider(), [20], []
    qtbot.addWidget(slider)
    bindings.slide(slider, lambda: state[0], heard.append)
    state[0] = 35
    bindings.refresh()
    assert slider.value() == 35
    assert heard == []
    QTest.keyClick(slider, Qt.Key.Key_Up)
    assert heard == [36]


def test_a_disabled_button_says_what_is_missing(qtbot: QtBot, bindings: Bindings) -> None:
    button, lack = QPushButton("Cut here"), ["a liver"]
    qtbot.addWidget(button)
    bindings.enable(button, lambda: lack[0], "Place the cut")
    bindings.refresh()
    assert not button.isEnabled()
    assert "a liver" in button.toolTip()
    lack[0] = ""
    bindings.refresh()
    assert button.isEnabled()
    assert button.toolTip() == "Place the cut"


def test_a_page_that_is_put_away_is_refreshed_when_it_is_shown(
    qtbot: QtBot, bindings: Bindings
) -> None:
    pages = QStackedWidget()
    qtbot.addWidget(pages)
    front, back = QLabel(), QLabel()
    pages.addWidget(front)
    pages.addWidget(back)
    calls: list[str] = []
    bindings.add(lambda: calls.append("front"), front)
    bindings.add(lambda: calls.append("back"), back)
    bindings.add(lambda: calls.append("always"))
    bindings.refresh()
    bindings.refresh()
    assert calls == ["front", "always"] * 2
    calls.clear()
    pages.setCurrentWidget(back)
    bindings.catch_up()
    bindings.catch_up()
    assert calls == ["back"]


def test_a_page_without_a_window_is_refreshed(qtbot: QtBot, bindings: Bindings) -> None:
    page = QLabel()
    qtbot.addWidget(page)
    calls: list[int] = []
    bindings.add(lambda: calls.append(1), page)
    bindings.refresh()
    assert calls == [1]
