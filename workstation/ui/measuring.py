"""Measuring by hand: clicks in the views become one step of the plan, and stay movable.

While points are placed the number beside them is that of the stage itself, so it is the one
that the plan will hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent

from meshing.surface import SurfaceMesh
from segmentation.measured import Measured
from segmentation.volume import Vector
from workstation.planning.plan import Step
from workstation.slices import vector
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.drawings import Drawing, handles_in_slice, point_at
from workstation.ui.four_up import FourUp
from workstation.ui.guard import guarded
from workstation.ui.measure_tools import POINT, POINTS, TOOLS, Held, Taking, surface_lines
from workstation.ui.measure_values import LiveValues
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_view import SliceView

CLICK_PX = 4  # a press that moves less is a click
LEFT = Qt.MouseButton.LeftButton


class Measuring(QObject):
    """Takes measurements in the views of one window, shows them, and lets hands move them."""

    def __init__(self, desk: Desk, views: FourUp) -> None:
        super().__init__(views)
        self._desk, self._views = desk, views
        self.tool = ""
        self._taking: Taking | None = None
        self._held: Held | None = None
        self._live: Measured | None = None
        self._hovered: tuple[str, int] | None = None
        self._pressed: tuple[float, float] | None = None
        self._values = LiveValues(desk)
        self._spot: Vector | None = None
        for view in (*views.slices.values(), views.scene):
            view.installEventFilter(self)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    # Tool ----------------------------------------------------------------------------

    def lacks(self, tool: str) -> str:
        """Return what a tool needs, "" when it can be used."""
        if self._desk.session.plan is None:
            return "a plan"
        if TOOLS[tool].argument == "volume" and self._desk.image() is None:
            return "an image"
        if TOOLS[tool].argument == "mesh" and not self._views.surfaces():
            return "a computed surface that is shown"
        return ""

    def take(self, tool: str) -> None:
        """Take a measuring tool in hand; the same again, or "", puts it away."""
        self._taking, self._live = None, None
        self.tool = "" if tool == self.tool else tool
        if self.tool and self._desk.hand.tool != "navigate":
            self._desk.take_tool("navigate")
        self._desk.session.notify()

    def put_away(self) -> None:
        """Put the tool away, if there is one in hand."""
        if self.tool:
            self.take("")

    def _forget(self) -> None:
        self.tool, self._taking, self._held, self._live = "", None, None, None
        self._hovered, self._spot = None, None
        self._values.forget()

    # Shown ---------------------------------------------------------------------------

    def measured(self) -> dict[str, Measured]:
        """Return the measurements that are shown, by name."""
        return {
            name: value
            for name, value in self._desk.results().items()
            if isinstance(value, Measured) and self._desk.is_shown(name)
        }

    def refresh(self) -> None:
        """Show the measurements as they stand."""
        if self.tool and self._desk.hand.tool != "navigate":
            self.tool, self._taking, self._live = "", None, None
        selected, moved = self._desk.session.view.selected, self._held
        drawings = []
        for name, value in self.measured().items():
            shown, held = value, None
            if moved is not None and moved.step.output == name:
                shown, held = self._live or value, moved.number
            elif self._hovered is not None and self._hovered[0] == name:
                held = self._hovered[1]
            drawings.append(Drawing(name, shown, name == selected, held))
        if self._taking is not None and self._live is not None:
            drawings.append(Drawing("", self._live, lit=True))
        image = self._desk.image()
        frame = image.geometry.frame_uid if image is not None else ""
        for view in self._views.slices.values():
            view.set_drawings([d for d in drawings if d.value.frame_uid == frame])
        self._views.scene.set_drawings(drawings)
        self._views.scene.set_caption(self._caption())

    def _caption(self) -> str:
        """Say what surface is selected, its numbers and the point that was clicked."""
        name = self._desk.session.view.selected
        surface = self._desk.results().get(name)
        if not isinstance(surface, SurfaceMesh):
            return ""
        return "\n".join(surface_lines(name, surface, self._spot))

    # Events --------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look at what a hand does in a view before the view does."""
        if isinstance(watched, SliceView | SceneView):
            if isinstance(event, QMouseEvent):
                return self._on_mouse(watched, event)
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                return self._on_key(event)
        return False

    def _on_mouse(self, view: SliceView | SceneView, event: QMouseEvent) -> bool:
        x, y = event.position().x(), event.position().y()
        kind = event.type()
        elsewhere = self._desk.hand.tool != "navigate" or bool(event.modifiers())
        if elsewhere and self._held is None:
            return False
        if kind == QEvent.Type.MouseMove:
            return self._move(view, x, y, event)
        if event.button() != LEFT:
            return False
        if kind == QEvent.Type.MouseButtonPress:
            return self._press(view, x, y)
        if kind == QEvent.Type.MouseButtonRelease:
            return self._release(view, x, y)
        if kind == QEvent.Type.MouseButtonDblClick and self._taking is not None:
            self._pressed = None
            self.finish()
            return True
        return kind == QEvent.Type.MouseButtonDblClick and bool(self.tool)

    def _press(self, view: SliceView | SceneView, x: float, y: float) -> bool:
        self._pressed = (x, y)
        if self._taking is None and (found := self._handle_at(view, x, y)) is not None:
            self._hold(*found)
            return True
        if isinstance(view, SceneView) or not self.tool:
            return False  # a click in 3D counts when it is let go: a drag turns the view
        placement = view.placement
        if placement is not None and placement.contains(x, y):
            self._add_point(placement.to_world(x, y), self._surface_for)
            view.update()
        return True

    def _move(self, view: SliceView | SceneView, x: float, y: float, event: QMouseEvent) -> bool:
        if self._held is not None and event.buttons() == Qt.MouseButton.NoButton:
            self._let_go()  # the button was let go where no view could see it
        if self._held is not None:
            point = self._point_at(view, x, y, self._held.points[self._held.number])
            if point is not None:
                self._drag_to(point)
            return True
        if event.buttons() != Qt.MouseButton.NoButton:
            return isinstance(view, SliceView) and bool(self.tool) and event.buttons() == LEFT
        if self._taking is not None:
            point = self._point_at(view, x, y, self._taking.points[-1])
            if point is not None:
                self._show_live(point)
            return False
        self._hover(self._handle_at(view, x, y))
        return False

    def _release(self, view: SliceView | SceneView, x: float, y: float) -> bool:
        pressed, self._pressed = self._pressed, None
        if self._held is not None:
            point, moved = self._held.points[self._held.number], self._held.moved
            self._let_go()
            if self.tool and not moved:  # a click begins the next measurement right there
                self._add_point(point, self._surface_for)
            return True
        still = pressed is not None and np.hypot(x - pressed[0], y - pressed[1]) < CLICK_PX
        if isinstance(view, SliceView) or not still:
            return isinstance(view, SliceView) and bool(self.tool)
        found = view.scene.pick_item(x, y, (view.width(), view.height()))
        results = self._desk.results()
        if found is not None and found[0] in results:
            name, point = found
            if self.tool == "to_surface":
                self._add_point(point, lambda at: self._surface_for(at, without=name))
            elif self.tool:
                self._add_point(point, lambda _: name)
            else:
                self._spot = point
                self._desk.session.set_view(selected=name)
        return False

    def _on_key(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._taking is not None:
            self.finish()
            return True
        if key == Qt.Key.Key_Escape and (self._held or self._taking or self.tool):
            self.give_back()
            return True
        if key == Qt.Key.Key_Backspace and self._taking is not None:
            self._take_back(self._taking)
            return True
        return key == Qt.Key.Key_Delete and self._delete()

    def give_back(self) -> None:
        """Give back the drag, or the points so far, or the tool."""
        if self._held is not None:
            self._held, self._live = None, None
        elif self._taking is not None:
            self._taking, self._live = None, None
        else:
            self.put_away()
        self.refresh()

    def _take_back(self, taking: Taking) -> None:
        """Take back the last point."""
        taking.points.pop()
        if not taking.points:
            self._taking, self._live = None, None
        else:
            self._live = self._values.of(taking.step(), taking.points)
        self.refresh()

    def _delete(self) -> bool:
        """Remove the selected measurement, as one change that can be undone."""
        name = self._desk.session.view.selected
        if name not in self.measured():
            return False
        self._desk.attempt(lambda: self._desk.session.remove_step(name))
        return True

    # Taking --------------------------------------------------------------------------

    def _add_point(self, point: Vector, place: Callable[[Vector], str]) -> None:
        tool = TOOLS[self.tool]
        if self._taking is None:
            image = self._desk.session.view.image
            wants_image = tool.argument == "volume" or (tool.argument == "place" and image)
            name = image if wants_image and self._image_here() else place(point)
            if not name:
                return
            self._taking = Taking(self.tool, name)
            self._values.prepare(self._taking.step())
        taking = self._taking
        if taking.points and np.allclose(taking.points[-1], point, atol=1e-6):
            return
        taking.points.append(point)
        self._live = self._values.of(taking.step(), taking.points)
        if tool.most is not None and len(taking.points) >= tool.most:
            self.finish()
        else:
            self.refresh()

    def _image_here(self) -> bool:
        return self._desk.image() is not None

    def _surface_for(self, point: Vector, without: str = "") -> str:
        """Return the surface that a click means: the selected one, or the nearest."""
        surfaces = {
            name: value
            for name, value in self._views.surfaces().items()
            if isinstance(value, SurfaceMesh) and name != without
        }
        selected = self._desk.session.view.selected
        if selected in surfaces:
            return selected
        away = {
            name: float(((surface.points_mm - np.asarray(point)) ** 2).sum(axis=1).min())
            for name, surface in surfaces.items()
            if len(surface.points_mm)
        }
        return min(away, key=lambda name: away[name], default="")

    def _show_live(self, point: Vector) -> None:
        if self._taking is not None:
            points = [*self._taking.points, point]
            self._live = self._values.of(self._taking.step(), points)
            self.refresh()

    def finish(self) -> None:
        """Make the measurement one step of the plan; too few points are given back."""
        taking, self._taking, self._live = self._taking, None, None
        if taking is None or len(taking.points) < TOOLS[taking.tool].least:
            self.refresh()
            return
        tool, session = TOOLS[taking.tool], self._desk.session
        name, inputs = self._free_name(taking.tool), {tool.argument: taking.place}
        single = POINT in STAGES[tool.stage].parameters
        params = {POINT: taking.points[0]} if single else {POINTS: tuple(taking.points)}
        value = self._values.computed(taking.step(), taking.points)
        session.view.selected = name
        if self._desk.attempt(lambda: session.add_step(tool.stage, name, inputs, params)):
            self._follow(name, value)

    def _follow(self, name: str, value: Measured | None) -> None:
        """Show a value that is known already, and compute the step and what needs it."""
        if value is not None and value.numbers:
            self._desk.foresee(name, value)
        self._desk.compute(name, *self._desk.session.require_plan().downstream(name))
        self.refresh()

    def _free_name(self, tool: str) -> str:
        taken = self._desk.session.kinds()
        number = 1
        while f"{tool}_{number}" in taken:
            number += 1
        return f"{tool}_{number}"

    # Moving --------------------------------------------------------------------------

    def _handle_at(
        self, view: SliceView | SceneView, x: float, y: float
    ) -> tuple[Measured, Step, int] | None:
        """Return the point of a measurement that lies at a place of a view."""
        plan = self._desk.session.plan
        if plan is None:
            return None
        for name, value in reversed(self.measured().items()):
            step = next((s for s in plan.steps if s.output == name), None)
            if step is None or not ({POINTS, POINT} & step.params.keys()):
                continue
            if isinstance(view, SceneView):
                size = (view.width(), view.height())
                places = view.camera.project(value.picked_mm, size)[:, :2]
            elif view.placement is None or not self._in_frame(value):
                continue
            else:
                places = handles_in_slice(view.placement, value.picked_mm)
            number = point_at(places, x, y)
            if number is not None:
                return value, step, number
        return None

    def _in_frame(self, value: Measured) -> bool:
        image = self._desk.image()
        return image is not None and image.geometry.frame_uid == value.frame_uid

    def _hold(self, value: Measured, step: Step, number: int) -> None:
        points = [vector(point) for point in value.picked_mm]
        self._held, self._live = Held(step, number, points), None
        self._values.prepare(step)
        self._desk.session.set_view(selected=step.output)

    def _drag_to(self, point: Vector) -> None:
        held = self._held
        if held is None:
            return
        held.points[held.number], held.moved = point, True
        self._live = self._values.of(held.step, held.points)
        self.refresh()

    def _let_go(self) -> None:
        held, live = self._held, self._live
        self._held, self._live = None, None
        if held is None or not held.moved:
            self.refresh()
            return
        points: Any = tuple(held.points)
        change = {POINT: points[0]} if POINT in held.step.params else {POINTS: points}
        name, session = held.step.output, self._desk.session
        words = f"Move a point of {name}"
        if self._desk.attempt(lambda: session.set_params(name, words, **change)):
            self._follow(name, live)

    def _hover(self, found: tuple[Measured, Step, int] | None) -> None:
        hovered = None if found is None else (found[1].output, found[2])
        if hovered != self._hovered:
            self._hovered = hovered
            self.refresh()

    def _point_at(
        self, view: SliceView | SceneView, x: float, y: float, near: Vector
    ) -> Vector | None:
        """Return the LPS mm point under the cursor: in the slice, on a surface, or as deep."""
        if isinstance(view, SceneView):
            size = (view.width(), view.height())
            return view.scene.pick(x, y, size) or view.camera.at_depth_of(near, x, y, size)
        if view.placement is None or not view.placement.contains(x, y):
            return None
        return view.placement.to_world(x, y)
