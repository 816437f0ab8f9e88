"""A transplant pair in the middle of the window: the sheet, both people, and other pairs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from segmentation.contract import Progress
from workstation.importing import start_plan
from workstation.planning.plan import Plan, Step
from workstation.planning.template import find_template
from workstation.planning.transplant_rows import Row, Sheet
from workstation.planning.transplant_size import Organ
from workstation.transplant_entry import keep_document, kept_document
from workstation.ui.desk import Desk
from workstation.ui.panels.import_panel import default_folder
from workstation.ui.panels.parts import button, label
from workstation.ui.panels.transplant_compare_tab import CompareTab
from workstation.ui.panels.transplant_confirm import Confirming
from workstation.ui.panels.transplant_follow_tab import FollowTab
from workstation.ui.panels.transplant_form import PersonForm
from workstation.ui.panels.transplant_review import ReviewPage
from workstation.ui.panels.transplant_start import start_review

REVIEW = "planning.transplant_sheet"
ROLES = ("donor", "recipient")
FOLLOWED = "followed"
NAMED = {FOLLOWED: "recipient after the transplant"}
"""Roles that are called otherwise."""

RECORDS = "Records (*.json *.ndjson *.csv);;All files (*)"


class PersonTab(QWidget):
    """The record of one person: where it comes from, another file, and the form."""

    def __init__(self, desk: Desk, role: str) -> None:
        super().__init__()
        self._desk, self.role, self.source = desk, role, f"{role}_file"
        self.named = NAMED.get(role, role)
        self._shown = ("", "")
        self.form = PersonForm(role)
        self.form.edited.connect(self._keep)
        self.about = label("", "muted")
        opened = button("Open a file…", f"FHIR R4, our JSON or CSV of the {self.named}", self._ask)
        tip = f"A folder of DICOM: the liver of the {role} is proposed and measured"
        images = button("Add a CT…", tip, self._ask_images)
        images.setVisible(role in ROLES)
        line = QHBoxLayout()
        line.setContentsMargins(12, 8, 12, 0)
        line.addWidget(self.about, 1)
        line.addWidget(images)
        line.addWidget(opened)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(line)
        column.addWidget(scrolled(self.form), 1)
        desk.left.connect(self._forget)

    def _forget(self) -> None:
        self._shown = ("", "")

    def _ask(self) -> None:
        chosen = QFileDialog.getOpenFileName(self, f"Record of the {self.named}", "", RECORDS)[0]
        if chosen:
            self.take(Path(chosen))

    def _ask_images(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, f"CT of the {self.role}")
        if chosen:
            self.take_images(Path(chosen))

    def take_images(self, path: Path) -> None:
        """Import a CT of the person and start the review anew with it and all that is there."""
        session = self._desk.session
        case, plan = session.require_case(), session.require_plan()
        template, name = find_template(plan.template), f"{self.role}_ct"
        review = next(step for step in plan.steps if step.stage == REVIEW)
        kept = [
            (review.output, word, value)
            for word, value in review.params.items()
            if word not in ("organ", "donation")
        ]

        def work(progress: Progress) -> Plan:
            return start_plan(case, template, {name: path}, kept, progress)

        def then(made: Plan) -> None:
            if session.case is case:
                session.plan = made
                session.set_view(image=name, crosshair_mm=None)
                self._desk.compute()

        self._desk.run(f"CT of the {self.role}", work, then)

    def take(self, path: Path) -> None:
        """Let a file be the person's record."""

        def keep() -> None:
            session = self._desk.session
            case = session.require_case()
            case.import_file(path, self.source, "record")
            key = case.record.sources[self.source]["sha256"]
            plan = session.require_plan().with_sources(**{self.source: key})
            session.do(f"Open the record of the {self.named}", plan)

        if self._desk.attempt(keep):
            self._desk.compute()

    def _keep(self, document: Any, said: str) -> None:
        session = self._desk.session
        plan: list[Plan] = []

        def keep() -> None:
            case = session.require_case()
            plan.append(keep_document(case, session.require_plan(), self.source, document))
            if not said.startswith("Settle"):
                self._shown = (plan[0].sources[self.source], self._shown[1])
            session.do(said, plan[0])

        if self._desk.attempt(keep):
            self._desk.compute()

    def refresh(self, organ: Organ) -> None:
        """Show the record that the plan uses; fields in work are left alone."""
        session = self._desk.session
        case, plan = session.case, session.plan
        if case is None or plan is None or self.source not in plan.sources:
            return
        wanted = (plan.sources[self.source], organ)
        record = case.value(self.source, plan)
        if wanted != self._shown:
            self._shown = wanted
            self.form.show_person(kept_document(case, plan, self.source, self.role), organ)
        self.form.show_conflicts(record)
        missed = "; ".join(f"{n.what}: {n.reason}" for n in record.not_read)
        about = case.record.sources[self.source]["versions"][wanted[0]]["description"]
        self.about.setText(f"{about}. Not used: {missed}." if missed else about)


