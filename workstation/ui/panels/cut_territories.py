"""The territories of an organ as a list: colour, name and volume, ticked where removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from segmentation.volume import LabelMap
from workstation.ui.panels.cut_parts import Change, Part
from workstation.ui.panels.parts import label
from workstation.ui.words import readable, value_text

SWATCH_PX = 12
COLUMNS = 2
LONG = 6  # letters from which on a name takes a row of its own


def swatch(colour: tuple[int, int, int]) -> QIcon:
    """Return a small square of a colour."""
    picture = QPixmap(SWATCH_PX, SWATCH_PX)
    picture.fill(QColor(*colour))
    return QIcon(picture)


class TerritoryPart(Part):
    """Territories by name; those that are ticked are removed."""

    def __init__(self, change: Change) -> None:
        super().__init__(change)
        self.boxes: dict[str, QCheckBox] = {}
        self._territories: LabelMap | None = None
        self._names: tuple[str, ...] = ()
        self._page = QWidget()
        self._grid = QGridLayout(self._page)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self.sum = label("", "muted")
        self.column.addWidget(self._page)
        self.column.addWidget(self.sum)

    def show_territories(self, territories: LabelMap | None) -> None:
        """List the territories, with their volumes in mL."""
        if territories is self._territories:
            return
        self._territories = territories
        for box in self.boxes.values():
            box.setParent(None)
            box.deleteLater()
        self.boxes = {}
        labels = territories.labels.values() if territories is not None else ()
        volumes = self._volumes()
        columns = 1 if any(len(one.name) > LONG for one in labels) else COLUMNS
        for number, one in enumerate(labels):
            volume = volumes.get(one.name)
            text = "" if volume is None else f"  {value_text(volume, 'mL')} mL"
            name = readable(one.name) if len(one.name) > LONG else one.name
            box = QCheckBox(f"{name}{text}")
            box.setIcon(swatch(one.colour))
            box.setToolTip(f"Remove {name}")
            box.clicked.connect(lambda on, n=one.name: self._tick(n, on))
            self._grid.addWidget(box, *divmod(number, columns))
            self.boxes[one.name] = box

    def _volumes(self) -> dict[str, float]:
        numbers = self._territories.numbers if self._territories is not None else ()
        ending = ".volume"
        return {
            n.quantity.removesuffix(ending): n.value for n in numbers if n.quantity.endswith(ending)
        }

    def _tick(self, name: str, on: bool) -> None:
        names = tuple(n for n in self.boxes if n in self._names or n == name)
        names = names if on else tuple(n for n in names if n != name)
        if not names:  # a cut has to remove something
            with QSignalBlocker(self.boxes[name]):
                self.boxes[name].setChecked(True)
            return
        self._tell(f"{'Remove' if on else 'Keep'} {readable(name)}", {"names": names})

    def show_params(self, params: Mapping[str, Any]) -> None:
        """Tick what is removed."""
        self._names = tuple(params.get("names", ()))
        for name, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(name in self._names)
        volumes = self._volumes()
        total = sum(volumes.get(name, 0.0) for name in self._names)
        self.sum.setText(f"Together {value_text(total, 'mL')} mL" if volumes else "")
