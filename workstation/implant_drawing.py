"""The sheet that goes to the maker with an implant: three views to scale, numbers and checks."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageBreak, PageTemplate

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, share, silent
from segmentation.volume import Floats, LabelMap
from workstation.case import Case
from workstation.implant_checks import (
    MARKED_ORBITAL,
    ORBITAL,
    Check,
    Made,
    declared_side,
    found_side,
)
from workstation.implant_projection import (
    TURNS,
    View,
    drawing_axes,
    largest_mm,
    outward,
    parallel_view,
    sizes_mm,
)
from workstation.planning.fit import centre_mm
from workstation.planning.orbit_marking import orbit_middle_mm
from workstation.report_layout import (
    font,
    font_for,
    number_rows,
    shown_band,
    shown_date,
    shown_value,
    size_to_fit,
    table,
    text,
)
from workstation.store import write_atomically

RESEARCH_USE = "Research use only, not for clinical decisions"
MARGIN, BLOCK = 10 * mm, 34 * mm  # the frame of the page, and the title block below
GAP, DIMENSION = 12 * mm, 9 * mm
VIEWS_MM = (186.0, 134.0)
"""Room for the three views."""

SCALES = ((2, 1), (1, 1), (1, 2), (1, 5), (1, 10))
BAR_MM = 20
SIDES = {"left": "LEFT", "right": "RIGHT", "bilateral": "BOTH SIDES"}
WANTED = (
    "volume",
    "thickness.minimum",
    "thickness.median",
    "thickness.largest_95",
    "thickness",
    "wall_least",
    "gap_least",
    "length",
    "holes",
    "PEEK",
    "PMMA",
    "Ti-6Al-4V ELI",
)
TITLES = {
    "volume": "Volume",
    "thickness.minimum": "Least thickness",
    "thickness.median": "Thickness, median",
    "thickness.largest_95": "Thickness, 95 %",
    "thickness": "Thickness",
    "wall_least": "Thinnest wall",
    "gap_least": "Least gap to bone",
    "length": "Length",
    "holes": "Holes",
}


@dataclass(frozen=True, eq=False)
class _Sheet:
    """What stands on every page."""

    case: Case
    made: Made
    checks: Sequence[Check]
    issued: str
    despite: str
    scale: tuple[int, int]


def write_drawing(
    case: Case,
    made: Made,
    checks: Sequence[Check],
    path: Path,
    *,
    issued: str,
    files: Mapping[str, str],
    despite: str = "",
    progress: Progress = silent,
) -> Path:
    """Write the sheet of an implant as PDF (A4 across); return ``path``.

    Args:
        case: the open case, for the patient's identity.
        made: the implant and the plan it belongs to.
        checks: what was checked before its release.
        path: the file that is made.
        issued: date and time of the release, ISO.
        files: name to sha256 of the files that go with it.
        despite: why it is released though a check failed.
        progress: told how far the work is.
    """
    mesh = made.surface
    axes = drawing_axes(_front(made))
    views = {}
    for number, (name, turn) in enumerate(TURNS.items()):
        share(progress, number, len(TURNS) + 1)(0.0, f"drawing the {name} view")
        views[name] = parallel_view(mesh, np.asarray(turn, float) @ axes)
    sizes = sizes_mm(mesh.points_mm, axes)
    sheet = _Sheet(case, made, checks, issued, despite, _scale(sizes))
    draw = partial(_views, views=views, axes=axes, sheet=sheet)
    story = partial(_story, sheet, sizes, files)
    pages = _build(io.BytesIO(), sheet, draw, story, 0)
    write_atomically(path, lambda part: _build(str(part), sheet, draw, story, pages) and None)
    progress(1.0)
    return path


def _front(made: Made) -> Floats:
    """Return the unit direction from a part to who looks at it from outside, or from the orbit."""
    points = made.surface.points_mm
    marking = next((s for s in made.plan.steps if s.stage == MARKED_ORBITAL), None)
    orbits = made.values.get(marking.inputs["orbits"]) if marking else None
    side = found_side(made)
    if made.origin.stage == ORBITAL and isinstance(orbits, LabelMap) and side:
        return -outward(points, orbit_middle_mm(orbits, side))
    return outward(points, _head_mm(made))


def _head_mm(made: Made) -> Floats:
    """Return the middle of the bone that the part was made for, LPS mm."""
    inputs = made.origin.inputs
    course = made.plan.step(inputs["course"]).inputs if "course" in inputs else {}
    used = inputs.get("skull") or inputs.get("bone") or course.get("bone", "")
    bone = made.values.get(used)
    if isinstance(bone, LabelMap):
        return centre_mm(bone)
    return bone.points_mm.mean(axis=0) if isinstance(bone, SurfaceMesh) else np.zeros(3)


def _scale(sizes: Floats) -> tuple[int, int]:
    """Return the largest usual scale at which the three views fit."""
    across, down = sizes[0] + sizes[2], sizes[1] + sizes[2]
    room = [wide - (GAP + 2 * DIMENSION) / mm for wide in VIEWS_MM]
    fits = [s for s in SCALES if across * s[0] / s[1] <= room[0] and down * s[0] / s[1] <= room[1]]
    return fits[0] if fits else SCALES[-1]


def _build(
    target: Any,
    sheet: _Sheet,
    draw: Callable[[Any], None],
    story: Callable[[], list[Flowable]],
    pages: int,
) -> int:
    """Write the pages; return how many there are."""
    width, height = landscape(A4)
    side = Frame(
        MARGIN + VIEWS_MM[0] * mm, MARGIN + BLOCK, width - 2 * MARGIN - VIEWS_MM[0] * mm,
        height - 2 * MARGIN - BLOCK, 6, 4, 6, 6,
    )  # fmt: skip
    whole = Frame(
        MARGIN, MARGIN + BLOCK, width - 2 * MARGIN, height - 2 * MARGIN - BLOCK, 8, 6, 8, 8
    )
    document = BaseDocTemplate(
        target, pagesize=(width, height), title="Implant", author="Hilum", subject=RESEARCH_USE,
        invariant=1,
    )  # fmt: skip

    def first(canvas: Any, page: Any) -> None:
        _title_block(canvas, sheet, page.page, pages)
        draw(canvas)

    def later(canvas: Any, page: Any) -> None:
        _title_block(canvas, sheet, page.page, pages)

    document.addPageTemplates(
        [
            PageTemplate("first", [side], onPage=first, autoNextPageTemplate="later"),
            PageTemplate("later", [whole], onPage=later),
        ]
    )
    document.build(story())
    return int(document.page)


# The pages -------------------------------------------------------------------------------


def _views(canvas: Any, *, views: Mapping[str, View], axes: Floats, sheet: _Sheet) -> None:
    """Draw the three views in their places, their dimensions and a bar of known length."""
    unit = mm * sheet.scale[0] / sheet.scale[1]
    front, top, right = (views[name] for name in TURNS)
    left, low = MARGIN + 2 * DIMENSION, MARGIN + BLOCK + 2 * DIMENSION
    places = {
        "front": (left, low),
        "top": (left, low + front.height_mm * unit + GAP),
        "right": (left + front.width_mm * unit + GAP, low),
    }
    whence = "from the orbit" if sheet.made.origin.stage == ORBITAL else "outside"
    canvas.setFont(font(), 7)
    for name, view in views.items():
        x, y = places[name]
        wide, high = view.width_mm * unit, view.height_mm * unit
        canvas.drawImage(ImageReader(Image.fromarray(view.pixels)), x, y, wide, high)
        caption = {"front": whence, "top": "from above", "right": "from the right"}[name]
        canvas.drawString(x, y + high + 2, caption)
    _across(canvas, left, low - DIMENSION, front.width_mm, unit)
    _along(canvas, left - DIMENSION, low, front.height_mm, unit)
    _across(canvas, places["right"][0], low - DIMENSION, right.width_mm, unit)
    _along(canvas, left - DIMENSION, places["top"][1], top.height_mm, unit)
    _directions(canvas, axes, whence, places["right"][0] + 16 * mm, places["top"][1] + 10 * mm)
    x, y = MARGIN + 4 * mm, MARGIN + BLOCK + 3 * mm
    canvas.setLineWidth(2)
    canvas.line(x, y, x + BAR_MM * unit, y)
    canvas.setFont(font(), 7)
    words = f"{BAR_MM} mm   scale {sheet.scale[0]}:{sheet.scale[1]}   third angle   all in mm"
    canvas.drawString(x + BAR_MM * unit + 4, y - 2, words)


def _across(canvas: Any, x: float, y: float, long_mm: float, unit: float) -> None:
    """Draw a dimension along the page."""
    end = x + long_mm * unit
    canvas.setLineWidth(0.4)
    canvas.line(x, y, end, y)
    for at, way in ((x, 1), (end, -1)):
        canvas.line(at, y - 3, at, y + DIMENSION - 3)
        canvas.line(at, y, at + way * 4, y + 1.5)
        canvas.line(at, y, at + way * 4, y - 1.5)
    canvas.setFont(font(), 8)
    canvas.drawCentredString((x + end) / 2, y - 9, f"{long_mm:.1f}")


def _along(canvas: Any, x: float, y: float, long_mm: float, unit: float) -> None:
    """Draw a dimension up the page."""
    end = y + long_mm * unit
    canvas.setLineWidth(0.4)
    canvas.line(x, y, x, end)
    for at, way in ((y, 1), (end, -1)):
        canvas.line(x - 3, at, x + DIMENSION - 3, at)
        canvas.line(x, at, x + 1.5, at + way * 4)
        canvas.line(x, at, x - 1.5, at + way * 4)
    canvas.saveState()
    canvas.translate(x - 3, (y + end) / 2)
    canvas.rotate(90)
    canvas.setFont(font(), 8)
    canvas.drawCentredString(0, 0, f"{long_mm:.1f}")
    canvas.restoreState()


def _directions(canvas: Any, axes: Floats, whence: str, x: float, y: float) -> None:
    """Draw where the patient's left, back and head lie in the view of the outside."""
    canvas.setFont(font(), 7)
    canvas.setLineWidth(0.7)
    for way, name in zip(np.eye(3), ("left", "back", "head")):
        right, up = 14 * mm * (axes[:2] @ way)
        if np.hypot(right, up) < 4 * mm:
            continue  # it points to the reader or away
        canvas.line(x, y, x + right, y + up)
        canvas.circle(x + right, y + up, 1.2, fill=1)
        canvas.drawCentredString(x + 1.25 * right, y + 1.25 * up - 2, name)
    above = min(y + 21 * mm, landscape(A4)[1] - MARGIN - 4 * mm)
    canvas.drawCentredString(x, above, f"patient, seen from {whence.removeprefix('from ')}")


