"""The courses of a circulation: one node or element over time, its value under the cursor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from hemodynamics.network import QUANTITIES, Courses
from workstation.store import write_atomically
from workstation.ui.desk import Desk
from workstation.ui.guard import guarded
from workstation.ui.panels.look_card import offer
from workstation.ui.panels.parts import bold, button, keep_narrow, label
from workstation.ui.theme import CORNER_FONT_PX, shown_colours, ui_font
from workstation.ui.words import readable, value_text

Floats = npt.NDArray[np.float64]

HEIGHT_PX, MARGIN_PX = 150, 6
PICTURE_SCALE = 3  # pixels of a saved picture to one on the screen
KINDS = {"PNG picture (*.png)": ".png", "CSV table (*.csv)": ".csv"}


class CoursesPlot(QWidget):
    """One course over time in s, or two, with the values where the cursor is.

    Signals:
        told: the words about the value under the cursor; "" when the cursor has left.
    """

    told = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._times: Floats = np.empty(0)
        self._values: Floats = np.empty(0)
        self._beside: tuple[str, Floats] | None = None
        self._unit = ""
        self._chosen: int | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Course over time")
        self.setToolTip("Move over the curve to read its values")

    def show_course(
        self, times_s: Floats, values: Floats, unit: str, beside: tuple[str, Floats] | None = None
    ) -> None:
        """Show values, in ``unit``, over times in s; there are two at the least.

        ``beside`` are the name and the values of another course, drawn dashed.
        """
        self._times, self._values, self._unit, self._beside = times_s, values, unit, beside
        self._chosen = None
        self.update()

    def words_at(self, x: float) -> str:
        """Return time and value nearest to a place on the widget, and mark it."""
        area, times = self._area(), self._times
        share = (x - area.left()) / max(area.width(), 1.0)
        wanted = times[0] + share * (times[-1] - times[0])
        self._chosen = int(np.argmin(np.abs(times - wanted)))
        value = value_text(float(self._values[self._chosen]), self._unit)
        words = f"{times[self._chosen]:.3f} s: {value} {self._unit}"
        if self._beside is None:
            return words
        name, values = self._beside
        return f"{words}; {name} {value_text(float(values[self._chosen]), self._unit)}"

    @guarded(default=QSize(200, HEIGHT_PX))
    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(200, HEIGHT_PX)

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell the value under the cursor."""
        if len(self._times):
            self.told.emit(self.words_at(event.position().x()))
            self.update()

    @guarded
    def leaveEvent(self, event: QEvent) -> None:
        """Tell no value."""
        self._chosen = None
        self.told.emit("")
        self.update()

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(self.rect()).adjusted(MARGIN_PX, line + 4, -MARGIN_PX, -line - 4)

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the axes with the ends of their values, the curve and the mark."""
        if not len(self._times):
            return
        theme, area = shown_colours(), self._area()
        shown = [self._values] if self._beside is None else [self._values, self._beside[1]]
        low, high = (float(end([end(v) for v in shown])) for end in (np.min, np.max))
        times = self._times - self._times[0]
        xs = area.left() + times * area.width() / max(float(times[-1]), 1e-12)
        lines = [
            [QPointF(x, y) for x, y in zip(xs.tolist(), ys.tolist())]
            for values in shown
            for ys in (area.bottom() - (values - low) * area.height() / max(high - low, 1e-12),)
        ]
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillRect(self.rect(), QColor(theme.panel))
            painter.setFont(ui_font(CORNER_FONT_PX))
            painter.setPen(QPen(QColor(theme.line), 1))
            painter.drawRect(area)
            looks = ((theme.accent, Qt.PenStyle.SolidLine), (theme.warning, Qt.PenStyle.DashLine))
            for spots, (colour, style) in zip(lines, looks):
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor(colour), 2, style))
                painter.drawPolyline(QPolygonF(spots))
                if self._chosen is not None:
                    painter.setBrush(QColor(colour))
                    painter.drawEllipse(spots[self._chosen], 3.5, 3.5)
            painter.setPen(QColor(theme.muted))
            ends = f"{value_text(low, self._unit)} to {value_text(high, self._unit)} {self._unit}"
            painter.drawText(QPointF(area.left(), area.top() - 4), ends)
            below = QRectF(area.left(), area.bottom() + 2, area.width(), 16)
            painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{self._times[0]:.3g}")
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self._times[-1]:.3g} s")


class CoursesCard(QWidget):
    """The circulations of the plan: which, what of it, and where; hidden where there is none."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._circulation, self._quantity, self._place, self._other = "", "", "", ""
        self.circulation = self._choice("Circulation", "_circulation")
        self.quantity = self._choice("Pressure, flow or volume", "_quantity")
        self.place = self._choice("Node or element", "_place")
        self.other = self._choice("Another one beside it, dashed", "_other")
        self.plot = CoursesPlot()
        self.value = label("", "muted")
        self.plot.told.connect(self.value.setText)
        self.save = button("Save…", "The curve as a picture, or all curves as a table", self._ask)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.quantity)
        row.addWidget(self.place, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(bold("Circulation"))
        column.addWidget(self.circulation)
        column.addLayout(row)
        column.addWidget(self.other)
        column.addWidget(self.plot)
        column.addWidget(self.value)
        column.addWidget(self.save)

    def _choice(self, name: str, field: str) -> QComboBox:
        box = QComboBox()
        keep_narrow(box)
        box.setAccessibleName(name)
        box.setToolTip(name)

        def choose() -> None:
            setattr(self, field, box.currentData())
            self.refresh()

        box.activated.connect(lambda _: choose())
        return box

    def found(self) -> Mapping[str, Courses]:
        """Return the circulations of the plan that change over time, by name."""
        results = self._desk.results().items()
        return {n: v for n, v in results if isinstance(v, Courses) and len(v.times_s) > 1}

    def refresh(self) -> None:
        """Show the chosen course."""
        found = self.found()
        self.setVisible(bool(found))
        if not found:
            return
        offer(self.circulation, [(n, readable(n)) for n in found], self._circulation)
        self.circulation.setVisible(len(found) > 1)
        courses = found[str(self.circulation.currentData())]
        known = {q: words for q, words in QUANTITIES.items() if courses.of(q)}
        options = [(q, f"{title} ({unit})") for q, (title, unit) in known.items()]
        offer(self.quantity, options, self._quantity)
        quantity = str(self.quantity.currentData())
        named = courses.of(quantity)
        offer(self.place, [(name, readable(name)) for name in named], self._place)
        values = named[str(self.place.currentData())]
        others = [(name, f"beside {readable(name)}") for name in named]
        offer(self.other, [("", "nothing beside it"), *others], self._other)
        other = str(self.other.currentData())
        beside = (readable(other), named[other]) if other else None
        self.plot.show_course(courses.times_s, values, known[quantity][1], beside)
        self.value.setText("")

    def _ask(self) -> None:
        start = self._desk.session.require_case().folder / f"{self.circulation.currentData()}.png"
        chosen, kind = QFileDialog.getSaveFileName(
            self, "Save the circulation", str(start), ";;".join(KINDS)
        )
        if chosen:
            path = Path(chosen)
            self.save_to(path if path.suffix else path.with_suffix(KINDS.get(kind, ".png")))

    def save_to(self, path: Path) -> None:
        """Write the curve that is shown to a .png, or all courses to a .csv."""
        if path.suffix.lower() == ".csv":
            courses = self.found()[str(self.circulation.currentData())]
            self._desk.attempt(lambda: write_atomically(path, courses.write_csv))
            return
        picture = QImage(self.plot.size() * PICTURE_SCALE, QImage.Format.Format_RGB32)
        picture.setDevicePixelRatio(PICTURE_SCALE)
        self.plot.render(picture)

        def write(part: Path) -> None:
            if not picture.save(str(part)):
                raise OSError(f"{path} could not be written")

        self._desk.attempt(lambda: write_atomically(path, write))
