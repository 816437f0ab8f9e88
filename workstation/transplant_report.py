"""The review sheet of a transplant as a section of the report."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable

from workstation.planning.transplant_rows import (
    FOLLOW_UP,
    SETTLE,
    Row,
    Sheet,
    sentence,
    spoken,
    value_text,
)
from workstation.report_layout import table, text

HEADS = ("row", "verdict", "value", "why, and by which rule", "source and date")
WIDTHS_MM = (34, 17, 25, 64, 38)

NOTE = (
    "Blocking rows stand first, then what is unknown. Unknown is never counted as passed. The "
    "sheet reviews this pair; it decides nothing and allocates nothing."
)


def sheet_pages(sheet: Sheet) -> list[Flowable]:
    """Return the whole sheet as a table, its counts and what would change the verdicts."""
    counts = ", ".join(f"{sheet.count(v)} {v}" for v in ("block", "unknown", "warn", "pass"))
    rows: list[list[Any]] = [[text(head, "head") for head in HEADS]]
    rows += [_row(row) for row in sheet.rows]
    about = "Follow-up" if sheet.organ == FOLLOW_UP else f"Transplant review: {sheet.organ}"
    title = escape(f"{about}, as of {sheet.review_date}")
    return [
        CondPageBreak(80 * mm),
        text(title, "heading"),
        text(f"<b>{counts}</b>", "body"),
        table(rows, WIDTHS_MM, head=True),
        text(NOTE, "caption"),
    ]


def _row(row: Row) -> list[Any]:
    value = value_text(row.value, row.unit)
    why = [escape(sentence(row.reason))] if row.reason else []
    why.append(f'<font color="#5A6773">{escape(sentence(row.rule))}</font>')
    if row.change and not row.change.startswith(SETTLE):
        why.append(f"Would change it: {escape(row.change)}.")
    known = [escape(row.source), escape(row.date or "no date")]
    if row.expires:
        known.append(f"until {escape(row.expires)}")
    if row.confirmed:
        known.append(f"confirmed by {escape(row.confirmed)}")
    strong = row.verdict in ("block", "unknown")
    verdict = f"<b>{row.verdict}</b>" if strong else row.verdict
    cells = (f"<b>{escape(spoken(row.name))}</b>", verdict, escape(value))
    return [text(cell, "small") for cell in (*cells, "<br/>".join(why), "<br/>".join(known))]
