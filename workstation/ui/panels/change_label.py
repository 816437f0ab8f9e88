"""Changes of the chosen label as a whole: tried out over the slices, then applied or discarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from segmentation.contract import Progress
from segmentation.volume import LabelMap
from workstation.jobs import Job
from workstation.stage import Stage
from workstation.stages import STAGES
from workstation.ui.desk import Desk, Trial
from workstation.ui.forms import ParameterForm
from workstation.ui.panels.parts import button, keep_narrow, label
from workstation.ui.words import readable

CHANGES = {
    "smooth": "Smooth",
    "smooth_together": "Smooth several together",
    "fill_holes": "Fill holes",
    "fill_slices": "Fill between slices",
    "keep_islands": "Keep the largest pieces",
    "split_islands": "Split into pieces",
    "margin": "Grow or shrink",
    "hollow": "Hollow out",
    "level_set": "Settle on edges",
    "confine": "Confine",
    "combine": "Combine",
    "interpolate_times": "Between two times",
}
"""Stages that turn a label into a label, and what they are called, in the order offered."""


@dataclass(frozen=True)
class Tried:
    """One change with all that it was made from, and what came out."""

    name: str
    stage: Stage
    target: str
    key: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    result: LabelMap


class ChangeLabel(QWidget):
    """A folded form: which change, how; "Preview", then "Apply" (Enter) or "Discard" (Escape)."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._params: dict[str, Any] = {}
        self._tried: Tried | None = None
        self._job: Job[Any] | None = None
        self.inputs: dict[str, QComboBox] = {}
        self.form: ParameterForm | None = None
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Smooth, fill, grow, hollow, split, let the outline settle on edges")
        self.fold.clicked.connect(lambda: self.open(self._page.isHidden()))
        self.stage = QComboBox()
        self.stage.setAccessibleName("Change")
        for number, (name, text) in enumerate(CHANGES.items()):
            stage = STAGES[f"segmentation.{name}"]
            self.stage.addItem(text, stage.name)
            self.stage.setItemData(number, stage.title, Qt.ItemDataRole.ToolTipRole)
        self.stage.currentIndexChanged.connect(self._choose)
        self.preview = button("Preview", "Show over the slices what would change", self.try_out)
        self.apply_button = button("Apply", "Keep the change (Enter)", self.apply, primary=True)
        self.discard_button = button("Discard", "Leave the label as it is (Esc)", self.discard)
        self.told = label("", "muted")
        self._arrange()
        self._keys = [
            QShortcut(QKeySequence(key), self, action)
            for key, action in (
                (Qt.Key.Key_Return, self.apply),
                (Qt.Key.Key_Enter, self.apply),
                (Qt.Key.Key_Escape, self.discard),
            )
        ]
        desk.bindings.enable(self.preview, self.lacks, "Show over the slices what would change")
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)
        self.open(False)

    def _arrange(self) -> None:
        self._page = QWidget()
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.stage)
        self._rows = QFormLayout()
        column.addLayout(self._rows)
        row = QHBoxLayout()
        for made in (self.preview, self.apply_button, self.discard_button):
            row.addWidget(made)
        column.addLayout(row)
        column.addWidget(self.told)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        outer.addWidget(self._page)

    def open(self, shown: bool) -> None:
        """Show or hide the form; hiding it discards what is being tried."""
        self._page.setVisible(shown)
        self.fold.setText("▾ Change the whole label" if shown else "▸ Change the whole label")
        if shown:
            self._choose()
        else:
            self.discard()

    @property
    def chosen(self) -> Stage:
        """The stage that is chosen."""
        return STAGES[self.stage.currentData()]

    def _choose(self) -> None:
        """Show the inputs and parameters of the chosen stage."""
        self.discard()
        while self._rows.rowCount():
            self._rows.removeRow(0)
        self._params, self.inputs = {}, {}
        for needed in self.chosen.inputs[1:]:
            if needed.kind == "LabelMap":
                box = QComboBox()
                keep_narrow(box)
                box.setAccessibleName(readable(needed.name))
                if needed.optional:
                    box.addItem("none", "")
                for name in self._desk.labels():
                    if name != self._desk.hand.target:
                        box.addItem(readable(name), name)
                self.inputs[needed.name] = box
                self._rows.addRow(f"{readable(needed.name)} label", box)
        self.form = ParameterForm(self.chosen)
        self.form.changed.connect(self._set)
        self._rows.addRow(self.form)

    def _set(self, name: str, value: object) -> None:
        self._params[name] = value

    def lacks(self) -> str:
        """Return what a change needs, "" when it can be tried."""
        target = self._desk.hand.target
        if not isinstance(self._desk.value(target) if target else None, LabelMap):
            return "a computed label; choose one above"
        if not self._desk.is_current(target):
            return "the label to be up to date"
        if any(box.count() == 0 for box in self.inputs.values()):
            return "another label"
        return ""

    def _chosen_inputs(self) -> dict[str, str]:
        names = {name: box.currentData() for name, box in self.inputs.items()}
        for needed in self.chosen.inputs[1:]:
            if needed.kind == "Volume":
                names[needed.name] = self._desk.session.view.image
        return {name: value for name, value in names.items() if value}

    def try_out(self) -> None:
        """Compute the change beside the window and show it over the slices."""
        self.discard()
        desk, stage, target = self._desk, self.chosen, self._desk.hand.target
        names, key = self._chosen_inputs(), desk.key_of(target)
        params = {name: value for name, value in self._params.items() if value is not None}
        values = {name: desk.value(given) for name, given in names.items()}
        values[stage.inputs[0].name] = desk.labels()[target]

        def work(progress: Progress) -> Any:
            return stage.run(values, params, progress)

        text = self.stage.currentText()

        def take(result: LabelMap) -> None:
            self._show(Tried(text, stage, target, key, names, params, result))

        self.told.setText("Computing the preview…")
        job = desk.run(f"Preview: {text.lower()}", work, take, ended=lambda: self._ended(job))
        self._job = job

    def _ended(self, job: Job[Any]) -> None:
        if self._job is job:  # else another preview was asked for meanwhile
            self._job = None
            if self._tried is None:
                self.told.setText("")

    def _show(self, tried: Tried) -> None:
        if self._desk.key_of(tried.target) == tried.key:
            self._tried = tried
            self._desk.trial = Trial(tried.target, tried.result)
            self._desk.session.notify()

    def apply(self) -> None:
        """Make what is shown a step of the plan, as one change that can be undone."""
        tried, desk = self._tried, self._desk
        if tried is None:
            return
        self._forget()
        name = f"{tried.name}: {readable(tried.target).lower()}"
        add = partial(
            desk.session.apply_stage,
            tried.stage.name,
            tried.target,
            tried.inputs,
            tried.params,
            name,
        )
        if desk.attempt(add):
            desk.foresee(tried.target, tried.result)
            desk.compute(tried.target)

    def discard(self) -> None:
        """Stop the work on the preview, or let go of what is shown."""
        if self._job is not None:
            self._job.cancel()
        if self._tried is not None:
            self._forget()
            self._desk.session.notify()

    def _forget(self) -> None:
        self._tried, self._desk.trial = None, None
        self.told.setText("")

    def refresh(self) -> None:
        """Show whether a change is being tried; one of another label or plan is let go."""
        tried, desk = self._tried, self._desk
        if tried is not None and (
            desk.key_of(tried.target) != tried.key or desk.hand.target != tried.target
        ):
            self.discard()
            tried = None
        for made in (self.apply_button, self.discard_button):
            made.setEnabled(tried is not None)
        for key in self._keys:
            key.setEnabled(tried is not None)
        if tried is not None:
            before, after = desk.labels()[tried.target].volume_ml(), tried.result.volume_ml()
            self.told.setText(f"{before:.1f} mL → {after:.1f} mL. Enter applies, Esc discards.")
