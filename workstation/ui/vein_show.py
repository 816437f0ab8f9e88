"""Named trees of veins in all views: coloured by name, and a click chooses a branch.

What is done with the chosen branch is a change of the plan, and can be undone. Points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QHelpEvent, QMouseEvent
from PySide6.QtWidgets import QToolTip

from meshing.centerline import Centerline
from segmentation.contract import Progress
from segmentation.volume import LabelMap
from workstation.jobs import Job
from workstation.picture import SceneItem
from workstation.planning.plan import Plan, Step
from workstation.raster import Overlay
from workstation.ui.desk import Desk
from workstation.ui.four_up import FADED, FourUp
from workstation.ui.guard import guarded
from workstation.ui.panels.vein_card import Chosen, VeinCard
from workstation.ui.scene_view import SceneView
from workstation.ui.slice_view import SliceView
from workstation.ui.vein_pictures import (
    NamedTree,
    VeinLooks,
    branch_at,
    branch_under,
    named_tree,
    vein_names,
)

CLICK_PX = 4
NAMING = ("planning.portal_branches", "planning.hepatic_branches")
ITEM = "chosen branch"


class VeinShow(QObject):
    """Shows the plan's named trees and tells ``card`` which branch is chosen."""

    def __init__(self, desk: Desk, views: FourUp, card: VeinCard) -> None:
        super().__init__(views)
        self._desk, self._views, self._card = desk, views, card
        self.trees: dict[str, NamedTree] = {}
        self._made_of: dict[str, tuple[object, ...]] = {}
        self._shown: tuple[object, ...] = ()
        self._pressed: tuple[float, float] | None = None
        self.chosen: Chosen | None = None
        card.wanted.connect(self.choose)
        for view in (*views.slices.values(), views.scene):
            view.installEventFilter(self)
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def _forget(self) -> None:
        self.trees, self._made_of, self._shown, self.chosen = {}, {}, (), None
        self._views.show_veins(VeinLooks())
        self._card.show_trees((), None)

    # Shown ---------------------------------------------------------------------------

    def _naming(self) -> dict[str, Step]:
        """Return the steps that name trees, by what they make."""
        plan = self._desk.session.plan
        steps = plan.steps if plan is not None else ()
        return {step.output: step for step in steps if step.stage in NAMING}

    def refresh(self) -> None:
        """Prepare the trees beside the window where they are new, and show them."""
        steps = self._naming()
        self.trees = {name: tree for name, tree in self.trees.items() if name in steps}
        for name, step in steps.items():
            self._prepare(name, step)
        self._show()

    def _prepare(self, name: str, step: Step) -> None:
        desk, plan = self._desk, self._desk.session.require_plan()
        tree, liver = desk.value(name), desk.value(step.inputs.get("liver", ""))
        vein = desk.value(_vein_of(plan, step))
        made_of = (tree, liver, vein)
        if not isinstance(tree, Centerline) or not tree.branches:
            self.trees.pop(name, None)
            return
        if all(a is b for a, b in zip(made_of, self._made_of.get(name, (None,) * 3))):
            return
        self._made_of[name] = made_of
        organ = liver if isinstance(liver, LabelMap) else None
        label = vein if isinstance(vein, LabelMap) else None

        def work(progress: Progress) -> NamedTree:
            return named_tree(name, tree, organ, label, progress)

        desk.jobs.start(
            Job("Colour the veins", work), partial(self._take, name, made_of), light=True
        )

    def _take(self, name: str, made_of: tuple[object, ...], job: Job[NamedTree]) -> None:
        if job.error is not None:
            self._desk.fail(job.error)
        elif job.result is not None and self._made_of.get(name) is made_of:
            self.trees[name] = job.result
            self._settle()
            self._show()

    def _settle(self) -> None:
        """Keep the chosen branch where its tree is there anew; its place tells which it is."""
        chosen = self.chosen
        tree = self.trees.get(chosen.tree.name) if chosen is not None else None
        if chosen is None or tree is chosen.tree:
            return
        found = branch_at(tree, chosen.place_mm) if tree is not None else None
        self.chosen = Chosen(tree, found[0]) if tree is not None and found is not None else None

    def _show(self) -> None:
        desk = self._desk
        shown = [tree for name, tree in sorted(self.trees.items()) if desk.is_shown(name)]
        current = [desk.is_current(tree.name) for tree in shown]
        state = (*shown, *current, self.chosen, desk.session.view.opacity)
        self._card.show_trees(tuple(self.trees.values()), self.chosen)
        if len(state) == len(self._shown) and all(a is b for a, b in zip(state, self._shown)):
            return
        self._shown = state
        items: dict[str, SceneItem] = {}
        overlays: list[Overlay] = []
        covered: set[str] = set()
        image = desk.image()
        frame = image.geometry.frame_uid if image is not None else ""
        for tree, fresh in zip(shown, current):
            strength = 1.0 if fresh else FADED
            items |= {n: replace(i, opacity=strength * i.opacity) for n, i in tree.items.items()}
            covered |= self._covered(tree.name)
            if tree.labels is not None and tree.labels.geometry.frame_uid == frame:
                filled = min(1.0, 1.7 * desk.session.view.opacity)
                overlays.append(Overlay(tree.name, tree.labels, opacity=strength * filled))
        if self.chosen is not None and self.chosen.tree in shown:
            items[ITEM] = self.chosen.tree.chosen(self.chosen.branch)
        self._views.show_veins(
            VeinLooks(items, tuple(overlays), frozenset(covered), vein_names(shown))
        )

    def _covered(self, name: str) -> set[str]:
        """Return the labels and surfaces of a plan that a coloured tree shows better."""
        plan = self._desk.session.plan
        step = self._naming().get(name)
        if plan is None or step is None:
            return set()
        vein = _vein_of(plan, step)
        made = {s.output: s for s in plan.steps}
        labels = {vein, "vessels", "veins"} & made.keys()
        drawn = {s.output for s in plan.steps if s.inputs.get("labels") in labels}
        return labels | {n for n in drawn if made[n].stage == "meshing.isosurface"}

    # Choosing ------------------------------------------------------------------------

    def choose(self, name: str, branch: int) -> None:
        """Choose a branch of a tree, and go to it."""
        tree = self.trees.get(name)
        if tree is not None and 0 <= branch < len(tree.names):
            self.chosen = Chosen(tree, branch)
            self._show()

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Choose the branch that is clicked, and say the name of the one under the cursor."""
        if not isinstance(watched, SliceView | SceneView) or not self.trees:
            return False
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self._under(watched, event.pos().x(), event.pos().y())
            text = found[0].words(found[1]) if found is not None else ""
            QToolTip.showText(event.globalPos(), text, watched)
            return found is not None
        if isinstance(event, QMouseEvent) and event.button() == Qt.MouseButton.LeftButton:
            self._on_mouse(watched, event)
        return False

    def _on_mouse(self, view: SliceView | SceneView, event: QMouseEvent) -> None:
        x, y = event.position().x(), event.position().y()
        if event.type() == QEvent.Type.MouseButtonPress:
            free = self._desk.hand.tool == "navigate" and not event.modifiers()
            self._pressed = (x, y) if free else None
        elif event.type() == QEvent.Type.MouseButtonRelease and self._pressed is not None:
            pressed, self._pressed = self._pressed, None
            if np.hypot(x - pressed[0], y - pressed[1]) < CLICK_PX:
                found = self._under(view, x, y)
                if found is not None:
                    self.choose(found[0].name, found[1])

    def _under(
        self, view: SliceView | SceneView, x: float, y: float
    ) -> tuple[NamedTree, int] | None:
        """Return the tree and the branch under a place of a view."""
        hits: list[tuple[float, NamedTree, int]] = []
        for tree in (t for n, t in self.trees.items() if self._desk.is_shown(n)):
            found: tuple[int, float] | None = None
            if isinstance(view, SceneView):
                size = (view.width(), view.height())
                found = branch_under(tree, view.camera, x, y, size)
            elif view.placement is not None and view.placement.contains(x, y):
                found = branch_at(tree, view.placement.to_world(x, y)) if tree.labels else None
            if found is not None:
                hits.append((found[1], tree, found[0]))
        best = min(hits, key=lambda hit: hit[0], default=None)
        return None if best is None else (best[1], best[2])


def _vein_of(plan: Plan, step: Step) -> str:
    """Return the name of the label that a named tree was followed in, "" for none."""
    made: Mapping[str, Step] = {s.output: s for s in plan.steps}
    lines = made.get(step.inputs.get("tree", ""))
    return lines.inputs.get("vein", "") if lines is not None else ""
