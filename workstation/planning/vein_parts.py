"""Portal and hepatic veins told apart in one label of both.

From the hilum and from where the hepatic veins meet the vena cava, the two systems are followed
at once; a way is dear where it is narrow, so that each keeps to its own vein where the two touch.
A branch belongs to the system that reaches it first. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.marks import Points, require_inside
from segmentation.volume import LabelMap, require_same_grid
from segmentation.wording import counted
from workstation.planning.vein_graph import (
    Floats,
    VeinGraph,
    bridged,
    vein_graph,
    widest_near_mm,
)
from workstation.planning.vein_roots import (
    CONFLUENCE_SHARE,
    HILUM_SHARE,
    HILUM_SPREAD_MM,
    meeting,
    place_in,
)

Systems = npt.NDArray[np.uint8]

PORTAL, HEPATIC = 1, 2
GAP_MM = 12.0
BEGIN_MM = 6.0  # about the widest place near the hilum, or a click: what surely is of one system
MET_MM = 1.0  # deep: no portal vein comes near, so that a thin vein there is a hepatic one, too
ONE_SIDED = 0.1  # share of all veins below which a system was hardly found


def tell_veins_apart(
    vessels: LabelMap,
    liver: LabelMap,
    *,
    portal_mm: Points = (),
    hepatic_mm: Points = (),
    progress: Progress = silent,
) -> LabelMap:
    """Tell portal and hepatic veins apart.

    Args:
        vessels: both systems of veins in one label.
        liver: the liver on the same grid.
        portal_mm: points (x, y, z) on portal veins, LPS mm, where the proposal is wrong.
        hepatic_mm: points (x, y, z) on hepatic veins, LPS mm, likewise.
        progress: told how far the work is.

    Raises:
        ValueError: if the liver is empty.
        FrameMismatch: if the grids differ.
        SeedOutside: if a point lies outside the image.
    """
    require_same_grid(vessels, liver)
    require_inside(vessels.geometry, (*portal_mm, *hepatic_mm))
    progress(0.05, "following both systems of veins")
    graph = vein_graph(vessels)
    if graph is None:
        labels = {PORTAL: ANATOMY["portal_vein"], HEPATIC: ANATOMY["hepatic_vein"]}
        empty = np.zeros(vessels.array.shape, np.uint8)
        return LabelMap(empty, vessels.geometry, labels, _findings(np.zeros(3), 0))
    begins = _begins(graph, liver, portal_mm, hepatic_mm)
    system = _first_reached(graph, liver, begins)
    progress(0.8, "drawing both systems of veins")
    array = np.zeros(vessels.array.shape, np.uint8)
    index = np.argwhere(vessels.array)
    place = cKDTree(graph.points_mm).query(vessels.geometry.to_world(index[:, ::-1]))[1]
    array[tuple(index.T)] = system[place]
    counts = np.bincount(array.ravel(), minlength=3) * vessels.geometry.voxel_ml
    labels = {PORTAL: ANATOMY["portal_vein"], HEPATIC: ANATOMY["hepatic_vein"]}
    source = "voxel count x voxel volume"
    numbers = [Number("volume", float(counts[1:].sum()), "mL", source)]
    numbers += [
        Number(f"{label.name}.volume", float(counts[value]), "mL", source)
        for value, label in labels.items()
    ]
    findings = _findings(counts, len(portal_mm) + len(hepatic_mm))
    return LabelMap(array, vessels.geometry, labels, findings, tuple(numbers))


def one_system(
    veins: LabelMap,
    *,
    system: Literal["portal_vein", "hepatic_vein"] = "portal_vein",
    progress: Progress = silent,
) -> LabelMap:
    """Take the portal or the hepatic veins from veins that were told apart.

    Args:
        veins: both systems of veins, each with its label.
        system: which of them.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no label of that name.
    """
    progress(0.1, "taking one system of veins")
    part = veins.mask(system)
    return LabelMap(part, veins.geometry, {1: ANATOMY[system]})


def _begins(
    graph: VeinGraph, liver: LabelMap, portal_mm: Points, hepatic_mm: Points
) -> dict[int, int]:
    """Return the cubes from which each system is followed, and the system of each."""
    points = graph.points_mm
    wide = widest_near_mm(graph)
    away = np.linalg.norm(points - place_in(liver, HILUM_SHARE), axis=1)
    hilum = points[np.argmax(wide * np.exp(-((away / HILUM_SPREAD_MM) ** 2) / 2))]
    found = dict.fromkeys(_about(points, hilum, BEGIN_MM), PORTAL)
    hub = place_in(liver, CONFLUENCE_SHARE)
    found |= dict.fromkeys(np.flatnonzero(meeting(graph, hub, MET_MM)).tolist(), HEPATIC)
    for clicks, system in ((portal_mm, PORTAL), (hepatic_mm, HEPATIC)):
        for click in clicks:
            nearest = points[np.argmin(np.linalg.norm(points - click, axis=1))]
            found |= dict.fromkeys(_about(points, nearest, BEGIN_MM / 2), system)
    return found


def _about(points: Floats, centre: Floats, radius_mm: float) -> list[int]:
    near = np.linalg.norm(points - centre, axis=1) <= radius_mm
    return [int(n) for n in np.flatnonzero(near)]


def _first_reached(graph: VeinGraph, liver: LabelMap, begins: dict[int, int]) -> Systems:
    """Return the system of each cube: that of the beginning with the cheapest way to it."""
    count = len(graph.points_mm)
    linked = bridged(graph, GAP_MM, place_in(liver, CONFLUENCE_SHARE))
    begins = begins | {count: HEPATIC}
    starts = np.array(sorted(begins))
    cost, _, source = dijkstra(
        linked.links, indices=starts, return_predecessors=True, min_only=True
    )
    of_cube = np.full(count + 1, PORTAL, np.uint8)
    of_cube[starts] = [begins[int(n)] for n in starts]
    reached = np.isfinite(cost)
    result = np.where(reached, of_cube[np.where(reached, source, 0)], 0).astype(np.uint8)[:count]
    lost = result == 0
    if lost.any():  # pieces far from all others go with the nearest
        near = cKDTree(graph.points_mm[~lost]).query(graph.points_mm[lost])[1]
        result[lost] = result[~lost][near]
    return result


def _findings(volumes_ml: npt.NDArray[Any], clicks: int) -> tuple[Finding, ...]:
    portal, hepatic = float(volumes_ml[PORTAL]), float(volumes_ml[HEPATIC])
    by_hand = f", with {counted(clicks, 'correction')} by hand" if clicks else ""
    note = Finding(
        Severity.INFO,
        "veins_told_apart",
        f"{portal:.0f} mL of portal and {hepatic:.0f} mL of hepatic veins were told apart "
        f"automatically{by_hand}",
        remedy="look at both trees, and click on branches that are of the other system",
    )
    if 0 < ONE_SIDED * (portal + hepatic) <= min(portal, hepatic):
        return (note,)
    few = "portal" if portal < hepatic else "hepatic"
    return (
        note,
        Finding(
            Severity.WARNING,
            "system_hardly_found",
            f"hardly any {few} vein was found among the vessels",
            remedy=f"click on the main {few} veins, or correct the vessels where they begin",
        ),
    )
