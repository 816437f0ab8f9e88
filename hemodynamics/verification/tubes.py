"""How errors of flow in tubes fall with finer cells, beside what `resolution` promises.

The tubes are those of `hemodynamics.verification.straight`, askew to the cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from hemodynamics import resolution
from hemodynamics.flow import simulate_flow
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import tube
from hemodynamics.verification.straight import (
    AXES,
    FLOW_ML_S,
    LENGTH_MM,
    PERIOD_S,
    POISEUILLE,
    RADIUS_MM,
    VISCOSITY_PA_S,
    WOMERSLEY,
    errors,
)
from segmentation.contract import Progress, share, silent

Kind = Literal["steady", "pulsatile"]

CELLS = (5.0, 8.0, 10.0, 16.0)
"""Cells across the radius."""

SETTLED_PERCENT = 0.1
"""Steady flow is let settle until what is missing does not count."""

LAWS: Mapping[Kind, tuple[float, float]] = {
    "steady": (resolution.STEADY_PERCENT, resolution.STEADY_ORDER),
    "pulsatile": (resolution.PERCENT, resolution.ORDER),
}
"""Error of wall shear (percent) with ten cells to the radius, and order."""

SPREAD = 0.5
"""Of a law: how far an error may lie off it."""

ORDER_SPREAD = 0.4


def convergence(means: Means) -> Iterator[Row]:
    """Yield the errors of wall shear and velocity by fineness, and the order of each."""
    total = len(LAWS) * len(CELLS)
    done = 0
    for kind, (percent, order) in LAWS.items():
        source = POISEUILLE if kind == "steady" else WOMERSLEY
        found = []
        for cells in CELLS:
            found.append(errors_of(kind, cells, share(means.progress, done, total)))
            done += 1
            expected = percent * (10.0 / cells) ** order
            case = f"{kind} flow, tube askew, radius {cells:g} cells"
            yield Row("convergence", case, "wall shear, rms error", found[-1]["shear"], expected,
                      "%", SPREAD * expected, source)  # fmt: skip
            yield Row("convergence", case, "velocity, rms error", found[-1]["velocity"], 0.0, "%",
                      2.0 if cells < CELLS[1] else 1.0, source)  # fmt: skip
        case = f"{kind} flow, tube askew, radius {CELLS[0]:g} to {CELLS[-1]:g} cells"
        value = order_of([errors["shear"] for errors in found])
        yield Row("convergence", case, "wall shear, order", value, order, "", ORDER_SPREAD, source)


def errors_of(kind: Kind, cells: float, progress: Progress = silent) -> dict[str, float]:
    """Return the errors of flow in a tube whose radius has so many cells, see `straight.errors`.

    They are rms in percent of the rms of the exact values.
    """
    axis = AXES["askew"]
    flow = simulate_flow(
        tube(RADIUS_MM, LENGTH_MM, 0.25, axis), kind=kind, mean_flow_ml_s=FLOW_ML_S,
        spacing_mm=RADIUS_MM / cells, viscosity_pa_s=VISCOSITY_PA_S, period_s=PERIOD_S, cycles=2,
        settled_percent=SETTLED_PERCENT, most_exchanges=30.0, progress=progress,
    )  # fmt: skip
    return errors(flow, axis)


def order_of(found: list[float]) -> float:
    """Return the order in which errors (one for each of `CELLS`) fall: a least-squares fit."""
    return -float(np.polyfit(np.log(CELLS), np.log(found), 1)[0])
