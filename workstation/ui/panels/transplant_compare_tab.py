"""Other donors for the recipient, or other recipients for the donor, side by side in the window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from workstation.planning.plan import Step
from workstation.transplant_compare import SHOWN, TABLES, compare_records
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, label
from workstation.ui.words import readable

NOTE = (
    "The order is the one given and no ranking; people decide. Each file is held against the "
    "person of this case, with the settings of the review."
)
RECORDS = "Records (*.json *.ndjson *.csv);;All files (*)"
COUNTED = ("block", "unknown", "warn", "pass")
FIRST = ("Verdict", "Block / unknown / warn / pass")
LAST = ("What blocks", "What is unknown")


class CompareTab(QWidget):
    """One line per file; the person of the case is the one whose role the files do not have."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._step: Step | None = None
        donors = button("Compare donors…", "Files of donors for this recipient", self._ask_donors)
        takers = button(
            "Compare recipients…", "Files of recipients for this donor", self._ask_recipients
        )
        self.told = label("", "muted")
        self.table = QTableWidget(0, 0)
        self.table.setAccessibleName("Pairs side by side")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(True)
        line = QHBoxLayout()
        line.addWidget(donors)
        line.addWidget(takers)
        line.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(8)
        column.addWidget(label(NOTE, "muted"))
        column.addLayout(line)
        column.addWidget(self.told)
        column.addWidget(self.table, 1)
        desk.left.connect(self._forget)

    def refresh(self, step: Step) -> None:
        """Take over the step with whose settings pairs are reviewed."""
        self._step = step

    def _forget(self) -> None:
        self._step = None
        self.told.setText("")
        self.table.setRowCount(0)

    def _ask_donors(self) -> None:
        self._ask("donors", many_recipients=False)

    def _ask_recipients(self) -> None:
        self._ask("recipients", many_recipients=True)

    def _ask(self, who: str, many_recipients: bool) -> None:
        chosen = QFileDialog.getOpenFileNames(self, f"Records of {who}", "", RECORDS)[0]
        if chosen:
            self.compare([Path(path) for path in chosen], many_recipients)

    def compare(self, paths: list[Path], many_recipients: bool) -> None:
        """Review the person of the case with each of the files, in the background."""
        session, step = self._desk.session, self._step
        case, plan = session.case, session.plan
        if case is None or plan is None or step is None:
            return
        role = "donor" if many_recipients else "recipient"
        settings = dict(step.params)

        def work(progress: Progress) -> dict[str, Any]:
            one = case.value(step.inputs[role], plan)
            given = {name: step.inputs[name] for name in TABLES if name in step.inputs}
            tables = {name: case.value(source, plan) for name, source in given.items()}
            return compare_records(one, role, paths, settings, many_recipients, progress, tables)

        self._desk.run(
            "Compare pairs",
            work,
            lambda document: self.show_pairs(document, many_recipients),
        )

    def show_pairs(self, document: Mapping[str, Any], many_recipients: bool) -> None:
        """Show the pairs of a comparison."""
        pairs = document["pairs"]
        shown = [name for name in SHOWN if any(name in p.get("values", {}) for p in pairs)]
        heads = [*FIRST, *(readable(name) for name in shown), *LAST]
        person = "donor" if many_recipients else "recipient"
        self.told.setText(f"{len(pairs)} files with the {person} of this case.")
        self.table.setColumnCount(len(heads))
        self.table.setRowCount(len(pairs))
        self.table.setHorizontalHeaderLabels(heads)
        self.table.setVerticalHeaderLabels([pair["label"] or pair["file"] for pair in pairs])
        self.table.clearSpans()
        for row, pair in enumerate(pairs):
            if "error" in pair:
                self.table.setSpan(row, 1, 1, len(heads) - 1)
            for column, text in enumerate(_cells(pair, shown)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(row, column, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(heads) - 1, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(len(heads) - 2, QHeaderView.ResizeMode.Stretch)
        self.table.resizeRowsToContents()


def _cells(pair: Mapping[str, Any], shown: list[str]) -> list[str]:
    """Return the texts of a pair; a file that cannot be read says why."""
    if "error" in pair:
        return [pair["verdict"], pair["error"]]
    counts = " / ".join(str(pair["counts"][verdict]) for verdict in COUNTED)
    values = [_value(pair["values"].get(name)) for name in shown]
    lists = [", ".join(map(readable, pair[name])) for name in ("blocking", "unknown")]
    return [pair["verdict"], counts, *values, *lists]


def _value(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    value = row["value"]
    if value is None:
        return str(row["verdict"])
    return f"{value:.4g}" if isinstance(value, float) else str(value)
