"""Import: what a folder holds, what is wrong with it, and which volume becomes a case."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
)

from segmentation.contract import Progress, share
from workstation.case import CaseError, case_for_writing
from workstation.dicom.files import Scan, ScannedVolume
from workstation.importing import is_volume_file, scan, start_plan
from workstation.planning.template import find_template, templates
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, button, label

STATUS = {"ok": "✓ ok", "repaired": "! repaired", "refused": "▲ refused"}
COLUMNS = ("Series", "Size", "Status")


def default_folder(path: Path) -> Path:
    """Return a case folder that does not exist yet: next to the images, if one may write there."""
    stem = path.name.split(".")[0] or "images"
    place = path.parent
    if not os.access(place, os.W_OK):
        place = user_data_path("hilum") / "cases"
    folder, number = place / f"{stem}-case", 2
    while folder.exists():
        folder, number = place / f"{stem}-case-{number}", number + 1
    return folder


def import_into(
    folder: Path,
    volume: ScannedVolume | Path,
    template_name: str,
    progress: Progress,
) -> Path:
    """Make a case of one scanned volume or volume file and start a plan; return its folder."""
    template = find_template(template_name)
    name = next(s.name for s in template.sources.values() if s.kind == "volume")
    with case_for_writing(folder) as case:
        if isinstance(volume, Path):
            start_plan(case, template, {name: volume}, progress=progress)
        else:
            if case.record.sources:
                raise CaseError(f"{folder} holds a case already; choose a new folder")
            case.import_dicom(volume, name, share(progress, 0, 2))
            start_plan(case, template, {}, progress=share(progress, 1, 2))
    return folder


class ImportPanel:
    """Scan results as a table, findings of the selected volume, and the import itself."""

    def __init__(self, desk: Desk, opened: Callable[[Path], object]) -> None:
        self._desk, self._opened = desk, opened
        self._volumes: Sequence[ScannedVolume] = ()
        self._file: Path | None = None
        self._running = ""
        self.widget = Sheet(
            "Import", "Look at images before they become a new case; patients are never merged."
        )
        self.where = label("", "muted")
        self.table = self._table()
        self.facts = label("", "muted")
        self.findings = RecordList(self._finding)
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Case folder")
        self.folder.setToolTip("A new folder in which Hilum keeps this case")
        self.folder.textChanged.connect(lambda _: self.refresh())
        browse = button("…", "Choose where the case is kept", self._browse)
        browse.setFixedWidth(32)
        self.template = QComboBox()
        self.template.setToolTip("What is planned")
        for name, template in templates().items():
            self.template.addItem(template.title, name)
        self.start = button("Import and plan", "", self._import, primary=True)
        place = QHBoxLayout()
        place.addWidget(self.folder, 1)
        place.addWidget(browse)
        body = self.widget.body
        for made in (self.where, self.table, self.facts, self.findings):
            body.addWidget(made)
        self.widget.heading("Keep the case in")
        body.addLayout(place)
        self.widget.heading("Procedure")
        body.addWidget(self.template)
        body.addWidget(self.start)
        desk.bindings.enable(
            self.start, self.lacks, "Read the pixels, keep the originals and start the plan"
        )
        desk.bindings.add(self.refresh)

    def _table(self) -> QTableWidget:
        table = QTableWidget(0, len(COLUMNS))
        table.setHorizontalHeaderLabels(COLUMNS)
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.setFixedHeight(180)
        table.setWordWrap(False)
        table.itemSelectionChanged.connect(self._select)
        return table

    # Scan ----------------------------------------------------------------------------

    def offer(self, path: Path) -> None:
        """Look at what ``path`` (folder, ZIP, DICOM or volume file) holds."""
        self.folder.setText(str(default_folder(path)))
        self.where.setText(str(path))
        self._file = path if is_volume_file(path) else None
        self._show([])
        if self._file is not None:
            self.facts.setText("A volume file. It names no patient.")
            self.refresh()
            return
        self._running = "the scan to end"
        self._desk.run("Scan", lambda progress: scan([path], progress), self._scanned)

    def _scanned(self, found: Scan) -> None:
        self._running = ""
        found.require_images()
        self._show(found.volumes)
        if found.ignored:
            reasons = sorted({ignored.reason for ignored in found.ignored})
            self.facts.setToolTip("\n".join(reasons[:20]))
            self.facts.setText(f"{len(found.ignored)} other file(s) are not used; see tooltip.")

    def _show(self, volumes: Sequence[ScannedVolume]) -> None:
        self._volumes = sorted(volumes, key=lambda v: -len(v.slices))
        self.facts.setText("")
        self.table.setRowCount(len(self._volumes))
        for row, volume in enumerate(self._volumes):
            for column, text in enumerate(self._cells(volume)):
                item = QTableWidgetItem(text)
                item.setToolTip(_tip(volume))
                self.table.setItem(row, column, item)
        usable = [n for n, v in enumerate(self._volumes) if v.status != "refused"]
        if usable:
            self.table.selectRow(usable[0])
        self._select()

    @staticmethod
    def _cells(volume: ScannedVolume) -> tuple[str, str, str]:
        size = "×".join(map(str, volume.geometry.size)) if volume.geometry else "–"
        name = f"{volume.modality} {volume.description or 'no description'}"
        return name, size, STATUS[volume.status]

    def selected(self) -> ScannedVolume | None:
        """Return the volume that is selected in the table."""
        rows = self.table.selectionModel().selectedRows()
        return self._volumes[rows[0].row()] if rows else None

    def _select(self) -> None:
        volume = self.selected()
        self.findings.show_records([f.to_json() for f in volume.findings] if volume else [])
        self.refresh()

    @staticmethod
    def _finding(record: Any) -> FindingRow:
        return FindingRow(record)

    # Import --------------------------------------------------------------------------

    def lacks(self) -> str:
        """Return what the import needs, "" when it can run."""
        volume = self.selected()
        if self._running:
            return self._running
        if volume is None and self._file is None:
            return "images; open or drop a folder, ZIP or file"
        if volume is not None and volume.status == "refused":
            return "a volume that is not refused"
        return "" if self.folder.text().strip() else "a folder for the case"

    def _browse(self) -> None:
        start = self.folder.text()
        chosen = QFileDialog.getSaveFileName(
            self.widget, "A new folder for the case", start, options=QFileDialog.Option.ShowDirsOnly
        )[0]
        if chosen:
            self.folder.setText(chosen)

    def _import(self) -> None:
        chosen = self._file or self.selected()
        if chosen is None:
            return
        folder, template = Path(self.folder.text().strip()), str(self.template.currentData())
        self._running = "the import to end"
        self._desk.run(
            "Import", lambda progress: import_into(folder, chosen, template, progress), self._done
        )
        self.refresh()

    def _done(self, folder: Path) -> None:
        self._running = ""
        self._opened(folder)

    def refresh(self) -> None:
        """Say what is missing."""
        if self._running and not self._desk.jobs.jobs:
            self._running = ""  # it failed or was stopped
        for text in (self.where, self.facts):
            text.setVisible(bool(text.text()))
        lack = self.lacks()
        self.widget.show_needs(lack)
        self.start.setEnabled(not lack)


def _tip(volume: ScannedVolume) -> str:
    lines = [volume.series_uid, f"{len(volume.slices)} slices"]
    if volume.geometry:
        spacing = " × ".join(f"{s:.3g}" for s in volume.geometry.spacing_mm)
        lines.append(f"Spacing {spacing} mm")
    lines += [finding.sentence for finding in volume.findings]
    return "\n".join(lines)
