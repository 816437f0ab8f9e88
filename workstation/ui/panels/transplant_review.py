"""The review sheet as the main view: counts, what would change it, then its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from workstation.planning.transplant_rows import (
    FOLLOW_UP,
    ORDER,
    Row,
    Sheet,
    Verdict,
    as_shown,
    sentence,
)
from workstation.ui.panels.parts import RecordList, bold, label
from workstation.ui.panels.transplant_confirm import Confirming, ConfirmStrip
from workstation.ui.panels.transplant_marks import MARKS, ROLES, row_title, row_value

TITLES: dict[Verdict, str] = {
    "block": "Blocks",
    "unknown": "Unknown: never counted as passed",
    "warn": "Warns",
    "pass": "Passes",
}
COUNTED: dict[Verdict, str] = {
    "block": "block",
    "unknown": "unknown",
    "warn": "warn",
    "pass": "pass",
}
WIDTHS_PX = (92, 180, 130, 0, 250)
"""Widths of the columns of a row; the one that takes the rest is 0."""

SOON = 3
"""How many of the values that expire first are named."""


class WideRow(QFrame):
    """One row of the sheet over the whole width, in columns that stand under each other."""

    def __init__(self, row: Row, held: bool, confirming: Confirming) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.confirm = ConfirmStrip(row, held, confirming)
        self.setAccessibleName(f"{row.name} {row.verdict} {row_value(row)} {row.reason}")
        line = QHBoxLayout(self)
        line.setContentsMargins(10, 6, 10, 6)
        line.setSpacing(12)
        about = [row.source, row.date or "no date"]
        about += [f"until {row.expires}"] if row.expires else []
        about += [f"confirmed by {row.confirmed}"] if row.confirmed else []
        why = QVBoxLayout()
        why.setSpacing(2)
        for text, role in ((sentence(row.reason), ""), (sentence(row.rule), "muted")):
            if text:
                why.addWidget(label(text, role))
        why.addWidget(self.confirm)
        cells: tuple[QWidget | QVBoxLayout, ...] = (
            label(MARKS[row.verdict], ROLES[row.verdict]),
            bold(row_title(row.name)),
            label(row_value(row)),
            why,
            label(", ".join(about), "muted"),
        )
        for cell, width in zip(cells, WIDTHS_PX):
            if isinstance(cell, QWidget):
                cell.setFixedWidth(width)
                line.addWidget(cell, 0, Qt.AlignmentFlag.AlignTop)
            else:
                line.addLayout(cell, 1)


class ReviewPage(QWidget):
    """Counts, what would change the verdict, what expires, and the rows by verdict."""

    def __init__(self, confirming: Confirming) -> None:
        super().__init__()
        self.title = label("", "title")
        self.stale = label("↻ Not up to date; recompute.", "warning")
        self.counts = {verdict: label("", "number", wrap=False) for verdict in ORDER}
        self.changes = RecordList(label)
        self.expiry = label("", "muted")
        self.groups = {v: RecordList(lambda r: WideRow(r[0], r[1], confirming)) for v in ORDER}
        self.heads = {verdict: bold("") for verdict in ORDER}
        chips = QHBoxLayout()
        chips.setSpacing(8)
        for verdict, count in self.counts.items():
            chips.addWidget(_chip(count, label(COUNTED[verdict], ROLES[verdict], wrap=False)))
        chips.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(6)
        column.addWidget(self.title)
        column.addWidget(self.stale)
        column.addLayout(chips)
        self._change_head = bold("What would change the verdict")
        for part in (self._change_head, self.changes, self.expiry):
            column.addWidget(part)
        for verdict in ORDER:
            column.addWidget(self.heads[verdict])
            column.addWidget(self.groups[verdict])
        column.addStretch(1)

    def show_sheet(
        self, sheet: Sheet | None, current: bool, told: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Show a sheet; one that is not ``current`` says so.

        ``told`` are the rows of the case's summary, which know what was confirmed in the case.
        """
        plain = {row.name: row.confirmed for row in sheet.rows} if sheet is not None else {}
        sheet = as_shown(sheet, told) if sheet is not None else None
        rows = sheet.rows if sheet is not None else ()
        self.title.setText(_title(sheet))
        self.stale.setVisible(sheet is not None and not current)
        for verdict, count in self.counts.items():
            own = [row for row in rows if row.verdict == verdict]
            count.setText(str(len(own)))
            self.heads[verdict].setText(f"{TITLES[verdict]} ({len(own)})")
            self.heads[verdict].setVisible(bool(own))
            self.groups[verdict].setVisible(bool(own))
            held = [(row, row.confirmed != plain[row.name]) for row in own]
            self.groups[verdict].show_records(held)
        changes = changes_of(rows)
        self.changes.show_records(changes)
        self._change_head.setVisible(bool(changes))
        self.expiry.setText(expiry_of(rows))
        self.expiry.setVisible(bool(self.expiry.text()))


def _title(sheet: Sheet | None) -> str:
    if sheet is None:
        return "The review is not computed yet"
    if sheet.organ == FOLLOW_UP:
        return f"After the transplant, as of {sheet.review_date}"
    return f"Transplant review: {sheet.organ}, as of {sheet.review_date}"


def changes_of(rows: tuple[Row, ...]) -> list[str]:
    """Return what would change the verdict: of the blocking rows, or else of the unknown ones."""
    worst = [row for row in rows if row.verdict == rows[0].verdict] if rows else []
    if not worst or worst[0].verdict not in ("block", "unknown"):
        return []
    said: dict[str, list[str]] = {}
    for row in worst:
        change = row.change or "nothing that a record could say"
        said.setdefault(change, []).append(row_title(row.name))
    return [f"{', '.join(names)}: {change}" for change, names in said.items()]


def expiry_of(rows: tuple[Row, ...]) -> str:
    """Return in one sentence which rows expire first, "" for none."""
    soon = sorted((row.expires, row_title(row.name)) for row in rows if row.expires)[:SOON]
    said = ", ".join(f"{name} {day}" for day, name in soon)
    return f"Expires first: {said}." if said else ""


def _chip(count: QWidget, name: QWidget) -> QFrame:
    made = QFrame()
    made.setProperty("role", "chip")
    line = QHBoxLayout(made)
    line.setContentsMargins(8, 4, 8, 4)
    line.setSpacing(6)
    line.addWidget(count, 0, Qt.AlignmentFlag.AlignBaseline)
    line.addWidget(name, 0, Qt.AlignmentFlag.AlignBaseline)
    return made
