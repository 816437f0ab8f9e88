"""What a moving cut does to the branches of a tree: those it crosses, and what lies beyond them.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Branch, Centerline
from workstation.planning.vein_crossings import linked, side_changes, step_diameters_mm

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class LiveTree:
    """A tree prepared once, its root first, so that any cut can be judged in milliseconds."""

    def __init__(self, tree: Centerline, samples_mm: Floats, inside: Bools) -> None:
        """Prepare a tree.

        Args:
            tree: the branches, each running away from the root.
            samples_mm: points (n, 3) of the organ, LPS mm, that stand for its volume.
            inside: for each point of the tree whether it lies in the organ.
        """
        self.points_mm = np.asarray(tree.points_mm)
        self._diameter = step_diameters_mm(tree)
        self._inside = inside
        self._spans = [(b.start, b.stop, b.from_node, b.to_node) for b in _downstream(tree)]
        self._nodes = len(tree.nodes)
        owner = cKDTree(self.points_mm).query(samples_mm)[1]
        self._owner = owner.astype(np.int32)
        self._linked = linked(tree, inside)

    def crossed_mm(self, removed: Bools) -> tuple[float, ...]:
        """Return the diameters in mm, widest first, of the branches that a cut crosses.

        ``removed`` tells for each point of the tree whether it lies in the specimen.
        """
        found = self._diameter[side_changes(removed, self._linked)]
        return tuple(np.sort(found)[::-1].tolist())

    def beyond(self, removed: Bools) -> Bools:
        """Tell for each sample whether a cut lies on the way from the root to its branch."""
        past = removed & self._inside
        ends = np.zeros(self._nodes, np.bool_)
        for start, stop, first, last in self._spans:
            if ends[first]:
                past[start:stop] = True
            else:
                np.logical_or.accumulate(past[start:stop], out=past[start:stop])
            ends[last] |= past[stop - 1]
        return np.asarray(past[self._owner])


def _downstream(tree: Centerline) -> list[Branch]:
    """Return the branches, each after that from whose end it leaves."""
    ends = {b.to_node for b in tree.branches}
    reached = {b.from_node for b in tree.branches} - ends
    left, ordered = list(tree.branches), []
    while left:
        ready = [b for b in left if b.from_node in reached] or left[:1]
        ordered += ready
        reached |= {b.to_node for b in ready}
        left = [b for b in left if b not in ready]
    return ordered
