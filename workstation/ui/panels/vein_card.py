"""The branches of the liver's veins: a legend, and what can be done with the chosen one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.volume import Vector
from workstation.planning.couinaud_names import AREAS, SEGMENTS, VALUES
from workstation.planning.plan import Plan
from workstation.planning.vein_changes import (
    clamp_steps,
    clamped,
    is_clamped,
    lacks_move,
    moved,
    renamed,
    with_territory,
)
from workstation.planning.vein_names import branch_before, colour_of, inner_point
from workstation.ui.desk import Desk
from workstation.ui.panels.cut_territories import swatch
from workstation.ui.panels.parts import bold, button, keep_narrow, label
from workstation.ui.vein_pictures import NamedTree, short_name
from workstation.ui.words import readable, value_text

COLUMNS = 2
OTHER = {"portal": "hepatic", "hepatic": "portal"}


@dataclass(frozen=True, eq=False)
class Chosen:
    """A branch that a person chose, with what follows it."""

    tree: NamedTree
    branch: int

    @property
    def place_mm(self) -> Vector:
        """The middle of the branch, LPS mm."""
        return inner_point(self.tree.tree, self.branch)


class VeinCard(QFrame):
    """Names with their colours; one is clicked here or in a view, and then changed.

    Signals:
        wanted: the name of a tree and the number of a branch to be chosen.
    """

    wanted = Signal(str, int)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._trees: tuple[NamedTree, ...] = ()
        self.chosen: Chosen | None = None
        self.setProperty("role", "card")
        self.rows: dict[tuple[str, str], QPushButton] = {}
        self._legend = QWidget()
        self._grid = QGridLayout(self._legend)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(0)
        self.hint = label("Click a branch in a view, or its name here.", "muted")
        self.title, self.facts = bold(""), label("", "muted")
        self.names = QComboBox()
        keep_narrow(self.names)
        self.names.setAccessibleName("Name of the branch")
        self.names.setToolTip("The name of this branch and of all that follows it")
        self.names.activated.connect(lambda _: self.rename(self.names.currentData()))
        self.up = button("Towards the root", "Choose the branch before this one", self.go_up)
        self.move_button = button("", "", self.move_over)
        self.clamp_button = button("", "", self.clamp)
        self.reach = button("Territory", "Make its territory a label of the plan", self.territory)
        self._page = QWidget()
        self._arrange()
        self.hide()
        desk.bindings.add(self._refresh_chosen)

    def _arrange(self) -> None:
        inner = QVBoxLayout(self._page)
        inner.setContentsMargins(0, 4, 0, 0)
        inner.setSpacing(4)
        for parts in ((self.title,), (self.facts,), (self.names, self.up),
                      (self.move_button,), (self.clamp_button, self.reach)):  # fmt: skip
            row = QHBoxLayout()
            row.setSpacing(4)
            for part in parts:
                row.addWidget(part, 1)
            inner.addLayout(row)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.setSpacing(4)
        for made in (bold("Branches of the veins"), self._legend, self.hint, self._page):
            column.addWidget(made)

    # Shown ---------------------------------------------------------------------------

    def show_trees(self, trees: tuple[NamedTree, ...], chosen: Chosen | None) -> None:
        """List the names of trees, and show the branch that is chosen."""
        if len(trees) != len(self._trees) or any(a is not b for a, b in zip(trees, self._trees)):
            self._trees = trees
            self._list()
        self.chosen = chosen
        self.setVisible(bool(trees))
        self._refresh_chosen()

    def _list(self) -> None:
        for row in self.rows.values():
            row.setParent(None)
            row.deleteLater()
        self.rows = {}
        for tree in self._trees:
            for name in tree.ordered():
                branch = tree.largest(name)
                row = button(short_name(name), tree.words(branch),
                             partial(self.wanted.emit, tree.name, branch))  # fmt: skip
                row.setProperty("flat", "true")
                row.setStyleSheet("text-align: left;")
                row.setIcon(swatch(colour_of(name)))
                self._grid.addWidget(row, *divmod(len(self.rows), COLUMNS))
                self.rows[tree.name, name] = row

    def _refresh_chosen(self) -> None:
        plan, chosen = self._desk.session.plan, self.chosen
        self._page.setVisible(chosen is not None and plan is not None)
        self.hint.setVisible(chosen is None)
        if chosen is None or plan is None:
            return
        tree, branch = chosen.tree, chosen.branch
        name = tree.names[branch]
        self.title.setText(readable(name) if name else "Branch without a name")
        self.facts.setText(_facts(tree, branch))
        self._offer_names(tree, name)
        self.up.setEnabled(branch_before(tree.tree, branch) >= 0)
        other = "hepatic" if _is_portal(tree) else "portal"
        lack = lacks_move(plan, tree.name)
        self.move_button.setText(f"It is a {other} vein")
        self.move_button.setEnabled(not lack)
        tip = f"Move this branch to the {other} veins"
        self.move_button.setToolTip(f"{tip}\nNeeds: {lack}" if lack else tip)
        shut = is_clamped(plan, tree.name, tree.tree, branch)
        self.clamp_button.setText("Open the clamp" if shut else "Clamp")
        self.clamp_button.setEnabled(bool(clamp_steps(plan, tree.name)))
        self.clamp_button.setToolTip("What is lost behind a clamp where this branch begins")

    def _offer_names(self, tree: NamedTree, name: str) -> None:
        portal = _is_portal(tree)
        offered = [n for n in VALUES if (n in SEGMENTS or n in AREAS) == portal]
        with QSignalBlocker(self.names):
            self.names.clear()
            if name not in offered:
                self.names.addItem("Rename…", "")
            for one in (*offered, "none"):
                icon = swatch(colour_of(one))
                self.names.addItem(icon, "No name" if one == "none" else short_name(one), one)
            self.names.setCurrentIndex(max(0, self.names.findData(name)))

    # Changes -------------------------------------------------------------------------

    def go_up(self) -> None:
        """Choose the branch before the chosen one."""
        if self.chosen is not None:
            before = branch_before(self.chosen.tree.tree, self.chosen.branch)
            if before >= 0:
                self.wanted.emit(self.chosen.tree.name, before)

    def rename(self, name: str) -> None:
        """Give the chosen branch, and what follows it, a name."""
        chosen = self.chosen
        if chosen is None or not name or name == chosen.tree.names[chosen.branch]:
            return
        words = "No name for a branch" if name == "none" else f"Name a branch {readable(name)}"
        self._change(
            words,
            lambda plan: renamed(plan, chosen.tree.name, chosen.tree.tree, chosen.branch, name),
        )

    def move_over(self) -> None:
        """Move the chosen branch to the other system of veins."""
        chosen = self.chosen
        if chosen is not None:
            self._change(
                self.move_button.text(),
                lambda plan: moved(plan, chosen.tree.name, chosen.tree.tree, chosen.branch),
            )

    def clamp(self) -> None:
        """Clamp the chosen branch where it begins, or open it again."""
        chosen, plan = self.chosen, self._desk.session.plan
        if chosen is None or plan is None:
            return
        tree, branch = chosen.tree, chosen.branch
        on = not is_clamped(plan, tree.name, tree.tree, branch)
        words = f"{'Clamp' if on else 'Open'} {readable(tree.names[branch] or 'branch')}"
        self._change(words, lambda plan: clamped(plan, tree.name, tree.tree, branch, on))

    def territory(self) -> None:
        """Make the territory of the chosen branch a label of the plan."""
        chosen = self.chosen
        if chosen is not None:
            words = f"Territory of {readable(chosen.tree.names[chosen.branch] or 'branch')}"
            self._change(
                words,
                lambda plan: with_territory(
                    plan, chosen.tree.name, chosen.tree.tree, chosen.branch
                )[0],
            )

    def _change(self, words: str, changed: Callable[[Plan], Plan]) -> None:
        """Make a change that can be undone, and compute what it changes."""
        session = self._desk.session
        if self._desk.attempt(lambda: session.do(words, changed(session.require_plan()))):
            self._desk.attempt(self._desk.compute)


def _is_portal(tree: NamedTree) -> bool:
    return tree.tree.name != "hepatic"


def _facts(tree: NamedTree, branch: int) -> str:
    """Say how wide and long a branch is, and how much of the liver it and its followers reach."""
    words = tree.words(branch).rpartition(", ")[2]
    length = tree.tree.length_mm(tree.tree.branches[branch])
    said = f"{words} and {length:.0f} mm long"
    if not len(tree.volumes_ml):
        return said
    volume = float(tree.volumes_ml[branch])
    share = 100.0 * volume / max(float(tree.volumes_ml.max()), 1e-9)
    reached = "supplies" if _is_portal(tree) else "drains"
    return (
        f"{said}; with what follows it {reached} about {value_text(volume, 'mL')} mL "
        f"({share:.0f} % of the liver, by nearest branch)"
    )
