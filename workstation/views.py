"""The views of a plan as plain pictures: the 3D scene, and a slice in each direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from segmentation.volume import LabelMap, Vector, Volume
from workstation.case import Case, CaseError
from workstation.figures import (
    ACCENT,
    SliceFigure,
    figures_of,
    fresh_values,
    outlined,
    plan_scene,
    slice_figure,
)
from workstation.picture import render_scene
from workstation.planning.plan import Plan
from workstation.planning.template import Figures
from workstation.raster import default_window
from workstation.slices import ViewName

Pixels = npt.NDArray[np.uint8]

SCENE = "picture"
SLICES: tuple[ViewName, ...] = get_args(ViewName)
VIEWS = (SCENE, *SLICES)
"""The names of the views."""
SCENE_PX = (1200, 800)
SLICE_PX = 900  # the longer side of a slice picture
MARK = "Research use only, not for clinical decisions"
SYNTHETIC = "SYNTHETIC PATIENT"


def view_picture(case: Case, view: str, progress: Progress = silent) -> Pixels:
    """Return one of `VIEWS` of the current plan as sRGB [row, column, 3].

    The scene is seen from the front; slices go through what the plan's template looks at, else
    the middle of the image. Side letters and the research mark are burnt in.

    Raises:
        CaseError: if there is nothing to show.
    """
    plan = case.plan()
    values, figures = fresh_values(case, plan), figures_of(plan)
    progress(0.1, f"{view} view")
    if view == SCENE:
        items = plan_scene(values, figures)
        if not items:
            raise CaseError("there is no surface to show yet; run the plan first")
        drawn = Image.fromarray(render_scene(items, "A", SCENE_PX))
    else:
        (name,) = (known for known in SLICES if known == view)
        image = shown_image(case, plan)
        if image is None:
            raise CaseError("the plan has no image, so there is no slice to show")
        place, window = point_of_interest(image, values, figures), default_window(image)
        named = outlined(figures, values)
        drawn = _slice(slice_figure(image, name, place, values, window, named))
    burn_in(drawn, SYNTHETIC if case.record.synthetic else "")
    return np.asarray(drawn.convert("RGB"))


def shown_image(case: Case, plan: Plan) -> Volume | None:
    """Return the first image among the plan's sources."""
    for name in plan.sources:
        if case.record.sources[name]["kind"] in ("dicom", "volume"):
            value = case.value(name, plan)
            return value if isinstance(value, Volume) else None
    return None


def point_of_interest(image: Volume, values: Mapping[str, object], figures: Figures) -> Vector:
    """Return the LPS mm centroid of what is looked at first, else of the image."""
    for name in figures.looked_at:
        value = values.get(name)
        if isinstance(value, LabelMap) and value.array.any():
            index = np.argwhere(value.array)[:, ::-1].mean(axis=0)
            x, y, z = value.geometry.to_world(index)
            return float(x), float(y), float(z)
        if isinstance(value, SurfaceMesh) and len(value.triangles):
            x, y, z = value.points_mm.mean(axis=0)
            return float(x), float(y), float(z)
        if isinstance(value, Measured) and value.text:
            return value.text_mm
    x, y, z = image.geometry.centre_mm()
    return float(x), float(y), float(z)


def _slice(figure: SliceFigure) -> Image.Image:
    """Draw a slice in true proportion with outlines, the cut and side letters."""
    plane = figure.plane
    wide, high = plane.columns * plane.pixel_mm[0], plane.rows * plane.pixel_mm[1]
    scale = SLICE_PX / max(wide, high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    drawn = Image.fromarray(figure.pixels).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    pen = ImageDraw.Draw(drawn)
    step = np.array(plane.pixel_mm) * scale
    for segments, colour in figure.outlines:
        for ends in segments * step:
            pen.line([tuple(end) for end in ends], colour, 2)
    if figure.cut_line is not None:
        pen.line([tuple(end) for end in figure.cut_line * step], ACCENT, 3)
    left, right, top, bottom = plane.letters
    (x, y), font = size, ImageFont.load_default(22)
    for letter, place, anchor in (
        (left, (6, y / 2), "lm"),
        (right, (x - 6, y / 2), "rm"),
        (top, (x / 2, 6), "mt"),
        (bottom, (x / 2, y - 30), "mb"),
    ):
        pen.text(place, letter, "white", font, anchor, stroke_width=2, stroke_fill="black")
    return drawn


def burn_in(drawn: Image.Image, words: str = "") -> None:
    """Write into the corner of a picture that it is for research only, after other words."""
    pen = ImageDraw.Draw(drawn)
    text = f"{words}   {MARK}".strip()
    place, font = (8, drawn.height - 8), ImageFont.load_default(14)
    pen.text(place, text, "white", font, "lb", stroke_width=2, stroke_fill="black")
