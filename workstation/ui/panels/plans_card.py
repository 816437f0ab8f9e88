"""The plans A, B, C of the case in the Plan panel: begin, work on, rename, remove, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import Qt
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QVBoxLayout, QWidget

from workstation.case import Case
from workstation.comparing import headline
from workstation.named_plans import cut_kind, new_plan, remove_plan, rename_plan, switch_plan
from workstation.planning.later_options import offered, with_later_options
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import PressCard, RecordList, bold, button, label
from workstation.ui.words import readable, unit_text, value_text

ALONE = "Keep this plan as A and go on with a copy, B; either can be gone back to."
HERE = "●"
OFFERED = "What the procedure offers besides: what-ifs, further cuts, guides"


class PlanRow(PressCard):
    """One plan: name, kind of cut and key numbers; a click asks to work on it."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__()
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        current = bool(record["current"])
        mark = label(HERE if current else "", "done", wrap=False)
        mark.setFixedWidth(14)
        first = QHBoxLayout()
        first.setSpacing(6)
        first.addWidget(mark)
        first.addWidget(bold(record["name"]))
        first.addWidget(label(record["cut"], "muted"), 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 5, 8, 5)
        column.setSpacing(2)
        column.addLayout(first)
        column.addWidget(label(record["numbers"], "muted"))
        state = "worked on" if current else "press to work on it"
        self.setToolTip(f"Plan {record['name']}: {state}")
        self.setAccessibleName(f"Plan {record['name']}, {record['cut']}, {state}")


class PlansCard(QWidget):
    """The named plans of the case and what can be done with them; all of it can be undone.

    ``opened`` asks for the page that sets them side by side.
    """

    opened = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._told: dict[int, tuple[str, str]] = {}
        self.rows = RecordList(self._row)
        self.note = label(ALONE, "muted")
        tip = "Go on with a copy of this plan; the other stays as it is"
        self.new = button("New from this one", tip, self.begin)
        self.more = button("Add to this plan…", OFFERED, self._ask_option)
        self.rename = button("Rename…", "Give the current plan another name", self._ask_name)
        self.remove = button("Remove", "", self.take_away)
        self.compare = button("Compare", "", self.opened.emit)
        lines = []
        for some in ((self.new, self.compare), (self.rename, self.remove), (self.more,)):
            line = QHBoxLayout()
            line.setSpacing(4)
            for made in some:
                line.addWidget(made, 1)
            lines.append(line)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.rows, self.note):
            column.addWidget(part)
        for line in lines:
            column.addLayout(line)
        enable = desk.bindings.enable
        enable(self.new, self.lacks_plan, tip)
        enable(self.more, self.lacks_option, OFFERED)
        enable(self.rename, self.lacks_name, "Give the current plan another name")
        enable(self.remove, self.lacks_second, "Take the current plan from the list")
        enable(self.compare, self.lacks_second, "All plans side by side, with pictures")
        desk.left.connect(self._told.clear)
        desk.bindings.add(self.refresh, self)

    # What can be done ----------------------------------------------------------------

    def lacks_plan(self) -> str:
        """Return what a new plan needs, "" when it can be begun."""
        return "" if self._desk.session.plan is not None else "a plan"

    def lacks_name(self) -> str:
        """Return what a plan needs to be renamed, "" when it can be."""
        case = self._desk.session.case
        return "" if case is not None and case.record.variant else "a named plan that is worked on"

    def lacks_second(self) -> str:
        """Return what a comparison needs, "" when there are several plans."""
        case = self._desk.session.case
        several = case is not None and len(case.record.plan_names) > 1
        return "" if several else "a second plan; begin one from this"

    def lacks_option(self) -> str:
        """Return what a plan needs so that its procedure offers more, "" when it does."""
        plan = self._desk.session.plan
        if plan is None:
            return "a plan"
        return "" if offered(plan) else "a procedure that offers more than the plan has"

    def add(self, name: str) -> None:
        """Add what the procedure offers to the current plan, and compute it."""
        session = self._desk.session
        words = f"Add {readable(name).lower()}"

        def add() -> None:
            session.do(words, with_later_options(session.require_plan(), [name]))

        if self._desk.attempt(add) and not self._desk.lacks_change():
            self._desk.compute()

    def _ask_option(self) -> None:
        plan, menu = self._desk.session.require_plan(), QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name, title in offered(plan).items():
            menu.addAction(title[:1].upper() + title[1:], partial(self.add, name))
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def begin(self) -> None:
        """Begin another plan as a copy of the current one."""
        self._do(new_plan)

    def work_on(self, name: str) -> None:
        """Work on the plan ``name``; what it lacks is computed."""
        case = self._desk.session.case
        if case is not None and case.record.variant != name:
            self._do(partial(switch_plan, name=name))

    def take_away(self) -> None:
        """Take the current plan from the list."""
        case = self._desk.session.require_case()
        self._do(partial(remove_plan, name=case.record.variant))

    def _ask_name(self) -> None:
        old = self._desk.session.require_case().record.variant
        name, given = QInputDialog.getText(self, "Rename the plan", f"Name of plan {old}", text=old)
        if given and name != old:
            self.call_it(name)

    def call_it(self, name: str) -> None:
        """Give the current plan another name."""
        old = self._desk.session.require_case().record.variant
        self._do(partial(rename_plan, old=old, new=name))

    def _do(self, act: Callable[[Case], object]) -> None:
        desk = self._desk
        before = desk.session.plan
        if not desk.attempt(lambda: desk.session.vary(act)):
            return
        if desk.session.plan != before:
            desk.previewed.emit(None)
            if not desk.lacks_change():
                desk.compute()

    # Refresh -------------------------------------------------------------------------

    def _row(self, record: Mapping[str, Any]) -> PlanRow:
        row = PlanRow(record)
        row.asked.connect(partial(self.work_on, record["name"]))
        return row

    def refresh(self) -> None:
        """Show the named plans."""
        case = self._desk.session.case
        names = case.record.plan_names if case is not None else {}
        self.rows.show_records(
            [
                {"name": name, "cut": cut, "numbers": numbers, "current": self._is_here(name)}
                for name, number in names.items()
                for cut, numbers in (self._about(number),)
            ]
        )
        self.rows.setVisible(bool(names))
        self.note.setVisible(not names)
        self.rename.setVisible(bool(names))
        self.remove.setVisible(bool(names))

    def _is_here(self, name: str) -> bool:
        case = self._desk.session.require_case()
        return name == case.record.variant

    def _about(self, number: int) -> tuple[str, str]:
        """Return kind of cut and key numbers of a plan; a plan that is computed stays the same."""
        if number not in self._told:
            case = self._desk.session.require_case()
            records, whole = headline(case, number)
            words = ", ".join(
                f"{readable(n['step'])} {value_text(n['value'], n['unit'])} "
                f"{unit_text(n['unit'])}".rstrip()
                for n in records.values()
            )
            about = cut_kind(case.plan(number)), words or "not computed yet"
            if not whole:
                return about
            self._told[number] = about
        return self._told[number]
