"""The plane about which a surface is its own mirror image, as far as it is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.fitting import rectangle
from meshing.measuring import as_vector
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.measured import Measured, number_text
from segmentation.volume import Floats, LabelMap, Vector

SAMPLES = 4000  # points that are mirrored in the search
FINE = 12_000  # and in its last rounds
TILTS = (-20.0, 0.0, 20.0)  # degrees off the sagittal plane that the search starts from
ROUNDS, FINE_ROUNDS = 8, 20
FACING = 0.3  # cosine above which two places of a surface face the same way
WRONG_WAY_MM = 1e3
TRIM = 0.75  # share of the points, the best matching ones, that decide
SYMMETRIC_MM = 2.0


@dataclass(frozen=True)
class MirrorPlane:
    """A plane: a point (LPS mm) and the unit normal (LPS), which points to the patient's left."""

    point_mm: Vector
    normal: Vector

    def mirrored(self, points_mm: npt.ArrayLike) -> Floats:
        """Return the mirror images of LPS mm points (n, 3)."""
        points, normal = np.asarray(points_mm, float), np.asarray(self.normal)
        height = (points - np.asarray(self.point_mm)) @ normal
        return np.asarray(points - 2 * height[:, None] * normal)


def find_symmetry(
    mesh: SurfaceMesh, *, sagittal: bool = True, progress: Progress = silent
) -> MirrorPlane:
    """Return the plane that mirrors a surface onto itself best.

    Mirrored points are matched with their nearest places on the surface, and the plane is
    moved so that they come to lie on the surface there (Gauss-Newton on its three degrees of
    freedom). The three quarters that match best decide, so that a defect on one side does not
    pull. The search starts from the sagittal plane and planes tilted from it, or, without
    ``sagittal``, from the principal planes and those between them.

    Raises:
        ValueError: if the surface has fewer than ten triangles.
    """
    if len(mesh.triangles) < 10:
        raise ValueError("the surface is too small for a plane of symmetry; choose another")
    points, normals = even_points(mesh, SAMPLES)
    middle = points.mean(axis=0)
    points = points - middle
    tree = cKDTree(points)

    def nearest(moved: Floats) -> tuple[Floats, Floats]:
        place = tree.query(moved)[1]
        return points[place], normals[place]

    starts = _starts(points, sagittal)
    best: tuple[float, Floats] = (np.inf, starts[0])
    for number, start in enumerate(starts):
        progress(0.6 * number / len(starts), "trying planes")
        model, misfit = start, np.inf
        for _ in range(ROUNDS):
            model, misfit, _ = _step(points, normals, nearest, model)
        if misfit < best[0]:
            best = misfit, model
    progress(0.65, "refining the plane")
    finder, (fine, way) = NearestOnSurface(mesh), even_points(mesh, FINE)
    faces = face_normals(mesh)

    def exactly(moved: Floats) -> tuple[Floats, Floats]:
        found = finder(moved + middle)
        return found.point_mm - middle, faces[found.triangle]

    model = best[1]
    for round_ in range(FINE_ROUNDS):
        progress(0.65 + 0.3 * round_ / FINE_ROUNDS, "refining the plane")
        model, _, moved = _step(fine - middle, way, exactly, model)
        if moved < 1e-3:
            break
    normal = model[:3] * (1 if model[int(np.argmax(np.abs(model[:3])))] > 0 else -1)
    foot = middle + model[3] * model[:3]
    return MirrorPlane(as_vector(foot), as_vector(normal))


def symmetry_plane(
    place: SurfaceMesh | LabelMap,
    *,
    label: str = "",
    sagittal: bool = True,
    progress: Progress = silent,
) -> Measured:
    """Find the plane of symmetry, such as the mid-sagittal plane of a skull.

    The mirror image is laid onto the surface; parts without a counterpart, such as a defect on
    one side, do not count. The numbers say how symmetric the rest is.

    Args:
        place: the surface, or a label whose surface is taken.
        label: name of one of several labels.
        sagittal: look for the plane near the patient's sagittal plane only.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface is too small.
    """
    mesh = place if isinstance(place, SurfaceMesh) else isosurface(place, label=label)
    plane = find_symmetry(mesh, sagittal=sagittal, progress=progress)
    progress(0.96, "measuring the symmetry")
    points, _ = even_points(mesh, FINE)
    away = NearestOnSurface(mesh)(plane.mirrored(points)).distance_mm
    inner = np.sort(away)[: int(TRIM * len(away))]
    normal = np.asarray(plane.normal)
    share = 100.0 * float((away <= SYMMETRIC_MM).mean())
    source = f"{len(points)} points and the mirror image, nearest places"
    numbers = (
        Number("asymmetry", float(np.median(away)), "mm", f"median distance of {source}"),
        Number("asymmetry_rms", float(np.sqrt((inner**2).mean())), "mm",
               f"{source}; the best {TRIM:.0%}"),
        Number("symmetric", share, "%", f"{source}; within {SYMMETRIC_MM:g} mm"),
        Number("turn", _tilt(normal, 1), "degrees", "about the head-foot axis, off the sagittal "
               "plane; above zero the left side is turned back"),
        Number("tilt", _tilt(normal, 2), "degrees", "about the front-back axis, off the sagittal "
               "plane; above zero the left side is higher"),
    )  # fmt: skip
    loop = rectangle(mesh.points_mm, plane.point_mm, plane.normal)
    text = f"symmetry plane, {number_text(numbers[0].value, 'mm')} off"
    places = {"point_mm": plane.point_mm, "normal": plane.normal}
    findings = () if share >= 50 else (_hardly(share),)
    return Measured(
        mesh.frame_uid, (loop,), np.empty((0, 3)), text, as_vector(loop[2]), places,
        findings=findings, numbers=numbers,
    )  # fmt: skip


