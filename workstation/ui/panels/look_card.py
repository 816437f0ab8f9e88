"""How one surface is drawn: shown or not, opacity, colour, or a quantity on it with its bar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from meshing.surface import SurfaceMesh
from workstation.actors import scene_items
from workstation.looks import PLAIN, ItemLook, default_quantity, quantities, split_unit, with_look
from workstation.shading import Colour, SceneItem
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, keep_narrow, label, side_by_side
from workstation.ui.words import readable, typed_number


class LookCard(QWidget):
    """The surfaces of the plan, one at a time; a click on a surface in 3D chooses it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.surface = QComboBox()
        keep_narrow(self.surface)
        self.surface.setAccessibleName("Surface")
        self.surface.activated.connect(lambda _: self._select(self.surface.currentData()))
        self.shown = QCheckBox("Shown")
        self.shown.clicked.connect(self._switch)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.opacity.setAccessibleName("Opacity")
        self.opacity.setToolTip("How opaque the surface is")
        self.opacity.valueChanged.connect(lambda value: self._set(opacity=value / 100))
        self.opacity_text = label("", "muted", wrap=False)
        self.opacity_text.setMinimumWidth(44)
        self.colour = button("Colour…", "Choose another colour", self._ask_colour)
        self.reset = button("Reset", "Draw it as it comes", self._reset)
        self.quantity = QComboBox()
        keep_narrow(self.quantity)
        self.quantity.setAccessibleName("Colour by")
        self.quantity.setToolTip("A quantity on the surface, such as a distance or a thickness")
        self.quantity.activated.connect(lambda _: self._colour_by(self.quantity.currentData()))
        self.low, self.high = (self._limit(name) for name in ("low", "high"))
        self.unit = label("", "muted", wrap=False)
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(4)
        self._form.addRow("Surface", self.surface)
        self._form.addRow("", self.shown)
        self._form.addRow("Opacity", side_by_side(self.opacity, self.opacity_text))
        self._form.addRow("Colour by", self.quantity)
        self._bar = side_by_side(self.low, label("to", "muted", wrap=False), self.high, self.unit)
        self._form.addRow("Bar", self._bar)
        self._page = QWidget()
        page = QVBoxLayout(self._page)
        page.setContentsMargins(0, 0, 0, 0)
        page.addLayout(self._form)
        page.addWidget(side_by_side(self.colour, self.reset))
        self._none = label("No surface yet: make one in Model.", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._none)
        column.addWidget(self._page)
        desk.bindings.add(self.refresh, self)

    def _limit(self, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setAccessibleName(f"{name} end of the colour bar")
        field.setToolTip("Limit of the colour bar; empty proposes one")
        field.setAlignment(Qt.AlignmentFlag.AlignRight)
        field.editingFinished.connect(lambda: self._set(**{name: typed_number(field.text())}))
        return field

    # What is chosen ------------------------------------------------------------------

    def _surfaces(self) -> dict[str, SurfaceMesh]:
        found = self._desk.results()
        return {n: v for n, v in found.items() if isinstance(v, SurfaceMesh) and len(v.triangles)}

    def chosen(self) -> str:
        """Return the name of the surface that is chosen: the selected one, or the first."""
        surfaces, selected = self._surfaces(), self._desk.session.view.selected
        if selected in surfaces:
            return selected
        held = self.surface.currentData()
        return held if held in surfaces else next(iter(surfaces), "")

    def _look(self) -> ItemLook:
        return self._desk.session.view.looks.get(self.chosen(), ItemLook())

    def _select(self, name: str) -> None:
        self._desk.session.set_view(selected=name)

    def _set(self, **changes: Any) -> None:
        name, look = self.chosen(), self._look()
        after = replace(look, **changes)
        if name and after != look:
            looks = {**self._desk.session.view.looks, name: after}
            self._desk.session.set_view(looks=looks)

    def _colour_by(self, quantity: str) -> None:
        self._set(quantity=quantity, low=None, high=None)

    def _reset(self) -> None:
        looks = dict(self._desk.session.view.looks)
        looks.pop(self.chosen(), None)
        self._desk.session.set_view(looks=looks)

    def _ask_colour(self) -> None:
        item = self._item()
        if item is not None:
            chosen = QColorDialog.getColor(QColor(*item.colour), self, "Colour of the surface")
            if chosen.isValid():
                self.set_colour((chosen.red(), chosen.green(), chosen.blue()))

    def set_colour(self, colour: Colour) -> None:
        """Give the chosen surface another colour."""
        self._set(colour=colour, quantity=PLAIN if self._look().quantity else "")

    def _switch(self, on: bool) -> None:
        hidden = set(self._desk.session.view.hidden) - {self.chosen()}
        self._desk.session.set_view(hidden=hidden if on else hidden | {self.chosen()})

    # Refresh -------------------------------------------------------------------------

    def _item(self) -> SceneItem | None:
        name = self.chosen()
        if not name:
            return None
        return with_look(scene_items({name: self._surfaces()[name]})[name], self._look())

    def refresh(self) -> None:
        """Show how the chosen surface is drawn."""
        surfaces, name, item = self._surfaces(), self.chosen(), self._item()
        self._none.setVisible(item is None)
        self._page.setVisible(item is not None)
        offer(self.surface, [(n, readable(n)) for n in surfaces], name)
        if item is None:
            return
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * item.opacity))
        self.opacity_text.setText(f"{item.opacity:.0%}")
        with QSignalBlocker(self.shown):
            self.shown.setChecked(self._desk.is_shown(name))
        surface = surfaces[name]
        found = quantities(surface)
        chosen = self._look().quantity or default_quantity(surface) or PLAIN
        offer(self.quantity, [(PLAIN, "Its colour"), *((q, _title(q)) for q in found)], chosen)
        self._form.setRowVisible(self.quantity, bool(found))
        self._form.setRowVisible(self._bar, item.scalars is not None)
        if item.scalars is not None:
            self.unit.setText(item.scalars.unit)
            for field, value in ((self.low, item.scalars.low), (self.high, item.scalars.high)):
                if not field.hasFocus():
                    field.setText(f"{value:g}")


def _title(quantity: str) -> str:
    title, unit = split_unit(quantity)
    return f"{title} ({unit})" if unit else title


def offer(box: QComboBox, options: list[tuple[str, str]], chosen: str) -> None:
    """Offer options (value, text) in a box and show the chosen one, without a signal."""
    with QSignalBlocker(box):
        if options != [(box.itemData(n), box.itemText(n)) for n in range(box.count())]:
            box.clear()
            for value, text in options:
                box.addItem(text, value)
        box.setCurrentIndex(max(box.findData(chosen), 0 if options else -1))
