"""A fibula graft in a report: the bone drawn to scale with its cuts, and every cut in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from reportlab.graphics.shapes import Drawing, Line, Polygon, String
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether

from meshing.surface import SurfaceMesh
from segmentation.measured import Measured
from segmentation.volume import Floats
from workstation.planning.fibula import Facing, Shaft, outline_at, shaft_of
from workstation.planning.fibula_graft import ENDS, count_of, cut_of
from workstation.planning.mandible_border import unit
from workstation.planning.plan import Step
from workstation.report_layout import font, shown_value, table, text

GRAFT = "planning.fibula_graft"
WIDTH_MM, HIGH_MM, ROW_MM = 178.0, 74.0, 34.0
STEP_MM = 6.0
END_MM = 4.0
BONE, PIECE, INK = HexColor("#EDE6D3"), HexColor("#9FC2E6"), HexColor("#1D2733")
SIZE_PT = 6.5
TURNED: Mapping[Facing, tuple[Facing, Facing]] = {
    "lateral": ("lateral", "anterior"),
    "medial": ("medial", "anterior"),
    "anterior": ("anterior", "lateral"),
    "posterior": ("posterior", "lateral"),
}
"""The side that looks out, and one across it."""

NOTE = (
    "The fibula to scale, its ankle's tip on the left; what is coloured goes into the mandible. "
    "Heights are above the ankle's tip, along the axis, in mm; tilts are from square to the bone."
)


def graft_pages(step: Step, graft: Measured, values: Mapping[str, object]) -> list[Flowable]:
    """Return the drawing of the donor bone with its cuts, and the table of segments and cuts.

    ``values`` are the plan's results; without the fibula and its axis only the table is there.
    """
    numbers = {n.quantity: n.to_json() for n in graft.numbers}
    story: list[Flowable] = [text("Fibula graft", "heading")]
    fibula, axis = (values.get(step.inputs[name]) for name in ("fibula", "axis"))
    if isinstance(fibula, SurfaceMesh) and isinstance(axis, Measured):
        outward: Facing = step.params.get("outward", "lateral")
        drawn = fibula_drawing(fibula, shaft_of(axis), graft, outward)
        story += [drawn, text(NOTE, "caption")]
    return [KeepTogether([*story, _table(graft, numbers)])]


def fibula_drawing(
    fibula: SurfaceMesh, shaft: Shaft, graft: Measured, outward: Facing = "lateral"
) -> Drawing:
    """Return the fibula seen so that the side that looks out is up, and from that side."""
    drawn = Drawing(WIDTH_MM * mm, HIGH_MM * mm)
    scale = (WIDTH_MM - 4.0) / shaft.length_mm * mm
    heights = np.arange(END_MM, shaft.length_mm - END_MM, STEP_MM)
    rings = [outline_at(fibula, shaft, float(height)) for height in heights]
    for row, side in enumerate(TURNED[outward]):
        way = shaft.facing(side)
        middle = (HIGH_MM - ROW_MM * (row + 0.5)) * mm
        edges = np.array([_reach(ring - shaft.centre(h), way) for ring, h in zip(rings, heights)])
        _bone(drawn, heights * scale, edges * scale, middle)
        for n in range(1, count_of(graft) + 1):
            _piece(drawn, shaft, graft, n, way, edges, scale, middle)
        drawn.add(_words(2 * mm, middle + 0.40 * ROW_MM * mm, f"{side} side up"))
    return drawn


def _reach(ring: Floats, way: Floats) -> tuple[float, float]:
    along = ring @ way
    return float(along.min()), float(along.max())


def _bone(drawn: Drawing, x: Floats, edges: Floats, middle: float) -> None:
    ring = [*zip(x, middle + edges[:, 0]), *zip(x[::-1], middle + edges[::-1, 1])]
    drawn.add(Polygon([float(v) for spot in ring for v in spot], fillColor=BONE, strokeColor=INK,
                      strokeWidth=0.5))  # fmt: skip


def _piece(
    drawn: Drawing, shaft: Shaft, graft: Measured, n: int, way: Floats, edges: Floats,
    scale: float, middle: float,
) -> None:  # fmt: skip
    """Draw one piece, its cuts with their heights, and its length between them."""
    numbers = {number.quantity: number.value for number in graft.numbers}
    corners, heights = [], []
    for end in ENDS:
        height = numbers[f"{end}_at_{n}"]
        heights.append(height)
        at = int(np.clip(height / STEP_MM, 0, len(edges) - 1))
        centre, plane = shaft.centre(height), cut_of(graft, n, end)
        sides = np.array([centre + edge * unit(way) for edge in edges[at]])
        corners.append(
            [
                (float(high * scale), float(middle + edge * scale))
                for high, edge in zip(plane.heights(sides, shaft.ankle_mm, shaft.up), edges[at])
            ]
        )
    ring = [*corners[0], *corners[1][::-1]]
    drawn.add(Polygon([v for spot in ring for v in spot], fillColor=PIECE, strokeColor=INK,
                      strokeWidth=0.8))  # fmt: skip
    low = middle - 0.36 * ROW_MM * mm
    for height, end in zip(heights, ENDS):
        x, level = height * scale, low + (8 if end == ENDS[0] else 0)
        drawn.add(Line(x, middle, x, level, strokeColor=INK, strokeWidth=0.3))
        anchor, shift = ("end", -2) if end == ENDS[0] else ("start", 2)
        drawn.add(_words(x + shift, level, f"{height:.1f}", anchor))
    label = f"{n}: {numbers[f'length_{n}']:.1f} mm"
    drawn.add(_words(float(np.mean(heights)) * scale, middle + 0.30 * ROW_MM * mm, label, "middle"))


def _words(x: float, y: float, words: str, anchor: str = "start") -> String:
    return String(x, y, words, fontName=font(), fontSize=SIZE_PT, fillColor=INK, textAnchor=anchor)


def _table(graft: Measured, numbers: Mapping[str, Any]) -> Flowable:
    head = ("segment", "length", "shortest side", "cut", "above the ankle", "tilt", "highest at")
    rows: list[list[Any]] = [[text(h, "head") for h in head]]
    for n in range(1, count_of(graft) + 1):
        for end in ENDS:
            own = [shown_value(numbers[f"{name}_{n}"]) for name in ("length", "shortest")]
            names = (f"{end}_{what}_{n}" for what in ("at", "tilt", "toward"))
            cells = [str(n), *own] if end == ENDS[0] else ["", "", ""]
            cells += [end, *(shown_value(numbers[name]) for name in names)]
            rows.append([text(cell, "small") for cell in cells])
    return table(rows, (18, 24, 28, 22, 32, 24, 28), head=True)
