"""Report: all findings, the PDF, and results as files."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout

from segmentation.contract import Progress
from workstation.export import endings, export
from workstation.fhir_export import ENDING, PLAN, write_plan_bundle
from workstation.jobs import Cancelled
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, button, label
from workstation.ui.words import readable

POLL_S = 0.2


def write_report_aside(case: Path, file: Path, progress: Progress) -> Path:
    """Write the PDF in a process of its own: it renders, and only one thread may do so here.

    Raises:
        ValueError: if the folder of ``file`` is not there.
        RuntimeError: with what the process said, if it fails.
    """
    if not file.parent.is_dir():
        raise ValueError(f"the folder {file.parent} is not there; make it first")
    command = [sys.executable, "-m", "workstation", "report", str(case), str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        said = ""
        try:
            while process.returncode is None:
                progress(0.5, "writing the report")
                with suppress(subprocess.TimeoutExpired):
                    _, said = process.communicate(timeout=POLL_S)
        except Cancelled:
            process.kill()
            raise
        if process.returncode:
            problem = said.rpartition("hilum: ")[2].strip()  # progress was told before
            raise RuntimeError(problem or "the report failed; nothing was written")
    return file


class ReportPanel:
    """What a reader of the plan must know, and the ways to hand it on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = Sheet("Report", "Findings of the whole plan, the report and files.")
        self.pdf = button("Write the PDF report…", "", self._ask_pdf, primary=True)
        self.fhir = button("Write the numbers as FHIR…", "", self._ask_fhir)
        self.name = QComboBox()
        self.name.setToolTip("The result to export")
        self.export = button("Export…", "", self._ask_export)
        self.done = label("", "done")
        self.done.hide()
        self.findings = RecordList(self._finding, "No finding.")
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.export)
        body = self.widget.body
        body.addWidget(self.pdf)
        body.addWidget(self.fhir)
        body.addLayout(row)
        body.addWidget(self.done)
        self.widget.heading("Findings")
        body.addWidget(self.findings)
        desk.bindings.enable(self.pdf, self.lacks, "Write the plan as PDF, A4")
        desk.bindings.enable(
            self.fhir, self.lacks, "Write the plan's numbers, with provenance, as a FHIR R4 bundle"
        )
        desk.bindings.enable(self.export, self.lacks, "Write one result to a file")
        desk.bindings.add(self.refresh, self.widget)

    def lacks(self) -> str:
        """Return what report and export need, "" when they can run."""
        if self._desk.session.plan is None:
            return "a plan"
        return "" if self._desk.session.available() else "a computed plan"

    def _ask_pdf(self) -> None:
        start = str(self._desk.session.require_case().folder / "report.pdf")
        chosen = QFileDialog.getSaveFileName(self.widget, "Write the report", start, "PDF (*.pdf)")
        if chosen[0]:
            self.write_pdf(Path(chosen[0]).with_suffix(".pdf"))

    def write_pdf(self, file: Path) -> None:
        """Write the report to ``file`` in the background."""
        case = self._desk.session.require_case().folder
        self._desk.run(
            "Report", lambda progress: write_report_aside(case, file, progress), self._written
        )

    def _ask_fhir(self) -> None:
        start = str(self._desk.session.require_case().folder / f"{PLAN}{ENDING}")
        chosen = QFileDialog.getSaveFileName(
            self.widget, "Write a FHIR bundle", start, f"FHIR R4 (*{ENDING})"
        )
        if chosen[0]:
            self.write_fhir(
                Path(f"{chosen[0].removesuffix('.json').removesuffix('.fhir')}{ENDING}")
            )

    def write_fhir(self, file: Path) -> None:
        """Write the numbers of the plan to ``file`` in the background."""
        case = self._desk.session.require_case()
        self._desk.run("Export", lambda _: write_plan_bundle(case, PLAN, file), self._written)

    def _ask_export(self) -> None:
        name = str(self.name.currentData())
        value = self._desk.value(name)
        kinds = " ".join(f"*{ending}" for ending in endings(value))
        start = self._desk.session.require_case().folder / f"{name}{endings(value)[0]}"
        chosen = QFileDialog.getSaveFileName(
            self.widget, f"Export {readable(name).lower()}", str(start), f"Results ({kinds})"
        )
        if chosen[0]:
            self.export_to(name, Path(chosen[0]))

    def export_to(self, name: str, file: Path) -> None:
        """Write the result ``name`` to ``file`` in the background."""
        case = self._desk.session.require_case()
        self._desk.run("Export", lambda progress: export(case, name, file), self._written)

    def _written(self, file: Path) -> None:
        self.done.setText(f"✓ Written: {file}")
        self.done.show()

    def _finding(self, record: Any) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def refresh(self) -> None:
        """Show the findings and what can be exported."""
        session = self._desk.session
        self.widget.show_needs(self.lacks())
        names = [session.view.image, *session.available()] if session.plan is not None else []
        names = [name for name in names if name]
        if names != [self.name.itemData(n) for n in range(self.name.count())]:
            self.name.clear()
            for name in names:
                self.name.addItem(readable(name), name)
        order = {"problem": 0, "warning": 1, "info": 2}
        findings = session.summary()["findings"] if session.case is not None else []
        self.findings.show_records(sorted(findings, key=lambda f: order[f["severity"]]))
