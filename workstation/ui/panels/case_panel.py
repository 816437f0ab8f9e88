"""Case: where the work begins, and what the open case holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from workstation.ui.banner import identity
from workstation.ui.desk import Desk
from workstation.ui.panels.clinical import ClinicalGroup
from workstation.ui.panels.parts import RecordList, Sheet, bold, button, label
from workstation.ui.panels.steps import StepList
from workstation.ui.words import readable

HOW = """1  Import: the images are checked before a pixel is read.
2  Segment: liver, vessels and tumour are proposed; you correct them.
3  Model: closed surfaces, measured.
4  Plan: move the cut; margin and remnant follow.
5  Report: a PDF with every number and where it comes from."""


OTHERS = {
    "aneurysm": "Aneurysm",
    "cranioplasty": "Skull",
    "transplant": "Transplant pair",
    "mandible": "Mandible",
    "stenosis": "Stenosis",
    "aorta": "Aorta",
}
"""Built-in patients beside the liver, by the name of their demo."""


ACROSS = 3
"""Buttons of built-in patients in a row."""


class Doors:
    """What opens something: called by start page, case panel and menus alike."""

    def __init__(
        self,
        demo: Callable[[str], object],
        images: Callable[[], object],
        file: Callable[[], object],
        case: Callable[[], object],
        recent: Callable[[Path], object],
        pacs: Callable[[], object],
        review: Callable[[], object],
    ) -> None:
        self.review = review
        self.demo, self.images, self.file, self.case = demo, images, file, case
        self.recent, self.pacs = recent, pacs

    def buttons(self) -> list[QWidget]:
        """Return one button for each door."""
        return [
            button(
                "Built-in synthetic patient",
                "A computed abdominal CT with known answers; nothing is downloaded",
                partial(self.demo, "liver"),
                primary=True,
            ),
            button("Open a folder of images", "A folder with DICOM images", self.images),
            button(
                "Open a ZIP, image or surface file",
                "A ZIP with DICOM images, NIfTI, NRRD; STL, OBJ, PLY, VTP; tracts as TCK, TRK",
                self.file,
            ),
            button("Search a PACS", "Find and fetch a study by DICOM or DICOMweb", self.pacs),
            button(
                "New transplant review",
                "A donor and a recipient, entered by hand or from records",
                self.review,
            ),
            button("Open a case", "A folder in which Hilum keeps a case", self.case),
        ]

    def others(self) -> list[QWidget]:
        """Return a button for each of the other built-in patients."""
        tip = "Another built-in synthetic patient"
        return [button(text, tip, partial(self.demo, name)) for name, text in OTHERS.items()]


class StartPage(QWidget):
    """Fills the middle of the window while no case is open."""

    def __init__(self, doors: Doors) -> None:
        super().__init__()
        self._doors = doors
        card = QFrame()
        card.setProperty("role", "card")
        card.setFixedWidth(460)
        column = QVBoxLayout(card)
        column.setContentsMargins(24, 20, 24, 24)
        column.setSpacing(8)
        title = label("Hilum", "number")
        column.addWidget(title)
        column.addWidget(
            label("Plan from images, or review a transplant pair. Where do they come from?")
        )
        first, *rest = doors.buttons()
        others = QGridLayout()
        others.setSpacing(4)
        for number, made in enumerate(doors.others()):
            others.addWidget(made, *divmod(number, ACROSS))
        first.setMinimumHeight(36)
        column.addWidget(first)
        column.addLayout(others)
        for made in rest:
            made.setMinimumHeight(36)
            column.addWidget(made)
        column.addWidget(label("You can also drop a folder, a ZIP or a case anywhere.", "muted"))
        self.title = bold("Recent cases")
        column.addWidget(self.title)
        self.recent = RecordList(self._recent_button)
        column.addWidget(self.recent)
        column.addWidget(label("Research use only, not for clinical decisions.", "muted"))
        row = QHBoxLayout(self)
        row.addStretch(1)
        row.addWidget(card, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addStretch(1)

    def show_recent(self, folders: list[Path]) -> None:
        """List the cases that were opened last."""
        self.title.setVisible(bool(folders))
        self.recent.show_records(folders)

    def _recent_button(self, folder: Path) -> QWidget:
        text = f"{folder.name}   —   {folder.parent}"
        shown = text if len(text) < 60 else f"{text[:28]}…{text[-28:]}"
        made = button(shown, str(folder), lambda: self._doors.recent(folder))
        made.setProperty("flat", "true")
        made.setStyleSheet("text-align: left;")
        return made


class CasePanel:
    """Identity, folder and sources of the open case."""

    def __init__(self, desk: Desk, doors: Doors, close: Callable[[], object]) -> None:
        self._desk = desk
        self.widget = Sheet("Case", "One case is one patient. It keeps the original images.")
        self.identity = label()
        self.folder = label("", "muted")
        self.folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.sources = RecordList(self._source, "Nothing is imported yet.")
        self.close = button("Close the case", "Everything is saved already", close)
        body = self.widget.body
        body.addWidget(self.identity)
        body.addWidget(self.folder)
        self.how = label(HOW, "muted")
        body.addWidget(self.how)
        self.held = QWidget()
        held = QVBoxLayout(self.held)
        held.setContentsMargins(0, 8, 0, 0)
        held.setSpacing(8)
        held.addWidget(bold("Sources"))
        held.addWidget(self.sources)
        self.clinical = ClinicalGroup(desk)
        held.addWidget(self.clinical)
        held.addWidget(bold("Patient values of the plan"))
        self.values = StepList(desk, "Case")
        held.addWidget(self.values)
        held.addWidget(self.close)
        held.addWidget(bold("Open something else"))
        for made in doors.buttons():
            made.setProperty("primary", "false")
            held.addWidget(made)
        body.addWidget(self.held)
        desk.bindings.enable(
            self.close,
            lambda: "" if desk.session.case is not None else "an open case",
            "Close the case; everything is saved already",
        )
        desk.bindings.add(self.refresh, self.widget)

    @staticmethod
    def _source(record: Any) -> QWidget:
        about = f"{record.get('modality', '')} {record.get('description', '')}".strip()
        return label(f"{readable(record['name'])}   {about}", "muted")

    def refresh(self) -> None:
        """Show the open case."""
        session = self._desk.session
        if self.held.isHidden() == (session.case is not None):
            self.held.setVisible(session.case is not None)
            self._desk.bindings.later()  # what it holds was put away when this refresh began
        self.how.setVisible(session.case is None)
        self.widget.show_needs("" if session.case is not None else "a case")
        if session.case is None:
            self.identity.setText("No case is open.")
            self.folder.setText("")
            self.sources.show_records([])
            return
        self.identity.setText("\n".join(identity(session.case)))
        self.folder.setText(str(session.case.folder))
        self.sources.show_records(session.summary()["sources"])
