"""Report: all findings, the PDF, and results as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout

from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Progress, share
from segmentation.volume import LabelMap
from segmentation.wording import counted
from workstation.dicom.segmentation_object import Form
from workstation.dicom_set import SET
from workstation.export import SURFACES, endings, export
from workstation.export_any import REPORT
from workstation.fhir_export import ENDING, PLAN, write_plan_bundle
from workstation.model_export import TOLD, surface_warnings
from workstation.planning.resection import Cut
from workstation.review import review_findings
from workstation.ui.desk import Desk
from workstation.ui.export_aside import export_aside
from workstation.ui.offer_file import FileOffer
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, button, label
from workstation.ui.words import readable
from workstation.views import SCENE, VIEWS

PICTURES = (".png", ".dcm")
RENDERED = (".png", ".gif")
VIEW_WORDS = {view: f"Picture: {view} view" for view in VIEWS} | {SCENE: "Picture: 3D view"}


class ReportPanel:
    """What a reader of the plan must know, and the ways to hand it on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = Sheet("Report", "Findings of the whole plan, the report and files.")
        self.pdf = button("Write the PDF report…", "", self._ask_pdf, primary=True)
        self.dicom = button("Write everything as DICOM…", "", self._ask_dicom)
        self.labelmap = QCheckBox("DICOM segmentations as label maps")
        self.labelmap.setToolTip("Smaller and faster, but few programs read them yet")
        self.fhir = button("Write the numbers as FHIR…", "", self._ask_fhir)
        self.name = QComboBox()
        self.name.setToolTip("The result to export")
        self.export = button("Export…", "", self._ask_export)
        self.done = label("", "done")
        self.done.hide()
        self.warned = label("", "warning")
        self.warned.hide()
        self.offer = FileOffer(desk, self.widget, self._written)
        self.findings = RecordList(self._finding, "No finding.")
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.export)
        body = self.widget.body
        body.addWidget(self.pdf)
        body.addWidget(self.dicom)
        body.addWidget(self.fhir)
        body.addLayout(row)
        body.addWidget(self.labelmap)
        body.addWidget(self.done)
        body.addWidget(self.warned)
        self.widget.heading("Findings")
        body.addWidget(self.findings)
        desk.bindings.enable(self.pdf, self.lacks, "Write the plan as PDF, A4, or as DICOM")
        desk.bindings.enable(
            self.dicom,
            self.lacks,
            "Labels, numbers, surfaces, report and views as DICOM objects that refer to each other",
        )
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
        kinds = "PDF (*.pdf);;Encapsulated PDF, DICOM (*.dcm)"
        chosen = QFileDialog.getSaveFileName(self.widget, "Write the report", start, kinds)
        if chosen[0]:
            ending = ".dcm" if "*.dcm" in chosen[1] else ".pdf"
            self.write_report(Path(chosen[0]).with_suffix(ending))

    def write_report(self, file: Path) -> None:
        """Write the report to ``file`` (.pdf or .dcm) in the background."""
        self._write("Report", REPORT, file)

    def _ask_dicom(self) -> None:
        start = str(self._desk.session.require_case().folder / SET)
        chosen = QFileDialog.getSaveFileName(
            self.widget,
            "A new folder for the DICOM objects",
            start,
            options=QFileDialog.Option.ShowDirsOnly,
        )
        if chosen[0]:
            self.write_dicom(Path(chosen[0]))

    def write_dicom(self, folder: Path) -> None:
        """Write the whole plan as DICOM objects into a new ``folder`` in the background."""
        self._write("DICOM", SET, folder)

    def _write(self, title: str, name: str, place: Path) -> None:
        case, maps = self._desk.session.require_case().folder, self.labelmap.isChecked()

        def work(progress: Progress) -> Path:
            export_aside(case, name, place, progress, labelmap=maps)
            return place

        self._desk.run(title, work, self._written)

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
        known = PICTURES if name in VIEWS else endings(self._desk.value(name))
        kinds = " ".join(f"*{ending}" for ending in known)
        start = self._desk.session.require_case().folder / f"{name}{known[0]}"
        chosen = QFileDialog.getSaveFileName(
            self.widget, f"Export {readable(name).lower()}", str(start), f"Results ({kinds})"
        )
        if chosen[0]:
            self.export_to(name, Path(chosen[0]))

    def export_to(self, name: str, file: Path) -> None:
        """Write the result or view ``name`` to ``file`` in the background."""
        case = self._desk.session.require_case()
        form: Form = "LABELMAP" if self.labelmap.isChecked() else "BINARY"
        if name in VIEWS or file.suffix.lower() in RENDERED:  # rendered in a process of its own
            self._write("Export", name, file)
            return
        drawn = isinstance(self._desk.value(name), LabelMap | SurfaceMesh | Cut)
        if drawn and file.suffix.lower() in SURFACES:
            self.offer.write([name], file)
            return

        def work(progress: Progress) -> tuple[Path, tuple[Finding, ...]]:
            written = export(case, name, file, form, progress=share(progress, 0, 2))
            if file.suffix.lower() != ".dcm":
                return written, ()
            return written, surface_warnings(case, name, share(progress, 1, 2))

        self._desk.run("Export", work, lambda made: self._written(*made))

    def _written(self, file: Path, warnings: Sequence[Finding] = ()) -> None:
        self.done.setText(f"✓ Written: {file}")
        self.done.show()
        rest = len(warnings) - TOLD
        more = f" And {counted(rest, 'more fault')}." if rest > 0 else ""
        self.warned.setText(" ".join(w.sentence for w in warnings[:TOLD]) + more)
        self.warned.setVisible(bool(warnings))

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
        names += [view for view in VIEWS if names and view not in names]
        if names != [self.name.itemData(n) for n in range(self.name.count())]:
            self.name.clear()
            for name in names:
                self.name.addItem(VIEW_WORDS.get(name, readable(name)), name)
        order = {"problem": 0, "warning": 1, "info": 2}
        findings = list(session.summary()["findings"]) if session.case is not None else []
        if session.plan is not None:
            findings += review_findings(session.plan, session.summary())
        self.findings.show_records(sorted(findings, key=lambda f: order[f["severity"]]))
