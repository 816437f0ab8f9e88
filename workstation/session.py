"""One open case as a person works on it: plan, undo, values, view state. It knows no window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segmentation.contract import Progress
from segmentation.volume import EditLog, LabelMap, LabelPatch, Volume
from workstation.alignment import Alignment
from workstation.case import Case, CaseError, open_case
from workstation.case_sources import with_sources_named
from workstation.fusion import Look
from workstation.jobs import Job
from workstation.looks import ItemLook
from workstation.planning.plan import Plan, Step
from workstation.planning.template import templates
from workstation.review import confirm_row, mark_reviewed, withdraw_review, withdraw_row
from workstation.sections import Clip
from workstation.stages import STAGES, at_present, check_plan, find_stage

Point = tuple[float, float, float]

DRAWN = ("SurfaceMesh", "Centerline")
"""Types of results that a template may leave switched off at first."""


@dataclass(frozen=True)
class Window:
    """Display window of an image: width and level, in the image's unit."""

    width: float
    level: float


PRESETS = {
    "Abdomen": Window(400, 60),
    "Liver": Window(150, 90),
    "Angio": Window(600, 170),
    "Lung": Window(1500, -600),
    "Bone": Window(1800, 400),
    "Brain": Window(80, 40),
}
"""Usual CT windows in HU; their order is that of the number keys."""


SOURCE_TYPES = {
    "dicom": "Volume",
    "volume": "Volume",
    "labels": "LabelMap",
    "surface": "SurfaceMesh",
    "edits": "EditLog",
    "record": "PersonRecord",
}
"""Kind of a source in the case to the type of its value."""


@dataclass
class ViewState:
    """What the views show; not part of the plan and not undoable.

    ``crosshair_mm`` is in LPS; ``hidden`` holds names of results that are switched off;
    ``marks`` are landmarks in the image; ``second`` names what lies over it in the way of
    ``look``. ``selected`` names the surface or measurement that was clicked; ``looks`` says how
    surfaces are drawn by name, and ``clip`` what of the 3D view is cut away.
    """

    image: str = ""
    crosshair_mm: Point | None = None
    window: Window = PRESETS["Abdomen"]
    hidden: set[str] = field(default_factory=set)
    opacity: float = 0.35
    selected: str = ""
    marks: tuple[Point, ...] = ()
    second: str = ""
    look: Look = "two_colours"
    second_opacity: float = 0.5
    looks: dict[str, ItemLook] = field(default_factory=dict)
    clip: Clip = ()


CHOSEN = ("aneurysm_chosen", "narrowest_place", "widest_place")
"""The codes of findings at whose place views begin."""


def _set_aside(plan: Plan) -> set[str]:
    """Return the surfaces and lines on the way that the plan's template does not show at first."""
    template = templates().get(plan.template)
    shown = template.figures.shown if template is not None else ()
    drawn = [s.output for s in plan.steps if find_stage(s).output_kind in DRAWN]
    aside = set(template.figures.aside) if template is not None else set()
    return {output for output in drawn if output not in shown} | aside if shown else aside


def _first_place(case: Case) -> Point | None:
    """Return where views begin, LPS mm, if a finding of the plan says it."""
    places = (f.get("location_mm") for f in case.summary()["findings"] if f["code"] in CHOSEN)
    place = next(places, None)
    return None if place is None else (place[0], place[1], place[2])


