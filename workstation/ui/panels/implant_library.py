"""An implant from a library: which part, ranked candidates, and its pose by small steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress
from segmentation.measured import Measured
from workstation.planning.implant_families import FAMILIES, GENERIC
from workstation.planning.implant_library import Library, add_library, libraries
from workstation.planning.implant_library_stages import candidates_of, pose_of
from workstation.planning.plan import Plan, Step
from workstation.planning.step_files import is_step
from workstation.step_export import STEP, export_step
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, keep_narrow, label

CHOOSE, PLACE, FIT = "planning.choose_implant", "planning.place_implant", "planning.part_fit"
STEPS_MM, STEPS_DEGREES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0), (0.5, 1.0, 2.0, 5.0, 15.0)
NO_POSE: Mapping[str, Any] = {"position_mm": None, "turn_degrees": None}
NO_PART: Mapping[str, Any] = {
    "rank": None, "family": None, "size": None, "library": None, "library_sha256": None,
    "dimensions": None, **NO_POSE,
}  # fmt: skip
SHOWN = ("score", "contact", "coverage", "gap", "interference")
AXES = "xyz"
UNSAID = "The search looks around the middle of the bone, in all directions."


class ImplantLibraryCard(QWidget):
    """Chooses and moves the implant of a plan that takes one from a library.

    Every change is one that can be undone; part, pose and map follow at once.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._libraries: list[Library] | None = None
        self.family = _box("Family of implants")
        self.family.activated.connect(lambda _: self.choose_family(self.family.currentData()))
        self.sizes = _box("Candidates, the best first")
        self.sizes.activated.connect(lambda _: self.choose_size(self.sizes.currentData()))
        self.add = button(
            "Add a library…",
            "Keep a folder of STL or STEP files with a manifest.json",
            self._ask_folder,
        )
        self.site = button(
            "Search at the crosshair",
            "Look for the best size and pose around the place of the crosshair",
            self.search_here,
        )
        self.where = label(UNSAID, "muted")
        self.fit = label("", "muted")
        self.fit.setAccessibleName("How the implant fits")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(label("Implant", wrap=False), self.family)
        form.addRow(label("Size", wrap=False), self.sizes)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.site)
        row.addWidget(self.add)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addLayout(row)
        column.addWidget(self.where)
        column.addWidget(self.fit)
        column.addLayout(self._pose_grid())
        desk.bindings.add(self.refresh, self)

    def _pose_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        self.step_mm = _steps("Step of a move", STEPS_MM, "mm")
        self.step_degrees = _steps("Step of a turn", STEPS_DEGREES, "°")
        self.nudges: dict[tuple[str, str, int], QPushButton] = {}
        for row, (kind, words) in enumerate((("shift", "Move"), ("turn", "Turn"))):
            grid.addWidget(label(words, "muted", wrap=False), row, 0)
            for n, axis in enumerate(AXES):
                for side in (-1, 1):
                    sign = "+" if side > 0 else "−"
                    made = button(
                        f"{sign}{axis}",
                        f"{words} the implant {'along' if kind == 'shift' else 'about'} its own "
                        f"{axis} axis",
                        partial(self.nudge, kind, axis, side),
                    )
                    made.setFixedWidth(32)
                    made.setProperty("dense", "true")
                    self.nudges[kind, axis, side] = made
                    grid.addWidget(made, row, 1 + 2 * n + (side > 0))
        grid.addWidget(self.step_mm, 2, 1, 1, 3)
        grid.addWidget(self.step_degrees, 2, 4, 1, 3)
        self.back = button(
            "Pose of the search", "Put the implant back where the search put it", self.put_back
        )
        grid.addWidget(self.back, 3, 1, 1, 6)
        self.solid = button(
            "STEP…", "Write the part where it lies as a solid for CAD programs", self._ask_step
        )
        grid.addWidget(self.solid, 4, 1, 1, 6)
        return grid

    # The plan ------------------------------------------------------------------------

    def _step(self, stage: str) -> Step | None:
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return next((step for step in steps if step.stage == stage), None)

    def _choice(self) -> Measured | None:
        step = self._step(CHOOSE)
        value = self._desk.value(step.output) if step is not None else None
        return value if isinstance(value, Measured) else None

    def _implant(self) -> SurfaceMesh | None:
        step = self._step(PLACE)
        value = self._desk.value(step.output) if step is not None else None
        return value if isinstance(value, SurfaceMesh) else None

    def _do(self, words: str, plan: Plan) -> None:
        if self._desk.attempt(lambda: self._desk.session.do(words, plan)):
            wanted = [self._step(stage) for stage in (CHOOSE, PLACE, FIT)]
            self._desk.compute(*(step.output for step in wanted if step is not None))
        self.refresh()

    def _placed(self, **params: Any) -> Plan:
        step = self._step(PLACE)
        assert step is not None
        return self._desk.session.require_plan().with_params(step.output, **params)

    def choose_family(self, key: tuple[str, str, str]) -> None:
        """Search for a part of another family: library, its checksum, and the family's name."""
        library, sha256, family = key
        named = {"library": None if library == GENERIC else library,
                 "library_sha256": sha256 or None}  # fmt: skip
        step = self._step(CHOOSE)
        if step is None:
            plan = self._placed(**{**NO_PART, **named, "family": family})
        else:
            plan = self._placed(**NO_PART)
            fresh = {"family": family, "sizes": None, "dimensions": None}
            plan = plan.with_params(step.output, **named, **fresh)
        self._do(f"Implant: {family}", plan)

    def choose_size(self, rank: int) -> None:
        """Take another candidate, where the search put it."""
        changed = {"rank": None if rank == 1 else rank, "family": None, "size": None, **NO_POSE}
        self._do(f"Implant: candidate {rank}", self._placed(**changed))

    def search_here(self) -> None:
        """Search around the crosshair."""
        place, step = self._desk.session.view.crosshair_mm, self._step(CHOOSE)
        if place is None or step is None:
            self._desk.fail(ValueError("point at the place in a view first; then search there"))
            return
        site = [round(float(v), 2) for v in place]
        plan = self._placed(rank=None, size=None, **NO_POSE)
        self._do("Search for an implant", plan.with_params(step.output, site_mm=site))

    def nudge(self, kind: str, axis: str, side: int) -> None:
        """Move ("shift") or turn the implant by one step along or about its own axis."""
        implant = self._implant()
        pose = pose_of(implant) if implant is not None else None
        if pose is None:
            return
        step = (self.step_mm if kind == "shift" else self.step_degrees).currentData() * side
        x, y, z = (step if name == axis else 0.0 for name in AXES)
        moved = pose.nudged((x, y, z)) if kind == "shift" else pose.nudged(turn_degrees=(x, y, z))
        params = {"position_mm": [round(v, 4) for v in moved.position_mm],
                  "turn_degrees": [round(v, 4) for v in moved.turn_degrees]}  # fmt: skip
        self._do("Move the implant" if kind == "shift" else "Turn the implant",
                 self._placed(**params))  # fmt: skip

    def put_back(self) -> None:
        """Put the implant back where the search put it."""
        self._do("Pose of the search", self._placed(**NO_POSE))

    def _ask_step(self) -> None:
        start = self._desk.session.require_case().folder / "implant.step"
        words = ("Write the part as a solid", str(start), "STEP (*.step *.stp)")
        chosen = QFileDialog.getSaveFileName(self, *words)[0]
        if chosen:
            file = Path(chosen)
            self.write_step(file if is_step(file.name) else file.with_name(f"{file.name}.step"))

    def write_step(self, file: Path) -> None:
        """Write the placed part to a STEP file in the background."""
        case = self._desk.session.require_case()

        def work(progress: Progress) -> Path:
            return export_step(case, STEP, file, progress)

        self._desk.run("Export", work, lambda made: self.fit.setText(f"✓ Written: {made}"))

    # Libraries -----------------------------------------------------------------------

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of implant files")
        if chosen:
            self.add_folder(Path(chosen))

    def add_folder(self, folder: Path) -> None:
        """Keep a folder as a library; its families can then be chosen."""
        self._desk.run("Add implants", partial(add_library, folder), self._added)

    def _added(self, library: Library) -> None:
        self._libraries = None
        self._desk.session.notify()

    def _known(self) -> list[Library]:
        if self._libraries is None:
            self._libraries = []
            self._desk.attempt(self._read_libraries)
        return self._libraries

    def _read_libraries(self) -> None:
        self._libraries = libraries()

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the implant of the plan as it stands."""
        place, choose = self._step(PLACE), self._step(CHOOSE)
        self.setVisible(place is not None)
        if place is None:
            return
        asked = {**place.params, **({} if choose is None else choose.params)}
        self._show_families(asked)
        choice, implant = self._choice(), self._implant()
        self._show_sizes(choice, place)
        site = asked.get("site_mm")
        told = f"The search looks around {', '.join(f'{v:.0f}' for v in site)} mm." if site else ""
        self.where.setText(told or UNSAID)
        self.site.setEnabled(choose is not None)
        self.fit.setText(self._words(implant, place.output))
        self.solid.setEnabled(implant is not None and self._desk.is_current(place.output))
        movable = implant is not None and pose_of(implant) is not None
        for made in self.nudges.values():
            made.setEnabled(movable)
        self.back.setEnabled("position_mm" in place.params or "turn_degrees" in place.params)

    def _show_families(self, asked: Mapping[str, Any]) -> None:
        entries = [(family.title, (GENERIC, "", name)) for name, family in FAMILIES.items()]
        for library in self._known():
            about = library.manifest
            for family in about.families:
                key = (about.name, library.sha256, family.name)
                entries.append((f"{family.title} ({about.title})", key))
        named = asked.get("library") or GENERIC, asked.get("family")
        with QSignalBlocker(self.family):
            self.family.clear()
            for title, key in entries:
                self.family.addItem(title, key)
            found = [n for n, (_, key) in enumerate(entries) if (key[0], key[2]) == named]
            self.family.setCurrentIndex(found[0] if found else -1)

    def _show_sizes(self, choice: Measured | None, place: Step) -> None:
        found = candidates_of(choice) if choice is not None else []
        scores = choice.samples["score_percent"] if choice is not None else ()
        with QSignalBlocker(self.sizes):
            self.sizes.clear()
            for rank, (candidate, score) in enumerate(zip(found, scores), 1):
                self.sizes.addItem(f"{candidate.size}, score {score:.0f} %", rank)
            self.sizes.setCurrentIndex(int(place.params.get("rank", 1)) - 1 if found else -1)
        self.sizes.setEnabled(bool(found))

    def _words(self, implant: SurfaceMesh | None, output: str) -> str:
        if implant is None or not self._desk.is_current(output):
            return "Being computed…" if self._desk.busy else "Recompute to see how it fits."
        known = {n.quantity: n for n in implant.numbers if n.quantity in SHOWN}
        parts = [f"{name} {known[name].value:.{0 if known[name].unit == '%' else 2}f} "
                 f"{known[name].unit}" for name in SHOWN if name in known]  # fmt: skip
        text = ", ".join(parts)
        return f"{text[:1].upper()}{text[1:]}"


def _box(name: str) -> QComboBox:
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(name)
    box.setToolTip(f"{name}; it can be undone")
    return box


def _steps(name: str, steps: tuple[float, ...], unit: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(name)
    for step in steps:
        box.addItem(f"{step:g} {unit}", step)
    box.setCurrentIndex(steps.index(1.0))
    return box
