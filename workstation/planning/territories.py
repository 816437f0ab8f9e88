"""Territories of the liver: what each named branch supplies or drains.

Each voxel belongs to the named branch whose centreline passes nearest to it (Selle et al., IEEE
Trans Med Imaging 2002;21:1344, doi:10.1109/TMI.2002.801166). Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.segmentation import watershed

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.volume import ImageGeometry, Label, LabelMap, bounding_block
from workstation.planning.couinaud_names import SEGMENTS, TERRITORIES

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

CHUNK = 200_000  # voxels looked up between two reports of progress
USUAL_EIGHT = (11.1, 38.0)  # % of the liver in 107 normal ones: Mise et al., HPB 2014;16:439
SOURCE = "voxel count x voxel volume; nearest named branch (Selle et al. 2002)"


def territories(
    liver: LabelMap,
    portal: Centerline | LabelMap | None = None,
    hepatic: Centerline | LabelMap | None = None,
    *,
    by: Literal["portal", "hepatic", "combined"] = "portal",
    progress: Progress = silent,
) -> LabelMap:
    """Divide the liver into the territories of its branches.

    Each voxel belongs to the nearest named branch. What this cuts off from its branch goes to the
    territory that it touches, so that each territory hangs together with its branch.

    Args:
        liver: the organ that is divided.
        portal: the named portal branches, as a tree or as a label map with a label for each.
        hepatic: the named hepatic veins, likewise.
        by: whose territories: of the portal branches (supply), of the hepatic veins (drainage), or
            each portal territory divided by the vein that drains it.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty, or the tree that is asked for is not given.
        FrameMismatch: if organ and branches live in different frames.
    """
    trees = {"portal": (portal,), "hepatic": (hepatic,), "combined": (portal, hepatic)}[by]
    block = bounding_block(liver.array, (1, 1, 1))
    if block is None:
        raise ValueError("the liver has no voxel; segment it first")
    organ = liver.mask()[block]
    grid = liver.geometry.cropped([s.start for s in block][::-1], organ.shape[::-1])
    maps, apart = [], np.zeros_like(organ)
    for number, tree in enumerate(trees):
        if tree is None:
            raise ValueError(f"territories by {by} lack a tree of named branches; give it")
        names, points, codes = named_points(tree, grid)
        if not len(points):
            return _none_named(liver)
        near = nearest_code(organ, grid, points, codes, _part(progress, number, len(trees)))
        found, alone = hung_together(near, organ, grid, points, codes)
        maps.append((found, names))
        apart |= alone
    values, labels = maps[0] if len(maps) == 1 else _crossed(*maps[0], *maps[1])
    array = np.zeros(liver.array.shape, np.uint8)
    array[block] = values
    counts = np.bincount(values[organ], minlength=256)
    findings = _findings(float(np.count_nonzero(apart)) * grid.voxel_ml)
    findings += _unusual(counts, labels)
    return LabelMap(array, liver.geometry, labels, findings, volumes(counts, labels, grid.voxel_ml))


def _part(progress: Progress, number: int, count: int) -> Progress:
    def partial(fraction: float, message: str = "") -> None:
        progress(0.05 + 0.85 * (number + fraction) / count, message)

    return partial


def named_points(
    tree: Centerline | LabelMap, grid: ImageGeometry
) -> tuple[dict[int, Label], Floats, Codes]:
    """Return the labels of a tree by value, its named points (n, 3) in LPS mm and their values.

    Raises:
        FrameMismatch: if tree and grid live in different frames.
    """
    frame = tree.frame_uid if isinstance(tree, Centerline) else tree.geometry.frame_uid
    if frame != grid.frame_uid:
        raise FrameMismatch(
            f"the branches lie in frame {frame} and the liver in {grid.frame_uid}; register one "
            "to the other first"
        )
    if isinstance(tree, LabelMap):
        index = np.argwhere(tree.array)
        points = tree.geometry.to_world(index[:, ::-1])
        codes, names = tree.array[tuple(index.T)], dict(tree.labels)
    else:
        codes = np.asarray(tree.point_data.get("territory", np.zeros(len(tree.points_mm))))
        points, codes = tree.points_mm[codes > 0], codes[codes > 0]
        names = TERRITORIES
    used = {int(code): names.get(int(code), Label(f"branch {code}")) for code in np.unique(codes)}
    return used, points, codes.astype(np.uint8)


def nearest_code(
    organ: Bools, grid: ImageGeometry, points: Floats, codes: Codes, progress: Progress = silent
) -> Codes:
    """Return, for each voxel [k, j, i] of the organ, the value of the nearest point."""
    place = cKDTree(points)
    index = np.argwhere(organ)
    result = np.zeros(organ.shape, np.uint8)
    for start in range(0, len(index), CHUNK):
        progress(start / len(index), "looking for the nearest branch")
        part = index[start : start + CHUNK]
        nearest = place.query(grid.to_world(part[:, ::-1]))[1]
        result[tuple(part.T)] = codes[nearest]
    return result


def hung_together(
    near: Codes, organ: Bools, grid: ImageGeometry, points: Floats, codes: Codes
) -> tuple[Codes, Bools]:
    """Return territories that each hang together with their branch, and voxels that cannot.

    Pieces without a point of their branch go to the territories that they touch. A piece of the
    organ that no branch reaches keeps the value of the nearest.
    """
    seeds = np.zeros_like(near)
    index = np.rint(grid.to_index(points)[:, ::-1]).astype(int)
    on_grid = ((index >= 0) & (index < near.shape)).all(axis=1)
    seeds[tuple(index[on_grid].T)] = codes[on_grid]
    kept = np.zeros_like(near)
    for code in np.unique(near[organ]):
        pieces, count = ndimage.label(near == code)
        own = np.bincount(pieces[(seeds == code) & (near == code)], minlength=count + 1) > 0
        own[0] = False
        if not own.any():
            own[1 + np.argmax(np.bincount(pieces.ravel())[1:])] = True
        kept[own[pieces]] = code
    if (kept == near).all():
        return near, np.zeros_like(organ)
    flooded = watershed(np.zeros(near.shape, np.uint8), kept.astype(np.int32), mask=organ)
    alone = organ & (flooded == 0)
    return np.where(alone, near, flooded).astype(np.uint8), alone


def _crossed(
    supply: Codes, portal: Mapping[int, Label], drain: Codes, hepatic: Mapping[int, Label]
) -> tuple[Codes, dict[int, Label]]:
    """Return the parts of supply territories by the vein that drains them."""
    result = np.zeros_like(supply)
    labels: dict[int, Label] = {}
    for value, (a, b) in enumerate(((a, b) for a in portal for b in hepatic), start=1):
        both = (supply == a) & (drain == b)
        if not both.any():
            continue
        result[both] = value
        mixed = np.add(portal[a].colour, hepatic[b].colour) // 2
        red, green, blue = (int(c) for c in mixed)
        labels[value] = Label(f"{portal[a].name}_{hepatic[b].name}", (red, green, blue))
    return result, labels


def volumes(
    counts: npt.NDArray[np.int64], labels: Mapping[int, Label], voxel_ml: float
) -> tuple[Number, ...]:
    """Return volume in mL and share in % of each label, and the volume of all together."""
    total = int(sum(counts[value] for value in labels))
    numbers = [Number("volume", total * voxel_ml, "mL", "voxel count x voxel volume")]
    for value, label in labels.items():
        count = int(counts[value])
        numbers += [
            Number(f"{label.name}.volume", count * voxel_ml, "mL", SOURCE),
            Number(f"{label.name}.fraction", 100.0 * count / total, "%", "share of the organ"),
        ]
    return tuple(numbers)


def _none_named(liver: LabelMap) -> LabelMap:
    """Return no territories, and why."""
    note = Finding(
        Severity.WARNING,
        "no_named_branch",
        "no branch has a name, so there are no territories",
        remedy="draw the veins, or name the branches of the tree",
    )
    return LabelMap(np.zeros(liver.array.shape, np.uint8), liver.geometry, {}, (note,))


def _unusual(counts: npt.NDArray[np.int64], labels: Mapping[int, Label]) -> tuple[Finding, ...]:
    """Return a finding where VIII, the largest segment, or another takes what none usually does.

    Then mostly a branch beside it has the wrong name, or the tree ends before its branches divide.
    """
    total = max(int(counts[1:].sum()), 1)
    low, high = USUAL_EIGHT
    for value, label in labels.items():
        share = 100.0 * int(counts[value]) / total
        least = low if label.name == "VIII" else 0.0
        if label.name not in SEGMENTS or len(labels) == 1 or least <= share <= high:
            continue
        sentence = (
            f"segment {label.name} takes {share:.0f} % of the liver; VIII, mostly the largest, "
            f"took {low:.0f} to {high:.0f} % in 107 normal livers (Mise et al. 2014)"
        )
        remedy = "check the names of the branches, and whether the veins are followed far enough"
        return (Finding(Severity.WARNING, "segment_share_unusual", sentence, remedy=remedy),)
    return ()


def _findings(apart_ml: float) -> tuple[Finding, ...]:
    if apart_ml == 0:
        return ()
    return (
        Finding(
            Severity.WARNING,
            "organ_in_pieces",
            f"{apart_ml:.1f} mL of the liver lie apart from the rest and from every branch; they "
            "count to the nearest territory",
            remedy="correct the liver",
        ),
    )