class Session:
    """Holds the open case and tells listeners, through ``changed``, that something moved."""

    def __init__(self) -> None:
        self.case: Case | None = None
        self.plan: Plan | None = None
        self.view = ViewState()
        self.changed: list[Callable[[], None]] = []
        self._summary: dict[str, Any] | None = None

    # Case ----------------------------------------------------------------------------

    def open(self, folder: Path) -> None:
        """Open the case in ``folder``; the one that was open is closed.

        Raises:
            CaseError: if it cannot be opened; then nothing changes.
        """
        self.adopt(open_case(folder))

    def adopt(self, case: Case) -> None:
        """Take over an open case."""
        plan = case.plan() if case.plan_number else None
        self.close()
        self.case, self.plan, self.view = case, plan, ViewState()
        self.view.image = next(
            (n for n, s in case.record.sources.items() if s["kind"] in ("dicom", "volume")), ""
        )
        if plan is not None:
            self.view.hidden = _set_aside(plan)
            self.view.crosshair_mm = _first_place(case)
        self.notify()

    def close(self) -> None:
        """Close the case, if one is open."""
        if self.case is not None:
            self.case.close()
        self.case, self.plan, self.view = None, None, ViewState()
        self.notify()

    def require_case(self) -> Case:
        """Return the open case.

        Raises:
            CaseError: if none is open.
        """
        if self.case is None:
            raise CaseError("no case is open; open or import one first")
        return self.case

    def require_plan(self) -> Plan:
        """Return the current plan.

        Raises:
            CaseError: if there is none.
        """
        if self.plan is None:
            raise CaseError("the case has no plan yet; start one from a template")
        return self.plan

    def notify(self) -> None:
        """Tell every listener that something changed."""
        self._summary = None
        for listener in tuple(self.changed):
            listener()

    # Undo ----------------------------------------------------------------------------

    def do(self, label: str, after: Plan) -> None:
        """Make ``after`` the plan; the step can be undone under the name ``label``."""
        if after == self.plan:
            return
        case = self.require_case()
        self.plan = at_present(after, case.values)
        case.add_plan(self.plan, label)
        self.notify()

    @property
    def undo_label(self) -> str:
        """The name of what `undo` takes back, "" if there is nothing."""
        record = self.case.record if self.case else None
        return record.history[record.position].label if record and record.position > 0 else ""

    @property
    def redo_label(self) -> str:
        """The name of what `redo` brings back, "" if there is nothing."""
        record = self.case.record if self.case else None
        if record is None or record.position + 1 >= len(record.history):
            return ""
        return record.history[record.position + 1].label

    def undo(self) -> None:
        """Return to the previous plan; its results are still there."""
        self._go(-1)

    def redo(self) -> None:
        """Return to the plan that was undone."""
        self._go(+1)

    def vary(self, act: Callable[[Case], object]) -> None:
        """Do something to the named plans of the case, and take over the plan it leads to."""
        case = self.require_case()
        act(case)
        self.plan = case.plan()
        self.notify()

    def _go(self, by: int) -> None:
        case = self.require_case()
        case.go_to(case.record.position + by)
        self.plan = case.plan()
        self.notify()

    # Edits ---------------------------------------------------------------------------

    def set_params(self, output: str, label: str = "", **params: Any) -> None:
        """Change parameters of one step; None takes a parameter back to its default."""
        after = self.require_plan().with_params(output, **params)
        self._do_checked(label or f"Change {output}", after)

    def add_patch(self, output: str, patch: LabelPatch, label: str = "Brush stroke") -> None:
        """Add one hand edit to the label that ``output`` names; it becomes a source."""
        case, plan = self.require_case(), self.require_plan()
        step = plan.step(output)
        if step.stage == "segmentation.edit":
            log: EditLog = case.values[plan.sources[step.inputs["edits"]]]
            key = case.add_edits(step.inputs["edits"], log.then(patch))
            self.do(label, plan.with_sources(**{step.inputs["edits"]: key}))
            return
        labels: LabelMap = self.value(output)
        name = f"{output}_edits"
        key = case.add_edits(name, EditLog(labels.geometry).then(patch))
        after = plan.with_sources(**{name: key}).followed(
            output, "labels", Step("segmentation.edit", output, inputs={"edits": name})
        )
        self.do(label, after)

    def add_prompt(self, output: str, points_mm: tuple[Point, ...], foreground: bool) -> None:
        """Add one click or stroke to the label ``output``: to its own step, or a correction of it.

        The first one inside a label that the plan has not makes that label.
        """
        plan = self.require_plan()
        prompt = ("inside" if foreground else "outside", points_mm)
        title = "Place seed" if len(points_mm) == 1 else "Draw stroke"
        if foreground and all(step.output != output for step in plan.steps):
            inputs = {"volume": self.view.image}
            # After clicks the network is the better one, after strokes none is: see its card.
            stage = "prompted_network" if len(points_mm) == 1 else "prompted"
            self.add_step(f"segmentation.{stage}", output, inputs, {"prompts": (prompt,)})
            return
        step = plan.step(output)
        side = "foreground_mm" if foreground else "background_mm"
        if "prompts" in STAGES[step.stage].parameters:
            prompts = (*step.params.get("prompts", ()), prompt)
            self.do(title, plan.with_params(output, prompts=prompts))
        elif side in STAGES[step.stage].parameters:
            points = (*step.params.get(side, ()), *points_mm)
            self.do(title, plan.with_params(output, **{side: points}))
        else:
            self.apply_stage(
                "segmentation.refine",
                output,
                {"volume": self.view.image},
                {side: points_mm},
                title,
            )

    # Reviews -------------------------------------------------------------------------

    def review(self, output: str, by: str) -> None:
        """Note that the person ``by`` reviewed the label ``output`` as it is computed now.

        It is a statement about a result, not a change of the plan: there is nothing to undo.
        """
        case = self.require_case()
        mark_reviewed(self.require_plan(), case.record, case.values, output, by)
        case.save()
        self.notify()

    def withdraw_review(self, output: str) -> None:
        """Take back the review of the label ``output`` as it is now."""
        case = self.require_case()
        withdraw_review(self.require_plan(), case.record, output)
        case.save()
        self.notify()

    def confirm_row(self, row: Mapping[str, Any], by: str, comment: str = "") -> None:
        """Note that the person ``by`` confirms a row of a review sheet as it stands."""
        case = self.require_case()
        confirm_row(case.record, row, by, comment)
        case.save()
        self.notify()

    def withdraw_row(self, row: Mapping[str, Any]) -> None:
        """Take back the confirmation of a row as it stands."""
        case = self.require_case()
        withdraw_row(case.record, row)
        case.save()
        self.notify()

    # Steps ---------------------------------------------------------------------------

    def kinds(self) -> dict[str, str]:
        """Return the name of all that a new step can take, with the type of its value.

        That is every output of the plan and every source of the case, used so far or not.
        """
        plan = self.require_plan()
        sources = self.require_case().record.sources
        kinds = {name: SOURCE_TYPES[about["kind"]] for name, about in sources.items()}
        return kinds | {step.output: find_stage(step).output_kind for step in plan.steps}

    def add_step(
        self, stage: str, output: str, inputs: Mapping[str, str], params: Mapping[str, Any]
    ) -> None:
        """Add a step that makes the new result ``output`` at the end of the plan."""
        step = Step(stage, output, STAGES[stage].version, inputs, params)
        self._do_checked(f"Add {output}", self._plan_for(inputs).added(step))

    def apply_stage(
        self,
        stage: str,
        output: str,
        inputs: Mapping[str, str],
        params: Mapping[str, Any],
        label: str = "",
    ) -> None:
        """Change the result ``output`` by one more stage; what follows uses the changed one.

        ``inputs`` are those besides the first, which is ``output`` itself.
        """
        first = STAGES[stage].inputs[0].name
        step = Step(stage, output, STAGES[stage].version, inputs, params)
        after = self._plan_for(inputs).followed(output, first, step)
        self._do_checked(label or f"{STAGES[stage].title}: {output}", after)

    def _plan_for(self, inputs: Mapping[str, str]) -> Plan:
        """Return the plan with the sources of the case that ``inputs`` name and it lacks."""
        sources = self.require_case().record.sources
        return with_sources_named(self.require_plan(), sources, inputs.values())

    def align(
        self, pair: Alignment, kind: str, fixed_mm: Iterable[Point], moving_mm: Iterable[Point]
    ) -> None:
        """Bring one image of the case onto another, as one undoable change.

        Points mark the same places in both, LPS mm in the frame of each.
        """
        plan = self._plan_for({"fixed": pair.fixed, "moving": pair.moving})
        after = pair.added_to(plan, kind, tuple(fixed_mm), tuple(moving_mm))
        self.do(f"Align {pair.moving}", after)

    def remove_step(self, output: str) -> None:
        """Remove the last step that makes ``output``."""
        self.do(f"Remove {output}", self.require_plan().without(output))

    def _do_checked(self, label: str, after: Plan) -> None:
        check_plan(after)
        self.do(label, after)

    # Values --------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """Return the value of a source or result, as computed for the current plan.

        Raises:
            CaseError: if it is not there or not computed yet.
        """
        return self.require_case().value(name, self.require_plan())

    def available(self) -> list[str]:
        """Return the outputs that are computed for the current plan."""
        return [s["output"] for s in self.summary()["steps"] if s["state"] == "fresh"]

    def image(self) -> Volume | None:
        """Return the image that the views show."""
        if self.case is None or not self.view.image:
            return None
        source = self.case.record.sources[self.view.image]
        value: Volume = self.case.values[source["sha256"]]
        return value

    def summary(self) -> dict[str, Any]:
        """Return the case's summary document (steps, numbers, findings) of the current plan."""
        if self._summary is None:
            self._summary = self.require_case().summary()
        return self._summary

    def compute_job(
        self, outputs: Iterable[str] = (), watch: Callable[[Job[Any]], None] = lambda job: None
    ) -> Job[dict[str, str]]:
        """Return a job that computes the named outputs, or the whole plan, and what they need."""
        case, plan = self.require_case(), self.require_plan()
        wanted = tuple(outputs)
        part = plan.only(*wanted) if wanted else plan

        def work(progress: Progress) -> dict[str, str]:
            return case.run(part, progress)

        title = f"Compute {', '.join(wanted)}" if wanted else "Compute the plan"
        return Job(title, work, watch)

    def with_cut(self, point_mm: Point, normal: Point) -> Plan:
        """Return the current plan with its cut plane moved."""
        return self.require_plan().with_params("cut", point_mm=point_mm, normal=normal)

    def move_cut(self, point_mm: Point, normal: Point) -> None:
        """Move the cut plane as one undoable change."""
        self.do("Move cut plane", self.with_cut(point_mm, normal))

    def set_view(self, **changes: Any) -> None:
        """Change the view state and tell the listeners."""
        self.view = replace(self.view, **changes)
        self.notify()
