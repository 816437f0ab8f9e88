"""Waiting for others without losing the chance to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

BEAT_S = 0.1
GRACE_S = 2.0


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def patiently(
    source: Iterable[T], beat: Callable[[], None], stop: Callable[[], None]
) -> Iterator[T]:
    """Yield what ``source`` yields, which is iterated on another thread.

    ``beat`` is called on this thread at least every 0.1 s and may raise. If this ends before
    the source does, ``stop`` is called once: it must make the source end.
    """
    items: SimpleQueue[T | _End] = SimpleQueue()
    thread = threading.Thread(target=_produce, args=(source, items), daemon=True)
    thread.start()
    ended = False
    try:
        while True:
            try:
                item = items.get(timeout=BEAT_S)
            except Empty:
                beat()
                continue
            if isinstance(item, _End):
                ended = True
                if item.error is not None:
                    raise item.error
                return
            yield item
            beat()
    finally:
        if not ended:
            stop()
        thread.join(GRACE_S)


def _produce(source: Iterable[T], items: SimpleQueue[T | _End]) -> None:
    try:
        for item in source:
            items.put(item)
    except BaseException as error:  # handed to the thread that waits
        items.put(_End(error))
    else:
        items.put(_End())
