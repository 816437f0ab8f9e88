"""What went wrong, as a card in the window: title, detail, remedy, details to copy."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workstation.problems import Problem

MOST_CARDS = 3
LONGEST = 24  # letters that are not broken


def breakable(text: str) -> str:
    """Return ``text`` with places, unseen, where paths and long words may be broken."""
    return re.sub(rf"([/\\_.\-]|\w{{{LONGEST}}})(?=\w)", "\\1\u200b", text)


def _wrapped(text: str, role: str = "") -> QLabel:
    label = QLabel(breakable(text))
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setProperty("role", role)
    if not text:
        label.hide()
    return label


class ErrorCard(QFrame):
    """One problem; it stays until it is closed."""

    dismissed = Signal()

    def __init__(self, problem: Problem, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problem = problem
        self.setProperty("role", "card")
        self.setAccessibleName(f"Problem: {problem.title}")
        close = QToolButton()
        close.setText("×")
        close.setToolTip("Close this message")
        close.setProperty("flat", "true")
        close.clicked.connect(self.dismiss)
        head = QHBoxLayout()
        title = problem.title.removesuffix(problem.remedy).strip() or problem.title
        head.addWidget(_wrapped(f"▲ {title}", "problem"), 1)
        head.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self._trace = QPlainTextEdit(problem.trace)
        self._trace.setReadOnly(True)
        self._trace.setMaximumHeight(140)
        self._trace.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._trace.hide()
        self.details = QPushButton("Show details")
        self.details.setProperty("flat", "true")
        self.details.setToolTip("The technical trace, for a bug report")
        self.details.clicked.connect(self._toggle)
        copy = QPushButton("Copy")
        copy.setProperty("flat", "true")
        copy.setToolTip("Copy the whole message with its details")
        copy.clicked.connect(self.copy)
        buttons = QHBoxLayout()
        buttons.addWidget(self.details)
        buttons.addWidget(copy)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 4)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(_wrapped(problem.detail, "muted"))
        column.addWidget(_wrapped(problem.remedy if title != problem.remedy else ""))
        column.addWidget(self._trace)
        column.addLayout(buttons)

    def text(self) -> str:
        """Return the whole message as plain text."""
        problem = self.problem
        parts = (problem.title, problem.detail, problem.remedy, problem.trace)
        return "\n\n".join(part for part in parts if part)

    def copy(self) -> None:
        """Put the whole message on the clipboard."""
        QGuiApplication.clipboard().setText(self.text())

    def dismiss(self) -> None:
        """Close the card."""
        self.setParent(None)
        self.deleteLater()
        self.dismissed.emit()

    def _toggle(self) -> None:
        hidden = self._trace.isHidden()
        self._trace.setVisible(hidden)
        self.details.setText("Hide details" if hidden else "Show details")


class CardStack(QWidget):
    """The latest problems, newest on top; nothing modal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(8, 0, 8, 8)
        self._column.setSpacing(8)
        self.hide()

    def cards(self) -> list[ErrorCard]:
        """Return the cards that are shown, newest first."""
        items = (self._column.itemAt(n) for n in range(self._column.count()))
        widgets = (item.widget() for item in items if item is not None)
        return [widget for widget in widgets if isinstance(widget, ErrorCard)]

    def show_problem(self, problem: Problem) -> None:
        """Add a card; a problem of the same words replaces its older card."""
        for card in self.cards():
            if (card.problem.title, card.problem.detail) == (problem.title, problem.detail):
                card.dismiss()
        card = ErrorCard(problem)
        card.dismissed.connect(lambda: self.setVisible(bool(self.cards())))
        self._column.insertWidget(0, card)
        self.show()
        for card in self.cards()[MOST_CARDS:]:
            card.dismiss()
