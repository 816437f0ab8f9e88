"""A pressure before and after on a line with its published limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from workstation.ui.guard import guarded
from workstation.ui.theme import CORNER_FONT_PX, shown_colours, ui_font

HEIGHT_PX, SIDE_PX, DOT_PX, BAND_PX = 44, 10, 4.5, 8.0
TOP_MMHG = 30.0  # the line's end, or beyond where a value asks for it

Record = Mapping[str, Any]


class PressureScale(QWidget):
    """A line in mmHg: a ring before, a dot with its band after, ticks at the limits."""

    def __init__(self, limits_mmhg: Sequence[float]) -> None:
        super().__init__()
        self._limits = tuple(limits_mmhg)
        self._before: Record | None = None
        self._after: Record | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_values(self, before: Record | None, after: Record | None) -> None:
        """Show number records; None leaves one out."""
        self._before, self._after = before, after
        said = [f"{r['value']:.1f} mmHg" for r in (before, after) if r is not None]
        self.setAccessibleName(f"Portal pressure {' to '.join(said)}")
        self.update()

    @guarded(default=QSize(200, HEIGHT_PX))
    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(200, HEIGHT_PX)

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line, its limits, the band and both values."""
        theme = shown_colours()
        known = [record for record in (self._before, self._after) if record is not None]
        ends = [record["high"] or record["value"] for record in known]
        top = max(TOP_MMHG, *ends) if ends else TOP_MMHG
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(ui_font(CORNER_FONT_PX))
            line = painter.fontMetrics().height()
            width, y = self.width() - 2 * SIDE_PX, self.height() - line - 10.0

            def place(value: float) -> float:
                return SIDE_PX + width * value / top

            painter.setPen(QPen(QColor(theme.line), 2))
            painter.drawLine(QPointF(SIDE_PX, y), QPointF(SIDE_PX + width, y))
            for limit in self._limits:
                painter.setPen(QPen(QColor(theme.muted), 1))
                painter.drawLine(QPointF(place(limit), y - 10), QPointF(place(limit), y + 8))
                box = QRectF(place(limit) - 20, y + 8, 40, line)
                painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, f"{limit:g}")
            if self._after is not None and self._after["low"] is not None:
                band = QColor(theme.accent)
                band.setAlphaF(0.35)
                left, right = place(self._after["low"]), place(self._after["high"])
                box = QRectF(left, y - BAND_PX / 2, max(right - left, 1.0), BAND_PX)
                painter.fillRect(box, band)
            painter.setPen(QPen(QColor(theme.text), 2))
            painter.setBrush(QColor(theme.panel))
            if self._before is not None:
                painter.drawEllipse(QPointF(place(self._before["value"]), y), DOT_PX, DOT_PX)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent))
            if self._after is not None:
                painter.drawEllipse(QPointF(place(self._after["value"]), y), DOT_PX, DOT_PX)
