"""The numbers of a flow and what its reader must know."""

from __future__ import annotations

from typing import Any

import numpy as np

from hemodynamics.flow_levels import Finished
from hemodynamics.flow_result import FlowResult
from hemodynamics.flow_settled import IMBALANCE, PATCHES, imbalance
from hemodynamics.flow_setup import BYTES_PER_CELL, CALM, fastest_mm_s, mean_speed_mm_s
from hemodynamics.level_error import (
    banded,
    comparable,
    error_finding,
    shear_error_percent,
    unknown_error,
)
from hemodynamics.resolution import discretisation_error, expected_error_percent
from meshing.cell_sizes import edges_of
from meshing.comparison import point_areas_mm2
from segmentation.contract import Finding, Number, Severity

CYCLE_CHANGE = 0.01
"""Change from cycle to cycle above which another cycle is needed."""

FEW_ACROSS = 10.0
"""Cells across an opening for shear to be trusted."""

TURBULENT = 2300.0
"""Reynolds number above which flow in a straight pipe is turbulent."""

MEANS = "how far, with 95 % confidence, mean shear over the later half of the computation"

METHOD = "lattice Boltzmann, cumulant collision, D3Q27"


def state_of(done: Finished) -> dict[str, Any]:
    """Return what of a run's end tells how far its values can be trusted, as plain JSON."""
    found: dict[str, Any] = {}
    sway, averages = done.marched.sway, done.marched.averages
    if done.carry < 1.0:
        found["carry"] = done.carry
    if done.walls < 1.0:
        found["walls"] = done.walls
    if sway is not None:
        found["unrest"] = {"whole": sway.whole_doubt, "patch": sway.doubt}
    elif averages is not None and done.marched.changes[-1] > CYCLE_CHANGE:
        found["unrest"] = {"whole": averages.whole, "patch": averages.patch}
    return found


def numbers_of(flow: FlowResult, done: Finished) -> tuple[Number, ...]:
    """Return the numbers of a flow, with bands where coarser cells tell them."""
    inlet = done.run.inlets[0].opening
    levels = [(level, _measured(level, inlet.name)) for level in comparable(flow)]
    flows_ml_s, nu = done.marched.flows_ml_s, done.run.scales.nu_mm2_s
    mean_speed = 1e3 * flows_ml_s[inlet.name] / inlet.area_mm2  # mm/s
    driven = [
        Number("reynolds", mean_speed * inlet.diameter_mm / nu, "",
               f"mean flow, by the diameter of {inlet.name}")
    ]  # fmt: skip
    if flow.conditions["kind"] == "pulsatile":
        omega = 2 * np.pi / flow.conditions["period_s"]
        alpha = 0.5 * inlet.diameter_mm * np.sqrt(omega / nu)
        driven.append(Number("womersley", float(alpha), "", f"by the radius of {inlet.name}"))
    for name, mean in flows_ml_s.items():
        driven.append(Number(f"{name}.flow", mean, "mL/s", "mean, into the lumen positive"))
    return (*banded(levels), *driven, *_of_the_run(flow, done))


def _measured(flow: FlowResult, inlet: str) -> list[Number]:
    """Return the numbers that cells put off."""
    areas = point_areas_mm2(flow.wall)
    shear = flow.wall.point_data["tawss_pa"]
    speed = np.linalg.norm(flow.velocity_m_s, axis=2)
    numbers = [
        Number("wss.mean", float(np.average(shear, weights=areas)), "Pa",
               "time-averaged wall shear stress, mean over the wall's area"),
        Number("wss.maximum", float(shear.max()), "Pa", "time-averaged wall shear stress"),
        Number("speed.maximum", float(speed.max()), "m/s", "over all cells and times"),
    ]  # fmt: skip
    if flow.conditions["kind"] == "pulsatile":
        mean_osi = float(np.average(flow.wall.point_data["osi"], weights=areas))
        text = "oscillatory shear index, mean over the wall's area"
        numbers.append(Number("osi.mean", mean_osi, "", text))
    entry = float(flow.opening_pressures_pa[inlet].mean())
    for name, pressures in flow.opening_pressures_pa.items():
        if name != inlet:
            text = f"mean pressure at {inlet} less that at {name}"
            drop = entry - float(pressures.mean())
            numbers.append(Number(f"{name}.pressure_drop", drop, "Pa", text))
    return numbers


