"""Runs jobs beside the window, and the bar that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
from PySide6.QtCore import QObject, Qt, QThreadPool, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QWidget

from workstation.jobs import Job, State
from workstation.ui.icons import set_icon

ENDED = (State.SUCCESS, State.ERROR, State.CANCELLED)
NEWS_S = 0.05  # progress is told at most this often; the end of a job always is
HEIGHT_PX = 28
PATIENCE_S = 0.3  # light work that takes less is not worth a progress bar
STOP_MS = 10_000

ASKING = 3  # jobs that may wait for others over the network at a time

Then = Callable[[Job[Any]], None]


class JobRunner(QObject):
    """One slot for heavy work, where jobs wait in order, and one for light work beside it.

    Work that waits for the network has slots of its own: it holds up nothing else.

    ``changed`` and ``ended`` come on the thread that owns the runner.
    """

    changed = Signal(object)
    ended = Signal(object)
    _told = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._heavy, self._light = QThreadPool(self), QThreadPool(self)
        self._heavy.setMaxThreadCount(1)
        self._light.setMaxThreadCount(1)
        self._network = QThreadPool(self)
        self._network.setMaxThreadCount(ASKING)
        self._then: dict[Job[Any], Then] = {}
        self._small: set[Job[Any]] = set()
        self._afar: set[Job[Any]] = set()
        self._news_s = 0.0
        self._told.connect(self._hear, Qt.ConnectionType.QueuedConnection)

    @property
    def jobs(self) -> list[Job[Any]]:
        """The jobs that run or wait, oldest first."""
        return list(self._then)

    @property
    def local(self) -> list[Job[Any]]:
        """The jobs that may hold on to a case: all but those over the network."""
        return [job for job in self._then if job not in self._afar]

    @property
    def idle(self) -> bool:
        """Whether no thread works for this runner."""
        return not any(pool.activeThreadCount() for pool in self._pools)

    @property
    def _pools(self) -> tuple[QThreadPool, ...]:
        return self._heavy, self._light, self._network

    def is_worth_telling(self, job: Job[Any]) -> bool:
        """Tell whether a person should hear of ``job``: light work only when it takes long."""
        if job not in self._small:
            return True
        return job.started_s is not None and time.monotonic() - job.started_s > PATIENCE_S

    def start(
        self,
        job: Job[Any],
        then: Then = lambda job: None,
        light: bool = False,
        network: bool = False,
    ) -> None:
        """Run ``job`` in the background; ``then`` hears of its end in the window's thread."""
        job.watch = self._watch
        self._then[job] = then
        if light:
            self._small.add(job)
        if network:
            self._afar.add(job)
        self.changed.emit(job)
        pool = self._network if network else self._light if light else self._heavy
        pool.start(lambda: job.run() and None)

    def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        for job in self.jobs:
            job.cancel()
        for pool in self._pools:
            pool.waitForDone(STOP_MS)

    def _watch(self, job: Job[Any]) -> None:
        now = time.monotonic()
        if job.state in ENDED or now - self._news_s >= NEWS_S:
            self._news_s = now
            self._told.emit(job)

    def _hear(self, job: Job[Any]) -> None:
        if job.state not in ENDED:
            self.changed.emit(job)
            return
        then = self._then.pop(job, None)
        self._small.discard(job)
        self._afar.discard(job)
        if then is None:  # an earlier message of the same job already told its end
            return
        try:
            then(job)
        finally:
            self.changed.emit(job)
            self.ended.emit(job)


def time_left(seconds: float | None) -> str:
    """Return remaining seconds in words, such as "1:10 left"."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s left"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} left"
    return f"{whole // 3600}:{whole // 60 % 60:02d} h left"


class JobBar(QWidget):
    """Undo name, the running job, memory and device; 28 px high."""

    def __init__(self, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self.setFixedHeight(HEIGHT_PX)
        self.undo = QToolButton()
        self.undo.setProperty("flat", "true")
        self.undo.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title = QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.title.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(160)
        self.left = QLabel()
        self.left.setProperty("role", "muted")
        self.left.setMinimumWidth(64)
        self.cancel = QToolButton()
        set_icon(self.cancel, "ph.x")
        self.cancel.setProperty("flat", "true")
        self.cancel.setToolTip("Stop the work that runs (Ctrl+.)")
        self.cancel.setAccessibleName("Stop")
        self.cancel.clicked.connect(self.cancel_first)
        self.memory = QLabel()
        self.memory.setProperty("role", "muted")
        self.memory.setToolTip("Memory that Hilum uses, and where it computes")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 12, 0)
        row.setSpacing(8)
        row.addWidget(self.undo)
        row.addWidget(self.title, 1)
        for widget in (self.bar, self.left, self.cancel, self.memory):
            row.addWidget(widget)
        jobs.changed.connect(self._show)
        self._process = psutil.Process()
        self._clock = QTimer(self)
        self._clock.setInterval(2000)
        self._clock.timeout.connect(self._measure)
        self._clock.start()
        self._measure()
        self._show()

    def cancel_first(self) -> None:
        """Ask the oldest job to stop."""
        for job in self._jobs.jobs[:1]:
            job.cancel()
            self.title.setText(f"Stopping: {job.title}")

    def _show(self, _: object = None) -> None:
        running = [job for job in self._jobs.jobs if self._jobs.is_worth_telling(job)]
        for widget in (self.bar, self.left, self.cancel):
            widget.setVisible(bool(running))
        if not running:
            self.title.setText("")
            return
        job = running[0]
        queue = f"   +{len(running) - 1} waiting" if len(running) > 1 else ""
        message = f": {job.message}" if job.message else ""
        self.title.setText(f"{job.title}{message}   {job.fraction:.0%}{queue}")
        self.bar.setValue(round(job.fraction * 1000))
        self.left.setText(time_left(job.remaining_s()))

    def _measure(self) -> None:
        self.memory.setText(f"{self._process.memory_info().rss / 1e9:.1f} GB   CPU")
