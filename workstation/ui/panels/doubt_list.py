"""How sure the chosen label is: measure it, and go through the places to review next."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QVBoxLayout, QWidget

from segmentation.contract import as_sentence
from segmentation.doubt import REVIEW_NEXT
from segmentation.volume import LabelMap
from workstation.bands import cost_text, doubt_steps, with_doubt
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import FindingRow, RecordList, bold, button, label

LEGEND = "In the slices: blue where few repeats disagree, yellow where half of them do."


class DoubtList(QWidget):
    """Measures the doubt about the chosen label; a click on a place moves the views there."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._cost: tuple[Any, str] = (None, "")  # plan and label, and what it costs
        self.told = label("", "muted")
        self.measure = button("Measure doubt", "", self._measure)
        self.title = bold("Review next")
        self.places = RecordList(self._place, "The repeats disagree nowhere worth a look.")
        self.legend = label(LEGEND, "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        for part in (bold("Doubt"), self.told, self.measure, self.title, self.places, self.legend):
            column.addWidget(part)
        tip = "Repeat the label with small changes: its volume gets a band, the slices a map"
        desk.bindings.enable(self.measure, self.lacks, tip)
        desk.bindings.add(self.refresh)

    def lacks(self) -> str:
        """Return what the measurement needs, "" when it can start."""
        desk, target = self._desk, self._target()
        if not target or not isinstance(desk.value(target), LabelMap):
            return "a computed label; choose one above"
        if desk.busy:
            return "the work that runs to end"
        step = self._step()
        states = {s["output"]: s["state"] for s in desk.session.summary()["steps"]}
        return "a change of the label; its doubt is measured" if states.get(step) == "fresh" else ""

    def _step(self) -> str:
        """Return the output of the step about the chosen label, "" for none."""
        plan = self._desk.session.plan
        steps = doubt_steps(plan) if plan is not None else {}
        return next((name for name, of in steps.items() if of == self._target()), "")

    def _target(self) -> str:
        """Return the chosen label, or the one that a chosen step of doubt is about."""
        chosen, plan = self._desk.hand.target, self._desk.session.plan
        return doubt_steps(plan).get(chosen, chosen) if plan is not None else chosen

    def _measure(self) -> None:
        desk, target = self._desk, self._target()
        session = desk.session

        def add() -> None:
            session.do(f"Doubt about {target}", with_doubt(session.require_plan(), target))

        if desk.attempt(add):
            outputs = doubt_steps(session.require_plan())
            desk.compute(*outputs)

    def _place(self, record: Any) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def refresh(self) -> None:
        """Show the cost, or the places that were found."""
        session, target = self._desk.session, self._target()
        plan = session.plan
        label_there = bool(plan) and isinstance(self._desk.value(target), LabelMap)
        self.setVisible(label_there)
        if plan is None or not label_there:
            return
        step, summary = self._step(), session.summary()
        fresh = any(s["output"] == step and s["state"] == "fresh" for s in summary["steps"])
        found = [f for f in summary["findings"] if fresh and f.get("step") == step]
        for part in (self.title, self.places, self.legend):
            part.setVisible(fresh)
        self.places.show_records([f for f in found if f["code"] == REVIEW_NEXT])
        warnings = " ".join(f["sentence"] for f in found if f["severity"] != "info")
        self.told.setText(warnings if fresh else self._price(target))
        self.told.setVisible(bool(self.told.text()))

    def _price(self, target: str) -> str:
        """Say how often the label is made again and how long that took before."""
        session = self._desk.session
        plan = session.require_plan()
        if self._cost[0] != (plan, target):
            words = as_sentence(cost_text(plan, target, session.require_case().runs()))
            self._cost = ((plan, target), words)
        return self._cost[1]
