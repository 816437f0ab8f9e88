"""Cutting the 3D view open by a plane or a box; view state, which no undo takes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent

from meshing.surface import SurfaceMesh
from segmentation.volume import Vector
from workstation.camera import SIDES, Side, unit, vector
from workstation.sections import Clip, ClipPlane, box_planes
from workstation.ui.cut_handle import BALL_REACH_PX, Cut, CutDrag, grab
from workstation.ui.desk import Desk
from workstation.ui.four_up import FourUp
from workstation.ui.guard import guarded

Shape = Literal["off", "plane", "box"]
SMALLEST_MM = 5.0  # side of a box
BALL_MM = 1.0  # radius of the handle of a box's side: only its ball counts


@dataclass(frozen=True)
class Box:
    """The corners of the box whose inside is shown, LPS mm."""

    low: Vector
    high: Vector

    def centre_of(self, side: int) -> Vector:
        """Return the middle of one of the six sides, two for each axis, the low one first."""
        middle = (np.asarray(self.low) + np.asarray(self.high)) / 2
        middle[side // 2] = (self.low, self.high)[side % 2][side // 2]
        return vector(middle)

    def moved(self, side: int, to_mm: float) -> Box:
        """Return the box with one side at a coordinate, kept from its opposite."""
        low, high = list(self.low), list(self.high)
        axis = side // 2
        if side % 2:
            high[axis] = max(to_mm, low[axis] + SMALLEST_MM)
        else:
            low[axis] = min(to_mm, high[axis] - SMALLEST_MM)
        return Box(vector(np.array(low)), vector(np.array(high)))


class ClipTool(QObject):
    """The handles of the clip in the 3D view; the session's view state holds the planes."""

    def __init__(self, desk: Desk, views: FourUp) -> None:
        super().__init__(views)
        self._desk, self._scene = desk, views.scene
        self._surfaces = views.surfaces
        self.shape: Shape = "off"
        self.follows = False
        self._plane: Cut | None = None
        self._box: Box | None = None
        self._drag: tuple[int, CutDrag] | None = None
        self._before: tuple[Cut | None, Box | None] = (None, None)
        self._scene.installEventFilter(self)
        desk.left.connect(self._forget)
        desk.bindings.add(self._follow)

    def lacks(self) -> str:
        """Return what a clip needs, "" when the view can be cut open."""
        return "" if self._bounds() is not None else "a surface that is shown"

    def take(self, shape: Shape) -> None:
        """Cut the view open by a plane through its middle or by a box; "off" closes it."""
        bounds = self._bounds()
        self.shape = shape if bounds is not None else "off"
        self._plane = self._box = None
        if bounds is not None and shape == "plane":
            self.face("A")
        elif bounds is not None and shape == "box":
            middle, half = bounds.mean(axis=0), np.ptp(bounds, axis=0) / 2
            self._box = Box(vector(middle - 0.8 * half), vector(middle + 0.8 * half))
            self._show()
        else:
            self._show()

    def face(self, side: Side) -> None:
        """Put the plane through the middle, or the crosshair it follows; open towards a side."""
        bounds = self._bounds()
        if bounds is None:
            return
        self.shape, self._box = "plane", None
        crosshair = self._desk.session.view.crosshair_mm
        middle = vector(bounds.mean(axis=0))
        centre = crosshair if self.follows and crosshair is not None else middle
        radius = float(np.linalg.norm(np.ptp(bounds, axis=0))) / 3
        self._plane = Cut(centre, SIDES[side][0], radius)
        self._show()

    def swap(self) -> None:
        """Show the other side of the plane."""
        if self._plane is not None:
            x, y, z = self._plane.normal
            self._plane = Cut(self._plane.point_mm, (-x, -y, -z), self._plane.radius_mm)
            self._show()

    def follow(self, on: bool) -> None:
        """Choose whether the plane goes through the crosshair."""
        self.follows = on
        self._follow()

    @property
    def planes(self) -> Clip:
        """What is cut away: the handle's normal points into the part that is hidden."""
        if self._plane is not None:
            x, y, z = self._plane.normal
            return (ClipPlane(self._plane.point_mm, (-x, -y, -z)),)
        return box_planes(self._box.low, self._box.high) if self._box is not None else ()

    def _bounds(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]] | None:
        """Return the lowest and the highest corner of all surfaces that are shown, (2, 3)."""
        shown = self._surfaces().values()
        points = [s.points_mm for s in shown if isinstance(s, SurfaceMesh) and len(s.points_mm)]
        if not points:
            return None
        low = np.min([array.min(axis=0) for array in points], axis=0)
        high = np.max([array.max(axis=0) for array in points], axis=0)
        return np.stack([low, high])

    def _show(self, moving: bool | None = None) -> None:
        self._desk.session.view.clip = self.planes
        self._scene.handles = self._handles()
        self._scene.set_clip(self.planes, moving)
        self._scene.update()
        if not moving:
            self._desk.session.notify()

    def _handles(self) -> tuple[Cut, ...]:
        if self._plane is not None:
            return (self._plane,)
        if self._box is None:
            return ()
        return tuple(
            Cut(self._box.centre_of(side), plane.normal, BALL_MM)
            for side, plane in enumerate(self.planes)
        )

    def _follow(self) -> None:
        """Move the plane to the crosshair, if it follows it."""
        crosshair = self._desk.session.view.crosshair_mm
        if not self.follows or self._plane is None or crosshair is None or self._drag is not None:
            return
        if np.allclose(crosshair, self._plane.point_mm, atol=1e-6):
            return
        self._plane = Cut(crosshair, self._plane.normal, self._plane.radius_mm)
        self._show(moving=False)

    def _forget(self) -> None:
        self.shape, self.follows = "off", False
        self._plane = self._box = self._drag = None
        self._scene.handles = ()
        self._scene.set_clip(())

    # Events --------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take hold of a handle before the view turns; Esc gives it back."""
        if watched is not self._scene:
            return False
        if isinstance(event, QKeyEvent):
            given_back = event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape
            if not given_back or self._drag is None:
                return False
            self._drag = None
            self._plane, self._box = self._before
            self._show(moving=False)
            return True
        if isinstance(event, QMouseEvent):
            x, y = event.position().x(), event.position().y()
            if event.type() == QEvent.Type.MouseButtonPress and not event.modifiers():
                return event.button() == Qt.MouseButton.LeftButton and self._hold(x, y)
            moved = event.type() == QEvent.Type.MouseMove and self._drag is not None
            if moved and event.buttons() != Qt.MouseButton.NoButton:
                self._move(x, y)
                return True
            if moved or (event.type() == QEvent.Type.MouseButtonRelease and self._drag is not None):
                self._drag = None
                self._show(moving=False)
                return True
        return False

    def _hold(self, x: float, y: float) -> bool:
        size = (self._scene.width(), self._scene.height())
        for number, handle in enumerate(self._scene.handles):
            if self._box is not None:  # its balls only: the rest of the disc is not drawn large
                place = self._scene.camera.project(handle.point_mm, size)[0, :2]
                if not np.hypot(*(place - (x, y))) <= BALL_REACH_PX:
                    continue
                drag: CutDrag | None = CutDrag(
                    "centre", handle, self._scene.camera, size, x, y, handle.point_mm
                )
            else:
                drag = grab(handle, self._scene.camera, x, y, size)
            if drag is not None:
                self._drag, self._before = (number, drag), (self._plane, self._box)
                return True
        return False

    def _move(self, x: float, y: float) -> None:
        if self._drag is None:
            return
        number, drag = self._drag
        moved = drag.to(x, y)
        if self._box is not None:
            self._box = self._before[1] and self._before[1].moved(
                number, moved.point_mm[number // 2]
            )
        else:
            self._plane = Cut(moved.point_mm, vector(unit(moved.normal)), moved.radius_mm)
        self._show(moving=True)
