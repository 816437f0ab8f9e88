"""Segment: label the anatomy, correct it with seeds and brush."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSlider

from workstation.ui.desk import Desk
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.align_panel import AlignPanel
from workstation.ui.panels.change_label import ChangeLabel
from workstation.ui.panels.copy_labels import CopyLabels
from workstation.ui.panels.doubt_list import DoubtList
from workstation.ui.panels.hand_tools import HandTools
from workstation.ui.panels.label_file import LabelFile
from workstation.ui.panels.lesions import LesionList
from workstation.ui.panels.models import ModelChooser
from workstation.ui.panels.new_label import NewLabel
from workstation.ui.panels.parts import Sheet, button, label
from workstation.ui.panels.steps import StepList


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
        self.new_label = NewLabel(desk)
        body.addWidget(self.new_label)
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
        self.align = AlignPanel(desk)
        body.addWidget(self.align)
        self.copy_labels = CopyLabels(desk, self.align)
        body.addWidget(self.copy_labels)
        self.widget.heading("Correct by hand")
        self.hand = HandTools(desk)
        self.tools, self.tool_lacks = self.hand.tools, self.hand.lacks
        body.addWidget(self.hand)
        self.change = ChangeLabel(desk)
        body.addWidget(self.change)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("How strongly labels are filled; 0 leaves their outlines")
        self.opacity_text = label("", "muted", wrap=False)
        self.opacity_text.setMinimumWidth(44)
        row = QHBoxLayout()
        for part in (label("Fill", wrap=False), self.opacity, self.opacity_text):
            row.addWidget(part)
        body.addLayout(row)
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

    def lacks(self) -> str:
        """Return what a computation needs, "" when it can run."""
        return "" if self._desk.session.plan is not None else "a plan"

    def _compute(self) -> None:
        self._desk.attempt(lambda: self._desk.compute(*self.steps.outputs()))

    def refresh(self) -> None:
        """Show what is missing and how labels are filled."""
        self.widget.show_needs(self.lacks())
        self.label_file.refresh()
        self.opacity_text.setText(f"{self._desk.session.view.opacity:.0%}")
