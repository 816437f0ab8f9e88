"""Moving the cut: numbers follow the hand at once, the plan follows on release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QObject, QTimer

from hemodynamics.liver_forecast import prepare
from hemodynamics.liver_loop import LARGEST
from meshing.centerline import Centerline
from segmentation.contract import FrameMismatch, Measurements
from segmentation.volume import LabelMap, Vector
from workstation.jobs import Job
from workstation.planning.live import LiveNumbers, LivePreview, Pressure
from workstation.planning.pressure_inputs import known_of
from workstation.planning.resection import CutPlane
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP, FourUp

SAME = 1e-6
PAUSE_MS = 80
TREES = ("portal_tree", "hepatic_tree")


class CutDrag(QObject):
    """Links the cut's handles in the views with the live numbers and the session."""

    def __init__(self, desk: Desk, views: FourUp) -> None:
        super().__init__(views)
        self._desk, self._views = desk, views
        self._preview: LivePreview | None = None
        self._prepared: tuple[object, ...] = ()
        self._moved: CutPlane | None = None
        # A picture in 3D can take longer than a slice and all numbers, so it waits for a pause.
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._show_handle)
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
            self._release()
            return
        self._views.begin_drag()
        self._views.show_lines(cut)
        if not from_scene:
            self._pause.start()
        self._tell(cut)

    def _show_handle(self) -> None:
        if self._moved is not None:
            self._views.show_handle(self._moved)

    def _tell(self, cut: CutPlane) -> None:
        if self._preview is None:
            return
        tell(self._desk, self._preview.at(cut.point_mm, cut.normal))

    def _release(self) -> None:
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
        known = (liver, tumor, *(self._desk.value(name) for name in ("patient", *TREES)))
        if not isinstance(liver, LabelMap) or known == self._prepared:
            return
        self._prepared, self._preview = known, None

        def work(progress: object) -> LivePreview | None:
            return prepared(*known)

        def take(job: Job[LivePreview | None]) -> None:
            if self._prepared == known:
                self._preview = job.result

        self._desk.jobs.start(Job("Prepare live numbers", work), take, light=True)


def prepared(
    liver: LabelMap, tumor: object, patient: object, portal: object, hepatic: object
) -> LivePreview | None:
    """Return what judges a moving cut, from what there is of a plan; None where nothing can."""
    lesion = tumor if isinstance(tumor, LabelMap) else None
    trees = [t if isinstance(t, Centerline) else None for t in (portal, hepatic)]
    values = patient.numbers if isinstance(patient, Measurements) else ()
    try:
        pressure = _pressure({number.quantity: number.value for number in values})
        return LivePreview(liver, lesion, portal=trees[0], hepatic=trees[1], pressure=pressure)
    except (FrameMismatch, ValueError):  # nothing to preview; the steps say why
        return None


def _pressure(known: Mapping[str, float]) -> Pressure | None:
    """Return how portal pressure follows the removed share, where the pressure was measured."""
    if "portal_pressure_mmhg" not in known:
        return None
    forecast = prepare(known_of(known))

    def after(removed: float) -> tuple[float, float, float] | None:
        if not 0.0 < removed <= LARGEST:
            return None
        outcome = forecast.at(removed)
        low, high = outcome.bands["portal_mmhg"]
        return outcome.after.portal_mmhg, low, high

    return after


def tell(desk: Desk, live: LiveNumbers) -> None:
    """Show the numbers of a cut that moves, by their names in a plan."""
    crossed = live.crossed_mm
    values = {
        "remnant.volume": live.remnant_ml,
        "remnant.fraction": live.remnant_percent,
        "specimen.volume": live.specimen_ml,
        "specimen.fraction": 100.0 - live.remnant_percent,
        "remnant.functional_fraction": live.functional_percent,
        "margin.minimum": live.margin_mm,
        "vessels_cut.crossed": None if crossed is None else float(len(crossed)),
        "vessels_cut.largest_diameter": crossed[0] if crossed else None,
        "devascularised": live.devascularised_ml,
        "congested": live.congested_ml,
        "portal_pressure.after": None if live.portal_mmhg is None else live.portal_mmhg[0],
    }
    desk.previewed.emit({name: value for name, value in values.items() if value is not None})


def _same(a: CutPlane, b: CutPlane) -> bool:
    """Tell whether both are one plane with one side."""
    offset = abs(float(a.distance_mm(b.point_mm)))
    return offset < SAME and bool(np.allclose(a.normal, b.normal, atol=SAME))
