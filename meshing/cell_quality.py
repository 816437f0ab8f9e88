"""How well shaped the cells of a volume mesh are, where the worst lie, and how true it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, enclosed_mm3
from meshing.volume_mesh import Floats, Integers, VolumeMesh, cell_volumes_mm3
from segmentation.contract import Finding, Number, Severity

POOR_DEGREES = 5.0
"""Below this smallest dihedral angle, linear elements condition a solver badly."""

POOR_JACOBIAN = 0.05
"""Below this scaled Jacobian a prism is nearly folded."""

LOST_VOLUME = 0.005
"""The volume may differ from the surface's by this share before a finding says so."""

# Corner of a prism and its three neighbours, so that their triple product is positive.
_PRISM_CORNERS = (
    (0, 1, 2, 3),
    (1, 2, 0, 4),
    (2, 0, 1, 5),
    (3, 5, 4, 0),
    (4, 3, 5, 1),
    (5, 4, 3, 2),
)


def smallest_dihedral_degrees(points_mm: Floats, tetrahedra: Integers) -> Floats:
    """Return the smallest of the six angles between faces of each tetrahedron; (m,)."""
    corners = points_mm[tetrahedra]
    smallest = np.full(len(tetrahedra), 180.0)
    for i, j in combinations(range(4), 2):
        k, other = (n for n in range(4) if n not in (i, j))
        edge = corners[:, j] - corners[:, i]
        one = np.cross(edge, corners[:, k] - corners[:, i])
        two = np.cross(edge, corners[:, other] - corners[:, i])
        # The arc tangent keeps its accuracy at angles near 0 and 180 degrees.
        sine = np.linalg.norm(np.cross(one, two), axis=1)
        angle = np.degrees(np.arctan2(sine, np.einsum("ij,ij->i", one, two)))
        smallest = np.minimum(smallest, angle)
    return smallest


def radius_ratio(points_mm: Floats, tetrahedra: Integers) -> Floats:
    """Return three times the inscribed by the circumscribed radius of each tetrahedron; (m,).

    1 is regular, 0 is flat (Liu and Joe, Relationship between tetrahedron shape measures, 1994).
    """
    a, b, c, d = (points_mm[tetrahedra[:, n]] for n in range(4))
    volume = np.abs(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a)) / 6.0
    faces = ((b, c, d), (a, c, d), (a, b, d), (a, b, c))
    area = sum(np.linalg.norm(np.cross(q - p, r - p), axis=1) / 2.0 for p, q, r in faces)
    pairs = ((a, b, c, d), (a, c, b, d), (a, d, b, c))
    x, y, z = (
        np.linalg.norm(p - q, axis=1) * np.linalg.norm(r - s, axis=1) for p, q, r, s in pairs
    )
    crelle = np.clip((x + y + z) * (x + y - z) * (x - y + z) * (y + z - x), 0.0, None)
    ratio = 216.0 * volume**2 / np.maximum(area * np.sqrt(crelle), 1e-300)
    return np.asarray(np.clip(ratio, 0.0, 1.0))


def prism_jacobian(points_mm: Floats, prisms: Integers) -> Floats:
    """Return the smallest scaled Jacobian at the six corners of each prism; (p,).

    That is the triple product of the unit edges, 1 for a straight prism on a regular triangle,
    and at most 0 where the prism folds.
    """
    smallest = np.full(len(prisms), np.inf)
    for corner, *others in _PRISM_CORNERS:
        x, y, z = (points_mm[prisms[:, other]] - points_mm[prisms[:, corner]] for other in others)
        lengths = [np.linalg.norm(edge, axis=1) for edge in (x, y, z)]
        triple = np.einsum("ij,ij->i", np.cross(x, y), z)
        scaled = triple / np.maximum(np.prod(lengths, axis=0), 1e-300)
        smallest = np.minimum(smallest, scaled * 2.0 / np.sqrt(3.0))
    return np.asarray(np.minimum(smallest, 1.0))


def deviation_mm(mesh: SurfaceMesh, surface: SurfaceMesh) -> Floats:
    """Return how far the points and triangle centres of each surface lie from the other, in mm."""
    ways = []
    for one, other in ((mesh, surface), (surface, mesh)):
        centres = one.points_mm[one.triangles].mean(axis=1)
        points = np.concatenate([one.points_mm[np.unique(one.triangles)], centres])
        ways.append(NearestOnSurface(other)(points).distance_mm)
    return np.concatenate(ways)