def even_points(mesh: SurfaceMesh, count: int) -> tuple[Floats, Floats]:
    """Return points spread evenly over a surface and the normals there, (count, 3) each, LPS mm.

    They are the same every time.
    """
    corners = mesh.points_mm[mesh.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.cumsum(np.linalg.norm(across, axis=1))
    place = (np.arange(count) + 0.5) / count * summed[-1]
    cell = np.minimum(np.searchsorted(summed, place), len(summed) - 1)
    u, v = np.random.default_rng(0).random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = corners[cell, 0], corners[cell, 1], corners[cell, 2]
    points = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return np.asarray(points), face_normals(mesh)[cell]


def face_normals(mesh: SurfaceMesh) -> Floats:
    """Return the unit normals (m, 3) of a surface's triangles, LPS."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300))


def _starts(points: Floats, sagittal: bool) -> list[Floats]:
    """Return planes (unit normal, offset) to start from, each through the middle."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2 if sagittal else points.mean(axis=0)
    if sagittal:
        ways = [
            np.array([1.0, np.tan(np.radians(turn)), np.tan(np.radians(tilt))])
            for turn in TILTS
            for tilt in TILTS
        ]
    else:
        axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
        pairs = [axes[a] + sign * axes[b] for a, b in ((0, 1), (0, 2), (1, 2)) for sign in (1, -1)]
        ways = [*axes, *pairs, *np.eye(3)]
    units = [way / np.linalg.norm(way) for way in ways]
    return [np.append(way, way @ centre) for way in units]


def _step(
    points: Floats,
    normals: Floats,
    nearest: Callable[[Floats], tuple[Floats, Floats]],
    model: Floats,
) -> tuple[Floats, float, float]:
    """Return the plane moved so that mirrored points come to lie on the surface.

    Also how far the best part of them was off before, and how far the plane moved (mm, at
    100 mm from the middle). ``nearest`` gives the nearest places of points and the normals
    there; a place that faces another way is no match.
    """
    way, offset = model[:3], model[3]
    mirrored = points - 2 * (points @ way - offset)[:, None] * way
    faced = normals - 2 * (normals @ way)[:, None] * way
    place, out = nearest(mirrored)
    away = np.linalg.norm(mirrored - place, axis=1)
    away = np.where(np.einsum("ij,ij->i", faced, out) > FACING, away, away + WRONG_WAY_MM)
    kept = away <= np.quantile(away, TRIM)
    p, n = points[kept], out[kept]
    off = np.einsum("ij,ij->i", n, mirrored[kept] - place[kept])
    u = np.cross(way, np.eye(3)[int(np.argmin(np.abs(way)))])
    u /= np.linalg.norm(u)
    v = np.cross(way, u)
    towards, height = n @ way, p @ way - offset
    slopes = np.stack(
        [-2 * ((p @ a) * towards + height * (n @ a)) for a in (u, v)] + [2 * towards], axis=1
    )
    turn_u, turn_v, shift = np.linalg.lstsq(slopes, -off, rcond=None)[0]
    turned = way + turn_u * u + turn_v * v
    turned /= np.linalg.norm(turned)
    moved = abs(shift) + 100 * float(np.linalg.norm(turned - way))
    return np.append(turned, offset + shift), float(away[kept].mean()), float(moved)


def _tilt(normal: Floats, axis: int) -> float:
    """Return the angle in degrees by which a normal leaves the left axis towards ``axis``."""
    return float(np.degrees(np.arctan2(normal[axis] * np.sign(normal[0] or 1), abs(normal[0]))))


def _hardly(share: float) -> Finding:
    text = f"Only {share:.0f} % of the surface has a counterpart within {SYMMETRIC_MM:g} mm."
    remedy = "Look at the plane before it is used; a part that is whole on both sides helps."
    return Finding(Severity.WARNING, "hardly_symmetric", text, remedy=remedy)
