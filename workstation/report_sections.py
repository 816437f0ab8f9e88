"""Sections of a report that follow from the types of the results: flow, risk, what-if."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer, Table

from hemodynamics.flow_result import FlowResult
from meshing.aneurysm_neck import Neck
from segmentation.contract import Progress, silent
from workstation.actors import scene_items
from workstation.camera import SIDES, Side
from workstation.looks import scalar_map
from workstation.picture import render_scene
from workstation.planning.aneurysm_risk import NAMES, RiskRow, RiskSheet, merged
from workstation.planning.plan import Plan, Step
from workstation.planning.transplant_rows import Sheet
from workstation.report_layout import Picture, shown_band, shown_value, table, text
from workstation.transplant_report import sheet_pages

MAP_PX = (900, 760)
WALL_MAPS = {"tawss_pa": "mean wall shear stress", "osi": "oscillatory shear index"}
EFFECT = "planning.treatment_effect"
OPPOSITE: Mapping[Side, Side] = {"A": "P", "P": "A", "L": "R", "R": "L", "S": "I", "I": "S"}
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


def sections(
    plan: Plan,
    values: Mapping[str, object],
    summary: Mapping[str, Any],
    progress: Progress = silent,
) -> list[Flowable]:
    """Return the pages about what the plan computed: flows, risk scores, treatments tried."""
    story: list[Flowable] = []
    sheets = [v for v in (values.get(s.output) for s in plan.steps) if isinstance(v, RiskSheet)]
    for number, step in enumerate(plan.steps):
        value = values.get(step.output)
        progress(number / len(plan.steps), step.output)
        if isinstance(value, FlowResult) and len(value.times_s):
            story += _flow(step.output, value, values, summary)
        elif isinstance(value, RiskSheet):
            story += _risk(merged(sheets)) if value is sheets[-1] else []
        elif isinstance(value, Sheet):
            story += sheet_pages(value)
        elif step.stage == EFFECT and value is not None:
            story += _what_if(plan, step, summary)
    return story


# Flow ------------------------------------------------------------------------------------


def _flow(
    output: str, flow: FlowResult, values: Mapping[str, object], summary: Mapping[str, Any]
) -> list[Flowable]:
    """Return wall maps, what drove a flow, and how far its numbers can be trusted."""
    kind = "pulsatile" if flow.conditions.get("kind") == "pulsatile" else "steady"
    maps = [name for name in WALL_MAPS if name == "tawss_pa" or kind == "pulsatile"]
    story: list[Flowable] = [
        CondPageBreak(120 * mm),
        text(f"Blood flow: {readable(output)}, {kind}", "heading"),
    ]
    facing = _facing(values)
    for name in maps:
        views = (facing, OPPOSITE[facing])
        pictures = [Picture(_wall_map(output, flow, name, view), 87 * mm) for view in views]
        said = [text(f"{WALL_MAPS[name].capitalize()}, {seen_from(v)}.", "caption") for v in views]
        story.append(KeepTogether([_side_by_side(pictures, said), Spacer(1, 2 * mm)]))
    numbers = [n for n in summary["numbers"] if n["step"] == output]
    story.append(table(number_rows(numbers), (52, 30, 46, 50), head=True))
    story += [
        text("What the flow was driven by", "heading"),
        table(_condition_rows(flow.conditions), (60, 118)),
    ]
    return story


def _wall_map(output: str, flow: FlowResult, quantity: str, side: Side) -> Any:
    item = scene_items({output: flow})[output]
    coloured = replace(item, scalars=scalar_map(flow.wall, quantity), opacity=1.0)
    return render_scene({output: coloured}, side, MAP_PX)


def _facing(values: Mapping[str, object]) -> Side:
    """Return the side from which one looks onto the dome, the front where there is no neck."""
    neck = next((value for value in values.values() if isinstance(value, Neck)), None)
    if neck is None:
        return "A"
    return max(SIDES, key=lambda side: float(np.dot(SIDES[side][0], neck.normal)))


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


def readable(name: str) -> str:
    """Return the name of a result or number as words."""
    return name.replace("_", " ")


def number_rows(
    numbers: Sequence[Mapping[str, Any]], titled: Callable[[str], str] = readable
) -> list[list[Any]]:
    """Return a table of numbers with head, bands and sources."""
    rows: list[list[Any]] = [[text(h, "head") for h in ("number", "", "band", "source")]]
    return rows + [
        [
            text(escape(titled(n["name"])), "small"),
            text(shown_value(n), "right"),
            text(shown_band(n), "small"),
            text(escape(n["source"]), "small"),
        ]
        for n in numbers
    ]


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


# Risk ------------------------------------------------------------------------------------


def _risk(models: Sequence[RiskRow]) -> list[Flowable]:
    """Return every score with its population, what it was given and what it lacks."""
    head = ("score", "result", "of whom it speaks", "what it was given, and what it lacks")
    rows: list[list[Any]] = [[text(h, "head") for h in head]]
    rows += [_risk_row(row) for row in models]
    note = (
        "Each score speaks of the patients that it was derived from. Nothing is assumed: a score "
        "that lacks an input has no value. None of them is a decision."
    )
    return [
        text("Risk scores", "heading"),
        table(rows, (30, 34, 50, 64), head=True),
        text(note, "caption"),
    ]


def _risk_row(row: RiskRow) -> list[Any]:
    said = [_given(row.inputs)]
    if row.missing:
        said.append(f"<b>Lacks:</b> {escape(', '.join(map(readable, row.missing)))}.")
    said += [f"<b>{escape(note.sentence)}</b>" for note in row.notes]
    speaks = f"{escape(row.population)}<br/><i>{escape(row.source)}</i>"
    return [
        text(f"<b>{escape(NAMES.get(row.model, row.model))}</b><br/>{escape(row.title)}", "small"),
        text(_result(row), "small"),
        text(speaks, "small"),
        text("<br/>".join(part for part in said if part), "small"),
    ]


def _result(row: RiskRow) -> str:
    words = []
    if row.value is not None:
        words.append(f"<b>{row.value:.3g} {escape(row.unit)}</b>")
        if row.low is not None and row.high is not None:
            words.append(f"{row.low:.3g} to {row.high:.3g} {escape(row.unit)}")
        else:
            words.append("interval not known")
    if row.label:
        words.append(escape(row.label))
    return "<br/>".join(words)


def _given(inputs: Mapping[str, Any]) -> str:
    shown = (
        f"{readable(name)} {f'{value:.3g}' if isinstance(value, float) else _yes(value)}"
        for name, value in inputs.items()
    )
    return escape(", ".join(shown))


def _yes(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


# What if ---------------------------------------------------------------------------------


def _what_if(plan: Plan, step: Step, summary: Mapping[str, Any]) -> list[Flowable]:
    """Return what a treatment changes in the dome: each quantity before and after."""
    treated = plan.step(step.inputs["treated"])
    tried = treated.inputs.get("porous", treated.output)
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for number in summary["numbers"]:
        if number["step"] == step.output:
            quantity, _, when = number["name"].removeprefix(f"{step.output}.").rpartition(".")
            found.setdefault(quantity, {})[when] = number
    head = ("quantity", "before", "after", "change")
    rows: list[list[Any]] = [[text(h, "head") for h in head]]
    for quantity, whens in found.items():
        shown = (whens.get(when) for when in ("before", "after", "change"))
        cells = [text(shown_value(number) if number else "", "right") for number in shown]
        rows.append([text(escape(readable(quantity)), "small"), *cells])
    note = (
        "The uncertainty of these differences is not known. Coils and diverters are regions that "
        "resist the flow by general laws; no device was calibrated."
    )
    return [
        KeepTogether(
            [
                text(f"What if: {escape(readable(tried))}", "heading"),
                table(rows, (70, 36, 36, 36), head=True),
                text(note, "caption"),
            ]
        )
    ]
