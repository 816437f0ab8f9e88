"""Pictures of a plan, without a window: the 3D scene and slices with outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from segmentation.measured import Measured
from segmentation.volume import LabelMap, Vector, Volume
from workstation.actors import MEASURED, scene_items
from workstation.case import Case
from workstation.planning.cut_surface import CUT_COLOUR, CutSurface, lines_where_zero
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut, CutPlane
from workstation.planning.template import Figures, templates
from workstation.raster import grey, outline_segments, slice_labels
from workstation.shading import SceneItem
from workstation.slices import SlicePlane, ViewName, parts_in_slice, slice_plane

ACCENT = (0x4D, 0xA3, 0xFF)


DOUBLED = {"margin_map": "tumor_surface"}
"""A result to the one whose place it takes in 3D, since both are the same surface."""


def fresh_values(case: Case, plan: Plan) -> dict[str, object]:
    """Return every computed result of ``plan`` that is shown in pictures, by name."""
    keys = plan.keys()
    return {
        step.output: case.values[keys[step.output]]
        for step in plan.steps
        if keys[step.output] in case.values
    }


def figures_of(plan: Plan) -> Figures:
    """Return what pictures and report of a plan show first, as its template says."""
    known = templates()
    return known[plan.template].figures if plan.template in known else Figures()


def outlined(figures: Figures, values: Mapping[str, object]) -> tuple[str, ...]:
    """Return the labels that are outlined on slices, in drawing order; all, unless it is said."""
    named = figures.outlined or tuple(values)
    return tuple(name for name in named if isinstance(values.get(name), LabelMap))


def plan_scene(
    values: Mapping[str, object], figures: Figures | None = None
) -> dict[str, SceneItem]:
    """Return what the 3D picture of a plan shows: what its template says, and measurements.

    Where it says nothing, these are surfaces and cuts; without a cut, the organ itself.
    """
    wanted = figures.shown if figures is not None else ()
    aside = figures.aside if figures is not None else ()
    if wanted and any(name in values for name in wanted):
        kept = {
            name: value
            for name, value in values.items()
            if name in wanted or (isinstance(value, Measured) and name not in aside)
        }
        return scene_items(kept)
    shown = {
        name: value
        for name, value in values.items()
        if isinstance(value, Cut | Measured)
        or (isinstance(value, SurfaceMesh) and len(value.triangles))
    }
    if "remnant_surface" in shown:
        shown.pop("liver_surface", None)
    for upper, lower in DOUBLED.items():
        if upper in shown:
            shown.pop(lower, None)
    return scene_items(shown)


@dataclass(frozen=True)
class SliceFigure:
    """One slice: grey pixels [row, column], and outlines as segments in picture coordinates."""

    plane: SlicePlane
    pixels: npt.NDArray[np.uint8]
    outlines: tuple[tuple[npt.NDArray[np.float64], tuple[int, int, int]], ...]
    cut_line: npt.NDArray[np.float64] | None


def slice_figure(
    volume: Volume,
    view: ViewName,
    point_mm: Vector,
    values: Mapping[str, object],
    window: tuple[float, float] = (400.0, 60.0),
    named: Sequence[str] = (),
) -> SliceFigure:
    """Return the slice of ``view`` through an LPS mm point, with labels, measurements and the cut.

    ``window`` is width and level in the image's unit; ``named`` are the labels that are outlined,
    in drawing order, () for all.
    """
    plane = slice_plane(volume.geometry, view).through(point_mm)
    outlines = []
    for name in named or values:
        labels = values.get(name)
        if not isinstance(labels, LabelMap):
            continue
        drawn = slice_labels(labels, plane)
        for value, label in labels.labels.items():
            segments = outline_segments(drawn == value)
            if len(segments):
                outlines.append((segments, label.colour))
    for taken in values.values():
        if isinstance(taken, Measured) and taken.frame_uid == volume.geometry.frame_uid:
            lines = (parts_in_slice(plane.to_pixel(line)) for line in taken.lines_mm)
            outlines += [(parts, MEASURED) for parts in lines if len(parts)]
    cut = values.get("cut")
    line = _cut_line(cut, plane) if isinstance(cut, CutPlane) else None
    if isinstance(cut, CutSurface):
        places = plane.to_pixel(cut.surface.points_mm)
        pieces = lines_where_zero(cut.surface, places[:, 2])
        outlines.append((plane.to_pixel(pieces)[..., :2], CUT_COLOUR))
    return SliceFigure(plane, grey(plane.extract(volume.array), *window), tuple(outlines), line)


def _cut_line(cut: CutPlane, plane: SlicePlane) -> npt.NDArray[np.float64] | None:
    """Return where the cut crosses the slice, two points in picture coordinates, if it does."""
    corners = np.array([(0, 0), (plane.columns, 0), (plane.columns, plane.rows), (0, plane.rows)])
    side = (plane.to_world(corners - 0.5) - np.asarray(cut.point_mm)) @ np.asarray(cut.normal)
    crossings = []
    for n in range(4):
        a, b = side[n], side[(n + 1) % 4]
        if a * b < 0:
            share = a / (a - b)
            crossings.append(corners[n] + share * (corners[(n + 1) % 4] - corners[n]))
    return np.array(crossings, float) if len(crossings) == 2 else None
