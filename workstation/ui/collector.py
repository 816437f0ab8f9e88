"""Python's cyclic garbage, collected on the thread of the window and on no other.

Python collects garbage on whichever thread happens to allocate. Widgets that are part of a
cycle would be destroyed there, and Qt ends the process of a widget that is destroyed on a
thread that does not own it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QTimer

EVERY_MS = 500
YOUNG = 2_000  # new objects that are worth a look; fewer wait


@contextmanager
def garbage_collected_here() -> Iterator[None]:
    """Collect garbage from a timer of this thread's event loop until the context ends.

    What exists already is taken to stay, so that no collection stops the window to look at
    the code of the libraries.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    timer = QTimer(interval=EVERY_MS)
    timer.timeout.connect(collect_if_due)
    timer.start()
    try:
        yield
    finally:
        timer.stop()
        gc.collect()
        gc.unfreeze()
        gc.enable()


def collect_if_due() -> None:
    """Collect the youngest objects if there are many, and older ones every so often."""
    young, middle, old = gc.get_count()
    if young > YOUNG:
        due = (middle > 10) + (middle > 10 and old > 10)
        gc.collect(due)
