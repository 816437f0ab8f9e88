"""Measuring in the patient: lengths, angles, areas, volumes and distances of surfaces.

Every measurement is drawn where it was taken. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from meshing.nearest import NearestOnSurface
from meshing.surface import (
    SurfaceMesh,
    area_mm2,
    is_watertight,
    isosurface,
    require_watertight,
)
from meshing.surface import volume_ml as enclosed_ml
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.measured import (
    Measured,
    Reach,
    banded,
    grid_reach,
    half_band,
    length_mm,
    middle_mm,
    number_text,
    picked,
    reach_text,
)
from segmentation.volume import Floats, LabelMap, Vector, Volume

Place = Volume | LabelMap | SurfaceMesh
Uncertainty = Annotated[float, Ge(0), Le(20)] | None

INDEPENDENT = "the points independent of each other"


def frame_of(place: Place) -> str:
    """Return the frame of reference of an image, a label or a surface."""
    return place.frame_uid if isinstance(place, SurfaceMesh) else place.geometry.frame_uid


def mean_edge_mm(mesh: SurfaceMesh) -> float:
    """Return the mean length in mm of the edges of a surface's triangles."""
    corners = mesh.points_mm[mesh.triangles]
    return float(np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).mean())


def pick_reach(place: Place, uncertainty_mm: float | None) -> tuple[Reach, str]:
    """Return how far a point picked in ``place`` may be off, and that in words.

    Without ``uncertainty_mm`` it is half a voxel in an image, and half the mean edge of the
    triangles on a surface.
    """
    if uncertainty_mm is not None:
        return uncertainty_mm * np.eye(3), f"each point within {uncertainty_mm:.2f} mm (given)"
    if isinstance(place, SurfaceMesh):
        half = mean_edge_mm(place) / 2 if len(place.triangles) else 0.0
        return half * np.eye(3), f"each point within half a triangle edge ({half:.2f} mm)"
    reach = grid_reach(place.geometry)
    return reach, reach_text(reach)


def line_length(points: Floats) -> float:
    """Return the length in mm of the polyline through points (n, 3)."""
    return length_mm(points)


def angle_degrees(points: Floats) -> float:
    """Return the angle at the second of three points, or between the lines 1-2 and 3-4."""
    arms = points[[0, 2]] - points[1] if len(points) == 3 else points[[1, 3]] - points[[0, 2]]
    first, second = arms / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-12)
    across = np.linalg.norm(np.cross(first, second))
    return float(np.degrees(np.arctan2(across, first @ second)))


def curve_area_mm2(points: Floats) -> float:
    """Return the area in mm2 of a closed curve (n, 3), projected on its own best plane."""
    arms = points - points.mean(axis=0)
    return float(np.linalg.norm(np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0))) / 2


def distance(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...],
    uncertainty_mm: Uncertainty = None,
    progress: Progress = silent,
) -> Measured:
    """Measure the distance between points.

    With more than two points it is the length of the line through all of them, in order.

    Args:
        place: the image, label or surface in which the points were picked.
        points_mm: the points, LPS mm.
        uncertainty_mm: how far a point may be off; empty takes half a voxel of an image and
            half a triangle edge of a surface.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than two points.
    """
    points = picked(points_mm, 2, "a distance")
    reach, words = pick_reach(place, uncertainty_mm)
    total = line_length(points)
    source = f"sum of the straight distances; {words}, {INDEPENDENT}"
    numbers = [
        banded("length", total, "mm", source, half_band(line_length, points, reach)),
    ]
    if len(points) > 2:
        ends = points[[0, -1]]
        straight, half = line_length(ends), half_band(line_length, ends, reach)
        numbers.append(banded("end_to_end", straight, "mm", f"first to last; {words}", half))
    text = number_text(total, "mm")
    frame = frame_of(place)
    return Measured(frame, (points,), points, text, middle_mm(points), numbers=tuple(numbers))


def angle(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...],
    uncertainty_mm: Uncertainty = None,
    progress: Progress = silent,
) -> Measured:
    """Measure an angle.

    Three points give the angle at the second; four give the angle between the line through the
    first two and the line through the last two, as directions in space.

    Args:
        place: the image, label or surface in which the points were picked.
        points_mm: three or four points, LPS mm.
        uncertainty_mm: how far a point may be off; empty takes half a voxel of an image and
            half a triangle edge of a surface.
        progress: told how far the work is.

    Raises:
        ValueError: for another number of points.
    """
    points = picked(points_mm, 3, "an angle", most=4)
    reach, words = pick_reach(place, uncertainty_mm)
    value = angle_degrees(points)
    what = "angle at the second point" if len(points) == 3 else "angle between two lines"
    half = half_band(angle_degrees, points, reach)
    number = Number(
        "angle", value, "degrees", f"{what}; {words}, {INDEPENDENT}",
        max(value - half, 0.0), min(value + half, 180.0),
    )  # fmt: skip
    lines = (points,) if len(points) == 3 else (points[:2], points[2:])
    where = points[1] if len(points) == 3 else points[1:3].mean(axis=0)
    text = number_text(value, "degrees")
    return Measured(frame_of(place), lines, points, text, as_vector(where), numbers=(number,))


