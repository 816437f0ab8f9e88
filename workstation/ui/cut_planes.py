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
from workstation.planning.resection import CutPlane
from workstation.ui.cut_drag import CutDrag as Preview
from workstation.ui.cut_handle import Cut, CutDrag, grab
from workstation.ui.cut_live import PLANES, live_planes
from workstation.ui.cut_wedge import WedgeTool
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP, FourUp
from workstation.ui.guard import guarded
from workstation.ui.panels.cut_choice import CutChoice
from workstation.ui.slice_overlay import CutCurve, CutLine

PLANE = "planning.cut_plane"
LINE = "plane "
RADIUS_MM = 60.0


class PlanesTool(QObject):
    """Drags of planes; each is one change that can be undone."""

    def __init__(self, desk: Desk, views: FourUp, choice: CutChoice, preview: Preview) -> None:
        super().__init__(views)
        self._desk, self._views, self._preview = desk, views, preview
        self._choice, self._part = choice, choice.planes
        self._wedge = WedgeTool(desk, choice, preview)
        self._planes: list[Cut] = []
        self._drag: tuple[int, CutDrag | None] | None = None
        self._shown = False
        for view in views.slices.values():
            view.plane_dragged.connect(self._drag_line)
            view.plane_released.connect(self._release)
        views.scene.installEventFilter(self)
        self._part.chosen.connect(self.refresh)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def _step(self) -> Step | None:
        """Return the step of planes that is edited: the plan's cut, or a part of it."""
        plan, name = self._desk.session.plan, self._choice.edited
        step = next((s for s in plan.steps if s.output == name), None) if plan else None
        if step is None or step.stage not in (PLANES, PLANE):
            return None
        return None if step.stage == PLANE and name == CUT_STEP else step

    def refresh(self) -> None:
        """Show the planes of the plan's cut, where it has several."""
        if self._drag is not None:
            return
        step = self._step() if self._desk.is_shown(CUT_STEP) else None
        self._planes = [] if step is None else self._placed(step)
        if self._planes or self._shown:
            self._show()

    def _placed(self, step: Step) -> list[Cut]:
        if step.stage == PLANES:
            return _planes(step.params)
        value = self._desk.value(step.output)
        if not isinstance(value, CutPlane):
            return []
        return [Cut(value.point_mm, value.normal, RADIUS_MM)]

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
        step = self._step()
        if step is None:
            return
        self._planes[number] = plane
        self._views.begin_drag()
        self._show()
        moved = live_planes({**step.params, **_params(self._planes)})
        self._preview.follow_part(step.output, moved)

    def _release(self) -> None:
        drag, step = self._drag, self._step()
        self._drag = None
        if drag is None or step is None:
            return
        self._preview.arrive()
        self._views.dragging = False
        before, after = self._placed(step), self._planes
        if all(a.is_close_to(b) for a, b in zip(before, after)):
            self._desk.previewed.emit(None)
            self._desk.session.notify()
            return
        one = step.stage == PLANE
        params = (
            {"point_mm": after[0].point_mm, "normal": after[0].normal} if one else _params(after)
        )
        session, words = self._desk.session, f"Move plane {drag[0] + 1}"
        if self._desk.attempt(lambda: session.set_params(step.output, words, **params)):
            self._desk.compute(step.output, *session.require_plan().downstream(step.output))

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
        self._preview.give_up()
        self._desk.previewed.emit(None)
        self._desk.session.notify()
        self.refresh()
        return True


def _params(planes: list[Cut]) -> dict[str, tuple[Vector, ...]]:
    """Return planes as the parameters of their step."""
    return {
        "points_mm": tuple(plane.point_mm for plane in planes),
        "normals": tuple(plane.normal for plane in planes),
    }


def _planes(params: Mapping[str, Any]) -> list[Cut]:
    """Return the planes of a step as discs whose handles stand where the planes are given."""
    points, normals = params.get("points_mm", ()), params.get("normals", ())
    lengths = [float(np.linalg.norm(normal)) or 1.0 for normal in normals]
    return [
        Cut(vector(np.asarray(p, float)), vector(np.asarray(n, float) / length), RADIUS_MM)
        for p, n, length in zip(points, normals, lengths)
    ]
