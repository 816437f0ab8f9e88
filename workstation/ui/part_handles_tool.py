"""Moving parts of a plan by hand: numbers and map follow at once, the plan on release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress
from workstation.actors import scene_items
from workstation.jobs import Job
from workstation.looks import scalar_map
from workstation.picture import SceneItem
from workstation.planning.live_fit import GAP, NEAR_MM
from workstation.planning.live_fit_moves import Values
from workstation.ui.desk import Desk
from workstation.ui.four_up import FourUp
from workstation.ui.guard import guarded
from workstation.ui.panels.part_moves import HINT, PartMoves
from workstation.ui.part_handles import (
    SceneDrag,
    SliceDrag,
    grab_in_scene,
    grab_on_slice,
    held_in_scene,
    held_on_slice,
)
from workstation.ui.part_handles_found import (
    Movable,
    Seen,
    movable_steps,
    moved_plan,
    prepare,
    shown_by,
)
from workstation.ui.part_handles_overlay import HandleOverlay, Shown
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_view import SliceView
from workstation.ui.steady import Steady
from workstation.ui.words import readable

CLICK_PX = 4.0
LEFT = Qt.MouseButton.LeftButton


class PartTool(QObject):
    """Drags of parts, planes and points of a plan; each is one change that can be undone."""

    def __init__(self, desk: Desk, views: FourUp, card: PartMoves) -> None:
        super().__init__(views)
        self._desk, self._views, self._card = desk, views, card
        self.name = ""
        self._known = ""
        self._ready: Movable | None = None
        self._rest: Values = ()
        self._values: Values = ()
        self._seen: Seen | None = None
        self._shown = Shown()
        self._drag: tuple[SceneDrag | SliceDrag, Values] | None = None
        self._pressed: tuple[float, float] | None = None
        self._steady = Steady(self)
        every: tuple[SceneView | SliceView, ...] = (views.scene, *views.slices.values())
        self._overlays = [HandleOverlay(view, lambda: self._shown) for view in every]
        for view in every:
            view.installEventFilter(self)
        card.chosen.connect(self.choose)
        card.entered.connect(self.move)
        card.rested.connect(self.release)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    # Choice --------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether what is chosen can be moved now."""
        return self._ready is not None

    @property
    def shown(self) -> Shown:
        """What the views show of what can be moved."""
        return self._shown

    def choose(self, name: str) -> None:
        """Take what a step of the plan moves in hand; "" lets go."""
        if name != self.name:
            self._forget()
            self.name = name
        self.refresh()

    def _forget(self) -> None:
        self._steady.forget()
        self.name, self._known, self._ready, self._drag = "", "", None, None
        self._rest = self._values = ()
        self._let_go()
        self._show_grips()

    def _let_go(self) -> None:
        """Show the plan's own results again."""
        if self._seen is not None:
            self._seen = None
            self._views.hold({}, frozenset())

    # Refresh -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Offer what can be moved, and get what is chosen ready whenever the plan changed."""
        plan = self._desk.session.plan
        names = [step.output for step in movable_steps(plan)] if plan is not None else []
        if self.name and self.name not in names:
            self._forget()
        self._card.offer(names, self.name)
        if plan is None or not self.name or self._drag is not None:
            return
        if self._desk.key_of(self.name) != self._known:
            self._let_go()
            self._prepare()
        elif self._values == self._rest and self._caught_up():
            self._let_go()
            self._show_grips()

    def _caught_up(self) -> bool:
        """Tell whether the plan has computed what is held."""
        return self._seen is not None and all(map(self._desk.is_current, self._seen.values))

    def _prepare(self) -> None:
        desk, name = self._desk, self.name
        self._ready = None
        self._show_grips()
        if not desk.is_current(name):
            self._known = ""
            words = "Being computed…" if desk.busy else "Recompute; then it can be moved."
            self._card.show_hint(words)
            return
        plan, case = desk.session.require_plan(), desk.session.require_case()
        self._known = known = desk.key_of(name)
        keys = plan.keys()
        self._card.show_hint("Being prepared…")

        def get(value: str) -> Any:
            if keys[value] not in case.values:
                case.restore_sources(plan)
            return case.values[keys[value]]

        def work(progress: Progress) -> Movable:
            return prepare(plan, plan.step(name), get)

        def take(job: Job[Movable]) -> None:
            if self._known == known:
                self._take(job)

        desk.jobs.start(Job("Prepare to move by hand", work), take, light=True)

    def _take(self, job: Job[Movable]) -> None:
        if job.result is None:
            missing = isinstance(job.error, KeyError)
            words = "Recompute; then it can be moved." if missing else f"! {job.error}"
            self._card.show_hint(words, problem=True)
            return
        self._ready = job.result
        self._rest = self._values = self._ready.hold.start
        self._card.show_hint(HINT)
        self._card.show_entries(self._ready.hold.entries, self._values)
        seen = self._ready.see(self._values)
        self._card.show_numbers(seen.numbers, seen.problem)
        self._show_grips(seen)

    def _show_grips(self, seen: Seen | None = None, lit: Any = None) -> None:
        """Draw handles where they are now, over all views."""
        seen = seen or self._seen
        parts = [v for v in seen.values.values() if isinstance(v, SurfaceMesh)] if seen else []
        grips = self._ready.hold.grips(self._values) if self._ready is not None else ()
        if grips or self._shown.grips:
            self._shown = Shown(grips, lit, parts or (self._shown.parts if grips else ()))
            for overlay in self._overlays:
                overlay.update()

    # Motion --------------------------------------------------------------------------

    def move(self, values: Values) -> None:
        """Hold what is chosen at some values, and tell what that means as time allows."""
        if self._ready is None or len(values) != len(self._values):
            return
        self._values = values
        self._views.scene.set_playing(True)
        self._card.show_entries(self._ready.hold.entries, values)
        self._show_grips(lit=self._shown.lit)
        self._steady.call(self._see)

    def _see(self) -> None:
        if self._ready is None:
            return
        seen = self._ready.see(self._values)
        self._card.show_numbers(seen.numbers, seen.problem)
        if seen.problem:
            return
        self._seen = seen
        after = self._desk.session.require_plan().downstream(self.name)
        self._views.hold(_items(seen), frozenset({self.name, *after}))
        self._show_grips(seen, self._shown.lit)

    def release(self) -> None:
        """Put what was moved into the plan, as one change, and compute what follows from it."""
        if self._ready is None:
            return
        self._steady.finish()
        self._drag = None
        self._views.scene.set_playing(False)
        if self._values == self._rest:
            self.give_back()
            return
        session, name = self._desk.session, self.name
        params = self._ready.hold.params(self._values)
        words = f"Move by hand: {readable(name).lower()}"
        before, self._rest = self._rest, self._values
        plan = moved_plan(session.require_plan(), name, params)
        self._known = plan.keys()[name]
        if self._desk.attempt(lambda: session.do(words, plan)):
            self._desk.compute(name, *plan.downstream(name))
        else:
            self._rest, self._known = before, self._desk.key_of(name)
            self.give_back()

    def give_back(self) -> None:
        """Put what is held back where the plan has it."""
        self._steady.forget()
        self._drag = None
        self._views.scene.set_playing(False)
        if self._ready is None:
            return
        self._values = self._rest
        self._let_go()
        self._card.show_entries(self._ready.hold.entries, self._values)
        seen = self._ready.see(self._values)
        self._card.show_numbers(seen.numbers, seen.problem)
        self._show_grips(seen)

    # Hands ---------------------------------------------------------------------------

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take hold of a handle before the view itself acts; Esc gives it back."""
        if event.type() == QEvent.Type.Resize:
            for overlay in self._overlays:
                overlay.fill()
            return False
        if isinstance(event, QKeyEvent):
            escape = event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape
            if escape and self._drag is not None:
                self.give_back()
                return True
            return False
        if not isinstance(event, QMouseEvent) or not isinstance(watched, SceneView | SliceView):
            return False
        return self._mouse(watched, event)

    def _mouse(self, view: SceneView | SliceView, event: QMouseEvent) -> bool:
        x, y = event.position().x(), event.position().y()
        if event.type() == QEvent.Type.MouseButtonPress:
            self._pressed = (x, y)
            return event.button() == LEFT and not event.modifiers() and self._grab(view, x, y)
        if event.type() == QEvent.Type.MouseMove and self._drag is not None:
            drag, start = self._drag
            if self._ready is not None:
                self.move(self._ready.hold.moved(start, drag.to(x, y)))
            return True
        if event.type() == QEvent.Type.MouseMove and not event.buttons():
            self._hover(view, x, y)
        if event.type() == QEvent.Type.MouseButtonRelease:
            if self._drag is not None:
                self.release()
                return True
            self._click(view, x, y)
        return False

    def _grab(self, view: SceneView | SliceView, x: float, y: float) -> bool:
        drag: SceneDrag | SliceDrag | None = None
        if isinstance(view, SceneView):
            drag = grab_in_scene(self._shown.grips, view.camera, x, y, _size(view))
        elif view.placement is not None and self._desk.hand.tool == "navigate":
            drag = grab_on_slice(self._shown.grips, view.placement, x, y)
        if drag is None or self._ready is None:
            return False
        self._drag = (drag, self._values)
        self._show_grips(lit=drag.held)
        return True

    def _hover(self, view: SceneView | SliceView, x: float, y: float) -> None:
        if not self._shown.grips:
            return
        if isinstance(view, SceneView):
            lit = held_in_scene(self._shown.grips, view.camera, x, y, _size(view))
        else:
            place = view.placement
            lit = None if place is None else held_on_slice(self._shown.grips, place, x, y)
        if lit != self._shown.lit:
            self._show_grips(lit=lit)

    def _click(self, view: SceneView | SliceView, x: float, y: float) -> None:
        """Choose the part that was clicked in 3D, where the page offers it."""
        pressed, plan = self._pressed, self._desk.session.plan
        near = pressed is not None and max(abs(pressed[0] - x), abs(pressed[1] - y)) <= CLICK_PX
        if not near or plan is None or not isinstance(view, SceneView):
            return
        found = view.scene.pick_item(x, y, _size(view)) if self._card.isVisible() else None
        steps = shown_by(plan)
        if found is not None and steps.get(found[0], self.name) != self.name:
            self.choose(steps[found[0]])


def _size(view: SceneView) -> tuple[int, int]:
    return view.width(), view.height()


def _items(seen: Seen) -> dict[str, SceneItem]:
    """Return what is held as the 3D view shows it; a map of gaps between fixed limits."""
    items = scene_items(seen.values)
    for name, item in items.items():
        if GAP in item.surface.point_data:
            scalars = scalar_map(item.surface, GAP, -NEAR_MM, NEAR_MM)
            items[name] = replace(item, scalars=scalars, opacity=1.0)
    return items
