"""Random cuts and booleans on real organs, among them coplanar, tangent and grazing ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from meshing.booleans import BooleanFailed, combine_surfaces
from meshing.cutting import cut_by_box, cut_by_curved_surface, cut_by_plane, cut_by_tube
from meshing.splines import flat_control_points
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight

TOLERANCE = 1e-3
Cut = Callable[[str], SurfaceMesh]
Case = tuple[str, Cut, tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    outcome: str  # "exact", "voxel", "refused" or "WRONG"
    why: str = ""
    difference: float = 0.0


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _plane(mesh: SurfaceMesh, point: np.ndarray, normal: np.ndarray) -> tuple[Cut, tuple[str, str]]:
    def cut(keep: str) -> SurfaceMesh:
        return cut_by_plane(mesh, point_mm=tuple(point), normal=tuple(normal), keep=keep)

    return cut, ("front", "back")


def _cut(mesh: SurfaceMesh, rng: np.random.Generator) -> Case:
    """Return what is cut, the cut, and its two sides."""
    points, extent = mesh.points_mm, float(np.ptp(mesh.points_mm, axis=0).max())
    kind = str(rng.choice(CUTS))
    n = _direction(rng)
    if kind == "plane":
        return (kind, *_plane(mesh, points[rng.integers(len(points))], n))
    if kind == "plane grazing":
        top = points[np.argmax(points @ n)] - n * 10.0 ** rng.uniform(-9, 0)
        return (kind, *_plane(mesh, top, n))
    if kind == "plane tangent":
        return (kind, *_plane(mesh, points[np.argmax(points @ n)], n))
    if kind == "plane coplanar":
        a, b, c = points[mesh.triangles[rng.integers(len(mesh.triangles))]]
        return (kind, *_plane(mesh, a, np.cross(b - a, c - a)))
    if kind == "plane through points":
        axis = np.eye(3)[rng.integers(3)]
        return (kind, *_plane(mesh, points[rng.integers(len(points))], axis))
    if kind.startswith("box"):
        low, high = points.min(axis=0), points.max(axis=0)
        if kind == "box":
            centre, size = points[rng.integers(len(points))], extent * rng.uniform(0.1, 0.8, 3)
            axes = _direction(rng), _direction(rng)
        elif kind == "box flush":  # a face in the plane of the organ's own bounding box
            size = (high - low) * rng.uniform(0.3, 0.9)
            centre, axes = low + size / 2, np.eye(3)[:2]
        else:  # a face through points of the organ
            one, two = points[rng.integers(len(points), size=2)]
            centre, size, axes = (one + two) / 2, np.abs(one - two) + 1e-9, np.eye(3)[:2]

        def box(keep: str) -> SurfaceMesh:
            return cut_by_box(
                mesh, centre_mm=tuple(centre), size_mm=tuple(size), first_axis=tuple(axes[0]),
                second_axis=tuple(axes[1]), keep=keep,
            )  # fmt: skip

        return kind, box, ("inside", "outside")
    if kind.startswith("tube"):
        radius = extent * rng.uniform(0.01, 0.1)
        path = points[rng.integers(len(points), size=rng.integers(2, 5))]
        if kind == "tube tangent":
            side = np.linalg.svd(n[None])[2][1]
            start = points[np.argmax(points @ n)] + radius * n
            path = np.stack([start - extent * side, start + extent * side])

        def tube(keep: str) -> SurfaceMesh:
            return cut_by_tube(mesh, points_mm=tuple(map(tuple, path)), radius_mm=radius, keep=keep)

        return kind, tube, ("inside", "outside")
    rows, columns = rng.integers(2, 6, 2)
    control = flat_control_points(mesh, points.mean(axis=0), n, rows, columns)
    control = control + 0.08 * extent * rng.normal(size=(rows, columns, 1)) * n

    def curved(keep: str) -> SurfaceMesh:
        grid = tuple(map(tuple, control.reshape(-1, 3)))
        return cut_by_curved_surface(mesh, control_points_mm=grid, columns=int(columns), keep=keep)

    return kind, curved, ("front", "back")


CUTS = (
    "plane", "plane grazing", "plane tangent", "plane coplanar", "plane through points", "box",
    "box flush", "box through points", "tube", "tube tangent", "curved surface",
)  # fmt: skip
PAIRS = (
    "neighbour", "itself", "itself moved", "itself moved by a hair", "itself turned",
    "its own half", "both halves", "larger around",
)  # fmt: skip


def _pair(
    meshes: Sequence[SurfaceMesh], mesh: SurfaceMesh, rng: np.random.Generator
) -> tuple[str, SurfaceMesh, SurfaceMesh]:
    kind = str(rng.choice(PAIRS))
    points, n = mesh.points_mm, _direction(rng)
    middle, extent = points.mean(axis=0), float(np.ptp(points, axis=0).max())
    if kind == "neighbour":
        other = meshes[rng.integers(len(meshes))]
        return kind, mesh, other
    if kind == "itself":
        return kind, mesh, mesh
    if kind == "itself moved":
        return kind, mesh, mesh.reshaped(points + extent * rng.uniform(0, 0.7) * n, mesh.triangles)
    if kind == "itself moved by a hair":
        moved = points + 10.0 ** rng.uniform(-12, -3) * n
        return kind, mesh, mesh.reshaped(moved, mesh.triangles)
    if kind == "itself turned":
        u, v = _direction(rng), _direction(rng)
        mirror = np.eye(3) - 2 * np.outer(u, u)
        turn = mirror @ (np.eye(3) - 2 * np.outer(v, v))
        return kind, mesh, mesh.reshaped((points - middle) @ turn.T + middle, mesh.triangles)
    if kind == "larger around":
        return kind, mesh, mesh.reshaped((points - middle) * 1.05 + middle, mesh.triangles)
    front, back = (
        cut_by_plane(mesh, point_mm=tuple(middle), normal=tuple(n), keep=keep)
        for keep in ("front", "back")
    )
    return (kind, mesh, front) if kind == "its own half" else (kind, front, back)


def judge(meshes: Sequence[SurfaceMesh], seed: int) -> tuple[str, str, Verdict]:
    """Do one random cut or boolean; return the organ, the kind and the verdict."""
    rng = np.random.default_rng(seed)
    mesh = meshes[rng.integers(len(meshes))]
    if rng.random() < 0.5:
        kind, cut, sides = _cut(mesh, rng)
        return mesh.name, kind, _judged_cut(mesh, cut, sides)
    kind, one, two = _pair(meshes, mesh, rng)
    return mesh.name, kind, _judged_pair(one, two)


def _closed(parts: Sequence[SurfaceMesh]) -> bool:
    return all(is_watertight(p) and enclosed_mm3(p) > 0 for p in parts)


def _how(parts: Sequence[SurfaceMesh]) -> str:
    return "voxel" if any(f.code == "voxel_boolean" for p in parts for f in p.findings) else "exact"


def _judged_cut(mesh: SurfaceMesh, cut: Cut, sides: tuple[str, str]) -> Verdict:
    try:
        parts = [cut(side) for side in sides]
    except (ValueError, BooleanFailed) as error:
        return Verdict("refused", str(error))
    difference = abs(sum(map(enclosed_mm3, parts)) / enclosed_mm3(mesh) - 1)
    if not _closed(parts) or difference > TOLERANCE:
        return Verdict("WRONG", "not closed, or volumes do not add up", difference)
    return Verdict(_how(parts), "", difference)


def _judged_pair(one: SurfaceMesh, two: SurfaceMesh) -> Verdict:
    found: dict[str, SurfaceMesh] = {}
    refused = []
    for operation in ("union", "difference", "intersection"):
        try:
            found[operation] = combine_surfaces(one, two, operation=operation)
        except ValueError as error:
            refused.append(str(error))
        except BooleanFailed as error:
            return Verdict("refused", str(error))
    volume = {k: enclosed_mm3(m) for k, m in found.items()}
    a, b, common = enclosed_mm3(one), enclosed_mm3(two), volume.get("intersection", 0.0)
    difference = max(
        abs(volume.get("union", 0.0) + common - a - b) / (a + b),
        abs(volume.get("difference", 0.0) + common - a) / a,
    )
    if not _closed(list(found.values())) or difference > TOLERANCE:
        return Verdict("WRONG", f"not closed, or volumes do not add up; {refused}", difference)
    return Verdict(_how(list(found.values())), "; ".join(refused), difference)
