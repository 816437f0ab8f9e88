"""Work that follows a hand without holding it up."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from PySide6.QtCore import QObject, QTimer


class Steady(QObject):
    """Runs the newest of many calls: at once, or after a pause as long as the last one took.

    So at least half of the time stays for the hand and the pictures, and what was overtaken is
    never run.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._newest: Callable[[], object] | None = None
        self._pause = QTimer(self, singleShot=True)
        self._pause.timeout.connect(self._go)

    def call(self, work: Callable[[], object]) -> None:
        """Run ``work`` now or soon, unless another call comes first."""
        self._newest = work
        if not self._pause.isActive():
            self._go()

    def finish(self) -> None:
        """Run what waits now."""
        self._go()

    def forget(self) -> None:
        """Leave out what waits."""
        self._newest = None

    def _go(self) -> None:
        work, self._newest = self._newest, None
        if work is None:
            return
        began = perf_counter()
        work()
        self._pause.start(max(1, round(1000 * (perf_counter() - began))))
