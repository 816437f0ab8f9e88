"""The kind of the cut: what divides the organ, and what each kind needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from segmentation.volume import LabelMap
from workstation.planning.cut_start import facing_planes, plane_of, territories_with, turned
from workstation.planning.cut_surface import CutSurface
from workstation.planning.plan import Plan, Step
from workstation.planning.resection import CutPlane
from workstation.planning.vein_changes import freeing_steps, with_dissected
from workstation.restaging import restaged
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP
from workstation.ui.panels.cut_parts import (
    JoinPart,
    Part,
    PlanesPart,
    SheetPart,
    StemPart,
    WedgePart,
)
from workstation.ui.panels.cut_territories import TerritoryPart
from workstation.ui.panels.parts import keep_narrow, label

PLANE, PLANES, SHEET = "planning.cut_plane", "planning.cut_planes", "planning.cut_surface"
BORDER, WEDGE = "planning.cut_by_territories", "planning.cut_wedge"
JOINED = "planning.combine_cuts"
KINDS = {
    PLANE: "Plane",
    PLANES: "Several planes",
    SHEET: "Bent sheet",
    BORDER: "Along a territory's border",
    WEDGE: "Wedge around the tumour",
    JOINED: "Combination of two cuts",
}
OTHER = f"{CUT_STEP}_other"
HINTS = {
    PLANE: "Drag its handle in 3D, or its line on the slices.",
    PLANES: "Drag the lines on the slices, or the handle of the chosen plane in 3D.",
    SHEET: "Drag the balls in 3D or the line on the slices, or draw the cut.",
    BORDER: "What is ticked is removed.",
    WEDGE: "Around each lesion with its margin, by the numbers below.",
}
PART_HINT = "As a part it is set by numbers, in its step; to drag it, make it the only cut first."


class CutChoice(QWidget):
    """Chooses the kind of the cut and sets it; each change can be undone."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._edited = CUT_STEP
        self.kind = _kinds("Kind of cut", list(KINDS))
        self.kind.activated.connect(lambda _: self.choose(self.kind.currentData(), CUT_STEP))
        self.join = JoinPart(partial(self._set, CUT_STEP), self._edit)
        self.part_kind = _kinds("Kind of this part of the cut", [k for k in KINDS if k != JOINED])
        self.part_kind.activated.connect(
            lambda _: self.choose(self.part_kind.currentData(), self._edited)
        )
        self.hint = label("", "muted")
        change = self._change
        self.sheet, self.planes = SheetPart(change, self._swap), PlanesPart(change)
        self.territories, self.wedge = TerritoryPart(change), WedgePart(change)
        self.pages: dict[str, Part] = {
            SHEET: self.sheet,
            PLANES: self.planes,
            BORDER: self.territories,
            WEDGE: self.wedge,
        }
        self.stems = StemPart(self._free)
        row = QHBoxLayout()
        row.addWidget(label("Kind of cut", wrap=False))
        row.addWidget(self.kind, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        for part in (self.join, self.part_kind, self.hint, *self.pages.values(), self.stems):
            column.addWidget(part)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh, self)

    @property
    def edited(self) -> str:
        """The name of the cut that is changed here: the plan's, or a part of a combination."""
        return self._edited

    def lacks(self, kind: str) -> str:
        """Return what a cut of a kind needs, "" when it can be chosen."""
        cut = self._desk.value(self._edited)
        if not isinstance(cut, CutPlane | CutSurface):
            return "a computed cut"
        wanted = {WEDGE: "tumor", JOINED: "tumor", BORDER: "territories"}.get(kind, "")
        if wanted and not isinstance(self._desk.value(wanted), LabelMap):
            return "territories of named branches" if kind == BORDER else "a tumour"
        return ""

    def choose(self, kind: str, name: str = CUT_STEP) -> None:
        """Make a cut one of another kind, near the one that is there, as one change."""
        desk = self._desk
        lack = self.lacks(kind)
        if lack:
            desk.fail(ValueError(f"{KINDS[kind]}: this needs {lack}; make it first"))
            self.refresh()
            return
        words = f"Cut: {KINDS[kind][:1].lower()}{KINDS[kind][1:]}"
        if desk.attempt(lambda: desk.session.do(words, self._of_kind(kind, name))):
            self._compute()
        self.refresh()

    def _of_kind(self, kind: str, name: str) -> Plan:
        plan = self._desk.session.require_plan()
        if kind == JOINED:
            if all(step.output != OTHER for step in plan.steps):
                plan = restaged(plan, OTHER, WEDGE)
            return restaged(plan, CUT_STEP, JOINED)
        plan = restaged(plan, name, kind)
        return plan.with_params(name, **self._first(kind, plan.step(name)))

    def _first(self, kind: str, step: Step) -> Mapping[str, Any]:
        """Return the parameters with which a cut of a kind begins."""
        cut, tumor = self._desk.value(self._edited), self._desk.value("tumor")
        lesion = tumor if isinstance(tumor, LabelMap) else None
        if kind == BORDER and "names" not in step.params:
            return {"names": territories_with(lesion, self._desk.value("territories"))}
        if kind == PLANES and "points_mm" not in step.params:
            points, normals = facing_planes(*plane_of(cut, lesion), lesion)
            return {"points_mm": points, "normals": normals}
        return {}

    def _change(self, words: str, params: Mapping[str, Any]) -> None:
        self._set(self._edited, words, params)

    def _swap(self) -> None:
        """Turn a sheet round, as one change."""
        cut = self._desk.value(self._edited)
        if isinstance(cut, CutSurface) and cut.sheet is not None:
            sheet = turned(cut.sheet)
            self._change(
                "Swap sides of the cut",
                {
                    "point_mm": sheet.point_mm,
                    "normal": sheet.normal,
                    "along": sheet.along,
                    "heights_mm": sheet.heights_mm,
                    "line_mm": None,
                },
            )

    def _set(self, name: str, words: str, params: Mapping[str, Any]) -> None:
        session = self._desk.session
        if self._desk.attempt(lambda: session.set_params(name, words, **params)):
            self._compute()

    def _free(self, at_most_mm: float) -> None:
        """Let stems be freed of the specimen so far, in every step alike, as one change."""
        session = self._desk.session
        plan = with_dissected(session.require_plan(), at_most_mm)
        if self._desk.attempt(lambda: session.do("Free stems of the specimen", plan)):
            self._compute()

    def _compute(self) -> None:
        self._desk.previewed.emit(None)
        self._desk.compute()

    def _edit(self, name: str) -> None:
        """Change another part of a combination from now on."""
        self._edited = name
        self._desk.session.notify()
        self.refresh()

    def _forget(self) -> None:
        self._edited = CUT_STEP

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the cut of the plan as it stands."""
        plan = self._desk.session.plan
        steps = {step.output: step for step in plan.steps} if plan is not None else {}
        whole = steps.get(CUT_STEP)
        if whole is None:
            return
        joined = whole.stage == JOINED
        parts = (whole.inputs["cut"], whole.inputs["other"]) if joined else ()
        if self._edited not in (parts or (CUT_STEP,)):
            self._edited = parts[0] if parts else CUT_STEP
        step = steps.get(self._edited, whole)
        self._show_kind(self.kind, whole.stage)
        self._show_kind(self.part_kind, step.stage)
        self.join.setVisible(joined)
        self.part_kind.setVisible(joined)
        if joined:
            self.join.show_parts(whole.params, parts, self._edited)
        by_hand = joined and step.stage == SHEET
        self.hint.setText(PART_HINT if by_hand else HINTS.get(step.stage, ""))
        self.sheet.draw.setEnabled(not joined)
        for stage, page in self.pages.items():
            page.setVisible(stage == step.stage)
        self._fill(step)
        assert plan is not None
        lost = next((s for s in freeing_steps(plan)), None)
        self.stems.setVisible(lost is not None)
        if lost is not None:
            self.stems.show_params(plan.step(lost).params)

    def _fill(self, step: Step) -> None:
        value = self._desk.value(step.inputs.get("territories", ""))
        territories = value if isinstance(value, LabelMap) else None
        if step.stage == BORDER:
            self.territories.show_territories(territories)
        page = self.pages.get(step.stage)
        if page is not None:
            page.show_params(step.params)

    def _show_kind(self, box: QComboBox, stage: str) -> None:
        with QSignalBlocker(box):
            box.setCurrentIndex(box.findData(stage))


def _kinds(name: str, kinds: list[str]) -> QComboBox:
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(name)
    box.setToolTip(f"{name}; the numbers follow, and it can be undone")
    for kind in kinds:
        box.addItem(KINDS[kind], kind)
    return box
