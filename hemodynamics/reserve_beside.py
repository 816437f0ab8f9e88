"""The flow reserve of a computed 3D flow beside that of a narrowing's measures. mmHg, mL/s, mm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from hemodynamics.boundary import PA_PER_MMHG
from hemodynamics.branch_flow import section_rows
from hemodynamics.flow_reserve import RATIO, RESERVE, narrowing_of, reserve_band, solved
from hemodynamics.flow_result import FlowResult
from hemodynamics.narrowing_drawn import drawn
from meshing.centerline import Centerline
from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.measured import Measured

Floats = npt.NDArray[np.float64]

APART_PERCENT = 10.0
"""By more than this a flow of another size tells less of that which is asked for."""

FEW_ACROSS = 10.0
"""Cells across the narrowing; with fewer the loss of pressure is one of the cells too."""

RECOVERED = 2.0
"""Diameters beyond the narrowing at which its jet is looked at as over, at the least."""


def reserve_beside(
    flow: FlowResult,
    centerline: Centerline,
    narrowing: Measured,
    *,
    viscosity_pa_s: Annotated[float, Gt(0), Le(0.1)] = 0.0035,
    diameter_doubt_mm: Annotated[float, Ge(0), Le(2)] = 0.15,
    flow_doubt_percent: Annotated[float, Ge(0), Le(90)] = 25.0,
    progress: Progress = silent,
) -> Measured:
    """Tell the flow reserve that a computed 3D flow leads to, beside that of the measures.

    The pressure that the 3D flow loses along the branch is divided by what the law of the
    measures loses there at the same flow; by this the law's losses are multiplied, and the flow
    through narrowing and bed is solved again. A narrowing without a reserve gets none. Samples
    hold the pressures along the branch.

    Args:
        flow: The computed flow through the vessel.
        centerline: The branches of the vessel, as the narrowing was measured on them.
        narrowing: The flow reserve from its measures.
        viscosity_pa_s: Dynamic viscosity of the blood.
        diameter_doubt_mm: How far the narrowest diameter may be off.
        flow_doubt_percent: How far the flow may be off.

    Raises:
        ValueError: if the flow has too few sections about the narrowing, or loses no pressure
            along its branch.
        FrameMismatch: if flow and centerline live in different frames.
    """
    size = {number.quantity: number.value for number in narrowing.numbers}
    name = next((n for n in (RESERVE, RATIO) if n in size), "")
    if not name:
        text = "The narrowing has no flow reserve from its measures, so the 3D flow has none"
        remedy = "Enter the aortic pressure and the flow without the narrowing"
        none = Finding(Severity.INFO, "no_reserve_beside", text, remedy=remedy)
        return drawn(centerline, size, {}, (), (none,))
    at_mm, pressure_pa, carried = _along_branch(
        flow, centerline, str(int(size["branch"])), share(progress, 0, 2)
    )
    found = narrowing_of(centerline, size, size["flow_without"])
    lost = found.lost_mmhg(carried, viscosity_pa_s)
    law = float(np.diff(np.interp(at_mm[[0, -1]], found.along_mm, lost))[0])
    drop = float(pressure_pa[0] - pressure_pa[-1]) / PA_PER_MMHG
    if carried <= 0:
        raise ValueError(
            "the computed flow runs against the branch: flow and centerline begin at different "
            "ends; name the same inlet for both (names of the lumen, inlet_mm of the centerline)"
        )
    if not (law > 0 and drop > 0):
        raise ValueError("the computed flow loses no pressure along the branch; look at the flow")
    times = drop / law
    aortic = size["aortic_pressure"]
    pressures = (aortic, size["venous_pressure"])
    value, through = solved(found, *pressures, viscosity_pa_s, times=times)
    progress(0.7, "the band")
    low, high = reserve_band(
        found, pressures, viscosity_pa_s, diameter_doubt_mm, flow_doubt_percent, times
    )
    source = (
        f"3D flow of {carried:.3g} mL/s in the branch, which loses {times:.2f} times what the law "
        f"of the measures does; at {through:.3g} mL/s; band: diameters ± {diameter_doubt_mm:g} "
        f"mm and flow ± {flow_doubt_percent:g} % by that law; the error of the cells is not in it"
    )
    numbers = (
        Number(name, value, "", source, min(low, value), max(high, value)),
        Number("of_measures", size[name], "", "the same from the measures of the narrowing"),
        Number("drop_3d", drop, "mmHg", f"between the first and last section, {carried:.3g} mL/s"),
        Number("drop_of_law", law, "mmHg", "by the law of the measures, there and at that flow"),
        Number("drop_ratio", times, "", "drop of the 3D flow by that of the law"),
        Number("flow", carried, "mL/s", "of the 3D flow in the branch, mean of its sections"),
    )
    columns = {
        "pressure_mmhg": aortic - times * found.lost_mmhg(through, viscosity_pa_s),
        "pressure_of_measures_mmhg": aortic - lost,
        "pressure_3d_mmhg": aortic - _lost_3d(at_mm, pressure_pa, found.along_mm, lost),
    }
    end = float(size["position"]) + found.length_mm / 2
    notes = [*_notes(carried, through, end, float(at_mm[-1]), found.normal_mm)]
    notes += _coarse(found.least_mm, flow.spacing_mm)
    progress(1.0)
    return drawn(centerline, size, columns, numbers, tuple(notes))


def _along_branch(
    flow: FlowResult, centerline: Centerline, branch: str, progress: Progress
) -> tuple[Floats, Floats, float]:
    """Return places (mm) and mean pressures (Pa) of the sections of a branch, and its flow."""
    rows = [r for r in section_rows(flow, centerline, progress) if r["branch"] == branch]
    if len(rows) < 3:
        raise ValueError(
            f"the 3D flow has {len(rows)} sections on branch {branch}; at least 3 are needed; "
            "give a longer piece of the vessel"
        )
    places, pressures, flows = (
        np.array([float(row[name]) for row in rows])
        for name in ("position_mm", "pressure_mean_pa", "flow_mean_ml_s")
    )
    return places, pressures, float(flows.mean())


def _lost_3d(at_mm: Floats, pressure_pa: Floats, along_mm: Floats, lost: Floats) -> Floats:
    """Return the pressure lost by the 3D flow at each place, as the law has it at the first."""
    start = float(np.interp(at_mm[0], along_mm, lost))
    fallen = start + (pressure_pa[0] - pressure_pa) / PA_PER_MMHG
    return np.asarray(np.interp(along_mm, at_mm, fallen))


def _notes(
    carried: float, through: float, end_mm: float, last_mm: float, normal_mm: float
) -> Iterator[Finding]:
    if abs(carried / through - 1) > APART_PERCENT / 100:
        text = (
            f"The 3D flow of {carried:.3g} mL/s in the branch is not the {through:.3g} mL/s that "
            "narrowing and bed let through; its loss was carried over to that flow"
        )
        remedy = "Set the flow's mean_flow_ml_s so that the branch carries it"
        yield Finding(Severity.WARNING, "flow_apart", text, remedy=remedy)
    if last_mm < end_mm + RECOVERED * normal_mm:
        text = "The vessel ends before the jet behind the narrowing is over: less pressure is lost"
        yield Finding(Severity.WARNING, "jet_not_over", text, remedy="Give a longer vessel")


def _coarse(least_mm: float, spacing_mm: float) -> Iterator[Finding]:
    across = least_mm / spacing_mm
    if across < FEW_ACROSS:
        text = (
            f"Only {across:.1f} cells lie across the narrowing: the pressure that the 3D flow "
            "loses may be off by half"
        )
        remedy = f"Take cells of {least_mm / FEW_ACROSS:.2g} mm or less (spacing_mm of the flow)"
        yield Finding(Severity.WARNING, "coarse_throat", text, remedy=remedy)
