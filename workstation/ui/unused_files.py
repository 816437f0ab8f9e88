"""The files of a scan that are in no volume, with the reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTableView, QVBoxLayout, QWidget

from workstation.dicom.sources import Ignored
from workstation.ui.guard import guarded
from workstation.ui.panels.parts import label
from workstation.ui.theme import shown_colours
from workstation.ui.volume_words import place_text

COLUMNS = ("Why it is not used", "File")
TOLD = 3  # reasons that the summary names
_NOWHERE = QModelIndex()


def summary(ignored: Sequence[Ignored]) -> str:
    """Return how many files are not used, and the most frequent reasons."""
    if not ignored:
        return "Every file is part of a volume."
    reasons = Counter(item.reason for item in ignored).most_common()
    told = "; ".join(f"{count} × {reason}" for reason, count in reasons[:TOLD])
    more = f"; {len(reasons) - TOLD} more reasons" if len(reasons) > TOLD else ""
    damaged = sum(item.damaged for item in ignored)
    may = f"\n▲ {damaged} may have been slices: they are damaged." if damaged else ""
    return f"{told}{more}.{may}"


class UnusedModel(QAbstractTableModel):
    """Damaged files first, then by reason and path; tens of thousands are no burden."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = ""
        self._items: list[Ignored] = []

    def show(self, ignored: Sequence[Ignored], folder: str) -> None:
        """Show other files; their paths are told as seen from ``folder``."""
        self.beginResetModel()
        self._folder = folder
        self._items = sorted(ignored, key=lambda i: (not i.damaged, i.reason, i.path))
        self.endResetModel()

    @guarded(default=0)
    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        """Return the number of files."""
        return 0 if parent.isValid() else len(self._items)

    @guarded(default=0)
    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        """Return the number of columns."""
        return len(COLUMNS)

    @guarded
    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column."""
        across = orientation == Qt.Orientation.Horizontal
        return COLUMNS[section] if across and role == Qt.ItemDataRole.DisplayRole else None

    @guarded
    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return what a cell shows."""
        if not index.isValid():
            return None
        item = self._items[index.row()]
        mark = "▲ " if item.damaged else ""
        texts = (f"{mark}{item.reason}", place_text(item.path, self._folder))
        if role == Qt.ItemDataRole.DisplayRole:
            return texts[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{item.path}\n{item.reason}"
        if role == Qt.ItemDataRole.ForegroundRole and item.damaged and not index.column():
            return QColor(shown_colours().problem)
        return None


class UnusedFiles(QWidget):
    """The summary and the list."""

    def __init__(self) -> None:
        super().__init__()
        self.said = label("", "muted")
        self.model = UnusedModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Files that are not used")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(26)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setColumnWidth(0, 420)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.addWidget(self.said)
        column.addWidget(self.table, 1)

    def show_files(self, ignored: Sequence[Ignored], folder: str) -> None:
        """Show the files that a scan of ``folder`` did not use."""
        self.said.setText(summary(ignored))
        self.model.show(ignored, folder)
