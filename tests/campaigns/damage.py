"""Good closed surfaces damaged in many ways, and what a repair makes of them.

Every kind returns a damaged copy and the volume in mm3 that a repair must find, or None where
there is none and it must refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import trimesh

from meshing.booleans import divide
from meshing.intersections import intersecting_pairs
from meshing.repair import Unrepairable, repair
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight

TOLERANCE = 0.005

Damaged = tuple[SurfaceMesh, float | None]
Damage = Callable[[SurfaceMesh, np.random.Generator], Damaged]


@dataclass(frozen=True)
class Verdict:
    outcome: str  # "repaired", "refused" or "WRONG"
    why: str = ""
    difference: float = 0.0
    wrapped: bool = False


def _edge(mesh: SurfaceMesh) -> float:
    a, b = mesh.points_mm[mesh.triangles[:, 0]], mesh.points_mm[mesh.triangles[:, 1]]
    return float(np.median(np.linalg.norm(a - b, axis=1)))


def _extent(mesh: SurfaceMesh) -> float:
    return float(np.ptp(mesh.points_mm, axis=0).max())


def _near(mesh: SurfaceMesh, rng: np.random.Generator, radius: float) -> np.ndarray:
    """Triangles near a random point."""
    middle = mesh.points_mm[mesh.triangles].mean(axis=1)
    return np.linalg.norm(middle - middle[rng.integers(len(middle))], axis=1) < radius


def _with(mesh: SurfaceMesh, points: np.ndarray, triangles: np.ndarray) -> SurfaceMesh:
    """Add points and triangles that count them from 0."""
    return mesh.reshaped(
        np.concatenate([mesh.points_mm, points]),
        np.concatenate([mesh.triangles, triangles + len(mesh.points_mm)]),
    )


def _same(mesh: SurfaceMesh, triangles: np.ndarray) -> Damaged:
    return mesh.reshaped(mesh.points_mm, triangles), enclosed_mm3(mesh)


def small_holes(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    gone = rng.choice(len(mesh.triangles), 12, replace=False)
    return _same(mesh, np.delete(mesh.triangles, gone, axis=0))


def large_hole(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    radius = max(4 * _edge(mesh), 0.06 * _extent(mesh))
    return _same(mesh, mesh.triangles[~_near(mesh, rng, radius)])


def missing_at_random(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    return _same(mesh, mesh.triangles[rng.random(len(mesh.triangles)) > 0.03])


def flipped_patch(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    near = _near(mesh, rng, 0.2 * _extent(mesh))
    return _same(mesh, np.where(near[:, None], mesh.triangles[:, ::-1], mesh.triangles))


def flipped_at_random(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    some = rng.random(len(mesh.triangles)) < 0.3
    return _same(mesh, np.where(some[:, None], mesh.triangles[:, ::-1], mesh.triangles))


def inside_out(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    return _same(mesh, mesh.triangles[:, ::-1])


def double_triangles(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    again = mesh.triangles[rng.choice(len(mesh.triangles), len(mesh.triangles) // 10)]
    return _same(mesh, np.concatenate([mesh.triangles, again, again[:50, ::-1]]))


def unwelded(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    points = mesh.points_mm[mesh.triangles].reshape(-1, 3)
    return mesh.reshaped(points, np.arange(len(points)).reshape(-1, 3)), enclosed_mm3(mesh)


def unwelded_and_shaken(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    soup, volume = unwelded(mesh, rng)
    noise = 0.002 * _edge(mesh) * rng.uniform(-1, 1, soup.points_mm.shape)
    return soup.reshaped(soup.points_mm + noise, soup.triangles), volume


def unwelded_and_flipped(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    return unwelded(flipped_at_random(mesh, rng)[0], rng)[0], enclosed_mm3(mesh)


def flat_triangles(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """Triangles without area: a point twice, and three on a line beside an opened seam."""
    t = mesh.triangles
    some = t[rng.choice(len(t), 40, replace=False)]
    same = some[:, (0, 1, 1)]
    middle = (mesh.points_mm[some[:, 0]] + mesh.points_mm[some[:, 1]]) / 2
    flat = np.stack([some[:, 1], some[:, 0], len(mesh.points_mm) + np.arange(len(some))], axis=1)
    return (
        mesh.reshaped(np.concatenate([mesh.points_mm, middle]), np.concatenate([t, same, flat])),
        enclosed_mm3(mesh),
    )


def _split_edges(
    mesh: SurfaceMesh, rng: np.random.Generator, share: float, both: bool
) -> SurfaceMesh:
    """Put points on edges of some triangles that share no point, on one side or on both."""
    t = mesh.triangles
    chosen, used = [], np.zeros(len(mesh.points_mm), bool)
    for n in rng.permutation(len(t))[:200]:
        if not used[t[n]].any():
            used[t[n]] = True
            chosen.append(n)
    a, b, c = t[chosen].T
    number = len(mesh.points_mm) + np.arange(len(chosen))
    points = mesh.points_mm[a] + share * (mesh.points_mm[b] - mesh.points_mm[a])
    new = [np.stack([a, number, c], 1), np.stack([number, b, c], 1)]
    gone = set(chosen)
    if both:
        half = {
            (s, e): n for n, row in enumerate(t.tolist()) for s, e in zip(row, row[1:] + row[:1])
        }
        for p, q, m in zip(a.tolist(), b.tolist(), number.tolist()):
            other = half[q, p]
            if other in gone:
                continue
            gone.add(other)
            d = next(x for x in t[other].tolist() if x not in (p, q))
            new += [np.array([[q, m, d]]), np.array([[m, p, d]])]
    kept = np.delete(t, list(gone), axis=0)
    return mesh.reshaped(np.concatenate([mesh.points_mm, points]), np.concatenate([kept, *new]))


def needles(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    return _split_edges(mesh, rng, 1e-6, both=True), enclosed_mm3(mesh)


def t_junctions(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    return _split_edges(mesh, rng, 0.4, both=False), enclosed_mm3(mesh)


def fins(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    some = mesh.triangles[rng.choice(len(mesh.triangles), 20, replace=False)]
    p, q, r = (mesh.points_mm[some[:, n]] for n in range(3))
    normal = np.cross(q - p, r - p)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    tips = (p + q) / 2 + 1.5 * _edge(mesh) * normal
    fin = np.stack([some[:, 0], some[:, 1], len(mesh.points_mm) + np.arange(20)], axis=1)
    points = np.concatenate([mesh.points_mm, tips])
    return mesh.reshaped(points, np.concatenate([mesh.triangles, fin])), enclosed_mm3(mesh)


def touching_solids(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """A cone whose tip, and one whose edge, belongs to the surface too."""
    points, cells = mesh.points_mm, mesh.triangles
    volume = enclosed_mm3(mesh)
    high = int(np.argmax(points[:, 2]))
    size = 0.12 * _extent(mesh)
    cone = trimesh.creation.cone(radius=size, height=size, sections=16)
    cone.apply_transform(trimesh.transformations.rotation_matrix(np.pi, (1, 0, 0)))
    cone.apply_translation(points[high] - cone.vertices[np.argmin(cone.vertices[:, 2])])
    tip = int(np.argmin(cone.vertices[:, 2]))
    number = np.arange(len(cone.vertices)) + len(points)
    number[tip] = high
    return (
        mesh.reshaped(
            np.concatenate([points, cone.vertices]), np.concatenate([cells, number[cone.faces]])
        ),
        volume + abs(float(cone.volume)),
    )


def spikes(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """Points pushed far through the other side."""
    points = mesh.points_mm.copy()
    for n in rng.choice(len(points), 3, replace=False):
        points[n] = 2 * points.mean(axis=0) - points[n]
    return mesh.reshaped(points, mesh.triangles), enclosed_mm3(mesh)


def folds(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """A small region crumpled."""
    points = mesh.points_mm.copy()
    near = np.linalg.norm(points - points[rng.integers(len(points))], axis=1) < 3 * _edge(mesh)
    points[near] += rng.uniform(-1.2, 1.2, (near.sum(), 3)) * _edge(mesh)
    return mesh.reshaped(points, mesh.triangles), enclosed_mm3(mesh)


def _ball(radius: float, at: np.ndarray) -> trimesh.Trimesh:
    ball = trimesh.creation.icosphere(2, radius)
    ball.apply_translation(at)
    return ball


def stray_islands(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    size = _extent(mesh)
    high = mesh.points_mm.max(axis=0)
    for n in range(5):
        ball = _ball(0.01 * size, high + size * (0.1 + 0.05 * n))
        mesh = _with(mesh, ball.vertices, ball.faces)
    return mesh, enclosed_mm3(mesh)


def stray_scraps(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    volume = enclosed_mm3(mesh)
    size = _extent(mesh)
    points = mesh.points_mm.max(axis=0) + size * rng.uniform(0.1, 0.2, (20, 3, 3))
    scale = 0.3 * _edge(mesh) / size
    points = points.mean(axis=1, keepdims=True) + scale * 5 * (points - points.mean(1)[:, None])
    return _with(mesh, points.reshape(-1, 3), np.arange(60).reshape(-1, 3)), volume


def inner_wall(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """A plane across the inside, tied to the surface."""
    from meshing.plane_split import split_between_points

    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    distance = (mesh.points_mm - mesh.points_mm.mean(axis=0)) @ normal + 1e-3
    split = split_between_points(mesh, distance, normal)
    assert split is not None
    front, back = split
    joined = _with(front, back.points_mm, back.triangles)
    return joined, enclosed_mm3(mesh)  # both parts have the wall, once each way


def inner_part(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    from meshing.distance_fields import grid_around, signed_distance

    grid = grid_around([mesh.points_mm], _extent(mesh) / 50)
    field = signed_distance(mesh.points_mm, mesh.triangles, grid)
    k, j, i = np.unravel_index(int(np.argmin(field)), field.shape)
    ball = _ball(0.8 * -float(field.min()), grid.origin_mm + grid.step_mm * np.array([i, j, k]))
    return _with(mesh, ball.vertices, ball.faces), enclosed_mm3(mesh)


def overlapping_parts(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    ball = _ball(0.1 * _extent(mesh), mesh.points_mm[rng.integers(len(mesh.points_mm))])
    tool = SurfaceMesh(ball.vertices, ball.faces, mesh.frame_uid)
    union = divide(mesh, tool, union=True).union
    assert union is not None
    return _with(mesh, ball.vertices, ball.faces), enclosed_mm3(union)


def crack(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """A band of triangles missing all around."""
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    distance = (mesh.points_mm - mesh.points_mm.mean(axis=0)) @ normal
    sides = (distance > 0)[mesh.triangles]
    return _same(mesh, mesh.triangles[sides.all(axis=1) | ~sides.any(axis=1)])


def open_tube(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """Cut off at a plane and left open."""
    from meshing.clipping import split_by_plane

    x = mesh.points_mm[:, 2]
    at = x.max() - 0.3 * np.ptp(x)
    part = split_by_plane(mesh, mesh.points_mm.mean(axis=0) * [1, 1, 0] + [0, 0, at], (0, 0, -1))[0]
    middle = part.points_mm[part.triangles]
    flat = np.abs(middle[:, :, 2] - at).max(axis=1) < 1e-9
    return part.reshaped(part.points_mm, part.triangles[~flat]), enclosed_mm3(part)


def double_skin(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """The whole surface a second time, at the same place and unwelded."""
    return _with(mesh, mesh.points_mm, mesh.triangles), enclosed_mm3(mesh)


def sheet(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """Only a small piece is left: nothing to repair."""
    near = _near(mesh, rng, max(3 * _edge(mesh), 0.05 * _extent(mesh)))
    return mesh.reshaped(mesh.points_mm, mesh.triangles[near]), None


def moebius(mesh: SurfaceMesh, rng: np.random.Generator) -> Damaged:
    """A band with one side."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 60, endpoint=False), [-8.0, 0.0, 8.0])
    r = 30 + v * np.cos(u / 2)
    points = np.stack([r * np.cos(u), r * np.sin(u), v * np.sin(u / 2)], axis=-1).reshape(-1, 3)
    cells = []
    for n in range(60):
        for row in (0, 1):
            a, b = row * 60 + n, (row + 1) * 60 + n
            c, d = row * 60 + n + 1, (row + 1) * 60 + n + 1
            if n == 59:
                c, d = (2 - row) * 60, (1 - row) * 60
            cells += [[a, c, b], [b, c, d]]
    return mesh.reshaped(points, np.array(cells)), None


