"""The shape of an aneurysm in the numbers of the literature: ratios, indices and angles.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.distance import pdist, squareform

from meshing.aneurysm import dome as dome_of
from meshing.aneurysm_crossing import followed
from meshing.aneurysm_evened import evened
from meshing.aneurysm_limbs import Limb, limbs, parent_limbs
from meshing.aneurysm_neck import FINE, Neck, NoNeck, neck_of
from meshing.aneurysm_sac import level_curve
from meshing.centerline import Centerline
from meshing.curves import resampled, unit
from meshing.holes import half_edges
from meshing.integrals import area_of, volume_of
from meshing.sections import in_plane
from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.measured import Measured, number_text

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = 40  # planes along the height in which the width is measured
DIRECTIONS = 500  # in which the ends of the largest distance are looked for
MANY = 1000  # corners
EVENED = 3.0  # times the blur, two voxels: what is narrower is no shape of the wall
FARTHEST = 0.02  # of the largest height: what is as far as that may be the farthest
HEMISPHERE = (18 * np.pi) ** (1 / 3)


@dataclass(frozen=True, eq=False)
class Shape:
    """Measures of one dome; lengths in mm, angles in degrees.

    ``ends_mm`` are the ends of the line of the largest height and of the largest width; ``ranges``
    what angles of the line of the largest height are with any of the farthest points as its end.
    """

    values: dict[str, float]
    ends_mm: tuple[Floats, Floats]
    ranges: dict[str, tuple[float, float]]


def aneurysm_shape(
    dome: SurfaceMesh,
    neck: Neck,
    centerline: Centerline,
    *,
    doubt_mm: Annotated[float, Ge(0), Le(5)] = 0.25,
    progress: Progress = silent,
) -> Measured:
    """Measure the shape of an aneurysm: ratios, indices, angles and size.

    Volume and area are those of the sac without the disc at its neck. Aspect ratio: height
    across the neck's plane by its mean diameter (Ujiie et al., Neurosurgery 45 (1999) 119). Size
    ratio: largest distance from the middle of the neck by the diameter of the parent vessel;
    angles of aneurysm and vessel to the neck (Dhar et al., Neurosurgery 63 (2008) 185).
    Undulation, nonsphericity and ellipticity (Raghavan et al., J Neurosurg 102 (2005) 355). Where
    the neck knows what fills its crease, that and steps of voxels are taken back.

    Args:
        dome: the dome with its parts wall and neck.
        neck: its neck.
        centerline: the branches of the vessel.
        doubt_mm: how far (mm) the neck may be off along the dome; each band is what half of it
            either way changes, to first order, and for angles of the line of the largest height
            every end that is almost as far; 0 gives none.
        progress: told how far the work is.

    Raises:
        ValueError: if the dome has no parts wall and neck.
        FrameMismatch: if the values live in different frames.
    """
    _require(dome, neck, centerline)
    progress(0.1, "measuring the dome")
    beside = limbs(centerline, neck)
    parent = parent_limbs(beside)
    vessel = float(np.mean([limb.diameter_mm for limb in parent])) if parent else None
    shape = shape_of(dome, neck, vessel, beside)
    progress(0.6, "moving the neck by its doubt")
    moved = _moved(dome, neck, vessel, beside, doubt_mm / 2) if doubt_mm else None
    bare = replace(neck, unfilled_mm=np.empty((0, 3)))
    on_wall = shape_of(dome, bare, vessel, beside) if moved else shape
    numbers = tuple(_numbers(shape, moved, on_wall, vessel, parent, doubt_mm))
    height, width = shape.ends_mm
    ratio = shape.values["aspect_ratio"]
    text = f"aspect ratio {ratio:.2f}, {number_text(shape.values['size'], 'mm')}"
    findings = [] if beside else [_no_vessel()]
    if doubt_mm and moved is None:
        findings.append(_no_band(doubt_mm))
    tip = height[1]
    return Measured(
        dome.frame_uid, (height, width), np.empty((0, 3)), text,
        (float(tip[0]), float(tip[1]), float(tip[2])),
        findings=(*dome.findings, *findings), numbers=numbers,
    )  # fmt: skip


def _require(dome: SurfaceMesh, neck: Neck, centerline: Centerline) -> None:
    if not {"wall", "neck"} <= set(dome.boundaries):
        raise ValueError("the dome has no parts named wall and neck; cut it off at its neck")
    if len({dome.frame_uid, neck.frame_uid, centerline.frame_uid}) > 1:
        raise FrameMismatch("dome, neck and centerline lie in different frames of reference")


def shape_of(
    dome: SurfaceMesh, neck: Neck, vessel_mm: float | None, beside: tuple[Limb, ...] = ()
) -> Shape:
    """Return the measures of a dome on a neck; ``vessel_mm`` is the parent vessel's diameter.

    Where it is known what fills the crease at the neck, what this adds is taken back.
    """
    places, cells = _less_fill(dome, neck)
    wall = dome.triangles[dome.boundaries["wall"]]
    rim = np.unique(dome.triangles[dome.boundaries["neck"]])
    points = places[np.unique(wall)]
    centre, normal = neck.base_mm, np.array(neck.normal)
    volume = float(volume_of(places, cells))
    area = float(area_of(places, wall))
    hull_volume, hull_area = _hull(places, np.unique(wall), rim)
    away = np.linalg.norm(points - centre, axis=1)
    tip = points[int(np.argmax(away))]
    height = float(((points - centre) @ normal).max())
    width, width_ends = _widest(places, wall, centre, normal, height)
    axis = unit(tip - centre)
    axes = unit(points[away >= (1 - FARTHEST) * away.max()] - centre)
    ranges = {"aneurysm_angle": _range([_above_plane(way, normal) for way in axes])}
    neck_mm = neck.width_mm
    values = {
        "aspect_ratio": height / neck_mm,
        "bottleneck_factor": width / neck_mm,
        "undulation_index": 1 - volume / hull_volume,
        "nonsphericity_index": 1 - HEMISPHERE * volume ** (2 / 3) / area,
        "ellipticity_index": 1 - HEMISPHERE * hull_volume ** (2 / 3) / hull_area,
        "height": height,
        "height_maximum": float(away.max()),
        "width_maximum": width,
        "size": _diameter(points),
        "aneurysm_angle": _above_plane(axis, normal),
    }
    if vessel_mm is not None:
        values["size_ratio"] = float(away.max()) / vessel_mm
    inflow = next((limb for limb in beside if limb.upstream), None)
    if inflow is not None:
        values["vessel_angle"] = _above_plane(inflow.direction, normal)
        values["inflow_angle"] = _between(inflow.direction, axis)
        ranges["inflow_angle"] = _range([_between(inflow.direction, way) for way in axes])
    return Shape(values, (np.stack([centre, tip]), width_ends), ranges)


def _range(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _between(one: Floats, other: Floats) -> float:
    """Return the angle in degrees, 0 to 180, between two unit vectors."""
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def _less_fill(dome: SurfaceMesh, neck: Neck) -> tuple[Floats, Ints]:
    """Return points and triangles of a dome without what voxels and blur add to it.

    Where the crease at the neck was filled, the wall next to it goes back with the neck, and a fan
    closes it in place of its membrane; steps of voxels are evened out.
    """
    free_mm = neck.fill.free_mm if neck.fill else 0.0
    moved = followed(dome.points_mm, neck.points_mm, neck.unfilled_mm, free_mm)
    if moved is dome.points_mm:
        return dome.points_mm, dome.triangles
    wall = dome.triangles[dome.boundaries["wall"]]
    start, end = half_edges(wall)
    free = ~np.isin(end * len(moved) + start, start * len(moved) + end)
    if neck.fill and neck.fill.voxels:
        moved = evened(moved, wall, EVENED * neck.fill.blur_mm)
    middle = np.full(int(free.sum()), len(moved))
    fan = np.stack([end[free], start[free], middle], axis=1)
    return np.concatenate([moved, neck.base_mm[None]]), np.concatenate([wall, fan])


def _above_plane(direction: Floats, normal: Floats) -> float:
    """Return the angle in degrees, 0 to 90, between a direction and a plane."""
    return float(np.degrees(np.arcsin(np.clip(abs(float(direction @ normal)), 0, 1))))


def _hull(points: Floats, used: Ints, rim: Ints) -> tuple[float, float]:
    """Return volume (mm3) and area (mm2) of the convex hull, without what lies in the neck."""
    hull = ConvexHull(points[used])
    at_neck = np.isin(used[hull.simplices], rim).all(axis=1)
    corners = points[used[hull.simplices]]
    sizes = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    ) / 2  # fmt: skip
    return float(hull.volume), float(sizes[~at_neck].sum())


def _diameter(points: Floats) -> float:
    """Return the largest distance of two points (n, 3)."""
    corners = points[ConvexHull(points).vertices]
    if len(corners) > MANY:  # only what lies outermost in some direction can be an end
        turn = np.pi * (1 + 5**0.5) * np.arange(DIRECTIONS)
        z = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
        ring = np.sqrt(1 - z**2)
        ways = np.stack([ring * np.cos(turn), ring * np.sin(turn), z])
        reach = corners @ ways
        corners = corners[np.unique(np.concatenate([reach.argmax(axis=0), reach.argmin(axis=0)]))]
    return float(pdist(corners).max())


def _widest(
    points: Floats, wall: Ints, centre: Floats, normal: Floats, height: float
) -> tuple[float, Floats]:
    """Return the largest width parallel to the neck, and the ends of that line."""
    level = (points - centre) @ normal
    edges = np.unique(np.sort(wall[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1), axis=0)
    low, high = level[edges].T
    u, v = in_plane(normal)
    best, ends = 0.0, np.stack([centre, centre])
    for at in height * (np.arange(LEVELS) + 0.5) / LEVELS:
        crossed = edges[(low - at) * (high - at) < 0]
        if len(crossed) < 3:
            continue
        one, two = level[crossed].T
        share = ((at - one) / (two - one))[:, None]
        ring = points[crossed[:, 0]] * (1 - share) + points[crossed[:, 1]] * share
        flat = np.stack([ring @ u, ring @ v], axis=1)
        corners = ring[ConvexHull(flat).vertices]
        apart = squareform(pdist(corners))
        if apart.max() > best:
            best = float(apart.max())
            ends = corners[list(np.unravel_index(int(apart.argmax()), apart.shape))]
    return best, ends


def _moved(
    dome: SurfaceMesh, neck: Neck, vessel_mm: float | None, beside: tuple[Limb, ...], by_mm: float
) -> Shape | None:
    """Return the measures with the neck moved along the wall into the dome, or None."""
    ring = np.concatenate([neck.points_mm, neck.points_mm[:1]])
    length = float(np.linalg.norm(np.diff(ring, axis=0), axis=1).sum())
    level = cKDTree(resampled(ring, length / FINE)).query(dome.points_mm)[0] - by_mm
    level[np.unique(dome.triangles[dome.boundaries["neck"]])] = -by_mm
    tip = int(np.argmax(np.linalg.norm(dome.points_mm - np.array(neck.centre_mm), axis=1)))
    try:
        curve, middle = level_curve(dome.points_mm, dome.triangles, level, tip)
        vessel = (neck.vessel_mm, neck.vessel_radius_mm)
        higher = neck_of(curve, dome.points_mm[tip], middle, neck.frame_uid, vessel, "moved")
        return shape_of(dome_of(dome, higher), higher, vessel_mm, beside)
    except (NoNeck, ValueError):
        return None


def _numbers(
    shape: Shape,
    moved: Shape | None,
    on_wall: Shape,
    vessel_mm: float | None,
    parent: tuple[Limb, ...],
    doubt_mm: float,
) -> list[Number]:
    numbers = []
    band = f"; band: neck moved by {doubt_mm / 2:.3g} mm either way, to first order"
    filled = "; at least as much as was taken back of what fills the neck"
    for name, value in shape.values.items():
        unit, text = SOURCES[name]
        number = Number(name, value, unit, text, plain=True)
        if moved is not None and name in moved.values:
            taken = abs(value - on_wall.values[name])
            half = max(abs(moved.values[name] - on_wall.values[name]), taken)
            told = text + band + (filled if taken else "")
            low = min(value, max(value - half, 0.0))  # some indices lie below 0 by themselves
            number = replace(number, low=low, high=value + half, source=told)
            if name in shape.ranges:
                number = _by_farthest(number, shape, moved, on_wall)
        numbers.append(number)
    if vessel_mm is None:
        return numbers
    vessel = _parent_diameter(vessel_mm, parent)
    return [*(_by_vessel(n, vessel) if n.quantity == "size_ratio" else n for n in numbers), vessel]


def _by_farthest(angle: Number, shape: Shape, moved: Shape, on_wall: Shape) -> Number:
    """Return an angle of the line of the largest height with a band of where that line may end.

    The farthest corner of a blunt dome lies anywhere on its top, and jumps when the neck moves.
    """
    name = angle.quantity
    most = 90.0 if name == "aneurysm_angle" else 180.0
    taken = abs(shape.values[name] - on_wall.values[name])
    by_neck = np.abs(np.subtract(moved.ranges[name], on_wall.ranges[name]))
    low, high = np.array(shape.ranges[name]) + np.array([-1, 1]) * np.maximum(by_neck, taken)
    text = f"{angle.source}, and any end within {100 * FARTHEST:g} % of the largest height"
    return replace(angle, low=max(float(low), 0.0), high=min(float(high), most), source=text)


def _parent_diameter(vessel_mm: float, parent: tuple[Limb, ...]) -> Number:
    """Return the parent vessel's diameter; its band holds if each branch lies within its range."""
    names = ", ".join(limb.name for limb in parent)
    ranges = "their range" if len(parent) == 1 else "means of the least and of the largest of each"
    text = (
        "mean diameter of discs of the sections' areas within 1.5 diameters of the neck on "
        f"{names}; band: {ranges}"
    )
    low, high = (float(end) for end in np.mean([limb.range_mm for limb in parent], axis=0))
    return Number("parent_diameter", vessel_mm, "mm", text, low, high, plain=True)


