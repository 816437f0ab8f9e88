"""Moving the cut: numbers follow the hand at once, the plan follows on release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Measurements, Severity
from segmentation.volume import LabelMap, Vector
from workstation.jobs import Job
from workstation.planning.critical_structures import NEAREST, places_mm
from workstation.planning.live import LiveNumbers, LivePreview, Pressure
from workstation.planning.live_cuts import LiveCut
from workstation.planning.live_wedge import LiveWedge
from workstation.planning.plan import Plan
from workstation.planning.pressure import pressure_after
from workstation.planning.resection import CutPlane
from workstation.planning.vein_changes import dissected_mm
from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.ui.cut_live import WEDGE, live_wedge, moved_cut
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP, FourUp
from workstation.ui.steady import Steady

SAME = 1e-6
PAUSE_MS = 80
TREES = ("portal_tree", "hepatic_tree")
PRESSURE_STAGE = "planning.portal_pressure"
VESSELS_STAGE = "planning.cut_vessels"
DISTANCE_STAGE = "planning.structure_distances"
PREPARING = Finding(
    Severity.INFO, "preparing", "The live numbers are being prepared; they follow when ready."
)


class CutDrag(QObject):
    """Links the cut's handles in the views with the live numbers and the session."""

    def __init__(self, desk: Desk, views: FourUp) -> None:
        super().__init__(views)
        self._desk, self._views = desk, views
        self._preview: LivePreview | None = None
        self._prepared: tuple[object, ...] = ()
        self._preparing = False
        self._awaited: Callable[[LivePreview], LiveNumbers] | None = None
        self._moved: CutPlane | None = None
        # A picture in 3D can take longer than a slice and all numbers, so it waits for a pause.
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._show_handle)
        self._steady = Steady(self)
        for view in views.slices.values():
            view.plane_dragged.connect(self._drag_line)
            view.plane_released.connect(self._release)
        views.scene.cut_dragging.connect(self._drag_handle)
        views.scene.cut_released.connect(lambda point, normal: self._release())
        desk.left.connect(self._forget)
        desk.bindings.add(self._prepare)

    # Drag ----------------------------------------------------------------------------

    def _drag_line(self, point_mm: Vector, name: str) -> None:
        cut = self._views.current_cut()
        if name == CUT_STEP and cut is not None:
            self._move(cut, replace(cut, point_mm=point_mm), from_scene=False)

    def _drag_handle(self, point_mm: Vector, normal: Vector) -> None:
        cut = self._views.current_cut()
        if cut is not None:
            self._move(cut, replace(cut, point_mm=point_mm, normal=normal), from_scene=True)

    def _move(self, before: CutPlane, cut: CutPlane, from_scene: bool) -> None:
        self._moved = cut
        if _same(before, cut):  # given back
            self.give_up()
            self._release()
            return
        self._views.begin_drag()
        self._views.show_lines(cut)
        if not from_scene:
            self._pause.start()
        self.follow(lambda preview: preview.at(cut.point_mm, cut.normal))

    def _show_handle(self) -> None:
        if self._moved is not None:
            self._views.show_handle(self._moved)

    def follow(self, numbers: Callable[[LivePreview], LiveNumbers]) -> None:
        """Tell the numbers of a moving cut as often as there is time for them.

        While they are being prepared, that is said, and the newest come when they are ready.
        """
        preview = self._preview
        if preview is not None:
            self._steady.call(lambda: self._tell(preview, numbers))
        elif self._preparing:
            if self._awaited is None:
                self._desk.judged.emit(Measurements(findings=(PREPARING,)))
            self._awaited = numbers

    def _tell(self, preview: LivePreview, numbers: Callable[[LivePreview], LiveNumbers]) -> None:
        try:
            tell(self._desk, numbers(preview))
        except ValueError as error:  # as where a wedge spares veins of which there is no tree
            said = Finding(Severity.PROBLEM, "no_cut", str(error))
            self._desk.judged.emit(Measurements(findings=(said,)))

    def follow_part(self, name: str, moved: LiveCut) -> None:
        """Tell the numbers of the plan's cut with a part of it, or all of it, moved."""
        cut = moved_cut(self._desk, name, moved)
        if cut is not None:
            self.follow(lambda preview: preview.judge(cut))

    def arrive(self) -> None:
        """Tell the numbers that still wait: the cut rests."""
        self._awaited = None
        self._steady.finish()

    def give_up(self) -> None:
        """Tell no number that still waits: the cut is given back."""
        self._awaited = None
        self._steady.forget()

    def _release(self) -> None:
        self.arrive()
        before, cut = self._views.current_cut(), self._moved
        self._moved, self._views.dragging = None, False
        if cut is None or before is None:
            return
        if _same(before, cut):
            self._desk.previewed.emit(None)
            self._desk.session.notify()
            return
        session = self._desk.session
        if self._desk.attempt(lambda: session.move_cut(cut.point_mm, cut.normal)):
            self._views.pending_cut = cut
            self._desk.compute(CUT_STEP, *session.require_plan().downstream(CUT_STEP))

    def _forget(self) -> None:
        """Let go of a case that is left."""
        self._preview, self._prepared, self._moved = None, (), None
        self._preparing = False
        self.give_up()

    # Preparation ---------------------------------------------------------------------

    @property
    def preview(self) -> LivePreview | None:
        """What judges a moving cut, once it is ready."""
        return self._preview

    def _prepare(self) -> None:
        """Get the live numbers ready, beside the window, whenever what they need changed."""
        plan = self._desk.session.plan
        step = next((s for s in plan.steps if s.output == CUT_STEP), None) if plan else None
        if step is None or self._moved is not None:
            return
        liver, tumor = (self._desk.value(step.inputs.get(n, "")) for n in ("liver", "tumor"))
        if tumor is None:  # a cut of another kind does not take it, the margin does
            tumor = self._desk.value("tumor")
        patient, portal, hepatic = (self._desk.value(name) for name in ("patient", *TREES))
        values = (liver, tumor, patient, portal, hepatic)
        asked = asked_pressure(plan) if plan else None
        shown, names = self._desk.results(), spared_by(plan) if plan else {}
        spared = tuple(shown.get(name) for name in names)
        wedges = wedges_of(plan) if plan else ()
        freed = (dissected_mm(plan, TREES[0]), dissected_mm(plan, TREES[1])) if plan else None
        known = (*values, asked, *spared, *wedges, freed)
        if not isinstance(liver, LabelMap) or known == self._prepared:
            return
        self._prepared, self._preview, self._preparing = known, None, True

        def work(progress: object) -> LivePreview | None:
            made = prepared(*values, asked, dict(zip(names.values(), spared)), freed)
            if made is not None:
                with suppress(ValueError):  # the wedge's step says why
                    for wedge in wedges:
                        made.judge(wedge)
            return made

        def take(job: Job[LivePreview | None]) -> None:
            if self._prepared == known:
                self._preparing = False
                self._preview = job.result
                waits, self._awaited = self._awaited, None
                if waits is not None:
                    self.follow(waits)

        self._desk.jobs.start(Job("Prepare live numbers", work), take, light=True)


