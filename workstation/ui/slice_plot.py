"""Where the slices of a series lie: position against number, and the distance to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from segmentation.wording import counted
from workstation.dicom.files import SlicePositions
from workstation.ui.guard import guarded
from workstation.ui.slice_paint import corner_font
from workstation.ui.theme import Colours, shown_colours

TOLD = 6  # places that the text names
MARGIN_PX = 8
DOT_PX, MARK_PX = 2.0, 5.0
CROWDED_PX = 5.0  # dots nearer than this are left to the line
UPPER = 0.58  # share of the height for the positions, the rest for the distances
MARKS = {"missing": "○", "irregular": "◇", "duplicates": "×"}


class Place(NamedTuple):
    """A gap that is not as it should be: its number, what it is, and that in words."""

    gap: int
    kind: str
    text: str


def places(positions: SlicePositions) -> list[Place]:
    """Return every gap that is wrong, in order."""
    found = [Place(n, "missing", _missing(positions, n)) for n in positions.missing]
    found += [Place(n, "irregular", _irregular(positions, n)) for n in positions.irregular]
    found += [Place(n, "duplicates", _duplicate(positions, n)) for n in positions.duplicates]
    return sorted(found)


def _mm(value: float) -> str:
    return f"{value + 0.0:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def missing_mm(positions: SlicePositions, gap: int) -> list[float]:
    """Return where in a gap the missing slices would lie, in mm."""
    start, width = positions.positions_mm[gap], positions.gaps_mm[gap]
    steps = round(width / (positions.usual_gap_mm or width))
    return [start + width * n / steps for n in range(1, steps)]


def _missing(positions: SlicePositions, gap: int) -> str:
    lost = missing_mm(positions, gap)
    at = ", ".join(_mm(v) for v in lost[:3]) + ("…" if len(lost) > 3 else "")
    slices = counted(len(lost), "slice is", "slices are")
    return f"{slices} missing between slices {gap + 1} and {gap + 2}, at {at} mm"


def _irregular(positions: SlicePositions, gap: int) -> str:
    usual = _mm(positions.usual_gap_mm or 0.0)
    return (
        f"{_mm(positions.gaps_mm[gap])} mm instead of {usual} mm between slices {gap + 1} and "
        f"{gap + 2}, at {_mm(positions.positions_mm[gap])} mm"
    )


def _duplicate(positions: SlicePositions, gap: int) -> str:
    at = _mm(positions.positions_mm[gap])
    return f"slices {gap + 1} and {gap + 2} lie at one place, {at} mm"


def told(positions: SlicePositions) -> str:
    """Return in words what the plot shows."""
    where = positions.positions_mm
    text = f"{len(where)} slices from {_mm(where[0])} to {_mm(where[-1])} mm along their normal"
    if len(where) == 1:
        text = f"1 slice at {_mm(where[0])} mm along its normal"
    wrong = places(positions)
    if positions.usual_gap_mm:
        most = "most of them " if wrong else ""
        text += f", {most}{_mm(positions.usual_gap_mm)} mm apart"
    lines = [f"{text}."]
    lines += [f"{MARKS[p.kind]} {p.text[0].upper()}{p.text[1:]}." for p in wrong[:TOLD]]
    if len(wrong) > TOLD:
        lines.append(f"… and {counted(len(wrong) - TOLD, 'more place')}.")
    if positions.absent:
        lines.append(f"{positions.absent} more without a position.")
    return "\n".join(lines)


class SlicePlot(QWidget):
    """The plot; pointing at it, or the arrow keys, read a slice."""

    def __init__(self) -> None:
        super().__init__()
        self._positions: SlicePositions | None = None
        self._places: dict[int, Place] = {}
        self.at: int | None = None
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Plot of the slice positions")

    def show_positions(self, positions: SlicePositions | None) -> None:
        """Show other slices, or none."""
        self._positions = positions
        self._places = {p.gap: p for p in places(positions)} if positions is not None else {}
        self.setAccessibleDescription("" if positions is None else told(positions))
        self.read(None)

    def readout(self, n: int) -> str:
        """Return the values of slice ``n`` (from 0), and what is wrong after it."""
        if self._positions is None:
            return ""
        where, gaps = self._positions.positions_mm, self._positions.gaps_mm
        text = f"Slice {n + 1} of {len(where)}   {_mm(where[n])} mm"
        if n < len(gaps):
            text += f"   {_mm(gaps[n])} mm to the next"
        wrong = self._places.get(n)
        return f"{text}\n{MARKS[wrong.kind]} {wrong.text}" if wrong is not None else text

    def read(self, n: int | None) -> None:
        """Show the values of slice ``n`` (from 0), or of none."""
        self.at = n
        self.setToolTip("" if n is None else self.readout(n))
        self.update()

    # Where things are ----------------------------------------------------------------

    def _areas(self) -> tuple[QRectF, QRectF]:
        metrics = QFontMetricsF(corner_font(self.font()))
        line = metrics.height()
        left = metrics.horizontalAdvance("−0000.00") + MARGIN_PX
        width = max(self.width() - left - MARGIN_PX, 10.0)
        free = max(self.height() - 3 * line - MARGIN_PX, 20.0)
        upper = QRectF(left, line, width, free * UPPER)
        return upper, QRectF(left, upper.bottom() + line + 4, width, free * (1 - UPPER))

    def slice_at(self, x: float) -> int | None:
        """Return the number (from 0) of the slice nearest to ``x`` in widget pixels."""
        if self._positions is None:
            return None
        area, count = self._areas()[0], len(self._positions.positions_mm)
        return min(max(int((x - area.left()) / area.width() * count), 0), count - 1)

    # Painting ------------------------------------------------------------------------

    def _draw(self, painter: QPainter, positions: SlicePositions) -> None:
        look = shown_colours()
        upper, lower = self._areas()
        where, gaps = positions.positions_mm, positions.gaps_mm
        step = upper.width() / len(where)

        def x(n: float) -> float:
            return upper.left() + step * (n + 0.5)

        above = _Strip(painter, upper, look, min(where), max(where))
        above.frame("Position, mm")
        points = [QPointF(x(n), above.y(v)) for n, v in enumerate(where)]
        below = _Strip(painter, lower, look, 0.0, max((*gaps, positions.usual_gap_mm or 1.0)))
        below.frame("Distance to the next slice, mm")
        marks = [QPointF(x(n + 0.5), below.y(v)) for n, v in enumerate(gaps)]
        for strip, line in ((above, points), (below, marks)):
            strip.trace(line)
        for place in self._places.values():
            _mark(above, below, x(place.gap + 0.5), place, positions)
        self._ends(painter, look, lower, len(where))
        if self.at is not None:
            self._hair(painter, look, x(self.at), upper, lower)

    def _ends(self, painter: QPainter, look: Colours, lower: QRectF, count: int) -> None:
        painter.setPen(QColor(look.muted))
        line = QRectF(lower.left(), lower.bottom() + 2, lower.width(), self.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, "slice 1")
        if count > 1:
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, str(count))

    def _hair(
        self, painter: QPainter, look: Colours, x: float, upper: QRectF, lower: QRectF
    ) -> None:
        assert self.at is not None
        painter.setPen(QPen(QColor(look.accent), 1))
        painter.drawLine(QPointF(x, upper.top()), QPointF(x, lower.bottom()))
        painter.setPen(QColor(look.text))
        line = QRectF(upper.left(), 0, upper.width(), upper.top())
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, self.readout(self.at).split("\n")[0])

    # Qt ------------------------------------------------------------------------------

    @guarded(default=QSize(320, 220))
    def sizeHint(self) -> QSize:
        """Return a size at which a hundred slices can be told apart."""
        return QSize(320, 220)

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw both strips."""
        if self._positions is None:
            return
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(corner_font(self.font()))
            self._draw(painter, self._positions)

    @guarded
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the slice under the pointer."""
        self.read(self.slice_at(event.position().x()))

    @guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Read the slice before or after, or the next place that is wrong with Page keys."""
        keys = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        pages = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        if self._positions is not None and event.key() in keys | pages:
            last, now = len(self._positions.positions_mm) - 1, -1 if self.at is None else self.at
            step = (keys | pages)[Qt.Key(event.key())]
            ahead = [n for n in sorted(self._places) if (n - now) * step > 0][::step]
            goal = (ahead or [now])[0] if event.key() in pages else now + step
            self.read(min(max(goal, 0), last))
        else:
            super().keyPressEvent(event)


