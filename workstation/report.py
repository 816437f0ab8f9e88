"""The report of a case: the plan in one picture, its numbers, findings and methods, as PDF."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from segmentation.contract import Progress, silent
from segmentation.volume import LabelMap, Volume
from workstation.case import Case, CaseError
from workstation.figures import OUTLINED, SliceFigure, fresh_values, plan_scene, slice_figure
from workstation.picture import render_scene
from workstation.planning.plan import Plan, to_plain_json
from workstation.planning.template import templates
from workstation.slices import ViewName
from workstation.stages import STAGES
from workstation.store import write_atomically

RESEARCH_USE = "Research use only, not for clinical decisions"
SYNTHETIC = "SYNTHETIC PATIENT: no real person"
KEY_NUMBERS = (
    "remnant.volume",
    "remnant.fraction",
    "specimen.volume",
    "margin.minimum",
    "tumor.volume",
)
NAMES = {
    "liver.volume": "Liver",
    "tumor.volume": "Tumour",
    "vessels.volume": "Intrahepatic vessels",
    "remnant.volume": "Remnant",
    "remnant.fraction": "Remnant, share of the liver",
    "specimen.volume": "Specimen",
    "specimen.fraction": "Specimen, share of the liver",
    "margin.minimum": "Smallest distance tumour to cut",
}
MARGIN_MM = 16.0
VIEWS: tuple[ViewName, ...] = ("axial", "coronal", "sagittal")
PICTURE_PX = (1400, 900)


def write_picture(case: Case, path: Path, size: tuple[int, int] = (1200, 800)) -> None:
    """Write the 3D picture of the current plan as PNG, seen from the front.

    Raises:
        CaseError: if nothing is computed that could be shown.
    """
    items = plan_scene(fresh_values(case, case.plan()))
    if not items:
        raise CaseError("there is no surface to show yet; run the plan first")
    picture = render_scene(items, "A", size)
    write_atomically(path, lambda part: Image.fromarray(picture).save(part, "PNG"))


def write_report(case: Case, path: Path, progress: Progress = silent) -> None:
    """Write the report of the current plan as an A4 PDF with vector text.

    Raises:
        CaseError: if the case has no plan, or the file does not end in .pdf.
    """
    if path.suffix.lower() != ".pdf":
        raise CaseError(
            f"the report is a PDF; give a file that ends in .pdf instead of {path.name}"
        )
    plan = case.plan()
    summary = case.summary()
    progress(0.05, "pictures")
    values = fresh_values(case, plan)
    story = [
        *_first_page(case, plan, summary, values),
        *_views(case, plan, values, progress),
        *_numbers(summary),
        *_methods(case, plan, summary),
    ]
    progress(0.8, "pages")
    write_atomically(path, lambda part: _build(part, case, story))
    progress(1.0)


def _build(path: Path, case: Case, story: Sequence[Flowable]) -> None:
    width, height = A4
    margin = MARGIN_MM * mm
    frame = Frame(margin, margin, width - 2 * margin, height - 2 * margin - 6 * mm, 0, 0, 0, 0)
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        title="Surgical plan",
        author="Hilum",
        subject=SYNTHETIC if case.record.synthetic else RESEARCH_USE,
    )
    document.addPageTemplates(PageTemplate("page", [frame], onPage=partial(_banner, case=case)))
    document.build(list(story))


def _banner(canvas: Any, document: Any, case: Case) -> None:
    """Draw identity, research use and page number on every page."""
    width, height = A4
    patient, study = case.record.patient, case.record.study
    top, left, right = height - 12 * mm, MARGIN_MM * mm, width - MARGIN_MM * mm
    canvas.saveState()
    name = patient.get("name", "") or "No patient name"
    canvas.setFont(font_for(name, bold=True), 11)
    canvas.drawString(left, top, name)
    details = "   ".join(
        f"{label} {value}"
        for label, value in (
            ("ID", patient.get("patient_id", "")),
            ("born", shown_date(patient.get("birth_date", ""))),
            ("sex", patient.get("sex", "")),
            ("study", shown_date(study.get("date", ""))),
        )
        if value
    )
    canvas.setFont(font_for(details), 8)
    canvas.drawString(left, top - 11, details)
    canvas.setFont(font(bold=True), 8)
    if case.record.synthetic:
        canvas.setFillColor(colors.HexColor("#C23B31"))
        canvas.drawRightString(right, top, SYNTHETIC)
        canvas.setFillColor(colors.black)
    canvas.drawRightString(right, top - 11, RESEARCH_USE)
    canvas.setLineWidth(0.6)
    canvas.line(left, top - 16, right, top - 16)
    canvas.setFont(font(), 7)
    canvas.drawString(left, 9 * mm, f"Hilum   plan {case.plan_number}   {case.folder.name}")
    canvas.drawRightString(right, 9 * mm, f"page {document.page}")
    canvas.restoreState()


# Pages -----------------------------------------------------------------------------------


def _first_page(
    case: Case, plan: Plan, summary: Mapping[str, Any], values: Mapping[str, object]
) -> list[Flowable]:
    known = templates()
    title = known[plan.template].title if plan.template in known else "Surgical plan"
    story: list[Flowable] = [_text(f"{title}: plan {summary['plan']}", "title")]
    items = plan_scene(values)
    if items:
        picture = render_scene(items, "A", PICTURE_PX)
        caption = _text(_scene_caption(items), "caption")
        story += [Picture(picture, 178 * mm), Spacer(1, 1 * mm), caption]
    story += [Spacer(1, 4 * mm), _key_numbers(summary), Spacer(1, 4 * mm)]
    story += _findings(summary)
    story.append(KeepTogether([Spacer(1, 6 * mm), _signatures()]))
    return story


def _scene_caption(items: Mapping[str, Any]) -> str:
    return (
        "Seen from the front: the patient's right is on the left of the picture. "
        f"Shown: {', '.join(sorted(name.removesuffix('_surface') for name in items))}."
    )


def _key_numbers(summary: Mapping[str, Any]) -> Flowable:
    by_name = {number["name"]: number for number in summary["numbers"]}
    rows = [
        [
            _text(NAMES.get(name, name), "small"),
            _text(f"<b>{shown_value(by_name[name])}</b>", "number"),
            _text(shown_band(by_name[name]), "small"),
        ]
        for name in KEY_NUMBERS
        if name in by_name
    ]
    return _table(rows, (70, 38, 70)) if rows else _text("No number is computed yet.", "body")


def _findings(summary: Mapping[str, Any]) -> list[Flowable]:
    story: list[Flowable] = [_text("Findings", "heading")]
    order = {"problem": 0, "warning": 1, "info": 2}
    marks = {"problem": "✕ problem", "warning": "! warning", "info": "i note"}
    found = sorted(summary["findings"], key=lambda f: order[f["severity"]])
    rows = []
    for finding in found:
        sentence = escape(finding["sentence"])
        if finding.get("remedy"):
            sentence += f" <i>{escape(finding['remedy'])}</i>"
        rows.append(
            [
                _text(marks[finding["severity"]], "small"),
                _text(escape(finding.get("step", "")), "small"),
                _text(sentence, "small"),
            ]
        )
    stale = [s["output"] for s in summary["steps"] if s["state"] != "fresh"]
    if stale:
        sentence = f"Not computed for this plan: {', '.join(stale)}. The report is incomplete."
        rows.insert(0, [_text(marks["problem"], "small"), "", _text(sentence, "small")])
    story.append(_table(rows, (22, 30, 126)) if rows else _text("None.", "body"))
    return story


def _signatures() -> Flowable:
    line = "_" * 34
    rows = [
        [
            _text(f"{role}<br/><br/>{line}<br/>name, date, signature", "small")
            for role in ("Planned by", "Reviewed by")
        ]
    ]
    return Table(rows, colWidths=[89 * mm, 89 * mm])


def _views(
    case: Case, plan: Plan, values: Mapping[str, object], progress: Progress
) -> list[Flowable]:
    image = next(
        (
            case.value(name, plan)
            for name in plan.sources
            if case.record.sources[name]["kind"] in ("dicom", "volume")
        ),
        None,
    )
    if not isinstance(image, Volume):
        return []
    point = _point_of_interest(image, values)
    story: list[Flowable] = [
        CondPageBreak(250 * mm),
        _text("Views", "heading"),
        _text(f"Outlines: {_legend(values)}. Blue line: the cut.", "caption"),
    ]
    figures = []
    for number, view in enumerate(VIEWS):
        progress(0.3 + 0.15 * number, f"{view} view")
        figures.append(SlicePicture(slice_figure(image, view, point, values), 88 * mm, 100 * mm))
    story.append(
        Table(
            [[figures[0], figures[1]], [figures[2], ""]],
            colWidths=[89 * mm, 89 * mm],
            style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)],
        )
    )
    return story


def _legend(values: Mapping[str, object]) -> str:
    """Return the outlined labels, each with a square of its colour."""
    named = (
        label
        for name in OUTLINED
        if isinstance(value := values.get(name), LabelMap)
        for label in value.labels.values()
    )
    return ", ".join(
        '<font color="#{:02x}{:02x}{:02x}">■</font> '.format(*label.colour) + escape(label.name)
        for label in named
    )


def _point_of_interest(image: Volume, values: Mapping[str, object]) -> tuple[float, float, float]:
    """Return the LPS mm centroid of the tumour, else of the liver, else of the image."""
    for name in ("tumor", "liver"):
        labels = values.get(name)
        if isinstance(labels, LabelMap) and labels.array.any():
            index = np.argwhere(labels.array)[:, ::-1].mean(axis=0)
            x, y, z = labels.geometry.to_world(index)
            return float(x), float(y), float(z)
    x, y, z = image.geometry.centre_mm()
    return float(x), float(y), float(z)


def _numbers(summary: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[Any]] = [[_text(h, "head") for h in ("number", "", "band", "source")]]
    rows += [
        [
            _text(NAMES.get(n["name"], n["name"].replace("_", " ")), "small"),
            _text(shown_value(n), "right"),
            _text(shown_band(n), "small"),
            _text(escape(n["source"]), "small"),
        ]
        for n in summary["numbers"]
    ]
    return [_text("Numbers", "heading"), _table(rows, (52, 30, 46, 50), head=True)]


def _methods(case: Case, plan: Plan, summary: Mapping[str, Any]) -> list[Flowable]:
    states = {step["output"]: step["state"] for step in summary["steps"]}
    seconds = {
        step["key"]: step["seconds"]
        for run in case.runs()
        for step in run["steps"]
        if step["state"] == "done"
    }
    keys = plan.keys()
    rows: list[list[Any]] = [[_text(h, "head") for h in ("result", "method", "parameters", "run")]]
    for step in plan.steps:
        title = STAGES[step.stage].title if step.stage in STAGES else step.stage
        params = ", ".join(f"{k} = {to_plain_json(v)}" for k, v in step.params.items())
        took = f"{seconds[keys[step.output]]:.1f} s, " if keys[step.output] in seconds else ""
        rows.append(
            [
                _text(step.output, "small"),
                _text(f"{escape(title)}<br/>{step.stage}, version {step.version}", "small"),
                _text(escape(params) or "defaults", "small"),
                _text(f"{took}{states[step.output]}", "small"),
            ]
        )
    story: list[Flowable] = [
        _text("What was run", "heading"),
        _table(rows, (30, 66, 56, 26), head=True),
        _text("Sources", "heading"),
    ]
    sources: list[list[Any]] = [[_text(h, "head") for h in ("name", "what", "sha256 of content")]]
    for name, key in plan.sources.items():
        about = case.record.sources.get(name, {})
        what = " ".join(x for x in (about.get("modality", ""), about.get("description", "")) if x)
        series = about.get("series_uid", "")
        sources.append(
            [
                _text(name, "small"),
                _text(escape(what) + (f"<br/>series {series}" if series else ""), "small"),
                _text(key, "small"),
            ]
        )
    story.append(_table(sources, (30, 74, 74), head=True))
    runs = case.runs()
    versions = runs[-1]["versions"] if runs else {}
    story += [
        _text("Versions and assumptions", "heading"),
        _text(", ".join(f"{name} {version}" for name, version in versions.items()), "small"),
        _text(
            f"Plan digest {plan.digest()}. Coordinates are DICOM patient LPS in millimetres, frame "
            f"of reference {plan.frame_uid}. Organ, vessel and tumour outlines that were proposed "
            "automatically need a person's review. A number without a band has an uncertainty "
            f"that is not known. Written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}.",
            "small",
        ),
    ]
    return story


# Words and numbers -----------------------------------------------------------------------


def shown_value(number: Mapping[str, Any]) -> str:
    """Return a number with a sensible count of digits and its unit."""
    value = number["value"]
    digits = 0 if number["unit"] == "mL" and abs(value) >= 100 else 1
    return f"{value:,.{digits}f} {number['unit']}"


def shown_date(date: str) -> str:
    """Return a DICOM date as YYYY-MM-DD; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def shown_band(number: Mapping[str, Any]) -> str:
    """Return a number's band in words."""
    if number["low"] is None or number["high"] is None:
        return "uncertainty not known"
    low, high = ({**number, "value": number[end]} for end in ("low", "high"))
    return f"{shown_value(low).rsplit(' ', 1)[0]} to {shown_value(high)}"


