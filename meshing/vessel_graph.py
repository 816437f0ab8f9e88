"""The graph of a thinned lumen: junctions, ends and the voxels between; pruned of what is none.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from meshing.thinning import Cells

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHORT = 1.0  # a flat end stands out by at least this many radii
LONG = 3.0  # and a round one by this many; what is shorter is a sac, or nothing
SAC = 5.0  # a sac that widens behind its neck may be this long, in radii
WIDENS = 1.2  # from neck to sac
NOTABLE = 0.4  # a sac without a neck has at least this share of its vessel's radius
BLUNT = 1.2  # and is at least this long, in its own radii
TUNNEL = 5.0  # radii: a ring with a shorter half way round is a flaw of the surface
NEAR = 0.5  # junctions closer than this share of a radius are one


@dataclass(frozen=True)
class Joint:
    """A node of the graph: an end or a junction.

    Attributes:
        at_mm: where it is.
        depth_mm: the vessel's radius there, as `Way.calibre_mm`.
        forced: whether it is an end that was asked for, or open: never pruned.
        mark: the number of the asked end, or -1.
    """

    at_mm: Floats
    depth_mm: float
    forced: bool = False
    mark: int = -1


@dataclass(frozen=True, eq=False)
class Way:
    """Voxel centres from one joint to another, both included.

    ``depth_mm`` is their distance to the wall, ``calibre_mm`` the radius of the vessel itself,
    which is less inside a sac.
    """

    start: int
    stop: int
    points_mm: Floats
    depth_mm: Floats
    calibre_mm: Floats

    def reversed(self) -> Way:
        """Return the way back."""
        points, depth, calibre = self.points_mm, self.depth_mm, self.calibre_mm
        return Way(self.stop, self.start, points[::-1], depth[::-1], calibre[::-1])

    def shortened(self, count: int) -> Way:
        """Return the first ``count`` points."""
        points, depth, calibre = self.points_mm, self.depth_mm, self.calibre_mm
        return Way(self.start, self.stop, points[:count], depth[:count], calibre[:count])

    @property
    def length_mm(self) -> float:
        """The summed length of its steps in mm."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())


@dataclass(frozen=True, eq=False)
class Bulge:
    """A blind pouch that is no branch.

    Attributes:
        centre_mm: the centre of its largest inscribed sphere.
        radius_mm: of that sphere.
        tip_mm: its farthest point.
        length_mm: how far it stands out of the vessel.
    """

    centre_mm: Floats
    radius_mm: float
    tip_mm: Floats
    length_mm: float


@dataclass(eq=False)
class Graph:
    """Joints by number and the ways between them."""

    joints: dict[int, Joint] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)
    bulges: list[Bulge] = field(default_factory=list)
    stubs: int = 0

    def degree(self, joint: int) -> int:
        """Return how many ways end at a joint; a ring ends there twice."""
        return sum((w.start == joint) + (w.stop == joint) for w in self.ways)


def graph_of(
    cells: Cells,
    kept: npt.NDArray[np.bool_],
    depth_mm: Floats,
    calibre_mm: Floats,
    forced: Ints,
) -> Graph:
    """Return the graph of thinned voxels; ``forced`` are the cells of ends that must stay."""
    used = np.flatnonzero(kept)
    near = _adjacency(cells, used)
    node = _nodes(near, forced)
    centres = dict(zip(used.tolist(), cells.centres_mm(used)))
    graph = Graph()
    marks = {int(cell): n for n, cell in enumerate(forced)}
    for number in sorted(set(node.values())):
        members = [c for c, n in node.items() if n == number]
        deep = max(members, key=lambda c: (calibre_mm[c], -c))
        asked = [c for c in members if c in marks]
        graph.joints[number] = Joint(
            centres[deep], float(calibre_mm[deep]), bool(asked), marks[asked[0]] if asked else -1
        )
    for chain in _chains(near, node):
        start, stop = node[chain[0]], node[chain[-1]]
        inner = [c for c in chain if c not in node]
        a, b = graph.joints[start], graph.joints[stop]
        graph.ways.append(
            Way(
                start,
                stop,
                np.array([a.at_mm, *(centres[c] for c in inner), b.at_mm]),
                np.array([a.depth_mm, *depth_mm[inner], b.depth_mm]),
                np.array([a.depth_mm, *calibre_mm[inner], b.depth_mm]),
            )
        )
    return graph


