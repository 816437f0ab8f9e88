"""What each kind of cut asks a person: planes, sheet, wedge, and how two cuts are combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.ui.panels.parts import button, keep_narrow, label

Change = Callable[[str, Mapping[str, Any]], None]
"""Takes the words for undo, and parameters."""

WORDS = {
    "either": "Removed by either cut",
    "both": "Removed by both cuts only",
    "first_without_second": "Removed by the first, not the second",
}
SIDES = {"between": "Removed: beyond all planes", "beyond_any": "Removed: beyond any plane"}
LESIONS = {"all": "Around all lesions", "largest": "Around the largest lesion"}
OPENS = "open_to_surface"
STEP_MM = 15.0  # how far from the last one a plane that is added begins


class Part(QWidget):
    """The settings of one kind of cut."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._tell = change
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(4)

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Show the parameters of the step."""


class SheetPart(Part):
    """A deformable sheet: draw it, turn it round, or make it flat again."""

    def __init__(self, change: Change, swap: Callable[[], None]) -> None:
        super().__init__(change)
        self.draw = QPushButton("Draw the cut")
        self.draw.setCheckable(True)
        self.draw.setToolTip(
            "Draw a line on the organ in 3D, or on a slice; the cut goes through it into the "
            "depth of that view. Esc gives it back"
        )
        self.flatten = button(
            "Flatten", "Make the sheet a plane again", partial(change, "Flatten the cut", FLAT)
        )
        row = QHBoxLayout()
        self.swap = button("Swap sides", "Turn the sheet round: specimen and remnant", swap)
        row.setSpacing(4)
        for one in (self.draw, self.swap, self.flatten):
            row.addWidget(one)
        self.column.addLayout(row)

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Show whether there is something to flatten."""
        bent = bool(np.any(params.get("heights_mm", ()))) or bool(params.get("line_mm"))
        self.flatten.setEnabled(bent)


FLAT: Mapping[str, Any] = {"heights_mm": None, "line_mm": None}


class PlanesPart(Part):
    """A list of planes; the chosen one has the handle in 3D."""

    chosen = Signal()

    def __init__(self, change: Change) -> None:
        super().__init__(change)
        self.number = 0
        self._params: Mapping[str, Any] = {}
        self.rows: list[QPushButton] = []
        self._group = QButtonGroup(self)
        self._list = QVBoxLayout()
        self._list.setSpacing(4)
        self.column.addLayout(self._list)
        self.add = button("Add a plane", "One more plane beside the chosen one", self._add)
        self.turn = button("Swap sides", "Turn the chosen plane round", self._turn)
        self.remove = button("Remove", "Remove the chosen plane", self._remove)
        row = QHBoxLayout()
        row.setSpacing(4)
        for one in (self.add, self.turn, self.remove):
            row.addWidget(one)
        self.column.addLayout(row)
        self.specimen = _choice(SIDES, "What several planes remove")
        self.specimen.activated.connect(
            lambda _: change("Sides of the cut", {"specimen": self.specimen.currentData()})
        )
        self.column.addWidget(self.specimen)

    def _lists(self) -> tuple[list[Any], list[Any]]:
        return list(self._params.get("points_mm", ())), list(self._params.get("normals", ()))

    def _add(self) -> None:
        points, normals = self._lists()
        away = STEP_MM * np.asarray(normals[self.number], float)
        points.append(tuple((np.asarray(points[self.number], float) + away).tolist()))
        normals.append(normals[self.number])
        self.number = len(points) - 1
        self._tell("Add a plane", {"points_mm": points, "normals": normals})

    def _turn(self) -> None:
        _, normals = self._lists()
        normals[self.number] = tuple(-v for v in normals[self.number])
        self._tell("Turn a plane", {"normals": normals})

    def _remove(self) -> None:
        points, normals = self._lists()
        del points[self.number], normals[self.number]
        self.number = 0
        self._tell("Remove a plane", {"points_mm": points, "normals": normals})

    def choose(self, number: int) -> None:
        """Give the handle to a plane."""
        self.number = number
        self.chosen.emit()

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Show one row for each plane."""
        self._params = params
        count = len(params.get("points_mm", ()))
        self.number = min(self.number, max(count - 1, 0))
        while len(self.rows) > count:
            gone = self.rows.pop()
            self._group.removeButton(gone)
            gone.setParent(None)
            gone.deleteLater()
        while len(self.rows) < count:
            row = _switch(f"Plane {len(self.rows) + 1}")
            row.setToolTip("Give this plane the handle in 3D")
            row.clicked.connect(partial(self.choose, len(self.rows)))
            self._group.addButton(row)
            self._list.addWidget(row)
            self.rows.append(row)
        if self.rows:
            self.rows[self.number].setChecked(True)
        self.remove.setEnabled(count > 1)
        _show(self.specimen, params.get("specimen", "between"))


class WedgePart(Part):
    """A wedge: its margin, how wide it opens, what it spares, and around what."""

    moved = Signal(object)  # margin and opening while they are changed

    def __init__(self, change: Change) -> None:
        super().__init__(change)
        self.margin = _number(0, 50, 1, " mm", "Margin of the wedge around the tumour")
        self.opening = _number(0, 120, 5, "°", "Whole angle of the cone towards the surface")
        self.spared = _number(0, 30, 1, " mm", "Veins at least this wide are spared; 0 spares none")
        self.spared.setSpecialValueText("none")
        self.opens = QCheckBox("Open to the organ's surface")
        self.opens.setToolTip("Without, the cut is closed around the tumour and has no way out")
        self.opens.clicked.connect(
            lambda on: change("Open the wedge" if on else "Close the wedge", {OPENS: on})
        )
        self._boxes = {
            "margin_mm": self.margin,
            "opening_degrees": self.opening,
            "spared_mm": self.spared,
        }
        for name, box in self._boxes.items():
            box.editingFinished.connect(partial(self._take, name, box))
        for box in (self.margin, self.opening):
            box.valueChanged.connect(self._move)
        self.lesions = _choice(LESIONS, "Lesions")
        self.lesions.activated.connect(
            lambda _: change("Lesions of the wedge", {"lesions": self.lesions.currentData()})
        )
        rows = ("Margin", "Opening", "Spare veins from")
        for text, box in zip(rows, self._boxes.values()):
            row = QHBoxLayout()
            row.addWidget(label(text, wrap=False), 1)
            row.addWidget(box, 1)
            self.column.addLayout(row)
        self.column.addWidget(self.opens)
        self.column.addWidget(self.lesions)
        self._shown: dict[str, float] = {}

    def _move(self) -> None:
        names = ("margin_mm", "opening_degrees")
        self.moved.emit({name: self._boxes[name].value() for name in names})

    def _take(self, name: str, box: QDoubleSpinBox) -> None:
        if box.value() != self._shown.get(name):
            self._shown[name] = box.value()
            self._tell(f"Wedge: {name.split('_')[0]}", {name: box.value()})

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Show margin, opening, lesions, and whether it opens at all."""
        self.opens.setChecked(bool(params.get(OPENS, True)))
        self.opening.setEnabled(self.opens.isChecked())
        for name, box, usual in (
            ("margin_mm", self.margin, 10.0),
            ("opening_degrees", self.opening, 30.0),
            ("spared_mm", self.spared, 0.0),
        ):
            value = float(params.get(name, usual))
            self._shown[name] = value
            if not box.hasFocus():
                with QSignalBlocker(box):
                    box.setValue(value)
        _show(self.lesions, params.get("lesions", "all"))


