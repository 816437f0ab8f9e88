"""Leads through copying labels of another time point: align, take its labels, copy them here."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.volume import ImageGeometry
from workstation.ui.desk import Desk
from workstation.ui.panels.align_panel import AlignPanel
from workstation.ui.panels.label_file import KINDS
from workstation.ui.panels.parts import button, keep_narrow, label
from workstation.ui.words import readable

COPY = "segmentation.copy_labels"
TITLE = "Copy labels from another time point"
TIP = "Bring labels drawn on an earlier or later image onto this one"


class CopyLabels(QWidget):
    """A folded part of a sheet: what is still to do, step by step, and the buttons for it."""

    def __init__(self, desk: Desk, align: AlignPanel) -> None:
        super().__init__()
        self._desk, self._align = desk, align
        self.page = QWidget()
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip(TIP)
        self.fold.clicked.connect(lambda: self._show_fold(self.page.isHidden()))
        self.guide = label("", "muted")
        self.bring = button("Labels of the other image…", "", self._ask)
        self.labels = QComboBox()
        keep_narrow(self.labels)
        self.labels.setAccessibleName("Labels of the other image")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the copy")
        self.name.setPlaceholderText("copied")
        self.name.setToolTip("Name of the result; small letters, digits and underscores")
        self.copy = button("Copy onto this image", "", self.apply, primary=True)
        row = QHBoxLayout()
        row.addWidget(self.labels, 1)
        row.addWidget(self.name, 1)
        column = QVBoxLayout(self.page)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.guide, self.bring):
            column.addWidget(part)
        column.addLayout(row)
        column.addWidget(self.copy)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        outer.addWidget(self.page)
        desk.bindings.add(self.refresh)  # before what is enabled by its outcome
        desk.bindings.enable(self.bring, self._lacks_image, "A label file drawn on the other image")
        desk.bindings.enable(self.copy, self.lacks, "Then correct by hand what has changed")
        self._show_fold(False)

    def _show_fold(self, shown: bool) -> None:
        self.page.setVisible(shown)
        self.fold.setText(f"{'▾' if shown else '▸'} {TITLE}")

    # What is there -------------------------------------------------------------------

    def _frame_of(self, source: str) -> str:
        """Return the frame of reference of a source, "" if there is none of that name."""
        case = self._desk.session.case
        about = case.record.sources.get(source) if case is not None else None
        if case is None or about is None or about["sha256"] not in case.values:
            return ""
        record = case.values.record(about["sha256"])
        return ImageGeometry.from_json(record["geometry"]).frame_uid

    def _drawn_there(self) -> list[str]:
        """Return the label sources that lie in the frame of the other image."""
        case, there = self._desk.session.case, self._frame_of(self._align.pair.moving)
        if case is None or not there:
            return []
        sources = case.record.sources.items()
        return [n for n, s in sources if s["kind"] == "labels" and self._frame_of(n) == there]

    def _is_aligned(self) -> bool:
        plan, pair = self._desk.session.plan, self._align.pair
        return plan is not None and bool(pair.moving) and pair.is_in(plan)

    def _needs_transform(self) -> bool:
        pair = self._align.pair
        return self._frame_of(pair.moving) != self._frame_of(pair.fixed)

    def _lacks_image(self) -> str:
        return "" if self._align.pair.moving else "another image; add one under the alignment"

    def lacks(self) -> str:
        """Return what copying needs, "" when it can start."""
        if self._desk.session.plan is None:
            return "a plan"
        if self._lacks_image():
            return self._lacks_image()
        if self._needs_transform() and not self._is_aligned():
            return "the other image aligned with this one"
        return "" if self.labels.count() else "labels of the other image"

    # Do ------------------------------------------------------------------------------

    def _ask(self) -> None:
        path = QFileDialog.getOpenFileName(self, "Labels of the other image", "", KINDS)[0]
        if path:
            self.offer(Path(path))

    def offer(self, path: Path) -> None:
        """Bring a label file that was drawn on the other image into the case."""
        case, frame = self._desk.session.require_case(), self._frame_of(self._align.pair.moving)
        name = self._free(f"{self._align.pair.moving}_labels", set(case.record.sources))
        self._desk.run(
            "Labels of the other image",
            lambda _: case.import_file(path, name, "labels", frame),
            lambda _: self._desk.session.notify(),
        )

    def apply(self) -> None:
        """Add the step that copies the chosen labels, and compute it."""
        desk, pair = self._desk, self._align.pair
        wanted = self.name.text().strip().lower().replace(" ", "_") or "copied"
        output = self._free(wanted, set(desk.session.kinds()))
        inputs = {"labels": str(self.labels.currentData()), "volume": pair.fixed}
        if self._needs_transform():
            inputs["transform"] = pair.transform
        if desk.attempt(lambda: desk.session.add_step(COPY, output, inputs, {})):
            self.name.clear()
            desk.compute(output)

    @staticmethod
    def _free(wanted: str, known: set[str]) -> str:
        """Return the name that is wanted, with a number if it is taken."""
        numbered = (f"{wanted}_{n}" for n in range(2, len(known) + 3))
        return next(name for name in (wanted, *numbered) if name not in known)

    def refresh(self) -> None:
        """Tell what is done and what comes next."""
        names = self._drawn_there()
        if names != [self.labels.itemData(n) for n in range(self.labels.count())]:
            with QSignalBlocker(self.labels):
                self.labels.clear()
                for name in names:
                    self.labels.addItem(readable(name), name)
        there = not self._lacks_image()
        aligned = there and (self._is_aligned() or not self._needs_transform())
        steps = (
            (there, "Add the other image, under Align another image."),
            (aligned, "Align it with this one."),
            (bool(names), "Bring the labels that were drawn on it."),
            (False, "Copy them, then correct by hand what has changed."),
        )
        lines = (f"{'✓' if done else n}  {text}" for n, (done, text) in enumerate(steps, 1))
        self.guide.setText("\n".join(lines))