def wedges_of(plan: Plan) -> tuple[LiveWedge, ...]:
    """Return what the wedges of a plan are around, whatever their margin and opening."""
    found = (live_wedge(step.params) for step in plan.steps if step.stage == WEDGE)
    return tuple(LiveWedge(lesions=one.lesions, spared_mm=one.spared_mm) for one in found)


def asked_pressure(plan: Plan) -> Mapping[str, Any] | None:
    """Return the parameters of a plan's forecast of the portal pressure; None where it has none."""
    return next((s.params for s in plan.steps if s.stage == PRESSURE_STAGE), None)


def spared_by(plan: Plan) -> dict[str, str]:
    """Return by its output what each step that tells distances to the cut spares."""
    return {s.inputs["structure"]: s.output for s in plan.steps if s.stage == DISTANCE_STAGE}


def prepared(
    liver: LabelMap,
    tumor: object,
    patient: object,
    portal: object,
    hepatic: object,
    asked: Mapping[str, Any] | None = None,
    spared: Mapping[str, object] = MappingProxyType({}),
    freed: tuple[float, float] | None = None,
) -> LivePreview | None:
    """Return what judges a moving cut, from what there is of a plan; None where nothing can.

    ``asked`` are the parameters of the plan's forecast of the portal pressure, if it has one;
    ``freed`` tells how far stems of both trees are freed of the specimen, in mm.
    """
    lesion = tumor if isinstance(tumor, LabelMap) else None
    trees = [t if isinstance(t, Centerline) else None for t in (portal, hepatic)]
    values = patient.numbers if isinstance(patient, Measurements) else ()
    known = {number.quantity: number.value for number in values}
    pressure = None if asked is None else _pressure(known, liver.volume_ml(), asked)
    try:
        return LivePreview(
            liver,
            lesion,
            portal=trees[0],
            hepatic=trees[1],
            pressure=pressure,
            critical={name: places_mm(value) for name, value in spared.items()},
            dissected_mm=freed or (DISSECTED_MM, DISSECTED_MM),
        )
    except (FrameMismatch, ValueError):  # nothing to preview; the steps say why
        return None


