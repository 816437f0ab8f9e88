"""The territory of chosen branches of a tree: what lies nearest to them and all that follows.

Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

import numpy as np

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.marks import Points
from segmentation.volume import Label, LabelMap, bounding_block
from workstation.planning.nearest_lost import nearest_is_lost
from workstation.planning.vein_crossings import behind

TERRITORY = Label("territory", (0xE5, 0xC0, 0x5A))
SOURCE = "voxel count x voxel volume; nearest branch (Selle et al. 2002)"


def branch_territory(
    liver: LabelMap, tree: Centerline, *, places_mm: Points, progress: Progress = silent
) -> LabelMap:
    """Find what one branch supplies or drains, with all that follows it.

    Each voxel belongs to the branch whose centreline passes nearest to it.

    Args:
        liver: the organ.
        tree: the branches, of the portal vein or of the hepatic veins; they need no names.
        places_mm: points (x, y, z) on branches, LPS mm; each stands for its branch from there on.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ or the tree is empty.
        FrameMismatch: if organ and tree live in different frames.
    """
    if tree.frame_uid != liver.geometry.frame_uid:
        raise FrameMismatch("liver and tree live in different frames; register one first")
    block = bounding_block(liver.array)
    if block is None:
        raise ValueError("the liver has no voxel; segment it first")
    if not tree.branches:
        raise ValueError("the tree has no branch; correct the veins first")
    organ = liver.array[block] != 0
    grid = liver.geometry.cropped([s.start for s in block][::-1], organ.shape[::-1])
    stops = [int(np.argmin(np.linalg.norm(tree.points_mm - place, axis=1))) for place in places_mm]
    reached = np.zeros_like(organ)
    if stops:
        reached = nearest_is_lost(organ, grid, tree.points_mm, behind(tree, stops), progress)
    array = np.zeros(liver.array.shape, np.uint8)
    array[block] = reached
    count, whole = int(np.count_nonzero(reached)), int(np.count_nonzero(organ))
    numbers = (
        Number("volume", count * grid.voxel_ml, "mL", SOURCE),
        Number("fraction", 100.0 * count / whole, "%", "share of the liver"),
    )
    note = Finding(
        Severity.WARNING, "no_place", "no branch was chosen", remedy="give a point on a branch"
    )
    return LabelMap(array, liver.geometry, {1: TERRITORY}, () if stops else (note,), numbers)