def _title_block(canvas: Any, sheet: _Sheet, page: int, pages: int) -> None:
    """Draw the frame, and below the identity, the side, the plan and who signs."""
    width, height = landscape(A4)
    canvas.saveState()
    canvas.setLineWidth(0.8)
    canvas.rect(MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN)
    canvas.line(MARGIN, MARGIN + BLOCK, width - MARGIN, MARGIN + BLOCK)
    edges = [MARGIN, 100 * mm, 134 * mm, 218 * mm, width - MARGIN]
    for edge in edges[1:-1]:
        canvas.line(edge, MARGIN, edge, MARGIN + BLOCK)
    record, made = sheet.case.record, sheet.made
    patient = record.patient
    name = patient.get("name", "") or "No patient name"
    identity = [
        f"ID {patient.get('patient_id', '') or 'not known'}",
        f"born {shown_date(patient.get('birth_date', '')) or 'not known'}"
        f"   sex {patient.get('sex', '') or 'not known'}",
        f"study {shown_date(record.study.get('date', '')) or 'not known'}",
        "SYNTHETIC PATIENT: no real person" if record.synthetic else RESEARCH_USE,
    ]
    _words(canvas, edges[0], edges[1], [name, *identity], bold_first=True)
    declared = declared_side(made)
    lies = found_side(made) or declared  # in an operation on both sides a part has its own
    known = "from the image" if declared else "NOT DECLARED, from the image"
    told = "as declared" if declared == lies != "" else known
    side = SIDES.get(lies, "NOT KNOWN")
    _words(canvas, edges[1], edges[2], [side, "side", told], bold_first=True)
    about = [
        f"{made.name}: plan {made.number}   {RESEARCH_USE}",
        f"sha256 of the plan {made.plan.digest()[:32]}",
        f"frame {made.plan.frame_uid}",
        f"issued {sheet.issued}   Hilum   case {sheet.case.folder.name}",
        *([f"RELEASED DESPITE A FAILED CHECK: {sheet.despite}"] if sheet.despite else []),
    ]
    _words(canvas, edges[2], edges[3], about)
    signed = [f"{who} ______________________" for who in ("Designed", "Checked ", "Approved")]
    _words(canvas, edges[3], edges[4], [*signed, f"page {page} of {pages}"])
    canvas.restoreState()


