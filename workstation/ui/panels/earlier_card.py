"""What earlier versions of Hilum computed in the plan, and the button that computes it anew."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from segmentation.wording import counted
from workstation.runs import RENEW, earlier_steps
from workstation.stages import at_present
from workstation.ui.desk import Desk
from workstation.ui.panels.parts import button, label
from workstation.ui.words import readable

TIP = "Compute with the present version what an earlier one computed; it can be undone"


class EarlierCard(QWidget):
    """Says which results are of an earlier version, and renews them; hidden where none is."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.text = label("", "warning")
        self.renew = button("Bring up to date", TIP, self._renew)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.text)
        column.addWidget(self.renew)
        desk.bindings.enable(self.renew, self.lacks, TIP)
        desk.bindings.add(self.refresh)

    def lacks(self) -> str:
        """Return what bringing up to date needs, "" when it can be done."""
        return "the work that runs to end" if self._desk.busy else ""

    def refresh(self) -> None:
        """Show which results are of an earlier version."""
        session = self._desk.session
        names: tuple[str, ...] = ()
        if session.plan is not None:
            states = {step["output"]: step["state"] for step in session.summary()["steps"]}
            names = earlier_steps(session.plan, states)
        self.setVisible(bool(names))
        some = counted(len(names), "result is", "results are")
        listed = ", ".join(readable(name).lower() for name in names)
        self.text.setText(f"{some} of an earlier version of Hilum: {listed}.")

    def _renew(self) -> None:
        session = self._desk.session
        plan = at_present(session.require_plan())
        if self._desk.attempt(lambda: session.do(RENEW, plan)):
            self._desk.compute()
