"""Flow over the heart's cycle as a curve, with a mark that says which time is shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from workstation.ui.guard import guarded
from workstation.ui.theme import CORNER_FONT_PX, SEGMENTS, shown_colours, ui_font
from workstation.ui.words import value_text

Floats = npt.NDArray[np.float64]

HEIGHT_PX, MARGIN_PX = 112, 6


class Waveform(QWidget):
    """Named curves in mL/s over time in s; a press or drag asks for a time.

    Signals:
        asked: the number of the time nearest to the cursor.
    """

    asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._times: Floats = np.empty(0)
        self._curves: dict[str, Floats] = {}
        self._period_s = 1.0
        self._frame = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Flow over the cycle")
        self.setToolTip("Flow over the cycle; click to see another time")

    def show_curves(self, times_s: Floats, period_s: float, curves: Mapping[str, Floats]) -> None:
        """Show curves over one period; each has a value for every time."""
        self._times, self._period_s, self._curves = times_s, period_s, dict(curves)
        self.update()

    def show_frame(self, frame: int) -> None:
        """Mark one of the times."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    @property
    def frame(self) -> int:
        """The number of the time that is marked."""
        return self._frame

    @guarded(default=QSize(200, HEIGHT_PX))
    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(200, HEIGHT_PX)

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(self.rect()).adjusted(MARGIN_PX, line + 4, -MARGIN_PX, -line - 4)

    def _x(self, time_s: float) -> float:
        area, since_s = self._area(), time_s - float(self._times[0])
        return area.left() + area.width() * since_s / self._period_s

    def frame_at(self, x: float) -> int:
        """Return the number of the time nearest to a place on the widget."""
        places = [self._x(time) for time in self._times.tolist()]
        return int(np.argmin(np.abs(np.array(places) - x)))

    @guarded
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask for the time under the cursor."""
        if len(self._times):
            self.asked.emit(self.frame_at(event.position().x()))

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Ask for the times that the cursor is dragged over."""
        if event.buttons() & Qt.MouseButton.LeftButton and len(self._times):
            self.asked.emit(self.frame_at(event.position().x()))

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw axes, curves and the mark."""
        if not len(self._times) or not self._curves:
            return
        theme, area = shown_colours(), self._area()
        whole = np.concatenate([*self._curves.values(), [0.0]])
        low, high = float(whole.min()), float(whole.max())
        up = area.height() / max(high - low, 1e-9)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(ui_font(CORNER_FONT_PX))
            painter.setPen(QPen(QColor(theme.line), 1))
            painter.drawRect(area)
            zero = area.bottom() + low * up
            painter.drawLine(QPointF(area.left(), zero), QPointF(area.right(), zero))
            x = area.left()
            for n, (name, values) in enumerate(self._curves.items()):
                colour = QColor(theme.accent if n == 0 else SEGMENTS[n % len(SEGMENTS)])
                painter.setPen(QPen(colour, 2 if n == 0 else 1.5))
                closed = np.append(values, values[0])  # the cycle begins anew
                times = np.append(self._times, self._times[0] + self._period_s)
                spots = [
                    QPointF(self._x(t), area.bottom() - (v - low) * up)
                    for t, v in zip(times.tolist(), closed.tolist())
                ]
                painter.drawPolyline(QPolygonF(spots))
                frame = min(self._frame, len(values) - 1)
                painter.setBrush(colour)
                painter.drawEllipse(spots[frame], 3.5, 3.5)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                words = f"{name} {value_text(float(values[frame]), 'mL/s')} mL/s"
                painter.drawText(QPointF(x, area.top() - 4), words)
                x += painter.fontMetrics().horizontalAdvance(words) + 12
            painter.setPen(QPen(QColor(theme.text), 1, Qt.PenStyle.DashLine))
            now = self._x(float(self._times[min(self._frame, len(self._times) - 1)]))
            painter.drawLine(QPointF(now, area.top()), QPointF(now, area.bottom()))
            painter.setPen(QColor(theme.muted))
            below = QRectF(area.left(), area.bottom() + 2, area.width(), 16)
            painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
            end = f"{self._period_s:.2f} s"
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, end)
