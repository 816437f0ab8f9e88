"""What is drawn over the picture of a slice: letters, corner text, crosshair, lines, seeds.

Positions are logical widget pixels. Nothing is written over the middle of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from meshing.surface import SurfaceMesh
from segmentation.volume import Vector
from workstation.planning.cut_surface import lines_where_zero
from workstation.slices import Placement
from workstation.ui.theme import DARK, VIEWS

BAR_PX = 3
MARGIN_PX = 8
GAP_PX = 10  # the crosshair leaves this much free around the point it marks
CLEAR_PX = 6  # between a letter and the crosshair
SEED_PX = 5
_HALO = QColor(0, 0, 0, 220)
_PLATE = QColor(0, 0, 0, 110)
_ACCENT = QColor(DARK.accent)
_NICE_MM = (1, 2, 5, 10, 20, 50, 100, 200)
_INCLUDED, _EXCLUDED = QColor(DARK.done), QColor(DARK.problem)


@dataclass(frozen=True)
class CutLine:
    """A cut plane to be drawn where it meets the slices: LPS mm point and normal."""

    point_mm: Vector
    normal: Vector
    name: str = ""
    draggable: bool = True


@dataclass(frozen=True, eq=False)
class CutCurve(CutLine):
    """A bent cut to be drawn where its surface meets the slices."""

    surface: SurfaceMesh | None = None


def halo_text(
    painter: QPainter, x: float, y: float, text: str, colour: QColor, halo: QColor = _HALO
) -> None:
    """Write ``text`` with its base line near (x, y), on whole pixels, readable on any image.

    It has a 1 px dark halo, and a thin dark plate against bright bone and lines behind it.
    """
    if not text:
        return
    x, y = round(x), round(y)
    metrics = QFontMetricsF(painter.font())
    height = metrics.ascent() + metrics.descent()
    plate = QRectF(x - 2, y - metrics.ascent(), metrics.horizontalAdvance(text) + 4, height)
    painter.fillRect(plate, _PLATE)
    painter.setPen(halo)
    for dx, dy in ((-1, -1), (1, -1), (-1, 1), (1, 1), (0, -1), (0, 1), (-1, 0), (1, 0)):
        painter.drawText(QPointF(x + dx, y + dy), text)
    painter.setPen(colour)
    painter.drawText(QPointF(x, y), text)


def draw_bar(painter: QPainter, placement: Placement, focused: bool) -> None:
    """Draw the colour bar and, when the keyboard acts here, a frame of the same colour."""
    colour = QColor(VIEWS[placement.plane.view])
    painter.fillRect(QRectF(0, 0, placement.width, BAR_PX), colour)
    if focused:
        painter.setPen(QPen(colour, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(QRectF(0.5, 0.5, placement.width - 1, placement.height - 1))


def draw_corners(
    painter: QPainter,
    placement: Placement,
    top_left: Sequence[str],
    top_right: Sequence[str],
    bottom_left: Sequence[str],
    bottom_right: Sequence[str],
) -> None:
    """Write up to a few lines in each corner; the first of the top left is the view's name."""
    metrics = QFontMetricsF(painter.font())
    text, name = QColor(DARK.text), QColor(VIEWS[placement.plane.view])
    step = metrics.height()
    top = BAR_PX + MARGIN_PX / 2 + metrics.ascent()
    bottom = placement.height - MARGIN_PX - metrics.descent()
    right = placement.width - MARGIN_PX
    for n, line in enumerate(top_left):
        halo_text(painter, MARGIN_PX, top + n * step, line, text if n else name)
    for n, line in enumerate(top_right):
        halo_text(painter, right - metrics.horizontalAdvance(line), top + n * step, line, text)
    for n, line in enumerate(reversed(bottom_left)):
        halo_text(painter, MARGIN_PX, bottom - n * step, line, text)
    for n, line in enumerate(reversed(bottom_right)):
        halo_text(painter, right - metrics.horizontalAdvance(line), bottom - n * step, line, text)