def _adjacency(cells: Cells, used: Ints) -> dict[int, list[int]]:
    inside = set(used.tolist())
    offsets = np.delete(cells.offsets(), 13)
    around = cells.number[cells.places[used][:, None] + offsets]
    return {c: [n for n in row if n in inside] for c, row in zip(used.tolist(), around.tolist())}


def _nodes(near: dict[int, list[int]], forced: Ints) -> dict[int, int]:
    """Return the number of the joint for each cell that is part of one."""
    asked = set(forced.tolist())
    node: dict[int, int] = {}
    for cell in near:
        if cell in node or (len(near[cell]) == 2 and cell not in asked):
            continue
        number = len(set(node.values()))
        node[cell] = number
        if len(near[cell]) < 3 or cell in asked:
            continue
        stack = [cell]
        while stack:
            for other in near[stack.pop()]:
                if other not in node and other not in asked and len(near[other]) > 2:
                    node[other] = number
                    stack.append(other)
    rings = _rings(near, node)
    for ring in rings:
        node[ring] = len(set(node.values()))
    return node


def _rings(near: dict[int, list[int]], node: dict[int, int]) -> list[int]:
    """Return one cell of each ring that has no joint."""
    seen: set[int] = set(node)
    stack = list(node)
    found: list[int] = []
    while True:
        while stack:
            fresh = [c for c in near[stack.pop()] if c not in seen]
            seen.update(fresh)
            stack.extend(fresh)
        left = next((c for c in near if c not in seen), None)
        if left is None:
            return found
        found.append(left)
        seen.add(left)
        stack = [left]


def _chains(near: dict[int, list[int]], node: dict[int, int]) -> Iterator[list[int]]:
    """Yield the cells between two joints, one cell of each included, every chain once."""
    walked: set[int] = set()
    direct: set[tuple[int, int]] = set()
    for cell in node:
        for first in near[cell]:
            if first in node:
                pair = (min(node[cell], node[first]), max(node[cell], node[first]))
                if pair[0] != pair[1] and pair not in direct:
                    direct.add(pair)
                    yield [cell, first]
            elif first not in walked:
                chain = [cell, first]
                while chain[-1] not in node:
                    walked.add(chain[-1])
                    after = [c for c in near[chain[-1]] if c != chain[-2]]
                    if not after:
                        break
                    chain.append(after[0])
                if chain[-1] in node:
                    yield chain


# ---------------------------------------------------------------- pruning


def prune(graph: Graph, is_flat: Callable[[Way], bool]) -> None:
    """Take away stubs, sacs and tunnels, worst first, and join what is then one way.

    ``is_flat`` tells whether a way, which runs to an end, ends in a flat cap there.
    """
    known: dict[int, bool] = {}
    _join(graph)
    while True:
        tunnel = _tunnel(graph)
        if tunnel is not None:
            graph.ways.remove(tunnel)
        else:
            stub = _worst(graph, is_flat, known)
            if stub is None:
                return
            graph.ways.remove(stub.way)
            del graph.joints[stub.tip]
            if stub.bulge is None:
                graph.stubs += 1
            else:
                graph.bulges.append(stub.bulge)
        _join(graph)


@dataclass(frozen=True, eq=False)
class _Stub:
    way: Way
    tip: int
    ratio: float
    bulge: Bulge | None


def _tunnel(graph: Graph) -> Way | None:
    """Return the shallower side of the shortest ring that is none, if there is one."""
    rings: list[tuple[float, Way]] = []
    for n, way in enumerate(graph.ways):
        if way.start == way.stop and graph.degree(way.start) > 2:
            rings.append((way.length_mm / way.depth_mm.max(), way))
        for other in graph.ways[n + 1 :]:
            if {way.start, way.stop} == {other.start, other.stop} and way.start != way.stop:
                deep = max(way.depth_mm.max(), other.depth_mm.max())
                shallow = min(way, other, key=lambda w: w.depth_mm.min())
                rings.append(((way.length_mm + other.length_mm) / 2 / deep, shallow))
    short = [ring for ring in rings if ring[0] < TUNNEL]
    return min(short, key=lambda ring: ring[0])[1] if short else None