KINDS: dict[str, Damage] = {
    f.__name__: f
    for f in (
        small_holes, large_hole, missing_at_random, flipped_patch, flipped_at_random, inside_out,
        double_triangles, unwelded, unwelded_and_shaken, unwelded_and_flipped, flat_triangles,
        needles, t_junctions, fins, touching_solids, spikes, folds, stray_islands, stray_scraps,
        inner_wall, inner_part, overlapping_parts, crack, open_tube, double_skin, sheet, moebius,
    )
}  # fmt: skip


def judge(kind: str, mesh: SurfaceMesh, seed: int) -> Verdict:
    """Damage a surface, repair it and tell what came of it."""
    damaged, volume = KINDS[kind](mesh, np.random.default_rng(seed))
    before = damaged.points_mm.copy(), damaged.triangles.copy()
    try:
        fixed = repair(damaged)
    except Unrepairable as error:
        return Verdict("refused", str(error))
    if not all(map(np.array_equal, before, (damaged.points_mm, damaged.triangles))):
        return Verdict("WRONG", "the original was changed")
    codes = {f.code for f in fixed.findings}
    change = abs(enclosed_mm3(fixed) / volume - 1) if volume else np.inf
    verdict = Verdict("repaired", ", ".join(sorted(codes)), change, "wrapped" in codes)
    if not is_watertight(fixed):
        return replace(verdict, outcome="WRONG", why="not closed: " + verdict.why)
    if len(intersecting_pairs(fixed.points_mm, fixed.triangles)):
        return replace(verdict, outcome="WRONG", why="runs through itself: " + verdict.why)
    if change > TOLERANCE:
        return replace(verdict, outcome="WRONG", why="volume: " + verdict.why)
    return verdict
