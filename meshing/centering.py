"""Voxel ways through a lumen brought onto its true middle, and to its true ends.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from meshing.curves import arc_length_mm, local_fit, resampled, unit
from meshing.lumen import Opening, Piece, Wall
from meshing.sections import FIELDS, Slicer, measures
from meshing.vessel_graph import Graph, Way
from segmentation.contract import Progress

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
EndKind = Literal["open", "flat", "round", "asked"]

STEP = 0.25  # between points of a line, of its median radius
TRIM = 2.0  # radii at a blind tip that the voxel way does not tell the direction of
FLAT_COSINE = 0.95
RIM_COSINE = 0.35  # between cap and wall; a round end has more of this than of a cap
FLAT_SHARE = 0.55  # of the vessel's section that a flat cap must fill
WIDENED = 1.2  # times its calibre, and a vessel carries a sac
OWN = 1.25  # a section larger than this many of those around it is not the vessel's own
DOUBTFUL = 0.1  # weight of a point whose section is not
CENTERINGS = 3
STRAY = 0.5  # radii that a point may move from the voxels' ridge
TURNS = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


@dataclass(frozen=True, eq=False)
class Line:
    """One centered way: points (n, 3), what was measured at each, and the joints it joins."""

    start: int
    stop: int
    points_mm: Floats
    radius_mm: Floats
    sections: Floats  # (n, len(FIELDS)); nan where no section is the vessel's own

    def reversed(self) -> Line:
        """Return the way back."""
        return Line(
            self.stop, self.start, self.points_mm[::-1], self.radius_mm[::-1], self.sections[::-1]
        )


# ---------------------------------------------------------------- ends


def flat_cap(piece: Piece, way: Way) -> Bools | None:
    """Return which triangles form the flat cap on which a way ends, or None for a round end."""
    radius, direction = _direction(way)
    tip = way.points_mm[-1]
    corners = piece.points_mm[piece.triangles]
    away = np.linalg.norm(corners.mean(axis=1) - tip, axis=1)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    area = np.linalg.norm(across, axis=1)
    normals = across / np.maximum(area, 1e-12)[:, None]
    ahead = (away < 2.2 * radius) & (normals @ direction > 0.5)
    if not ahead.any():
        return None
    face = unit(across[ahead & (normals @ unit(across[ahead].sum(axis=0)) > 0.9)].sum(axis=0))
    flat = ahead & (normals @ face > FLAT_COSINE)
    if not flat.any():
        return None
    height = (corners.mean(axis=1) - tip) @ face
    height -= np.average(height, weights=area * flat)
    flat &= np.abs(height) < 0.3 * radius
    share = area[flat].sum() * max(float(face @ direction), 0.1) / (np.pi * radius**2)
    rim = (away < 2.2 * radius) & (height > -radius) & ~flat & (normals @ face > RIM_COSINE)
    return flat if share > FLAT_SHARE and area[rim].sum() < area[flat].sum() else None


def _direction(way: Way) -> tuple[float, Floats]:
    """Return the radius near the tip of a way and the unit vector in which it arrives there."""
    from_tip = arc_length_mm(way.points_mm[::-1])[::-1]
    last = _clear_of_tip(way)
    radius = max(float(way.depth_mm[last]), 1e-6)
    run = way.points_mm[: last + 1][from_tip[: last + 1] <= from_tip[last] + 3 * radius]
    if len(run) < 3:
        return radius, unit(way.points_mm[-1] - way.points_mm[0])
    axis = np.linalg.svd(run - run.mean(axis=0), full_matrices=False)[2][0]
    return radius, axis if axis @ (run[-1] - run[0]) > 0 else -axis


def _clear_of_tip(way: Way) -> int:
    """Return the last point of a way that the shape of its tip has no part in."""
    from_tip = arc_length_mm(way.points_mm[::-1])[::-1]
    clear = np.flatnonzero(from_tip >= TRIM * way.depth_mm)
    return int(clear[-1]) if len(clear) else 0


def finished(way: Way, piece: Piece, opening: Opening | None, flat: Bools | None) -> Way:
    """Return a way that ends where the vessel does.

    That is the middle of its opening or flat cap; in a round end, where the largest sphere
    touches the tip.
    """
    if opening is not None:
        return _ending_at(way, opening.centre_mm, opening.radius_mm)
    radius, direction = _direction(way)
    last = _clear_of_tip(way)
    tip = way.points_mm[-1]
    ahead = float((tip - way.points_mm[last]) @ direction)
    if flat is not None:
        corners = piece.points_mm[piece.triangles[flat]]
        weight = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        target = np.average(corners.mean(axis=1), axis=0, weights=weight)
    else:
        target = way.points_mm[last] + direction * max(ahead - radius, 0.0)
    return _ending_at(way.shortened(last + 1), target, radius)


def _ending_at(way: Way, target: Floats, radius: float) -> Way:
    """Return a way whose last radius is replaced by a straight run to ``target``."""
    far = np.linalg.norm(way.points_mm - target, axis=1) > 0.7 * radius
    last = int(np.flatnonzero(far)[-1]) + 1 if far.any() else 1
    kept = way.shortened(last)
    return replace(
        kept,
        points_mm=np.concatenate([kept.points_mm, target[None]]),
        depth_mm=np.append(kept.depth_mm, radius),
        calibre_mm=np.append(kept.calibre_mm, radius),
    )


# ---------------------------------------------------------------- centering


def center(
    graph: Graph, piece: Piece, wall: Wall, voxel_mm: float, progress: Progress
) -> list[Line]:
    """Return the ways of a graph on the middle of their lumen, with radii and sections."""
    slicer = Slicer(piece)
    lines = []
    for n, way in enumerate(graph.ways):
        progress(n / len(graph.ways), "centering the branches")
        joints = (way.start, way.stop)
        junctions = (graph.degree(joints[0]) > 2, graph.degree(joints[1]) > 2)
        blind = [graph.degree(j) == 1 and not graph.joints[j].forced for j in joints]
        line = _centered(way, junctions, (blind[0], blind[1]), wall, slicer, voxel_mm)
        lines.append(line)
    return lines


def _centered(
    way: Way,
    junctions: tuple[bool, bool],
    blind: tuple[bool, bool],
    wall: Wall,
    slicer: Slicer,
    voxel_mm: float,
) -> Line:
    step = max(STEP * float(np.median(way.calibre_mm)), voxel_mm / 2)
    points = resampled(way.points_mm, step, least=9)
    length = arc_length_mm(way.points_mm)
    at = np.linspace(0, length[-1], len(points))
    calibre, depth = (np.interp(at, length, v) for v in (way.calibre_mm, way.depth_mm))
    in_sac = depth > WIDENED * calibre
    window = np.maximum(np.where(in_sac, 3.0, 1.0) * calibre, 2.5 * voxel_mm)
    points = local_fit(points, window).points_mm
    free = ~in_sac & ~_near_junctions(points, calibre, junctions)
    points = _climbed(points, calibre, free, wall)
    points = local_fit(points, window).points_mm
    for _ in range(CENTERINGS):
        points = _at_centroids(points, window, free, wall, slicer)
        if way.start == way.stop and not junctions[0]:  # a ring: no point of it stays pinned
            half = len(points) // 2
            points = np.concatenate([points[half:], points[1 : half + 1]])
            window, free = np.roll(window, -half), np.ones(len(points), np.bool_)
    points = _straight_out(points, calibre, blind)
    points = resampled(points, step, least=9)
    radius = wall.distance(points)
    return Line(way.start, way.stop, points, radius, _measured(points, radius, slicer))


def _straight_out(points: Floats, calibre: Floats, blind: tuple[bool, bool]) -> Floats:
    """Return a line that runs straight through the last radius before a blind end."""
    for at_start, is_blind in zip((True, False), blind):
        if not is_blind:
            continue
        run = points[::-1] if at_start else points
        width = float(calibre[0] if at_start else calibre[-1])
        left = arc_length_mm(run)[-1] - arc_length_mm(run)
        inner = np.flatnonzero((left > width) & (left < 3 * width))
        if len(inner) < 3:
            continue
        last = int(inner[-1])
        ahead = unit(run[last] - run[inner[0]])
        tip = run[last] + ahead * max(float((run[-1] - run[last]) @ ahead), 0.0)
        run = np.concatenate([run[: last + 1], np.linspace(run[last], tip, len(run) - last)[1:]])
        points = run[::-1] if at_start else run
    return points


def _near_junctions(points: Floats, calibre: Floats, junctions: tuple[bool, bool]) -> Bools:
    """Return which points lie in the largest sphere of a junction at either end."""
    near = np.zeros(len(points), np.bool_)
    for is_junction, place in zip(junctions, (0, -1)):
        if is_junction:
            near |= np.linalg.norm(points - points[place], axis=1) < calibre[place]
    return near


def _climbed(points: Floats, calibre: Floats, free: Bools, wall: Wall) -> Floats:
    """Return the free points moved across the line to where the wall is farthest."""
    u, v = _frames(local_fit(points, calibre).tangents)
    rows = np.flatnonzero(free[1:-1]) + 1
    if not len(rows):
        return points
    here = points.copy()
    best = wall.nearly(here[rows])
    size = 0.3 * calibre[rows]
    offsets = TURNS @ np.stack([u, v], axis=1)[rows]  # (n, 8, 3)
    each = np.arange(len(rows))
    for _ in range(6):
        tried = here[rows, None] + offsets * size[:, None, None]
        depth = wall.nearly(tried.reshape(-1, 3)).reshape(len(rows), -1)
        strayed = np.linalg.norm(tried - points[rows, None], axis=2)
        depth[strayed > STRAY * calibre[rows, None]] = 0.0
        choice = depth.argmax(axis=1)
        better = depth[each, choice] > best
        here[rows[better]] = tried[each, choice][better]
        best = np.where(better, depth[each, choice], best)
        size = np.where(better, size, size / 2)
    return here


def _frames(tangents: Floats) -> tuple[Floats, Floats]:
    """Return two unit vectors across each of the tangents (n, 3)."""
    helper = np.eye(3)[np.argmin(np.abs(tangents), axis=1)]
    u = unit(np.cross(tangents, helper))
    return u, np.cross(tangents, u)


def _at_centroids(
    points: Floats, window: Floats, free: Bools, wall: Wall, slicer: Slicer
) -> Floats:
    """Return points at the centroids of their sections, where a section is the vessel's own.

    A section that opens into a branch or a sac is larger than those along the way.
    """
    radius = wall.nearly(points)
    tangents = local_fit(points, 1.5 * window).tangents
    moved, areas = points.copy(), np.full(len(points), np.nan)
    for n in np.flatnonzero(free[1:-1]) + 1:
        section = slicer.around(points[n], tangents[n], radius[n])
        if section is not None and section.whole:
            moved[n], areas[n] = section.centroid_mm, section.area_mm2
    usual = _running_median(areas, arc_length_mm(points), 4 * radius)
    own = (areas < OWN * usual) | (areas < OWN * np.pi * radius**2)
    own &= np.linalg.norm(moved - points, axis=1) < STRAY * radius
    moved[~own] = points[~own]
    return local_fit(moved, window, np.where(own, 1.0, DOUBTFUL)).points_mm


def _running_median(values: Floats, at: Floats, half: Floats) -> Floats:
    """Return the median of the finite values within ``half`` (n,) of each place; nan for none."""
    result = np.full(len(values), np.nan)
    known = np.isfinite(values)
    for n in range(len(values)):
        near = values[known & (np.abs(at - at[n]) <= half[n])]
        if len(near):
            result[n] = np.median(near)
    return result


def _measured(points: Floats, radius: Floats, slicer: Slicer) -> Floats:
    """Return the measures of the orthogonal section at each point, nan where there is none."""
    tangents = local_fit(points, 1.5 * radius).tangents
    table = np.full((len(points), len(FIELDS)), np.nan)
    for n in range(len(points)):
        section = slicer.around(points[n], tangents[n], radius[n])
        if section is not None and section.whole:
            table[n] = measures(section)
    return table
