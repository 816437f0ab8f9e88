"""Flow: wall maps, streamlines and planes of a computed flow, over the heart's cycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workstation.flow_surfaces import TITLES
from workstation.ui.desk import Desk
from workstation.ui.flow_show import FlowShow
from workstation.ui.panels.bands_card import BandsCard
from workstation.ui.panels.courses_card import CoursesCard
from workstation.ui.panels.flow_cards import CycleCard, LinesCard, PlaneCard, WallCard, choice
from workstation.ui.panels.look_card import offer
from workstation.ui.panels.parts import FindingRow, RecordList, Sheet, label
from workstation.ui.words import readable, value_text

NOWHERE = "Shift and click on the vessel: what flows there is told here."


class FlowPanel:
    """What is shown of a flow in the 3D view, and its numbers where one looks."""

    def __init__(self, desk: Desk, show: FlowShow) -> None:
        self._desk, self._show = desk, show
        self.widget = Sheet("Flow", "What the blood does, on the wall and inside the vessel.")
        body = self.widget.body
        self.flow = choice("Flow", "Which flow of the plan is shown")
        self.flow.activated.connect(lambda _: show.choose(self.flow.currentData()))
        self.cycle, self.wall = CycleCard(show), WallCard(show)
        self.lines, self.plane = LinesCard(show), PlaneCard(show)
        self.here = label("", "")
        self.courses, self.bands = CoursesCard(desk), BandsCard(desk)
        self.findings = RecordList(self._finding, "None.")
        body.addWidget(self.courses)
        body.addWidget(self.flow)
        body.addWidget(self.cycle)
        for title, card in (("Wall", self.wall), ("Inside", self.lines)):
            self.widget.heading(title)
            body.addWidget(card)
        body.addWidget(self.plane)
        self.widget.heading("At the crosshair")
        body.addWidget(self.here)
        body.addWidget(self.bands)
        self.widget.heading("Findings")
        body.addWidget(self.findings)
        desk.bindings.add(self.refresh, self.widget)
        show.changed.append(self._follow)

    def lacks(self) -> str:
        """Return what the page needs, "" when there is a flow to show."""
        if self._desk.session.plan is None:
            return "a plan"
        there = self._show.flow is not None or self.courses.found()
        return "" if there else "a computed flow that is shown"

    def _finding(self, record: Mapping[str, Any]) -> FindingRow:
        row = FindingRow(record)
        row.asked.connect(self._desk.go_to)
        return row

    def _follow(self) -> None:
        """Show another time or look at once, while the page is open."""
        if self.widget.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show how the flow is drawn, and the numbers of the time that is shown."""
        show, session = self._show, self._desk.session
        self.widget.show_needs(self.lacks())
        flows = [(name, readable(name)) for name in self._desk.flows()]
        offer(self.flow, flows, show.name)
        self.flow.setVisible(len(flows) > 1)
        for card in (self.cycle, self.wall, self.lines, self.plane):
            card.setEnabled(show.flow is not None)
            card.refresh()
        self.courses.refresh()
        self.bands.show_flow(show.name)
        found = show.at_crosshair()
        lines = []
        for key, value in found.items():
            title, unit = TITLES[key]
            lines.append(f"{title}: {value_text(value, unit)} {unit}".strip())
        self.here.setText("\n".join(lines) or NOWHERE)
        findings = session.summary()["findings"] if session.case is not None else []
        shown = {show.name, *self.courses.found()}
        self.findings.show_records([f for f in findings if f.get("step") in shown])
