"""Planes, spheres and cylinders that suit a surface or picked points best.

Least squares, or robust: started from the best of many small samples (least median of
squares, Rousseeuw, JASA 79 (1984) 871-880) and refined with Tukey's biweight, so that up to
almost half of the points may belong to something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from meshing.comparison import point_areas_mm2
from meshing.measuring import as_vector, frame_of
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured, number_text
from segmentation.volume import Floats, LabelMap, Vector, Volume

DRAWS = 300  # small samples that a robust fit starts from
MOST = 20_000  # points that are fitted; an even choice of more
ROUNDS = 30  # of reweighting
TUKEY = 4.685  # scales at which a point stops counting (95 percent efficiency)
TO_SIGMA = 1.4826  # median absolute deviation to standard deviation of a normal distribution
DIRECTIONS, TRIPLES = 200, 30  # axes, and circles along each, that are tried for a cylinder
CIRCLE = 72  # points of a drawn circle

Model = Floats
Solve = Callable[[Floats, Floats, "Model | None"], Model]  # points, weights, earlier model
Residuals = Callable[[Model, Floats], Floats]


@dataclass(frozen=True)
class Cloud:
    """Points (n, 3) to be fitted, LPS mm, and how much each counts."""

    points_mm: Floats
    weights: Floats


def plane_fit(points: Floats, weights: Floats, before: Model | None = None) -> Model:
    """Return centre and unit normal (6,) of the plane nearest to points, in least squares."""
    centre = np.average(points, axis=0, weights=weights)
    arms = (points - centre) * np.sqrt(weights)[:, None]
    return np.concatenate([centre, np.linalg.svd(arms, full_matrices=False)[2][2]])


def plane_residuals(model: Model, points: Floats) -> Floats:
    """Return signed distances in mm of points from a plane."""
    return np.asarray((points - model[:3]) @ model[3:])


def sphere_fit(points: Floats, weights: Floats, before: Model | None = None) -> Model:
    """Return centre and radius (4,) of the sphere nearest to points: algebraic, then geometric."""
    root = np.sqrt(weights)
    if before is None:
        middle = points.mean(axis=0)
        arms = points - middle
        rows = np.hstack([2 * arms, np.ones((len(arms), 1))])
        right = (arms**2).sum(axis=1)
        found = np.linalg.lstsq(rows * root[:, None], right * root, rcond=None)[0]
        radius = np.sqrt(max(found[3] + found[:3] @ found[:3], 1e-12))
        before = np.concatenate([found[:3] + middle, [radius]])
        if len(points) <= 4:
            return before
    return np.asarray(
        least_squares(lambda m: root * sphere_residuals(m, points), before, method="lm").x
    )


def sphere_residuals(model: Model, points: Floats) -> Floats:
    """Return signed distances in mm of points from a sphere, positive outside."""
    return np.asarray(np.linalg.norm(points - model[:3], axis=1) - model[3])


def cylinder_fit(points: Floats, weights: Floats, before: Model | None = None) -> Model:
    """Return axis point, unit axis and radius (7,) of the cylinder nearest to points."""
    if before is None:
        before = _first_cylinder(points, weights)
    centre, axis = before[:3], before[3:6]
    u, v = _across(axis)
    root = np.sqrt(weights)

    def unpack(free: Floats) -> Model:
        turned = axis + free[2] * u + free[3] * v
        turned /= np.linalg.norm(turned)
        return np.concatenate([centre + free[0] * u + free[1] * v, turned, [free[4]]])

    start = np.array([0.0, 0.0, 0.0, 0.0, before[6]])
    found = least_squares(
        lambda free: root * cylinder_residuals(unpack(free), points), start, method="lm"
    )
    model = unpack(found.x)
    model[:3] += ((np.average(points, axis=0, weights=weights) - model[:3]) @ model[3:6]) * (
        model[3:6]
    )
    return model


def cylinder_residuals(model: Model, points: Floats) -> Floats:
    """Return signed distances in mm of points from an endless cylinder, positive outside."""
    arms = points - model[:3]
    across = arms - (arms @ model[3:6])[:, None] * model[3:6]
    return np.asarray(np.linalg.norm(across, axis=1) - model[6])


def _across(axis: Floats) -> tuple[Floats, Floats]:
    u = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    u /= np.linalg.norm(u)
    return u, np.cross(axis, u)


def _first_cylinder(points: Floats, weights: Floats, before: Model | None = None) -> Model:
    """Return the best circle through three projected points, along many directions.

    The best is the one from which half of the points lie least far.
    """
    some = points[:: max(len(points) // 250, 1)]
    triples = np.random.default_rng(0).integers(0, len(some), (TRIPLES, 3))
    best: tuple[float, Model] = (np.inf, np.zeros(7))
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(DIRECTIONS)
    lift = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    flat = np.sqrt(1 - lift**2)
    pca = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    for axis in np.vstack([pca, np.stack([flat * np.cos(turn), flat * np.sin(turn), lift], 1)]):
        u, v = _across(axis)
        plane = np.stack([some @ u, some @ v], axis=1)
        centres, radii = _circles(plane[triples])
        off = np.abs(np.linalg.norm(plane - centres[:, None], axis=2) - radii[:, None])
        score = np.median(off, axis=1)
        n = int(np.argmin(np.where(np.isfinite(score), score, np.inf)))
        if score[n] < best[0]:
            centre = centres[n, 0] * u + centres[n, 1] * v + (points.mean(axis=0) @ axis) * axis
            best = float(score[n]), np.concatenate([centre, axis, [radii[n]]])
    return best[1]


def _circles(triples: Floats) -> tuple[Floats, Floats]:
    """Return centres (n, 2) and radii (n,) of circles through three points each, (n, 3, 2)."""
    a, b, c = (triples[:, n] for n in range(3))
    p, q = b - a, c - a
    double = 2 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    double = np.where(np.abs(double) < 1e-9, np.nan, double)
    pp, qq = (p**2).sum(axis=1), (q**2).sum(axis=1)
    x = (q[:, 1] * pp - p[:, 1] * qq) / double
    y = (p[:, 0] * qq - q[:, 0] * pp) / double
    return np.stack([x, y], axis=1) + a, np.hypot(x, y)


def robust_fit(
    cloud: Cloud, solve: Solve, residuals: Residuals, least: int, progress: Progress
) -> tuple[Model, Floats]:
    """Return a model and the weights (0 to 1) with which Tukey's biweight counted the points."""
    points, weights = cloud.points_mm, cloud.weights
    start = _first_cylinder if solve is cylinder_fit else solve
    model = start(points, weights, None)
    best = float(np.median(np.abs(residuals(model, points))))
    chosen = np.random.default_rng(0)  # the same draws every time
    some = points[:: max(len(points) // 2000, 1)]
    for draw in range(DRAWS if least < 6 else 0):
        progress(0.5 * draw / DRAWS, "choosing points")
        sample = some[chosen.choice(len(some), min(least, len(some)), replace=False)]
        tried = solve(sample, np.ones(len(sample)), None)
        spread = float(np.median(np.abs(residuals(tried, some))))
        if spread < best:
            model, best = tried, spread
    counted = np.ones(len(points))
    for round_ in range(ROUNDS):
        progress(0.5 + 0.5 * round_ / ROUNDS, "fitting")
        off = residuals(model, points)
        scale = max(TO_SIGMA * float(np.median(np.abs(off))), 1e-9)
        counted = np.clip(1 - (off / (TUKEY * scale)) ** 2, 0, None) ** 2
        after = solve(points, weights * counted, model)
        moved = float(np.abs(after - model).max())
        model = after
        if moved < 1e-5:
            break
    return model, counted


def cloud_of(
    place: Volume | LabelMap | SurfaceMesh,
    points_mm: tuple[Vector, ...],
    label: str,
    part: str,
    least: int,
) -> Cloud:
    """Return what is fitted: the picked points, or the surface (of a label), or a part of it.

    Raises:
        ValueError: if there are fewer than ``least`` points.
    """
    if points_mm:
        points = np.asarray(points_mm, float)
        weights = np.ones(len(points))
    else:
        mesh = _surface_of(place, label)
        if part:
            if part not in mesh.boundaries:
                known = ", ".join(sorted(mesh.boundaries)) or "none"
                raise ValueError(f"the surface has no part {part!r}; its parts are: {known}")
            mesh = mesh.reshaped(mesh.points_mm, mesh.triangles[mesh.boundaries[part]])
        weights = point_areas_mm2(mesh)
        used = np.flatnonzero(weights > 0)
        used = used[:: max(len(used) // MOST, 1)]
        points, weights = mesh.points_mm[used], weights[used]
        weights = weights / weights.mean() if len(weights) else weights
    if len(points) < least:
        raise ValueError(f"at least {least} points are needed for this fit, not {len(points)}")
    return Cloud(points, weights)


def _surface_of(place: Volume | LabelMap | SurfaceMesh, label: str) -> SurfaceMesh:
    if isinstance(place, SurfaceMesh):
        return place
    if isinstance(place, LabelMap):
        return isosurface(place, label=label)
    raise ValueError("an image has no surface to fit; pick points, or choose a label or a surface")


def _fitted(
    cloud: Cloud, robust: bool, solve: Solve, residuals: Residuals, least: int, progress: Progress
) -> tuple[Model, Floats]:
    if robust:
        return robust_fit(cloud, solve, residuals, least, progress)
    progress(0.1, "fitting")
    return solve(cloud.points_mm, cloud.weights, None), np.ones(len(cloud.points_mm))


def _residual_numbers(off: Floats, cloud: Cloud, counted: Floats) -> list[Number]:
    used = cloud.weights * (counted > 0)
    rms = float(np.sqrt(np.average(off**2, weights=used)))
    far = float(np.abs(off[counted > 0]).max())
    source = f"{int((counted > 0).sum())} of {len(off)} points"
    return [
        Number("rms_residual", rms, "mm", source),
        Number("largest_residual", far, "mm", source),
        Number("used", 100.0 * float(used.sum() / cloud.weights.sum()), "%", "points that counted"),
    ]


def _radius(model_radius: float, off: Floats, counted: Floats) -> Number:
    low, high = np.percentile(off[counted > 0], (2.5, 97.5))
    source = "least squares; the band holds 95 % of the points' own radii"
    return Number(
        "radius", model_radius, "mm", source,
        model_radius + min(float(low), 0.0), model_radius + max(float(high), 0.0),
    )  # fmt: skip


def _few_counted(counted: Floats) -> tuple[Finding, ...]:
    share = float((counted > 0).mean())
    if share >= 0.6:
        return ()
    text = f"Only {share:.0%} of the points belong to this shape."
    remedy = "Choose a part of the surface, or another shape."
    return (Finding(Severity.WARNING, "few_points_fit", text, remedy=remedy),)


def fit_plane(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...] = (),
    label: str = "",
    part: str = "",
    robust: bool = True,
    progress: Progress = silent,
) -> Measured:
    """Fit a plane.

    Args:
        place: the surface or label that is fitted, or where the points were picked.
        points_mm: three or more picked points, LPS mm; empty takes the whole surface.
        label: name of one of several labels.
        part: name of a part of the surface; empty takes all of it.
        robust: leave out points that belong to something else.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than three points.
    """
    cloud = cloud_of(place, points_mm, label, part, 3)
    robust = robust and len(cloud.points_mm) > 6
    model, counted = _fitted(cloud, robust, plane_fit, plane_residuals, 3, progress)
    centre, normal = model[:3], model[3:] * (1 if model[3:][_longest(model[3:])] > 0 else -1)
    off = plane_residuals(model, cloud.points_mm)
    numbers = _residual_numbers(off, cloud, counted)
    loop = rectangle(cloud.points_mm[counted > 0], centre, normal)
    text = f"plane, rms {number_text(numbers[0].value, 'mm')}"
    places = {"point_mm": as_vector(centre), "normal": as_vector(normal)}
    marks = np.asarray(points_mm, float).reshape(-1, 3)
    return Measured(
        frame_of(place), (loop,), marks, text, as_vector(loop[0]), places,
        findings=_few_counted(counted), numbers=tuple(numbers),
    )  # fmt: skip


def fit_sphere(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...] = (),
    label: str = "",
    part: str = "",
    robust: bool = True,
    progress: Progress = silent,
) -> Measured:
    """Fit a sphere, such as a femoral head.

    Args:
        place: the surface or label that is fitted, or where the points were picked.
        points_mm: four or more picked points, LPS mm; empty takes the whole surface.
        label: name of one of several labels.
        part: name of a part of the surface; empty takes all of it.
        robust: leave out points that belong to something else.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than four points, or points that lie in one plane.
    """
    cloud = cloud_of(place, points_mm, label, part, 4)
    _require_spread(cloud.points_mm, "sphere")
    robust = robust and len(cloud.points_mm) > 8
    model, counted = _fitted(cloud, robust, sphere_fit, sphere_residuals, 4, progress)
    off = sphere_residuals(model, cloud.points_mm)
    numbers = [_radius(float(model[3]), off, counted), *_residual_numbers(off, cloud, counted)]
    rings = tuple(circle(model[:3], normal, float(model[3])) for normal in np.eye(3))
    text = f"sphere, radius {number_text(float(model[3]), 'mm')}"
    marks, centre = np.asarray(points_mm, float).reshape(-1, 3), as_vector(model[:3])
    return Measured(
        frame_of(place), rings, marks, text, centre, {"centre_mm": centre},
        findings=_few_counted(counted), numbers=tuple(numbers),
    )  # fmt: skip


def fit_cylinder(
    place: Volume | LabelMap | SurfaceMesh,
    *,
    points_mm: tuple[Vector, ...] = (),
    label: str = "",
    part: str = "",
    robust: bool = True,
    progress: Progress = silent,
) -> Measured:
    """Fit a cylinder, such as a shaft or a straight vessel.

    Args:
        place: the surface or label that is fitted, or where the points were picked.
        points_mm: six or more picked points, LPS mm; empty takes the whole surface.
        label: name of one of several labels.
        part: name of a part of the surface; empty takes all of it.
        robust: leave out points that belong to something else, such as end caps.
        progress: told how far the work is.

    Raises:
        ValueError: for fewer than six points, or points that lie in one plane.
    """
    cloud = cloud_of(place, points_mm, label, part, 6)
    _require_spread(cloud.points_mm, "cylinder")
    robust = robust and len(cloud.points_mm) > 12
    model, counted = _fitted(cloud, robust, cylinder_fit, cylinder_residuals, 6, progress)
    axis = model[3:6] * (1 if model[3:6][_longest(model[3:6])] > 0 else -1)
    off = cylinder_residuals(model, cloud.points_mm)
    along = (cloud.points_mm[counted > 0] - model[:3]) @ axis
    ends = model[:3] + np.array([[along.min()], [along.max()]]) * axis
    radius = float(model[6])
    numbers = [
        _radius(radius, off, counted),
        Number("length", float(np.ptp(along)), "mm", "from the first to the last point used"),
        *_residual_numbers(off, cloud, counted),
    ]
    lines = (ends, *(circle(end, axis, radius) for end in ends))
    text = f"cylinder, radius {number_text(radius, 'mm')}"
    places = {"point_mm": as_vector(ends.mean(axis=0)), "axis": as_vector(axis)}
    marks = np.asarray(points_mm, float).reshape(-1, 3)
    return Measured(
        frame_of(place), lines, marks, text, as_vector(ends.mean(axis=0)), places,
        findings=_few_counted(counted), numbers=tuple(numbers),
    )  # fmt: skip


def rectangle(points: Floats, centre: npt.ArrayLike, normal: npt.ArrayLike) -> Floats:
    """Return the closed outline (5, 3), in a plane, that holds the shadows of points on it."""
    middle, way = np.asarray(centre, float), np.asarray(normal, float)
    flat = points - middle
    flat = flat - (flat @ way)[:, None] * way
    u, v = _across(way)
    spread = np.linalg.svd(flat[:: max(len(flat) // 5000, 1)], full_matrices=False)
    if len(flat) > 2 and spread[1][0] > 1.05 * spread[1][1]:
        u = spread[2][0] - (spread[2][0] @ way) * way
        u /= np.linalg.norm(u)
        v = np.cross(way, u)
    a, b = flat @ u, flat @ v
    corners = [(a.min(), b.min()), (a.max(), b.min()), (a.max(), b.max()), (a.min(), b.max())]
    return np.array([middle + p * u + q * v for p, q in [*corners, corners[0]]])


def circle(centre: npt.ArrayLike, normal: npt.ArrayLike, radius_mm: float) -> Floats:
    """Return a closed circle (n, 3) about a unit normal, LPS mm."""
    u, v = _across(np.asarray(normal, float))
    turn = np.linspace(0, 2 * np.pi, CIRCLE + 1)[:, None]
    return np.asarray(np.asarray(centre) + radius_mm * (np.cos(turn) * u + np.sin(turn) * v))


def _require_spread(points: Floats, shape: str) -> None:
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if spread[2] < 1e-6 * max(float(spread[0]), 1e-9):
        raise ValueError(f"the points lie in one plane; a {shape} needs points beside it")


def _longest(direction: Floats) -> int:
    return int(np.argmax(np.abs(direction)))
