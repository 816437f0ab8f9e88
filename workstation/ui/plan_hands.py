"""What a hand moves on the Plan page besides the cut: its planes, and parts of the plan."""

from __future__ import annotations

from workstation.ui.cut_drag import CutDrag
from workstation.ui.cut_planes import PlanesTool
from workstation.ui.desk import Desk
from workstation.ui.four_up import FourUp
from workstation.ui.panels.plan_panel import PlanPanel
from workstation.ui.part_handles_tool import PartTool


class PlanHands:
    """The tools of the Plan page whose handles lie in the views."""

    def __init__(self, desk: Desk, views: FourUp, panel: PlanPanel, preview: CutDrag) -> None:
        self.planes = PlanesTool(desk, views, panel.cut_choice, preview)
        self.parts = PartTool(desk, views, panel.part_moves)