class StemPart(QWidget):
    """How far stems in the specimen that lead to what stays are freed rather than divided."""

    def __init__(self, change: Callable[[float], None]) -> None:
        super().__init__()
        tip = (
            "A stem in the specimen that leads to what stays counts as freed where it runs no "
            "farther in it than this, and keeps 1 mm from the tumour; none counts all as divided"
        )
        self.box = _number(0, 150, 5, " mm", tip)
        self.box.setSpecialValueText("none")
        self.box.editingFinished.connect(self._take)
        self._change, self._shown = change, DISSECTED_MM
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label("Free stems along", wrap=False), 1)
        row.addWidget(self.box, 1)

    def _take(self) -> None:
        if self.box.value() != self._shown:
            self._shown = self.box.value()
            self._change(self._shown)

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Show how far."""
        self._shown = float(params.get("dissected_mm", DISSECTED_MM))
        if not self.box.hasFocus():
            with QSignalBlocker(self.box):
                self.box.setValue(self._shown)


class JoinPart(QWidget):
    """How two cuts are combined, and which of them is being changed."""

    def __init__(self, change: Change, edit: Callable[[str], None]) -> None:
        super().__init__()
        self.operation = _choice(WORDS, "How both cuts are combined")
        self.operation.activated.connect(
            lambda _: change("Combine the cuts", {"operation": self.operation.currentData()})
        )
        self._parts: Sequence[str] = ()
        row = QHBoxLayout()
        row.setSpacing(4)
        self.which = [_switch(text) for text in ("First cut", "Second cut")]
        for number, one in enumerate(self.which):
            one.setToolTip(f"Change the {one.text().lower()}")
            one.clicked.connect(lambda _=False, n=number: edit(self._parts[n]))
            row.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.operation)
        column.addLayout(row)

    def show_parts(self, params: Mapping[str, Any], parts: Sequence[str], edited: str) -> None:
        """Show how the parts, by name, are combined, and which of them is ``edited``."""
        self._parts = parts
        _show(self.operation, params.get("operation", "either"))
        for one, name in zip(self.which, parts):
            one.setChecked(name == edited)


def _number(low: float, high: float, step: float, unit: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setDecimals(1)
    box.setSuffix(unit)
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    return box


def _switch(text: str) -> QPushButton:
    made = QPushButton(text)
    made.setCheckable(True)
    return made


def _choice(words: Mapping[str, str], name: str) -> QComboBox:
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(name)
    box.setToolTip(name)
    for key, text in words.items():
        box.addItem(text, key)
    return box


def _show(box: QComboBox, key: str) -> None:
    with QSignalBlocker(box):
        box.setCurrentIndex(box.findData(key))