def _of_the_run(flow: FlowResult, done: Finished) -> list[Number]:
    domain, run, flows_ml_s = done.domain, done.run, done.marched.flows_ml_s
    sway = done.marched.sway
    across = min(opening.diameter_mm for opening in domain.openings) / domain.spacing_mm
    numbers = [
        Number("cells", len(domain.cells_mm), "", METHOD),
        Number("cells_across", across, "", "narrowest opening by the edge of a cell"),
        Number("steps", run.lattice.steps, "", f"of {1e6 * run.scales.step_s:.3g} us"),
        Number("imbalance", 100 * imbalance(flows_ml_s), "%", "flow in less flow out"),
    ]
    levels = comparable(flow)
    if len(levels) > 1:
        least = 0.5 * run.inlets[0].opening.diameter_mm
        numbers.append(discretisation_error(shear_error_percent(levels), least, domain.spacing_mm))
    if len(flow.residuals):
        text = "largest change still to come of outflow, or of the mean shear on a patch of wall"
        if flow.conditions["kind"] == "pulsatile":
            text = "change of wall shear, at all moments, and outflow in the last cycle"
        last = float(flow.residuals[-1])
        if sway is not None:
            last, text = sway.doubt, f"{MEANS} on a patch of wall may lie off that of a longer time"
        numbers.append(Number("change", 100 * last, "%", text))
    averages = done.marched.averages
    if averages is not None:
        text = "change of time-averaged wall shear in the last cycle"
        numbers += [
            Number("wss.cycle_change", 100 * averages.whole, "%", f"{text}, mean over the wall"),
            Number("wss.patch_cycle_change", 100 * averages.patch, "%",
                   f"{text}, on the least steady of {PATCHES} patches of wall"),
        ]  # fmt: skip
    if sway is not None:
        text = "rms over time: the flow does not come to rest"
        numbers += [
            Number("wss.swing", 100 * sway.whole, "%", f"of the wall's mean shear, {text}"),
            Number("wss.patch_swing", 100 * sway.patch, "%",
                   f"of mean shear on the least steady of {PATCHES} patches of wall, {text}"),
        ]  # fmt: skip
    return numbers


def findings_of(flow: FlowResult, done: Finished) -> tuple[Finding, ...]:
    """Return what a reader of a flow must know."""
    domain, flows_ml_s = done.domain, done.marched.flows_ml_s
    found = []
    if flow.conditions["mean_flow"] == "by area":
        found.append(Finding(
            Severity.INFO, "flow_by_area",
            f"The mean flow of {flow.conditions['mean_flow_ml_s']:.2f} mL/s was not measured: it "
            "is 0.27 m/s times the area of the inlets.",
        ))  # fmt: skip
    if flow.conditions.get("waveform", "").startswith("analytic"):
        found.append(Finding(
            Severity.INFO, "assumed_waveform",
            "The course of the flow over the cycle is a smooth pulse that was measured in nobody.",
            remedy="Give the waveform as pairs of time and flow",
        ))  # fmt: skip
    found += _convergence(flow, done, flows_ml_s)
    found += _of_cells(flow)
    found += _turbulence(done)
    if done.carry < 1.0:
        found.append(Finding(
            Severity.INFO, "worn_layers",
            "The flow was stable only with cells that wear layers of fast flow off sooner; with "
            "few cells wall shear comes out some percent lower.",
            remedy="Take finer cells",
        ))  # fmt: skip
    if done.walls < 1.0:
        found.append(Finding(
            Severity.WARNING, "rough_walls",
            "The flow was stable only with walls that follow the cells; wall shear is too low, "
            "by a quarter or more.",
            remedy="Take finer cells",
        ))  # fmt: skip
    narrow = min(domain.openings, key=lambda opening: opening.diameter_mm)
    across = narrow.diameter_mm / domain.spacing_mm
    if across < FEW_ACROSS:
        error = expected_error_percent(0.5 * narrow.diameter_mm, domain.spacing_mm)
        found.append(Finding(
            Severity.WARNING, "coarse_cells",
            f"Only {across:.1f} cells lie across {narrow.name}; even in a straight tube so few put "
            f"wall shear off by {error:.0f} percent.",
            remedy=f"Take cells of {narrow.diameter_mm / FEW_ACROSS:.2g} mm or less",
        ))  # fmt: skip
    points, edges = flow.wall.points_mm, edges_of(flow.wall.triangles)
    long = float(np.median(np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)))
    if long > 3 * domain.spacing_mm:
        found.append(Finding(
            Severity.WARNING, "coarse_wall",
            f"The points of the wall lie {long:.2g} mm apart, coarser than the flow that was "
            "computed; shear between them is not shown.",
            remedy="Remesh the lumen with shorter edges",
        ))  # fmt: skip
    if domain.dropped:
        found.append(Finding(
            Severity.WARNING, "cells_dropped",
            f"{domain.dropped} cells that no opening leads to were left out.",
        ))  # fmt: skip
    return tuple(found)


