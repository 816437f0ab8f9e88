"""How much memory work takes at its peak."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil

LOOK_S = 0.05


class Memory:
    """Looks again and again at how much memory this process and its children hold."""

    def __init__(self) -> None:
        self._before = self._peak = self._held()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def grown_mb(self) -> float:
        """By how much the memory grew at its peak."""
        return (self._peak - self._before) / 1e6

    def _look(self) -> None:
        while not self._done.wait(LOOK_S):
            self._peak = max(self._peak, self._held())

    def _held(self) -> int:
        own, total = psutil.Process(), 0
        for process in (own, *own.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total