@cache
def font(bold: bool = False) -> str:
    """Return a registered font with a wide range of letters, the bundled one if none is found."""
    names = (
        ("DejaVuSans-Bold", "LiberationSans-Bold", "Arial_Bold", "VeraBd")
        if bold
        else ("DejaVuSans", "LiberationSans-Regular", "Arial", "Vera")
    )
    for name in names:
        try:
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
        except TTFError:
            continue
        return name
    return "Helvetica-Bold" if bold else "Helvetica"


@cache
def _chinese() -> str:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    return "STSong-Light"


def font_for(text: str, bold: bool = False) -> str:
    """Return a font that has the letters of ``text``, as far as one is at hand."""
    if any(ord(letter) >= 0x2E80 for letter in text):
        return _chinese()
    return font(bold)


@cache
def _style(name: str) -> ParagraphStyle:
    sizes = {"title": 16, "heading": 11, "number": 12, "body": 9, "caption": 8, "head": 7.5}
    size = sizes.get(name, 7.5)
    strong = name in ("title", "heading", "head")
    return ParagraphStyle(
        name,
        fontName=font(bold=strong),
        fontSize=size,
        leading=size * 1.25,
        spaceBefore=8 if name == "heading" else 0,
        spaceAfter=3 if name in ("title", "heading") else 0,
        alignment=TA_RIGHT if name == "right" else 0,
        textColor=colors.HexColor("#5A6773") if name == "caption" else colors.black,
    )


