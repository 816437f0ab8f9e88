"""One scanned volume in full: geometry, findings with remedies, and where its slices lie."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from segmentation.wording import counted
from workstation.dicom.files import ScannedVolume, slice_positions
from workstation.ui.panels.parts import FindingRow, RecordList, bold, label, set_role
from workstation.ui.slice_plot import SlicePlot, told
from workstation.ui.volume_words import (
    ROLES,
    STATUS,
    extent_text,
    nearest_slice,
    orientation_text,
    part_text,
    size_text,
    spacing_text,
    title_text,
)
from workstation.ui.words import date_text

OFFERED = "A repair is offered on the right. Nothing is repaired unless you accept it."
FACTS = ("Size", "Spacing", "Covers", "Slices lie", "Part", "Study", "Series UID")


class VolumeReport(QWidget):
    """Facts and findings on the left, the slice positions on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.status = bold(""), label("", wrap=False)
        self.facts = {name: label("", wrap=False) for name in FACTS}
        for fact in self.facts.values():  # a long one must not push the findings aside
            fact.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.facts["Series UID"].setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self._names = {name: label(name, "muted", wrap=False) for name in FACTS}
        self._volume: ScannedVolume | None = None
        self.findings = RecordList(self._finding, "There is nothing to remark.")
        self.offered = label(OFFERED, "muted")
        self.plot, self.told = SlicePlot(), label("", "muted")
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._positions = QWidget()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 0)
        row.setSpacing(16)
        row.addWidget(self._text(), 1)
        row.addWidget(self._positions, 1)
        right = QVBoxLayout(self._positions)
        right.setContentsMargins(0, 0, 0, 0)
        right.addWidget(bold("Where the slices lie"))
        right.addWidget(self.plot, 100)
        right.addWidget(self.told)
        right.addStretch()

    def _text(self) -> QScrollArea:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.status, 0, Qt.AlignmentFlag.AlignTop)
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        grid.setHorizontalSpacing(12)
        grid.setColumnStretch(1, 1)
        for n, name in enumerate(FACTS):
            grid.addWidget(self._names[name], n, 0)
            grid.addWidget(self.facts[name], n, 1)
        column.addLayout(head)
        column.addLayout(grid)
        column.addWidget(bold("Findings"))
        column.addWidget(self.findings)
        column.addWidget(self.offered)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(page)
        return area

    def show_volume(self, volume: ScannedVolume | None) -> None:
        """Show a volume as it would be imported, or nothing."""
        self._volume = volume
        self.setVisible(volume is not None)
        if volume is None:
            return
        self.title.setText(title_text(volume))
        self.status.setText(STATUS[volume.status])
        set_role(self.status, ROLES[volume.status])
        for fact, text in _facts(volume).items():
            self.facts[fact].setText(text)
            self.facts[fact].setToolTip(text)
            for made in (self.facts[fact], self._names[fact]):
                made.setVisible(bool(text))
        self.findings.show_records([f.to_json() for f in volume.findings])
        self.offered.setVisible(bool(volume.repairs))
        positions = slice_positions(volume)
        self._positions.setVisible(positions is not None)
        self.plot.setVisible(positions is not None and len(positions.positions_mm) > 1)
        self.plot.show_positions(positions)
        self.told.setText("" if positions is None else told(positions))

    def _finding(self, record: Any) -> FindingRow:
        row = FindingRow(record)
        if "location_mm" in record:
            row.setToolTip("Show this place in the plot")
            row.asked.connect(self._point_at)
        return row

    def _point_at(self, place_mm: tuple[float, float, float]) -> None:
        number = None if self._volume is None else nearest_slice(self._volume, place_mm)
        if number is not None:
            self.plot.read(number)


def _facts(volume: ScannedVolume) -> dict[str, str]:
    extent = extent_text(volume)
    study = volume.identity.study_date
    return {
        "Size": f"{size_text(volume)} voxels, {counted(len(volume.files), 'file')}",
        "Spacing": f"{spacing_text(volume)} mm",
        "Covers": f"{extent} mm" if extent else "",
        "Slices lie": orientation_text(volume),
        "Part": part_text(volume) if volume.part is not None else "",
        "Study": date_text(study) if study else "",
        "Series UID": volume.series_uid,
    }