def with_quality(mesh: VolumeMesh, surface: SurfaceMesh) -> VolumeMesh:
    """Return the mesh with numbers and findings on its cells and on how it keeps ``surface``."""
    volumes = cell_volumes_mm3(mesh)
    angles = smallest_dihedral_degrees(mesh.points_mm, mesh.tetrahedra)
    ratios = radius_ratio(mesh.points_mm, mesh.tetrahedra)
    jacobians = prism_jacobian(mesh.points_mm, mesh.prisms)
    away = deviation_mm(mesh.outside, surface)
    enclosed = enclosed_mm3(surface)
    numbers = [
        Number("volume", float(volumes.sum()) / 1000.0, "mL", "sum over all cells"),
        Number(
            "volume_difference",
            100.0 * (float(volumes.sum()) / enclosed - 1.0),
            "%",
            "all cells against the volume enclosed by the surface",
        ),
        Number("points", float(len(mesh.points_mm)), "", "count"),
        Number("tetrahedra", float(len(mesh.tetrahedra)), "", "count"),
        Number("prisms", float(len(mesh.prisms)), "", "count"),
        *_shares("dihedral angle", angles, "°", "smallest angle of each tetrahedron"),
        *_shares("radius ratio", ratios, "", "3 r/R of each tetrahedron; 1 is regular"),
        *_shares("prism jacobian", jacobians, "", "scaled, smallest corner of each prism"),
        Number("mean_deviation", float(away.mean()), "mm", "between boundary and surface"),
        Number("largest_deviation", float(away.max()), "mm", "between boundary and surface"),
    ]
    findings = [
        *_poor_tetrahedra(mesh, angles),
        *_poor_prisms(mesh, jacobians),
        *_lost_volume(float(volumes.sum()), enclosed),
    ]
    return replace(mesh, numbers=(*mesh.numbers, *numbers), findings=(*mesh.findings, *findings))


def _shares(what: str, values: Floats, unit: str, source: str) -> list[Number]:
    if not len(values):
        return []
    low, one, half = float(values.min()), *map(float, np.percentile(values, (1, 50)))
    return [
        Number(f"smallest {what}", low, unit, source),
        Number(f"1st percentile of {what}", one, unit, source),
        Number(f"median {what}", half, unit, source),
    ]


def _poor_tetrahedra(mesh: VolumeMesh, angles: Floats) -> list[Finding]:
    poor = int((angles < POOR_DEGREES).sum())
    if not poor:
        return []
    worst = mesh.points_mm[mesh.tetrahedra[np.argmin(angles)]].mean(axis=0)
    return [
        Finding(
            Severity.WARNING,
            "poor_tetrahedra",
            f"{poor} of {len(angles)} tetrahedra have an angle below {POOR_DEGREES:g}°, the "
            f"smallest {angles.min():.2g}°; solvers converge badly there.",
            (float(worst[0]), float(worst[1]), float(worst[2])),
            "Remesh or smooth the surface there, or choose smaller cells.",
        )
    ]


def _poor_prisms(mesh: VolumeMesh, jacobians: Floats) -> list[Finding]:
    poor = int((jacobians < POOR_JACOBIAN).sum())
    if not poor:
        return []
    worst = mesh.points_mm[mesh.prisms[np.argmin(jacobians)]].mean(axis=0)
    return [
        Finding(
            Severity.WARNING,
            "poor_prisms",
            f"{poor} of {len(jacobians)} prisms of the layers are nearly folded, the worst with "
            f"a scaled Jacobian of {jacobians.min():.2g}.",
            (float(worst[0]), float(worst[1]), float(worst[2])),
            "Choose fewer or thinner layers, or smaller cells.",
        )
    ]


def _lost_volume(volume_mm3: float, enclosed: float) -> list[Finding]:
    share = volume_mm3 / enclosed - 1.0
    if abs(share) <= LOST_VOLUME:
        return []
    remedy = "Choose smaller cells, or keep the surface's own triangles."
    text = f"The volume of the cells differs by {100 * share:+.2g} % from the surface's."
    return [Finding(Severity.WARNING, "volume_differs", text, remedy=remedy)]
