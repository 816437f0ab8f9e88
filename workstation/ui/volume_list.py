"""The volumes of a scan as a tree: one row per series, parts of a split series below it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTreeView, QWidget

from segmentation.wording import counted
from workstation.dicom.files import ScannedVolume
from workstation.ui.guard import guarded
from workstation.ui.theme import shown_colours
from workstation.ui.thumbnails import Thumbnails
from workstation.ui.volume_words import (
    ROLES,
    findings_text,
    label_text,
    orientation_text,
    part_text,
    series_of,
    status_text,
    title_text,
    voxels_text,
)
from workstation.ui.words import date_text

COLUMNS = ("Series", "Voxels", "Slices", "Status")
ICON_PX = 48
ROW_PX = 54
LOOKED_AT = 16  # rows below the visible ones that decide how wide a column is
CALM = """QTreeView { selection-color: palette(text); }
QTreeView::item { padding-right: 12px; }
QTreeView::item:selected { background: palette(button); color: palette(text); }"""
"""A row is high: the accent behind it would outshine the pictures."""

Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


@dataclass(frozen=True, eq=False)
class Series:
    """The volumes that one series makes, in the order of the scan."""

    volumes: tuple[ScannedVolume, ...]

    @property
    def title(self) -> str:
        """Modality and description, and below how many volumes or images, and of when."""
        first = self.volumes[0]
        images = counted(len(first.slices), "image")
        count = f"{len(self.volumes)} volumes" if len(self.volumes) > 1 else images
        when = date_text(first.identity.study_date)
        return f"{title_text(first)}\n{count}{f', {when}' if when else ''}"

    @cached_property
    def _names(self) -> Counter[str]:
        return Counter(map(part_text, self.volumes))

    def name_of(self, volume: ScannedVolume) -> str:
        """Return which part a volume is, with all that is known where two would read alike."""
        name = part_text(volume)
        return name if self._names[name] < 2 else f"{name}\n{label_text(volume)}"

    @property
    def shown(self) -> ScannedVolume:
        """The volume that stands for the series: the first that can be read, or the first."""
        return next((v for v in self.volumes if v.status != "refused"), self.volumes[0])


def by_series(volumes: Sequence[ScannedVolume]) -> list[Series]:
    """Group volumes by series: readable ones first, those of most slices before others."""
    groups: dict[object, list[ScannedVolume]] = defaultdict(list)
    for volume in volumes:
        groups[series_of(volume)].append(volume)
    found = [Series(tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda s: (s.shown.status == "refused", -len(s.shown.slices)))


class VolumeModel(QAbstractItemModel):
    """Series, and below a series of several volumes the volumes."""

    def __init__(self, pictures: Thumbnails, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._series: list[Series] = []
        self._rows: dict[str, tuple[int, int]] = {}
        self._instead: dict[str, ScannedVolume] = {}
        pictures.arrived.connect(self._repaint)

    def show(self, volumes: Sequence[ScannedVolume]) -> None:
        """Show other volumes."""
        self.beginResetModel()
        self._instead = {}
        self._series = by_series(volumes)
        self._rows = {
            v.key: (n, m) for n, s in enumerate(self._series) for m, v in enumerate(s.volumes)
        }
        self.endResetModel()

    def show_instead(self, instead: Mapping[str, ScannedVolume]) -> None:
        """Show volumes, by key, as what a repair that was accepted makes of them."""
        changed = self._instead.keys() | instead.keys()
        self._instead = dict(instead)
        for key in changed:
            for index in self._rows_of(key):
                last = index.siblingAtColumn(len(COLUMNS) - 1)
                self.dataChanged.emit(index, last)

    def volumes(self, index: Index) -> tuple[ScannedVolume, ...]:
        """Return the volumes of the series or of the part at ``index``."""
        if not index.isValid():
            return ()
        if index.internalId():
            return (self._series[index.internalId() - 1].volumes[index.row()],)
        return self._series[index.row()].volumes

    def index_of(self, key: str) -> QModelIndex:
        """Return where the volume with ``key`` stands, an invalid index if nowhere."""
        if key not in self._rows:
            return QModelIndex()
        series, part = self._rows[key]
        top = self.index(series, 0)
        return self.index(part, 0, top) if len(self._series[series].volumes) > 1 else top

    def _repaint(self, key: str) -> None:
        for index in self._rows_of(key):
            self.dataChanged.emit(index, index, [Qt.ItemDataRole.DecorationRole])

    def _rows_of(self, key: str) -> list[QModelIndex]:
        index = self.index_of(key)
        return [row for row in (index, index.parent()) if row.isValid()]

    # Qt ------------------------------------------------------------------------------

    @guarded(default=_NOWHERE)
    def index(self, row: int, column: int, parent: Index = _NOWHERE) -> QModelIndex:
        """Return an index whose id is 0 for a series, its number + 1 for its parts."""
        if not (0 <= row < self.rowCount(parent) and 0 <= column < len(COLUMNS)):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    @guarded(default=_NOWHERE)
    def parent(self, index: Index = _NOWHERE) -> QModelIndex:  # type: ignore[override]
        """Return the series that a part belongs to."""
        if not index.isValid() or not index.internalId():
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, 0)

    @guarded(default=0)
    def rowCount(self, parent: Index = _NOWHERE) -> int:
        """Return the number of series, or of the parts of one."""
        if not parent.isValid():
            return len(self._series)
        if parent.internalId() or parent.column():
            return 0
        count = len(self._series[parent.row()].volumes)
        return count if count > 1 else 0

    @guarded(default=0)
    def columnCount(self, parent: Index = _NOWHERE) -> int:
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
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        volumes = self.volumes(index)
        if not volumes:
            return None
        if role == Qt.ItemDataRole.DecorationRole:
            return None if index.column() else self._picture(volumes)
        volumes = tuple(self._instead.get(v.key, v) for v in volumes)
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(index, volumes)
        if role == Qt.ItemDataRole.ForegroundRole:
            return _colour(volumes, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(volumes)
        return None

    def _text(self, index: Index, volumes: tuple[ScannedVolume, ...]) -> str:
        if index.column():
            return _about(COLUMNS[index.column()], volumes)
        if index.internalId():
            return self._series[index.internalId() - 1].name_of(volumes[0])
        return Series(volumes).title

    def _picture(self, volumes: tuple[ScannedVolume, ...]) -> QIcon:
        picture = self._pictures.picture(Series(volumes).shown)
        made = QIcon(picture)
        made.addPixmap(picture, QIcon.Mode.Selected)  # else the selection would tint it
        return made


def _about(column: str, volumes: tuple[ScannedVolume, ...]) -> str:
    if column == "Status":
        texts = {findings_text(v) for v in volumes}
        return (
            "\n".join((status_text(volumes), *texts)) if len(texts) == 1 else status_text(volumes)
        )
    texts = {voxels_text(v) if column == "Voxels" else orientation_text(v) for v in volumes}
    return texts.pop() if len(texts) == 1 else "several"


def _colour(volumes: Sequence[ScannedVolume], column: int) -> QColor | None:
    states = {v.status for v in volumes}
    if COLUMNS[column] == "Status" and len(states) == 1:
        return QColor(getattr(shown_colours(), ROLES[states.pop()]))
    if states == {"refused"}:
        return QApplication.palette().color(QPalette.ColorRole.PlaceholderText)
    return None


def _tip(volumes: Sequence[ScannedVolume]) -> str:
    first = volumes[0]
    lines = [title_text(first), first.series_uid]
    lines += [finding.sentence for finding in first.findings] if len(volumes) == 1 else []
    return "\n".join(lines)


class VolumeTree(QTreeView):
    """The list; ``chosen`` tells the volume that is selected, a series by its first readable."""

    chosen = Signal(object)

    def __init__(self, model: VolumeModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.volumes = model
        self.setModel(model)
        self.setUniformRowHeights(True)
        self.setIconSize(QSize(ICON_PX, ICON_PX))
        self.setStyleSheet(CALM)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName("Volumes that were found")
        header = self.header()
        header.setStretchLastSection(False)
        header.setResizeContentsPrecision(LOOKED_AT)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.selectionModel().selectionChanged.connect(self._tell)

    def wanted_px(self) -> int:
        """Return the height that shows all series."""
        return self.header().height() + ROW_PX * self.volumes.rowCount() + 4

    def choose(self, key: str) -> None:
        """Select the volume with ``key``; a part's series is opened."""
        index = self.volumes.index_of(key)
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def selected(self) -> ScannedVolume | None:
        """Return the volume that is selected."""
        rows = self.selectionModel().selectedRows()
        return Series(self.volumes.volumes(rows[0])).shown if rows else None

    def _tell(self, *_: object) -> None:
        self.chosen.emit(self.selected())
