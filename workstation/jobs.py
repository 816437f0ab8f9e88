"""One way to run long work: with progress, cancel and an outcome. It knows no window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from segmentation.contract import Progress

T = TypeVar("T")


class Cancelled(Exception):
    """The work was stopped because a person asked for it."""


class State(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


class Job(Generic[T]):
    """Work with a title. ``run`` may be called on any thread; ``cancel`` from any other.

    ``watch`` is called, on the thread that runs, each time the state or progress changes.
    """

    def __init__(
        self,
        title: str,
        work: Callable[[Progress], T],
        watch: Callable[[Job[Any]], None] = lambda job: None,
    ) -> None:
        self.title = title
        self.work = work
        self.watch = watch
        self.state = State.PENDING
        self.fraction = 0.0
        self.message = ""
        self.result: T | None = None
        self.error: Exception | None = None
        self.started_s: float | None = None
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; it ends at its next progress report."""
        self._stop.set()

    def progress(self, fraction: float, message: str = "") -> None:
        """Take a progress report of the work.

        Raises:
            Cancelled: if `cancel` was called.
        """
        if self._stop.is_set():
            raise Cancelled(self.title)
        self._tell(State.RUNNING, fraction, message)

    def remaining_s(self) -> float | None:
        """Estimate the seconds left from the pace so far; None while it is too early to say."""
        if self.started_s is None or self.fraction < 0.03:
            return None
        spent = time.monotonic() - self.started_s
        return spent * (1.0 - self.fraction) / self.fraction

    def run(self) -> Job[T]:
        """Run the work to its end and return this job; it never raises."""
        self.started_s = time.monotonic()
        try:
            self.progress(0.0)
            result = self.work(self.progress)
            self.progress(1.0)  # a late cancel still counts
            self.result = result
            self._tell(State.SUCCESS, 1.0, "")
        except Cancelled:
            self._tell(State.CANCELLED, self.fraction, "stopped")
        except Exception as error:
            self.error = error
            self._tell(State.ERROR, self.fraction, str(error))
        return self

    def _tell(self, state: State, fraction: float, message: str) -> None:
        self.state = state
        self.fraction = min(max(fraction, 0.0), 1.0)
        self.message = message
        self.watch(self)
