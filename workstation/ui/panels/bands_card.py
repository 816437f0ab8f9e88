"""How sure the numbers of a flow are: repeat it under other inflows, and show the bands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from workstation.bands import FLOW_STAGE, spread_steps, usual_ranges, with_spread
from workstation.flow_report import DOME_STAGE
from workstation.planning.plan import Plan
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import NumberView, RecipeCard, RecordList, bold, button, label
from workstation.ui.panels.parts import recipe as recipe_of
from workstation.ui.words import readable

SHOWN = {
    "wss.dome_normalised": "Wall shear of the dome, of the parent's",
    "wss.low_area": "Share of the dome with low shear",
    "osi.dome_mean": "Oscillatory shear index of the dome",
    "inflow.concentration": "Inflow concentration index",
    "wss.dome_mean": "Mean wall shear of the dome",
    "neck.inflow": "Inflow through the neck",
}
"""Numbers of a dome that stand here, normalised first; the plan lists all."""

MEMBERS, MOST_MEMBERS = 8, 50
VARIED = {
    "mean_flow_ml_s": "inflow {:.2f} to {:.2f} mL/s (± 19 %, as among people: Ford 2005)",
    "exponent": "power of the outlets' diameters {:g} to {:g}",
}
TIP = "Compute the flow again under other inflows: its numbers get bands; the job can be stopped"
VARIED_TOO = "Beside the error of the cells, varied:"
CELLS_ONLY = "So far the bands hold the error of the cells alone. To be varied:"
LEFT_OUT = "Not in a band: the outline of the lumen, the waveform, rigid walls."


class BandsCard(QWidget):
    """The numbers that decide of the dome in a flow, and what gives them bands."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._flow = ""
        self._took: tuple[Any, float | None] = (None, None)
        self.numbers = RecordList(self._number)
        self.recipe = RecipeCard()
        self.told = label("", "muted")
        self.members = QSpinBox()
        self.members.setRange(3, MOST_MEMBERS)
        self.members.setValue(MEMBERS)
        self.members.setAccessibleName("Repeats")
        self.members.setToolTip("How often the flow is computed again")
        self.members.valueChanged.connect(lambda _: self.show_flow(self._flow))
        self.measure = button("Bands", "", self._measure)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(label("Repeats", "muted", wrap=False))
        row.addWidget(self.members)
        row.addWidget(self.measure, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        for part in (bold("How sure"), self.numbers, self.recipe, self.told):
            column.addWidget(part)
        column.addLayout(row)

    def lacks(self) -> str:
        """Return what the repeats need, "" when they can start."""
        if not self._ranges():
            return "a computed flow whose inflow is known"
        return "the work that runs to end" if self._desk.busy else ""

    def target(self) -> str:
        """Return what is repeated: the numbers of the dome in the flow, else those of the flow."""
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        of = (
            s.output for s in steps if s.stage == DOME_STAGE and s.inputs.get("flow") == self._flow
        )
        return next(of, self._flow)

    def _ranges(self) -> list[tuple[str, float, float]]:
        session = self._desk.session
        if session.case is None or session.plan is None or not self._flow:
            return []
        if self.target() not in {step.output for step in session.plan.steps}:
            return []
        return usual_ranges(session.plan, self.target(), session.summary()["numbers"])

    def _measure(self) -> None:
        session, target = self._desk.session, self.target()

        def add() -> None:
            plan = with_spread(session.require_plan(), target, self._ranges(), self.members.value())
            session.do(f"Bands of {readable(target).lower()}", plan)

        if self._desk.attempt(add):
            steps = spread_steps(session.require_plan())
            self._desk.compute(*(name for name, of in steps.items() if of == target))

    def _number(self, record: Mapping[str, Any]) -> NumberView:
        view = NumberView(SHOWN[record["name"]])
        step = self._desk.session.require_plan().step(record["step"])
        view.show_number(record, recipe_of(record, step.to_json()))
        view.asked.connect(partial(self.recipe.explain, view))
        return view

    def show_flow(self, name: str) -> None:
        """Show the numbers of the dome in the flow ``name``, and what bands would cost."""
        self._flow = name
        session = self._desk.session
        plan = session.plan
        self.setVisible(plan is not None and bool(name))
        if plan is None or not name:
            return
        target = self.target()
        known = {n["name"]: n for n in session.summary()["numbers"] if n["step"] == target}
        self.numbers.show_records([known[n] for n in SHOWN if n in known])
        self.numbers.setVisible(any(n in known for n in SHOWN))
        self.told.setText(self._words(plan))
        lack = self.lacks()
        self.measure.setEnabled(not lack)
        self.measure.setToolTip(f"{TIP}\nNeeds: {lack}" if lack else TIP)

    def _words(self, plan: Plan) -> str:
        """Say what the repeats vary, what they leave out, and how long they take."""
        varied = [
            VARIED[name.partition(".")[2]].format(low, high) for name, low, high in self._ranges()
        ]
        if not varied:
            return ""
        measured = self.target() in spread_steps(plan).values()
        words = f"{VARIED_TOO if measured else CELLS_ONLY} {'; '.join(varied)}. {LEFT_OUT}"
        once = self._seconds(plan)
        if once is not None:
            whole = once * self.members.value()
            words += f" About {f'{whole:.0f} s' if whole < 100 else f'{whole / 60:.0f} min'}."
        return words

    def _seconds(self, plan: Plan) -> float | None:
        """Return how long (s) the flow took when it was computed, if that is known."""
        if self._took[0] != (plan, self._flow):
            runs = self._desk.session.require_case().runs()
            own = {s.output for s in plan.only(self._flow).steps if s.stage == FLOW_STAGE}
            took = {
                s["output"]: float(s["seconds"])
                for run in runs for s in run["steps"]
                if s["state"] == "done" and s["output"] in own
            }  # fmt: skip
            self._took = (plan, self._flow), sum(took.values()) if took else None
        return self._took[1]
