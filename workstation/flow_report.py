"""The pages of a report about a flow: what drove it, its maps, its lines and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer, Table

from hemodynamics.flow_result import FlowResult
from hemodynamics.network import QUANTITIES, Courses
from meshing.aneurysm_neck import Neck
from workstation.camera import SIDES, Camera, Side
from workstation.figures import figures_of
from workstation.flow_pictures import FlowLook, flow_views, parent_shear_pa, peak
from workstation.planning.plan import Plan
from workstation.report_curves import curves
from workstation.report_layout import (
    Picture,
    number_rows,
    number_title,
    readable,
    table,
    text,
)

MAP_PX = (900, 640)
WIDTHS = (52, 30, 46, 50)
DOME_STAGE = "hemodynamics.dome_flow"
FIRST = ("wss.dome_normalised", "wss.low_area", "osi.dome_mean", "inflow.concentration")
"""Numbers of a dome that depend least on what was assumed; they stand first."""

ABOUT = 2.0  # neck widths about an aneurysm that its pictures show
MOST_CURVES = 6
OPPOSITE: Mapping[Side, Side] = {"A": "P", "P": "A", "L": "R", "R": "L", "S": "I", "I": "S"}
SHORT_OF = (
    "A number whose uncertainty is not known was computed once: its inflow, the split among the "
    "outlets and the outline of the lumen may be otherwise. Bands come from repeats (Flow, "
    "Bands; hilum doubt)."
)
CONDITIONS = {
    "kind": "kind",
    "mean_flow_ml_s": "mean flow (mL/s)",
    "mean_flow": "mean flow is",
    "inflow_profile": "inflow profile",
    "inflow_shares": "share of the inflow",
    "outlets": "outlets by",
    "outflow_shares": "share of the outflow",
    "exponent": "power of the diameter",
    "mean_pressure_mmhg": "mean pressure (mmHg)",
    "waveform": "waveform",
    "period_s": "period (s)",
    "cycles": "cycles",
    "density_kg_m3": "density (kg/m³)",
    "viscosity_pa_s": "viscosity (Pa·s)",
    "rheology": "rheology",
    "wall": "wall",
}
"""What drove a flow, in words; anything else that a result tells follows under its own name."""


def flow_pages(
    plan: Plan,
    output: str,
    flow: FlowResult,
    values: Mapping[str, object],
    summary: Mapping[str, Any],
) -> list[Flowable]:
    """Return the pages of a computed flow: maps, lines, numbers and what drove it."""
    beats = len(flow.times_s) > 1
    kind = "pulsatile" if beats else "steady"
    story: list[Flowable] = [
        CondPageBreak(120 * mm),
        text(f"Blood flow: {escape(readable(output))}, {kind}", "heading"),
    ]
    story += _waveform(flow) if beats else []
    facing, cameras = _cameras(flow, values)
    for title, look in _looks(flow, parent_shear_pa(summary["numbers"])).items():
        pictures = [Picture(p, 87 * mm) for p in flow_views(flow, look, cameras, MAP_PX)]
        sides = (facing, OPPOSITE[facing])
        said = [text(f"{title}, {seen_from(side)}.", "caption") for side in sides]
        story.append(KeepTogether([_side_by_side(pictures, said), Spacer(1, 2 * mm)]))
    story += _numbers(plan, output, summary)
    story += [
        text("What the flow was driven by", "heading"),
        table(_condition_rows(flow.conditions), (60, 118)),
    ]
    return story


def course_pages(output: str, courses: Courses) -> list[Flowable]:
    """Return the curves of a circulation: pressures, flows and volumes over time."""
    if len(courses.times_s) < 2:
        return []
    story: list[Flowable] = [
        CondPageBreak(80 * mm),
        text(f"Circulation: {escape(readable(output))}", "heading"),
    ]
    for quantity, (title, unit) in QUANTITIES.items():
        named = list(courses.of(quantity).items())
        for first in range(0, len(named), MOST_CURVES):
            shown = dict(named[first : first + MOST_CURVES])
            words = text(f"{title} over time, in {unit}.", "caption")
            story.append(KeepTogether([curves(courses.times_s, shown, unit), words]))
    return story


def _waveform(flow: FlowResult) -> list[Flowable]:
    """Return the course of inflow and outflows over the cycle."""
    times = flow.times_s - flow.times_s[0]
    period = float(flow.conditions.get("period_s") or times[-1] + times[1] - times[0])
    closed = np.append(times, period)
    named = {
        readable(name): np.append(sign * course, sign * course[0])
        for name, course in flow.flows_ml_s.items()
        for sign in (1.0 if course.mean() > 0 else -1.0,)
    }
    shown = dict(list(named.items())[:MOST_CURVES])
    mark = float(times[peak(flow)])
    said = (
        f"Flow through the openings over the cycle, mL/s, inflow and outflow both upwards. "
        f"Pictures of one moment show {mark:.2f} s, when most blood flows in."
    )
    return [KeepTogether([curves(closed, shown, "mL/s", mark_s=mark), text(said, "caption")])]


def _looks(flow: FlowResult, parent_pa: float | None) -> dict[str, FlowLook]:
    """Return what is shown of a flow, by its title; what is measured by the parent first."""
    beats = len(flow.times_s) > 1
    mean = "Time-averaged wall shear stress" if beats else "Wall shear stress"
    found = {}
    if parent_pa:
        title = f"{mean} by the mean of the parent artery, {parent_pa:.2g} Pa"
        found[title] = FlowLook("tawss_share", parent_pa=parent_pa)
    found[mean] = FlowLook("tawss_pa")
    if beats:
        found["Oscillatory shear index, which is at most 0.5"] = FlowLook("osi")
    when = " when most blood flows in" if beats else ""
    found[f"Pressure{when}, against the outlets"] = FlowLook("pressure_pa")
    found[f"Streamlines{when}"] = FlowLook("", seeds="inlets")
    return found


def _numbers(plan: Plan, output: str, summary: Mapping[str, Any]) -> list[Flowable]:
    """Return the numbers of the domes in a flow, then those of the flow."""
    domes = {s.output for s in plan.steps if s.stage == DOME_STAGE and output in s.inputs.values()}
    inside = [n for n in summary["numbers"] if n["step"] in domes]
    whole = [n for n in summary["numbers"] if n["step"] == output]
    titled = partial(number_title, figures_of(plan))
    story: list[Flowable] = []
    if inside:
        inside.sort(key=lambda n: FIRST.index(n["name"]) if n["name"] in FIRST else len(FIRST))
        story += [
            text("Flow in the dome", "heading"),
            table(number_rows(inside, titled), WIDTHS, True),
        ]
    story += [
        text("Flow in the vessel", "heading"),
        table(number_rows(whole, titled), WIDTHS, True),
    ]
    if any(n["low"] is None for n in (*inside, *whole)):
        story.append(text(SHORT_OF, "caption"))
    return story


def _cameras(flow: FlowResult, values: Mapping[str, object]) -> tuple[Side, list[Camera]]:
    """Return a side of the patient, and eyes there and opposite that see the aneurysm.

    Without one they see the whole vessel, from the front and from behind.
    """
    points = flow.wall.points_mm
    neck = next((value for value in values.values() if isinstance(value, Neck)), None)
    facing: Side = "A"
    if neck is not None:
        facing = max(SIDES, key=lambda side: float(np.dot(SIDES[side][0], neck.normal)))
        near = np.linalg.norm(points - neck.centre_mm, axis=1) < ABOUT * neck.width_mm
        points = points[near] if near.any() else points
    eyes = (Camera().look_from(side) for side in (facing, OPPOSITE[facing]))
    return facing, [eye.frame(points, MAP_PX) for eye in eyes]


def seen_from(side: Side) -> str:
    """Return in words from where a picture is seen."""
    words = {"A": "the front", "P": "behind", "S": "above", "I": "below"}
    return f"seen from {words.get(side, 'the patient’s ' + ('left' if side == 'L' else 'right'))}"


def _side_by_side(above: Sequence[Flowable], below: Sequence[Flowable]) -> Table:
    return Table(
        [list(above), list(below)],
        colWidths=[89 * mm] * len(above),
        style=[("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")],
    )


def _condition_rows(conditions: Mapping[str, Any]) -> list[list[Any]]:
    named = {name: conditions[name] for name in CONDITIONS if name in conditions}
    named |= {name: value for name, value in conditions.items() if name not in CONDITIONS}
    return [
        [text(escape(CONDITIONS.get(n, readable(n))), "small"), text(escape(_worded(v)), "small")]
        for n, v in named.items()
    ]


def _worded(value: object) -> str:
    """Return a condition as a person reads it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{readable(str(k))} {_worded(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_worded, value))
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
