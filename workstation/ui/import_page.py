"""The import report, in the middle of the window: what was found, before a pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from segmentation.wording import counted
from workstation.dicom.files import PatientIdentity, Scan, ScannedVolume, thumbnail
from workstation.ui.job_bar import JobRunner
from workstation.ui.panels.parts import button, label
from workstation.ui.thumbnails import Thumbnails
from workstation.ui.unused_files import UnusedFiles
from workstation.ui.volume_list import ROW_PX, VolumeModel, VolumeTree
from workstation.ui.volume_report import VolumeReport
from workstation.ui.volume_words import patient_text, series_of

MARGIN_PX = 16
PATIENTS_PX = 640


class ImportPage(QWidget):
    """Volumes of one patient at a time, the chosen one in full, and the files left over.

    ``chosen`` tells the volume that is selected, or None; ``left`` that a person wants none.
    """

    chosen = Signal(object)
    left = Signal()

    def __init__(self, jobs: JobRunner) -> None:
        super().__init__()
        self._found: Scan | None = None
        self._patients: tuple[PatientIdentity, ...] = ()
        self.title, self.counts = label("", "title"), label("", "muted")
        self.patient = label("", wrap=False)
        self.patient.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.patients = QComboBox()
        self.patients.setAccessibleName("Patient")
        self.patients.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.patients.setMaximumWidth(PATIENTS_PX)
        self.patients.setToolTip("A case holds one patient: choose whose images to import")
        self.pictures = Thumbnails(jobs, thumbnail, self)
        self.tree = VolumeTree(VolumeModel(self.pictures, self))
        self.report, self.unused = VolumeReport(), UnusedFiles(jobs)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.tree)
        self.split.addWidget(self.report)
        self.split.setStretchFactor(1, 1)
        self.split.setChildrenCollapsible(False)
        self.split.setHandleWidth(6)
        ask = label("Choose the patient above; the volumes are listed then.", "muted")
        ask.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.volumes = QStackedWidget()
        self.volumes.addWidget(self.split)
        self.volumes.addWidget(ask)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.volumes, "Volumes")
        self.tabs.addTab(self.unused, "Files not used")
        who = QHBoxLayout()
        who.addWidget(self.patient)
        who.addWidget(self.patients, 1)
        who.addStretch(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX)
        column.setSpacing(8)
        self.leave = button("Put away", "Forget these images; nothing of them is kept", self._leave)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.leave, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(head)
        column.addWidget(self.counts)
        column.addLayout(who)
        column.addWidget(self.tabs, 1)
        self.tree.chosen.connect(self._choose)
        self.patients.currentIndexChanged.connect(self._pick)
        self.clear()

    def clear(self, title: str = "") -> None:
        """Let go of what was shown, and stop making pictures of it."""
        self._found, self._patients = None, ()
        self.pictures.forget()
        self.title.setText(title)
        for made in (self.counts, self.patient):
            made.setText("")
        self.patients.hide()
        self.tree.volumes.show([])
        self.unused.show_files((), "")
        self.report.show_volume(None)
        self.tabs.hide()

    def show_scan(self, found: Scan, where: str) -> None:
        """Show what a scan found in ``where``; with several patients nobody is chosen yet."""
        self.clear(f"Found in {where}")
        self._found, self._patients = found, found.patients
        self.counts.setText(_counts(found.volumes))
        self.unused.show_files(found.ignored, where)
        self.tabs.setTabText(0, f"Volumes ({len(found.volumes)})")
        self.tabs.setTabText(1, f"Files not used ({len(found.ignored)})")
        self.tabs.setCurrentIndex(0 if found.volumes else 1)
        self.tabs.show()
        self._offer_patients()

    def _offer_patients(self) -> None:
        several = len(self._patients) > 1
        self.patients.setVisible(several)
        self.patients.blockSignals(True)
        self.patients.clear()
        for patient in self._patients if several else ():
            count = sum(v.patient == patient for v in self._volumes())
            self.patients.addItem(f"{patient_text(patient)}   ({counted(count, 'volume')})")
        self.patients.setPlaceholderText("Choose a patient…")
        self.patients.setCurrentIndex(-1)
        self.patients.blockSignals(False)
        self.volumes.setCurrentIndex(int(several))
        if several:
            self.patient.setText(f"▲ {len(self._patients)} patients are in these images:")
        elif self._patients:
            self.patient.setText(patient_text(self._patients[0]))
            self._list(self._volumes())

    def _leave(self) -> None:
        self.left.emit()

    @property
    def is_empty(self) -> bool:
        """Whether no scan is shown."""
        return self._found is None

    @property
    def lacks_patient(self) -> bool:
        """Whether it is not yet said whose images to import."""
        return len(self._patients) > 1 and self.patients.currentIndex() < 0

    def whole_series(self, volume: ScannedVolume) -> tuple[ScannedVolume, ...]:
        """Return all volumes of the series that ``volume`` is a part of, if all can be read."""
        own = series_of(volume)
        found = tuple(v for v in self._volumes() if series_of(v) == own)
        return found if len(found) > 1 and all(v.status != "refused" for v in found) else ()

    def _volumes(self) -> tuple[ScannedVolume, ...]:
        return self._found.volumes if self._found is not None else ()

    def _pick(self, index: int) -> None:
        own = [v for v in self._volumes() if v.patient == self._patients[index]]
        self._list(own if index >= 0 else [])

    def _list(self, volumes: Sequence[ScannedVolume]) -> None:
        self.volumes.setCurrentWidget(self.split)
        self.tree.volumes.show(volumes)
        best = max(volumes, key=lambda v: (v.status != "refused", len(v.slices)), default=None)
        if best is not None:
            self.tree.choose(best.key)
        self._choose(self.tree.selected())
        height = sum(self.split.sizes())
        upper = min(max(self.tree.wanted_px(), 3 * ROW_PX), height // 2)
        self.split.setSizes([upper, height - upper])

    def show_as(self, volume: ScannedVolume, repaired: ScannedVolume) -> None:
        """Show ``volume``, which is chosen, as what an accepted repair makes of it."""
        self.tree.volumes.show_instead({volume.key: repaired})
        self.report.show_volume(repaired)

    def _choose(self, volume: ScannedVolume | None) -> None:
        self.tree.volumes.show_instead({})
        self.report.show_volume(volume)
        self.chosen.emit(volume)


def _counts(volumes: Sequence[ScannedVolume]) -> str:
    if not volumes:
        return "No volume is in these files."
    states = Counter(v.status for v in volumes)
    series = len(set(map(series_of, volumes)))
    words = (("ok", "as they are"), ("repaired", "repaired"), ("refused", "refused"))
    listed = ", ".join(f"{states[s]} {word}" for s, word in words if states[s])
    return (
        f"{counted(len(volumes), 'volume')} from {series} series: {listed}. No pixel is read yet."
    )
