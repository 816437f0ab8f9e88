"""The review sheet of a transplant in the window: its rows, and what the centre sets."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from workstation.planning.plan import Step
from workstation.planning.transplant_rows import Row, Sheet, sentence
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.forms import ParameterForm
from workstation.ui.panels.parts import RecordList, bold, button, label, set_role
from workstation.ui.panels.transplant_marks import MARKS, ROLES, row_title, row_value
from workstation.ui.theme import CORNER_FONT_PX, ui_font
from workstation.ui.words import readable

SHEETS = ("planning.transplant_sheet", "planning.transplant_followup")
FIRST = 3
"""Settings that are not folded: organ, donation and day of the review."""

NOTE = "It reviews and never allocates. What is unknown is never counted as passed."


class RowCard(QFrame):
    """One row: its verdict and value, then why, and where it comes from."""

    def __init__(self, row: Row, current: bool = True) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setToolTip("\n".join(part for part in (row.rule, row.change) if part))
        value = row_value(row)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(bold(row_title(row.name)), 1)
        mark = MARKS[row.verdict] if current else f"↻ {row.verdict}"
        head.addWidget(label(mark, ROLES[row.verdict], wrap=False), 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 6)
        column.setSpacing(2)
        column.addLayout(head)
        for text in (value, sentence(row.reason)):
            if text:
                column.addWidget(label(text))
        about = [row.source, row.date or "no date"]
        about += [f"until {row.expires}"] if row.expires else []
        line = label(", ".join(about), "muted")
        line.setFont(ui_font(CORNER_FONT_PX))
        column.addWidget(line)
        self.setAccessibleName(f"{row.name} {row.verdict} {value} {row.reason}")


class TransplantView(QWidget):
    """The rows of the plan's sheets and the settings behind them; hidden without a sheet."""

    opened = Signal(bool)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.told = label("", "muted")
        self.cards = RecordList(lambda shown: RowCard(*shown), "Not computed yet; recompute.")
        self.forms = {stage: ParameterForm(STAGES[stage], FIRST) for stage in SHEETS}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        self.open = button("Show the sheet and both people", "", lambda: self.opened.emit(True))
        self.close_page = button("Show the images", "", lambda: self.opened.emit(False))
        parts = (bold("Transplant review"), label(NOTE, "muted"), self.told, self.open)
        for part in (*parts, self.close_page, self.cards):
            column.addWidget(part)
        for stage, form in self.forms.items():
            form.changed.connect(partial(self._change, stage))
            column.addWidget(form)
        desk.bindings.add(self.refresh)

    def _steps(self) -> dict[str, Step]:
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return {step.stage: step for step in steps if step.stage in SHEETS}

    def _change(self, stage: str, name: str, value: Any) -> None:
        step = self._steps().get(stage)
        if step is None:
            return
        session = self._desk.session
        text = f"Set {readable(name)}"
        if self._desk.attempt(lambda: session.set_params(step.output, text, **{name: value})):
            self._desk.compute()

    def show_page(self, shown: bool) -> None:
        """Say whether the sheet stands in the middle; then its rows need not stand here too."""
        pictured = bool(self._desk.session.view.image)
        self.cards.setVisible(not shown)
        self.open.setVisible(not shown)
        self.close_page.setVisible(shown and pictured)

    def refresh(self) -> None:
        """Show the rows of the plan's sheets."""
        steps = self._steps()
        self.setVisible(bool(steps))
        shown: list[tuple[Row, bool]] = []
        for stage, form in self.forms.items():
            form.setVisible(stage in steps)
            if stage not in steps:
                continue
            step = steps[stage]
            form.show_values(step.params)
            sheet, current = self._desk.value(step.output), self._desk.is_current(step.output)
            shown += [(row, current) for row in sheet.rows] if isinstance(sheet, Sheet) else []
        self.cards.show_records(shown)
        counts = {v: sum(row.verdict == v for row, _ in shown) for v in MARKS}
        current = all(known for _, known in shown)
        words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        self.told.setText(words if current else "↻ Not up to date; recompute.")
        set_role(self.told, "muted" if current else "warning")
        self.told.setVisible(bool(shown))
