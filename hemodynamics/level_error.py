"""How far numbers of a flow may be off by its cells: what they changed by from coarser ones.

Half a band is the grid convergence index of three levels (Celik et al., Journal of Fluids
Engineering 130:078001, 2008),

    1.25 |f - f'| / ((h' / h)^p - 1),

with the order p that they show, one at the least and two at the most; but no less than half of what
the steepest change between any two levels comes to with order one, since three coarse grids may
show a high order by chance (Eca and Hoekstra 2014, J Comput Phys 262:104). Where values go up and
down, or there are two levels only, all of that counts. To it comes what a flow that does not come
to rest may still move by.

Five real aneurysms (AN153, AN163-1, AN171, AN186-1, AN190 of IntrA; the first does not come to
rest) in 4,000 to 128,000 cells: the mean shear of the whole wall in two, four or eight times as
many cells lay inside the band in all cases. In percent, of levels 1.26 apart and as many vessels
as stand in brackets; a patch is one of 24 of the wall:

========= =================== ================= ================= ===============
cells     band, whole wall    change to double  change to 4 times patches inside
========= =================== ================= ================= ===============
16,000    29 to 66 (4)        5 to 13 (4)       8 to 28 (4)       96 to 100
32,000    16 to 32, 55 (5)    1 to 13 (5)       2 to 4 (3)        96 to 100
64,000    9 to 13 (3)         1 to 2 (3)                          92 to 100
========= =================== ================= ================= ===============

With the order that is shown alone 88 of 100 patches lay inside, with order one and the steepest
change 98, in bands twice as wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hemodynamics.flow_result import FlowResult
from meshing.comparison import point_areas_mm2
from segmentation.contract import Finding, Number, Severity

Floats = npt.NDArray[np.float64]

SAFETY = 1.25

FLOOR = 0.01
"""Share of a value that its error is at the least: no shear in straight tubes was better known with
ten cells to the radius (see `hemodynamics.resolution`)."""

ORDERS = (1.0, 2.0)
"""What the order of convergence is taken to be at least, and at most."""

CAUTION = 0.5
"""Share of the steepest change, with order one, that an error is at the least."""

WANTED_PERCENT = 5.0
"""The error that cells are told for."""

POOR_PERCENT = 10.0
"""The error above which a reader is warned."""

MOST = {"%": 100.0}
"""What a number of that unit cannot be more than."""

MOST_OSI = 0.5

WHOLE = "wss.mean"
"""The number that is known as well as the mean over the whole wall; others, as that on a patch."""


def comparable(flow: FlowResult) -> list[FlowResult]:
    """Return a flow, and those on coarser cells whose blood and walls were treated alike."""

    def treated(level: FlowResult) -> tuple[object, ...]:
        return level.conditions.get("carry"), level.conditions.get("walls")

    return [level for level in flow.levels() if treated(level) == treated(flow)]


def half_band(values: Sequence[float], spacings_mm: Sequence[float]) -> float:
    """Return how far the first value may be off; one for each level, the finest first.

    Raises:
        ValueError: of fewer than two levels, or where cells do not become coarser.
    """
    if len(values) < 2 or len(values) != len(spacings_mm):
        raise ValueError("an error is told by two levels or more; give a value for each spacing")
    if not (np.diff(spacings_mm) > 0).all():
        raise ValueError(f"the spacings {list(spacings_mm)} mm are not from fine to coarse")
    return SAFETY * _remaining(np.abs(np.diff(values)), spacings_mm, not _sways(values))


def _remaining(changes: Floats, spacings_mm: Sequence[float], falls: bool) -> float:
    """Return what is still to change from the finest level on, without `SAFETY`.

    ``changes`` are those from each level to the next, in size; ``falls`` is whether they go on in
    the same direction.
    """
    steepest = float(spacings_mm[0] * np.max(changes / np.diff(spacings_mm)))
    if len(changes) < 2 or not falls or not (changes[:2] > 0.0).all():
        return steepest
    ratio, before = spacings_mm[1] / spacings_mm[0], spacings_mm[2] / spacings_mm[1]
    order = order_of(float(changes[1] / changes[0]), ratio, before)
    return float(max(changes[0] / (ratio**order - 1.0), CAUTION * steepest))


def order_of(change: float, ratio: float, before: float) -> float:
    """Return the order, within `ORDERS`, at which changes fall by the factor ``change``, above 0.

    ``ratio`` is that of the edges of the two finer levels, ``before`` of the two coarser ones;
    Celik's formula for uneven ones.
    """
    order, (low, high) = 1.0, ORDERS
    for _ in range(50):
        uneven = np.log((ratio**order - 1.0) / (before**order - 1.0))
        order = float(np.clip((np.log(change) + uneven) / np.log(ratio), 0.1, 10.0))
    return float(np.clip(order, low, high))


def banded(
    levels: Sequence[tuple[FlowResult, Iterable[Number]]], fixed: Iterable[str] = ()
) -> tuple[Number, ...]:
    """Return the numbers of the first level with bands, told by those of the others.

    Numbers that other levels do not have, or that are ``fixed``, stay as they are.
    """
    (flow, numbers), *others = levels
    known = [(level, {n.quantity: n.value for n in found}) for level, found in others]
    kept = set(fixed)
    return tuple(
        number if number.quantity in kept else _banded(flow, number, known) for number in numbers
    )


def _banded(
    flow: FlowResult, number: Number, known: Sequence[tuple[FlowResult, dict[str, float]]]
) -> Number:
    there = [(level, found[number.quantity]) for level, found in known if number.quantity in found]
    if not there:
        return number
    values = [number.value, *(value for _, value in there)]
    spacings = [flow.spacing_mm, *(level.spacing_mm for level, _ in there)]
    size = abs(number.value)
    half = max(half_band(values, spacings), FLOOR * size) + _unrest(flow, number) * size
    low, high = number.value - half, number.value + half
    if min(values) >= 0.0:
        low = max(low, 0.0)
        most = MOST_OSI if number.quantity.startswith("osi") else MOST.get(number.unit, np.inf)
        high = min(high, most)
    seen = ", ".join(
        f"{value:.3g} with cells of {spacing:.2g} mm" for value, spacing in zip(values, spacings)
    )
    both = " (they change both ways)" if _sways(values) else ""
    text = f"{number.source}; band: error of the cells, from {seen}{both}"
    return replace(number, source=text, low=float(low), high=float(high))


def _unrest(flow: FlowResult, number: Number) -> float:
    """Return the share by which a number of a flow that does not come to rest may be off."""
    unrest = flow.conditions.get("unrest", {"whole": 0.0, "patch": 0.0})
    return float(unrest["whole" if number.quantity == WHOLE else "patch"])


def _sways(values: Sequence[float]) -> bool:
    """Return whether values go up and down from level to level."""
    changes = np.diff(values)
    return any(a * b < 0 for a, b in pairwise(changes))


def shear_error_percent(levels: Sequence[FlowResult]) -> float:
    """Return the likely error of the wall's shear, rms over the wall in percent of its rms.

    With `SAFETY` it is as cautious as a band.
    """
    weights = point_areas_mm2(levels[0].wall)
    shear = [level.wss_pa.mean(axis=0, dtype=np.float64) for level in levels]

    def rms(vectors: Floats) -> float:
        return float(np.sqrt(np.average((vectors**2).sum(axis=1), weights=weights)))

    size = rms(shear[0])
    if size == 0.0:
        return 0.0
    changes = np.array([rms(fine - coarse) for fine, coarse in pairwise(shear)])
    spacings = [level.spacing_mm for level in levels]
    return 100.0 * _remaining(changes, spacings, True) / size


def error_finding(flow: FlowResult, number: Number, what: str) -> Finding | None:
    """Return what to know of the error of a number of a flow, and what to do; None if it is small.

    ``what`` names the number within a sentence.
    """
    if number.low is None or number.high is None or number.value <= 0.0:
        return None
    half = 100.0 * (number.high - number.value) / number.value
    if half <= WANTED_PERCENT:
        return None
    finer = half / WANTED_PERCENT
    edges = [flow.spacing_mm / finer, flow.spacing_mm / finer**0.5]
    cells = [len(flow.cells_mm) * (flow.spacing_mm / edge) ** 3 for edge in reversed(edges)]
    few, many = (float(f"{count:.2g}") for count in cells)
    text = (
        f"By the cells, {what} of {number.value:.3g} {number.unit} may be off by {half:.2g} "
        "percent, as coarser ones tell."
    )
    remedy = (
        f"Take cells of {flow.spacing_mm / 2:.2g} mm (spacing_mm), 16 times as long, for a smaller "
        f"error; {WANTED_PERCENT:.0f} percent take cells of {edges[0]:.2g} to {edges[1]:.2g} mm, "
        f"some {few:,.0f} to {many:,.0f}, as the error falls with their edge or its square"
    )
    severity = Severity.WARNING if half > POOR_PERCENT else Severity.INFO
    return Finding(severity, "cell_error", text, remedy=remedy)


def unknown_error(flow: FlowResult) -> Finding:
    """Return that nothing tells the error of a flow."""
    return Finding(
        Severity.WARNING, "cell_error_unknown",
        f"How far cells of {flow.spacing_mm:.2g} mm put the values off is not known: the lumen is "
        "too narrow for coarser ones to compare them with.",
        remedy="Take finer cells",
    )  # fmt: skip
