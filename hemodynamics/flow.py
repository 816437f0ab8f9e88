"""Blood flow in a lumen: the one door to the solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from inspect import signature
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from hemodynamics.domain import WALL_NAME, UnusableLumen
from hemodynamics.flow_levels import Finished, Vessel, Wall, climb
from hemodynamics.flow_result import FlowResult
from hemodynamics.flow_run import Device
from hemodynamics.flow_setup import (
    Accuracy,
    Blood,
    Cost,
    Outlets,
    Wishes,
    conditions_of,
    cost_of,
    require_memory,
    spacings_of,
)
from hemodynamics.flow_summary import findings_of, numbers_of, state_of
from hemodynamics.indices import osi, rrt_1_pa, tawss_pa
from hemodynamics.porous import PorousRegion, require_same_frame, to_record
from hemodynamics.wall_shear import undelayed
from meshing.cell_sizes import point_normals
from meshing.comparison import point_areas_mm2
from meshing.mesh import SurfaceMesh, require_watertight
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.measured import Measured

Floats = npt.NDArray[np.float64]


def simulate_flow(
    lumen: SurfaceMesh,
    porous: PorousRegion | None = None,
    inflow: Measured | None = None,
    *,
    kind: Literal["steady", "pulsatile", "none"] = "steady",
    mean_flow_ml_s: Annotated[float, Gt(0), Le(1000)] | None = None,
    accuracy: Accuracy = "preview",
    target_error_percent: Annotated[float, Ge(0.2), Le(50)] | None = None,
    spacing_mm: Annotated[float, Gt(0), Le(10)] | None = None,
    inlets: str = "inlet",
    outlets: Outlets = "split",
    exponent: Annotated[float, Ge(0), Le(6)] = 3.0,
    waveform: str = "",
    period_s: Annotated[float, Ge(0.2), Le(3)] = 0.9,
    cycles: Annotated[int, Ge(1), Le(20)] = 3,
    frames: Annotated[int, Ge(8), Le(200)] = 20,
    mean_pressure_mmhg: Annotated[float, Gt(0), Le(250)] = 93.0,
    decay_s: Annotated[float, Ge(0.05), Le(10)] = 1.5,
    blood: Blood = "newtonian",
    viscosity_pa_s: Annotated[float, Gt(0), Le(0.1)] = 0.0035,
    settled_percent: Annotated[float, Gt(0), Le(10)] = 0.5,
    most_exchanges: Annotated[float, Ge(1), Le(100)] = 8.0,
    most_hours: Annotated[float, Gt(0), Le(1000)] = 12.0,
    device: Device = "auto",
    progress: Progress = silent,
) -> FlowResult:
    """Compute blood flow in a vessel: velocity, pressure and the shear on its wall.

    The lumen's ends must be capped. Walls are rigid. Flow enters developed, so ends should lie a
    few diameters away from what is looked at.

    Args:
        lumen: the vessel's closed surface with the named parts wall, inlet, outlet_1, ...
        porous: what blood seeps through, such as coils or the mesh of a flow diverter.
        inflow: what tells a flow, such as the reserve of a narrowing; it is the mean flow where
            none is given.
        kind: steady, pulsatile over the heart's cycle, or none.
        mean_flow_ml_s: empty takes that of what tells the inflow, of the waveform, or 0.27 m/s
            times the inlets' area.
        accuracy: into how many cells the lumen is divided: 30,000 to 60,000 for a preview in a
            minute or two, and more where a steady flow takes them to settle; 250,000 for an hour,
            1,500,000 for a night on two cores.
        target_error_percent: how far off wall shear may be, rms, in a straight round vessel as wide
            as the inlet, in place of an accuracy; real ones err more, which the result tells.
        spacing_mm: edge of a cell, in place of either.
        inlets: the names of the ends where blood enters, such as "inlet, inlet_2".
        outlets: what holds at the other ends: a split of the flow by their diameters, a
            resistance, or resistances and a compliance (three-element Windkessel).
        exponent: power of the diameter to split by; 3 is Murray's law, 2 fits large arteries.
        waveform: pairs "time flow" in s and mL/s over one period, parted by semicolons; empty
            takes a smooth pulse that was measured in nobody.
        period_s: of the heart's cycle.
        cycles: how many are computed at the most; the last one is kept.
        frames: how many times of it are kept.
        mean_pressure_mmhg: mean pressure that resistances are chosen for.
        decay_s: the time in which a Windkessel's pressure falls to 37 percent.
        blood: newtonian has one viscosity; carreau thins with shear (Cho and Kensey 1991), which
            matters where it is slow.
        viscosity_pa_s: of newtonian blood.
        settled_percent: a steady flow is over once no outflow, and the mean shear on no patch of
            the wall, is to change by more than this percentage.
        most_exchanges: how often a steady flow may exchange the lumen's content at the most.
        most_hours: a computation that would take longer is refused.
        device: auto takes a CUDA card where there is one, whose last digits differ.
        progress: told how far the work is, and how long it will take.

    Raises:
        FrameMismatch: if lumen and porous region live in different frames.
        OpenSurface, UnusableLumen: if the lumen is open, or its ends are not as they must be.
        UnusableWaveform: if the waveform cannot be read.
        ImplausibleFlow: if no blood flows so fast.
        NoCard: if a CUDA card is asked for and there is none.
        TooCostly: if memory or time do not suffice.
        Diverged: if the flow blew up.
    """
    require_watertight(lumen)
    if porous is not None:
        require_same_frame(porous, lumen)
    if kind == "none":
        return _nothing(lumen)
    wishes = Wishes(
        kind == "pulsatile", mean_flow_ml_s or told_ml_s(inflow), spacing_mm,
        target_error_percent, accuracy, inlets, outlets, exponent,
        waveform, period_s, cycles, frames, mean_pressure_mmhg, decay_s, blood,
        viscosity_pa_s, settled_percent, most_exchanges, most_hours, device,
    )  # fmt: skip
    return _simulate(Vessel(lumen, porous), wishes, progress)


def told_ml_s(inflow: Measured | None) -> float | None:
    """Return the flow (mL/s) that a measurement tells, None where it tells none."""
    numbers = inflow.numbers if inflow is not None else ()
    return next((n.value for n in numbers if n.quantity == "flow" and n.unit == "mL/s"), None)


def cost_before(lumen: SurfaceMesh, params: Mapping[str, Any]) -> Cost | None:
    """Return what `simulate_flow` would take with these parameters; None if it computes nothing.

    Raises:
        UnusableLumen, UnusableVessel, UnusableWaveform: as it would.
    """
    usual = signature(simulate_flow).parameters
    chosen = {name: usual[name].default for name in usual} | dict(params)
    if chosen["kind"] == "none":
        return None
    asked = {f.name: chosen[f.name] for f in fields(Wishes) if f.name in chosen}
    wishes = Wishes(pulsatile=chosen["kind"] == "pulsatile", **asked)
    return cost_of(lumen, spacings_of(lumen, wishes)[-1], wishes)


def _simulate(vessel: Vessel, wishes: Wishes, progress: Progress) -> FlowResult:
    lumen = vessel.lumen
    spacings_mm = spacings_of(lumen, wishes)
    cost = cost_of(lumen, spacings_mm[-1], wishes)
    require_memory(lumen, spacings_mm[-1], wishes)
    progress(0.0, str(cost))
    wall, used = _wall(lumen)
    normals = point_normals(lumen.points_mm, lumen.triangles[lumen.boundaries[WALL_NAME]])[used]
    places = Wall(wall, normals, point_areas_mm2(wall))

    def read(done: Finished) -> FlowResult:
        return _read(vessel, wishes, wall, done)

    done = climb(vessel, wishes, spacings_mm, places, read, progress)
    result = read(done)
    result = replace(result, numbers=(*numbers_of(result, done), *cost.numbers))
    return replace(result, findings=findings_of(result, done))


def _read(vessel: Vessel, wishes: Wishes, wall: SurfaceMesh, done: Finished) -> FlowResult:
    """Return what a run left, without numbers and findings."""
    marched, spacing_mm = done.marched, done.domain.spacing_mm
    samples = marched.samples
    wss = np.stack(samples.wss_pa)
    if wishes.pulsatile:
        period_s, nu_mm2_s = done.driven.waveform.period_s, done.run.scales.nu_mm2_s
        wss = undelayed(wss, period_s, spacing_mm, nu_mm2_s)
    size_pa = tawss_pa(wss) if marched.size_pa is None else marched.size_pa.astype(np.float64)
    data = {
        "tawss_pa": size_pa,
        "osi": osi(wss, size_pa),
        "rrt_1_pa": rrt_1_pa(wss),
        "wss_pa": wss.mean(axis=0, dtype=np.float64),
    }
    return FlowResult(
        replace(wall, point_data=data),
        done.domain.cells_mm,
        spacing_mm,
        np.array(samples.times_s),
        np.stack(samples.velocity_m_s),
        np.stack(samples.pressure_pa),
        wss,
        _columns(samples.flows_ml_s),
        _columns(samples.pressures_pa),
        np.array(marched.changes),
        conditions_of(done.driven, wishes) | _obstacle(vessel.porous) | state_of(done),
        vessel.lumen.frame_uid,
        vessel.lumen.name,
        coarser=done.coarser,
    )


def _obstacle(porous: PorousRegion | None) -> dict[str, Any]:
    """Return what is in the way of a flow as plain JSON."""
    return {} if porous is None else {"porous": to_record(porous)}


def _columns(rows: list[dict[str, float]]) -> dict[str, Floats]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _wall(lumen: SurfaceMesh) -> tuple[SurfaceMesh, npt.NDArray[np.int64]]:
    """Return the wall of a lumen, and the numbers of its points there.

    Raises:
        UnusableLumen: if no part of it is called the wall.
    """
    if not len(lumen.boundaries.get(WALL_NAME, ())):
        raise UnusableLumen("no part of the lumen is called wall; cap its ends first")
    triangles = lumen.triangles[lumen.boundaries[WALL_NAME]]
    used, numbered = np.unique(triangles, return_inverse=True)
    wall = lumen.reshaped(lumen.points_mm[used], numbered.reshape(-1, 3))
    return replace(wall, findings=(), numbers=()), used


def _nothing(lumen: SurfaceMesh) -> FlowResult:
    """Return a result without a time, for a plan that leaves the flow out."""
    wall, used = _wall(lumen)
    nothing: Mapping[str, Floats] = {}
    return FlowResult(
        wall,
        np.empty((0, 3)),
        1.0,
        np.empty(0),
        np.empty((0, 0, 3), np.float32),
        np.empty((0, 0), np.float32),
        np.empty((0, len(used), 3), np.float32),
        nothing,
        nothing,
        np.empty(0),
        {"kind": "none"},
        lumen.frame_uid,
        lumen.name,
        findings=(Finding(Severity.INFO, "no_flow", "The flow was not simulated, as asked for."),),
    )
