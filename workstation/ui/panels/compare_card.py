"""Compare two surfaces: one step that maps the distance of the first from the second."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from meshing.surface import SurfaceMesh
from workstation.ui.desk import Desk
from workstation.ui.panels.look_card import offer
from workstation.ui.panels.parts import button, keep_narrow
from workstation.ui.words import readable

STAGE = "meshing.distance_map"


class CompareCard(QWidget):
    """Two surfaces and a button; the map appears in 3D with its colour bar."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._behind: dict[str, set[str]] = {}
        self.mesh, self.reference = QComboBox(), QComboBox()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        for box, text in ((self.mesh, "Surface"), (self.reference, "Against")):
            keep_narrow(box)
            box.setAccessibleName(text)
            form.addRow(text, box)
        tip = "Map how far the first surface lies outside (+) or inside (-) the second, in mm"
        self.compare = button("Compare", tip, self.apply)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addWidget(self.compare)
        desk.bindings.enable(self.compare, self.lacks, tip)
        desk.left.connect(self._behind.clear)
        desk.bindings.add(self.refresh)

    def _names(self) -> list[str]:
        session = self._desk.session
        if session.plan is None:
            return []
        return [name for name, kind in session.kinds().items() if kind == SurfaceMesh.__name__]

    def lacks(self) -> str:
        """Return what a comparison needs, "" when it can be made."""
        if len(self._names()) < 2:
            return "two surfaces"
        same = self.mesh.currentData() == self.reference.currentData()
        return "two different surfaces" if same else ""

    def refresh(self) -> None:
        """Offer the surfaces of the plan; bring back what a comparison that is gone hid."""
        names = self._names()
        gone = self._behind.keys() - set(names)
        back = set[str]().union(*(self._behind.pop(name) for name in gone))
        if back:
            self._desk.session.set_view(hidden=self._desk.session.view.hidden - back)
        options = [(name, readable(name)) for name in names]
        for box, default in ((self.mesh, names[:1]), (self.reference, names[1:2])):
            held = box.currentData()
            offer(box, options, held if held in names else (default or [""])[0])

    def apply(self) -> None:
        """Add the step, show the map and hide the two surfaces that it compares."""
        desk = self._desk
        inputs = {"mesh": self.mesh.currentData(), "reference": self.reference.currentData()}
        taken, number = desk.session.kinds(), 1
        while f"comparison_{number}" in taken:
            number += 1
        name = f"comparison_{number}"
        if not desk.attempt(lambda: desk.session.add_step(STAGE, name, inputs, {})):
            return
        hidden = desk.session.view.hidden
        self._behind[name] = set(inputs.values()) - hidden
        desk.session.set_view(selected=name, hidden=hidden | set(inputs.values()))
        desk.compute(name)
