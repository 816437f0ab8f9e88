"""Measure: lengths, angles, areas and values, in the slices and in 3D; surfaces compared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QToolButton

from segmentation.measured import Measured
from workstation.ui.clip_tool import ClipTool
from workstation.ui.desk import Desk
from workstation.ui.icons import set_icon
from workstation.ui.measure_tools import ROWS, TOOLS
from workstation.ui.measuring import Measuring
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.clip_card import ClipCard
from workstation.ui.panels.compare_card import CompareCard
from workstation.ui.panels.look_card import LookCard
from workstation.ui.panels.parts import (
    FindingRow,
    NumberView,
    RecipeCard,
    RecordList,
    Sheet,
    button,
    label,
    recipe,
)
from workstation.ui.panels.profile_plot import ProfilePlot
from workstation.ui.panels.steps import StepList
from workstation.ui.words import readable

IDLE = "Drag a point of a measurement to move it; Delete removes the selected one."


class MeasurePanel:
    """The tools, what was measured, and how surfaces are seen."""

    def __init__(self, desk: Desk, measuring: Measuring, clip: ClipTool) -> None:
        self._desk, self._measuring = desk, measuring
        self.widget = Sheet("Measure", "Click in a slice or on a surface; the number follows.")
        body = self.widget.body
        self.tools: dict[str, QToolButton] = {}
        for names in ROWS:
            row = QHBoxLayout()
            row.setSpacing(4)
            for name in names:
                row.addWidget(self._tool(name))
            row.addStretch(1)
            body.addLayout(row)
        self.hint = label("", "muted")
        body.addWidget(self.hint)
        self.steps = StepList(desk, "Measure")
        tip = "Compute all measurements that are not up to date"
        self.recompute = button("Recompute", tip, self._compute, primary=True)
        body.addWidget(self.recompute)
        body.addWidget(self.steps)
        self.plot = ProfilePlot()
        body.addWidget(self.plot)
        self.recipe = RecipeCard()
        self.there = button("Show it in the views", "Move the slices there", self._go_there)
        body.addWidget(self.there)
        self.findings = RecordList(self._finding)
        body.addWidget(self.findings)
        self.numbers = RecordList(self._number)
        body.addWidget(self.numbers)
        body.addWidget(self.recipe)
        self.add_step = AddStep(desk, "Measure")
        body.addWidget(self.add_step)
        self.widget.heading("Compare two surfaces")
        self.compare = CompareCard(desk)
        body.addWidget(self.compare)
        self.widget.heading("How a surface is drawn")
        self.look = LookCard(desk)
        body.addWidget(self.look)
        self.widget.heading("Cut the 3D view open")
        self.clip = ClipCard(desk, clip)
        body.addWidget(self.clip)
        desk.bindings.enable(
            self.recompute,
            lambda: self.lacks() or desk.lacks_change(*(self.steps.outputs() or ("",))),
            tip,
        )
        desk.bindings.add(self.refresh, self.widget)

    def _tool(self, name: str) -> QToolButton:
        tool = TOOLS[name]
        made = QToolButton()
        made.setText(tool.title)
        set_icon(made, tool.icon)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setCheckable(True)
        made.setMinimumWidth(70)
        made.clicked.connect(lambda: self._measuring.take(name))
        self._desk.bindings.enable(made, partial(self._measuring.lacks, name), tool.tip)
        self.tools[name] = made
        return made

    def lacks(self) -> str:
        """Return what measuring needs, "" when it can begin."""
        return "" if self._desk.session.plan is not None else "a plan"

    def _compute(self) -> None:
        self._desk.attempt(lambda: self._desk.compute(*self.steps.outputs()))

    def _number(self, shown: tuple[Mapping[str, Any], str]) -> NumberView:
        record, how = shown
        view = NumberView(readable(record["name"].split(".", 1)[1]))
        view.show_number(record, how)
        view.asked.connect(partial(self.recipe.explain, view))
        return view

    def _finding(self, record: Mapping[str, Any]) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def _go_there(self) -> None:
        value = self._desk.results().get(self.steps.chosen)
        if isinstance(value, Measured):
            self._desk.go_to(value.text_mm)

    def refresh(self) -> None:
        """Show the tool in hand, and the numbers of the measurement that is selected."""
        session = self._desk.session
        self.widget.show_needs(self.lacks())
        for name, made in self.tools.items():
            made.setChecked(name == self._measuring.tool)
        tool = TOOLS.get(self._measuring.tool)
        self.hint.setText(f"{tool.tip}. Esc gives it back." if tool is not None else IDLE)
        outputs, selected = self.steps.outputs(), session.view.selected
        if selected in outputs and self.steps.chosen != selected:
            self.steps.choose(selected)
        chosen = self.steps.chosen
        value = self._desk.results().get(chosen)
        self.plot.show_profile(value)
        self.there.setVisible(isinstance(value, Measured))
        if session.plan is None or not chosen:
            self.numbers.show_records([])
            self.findings.show_records([])
            return
        findings = session.summary()["findings"]
        self.findings.show_records([f for f in findings if f.get("step") == chosen])
        step = session.plan.step(chosen).to_json()
        found = [n for n in session.summary()["numbers"] if n["step"] == chosen]
        self.numbers.show_records([(number, recipe(number, step)) for number in found])
