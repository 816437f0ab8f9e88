"""Cutting the 3D view open: by a plane, by a box, or not at all."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from workstation.camera import Side
from workstation.ui.clip_tool import ClipTool, Shape
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, label

SHAPES: dict[Shape, str] = {
    "off": "Nothing cut away",
    "plane": "Cut away by a plane",
    "box": "Show a box only",
}
FACES: tuple[tuple[str, Side, str], ...] = (
    ("Front", "A", "Open the view towards the patient's front"),
    ("Left", "L", "Open the view towards the patient's left"),
    ("Top", "S", "Open the view towards the patient's head"),
)


class ClipCard(QWidget):
    """The choice of the clip, and what suits a plane."""

    def __init__(self, desk: Desk, tool: ClipTool) -> None:
        super().__init__()
        self._tool = tool
        self.shape = QComboBox()
        self.shape.setAccessibleName("Cut the 3D view open")
        self.shape.setToolTip("Drag the handles in the 3D view; nothing of the plan changes")
        for key, text in SHAPES.items():
            self.shape.addItem(text, key)
        self.shape.activated.connect(lambda _: tool.take(self.shape.currentData()))
        self._sides = QWidget()
        row = QHBoxLayout(self._sides)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for text, side, tip in FACES:
            row.addWidget(button(text, tip, partial(tool.face, side)))
        row.addWidget(button("Swap", "Show the other side of the plane", tool.swap))
        self.follows = QCheckBox("Through the crosshair")
        self.follows.setToolTip("The plane goes where the slices are")
        self.follows.toggled.connect(tool.follow)
        self._hint = label("Drag the balls on the sides of the box.", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.shape, self._sides, self.follows, self._hint):
            column.addWidget(part)
        desk.bindings.enable(self.shape, tool.lacks, "Cut the 3D view open")
        desk.bindings.add(self.refresh, self)

    def refresh(self) -> None:
        """Show what is cut away."""
        shape = self._tool.shape
        with QSignalBlocker(self.shape):
            self.shape.setCurrentIndex(list(SHAPES).index(shape))
        with QSignalBlocker(self.follows):
            self.follows.setChecked(self._tool.follows)
        self._sides.setVisible(shape == "plane")
        self.follows.setVisible(shape == "plane")
        self._hint.setVisible(shape == "box")
