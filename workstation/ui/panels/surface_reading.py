"""What a surface file may leave open, asked before it is read: its unit and its axes."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QFormLayout, QWidget

UNITS = {"mm": "mm", "cm": "cm", "m": "m"}
AXES = {"not known": "", "LPS, as in DICOM": "LPS", "RAS, as in 3D Slicer": "RAS"}


class SurfaceReading(QWidget):
    """Unit and axes of a file that names none; what the file names itself goes first."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = _choice("Unit", UNITS, "What the file's lengths are in, if it names no unit")
        self.axes = _choice("Axes", AXES, "Which way x, y and z run, if the file does not say")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Unit", self.unit)
        form.addRow("Axes", self.axes)
        self.hide()  # until a surface file is offered

    def said(self) -> dict[str, str]:
        """Return what was chosen, as `workstation.surface_source` takes it."""
        chosen = {"unit": self.unit.currentData(), "space": self.axes.currentData()}
        return {word: str(value) for word, value in chosen.items() if value}


def _choice(name: str, values: dict[str, str], tip: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    for words, value in values.items():
        box.addItem(words, value)
    return box
