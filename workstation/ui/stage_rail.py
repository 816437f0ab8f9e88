"""The stages of the work, on the left: free navigation, marks, findings, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.wording import counted
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.icons import set_icon
from workstation.ui.panels.parts import set_role

STAGE_NAMES = ("Case", "Import", "Segment", "Model", "Measure", "Plan", "Flow", "Print", "Report")
WIDTH_PX, NARROW_PX = 200, 68
ICONS = {
    "Case": "ph.identification-card",
    "Import": "ph.download-simple",
    "Segment": "ph.paint-brush",
    "Model": "ph.cube",
    "Measure": "ph.ruler",
    "Plan": "ph.scissors",
    "Flow": "ph.waves",
    "Print": "ph.printer",
    "Report": "ph.file-text",
}
FLOW_KINDS = ("FlowResult", "Courses")
DONE, WORKING, OPEN, STALE, FAILED = "✓", "●", "○", "↻", "▲"
MEANING = {
    DONE: "done",
    WORKING: "being worked on",
    OPEN: "open",
    STALE: "needs recomputing",
    FAILED: "failed",
}
_ROLES = {DONE: "done", WORKING: "", OPEN: "muted", STALE: "warning", FAILED: "problem"}


@dataclass(frozen=True)
class StageState:
    """How a stage stands: its mark, how many findings need attention, what it lacks.

    One that has no use in this plan is not ``offered``.
    """

    mark: str = OPEN
    findings: int = 0
    needs: str = ""
    offered: bool = True


def group_of(step: Mapping[str, Any]) -> str:
    """Return the stage of the work that a step of a summary belongs to."""
    stage = STAGES.get(step["stage"])
    return stage.group if stage is not None else ""


def makes_flow(step: Mapping[str, Any]) -> bool:
    """Tell whether a step of a summary computes blood flow."""
    stage = STAGES.get(step["stage"])
    return stage is not None and stage.output_kind in FLOW_KINDS


def _mark(states: Sequence[str]) -> str:
    if not states:
        return OPEN
    if "failed" in states:
        return FAILED
    if all(state == "fresh" for state in states):
        return DONE
    if "stale" in states:
        return STALE
    return WORKING if "fresh" in states else OPEN


def stage_states(summary: Mapping[str, Any] | None, running: str = "") -> dict[str, StageState]:
    """Return how each stage stands, from a case's summary (None: no case is open).

    ``running`` is the output that is computed right now.
    """
    if summary is None:
        first = {"Case": StageState(OPEN, 0, "a case")}
        rest = {
            name: StageState(OPEN, 0, "an open case", name != "Flow") for name in STAGE_NAMES[1:]
        }
        return first | rest
    images = [s for s in summary["sources"] if s["kind"] in ("dicom", "volume", "surface")]
    serious = [f for f in summary["findings"] if f["severity"] != "info"]
    sources = {s["name"] for s in summary["sources"]}
    states = {
        "Case": StageState(DONE),
        "Import": StageState(
            DONE if images else OPEN, sum(f.get("step") in sources for f in serious)
        ),
    }
    lack = "" if summary["steps"] else ("a plan" if images else "an image")
    for name in ("Segment", "Model", "Measure", "Plan", "Flow", "Print"):
        belongs = makes_flow if name == "Flow" else lambda s, n=name: group_of(s) == n
        steps = [s for s in summary["steps"] if belongs(s)]
        outputs = {s["output"] for s in steps}
        mark = WORKING if running in outputs else _mark([s["state"] for s in steps])
        missing = [s["output"] for s in steps if s["state"] != "fresh"]
        needs = lack or ("recompute" if mark == STALE else "")
        if not steps or not missing:
            needs = lack
        found = sum(f.get("step") in outputs for f in serious)
        states[name] = StageState(mark, found, needs, name != "Flow" or bool(steps))
    every = all(s["state"] == "fresh" for s in summary["steps"]) and bool(summary["steps"])
    needs = lack or ("" if every else "a computed plan")
    states["Report"] = StageState(OPEN, len(serious), needs)
    return states


class _Row(QPushButton):
    """One stage of the rail."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setProperty("flat", "true")
        self.setFixedHeight(36)
        self.mark, self.count = QLabel(OPEN), QLabel()
        self.title = QLabel(name)
        picture = QToolButton()
        picture.setProperty("flat", "true")
        set_icon(picture, ICONS[name])
        self.mark.setFixedWidth(18)
        self.count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(4)
        for part in (self.mark, picture, self.title, self.count):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            row.addWidget(part, 1 if part is self.title else 0)

    def show_state(self, state: StageState) -> None:
        """Show mark, findings and what is missing."""
        self.setVisible(state.offered)
        set_role(self.mark, _ROLES[state.mark])
        self.mark.setText(state.mark)
        self.count.setText(f"! {state.findings}" if state.findings else "")
        set_role(self.count, "warning")
        words = [f"{self.name}: {MEANING[state.mark]}"]
        if state.findings:
            words.append(counted(state.findings, "finding") + " to look at")
        if state.needs:
            words.append(f"needs: {state.needs}")
        self.setToolTip("\n".join(words))
        self.setAccessibleName(", ".join(words))


class StageRail(QFrame):
    """The list of stages; ``chosen`` tells the name of the one that a person asks for."""

    chosen = Signal(str)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.setFixedWidth(WIDTH_PX)
        self.setProperty("role", "panel")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(2)
        self.rows = {name: _Row(name) for name in STAGE_NAMES}
        for name, row in self.rows.items():
            row.clicked.connect(lambda _, n=name: self.chosen.emit(n))
            column.addWidget(row)
        column.addStretch(1)
        self.fold = QToolButton()
        self.fold.setProperty("flat", "true")
        column.addWidget(self.fold)
        self.hint = QLabel("Ctrl+K  all actions\nF1  shortcuts")
        self.hint.setProperty("role", "muted")
        column.addWidget(self.hint)
        desk.bindings.add(self.refresh)
        self.refresh()

    def set_wide(self, wide: bool, scale: float = 1.0) -> None:
        """Show the stages with names and findings, or as marks and icons; text has ``scale``."""
        self.setFixedWidth(round((WIDTH_PX if wide else NARROW_PX) * scale))
        for row in self.rows.values():
            row.title.setVisible(wide)
            row.count.setVisible(wide)
        self.hint.setVisible(wide)
        set_icon(self.fold, "ph.caret-double-left" if wide else "ph.caret-double-right")
        self.fold.setToolTip(f"{'Only icons' if wide else 'Show names'} (Ctrl+B)")
        self.fold.setAccessibleName(self.fold.toolTip())

    def states(self) -> dict[str, StageState]:
        """Return how each stage stands now."""
        session = self._desk.session
        summary = session.summary() if session.case is not None else None
        return stage_states(summary, self._desk.computing)

    def refresh(self) -> None:
        """Show how the stages stand."""
        for name, state in self.states().items():
            self.rows[name].show_state(state)

    def choose(self, name: str) -> None:
        """Mark ``name`` as the stage that is shown."""
        row = self.rows[name]
        row.setChecked(True)
        if any(other.hasFocus() for other in self.rows.values()):
            row.setFocus()
