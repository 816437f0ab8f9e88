"""The circulation of the liver before and after the cut, while it moves and at rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout

from segmentation.contract import Measurements
from workstation.case_record import number_record
from workstation.planning.pressure_limits import FAILURE_MMHG, GRAFT_MMHG, SAFE_MMHG
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import bold, label, set_role
from workstation.ui.panels.pressure_scale import PressureScale
from workstation.ui.words import (
    SEVERITY_MARKS,
    SEVERITY_ROLES,
    band_text,
    unit_text,
    value_text,
)

STEP = "portal_pressure"
ROWS = {
    ("before", "after"): "Portal pressure",
    ("", "after_widened"): "If veins widen",
    ("", "after_four_resistors"): "Four resistors",
    ("gradient_before", "gradient_after"): "Portocaval gradient",
    ("portal_flow_before", "portal_flow_after"): "Portal flow",
    ("arterial_flow_before", "arterial_flow_after"): "Artery flow",
    ("portal_flow_per_100_ml_before", "portal_flow_per_100_ml_after"): "Portal, per 100 mL",
    ("arterial_flow_per_100_ml_before", "arterial_flow_per_100_ml_after"): "Artery, per 100 mL",
}
LIMITS = (
    f"{SAFE_MMHG:g} mmHg: no liver failure up to here; {FAILURE_MMHG:g}: failure and death more "
    f"frequent (Allard 2013); {GRAFT_MMHG:g}: target for grafts (Ogura 2010)."
)
BESIDE = (
    "Four resistors: a rigid liver between fixed pressures of aorta and vena cava. If veins widen: "
    "their resistance falls with pressure, as in cats; rises in pigs fit this, rises in living "
    "donors fit rigid veins."
)
ORIGINS = {"measured": "before: measured", "assumed": "before: assumed"}
UNPROVEN = "Estimate of a model that is not validated prospectively."
ASIDE = ("portal_pressure_assumed", "portal_pressure_measured")
"""Findings that are listed with all others, not here."""

Record = Mapping[str, Any]


class ForecastCard(QFrame):
    """What the cut does to portal pressure and flows, beside the published limits."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._live = False
        self.setProperty("role", "card")
        self.words = label("", "problem")
        self.title, self.state = bold("Portal pressure forecast"), label("", "muted")
        self.scale = PressureScale((SAFE_MMHG, GRAFT_MMHG, FAILURE_MMHG))
        self.limits, self.beside = label(LIMITS, "muted"), label(BESIDE, "muted")
        self.notes = label("", "muted")
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        self.rows = {}
        for row, (names, title) in enumerate(ROWS.items()):
            name, value = label(title, "muted"), label("", wrap=False)
            band, origin = label("", "muted", wrap=False), label("", "muted", wrap=False)
            grid.addWidget(name, 2 * row, 0)
            grid.addWidget(value, 2 * row, 1)
            grid.addWidget(origin, 2 * row + 1, 0)
            grid.addWidget(band, 2 * row + 1, 1)
            self.rows[names] = (name, value, band, origin)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.setSpacing(4)
        for made in (self.words, self.title, self.state, self.scale, self.limits):
            column.addWidget(made)
        column.addLayout(grid)
        column.addWidget(self.beside)
        column.addWidget(self.notes)
        desk.judged.connect(self.show_live)
        desk.previewed.connect(self._follow)
        desk.left.connect(self._rest)
        desk.bindings.add(self.refresh)  # hidden until there is a forecast
        self.hide()

    def show_live(self, told: Measurements) -> None:
        """Show what a cut that moves does."""
        self._live = True
        records = {n.quantity: number_record(STEP, n) for n in told.numbers}
        findings = [finding.to_json() for finding in told.findings]
        own = [f for f in findings if f["code"].startswith(STEP)]
        self._say([f for f in findings if f not in own])
        self._show(records, own, "while moving")
        self._arrange()

    def _follow(self, values: object) -> None:
        if values is None:
            self._rest()

    def _rest(self) -> None:
        self._live = False
        self._say(())

    def refresh(self) -> None:
        """Show what the plan's step told, or that it is not up to date."""
        session = self._desk.session
        plan = session.plan
        if plan is None or not any(step.output == STEP for step in plan.steps):
            self._rest()
            self._arrange()
            return
        if not self._desk.is_current(STEP):
            if not self._live:
                self.state.setText("↻ not up to date")
            self._arrange()
            return
        summary = session.summary()
        self._rest()
        start = len(STEP) + 1
        records = {n["name"][start:]: n for n in summary["numbers"] if n["step"] == STEP}
        self._show(records, [f for f in summary["findings"] if f.get("step") == STEP], "")
        self._arrange()

    def _arrange(self) -> None:
        """Show the forecast where the plan has one, the words where there are any."""
        plan = self._desk.session.plan
        asked = plan is not None and any(step.output == STEP for step in plan.steps)
        known = asked and any(not parts[1].isHidden() for parts in self.rows.values())
        self.title.setVisible(asked)
        self.state.setVisible(asked and bool(self.state.text()))
        self.scale.setVisible(known)
        self.limits.setVisible(known)
        self.beside.setVisible(known and not self.rows["", "after_widened"][1].isHidden())
        self.notes.setVisible(asked)
        self.setVisible(asked or bool(self.words.text()))

    def _say(self, findings: Iterable[Record]) -> None:
        """Say what is wrong with the cut itself, or that its numbers are not ready."""
        said = (f"{SEVERITY_MARKS[f['severity']]} {f['sentence']}" for f in findings)
        self.words.setText("\n".join(said))
        self.words.setVisible(bool(self.words.text()))

    def _show(self, records: Mapping[str, Record], findings: Sequence[Record], state: str) -> None:
        self.state.setText(state if records else "")
        self.scale.show_values(records.get("before"), records.get("after"))
        for (before, after), parts in self.rows.items():
            record = records.get(after)
            for part in parts:
                part.setVisible(record is not None)
            if record is None:
                continue
            unit = record["unit"]
            shown = value_text(record["value"], unit)
            if before in records:
                shown = f"{value_text(records[before]['value'], unit)} → {shown}"
            parts[1].setText(f"{shown} {unit_text(unit)}")
            parts[2].setText(band_text(dict(record)) if record["low"] is not None else "")
            parts[3].setText(_origin(records.get(before)))
        told = [f for f in findings if f["code"] not in ASIDE]
        worst = max(told, key=lambda f: _order(f["severity"]), default=None)
        role = "muted" if worst is None else SEVERITY_ROLES[worst["severity"]]
        set_role(self.notes, role)
        lines = [f"{SEVERITY_MARKS[f['severity']]} {f['sentence']}" for f in told]
        self.notes.setText("\n".join(lines) or UNPROVEN)


def _origin(before: Record | None) -> str:
    """Return whether a value before the resection is measured, where its source says so."""
    return "" if before is None else ORIGINS.get(before["source"].partition(":")[0], "")


def _order(severity: str) -> int:
    return list(SEVERITY_MARKS).index(severity)
