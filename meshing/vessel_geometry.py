"""The shape of vessels along their centerline: lengths, bends, bifurcations.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.centerline import Branch, Centerline, own_sections
from meshing.curves import arc_length_mm, tortuosity, unit
from segmentation.contract import Measurements, Number, Progress, silent

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

BEND = 2.5  # radii on either side over which bends are seen
LEAVES = 1.0  # radii from a junction at which a branch has left it
RUN = 1.5  # further radii over which its direction is taken


@dataclass(frozen=True)
class BranchShape:
    """One branch in numbers; lengths in mm, curvatures in 1/mm.

    ``tortuosity`` is length / chord - 1 (None for a ring); see `meshing.curves.Tortuosity`.
    """

    length_mm: float
    chord_mm: float
    tortuosity: float | None
    sum_of_angles_per_mm: float
    mean_square_curvature_per_mm2: float
    maximum_curvature_per_mm: float
    mean_radius_mm: float
    minimum_radius_mm: float
    maximum_radius_mm: float

    @property
    def bending_radius_mm(self) -> float:
        """The least radius of curvature in mm; 10 m for what is straight."""
        return 1 / max(self.maximum_curvature_per_mm, 1e-4)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Bifurcation:
    """Where branches part.

    Attributes:
        node: its number in the centerline.
        point_mm: (x, y, z), LPS mm.
        radius_mm: of the inscribed sphere.
        branches: numbers, from 1, of the branch that arrives (if one does) and those that leave.
        directions: unit vectors in which each of them runs away from the bifurcation, LPS.
        angles_degrees: between every two of the branches that leave, by their numbers.
        turns_degrees: by how much each branch that leaves turns from the one that arrives.
        normal: unit normal of the plane that fits the branches that leave, LPS.
        out_of_plane_degrees: between the branch that arrives and that plane.
    """

    node: int
    point_mm: Vector
    radius_mm: float
    branches: tuple[int, ...]
    directions: tuple[Vector, ...]
    angles_degrees: dict[str, float]
    turns_degrees: dict[str, float]
    normal: Vector
    out_of_plane_degrees: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def branch_shapes(centerline: Centerline) -> list[BranchShape]:
    """Return the shape of every branch, in their order."""
    return [_shape(centerline, branch) for branch in centerline.branches]


def _shape(value: Centerline, branch: Branch) -> BranchShape:
    points, radius = value.points_mm[branch.points], value.radius_mm[branch.points]
    free = own_sections(value)[branch.points]
    own = radius[free] if free.any() else radius
    bends = value.point_data["curvature_per_mm"][branch.points]
    shape = tortuosity(points, BEND * radius)
    return BranchShape(
        shape.length_mm,
        shape.chord_mm,
        shape.index,
        shape.sum_of_angles_per_mm,
        shape.mean_square_curvature_per_mm2,
        float((bends[free] if free.any() else bends).max()),
        float(own.mean()),
        float(own.min()),
        float(own.max()),
    )


def bifurcations(centerline: Centerline) -> list[Bifurcation]:
    """Return where branches part, in the order of the nodes."""
    return [
        _fork(centerline, number)
        for number, node in enumerate(centerline.nodes)
        if node.kind == "junction"
    ]


def _fork(value: Centerline, number: int) -> Bifurcation:
    node = value.nodes[number]
    runs: list[tuple[int, Floats]] = []
    arriving = 0
    for n, branch in enumerate(value.branches, 1):
        points = value.points_mm[branch.points]
        if branch.to_node == number:
            runs.insert(0, (n, _leaving(points[::-1], node.radius_mm)))
            arriving += 1
        if branch.from_node == number:
            runs.append((n, _leaving(points, node.radius_mm)))
    # The first branch that arrives is the parent; another one, in a ring, leaves like the rest.
    parent, daughters = (runs[0], runs[1:]) if arriving else (None, runs)
    angles = {f"{a}-{b}": _angle(u, v) for (a, u), (b, v) in combinations(daughters, 2)}
    turns = {str(n): 180.0 - _angle(parent[1], u) for n, u in daughters} if parent else {}
    normal = _plane_normal([u for _, u in daughters])
    out = None
    if parent is not None:
        out = float(np.degrees(np.arcsin(np.clip(abs(parent[1] @ normal), 0, 1))))
    return Bifurcation(
        number,
        node.point_mm,
        node.radius_mm,
        tuple(n for n, _ in runs),
        tuple(_vector(u) for _, u in runs),
        angles,
        turns,
        _vector(normal),
        out,
    )


def _leaving(points: Floats, radius: float) -> Floats:
    """Return the unit direction of a branch just outside the sphere of its junction."""
    at = arc_length_mm(points)
    near = min(LEAVES * radius, at[-1] / 2)
    far = min(near + RUN * radius, at[-1])
    ends = [np.array([np.interp(s, at, points[:, n]) for n in range(3)]) for s in (near, far)]
    return unit(ends[1] - ends[0])


def _plane_normal(directions: list[Floats]) -> Floats:
    """Return the unit normal of the plane through the origin that fits the directions best."""
    normal = np.linalg.svd(np.array(directions))[2][-1]
    largest = int(np.argmax(np.abs(normal)))
    return np.asarray(normal * np.sign(normal[largest]))


def _angle(u: Floats, v: Floats) -> float:
    return float(np.degrees(np.arccos(np.clip(u @ v, -1, 1))))


def _vector(v: Floats) -> Vector:
    return float(v[0]), float(v[1]), float(v[2])


def vessel_shape(centerline: Centerline, *, progress: Progress = silent) -> Measurements:
    """Measure the branches and bifurcations of a centerline: lengths, tortuosity, angles.

    Args:
        centerline: the branches of the vessel.
        progress: told how far the work is.
    """
    progress(0.1, "measuring the branches")
    numbers = []
    for n, shape in enumerate(branch_shapes(centerline), 1):
        source = f"branch {n} of the centerline"
        numbers += [
            Number(f"branch_{n}.length", shape.length_mm, "mm", source),
            Number(f"branch_{n}.mean_diameter", 2 * shape.mean_radius_mm, "mm", source),
            Number(f"branch_{n}.bending_radius", shape.bending_radius_mm, "mm", f"least, {source}"),
            Number(
                f"branch_{n}.sum_of_angles",
                shape.sum_of_angles_per_mm,
                "rad/mm",
                "total turning / length (Bullitt 2003)",
            ),
        ]
        if shape.tortuosity is not None:
            text = "length / chord - 1"
            numbers.append(Number(f"branch_{n}.tortuosity", shape.tortuosity, "", text))
    for n, fork in enumerate(bifurcations(centerline), 1):
        for pair, angle in fork.angles_degrees.items():
            text = f"between branches {pair} where they leave bifurcation {n}"
            name = f"bifurcation_{n}.angle_{pair.replace('-', '_')}"
            numbers.append(Number(name, angle, "degrees", text))
    return Measurements(tuple(numbers))
