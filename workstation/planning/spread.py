"""How far a result's numbers move when what it was computed from is not known exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.stats import qmc

from hemodynamics.flow_result import FlowResult
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent

SEED = 20_261
FEWEST = 3
"""Members that must succeed for a band."""


class Variants(Protocol):
    """Makes the numbers of a result under other parameters."""

    def __call__(
        self, settings: Sequence[Mapping[str, float]], progress: Progress = silent
    ) -> Sequence[Measurements | str]:
        """Return the numbers, or why there are none, under each setting of STEP.PARAM to value."""


def spread(
    result: Measurements | FlowResult,
    *,
    vary: tuple[tuple[str, float, float], ...],
    members: Annotated[int, Ge(FEWEST), Le(200)] = 8,
    variants: Variants,
    progress: Progress = silent,
) -> Measurements:
    """Repeat a result under other inputs, and give its numbers bands.

    Every member draws each varied parameter from its range, evenly, by a Latin hypercube (McKay
    1979, Technometrics 21:239). A number's band goes from the smallest to the largest value that
    the result and its members have. What the model itself leaves out is in no band.

    Args:
        result: what is in doubt; the steps that made it are run again.
        vary: lists of STEP.PARAM, lowest and highest value, such as ["flow.mean_flow_ml_s", 3, 5].
        members: how often the work is repeated; the cost is this many times the result's own.
        variants: makes the numbers under other parameters; the plan gives it.
        progress: told how far the work is.

    Raises:
        ValueError: for an empty or upside-down range, or if fewer than three members succeed.
        PlanError: for a parameter that no step before the result has.
    """
    if not vary:
        raise ValueError("nothing varies; name a parameter and its range")
    for name, low, high in vary:
        if not low < high:
            raise ValueError(f"the range of {name} must ascend, not go from {low:g} to {high:g}")
    drawn = _drawn(vary, members)
    outcomes = variants(drawn, progress)
    found = [o for o in outcomes if isinstance(o, Measurements)]
    failures = [o for o in outcomes if isinstance(o, str)]
    if len(found) < FEWEST:
        raise ValueError(
            f"{len(failures)} of {members} members failed, the first because {failures[0]}"
        )
    ranges = ", ".join(f"{name} within {low:.4g} to {high:.4g}" for name, low, high in vary)
    how = f"band: smallest and largest of the result and {len(found)} members with {ranges}"
    notes = [f"{len(failures)} of {members} members failed: {failures[0]}"] if failures else []
    findings = tuple(Finding(Severity.WARNING, "members_failed", note) for note in notes)
    return Measurements(_banded(result.numbers, found, how), findings)


def _drawn(vary: Sequence[tuple[str, float, float]], members: int) -> list[dict[str, float]]:
    low, high = np.array([[low, high] for _, low, high in vary]).T
    unit: npt.NDArray[np.float64] = qmc.LatinHypercube(len(vary), rng=SEED).random(members)
    names = [name for name, _, _ in vary]
    return [dict(zip(names, map(float, row))) for row in low + unit * (high - low)]


def _banded(
    numbers: Sequence[Number], members: Sequence[Measurements], how: str
) -> tuple[Number, ...]:
    """Return the numbers that moved, with bands; those that every member has."""
    values = [{number.quantity: number.value for number in member.numbers} for member in members]
    banded = []
    for number in numbers:
        if not all(number.quantity in value for value in values):
            continue
        all_values = [number.value, *(value[number.quantity] for value in values)]
        low, high = min(all_values), max(all_values)
        if low < high:
            banded.append(_wider(number, low, high, how))
    return tuple(banded)


def _wider(number: Number, low: float, high: float, how: str) -> Number:
    """Return a number with a band to which that of its own is added, where it has one."""
    if number.low is None or number.high is None:
        return replace(number, low=low, high=high, source=f"{number.source}; {how}")
    below, above = number.low - number.value, number.high - number.value
    least = 0.0 if number.low >= 0.0 else -inf
    source = f"{number.source}; {how}; to it comes the result's own, {below:+.3g} to {above:+.3g}"
    return replace(number, low=max(low + below, least), high=high + above, source=source)
