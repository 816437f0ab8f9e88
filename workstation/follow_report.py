"""The follow-up of a transplant in a report: each course with its band, then the rows."""

from __future__ import annotations

from xml.sax.saxutils import escape

from reportlab.platypus import Flowable, KeepTogether

from workstation.planning.transplant_rows import Course, Sheet, spoken
from workstation.report_curves import band_chart
from workstation.report_layout import text
from workstation.transplant_report import sheet_pages

NOTE = (
    "Dots are measured values. Grey is the band in which the newest value is expected, made of "
    "the person's own earlier values; a red square is a newest value outside it."
)
NO_BAND = "No band: there are too few values, or they are too old, to foretell the newest one."


def follow_pages(sheet: Sheet) -> list[Flowable]:
    """Return the charts of a follow-up, all over the same days, and its rows."""
    days = [day for course in sheet.courses for day in course.days]
    ends = min(0.0, *days), max(1.0, *days)
    charts = [KeepTogether(_chart(course, ends)) for course in sheet.courses]
    title = f"After the transplant: courses as of {escape(sheet.review_date)}"
    return [text(title, "heading"), text(NOTE, "caption"), *charts, *sheet_pages(sheet)]


def _chart(course: Course, ends: tuple[float, float]) -> list[Flowable]:
    name = escape(spoken(course.row))
    told = escape(f"Rule: {course.rule}." if course.rule else NO_BAND)
    head = f"<b>{name[:1].upper()}{name[1:]}</b>: {course.verdict}"
    return [text(head, "body"), band_chart(course, ends), text(told, "caption")]
