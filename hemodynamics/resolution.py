"""How fine cells must be for a wanted error of wall shear, and the error of given cells.

Measured by `hemodynamics.verification.tubes` with `simulate_flow` in a round tube askew to the
cells (2 mm radius, 1 mL/s, a pulse of 0.5 s: Womersley number 3.9), as rms of the error by the
rms of the exact values, over the middle half of the tube, in percent:

====================== ==== ==== ==== ====  =====
cells to the radius       5    8   10   16  order
====================== ==== ==== ==== ====  =====
pulsatile, wall shear  3.98 1.23 1.08 0.59    1.6
steady, wall shear     1.87 0.82 0.83 0.52    1.1
pulsatile, velocity    1.72 0.60 0.43 0.29    1.5
steady, velocity       1.32 0.51 0.41 0.36    1.1
====================== ==== ==== ==== ====  =====

The law is the least-squares fit of the first row, which lies within 25 percent of it. At three
times the flow and a pulse of 0.9 s, where steps are short (a relaxation time of 0.506), ten cells
gave 1.66, most of it scatter from point to point. The band goes from the fit of the steady row to
twice the law. Bends, necks and what is uncertain in the lumen itself are not in it.
"""

from __future__ import annotations

from hemodynamics.level_error import SAFETY
from segmentation.contract import Number

PERCENT, ORDER = 1.11, 1.60
"""Error of wall shear in pulsatile flow with ten cells to the radius, and its order."""

STEADY_PERCENT, STEADY_ORDER = 0.80, 1.07
"""The same in steady flow, which is the least that can be hoped for."""

BEYOND = 2.0
"""The band's upper end, by the law: no vessel is a straight tube."""

LEAST_CELLS = 5.0
"""Cells to a radius below which nothing was measured."""


def expected_error_percent(radius_mm: float, spacing_mm: float) -> float:
    """Return the error of wall shear, rms in percent, in a vessel of that radius.

    Raises:
        ValueError: if radius or spacing are not positive.
    """
    return float(PERCENT * (10.0 / _cells(radius_mm, spacing_mm)) ** ORDER)


def spacing_for(radius_mm: float, target_percent: float) -> float:
    """Return the edge of a cell in mm by which wall shear errs so much in a vessel of that radius.

    It is never coarser than `LEAST_CELLS` to the radius.

    Raises:
        ValueError: if radius or target are not positive.
    """
    if not radius_mm > 0:
        raise ValueError(f"a radius of {radius_mm:g} mm is impossible; it must be positive")
    if not target_percent > 0:
        raise ValueError(f"an error of {target_percent:g} percent cannot be reached; ask for more")
    cells = float(max(10.0 * (PERCENT / target_percent) ** (1.0 / ORDER), LEAST_CELLS))
    return radius_mm / cells


def discretisation_error(percent: float, radius_mm: float, spacing_mm: float) -> Number:
    """Return the error of wall shear that coarser cells tell, as a number with its band.

    It is never less than that of steady flow in a straight tube as wide as the inlet.
    """
    least = STEADY_PERCENT * (10.0 / _cells(radius_mm, spacing_mm)) ** STEADY_ORDER
    return Number(
        "wss.discretisation_error", max(percent, least), "%",
        "rms over the wall, by what wall shear changed by from coarser cells; the "
        f"band begins with steady flow in a straight tube of a radius of {radius_mm:.3g} mm",
        least, max(SAFETY * percent, least),
    )  # fmt: skip


def _cells(radius_mm: float, spacing_mm: float) -> float:
    if not (radius_mm > 0 and spacing_mm > 0):
        raise ValueError(
            f"a radius of {radius_mm:g} mm and cells of {spacing_mm:g} mm are impossible; both "
            "must be positive"
        )
    return radius_mm / spacing_mm
