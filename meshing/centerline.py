"""Centerlines: the branches of a vessel with radii, sections, bifurcations and named ends.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from meshing.centering import Line
from meshing.curves import arc_length_mm, curvature_and_torsion
from meshing.known_ends import called_as, cap_centres, uncapped
from meshing.lumen import Piece, split_pieces
from meshing.sections import FIELDS
from meshing.surface import SurfaceMesh, isosurface
from meshing.vessel_graph import Bulge
from meshing.vessel_names import named_ends, renamed
from meshing.vessel_tree import LOST, NoCenterline, Tree, trace
from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.volume import LabelMap
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]
NodeKind = Literal["open", "flat", "round", "asked", "junction", "ring"]

BEND = 2.5  # radii on either side over which curvature and torsion are seen
BESIDE = 1.3  # times the vessel's own section, near a sac, and it opens into the sac
LISTED = 5  # names in a sentence at the most
ASTRAY = 2.0  # mean radii that a given end may lie outside the lumen


@dataclass(frozen=True)
class Node:
    """Where branches begin and end.

    Attributes:
        point_mm: (x, y, z), LPS mm.
        radius_mm: of a junction, that of its inscribed sphere; of an end, the vessel's there.
        kind: "open", an opening of the surface; "flat", a vessel cut off flat, as at the edge of
            an image; "round", a blind end; "asked", a given point; "junction"; "ring", where a
            ring without an end was begun.
    """

    point_mm: tuple[float, float, float]
    radius_mm: float
    kind: NodeKind


@dataclass(frozen=True)
class Branch:
    """One branch, downstream: points ``start`` to ``stop`` (excluded) from one node to another."""

    start: int
    stop: int
    from_node: int
    to_node: int

    @property
    def points(self) -> slice:
        """The part of the arrays of a `Centerline` that is this branch, nodes included."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Sac:
    """A pouch on the vessel that is no branch, such as the dome of an aneurysm.

    Attributes:
        centre_mm: the centre of the largest sphere inside (x, y, z), LPS mm.
        radius_mm: of that sphere.
        tip_mm: the point farthest along it.
        length_mm: how far it stands out of the vessel.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    tip_mm: tuple[float, float, float]
    length_mm: float


@dataclass(frozen=True, eq=False)
class Centerline:
    """The branches of one or more vessels, each running downstream from the inlet.

    Attributes:
        points_mm: float64 (n, 3), the points of all branches, one after the other; each branch
            has its own copy of the nodes at its ends.
        radius_mm: float64 (n,), the distance from each point to the wall: the largest sphere
            about it that the lumen holds. The steps of a coarse label make it up to a tenth less
            than half of the section's equivalent diameter, which they hardly change.
        branches: which points belong together, from the inlet on.
        nodes: ends and junctions.
        ends: name of each end, such as "inlet" and "outlet_1", to its node.
        frame_uid: the DICOM frame of reference.
        sacs: pouches that are no branches, largest first.
        point_data: arrays of n rows: the measures of the section across each point (area_mm2,
            perimeter_mm, equivalent_, minimum_, maximum_, mean_ and hydraulic_diameter_mm,
            circularity; nan where none is whole), curvature_per_mm, torsion_per_mm, in_junction
            and beside_sac (0 or 1: inside the sphere of a junction, or where the section opens
            into a sac, so that it is not the branch's own).
    """

    points_mm: Floats
    radius_mm: Floats
    branches: tuple[Branch, ...]
    nodes: tuple[Node, ...]
    ends: Mapping[str, int]
    frame_uid: str
    name: str = ""
    sacs: tuple[Sac, ...] = ()
    point_data: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        points = np.array(self.points_mm, np.float64).reshape(-1, 3)
        radius = np.array(self.radius_mm, np.float64).ravel()
        data = {name: np.array(values) for name, values in self.point_data.items()}
        if not np.isfinite(points).all() or not np.isfinite(radius).all():
            raise ValueError("a centerline has a point or radius that is not finite")
        if any(len(values) != len(points) for values in (radius, *data.values())):
            raise ValueError("a centerline needs one radius and one value for each point")
        if [b.start for b in self.branches] + [len(points)] != [
            0,
            *(b.stop for b in self.branches),
        ]:
            raise ValueError("the branches of a centerline must divide its points in order")
        linked = [n for b in self.branches for n in (b.from_node, b.to_node)] + [
            *self.ends.values()
        ]
        if any(not 0 <= n < len(self.nodes) for n in linked):
            raise ValueError("a branch or end of a centerline names a node that does not exist")
        for array in (points, radius, *data.values()):
            array.setflags(write=False)
        object.__setattr__(self, "points_mm", points)
        object.__setattr__(self, "radius_mm", radius)
        object.__setattr__(self, "point_data", MappingProxyType(data))
        object.__setattr__(self, "ends", MappingProxyType(dict(self.ends)))

    def branch(self, number: int) -> Branch:
        """Return a branch by its number, counted from 1.

        Raises:
            ValueError: if there is none of that number.
        """
        if not 1 <= number <= len(self.branches):
            raise ValueError(
                f"there is no branch {number}; {self.name or 'the centerline'} has branches 1 to "
                f"{len(self.branches)}"
            )
        return self.branches[number - 1]

    def length_mm(self, branch: Branch) -> float:
        """Return the length of a branch in mm."""
        return float(arc_length_mm(self.points_mm[branch.points])[-1])

    def end_branch(self, name: str) -> tuple[Branch, bool]:
        """Return the branch that ends at a named end, and whether it flows out there.

        Raises:
            ValueError: if there is no such end.
        """
        node = self.ends.get(name)
        for branch in self.branches:
            if node is not None and node in (branch.from_node, branch.to_node):
                return branch, branch.to_node == node
        known = ", ".join(self.ends) or "none"
        raise ValueError(f"there is no end {name!r}; the ends here are: {known}")


def centerline(
    lumen: SurfaceMesh | LabelMap,
    *,
    inlet_mm: tuple[float, float, float] | None = None,
    ends_mm: tuple[tuple[float, float, float], ...] = (),
    find_ends: bool = True,
    names: str = "",
    label: str = "",
    progress: Progress = silent,
) -> Centerline:
    """Find the centerline of a vessel: its branches, radii, bifurcations and ends.

    Open ends of a surface are its ends, and so are caps that have a name. A closed surface or a
    label is followed to its tips: a flat cut, as at the edge of an image, or a blind end. A
    pouch, such as the dome of an aneurysm, is listed as a sac and gets no branch; the line passes
    beneath it.

    Args:
        lumen: the inside of the vessel, as a surface (open or closed) or a label.
        inlet_mm: a point near the end where blood comes in, LPS mm; empty takes the cap of the
            name inlet, else the widest end.
        ends_mm: further points that the line must reach, LPS mm, such as the tip of a dome.
        find_ends: find the ends; off follows only the points given.
        names: new names of ends, such as "inlet=ica, outlet_1=mca".
        label: name of the label, where the lumen is a label map; empty takes all together.
        progress: told how far the work is.

    Raises:
        NoCenterline: if there is no vessel in the lumen.
        ValueError: if a given point lies outside, or a name does not fit.
    """
    progress(0.0, "preparing the lumen")
    mesh = isosurface(lumen, label=label) if isinstance(lumen, LabelMap) else lumen
    caps = cap_centres(mesh)
    pieces = split_pieces(uncapped(mesh))
    asked = _assigned(pieces, np.array(ends_mm, float).reshape(-1, 3))
    trees: list[tuple[Piece, Tree]] = []
    errors = []
    for n, (piece, points) in enumerate(zip(pieces, asked)):
        if not find_ends and not len(points):
            continue
        try:
            trees.append((piece, trace(piece, points, find_ends, share(progress, n, len(pieces)))))
        except NoCenterline as error:
            errors.append(error)
    if not trees:
        raise (
            errors[0]
            if errors
            else NoCenterline("no end was given; give points, or let the ends be found")
        )
    progress(0.98, "naming the ends")
    return _assembled(mesh, trees, len(errors), inlet_mm or caps.get("inlet"), names)


def _assigned(pieces: list[Piece], points: Floats) -> list[Floats]:
    """Return for each piece the given points that lie in or near it."""
    result: list[list[Floats]] = [[] for _ in pieces]
    for point in points:
        away = [float(np.linalg.norm(p.points_mm - point, axis=1).min()) for p in pieces]
        nearest = int(np.argmin(away))
        piece = pieces[nearest]
        low, high = piece.points_mm.min(axis=0), piece.points_mm.max(axis=0)
        margin = ASTRAY * piece.mean_radius_mm
        if np.any(point < low - margin) or np.any(point > high + margin):
            x, y, z = point
            raise ValueError(
                f"the end at ({x:.1f}, {y:.1f}, {z:.1f}) mm lies {away[nearest]:.1f} mm from the "
                "lumen; choose a point inside the vessel"
            )
        result[nearest].append(point)
    return [np.array(part, float).reshape(-1, 3) for part in result]


def _assembled(
    mesh: SurfaceMesh,
    trees: list[tuple[Piece, Tree]],
    failed: int,
    inlet_mm: tuple[float, float, float] | None,
    names: str,
) -> Centerline:
    """Return the value: branches downstream, nodes and ends named, curvature, numbers."""
    nodes: list[Node] = []
    branches: list[Branch] = []
    lines: list[Line] = []
    ends: dict[str, int] = {}
    nearest = min((_inlet_gap(tree, inlet_mm)[0] for _, tree in trees), default=0.0)
    for _, tree in trees:
        ranked = sorted(tree.ends, key=lambda n: (-tree.widths_mm[n], *tree.joints[n][0]))
        gap, near = _inlet_gap(tree, inlet_mm)
        if gap == nearest and near in tree.ends:
            ranked = [near, *(n for n in ranked if n != near)]
        first = ranked[0] if ranked else tree.lines[0].start
        numbered = {joint: len(nodes) + n for n, joint in enumerate(tree.joints)}
        nodes += [_node(tree, joint) for joint in tree.joints]
        for line in _downstream(tree, first):
            start = sum(len(other.points_mm) for other in lines)
            lines.append(line)
            branches.append(
                Branch(
                    start, start + len(line.points_mm), numbered[line.start], numbered[line.stop]
                )
            )
        ends |= named_ends([numbered[n] for n in ranked], ends)
    places = {number: (node.point_mm, node.radius_mm) for number, node in enumerate(nodes)}
    ends = called_as(ends, places, cap_centres(mesh))
    points = np.concatenate([line.points_mm for line in lines])
    radius = np.concatenate([line.radius_mm for line in lines])
    sacs = sorted((b for _, t in trees for b in t.bulges), key=lambda b: (-b.radius_mm, *b.tip_mm))
    data = _point_data(lines, branches, nodes, points)
    data["beside_sac"] = _beside_sacs(points, radius, data["area_mm2"], sacs)
    value = Centerline(
        points,
        radius,
        tuple(branches),
        tuple(nodes),
        renamed(ends, names),
        mesh.frame_uid,
        mesh.name,
        tuple(Sac(_xyz(b.centre_mm), b.radius_mm, _xyz(b.tip_mm), b.length_mm) for b in sacs),
        data,
    )
    notes = _findings(value, trees, failed, inlet_mm is not None)
    return _measured(value, (*mesh.findings, *notes))


def _inlet_gap(tree: Tree, inlet_mm: tuple[float, float, float] | None) -> tuple[float, int]:
    """Return the distance from the given inlet to the nearest end, and that end; -1 for none."""
    if inlet_mm is None or not tree.ends:
        return float("inf"), -1
    gaps = {n: float(np.linalg.norm(tree.joints[n][0] - inlet_mm)) for n in tree.ends}
    near = min(gaps, key=lambda n: gaps[n])
    return gaps[near], near


def _xyz(point: Floats) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _node(tree: Tree, joint: int) -> Node:
    place, radius = tree.joints[joint]
    degree = sum((line.start == joint) + (line.stop == joint) for line in tree.lines)
    kind: NodeKind = tree.ends.get(joint, "junction" if degree > 2 else "ring")
    if joint in tree.asked and joint not in tree.ends:
        kind = "asked"
    return Node(_xyz(place), tree.widths_mm.get(joint, radius), kind)


def _downstream(tree: Tree, first: int) -> list[Line]:
    """Return the lines in the order and direction in which blood runs from the first joint."""
    left = list(tree.lines)
    done: list[Line] = []
    reached = [first]
    for joint in reached:
        leaving = [line for line in left if joint in (line.start, line.stop)]
        leaving.sort(key=lambda line: -float(np.median(line.radius_mm)))
        for line in leaving:
            left.remove(line)
            done.append(line if line.start == joint else line.reversed())
            if done[-1].stop not in reached:
                reached.append(done[-1].stop)
    return done


def _point_data(
    lines: list[Line], branches: list[Branch], nodes: list[Node], points: Floats
) -> dict[str, npt.NDArray[Any]]:
    table = np.concatenate([line.sections for line in lines])
    data: dict[str, npt.NDArray[Any]] = {name: table[:, n] for n, name in enumerate(FIELDS)}
    bends = [curvature_and_torsion(line.points_mm, BEND * line.radius_mm) for line in lines]
    data["curvature_per_mm"] = np.concatenate([bend[0] for bend in bends])
    data["torsion_per_mm"] = np.concatenate([bend[1] for bend in bends])
    inside = np.zeros(len(points), np.uint8)
    for branch in branches:
        for node in (nodes[branch.from_node], nodes[branch.to_node]):
            if node.kind == "junction":
                away = np.linalg.norm(points[branch.points] - node.point_mm, axis=1)
                inside[branch.points] |= away < node.radius_mm
    data["in_junction"] = inside
    return data


def own_sections(value: Centerline) -> npt.NDArray[np.bool_]:
    """Return for which points the section is the branch's own: in no junction, beside no sac."""
    data = value.point_data
    return np.asarray((data["in_junction"] == 0) & (data["beside_sac"] == 0))


def _beside_sacs(
    points: Floats, radius: Floats, area: Floats, sacs: list[Bulge]
) -> npt.NDArray[np.uint8]:
    """Return 1 for points near a sac whose section is larger than the vessel."""
    open_there = ~(area < BESIDE * np.pi * radius**2)
    near = np.zeros(len(points), np.bool_)
    for sac in sacs:
        away = np.linalg.norm(points - sac.centre_mm, axis=1)
        near |= away < sac.radius_mm + BESIDE * radius
    return (near & open_there).astype(np.uint8)


def _measured(value: Centerline, findings: tuple[Finding, ...]) -> Centerline:
    """Return the centerline with its numbers and findings."""
    source = "centerline of the lumen"
    junctions = sum(node.kind == "junction" for node in value.nodes)
    free = own_sections(value)
    narrow = float(value.radius_mm[free].min() if free.any() else value.radius_mm.min())
    length = sum(value.length_mm(branch) for branch in value.branches)
    numbers = (
        Number("branches", float(len(value.branches)), "", source),
        Number("ends", float(len(value.ends)), "", source),
        Number("bifurcations", float(junctions), "", source),
        Number("sacs", float(len(value.sacs)), "", source),
        Number("length", length, "mm", "summed length of all branches"),
        Number("minimum_radius", narrow, "mm", "least inscribed sphere along the branches"),
        Number("maximum_radius", float(value.radius_mm.max()), "mm", "largest inscribed sphere"),
    )
    return replace(value, numbers=numbers, findings=findings)


def _findings(
    value: Centerline, trees: list[tuple[Piece, Tree]], failed: int, inlet_given: bool
) -> list[Finding]:
    """Return what a reader must know about ends, sacs and what was left out."""
    found = []
    if value.ends and not inlet_given:
        node = value.nodes[next(iter(value.ends.values()))]
        text = f"The widest end ({2 * node.radius_mm:.1f} mm) was taken as the inlet."
        remedy = "Give a point near the inlet if it is another one."
        found.append(_note("inlet_assumed", text, node.point_mm, remedy))
    blind = [name for name, n in value.ends.items() if value.nodes[n].kind == "round"]
    if blind:
        where = ", ".join(blind) if len(blind) <= LISTED else f"{len(blind)} ends"
        text = f"The vessel ends blind at {where}; no opening was found there."
        found.append(_note("blind_ends", text))
    for sac in value.sacs:
        text = f"A sac of {2 * sac.radius_mm:.1f} mm stands out of the vessel; it has no branch."
        found.append(_note("sac", text, sac.centre_mm))
    if not value.ends:
        text = "The vessel is a closed ring without an end, so no inlet could be named."
        found.append(_note("closed_ring", text, severity=Severity.WARNING))
    holes = sum(piece.holes for piece, _ in trees)
    if holes:
        text = counted(
            holes,
            "small hole of the surface was closed; it is no end.",
            "small holes of the surface were closed; they are no ends.",
        )
        found.append(_note("holes_closed", text, severity=Severity.WARNING))
    lost = sum(tree.lost_mm3 for _, tree in trees)
    if lost > LOST * sum(piece.volume_mm3 for piece, _ in trees):
        text = f"{lost:.0f} mm3 lie behind a neck too thin to follow and have no centerline."
        found.append(_note("lost_behind_neck", text, severity=Severity.WARNING))
    if failed:
        text = counted(
            failed,
            "separate part of the lumen is no vessel and has no centerline.",
            "separate parts of the lumen are no vessels and have no centerline.",
        )
        found.append(_note("parts_left_out", text))
    return found


def _note(
    code: str,
    text: str,
    place: tuple[float, float, float] | None = None,
    remedy: str = "",
    severity: Severity = Severity.INFO,
) -> Finding:
    return Finding(severity, code, text, place, remedy)
