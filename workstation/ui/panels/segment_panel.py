"""Segment: label the anatomy, correct it with seeds and brush."""

from __future__ import annotations

from functools import partial
from typing import get_args

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QSlider, QToolButton

from segmentation.volume import LabelMap
from workstation.ui.desk import Desk
from workstation.ui.icons import set_icon
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.doubt_list import DoubtList
from workstation.ui.panels.label_file import LabelFile
from workstation.ui.panels.lesions import LesionList
from workstation.ui.panels.models import ModelChooser
from workstation.ui.panels.parts import Sheet, button, label
from workstation.ui.panels.steps import StepList
from workstation.ui.slice_paint import Tool
from workstation.ui.words import readable

TOOLS: dict[Tool, tuple[str, str, str]] = {
    "navigate": ("Look", "ph.crosshair", "Move the crosshair; nothing is changed"),
    "seed_foreground": ("Add", "ph.plus-circle", "Click what belongs to the label"),
    "seed_background": ("Remove", "ph.minus-circle", "Click what does not belong to the label"),
    "brush": ("Brush", "ph.paint-brush", "Paint on the slice"),
    "erase": ("Erase", "ph.eraser", "Erase on the slice"),
}


class SegmentPanel:
    """Steps that make labels, the tools that correct them, and how they are shown."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = Sheet(
            "Segment", "Label the anatomy, then correct it where the outline is wrong."
        )
        self.steps = StepList(desk, "Segment")
        self.recompute = button(
            "Recompute", "Compute all labels that are not up to date", self._compute, primary=True
        )
        body = self.widget.body
        body.addWidget(self.recompute)
        body.addWidget(self.steps)
        self.add_step = AddStep(desk, "Segment")
        body.addWidget(self.add_step)
        self.models = ModelChooser(desk)
        body.addWidget(self.models)
        self.label_file = LabelFile(desk)
        body.addWidget(self.label_file)
        self.lesions = LesionList(desk)
        body.addWidget(self.lesions)
        self.doubt = DoubtList(desk)
        body.addWidget(self.doubt)
        self.widget.heading("Correct by hand")
        self.target = label("", "muted")
        body.addWidget(self.target)
        body.addLayout(self._tool_buttons())
        self.radius = self._slider(1, 30)
        self.radius_text = label("", "muted", wrap=False)
        self.opacity = self._slider(0, 100)
        self.opacity_text = label("", "muted", wrap=False)
        grid = QGridLayout()
        for n, (name, slider, text) in enumerate(
            (
                ("Brush", self.radius, self.radius_text),
                ("Fill", self.opacity, self.opacity_text),
            )
        ):
            grid.addWidget(label(name, wrap=False), n, 0)
            grid.addWidget(slider, n, 1)
            text.setMinimumWidth(44)
            grid.addWidget(text, n, 2)
        self.radius.setToolTip("Radius of the brush")
        self.opacity.setToolTip("How strongly labels are filled; 0 leaves their outlines")
        body.addLayout(grid)
        desk.bindings.slide(self.radius, lambda: round(desk.hand.radius_mm), self._set_radius)
        desk.bindings.slide(
            self.opacity,
            lambda: round(100 * desk.session.view.opacity),
            lambda value: desk.session.set_view(opacity=value / 100),
        )
        desk.bindings.enable(
            self.recompute,
            lambda: desk.lacks_change(*self.steps.outputs()),
            "Compute all labels that are not up to date",
        )
        desk.bindings.add(self.refresh, self.widget)

    @staticmethod
    def _slider(low: int, high: int) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(low, high)
        return slider

    def _tool_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        group = QButtonGroup(self.widget)
        self.tools: dict[str, QToolButton] = {}
        for tool in get_args(Tool):
            name, picture, tip = TOOLS[tool]
            made = QToolButton()
            made.setText(name)
            set_icon(made, picture)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            made.setCheckable(True)
            made.setMinimumWidth(54)
            made.clicked.connect(lambda _, t=tool: self._desk.take_tool(t))
            self._desk.bindings.enable(made, partial(self.tool_lacks, tool), tip)
            group.addButton(made)
            row.addWidget(made)
            self.tools[tool] = made
        row.addStretch(1)
        return row

    def lacks(self) -> str:
        """Return what a computation needs, "" when it can run."""
        return "" if self._desk.session.plan is not None else "a plan"

    def tool_lacks(self, tool: Tool) -> str:
        """Return what a tool needs, "" when it can be used."""
        if tool == "navigate":
            return ""
        value = self._desk.value(self._desk.hand.target) if self._desk.hand.target else None
        return "" if isinstance(value, LabelMap) else "a computed label; choose one above"

    def _set_radius(self, value: int) -> None:
        self._desk.hand.radius_mm = float(value)
        self._desk.session.notify()

    def _compute(self) -> None:
        self._desk.attempt(lambda: self._desk.compute(*self.steps.outputs()))

    def refresh(self) -> None:
        """Show tool, target and settings."""
        desk = self._desk
        self.widget.show_needs(self.lacks())
        self.label_file.refresh()
        target = readable(desk.hand.target).lower() if desk.hand.target else ""
        self.target.setText(f"Works on: {target}" if target else "Choose a label above.")
        self.tools[desk.hand.tool].setChecked(True)
        self.radius_text.setText(f"{desk.hand.radius_mm:g} mm")
        self.opacity_text.setText(f"{desk.session.view.opacity:.0%}")
