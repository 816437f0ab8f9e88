"""Which published limit speaks of a number of a plan, and whether the number keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workstation.planning.plan import Plan
from workstation.planning.pressure_limits import ALLARD, FAILURE_MMHG
from workstation.planning.resection import R0_MM
from workstation.planning.resection_reserve import (
    BODY_LIMIT_PERCENT,
    ICG_LIMIT,
    LIMITS_PERCENT,
)

REMNANT_SOURCE = "doi:10.1002/jso.25430"
SHARES = ("flr.total", "flr.standard_vauthey", "flr.standard_urata")


@dataclass(frozen=True)
class NumberLimit:
    """A published limit of a number, in the number's unit.

    Attributes:
        value: the limit.
        side: on which side of it the number should be.
        words: of whom it speaks, and its source.
    """

    value: float
    side: Literal["at least", "below"]
    words: str

    def kept(self, record: Mapping[str, Any]) -> Literal["kept", "in doubt", "passed"]:
        """Tell whether a number record keeps the limit; in doubt if only its band passes it."""
        if self._passes(record["value"]):
            return "passed"
        ends = (record["low"], record["high"])
        reached = any(end is not None and self._passes(end) for end in ends)
        return "in doubt" if reached else "kept"

    def _passes(self, value: float) -> bool:
        return value < self.value if self.side == "at least" else value >= self.value


def limits_of(name: str, plan: Plan) -> tuple[NumberLimit, ...]:
    """Return the limits of the number ``name`` of a plan, the one to be met first in front."""
    if name in SHARES:
        states = [step.params.get("background") for step in plan.steps if step.output == "flr"]
        asked = [state for state in states if state in LIMITS_PERCENT] or list(LIMITS_PERCENT)
        known = (LIMITS_PERCENT[state] for state in asked if isinstance(state, str))
        return tuple(
            NumberLimit(limit, "at least", f"{words} ({REMNANT_SOURCE})") for limit, words in known
        )
    limit = SINGLE.get(name)
    return () if limit is None else (limit,)


SINGLE = {
    "margin.minimum": NumberLimit(R0_MM, "at least", "R0, Sadot et al., Ann Surg 2015;262:476"),
    "flr.body_weight": NumberLimit(
        BODY_LIMIT_PERCENT, "at least", "Truant 2007, doi:10.1016/j.jamcollsurg.2006.09.007"
    ),
    "liver_function.icg_k_remnant": NumberLimit(ICG_LIMIT, "at least", "ICG-K of the remnant"),
    "portal_pressure.after": NumberLimit(FAILURE_MMHG, "below", ALLARD),
}
