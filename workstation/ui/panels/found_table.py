"""A table of what a search found: rows are values, columns say how each reads and sorts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from workstation.ui.guard import guarded

T = TypeVar("T")
SORT_ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column: its title, its text for a row, and what it sorts by (default: the text)."""

    title: str
    text: Callable[[T], str]
    number: Callable[[T], int | None] | None = None


class FoundModel(QAbstractTableModel, Generic[T]):
    """Shows ``rows``; only what is on the screen is turned into text."""

    def __init__(self, columns: Sequence[Column[T]]) -> None:
        super().__init__()
        self.columns = columns
        self.rows: Sequence[T] = ()

    def show(self, rows: Sequence[T]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    @guarded(default=0)
    def rowCount(self, parent: object = None) -> int:
        """Return how many rows there are."""
        return len(self.rows)

    @guarded(default=0)
    def columnCount(self, parent: object = None) -> int:
        """Return how many columns there are."""
        return len(self.columns)

    @guarded
    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the title of a column."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        return None

    @guarded
    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell as text, or as what it sorts by."""
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return column.text(row)
        if role == SORT_ROLE and column.number is not None:
            number = column.number(row)
            return -1 if number is None else number
        if role == SORT_ROLE:
            return column.text(row).casefold()
        return None


class FoundTable(QTableView, Generic[T]):
    """A sortable table; ``chosen`` comes when another row, or none, is selected."""

    chosen = Signal()

    def __init__(self, name: str, columns: Sequence[Column[T]], stretched: int) -> None:
        super().__init__()
        self.found: FoundModel[T] = FoundModel(columns)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.found)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setAccessibleName(name)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(26)
        self._stretched = stretched
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # as the node answered
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())

    def show_rows(self, rows: Sequence[T]) -> None:
        """Show other rows, none selected, or the only one."""
        self.found.show(rows)
        for column in range(len(self.found.columns)):
            if column != self._stretched:
                self.resizeColumnToContents(column)
                self.setColumnWidth(column, min(self.columnWidth(column) + 8, 180))
        if len(rows) == 1:
            self.selectRow(0)
        else:
            self.chosen.emit()

    def selected(self) -> T | None:
        """Return the row that is selected."""
        chosen: list[QModelIndex] = self.selectionModel().selectedRows()
        return self.found.rows[self._sorted.mapToSource(chosen[0]).row()] if chosen else None
