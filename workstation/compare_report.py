"""The page of a report that sets the named plans of a case side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable

from workstation.case import Case
from workstation.comparing import asked_plans, compare
from workstation.plan_pictures import plan_pictures
from workstation.report_layout import Picture, readable, shown_band, shown_value, table, text

TITLE_MM, WHOLE_MM = 46.0, 178.0
MOST = 4
"""How many plans stand beside each other on a page; more follow below."""

MARKS = {"passed": "▲", "in doubt": "!"}
NOTE = (
    "Which plan is better is not judged. ▲ passes a published limit, ! reaches it with its band; "
    "limits are named where the plan of this report stands against them. All pictures are seen "
    "from the front, by the same eye. Numbers without a band have an uncertainty that is not known."
)


def compare_pages(case: Case) -> list[Flowable]:
    """Return the plans side by side; nothing where fewer than two have a name."""
    asked = asked_plans(case, ())
    story: list[Flowable] = []
    if len(asked) < 2:
        return story
    for start in range(0, len(asked), MOST):
        some = asked[start : start + MOST] if len(asked) - start > 1 else asked[-2:]
        story += _page(case, compare(case, some))
    return story


def _page(case: Case, document: Mapping[str, Any]) -> list[Flowable]:
    plans = document["plans"]
    width = (WHOLE_MM - TITLE_MM) / len(plans)
    rows: list[list[Any]] = [["", *(text(_name(case, plan), "head") for plan in plans)]]
    drawn = plan_pictures(case, [plan["plan"] for plan in plans])
    rows.append(["", *("" if p is None else Picture(p, (width - 2) * mm) for p in drawn)])
    if any(plan["cut"] for plan in plans):
        rows.append([text("kind of cut", "small"), *(text(plan["cut"], "small") for plan in plans)])
    for row in document["numbers"]:
        if row["key"]:
            title = escape(row["title"] or readable(row["name"]))
            mark = "≠ " if row["differs"] else ""
            cells = [text(_cell(value, row["unit"]), "small") for value in row["values"]]
            rows.append([text(f"{mark}{title}", "small"), *cells])
    notes = [text(f"<b>! {escape(note)}</b>", "small") for note in document["notes"]]
    late = ", ".join(plan["name"] for plan in plans if not plan["computed"])
    if late:
        notes.append(text(f"<b>! Not computed: plan {escape(late)}.</b>", "small"))
    return [
        CondPageBreak(200 * mm),
        text("Plans side by side", "heading"),
        *notes,
        table(rows, (TITLE_MM, *[width] * len(plans)), head=True),
        text(NOTE, "caption"),
    ]


def _name(case: Case, plan: Mapping[str, Any]) -> str:
    here = plan["name"] == case.record.variant or (
        not case.record.variant and plan["plan"] == case.plan_number
    )
    return f"Plan {escape(plan['name'])}{' (this report)' if here else ''}"


def _cell(value: Mapping[str, Any] | None, unit: str) -> str:
    if value is None:
        return "–"
    record = dict(value) | {"unit": unit}
    lines = [f"<b>{shown_value(record)}</b>"]
    if value["low"] is not None and value["high"] is not None:
        lines.append(shown_band(record))
    for limit in value["limits"]:
        lines.append(f"{MARKS[limit['state']]} {limit['side']} {limit['value']:g} {unit}".rstrip())
    return "<br/>".join(escape(line, {}) if "<b>" not in line else line for line in lines)