def draw_letters(
    painter: QPainter, placement: Placement, crosshair_mm: Vector | None = None
) -> None:
    """Write what each edge of the screen points to in the patient.

    A letter stands in the middle of its edge, or beside the line of a crosshair (LPS mm) there.
    """
    metrics = QFontMetricsF(painter.font())
    left, right, top, bottom = placement.plane.letters
    colour = QColor(DARK.warning)
    line_x, line_y = (
        (None, None) if crosshair_mm is None else placement.to_widget(crosshair_mm).tolist()[:2]
    )

    def across(letters: str) -> float:
        size = metrics.horizontalAdvance(letters)
        return _aside((placement.width - size) / 2, size, line_x)

    height = metrics.ascent() + metrics.descent()
    middle = placement.height / 2 + metrics.capHeight() / 2 - metrics.ascent()
    level = _aside(middle, height, line_y) + metrics.ascent()
    halo_text(painter, MARGIN_PX, level, left, colour)
    end = placement.width - MARGIN_PX - metrics.horizontalAdvance(right)
    halo_text(painter, end, level, right, colour)
    first = BAR_PX + MARGIN_PX / 2 + metrics.ascent()
    halo_text(painter, across(top), first, top, colour)
    last = placement.height - 2 * MARGIN_PX - metrics.height()
    halo_text(painter, across(bottom), last, bottom, colour)


def _aside(start: float, size: float, line: float | None) -> float:
    """Return where a text of ``size`` pixels begins that would begin at ``start``, off ``line``."""
    if line is None or not start - CLEAR_PX < line < start + size + CLEAR_PX:
        return start
    return line + CLEAR_PX if line <= start + size / 2 else line - CLEAR_PX - size


def scale_bar_mm(placement: Placement) -> float:
    """Return the longest round length in mm that takes at most a fifth of the width."""
    limit = placement.width / 5 / placement.scale
    fitting = [length for length in _NICE_MM if length <= limit]
    return float(fitting[-1]) if fitting else 10.0 ** np.floor(np.log10(limit))


def draw_scale_bar(painter: QPainter, placement: Placement) -> None:
    """Draw a bar of round length at the bottom, its length beside it."""
    length_mm = scale_bar_mm(placement)
    length = length_mm * placement.scale
    x, y = placement.width / 2 - length / 2, placement.height - MARGIN_PX - 4.0
    ticks = [
        QLineF(x, y, x + length, y),
        QLineF(x, y - 4, x, y + 4),
        QLineF(x + length, y - 4, x + length, y + 4),
    ]
    for colour, width in ((_HALO, 3), (QColor(DARK.text), 1)):
        painter.setPen(QPen(colour, width))
        painter.drawLines(ticks)
    halo_text(painter, x + length + 6, y + 4, f"{length_mm:g} mm", QColor(DARK.text))


def draw_crosshair(painter: QPainter, placement: Placement, point_mm: Vector) -> None:
    """Draw a crosshair of 1 px through an LPS mm point, with a gap around the point.

    Each line has the colour of the view that it is the edge of.
    """
    x, y, _ = (float(v) for v in placement.to_widget(point_mm))
    upright, level = _crossing_views(placement)
    width, height = placement.width, placement.height
    painter.setPen(QPen(QColor(VIEWS[level]), 1))
    painter.drawLines([QLineF(0, y, x - GAP_PX, y), QLineF(x + GAP_PX, y, width, y)])
    painter.setPen(QPen(QColor(VIEWS[upright]), 1))
    painter.drawLines([QLineF(x, 0, x, y - GAP_PX), QLineF(x, y + GAP_PX, x, height)])


def _crossing_views(placement: Placement) -> tuple[str, str]:
    """Return which view the upright line and the level line of the crosshair stand for."""
    view = placement.plane.view
    upright = "coronal" if view == "sagittal" else "sagittal"
    level = "coronal" if view == "axial" else "axial"
    return upright, level


def draw_cut_line(
    painter: QPainter, placement: Placement, line: CutLine, highlighted: bool
) -> None:
    """Draw where a cut plane meets the slice, in the accent colour."""
    pieces = _pieces(placement, line)
    for colour, extra in ((QColor(0, 0, 0, 140), 2), (_ACCENT, 0)):
        painter.setPen(QPen(colour, (3 if highlighted else 2) + extra))
        painter.drawLines([QLineF(x0, y0, x1, y1) for (x0, y0), (x1, y1) in pieces])


