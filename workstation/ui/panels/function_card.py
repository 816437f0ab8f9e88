"""The scores of liver function from the patient's values, and that of the remnant."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout

from workstation.planning.resection_reserve import ICG_LIMIT, TITLES
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import bold, label
from workstation.ui.words import unit_text, value_text

STEP = "liver_function"
ROWS = {"icg_k": "ICG clearance", "icg_k_remnant": "ICG, remnant"} | TITLES


class FunctionCard(QFrame):
    """Each score with its class; hidden while the plan has none."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setProperty("role", "card")
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        self.rows = {}
        for row, (name, title) in enumerate(ROWS.items()):
            self.rows[name] = (label(title, "muted"), label("", wrap=False))
            for place, part in enumerate(self.rows[name]):
                grid.addWidget(part, row, place)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.setSpacing(4)
        column.addWidget(bold("Liver function"))
        column.addLayout(grid)
        desk.bindings.add(self.refresh)  # hidden until there is a score
        self.hide()

    def refresh(self) -> None:
        """Show the plan's scores, where they are up to date."""
        session = self._desk.session
        known = session.plan is not None and self._desk.is_current(STEP)
        summary = session.summary() if known else {"numbers": [], "findings": []}
        numbers = {n["name"]: n for n in summary["numbers"]}
        said = {f["code"]: f["sentence"] for f in summary["findings"] if f.get("step") == STEP}
        for name, parts in self.rows.items():
            number = numbers.get(f"{STEP}.{name}")
            for part in parts:
                part.setVisible(number is not None)
            if number is None:
                continue
            meaning = said.get(name, "").partition(": ")[2].rstrip(".")
            if name == "icg_k_remnant":
                meaning = f"limit {ICG_LIMIT:g}"
            shown = f"{value_text(number['value'], number['unit'])} {unit_text(number['unit'])}"
            parts[1].setText(", ".join(filter(None, (shown.strip(), meaning))))
            parts[1].setToolTip(number["source"])
        self.setVisible(any(not parts[1].isHidden() for parts in self.rows.values()))
