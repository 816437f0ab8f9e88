"""Lists in a generated form: names chosen from a few, each with a place where it takes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from workstation.ui.icons import set_icon
from workstation.ui.words import choice_text, readable

Changed = Callable[[Any], None]
Crosshair = Callable[[], Sequence[float] | None]
"""Where the crosshair stands, LPS mm."""

ALONE = "none"  # the name of what has none


def tool(icon: str, tip: str, clicked: Callable[[], None]) -> QToolButton:
    """Return a small button with an icon."""
    made = QToolButton()
    set_icon(made, icon)
    made.setMinimumSize(28, 26)
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.clicked.connect(clicked)
    return made


class NamesField(QWidget):
    """A list of names, each chosen from a few; with ``crosshair`` each has a place, too.

    A place is where the crosshair stands: click the branch in a slice, or in 3D with Shift.
    """

    def __init__(
        self, names: Sequence[str], changed: Changed, crosshair: Crosshair | None = None
    ) -> None:
        super().__init__()
        self._changed, self._crosshair = changed, crosshair
        self._entries: list[Any] = []
        self.choice = QComboBox()
        self.choice.setMinimumContentsLength(6)
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for name in sorted(names, key=lambda one: one == ALONE):
            if crosshair is not None or name != ALONE:
                self.choice.addItem(_text(name), name)
        place = "Give this name to the branch at the crosshair: click the branch in a slice, or "
        tip = "Add this name" if crosshair is None else f"{place}in 3D with Shift, first"
        self.add = tool("ph.plus" if crosshair is None else "ph.crosshair", tip, self._add)
        self.choice.setToolTip(tip)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.choice, 1)
        row.addWidget(self.add)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(self._rows)
        column.addLayout(row)

    @property
    def entries(self) -> list[Any]:
        """What is listed: names, or [name, x, y, z]."""
        return list(self._entries)

    def _add(self) -> None:
        name = self.choice.currentData()
        if self._crosshair is None:
            if name not in self._entries:
                self._put([*self._entries, name])
            return
        place = self._crosshair()
        if place is not None:
            self._put([*self._entries, [name, *(round(float(part), 2) for part in place)]])

    def _put(self, entries: list[Any]) -> None:
        self.show_value(entries)
        self._changed(entries or None)

    def remove(self, number: int) -> None:
        """Take one entry out of the list."""
        self._put([one for n, one in enumerate(self._entries) if n != number])

    def show_value(self, value: Any) -> None:
        """Show the entries, or none."""
        entries = list(value or ())
        if entries == self._entries:
            return
        self._entries = entries
        while (item := self._rows.takeAt(0)) is not None:
            gone = item.widget()
            if gone is not None:
                gone.setParent(None)
                gone.deleteLater()
        for number, entry in enumerate(entries):
            self._rows.addWidget(self._row(number, entry))

    def _row(self, number: int, entry: Any) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        name, place = (entry, ()) if isinstance(entry, str) else (entry[0], entry[1:])
        text = _text(name)
        row.addWidget(QLabel(text), 1)
        where = QLabel(" ".join(f"{part:.0f}" for part in place))
        where.setProperty("role", "muted")
        where.setToolTip("x y z in mm, LPS")
        row.addWidget(where)
        row.addWidget(tool("ph.x", f"Remove {text}", partial(self.remove, number)))
        return made


def _text(name: str) -> str:
    if name == ALONE:
        return "no name"
    return name if name.isupper() else readable(choice_text(name))
