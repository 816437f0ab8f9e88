"""Clinical values in the window: added from a FHIR file, listed, and used in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workstation.case import Case, CaseError
from workstation.clinical import ClinicalRecord
from workstation.clinical_case import keep_clinical
from workstation.clinical_match import DoubtfulPatient
from workstation.fhir.reading import read_clinical
from workstation.planning.clinical_values import STAGE, differences, with_clinical
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import FindingRow, RecordList, bold, button, label
from workstation.ui.words import parameter_label, readable, unit_text, value_text

NAMES = {
    "abo": "Blood group",
    "rh": "Rh",
    "body_weight": "Body weight",
    "height": "Height",
    "systolic_pressure": "Systolic",
    "diastolic_pressure": "Diastolic",
    "mean_arterial_pressure": "Mean pressure",
    "central_venous_pressure": "CVP",
    "heart_rate": "Heart rate",
    "bilirubin": "Bilirubin",
    "albumin": "Albumin",
    "inr": "INR",
    "creatinine": "Creatinine",
    "sodium": "Sodium",
    "platelets": "Platelets",
    "antibody": "Antibody",
    "unacceptable_antigen": "Unacceptable",
}
"""Key to name, in the order of the table; genotypes come last."""

UNITS = {"mm[Hg]": "mmHg", "1": "", "{MFI}": "MFI", "10*9/L": "10⁹/L"}
COLUMNS = ("Value", "Result", "Date")
ROW_PX, MOST_ROWS = 24, 12
LISTED = 40
FINDINGS = ("clinical", "clinical_newer", "clinical_unused")
Record = Mapping[str, Any]


def name_of(key: str) -> str:
    """Return the name of a clinical value as people write it."""
    return f"HLA-{key[4:].upper()}" if key.startswith("hla_") else NAMES.get(key, readable(key))


def _place(value: Record) -> int:
    known = list(NAMES)
    return known.index(value["key"]) if value["key"] in known else len(known)


def result_of(value: Record) -> str:
    """Return a clinical value with its unit, or its word."""
    if value["value"] is None:
        return str(value["text"])
    unit = UNITS.get(value["unit"], str(value["unit"]))
    return f"{value['text']} {value_text(value['value'], unit)} {unit_text(unit)}".strip()


class ClinicalGroup(QWidget):
    """The clinical record of the open case, and the way to add to it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._doubted: tuple[Path, Case, ClinicalRecord] | None = None
        self.add = button("Add clinical values (FHIR)…", "", self._ask)
        self.table = self._table()
        self.use = button("Use these values in the plan", "", self._use)
        self.number = QLineEdit()
        self.number.setPlaceholderText("patient's ID in the file")
        self.number.setAccessibleName("Patient's ID in the file")
        self.vouch = button("It is this patient", "You vouch for it", self._vouch)
        self._doubt = QWidget()
        row = QHBoxLayout(self._doubt)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.number, 1)
        row.addWidget(self.vouch)
        self.findings = RecordList(FindingRow)
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("What the clinical data hold that Hilum does not read, and why")
        self.missed = RecordList(lambda text: label(text, "muted"))
        self.fold.clicked.connect(lambda: self._unfold(self.missed.isHidden()))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for made in (bold("Clinical values"), self.table, self.use, self.add, self._doubt):
            column.addWidget(made)
        for made in (self.findings, self.fold, self.missed):
            column.addWidget(made)
        self._doubt.hide()
        self.missed.hide()
        desk.left.connect(self._forget)
        desk.bindings.enable(self.add, self._lacks_case, "A FHIR R4 file (JSON) of this patient")
        desk.bindings.enable(
            self.use, self._lacks_difference, "Set the patient's values of the plan, with origin"
        )
        desk.bindings.add(self.refresh, self)

    @staticmethod
    def _table() -> QTableWidget:
        table = QTableWidget(0, len(COLUMNS))
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setAccessibleName("Clinical values")
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_PX)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        return table

    # What can be done -----------------------------------------------------------------

    def _lacks_case(self) -> str:
        return "" if self._desk.session.case is not None else "an open case"

    def _lacks_difference(self) -> str:
        case, plan = self._desk.session.case, self._desk.session.plan
        if case is None or plan is None:
            return "a plan"
        differ = differences(plan, case.record.clinical_record())
        return "" if differ else "a value that the plan does not use yet"

    def _ask(self) -> None:
        kinds = "FHIR R4 (*.json *.ndjson);;All files (*)"
        chosen = QFileDialog.getOpenFileName(self, "Clinical values", "", kinds)[0]
        if chosen:
            self.take(Path(chosen))

    def take(self, path: Path) -> None:
        """Read the FHIR file at ``path`` in the background and keep it in the open case."""
        case = self._desk.session.case
        if case is None:
            self._desk.fail(CaseError("clinical values need a case; open the patient's case first"))
            return
        self._desk.run(
            "Clinical values",
            lambda progress: read_clinical(path, progress),
            lambda record: self._keep(path, case, record),
        )

    def _keep(self, path: Path, case: Case, record: ClinicalRecord, linked_id: str = "") -> None:
        if case is not self._desk.session.case:
            return  # it was left meanwhile
        self._forget()
        try:
            keep_clinical(case, path, record, linked_id)
        except DoubtfulPatient:
            self._doubted = (path, case, record)
            self._doubt.show()
            raise
        self._desk.session.notify()

    def _vouch(self) -> None:
        doubted, number = self._doubted, self.number.text().strip()
        if doubted is not None and number:
            self._desk.attempt(lambda: self._keep(*doubted, number))

    def _forget(self) -> None:
        self._doubted = None
        self._doubt.hide()
        self.number.clear()

    def _use(self) -> None:
        session = self._desk.session
        record = session.require_case().record.clinical_record()
        plan = with_clinical(session.require_plan(), record)
        if self._desk.attempt(lambda: session.do("Use clinical values", plan)):
            self._desk.compute()

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the values, what they mean for the plan, and what was not read."""
        session = self._desk.session
        summary = session.summary() if session.case is not None else None
        values = [v for v in summary["clinical"] if v["newest"]] if summary else []
        values.sort(key=_place)
        self._fill(values, summary["clinical"] if summary else ())
        findings = summary["findings"] if summary else []
        self.findings.show_records(
            [f for f in findings if f.get("step") in FINDINGS or f["code"] in FINDINGS]
        )
        missed = [e for f in (summary["clinical_files"] if summary else ()) for e in f["not_read"]]
        texts = [f"{e['what']}: {e['reason']} ({e['count']})" for e in missed[:LISTED]]
        if len(missed) > LISTED:
            texts.append(f"and {len(missed) - LISTED} more; all of them: hilum show --json")
        self.missed.show_records(texts)
        self.fold.setVisible(bool(missed))
        self.use.setVisible(bool(values))
        self._unfold(not self.missed.isHidden() and bool(missed))

    def _fill(self, values: list[Record], series: Any) -> None:
        self.table.setVisible(bool(values))
        self.table.setRowCount(len(values))
        for row, value in enumerate(values):
            tip = _tip(value, [v for v in series if v["key"] == value["key"]])
            texts = (name_of(value["key"]), result_of(value), value["date"][:10] or "–")
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                self.table.setItem(row, column, item)
        self.table.setFixedHeight(ROW_PX * (min(len(values), MOST_ROWS) + 1) + 6)

    def _unfold(self, shown: bool) -> None:
        self.missed.setVisible(shown)
        self.fold.setText("▾ Not read" if shown else "▸ Not read")


def _tip(value: Record, series: list[Record]) -> str:
    lines = [str(value["source"]), str(value["display"]), f"written as {value['given']}"]
    if value["specimen"]:
        lines.append(f"specimen: {value['specimen']}")
    lines += [f"{v['date'][:10] or 'no date'}: {result_of(v)}" for v in series[-6:-1]]
    return "\n".join(lines)


class PatientValues(QWidget):
    """The patient's values that the plan uses, each with its origin."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.rows = RecordList(lambda text: label(text, "muted"), "None is given.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.rows)
        desk.bindings.add(self.refresh, self)

    def refresh(self) -> None:
        """Show the numbers of the patient's step."""
        session = self._desk.session
        if session.plan is None:
            self.rows.show_records([])
            return
        outputs = {step.output for step in session.plan.steps if step.stage == STAGE}
        self.rows.show_records(
            [
                f"{parameter_label(n['name'].rpartition('.')[2])} "
                f"{value_text(n['value'], n['unit'])} {unit_text(n['unit'])}\n{n['source']}"
                for n in session.summary()["numbers"]
                if n["step"] in outputs
            ]
        )
