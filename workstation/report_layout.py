"""How a report looks: words for numbers, fonts, paragraphs, tables and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from segmentation.contract import exact_words
from workstation.figures import SliceFigure
from workstation.planning.template import Figures

SMALL = ("mL", "Pa", "mL/s", "m/s", "%", "GiB")
"""Units of amounts that may be far below one."""

FINE = ("L/min", "1/min")
"""Units of which tenths say too little."""

# Words and numbers -----------------------------------------------------------------------


def shown_value(number: Mapping[str, Any]) -> str:
    """Return a number with a sensible count of digits and its unit."""
    value = number["value"]
    unit = number["unit"].replace("cm2", "cm²").replace("mm2", "mm²").replace("degrees", "°")
    if not unit:
        return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"  # a count, a ratio
    if unit == "1":
        return f"{value:.0f}" if value == int(value) else f"{value:.3f}"  # a direction's share
    if unit in FINE and abs(value) < 10:
        return f"{value:.3g} {unit}"
    digits = 0 if unit == "mL" and abs(value) >= 100 else 1
    if 0 < abs(value) < 1 and unit in SMALL:
        return f"{value:,.2g} {unit}"  # a tenth says nothing of so small an amount
    return f"{value:,.{digits}f} {unit}"


def shown_date(date: str) -> str:
    """Return a DICOM date as YYYY-MM-DD; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def shown_band(number: Mapping[str, Any]) -> str:
    """Return a number's band in words; what was counted, planned or entered has none."""
    if str(number.get("source", "")).startswith("count of "):
        return "counted"
    if number["low"] is None or number["high"] is None:
        return exact_words(str(number.get("source", ""))) or "uncertainty not known"
    low, high = ({**number, "value": number[end]} for end in ("low", "high"))
    return f"{shown_value(low).split(' ')[0]} to {shown_value(high)}"


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
        if not bold:  # so that bold words of a paragraph are bold
            strong = font(bold=True)
            pdfmetrics.registerFontFamily(name, name, strong, name, strong)
        return name
    return "Helvetica-Bold" if bold else "Helvetica"


@cache
def _asian(name: str) -> str:
    pdfmetrics.registerFont(UnicodeCIDFont(name))
    return name


def font_for(words: str, bold: bool = False) -> str:
    """Return a font that has the letters of ``words``, as far as one is at hand."""
    letters = [ord(letter) for letter in words]
    if any(0xAC00 <= letter < 0xD7B0 for letter in letters):
        return _asian("HYSMyeongJo-Medium")
    if any(0x3040 <= letter < 0x3100 for letter in letters):
        return _asian("HeiseiMin-W3")
    if any(letter >= 0x2E80 for letter in letters):
        return _asian("STSong-Light")
    return font(bold)


def size_to_fit(words: str, face: str, size: float, room: float) -> float:
    """Return ``size`` in points, smaller where ``words`` would be wider than ``room``."""
    width = float(pdfmetrics.stringWidth(words, face, size))
    return size * min(1.0, room / max(width, 1.0))


@cache
def _style(name: str, face: str) -> ParagraphStyle:
    sizes = {"title": 16, "heading": 11, "number": 12, "body": 9, "caption": 8, "head": 7.5}
    size = sizes.get(name, 7.5)
    return ParagraphStyle(
        name,
        fontName=face,
        fontSize=size,
        leading=size * 1.25,
        spaceBefore=8 if name == "heading" else 0,
        spaceAfter=3 if name in ("title", "heading") else 0,
        alignment=TA_RIGHT if name == "right" else 0,
        keepWithNext=name == "heading",
        textColor=colors.HexColor("#5A6773") if name == "caption" else colors.black,
    )


def text(markup: str, style: str) -> Paragraph:
    """Return a paragraph in one of the styles, in a font that has its letters."""
    strong = style in ("title", "heading", "head")
    return Paragraph(markup, _style(style, font_for(markup, strong)))


def table(rows: list[list[Any]], widths_mm: Sequence[float], head: bool = False) -> Table:
    """Return a ruled table; with ``head`` its first row is repeated on every page."""
    made = Table(rows, colWidths=[w * mm for w in widths_mm], repeatRows=1 if head else 0)
    made.setStyle(
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
    return made


def readable(name: str) -> str:
    """Return the name of a result or number as words."""
    return name.replace("_", " ")


def number_title(figures: Figures, name: str) -> str:
    """Return the title of a number of the plan, by its full name."""
    return {**figures.titles, **figures.key_numbers}.get(name, readable(name))


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
