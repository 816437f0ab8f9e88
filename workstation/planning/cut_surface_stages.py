"""Cuts of any shape: several planes, a deformable surface, territories, a wedge, combinations.

Space is DICOM patient LPS in millimetres; normals point to the specimen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, cast

import numpy as np
from annotated_types import Ge, Le, MinLen
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.ndimage import label as label_components
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, silent
from segmentation.volume import LabelMap
from segmentation.wording import counted
from workstation.planning.cut_surface import (
    CutSurface,
    centres_mm,
    from_level,
    from_sides,
    grid_around,
    require_both,
)
from workstation.planning.cut_surface_sheet import Heights, Sheet, flat_sheet, through_line
from workstation.planning.proposal import (
    Floats,
    Point,
    as_point,
    proposed_cut,
    sample_mm,
    skin_of,
    tight,
)
from workstation.planning.resection import (
    CutPlane,
    plane_axes,
    require_trees,
    require_voxels,
    unit_normal,
)
from workstation.planning.wedge import Wedge, closed_at_rim, places_of

SAMPLES = 60_000  # places of an organ that tell where a wedge lies in it
NO_TUMOR = "there is no tumour to cut a wedge around; mark it first, or choose another kind of cut"
SMALLEST_ML = 0.05  # a lesion below this makes no wedge of its own


def cut_planes(
    liver: LabelMap,
    *,
    points_mm: Annotated[tuple[tuple[float, float, float], ...], MinLen(1)],
    normals: Annotated[tuple[tuple[float, float, float], ...], MinLen(1)],
    specimen: Literal["between", "beyond_any"] = "between",
    progress: Progress = silent,
) -> CutSurface:
    """Place several planes that separate specimen and remnant together.

    Args:
        liver: the organ to cut.
        points_mm: a point (x, y, z) of each plane, LPS mm.
        normals: for each plane the direction in LPS from the remnant to the specimen.
        specimen: between takes what lies beyond all planes; beyond_any what lies beyond one.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty, points and normals do not belong together, or nothing
            or everything is removed.
    """
    organ = require_voxels(liver)
    if len(points_mm) != len(normals):
        raise ValueError(
            f"{counted(len(points_mm), 'point')} and {counted(len(normals), 'normal')} do not make "
            "planes; give one normal for each point"
        )
    points, directions = np.asarray(points_mm, float), [unit_normal(n) for n in normals]
    if not np.isfinite(points).all():
        raise ValueError("the points of a cut must be finite; give others")
    offsets = np.einsum("ij,ij->i", points, np.asarray(directions))
    progress(0.2, "drawing the cut")

    def sides(at: Floats) -> Floats:
        distance = at @ np.asarray(directions).T - offsets
        return np.asarray(distance.min(1) if specimen == "between" else distance.max(1))

    return from_sides(organ, sides, "planes")


def cut_surface(
    liver: LabelMap,
    tumor: LabelMap | None = None,
    portal: Centerline | None = None,
    hepatic: Centerline | None = None,
    *,
    point_mm: tuple[float, float, float] | None = None,
    normal: tuple[float, float, float] | None = None,
    along: tuple[float, float, float] | None = None,
    heights_mm: Heights = (),
    line_mm: tuple[tuple[float, float, float], ...] = (),
    depth: tuple[float, float, float] = (0.0, 1.0, 0.0),
    control_points: Annotated[int, Ge(2), Le(8)] = 4,
    margin_mm: Annotated[float, Ge(0), Le(50)] = 10.0,
    progress: Progress = silent,
) -> CutSurface:
    """Lay a deformable surface between specimen and remnant.

    It begins as a plane, or goes through a drawn line into the depth; control points then bend
    it. It is a bicubic B-spline, with 4 x 4 control points a Bezier patch.

    Args:
        liver: the organ to cut.
        tumor: what must come out, where there is one.
        portal: the tree of the veins that supply, which a proposed plane spares.
        hepatic: the tree of the veins that drain, likewise.
        point_mm: the middle (x, y, z) of its plane, LPS mm; empty proposes a plane.
        normal: direction (x, y, z) in LPS from the remnant to the specimen.
        along: direction of the rows of control points, LPS; empty takes one.
        heights_mm: rows of heights (mm) of the control points over the plane, along the normal.
        line_mm: points of a line drawn on the organ or on a slice, LPS mm.
        depth: direction in which the cut goes down from the line, LPS; that of the view.
        control_points: control points in a row and in a column, where no heights are given.
        margin_mm: distance in mm that a proposed plane keeps from the tumour.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty, heights do not make a grid, the line is too short, or
            nothing or everything is removed.
        FrameMismatch: if organ, tumour and trees live in different frames.
    """
    organ = require_voxels(liver)
    trees = require_trees(liver, portal, hepatic)
    if tumor is not None:
        _require_frame(liver, tumor)
    progress(0.1, "looking for a cut")
    findings: tuple[Finding, ...] = ()
    count = len(heights_mm) or control_points
    if line_mm:
        sheet = drawn_sheet(organ, tumor, np.asarray(line_mm, float), depth, normal, count)
    else:
        direction = None if normal is None else unit_normal(normal)
        if point_mm is None or direction is None:
            if point_mm is not None:
                raise ValueError("a cut through a given point needs its normal too; give both")
            point_mm, direction, findings = proposed_cut(organ, tumor, direction, margin_mm, trees)
        rows = plane_axes(direction)[0] if along is None else along
        sheet = flat_sheet(organ, as_point(point_mm), direction, as_point(rows), count)
    if heights_mm:
        sheet = _with_heights(sheet, heights_mm)
    progress(0.5, "drawing the cut")
    made = from_sides(organ, sheet.side_mm, "surface", sheet)
    return replace(made, findings=findings)


def _with_heights(sheet: Sheet, heights_mm: Heights) -> Sheet:
    sizes = {len(heights_mm), *map(len, heights_mm)}
    if len({len(row) for row in heights_mm}) != 1 or not {2, 3, 4, 5, 6, 7, 8} >= sizes:
        raise ValueError(
            "the heights of a cut must be 2 to 8 rows of as many heights each, such as 4 rows of 4"
        )
    if not np.isfinite(np.asarray(heights_mm, float)).all():
        raise ValueError("the heights of a cut must be finite; give others")
    return replace(sheet, heights_mm=tuple(tuple(float(v) for v in row) for row in heights_mm))


def drawn_sheet(
    organ: LabelMap,
    tumor: LabelMap | None,
    line: Floats,
    depth: Point,
    normal: Point | None,
    count: int,
) -> Sheet:
    """Return the sheet through a line (n, 3), LPS mm, of a tight organ, down into the depth.

    Its specimen lies on the side of ``normal`` (LPS), or of the tumour, or to the patient's right.

    Raises:
        ValueError: if the line is too short, or runs into the depth.
    """
    if len(line) < 2 or not np.isfinite(line).all():
        raise ValueError("a drawn cut needs a line of at least two points; draw it longer")
    down = np.asarray(unit_normal(depth))
    middle = line.mean(axis=0)
    flat = (line - middle) - ((line - middle) @ down)[:, None] * down
    main = np.linalg.svd(flat, full_matrices=False)[2][0]
    if float(np.ptp(flat @ main)) < 1.0:
        raise ValueError("the line of a cut is too short or runs into the depth; draw it longer")
    side = np.cross(main, down)
    lesion = None if tumor is None else tight(tumor)
    wanted = np.asarray(normal) if normal is not None else np.array([-1.0, 0.0, 0.0])
    if normal is None and lesion is not None:
        wanted = sample_mm(lesion, 20_000).mean(axis=0) - middle
    side = side if float(side @ wanted) >= 0 else -side
    sheet = flat_sheet(organ, as_point(middle), unit_normal(side), as_point(main), count)
    return through_line(sheet, line)


def cut_by_territories(
    liver: LabelMap,
    territories: LabelMap,
    *,
    names: Annotated[tuple[str, ...], MinLen(1)],
    smoothing_mm: Annotated[float, Ge(0), Le(20)] = 3.0,
    progress: Progress = silent,
) -> CutSurface:
    """Cut along the border of chosen segments or territories, which become the specimen.

    Args:
        liver: the organ to cut.
        territories: its segments or territories.
        names: names of the territories that are removed.
        smoothing_mm: standard deviation (mm) of the smoothing of the border.
        progress: told how far the work is.

    Raises:
        ValueError: if a name is unknown, or nothing or everything is removed.
        FrameMismatch: if organ and territories live in different frames.
    """
    organ = require_voxels(liver)
    _require_frame(liver, territories)
    known = {label.name: value for value, label in territories.labels.items()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"there is no territory {', '.join(unknown)}; there are: {', '.join(known)}"
        )
    progress(0.1, "finding the border")
    geometry = grid_around(organ)
    index = territories.geometry.to_index(centres_mm(geometry))[:, ::-1].T
    # Nearest voxel: values of labels must not be mixed.
    values = map_coordinates(territories.array, np.rint(index), order=0, mode="constant")
    taken = np.isin(values, [known[name] for name in names]).reshape(geometry.shape)
    other = (values != 0).reshape(geometry.shape) & ~taken
    require_both(taken[taken | other] if (taken | other).any() else np.zeros(1, np.bool_))
    spacing = geometry.spacing_kji_mm
    away = distance_transform_edt(~other, spacing), distance_transform_edt(~taken, spacing)
    level = (away[0] - away[1]) / 2
    if smoothing_mm:
        level = gaussian_filter(level, smoothing_mm / np.asarray(spacing))
    progress(0.6, "drawing the cut")
    return from_level(organ, level, geometry, "territories")


def cut_wedge(
    liver: LabelMap,
    tumor: LabelMap,
    portal: Centerline | None = None,
    hepatic: Centerline | None = None,
    *,
    margin_mm: Annotated[float, Ge(0), Le(50)] = 10.0,
    opening_degrees: Annotated[float, Ge(0), Le(120)] = 30.0,
    lesions: Literal["all", "largest"] = "all",
    spared_mm: Annotated[float, Ge(0), Le(30)] = 0.0,
    open_to_surface: bool = True,
    progress: Progress = silent,
) -> CutSurface:
    """Cut a wedge around each lesion, with a margin, open to the nearest surface of the organ.

    Wide veins can be spared: the cut then follows their wall, off the tumour, and the margin is
    less there.

    Args:
        liver: the organ to cut.
        tumor: what must come out.
        portal: the tree of the veins that supply, for veins to spare.
        hepatic: the tree of the veins that drain, likewise.
        margin_mm: distance in mm that the cut keeps from the tumour.
        opening_degrees: whole angle of the cone that widens towards the organ's surface.
        lesions: a wedge around all lesions, or around the largest.
        spared_mm: veins at least this wide (mm) are spared; 0 spares none.
        open_to_surface: whether it opens to the organ's surface; else it is closed around the
            lesion, as where the organ's surface is not known.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no tumour or no tree of what is to be spared, or nothing or
            everything is removed.
        FrameMismatch: if organ and tumour live in different frames.
    """
    organ = require_voxels(liver)
    _require_frame(liver, tumor)
    parts = lesions_for(tumor, lesions)
    if not parts:
        raise ValueError(NO_TUMOR)
    trees = require_trees(liver, portal, hepatic)
    skin = cast("SurfaceMesh", skin_of(liver)).points_mm if open_to_surface else None
    progress(0.1, "drawing the wedge")
    slope = float(np.tan(np.radians(opening_degrees / 2)))
    wedges = [Wedge(lesion, skin, margin_mm, slope) for lesion in parts]
    geometry = grid_around(organ, places_of(wedges, sample_mm(organ, SAMPLES)))
    level = np.full(geometry.shape, -np.inf)
    for number, wedge in enumerate(wedges):
        progress(0.2 + 0.6 * number / len(parts), "drawing the wedge")
        level = np.maximum(level, wedge.level(geometry))
    if spared_mm:
        points, step = centres_mm(geometry), max(geometry.spacing_mm)
        kept = without_veins(level.ravel(), points, tumor, trees, spared_mm, step)
        level = kept.reshape(level.shape)
    closed_at_rim(level)
    made = from_level(organ, level, geometry, "wedge")
    return replace(made, findings=(_wedge_note(margin_mm, spared_mm, open_to_surface),))


def _wedge_note(margin_mm: float, spared_mm: float, open_to_surface: bool) -> Finding:
    """Return what a reader must know about a wedge."""
    shape = "The wedge" if open_to_surface else "The cut is closed around the tumour, it"
    spares = f"it spares veins of {spared_mm:g} mm and wider, off the tumour"
    vessels = spares if spared_mm else "it takes no account of vessels"
    text = f"{shape} keeps {margin_mm:g} mm from the tumour; {vessels}."
    remedy = "Check the cut against the vessels."
    if not open_to_surface:
        text = f"{text[:-1]}, and the way to it is not part of it."
    return Finding(Severity.INFO, "wedge", text, remedy=remedy)


def without_veins(
    level: Floats,
    points: Floats,
    tumor: LabelMap,
    trees: Sequence[Centerline],
    spared_mm: float,
    step_mm: float,
) -> Floats:
    """Return a level (n,) at points (n, 3) that is not positive in wide veins off the tumour.

    Raises:
        ValueError: if there is no tree.
    """
    axes, radius = wide_veins(trees, spared_mm)
    found = np.array(level)
    taken = np.flatnonzero(level > 0)
    if not len(axes) or not len(taken):
        return found
    # A tube thinner than the grid would be lost between its places.
    apart, nearest = cKDTree(axes).query(points[taken])
    tube = apart - np.maximum(radius[nearest], step_mm)
    inside = taken[tube < level[taken]]
    skin = skin_of(tumor)
    assert skin is not None
    depth = -NearestOnSurface(skin).signed_mm(points[inside])
    found[inside] = np.maximum(tube[tube < level[taken]], np.minimum(depth, level[inside]))
    return found


def wide_veins(trees: Sequence[Centerline], spared_mm: float) -> tuple[Floats, Floats]:
    """Return places (n, 3) on the axes of veins at least so wide, LPS mm, and radii (n,) in mm.

    Raises:
        ValueError: if there is no tree.
    """
    if not trees:
        raise ValueError("there is no tree of veins to spare; give portal or hepatic, or spare 0")
    wide = [2 * tree.radius_mm >= spared_mm for tree in trees]
    axes = np.concatenate([tree.points_mm[here] for tree, here in zip(trees, wide)])
    return axes, np.concatenate([tree.radius_mm[here] for tree, here in zip(trees, wide)])


def lesions_for(tumor: LabelMap, which: str) -> list[LabelMap]:
    """Return the lesions that get a wedge, the largest first."""
    whole = tight(tumor)
    if whole is None:
        return []
    parts, count = label_components(whole.array)
    sizes = np.bincount(parts.ravel())[1:]
    order = 1 + np.argsort(-sizes, kind="stable")
    enough = [n for n in order if sizes[n - 1] * whole.geometry.voxel_ml >= SMALLEST_ML]
    chosen = (enough or order[:1].tolist())[: 1 if which == "largest" else count]
    found = (tight(replace(whole, array=parts == n)) for n in chosen)
    return [lesion for lesion in found if lesion is not None]


def combine_cuts(
    liver: LabelMap,
    cut: CutPlane | CutSurface,
    other: CutPlane | CutSurface,
    *,
    operation: Literal["both", "either", "first_without_second"] = "either",
    progress: Progress = silent,
) -> CutSurface:
    """Combine two cuts into one.

    Args:
        liver: the organ to cut.
        cut: the first cut.
        other: the second cut.
        operation: the specimen is what both remove, what either removes, or what the first
            removes and the second leaves.
        progress: told how far the work is.

    Raises:
        ValueError: if nothing or everything is removed.
        FrameMismatch: if organ and cuts live in different frames.
    """
    organ = require_voxels(liver)
    for one in (cut, other):
        if one.frame_uid != liver.geometry.frame_uid:
            raise FrameMismatch("a cut lies in another frame than the organ; register one first")
    join: dict[str, Callable[[Floats, Floats], Floats]] = {
        "both": np.minimum,
        "either": np.maximum,
        "first_without_second": lambda a, b: np.minimum(a, -b),
    }
    progress(0.2, "combining the cuts")
    return from_sides(
        organ, lambda p: join[operation](cut.side_mm(p), other.side_mm(p)), "combined"
    )


def _require_frame(liver: LabelMap, other: LabelMap) -> None:
    if other.geometry.frame_uid != liver.geometry.frame_uid:
        raise FrameMismatch(
            f"the organ lies in frame {liver.geometry.frame_uid} and the other label in "
            f"{other.geometry.frame_uid}; register one to the other first"
        )
