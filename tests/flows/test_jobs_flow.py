"""Work beside the window: progress, cancel, and closing while it runs."""

import threading
import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from segmentation.contract import Progress
from workstation.jobs import Job, State
from workstation.ui.job_bar import JobRunner, time_left
from workstation.ui.main_window import MainWindow


def endless(progress: Progress) -> None:
    beat = threading.Event()
    while True:
        progress(0.4, "counting voxels")
        beat.wait(0.01)


def test_a_job_is_shown_and_stopped_within_a_second(window: MainWindow, qtbot: QtBot) -> None:
    job = window.desk.run("Endless work", endless, lambda result: None)
    bar = window.job_bar
    qtbot.waitUntil(lambda: "counting voxels" in bar.title.text())
    assert bar.bar.isVisible()
    assert bar.bar.value() == 400
    asked = time.monotonic()
    with qtbot.waitSignal(window.desk.jobs.ended, timeout=1000):
        QTest.mouseClick(bar.cancel, Qt.MouseButton.LeftButton)
    assert time.monotonic() - asked < 1.0
    assert job.state is State.CANCELLED
    assert not bar.bar.isVisible()
    assert not window.cards.cards(), "being stopped is no problem"


def test_the_window_answers_while_work_runs(window: MainWindow, qtbot: QtBot) -> None:
    window.desk.run("Endless work", endless, lambda result: None)
    QTest.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.AltModifier)
    assert window.panels.currentWidget() is window.model_panel.widget
    window.desk.jobs.stop()


def test_closing_stops_the_work(window: MainWindow) -> None:
    job = window.desk.run("Endless work", endless, lambda result: None)
    window.close()
    assert job.state is State.CANCELLED


def test_heavy_work_waits_and_light_work_does_not(qtbot: QtBot) -> None:
    runner = JobRunner()
    ended: list[str] = []
    go = threading.Event()

    def wait(progress: Progress) -> None:
        assert go.wait(10)

    for title in ("first", "second"):
        runner.start(Job(title, wait), lambda job: ended.append(job.title))
    with qtbot.waitSignal(runner.ended, timeout=5000):
        runner.start(Job("light", lambda p: None), lambda job: ended.append(job.title), light=True)
    assert ended == ["light"]
    go.set()
    qtbot.waitUntil(lambda: not runner.jobs)
    assert ended == ["light", "first", "second"]
    runner.stop()
    assert runner.idle


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (4.4, "4 s left"), (70, "1:10 left"), (3720, "1:02 h left")],
)
def test_time_left_in_words(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text
