"""Waiting for others without losing the chance to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

BEAT_S = 0.1
GRACE_S = 0.3


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def patiently(
    source: Iterable[T], beat: Callable[[], None], stop: Callable[[], None]
) -> Iterator[T]:
    """Yield what ``source`` yields, which is iterated on another thread.

    ``beat`` is called on this thread at least every 0.1 s and may raise. If this ends before
    the source does, no further item is begun; if the one under way takes long, ``stop`` is
    called once, and must make it end.
    """
    items: SimpleQueue[T | _End] = SimpleQueue()
    enough = threading.Event()
    thread = threading.Thread(target=_produce, args=(source, items, enough), daemon=True)
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
        enough.set()
        thread.join(GRACE_S)
        if not ended:
            stop()
            thread.join(GRACE_S)


def _produce(source: Iterable[T], items: SimpleQueue[T | _End], enough: threading.Event) -> None:
    try:
        for item in source:
            items.put(item)
            if enough.is_set():
                break
    except BaseException as error:  # handed to the thread that waits
        items.put(_End(error))
    else:
        items.put(_End())
