"""Takes a label from a file instead of computing it: NIfTI, NRRD, a DICOM SEG or RTSTRUCT."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QInputDialog, QWidget

from segmentation.volume import Label
from workstation.dicom.label_source import MARK, is_dicom, structures_in
from workstation.dicom.layers import chosen
from workstation.dicom.sources import DicomError
from workstation.planning.plan import Step
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button
from workstation.ui.words import readable

CONFORM = "segmentation.conform"
KINDS = "Label files (*.nii *.nii.gz *.nrrd *.mha *.dcm);;All files (*)"


class LabelFile(QWidget):
    """Which label of the plan, and the file that replaces what made it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.name = QComboBox()
        self.name.setAccessibleName("Label to take from a file")
        self.take = button("Take from a file…", "", self._ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.name, 1)
        row.addWidget(self.take)
        desk.bindings.enable(
            self.take,
            lambda: "" if self.name.count() else "a plan with labels",
            "A label file, DICOM segmentation or structure set replaces what computes this label",
        )

    def refresh(self) -> None:
        """Offer the labels of the plan."""
        session = self._desk.session
        kinds = session.kinds() if session.plan is not None else {}
        made = {step.output for step in session.plan.steps} if session.plan is not None else set()
        names = [n for n, kind in kinds.items() if kind == "LabelMap" and n in made]
        if names != [self.name.itemData(n) for n in range(self.name.count())]:
            self.name.clear()
            for name in names:
                self.name.addItem(readable(name), name)

    def _ask(self) -> None:
        name = str(self.name.currentData())
        title = f"A file that holds the {readable(name).lower()}"
        path = QFileDialog.getOpenFileName(self, title, "", KINDS)[0]
        if path:
            self.offer(name, Path(path))

    def offer(self, name: str, path: Path) -> None:
        """Take ``path`` for the label ``name``; ask which structure, if that is open."""
        if not is_dicom(path):
            self.take_from(name, path)
            return
        self._desk.run(
            "Structures",
            lambda _: structures_in(path),
            lambda labels: self._choose(name, path, labels),
        )

    def _choose(self, name: str, path: Path, labels: dict[int, Label]) -> None:
        try:
            chosen(labels, name)
        except DicomError:
            words = f"Which structure of {path.name} is the {readable(name).lower()}?"
            names = [label.name for label in labels.values()]
            picked, said = QInputDialog.getItem(self, "Structure", words, names, 0, False)
            if not said:
                return
            path = Path(f"{path}{MARK}{picked}")
        self.take_from(name, path)

    def take_from(self, name: str, path: Path) -> None:
        """Take ``name`` from ``path``, or from ``FILE#STRUCTURE``, and compute what follows."""
        session = self._desk.session
        case, frame = session.require_case(), session.require_plan().frame_uid
        source = f"{name}_file"
        self._desk.run(
            "Label file",
            lambda _: case.import_file(path, source, "labels", frame),
            lambda _: self._replace(name, source),
        )

    def _replace(self, name: str, source: str) -> None:
        session = self._desk.session
        key = session.require_case().record.sources[source]["sha256"]
        inputs = {"labels": source, "volume": session.view.image}
        step = Step(CONFORM, name, STAGES[CONFORM].version, inputs, {"name": name})
        plan = session.require_plan().with_sources(**{source: key}).with_step(step)
        session.do(f"Take {name} from a file", plan)
        self._desk.compute()
