import sys

import pytest
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

from workstation.ui.guard import guarded, set_reporter


class Broken(QWidget):
    @guarded
    def paintEvent(self, event):
        [][0]

    @guarded(default=QSize(7, 8))
    def sizeHint(self):
        return QSize("wrong", None)


@pytest.fixture
def reported():
    errors = []
    before = set_reporter(errors.append)
    yield errors
    set_reporter(before)


def test_an_error_is_reported_and_the_default_returned(reported):
    @guarded(default=3)
    def divide(number):
        return 1 / number

    assert divide(4) == 0.25
    assert divide(0) == 3
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_a_bare_guard_returns_nothing_and_keeps_the_name(reported):
    @guarded
    def lost():
        """Say what it does."""
        raise KeyError("x")

    assert lost() is None
    assert lost.__name__ == "lost"
    assert lost.__doc__ == "Say what it does."
    assert len(reported) == 1


def test_stopping_the_program_is_not_swallowed():
    @guarded
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()


def test_set_reporter_returns_the_one_before(reported):
    first = set_reporter(print)
    assert first == reported.append
    assert set_reporter(first) is print


def test_errors_in_qt_overrides_neither_crash_nor_vanish(qtbot, reported):
    widget = Broken()
    qtbot.addWidget(widget)
    assert widget.sizeHint() == QSize(7, 8)
    widget.grab()
    assert {type(error) for error in reported} == {TypeError, IndexError}


def test_without_a_reporter_a_guarded_error_fails_the_test(qtbot):
    widget = Broken()
    qtbot.addWidget(widget)
    with qtbot.capture_exceptions() as exceptions:
        widget.grab()
    assert exceptions
    assert {kind for kind, _, _ in exceptions} <= {IndexError, TypeError}


def test_a_reporter_that_fails_is_reported_itself(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(error))

    def fails(error):
        raise RuntimeError("the reporter is broken")

    before = set_reporter(fails)
    try:

        @guarded(default="safe")
        def lost():
            raise KeyError("x")

        assert lost() == "safe"
    finally:
        set_reporter(before)
    assert str(seen[0]) == "the reporter is broken"
    assert isinstance(seen[0].__context__, KeyError)
