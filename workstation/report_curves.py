"""Curves over time in a report, as vectors with axes, units and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth

from workstation.planning.transplant_rows import Course
from workstation.report_layout import font_for

Floats = npt.NDArray[np.float64]

INKS = ("#1667C7", "#C23B31", "#1F8A5B", "#B67A12", "#7A4FB5", "#5A6773")
DASHES = (None, (5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (3, 3), (9, 3))
"""Curves differ in dashes too, so that they are told apart in black and white."""

GREY, PALE = HexColor("#5A6773"), HexColor("#D5DCE3")
LEFT, RIGHT, BELOW, ABOVE = 14 * mm, 3 * mm, 7 * mm, 5 * mm
FEW = 4  # steps of an axis, about
NARROW = 0.25  # span by size of the values under which an axis need not hold 0
SIZE_PT = 7


@dataclass(frozen=True)
class _Axes:
    """Where times (s) and values lie on the paper, in points."""

    times: tuple[float, float]
    values: tuple[float, float]
    width: float
    height: float

    def x(self, times: npt.ArrayLike) -> Floats:
        first, last = self.times
        share = (np.asarray(times, np.float64) - first) / max(last - first, 1e-12)
        return np.asarray(LEFT + share * (self.width - LEFT - RIGHT))

    def y(self, values: npt.ArrayLike) -> Floats:
        low, high = self.values
        share = (np.asarray(values, np.float64) - low) / (high - low)
        return np.asarray(BELOW + share * (self.height - BELOW - ABOVE))


def curves(
    times_s: Floats,
    named: Mapping[str, Floats],
    unit: str,
    width_mm: float = 178.0,
    height_mm: float = 42.0,
    mark_s: float | None = None,
    along_unit: str = "s",
) -> Drawing:
    """Return named curves over time, their values in ``unit``; ``mark_s`` marks one time.

    With another ``along_unit``, such as mm, times and mark are places along a way.
    """
    whole = np.concatenate([np.asarray(values, np.float64) for values in named.values()])
    ends = float(times_s[0]), float(times_s[-1])
    axes = _Axes(ends, extent(whole), width_mm * mm, height_mm * mm)
    drawn = _frame(axes, unit, along_unit)
    if mark_s is not None:
        x = float(axes.x(mark_s))
        drawn.add(Line(x, BELOW, x, axes.height - ABOVE, strokeColor=GREY, strokeDashArray=(2, 2)))
    x = LEFT
    for n, (name, values) in enumerate(named.items()):
        style = {"strokeColor": HexColor(INKS[n % len(INKS)]), "strokeWidth": 1.2}
        style |= {"strokeDashArray": DASHES[n % len(DASHES)]}
        spots = np.stack([axes.x(times_s), axes.y(values)], axis=1)
        drawn.add(PolyLine(spots.ravel().tolist(), **style))
        y = axes.height - ABOVE + 5
        drawn.add(Line(x, y, x + 16, y, **style))
        drawn.add(_words(x + 19, y - 2.5, name))
        x += 30 + stringWidth(name, font_for(name), SIZE_PT)
    return drawn


def band_chart(
    course: Course, ends: tuple[float, float], width_mm: float = 178.0, height_mm: float = 44.0
) -> Drawing:
    """Return measured values over the days from ``ends`` with their band.

    The newest value is a square where it is judged as out of the band, so that it is told from
    the others, which are dots, in black and white too.
    """
    parts = (course.values, course.low, course.high)
    whole = np.concatenate([np.asarray(part, np.float64) for part in parts])
    axes = _Axes(ends, extent(whole), width_mm * mm, height_mm * mm)
    drawn = _frame(axes, course.unit, "days after the transplant")
    if course.band_days:
        x = axes.x(course.band_days)
        edge = [np.stack([x, axes.y(v)], axis=1) for v in (course.low, course.high)]
        around = np.concatenate([edge[0], edge[1][::-1]])
        drawn.add(Polygon(around.ravel().tolist(), fillColor=PALE, strokeColor=None))
        middle = np.stack([x, axes.y(course.expected)], axis=1)
        drawn.add(PolyLine(middle.ravel().tolist(), strokeColor=GREY, strokeDashArray=(4, 2)))
    spots = np.stack([axes.x(course.days), axes.y(course.values)], axis=1).tolist()
    drawn.add(PolyLine([v for spot in spots for v in spot], strokeColor=GREY, strokeWidth=0.5))
    for x, y in spots:
        drawn.add(Circle(x, y, 1.8, fillColor=HexColor(INKS[0]), strokeColor=None))
    if course.verdict == "warn":
        x, y = spots[-1]
        ink = HexColor(INKS[1])
        drawn.add(Rect(x - 3, y - 3, 6, 6, fillColor=ink, strokeColor=None))
    return drawn


def extent(values: Floats) -> tuple[float, float]:
    """Return the ends of an axis: it holds 0 unless the values lie far from it."""
    low, high = float(values.min()), float(values.max())
    if 0 < high - low < NARROW * max(abs(low), abs(high)):
        room = 0.08 * (high - low)
        return low - room, high + room
    low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (low, low + 1.0)


def ticks(low: float, high: float) -> Sequence[float]:
    """Return some round values from ``low`` to ``high``."""
    raw = (high - low) / FEW
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(s for s in (1, 2, 2.5, 5, 10) if s * power >= raw * (1 - 1e-9)) * power
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    return [float(value) + 0.0 for value in numbers * step]  # no minus before a zero


def _frame(axes: _Axes, unit: str, time_unit: str = "s") -> Drawing:
    """Return the axes with their values and units."""
    drawn = Drawing(axes.width, axes.height)
    left, right, top = LEFT, axes.width - RIGHT, axes.height - ABOVE
    drawn.add(Rect(left, BELOW, right - left, top - BELOW, fillColor=None, strokeColor=PALE))
    for value in ticks(*axes.values):
        y = float(axes.y(value))
        drawn.add(Line(left, y, right, y, strokeColor=PALE, strokeWidth=0.4))
        drawn.add(_words(left - 3, y - 2.5, f"{value:.4g}", "end"))
    if axes.times[1] > axes.times[0]:
        for time in ticks(*axes.times):
            drawn.add(_words(float(axes.x(time)), BELOW - 9, f"{time:.3g}", "middle"))
    drawn.add(_words(right, 0, time_unit, "end"))
    drawn.add(_words(2, top + 3, unit))
    return drawn


def _words(x: float, y: float, words: str, anchor: str = "start") -> String:
    face = font_for(words)
    return String(x, y, words, textAnchor=anchor, fontName=face, fontSize=SIZE_PT, fillColor=GREY)
