"""Print: whether a printer can make the surfaces, where not, and files of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from meshing.files import SEVERAL, WRITTEN
from meshing.orientation import Laying, best_laying
from meshing.printability import printability
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Progress, Severity, share
from segmentation.wording import counted
from workstation.camera import Vector
from workstation.closeup import as_printed, closeup
from workstation.looks import with_look
from workstation.model_export import (
    CHECK_STAGE,
    COLOURED,
    MODEL,
    FaultySurface,
    doubles,
)
from workstation.shading import SceneItem
from workstation.ui.desk import Desk
from workstation.ui.keep_file_dialog import kinds, with_ending
from workstation.ui.offer_file import FileOffer
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.implant_release_card import ImplantReleaseCard
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, button, label
from workstation.ui.panels.printer_choice import PrinterChoice
from workstation.ui.panels.steps import StepList
from workstation.ui.scene_view import SceneView
from workstation.ui.words import readable

FIRST = (".3mf", ".stl", ".glb")
SOUND = "No fault was found."


@dataclass(frozen=True)
class Checked:
    """What the check of one surface found, and how it lies best; ``key`` tells its content."""

    key: str
    surface: SurfaceMesh
    lain: Laying


class PrintPanel:
    """Chooses surfaces and a printer, checks, leads to each fault, and exports."""

    def __init__(self, desk: Desk, scene: SceneView, printers: Path) -> None:
        self._desk, self._scene = desk, scene
        self._checked: dict[str, Checked] = {}
        self._refused: Mapping[str, tuple[Finding, ...]] = {}
        self._path: Path | None = None
        self._seen: set[str] = set()
        self.widget = Sheet("Print", "Check the surfaces for a printer, and export them.")
        self.offer = FileOffer(desk, self.widget, self._kept, self._show_refused)
        self.names: dict[str, QCheckBox] = {}
        self._boxes = QVBoxLayout()
        self._boxes.setSpacing(2)
        self.printer = PrinterChoice(printers, desk.attempt)
        self.check = button("Check", "", self.run_check, primary=True)
        self.verdict = label("", "muted")
        self.lie = button("Show how it lies", "Turn the 3D view as it is printed", self._show_lying)
        self.mark = button(
            "Keep the check in the plan",
            "Add it as a step: its maps can be shown, and its problems hold an export back",
            self._keep_check,
        )
        self.faults = RecordList(self._fault, "")
        self.export = button("Export…", "", self._ask_file)
        self.done = label("", "done")
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("why it is exported all the same")
        self.reason.setAccessibleName("Reason to export a faulty surface")
        self.despite = button("Export all the same", "The reason is kept", self._despite)
        self.implant = ImplantReleaseCard(desk, scene)
        self.steps, self.add_step = StepList(desk, "Print"), AddStep(desk, "Print")
        self._arrange()
        self.printer.changed.connect(self._forget)
        self.reason.textChanged.connect(lambda _: self._show_refusal())
        desk.left.connect(self._forget)
        desk.bindings.enable(self.check, self.lacks, "Look for faults, thin walls and overhang")
        desk.bindings.enable(
            self.export,
            self.lacks,
            "Write the ticked surfaces to one file, reopened before it is kept",
        )
        desk.bindings.add(self.refresh, self.widget)

    def _arrange(self) -> None:
        body = self.widget.body
        body.addWidget(self.implant)
        body.addLayout(self._boxes)
        body.addWidget(self.printer)
        row = QHBoxLayout()
        row.addWidget(self.check)
        row.addWidget(self.export)
        body.addLayout(row)
        body.addWidget(self.done)
        body.addWidget(self.verdict)
        for shown in (self.lie, self.mark, self.faults):
            body.addWidget(shown)
        self._override = QWidget()
        over = QVBoxLayout(self._override)
        over.setContentsMargins(0, 0, 0, 0)
        over.addWidget(self.reason)
        over.addWidget(self.despite)
        body.addWidget(self._override)
        self.widget.heading("Steps")
        body.addWidget(self.steps)
        body.addWidget(self.add_step)
        for part in (self.done, self.lie, self.mark, self._override):
            part.hide()

    # What is chosen ------------------------------------------------------------------

    def surfaces(self) -> dict[str, SurfaceMesh]:
        """Return the computed surfaces of the plan by name."""
        desk = self._desk
        return {
            name: value
            for name, value in desk.results().items()
            if isinstance(value, SurfaceMesh) and len(value.triangles) and desk.is_current(name)
        }

    def chosen(self) -> list[str]:
        """Return the names that are ticked."""
        return [name for name, box in self.names.items() if box.isChecked()]

    def lacks(self) -> str:
        """Return what check and export need, "" when they can run."""
        if self._desk.session.plan is None:
            return "a plan"
        if not self.surfaces():
            return "a computed surface; add one in Model"
        return "" if self.chosen() else "a surface; tick one"

    def refresh(self) -> None:
        """Show the surfaces that there are; a check of what has changed is forgotten."""
        names = list(self.surfaces())
        if names != list(self.names):
            ticked = set(self.chosen()) | {
                n
                for n in names
                if n not in self._seen and not doubles(n) and self._desk.is_shown(n)
            }
            self._seen |= set(names)
            for box in self.names.values():
                box.setParent(None)
                box.deleteLater()
            self.names = {name: QCheckBox(readable(name)) for name in names}
            for name, box in self.names.items():
                box.setChecked(name in ticked)
                box.toggled.connect(lambda _: self._desk.bindings.later())
                self._boxes.addWidget(box)
            self._desk.bindings.later()  # what is ticked now can be checked
        self.widget.show_needs(self.lacks())
        current = {n: c for n, c in self._checked.items() if c.key == self._desk.key_of(n)}
        if current != self._checked:
            self._checked = current
            self._show_checked()

    def _forget(self) -> None:
        self._checked, self._refused, self._path = {}, {}, None
        self.done.hide()
        self._show_checked()

    # Check ---------------------------------------------------------------------------

    def run_check(self) -> None:
        """Check the ticked surfaces for the chosen printer, in the background."""
        desk, printer = self._desk, self.printer.chosen
        meshes = {n: mesh for n, mesh in self.surfaces().items() if n in self.chosen()}
        keys = {name: desk.key_of(name) for name in meshes}

        def work(progress: Progress) -> dict[str, Checked]:
            found = {}
            for number, (name, mesh) in enumerate(meshes.items()):
                part = share(progress, number, len(meshes))
                checked = printability(mesh, **printer.params(), progress=share(part, 0, 2))
                lain = best_laying(
                    mesh,
                    overhang_degrees=printer.overhang_degrees,
                    build_mm=printer.build_mm,
                    progress=share(part, 1, 2),
                )
                found[name] = Checked(keys[name], checked, lain)
            return found

        desk.run("Print check", work, self._take_check)

    def _take_check(self, found: dict[str, Checked]) -> None:
        self._refused, self._path = {}, None
        self._checked = found
        self._show_checked()

    def _show_checked(self) -> None:
        """Show what was found, problems first, or why an export was refused."""
        found = self._refused or {n: c.surface.findings for n, c in self._checked.items()}
        records = [f.to_json() | {"of": name} for name, every in found.items() for f in every]
        order = ("problem", "warning", "info")
        records.sort(key=lambda record: order.index(record["severity"]))
        self.faults.show_records(records)
        self.lie.setVisible(bool(self._checked) and not self._refused)
        self.mark.setVisible(bool(self._checked) and not self._refused)
        self.verdict.setText(self._verdict())
        self.verdict.setVisible(bool(self.verdict.text()))
        self._show_refusal()

    def _verdict(self) -> str:
        if self._refused:
            return "This cannot be printed as it is:"
        lines = []
        for name, checked in self._checked.items():
            size = " × ".join(f"{side:.0f}" for side in checked.lain.size_mm)
            support = checked.lain.support_mm3 / 1000
            problems = sum(f.severity is Severity.PROBLEM for f in checked.surface.findings)
            state = counted(problems, "problem") if problems else "can be printed"
            lines.append(
                f"{readable(name)}: {state}. Lies best as {size} mm, support at most "
                f"{support:.1f} mL."
            )
            if not checked.surface.findings:
                lines.append(SOUND)
        return "\n".join(lines)

    def _fault(self, record: Any) -> FindingRow:
        several = len(self._checked) > 1 or len(self._refused) > 1
        sentence = (
            f"{readable(record['of'])}: {record['sentence']}" if several else record["sentence"]
        )
        row = FindingRow(dict(record) | {"sentence": sentence})
        row.asked.connect(lambda place: self.show_fault(record["of"], place))
        return row

    def show_fault(self, name: str, place: Vector) -> None:
        """Move the crosshair to a fault and look at it from outside in 3D."""
        self._desk.go_to(place)
        surface = self._desk.value(name)
        if isinstance(surface, SurfaceMesh) and len(surface.triangles):
            self._scene.camera = closeup(surface, place, self._scene.camera)

    def _show_lying(self) -> None:
        checked = next(iter(self._checked.values()))
        self._scene.camera = as_printed(checked.surface, checked.lain.up, self._scene.camera)

    def _keep_check(self) -> None:
        desk, params = self._desk, self.printer.chosen.params()
        added = []
        for name in self._checked:
            output = f"{name}_check"
            if desk.attempt(partial(self._keep_one, name, output, params)):
                added.append(output)
        if added:
            desk.compute(*added)

    def _keep_one(self, name: str, output: str, params: dict[str, Any]) -> None:
        session = self._desk.session
        if output in {step.output for step in session.require_plan().steps}:
            session.set_params(output, f"{readable(output)}: printer", **params)
        else:
            session.add_step(CHECK_STAGE, output, {"mesh": name}, params)

    # Export --------------------------------------------------------------------------

    def _ask_file(self) -> None:
        names = self.chosen()
        known = WRITTEN if len(names) == 1 else SEVERAL
        endings = (*(e for e in FIRST if e in known), *(e for e in known if e not in FIRST))
        start = self._desk.session.require_case().folder
        file = start / f"{names[0] if len(names) == 1 else MODEL}{endings[0]}"
        chosen = QFileDialog.getSaveFileName(
            self.widget, "Export surfaces", str(file), kinds(endings)
        )
        if chosen[0]:
            self.export_to(with_ending(Path(chosen[0]), chosen[1], endings))

    def export_to(self, path: Path, despite: str = "") -> None:
        """Write the ticked surfaces beside ``path``, reopen them and show what came back."""
        names = self.chosen()
        known = {name: checked.surface.findings for name, checked in self._checked.items()}
        shown = self._quantity(names) if path.suffix.lower() in COLOURED else ""
        self.done.hide()
        self.offer.write(names, path, despite=despite, coloured_by=shown, known=known)

    def _quantity(self, names: list[str]) -> str:
        """Return the quantity that colours one of the surfaces in 3D, "" for none."""
        looks, surfaces = self._desk.session.view.looks, self.surfaces()
        chosen = [with_look(SceneItem(surfaces[n], (0, 0, 0)), looks.get(n)) for n in names]
        return next((item.scalars.array for item in chosen if item.scalars), "")

    def _despite(self) -> None:
        if self._path is not None:
            self.export_to(self._path, self.reason.text().strip())

    def _show_refusal(self) -> None:
        self._override.setVisible(bool(self._refused))
        self.despite.setEnabled(bool(self.reason.text().strip()))

    def _show_refused(self, refusal: FaultySurface, path: Path) -> None:
        self._refused, self._path = refusal.findings, path
        self._show_checked()

    def _kept(self, path: Path) -> None:
        self._refused, self._path = {}, None
        self.reason.clear()
        self._show_checked()
        self.done.setText(f"✓ Written: {path}")
        self.done.show()