def _text(markup: str, style: str) -> Paragraph:
    return Paragraph(markup, _style(style))


def _table(rows: list[list[Any]], widths_mm: Sequence[float], head: bool = False) -> Table:
    table = Table(rows, colWidths=[w * mm for w in widths_mm], repeatRows=1 if head else 0)
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.HexColor("#B8C0C8")),
                ("LEFTPADDING", (0, 0), (-1, -1), 2),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    return table


# Pictures --------------------------------------------------------------------------------


class Picture(Flowable):  # type: ignore[misc]
    """An RGB or grey picture, uint8, at a width in points."""

    def __init__(self, pixels: npt.NDArray[np.uint8], width: float) -> None:
        super().__init__()
        self.pixels = pixels
        self.width = width
        self.height = width * pixels.shape[0] / pixels.shape[1]

    def draw(self) -> None:
        """Draw the picture at the origin."""
        self.canv.drawImage(_reader(self.pixels), 0, 0, self.width, self.height)


class SlicePicture(Flowable):  # type: ignore[misc]
    """A slice with vector outlines, orientation letters and a scale bar, in a box of points."""

    def __init__(self, figure: SliceFigure, width: float, height: float) -> None:
        super().__init__()
        self.figure = figure
        plane = figure.plane
        across, down = plane.pixel_mm
        wide, high = plane.columns * across, plane.rows * down
        self.scale = min(width / wide, (height - 14) / high)
        self.width, self.height = wide * self.scale, high * self.scale + 14
        self.step = (across * self.scale, down * self.scale)

    def draw(self) -> None:
        """Draw the slice with everything on it."""
        canvas, figure = self.canv, self.figure
        high = self.height - 14
        canvas.drawImage(_reader(figure.pixels), 0, 0, self.width, high)
        for segments, colour in figure.outlines:
            self._lines(segments, colour, 0.7)
        if figure.cut_line is not None:
            self._lines(figure.cut_line[None], (0x4D, 0xA3, 0xFF), 1.2)
        canvas.setFont(font(bold=True), 8)
        canvas.setFillColor(colors.black)
        title = f"{figure.plane.view.capitalize()}, {figure.plane.position}"
        canvas.drawString(0, high + 4, title)
        canvas.setFillColor(colors.white)
        left, right, top, bottom = figure.plane.letters
        canvas.drawString(2, high / 2, left)
        canvas.drawRightString(self.width - 2, high / 2, right)
        canvas.drawCentredString(self.width / 2, high - 9, top)
        canvas.drawCentredString(self.width / 2, 3, bottom)
        canvas.setStrokeColor(colors.white)
        canvas.setLineWidth(1.2)
        bar = 50 * self.scale
        canvas.line(6, 14, 6 + bar, 14)
        canvas.setFont(font(), 6)
        canvas.drawString(6, 16, "50 mm")

    def _lines(
        self, segments: npt.NDArray[np.float64], colour: tuple[int, int, int], width: float
    ) -> None:
        high = self.height - 14
        path = self.canv.beginPath()
        for (x0, y0), (x1, y1) in segments:
            path.moveTo(x0 * self.step[0], high - y0 * self.step[1])
            path.lineTo(x1 * self.step[0], high - y1 * self.step[1])
        self.canv.setStrokeColorRGB(*(part / 255 for part in colour))
        self.canv.setLineWidth(width)
        self.canv.drawPath(path)


def _reader(pixels: npt.NDArray[np.uint8]) -> ImageReader:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    buffer.seek(0)
    return ImageReader(buffer)
