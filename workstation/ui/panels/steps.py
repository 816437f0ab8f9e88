"""The steps of one stage of the work: state, main number, switch, and the form of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from hemodynamics.flow import cost_before
from meshing.mesh import SurfaceMesh
from segmentation.contract import as_sentence
from workstation.bands import DOUBT_STAGE, FLOW_STAGE
from workstation.planning.plan import Step
from workstation.review import REVIEWED
from workstation.stage import Stage
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.forms import SHOWN, ParameterForm
from workstation.ui.icons import set_icon
from workstation.ui.panels.parts import button, label, set_role
from workstation.ui.panels.review_bar import BADGES, MEANINGS, ReviewBar
from workstation.ui.stage_rail import group_of
from workstation.ui.theme import CORNER_FONT_PX, ui_font
from workstation.ui.words import MARKS, STATES, parameter_label, readable, unit_text, value_text

SHOWABLE = (
    "LabelMap",
    "SurfaceMesh",
    "VolumeMesh",
    "Centerline",
    "FlowResult",
    "CutPlane",
    "CutSurface",
    "Measured",
    "Neck",
)
MEASURE = "Measure"


class StepRow(QWidget):
    """One step: state, name, its first number, and a switch for the views."""

    chosen = Signal(str)
    switched = Signal(str, bool)

    def __init__(self, output: str, stage: Stage) -> None:
        super().__init__()
        self.output = output
        self.mark = label("", wrap=False)
        self.mark.setFixedWidth(16)
        self.name = QPushButton(readable(output))
        self.name.setProperty("flat", "true")
        self.name.setCheckable(True)
        self.name.setStyleSheet("text-align: left;")
        self.name.setToolTip(f"{stage.title}\n{stage.name}")
        self.name.clicked.connect(lambda: self.chosen.emit(output))
        self.number = label("", "muted", wrap=False)
        self.badge = label("", "muted", wrap=False)
        self.badge.setFont(ui_font(CORNER_FONT_PX))
        self.shown = QToolButton()
        self.shown.setCheckable(True)
        self.shown.setProperty("flat", "true")
        self.shown.setStyleSheet("border: none; background: transparent; padding: 2px;")
        self.shown.setToolTip(f"Show {readable(output).lower()} in the views")
        self.shown.setAccessibleName(self.shown.toolTip())
        self.shown.toggled.connect(lambda on: self.switched.emit(output, on))
        if stage.output_kind not in SHOWABLE and stage.name != DOUBT_STAGE:
            self.shown.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.mark)
        row.addWidget(self.name, 1)
        row.addWidget(self.badge)
        row.addWidget(self.number)
        row.addWidget(self.shown, 0, Qt.AlignmentFlag.AlignRight)

    def show_state(
        self, state: str, number: Mapping[str, Any] | None, shown: bool, review: str = ""
    ) -> None:
        """Show how the step and its review stand, its number and whether the views show it."""
        self.badge.setText(BADGES.get(review, ""))
        self.badge.setToolTip(MEANINGS.get(review, ""))
        set_role(self.badge, "done" if review == REVIEWED else "muted")
        self.mark.setText(MARKS[state])
        self.mark.setToolTip(STATES.get(state, "being computed"))
        text = ""
        if number is not None:
            value = value_text(number["value"], number["unit"])
            text = f"{value} {unit_text(number['unit'])}"
        self.number.setText(text)
        self.shown.blockSignals(True)
        self.shown.setChecked(shown)
        set_icon(self.shown, "ph.eye" if shown else "ph.eye-slash")
        self.shown.blockSignals(False)


class StepList(QWidget):
    """The steps of one group in the order of the plan, and the form of the chosen one."""

    def __init__(self, desk: Desk, group: str) -> None:
        super().__init__()
        self._desk, self._group = desk, group
        self.rows: dict[str, StepRow] = {}
        self.chosen = ""
        self.form: ParameterForm | None = None
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        self._about = label("", "muted")
        self.expected = label("", "muted")
        self._place = QVBoxLayout()
        self.remove = button("Remove this step", "Take the last change of it back", self._remove)
        self.remove.hide()
        self.review = ReviewBar(desk)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._list)
        column.addWidget(self._about)
        column.addWidget(self.expected)
        column.addLayout(self._place)
        column.addWidget(self.review)
        column.addWidget(self.remove)
        desk.bindings.add(self.refresh, self)

    def outputs(self) -> list[str]:
        """Return the outputs of this group's steps."""
        return [record["output"] for record in self._records()]

    def _records(self) -> list[Mapping[str, Any]]:
        session = self._desk.session
        if session.plan is None:
            return []
        return [s for s in session.summary()["steps"] if group_of(s) == self._group]

    def refresh(self) -> None:
        """Show the steps as they stand."""
        records = self._records()
        outputs = [record["output"] for record in records]
        if outputs != list(self.rows):
            self._rebuild(records)
        if self.chosen not in outputs:
            self.choose("")
        numbers = self._main_numbers() if records else {}
        for record in records:
            output = record["output"]
            state = "running" if output == self._desk.computing else record["state"]
            shown = self._desk.is_shown(output)
            review = (record["review"] or {}).get("state", "")
            self.rows[output].show_state(state, numbers.get(output), shown, review)
        self._fill()

    def _main_numbers(self) -> dict[str, Mapping[str, Any]]:
        """Return by output its volume, or its number where it has just one."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for number in self._desk.session.summary()["numbers"]:
            found.setdefault(number["step"], []).append(number)
        return {
            output: numbers[0]
            for output, numbers in found.items()
            if len(numbers) == 1
            or numbers[0]["name"] == f"{output}.volume"
            or self._group == MEASURE
        }

    def _rebuild(self, records: list[Mapping[str, Any]]) -> None:
        for row in self.rows.values():
            row.setParent(None)
            row.deleteLater()
        self.rows = {}
        for record in records:
            row = StepRow(record["output"], STAGES[record["stage"]])
            row.chosen.connect(self.choose)
            row.switched.connect(self._switch)
            self._list.addWidget(row)
            self.rows[record["output"]] = row

    def choose(self, output: str) -> None:
        """Show the form of the step that makes ``output``; "" shows none."""
        self.chosen = output
        for name, row in self.rows.items():
            row.name.setChecked(name == output)
        if output and self._group == "Segment":
            self._desk.hand.target = output
            self._desk.session.notify()
        if output and self._group == MEASURE and self._desk.session.view.selected != output:
            self._desk.session.set_view(selected=output)
        self._fill()

    def _fill(self) -> None:
        plan = self._desk.session.plan
        step = plan.step(self.chosen) if plan is not None and self.chosen else None
        stage = STAGES[step.stage] if step is not None else None
        if self.form is not None and self.form.stage is not stage:
            self.form.setParent(None)
            self.form.deleteLater()
            self.form = None
        self._about.setText(f"{stage.title}." if stage is not None else "")
        self._about.setVisible(stage is not None)
        self.expected.setText(self._expected(step) if step is not None else "")
        self.expected.setVisible(bool(self.expected.text()))
        self.remove.setVisible(stage is not None)
        self.review.show_label(self.chosen)
        if step is None or stage is None:
            return
        if self.form is None:
            whole = self._group == "Case"  # a patient's values are not advanced settings
            shown = len(stage.parameters) if whole else SHOWN
            self.form = ParameterForm(
                stage, shown, crosshair=lambda: self._desk.session.view.crosshair_mm
            )
            self.form.changed.connect(self._change)
            self._place.addWidget(self.form)
        self.form.show_values(step.params)

    def _expected(self, step: Step) -> str:
        """Return what a flow will take, or why it cannot be computed; "" for other steps."""
        lumen = self._desk.value(step.inputs.get("lumen", ""))
        if step.stage != FLOW_STAGE or not isinstance(lumen, SurfaceMesh):
            return ""
        try:
            cost = cost_before(lumen, STAGES[step.stage].check_params(step.params))
        except ValueError as error:
            return as_sentence(str(error))
        return f"Will take {cost}." if cost is not None else ""

    def _remove(self) -> None:
        output = self.chosen
        self._desk.attempt(lambda: self._desk.session.remove_step(output))

    def _change(self, name: str, value: object) -> None:
        output = self.chosen
        params: dict[str, Any] = {name: value}
        label = f"{readable(output)}: {parameter_label(name).lower()}"
        self._desk.attempt(lambda: self._desk.session.set_params(output, label, **params))

    def _switch(self, output: str, shown: bool) -> None:
        hidden = set(self._desk.session.view.hidden) - {output}
        self._desk.session.set_view(hidden=hidden if shown else hidden | {output})
