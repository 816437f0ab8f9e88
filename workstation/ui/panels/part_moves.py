"""Moving by hand: what of the plan is held, its numbers to enter, and what it means now."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QTimer, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget

from segmentation.contract import Number
from workstation.planning.live_fit_moves import Entry, Values
from workstation.ui.guard import guarded
from workstation.ui.panels.parts import bold, keep_narrow, label, set_role
from workstation.ui.words import readable, unit_text, value_text

PAUSE_MS = 700
"""A number that has rested for so long goes into the plan."""

NOTHING = "Nothing"
HINT = (
    "Drag the ball, the arrows or the rings in 3D or on the slices, or enter numbers. Esc gives a "
    "drag back; each one can be undone."
)
TITLES = {
    "contact": "Seat in contact",
    "coverage": "Seat covered by bone",
    "gap": "Gap over the seat",
    "interference": "Interference over the seat",
    "contact_area": "Area in contact",
    "contact_share": "Share in contact",
    "gap_mean": "Mean gap to bone",
    "penetration": "Deepest penetration",
    "least_distance": "Least distance",
}
"""Words of numbers that are told while something moves."""


class PartMoves(QWidget):
    """Chooses what is moved by hand, and enters and tells its numbers.

    Signals:
        chosen: the name of the step that is held, "" for none.
        entered: the values that are being entered.
        rested: they have come to rest.
    """

    chosen = Signal(str)
    entered = Signal(object)
    rested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.choice = QComboBox()
        keep_narrow(self.choice)
        self.choice.setAccessibleName("What is moved by hand")
        self.choice.setToolTip("Handles in 3D and on the slices then move it")
        self.choice.activated.connect(lambda _: self.chosen.emit(self.choice.currentData()))
        self.hint, self.told = label("", "muted"), label("")
        self.told.setAccessibleName("What the place means")
        self.boxes: list[QDoubleSpinBox] = []
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(4)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self.rested)
        self._entries: tuple[Entry, ...] = ()
        row = QFormLayout()
        row.addRow(label("Move", wrap=False), self.choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        column.addWidget(bold("Move by hand"))
        column.addLayout(row)
        column.addWidget(self.hint)
        column.addLayout(self._form)
        column.addWidget(self.told)

    @guarded
    def hideEvent(self, event: QHideEvent) -> None:
        """Let go when another page is shown: handles there would cover what is looked at."""
        super().hideEvent(event)
        if event.spontaneous() or not self.choice.currentData():
            return
        if self._pause.isActive():
            self._pause.stop()
            self.rested.emit()
        self.chosen.emit("")

    def offer(self, names: Sequence[str], chosen: str) -> None:
        """Offer steps to move; without any the card is not there."""
        self.setVisible(bool(names))
        wanted = [("", NOTHING), *((name, readable(name)) for name in names)]
        with QSignalBlocker(self.choice):
            if [self.choice.itemData(n) for n in range(self.choice.count())] != [
                name for name, _ in wanted
            ]:
                self.choice.clear()
                for name, title in wanted:
                    self.choice.addItem(title, name)
            self.choice.setCurrentIndex(max(self.choice.findData(chosen), 0))
        if not chosen:
            self.show_hint("")
            self.show_entries((), ())
            self.told.hide()

    def show_hint(self, words: str, problem: bool = False) -> None:
        """Say how it is moved, or what it lacks."""
        self.hint.setText(words)
        self.hint.setVisible(bool(words))
        set_role(self.hint, "warning" if problem else "muted")

    def show_entries(self, entries: tuple[Entry, ...], values: Values) -> None:
        """Show the numbers that say where it is."""
        if entries != self._entries:
            self._entries, self.boxes = entries, []
            while self._form.rowCount():
                self._form.removeRow(0)
            for entry in entries:
                self._form.addRow(label(entry.title, wrap=False), self._box(entry))
        for box, value in zip(self.boxes, values):
            with QSignalBlocker(box):
                box.setValue(value)

    def _box(self, entry: Entry) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setDecimals(2)
        box.setRange(entry.low, entry.high)
        box.setSingleStep(0.5)
        box.setSuffix(f" {entry.unit}" if entry.unit != "°" else "°")
        box.setKeyboardTracking(False)
        box.setAccessibleName(entry.title)
        box.valueChanged.connect(lambda _: self._enter())
        self.boxes.append(box)
        return box

    def _enter(self) -> None:
        self.entered.emit(tuple(box.value() for box in self.boxes))
        self._pause.start()

    def show_numbers(self, numbers: Sequence[Number], problem: str = "") -> None:
        """Tell what the place means."""
        lines = [
            f"{TITLES.get(n.quantity, readable(n.quantity))}: "
            f"{value_text(n.value, n.unit)} {unit_text(n.unit)}".rstrip()
            for n in numbers
        ]
        self.told.setText(f"✕ {problem}" if problem else "\n".join(lines))
        set_role(self.told, "problem" if problem else "")
        self.told.setVisible(bool(lines or problem))