def _of_cells(flow: FlowResult) -> list[Finding]:
    """Return what is known of the error of the mean shear, if it is not small."""
    if len(comparable(flow)) == 1:
        return [unknown_error(flow)]
    mean = next(number for number in flow.numbers if number.quantity == "wss.mean")
    told = error_finding(flow, mean, "the wall's mean shear")
    return [] if told is None else [told]


def _turbulence(done: Finished) -> list[Finding]:
    shares = {**done.driven.shares_in, **done.driven.shares_out}
    most = [
        (
            mean_speed_mm_s(done.driven, shares[o.name], o)
            * o.diameter_mm
            / done.run.scales.nu_mm2_s,
            o,
        )
        for o in done.domain.openings
    ]
    reynolds, opening = max(most, key=lambda pair: pair[0])
    if reynolds <= TURBULENT:
        return []
    return [Finding(
        Severity.WARNING, "turbulent",
        f"The Reynolds number at {opening.name} reaches {reynolds:,.0f}; flow there may be "
        "turbulent, which cells of this size do not resolve.",
        remedy="Trust mean pressures rather than wall shear, or give less flow",
    )]  # fmt: skip


def _bar(flow: FlowResult) -> float:
    """Return the share by which a flow may still change."""
    return 0.01 * float(flow.conditions.get("settled_percent", 100 * CYCLE_CHANGE))


def _unsettled(flow: FlowResult, done: Finished, last: float) -> Finding:
    """Return what a steady flow that did not come to rest means, and what to do."""
    text = (
        f"The flow has not settled: shear on some patch of wall still moves by {100 * last:.2g} %."
    )
    sway = done.marched.sway
    if sway is not None:
        text = (
            "The flow does not come to rest although the inflow is constant: as computed here, a "
            "jet sways in the vessel. The values are means over the later half of the computation, "
            "and speeds are those of the mean velocity. "
            f"About them shear swings by {100 * sway.whole:.2g} % over the whole wall and by "
            f"{100 * sway.patch:.2g} % on its least steady patch (rms); over a longer time they "
            f"may come out up to {100 * sway.whole_doubt:.2g} % and {100 * sway.doubt:.2g} % "
            "different."
        )
    spacing = done.domain.spacing_mm
    calm = spacing * min(CALM / _cell_reynolds(done), 1.0)
    remedy = "Allow more exchanges; if that does not help, compute it as pulsatile"
    if sway is not None:
        remedy = "Compute it as pulsatile, or take the means"
    if calm < spacing:
        cells = len(done.domain.cells_mm) * (spacing / calm) ** 3
        remedy += (
            f"; cells of {calm:.2g} mm show whether coarse ones stir it, as happens to fast flows: "
            f"about {cells:,.0f} cells, {cells * BYTES_PER_CELL / 2**30:.2g} GiB and "
            f"{(spacing / calm) ** 4:.2g} times as long"
        )
    return Finding(Severity.WARNING, "not_settled", text, remedy=remedy)


def _cell_reynolds(done: Finished) -> float:
    """Return the largest mean speed at an opening times a cell's edge, by the viscosity."""
    fastest = fastest_mm_s(done.domain.openings, done.driven)
    return float(fastest * done.domain.spacing_mm / done.run.scales.nu_mm2_s)


def _convergence(flow: FlowResult, done: Finished, flows_ml_s: dict[str, float]) -> list[Finding]:
    found = []
    pulsatile = flow.conditions["kind"] == "pulsatile"
    last = float(flow.residuals[-1]) if len(flow.residuals) else None
    if pulsatile and last is None:
        found.append(Finding(
            Severity.WARNING, "one_cycle", "Only one cycle was computed; it holds the start-up.",
            remedy="Compute three cycles or more",
        ))  # fmt: skip
    elif pulsatile and last is not None and last > _bar(flow):
        averages = done.marched.averages
        assert averages is not None
        text = (
            f"The flow still changed by {100 * last:.2g} percent from cycle to cycle, moment by "
            f"moment; wall shear averaged over the cycle by {100 * averages.whole:.2g} percent "
            f"over the whole wall, {100 * averages.patch:.2g} on its least steady patch."
        )
        remedy = (
            "Compute more cycles; where that does not help a jet sways: take averages over the "
            "cycle, whose bands hold their change, and see in finer cells whether it goes on"
        )
        found.append(Finding(Severity.WARNING, "not_settled", text, remedy=remedy))
    elif last is not None and last > _bar(flow):
        found.append(_unsettled(flow, done, last))
    missing = imbalance(flows_ml_s)
    if missing > IMBALANCE:
        found.append(Finding(
            Severity.WARNING, "imbalance",
            f"{100 * missing:.2g} percent of the flow that enters does not leave.",
            remedy="Let the computation run longer, or take finer cells",
        ))  # fmt: skip
    return found
