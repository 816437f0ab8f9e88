"""The values along a measured path as a small curve."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from segmentation.measured import Measured
from workstation.ui.guard import guarded
from workstation.ui.theme import CORNER_FONT_PX, shown_colours, ui_font
from workstation.ui.words import value_text

HEIGHT_PX, MARGIN_PX = 110, 6
ALONG = ("distance_mm", "along_mm")
UNITS = {
    "diameter_mm": "mm",
    "maximum_diameter_mm": "mm",
    "pressure_mmhg": "mmHg",
    "pressure_3d_mmhg": "mmHg",
    "value_hu": "HU",
    "value": "",
    "density_mg_cm3": "mg/cm³",
}
"""Columns that are drawn, the last first where there are several."""


def is_line(value: object) -> bool:
    """Tell whether a value holds what is drawn along the line of a vessel."""
    return isinstance(value, Measured) and {ALONG[1]} < {ALONG[1], *UNITS} & value.samples.keys()


class ProfilePlot(QWidget):
    """Value over distance; the ends of both axes are written."""

    def __init__(self) -> None:
        super().__init__()
        self._value: Measured | None = None
        self._along = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Values along the path")
        self.hide()

    def show_profile(self, value: object) -> None:
        """Show the samples of a measurement; anything else hides the plot."""
        samples = value.samples if isinstance(value, Measured) else {}
        self._along = next((name for name in ALONG if name in samples), "")
        found = bool(self._along) and len(samples[self._along]) > 1
        self._value = value if found and isinstance(value, Measured) else None
        self.setVisible(found)
        self.update()

    def column(self) -> str:
        """Return the name of the column that is drawn: a density where there is one."""
        names = self._value.samples if self._value is not None else {}
        return next((name for name in reversed(UNITS) if name in names), "")

    @guarded(default=QSize(200, HEIGHT_PX))
    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(200, HEIGHT_PX)

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve."""
        column = self.column()
        if self._value is None or not column:
            return
        theme = shown_colours()
        x, y = self._value.samples[self._along], self._value.samples[column]
        low, high = float(y.min()), float(y.max())
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(ui_font(CORNER_FONT_PX))
            line = painter.fontMetrics().height()
            area = QRectF(self.rect()).adjusted(MARGIN_PX, line + 2, -MARGIN_PX, -line - MARGIN_PX)
            painter.setPen(QPen(QColor(theme.line), 1))
            painter.drawRect(area)
            across = area.width() / max(float(x[-1] - x[0]), 1e-9)
            up = area.height() / max(high - low, 1e-9)
            places = np.stack(
                [area.left() + (x - x[0]) * across, area.bottom() - (y - low) * up], axis=1
            )
            painter.setPen(QPen(QColor(theme.accent), 1.5))
            painter.drawPolyline(QPolygonF([QPointF(*place) for place in places.tolist()]))
            painter.setPen(QColor(theme.muted))
            unit = UNITS[column]
            top = f"{value_text(high, unit)} {unit}"
            painter.drawText(QPointF(area.left(), area.top() - 3), f"{top}   (low {low:.0f})")
            end = f"{float(x[-1]):.1f} mm"
            below = QRectF(area.left(), area.bottom() + 2, area.width(), line)
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, end)
            painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
