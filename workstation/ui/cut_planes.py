"""Several planes that cut together: lines on the slices, and a handle for the chosen one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent

from segmentation.volume import Vector
from workstation.camera import vector
from workstation.planning.plan import Step
from workstation.ui.cut_handle import Cut, CutDrag, grab
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP, FourUp
from workstation.ui.guard import guarded
from workstation.ui.panels.cut_parts import PlanesPart
from workstation.ui.slice_overlay import CutCurve, CutLine

PLANES = "planning.cut_planes"
LINE = "plane "
RADIUS_MM = 60.0


class PlanesTool(QObject):
    """Drags of planes; each is one change that can be undone."""

    def __init__(self, desk: Desk, views: FourUp, part: PlanesPart) -> None:
        super().__init__(views)
        self._desk, self._views, self._part = desk, views, part
        self._planes: list[Cut] = []
        self._drag: tuple[int, CutDrag | None] | None = None
        self._shown = False
        for view in views.slices.values():
            view.plane_dragged.connect(self._drag_line)
            view.plane_released.connect(self._release)
        views.scene.installEventFilter(self)
        part.chosen.connect(self.refresh)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def _step(self) -> Step | None:
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return next((s for s in steps if s.output == CUT_STEP and s.stage == PLANES), None)

    def refresh(self) -> None:
        """Show the planes of the plan's cut, where it has several."""
        if self._drag is not None:
            return
        step = self._step() if self._desk.is_shown(CUT_STEP) else None
        self._planes = [] if step is None else _planes(step.params)
        if self._planes or self._shown:
            self._show()

    def _show(self) -> None:
        number = min(self._part.number, len(self._planes) - 1)
        self._views.scene.handles = (self._planes[number],) if self._planes else ()
        self._shown = bool(self._planes)
        self._views.scene.update()
        bent = self._views.bent_cut()
        if not self._planes or bent is None:
            return
        lines = [CutLine(p.point_mm, p.normal, f"{LINE}{n}") for n, p in enumerate(self._planes)]
        still = self._drag is None
        curve = CutCurve((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), CUT_STEP, False, bent.surface)
        for view in self._views.slices.values():
            view.set_lines((*lines, curve) if still else lines)

    def _forget(self) -> None:
        self._planes, self._drag, self._shown = [], None, False
        self._views.scene.handles = ()

    # Slices --------------------------------------------------------------------------

    def _drag_line(self, point_mm: Vector, name: str) -> None:
        if not name.startswith(LINE) or not self._planes:
            return
        number = int(name.removeprefix(LINE))
        self._drag = self._drag or (number, None)
        self._part.number = number
        self._move(number, replace(self._planes[number], point_mm=point_mm))

    def _move(self, number: int, plane: Cut) -> None:
        self._planes[number] = plane
        self._views.begin_drag()
        self._show()

    def _release(self) -> None:
        drag, step = self._drag, self._step()
        self._drag = None
        if drag is None or step is None:
            return
        self._views.dragging = False
        before, after = _planes(step.params), self._planes
        if all(a.is_close_to(b) for a, b in zip(before, after)):
            self._desk.session.notify()
            return
        params = {
            "points_mm": tuple(p.point_mm for p in after),
            "normals": tuple(p.normal for p in after),
        }
        session, words = self._desk.session, f"Move plane {drag[0] + 1}"
        if self._desk.attempt(lambda: session.set_params(CUT_STEP, words, **params)):
            self._desk.compute(CUT_STEP, *session.require_plan().downstream(CUT_STEP))

    # 3D ------------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take hold of the chosen plane's handle before the view turns; Esc gives it back."""
        if watched is not self._views.scene or not self._planes:
            return False
        if isinstance(event, QKeyEvent):
            return self._given_back(event)
        if not isinstance(event, QMouseEvent):
            return False
        x, y = event.position().x(), event.position().y()
        if event.type() == QEvent.Type.MouseButtonPress and not event.modifiers():
            return event.button() == Qt.MouseButton.LeftButton and self._hold(x, y)
        held = self._drag[1] if self._drag is not None else None
        if held is None or self._drag is None:
            return False
        if event.type() == QEvent.Type.MouseMove:
            self._move(self._drag[0], held.to(x, y))
            return True
        if event.type() == QEvent.Type.MouseButtonRelease:
            self._release()
            return True
        return False

    def _hold(self, x: float, y: float) -> bool:
        number = min(self._part.number, len(self._planes) - 1)
        scene = self._views.scene
        size = (scene.width(), scene.height())
        drag = grab(self._planes[number], scene.camera, x, y, size)
        self._drag = None if drag is None else (number, drag)
        return drag is not None

    def _given_back(self, event: QKeyEvent) -> bool:
        escape = event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape
        if not escape or self._drag is None:
            return False
        self._drag, self._views.dragging = None, False
        self._desk.session.notify()
        self.refresh()
        return True


def _planes(params: Mapping[str, Any]) -> list[Cut]:
    """Return the planes of a step as discs whose handles stand where the planes are given."""
    points, normals = params.get("points_mm", ()), params.get("normals", ())
    lengths = [float(np.linalg.norm(normal)) or 1.0 for normal in normals]
    return [
        Cut(vector(np.asarray(p, float)), vector(np.asarray(n, float) / length), RADIUS_MM)
        for p, n, length in zip(points, normals, lengths)
    ]