def area(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...],
    uncertainty_mm: Uncertainty = None,
    progress: Progress = silent,
) -> Measured:
    """Measure the area inside a closed curve.

    The curve runs through the points and back to the first. Its area is that of its shadow on
    the plane that suits it best; how far the points leave that plane is given too.

    Args:
        place: the image, label or surface in which the points were picked.
        points_mm: three or more points in order, LPS mm.
        uncertainty_mm: how far a point may be off; empty takes half a voxel of an image and
            half a triangle edge of a surface.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than three points.
    """
    points = picked(points_mm, 3, "an area")
    reach, words = pick_reach(place, uncertainty_mm)
    value = curve_area_mm2(points) / 100.0
    half = half_band(lambda p: curve_area_mm2(p) / 100.0, points, reach)
    loop = np.vstack([points, points[:1]])
    centre = points.mean(axis=0)
    off = (points - centre) @ np.linalg.svd(points - centre)[2][2]
    source = f"area of the flat curve; {words}, {INDEPENDENT}"
    around = half_band(lambda p: length_mm(np.vstack([p, p[:1]])), points, reach)
    numbers = (
        banded("area", value, "cm2", source, half),
        banded("perimeter", length_mm(loop), "mm", f"length of the closed curve; {words}", around),
        Number("flatness", float(np.ptp(off)), "mm", "how far the points leave one plane"),
    )
    text = number_text(value, "cm2")
    return Measured(frame_of(place), (loop,), points, text, as_vector(centre), numbers=numbers)


def surface_area(mesh: SurfaceMesh, *, part: str = "", progress: Progress = silent) -> Measured:
    """Measure the area of a surface, or of one of its named parts.

    Args:
        mesh: the surface, LPS mm.
        part: name of a part, such as "wall" or "inlet"; empty takes the whole surface.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface has no part of that name, or no triangle.
    """
    cells = _cells_of(mesh, part)
    shown = mesh.reshaped(mesh.points_mm, mesh.triangles[cells])
    value = area_mm2(shown) / 100.0
    number = Number("area", value, "cm2", f"sum of {len(cells)} triangles")
    edge = _rim(shown)
    corners = shown.points_mm[shown.triangles]
    text = number_text(value, "cm2")
    where = as_vector(corners.mean(axis=(0, 1)))
    return Measured(mesh.frame_uid, edge, np.empty((0, 3)), text, where, numbers=(number,))


def volume(
    place: LabelMap | SurfaceMesh, *, label: str = "", progress: Progress = silent
) -> Measured:
    """Measure the volume of a label or a closed surface.

    The band of a label is its outline half a voxel further in or out; that of a surface is
    its outline half a triangle edge further in or out. It is the worst case of an outline that
    is off everywhere in one direction; measure the doubt of a label for what is likely.

    Args:
        place: the label, or a closed surface.
        label: name of one of several labels; empty takes all together.
        progress: told how far the work is.

    Raises:
        ValueError: if there is nothing to measure.
        OpenSurface: if the surface is not closed.
    """
    progress(0.1, "measuring the volume")
    if isinstance(place, SurfaceMesh):
        require_watertight(place)
        value, shell, half = enclosed_ml(place), area_mm2(place), mean_edge_mm(place) / 2
        source = f"enclosed by the surface; outline within half a triangle edge ({half:.2f} mm)"
        middle = place.points_mm.mean(axis=0)
    else:
        mask = place.mask(label or None)
        if not mask.any():
            raise ValueError(f"the label {label or 'map'!r} has no voxel; segment it first")
        value = place.volume_ml(label or None)
        skin = isosurface(place, label=label)
        half = float(np.prod(place.geometry.spacing_mm)) ** (1 / 3) / 2
        shell, middle = area_mm2(skin), skin.points_mm.mean(axis=0)
        source = f"voxel count x voxel volume; outline within half a voxel ({half:.2f} mm)"
    number = banded("volume", value, "mL", source, shell * half / 1000.0)
    text = number_text(value, "mL")
    nothing = np.empty((0, 3))
    return Measured(frame_of(place), (), nothing, text, as_vector(middle), numbers=(number,))