def _by_vessel(ratio: Number, vessel: Number) -> Number:
    """Return a ratio to the parent vessel's diameter with that diameter's band in its own."""
    low, high = (ratio.value if end is None else end for end in (ratio.low, ratio.high))
    least, most = vessel.low or vessel.value, vessel.high or vessel.value
    joint = "; band: " if ratio.low is None else ", and "
    return replace(
        ratio,
        low=low * vessel.value / most,
        high=high * vessel.value / least,
        source=f"{ratio.source}{joint}the band of the parent diameter",
    )


SOURCES = {
    "aspect_ratio": ("", "height across the neck's plane / mean diameter of the neck"),
    "size_ratio": ("", "largest distance from the neck's middle / parent vessel's diameter"),
    "bottleneck_factor": ("", "largest width parallel to the neck / mean diameter of the neck"),
    "undulation_index": ("", "1 - volume / volume of the convex hull"),
    "nonsphericity_index": ("", "1 - (18 pi)^(1/3) volume^(2/3) / area without the neck"),
    "ellipticity_index": ("", "the same of the convex hull: 0 for half a ball"),
    "height": ("mm", "largest distance from the neck's plane"),
    "height_maximum": ("mm", "largest distance from the neck's middle"),
    "width_maximum": ("mm", "largest width parallel to the neck's plane"),
    "size": ("mm", "largest distance of two points of the dome"),
    "aneurysm_angle": ("degrees", "between the line of the largest height and the neck's plane"),
    "vessel_angle": ("degrees", "between the inflowing vessel's axis and the neck's plane"),
    "inflow_angle": ("degrees", "between the inflow and the line of the largest height"),
}
"""Unit and meaning of each measure."""


def _no_vessel() -> Finding:
    text = "No vessel beside the neck is long enough to be measured, so there is no size ratio."
    remedy = "Let the surface reach at least two diameters of vessel on either side of the neck."
    return Finding(Severity.WARNING, "no_parent_diameter", text, remedy=remedy)


def _no_band(doubt_mm: float) -> Finding:
    text = f"The dome is too small for its neck to be moved by {doubt_mm / 2:.3g} mm: no band."
    return Finding(Severity.WARNING, "no_band", text, remedy="Give a smaller doubt.")
