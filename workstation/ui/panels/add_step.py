"""Adds a step to the plan: any stage of one group, on any result that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtWidgets import QComboBox, QFormLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from workstation.stage import Input, Stage
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.forms import ParameterForm
from workstation.ui.panels.parts import button, keep_narrow, label
from workstation.ui.words import readable

SEEDS, PROMPTS, CLICK, POINTS = "foreground_mm", "prompts", "click_mm", "points_mm"


class AddStep(QWidget):
    """A folded form: which stage, on what, how, and what the result is called.

    A stage that turns a label into a label changes it in place unless a new name is given.
    """

    def __init__(self, desk: Desk, group: str) -> None:
        super().__init__()
        self._desk = desk
        self.stages = {stage.name: stage for stage in STAGES.values() if _offered(stage, group)}
        self._params: dict[str, Any] = {}
        self.form: ParameterForm | None = None
        self.sources: dict[str, QComboBox] = {}
        self.fold = QToolButton()
        self.fold.setText("▸ Add a step")
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Add another operation to the plan")
        self.fold.clicked.connect(self._toggle)
        self.stage = QComboBox()
        keep_narrow(self.stage)
        for stage in self.stages.values():
            self.stage.addItem(stage.title, stage.name)
        self.stage.setAccessibleName("Operation")
        self.stage.currentIndexChanged.connect(self._choose)
        self.name = QLineEdit()
        self.add = button("Add the step", "Add it to the plan and compute it", self.apply)
        self._page = QWidget()
        self._rows = QFormLayout()
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.stage)
        self._column.addLayout(self._rows)
        self._column.addWidget(self.add)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        outer.addWidget(self._page)
        self._page.hide()

    def _toggle(self) -> None:
        shown = self._page.isHidden()
        self._page.setVisible(shown)
        self.fold.setText("▾ Add a step" if shown else "▸ Add a step")
        if shown:
            self._choose()

    @property
    def chosen(self) -> Stage:
        """The stage that is chosen."""
        return self.stages[self.stage.currentData()]

    @property
    def in_place(self) -> bool:
        """Whether the step may change its first input instead of making a new result."""
        inputs = self.chosen.inputs
        return bool(inputs) and inputs[0].kind == self.chosen.output_kind

    def _choose(self) -> None:
        """Show the inputs and parameters of the chosen stage."""
        stage, session = self.chosen, self._desk.session
        while self._rows.rowCount():
            self._rows.removeRow(0)
        self._params, self.sources = {}, {}
        kinds = session.kinds() if session.plan is not None else {}
        for needed in stage.inputs:
            self.sources[needed.name] = _names_for(needed, kinds)
            self._rows.addRow(readable(needed.name), self.sources[needed.name])
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the result")
        self.name.setPlaceholderText("changes it" if self.in_place else "a new name")
        self.name.setToolTip("Name of the result; small letters, digits and underscores")
        self.form = ParameterForm(stage, crosshair=lambda: session.view.crosshair_mm)
        self.form.changed.connect(self._params.__setitem__)
        if SEEDS in stage.parameters and session.view.crosshair_mm is not None:
            self._params[SEEDS] = (session.view.crosshair_mm,)
        if PROMPTS in stage.parameters and session.view.crosshair_mm is not None:
            self._params[PROMPTS] = (("inside", (session.view.crosshair_mm,)),)
        if {SEEDS, PROMPTS} & self._params.keys():
            self._rows.addRow(label("Starts at the crosshair; add more seeds later.", "muted"))
        click = stage.parameters.get(CLICK)
        if click is not None and click.required and session.view.crosshair_mm is not None:
            self._params[CLICK] = session.view.crosshair_mm
            self._rows.addRow(label("The click is where the crosshair stands.", "muted"))
        self._rows.addRow("Result", self.name)
        self._rows.addRow(self.form)

    def apply(self) -> None:
        """Add the step to the plan and compute it."""
        desk, stage = self._desk, self.chosen
        inputs = {name: box.currentData() for name, box in self.sources.items()}
        inputs = {name: value for name, value in inputs.items() if value}
        params = {name: value for name, value in self._params.items() if value is not None}
        output = self.name.text().strip().lower().replace(" ", "_")
        if output or not self.in_place:
            done = desk.attempt(lambda: desk.session.add_step(stage.name, output, inputs, params))
        else:
            output = inputs.pop(stage.inputs[0].name, "")
            done = desk.attempt(
                lambda: desk.session.apply_stage(stage.name, output, inputs, params)
            )
        if done:
            self._toggle()
            desk.compute(output)


def _offered(stage: Stage, group: str) -> bool:
    """Tell whether a stage can be added by hand: edits come from the brush, models have a card."""
    if stage.name == "segmentation.run_model":
        return False
    points = stage.parameters.get(POINTS)
    if group == "Measure" and points is not None and points.required:  # by clicks in the views
        return False
    return stage.group == group and all(needed.kind != "EditLog" for needed in stage.inputs)


def _names_for(needed: Input, kinds: Mapping[str, str]) -> QComboBox:
    """Return a choice of the names whose value fits an input."""
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(readable(needed.name))
    if needed.optional:
        box.addItem("none", "")
    for name, kind in kinds.items():
        if kind in needed.kind.split(" | "):
            box.addItem(readable(name), name)
    return box
