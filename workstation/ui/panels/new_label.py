"""Starts a label that grows from clicks and strokes: name it, mark it, mark where it is wrong."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button

TIP = "Click on a thing or draw a stroke along it; Add and Remove then correct it the same way"


class NewLabel(QWidget):
    """The name of a label that is not there yet, and the button that starts it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new label")
        self.name.setPlaceholderText("region")
        self.name.setToolTip("Name of the result; small letters, digits and underscores")
        self.start = button("New label from strokes", TIP, self.begin)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.name, 1)
        row.addWidget(self.start)
        desk.bindings.enable(self.start, self._lacks, TIP)

    def _lacks(self) -> str:
        session = self._desk.session
        if session.plan is None:
            return "a plan"
        return "" if session.view.image else "an image"

    def begin(self) -> None:
        """Take the Add tool for a label that the first click or stroke makes."""
        self._desk.take_tool("seed_foreground", self._free_name())
        self.name.clear()

    def _free_name(self) -> str:
        """Return the name that was typed, or "region", with a number if it is taken."""
        wanted = self.name.text().strip().lower().replace(" ", "_") or "region"
        known = self._desk.session.kinds()
        numbered = (f"{wanted}_{n}" for n in range(2, len(known) + 3))
        return next(name for name in (wanted, *numbered) if name not in known)
