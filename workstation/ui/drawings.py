"""Measurements painted over the views: lines, picked points and the number beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from segmentation.measured import Measured
from segmentation.volume import Floats, Vector
from workstation.actors import MEASURED
from workstation.camera import Camera, Size
from workstation.slices import NEAR_SLICES, Placement, parts_in_slice
from workstation.ui.slice_overlay import halo_text
from workstation.ui.theme import CORNER_FONT_PX, DARK, ui_font

POINT_PX, HELD_PX = 4.0, 6.5
GRAB_PX = 9.0
TEXT_PX = (9, -8)  # of the number, from where it belongs
_COLOUR, _LIT, _HALO = QColor(*MEASURED), QColor("#FFFFFF"), QColor(0, 0, 0, 190)


@dataclass(frozen=True, eq=False)
class Drawing:
    """One measurement as it is shown now.

    ``name`` is its result in the plan, "" while it is being taken; ``lit`` says that it is
    selected and ``held`` which of its points is under the hand.
    """

    name: str
    value: Measured
    lit: bool = False
    held: int | None = None

    @property
    def _colour(self) -> QColor:
        return _LIT if self.lit else _COLOUR


def paint_on_slice(painter: QPainter, placement: Placement, drawings: Sequence[Drawing]) -> None:
    """Paint what lies in the slice; a line that only passes through it is faint beside it."""
    painter.setFont(ui_font(CORNER_FONT_PX))
    for drawing in drawings:
        _paint_slice_one(painter, placement, drawing)


def _paint_slice_one(painter: QPainter, placement: Placement, drawing: Drawing) -> None:
    here: list[Floats] = []
    outline = shape_in_slice(placement, drawing.value)
    if outline is not None:
        _draw(painter, _lines(outline[:-1], outline[1:]), drawing._colour)
        here += list(np.stack([outline[:-1], outline[1:]], axis=1))
    for line in drawing.value.lines_mm if outline is None else ():
        flat = placement.to_widget(line)
        away = flat[:, 2]
        if len(flat) < 2 or away.min() > NEAR_SLICES or away.max() < -NEAR_SLICES:
            continue
        _draw(painter, _lines(flat[:-1, :2], flat[1:, :2]), drawing._colour, faint=True)
        solid = parts_in_slice(flat)
        _draw(painter, _lines(solid[:, 0], solid[:, 1]), drawing._colour)
        here += list(solid)
    for number, (x, y, away) in enumerate(placement.to_widget(drawing.value.picked_mm).tolist()):
        if abs(away) <= NEAR_SLICES:
            _draw_point(painter, x, y, drawing, number)
            here.append(np.array([[x, y], [x, y]]))
    place = placement.to_widget(drawing.value.text_mm)
    if abs(place[2]) > NEAR_SLICES and here:
        place = max(here, key=lambda part: float(np.linalg.norm(part[1] - part[0]))).mean(axis=0)
    if here or abs(place[2]) <= NEAR_SLICES:
        _write(painter, float(place[0]), float(place[1]), drawing)


def shape_in_slice(placement: Placement, value: Measured) -> Floats | None:
    """Return where a fitted shape meets the slice, (n, 2) widget places; None for other lines.

    A plane is cut in a line, a sphere in a circle, a cylinder in (part of) an ellipse; nothing
    where it passes the slice by.
    """
    lines = [placement.to_widget(line) for line in value.lines_mm]
    if "normal" in value.places and len(lines) == 1:
        return _crossings(lines[0][:-1], lines[0][1:])
    if "axis" in value.places and len(lines) == 3:
        return _crossings(lines[1], lines[2])
    if "centre_mm" in value.places and lines:
        x, y, away = placement.to_widget(value.places["centre_mm"])
        radius_mm = np.linalg.norm(value.lines_mm[0][0] - value.places["centre_mm"])
        height_mm = away * placement.plane.thickness_mm
        across = np.sqrt(max(radius_mm**2 - height_mm**2, 0.0)) * placement.scale
        turn = np.linspace(0, 2 * np.pi, 90 if across else 0)
        return np.stack([x + across * np.cos(turn), y + across * np.sin(turn)], axis=1)
    return None


def _crossings(start: Floats, end: Floats) -> Floats:
    """Return where lines from ``start`` to ``end`` (n, 3) pass through the slice, (m, 2)."""
    through = (start[:, 2] < 0) != (end[:, 2] < 0)
    a, b = start[through], end[through]
    share = (a[:, 2] / (a[:, 2] - b[:, 2]))[:, None]
    return np.asarray(a[:, :2] + share * (b[:, :2] - a[:, :2]))


def paint_on_scene(
    painter: QPainter, camera: Camera, size: Size, drawings: Sequence[Drawing]
) -> None:
    """Paint measurements over the 3D picture, always in front."""
    painter.setFont(ui_font(CORNER_FONT_PX))
    for drawing in drawings:
        for line in drawing.value.lines_mm:
            flat = camera.project(line, size)
            if np.isfinite(flat).all() and len(flat) > 1:
                _draw(painter, _lines(flat[:-1, :2], flat[1:, :2]), drawing._colour)
        for number, (x, y, depth) in enumerate(camera.project(drawing.value.picked_mm, size)):
            if np.isfinite(depth):
                _draw_point(painter, float(x), float(y), drawing, number)
        x, y, depth = camera.project(drawing.value.text_mm, size)[0]
        if np.isfinite(depth):
            _write(painter, float(x), float(y), drawing)


def point_at(places: Floats, x: float, y: float) -> int | None:
    """Return which of the places (n, 2) a press at (x, y) takes hold of, or None."""
    if not len(places):
        return None
    away = np.hypot(places[:, 0] - x, places[:, 1] - y)
    away = np.where(np.isfinite(away), away, np.inf)
    nearest = int(np.argmin(away))
    return nearest if away[nearest] <= GRAB_PX else None


def handles_in_slice(placement: Placement, points_mm: Sequence[Vector] | Floats) -> Floats:
    """Return the widget places (n, 2) of points; NaN where they do not lie in the slice."""
    flat = placement.to_widget(np.reshape(points_mm, (-1, 3)))
    return np.where(np.abs(flat[:, 2:]) <= NEAR_SLICES, flat[:, :2], np.nan)


def _lines(start: Floats, end: Floats) -> list[QLineF]:
    return [QLineF(*p, *q) for p, q in zip(start.tolist(), end.tolist())]


def _draw(painter: QPainter, lines: list[QLineF], colour: QColor, faint: bool = False) -> None:
    if not lines:
        return
    if faint:
        pale = QColor(colour)
        pale.setAlphaF(0.4)
        painter.setPen(QPen(pale, 1, Qt.PenStyle.DotLine))
        painter.drawLines(lines)
        return
    for shade, width in ((_HALO, 4.0), (colour, 2.0)):
        pen = QPen(shade, width)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawLines(lines)


def _draw_point(painter: QPainter, x: float, y: float, drawing: Drawing, number: int) -> None:
    held = drawing.held == number
    radius = HELD_PX if held else POINT_PX
    painter.setPen(QPen(QColor(DARK.view), 1.5))
    painter.setBrush(_LIT if held else drawing._colour)
    painter.drawEllipse(QPointF(x, y), radius, radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _write(painter: QPainter, x: float, y: float, drawing: Drawing) -> None:
    halo_text(painter, x + TEXT_PX[0], y + TEXT_PX[1], drawing.value.text, drawing._colour)
