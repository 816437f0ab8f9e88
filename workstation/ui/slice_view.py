"""One slice view: shows a volume along one direction and turns gestures into signals.

The view keeps nothing that is worth undoing. What it shows is set from outside; every setter
may be called again with the same values at no cost. Points are LPS mm tuples (x, y, z).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy.typing as npt
from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch
from segmentation.volume import Floats, ImageGeometry, Vector, Volume
from workstation.fusion import Layer
from workstation.raster import Overlay, default_window
from workstation.slices import Placement, SlicePlane, ViewName, slice_plane, vector, vectors
from workstation.ui.drawings import Drawing
from workstation.ui.guard import guarded
from workstation.ui.slice_drags import Drag, begin_drag, line_at
from workstation.ui.slice_overlay import CutLine, draw_bar, draw_empty
from workstation.ui.slice_paint import Marks, Tool, corner_font, paint_marks, paint_texts
from workstation.ui.slice_picture import SlicePicture
from workstation.ui.theme import DARK

WHEEL_STEP = 120  # what Qt reports for one notch of a wheel
PAGE_SLICES = 10
ZOOM_PER_STEP = 1.2
_EMPTY = "No image yet. Import a scan, or drop a folder here."


class SliceView(QWidget):
    """Shows one slice of a volume with overlays, and reports what the hand does.

    Wheel and arrow keys scroll; right drag changes the window; middle drag pans; Ctrl with the
    wheel zooms about the cursor; Home resets; left click or drag moves the crosshair, as does
    moving with Shift held; a double click asks to be maximised; Escape gives a drag back.
    """

    crosshair_moved = Signal(object)
    window_changed = Signal(float, float)
    slice_changed = Signal(int)
    zoom_changed = Signal(float)
    seed_placed = Signal(object, bool)
    stroke_moved = Signal(object)
    stroke_finished = Signal(object)
    stroke_dropped = Signal()
    outline_finished = Signal(object)
    piece_chosen = Signal(object)
    plane_dragged = Signal(object, str)
    plane_released = Signal()
    maximise_requested = Signal()

    def __init__(self, view: ViewName, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: ViewName = view
        self._volume: Volume | None = None
        self._placement: Placement | None = None
        self._overlays: tuple[Overlay, ...] = ()
        self._surfaces: tuple[SurfaceMesh, ...] = ()
        self._layer: Layer | None = None
        self._marks = Marks()
        self._window = (400.0, 40.0)
        self._flips = (False, False)
        self._drag: Drag | None = None
        self._wheel = 0
        self._picture = SlicePicture()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(f"{view} slice view")

    # What is shown, set from outside

    def set_volume(self, volume: Volume | None) -> None:
        """Show ``volume``; slice, zoom and pan stay while the grid stays the same."""
        if volume is self._volume:
            return
        before, self._volume = self._volume, volume
        self._end_drag(cancel=True)
        if volume is None:
            self._placement = None
        else:
            if before is None or before.quantity != volume.quantity:
                self._window = default_window(volume)
            if self._placement is None or self._placement.plane.geometry != volume.geometry:
                self._place_anew(volume)
            self._drop_strangers(volume.geometry.frame_uid)
        self.update()

    def set_overlays(self, overlays: Sequence[Overlay]) -> None:
        """Show label maps over the image, the last one on top.

        Raises:
            FrameMismatch: if an overlay lies in another frame than the volume.
        """
        given = tuple(overlays)
        if given != self._overlays:
            for overlay in given:
                self._check_frame(overlay.name, overlay.labels.geometry.frame_uid)
            self._overlays = given
            self.update()

    def set_layer(self, layer: Layer | None) -> None:
        """Show a second image over the first, under the labels; None shows none.

        Raises:
            FrameMismatch: if it lies in another frame than the volume.
        """
        if layer != self._layer:
            if layer is not None:
                self._check_frame("the second image", layer.volume.geometry.frame_uid)
            self._layer = layer
            self.update()

    def set_surfaces(self, surfaces: Sequence[SurfaceMesh]) -> None:
        """Draw surfaces, in their own colours, where they meet the slice.

        Raises:
            FrameMismatch: if a surface lies in another frame than the volume.
        """
        given = tuple(surfaces)
        if given != self._surfaces:
            for surface in given:
                self._check_frame(surface.name, surface.frame_uid)
            self._surfaces = given
            self.update()

    def _check_frame(self, name: str, frame_uid: str) -> None:
        if self._volume is not None and frame_uid != self._volume.geometry.frame_uid:
            raise FrameMismatch(
                f"{name or 'the overlay'} lies in another frame of reference than the image; "
                "register one to the other first"
            )

    def set_lines(self, lines: Sequence[CutLine]) -> None:
        """Draw cut planes where they meet the slice."""
        if tuple(lines) != self._marks.lines:
            self._marks.lines = tuple(lines)
            self.update()

    def set_crosshair(self, point_mm: npt.ArrayLike | None) -> None:
        """Put the crosshair at an LPS mm point and show the slice through it."""
        point = None if point_mm is None else vector(point_mm)
        if point == self._marks.crosshair:
            return
        self._marks.crosshair = point
        if point is not None and self._placement is not None:
            self._show_plane(self._placement.plane.through(point))
        self.update()

    def set_window(self, width: float, level: float) -> None:
        """Set the window's width and level in the unit of the image."""
        if (width, level) != self._window:
            self._window = (float(width), float(level))
            self.update()

    def set_seeds(
        self, foreground: Iterable[npt.ArrayLike], background: Iterable[npt.ArrayLike]
    ) -> None:
        """Show clicks, LPS mm points, and strokes, (n, 3), inside and outside of what is marked."""
        seeds = (tuple(map(vectors, foreground)), tuple(map(vectors, background)))
        if seeds != (self._marks.foreground, self._marks.background):
            self._marks.foreground, self._marks.background = seeds
            self.update()

    def set_tool(self, tool: Tool) -> None:
        """Choose what a left click or drag does."""
        if tool != self._marks.tool:
            self._end_drag(cancel=True)
            self._marks.tool = tool
            self.update()

    def set_brush_radius(self, radius_mm: float) -> None:
        """Set the radius of the brush in mm."""
        if radius_mm != self._marks.brush_radius_mm:
            self._marks.brush_radius_mm = float(radius_mm)
            self.update()

    def set_trail(self, shown: bool) -> None:
        """Choose whether a stroke is drawn while it is made; a painted label shows it anyway."""
        self._marks.trail = shown

    def set_notice(self, notice: str) -> None:
        """Say something about all that is shown; "" says nothing."""
        if notice != self._marks.notice:
            self._marks.notice = notice
            self.update()

    def set_drawings(self, drawings: Sequence[Drawing]) -> None:
        """Draw measurements over the picture."""
        if tuple(drawings) != self._marks.drawings:
            self._marks.drawings = tuple(drawings)
            self.update()

    def set_flips(self, across: bool, down: bool) -> None:
        """Mirror the picture left to right or top to bottom; the letters follow."""
        if (across, down) == self._flips:
            return
        self._flips = (across, down)
        if self._placement is not None:
            plane = self._placement.plane
            self._show_plane(self._plane(plane.geometry, plane.index))

    def set_slice(self, index: int) -> None:
        """Show the slice at ``index`` and take the crosshair along."""
        if self._placement is None:
            return
        before = self._placement.plane
        plane = before.at(index)
        if plane == before:
            return
        if self._marks.crosshair is not None:
            self._marks.crosshair = vector(
                plane.to_world(before.to_pixel(self._marks.crosshair)[:2])
            )
        self._show_plane(plane)
        if self._marks.crosshair is not None:
            self.crosshair_moved.emit(self._marks.crosshair)

    def reset_view(self) -> None:
        """Fit the picture to the view again."""
        if self._placement is not None:
            self.place(replace(self._placement, zoom=1.0, pan_mm=(0.0, 0.0)))

    # What others may ask

    @property
    def placement(self) -> Placement | None:
        """How the slice lies on the widget and in the patient; None without an image."""
        return self._placement

    @property
    def window_level(self) -> tuple[float, float]:
        """Width and level of the window in the unit of the image."""
        return self._window

    @property
    def marks(self) -> Marks:
        """What lies over the picture; the setters change it."""
        return self._marks

    # State

    def _plane(self, geometry: ImageGeometry, index: int | None = None) -> SlicePlane:
        across, down = self._flips
        return slice_plane(geometry, self._view, index, flip_across=across, flip_down=down)

    def _drop_strangers(self, frame_uid: str) -> None:
        """Let go of what lies in another frame: it must never be drawn over this image."""
        self._overlays = tuple(
            overlay for overlay in self._overlays if overlay.labels.geometry.frame_uid == frame_uid
        )
        self._surfaces = tuple(s for s in self._surfaces if s.frame_uid == frame_uid)
        if self._layer is not None and self._layer.volume.geometry.frame_uid != frame_uid:
            self._layer = None

    def _place_anew(self, volume: Volume) -> None:
        plane = self._plane(volume.geometry)
        if self._marks.crosshair is not None:
            plane = plane.through(self._marks.crosshair)
        self._placement = Placement(plane, max(self.width(), 1), max(self.height(), 1))
        self.slice_changed.emit(plane.index)

    def _show_plane(self, plane: SlicePlane) -> None:
        if self._placement is None or plane == self._placement.plane:
            return
        moved = plane.index != self._placement.plane.index
        self._placement = replace(self._placement, plane=plane)
        self.update()
        if moved:
            self.slice_changed.emit(plane.index)

    def place(self, placement: Placement) -> None:
        """Pan or zoom."""
        zoomed = self._placement is None or placement.zoom != self._placement.zoom
        self._placement = placement
        self.update()
        if zoomed:
            self.zoom_changed.emit(placement.zoom)

    def move_crosshair(self, x: float, y: float) -> None:
        """Put the crosshair under a widget position and say so."""
        if self._placement is None:
            return
        self._marks.crosshair = self._placement.to_world(*self._placement.clamped(x, y))
        self.update()
        self.crosshair_moved.emit(self._marks.crosshair)

    def change_window(self, width: float, level: float) -> None:
        """Set the window and say so."""
        self.set_window(width, level)
        self.window_changed.emit(*self._window)

    def move_line(self, number: int, line: CutLine, point_mm: Vector) -> None:
        """Move cut line ``number`` to an LPS mm point and say so."""
        lines = list(self._marks.lines)
        if number < len(lines):
            lines[number] = replace(line, point_mm=point_mm)
            self.set_lines(lines)
        self.plane_dragged.emit(point_mm, line.name)

    def release_line(self) -> None:
        """Say that the cut line has come to rest."""
        self.plane_released.emit()

    def finish_stroke(self, points_mm: Floats) -> None:
        """Tell the stroke or the outline, LPS mm points of shape (n, 3)."""
        outline = self._marks.tool == "scissors"
        (self.outline_finished if outline else self.stroke_finished).emit(points_mm)

    def go_on_with_stroke(self, point_mm: Vector) -> None:
        """Tell how far the stroke has come, an LPS mm point."""
        if self._marks.tool != "scissors":
            self.stroke_moved.emit(point_mm)

    def drop_stroke(self) -> None:
        """Tell that the stroke is given back."""
        self.stroke_dropped.emit()

    def choose_piece(self, point_mm: Vector) -> None:
        """Tell the piece at an LPS mm point."""
        self.piece_chosen.emit(point_mm)

    def place_seed(self, points_mm: Sequence[Vector]) -> None:
        """Tell the points of a click or stroke: inside or outside as the tool says."""
        self.seed_placed.emit(tuple(points_mm), self._marks.tool == "seed_foreground")

    def _end_drag(self, cancel: bool = False) -> None:
        drag, self._drag = self._drag, None
        if drag is not None:
            (drag.cancel if cancel else drag.finish)()
            self.update()

    # Events

    @guarded
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a drag, place a seed or move the crosshair."""
        if self._placement is not None and self._drag is None:
            place = event.position()
            self._drag = begin_drag(self, event.button(), place.x(), place.y())
            self.update()

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a drag, or follow the cursor."""
        x, y = event.position().x(), event.position().y()
        self._marks.cursor = (x, y)
        if event.buttons() == Qt.MouseButton.NoButton:
            self._end_drag()  # the button was let go where this view could not see it
        if self._drag is not None:
            self._drag.move(x, y)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.move_crosshair(x, y)
        else:
            self._marks.hovered = line_at(self, x, y) if self._marks.tool == "navigate" else None
            self.setCursor(
                Qt.CursorShape.ArrowCursor
                if self._marks.hovered is None
                else Qt.CursorShape.SizeAllCursor
            )
        self.update()

    @guarded
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag."""
        if event.buttons() == Qt.MouseButton.NoButton:
            self._end_drag()

    @guarded
    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Ask to be maximised; with a drawing tool, go on drawing."""
        if event.button() == Qt.MouseButton.LeftButton and self._marks.tool == "navigate":
            self.maximise_requested.emit()
        else:
            self.mousePressEvent(event)

    @guarded
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll through the slices; zoom about the cursor with Ctrl."""
        event.accept()
        if self._placement is None or self._drag is not None:
            return
        turned, place = event.angleDelta().y(), event.position()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            factor = ZOOM_PER_STEP ** (turned / WHEEL_STEP)
            self.place(self._placement.zoomed(factor, place.x(), place.y()))
            return
        self._wheel += turned
        steps = int(self._wheel / WHEEL_STEP)
        self._wheel -= steps * WHEEL_STEP
        self._step(steps)

    def _step(self, steps: int) -> None:
        if self._placement is not None and steps:
            plane = self._placement.plane
            self.set_slice(plane.index + steps * plane.forward)

    @guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll with arrows and page keys, reset with Home, give a drag back with Escape."""
        steps: dict[int, int] = {
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_PageUp: PAGE_SLICES,
            Qt.Key.Key_PageDown: -PAGE_SLICES,
        }
        key = event.key()  # a number: not every key of every layout is in Qt.Key
        if key in steps:
            self._step(steps[key])
        elif key == Qt.Key.Key_Home:
            self.reset_view()
        elif key == Qt.Key.Key_Escape and self._drag is not None:
            self._end_drag(cancel=True)
        else:
            event.ignore()

    @guarded
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the picture to the new size."""
        if self._placement is not None:
            self._placement = replace(
                self._placement, width=max(self.width(), 1), height=max(self.height(), 1)
            )

    @guarded
    def enterEvent(self, event: QEnterEvent) -> None:
        """Show what lies under the cursor."""
        self._marks.cursor = (event.position().x(), event.position().y())
        self.update()

    @guarded
    def leaveEvent(self, event: QEvent) -> None:
        """Forget the cursor."""
        self._marks.cursor = self._marks.hovered = None
        self.update()

    @guarded
    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show that the keyboard acts here."""
        self.update()

    @guarded
    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show that the keyboard acts elsewhere."""
        self.update()

    @guarded(default=QSize(480, 360))
    def sizeHint(self) -> QSize:
        """Return the size of a view in a small window."""
        return QSize(480, 360)

    @guarded(default=QSize(160, 120))
    def minimumSizeHint(self) -> QSize:
        """Return the size below which the texts no longer fit."""
        return QSize(160, 120)

    # Painting

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture and what lies over it."""
        with QPainter(self) as painter:
            painter.setFont(corner_font(self.font()))
            if self._volume is None or self._placement is None:
                painter.fillRect(self.rect(), QColor(DARK.view))
                said = self._marks.notice or _EMPTY
                draw_empty(painter, self.width(), self.height(), said)
                return
            pixmap = self._picture.pixmap(
                self._volume,
                self._overlays,
                self._surfaces,
                self._window,
                self._placement,
                self.devicePixelRatioF(),
                self._layer,
            )
            painter.drawPixmap(0, 0, pixmap)
            paint_marks(painter, self._placement, self._marks)
            paint_texts(painter, self._placement, self._volume, self._window, self._marks)
            draw_bar(painter, self._placement, self.hasFocus())
