"""How far numbers of a flow may be off by its cells: what they changed by from coarser ones.

The error is taken to fall in proportion to the edge of a cell, which is cautious for a method of
second order but is what wall shear of real aneurysms was seen to do (see `SAFETY`), and the
steepest change between any two levels counts: half a band is

    1.25 h max |f - f'| / (h' - h),

the grid convergence index with order one (Roache 1994, doi:10.1115/1.2910291: 1.25 is the factor
for three grids); the steepest in place of an observed order, which three coarse grids do not show
(Eca and Hoekstra 2014, J Comput Phys 262:104). To it comes what a flow that does not come to rest
may still move by.

Five real aneurysms (AN153, AN163-1, AN171, AN186-1, AN190 of IntrA) in 4,000 to 256,000 cells: the
mean shear of the whole wall in two, four or eight times as many cells lay inside the band in all
cases. In percent, of levels 1.26 apart and as many vessels as stand in brackets:

========= =================== ================= =================== =================
cells     band, whole wall    change to double  change to 4 times   patches inside
========= =================== ================= =================== =================
16,000    40 to 75 (4)        8 to 13 (4)       13 to 33 (4)        98 to 99
32,000    37 to 57 (5)        3 to 17 (5)       6 to 11 (3)         99 to 100
64,000    28 to 34 (3)        2 to 4 (3)        5 (1)               100
128,000   21 (1)              1 (1)                                 100
========= =================== ================= =================== =================

Levels 1.59 apart gave bands of 22 to 53 from 32,000 cells on, and held 92 to 100 of 100 patches.
A patch is one of 24 of the wall. With the last change alone 92 to 97 of 100 lay inside, with the
order observed on three levels 84 to 93. Means of the whole wall converge faster than the band
from 60,000 cells on; that is not seen before it has happened.
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
    apart = np.diff(spacings_mm)
    if not (apart > 0).all():
        raise ValueError(f"the spacings {list(spacings_mm)} mm are not from fine to coarse")
    return float(SAFETY * spacings_mm[0] * np.max(np.abs(np.diff(values)) / apart))


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
    spacings = [level.spacing_mm for level in levels]
    slopes = [
        rms(a - b) / (coarse - fine)
        for (a, b), (fine, coarse) in zip(pairwise(shear), pairwise(spacings))
    ]
    return 100.0 * spacings[0] * max(slopes) / size


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
