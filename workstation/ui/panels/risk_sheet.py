"""The risk scores of an aneurysm in the window: what each says, of whom, and what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from hemodynamics.score_coefficients import NEEDS_COEFFICIENTS, read_coefficients, unit_of
from segmentation.wording import counted
from workstation.planning.aneurysm_patient import FROM_IMAGES, Fact, known_from_images
from workstation.planning.aneurysm_risk import NAMES, RiskRow, RiskSheet, merged, models_with
from workstation.planning.plan import Step, to_plain_json
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.forms import ParameterForm
from workstation.ui.panels.parts import RecordList, bold, button, label, set_role
from workstation.ui.theme import CORNER_FONT_PX, ui_font
from workstation.ui.words import choice_text, parameter_label, unit_text, value_text

RISK_STAGE = "planning.aneurysm_risk"
PATIENT_STAGE = "planning.aneurysm_patient"
NAMED = 3  # missing inputs that are named; the tooltip names all
FIRST = 8  # facts about the patient that are not folded
DISCLAIMER = "Each speaks for the patients it was derived from; none of them is a decision."


class RiskCard(QFrame):
    """One model: its value large, then its band, what it lacks and of whom it speaks."""

    def __init__(self, row: RiskRow, current: bool = True) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setToolTip(_tip(row))
        number = "–" if row.value is None else value_text(row.value, row.unit)
        unit = "" if row.value is None else unit_text(row.unit)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(bold(NAMES[row.model]), 1)
        value = label(number, "number" if current else "stale", wrap=False)
        head.addWidget(value, 0, Qt.AlignmentFlag.AlignBaseline)
        head.addWidget(label(unit, "muted", wrap=False), 0, Qt.AlignmentFlag.AlignBaseline)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 6)
        column.setSpacing(2)
        column.addLayout(head)
        if row.value is not None or not row.missing or row.label == NEEDS_COEFFICIENTS:
            column.addWidget(label(row.label if current else f"↻ {row.label}"))
        if row.label == NEEDS_COEFFICIENTS and row.inputs:
            column.addWidget(label(f"Given: {_given(row)}", "muted"))
        if row.missing:
            column.addWidget(label(f"Lacks: {_few(row.missing)}", "muted"))
        for note in row.notes:
            column.addWidget(label(f"! {note.sentence}", "warning"))
        for small in (f"Interval: {_interval(row)}", f"Of: {row.population}", row.source):
            line = label(small, "muted")
            line.setFont(ui_font(CORNER_FONT_PX))
            column.addWidget(line)
        self.setAccessibleName(f"{NAMES[row.model]} {number} {unit} {row.label}")


class RiskView(QWidget):
    """The scores of the plan's aneurysm and the facts about the patient; else it is hidden."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.told = label("", "muted")
        self.cards = RecordList(lambda shown: RiskCard(*shown), "Not computed yet; recompute.")
        self.load = button("Add coefficients…", "", self._ask)
        self.drop = button("Remove coefficients", "", self._drop)
        self.form = ParameterForm(STAGES[PATIENT_STAGE], FIRST)
        self.form.changed.connect(self._change)
        self.imaged = button("Take age and sex from the images", "", self._take_imaged)
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("What scores must know and no image holds")
        self.fold.clicked.connect(lambda: self._unfold(self.form.isHidden()))
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.load)
        row.addWidget(self.drop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        for part in (bold("Risk scores"), label(DISCLAIMER, "muted"), self.told, self.cards):
            column.addWidget(part)
        column.addLayout(row)
        column.addWidget(self.fold)
        column.addWidget(self.form)
        column.addWidget(self.imaged)
        self._unfold(True)
        tip = "A JSON file with a model's published coefficients and where they are published"
        desk.bindings.enable(self.load, self.lacks, tip)
        desk.bindings.enable(self.drop, self._lacks_file, "Switch these models off again")
        tip = "Age at the study and sex, as the DICOM images state them"
        desk.bindings.enable(self.imaged, self._lacks_imaged, tip)
        desk.bindings.add(self.refresh)

    # What can be done -----------------------------------------------------------------

    def lacks(self) -> str:
        """Return what the sheet needs, "" when it can be there."""
        return "" if self._step() is not None else "a plan with risk scores of an aneurysm"

    def _lacks_file(self) -> str:
        step = self._step()
        held = step is not None and step.params.get("coefficients")
        return "" if held else "coefficients that were added"

    def _steps(self) -> list[Step]:
        """Return the steps that score: the first at once, later ones when the flow is there."""
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return [step for step in steps if step.stage == RISK_STAGE]

    def _step(self) -> Step | None:
        """Return the last one that is computed, or else the first."""
        steps = self._steps()
        done = [step for step in steps if self._desk.is_current(step.output)]
        if done:
            return done[-1]
        return steps[0] if steps else None

    def _rows(self) -> list[tuple[RiskRow, bool]]:
        """Return one row for each model, up to date before stale, with flow before without."""
        known = [
            (self._desk.is_current(s.output), self._desk.value(s.output)) for s in self._steps()
        ]
        sheets = [(current, v) for current, v in known if isinstance(v, RiskSheet)]
        fresh = merged(sheet for current, sheet in sheets if current)
        names = {row.model for row in fresh}
        stale = [row for row in merged(sheet for _, sheet in sheets) if row.model not in names]
        found = [*((row, True) for row in fresh), *((row, False) for row in stale)]
        return sorted(found, key=lambda shown: list(NAMES).index(shown[0].model))

    def _patient(self) -> Step | None:
        """Return the step that holds the facts which the scores take."""
        step, plan = self._step(), self._desk.session.plan
        if step is None or plan is None:
            return None
        name = step.inputs.get("patient", "")
        return next((s for s in plan.steps if (s.output, s.stage) == (name, PATIENT_STAGE)), None)

    def _imaged(self) -> dict[str, Fact]:
        """Return what the images say of the patient and the plan does not use."""
        case, patient = self._desk.session.case, self._patient()
        if case is None or patient is None:
            return {}
        stated = known_from_images(case.record.patient, case.record.study.get("date", ""))
        return {n: value for n, value in stated.items() if patient.params.get(n) != value}

    def _lacks_imaged(self) -> str:
        return "" if self._imaged() else "images that state another age or sex than the plan"

    def _take_imaged(self) -> None:
        found, patient = self._imaged(), self._patient()
        if patient is None:
            return
        kept = [one for one in patient.params.get("origins", ()) if one[0] not in found]
        origins = [*kept, *((n, value, FROM_IMAGES) for n, value in found.items())]
        params: dict[str, Any] = {**found, "origins": origins}
        text = "Patient: age and sex from the images"
        if self._desk.attempt(
            lambda: self._desk.session.set_params(patient.output, text, **params)
        ):
            self._compute()

    def _change(self, name: str, value: object) -> None:
        patient = self._patient()
        if patient is None:
            return
        params: dict[str, Any] = {name: value}
        text = f"Patient: {_name(name)}"
        if self._desk.attempt(
            lambda: self._desk.session.set_params(patient.output, text, **params)
        ):
            self._compute()

    def _compute(self) -> None:
        """Compute the scores at once, those aside that need shape or flow computed first."""
        desk = self._desk
        ready = [
            step.output
            for step in self._steps()
            if all(
                desk.is_current(n) for argument, n in step.inputs.items() if argument != "patient"
            )
        ]
        if ready:
            desk.attempt(lambda: desk.compute(*ready))

    def _ask(self) -> None:
        kinds = "Coefficients (*.json);;All files (*)"
        chosen = QFileDialog.getOpenFileName(self, "Coefficients of a model", "", kinds)[0]
        if chosen:
            self.take(Path(chosen))

    def take(self, path: Path) -> None:
        """Give the plan the coefficients of a file; those of the same model are replaced."""
        step = self._step()
        if step is None:
            return

        def add() -> None:
            record = read_coefficients(path.read_bytes())
            held = [to_plain_json(one) for one in step.params.get("coefficients", ())]
            kept = [one for one in held if one.get("model") != record.get("model")]
            self._keep("Add coefficients", [*kept, record])

        if self._desk.attempt(add):
            self._compute()

    def _drop(self) -> None:
        if self._desk.attempt(lambda: self._keep("Remove coefficients", None)):
            self._compute()

    def _keep(self, text: str, records: list[dict[str, Any]] | None) -> None:
        models_with(records or ())  # refuses what does not fit, before the plan changes
        session = self._desk.session
        plan = session.require_plan()
        for step in self._steps():
            plan = plan.with_params(step.output, coefficients=records)
        session.do(text, plan)

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the sheet of the plan and the facts that it was made from."""
        step, patient = self._step(), self._patient()
        self.setVisible(step is not None)
        if step is None:
            return
        self.form.setEnabled(patient is not None)
        self.form.show_values(patient.params if patient is not None else {})
        shown = self._rows()
        self.cards.show_records(shown)
        rows, current = [row for row, _ in shown], all(current for _, current in shown)
        known = sum(row.value is not None for row in rows)
        idle = sum(row.label == NEEDS_COEFFICIENTS for row in rows)
        words = f"{known} of {len(rows)} have a value"
        words += f", {counted(idle, 'needs', 'need')} coefficients." if idle else "."
        self.told.setText(words if current else "↻ Not up to date; recompute.")
        set_role(self.told, "muted" if current else "warning")
        self.told.setVisible(bool(rows))

    def _unfold(self, shown: bool) -> None:
        self.form.setVisible(shown)
        self.imaged.setVisible(shown)
        self.fold.setText("▾ Patient and aneurysm" if shown else "▸ Patient and aneurysm")


def _name(parameter: str) -> str:
    """Return the name of an input within a sentence."""
    text = parameter_label(parameter)
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _few(names: tuple[str, ...]) -> str:
    words = [_name(name) for name in names]
    if len(words) <= NAMED + 1:
        return ", ".join(words)
    return f"{', '.join(words[:NAMED])} and {len(words) - NAMED} more"


def _interval(row: RiskRow) -> str:
    if row.low is None and row.high is None:
        return "not known here" if row.value is not None else "–"
    ends = ["" if end is None else value_text(end, row.unit) for end in (row.low, row.high)]
    return f"{ends[0]} to {ends[1]} {unit_text(row.unit)}"


def _tip(row: RiskRow) -> str:
    lines = [row.title, f"Given: {_given(row) or 'nothing'}"]
    if row.missing:
        lines.append("Lacks: " + ", ".join(_name(n) for n in row.missing))
    return "\n".join(lines)


def _given(row: RiskRow) -> str:
    return ", ".join(f"{_name(n)} {_fact(v)} {unit_of(n)}".rstrip() for n, v in row.inputs.items())


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else choice_text(str(value))