def _worst(graph: Graph, is_flat: Callable[[Way], bool], known: dict[int, bool]) -> _Stub | None:
    stubs = []
    for way in graph.ways:
        for run in (way, way.reversed()):
            tip, base = graph.joints[run.stop], run.start
            if tip.forced or graph.degree(run.stop) != 1 or graph.degree(base) < 3:
                continue
            if run.stop not in known:
                known[run.stop] = is_flat(run)
            stub = _judged(run, way, known[run.stop])
            if stub is not None:
                stubs.append(stub)
    return min(stubs, key=lambda s: s.ratio) if stubs else None


def _judged(run: Way, way: Way, flat: bool) -> _Stub | None:
    """Return a terminal way, seen from its junction, as a stub; None if it is a branch."""
    out = np.linalg.norm(run.points_mm - run.points_mm[0], axis=1) > run.calibre_mm[0]
    if not out.any():
        return _Stub(way, run.stop, 0.0, None)
    first = int(np.argmax(out))
    depth, points = run.depth_mm[first:], run.points_mm[first:]
    widest = int(np.argmax(depth))
    radius, neck = float(depth[widest]), float(depth[: widest + 1].min())
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    ratio = length / radius
    if flat and ratio >= SHORT:
        return None
    widens = radius > WIDENS * neck
    if ratio >= (SAC if widens else LONG):
        return None
    notable = ratio >= BLUNT and radius >= NOTABLE * run.calibre_mm[0]
    bulge = Bulge(points[widest], radius, points[-1], length) if widens or notable else None
    return _Stub(way, run.stop, ratio, bulge)


def _join(graph: Graph) -> None:
    """Join two ways that meet at what is no junction, and junctions that are one."""
    changed = True
    while changed:
        changed = _join_pair(graph) or _merge_near(graph)
    used = {n for way in graph.ways for n in (way.start, way.stop)}
    for number in [n for n in graph.joints if n not in used]:
        del graph.joints[number]


def _join_pair(graph: Graph) -> bool:
    for number, joint in graph.joints.items():
        if joint.forced or graph.degree(number) != 2:
            continue
        ways = [w for w in graph.ways if number in (w.start, w.stop)]
        if len(ways) != 2:
            continue  # a ring on its own
        one, two = ways
        one = one if one.stop == number else one.reversed()
        two = two if two.start == number else two.reversed()
        joined = Way(
            one.start,
            two.stop,
            np.concatenate([one.points_mm, two.points_mm[1:]]),
            np.concatenate([one.depth_mm, two.depth_mm[1:]]),
            np.concatenate([one.calibre_mm, two.calibre_mm[1:]]),
        )
        graph.ways = [w for w in graph.ways if w not in ways] + [joined]
        del graph.joints[number]
        return True
    return False


def _merge_near(graph: Graph) -> bool:
    for way in graph.ways:
        a, b = (graph.joints[n] for n in (way.start, way.stop))
        if way.start == way.stop or a.forced or b.forced:
            continue
        if min(graph.degree(way.start), graph.degree(way.stop)) < 3:
            continue
        if way.length_mm >= NEAR * max(a.depth_mm, b.depth_mm):
            continue
        keep, go = (way.start, way.stop) if a.depth_mm >= b.depth_mm else (way.stop, way.start)
        graph.ways.remove(way)
        graph.ways = [_moved(w, go, keep, graph.joints[keep]) for w in graph.ways]
        del graph.joints[go]
        return True
    return False


def _moved(way: Way, old: int, new: int, joint: Joint) -> Way:
    """Return the way with an end moved from one joint to another."""
    points, depth = way.points_mm.copy(), way.depth_mm.copy()
    for place, number in ((0, way.start), (-1, way.stop)):
        if number == old:
            points[place], depth[place] = joint.at_mm, joint.depth_mm
    return replace(
        way,
        start=new if way.start == old else way.start,
        stop=new if way.stop == old else way.stop,
        points_mm=points,
        depth_mm=depth,
    )
