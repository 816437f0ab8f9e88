"""The control points of a bent cut: balls in the 3D view that are dragged along its normal."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QMouseEvent

from meshing.surface import SurfaceMesh
from segmentation.volume import Vector
from workstation.camera import vector
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.plan import Step
from workstation.planning.resection import CutPlane
from workstation.ui.cut_drag import CutDrag as Preview
from workstation.ui.cut_handle import BALL_REACH_PX, Cut, CutDrag
from workstation.ui.cut_organ import CutOrgan
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP, FourUp
from workstation.ui.guard import guarded
from workstation.ui.slice_drags import GRAB_PX
from workstation.ui.slice_overlay import CutCurve, distance_to_line_px
from workstation.ui.slice_view import SliceView

BALL_MM = 1.0
PLACES = 40  # of the surface drawn while a hand moves it, along each side
PAUSE_MS = 80
BENT = "planning.cut_surface"


class SheetTool(QObject):
    """Drags of control points in the 3D view; each is one change that can be undone."""

    def __init__(self, desk: Desk, views: FourUp, preview: Preview) -> None:
        super().__init__(views)
        self._desk, self._views, self._preview = desk, views, preview
        self._organ = CutOrgan(desk)
        self._sheet: Sheet | None = None
        self._drag: tuple[int, int, CutDrag] | None = None
        self._pull: tuple[SliceView, Vector] | None = None
        self._start: Sheet | None = None
        self._shown = False
        # The slices follow at once; a new picture in 3D waits for a pause of the hand.
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(views.scene.update)
        for view in (*views.slices.values(), views.scene):
            view.installEventFilter(self)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def lacks(self) -> str:
        """Return what bending the cut needs, "" when it can be bent."""
        cut = self._desk.value(CUT_STEP)
        return "" if isinstance(cut, CutPlane) else "a cut that is a plane"

    def bend(self) -> None:
        """Turn the plane into a surface with control points, as one change."""
        cut, plan = self._desk.value(CUT_STEP), self._desk.session.require_plan()
        if not isinstance(cut, CutPlane):
            return
        before = plan.step(CUT_STEP)
        params = {"point_mm": cut.point_mm, "normal": cut.normal}
        step = Step(BENT, CUT_STEP, inputs=before.inputs, params=params)
        if self._desk.attempt(lambda: self._desk.session.do("Bend the cut", plan.with_step(step))):
            self._desk.compute()

    def refresh(self) -> None:
        """Show the control points of the plan's cut, where it has some."""
        if self._drag is not None or self._pull is not None:
            return
        cut = self._views.bent_cut()
        shown = cut is not None and self._desk.is_shown(CUT_STEP)
        self._sheet = cut.sheet if cut is not None and shown else None
        if self._sheet is not None or self._shown:
            self._show_handles()

    def _show_handles(self) -> None:
        scene = self._views.scene
        points = () if self._sheet is None else self._sheet.control_mm.reshape(-1, 3)
        normal = (0.0, 0.0, 1.0) if self._sheet is None else self._sheet.normal
        scene.handles = tuple(Cut(vector(p), normal, BALL_MM) for p in points)
        self._shown = self._sheet is not None
        scene.update()

    def _forget(self) -> None:
        self._sheet = self._start = self._drag = self._pull = None
        self._views.scene.handles, self._shown = (), False

    # Events --------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take hold of a control point, or of the line on a slice; Esc gives it back."""
        if self._sheet is None:
            return False
        if isinstance(event, QKeyEvent):
            return self._given_back(event)
        if isinstance(watched, SliceView) and isinstance(event, QMouseEvent):
            return self._on_slice(watched, event)
        if watched is not self._views.scene:
            return False
        if isinstance(event, QMouseEvent):
            x, y = event.position().x(), event.position().y()
            if event.type() == QEvent.Type.MouseButtonPress and not event.modifiers():
                return event.button() == Qt.MouseButton.LeftButton and self._hold(x, y)
            if event.type() == QEvent.Type.MouseMove and self._drag is not None:
                self._move(x, y)
                return True
            if event.type() == QEvent.Type.MouseButtonRelease and self._drag is not None:
                self._release()
                return True
        return False

    def _given_back(self, event: QKeyEvent) -> bool:
        escape = event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape
        if not escape or (self._drag is None and self._pull is None):
            return False
        self._sheet, self._drag, self._pull = self._start, None, None
        self._preview.give_up()
        self._views.dragging = False
        self._desk.previewed.emit(None)
        self._show_handles()
        self._desk.session.notify()
        return True

    def _on_slice(self, view: SliceView, event: QMouseEvent) -> bool:
        """Bend the sheet where its line on a slice is held."""
        x, y = event.position().x(), event.position().y()
        kind, placement = event.type(), view.placement
        if placement is None or self._sheet is None or view.marks.tool != "navigate":
            return False
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            lines = [line for line in view.marks.lines if isinstance(line, CutCurve)]
            away = (distance_to_line_px(placement, line, x, y) for line in lines)
            if event.modifiers() or not min(away, default=np.inf) <= GRAB_PX:
                return False
            self._pull, self._start = (view, placement.to_world(x, y)), self._sheet
            return True
        if self._pull is None or self._start is None or view is not self._pull[0]:
            return False
        if kind == QEvent.Type.MouseMove:
            way = np.subtract(placement.to_world(x, y), self._pull[1])
            by_mm = float(way @ np.asarray(self._start.normal))
            self._show_bent(self._start.pulled(self._pull[1], by_mm))
            return True
        if kind == QEvent.Type.MouseButtonRelease:
            self._release()
            return True
        return False

    def _hold(self, x: float, y: float) -> bool:
        assert self._sheet is not None
        scene = self._views.scene
        size = (scene.width(), scene.height())
        points = self._sheet.control_mm
        places = scene.camera.project(points.reshape(-1, 3), size)
        away = np.hypot(places[:, 0] - x, places[:, 1] - y)
        nearest = int(np.nanargmin(away))
        if not away[nearest] <= BALL_REACH_PX:
            return False
        row, column = divmod(nearest, points.shape[1])
        point = vector(points[row, column])
        handle = Cut(point, self._sheet.normal, BALL_MM)
        self._drag = (row, column, CutDrag("centre", handle, scene.camera, size, x, y, point))
        self._start = self._sheet
        return True

    def _move(self, x: float, y: float) -> None:
        if self._drag is None or self._start is None:
            return
        row, column, drag = self._drag
        way = np.subtract(drag.to(x, y).point_mm, drag.start.point_mm)
        by_mm = float(way @ np.asarray(self._start.normal))
        self._show_bent(self._start.moved(row, column, by_mm))

    def _show_bent(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._views.begin_drag()
        self._views.show_curve(self._organ.inside(as_mesh(sheet)))
        self._show_handles()
        self._preview.follow(lambda preview: preview.over(sheet))
        self._pause.start()

    def _release(self) -> None:
        self._preview.arrive()
        sheet, start = self._sheet, self._start
        self._drag = self._pull = None
        self._views.dragging = False
        if sheet is None or sheet == start:
            self._desk.previewed.emit(None)
            self._desk.session.notify()
            return
        session = self._desk.session
        changed = {
            "point_mm": sheet.point_mm,
            "normal": sheet.normal,
            "along": sheet.along,
            "heights_mm": sheet.heights_mm,
            "line_mm": None,
        }
        if self._desk.attempt(lambda: session.set_params(CUT_STEP, "Bend the cut", **changed)):
            self._desk.compute(CUT_STEP, *session.require_plan().downstream(CUT_STEP))


def as_mesh(sheet: Sheet) -> SurfaceMesh:
    """Return a sheet as triangles, for drawing only."""
    share = np.linspace(-1, 1, PLACES)
    flat = np.stack(np.meshgrid(share, share), -1).reshape(-1, 2) * sheet.reach_mm
    plane = sheet.point_mm + flat @ sheet.axes
    heights = -sheet.side_mm(plane)
    points = plane + heights[:, None] * np.asarray(sheet.normal)
    number = np.arange(PLACES * PLACES).reshape(PLACES, PLACES)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    cells = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return SurfaceMesh(points, cells, "", name="cut")
