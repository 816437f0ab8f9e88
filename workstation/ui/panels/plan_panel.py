"""Plan: place the cut and read what it costs, while it moves and after."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QWidget

from segmentation.wording import counted
from workstation.figures import figures_of
from workstation.planning.plan import Step
from workstation.planning.resection import CutPlane
from workstation.ui.desk import Desk
from workstation.ui.panels.add_step import AddStep
from workstation.ui.panels.clinical import PatientValues
from workstation.ui.panels.cut_choice import CutChoice
from workstation.ui.panels.earlier_card import EarlierCard
from workstation.ui.panels.forecast_card import ForecastCard
from workstation.ui.panels.function_card import FunctionCard
from workstation.ui.panels.implant_library import ImplantLibraryCard
from workstation.ui.panels.implant_view import ImplantView
from workstation.ui.panels.line_card import LineCard
from workstation.ui.panels.part_moves import PartMoves
from workstation.ui.panels.parts import (
    FindingRow,
    NumberView,
    RecipeCard,
    RecordList,
    Sheet,
    button,
    recipe,
)
from workstation.ui.panels.plans_card import PlansCard
from workstation.ui.panels.risk_sheet import RiskView
from workstation.ui.panels.steps import StepList
from workstation.ui.panels.transplant_rows import TransplantView
from workstation.ui.panels.vein_card import VeinCard
from workstation.ui.stage_rail import group_of
from workstation.ui.words import readable

CUT_STEP = "cut"
MARGIN, LEFT = "margin.minimum", "margin.lesions_left"
KEY_NUMBERS = {
    "margin.minimum": ("Margin", "mm"),
    "remnant.functional_fraction": ("Functional remnant", "%"),
    "remnant.volume": ("Remnant", "mL"),
    "remnant.fraction": ("Remnant share", "%"),
    "specimen.volume": ("Specimen", "mL"),
    "specimen.fraction": ("Specimen share", "%"),
    "vessels_cut.crossed": ("Vessels crossed", ""),
    "devascularised.volume": ("Devascularised", "mL"),
    "congested.volume": ("Congested", "mL"),
    "portal_pressure.after": ("Portal pressure after", "mmHg"),
    "critical_near.nearest_to_cut": ("Nearest structure", "mm"),
    "tracts_near.nearest_to_cut": ("Nearest tract", "mm"),
}
ASKED = ("margin", "remnant", "specimen")
"""What is shown of a plan with a cut even where it has no such step."""

PLACES = {
    "margin.minimum": (0, 0),
    "remnant.functional_fraction": (0, 1),
    "remnant.volume": (1, 0),
    "remnant.fraction": (1, 1),
    "specimen.volume": (2, 0),
    "specimen.fraction": (2, 1),
    "vessels_cut.crossed": (3, 0),
    "portal_pressure.after": (3, 1),
    "devascularised.volume": (4, 0),
    "congested.volume": (4, 1),
    "critical_near.nearest_to_cut": (5, 0),
    "tracts_near.nearest_to_cut": (5, 1),
}


class PlanPanel:
    """The numbers that decide, their findings, and the steps of the plan."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = Sheet(
            "Plan",
            "The numbers that decide. They follow what is changed, as when a cut is moved.",
        )
        self._live: Mapping[str, float | None] | None = None
        self._earlier: dict[str, Mapping[str, Any]] = {}
        self._make_numbers()
        self._make_cards()
        self._arrange()
        desk.previewed.connect(self.show_live)
        desk.left.connect(self._forget)
        self._bind()

    def _make_numbers(self) -> None:
        """Make the numbers of a cut and the buttons that change it; other plans do without."""
        self.numbers = {name: NumberView(title) for name, (title, _) in KEY_NUMBERS.items()}
        self.recipe = RecipeCard()
        for view in self.numbers.values():
            view.asked.connect(partial(self.recipe.explain, view))
        self.reset = button(
            "Proposed cut", "Go back to the cut that the margin proposes", self._reset
        )
        self.flip = button("Swap sides", "Turn the cut round: specimen and remnant", self._flip)
        self.bend = QPushButton("Bend")
        self.bend.setToolTip("Give the cut control points, which are dragged in 3D")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.reset)
        row.addWidget(self.flip)
        row.addWidget(self.bend)
        self._cut = QWidget()
        grid = QGridLayout(self._cut)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for name, place in PLACES.items():
            grid.addWidget(self.numbers[name], *place)
        grid.addLayout(row, len(PLACES), 0, 1, 2)

    def _make_cards(self) -> None:
        desk = self._desk
        self.plans, self.veins, self.cut_choice = PlansCard(desk), VeinCard(desk), CutChoice(desk)
        self.implants, self.part_moves = ImplantLibraryCard(desk), PartMoves()
        self.forecast, self.function = ForecastCard(desk), FunctionCard(desk)
        self.recompute = button(
            "Recompute", "Compute what is not up to date", self._compute, primary=True
        )
        self.implant = ImplantView(desk, self.recipe.explain)
        self.risk, self.transplant = RiskView(desk), TransplantView(desk)
        self.lines, self.earlier = LineCard(desk), EarlierCard(desk)
        self.findings = RecordList(self._finding, "No finding for this plan.")
        self.others = RecordList(self._number, "None yet.")
        self.patient = PatientValues(desk)
        self.steps, self.add_step = StepList(desk, "Plan"), AddStep(desk, "Plan")

    def _arrange(self) -> None:
        body = self.widget.body
        for card in (
            self.plans,
            self.earlier,
            self.cut_choice,
            self.implants,
            self.part_moves,
            self._cut,
            self.recipe,
            self.forecast,
            self.function,
            self.recompute,
            self.veins,
            self.implant,
            self.risk,
            self.transplant,
            self.lines,
        ):
            body.addWidget(card)
        self.widget.heading("Findings")
        body.addWidget(self.findings)
        self.widget.heading("More numbers")
        body.addWidget(self.others)
        self.widget.heading("Clinical values")
        body.addWidget(self.patient)
        self.widget.heading("Steps")
        body.addWidget(self.steps)
        body.addWidget(self.add_step)

    def _bind(self) -> None:
        desk, bindings = self._desk, self._desk.bindings
        bindings.enable(self.recompute, desk.lacks_change, "Compute what is not up to date")
        bindings.enable(self.reset, self._lacks_own_cut, "Go back to the proposed cut")
        bindings.enable(self.bend, self._lacks_plane, "Give the cut control points")
        bindings.enable(
            self.flip, self._lacks_plane, "Turn the cut round: swap specimen and remnant"
        )
        bindings.add(self._remember)
        bindings.add(self.lines.refresh, self.widget)
        bindings.add(self.refresh, self.widget)

    # What can be done -----------------------------------------------------------------

    def _cut_step(self) -> Step | None:
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return next((step for step in steps if step.output == CUT_STEP), None)

    def _lacks_plan(self) -> str:
        return "" if self._desk.session.plan is not None else "a plan"

    def lacks(self) -> str:
        """Return what moving the cut needs, "" when it can be moved."""
        if self._cut_step() is None:
            return self._lacks_plan() or "a plan with a cut"
        if self._desk.is_current(CUT_STEP):
            return ""
        return "the work that runs to end" if self._desk.busy else "a computed cut; recompute"

    def _lacks_plane(self) -> str:
        plane = isinstance(self._desk.value(CUT_STEP), CutPlane)
        return self.lacks() or ("" if plane else "a cut that is a plane")

    def _lacks_own_cut(self) -> str:
        step = self._cut_step()
        if step is None:
            return self.lacks()
        return "" if "point_mm" in step.params else "a cut that was moved; this is the proposal"

    def _reset(self) -> None:
        session = self._desk.session
        if self._desk.attempt(
            lambda: session.set_params(CUT_STEP, "Proposed cut", point_mm=None, normal=None)
        ):
            self.show_live(None)
            self._desk.compute()

    def _flip(self) -> None:
        cut = self._desk.value(CUT_STEP)
        x, y, z = cut.normal
        plan = self._desk.session.with_cut(cut.point_mm, (-x, -y, -z))
        if self._desk.attempt(lambda: self._desk.session.do("Swap sides of the cut", plan)):
            self.show_live(None)
            self._desk.compute()

    def _compute(self) -> None:
        self._desk.attempt(self._desk.compute)

    def _number(self, shown: tuple[Mapping[str, Any], str]) -> NumberView:
        record, how = shown
        figures, name = figures_of(self._desk.session.require_plan()), record["name"]
        view = NumberView({**figures.titles, **figures.key_numbers}.get(name, readable(name)))
        view.show_number(record, how)
        view.asked.connect(partial(self.recipe.explain, view))
        return view

    def _finding(self, record: Mapping[str, object]) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def _recipe(self, record: Mapping[str, Any]) -> str:
        return recipe(record, self._desk.session.require_plan().step(record["step"]).to_json())

    def _forget(self) -> None:
        """Let go of the numbers of a case that is left."""
        self._live, self._earlier = None, {}

    # Refresh -------------------------------------------------------------------------

    def show_live(self, values: Mapping[str, float | None] | None) -> None:
        """Show values (by number name) of a cut that moves; None ends that, and is no value."""
        self._live = values
        for name, value in (values or {}).items():
            if name in self.numbers and value is None:
                self.numbers[name].show_nothing("none for this cut")
            elif name in self.numbers and value is not None:
                self.numbers[name].show_live(value, KEY_NUMBERS[name][1])
        if values:
            self._tell_left(values.get(LEFT))

    def _tell_left(self, lesions: float | None) -> None:
        """Say with the margin that lesions stay behind, which it leaves out."""
        stay = counted(round(lesions or 0), "stays", "stay")
        note = f"of the lesions removed; {stay} behind" if lesions else ""
        self.numbers[MARGIN].show_note(note)

    def _remember(self) -> None:
        session = self._desk.session
        if session.plan is not None:
            self._earlier |= {number["name"]: number for number in session.summary()["numbers"]}

    def refresh(self) -> None:
        """Show the numbers and findings of the plan."""
        session = self._desk.session
        cuts = session.plan is None or self._cut_step() is not None
        self._cut.setVisible(cuts)
        self.cut_choice.setVisible(self._cut_step() is not None)
        self.widget.show_needs(self.lacks() if cuts else "")
        if session.plan is None:
            for view in self.numbers.values():
                view.show_nothing("")
            self._tell_left(None)
            self.findings.show_records([])
            self.others.show_records([])
            return
        summary = session.summary()
        records = {number["name"]: number for number in summary["numbers"]}
        states = {step["output"]: step["state"] for step in summary["steps"]}
        if MARGIN in records:
            self._tell_left(records[LEFT]["value"] if LEFT in records else None)
        for name, view in self.numbers.items():
            output = name.split(".")[0]
            view.setVisible(output in states or output in ASKED)
            if name in records:
                view.show_number(records[name], self._recipe(records[name]))
            elif self._live is not None and name in self._live:
                continue
            elif name in self._earlier and output in states:
                view.show_stale(self._earlier[name])
            else:
                state = states.get(output)
                why = {None: f"the plan has no {readable(output).lower()}", "fresh": "no value"}
                later = "being computed" if self._desk.busy else "recompute to see it"
                view.show_nothing(why.get(state, later))
        asked = [name for name in self._live or () if name.split(".")[0] in states]
        if all(states[name.split(".")[0]] == "fresh" for name in asked):
            self._live = None  # the plan has caught up with the hand
        outputs = {s["output"] for s in summary["steps"] if group_of(s) == "Plan"}
        self.others.show_records(
            [
                (record, self._recipe(record))
                for name, record in records.items()
                if name not in {*KEY_NUMBERS, *self.implant.names} and record["step"] in outputs
            ]
        )
        self.findings.show_records([f for f in summary["findings"] if f.get("step") in outputs])
