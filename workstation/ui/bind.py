"""Couples widgets to a session: a getter shows the present value, a setter takes the new one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QSignalBlocker, QTimer
from PySide6.QtWidgets import QAbstractSlider, QWidget

from workstation.session import Session
from workstation.ui.guard import guarded

Refresh = Callable[[], None]


class Bindings(QObject):
    """Refreshes what is coupled once per event-loop turn after the session changed."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._refreshes: list[tuple[Refresh, QWidget | None]] = []
        self._missed: list[tuple[Refresh, QWidget | None]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.refresh)
        session.changed.append(self.later)

    def later(self) -> None:
        """Refresh when control returns to the event loop; many calls make one refresh."""
        self._timer.start()

    def refresh(self) -> None:
        """Refresh everything now; one that fails is reported and the others still run."""
        self._timer.stop()
        self._missed = list(self._refreshes)
        self.catch_up()

    def catch_up(self) -> None:
        """Refresh now what missed a refresh because it was hidden, and is no more."""
        due = [(refresh, page) for refresh, page in self._missed if _is_open(page)]
        self._missed = [(refresh, page) for refresh, page in self._missed if not _is_open(page)]
        for refresh, _ in due:
            guarded(refresh)()

    def close(self) -> None:
        """Stop listening to the session."""
        self._timer.stop()
        if self.later in self._session.changed:
            self._session.changed.remove(self.later)

    def add(self, refresh: Refresh, page: QWidget | None = None) -> None:
        """Call ``refresh`` with every refresh; while ``page`` is put away, at `catch_up` only."""
        self._refreshes.append((refresh, page))

    def slide(
        self, slider: QAbstractSlider, getter: Callable[[], int], setter: Callable[[int], None]
    ) -> None:
        """Couple a slider."""

        def refresh() -> None:
            if not slider.isSliderDown():
                with QSignalBlocker(slider):
                    slider.setValue(getter())

        slider.valueChanged.connect(setter)
        self.add(refresh)

    def enable(self, widget: QWidget, missing: Callable[[], str], tip: str) -> None:
        """Enable ``widget`` while nothing is missing; the tooltip says what is missing."""

        def refresh() -> None:
            lack = missing()
            widget.setEnabled(not lack)
            widget.setToolTip(f"{tip}\nNeeds: {lack}" if lack else tip)

        self.add(refresh)


def _is_open(page: QWidget | None) -> bool:
    """Tell whether ``page`` is what its window shows, or would show if it were not hidden."""
    if page is None:
        return True
    window = page.window()
    return window is page or page.isVisibleTo(window)
