"""The handles of what can be moved, drawn over a view; clicks go through to the view itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from meshing.surface import SurfaceMesh
from segmentation.volume import Floats
from workstation.camera import Camera, Size
from workstation.planning.cut_surface import lines_where_zero
from workstation.planning.live_fit_moves import Grip
from workstation.slices import Placement
from workstation.ui.guard import guarded
from workstation.ui.part_handles import (
    BALL_REACH_PX,
    SLICE_RING_PX,
    Held,
    can_turn,
    ring_mm,
    tip_mm,
)
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_view import SliceView
from workstation.ui.theme import DARK, VIEWS

AXIS_COLOURS = (VIEWS["sagittal"], VIEWS["coronal"], VIEWS["axial"])
"""An axis has the colour of the view that it goes through."""

LIT, OUTLINE = "#FFFFFF", "#A9C0D0"
BALL_PX = 6.5


@dataclass(frozen=True, eq=False)
class Shown:
    """What the views show of something that can be moved: grips, one lit, and the part."""

    grips: Sequence[Grip] = ()
    lit: Held | None = None
    parts: Sequence[SurfaceMesh] = ()


class HandleOverlay(QWidget):
    """Lies over one view and paints the handles there."""

    def __init__(self, view: SceneView | SliceView, shown: Callable[[], Shown]) -> None:
        super().__init__(view)
        self._view, self._shown = view, shown
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.fill()
        self.show()

    def fill(self) -> None:
        """Cover the whole view."""
        self.resize(self._view.size())

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the handles."""
        shown = self._shown()
        if not shown.grips:
            return
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if isinstance(self._view, SceneView):
                size = (self.width(), self.height())
                for n, grip in enumerate(shown.grips):
                    _paint_in_scene(painter, grip, self._view.camera, size, _lit(shown.lit, n))
            elif self._view.placement is not None:
                _paint_outlines(painter, shown.parts, self._view.placement)
                for n, grip in enumerate(shown.grips):
                    _paint_on_slice(painter, grip, self._view.placement, _lit(shown.lit, n))


def _lit(lit: Held | None, number: int) -> Held | None:
    return lit if lit is not None and lit.grip == number else None


def _paint_in_scene(
    painter: QPainter, grip: Grip, camera: Camera, size: Size, lit: Held | None
) -> None:
    centre = camera.project(grip.centre_mm, size)[0]
    if not np.isfinite(centre).all():
        return
    for n, axis in enumerate(grip.turns):
        ring = camera.project(ring_mm(grip, n, camera, size), size)
        if np.isfinite(ring).all():
            painter.setPen(
                _pen(_colour(axis), lit is not None and (lit.kind, lit.number) == ("turn", n))
            )
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y, _ in ring]))
    for n, axis in enumerate(grip.shifts):
        tip = camera.project(tip_mm(grip, n, camera, size), size)[0]
        if np.isfinite(tip).all():
            on = lit is not None and (lit.kind, lit.number) == ("shift", n)
            _arrow(painter, centre[:2], tip[:2], _colour(axis), on)
    _ball(painter, centre[:2], lit is not None and lit.kind == "ball", grip)


def _paint_on_slice(painter: QPainter, grip: Grip, placement: Placement, lit: Held | None) -> None:
    centre = placement.to_widget(grip.centre_mm)[:2]
    if can_turn(grip, placement):
        colour = VIEWS[placement.plane.view]
        painter.setPen(_pen(colour, lit is not None and lit.kind == "turn"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(*centre), SLICE_RING_PX, SLICE_RING_PX)
    if grip.free or grip.shifts:
        _ball(painter, centre, lit is not None and lit.kind == "ball", grip)


def _paint_outlines(painter: QPainter, parts: Sequence[SurfaceMesh], placement: Placement) -> None:
    """Draw where the held part meets the slice."""
    painter.setPen(QPen(QColor(OUTLINE), 2.0))
    for part in parts:
        height = placement.to_widget(part.points_mm)[:, 2]
        for start, end in lines_where_zero(part, height):
            a, b = placement.to_widget(np.stack([start, end]))[:, :2]
            painter.drawLine(QPointF(*a), QPointF(*b))


def _arrow(painter: QPainter, start: Floats, tip: Floats, colour: str, lit: bool) -> None:
    painter.setPen(_pen(colour, lit))
    painter.drawLine(QPointF(*start), QPointF(*tip))
    way = tip - start
    length = float(np.hypot(*way))
    way = way / length if length > 1 else np.array([0.0, -1.0])
    aside, base = np.array([-way[1], way[0]]), tip - 11 * way
    painter.setBrush(QBrush(QColor(LIT if lit else colour)))
    painter.drawPolygon(
        QPolygonF([QPointF(*p) for p in (tip + 3 * way, base + 5 * aside, base - 5 * aside)])
    )


def _ball(painter: QPainter, centre: Floats, lit: bool, grip: Grip) -> None:
    painter.setPen(QPen(QColor(DARK.view), 1.5))
    painter.setBrush(QBrush(QColor(LIT if lit else DARK.accent)))
    radius = BALL_PX if grip.free or grip.shifts else BALL_REACH_PX / 3
    painter.drawEllipse(QPointF(*centre), radius, radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _colour(axis: tuple[float, float, float]) -> str:
    """Return the colour of the patient's axis along which a direction goes; else the accent."""
    near = int(np.abs(axis).argmax())
    return AXIS_COLOURS[near] if abs(axis[near]) > 0.999 else DARK.accent


def _pen(colour: str, lit: bool) -> QPen:
    return QPen(QColor(LIT if lit else colour), 3.0 if lit else 1.75)
