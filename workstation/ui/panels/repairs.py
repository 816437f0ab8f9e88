"""Repairs of a refused volume, each accepted by a tick or not made."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QVBoxLayout, QWidget

from workstation.dicom.files import Repair
from workstation.ui.panels.parts import bold, label


class RepairChoice(QWidget):
    """One card per repair; ``changed`` tells that another one, or none, is accepted now."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        self._cards: list[QFrame] = []
        self._offered: Sequence[Repair] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 8, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(bold("This volume can be used if you accept"))
        self.hide()

    def offer(self, repairs: Sequence[Repair]) -> None:
        """Offer other repairs; none of them is accepted yet."""
        if repairs is self._offered:
            return
        self._offered = repairs
        for card in self._cards:
            card.setParent(None)
            card.deleteLater()
        self._cards, self.boxes = [], {}
        for repair in repairs:
            card = self._card(repair)
            self._cards.append(card)
            self._column.addWidget(card)
        self.setVisible(bool(repairs))

    def accepted(self) -> tuple[str, ...]:
        """Return the code of the repair that is accepted, if any."""
        return tuple(code for code, box in self.boxes.items() if box.isChecked())

    def _card(self, repair: Repair) -> QFrame:
        card = QFrame()
        card.setProperty("role", "card")
        box = QCheckBox("I accept this")
        box.setAccessibleName(f"I accept this: {repair.sentence}")
        box.setAccessibleDescription(repair.cost)
        box.setToolTip("What you accept is kept with the case and told in its report")
        box.toggled.connect(lambda on: self._toggled(repair.code, on))
        self.boxes[repair.code] = box
        column = QVBoxLayout(card)
        column.setContentsMargins(10, 6, 10, 6)
        column.setSpacing(4)
        column.addWidget(label(repair.sentence))
        column.addWidget(label(repair.cost, "muted"))
        column.addWidget(box)
        return card

    def _toggled(self, code: str, on: bool) -> None:
        """Each repair alone makes the volume usable: a second tick takes back the first."""
        for other, box in self.boxes.items():
            if on and other != code and box.isChecked():
                box.blockSignals(True)
                box.setChecked(False)
                box.blockSignals(False)
        self.changed.emit()
