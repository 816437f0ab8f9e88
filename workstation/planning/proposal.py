"""A first proposal for a cut: keep the margin, remove least.

Space is DICOM patient LPS in millimetres; normals point to the specimen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label as label_components
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull

from meshing.surface import SurfaceMesh, bounding_block, isosurface
from segmentation.contract import Finding, Severity
from segmentation.volume import LabelMap

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]


def as_point(vector: npt.ArrayLike) -> Point:
    """Return a vector of three components as plain numbers."""
    x, y, z = (float(v) for v in np.asarray(vector, float))
    return (x, y, z)


def tight(labels: LabelMap) -> LabelMap | None:
    """Return all labels as one, cropped to their voxels; None where there is none."""
    mask = labels.mask()
    block = bounding_block(mask)
    if block is None:
        return None
    crop = mask[block]
    start = [s.start for s in block]
    return LabelMap(crop, labels.geometry.cropped(start[::-1], crop.shape[::-1]))


def sample_mm(labels: LabelMap, at_most: int) -> Floats:
    """Return LPS centres in mm, shape (n, 3), of labelled voxels that stand for all of them.

    One voxel of every run of neighbours, drawn with a fixed seed: a regular sub-grid would
    make volumes jump as a plane passes its layers.
    """
    voxels = np.flatnonzero(labels.array)
    run = -(-len(voxels) // at_most)
    starts = np.arange(0, len(voxels) - run + 1, run)
    drawn = starts + np.random.default_rng(0).integers(0, run, len(starts))
    index = np.stack(np.unravel_index(voxels[drawn], labels.array.shape), axis=1)
    return labels.geometry.to_world(index[:, ::-1])


def hull_mm(labels: LabelMap) -> Floats:
    """Return the corners, LPS mm (n, 3), of the convex hull of the labels' surface.

    The extreme distances of the surface from any plane are reached there.
    """
    return _hull(isosurface(labels).points_mm)


def lesion_hulls_mm(labels: LabelMap) -> list[Floats]:
    """Return the corners of the convex hull of each separate lesion, as `hull_mm` does."""
    skin = isosurface(labels)
    return [_hull(skin.points_mm[points]) for points in separate_parts(skin)]


def _hull(points: Floats) -> Floats:
    return np.asarray(points[ConvexHull(points).vertices])


def separate_parts(skin: SurfaceMesh) -> list[npt.NDArray[np.int64]]:
    """Return the point numbers of each separate part of a surface."""
    a, b, c = skin.triangles.T
    start, end, count = np.concatenate([a, b]), np.concatenate([b, c]), len(skin.points_mm)
    graph = coo_matrix((np.ones(len(start), np.int8), (start, end)), (count, count))
    parts, member = connected_components(graph, directed=False)
    return [np.flatnonzero(member == n) for n in range(parts)]


def _directions(count: int) -> Floats:
    """Return unit vectors, shape (count, 3), spread evenly (Fibonacci lattice)."""
    n = np.arange(count) + 0.5
    z = 1.0 - 2.0 * n / count
    angle = np.pi * (1.0 + 5.0**0.5) * n
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def proposed_cut(
    organ: LabelMap, tumor: LabelMap | None, direction: Point | None, margin_mm: float
) -> tuple[Point, Point, tuple[Finding, ...]]:
    """Return point, normal and findings of a first proposal for the cut of a tight ``organ``.

    Raises:
        ValueError: if every cut that keeps the margin removes the whole organ.
    """
    lesion = None if tumor is None else _largest(tumor)
    sample = sample_mm(organ, 20_000)
    if lesion is None:
        return _right_third(sample, direction, tumor is not None)
    skin = hull_mm(lesion)
    tried = _directions(600) if direction is None else np.asarray([direction])
    best = _least_specimen(sample, skin, tried, margin_mm)
    for spread in (0.1, 0.03) if direction is None else ():
        tried = best + spread * np.vstack([np.zeros(3), _directions(60)])
        tried /= np.linalg.norm(tried, axis=1, keepdims=True)
        best = _least_specimen(sample, skin, tried, margin_mm)
    nearest = skin[int(np.argmin(skin @ best))]
    if ((sample - nearest) @ best >= -margin_mm).all():
        raise ValueError(
            f"a plane that keeps {margin_mm:g} mm from the tumour leaves nothing of the organ; "
            "ask for a smaller margin, or place the cut by hand"
        )
    point = as_point(nearest - margin_mm * best)
    note = Finding(
        Severity.INFO,
        "proposed_cut",
        f"The cut is a proposal: it keeps {margin_mm:g} mm from the largest tumour and removes "
        "least; it takes no account of vessels, bile ducts or territories.",
        point,
        "Check the cut against the vessels and move it.",
    )
    return point, as_point(best), (note,)


def _largest(tumor: LabelMap) -> LabelMap | None:
    """Return the largest connected part of all labels, or None where there is none."""
    lesion = tight(tumor)
    if lesion is None:
        return None
    parts, count = label_components(lesion.array)
    if count == 1:
        return lesion
    sizes = np.bincount(parts.ravel())[1:]
    return tight(replace(lesion, array=parts == 1 + int(np.argmax(sizes))))


def _least_specimen(sample: Floats, skin: Floats, tried: Floats, margin_mm: float) -> Floats:
    """Return the tried direction whose plane, margin_mm before the tumour, removes least."""
    offsets = (skin @ tried.T).min(axis=0) - margin_mm
    removed = (sample @ tried.T >= offsets).sum(axis=0)
    return np.asarray(tried[int(np.argmin(removed))])


def _right_third(
    centres: Floats, direction: Point | None, sought: bool
) -> tuple[Point, Point, tuple[Finding, ...]]:
    """Return a plane that cuts off a third of the organ: without a direction, its right third.

    ``sought`` tells that a tumour was looked for, as it is not in a living donor.
    """
    normal = (-1.0, 0.0, 0.0) if direction is None else direction
    along = centres @ np.asarray(normal)
    middle = centres.mean(axis=0)
    point = as_point(middle + (np.quantile(along, 2 / 3) - along.mean()) * np.asarray(normal))
    side = "third on the given side" if direction else "patient's right third"
    start = f"the cut is only a start: it separates the {side}."
    if sought:
        words, remedy = (
            f"There is no tumour, so {start}",
            "Mark the tumour, or place the cut by hand.",
        )
    else:
        words, remedy = start.capitalize(), "Place the cut by hand."
    code = "no_tumor" if sought else "cut_start"
    note = Finding(Severity.WARNING, code, words, point, remedy)
    proposed = Finding(Severity.INFO, "proposed_cut", "The cut is a proposal.", point)
    return point, normal, (note, proposed)
