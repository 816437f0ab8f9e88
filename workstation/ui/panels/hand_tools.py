"""The tools that correct a label by hand, with the settings of the one that is in hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from segmentation.volume import LabelMap
from workstation.ui.desk import Desk
from workstation.ui.icons import set_icon
from workstation.ui.panels.parts import keep_narrow, label, side_by_side
from workstation.ui.slice_paint import Tool
from workstation.ui.words import readable, typed_number

TOOLS: dict[Tool, tuple[str, str, str]] = {
    "navigate": ("Look", "ph.crosshair", "Move the crosshair; nothing is changed"),
    "seed_foreground": (
        "Add",
        "ph.plus-circle",
        "Click what belongs to the label, or draw along it",
    ),
    "seed_background": (
        "Remove",
        "ph.minus-circle",
        "Click what does not belong to it, or draw along it",
    ),
    "brush": ("Brush", "ph.paint-brush", "Paint on the slice"),
    "erase": ("Erase", "ph.eraser", "Erase on the slice"),
    "scissors": (
        "Scissors",
        "ph.scissors",
        "Draw an outline in a slice or in 3D; it cuts as deep as chosen below",
    ),
    "pieces": ("Pieces", "ph.puzzle-piece", "Click a separate piece of the label"),
}
ROWS: tuple[tuple[Tool, ...], ...] = (
    ("navigate", "seed_foreground", "seed_background", "pieces"),
    ("brush", "erase", "scissors"),
)
BRUSHES = {
    (False, False): "Disc on the slice",
    (True, False): "Ball",
    (False, True): "Disc that stops at edges",
    (True, True): "Ball that stops at edges",
}
DEPTHS = {"all": "Through everything", "slice": "This slice only", "limited": "To a depth"}
NOWHERE = ("", "inside")
PAINTING = ("brush", "erase")
CHANGING = (*PAINTING, "scissors", "pieces")


class HandTools(QWidget):
    """Tools in two rows; below them what the tool in hand needs to know."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.tools: dict[str, QToolButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.target = label("", "muted")
        column.addWidget(self.target)
        group = QButtonGroup(self)
        for tools in ROWS:
            column.addLayout(self._row(tools, group))
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(4)
        column.addLayout(self._form)
        self.value = self._choice("Paint", [], lambda v: self._set(value=v))
        self.brush = self._choice(
            "Brush", BRUSHES.items(), lambda v: self._set(ball=v[0], adaptive=v[1])
        )
        self.radius = QSlider(Qt.Orientation.Horizontal)
        self.radius.setRange(1, 50)
        self.radius.setToolTip("Radius of the brush")
        self.radius_text = label("", "muted", wrap=False)
        self.radius_text.setMinimumWidth(44)
        self._size = side_by_side(self.radius, self.radius_text)
        self._form.addRow("Size", self._size)
        self.cut = self._choice(
            "Cut",
            [("inside", "What is inside"), ("outside", "What is outside")],
            lambda v: self._set(cut=v),
        )
        self.cut_depth = self._choice("Depth", DEPTHS.items(), lambda v: self._set(depth=v))
        self.depth_mm = QDoubleSpinBox(decimals=1, minimum=0.1, maximum=500.0, suffix=" mm")
        self.depth_mm.setAccessibleName("Depth of the cut in mm")
        self.depth_mm.setToolTip("In a slice to both sides of it, in 3D from the surface")
        self.depth_mm.valueChanged.connect(lambda v: self._set(depth_mm=v))
        self._form.addRow("As deep as", self.depth_mm)
        self.pieces = self._choice(
            "Click to",
            [("remove", "Remove a piece"), ("keep", "Keep only a piece")],
            lambda v: self._set(pieces=v),
        )
        self.limit = self._choice("Only", [(NOWHERE, "Everywhere")], self._limit)
        self.limit.setToolTip("Where the tool may change voxels")
        self.lowest, self.highest = (self._bound(name) for name in ("lower", "upper"))
        self._range = side_by_side(self.lowest, label("to", "muted", wrap=False), self.highest)
        self._form.addRow("Values", self._range)
        desk.bindings.slide(self.radius, lambda: round(desk.hand.radius_mm), self._set_radius)
        desk.bindings.add(self.refresh, self)

    def _row(self, tools: Sequence[Tool], group: QButtonGroup) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        for tool in tools:
            name, picture, tip = TOOLS[tool]
            made = QToolButton()
            made.setText(name)
            set_icon(made, picture)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            made.setCheckable(True)
            made.setMinimumWidth(70)
            made.clicked.connect(lambda _, t=tool: self._desk.take_tool(t))
            self._desk.bindings.enable(made, partial(self.lacks, tool), tip)
            group.addButton(made)
            row.addWidget(made)
            self.tools[tool] = made
        row.addStretch(1)
        return row

    def _choice(self, name: str, options: Any, chosen: Callable[[Any], None]) -> QComboBox:
        box = QComboBox()
        keep_narrow(box)
        box.setAccessibleName(name)
        for value, text in options:
            box.addItem(text, value)
        box.activated.connect(lambda _: chosen(box.currentData()))
        self._form.addRow(name, box)
        return box

    def _bound(self, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setAccessibleName(f"{name} limit of intensity")
        field.setPlaceholderText("any")
        field.setToolTip("Change only voxels in this range of intensity; empty is no limit")
        field.setAlignment(Qt.AlignmentFlag.AlignRight)
        field.editingFinished.connect(lambda: self._set(**{name: typed_number(field.text())}))
        return field

    def _set(self, **changes: Any) -> None:
        """Change settings of the hand."""
        for name, value in changes.items():
            setattr(self._desk.hand, name, value)
        self._desk.session.notify()

    def _set_radius(self, value: int) -> None:
        self._set(radius_mm=float(value))

    def _limit(self, chosen: tuple[str, Any]) -> None:
        self._set(limit=chosen[0], where=chosen[1])

    def lacks(self, tool: Tool) -> str:
        """Return what a tool needs, "" when it can be used."""
        if tool == "navigate":
            return ""
        target = self._desk.hand.target
        value = self._desk.value(target) if target else None
        return "" if isinstance(value, LabelMap) else "a computed label; choose one above"

    def refresh(self) -> None:
        """Show the tool, the label that it works on, and the settings that matter for it."""
        hand = self._desk.hand
        target = readable(hand.target).lower() if hand.target else ""
        self.target.setText(f"Works on: {target}" if target else "Choose a label above.")
        self.tools[hand.tool].setChecked(True)
        self.radius_text.setText(f"{hand.radius_mm:g} mm")
        several = self._offer_values()
        self._offer_limits()
        for box, value in (
            (self.brush, (hand.ball, hand.adaptive)),
            (self.cut, hand.cut),
            (self.cut_depth, hand.depth),
            (self.pieces, hand.pieces),
            (self.limit, (hand.limit, hand.where if hand.limit else "inside")),
        ):
            with QSignalBlocker(box):
                box.setCurrentIndex(_index_of(box, value))
        with QSignalBlocker(self.depth_mm):
            self.depth_mm.setValue(hand.depth_mm)
        for field, bound in ((self.lowest, hand.lower), (self.highest, hand.upper)):
            if not field.hasFocus():
                field.setText("" if bound is None else f"{bound:g}")
        for widget, shown in (
            (self.value, hand.tool in PAINTING and several),
            (self.brush, hand.tool in PAINTING),
            (self._size, hand.tool in PAINTING),
            (self.cut, hand.tool == "scissors"),
            (self.cut_depth, hand.tool == "scissors"),
            (self.depth_mm, hand.tool == "scissors" and hand.depth == "limited"),
            (self.pieces, hand.tool == "pieces"),
            (self.limit, hand.tool in CHANGING),
            (self._range, hand.tool in CHANGING),
        ):
            self._form.setRowVisible(widget, shown)

    def _offer_values(self) -> bool:
        """Offer the labels of the target; tell whether there are several."""
        labels = self._desk.labels().get(self._desk.hand.target)
        if labels is None:
            return False
        names = [(value, label.name) for value, label in labels.labels.items()]
        box = self.value
        with QSignalBlocker(box):
            if names != [(box.itemData(n), box.itemText(n)) for n in range(box.count())]:
                box.clear()
                for value, name in names:
                    box.addItem(name, value)
            box.setCurrentIndex(_index_of(box, self._desk.hand.value_in(labels)))
        return len(names) > 1

    def _offer_limits(self) -> None:
        """Offer the other labels as limits."""
        names = [n for n in self._desk.labels() if n != self._desk.hand.target]
        options = [NOWHERE, *((name, side) for name in names for side in ("inside", "outside"))]
        if options == [self.limit.itemData(n) for n in range(self.limit.count())]:
            return
        with QSignalBlocker(self.limit):
            self.limit.clear()
            for name, side in options:
                text = f"{side.capitalize()} {readable(name).lower()}" if name else "Everywhere"
                self.limit.addItem(text, (name, side))


def _index_of(box: QComboBox, value: Any) -> int:
    """Return the place of a value; Qt itself does not find tuples."""
    return next((n for n in range(box.count()) if box.itemData(n) == value), 0)
