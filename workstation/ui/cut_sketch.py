"""Drawing the cut: a line on the organ in 3D or on a slice, through which a sheet is laid."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent

from segmentation.measured import Measured
from segmentation.volume import LabelMap, Vector
from workstation.camera import unit, vector
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.cut_surface_stages import drawn_sheet
from workstation.restaging import restaged
from workstation.ui.cut_drag import CutDrag as Preview
from workstation.ui.cut_drag import tell
from workstation.ui.cut_organ import CutOrgan
from workstation.ui.cut_sheet import BENT, as_mesh
from workstation.ui.desk import Desk
from workstation.ui.drawings import Drawing
from workstation.ui.four_up import CUT_STEP, FourUp
from workstation.ui.guard import guarded
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_drags import spaced
from workstation.ui.slice_view import SliceView

STEP_MM = 3.0  # between the points that are kept of a line
SHORTEST_MM = 10.0
CONTROL_POINTS = 6  # in a row: enough for a drawn curve with a bend or two
PAUSE_MS = 80
DIGITS = 2


class CutSketch(QObject):
    """While it is in hand, a left drag draws the cut; Esc gives back the line, then the tool."""

    taken = Signal(bool)

    def __init__(self, desk: Desk, views: FourUp, preview: Preview) -> None:
        super().__init__(views)
        self._desk, self._views, self._preview = desk, views, preview
        self.on = False
        self._line: list[Vector] = []
        self._depth: Vector = (0.0, 1.0, 0.0)
        self._drawn_in: SliceView | SceneView | None = None
        self._organ = CutOrgan(desk)
        # The line follows at once; all numbers wait for a pause of the hand.
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._count)
        for view in (*views.slices.values(), views.scene):
            view.installEventFilter(self)
        desk.left.connect(lambda: self.take(False))

    def lacks(self) -> str:
        """Return what drawing a cut needs, "" when it can be drawn."""
        return "" if self._organ.whole is not None else "a cut of an organ"

    def take(self, on: bool) -> None:
        """Take the tool in hand, or put it away."""
        self._give_line_back()
        self._put(on and self._organ.whole is not None)
        if self.on and self._desk.hand.tool != "navigate":
            self._desk.take_tool("navigate")
        self._desk.session.notify()

    def _put(self, on: bool) -> None:
        self.on = on
        shape = Qt.CursorShape.CrossCursor if on else Qt.CursorShape.ArrowCursor
        for view in (*self._views.slices.values(), self._views.scene):
            view.setCursor(shape)
        self.taken.emit(on)

    def sheet(self) -> Sheet | None:
        """Return the sheet through the line as it is drawn so far; None while it is too short."""
        organ, tumor = self._organ.tight, self._desk.value("tumor")
        if organ is None or length_mm(self._line) < SHORTEST_MM:
            return None
        lesion = tumor if isinstance(tumor, LabelMap) else None
        line = np.asarray(spaced(self._line, STEP_MM))
        try:
            return drawn_sheet(organ, lesion, line, self._depth, None, CONTROL_POINTS)
        except ValueError:  # the line runs into the depth so far
            return None

    # Events --------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Draw while the tool is in hand, before the view does what it does with a drag."""
        if not self.on or not isinstance(watched, SliceView | SceneView):
            return False
        if isinstance(event, QKeyEvent):
            pressed = event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape
            return pressed and self._escape()
        if not isinstance(event, QMouseEvent):
            return False
        x, y = event.position().x(), event.position().y()
        if event.type() == QEvent.Type.MouseButtonPress and not event.modifiers():
            return event.button() == Qt.MouseButton.LeftButton and self._begin(watched, x, y)
        if event.type() == QEvent.Type.MouseMove and watched is self._drawn_in:
            self._go_on(watched, x, y)
            return True
        if event.type() == QEvent.Type.MouseButtonRelease and watched is self._drawn_in:
            self._finish()
            return True
        return False

    def _escape(self) -> bool:
        if self._drawn_in is not None:
            self._give_line_back()
            self._desk.session.notify()
        else:
            self.take(False)
        return True

    def _begin(self, view: SliceView | SceneView, x: float, y: float) -> bool:
        """Begin a line; beside the organ in 3D a drag still turns the view."""
        point = _place(view, x, y)
        if point is None:
            return False
        self._line, self._drawn_in = [point], view
        if isinstance(view, SceneView):
            self._depth = vector(unit(np.subtract(view.camera.focal_mm, view.camera.eye_mm)))
        elif view.placement is not None:
            self._depth = view.placement.plane.normal
        return True

    def _go_on(self, view: SliceView | SceneView, x: float, y: float) -> None:
        point = _place(view, x, y)
        if point is None or point == self._line[-1]:
            return
        self._line.append(point)
        self._views.begin_drag()
        sheet = self.sheet()
        if sheet is not None:
            self._views.show_curve(self._organ.inside(as_mesh(sheet)))
        self._show_line()
        self._pause.start()

    def _show_line(self) -> None:
        liver = self._organ.whole
        if liver is None or len(self._line) < 2:
            return
        line = np.asarray(self._line)
        ends = np.stack([line[0], line[-1]])
        drawn = Measured(liver.geometry.frame_uid, (line,), ends, "", self._line[-1])
        shown = [Drawing("", drawn, lit=True)]
        for view in self._views.slices.values():
            view.set_drawings(shown)
        self._views.scene.set_drawings(shown)

    def _count(self) -> None:
        sheet, preview = self.sheet(), self._preview.preview
        if sheet is not None and preview is not None and self._drawn_in is not None:
            tell(self._desk, preview.over(sheet))

    def _finish(self) -> None:
        line, drawn = spaced(self._line, STEP_MM), self.sheet() is not None
        depth = self._depth
        self._give_line_back()
        if not drawn:  # a click, or a line too short to mean anything
            self._desk.session.notify()
            return
        self._put(False)
        session = self._desk.session
        plan = restaged(session.require_plan(), CUT_STEP, BENT).with_params(
            CUT_STEP,
            line_mm=tuple(_rounded(point, DIGITS) for point in line),
            depth=_rounded(depth, 6),
            control_points=CONTROL_POINTS,
            point_mm=None,
            normal=None,
            along=None,
            heights_mm=None,
        )
        if self._desk.attempt(lambda: session.do("Draw the cut", plan)):
            self._desk.compute()

    def _give_line_back(self) -> None:
        self._pause.stop()
        if self._drawn_in is not None:
            self._views.dragging = False
            self._desk.previewed.emit(None)
        self._line, self._drawn_in = [], None


def length_mm(line: list[Vector]) -> float:
    """Return the length of a line of LPS mm points."""
    if len(line) < 2:
        return 0.0
    return float(np.linalg.norm(np.diff(np.asarray(line), axis=0), axis=1).sum())


def _place(view: SliceView | SceneView, x: float, y: float) -> Vector | None:
    """Return the LPS mm point under the cursor: on a surface in 3D, or in the slice."""
    if isinstance(view, SceneView):
        return view.scene.pick(x, y, (view.width(), view.height()))
    if view.placement is None or not view.placement.contains(x, y):
        return None
    return view.placement.to_world(x, y)


def _rounded(point: Vector, digits: int) -> Vector:
    return vector(np.round(np.asarray(point, float), digits))
