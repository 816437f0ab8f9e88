"""The 3D view: shows a `Scene`, turns it with the mouse, and carries the cut handle.

The scene is drawn off screen and shown as an image. A picture is asked for only in a paint
event after something changed, so Qt itself merges all changes of one turn of its event loop;
it is drawn beside the window, and until it is there the last one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from workstation.actors import CUT_LOOK
from workstation.camera import SIDES, Camera, Side, Size, Vector, unit, vector
from workstation.jobs import Job
from workstation.picture import Colour, Scene, SceneItem, Split, probe
from workstation.sections import Clip
from workstation.ui.cut_handle import Cut, CutDrag, Part, grab, part_at
from workstation.ui.drawings import Drawing, paint_on_scene
from workstation.ui.guard import guarded
from workstation.ui.scene_overlay import (
    draw_ball,
    draw_crosshair,
    draw_cut,
    draw_frame,
    draw_sentence,
)
from workstation.ui.scene_painter import THREADED, Drawn, ScenePainter, Wish
from workstation.ui.slice_overlay import draw_outline
from workstation.ui.theme import DARK
from workstation.ui.vein_pictures import VeinNames, paint_names_on_scene

EMPTY = "No surface yet. Segment an organ and compute its surface."
CUT = "cut handle"
CLIP_COLOUR = DARK.muted
SLOW_MS = 50.0
SETTLE_MS = 160
FRAMED_BY = 4000  # points of a surface are enough to fit it into the view
ZOOM_PER_NOTCH = 1.2
# (resolution, draft): what a picture may look like while it moves, from best to fastest
EFFORTS = ((1.0, False), (1.0, True), (0.5, True))


class SceneView(QWidget):
    """Surfaces in 3D (LPS mm), with an optional crosshair and cut handle.

    Signals:
        maximise_requested: the view was double clicked.
        crosshair_requested: Shift and click on a surface; its point (LPS mm).
        outlined: an outline was drawn, as corners (x, y) in pixels of the view.
        cut_dragging, cut_released: centre (LPS mm) and unit normal of the cut, during and
            after a drag of its handle.
    """

    maximise_requested = Signal()
    crosshair_requested = Signal(object)
    cut_dragging = Signal(object, object)
    cut_released = Signal(object, object)
    outlined = Signal(object)

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        probe: Callable[[], str | None] = probe,
        threaded: bool = THREADED,
    ) -> None:
        super().__init__(parent)
        self.scene = Scene()
        self.painter = ScenePainter(self.scene, probe, threaded, self)
        self.painter.drawn.connect(self._take)
        self._items: Mapping[str, SceneItem] = {}
        self._framed = False
        self._image: QImage | None = None
        self._seen_from = self.scene.camera
        self._epoch = 0
        self._problem: str | None = None
        self._stale = True
        self._effort = 0
        self._moving = self._playing = False
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._stand_still)
        self._crosshair: Vector | None = None
        self._cut: Cut | None = None
        self._split: tuple[str, Colour] | None = None
        self._notice = self._caption = ""
        self._drawings: tuple[Drawing, ...] = ()
        self._names: VeinNames | None = None
        self._clip: Clip = ()
        self.handles: tuple[Cut, ...] = ()
        self._hover: Part | None = None
        self._cut_drag: CutDrag | None = None
        self._pivot: Vector | None = None
        self._before = self.scene.camera
        self._last = QPointF()
        self._outlining = False
        self._outline: list[tuple[float, float]] = []
        self.setAccessibleName("3D view")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(120, 90)

    @property
    def drawing(self) -> bool:
        """Whether the picture that is shown is about to be replaced."""
        return self.painter.busy or (self._stale and self.isVisible())

    @property
    def camera(self) -> Camera:
        """The eye; it is view state and can be kept and given back."""
        return self.scene.camera

    @camera.setter
    def camera(self, camera: Camera) -> None:
        if camera != self.scene.camera:
            self.scene.camera = camera
            self._redraw()

    def set_values(self, items: Mapping[str, SceneItem]) -> None:
        """Show ``items``; the first ones are framed from the front."""
        if dict(items) != self._items:
            self._items = dict(items)
            self._redraw()
        if not items:  # what was shown may be another patient's, also if it is still being drawn
            self._epoch += 1
            self._image = None
        if items and not self._framed:
            self._framed = True
            self.look_from("A")

    def set_crosshair(self, point_mm: Vector | None) -> None:
        """Mark a point (LPS mm), or none."""
        self._crosshair = point_mm
        self.update()

    def set_notice(self, notice: str) -> None:
        """Say something about all that is shown; "" says nothing."""
        if notice != self._notice:
            self._notice = notice
            self.update()

    def set_caption(self, caption: str) -> None:
        """Say what is selected; "" says nothing."""
        if caption != self._caption:
            self._caption = caption
            self.update()

    def set_drawings(self, drawings: Sequence[Drawing]) -> None:
        """Draw measurements over the picture."""
        if tuple(drawings) != self._drawings:
            self._drawings = tuple(drawings)
            self.update()

    def set_names(self, names: VeinNames | None) -> None:
        """Write the names of veins over the picture, or none."""
        if names is not self._names:
            self._names = names
            self.update()

    def set_clip(self, clip: Clip, moving: bool | None = None) -> None:
        """Hide what lies before some planes; while they are ``moving`` a rough picture will do."""
        if clip != self._clip or moving not in (None, self._moving):
            self._clip = clip
            self._moving = self._moving if moving is None else moving
            self._redraw()

    def set_playing(self, on: bool) -> None:
        """Say that pictures follow each other quickly: rough ones will do meanwhile."""
        if on != self._playing:
            self._playing = on
            self._redraw()

    def set_cut(
        self, point_mm: Vector | None, normal: Vector = (0.0, 0.0, 1.0), radius_mm: float = 100.0
    ) -> None:
        """Show the cut handle: centre (LPS mm), normal to the specimen; or None to remove it.

        A drag goes on when it is told of its own cut, and ends when the cut becomes another.
        """
        cut = None if point_mm is None else Cut(point_mm, vector(unit(normal)), radius_mm)
        if cut is None or self._cut is None or not cut.is_close_to(self._cut):
            self._cut_drag = None
            self._change_cut(cut)

    def set_outlining(self, on: bool) -> None:
        """Choose whether a left drag draws an outline instead of turning the view."""
        self._outlining = on
        if not on and self._outline:
            self._outline = []
            self.update()

    def set_split(self, name: str | None, specimen_colour: Colour = (0xE5, 0xA9, 0x4B)) -> None:
        """Colour the part of item ``name`` on the cut's specimen side; None colours nothing."""
        split = None if name is None else (name, specimen_colour)
        if split != self._split:
            self._split = split
            self._redraw()

    def look_from(self, side: Side) -> None:
        """Look at everything from the patient's ``side``."""
        self.scene.camera = self.camera.look_from(side)
        self.reset_view()

    def look_along(self, towards: Vector) -> None:
        """Look at everything from the direction ``towards`` (LPS, scene to eye), head up."""
        camera = self.camera
        eye = np.asarray(camera.focal_mm) + camera.distance_mm * unit(towards)
        self.scene.camera = replace(camera, eye_mm=vector(eye), up=SIDES["A"][1])
        self.reset_view()

    def reset_view(self) -> None:
        """Fit everything into the view without turning it."""
        surfaces = [item.surface for item in self._items.values() if item.visible]
        points = [
            surface.points_mm[:: 1 + len(surface.points_mm) // FRAMED_BY]
            for surface in surfaces
            if len(surface.points_mm)
        ]
        if points:
            self.scene.camera = self.camera.frame(np.concatenate(points), self._size())
        self._redraw()

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the scene if it changed, and the marks over it."""
        self._draw_if_stale()
        with QPainter(self) as painter:
            self._paint(painter)

    @guarded
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw anew in the new size."""
        self._redraw()

    @guarded
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Grab the handle or the cube, or begin to turn (left) or shift (middle) the view."""
        x, y = event.position().x(), event.position().y()
        left = event.button() == Qt.MouseButton.LeftButton
        self._last = event.position()
        self._before = self.camera
        if left and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            point = self.scene.pick(x, y, self._size())
            if point is not None:
                self.crosshair_requested.emit(point)
        elif left and self._outlining:
            self._outline = [(x, y)]
        elif left and (side := self.scene.cube_side(x, y, self._size())):
            self.look_from(side)
        elif left and self._cut and (drag := grab(self._cut, self.camera, x, y, self._size())):
            self._cut_drag = drag
        elif left or event.button() == Qt.MouseButton.MiddleButton:
            self._pivot = self._anchor(x, y)

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry on what the press began; otherwise light up what could be grabbed."""
        x, y = event.position().x(), event.position().y()
        step = event.position() - self._last
        self._last = event.position()
        if self._outline:
            self._outline.append((x, y))
            self.update()
        elif self._cut_drag is not None:
            self._moving = True
            cut = self._cut_drag.to(x, y)
            self._change_cut(cut)
            self.cut_dragging.emit(cut.point_mm, cut.normal)
        elif self._pivot is not None:
            self._moving = True
            left = event.buttons() & Qt.MouseButton.LeftButton
            move = self.camera.orbit if left else self.camera.pan
            self.camera = move(step.x(), step.y(), self._pivot, self._size())
        else:
            shown, size = self._cut, self._size()
            self._light_up(part_at(shown, self.camera, x, y, size) if shown else None)

    @guarded
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the drag and draw once more in full quality."""
        outline, self._outline = self._outline, []
        if len(outline) > 2:
            self.outlined.emit(outline)
        moved, drag = self._moving, self._cut_drag
        self._stand_still()
        if drag is not None and moved and self._cut is not None:
            self.cut_released.emit(self._cut.point_mm, self._cut.normal)

    @guarded
    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Ask to be maximised."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.maximise_requested.emit()

    @guarded
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom to the point under the cursor."""
        x, y = event.position().x(), event.position().y()
        factor = ZOOM_PER_NOTCH ** (event.angleDelta().y() / 120)
        self._moving = True
        self._settle.start()
        self.camera = self.camera.zoom(factor, self._anchor(x, y))

    @guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A P L R S I: standard views; Home: fit; Esc: give the drag back."""
        side = event.text().upper()
        if side in SIDES and not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier:
            self.look_from(side)
        elif event.key() == Qt.Key.Key_Home:
            self.reset_view()
        elif event.key() == Qt.Key.Key_Escape and self._outline:
            self._outline = []
            self.update()
        elif event.key() == Qt.Key.Key_Escape and (self._cut_drag or self._pivot):
            self._give_back()
        else:
            super().keyPressEvent(event)

    @guarded
    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is under the cursor any more."""
        self._light_up(None)

    @guarded(default=QSize(480, 360))
    def sizeHint(self) -> QSize:
        """Room for a picture."""
        return QSize(480, 360)

    def _size(self) -> Size:
        return self.width(), self.height()

    def _redraw(self) -> None:
        self._stale = True
        self.update()

    def _paint(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(DARK.view))
        if self._image is not None:
            painter.drawImage(self.rect(), self._image)
        if self._problem or not self._items:
            draw_sentence(painter, self.rect(), self._problem or EMPTY)
        elif self._crosshair is not None and self._image is not None:
            draw_crosshair(painter, self._crosshair, self._seen_from, self._size())
        if self._cut is not None and self._image is not None:
            held = self._cut_drag.part if self._cut_drag else self._hover
            draw_cut(painter, self._cut, self._seen_from, self._size(), held)
        if self._image is not None:
            for handle in self.handles:
                if len(self.handles) > 1:
                    draw_ball(painter, handle, self._seen_from, self._size(), CLIP_COLOUR)
                else:
                    draw_cut(painter, handle, self._seen_from, self._size(), None, CLIP_COLOUR)
            if self._names is not None:
                paint_names_on_scene(painter, self._seen_from, self._size(), self._names)
            paint_on_scene(painter, self._seen_from, self._size(), self._drawings)
        if len(self._outline) > 1:
            draw_outline(painter, self._outline)
        draw_frame(painter, self.rect(), self._notice, self._caption)

    def _draw_if_stale(self) -> None:
        if not self._stale or self.painter.busy:
            return
        self._stale = False
        resolution, draft = EFFORTS[self._effort] if self._moving or self._playing else EFFORTS[0]
        scale = resolution * self.devicePixelRatioF()
        width, height = (max(round(side * scale), 1) for side in self._size())
        done = self.painter.draw(
            Wish(
                self._with_handle(),
                self._split_now(),
                self.camera,
                (width, height),
                draft,
                self._epoch,
                self._clip,
            )
        )
        if done is not None:
            self._show(done)

    @guarded
    def _take(self, job: Job[Drawn]) -> None:
        """Show a picture that was drawn beside the window."""
        self._show(job)
        self.update()

    def _show(self, job: Job[Drawn]) -> None:
        if job.error is not None:
            raise job.error
        drawn = job.result
        if drawn is None or drawn.epoch != self._epoch:
            return
        self._image, self._problem, self._seen_from = drawn.image, drawn.problem, drawn.camera
        hurried = self._moving or self._playing
        if hurried and drawn.spent_ms > SLOW_MS and self._effort + 1 < len(EFFORTS):
            self._effort += 1

    def _with_handle(self) -> dict[str, SceneItem]:
        if self._cut is None:
            return dict(self._items)
        look = CUT_LOOK
        disc = SceneItem(self._cut.disc(), look.colour, look.opacity, kind=look.kind)
        return {**self._items, CUT: disc}

    def _split_now(self) -> Split | None:
        if self._cut is None or self._split is None:
            return None
        name, colour = self._split
        return Split(name, self._cut.point_mm, self._cut.normal, colour)

    def _change_cut(self, cut: Cut | None) -> None:
        if cut != self._cut:
            self._cut = cut
            self._redraw()

    def _anchor(self, x: float, y: float) -> Vector:
        """The surface point under the cursor, or the point beside it as deep as the focus."""
        picked = self.scene.pick(x, y, self._size())
        return picked or self.camera.at_depth_of(self.camera.focal_mm, x, y, self._size())

    def _light_up(self, part: Part | None) -> None:
        if part != self._hover:
            self._hover = part
            shape = Qt.CursorShape.OpenHandCursor if part else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
            self.update()

    def _give_back(self) -> None:
        drag = self._cut_drag
        self._stand_still()
        if drag is not None:
            self._change_cut(drag.start)
            self.cut_dragging.emit(drag.start.point_mm, drag.start.normal)
        else:
            self.camera = self._before

    def _stand_still(self) -> None:
        self._cut_drag = None
        self._pivot = None
        if self._moving:
            self._moving = False
            self._redraw()
