"""How the chosen label stands: proposed, edited, or reviewed by whom and when; and the review."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from workstation.review import EDITED, PROPOSED, REVIEWED
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, label

BADGES = {PROPOSED: "proposed", EDITED: "edited", REVIEWED: "✓ reviewed"}
MEANINGS = {
    PROPOSED: "Made by a method or taken from a file; nobody has looked at it yet",
    EDITED: "A person had a part in it; it is not reviewed as it is now",
    REVIEWED: "A person looked at it and accepts it as it is",
}


class ReviewBar(QWidget):
    """Says who reviewed a label, and lets a person do so under their name."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._output = ""
        self.told = label("", "muted")
        self.by = QLineEdit()
        self.by.setPlaceholderText("Your name")
        self.by.setAccessibleName("Name of the person who reviews")
        self.by.setToolTip("Who looked at this label; the name stands in the report")
        self.mark = button("Reviewed", "", self._mark)
        self.withdraw = button("Take the review back", "It counts as not reviewed", self._withdraw)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.by, 1)
        row.addWidget(self.mark)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.told)
        column.addLayout(row)
        column.addWidget(self.withdraw)
        tip = "Say that you looked at this label in all slices and accept it as it is"
        desk.bindings.enable(self.mark, self.lacks, tip)
        self.by.textChanged.connect(lambda _: desk.bindings.later())
        desk.left.connect(self.by.clear)
        self.hide()

    def lacks(self) -> str:
        """Return what the review needs, "" when it can be made."""
        if not self._output or self._output not in self._desk.session.available():
            return "a computed label"
        return "" if self.by.text().strip() else "your name"

    def show_label(self, output: str) -> None:
        """Show the review of the label that ``output`` names; hide for what is none."""
        session = self._desk.session
        steps = session.summary()["steps"] if session.plan is not None else ()
        review = next((s["review"] for s in steps if s["output"] == output), None)
        self._output = output if review is not None else ""
        self.setVisible(review is not None)
        if review is None:
            return
        done = review["state"] == REVIEWED
        words = f"Reviewed by {review['by']}, {when_text(review['at'])}." if done else ""
        self.told.setText(words or f"{MEANINGS[review['state']]}.")
        self.by.setVisible(not done)
        self.mark.setVisible(not done)
        self.withdraw.setVisible(done)
        if not self.by.text() and session.case is not None:
            reviews = session.case.record.reviews.values()
            self.by.setText(max(reviews, key=lambda r: r.at).by if reviews else "")

    def _mark(self) -> None:
        self._desk.attempt(lambda: self._desk.session.review(self._output, self.by.text()))

    def _withdraw(self) -> None:
        self._desk.attempt(lambda: self._desk.session.withdraw_review(self._output))


def when_text(at: str) -> str:
    """Return an ISO time in UTC as day and minute of the local clock."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M}"
