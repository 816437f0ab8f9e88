"""What all parts of the window share: the session, its jobs, loaded values and the tool in hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from hemodynamics.flow_result import FlowResult
from segmentation.contract import Progress, share
from segmentation.volume import LabelMap, LabelPatch, Volume
from workstation.case import Case
from workstation.jobs import Job, State
from workstation.model_export import doubles
from workstation.planning.plan import Plan
from workstation.problems import explain
from workstation.session import Point, Session
from workstation.stages import find_stage
from workstation.ui.bind import Bindings
from workstation.ui.hand import Hand
from workstation.ui.job_bar import JobRunner
from workstation.ui.slice_paint import Tool

EDIT_STAGE = "segmentation.edit"


@dataclass(frozen=True)
class Trial:
    """What a change would make of a label: shown over it until it is applied or discarded."""

    target: str
    labels: LabelMap


class Desk(QObject):
    """One open window's session and the work that runs for it.

    Views never read values from disk themselves: a background job loads what the plan has,
    and `value` returns None until it is there.
    """

    failed = Signal(object)
    left = Signal()
    arrived = Signal(object, object)
    previewed = Signal(object)
    judged = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.jobs = JobRunner(self)
        self.bindings = Bindings(session, self)
        self.hand = Hand()
        self.trial: Trial | None = None
        self.arriving: tuple[Path, Volume] | None = None
        self.arrived.connect(self._show_arrival)
        self._loaded: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self._foreseen: dict[str, Any] = {}
        self._keyed: tuple[Plan | None, dict[str, str]] = (None, {})
        self._computing: Job[Any] | None = None
        self._loading: Job[Any] | None = None
        self._message = ""
        self._known: set[str] = set()
        self._leaving: list[tuple[Case, set[Job[Any] | None]]] = []
        self.jobs.ended.connect(self._close_left)
        self.jobs.changed.connect(self._follow)
        self.bindings.add(self._hide_new)
        self.bindings.add(self._load_missing)

    def leave_case(self) -> None:
        """Stop all work on the open case and let go of everything that belongs to it.

        Nobody waits for work that takes its time to stop: the case is closed when it has.
        """
        for job in (self._computing, self._loading):
            if job is not None:
                job.cancel()
        case, self.session.case = self.session.case, None
        if case is not None:
            self._leaving.append((case, set(self.jobs.local)))
        self._close_left()
        self._forget()

    def _close_left(self, ended: Job[Any] | None = None) -> None:
        """Close the cases that were left and on which no work goes on any more."""
        for case, jobs in self._leaving:
            jobs.discard(ended)
            if not jobs:
                case.close()
        self._leaving = [(case, jobs) for case, jobs in self._leaving if jobs]

    def _forget(self) -> None:
        self._computing = self._loading = None
        self._loaded, self._last, self._foreseen = {}, {}, {}
        self._known, self._message, self.arriving = set(), "", None
        self.hand, self.trial = Hand(), None
        self.left.emit()

    # Errors --------------------------------------------------------------------------

    def attempt(self, action: Callable[[], object]) -> bool:
        """Call ``action``; show a card if it fails. Returns whether it succeeded."""
        try:
            action()
        except Exception as error:
            self.fail(error)
            return False
        return True

    def fail(self, error: BaseException) -> None:
        """Show ``error`` as a card."""
        self.failed.emit(explain(error))

    # Work ----------------------------------------------------------------------------

    def run(
        self,
        title: str,
        work: Callable[[Progress], Any],
        then: Callable[[Any], None],
        network: bool = False,
        ended: Callable[[], object] = lambda: None,
    ) -> Job[Any]:
        """Do ``work`` in the background; ``then`` takes its result if it succeeds.

        Work that waits for others over the ``network`` holds up no other. ``ended`` is
        called last, also when the work failed or was stopped.
        """
        job = Job(title, work)
        self.jobs.start(job, lambda done: self._ended(done, then, ended), network=network)
        return job

    def _ended(
        self, job: Job[Any], then: Callable[[Any], None], ended: Callable[[], object]
    ) -> None:
        if job.error is not None:
            self.fail(job.error)
        elif job.state is State.SUCCESS:
            self.attempt(lambda: then(job.result))
        self.attempt(ended)

    def compute(self, *outputs: str) -> None:
        """Compute the named outputs, or the whole plan; a computation that runs gives way."""
        if self._computing is not None:
            self._computing.cancel()
        job = self.session.compute_job(outputs)
        self._computing = job
        self.jobs.start(job, self._computed)

    def _computed(self, job: Job[Any]) -> None:
        if self._computing is job:  # else it gave way, or its case was left
            self._computing = None
            if job.error is not None:
                self.fail(job.error)
        self.session.notify()

    def lacks_change(self, *outputs: str) -> str:
        """Return what a computation of ``outputs`` (default: all) needs, "" when it can run."""
        if self.session.plan is None:
            return "a plan"
        if self._computing is not None:
            return "the work that runs to end"
        steps = self.session.summary()["steps"]
        late = [
            s for s in steps if s["state"] != "fresh" and s["output"] in (outputs or s.values())
        ]
        return "" if late else "a change; everything here is up to date"

    @property
    def busy(self) -> bool:
        """Whether the plan is being computed, or a result is on its way to the views."""
        return self._computing is not None or self._loading is not None

    @property
    def computing(self) -> str:
        """The output that is computed right now, "" for none."""
        job = self._computing
        return job.message if job is not None and job.state is State.RUNNING else ""

    def _follow(self, job: Job[Any]) -> None:
        """Refresh when the plan's computation goes on to another step."""
        if job is self._computing and job.message != self._message:
            self._message = job.message
            self.session.notify()

    # Values --------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """Return the value of a source or computed result once it is loaded, or None."""
        plan = self.session.plan
        if plan is not None and name not in plan.sources and name in self._keys():
            return self.results().get(name)
        return self._loaded.get(self._source_key(name))

    def _keys(self) -> dict[str, str]:
        """Return name to content key of the present plan; every view asks for them."""
        plan = self.session.plan
        if plan is not self._keyed[0]:
            self._keyed = (plan, plan.keys() if plan is not None else {})
        return self._keyed[1]

    def key_of(self, name: str) -> str:
        """Return the content key that ``name`` has in the present plan, "" if it has none."""
        return self._keys().get(name, "")

    def is_current(self, name: str) -> bool:
        """Tell whether the value of the present plan, and no earlier one, is there."""
        key = self._keys().get(name) or self._source_key(name)
        return key in self._loaded or key in self._foreseen

    def foresee(self, name: str, value: Any) -> None:
        """Show the value that the present plan gives ``name`` before it is computed."""
        self._foreseen = {self._keys()[name]: value}

    def _show_arrival(self, folder: Path, volume: Volume) -> None:
        """Show the image that is being imported into a case, if nothing else is open."""
        if self.session.case is None:
            self.arriving = folder, volume
            self.session.notify()

    def hand_over(self, case: Case) -> None:
        """Spare a case that was just made the reading of the image that is shown already."""
        folder, volume = self.arriving or (None, None)
        if folder == case.folder and case.plan_number:
            sources = case.record.sources
            for name, key in case.plan().sources.items():
                if sources[name]["kind"] == "dicom":
                    case.values.sources.remember(key, volume)

    def forget_arrival(self) -> None:
        """Let go of the image that was being imported: it is in a case now, or never will be."""
        if self.arriving is not None:
            self.arriving = None
            self.session.notify()

    def image(self) -> Volume | None:
        """Return the image that the views show, once it is loaded."""
        if self.session.case is None:
            return self.arriving[1] if self.arriving is not None else None
        value = self.value(self.session.view.image)
        return value if isinstance(value, Volume) else None

    def notice(self, names: Iterable[str]) -> str:
        """Return what views of these values say of them: that they are late, or still to come."""
        waits = self._loading is not None and self.image() is None
        if waits and self._source_key(self.session.view.image):
            return "Loading the image"
        if all(self.is_current(name) for name in names if self.is_shown(name)):
            return ""
        return "↻ being recomputed" if self.busy else "↻ not up to date: recompute"

    def results(self) -> dict[str, Any]:
        """Return what there is to show by name: surface sources, then results in plan order.

        Until a result is computed for the present plan, its last value stands in for it;
        `is_current` tells them apart.
        """
        plan = self.session.plan
        known = self._foreseen | self._loaded
        surfaces = {name: known.get(key) for key, name in self._surface_sources().items()}
        found = {name: value for name, value in surfaces.items() if value is not None}
        keys = self._keys()
        for step in plan.steps if plan is not None else ():
            value = known.get(keys[step.output], self._last.get(step.output))
            if value is not None:
                found[step.output] = value
        self._last = found
        return found

    def labels(self) -> dict[str, LabelMap]:
        """Return the loaded label maps by name, in plan order."""
        return {n: v for n, v in self.results().items() if isinstance(v, LabelMap)}

    def flows(self) -> dict[str, FlowResult]:
        """Return the loaded flows that were computed, by name, in plan order."""
        found = self.results().items()
        return {n: v for n, v in found if isinstance(v, FlowResult) and len(v.times_s)}

    def _source_key(self, name: str) -> str:
        case, plan = self.session.case, self.session.plan
        if plan is not None and name in plan.sources:
            return plan.sources[name]
        about = case.record.sources.get(name) if case is not None else None
        return str(about["sha256"]) if about is not None else ""

    def _surface_sources(self) -> dict[str, str]:
        """Return content key to name of the case's surface files."""
        case = self.session.case
        sources = case.record.sources if case is not None else {}
        surfaces = [name for name, about in sources.items() if about["kind"] == "surface"]
        return {self._source_key(name): name for name in surfaces}

    def _wanted(self) -> dict[str, str]:
        """Return content key to name of all that the views may show."""
        session = self.session
        if session.case is None:
            return {}
        wanted = {self._source_key(session.view.image): session.view.image}
        wanted |= self._surface_sources()
        if session.plan is not None:
            keys = self._keys()
            wanted |= {keys[name]: name for name in session.available()}
        wanted.pop("", None)
        return wanted

    def _load_missing(self) -> None:
        wanted = self._wanted()
        self._loaded = {key: v for key, v in self._loaded.items() if key in wanted}
        self._loaded |= self._at_hand(wanted.keys() - self._loaded.keys())
        missing = [key for key in wanted if key not in self._loaded]
        if self._loading is not None or not missing or self.session.case is None:
            return
        case, plan = self.session.case, self.session.plan
        values = case.values

        def load(progress: Progress) -> Mapping[str, Any]:
            found = {}
            for n, key in enumerate(missing):
                share(progress, n, len(missing))(0.0, wanted[key])
                if key not in values and plan is not None:
                    case.restore_sources(plan)
                found[key] = values[key]
            return found

        self._loading = Job("Load", load)
        self.jobs.start(self._loading, self._take, light=True)

    def _at_hand(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values that are in memory: just computed, or shown until a moment ago."""
        case = self.session.case
        found = {key: case.values.in_memory(key) for key in keys} if case is not None else {}
        return {key: value for key, value in found.items() if value is not None}

    def _take(self, job: Job[Mapping[str, Any]]) -> None:
        if self._loading is not job:  # of a case that was left
            return
        self._loading = None
        if job.error is not None:
            self.fail(job.error)
        elif job.result is not None:
            self._loaded |= job.result
            self.session.notify()

    def is_shown(self, name: str) -> bool:
        """Tell whether a result is switched on in the views."""
        return name not in self.session.view.hidden

    def _hide_new(self) -> None:
        """Switch off what would only double another result: that of the plan, or a file's surface.

        A surface file is doubled by the surface that a step makes of it, its first input.
        """
        plan = self.session.plan
        steps = plan.steps if plan is not None else ()
        files = set(self._surface_sources().values())
        made = (s for s in steps if find_stage(s).output_kind == "SurfaceMesh")
        used = files & {step.inputs.get(find_stage(step).inputs[0].name, "") for step in made}
        now = {step.output for step in steps} | used
        self.session.view.hidden |= {n for n in now - self._known if doubles(n) or n in used}
        self._known = now

    # Edits ---------------------------------------------------------------------------

    def edit(self, name: str, patch: LabelPatch, label: str, shown: LabelMap | None = None) -> None:
        """Add a hand's edit to the label ``name``, show it at once, and compute it.

        ``shown`` is the label with the edit, where that is at hand.
        """
        labels, certain = self.labels()[name], self.is_current(name)
        if self.attempt(lambda: self.session.add_patch(name, patch, label)):
            if certain:
                edited = shown or replace(labels, array=patch.applied(labels.array), numbers=())
                self.foresee(name, edited)
            self.compute(name)

    def compute_edits(self) -> None:
        """Apply the hand edits of the present plan that the next ones passed over: it is cheap."""
        case, plan = self.session.case, self.session.plan
        if case is None or plan is None:
            return
        keys, late = self._keys(), []
        for step in (s for s in plan.steps if s.stage == EDIT_STAGE):
            ready = all(keys[name] in case.values for name in step.inputs.values())
            if ready and keys[step.output] not in case.values:
                late.append(step.output)
        if late:
            self.compute(*late)

    # Places --------------------------------------------------------------------------

    def go_to(self, point_mm: Point) -> None:
        """Move the views to an LPS point in mm."""
        x, y, z = (float(v) for v in point_mm)
        self.session.set_view(crosshair_mm=(x, y, z))

    def take_tool(self, tool: Tool, target: str = "") -> None:
        """Take another tool in hand; it works on the label ``target``."""
        self.hand.tool = tool
        self.hand.target = target or self.hand.target
        self.session.notify()

    def close(self) -> None:
        """Stop all work and close the case."""
        self.jobs.stop()
        for case, _ in self._leaving:
            case.close()
        self._leaving = []
        self._forget()
        self.bindings.close()
        self.session.close()
