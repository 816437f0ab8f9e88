"""An implant in the Plan page: its side, its shape, how it fits as a map and in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtWidgets import QComboBox, QFormLayout, QGridLayout, QVBoxLayout, QWidget

from workstation.implant_checks import FIT, IMPLANT, MARKED, MOVED, PATIENT, steps_of
from workstation.looks import ItemLook
from workstation.planning.plan import Step
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.forms import ParameterForm
from workstation.ui.panels.look_card import offer
from workstation.ui.panels.parts import NumberView, bold, keep_narrow, label, set_role
from workstation.ui.words import parameter_label

FIRST = 3  # parameters that are not folded
SIDES = [
    ("", "not declared"),
    ("left", "the patient's left"),
    ("right", "the patient's right"),
    ("bilateral", "both, across the midline"),
]
BONE, GAP, THICKNESS = "", "gap_mm", "thickness_mm"
MAPS = [
    (BONE, "Skull and implant"),
    (GAP, "Gap to bone, as a map"),
    (THICKNESS, "Thickness, as a map"),
]
LIMITS = {GAP: (-2.0, 2.0), THICKNESS: (0.0, 8.0)}
"""Of the colour bars, mm: fixed, so that two implants compare."""

SEEN_THROUGH = 0.3
KEY = (
    ("Mean gap", FIT, "gap.mean"),
    ("Edge in contact", FIT, "contact.share"),
    ("Overlap of bone", FIT, "overlap.volume"),
    ("Step at the edge", FIT, "edge.step"),
    ("Least thickness", IMPLANT, "thickness.minimum"),
    ("Volume", IMPLANT, "volume"),
    ("Gap, placed wrong", "planning.placement_error", "gap"),
    ("Overlap, so placed", "planning.placement_error", "overlap"),
    ("Mass in PEEK", "planning.implant_mass", "PEEK"),
    ("Stress, of yield", "planning.implant_strength", "share_of_yield"),
)
"""Title, stage that makes it and quantity of the numbers that decide."""


class ImplantView(QWidget):
    """Shown while the plan makes an implant; a number's recipe is asked of ``explain``.

    ``names`` are the numbers that are shown.
    """

    def __init__(self, desk: Desk, explain: Callable[[NumberView], object]) -> None:
        super().__init__()
        self._desk = desk
        self._explain = explain
        self.side, self.map = QComboBox(), QComboBox()
        for box, name, tip in (
            (self.side, "Side of the operation", "It is compared with the image and the implant"),
            (self.map, "What is shown in 3D", "The colour bar stands beside the 3D view"),
        ):
            keep_narrow(box)
            box.setAccessibleName(name)
            box.setToolTip(tip)
        self.side.activated.connect(lambda _: self._declare(self.side.currentData()))
        self.map.activated.connect(lambda _: self.show_map(self.map.currentData()))
        self.told = label("", "muted")
        self.form = ParameterForm(STAGES[IMPLANT], FIRST)
        self.form.changed.connect(self._change)
        self.numbers = {title: NumberView(title) for title, _, _ in KEY}
        self.names: set[str] = set()
        grid = QGridLayout()
        grid.setSpacing(4)
        for number, view in enumerate(self.numbers.values()):
            grid.addWidget(view, number // 2, number % 2)
            view.asked.connect(partial(self._explain, view))
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Side", self.side)
        rows.addRow("Show", self.map)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        column.addWidget(bold("Implant"))
        column.addLayout(rows)
        column.addWidget(self.told)
        column.addWidget(self.form)
        column.addLayout(grid)
        desk.bindings.add(self.refresh)

    # What can be done -----------------------------------------------------------------

    def _step(self, stage: str) -> Step | None:
        """Return the last step of the plan that calls a stage."""
        plan = self._desk.session.plan
        steps = steps_of(plan, stage) if plan is not None else []
        return steps[-1] if steps else None

    def _declare(self, side: str) -> None:
        self._set(self._step(PATIENT), "Declare the side", side=side or None)

    def _change(self, name: str, value: object) -> None:
        step = self._step(IMPLANT)
        self._set(step, f"Implant: {parameter_label(name).lower()}", **{name: value})

    def _set(self, step: Step | None, text: str, **params: Any) -> None:
        if step is None:
            return
        session, output = self._desk.session, step.output
        if self._desk.attempt(lambda: session.set_params(output, text, **params)):
            self._desk.compute()

    def show_map(self, quantity: str) -> None:
        """Show a quantity on the implant in 3D, with its bar, or "" for skull and implant."""
        view = self._desk.session.view
        fit, marked = self._name(FIT), self._name(MARKED)
        made = self._name(IMPLANT)
        body = self._name(MOVED) or made  # where a hand moved it, that is where it lies
        skull = self._skull_surface()
        looks = {n: look for n, look in view.looks.items() if n not in (fit, skull)}
        hidden = view.hidden - {fit, body, marked, skull}
        if quantity and fit:
            low, high = LIMITS[quantity]
            looks[fit] = ItemLook(quantity=quantity, low=low, high=high)
            looks |= {skull: ItemLook(opacity=SEEN_THROUGH)} if skull else {}
            hidden |= {body, marked} - {""}
        else:
            hidden |= {fit, marked} - {""}
        hidden |= {made} - {"", body}
        self._desk.session.set_view(looks=looks, hidden=hidden)

    def shown_map(self) -> str:
        """Return the quantity that is shown on the implant, "" for none."""
        fit, view = self._name(FIT), self._desk.session.view
        if not fit or fit in view.hidden:
            return BONE
        return view.looks.get(fit, ItemLook(quantity=GAP)).quantity or GAP

    def _name(self, stage: str) -> str:
        step = self._step(stage)
        return step.output if step is not None else ""

    def _skull_surface(self) -> str:
        """Return the surface of the skull that the implant is made for, "" for none."""
        plan, body = self._desk.session.plan, self._step(IMPLANT)
        if plan is None or body is None:
            return ""
        drawn = steps_of(plan, "meshing.isosurface")
        of_it = [s.output for s in drawn if s.inputs.get("labels") == body.inputs.get("skull")]
        return of_it[-1] if of_it else ""

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the side, the map, the shape and the numbers of the plan's implant."""
        session, body = self._desk.session, self._step(IMPLANT)
        self.setVisible(body is not None)
        self.names = set()
        if body is None:
            return
        self.form.show_values(body.params)
        patient = self._step(PATIENT)
        declared = str(patient.params.get("side") or "") if patient is not None else ""
        self.side.setEnabled(patient is not None)
        offer(self.side, SIDES, declared)
        offer(self.map, MAPS if self._name(FIT) else MAPS[:1], self.shown_map())
        summary = session.summary()
        self._tell_side(declared, summary)
        steps = {s["output"]: s for s in summary["steps"]}
        for title, stage, quantity in KEY:
            self._show_number(self.numbers[title], self._name(stage), quantity, summary, steps)

    def _tell_side(self, declared: str, summary: Mapping[str, Any]) -> None:
        codes = {f["code"] for f in summary["findings"] if f.get("step") == self._name(IMPLANT)}
        found = next((s for s, _ in SIDES[1:] if f"implant_{s}" in codes), "")
        said = dict(SIDES)
        if not found:
            words, role = "Where the implant lies is not known yet.", "muted"
        elif not declared:
            words = f"! The implant lies on {said[found]}. Declare the side, so it can be checked."
            role = "warning"
        elif declared == found:
            words, role = f"✓ The implant lies on {said[found]}, as declared.", "done"
        else:
            words, role = f"✕ The implant lies on {said[found]}: not as declared.", "problem"
        self.told.setText(words)
        set_role(self.told, role)

    def _show_number(
        self,
        view: NumberView,
        output: str,
        quantity: str,
        summary: Mapping[str, Any],
        steps: Mapping[str, Any],
    ) -> None:
        wanted = (quantity, f"{output}.{quantity}")
        made = [n for n in summary["numbers"] if n["step"] == output and n["name"] in wanted]
        view.setVisible(bool(output))
        self.names |= {number["name"] for number in made}
        if made:
            view.show_number(made[0], f"Step: {output}\nSource: {made[0]['source']}")
        elif steps.get(output, {}).get("state") == "fresh":
            view.show_nothing("not known: lacks its inputs")
        else:
            view.show_nothing("being computed" if self._desk.busy else "recompute to see it")
