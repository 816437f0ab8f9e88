"""How a surface bends, as maps over its points."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from meshing.cell_sizes import averaging, edges_of
from meshing.mesh import SurfaceMesh
from segmentation.contract import Number, Progress, silent

Floats = npt.NDArray[np.float64]


def curvature_map(
    mesh: SurfaceMesh,
    *,
    smoothing: Annotated[int, Ge(0), Le(50)] = 2,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Map the curvature of a surface.

    Curvatures are positive where the surface bulges outward. Point data are added: the mean
    curvature, both principal ones (1/mm) and the Gaussian one (1/mm2). Per triangle the second
    fundamental form follows from the change of the normals along its edges, and points take the
    mean of their triangles (Rusinkiewicz, Estimating curvatures and their derivatives on triangle
    meshes, 3DPVT 2004).

    Args:
        mesh: the surface, LPS mm.
        smoothing: how often each point takes the mean with its neighbours, against noise.
        progress: told how far the work is.

    Raises:
        ValueError: if the surface has no triangle.
    """
    if not len(mesh.triangles):
        raise ValueError(f"the surface {mesh.name or 'without a name'!r} has no triangle")
    progress(0.1, "measuring the curvature")
    # The form acts in the tangent plane: of its eigenvalues the one nearest 0 is the normal's.
    values = np.linalg.eigvalsh(_forms(mesh.points_mm, mesh.triangles))
    order = np.argsort(np.abs(values), axis=1)[:, 1:]
    principal = np.take_along_axis(values, order, axis=1)
    both = np.stack([principal.mean(axis=1), principal.prod(axis=1)], axis=-1)
    progress(0.7, "smoothing the curvature")
    mean_of = averaging(edges_of(mesh.triangles), len(mesh.points_mm))
    for _ in range(smoothing):
        both = (both + mean_of @ both) / 2
    mean, product = both.T
    apart = np.sqrt(np.maximum(mean**2 - product, 0.0))
    low, high = mean - apart, mean + apart
    maps = {
        "mean_curvature_per_mm": mean,
        "gaussian_curvature_per_mm2": product,
        "largest_curvature_per_mm": high,
        "smallest_curvature_per_mm": low,
    }
    source = "over the points of the surface"
    numbers = (
        Number(
            "mean curvature, median",
            float(np.median(mean)),
            "1/mm",
            source,
        ),
        Number(
            "largest curvature, 99th percentile", float(np.percentile(high, 99)), "1/mm", source
        ),
        Number("smallest curvature, 1st percentile", float(np.percentile(low, 1)), "1/mm", source),
    )
    return replace(mesh, point_data={**mesh.point_data, **maps}, numbers=(*mesh.numbers, *numbers))


def _forms(points: Floats, triangles: npt.NDArray[np.int64]) -> Floats:
    """Return the second fundamental form at each point as a symmetric matrix (n, 3, 3), 1/mm."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    sides = np.stack([c - b, a - c, b - a], axis=1)
    area = np.cross(sides[:, 0], sides[:, 1])
    size = np.maximum(np.linalg.norm(area, axis=1), 1e-300)
    normal = area / size[:, None]
    squared = np.einsum("tnc,tnc->tn", sides, sides)
    # Weights after Max, Weights for computing vertex normals, 1999: exact on spheres.
    around = np.zeros_like(points)
    for n in range(3):
        weight = 1.0 / np.maximum(squared[:, (n + 1) % 3] * squared[:, (n + 2) % 3], 1e-300)
        np.add.at(around, triangles[:, n], area * weight[:, None])
    around /= np.maximum(np.linalg.norm(around, axis=1), 1e-300)[:, None]
    at = around[triangles]
    turns = np.stack([at[:, 2] - at[:, 1], at[:, 0] - at[:, 2], at[:, 1] - at[:, 0]], axis=1)
    u = sides[:, 0] / np.maximum(np.sqrt(squared[:, :1]), 1e-300)
    v = np.cross(normal, u)
    along = np.stack([np.einsum("tnc,tc->tn", sides, w) for w in (u, v)], axis=-1)
    turned = np.stack([np.einsum("tnc,tc->tn", turns, w) for w in (u, v)], axis=-1)
    rows = np.zeros((len(triangles), 3, 2, 3))
    rows[:, :, 0, 0], rows[:, :, 0, 1] = along[..., 0], along[..., 1]
    rows[:, :, 1, 1], rows[:, :, 1, 2] = along[..., 0], along[..., 1]
    system = rows.reshape(-1, 6, 3)
    square = system.transpose(0, 2, 1) @ system
    trace = np.einsum("tnn->t", square)
    square = square + (1e-9 * trace + 1e-300)[:, None, None] * np.eye(3)
    known = system.transpose(0, 2, 1) @ turned.reshape(-1, 6, 1)
    e, f, g = np.moveaxis(np.linalg.solve(square, known)[:, :, 0], 1, 0)
    frame = np.stack([u, v], axis=1)
    inner = np.stack([np.stack([e, f], -1), np.stack([f, g], -1)], axis=1)
    return _at_points(points, triangles, around, frame, inner, size)


def _at_points(
    points: Floats,
    triangles: npt.NDArray[np.int64],
    normals: Floats,
    frame: Floats,
    inner: Floats,
    area: Floats,
) -> Floats:
    """Return the mean form of each point's triangles, each turned into the point's plane."""
    total, weight = np.zeros((len(points), 9)), np.zeros(len(points))
    face = np.cross(frame[:, 0], frame[:, 1])
    for n in range(3):
        # The rotation that takes the triangle's normal to the point's (Rodrigues).
        to = normals[triangles[:, n]]
        axis = np.cross(face, to)
        cosine = np.einsum("tc,tc->t", face, to)
        scale = 1.0 / np.maximum(1.0 + cosine, 1e-3)
        axes = frame * cosine[:, None, None] + np.cross(axis[:, None, :], frame)
        axes = (
            axes
            + axis[:, None, :] * (np.einsum("tc,tnc->tn", axis, frame) * scale[:, None])[..., None]
        )
        form = axes.transpose(0, 2, 1) @ inner @ axes
        np.add.at(total, triangles[:, n], form.reshape(-1, 9) * area[:, None])
        np.add.at(weight, triangles[:, n], area)
    return (total / np.maximum(weight, 1e-300)[:, None]).reshape(-1, 3, 3)
