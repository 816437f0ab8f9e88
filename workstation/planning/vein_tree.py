"""The tree of one system of veins of the liver, from its label.

The cheapest ways from the root to the tips make a tree without loops even where a label is noisy
and its skeleton has many. Tips are taken farthest first, each with what lies around its way, as in
Sato et al., Pacific Graphics 2000:281. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import LabelMap
from workstation.planning.vein_graph import (
    STEP_MM,
    Bools,
    Floats,
    Ints,
    VeinGraph,
    Ways,
    bridged,
    vein_graph,
    ways_from,
)
from workstation.planning.vein_roots import confluence, meeting, portal_root

AROUND = 1.5  # radii about a way that it accounts for
AROUND_MM = 2.0  # and so much more
MIDDLE = 0.8  # of the radius: so near to the middle, two ways are one
AROUND_ROOT_MM = 6.0  # how wide the vein is at its root is looked for this near
THIN = 0.75  # of a cube: what is not deeper is one or two cubes wide, as noise on a wall is
SMOOTH = 2.0  # points over which a line is evened out
LEFT_ML = 0.3  # less that is not reached is not worth a word


def vein_tree(
    vein: LabelMap,
    liver: LabelMap | None = None,
    *,
    system: Literal["portal", "hepatic"] = "portal",
    root_mm: tuple[float, float, float] | None = None,
    gap_mm: Annotated[float, Ge(0), Le(40)] = 12.0,
    shortest_mm: Annotated[float, Ge(1), Le(50)] = 8.0,
    progress: Progress = silent,
) -> Centerline:
    """Follow the portal or the hepatic veins from their root to their tips.

    Args:
        vein: label of the veins of one system.
        liver: the liver, which helps to find the root.
        system: the portal vein, which begins at the hilum, or the hepatic veins, which meet at
            the vena cava.
        root_mm: a point at the root, LPS mm: in the trunk of the portal vein, or where the
            hepatic veins meet; empty finds it.
        gap_mm: gaps in a vein up to this length (mm) are bridged.
        shortest_mm: twigs that stand out of their vein by less (mm) are left out; twigs as thin
            as noise, by less than twice that.
        progress: told how far the work is.

    A label without a vein gives a tree without branches, and says so.

    Raises:
        ValueError: if the liver is empty.
    """
    progress(0.05, "following the veins")
    graph = vein_graph(vein)
    if graph is None:
        return _no_tree(vein, system)
    if system == "hepatic":
        hub = np.asarray(confluence(graph, liver) if root_mm is None else root_mm, float)
        graph = bridged(graph, gap_mm, hub, meeting(graph, hub))
        root = len(graph.points_mm) - 1
    else:
        graph = bridged(graph, gap_mm)
        root = portal_root(graph, liver, root_mm)
    progress(0.4, "following the veins")
    ways = ways_from(graph, root)
    kept, ways = _tree(graph, ways, shortest_mm, progress)
    lost_ml = float(np.count_nonzero(ways.length_mm < 0)) * STEP_MM**3 / 1000.0
    progress(0.9, "drawing the tree")
    return as_centerline(graph, ways, kept, vein, system, _findings(lost_ml, gap_mm))


def _tree(
    graph: VeinGraph, ways: Ways, shortest_mm: float, progress: Progress
) -> tuple[Bools, Ways]:
    """Return the cubes on the ways to the tips, the farthest first, and the ways that they took.

    Two ways through one wide vein can run side by side; the later joins the earlier where it
    comes into the middle part of the vein.
    """
    before = ways.before.copy()
    joined = np.full(len(before), -1, np.int64)
    kept = np.zeros(len(graph.points_mm), np.bool_)
    kept[ways.root] = True
    covered = ways.length_mm < 0
    place = cKDTree(graph.points_mm)
    near_root = place.query_ball_point(graph.points_mm[ways.root], AROUND_ROOT_MM)
    wide = float(graph.depth_mm[near_root].max())
    covered[place.query_ball_point(graph.points_mm[ways.root], AROUND * wide + AROUND_MM)] = True
    order = np.argsort(-ways.length_mm, kind="stable")
    for number, tip in enumerate(order.tolist()):
        if covered[tip]:
            continue
        way = [tip]
        while not kept[way[-1]]:
            here = way[-1]
            way.append(int(joined[here] if joined[here] >= 0 else before[here]))
        covered[way] = True
        start = way.pop()
        out = ways.length_mm[tip] - ways.length_mm[start] - graph.depth_mm[start]
        if out * _weight(graph, way, start) < shortest_mm:
            continue
        progress(0.4 + 0.5 * number / len(order), "following the veins")
        kept[way] = True
        before[way] = [*way[1:], start]
        middle = place.query_ball_point(graph.points_mm[way], MIDDLE * graph.depth_mm[way])
        for cube, near in zip(way, middle):
            joined[near] = np.where(joined[near] < 0, cube, joined[near])
        reach = AROUND * graph.depth_mm[way] + AROUND_MM
        for near in place.query_ball_point(graph.points_mm[way], reach):
            covered[near] = True
    return kept, replace(ways, before=before)


def _weight(graph: VeinGraph, way: list[int], start: int) -> float:
    """Return by how much the length of a twig counts: what is as thin as noise counts half."""
    away = np.linalg.norm(graph.points_mm[way] - graph.points_mm[start], axis=1)
    outside = graph.depth_mm[way][away > graph.depth_mm[start]]
    return 1.0 - 0.5 * float((outside < THIN * STEP_MM).mean()) if len(outside) else 1.0


def as_centerline(
    graph: VeinGraph,
    ways: Ways,
    kept: Bools,
    vein: LabelMap,
    name: str,
    findings: tuple[Finding, ...],
) -> Centerline:
    """Return the kept cubes as branches that run away from the root."""
    cubes = np.flatnonzero(kept)
    children = np.bincount(ways.before[cubes[cubes != ways.root]], minlength=len(kept))
    if len(cubes) < 3:
        return _no_tree(vein, name)
    node_of: dict[int, int] = {}
    nodes: list[Node] = []

    def node(cube: int) -> int:
        if cube not in node_of:
            x, y, z = (float(v) for v in graph.points_mm[cube])
            kind = "asked" if cube == ways.root else "junction" if children[cube] else "round"
            node_of[cube] = len(nodes)
            nodes.append(Node((x, y, z), float(graph.depth_mm[cube]), kind))  # type: ignore[arg-type]
        return node_of[cube]

    node(ways.root)
    points: list[Floats] = []
    radius: list[Floats] = []
    branches: list[Branch] = []
    count = 0
    for way in _segments(cubes, ways, children):
        line, depth = _smooth(graph.points_mm[way]), graph.depth_mm[way]
        first, last = node(way[0]), node(way[-1])
        branches.append(Branch(count, count + len(way), first, last))
        count += len(way)
        points.append(line)
        radius.append(np.maximum(depth, STEP_MM / 2))
    tips = [n for cube, n in node_of.items() if not children[cube]]
    ends = {"root": 0} | {f"tip_{number}": n for number, n in enumerate(tips, start=1)}
    whole = np.concatenate(points)
    length = sum(float(np.linalg.norm(np.diff(p, axis=0), axis=1).sum()) for p in points)
    return Centerline(
        whole,
        np.concatenate(radius),
        tuple(branches),
        tuple(nodes),
        ends,
        vein.geometry.frame_uid,
        name,
        findings=findings,
        numbers=(
            Number("branches", float(len(branches)), "", "stretches between forks and ends"),
            Number("length", length, "mm", "along the centrelines of all branches"),
        ),
    )


def _no_tree(vein: LabelMap, name: str) -> Centerline:
    """Return a tree without branches, and why."""
    note = Finding(
        Severity.WARNING,
        "no_vein",
        f"no {name} vein could be followed",
        remedy="draw the vein, or give the point where it begins",
    )
    nothing = np.zeros((0, 3))
    return Centerline(
        nothing, nothing[:, 0], (), (), {}, vein.geometry.frame_uid, name, findings=(note,)
    )


def _segments(cubes: Ints, ways: Ways, children: Ints) -> list[list[int]]:
    """Return the cubes of each branch from fork to fork or tip, nodes included, upstream first."""
    found = []
    stops = [int(c) for c in cubes if c != ways.root and children[c] != 1]
    for stop in sorted(stops, key=lambda c: (float(ways.cost[c]), c)):
        way = [stop]
        while len(way) == 1 or (way[-1] != ways.root and children[way[-1]] == 1):
            way.append(int(ways.before[way[-1]]))
        found.append(way[::-1])
    return found


def _smooth(line: Floats) -> Floats:
    """Return a line evened out between its ends, which stay."""
    if len(line) < 4:
        return line
    chord = np.linspace(line[0], line[-1], len(line))
    padded = np.concatenate([(chord - line)[::-1], line - chord, (chord - line)[::-1]])
    even = gaussian_filter1d(padded, SMOOTH, axis=0)[len(line) : 2 * len(line)] + chord
    even[0], even[-1] = line[0], line[-1]
    return np.asarray(even)


def _findings(lost_ml: float, gap_mm: float) -> tuple[Finding, ...]:
    if lost_ml < LEFT_ML:
        return ()
    return (
        Finding(
            Severity.WARNING,
            "veins_not_reached",
            f"{lost_ml:.1f} mL of the label lie more than {gap_mm:.0f} mm from the rest of the "
            "vein and are in no branch",
            remedy="draw the missing stretch, remove the piece, or allow longer gaps",
        ),
    )
