"""A first proposal for a cut: keep the margin, remove least.

Space is DICOM patient LPS in millimetres; normals point to the specimen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label as label_components
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull

from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh, bounding_block, isosurface
from segmentation.contract import Finding, Severity
from segmentation.volume import LabelMap
from workstation.planning.kept import kept
from workstation.planning.live_tree import LiveTree

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Point = tuple[float, float, float]

LEAST_MARGIN_MM = 1.5  # above 1 mm, below which a resection does not count as R0
LEAST_LEFT = 0.3
"""Share of the liver that must stay with supply and drainage, or a proposal narrows its
margin: the published limit for livers after chemotherapy, here of the liver itself."""


def as_point(vector: npt.ArrayLike) -> Point:
    """Return a vector of three components as plain numbers."""
    x, y, z = (float(v) for v in np.asarray(vector, float))
    return (x, y, z)


@kept
def tight(labels: LabelMap) -> LabelMap | None:
    """Return all labels as one, cropped to their voxels; None where there is none."""
    mask = labels.mask()
    block = bounding_block(mask)
    if block is None:
        return None
    crop = mask[block]
    start = [s.start for s in block]
    return LabelMap(crop, labels.geometry.cropped(start[::-1], crop.shape[::-1]))


@kept
def skin_of(labels: LabelMap) -> SurfaceMesh | None:
    """Return the surface of all labels as one; None where there is none."""
    there = tight(labels)
    return None if there is None else isosurface(there)


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


def holds(labels: LabelMap, points_mm: Floats) -> Bools:
    """Tell for each point (n, 3), LPS mm, whether its nearest voxel is labelled."""
    index = np.rint(labels.geometry.to_index(points_mm)).astype(np.int64)
    within = np.all((index >= 0) & (index < labels.geometry.size), axis=1)
    i, j, k = index[within].T
    within[within] = labels.array[k, j, i] != 0
    return np.asarray(within)


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
    organ: LabelMap,
    tumor: LabelMap | None,
    direction: Point | None,
    margin_mm: float,
    trees: Sequence[Centerline] = (),
) -> tuple[Point, Point, tuple[Finding, ...]]:
    """Return point, normal and findings of a first proposal for the cut of a tight ``organ``.

    What stays but lies behind where the cut crosses one of the ``trees``, or in front of whose
    root it passes, counts as removed, too.

    Raises:
        ValueError: if every cut that keeps the margin removes the whole organ.
    """
    lesion = None if tumor is None else _largest(tumor)
    sample = sample_mm(organ, 20_000)
    if lesion is None:
        return _right_third(sample, direction, tumor is not None)
    skin, veins = hull_mm(lesion), [tree for tree in trees if tree.branches]
    kept_mm = margin_mm
    loss = _Loss(sample, skin, margin_mm, veins)
    best = loss.best(direction)
    while veins and loss.left(best) < LEAST_LEFT and kept_mm > LEAST_MARGIN_MM:
        kept_mm = max(kept_mm - 1.0, LEAST_MARGIN_MM)
        nearer = _Loss(sample, skin, kept_mm, veins)
        if nearer.left(way := nearer.best(direction)) >= LEAST_LEFT:
            loss, best = nearer, way
    if not loss.stays(best):
        raise ValueError(
            f"a plane that keeps {margin_mm:g} mm from the tumour leaves nothing of the organ; "
            "ask for a smaller margin, or place the cut by hand"
        )
    point = as_point(skin[int(np.argmin(skin @ best))] - loss.margin_mm * best)
    return point, as_point(best), _proposed(organ.volume_ml(), loss, best, margin_mm, point)


def _proposed(
    organ_ml: float, loss: _Loss, normal: Floats, asked_mm: float, point: Point
) -> tuple[Finding, ...]:
    """Return what a reader must know about a proposed plane."""
    least = "removes least; it takes no account of vessels"
    if loss.trees:
        least = (
            "takes least, with what stays without supply or drainage behind the veins in the cut "
            f"({organ_ml * loss.cut_off(normal):.0f} mL); it takes no account of arteries"
        )
    note = Finding(
        Severity.INFO,
        "proposed_cut",
        f"The cut is a proposal: it keeps {loss.margin_mm:g} mm from the largest tumour and "
        f"{least}, ducts or territories.",
        point,
        "Check the cut against the vessels and move it.",
    )
    if not loss.trees or (loss.left(normal) >= LEAST_LEFT and loss.margin_mm == asked_mm):
        return (note,)
    start = f"No plane that keeps {asked_mm:g} mm from the largest tumour leaves "
    end = "it stays at that distance and takes the main veins."
    if loss.margin_mm < asked_mm:
        end = f"this one keeps {loss.margin_mm:g} mm."
    near = Finding(
        Severity.WARNING,
        "tumor_near_main_veins",
        f"{start}{100 * LEAST_LEFT:.0f} % of the liver with supply and drainage; {end}",
        point,
        "Bend the cut, follow the border of territories, or place the cut by hand.",
    )
    return (note, near)


class _Loss:
    """What planes at a margin before a tumour take of an organ that samples stand for."""

    def __init__(
        self, sample: Floats, skin: Floats, margin_mm: float, trees: Sequence[Centerline]
    ) -> None:
        self.skin, self.margin_mm = skin, margin_mm
        self.trees = [LiveTree(t, sample, np.ones(len(t.points_mm), np.bool_)) for t in trees]
        self._sample = sample

    def best(self, direction: Point | None) -> Floats:
        """Return the normal whose plane takes least: of all, or the one that is given."""
        if direction is not None:
            return np.asarray(direction, float)
        best = self._least(_directions(600))
        for spread in (0.1, 0.03):
            tried = best + spread * np.vstack([np.zeros(3), _directions(60)])
            best = self._least(tried / np.linalg.norm(tried, axis=1, keepdims=True))
        return best

    def _least(self, tried: Floats) -> Floats:
        """Return the tried direction whose plane takes least."""
        offsets = (self.skin @ tried.T).min(axis=0) - self.margin_mm
        removed = (self._sample @ tried.T >= offsets).sum(axis=0)
        if not self.trees:
            return np.asarray(tried[int(np.argmin(removed))])
        best, least = int(np.argmin(removed)), len(self._sample) + 1
        for number in np.argsort(removed, kind="stable").tolist():
            if removed[number] >= least:
                break
            taken = int(np.count_nonzero(np.logical_or(*self._parts(tried[number]))))
            if taken < least:
                best, least = number, taken
        return np.asarray(tried[best])

    def stays(self, normal: Floats) -> bool:
        """Tell whether a plane leaves anything of the organ."""
        return not self._parts(normal)[0].all()

    def left(self, normal: Floats) -> float:
        """Return the share of the organ that stays, with supply and drainage."""
        return 1.0 - float(np.count_nonzero(np.logical_or(*self._parts(normal)))) / len(
            self._sample
        )

    def cut_off(self, normal: Floats) -> float:
        """Return the share of the organ that stays without supply or drainage."""
        removed, behind = self._parts(normal)
        return float(np.count_nonzero(behind & ~removed)) / len(removed)

    def _parts(self, normal: Floats) -> tuple[Bools, Bools]:
        """Tell for each sample whether it is removed, and whether it lies behind a cut vein."""
        offset = float((self.skin @ normal).min()) - self.margin_mm
        behind = np.zeros(len(self._sample), np.bool_)
        for tree in self.trees:
            behind |= tree.beyond(tree.points_mm @ normal >= offset)
        return np.asarray(self._sample @ normal >= offset), behind


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
