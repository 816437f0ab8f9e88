"""A row of a review is confirmed by a person: name, comment, and taken back again."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from workstation.planning.transplant_rows import Row
from workstation.ui.panels.parts import button

NAME_PX = 110


class Confirming:
    """Who may confirm a row, and how; ``by`` is the name that was given last."""

    def __init__(
        self, confirm: Callable[[Row, str, str], object], withdraw: Callable[[Row], object]
    ) -> None:
        self.confirm, self.withdraw = confirm, withdraw
        self.by = ""


class ConfirmStrip(QWidget):
    """One button until it is pressed, then the fields for name and comment."""

    def __init__(self, row: Row, held: bool, confirming: Confirming) -> None:
        super().__init__()
        self._row, self._confirming = row, confirming
        self.open = button(
            "Confirm…", "Say under your name that you checked this row as it stands", self._ask
        )
        self.back = button("Take back", "Nobody has confirmed it in this case", self._withdraw)
        self.by, self.comment = QLineEdit(), QLineEdit()
        for field, words in ((self.by, "your name"), (self.comment, "comment, if any")):
            field.setPlaceholderText(words)
            field.setAccessibleName(f"{row.name} {words}")
            field.setMinimumWidth(NAME_PX)
            field.returnPressed.connect(self._confirm)
        self.done = button("Confirm", "It holds until a reading behind the row changes",
                           self._confirm)  # fmt: skip
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for part in (self.open, self.back, self.by, self.comment, self.done):
            line.addWidget(part)
        line.addStretch(1)
        self.open.setVisible(not held)
        self.back.setVisible(held)
        for part in (self.by, self.comment, self.done):
            part.hide()

    def _ask(self) -> None:
        self.open.hide()
        self.by.setText(self._confirming.by)
        for part in (self.by, self.comment, self.done):
            part.show()
        (self.comment if self.by.text() else self.by).setFocus()

    def _confirm(self) -> None:
        by = " ".join(self.by.text().split())
        if not by:
            self.by.setFocus()
            return
        self._confirming.by = by
        self._confirming.confirm(self._row, by, self.comment.text())

    def _withdraw(self) -> None:
        self._confirming.withdraw(self._row)
