"""Who the patient is and what the images are for, always visible on top of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from workstation.case import Case
from workstation.planning.template import templates
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import set_role
from workstation.ui.theme import DARK
from workstation.ui.words import date_text

HEIGHT_PX = 36
SEXES = {"F": "F", "M": "M", "O": "sex other"}  # as DICOM writes them
NO_CASE = "No case is open"


def _modality(case: Case) -> str:
    images = [s for s in case.record.sources.values() if s["kind"] in ("dicom", "volume")]
    return str(images[0].get("modality", "")) if images else ""


def identity(case: Case) -> list[str]:
    """Return name, ID, birth date with sex, and study of a case, as the banner shows them."""
    patient, study = case.record.patient, case.record.study
    birth = date_text(patient.get("birth_date", ""))
    sex = SEXES.get(patient.get("sex", ""), "sex unknown")
    born = f"{sex} {birth}" if birth else f"{sex}, birth date unknown"
    when = " ".join(part for part in (_modality(case), date_text(study.get("date", ""))) if part)
    return [
        patient.get("name", "") or "No name",
        f"ID {patient.get('patient_id', '') or 'none'}",
        born,
        when or "study date unknown",
    ]


class Banner(QFrame):
    """One line: identity, study, procedure, and what the case may be used for."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.setFixedHeight(HEIGHT_PX)
        self.setProperty("role", "panel")
        self._titles = {name: template.title for name, template in templates().items()}
        self.name = QLabel()
        self.name.setProperty("role", "title")
        self.facts = QLabel()
        self.procedure = QLabel()
        self.facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.synthetic = self._chip("SYNTHETIC PATIENT", warning=True)
        self.synthetic.setToolTip("This patient was computed; no person has these images")
        self.research = self._chip("Research use")
        self.research.setToolTip("Research use only, not for clinical decisions")
        self.other = QPushButton("Another patient: confirm")
        self.other.setToolTip("This is another patient than before. Click when you have seen it.")
        self.other.clicked.connect(self._confirm)
        self.other.hide()
        self._seen = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(16)
        row.addWidget(self.name)
        row.addWidget(self.other)
        row.addWidget(self.facts, 1)
        for widget in (self.procedure, self.synthetic, self.research):
            row.addWidget(widget)
        for label in (self.name, self.facts, self.procedure):
            label.setTextFormat(Qt.TextFormat.PlainText)
        desk.bindings.add(self.refresh)
        self.refresh()

    @staticmethod
    def _chip(text: str, warning: bool = False) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", "chip")
        label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        if warning:
            label.setStyleSheet(f"color: {DARK.warning}; font-weight: 600;")
        return label

    def _watch(self, patient: str) -> None:
        """Mark the banner when another patient follows the one that was seen."""
        self._seen = self._seen or patient
        self._mark(patient != self._seen)

    def _confirm(self) -> None:
        case = self._desk.session.case
        if case is not None:
            name, number, born, _ = identity(case)
            self._seen = f"{name} {number} {born}"
        self._mark(False)

    def _mark(self, another: bool) -> None:
        if self.other.isHidden() == another:
            self.other.setVisible(another)
            set_role(self, "stranger" if another else "panel")

    def refresh(self) -> None:
        """Show the open case."""
        case, plan = self._desk.session.case, self._desk.session.plan
        self.synthetic.setVisible(bool(case and case.record.synthetic))
        if case is None:
            self.name.setText(NO_CASE)
            self.facts.setText("")
            self.procedure.setText("")
            return
        name, *facts = identity(case)
        self._watch(f"{name} {facts[0]} {facts[1]}")
        self.name.setText(name)
        self.facts.setText("    ".join(facts))
        self.facts.setToolTip("\n".join([name, *facts, str(case.folder)]))
        template = plan.template if plan else ""
        self.procedure.setText(self._titles.get(template, ""))