def _pieces(placement: Placement, line: CutLine) -> list[list[list[float]]]:
    """Return where a cut meets the slice as pieces of line, in widget pixels."""
    if isinstance(line, CutCurve):
        if line.surface is None or not len(line.surface.triangles):
            return []
        away = placement.to_widget(line.surface.points_mm)[:, 2]
        pieces = placement.to_widget(lines_where_zero(line.surface, away))
        return pieces[..., :2].tolist()  # type: ignore[no-any-return]
    ends = placement.line(line.point_mm, line.normal)
    return [] if ends is None else [ends.tolist()]


def distance_to_line_px(placement: Placement, line: CutLine, x: float, y: float) -> float:
    """Return how far, in logical pixels, (x, y) lies from the drawn line of a cut plane."""
    if isinstance(line, CutCurve):
        pieces = np.asarray(_pieces(placement, line)).reshape(-1, 2, 2)
        ends_px = pieces.reshape(-1, 2) - (x, y)
        return float(np.linalg.norm(ends_px, axis=1).min()) if len(ends_px) else float("inf")
    ends = placement.line(line.point_mm, line.normal)
    if ends is None:
        return float("inf")
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    away = np.array([x, y]) - ends[0]
    return abs(float(along[0] * away[1] - along[1] * away[0]))


def draw_seeds(
    painter: QPainter, placement: Placement, seeds: Sequence[Sequence[Vector]], foreground: bool
) -> None:
    """Draw the seeds on this slice: clicks as dots with a plus (inside) or a minus (outside).

    Strokes are lines with such a dot in their middle. Up to three slices away dots are rings.
    """
    colour = _INCLUDED if foreground else _EXCLUDED
    for seed in seeds:
        places = placement.to_widget(np.reshape(seed, (-1, 3)))
        x, y, away = places[len(places) // 2].tolist()
        if abs(away) > 3.5:
            continue
        if len(places) > 1 and np.abs(places[:, 2]).min() <= 0.5:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for ink, width in ((_HALO, 5.0), (colour, 3.0)):
                painter.setPen(QPen(ink, width))
                painter.drawPolyline([QPointF(a, b) for a, b in places[:, :2].tolist()])
        here = abs(away) <= 0.5
        painter.setPen(QPen(_HALO if here else colour, 1))
        painter.setBrush(colour if here else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(x, y), SEED_PX, SEED_PX)
        if here:
            painter.setPen(QPen(QColor(DARK.view), 2))
            painter.drawLine(QLineF(x - 3, y, x + 3, y))
            if foreground:
                painter.drawLine(QLineF(x, y - 3, x, y + 3))


def draw_brush(
    painter: QPainter,
    stroke: Sequence[tuple[float, float]],
    cursor: tuple[float, float] | None,
    radius: float,
    erase: bool,
) -> None:
    """Draw the stroke made so far and the circle of the brush, ``radius`` in pixels."""
    colour = _EXCLUDED if erase else _ACCENT
    if stroke:
        wide = QColor(colour)
        wide.setAlphaF(0.35)
        pen = QPen(wide, 2 * radius)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        points = [QPointF(x, y) for x, y in stroke]
        painter.drawPolyline(points if len(points) > 1 else [*points, points[0]])
    if cursor is not None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        style = Qt.PenStyle.DashLine if erase else Qt.PenStyle.SolidLine
        for halo, width in ((_HALO, 3.0), (colour, 1.0)):
            painter.setPen(QPen(halo, width, style))
            painter.drawEllipse(QPointF(*cursor), radius, radius)


def draw_outline(painter: QPainter, corners: Sequence[tuple[float, float]]) -> None:
    """Draw the outline that is being cut out, and the side that closes it, in widget pixels."""
    points = [QPointF(x, y) for x, y in corners]
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((_HALO, 3.0), (_ACCENT, 1.5)):
        painter.setPen(QPen(colour, width))
        painter.drawPolyline(points)
    painter.setPen(QPen(_ACCENT, 1, Qt.PenStyle.DashLine))
    painter.drawLine(points[-1], points[0])


def draw_empty(painter: QPainter, width: int, height: int, sentence: str) -> None:
    """Write a muted sentence in the middle of an empty view."""
    painter.setPen(QColor(DARK.muted))
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(QRectF(16, 16, max(width - 32, 1), max(height - 32, 1)), flags, sentence)
