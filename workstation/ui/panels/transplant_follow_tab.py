"""After the transplant: the charts of what is followed, the rows, and where values come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from workstation.case import Case
from workstation.planning.plan import Plan, Step
from workstation.planning.transplant_rows import Sheet
from workstation.stages import STAGES
from workstation.transplant_entry import empty_document, keep_document
from workstation.ui.desk import Desk
from workstation.ui.panels.follow_chart import CourseCard
from workstation.ui.panels.parts import RecordList, button, label
from workstation.ui.panels.transplant_confirm import Confirming
from workstation.ui.panels.transplant_review import ReviewPage

FOLLOW_UP_STAGE = "planning.transplant_followup"
SOURCE, OUTPUT = "followed_file", "course"
NOTHING = (
    "No values since the transplant are in this case. Open a file of them, or enter them by hand: "
    "creatinine, bilirubin, tacrolimus, resistive index, graft volume and antibodies by date. "
    "A newest value is then held against the band of the person's own earlier ones."
)
NOTE = (
    "Dots are measured, the band is foretold from the person's own earlier values, a square is a "
    "newest value outside it. What is missing is unknown, never normal."
)


class FollowTab(QWidget):
    """The courses of a recipient, or how a follow-up begins."""

    def __init__(self, desk: Desk, confirming: Confirming) -> None:
        super().__init__()
        self._desk = desk
        self.told = label(NOTHING, "muted")
        self.cards = RecordList(CourseCard)
        self.rows = ReviewPage(confirming)
        self.open = button("Open a file…", "FHIR R4, our JSON or CSV by date", self._ask)
        self.enter = button("Enter values", "Begin with an empty record", self.begin)
        line = QHBoxLayout()
        line.addWidget(self.told, 1)
        line.addWidget(self.open)
        line.addWidget(self.enter)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addLayout(line)
        column.addWidget(self.cards)
        column.addWidget(self.rows)
        column.addStretch(1)

    def step(self) -> Step | None:
        """Return the step of the plan that follows the recipient."""
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return next((step for step in steps if step.stage == FOLLOW_UP_STAGE), None)

    def refresh(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Show the charts and rows of the follow-up, if the plan has one."""
        step = self.step()
        sheet = self._desk.value(step.output) if step is not None else None
        shown = sheet if isinstance(sheet, Sheet) else None
        self.told.setText(NOTHING if step is None else NOTE)
        self.enter.setVisible(step is None)
        self.rows.setVisible(step is not None)
        current = step is not None and self._desk.is_current(step.output)
        self.rows.show_sheet(shown, current, told)
        self.cards.show_records(_charts(shown) if shown is not None else [])

    def _ask(self) -> None:
        chosen = QFileDialog.getOpenFileName(
            self, "Values after the transplant", "",
            "Records (*.json *.ndjson *.csv);;All files (*)",
        )[0]  # fmt: skip
        if chosen:
            self.take(Path(chosen))

    def take(self, path: Path) -> None:
        """Let a file be the record of what was measured after the transplant."""

        def keep(case: Case, plan: Plan) -> Plan:
            case.import_file(path, SOURCE, "record")
            return plan.with_sources(**{SOURCE: case.record.sources[SOURCE]["sha256"]})

        self._keep(keep)

    def begin(self) -> None:
        """Begin with an empty record, which is filled in by hand."""
        document = empty_document("recipient")
        self._keep(lambda case, plan: keep_document(case, plan, SOURCE, document))

    def _keep(self, kept: Any) -> None:
        session = self._desk.session

        def keep() -> None:
            plan: Plan = kept(session.require_case(), session.require_plan())
            if self.step() is None:
                version = STAGES[FOLLOW_UP_STAGE].version
                inputs = {"followed": SOURCE}
                plan = plan.added(Step(FOLLOW_UP_STAGE, OUTPUT, version, inputs, {}))
            session.do("Follow the recipient", plan)

        if self._desk.attempt(keep):
            self._desk.compute()


def _charts(sheet: Sheet) -> list[Any]:
    last = max((course.days[-1] for course in sheet.courses), default=0.0)
    return [
        (course, sheet.row(course.row).reason, (min(0.0, course.days[0]), max(1.0, last)))
        for course in sheet.courses
    ]