def _pressure(
    known: Mapping[str, float], whole_ml: float, asked: Mapping[str, Any]
) -> Pressure | None:
    """Return how the circulation follows the removed share, or what says why it cannot."""
    try:
        return pressure_after(known, whole_ml, **asked)
    except ValueError as error:  # values that contradict each other, or fit no heart
        said = Finding(Severity.PROBLEM, "portal_pressure_values", str(error))
        return lambda removed: Measurements(findings=(said,))


def tell(desk: Desk, live: LiveNumbers) -> None:
    """Show the numbers of a cut that moves, by their names in a plan, and what they mean.

    What the cut has no value for is None.
    """
    crossed = live.crossed_mm if _counts_branches(desk.session.plan) else None
    circulation = live.pressure or Measurements()
    values: dict[str, float | None] = {
        "remnant.volume": live.remnant_ml,
        "remnant.fraction": live.remnant_percent,
        "specimen.volume": live.specimen_ml,
        "specimen.fraction": 100.0 - live.remnant_percent,
        "remnant.functional_fraction": live.functional_percent,
        "margin.minimum": live.margin_mm,
        "margin.lesions_left": float(live.lesions_left),
        "vessels_cut.crossed": None if crossed is None else float(len(crossed)),
        "vessels_cut.largest_diameter": crossed[0] if crossed else None,
        "devascularised.volume": live.devascularised_ml,
        "congested.volume": live.congested_ml,
        "portal_pressure.after": None,
    }
    for name, away in live.near_mm.items():
        values[f"{name}.{NEAREST}"] = away
    for number in circulation.numbers:
        values[number.full_name("portal_pressure")] = number.value
    desk.judged.emit(replace(circulation, findings=(*live.findings, *circulation.findings)))
    desk.previewed.emit(values)


def _counts_branches(plan: Plan | None) -> bool:
    """Tell whether a plan counts the vessels crossed along their trees, as live numbers do."""
    steps = plan.steps if plan is not None else ()
    return any(s.stage == VESSELS_STAGE and {"portal", "hepatic"} & set(s.inputs) for s in steps)


def _same(a: CutPlane, b: CutPlane) -> bool:
    """Tell whether both are one plane with one side."""
    offset = abs(float(a.distance_mm(b.point_mm)))
    return offset < SAME and bool(np.allclose(a.normal, b.normal, atol=SAME))
