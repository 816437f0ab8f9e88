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
        self._refreshes: list[Refresh] = []
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
        for refresh in tuple(self._refreshes):
            guarded(refresh)()

    def close(self) -> None:
        """Stop listening to the session."""
        self._timer.stop()
        if self.later in self._session.changed:
            self._session.changed.remove(self.later)

    def add(self, refresh: Refresh) -> None:
        """Call ``refresh`` with every refresh."""
        self._refreshes.append(refresh)

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