def _words(
    canvas: Any, left: float, right: float, lines: Sequence[str], bold_first: bool = False
) -> None:
    """Write lines into a field of the title block, small enough to fit."""
    y = MARGIN + BLOCK - 6 * mm
    for number, line in enumerate(lines):
        strong = bold_first and number == 0
        face = font_for(line, bold=strong)
        canvas.setFont(face, size_to_fit(line, face, 11 if strong else 7.5, right - left - 4 * mm))
        canvas.drawString(left + 2 * mm, y, line)
        y -= 6 * mm


def _story(sheet: _Sheet, sizes: Floats, files: Mapping[str, str]) -> list[Flowable]:
    """Return the main numbers beside the views, and the pages that follow."""
    numbers = _numbers(sheet.made)
    size = " × ".join(f"{s:.1f}" for s in sizes)
    rows = [
        _row("Size (right × up × deep)", f"{size} mm", "of the file"),
        _row(
            "Largest dimension", f"{largest_mm(sheet.made.surface.points_mm):.1f} mm", "of the file"
        ),
    ]
    for quantity in WANTED:
        for number in numbers:
            if number["quantity"] == quantity:
                title = TITLES.get(quantity, f"Mass in {quantity}")
                rows.append(_row(title, shown_value(number), shown_band(number)))
    failed = sum(not check.passed for check in sheet.checks)
    verdict = f"{failed} of {len(sheet.checks)} checks failed" if failed else "All checks passed"
    marks = [[text("✓" if c.passed else "✕", "small"), text(escape(c.title), "small"),
              text(escape(c.sentence), "small")] for c in sheet.checks]  # fmt: skip
    hashes = [[text(escape(n), "small"), text(h, "small")] for n, h in files.items()]
    note = (
        "Tolerances, material, surface finish, cleaning and sterilisation are not stated here: "
        "they are agreed between the hospital and the maker. The surface file holds, not the "
        "drawing."
    )
    return [
        text(sheet.made.title.capitalize(), "heading"),
        table(rows, (30, 26, 28)),
        text("Release", "heading"),
        text(escape(verdict), "body"),
        PageBreak(),
        text("Checks before release", "heading"),
        table(marks, (8, 30, 220)),
        text("Files that belong to this sheet (sha256)", "heading"),
        table(hashes, (50, 208)) if hashes else text("None.", "body"),
        text("Numbers", "heading"),
        table(number_rows(numbers), (58, 30, 40, 130), head=True),
        text(escape(note), "caption"),
    ]


def _row(title: str, value: str, band: str) -> list[Any]:
    return [text(escape(t), "small") for t in (title, value, band)]


def _numbers(made: Made) -> list[dict[str, Any]]:
    """Return the numbers of the implant and of what was measured on it, each once."""
    found: dict[str, dict[str, Any]] = {}
    chain = {made.origin.output, made.name, made.origin.inputs.get("course", "")}
    for step in made.plan.steps:
        value = made.values.get(step.output)
        if step.output in chain or chain.intersection(step.inputs.values()):
            for number in getattr(value, "numbers", ()):
                record = number.to_json() | {"name": number.full_name(step.output)}
                found[str(record["name"])] = record
    own = {n.quantity: n.to_json() | {"name": n.quantity} for n in made.surface.numbers}
    rest = [r for r in found.values() if r["quantity"] not in own]
    return [*own.values(), *rest]
