"""What is painted over the 3D picture: name, sentence, crosshair and the cut handle's grips."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from workstation.camera import Camera, Floats, Size, Vector
from workstation.ui.cut_handle import Cut, Part
from workstation.ui.slice_overlay import halo_text
from workstation.ui.theme import CORNER_FONT_PX, DARK, VIEWS, ui_font

BAR_PX = 3
CROSSHAIR_GAP_MM, CROSSHAIR_ARM_MM = 3.0, 14.0
# the axis normal to each slice view is drawn in the colour of that view
CROSSHAIR_AXES = (VIEWS["sagittal"], VIEWS["coronal"], VIEWS["axial"])


def draw_frame(painter: QPainter, area: QRect, notice: str, caption: str = "") -> None:
    """Draw the colour bar, the name of the view and below it what is to be said of all.

    At the bottom, on the right, stands what is selected.
    """
    painter.fillRect(QRect(area.left(), area.top(), area.width(), BAR_PX), QColor(VIEWS["3d"]))
    painter.setFont(ui_font(CORNER_FONT_PX))
    x, y = area.left() + 8, area.top() + BAR_PX + CORNER_FONT_PX + 5
    halo_text(painter, x, y, "3D", QColor(VIEWS["3d"]))
    halo_text(painter, x, y + 1.3 * CORNER_FONT_PX, notice, QColor(DARK.text))
    metrics = QFontMetricsF(painter.font())
    for n, line in enumerate(reversed(caption.splitlines())):
        left = area.right() - 8 - metrics.horizontalAdvance(line)
        halo_text(painter, left, area.bottom() - 10 - n * metrics.height(), line, QColor(DARK.text))


def draw_sentence(painter: QPainter, area: QRect, sentence: str) -> None:
    """Write ``sentence`` in the middle of a view that has nothing to show."""
    painter.setFont(ui_font())
    painter.setPen(QColor(DARK.muted))
    room = area.adjusted(24, 24, -24, -24)
    painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, sentence)


def draw_crosshair(painter: QPainter, point_mm: Vector, camera: Camera, size: Size) -> None:
    """Draw three short arms along L-R, P-A and S-I around ``point_mm`` (LPS)."""
    for axis, colour in enumerate(CROSSHAIR_AXES):
        for sign in (-1, 1):
            reach = np.zeros((2, 3))
            reach[:, axis] = sign * CROSSHAIR_GAP_MM, sign * CROSSHAIR_ARM_MM
            arm = camera.project(np.asarray(point_mm) + reach, size)
            if np.isfinite(arm).all():
                painter.setPen(QPen(QColor(colour), 1.5))
                painter.drawLine(QPointF(*arm[0, :2]), QPointF(*arm[1, :2]))


def draw_ball(painter: QPainter, cut: Cut, camera: Camera, size: Size, colour: str) -> None:
    """Draw a handle of which only the ball counts."""
    x, y, depth = camera.project(cut.point_mm, size)[0]
    if np.isfinite(depth):
        painter.setPen(QPen(QColor(DARK.view), 1.5))
        painter.setBrush(QBrush(QColor(colour)))
        painter.drawEllipse(QPointF(float(x), float(y)), 6.5, 6.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)


def draw_cut(
    painter: QPainter,
    cut: Cut,
    camera: Camera,
    size: Size,
    held: Part | None,
    colour: str = DARK.accent,
) -> None:
    """Draw rim, arrow and ball of the cut handle in ``colour``; what is ``held`` is lit."""
    rim = camera.project(cut.rim_mm, size)
    centre, tip = camera.project([cut.point_mm, cut.tip_mm], size)
    if not (np.isfinite(rim).all() and np.isfinite(centre).all() and np.isfinite(tip).all()):
        return
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(_pen(held == "rim", colour))
    painter.drawPolygon(_polygon(rim))
    painter.setPen(_pen(held == "tip", colour))
    painter.drawLine(QPointF(*centre[:2]), QPointF(*tip[:2]))
    painter.setBrush(QBrush(_colour(held == "tip", colour)))
    painter.drawPolygon(_arrow_head(centre, tip))
    painter.setPen(QPen(QColor(DARK.view), 1.5))
    painter.setBrush(QBrush(_colour(held == "centre", colour)))
    radius = 8.0 if held == "centre" else 6.5
    painter.drawEllipse(QRectF(centre[0] - radius, centre[1] - radius, 2 * radius, 2 * radius))


def _colour(lit: bool, colour: str) -> QColor:
    return QColor("#FFFFFF" if lit else colour)


def _pen(lit: bool, colour: str) -> QPen:
    return QPen(_colour(lit, colour), 3.0 if lit else 1.75)


def _polygon(places: Floats) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y, _ in places])


def _arrow_head(centre: Floats, tip: Floats) -> QPolygonF:
    """A triangle at ``tip``; a small one also where the arrow points at the viewer."""
    along = tip[:2] - centre[:2]
    length = float(np.hypot(*along))
    along = along / length if length > 1 else np.array([0.0, -1.0])
    across = np.array([-along[1], along[0]])
    base = tip[:2] - 13 * along
    corners = (tip[:2] + 3 * along, base + 6 * across, base - 6 * across)
    return QPolygonF([QPointF(*corner) for corner in corners])