class TransplantPage(QWidget):
    """Stands in the middle while the plan reviews a pair and there is no image to look at."""

    turned = Signal()

    def __init__(self, desk: Desk, opened: Callable[[Path], object]) -> None:
        super().__init__()
        self._desk, self._opened = desk, opened
        self._asked = False
        self.confirming = Confirming(self._confirm, self._withdraw)
        self.review = ReviewPage(self.confirming)
        self.people = {role: PersonTab(desk, role) for role in ROLES}
        self.follow = FollowTab(desk, self.confirming)
        self.after = PersonTab(desk, FOLLOWED)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(scrolled(self.review), "Review")
        for role, tab in self.people.items():
            self.tabs.addTab(tab, role.capitalize())
        self.compare = CompareTab(desk)
        self.tabs.addTab(self.compare, "Compare")
        self.tabs.addTab(scrolled(self.follow), "After the transplant")
        self._values_tab = self.tabs.addTab(self.after, "Values afterwards")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tabs)
        self.tabs.currentChanged.connect(lambda _: self.refresh())
        desk.left.connect(partial(self.ask, False))
        desk.bindings.add(self.refresh)

    def ask(self, shown: bool) -> None:
        """Show the page instead of images, or the images again."""
        self._asked = shown
        self.turned.emit()

    @property
    def is_wanted(self) -> bool:
        """Whether the page is to stand in the middle: it was asked for, or there is no image."""
        session = self._desk.session
        return self.step() is not None and (self._asked or not session.view.image)

    def step(self) -> Step | None:
        """Return the step of the plan that reviews a pair."""
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return next((step for step in steps if step.stage == REVIEW), None)

    def refresh(self) -> None:
        """Show the sheet or the person whose tab is open."""
        step = self.step()
        if step is None:
            return
        sheet = self._desk.value(step.output)
        shown = sheet if isinstance(sheet, Sheet) else None
        told = self._desk.session.summary().get("rows", ())
        self.review.show_sheet(shown, self._desk.is_current(step.output), told)
        self.follow.refresh(told)
        self.tabs.setTabVisible(self._values_tab, self.follow.step() is not None)
        self.compare.refresh(step)
        tab = self.tabs.currentWidget()
        if isinstance(tab, PersonTab):
            tab.refresh(step.params.get("organ", "kidney"))

    def ask_new(self) -> None:
        """Ask for a folder and begin a review there."""
        start = default_folder(user_data_path("hilum") / "cases" / "transplant")
        start.parent.mkdir(parents=True, exist_ok=True)
        words = "Keep the transplant review in a new folder"
        chosen = QFileDialog.getSaveFileName(self, words, str(start))[0]
        if chosen:
            self.begin(Path(chosen))

    def begin(self, folder: Path) -> None:
        """Begin a review of a pair of whom nothing is known, and show the donor's empty form."""

        def then(made: Path) -> None:
            self._opened(made)
            self.tabs.setCurrentWidget(self.people["donor"])

        self._desk.run("New transplant review", lambda p: start_review(folder, p), then)

    def _confirm(self, row: Row, by: str, comment: str) -> None:
        session = self._desk.session
        self._desk.attempt(lambda: session.confirm_row(row.to_json(), by, comment))

    def _withdraw(self, row: Row) -> None:
        self._desk.attempt(lambda: self._desk.session.withdraw_row(row.to_json()))


def scrolled(widget: QWidget) -> QScrollArea:
    """Return ``widget`` in an area that scrolls up and down."""
    area = QScrollArea()
    area.setProperty("role", "panel")
    area.setWidgetResizable(True)
    area.setWidget(widget)
    return area
