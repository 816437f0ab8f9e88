"""Pages about what was measured along the line of a vessel: diameters and pressures."""

from __future__ import annotations

from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether

from segmentation.measured import Measured
from workstation.report_curves import curves
from workstation.report_layout import readable, text

ALONG = "along_mm"
DRAWN = {"diameter_mm": ("Diameter", "mm"), "mmhg": ("Pressure", "mmHg")}
"""The ends of the names of columns that are drawn together, with their title and unit."""

PRESSURE_NOTE = (
    " Pressures of the measures are total ones, with the jet's loss spread over the widening; "
    "those of a 3D flow are means of its sections, which dip where blood is fast."
)


def has_line(value: Measured) -> bool:
    """Tell whether a measurement has diameters or pressures along a line."""
    return ALONG in value.samples and any(_columns(value, ending) for ending in DRAWN)


def line_pages(output: str, value: Measured) -> list[Flowable]:
    """Return the curves of diameters and pressures over the distance along the line."""
    named = escape(readable(output))
    story: list[Flowable] = [CondPageBreak(70 * mm), text(f"Along the line: {named}", "heading")]
    for ending, (title, unit) in DRAWN.items():
        columns = _columns(value, ending)
        if not columns:
            continue
        shown = {readable(n.removesuffix(f"_{ending.split('_')[-1]}")): value.samples[n]
                 for n in columns}  # fmt: skip
        drawing = curves(value.samples[ALONG], shown, unit, along_unit="mm")
        words = f"{title} over the distance along the line, {unit}."
        words += PRESSURE_NOTE if ending == "mmhg" else ""
        story.append(KeepTogether([drawing, text(words, "caption")]))
    return story


def _columns(value: Measured, ending: str) -> list[str]:
    return [name for name in value.samples if name.endswith(ending)]
