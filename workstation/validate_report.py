"""The rows of a validation as a table of text, Markdown, JSON or PDF."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.platypus import Frame, PageTemplate, Spacer
from reportlab.platypus.doctemplate import BaseDocTemplate

from hemodynamics.verification.rows import VERDICTS, Row
from workstation.report_layout import table as ruled
from workstation.report_layout import text

HEADS = (
    "check",
    "case",
    "quantity",
    "value",
    "reference",
    "error",
    "limit or spread",
    "verdict",
    "source",
)
WIDTHS_MM = (26, 56, 38, 28, 20, 18, 18, 14, 51)
MARGIN_MM = 14
LIMIT = 3
"""Digits of a limit: one of half a last digit ends in what a computer adds to it."""


def shown(value: float | None, unit: str = "", digits: int = 5) -> str:
    """Return a figure with its digits and its unit, and nothing for None."""
    if value is None:
        return ""
    figure = f"{value:.{digits}g}" if isfinite(value) else "not a number"
    return f"{figure} {unit}".strip()


def summary(rows: Sequence[Row]) -> str:
    """Return in words how many rows passed, failed and did not run, or lie beside a band."""
    verdicts = [row.verdict for row in rows]
    compared = {"inside", "outside"} & set(verdicts)
    return ", ".join(
        f"{verdicts.count(word)} {words}"
        for word, words in VERDICTS.items()
        if compared or word not in ("inside", "outside")
    )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text for a terminal, what failed in capitals."""
    lines = []
    for row in rows:
        if row.verdict == "not run":
            lines.append(f"not run  {row.name:18} {row.case} ({row.note})")
            continue
        verdict = "FAIL" if row.verdict == "fail" else row.verdict
        what = f"{row.case}: {row.quantity} {_figures(row)}" if row.quantity else row.case
        note = f" ({row.note})" if row.note else ""
        lines.append(f"{verdict:8} {row.name:18} {what}{note}")
    return "\n".join([*lines, summary(rows)])


def _figures(row: Row) -> str:
    """Return in words what came out and what should have."""
    value, limit = shown(row.value, row.unit), shown(row.limit, row.unit, LIMIT)
    if row.low is not None:
        spread = f" (spread {limit})" if row.limit else ""
        return f"{_banded(row)}, measured {shown(row.reference, row.unit)}{spread}"
    if row.reference == 0:
        return f"{value}, at most {limit}"
    return f"{value}, should be {shown(row.reference, row.unit)} within {limit}"


def _banded(row: Row) -> str:
    """Return what came out, with its band."""
    band = "" if row.low is None else f" ({row.low:.4g} to {row.high:.4g})"
    return f"{shown(row.value, row.unit)}{band}"


def write_report(rows: Sequence[Row], path: Path) -> None:
    """Write the rows to a .pdf, .json or .md file.

    Raises:
        OSError: if the file cannot be written.
    """
    if path.suffix == ".json":
        document = {"rows": [row.to_json() for row in rows], "machine": machine()}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    elif path.suffix == ".md":
        path.write_text(markdown(rows), encoding="utf-8")
    else:
        _write_pdf(rows, path)


def machine() -> dict[str, str]:
    """Return what the rows were computed with."""
    return {
        "hilum": metadata.version("hilum"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown document."""
    lines = [
        "# Validation of Hilum",
        "",
        f"{summary(rows)}. {_words(machine())}.",
        "",
        f"| {' | '.join(HEADS)} |",
        "|" + "---|" * len(HEADS),
    ]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in _cells(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _words(record: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in record.items())


def _cells(row: Row) -> tuple[str, ...]:
    source = f"{row.source} ({row.note})" if row.source and row.note else row.source or row.note
    return (
        row.name,
        row.case,
        row.quantity,
        _banded(row),
        shown(row.reference, row.unit),
        shown(row.error, row.unit),
        "" if row.low is not None and not row.limit else shown(row.limit, row.unit, LIMIT),
        row.verdict,
        source,
    )


def _write_pdf(rows: Sequence[Row], path: Path) -> None:
    """Write the rows on landscape pages with a ruled table."""
    body: list[list[Any]] = [[text(head, "head") for head in HEADS]]
    body += [[text(escape(cell), "caption") for cell in _cells(row)] for row in rows]
    story = [
        text("Validation of Hilum", "title"),
        text(escape(f"{summary(rows)}. {_words(machine())}."), "body"),
        Spacer(0, 3 * mm),
        ruled(body, WIDTHS_MM, head=True),
    ]
    width, height = landscape(A4)
    margin = MARGIN_MM * mm
    frame = Frame(margin, margin, width - 2 * margin, height - 2 * margin, 0, 0, 0, 0)
    document = BaseDocTemplate(
        str(path), pagesize=(width, height), title="Validation of Hilum", author="Hilum"
    )
    document.addPageTemplates(PageTemplate("page", [frame], onPage=partial(_footer, margin)))
    document.build(story)


def _footer(margin: float, canvas: Any, document: Any) -> None:
    canvas.setFont("Helvetica", 7)
    canvas.drawString(margin, margin / 2, "Research use only, not for clinical decisions.")
    canvas.drawRightString(document.pagesize[0] - margin, margin / 2, f"Page {document.page}")
