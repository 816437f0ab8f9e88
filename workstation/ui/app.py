"""Starts the window."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from workstation.session import Session
from workstation.ui.collector import garbage_collected_here
from workstation.ui.guard import set_reporter
from workstation.ui.main_window import MainWindow

SETTLE_MS = 400  # after the last job: refreshes and paint events run
TURN_S = 0.0005  # how long work in Python keeps the window from painting, at each of its turns
QUIET = (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg)


def main(folder_or_case: Path | None, screenshot: Path | None = None) -> int:
    """Open the window on a case, a folder of images or nothing; return the exit code.

    With ``screenshot``, write a picture of the window once all work has ended, and quit; this
    needs no display.
    """
    if screenshot is not None and sys.platform == "linux" and not _has_display():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication.instance()
    app = app if isinstance(app, QApplication) else QApplication(["hilum"])
    app.setApplicationName("Hilum")
    window = MainWindow(Session())
    report_problems_to(window)
    window.show()
    if folder_or_case is not None:
        path = folder_or_case.expanduser().resolve()
        QTimer.singleShot(0, lambda: window.open(path))
    if screenshot is not None:
        take_screenshot(window, screenshot)
    sys.setswitchinterval(TURN_S)
    with garbage_collected_here():
        return int(app.exec())


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def report_problems_to(window: MainWindow) -> None:
    """Show errors that nobody expected, and what Qt complains about, as cards."""

    def on_error(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        sys.__excepthook__(kind, error, trace)
        if not issubclass(kind, KeyboardInterrupt):
            window.desk.fail(error)

    def on_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if kind not in QUIET:
            print(f"Qt: {text}", file=sys.stderr)

    sys.excepthook = on_error
    set_reporter(window.desk.fail)
    qInstallMessageHandler(on_message)


def take_screenshot(window: MainWindow, file: Path) -> None:
    """Save a picture of ``window`` once it has had no work for a moment, then quit."""
    timer = QTimer(window)
    timer.setInterval(SETTLE_MS)
    quiet: list[bool] = []

    def look() -> None:
        quiet.append(not (window.desk.jobs.jobs or window.views.scene.drawing))
        if len(quiet) < 3 or not all(quiet[-2:]):
            return
        timer.stop()
        window.grab().save(str(file))
        window.close()
        QApplication.quit()

    timer.timeout.connect(look)
    timer.start()
