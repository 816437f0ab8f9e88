"""What a held mouse button does in a slice view: window, pan, crosshair, cut line, stroke.

Positions are widget pixels; points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PySide6.QtCore import Qt

from segmentation.volume import Floats, Vector
from workstation.slices import Placement, vector
from workstation.ui.slice_overlay import CutLine, distance_to_line_px
from workstation.ui.slice_paint import Marks

GRAB_PX = 6  # how near to a cut line a press takes hold of it
CLICK_PX = 5  # a hand that moves less has clicked
SEED_STEP_MM = 2.0  # between the points of a stroke along a structure
WINDOW_PX = 200  # how far to the right the width of the window grows e-fold


@dataclass(frozen=True)
class Drag:
    """What moving, releasing and giving back (Escape) do."""

    move: Callable[[float, float], None]
    finish: Callable[[], None] = lambda: None
    cancel: Callable[[], None] = lambda: None


class Draggable(Protocol):
    """The view on which a drag acts."""

    @property
    def placement(self) -> Placement | None:
        """How the slice lies on the widget."""

    @property
    def marks(self) -> Marks:
        """What lies over the picture."""

    @property
    def window_level(self) -> tuple[float, float]:
        """Width and level of the window."""

    def place(self, placement: Placement) -> None:
        """Pan or zoom."""

    def change_window(self, width: float, level: float) -> None:
        """Set the window and say so."""

    def move_crosshair(self, x: float, y: float) -> None:
        """Put the crosshair under a widget position and say so."""

    def move_line(self, number: int, line: CutLine, point_mm: Vector) -> None:
        """Move a cut line to a point and say so."""

    def release_line(self) -> None:
        """Say that the cut line has come to rest."""

    def go_on_with_stroke(self, point_mm: Vector) -> None:
        """Tell how far the stroke has come."""

    def finish_stroke(self, points_mm: Floats) -> None:
        """Tell the stroke, points (n, 3)."""

    def drop_stroke(self) -> None:
        """Tell that the stroke is given back."""

    def choose_piece(self, point_mm: Vector) -> None:
        """Tell the piece that was clicked."""

    def place_seed(self, points_mm: Sequence[Vector]) -> None:
        """Tell the seed: one point, or the points of a stroke."""


def begin_drag(view: Draggable, button: Qt.MouseButton, x: float, y: float) -> Drag | None:
    """Do what pressing ``button`` at (x, y) does; return what holding it goes on to do."""
    if view.placement is None:
        return None
    if button == Qt.MouseButton.RightButton:
        return _window_drag(view, x, y)
    if button == Qt.MouseButton.MiddleButton:
        return _pan_drag(view, view.placement, x, y)
    if button == Qt.MouseButton.LeftButton:
        return _left_drag(view, view.placement, x, y)
    return None


def _left_drag(view: Draggable, placement: Placement, x: float, y: float) -> Drag | None:
    if view.marks.tool == "navigate":
        held = line_at(view, x, y)
        if held is not None:
            return _line_drag(view, placement, held, x, y)
        view.move_crosshair(x, y)
        return Drag(view.move_crosshair)
    if not placement.contains(x, y):
        return None
    if view.marks.tool in ("brush", "erase", "scissors"):
        return _stroke_drag(view, x, y)
    if view.marks.tool == "pieces":
        view.choose_piece(placement.to_world(x, y))
        return None
    return _seed_drag(view, x, y)


def line_at(view: Draggable, x: float, y: float) -> int | None:
    """Return the number of the cut line that a press at (x, y) would take hold of."""
    if view.placement is None:
        return None
    near = [
        (distance_to_line_px(view.placement, line, x, y), number)
        for number, line in enumerate(view.marks.lines)
        if line.draggable
    ]
    distance, number = min(near, default=(np.inf, -1))
    return number if distance <= GRAB_PX else None


def _window_drag(view: Draggable, x0: float, y0: float) -> Drag:
    width0, level0 = view.window_level

    def move(x: float, y: float) -> None:
        # Right widens the window; up brightens the picture, that is, lowers the level.
        width = width0 * float(np.exp((x - x0) / WINDOW_PX))
        view.change_window(max(width, 1e-6), level0 + (y - y0) * width0 / (1.5 * WINDOW_PX))

    return Drag(move, cancel=lambda: view.change_window(width0, level0))


def _pan_drag(view: Draggable, start: Placement, x0: float, y0: float) -> Drag:
    return Drag(
        lambda x, y: view.place(start.panned(x - x0, y - y0)), cancel=lambda: view.place(start)
    )


def _line_drag(view: Draggable, start: Placement, number: int, x0: float, y0: float) -> Drag:
    line = view.marks.lines[number]
    normal = np.asarray(line.normal, float) / np.linalg.norm(line.normal)
    grabbed = np.asarray(start.to_world(x0, y0))

    def move(x: float, y: float) -> None:
        travel_mm = normal @ (np.asarray(start.to_world(x, y)) - grabbed)
        view.move_line(number, line, vector(np.asarray(line.point_mm) + normal * travel_mm))

    def cancel() -> None:
        view.move_line(number, line, line.point_mm)
        view.release_line()

    return Drag(move, view.release_line, cancel)


def _seed_drag(view: Draggable, x0: float, y0: float) -> Drag:
    """Make a seed: where it was clicked, or along what was drawn."""
    stroke = view.marks.stroke
    stroke.clear()
    farthest = 0.0

    def move(x: float, y: float) -> None:
        nonlocal farthest
        if view.placement is not None and view.placement.contains(x, y):
            farthest = max(farthest, float(np.hypot(x - x0, y - y0)))
            stroke.append(view.placement.to_world(x, y))

    def finish() -> None:
        points = spaced(stroke, SEED_STEP_MM) if farthest >= CLICK_PX else stroke[:1]
        stroke.clear()
        view.place_seed(points)

    move(x0, y0)
    return Drag(move, finish, stroke.clear)


def spaced(points_mm: Sequence[Vector], step_mm: float) -> list[Vector]:
    """Return the first and the last point and those between that are ``step_mm`` apart."""
    kept = [points_mm[0]]
    for point in points_mm[1:-1]:
        if np.linalg.norm(np.subtract(point, kept[-1])) >= step_mm:
            kept.append(point)
    return [*kept, *points_mm[1:][-1:]]


def _stroke_drag(view: Draggable, x0: float, y0: float) -> Drag:
    stroke = view.marks.stroke
    stroke.clear()

    def move(x: float, y: float) -> None:
        if view.placement is not None and view.placement.contains(x, y):
            stroke.append(view.placement.to_world(x, y))
            view.go_on_with_stroke(stroke[-1])

    def finish() -> None:
        points_mm = np.array(stroke)
        stroke.clear()
        view.finish_stroke(points_mm)

    def cancel() -> None:
        stroke.clear()
        view.drop_stroke()

    move(x0, y0)
    return Drag(move, finish, cancel)
