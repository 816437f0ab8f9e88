"""The diameters or pressures along the line of a vessel, as the plan measured them."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from workstation.ui.desk import Desk
from workstation.ui.panels.parts import label
from workstation.ui.panels.profile_plot import ProfilePlot, is_line
from workstation.ui.words import readable


class LineCard(QWidget):
    """One curve for each measurement along a line; without one it is hidden."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.plots: dict[str, ProfilePlot] = {}
        self._shown: list[QWidget] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)

    def refresh(self) -> None:
        """Show the curves of the plan that is open."""
        plan, results = self._desk.session.plan, self._desk.results()
        steps = plan.steps if plan is not None else ()
        found = {s.output: results.get(s.output) for s in steps}
        lines = {name: value for name, value in found.items() if is_line(value)}
        if list(lines) != list(self.plots):
            self._rebuild(list(lines))
        for name, value in lines.items():
            self.plots[name].show_profile(value)
        self.setVisible(bool(lines))

    def _rebuild(self, names: list[str]) -> None:
        for old in self._shown:
            old.setParent(None)
            old.deleteLater()
        self.plots = {name: ProfilePlot() for name in names}
        self._shown = []
        for name, plot in self.plots.items():
            self._shown += [label(f"{readable(name)}, along the line", "muted"), plot]
        for widget in self._shown:
            self._column.addWidget(widget)