class _Strip:
    """One strip of the plot: values upwards, between the lowest and the highest."""

    def __init__(
        self, painter: QPainter, area: QRectF, look: Colours, low: float, high: float
    ) -> None:
        self._painter, self._area, self._look = painter, area, look
        self._low, self._high = low, high

    def y(self, value: float) -> float:
        """Return the height of ``value`` in widget pixels, with a rim for the marks."""
        inner = self._area.height() - 2 * MARK_PX
        share = (value - self._low) / (self._high - self._low) if self._high > self._low else 0.5
        return self._area.bottom() - MARK_PX - share * inner

    def frame(self, title: str) -> None:
        """Draw the frame, the title and the values of its ends."""
        painter, area = self._painter, self._area
        painter.setPen(QPen(QColor(self._look.line), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)
        painter.setPen(QColor(self._look.muted))
        height = QFontMetricsF(painter.font()).height()
        painter.drawText(QPointF(area.left(), area.top() - 4), title)
        for value in dict.fromkeys((self._low, self._high)):
            line = QRectF(0, self.y(value) - height / 2, area.left() - 4, height)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, _mm(value))

    def trace(self, points: Sequence[QPointF]) -> None:
        """Draw a line through points, and dots where they do not crowd."""
        painter = self._painter
        painter.setPen(QPen(QColor(self._look.muted), 1))
        painter.drawPolyline(QPolygonF(points))
        crowded = len(points) > 1 and points[1].x() - points[0].x() < CROWDED_PX
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._look.text))
        for point in () if crowded else points:
            painter.drawEllipse(point, DOT_PX, DOT_PX)

    def mark(self, point: QPointF, kind: str) -> None:
        """Draw a mark of the problem's own shape."""
        painter, r = self._painter, MARK_PX
        painter.setPen(QPen(QColor(self._look.problem), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if kind == "missing":
            painter.drawEllipse(point, r, r)
        elif kind == "irregular":
            painter.drawPolygon(QPolygonF(list(_around(point, r))))
        else:
            painter.drawLine(point + QPointF(-r, -r), point + QPointF(r, r))
            painter.drawLine(point + QPointF(-r, r), point + QPointF(r, -r))


def _mark(above: _Strip, below: _Strip, x: float, place: Place, positions: SlicePositions) -> None:
    n = place.gap
    values = [positions.positions_mm[n] + positions.gaps_mm[n] / 2]
    if place.kind == "missing":
        values = missing_mm(positions, n)
    for value in values:
        above.mark(QPointF(x, above.y(value)), place.kind)
    below.mark(QPointF(x, below.y(positions.gaps_mm[n])), place.kind)


def _around(point: QPointF, r: float) -> Iterator[QPointF]:
    for dx, dy in ((0, -r), (r, 0), (0, r), (-r, 0)):
        yield point + QPointF(dx, dy)