def distance_to_surface(
    mesh: SurfaceMesh,
    *,
    click_mm: Vector,
    uncertainty_mm: Annotated[float, Ge(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Measure the distance from a point to a surface.

    It is negative for a point inside a closed surface.

    Args:
        mesh: the surface, LPS mm.
        click_mm: the point, LPS mm.
        uncertainty_mm: how far the point may be off; empty takes half a triangle edge.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface has no triangle.
    """
    progress(0.1, "searching the nearest point")
    finder = NearestOnSurface(mesh)
    point = np.asarray([click_mm], float)
    found = finder(point)
    inside = is_watertight(mesh) and float(finder.side(point, found)[0]) < 0
    value = float(found.distance_mm[0]) * (-1 if inside else 1)
    reach, words = pick_reach(mesh, uncertainty_mm)
    half = float(np.linalg.norm(reach, axis=1).max())
    source = f"straight line to the nearest point; {words}"
    number = Number("distance", value, "mm", source, value - half, value + half)
    line = np.vstack([point, found.point_mm])
    return Measured(
        mesh.frame_uid, (line,), point, number_text(value, "mm"), middle_mm(line),
        {"nearest_mm": as_vector(found.point_mm[0])}, numbers=(number,),
    )  # fmt: skip


def clearance(mesh: SurfaceMesh, other: SurfaceMesh, *, progress: Progress = silent) -> Measured:
    """Measure the smallest distance between two surfaces.

    The nearest pair of a point of one surface and any place on the other is searched in both
    directions; the band allows for faces that are nearer than any of their corners. Surfaces
    that overlap have the distance 0, and a finding says how deep.

    Args:
        mesh: the first surface, LPS mm.
        other: the second surface, in the same frame.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the surfaces lie in different frames.
        ValueError: if one has no triangle.
    """
    require_one_frame(mesh, other)
    best: tuple[float, Floats] = (np.inf, np.empty((2, 3)))
    deepest = 0.0
    for n, (one, two) in enumerate(((mesh, other), (other, mesh))):
        finder = NearestOnSurface(two)
        found = finder(one.points_mm, share(progress, n, 2))
        if is_watertight(two):
            inside = finder.side(one.points_mm, found) < 0
            deepest = max(deepest, float(found.distance_mm[inside].max(initial=0.0)))
        k = int(np.argmin(found.distance_mm))
        if found.distance_mm[k] < best[0]:
            best = float(found.distance_mm[k]), np.stack([one.points_mm[k], found.point_mm[k]])
    value, line = (0.0 if deepest else best[0]), best[1]
    names = mesh.name or "the surface", other.name or "the other surface"
    reach = max(mean_edge_mm(mesh), mean_edge_mm(other)) / 2
    source = (
        f"nearest pair of {names[0]} and {names[1]}; low end: half a triangle edge "
        f"({reach:.2f} mm) nearer"
    )
    number = Number("distance", value, "mm", source, max(value - reach, 0.0), value)
    findings = (_overlap(*names, deepest),) if deepest else ()
    return Measured(
        mesh.frame_uid,
        (line,),
        np.empty((0, 3)),
        number_text(value, "mm"),
        middle_mm(line),
        {"nearest_mm": as_vector(line[0])},
        findings=findings,
        numbers=(number,),
    )


def _overlap(name: str, other: str, deepest_mm: float) -> Finding:
    text = f"{name} and {other} overlap, by {deepest_mm:.1f} mm where they are deepest."
    return Finding(Severity.WARNING, "overlap", text)


def require_one_frame(mesh: SurfaceMesh, other: SurfaceMesh) -> None:
    """Raise unless two surfaces lie in one frame of reference.

    Raises:
        FrameMismatch: if they do not.
    """
    if mesh.frame_uid != other.frame_uid:
        raise FrameMismatch(
            f"{mesh.name or 'the surface'!r} and {other.name or 'the other surface'!r} lie in "
            "different frames of reference; register one to the other first"
        )


def _cells_of(mesh: SurfaceMesh, part: str) -> npt.NDArray[np.int64]:
    if part and part not in mesh.boundaries:
        known = ", ".join(sorted(mesh.boundaries)) or "none"
        raise ValueError(f"the surface has no part {part!r}; its parts are: {known}")
    cells = mesh.boundaries[part] if part else np.arange(len(mesh.triangles))
    if not len(cells):
        raise ValueError("there is no triangle to measure; make the surface again")
    return np.asarray(cells, np.int64)


def _rim(mesh: SurfaceMesh) -> tuple[Floats, ...]:
    """Return the free edges of a surface as closed or open lines."""
    start, end = mesh.triangles.ravel(), mesh.triangles[:, (1, 2, 0)].ravel()
    count = len(mesh.points_mm)
    free = ~np.isin(start * count + end, end * count + start)
    follow = dict(zip(start[free].tolist(), end[free].tolist()))
    lines = []
    while follow:
        first = next(iter(follow))
        ring = [first]
        while ring[-1] in follow:
            ring.append(follow.pop(ring[-1]))
        lines.append(mesh.points_mm[ring])
    return tuple(lines)


def as_vector(point: npt.ArrayLike) -> Vector:
    """Return three numbers as a tuple of floats."""
    x, y, z = np.asarray(point, float).tolist()
    return x, y, z
