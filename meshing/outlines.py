"""Outlines of printed text, as polygons in mm.

The typeface is Bitstream Vera Sans Bold, whose even, wide strokes print well; it comes with
ReportLab, under a licence that lets anybody use and copy it.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont

Floats = npt.NDArray[np.float64]

CURVE_STEPS = 5
"""Straight pieces of one curve of a letter."""


def text_outlines(text: str, height_mm: float) -> list[Floats]:
    """Return the closed polygons (n, 2) of a line of text, x to its right and y up, in mm.

    Capitals are ``height_mm`` high; the middle of the text's extent is at the origin. Outer
    outlines and holes run opposite ways, so the non-zero rule fills the letters.

    Raises:
        ValueError: if the text is blank or has a character that the typeface has not.
    """
    font = _font()
    glyphs, widths, names = font.getGlyphSet(), font["hmtx"], font.getBestCmap()
    spoken = unicodedata.normalize("NFC", " ".join(text.split()))
    unknown = sorted({c for c in spoken if ord(c) not in names})
    if not spoken or unknown:
        what = f"the letters {' '.join(unknown)}" if unknown else "a text without letters"
        raise ValueError(f"{what} cannot be written; use Latin letters, digits and signs")
    pen, start = _Pen(glyphs), 0.0
    for character in spoken:
        name = names[ord(character)]
        pen.start = start
        glyphs[name].draw(pen)
        start += widths[name][0]
    scale = float(height_mm / _capital_height(font))
    polygons = [np.array(points) * scale for points in pen.polygons if len(points) > 2]
    everything = np.concatenate(polygons)
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    return [polygon - middle for polygon in polygons]


class _Pen(BasePen):  # type: ignore[misc]
    """Collects straight polygons, ``start`` units to the right."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)
        self.start = 0.0
        self.polygons: list[list[tuple[float, float]]] = []

    def _moveTo(self, point: tuple[float, float]) -> None:
        self.polygons.append([(point[0] + self.start, point[1])])

    def _lineTo(self, point: tuple[float, float]) -> None:
        self.polygons[-1].append((point[0] + self.start, point[1]))

    def _curveToOne(
        self, one: tuple[float, float], two: tuple[float, float], end: tuple[float, float]
    ) -> None:
        first = np.array(self._getCurrentPoint())
        for t in np.arange(1, CURVE_STEPS + 1) / CURVE_STEPS:
            near, far = (1 - t) ** 2 * first + 3 * t * (1 - t) * np.array(one), t**2 * np.array(end)
            x, y = (1 - t) * near + 3 * t**2 * (1 - t) * np.array(two) + t * far
            self._lineTo((float(x), float(y)))


def _capital_height(font: TTFont) -> float:
    glyph = font["glyf"]["H"]
    return float(glyph.yMax - glyph.yMin)


@cache
def _font() -> TTFont:
    found = importlib.util.find_spec("reportlab")
    assert found is not None
    assert found.origin is not None
    return TTFont(Path(found.origin).parent / "fonts" / "VeraBd.ttf", lazy=True)
