"""Sections of a report that follow from the types of the results: cut, flow, risk, what-if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.platypus import Flowable, KeepTogether

from hemodynamics.flow_result import FlowResult
from hemodynamics.network import Courses
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from workstation.flow_report import course_pages, flow_pages
from workstation.follow_report import follow_pages
from workstation.graft_report import GRAFT, graft_pages
from workstation.line_report import has_line, line_pages
from workstation.planning.aneurysm_risk import NAMES, RiskRow, RiskSheet, merged
from workstation.planning.plan import Plan, Step
from workstation.planning.transplant_rows import Sheet, as_shown
from workstation.report_layout import readable, shown_value, table, text
from workstation.resection_report import is_resection, resection_pages
from workstation.transplant_report import sheet_pages

EFFECT = "planning.treatment_effect"


def sections(
    plan: Plan,
    values: Mapping[str, object],
    summary: Mapping[str, Any],
    progress: Progress = silent,
) -> list[Flowable]:
    """Return the pages about what the plan computed: cuts, flows, risk scores, treatments."""
    story: list[Flowable] = []
    sheets = [v for v in (values.get(s.output) for s in plan.steps) if isinstance(v, RiskSheet)]
    for number, step in enumerate(plan.steps):
        value = values.get(step.output)
        progress(number / len(plan.steps), step.output)
        if isinstance(value, FlowResult) and len(value.times_s):
            story += flow_pages(plan, step.output, value, values, summary)
        elif isinstance(value, Courses):
            story += course_pages(step.output, value)
        elif isinstance(value, RiskSheet):
            story += _risk(merged(sheets)) if value is sheets[-1] else []
        elif isinstance(value, Sheet):
            shown = as_shown(value, summary.get("rows", ()))
            story += follow_pages(shown) if shown.courses else sheet_pages(shown)
        elif step.stage == GRAFT and isinstance(value, Measured):
            story += graft_pages(step, value, values)
        elif isinstance(value, Measured) and has_line(value):
            story += line_pages(step.output, value)
        elif step.stage == EFFECT and value is not None:
            story += _what_if(plan, step, summary)
    return [*resection_pages(plan, values, summary), *story] if is_resection(values) else story


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
