"""Model: the surfaces of the anatomy."""

from __future__ import annotations

from workstation.ui.desk import Desk
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.parts import Sheet, button
from workstation.ui.panels.steps import StepList


class ModelPanel:
    """Steps that make surfaces, with their switches and numbers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = Sheet("Model", "Surfaces of the labelled anatomy, measured and closed.")
        tip = "Compute all surfaces that are not up to date"
        self.steps = StepList(desk, "Model")
        self.recompute = button("Recompute", tip, self._compute, primary=True)
        self.widget.body.addWidget(self.recompute)
        self.widget.body.addWidget(self.steps)
        self.add_step = AddStep(desk, "Model")
        self.widget.body.addWidget(self.add_step)
        desk.bindings.enable(
            self.recompute, lambda: self.lacks() or desk.lacks_change(*self.steps.outputs()), tip
        )
        desk.bindings.add(lambda: self.widget.show_needs(self.lacks()), self.widget)

    def lacks(self) -> str:
        """Return what a computation needs, "" when it can run."""
        if self._desk.session.plan is None:
            return "a plan"
        return "" if self.steps.outputs() else "a plan that makes surfaces"

    def _compute(self) -> None:
        self._desk.attempt(lambda: self._desk.compute(*self.steps.outputs()))
