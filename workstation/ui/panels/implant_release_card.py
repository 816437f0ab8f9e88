"""An implant, guide or plate in the Print page: what is checked before it leaves, its release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress
from segmentation.measured import Measured
from workstation.closeup import closeup
from workstation.implant_checks import Check, Made, find_made, implant_checks, released_names
from workstation.implant_release import NotReleased, write_release
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import RecordList, bold, button, keep_narrow, label
from workstation.ui.scene_view import SceneView
from workstation.ui.words import readable

AROUND_MM = 18.0
"""What is seen around the letters on a part: letters are some 5 mm high."""


class CheckRow(QFrame):
    """One check: whether it holds, in words, and what to do."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self.setProperty("role", "card")
        mark = label("✓" if check.passed else "✕", "done" if check.passed else "problem")
        mark.setFixedWidth(14)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(label(f"{check.title}: {check.sentence}"))
        if check.remedy:
            texts.addWidget(label(check.remedy, "muted"))
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        state = "passed" if check.passed else "failed"
        self.setAccessibleName(f"{check.title} {state}: {check.sentence}")


class ImplantReleaseCard(QWidget):
    """Checks what the plan makes for a maker and writes it with its sheet; hidden without any."""

    def __init__(self, desk: Desk, scene: SceneView) -> None:
        super().__init__()
        self._desk, self._scene = desk, scene
        self._checked = ""
        self._folder: Path | None = None
        self.part = QComboBox()
        keep_narrow(self.part)
        self.part.setAccessibleName("Part that is released")
        self.part.setToolTip("Part that is checked and released")
        self.part.currentIndexChanged.connect(lambda _: self._forget())
        self.check = button("Check", "", self.run_check)
        self.release = button("Release…", "", self._ask, primary=True)
        self.look = button(
            "Look at it", "Show it alone in 3D, from where its letters are read", self._look
        )
        self.checks = RecordList(CheckRow)
        self.done = label("", "done")
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("why it is released all the same")
        self.reason.setAccessibleName("Reason to release it though a check failed")
        self.despite = button("Release all the same", "The reason is kept", self._despite)
        self.reason.textChanged.connect(lambda words: self.despite.setEnabled(bool(words.strip())))
        self._override = QWidget()
        over = QVBoxLayout(self._override)
        over.setContentsMargins(0, 0, 0, 0)
        over.addWidget(self.reason)
        over.addWidget(self.despite)
        row = QHBoxLayout()
        for shown in (self.check, self.look, self.release):
            row.addWidget(shown)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 8)
        column.setSpacing(4)
        column.addWidget(bold("Release of implant, guide or plate"))
        column.addWidget(
            label("Files, checks and a sheet for its maker, in a new folder.", "muted")
        )
        column.addWidget(self.part)
        column.addLayout(row)
        for part in (self.done, self.checks, self._override):
            column.addWidget(part)
        self._forget()
        desk.left.connect(self._forget)
        tip = "Side, marking, closed surface, one piece, thickness, printing and fit"
        desk.bindings.enable(self.check, self.lacks, tip)
        desk.bindings.enable(self.release, self.lacks, "STL, 3MF, DICOM and the sheet as PDF")
        desk.bindings.add(self.refresh)

    def lacks(self) -> str:
        """Return what a check needs, "" when it can run."""
        plan = self._desk.session.plan
        if plan is None or not released_names(plan):
            return "a plan with an implant, guide or plate"
        return "the work that runs to end" if self._desk.busy else ""

    def refresh(self) -> None:
        """Show the card where the plan makes an implant; checks of another plan are forgotten."""
        plan = self._desk.session.plan
        names = list(released_names(plan)) if plan is not None else []
        self.setVisible(bool(names))
        if names != [self.part.itemData(n) for n in range(self.part.count())]:
            with QSignalBlocker(self.part):
                self.part.clear()
                for name in names:
                    self.part.addItem(readable(name), name)
                self.part.setCurrentIndex(len(names) - 1)
        self.part.setVisible(len(names) > 1)
        if plan is None or self._checked != plan.digest():
            self._forget()

    def _name(self) -> str:
        """Return the result that is to be released."""
        return str(self.part.currentData() or "")

    def _forget(self) -> None:
        self._checked, self._folder = "", None
        self.checks.show_records([])
        self._override.hide()
        self.done.hide()
        self.reason.clear()
        self.despite.setEnabled(False)

    def run_check(self) -> None:
        """Check the implant in the background and show what was found."""
        case, name = self._desk.session.require_case(), self._name()

        def work(progress: Progress) -> tuple[Check, ...]:
            return implant_checks(case, find_made(case, name), progress)

        self._desk.run("Check before release", work, self._show)

    def _show(self, checks: tuple[Check, ...]) -> None:
        self._checked = self._desk.session.require_plan().digest()
        self.checks.show_records(list(checks))
        self.done.setVisible(all(check.passed for check in checks))
        self.done.setText("✓ All checks passed")

    def _ask(self) -> None:
        start = self._desk.session.require_case().folder.parent / f"{self._name()}-files"
        title = "New folder for the files"
        chosen = QFileDialog.getSaveFileName(self, title, str(start))[0]
        if chosen:
            self.release_to(Path(chosen))

    def release_to(self, folder: Path, despite: str = "") -> None:
        """Write the implant's files into a new folder, or show why not."""
        case, name = self._desk.session.require_case(), self._name()

        def work(progress: Progress) -> tuple[Path, ...] | NotReleased:
            try:
                return write_release(case, folder, name=name, despite=despite, progress=progress)
            except NotReleased as refusal:
                return refusal

        def take(made: tuple[Path, ...] | NotReleased) -> None:
            if isinstance(made, NotReleased):
                self._show(made.checks)
                self._folder = folder
                self._override.setVisible(not made.final)
                return
            self._override.hide()
            self._checked = self._desk.session.require_plan().digest()
            self.done.setText(f"✓ Written: {folder}")
            self.done.show()

        self._desk.run("Release", work, take)

    def _despite(self) -> None:
        if self._folder is not None:
            self.release_to(self._folder, self.reason.text().strip())

    def _look(self) -> None:
        self._desk.attempt(self._turn)

    def _show_alone(self, made: Made) -> None:
        """Show the part without what lies around it, which would stand before its letters."""
        others = {n for n, v in made.values.items() if isinstance(v, SurfaceMesh | Measured)}
        hidden = (self._desk.session.view.hidden | others) - {made.name}
        self._desk.session.set_view(hidden=hidden)

    def _turn(self) -> None:
        made = find_made(self._desk.session.require_case(), self._name())
        surface = made.surface
        place = next(
            (f.location_mm for f in surface.findings if f.location_mm is not None),
            tuple(float(x) for x in surface.points_mm.mean(axis=0)),
        )
        self._show_alone(made)
        near = closeup(surface, (place[0], place[1], place[2]), self._scene.camera)
        around = np.linalg.norm(surface.points_mm - place, axis=1) < AROUND_MM
        self._scene.camera = near.frame(surface.points_mm[around], (4, 3))
