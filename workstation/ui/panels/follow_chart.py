"""One followed value after a transplant: what was measured, and the band that was foretold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from workstation.planning.transplant_rows import Course, sentence
from workstation.ui.guard import guarded
from workstation.ui.panels.parts import bold, label
from workstation.ui.panels.transplant_marks import MARKS, ROLES, row_title
from workstation.ui.theme import CORNER_FONT_PX, shown_colours, ui_font
from workstation.ui.words import value_text

HEIGHT_PX, MARGIN_PX, LEFT_PX = 150, 8, 56
BAND_ALPHA = 60
NO_BAND = "No band: there are too few values, or they are too old, to foretell the newest one."


class CoursePlot(QWidget):
    """Dots over days with a band; a square is a newest value outside it."""

    def __init__(self, course: Course, ends: tuple[float, float]) -> None:
        super().__init__()
        self.course, self._ends = course, ends
        self._chosen: int | None = None
        self.told = label("", "muted")
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{row_title(course.row)} over days after the transplant")
        self.setToolTip("Move over the dots to read them")

    def words_at(self, x: float) -> str:
        """Return day and value of the dot nearest to a place on the widget, and mark it."""
        spots = self._places(self.course.days, self.course.values)
        self._chosen = int(np.argmin([abs(spot.x() - x) for spot in spots]))
        day, value = self.course.days[self._chosen], self.course.values[self._chosen]
        unit = self.course.unit
        return f"Day {day:.3g}: {value_text(value, unit)} {unit}".strip()

    @guarded(default=QSize(300, HEIGHT_PX))
    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(300, HEIGHT_PX)

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell the value under the cursor."""
        self.told.setText(self.words_at(event.position().x()))
        self.update()

    @guarded
    def leaveEvent(self, event: QEvent) -> None:
        """Tell no value."""
        self._chosen = None
        self.told.setText("")
        self.update()

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        whole = QRectF(self.rect())
        return whole.adjusted(LEFT_PX, MARGIN_PX, -MARGIN_PX, -line - MARGIN_PX)

    def _top(self) -> float:
        return max(*self.course.values, *self.course.high, 1e-9) * 1.06

    def _places(self, days: Sequence[float], values: Sequence[float]) -> list[QPointF]:
        area, (first, last) = self._area(), self._ends
        across, up = area.width() / max(last - first, 1e-9), area.height() / self._top()
        return [
            QPointF(area.left() + (day - first) * across, area.bottom() - value * up)
            for day, value in zip(days, values)
        ]

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the axes, the band and the dots."""
        theme, course = shown_colours(), self.course
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(ui_font(CORNER_FONT_PX))
            self._draw_axes(painter)
            if course.band_days:
                low = self._places(course.band_days, course.low)
                high = self._places(course.band_days, course.high)
                shade = QColor(theme.accent)
                shade.setAlpha(BAND_ALPHA)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(shade)
                painter.drawPolygon(QPolygonF(low + high[::-1]))
                painter.setPen(QPen(QColor(theme.accent), 1, Qt.PenStyle.DashLine))
                painter.drawPolyline(QPolygonF(self._places(course.band_days, course.expected)))
            spots = self._places(course.days, course.values)
            painter.setPen(QPen(QColor(theme.muted), 1))
            painter.drawPolyline(QPolygonF(spots))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.text))
            for number, spot in enumerate(spots):
                radius = 5.0 if number == self._chosen else 3.0
                painter.drawEllipse(spot, radius, radius)
            if course.verdict == "warn":
                painter.setBrush(QColor(theme.problem))
                painter.drawRect(QRectF(spots[-1].x() - 4, spots[-1].y() - 4, 8, 8))

    def _draw_axes(self, painter: QPainter) -> None:
        theme, area, (first, last) = shown_colours(), self._area(), self._ends
        painter.setPen(QPen(QColor(theme.line), 1))
        painter.drawRect(area)
        painter.setPen(QColor(theme.muted))
        right = Qt.AlignmentFlag.AlignRight
        beside = QRectF(0, area.top(), LEFT_PX - 4, painter.fontMetrics().height())
        painter.drawText(beside, right, value_text(self._top(), self.course.unit))
        beside.moveBottom(area.bottom())
        painter.drawText(beside, right, "0")
        below = QRectF(area.left(), area.bottom() + 2, area.width(), beside.height())
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{first:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "days after the transplant")
        painter.drawText(below, right, f"{last:.3g}")


class CourseCard(QFrame):
    """The chart of one value with its verdict and the rule of its band."""

    def __init__(self, shown: tuple[Course, str, tuple[float, float]]) -> None:
        super().__init__()
        course, reason, ends = shown
        self.setProperty("role", "card")
        self.plot = CoursePlot(course, ends)
        head = QHBoxLayout()
        unit = f", {course.unit}" if course.unit else ""
        title = bold(f"{row_title(course.row)}{unit}")
        title.setWordWrap(False)
        head.addWidget(title)
        head.addWidget(label(MARKS[course.verdict], ROLES[course.verdict], wrap=False))
        head.addWidget(self.plot.told, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 6)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.plot)
        column.addWidget(label(sentence(reason)))
        column.addWidget(label(f"Rule: {course.rule}." if course.rule else NO_BAND, "muted"))
