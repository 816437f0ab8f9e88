"""A wedge whose margin or opening is changed: the numbers follow each value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject

from workstation.ui.cut_drag import CutDrag
from workstation.ui.cut_live import WEDGE, live_wedge
from workstation.ui.desk import Desk
from workstation.ui.panels.cut_choice import CutChoice


class WedgeTool(QObject):
    """Tells the numbers of a wedge for each value that is turned to; the plan follows at rest."""

    def __init__(self, desk: Desk, choice: CutChoice, preview: CutDrag) -> None:
        super().__init__(choice)
        self._desk, self._choice, self._preview = desk, choice, preview
        choice.wedge.moved.connect(self._follow)

    def _follow(self, params: Mapping[str, Any]) -> None:
        plan, name = self._desk.session.plan, self._choice.edited
        steps = plan.steps if plan is not None else ()
        step = next((s for s in steps if s.output == name and s.stage == WEDGE), None)
        if step is not None:
            self._preview.follow_part(name, live_wedge({**step.params, **params}))
