import gc
import threading
import weakref

from PySide6.QtWidgets import QWidget

from workstation.ui import collector
from workstation.ui.collector import garbage_collected_here


class Loop(QWidget):
    """A widget that only a garbage collection can free."""

    def __init__(self):
        super().__init__()
        self.itself = self


def make_garbage():
    return [[] for _ in range(100_000)]


def test_widgets_are_freed_on_the_thread_of_the_window_only(qtbot):
    freed_on = []
    with garbage_collected_here():
        lost = Loop()
        weakref.finalize(lost, lambda: freed_on.append(threading.current_thread()))
        del lost
        for _ in range(5):
            worker = threading.Thread(target=make_garbage)
            worker.start()
            worker.join()
        assert not freed_on
        kept = make_garbage()  # makes a collection due
        qtbot.waitUntil(lambda: bool(freed_on), timeout=10 * collector.EVERY_MS)
        assert len(kept) == 100_000
    assert freed_on == [threading.main_thread()]


def test_old_garbage_is_collected_sooner_or_later(qtbot):
    with garbage_collected_here():
        lost = Loop()
        gone = weakref.ref(lost)
        gc.collect(0)
        gc.collect(1)  # now it is old
        del lost
        kept = []
        for _ in range(150):
            kept += [[] for _ in range(collector.YOUNG + 100)]
            collector.collect_if_due()
        assert gone() is None


def test_afterwards_garbage_is_collected_as_before():
    try:
        with garbage_collected_here():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() == 0
    finally:  # as the tests want it
        gc.freeze()
        gc.disable()
