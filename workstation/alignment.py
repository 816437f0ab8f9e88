"""The steps that bring a second image of a case onto the first, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workstation.planning.plan import Plan, Step
from workstation.stages import STAGES, check_plan

REGISTER, MOVE = "segmentation.register", "segmentation.move_volume"

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Alignment:
    """The image ``moving`` brought onto ``fixed``; both are names of sources."""

    fixed: str
    moving: str

    @property
    def transform(self) -> str:
        """The name of the step that finds how they lie to each other."""
        return f"{_plain(self.moving)}_alignment"

    @property
    def moved(self) -> str:
        """The name of the second image on the grid of the first."""
        return f"{_plain(self.moving)}_aligned"

    def is_in(self, plan: Plan) -> bool:
        """Tell whether ``plan`` has the steps."""
        return {self.transform, self.moved} <= {step.output for step in plan.steps}

    def landmarks(self, plan: Plan) -> tuple[list[Point], list[Point]]:
        """Return the points marked in the first and in the second image, LPS mm."""
        params = plan.step(self.transform).params if self.is_in(plan) else {}
        return list(params.get("fixed_mm", ())), list(params.get("moving_mm", ()))

    def added_to(
        self, plan: Plan, kind: str, fixed_mm: Sequence[Point], moving_mm: Sequence[Point]
    ) -> Plan:
        """Return ``plan`` with the steps, or with these settings if it has them.

        ``plan`` must have both sources. Points are pairs, LPS mm, each in its own image.

        Raises:
            PlanError, StageError: if the steps do not fit.
        """
        params: dict[str, Any] = {"kind": kind}
        if fixed_mm:
            params |= {"fixed_mm": tuple(fixed_mm), "moving_mm": tuple(moving_mm)}
        inputs = {"fixed": self.fixed, "moving": self.moving}
        find = Step(REGISTER, self.transform, STAGES[REGISTER].version, inputs, params)
        inputs = {"moving": self.moving, "transform": self.transform, "fixed": self.fixed}
        move = Step(MOVE, self.moved, STAGES[MOVE].version, inputs)
        plan = plan.with_step(find) if self.is_in(plan) else plan.added(find).added(move)
        check_plan(plan)
        return plan


def _plain(name: str) -> str:
    """Return the name of a source as a result may be called."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower())
    return plain if plain[:1].isalpha() else f"image_{plain}"
