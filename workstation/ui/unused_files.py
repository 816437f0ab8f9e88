"""The files of a scan that are in no volume, with the reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTableView, QVBoxLayout, QWidget

from segmentation.contract import Progress, silent
from segmentation.wording import counted
from workstation.dicom.contents import content_lines, objects_among
from workstation.dicom.sources import Ignored
from workstation.jobs import Job
from workstation.ui.guard import guarded
from workstation.ui.job_bar import JobRunner
from workstation.ui.panels.parts import label
from workstation.ui.theme import shown_colours
from workstation.ui.volume_words import place_text

COLUMNS = ("Why it is not used", "File", "What it holds")
OBJECT = ", not an image"
"""How the reasons end for DICOM objects that are no images."""

TOLD = 3  # reasons that the summary names
_NOWHERE = QModelIndex()


def summary(ignored: Sequence[Ignored]) -> str:
    """Return how many files are not used, and the most frequent reasons."""
    if not ignored:
        return "Every file is part of a volume."
    reasons = Counter(item.reason for item in ignored).most_common()
    told = "; ".join(f"{count} × {reason}" for reason, count in reasons[:TOLD])
    more = f"; {counted(len(reasons) - TOLD, 'more reason')}" if len(reasons) > TOLD else ""
    damaged = sum(item.damaged for item in ignored)
    may = f"\n▲ {damaged} may have been slices: they are damaged." if damaged else ""
    return f"{told}{more}.{may}"


def holdings(ignored: Sequence[Ignored], progress: Progress = silent) -> dict[str, str]:
    """Return what the segmentations, reports and documents among files hold, by path."""
    objects = [item for item in ignored if item.reason.endswith(OBJECT)]
    return {
        record["path"]: "; ".join(line.strip() for line in content_lines(record)[1:])
        for record in objects_among(objects, progress)
    }


class UnusedModel(QAbstractTableModel):
    """Damaged files first, then by reason and path; tens of thousands are no burden."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = ""
        self._items: list[Ignored] = []
        self._held: Mapping[str, str] = {}

    def show(self, ignored: Sequence[Ignored], folder: str) -> None:
        """Show other files; their paths are told as seen from ``folder``."""
        self.beginResetModel()
        self._folder, self._held = folder, {}
        self._items = sorted(ignored, key=lambda i: (not i.damaged, i.reason, i.path))
        self.endResetModel()

    def show_holdings(self, held: Mapping[str, str]) -> None:
        """Show what files hold, by path."""
        self._held = held
        if self._items:
            last = len(COLUMNS) - 1
            self.dataChanged.emit(self.index(0, last), self.index(len(self._items) - 1, last))

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
        held = self._held.get(item.path, "")
        texts = (f"{mark}{item.reason}", place_text(item.path, self._folder), held)
        if role == Qt.ItemDataRole.DisplayRole:
            return texts[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(text for text in (item.path, item.reason, held) if text)
        if role == Qt.ItemDataRole.ForegroundRole and item.damaged and not index.column():
            return QColor(shown_colours().problem)
        return None


class UnusedFiles(QWidget):
    """The summary and the list; what DICOM objects hold is looked up beside the window."""

    def __init__(self, jobs: JobRunner) -> None:
        super().__init__()
        self._jobs = jobs
        self._job: Job[Any] | None = None
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
        self.table.setColumnWidth(0, 300)
        self.table.setColumnWidth(1, 380)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.addWidget(self.said)
        column.addWidget(self.table, 1)

    def show_files(self, ignored: Sequence[Ignored], folder: str) -> None:
        """Show the files that a scan of ``folder`` did not use."""
        self.said.setText(summary(ignored))
        self.model.show(ignored, folder)
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if any(item.reason.endswith(OBJECT) for item in ignored):
            self._job = Job("Contents of files", lambda progress: holdings(ignored, progress))
            self._jobs.start(self._job, self._take, light=True)

    def _take(self, job: Job[Any]) -> None:
        if job is self._job and job.result is not None:
            self.model.show_holdings(job.result)
