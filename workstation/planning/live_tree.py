"""What a moving cut does to the branches of a tree: those it crosses, and what lies beyond them.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from workstation.planning.vein_crossings import linked, side_changes, step_diameters_mm
from workstation.planning.vein_dissection import Stems, downstream

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class LiveTree:
    """A tree prepared once, its root first, so that any cut can be judged in milliseconds."""

    def __init__(
        self,
        tree: Centerline,
        samples_mm: Floats,
        inside: Bools,
        stems: Stems | None = None,
        dissected_mm: float = 0.0,
    ) -> None:
        """Prepare a tree.

        Args:
            tree: the branches, each running away from the root.
            samples_mm: points (n, 3) of the organ, LPS mm, that stand for its volume.
            inside: for each point of the tree whether it lies in the organ.
            stems: tells which stems are freed; without, none is.
            dissected_mm: the longest stretch that is freed.
        """
        self._stems, self._dissected_mm = stems, dissected_mm
        self.points_mm = np.asarray(tree.points_mm)
        self._diameter = step_diameters_mm(tree)
        self._inside = inside
        self._spans = [(b.start, b.stop, b.from_node, b.to_node) for b in downstream(tree)]
        self._nodes = len(tree.nodes)
        # A ring leads back to a branch that was judged before; without one, once is enough.
        met = [{last for _, _, _, last in self._spans[n:]} for n in range(len(self._spans))]
        ring = any(span[2] in later for span, later in zip(self._spans, met))
        self._rounds = self._nodes if ring else 1
        owner = cKDTree(self.points_mm).query(samples_mm)[1]
        self._owner = owner.astype(np.int32)
        self._linked = linked(tree, inside)

    def divided(self, removed: Bools) -> Bools:
        """Tell for each point of the tree whether it goes with the specimen: is not freed of it.

        ``removed`` tells for each point whether it lies in the specimen.
        """
        if self._stems is None:
            return removed
        return removed & ~self._stems.dissected(removed, self._dissected_mm)

    def crossed_mm(self, divided: Bools) -> tuple[float, ...]:
        """Return the diameters in mm, widest first, of the branches that a cut divides."""
        found = self._diameter[side_changes(divided, self._linked)]
        return tuple(np.sort(found)[::-1].tolist())

    def beyond(self, divided: Bools) -> Bools:
        """Tell for each sample whether a cut lies on the way from the root to its branch."""
        past = divided & self._inside
        if not len(past):
            return np.zeros(len(self._owner), np.bool_)
        ends = np.zeros(self._nodes, np.bool_)
        for _ in range(self._rounds):
            before = ends.copy()
            for start, stop, first, last in self._spans:
                if ends[first]:
                    past[start:stop] = True
                else:
                    np.logical_or.accumulate(past[start:stop], out=past[start:stop])
                ends[last] |= past[stop - 1]
            if np.array_equal(ends, before):
                break
        return np.asarray(past[self._owner])
