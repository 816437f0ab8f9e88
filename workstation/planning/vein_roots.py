"""Where the two systems of veins of the liver begin: the portal trunk, the hepatic confluence.

Places are looked for around where they usually lie in the box of the liver, given in shares of it
from right to left, front to back and below to above. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.spatial import cKDTree

from segmentation.volume import LabelMap
from workstation.planning.vein_graph import (
    STEP_MM,
    Bools,
    Floats,
    VeinGraph,
    ways_from,
    widest_near_mm,
)

HILUM_SHARE = (0.57, 0.45, 0.45)
CONFLUENCE_SHARE = (0.62, 0.57, 0.85)
HILUM_SPREAD_MM = 30.0
CONFLUENCE_REACH_MM = 35.0
MEET_MM = 36.0  # beside the confluence: the main hepatic veins come in on one level
MEET_HEIGHT_MM = 20.0  # above and below it
RIM_MM = 2.0  # from the liver's surface, to either side
MOUTH = 0.5  # of a cut across the trunk: how much of it lies at the liver's surface where it ends
THICK_MM = 1.1  # deep, and a vein near the confluence is a main one
TRUNK = 0.6  # of the widest place: how narrow the trunk may become towards its cut end


def place_in(liver: LabelMap, share: tuple[float, float, float]) -> Floats:
    """Return the point, LPS mm, at shares of the box that holds most of the liver.

    Raises:
        ValueError: if the liver is empty.
    """
    index = np.argwhere(liver.array)[::17, ::-1]
    if not len(index):
        raise ValueError("the liver is empty; segment it first")
    low, high = np.percentile(liver.geometry.to_world(index), (1, 99), axis=0)
    return np.asarray(low + np.asarray(share) * (high - low))


def portal_root(
    graph: VeinGraph, liver: LabelMap | None, root_mm: tuple[float, float, float] | None
) -> int:
    """Return the cube where the portal vein begins.

    It is the cut end of the trunk: from the widest place near the hilum the vein is followed as
    far as it stays wide. Where the label ends with the liver, its end is where most of the vein
    touches what is no liver; a right branch may be as wide as the trunk and run below it, but
    ends within the liver.
    """
    if root_mm is not None:
        return int(np.argmin(np.linalg.norm(graph.points_mm - root_mm, axis=1)))
    wide = widest_near_mm(graph)
    if liver is not None:
        away = np.linalg.norm(graph.points_mm - place_in(liver, HILUM_SHARE), axis=1)
        wide = wide * np.exp(-((away / HILUM_SPREAD_MM) ** 2) / 2)
    wide[graph.piece != 0] = 0
    middle = int(np.argmax(wide))
    ways = ways_from(graph, middle)
    depth = widest_near_mm(graph)
    narrowest = np.full(len(wide), -1.0)
    narrowest[middle] = depth[middle]
    for cube in np.argsort(ways.cost, kind="stable").tolist():
        if ways.before[cube] >= 0:
            narrowest[cube] = min(narrowest[ways.before[cube]], depth[cube])
    trunk = narrowest >= TRUNK * depth[middle]
    # The trunk comes from the left, below and behind; its branches go to the right and up.
    inwards = (graph.points_mm - graph.points_mm[middle]) @ np.array([0.5, 0.25, -1.0])
    if liver is not None:
        around = (graph.piece == 0) & _within(graph.points_mm, trunk, float(depth[middle]))
        deep = np.full(len(wide), np.inf)
        deep[around] = _depth_mm(liver, graph.points_mm[around])
        if (trunk & (deep < -RIM_MM)).any():  # the label follows the trunk out of the liver
            trunk &= deep < -RIM_MM
        elif (mouth := _mouth(graph.points_mm, deep < RIM_MM, float(depth[middle]))) is not None:
            return mouth
    return int(np.argmax(np.where(trunk, inwards, -np.inf)))


def _mouth(points_mm: Floats, rim: Bools, radius_mm: float) -> int | None:
    """Return the cube amid the place where a trunk of such radius comes in, None without one.

    ``rim`` are the cubes about the trunk at the liver's surface, with which the label ends. A vein
    that only passes by touches the surface with less than a cut across the trunk would.
    """
    at = np.flatnonzero(rim)
    if not len(at):
        return None
    near = cKDTree(points_mm[at]).query_ball_point(points_mm[at], radius_mm + STEP_MM)
    widest = max(near, key=len)
    if len(widest) * STEP_MM**2 < MOUTH * np.pi * radius_mm**2:
        return None
    middle = points_mm[at[widest]].mean(axis=0)
    return int(at[np.argmin(np.linalg.norm(points_mm[at] - middle, axis=1))])


def _within(points_mm: Floats, chosen: Bools, reach_mm: float) -> Bools:
    """Tell for each point whether one of the chosen lies within a reach."""
    return np.asarray(cKDTree(points_mm[chosen]).query(points_mm)[0] <= reach_mm)


def _depth_mm(liver: LabelMap, points_mm: Floats) -> Floats:
    """Return how deep points (n, 3), LPS mm, lie in the liver, below 0 outside it."""
    index = liver.geometry.to_index(points_mm)[:, ::-1]
    spacing = np.asarray(liver.geometry.spacing_kji_mm)
    spare = np.ceil(2 * RIM_MM / spacing).astype(int) + 1
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - spare, 0)
    high = np.ceil(index.max(axis=0)).astype(int) + spare + 1
    inside = liver.array[tuple(slice(a, b) for a, b in zip(low, high))] != 0
    signed = distance_transform_edt(inside, spacing) - distance_transform_edt(~inside, spacing)
    return np.asarray(map_coordinates(signed, (index - low).T, order=1, mode="nearest"))


def confluence(graph: VeinGraph, liver: LabelMap | None) -> Floats:
    """Return where the hepatic veins meet, LPS mm.

    From the usual place, or the highest without a liver, it moves to the middle of the nearest
    points of all larger pieces around it.
    """
    if liver is not None:
        place = place_in(liver, CONFLUENCE_SHARE)
    else:
        place = graph.points_mm[np.argmax(graph.points_mm[:, 2] + 5 * graph.depth_mm)]
    sizes = np.bincount(graph.piece)
    large = np.flatnonzero(sizes > 0.03 * sizes.sum())
    for _ in range(3):
        near = []
        for number in large:
            points = graph.points_mm[graph.piece == number]
            away = np.linalg.norm(points - place, axis=1)
            if away.min() < CONFLUENCE_REACH_MM:
                near.append(points[np.argmin(away)])
        if not near:
            break
        place = np.mean(near, axis=0)
    return np.asarray(place, np.float64)


def meeting(graph: VeinGraph, hub_mm: Floats, thick_mm: float = THICK_MM) -> Bools:
    """Return the cubes of veins beside the place where the hepatic veins meet.

    Veins that are less than ``thick_mm`` deep are left out.
    """
    off = (graph.points_mm - hub_mm) / (MEET_MM, MEET_MM, MEET_HEIGHT_MM)
    near = np.linalg.norm(off, axis=1) <= 1.0
    return np.asarray(near & (widest_near_mm(graph) >= thick_mm))
