"""Where a cut divides the branches of a tree, stems that are freed of the specimen aside.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.nearest import NearestOnSurface
from segmentation.volume import LabelMap
from workstation.planning.kept import kept
from workstation.planning.proposal import Floats, sample_mm, skin_of, tight
from workstation.planning.resection import Cut
from workstation.planning.vein_crossings import (
    Crossing,
    beside_organ,
    crossed_branches,
    entered_branches,
)
from workstation.planning.vein_dissection import Stems

Bools = npt.NDArray[np.bool_]

SAMPLES = 20_000  # of an organ that tell how much of it each point of a tree reaches


@dataclass(frozen=True, eq=False)
class Division:
    """What a cut does to a tree.

    Attributes:
        crossings: where it divides branches that pass through it, the widest first.
        entered: where branches that come into the organ in the specimen are divided.
        removed: for each point of the tree whether it lies on the specimen's side.
        freed: for each point whether it does, but is freed of the specimen.
        stems: the tree, prepared.
    """

    crossings: tuple[Crossing, ...]
    entered: tuple[Crossing, ...]
    removed: Bools
    freed: Bools
    stems: Stems

    @property
    def stops(self) -> list[int]:
        """The points of the tree behind which all is cut off."""
        return [crossing.point for crossing in (*self.crossings, *self.entered)]


@kept
def in_organ(liver: LabelMap, tree: Centerline) -> Bools:
    """Tell for each point of a tree whether it lies in the organ or just beside it.

    Raises:
        ValueError: if the organ is empty.
    """
    organ = tight(liver)
    if organ is None:
        raise ValueError("the organ has no voxel; segment it first")
    return beside_organ(organ, np.asarray(tree.points_mm))


def divided_by(
    cut: Cut, liver: LabelMap, tree: Centerline, tumor: LabelMap | None, dissected_mm: float
) -> Division:
    """Return what a cut does to a tree in an organ.

    Args:
        cut: the cut.
        liver: the organ.
        tree: its branches.
        tumor: stems too near to it are not freed.
        dissected_mm: the longest stretch in the specimen that is freed; 0 frees nothing.

    Raises:
        ValueError: if the organ is empty.
    """
    inside = in_organ(liver, tree)
    stems = stems_of(liver, tree, inside, tumor)
    removed = np.asarray(cut.side_mm(tree.points_mm)) >= 0
    freed = stems.dissected(removed, dissected_mm)
    crossings = crossed_branches(tree, cut.distance_mm, cut.side_mm, inside, freed)
    entered = entered_branches(tree, removed & ~freed, inside)
    return Division(crossings, entered, removed, freed, stems)


@kept
def shares_of(organ: LabelMap, tree: Centerline) -> Floats:
    """Return for each point of a tree the share of an organ that is nearest to it, from samples.

    Raises:
        ValueError: if the organ is empty.
    """
    there = tight(organ)
    if there is None:
        raise ValueError("the organ has no voxel; segment it first")
    owner = cKDTree(tree.points_mm).query(sample_mm(there, SAMPLES))[1]
    return np.bincount(owner, minlength=len(tree.points_mm)) / len(owner)


@kept
def walls_to(tumor: LabelMap, tree: Centerline) -> Floats:
    """Return for each point of a tree the distance in mm from the vein's wall to the tumour."""
    skin = skin_of(tumor)
    if skin is None:
        return np.full(len(tree.points_mm), np.inf)
    away = NearestOnSurface(skin).signed_mm(tree.points_mm)
    return np.asarray(away - tree.radius_mm)


def stems_of(organ: LabelMap, tree: Centerline, inside: Bools, tumor: LabelMap | None) -> Stems:
    """Return a tree in an organ prepared to tell what is freed, clear of a tumour."""
    walls = None if tumor is None else walls_to(tumor, tree)
    return Stems(tree, inside, shares_of(organ, tree), walls)
