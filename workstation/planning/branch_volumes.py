"""A tree of veins as families of branches, each with the part of the liver nearest to it.

Space is DICOM patient LPS in millimetres. Branches are numbered from 0, as in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from segmentation.contract import FrameMismatch
from segmentation.volume import LabelMap, bounding_block

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLE_MM = 4.0  # between the points that stand for the liver


@dataclass(frozen=True, eq=False)
class Family:
    """The branches of a tree, who follows whom, and what lies nearest to each.

    Attributes:
        tree: the branches.
        samples_mm: points (n, 3) that fill the liver evenly, LPS mm.
        owner: the branch nearest to each of them.
    """

    tree: Centerline
    samples_mm: Floats
    owner: Ints

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The branches that leave from the end of each."""
        starts: dict[int, list[int]] = {}
        for number, branch in enumerate(self.tree.branches):
            starts.setdefault(branch.from_node, []).append(number)
        return tuple(tuple(starts.get(b.to_node, ())) for b in self.tree.branches)

    @cached_property
    def first(self) -> tuple[int, ...]:
        """The branches that leave from the root."""
        ends = {b.to_node for b in self.tree.branches}
        return tuple(n for n, b in enumerate(self.tree.branches) if b.from_node not in ends)

    def parent(self, branch: int) -> int:
        """Return the branch before ``branch``, or -1."""
        node = self.tree.branches[branch].from_node
        return next((n for n, b in enumerate(self.tree.branches) if b.to_node == node), -1)

    def below(self, branch: int) -> list[int]:
        """Return ``branch`` and all that follow it."""
        found = [branch]
        for number in found:
            found += self.children[number]
        return found

    def up(self, branch: int) -> list[int]:
        """Return ``branch`` and all before it, the root's last."""
        found = [branch]
        while (before := self.parent(found[-1])) >= 0:
            found.append(before)
        return found

    def share(self, branch: int) -> float:
        """Return the share of the liver that lies nearest to a branch and what follows it."""
        return float(self.sums(np.ones(len(self.owner)))[branch]) / len(self.owner)

    def sums(self, values: Floats) -> Floats:
        """Return the sum of values of samples over each branch and what follows it."""
        own = np.bincount(self.owner, values, minlength=len(self.tree.branches))
        return np.array([own[self.below(n)].sum() for n in range(len(own))])

    def centre_mm(self, branch: int) -> Floats:
        """Return the middle, LPS mm, of what lies nearest to a branch and what follows it."""
        inside = np.isin(self.owner, self.below(branch))
        if not inside.any():
            return np.asarray(self.tree.points_mm[self.tree.branches[branch].points].mean(axis=0))
        return np.asarray(self.samples_mm[inside].mean(axis=0))

    def end_mm(self, branch: int) -> Floats:
        """Return where a branch ends, LPS mm."""
        return np.asarray(self.tree.nodes[self.tree.branches[branch].to_node].point_mm)


def family(tree: Centerline, liver: LabelMap) -> Family:
    """Return the branches of a tree with the parts of the liver nearest to them.

    Raises:
        ValueError: if the liver is empty.
        FrameMismatch: if tree and liver live in different frames.
    """
    if tree.frame_uid != liver.geometry.frame_uid:
        raise FrameMismatch(
            f"the tree lies in frame {tree.frame_uid} and the liver in "
            f"{liver.geometry.frame_uid}; register one to the other first"
        )
    block = bounding_block(liver.array)
    if block is None:
        raise ValueError("the liver has no voxel; segment it first")
    steps = [max(1, round(SAMPLE_MM / s)) for s in liver.geometry.spacing_kji_mm]
    thin = tuple(slice(s.start, s.stop, step) for s, step in zip(block, steps))
    places = np.argwhere(liver.array[thin]) * steps + [s.start for s in block]
    samples = liver.geometry.to_world(places[:, ::-1])
    number = np.concatenate([np.full(b.stop - b.start, n) for n, b in enumerate(tree.branches)])
    owner = number[cKDTree(tree.points_mm).query(samples)[1]]
    return Family(tree, samples, owner.astype(np.int64))
