"""What a slice view shows besides its picture, and the order in which it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PySide6.QtGui import QFont, QPainter

from segmentation.volume import Vector, Volume
from workstation.slices import Placement, point_text
from workstation.ui.drawings import Drawing, paint_on_slice
from workstation.ui.slice_overlay import (
    CutLine,
    draw_brush,
    draw_corners,
    draw_crosshair,
    draw_cut_line,
    draw_letters,
    draw_outline,
    draw_scale_bar,
    draw_seeds,
)
from workstation.ui.theme import BASE_FONT_PX, CORNER_FONT_PX
from workstation.ui.vein_pictures import VeinNames, paint_names_on_slice

Tool = Literal[
    "navigate", "seed_foreground", "seed_background", "brush", "erase", "scissors", "pieces"
]


@dataclass
class Marks:
    """What lies over a picture: points are LPS mm, ``cursor`` is in widget pixels."""

    lines: tuple[CutLine, ...] = ()
    hovered: int | None = None
    crosshair: Vector | None = None
    foreground: tuple[tuple[Vector, ...], ...] = ()  # clicks and strokes
    background: tuple[tuple[Vector, ...], ...] = ()
    tool: Tool = "navigate"
    brush_radius_mm: float = 5.0
    stroke: list[Vector] = field(default_factory=list)
    trail: bool = True  # whether the stroke is drawn: not where the label itself is painted
    cursor: tuple[float, float] | None = None
    notice: str = ""
    drawings: tuple[Drawing, ...] = ()
    names: VeinNames | None = None


def paint_marks(painter: QPainter, placement: Placement, marks: Marks) -> None:
    """Draw cut lines, seeds, brush, measurements and crosshair."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for n, line in enumerate(marks.lines):
        draw_cut_line(painter, placement, line, n == marks.hovered)
    draw_seeds(painter, placement, marks.foreground, foreground=True)
    draw_seeds(painter, placement, marks.background, foreground=False)
    if marks.tool in ("seed_foreground", "seed_background") and marks.stroke:
        draw_seeds(painter, placement, [marks.stroke], marks.tool == "seed_foreground")
    if marks.tool in ("brush", "erase"):
        drawn = marks.stroke if marks.trail else []
        stroke = placement.to_widget(np.reshape(drawn, (-1, 3)))[:, :2].tolist()
        radius = marks.brush_radius_mm * placement.scale
        draw_brush(painter, stroke, marks.cursor, radius, erase=marks.tool == "erase")
    if marks.tool == "scissors" and len(marks.stroke) > 1:
        draw_outline(painter, placement.to_widget(np.array(marks.stroke))[:, :2].tolist())
    if marks.names is not None:
        paint_names_on_slice(painter, placement, marks.names)
    paint_on_slice(painter, placement, marks.drawings)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    if marks.crosshair is not None:
        draw_crosshair(painter, placement, marks.crosshair)


def paint_texts(
    painter: QPainter,
    placement: Placement,
    volume: Volume,
    window: tuple[float, float],
    marks: Marks,
) -> None:
    """Write corners, letters and scale bar; ``window`` is (width, level)."""
    plane = placement.plane
    draw_corners(
        painter,
        placement,
        (plane.view.upper(), f"Zoom {placement.zoom * 100:.0f} %", marks.notice),
        cursor_texts(placement, volume, marks.cursor),
        (f"W {short(window[0])}  L {short(window[1])}",),
        (
            f"{plane.index + 1} / {plane.count}",
            plane.position,
            f"slice {plane.thickness_mm:.2f} mm",
        ),
    )
    draw_letters(painter, placement, marks.crosshair)
    draw_scale_bar(painter, placement)


def cursor_texts(
    placement: Placement, volume: Volume, cursor: tuple[float, float] | None
) -> tuple[str, ...]:
    """Return the value and the patient position under the cursor, if it is on the picture."""
    if cursor is None or not placement.contains(*cursor):
        return ()
    plane = placement.plane
    column, row = (round(v) for v in placement.to_pixel(*cursor))
    column, row = min(max(column, 0), plane.columns - 1), min(max(row, 0), plane.rows - 1)
    value = float(plane.extract(volume.array)[row, column])
    return f"{short(value)} {volume.quantity}", point_text(placement.to_world(*cursor))


def corner_font(base: QFont) -> QFont:
    """Return ``base`` in the size of corner text, scaled as the application's font is."""
    font = QFont(base)
    base_px = font.pixelSize() if font.pixelSize() > 0 else BASE_FONT_PX
    font.setPixelSize(max(9, round(base_px * CORNER_FONT_PX / BASE_FONT_PX)))
    return font


def short(value: float) -> str:
    """Return a value with three digits, without decimals from ten on."""
    return f"{value:.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.3g}"
