"""Which stems of veins are dissected free of the specimen, for what stays needs them.

A stem that lies in what is removed, but that also feeds or drains what stays, is not divided as
a matter of course: at the hilum and along the cut a surgeon frees it, as far as that goes. Space
is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshing.centerline import Branch, Centerline

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DISSECTED_MM = 40.0
"""Longest stretch that is freed unless another is asked for: about the part of the left portal
vein that runs across below segment IV, the longest stem that is commonly freed."""

WORTH = 0.02
"""Share of the organ that must stay behind a stem for it to be freed rather than divided."""

CLEAR_MM = 1.0
"""A wall that is nearer to the tumour is not freed (R0: Sadot et al., Ann Surg 2015;262:476)."""


@dataclass(frozen=True)
class Stretch:
    """A part of a tree, without a gap, that is freed.

    Attributes:
        first: the number of its first point, seen from the root.
        length_mm: of all its branches together.
        diameter_mm: where it is widest, twice the radius of its largest sphere.
        to_tumor_mm: from its wall to the tumour; infinite where there is none.
    """

    first: int
    length_mm: float
    diameter_mm: float
    to_tumor_mm: float


class Stems:
    """A tree prepared once, so that it can be told of any cut which stems are freed."""

    def __init__(
        self, tree: Centerline, inside: Bools, shares: Floats, to_tumor_mm: Floats | None = None
    ) -> None:
        """Prepare a tree.

        Args:
            tree: the branches, each running away from the root.
            inside: for each point of the tree whether it lies in the organ.
            shares: for each point the share of the organ that is nearest to it.
            to_tumor_mm: for each point the distance of the vein's wall to the tumour.
        """
        self._inside, self.shares = inside, shares
        self.to_tumor_mm = np.full(len(inside), np.inf) if to_tumor_mm is None else to_tumor_mm
        self._radius = np.asarray(tree.radius_mm)
        self._shut = self.to_tumor_mm < CLEAR_MM
        branches = downstream(tree)
        ends = {branch.to_node: n for n, branch in enumerate(branches)}
        self._spans = [(branch.start, branch.stop) for branch in branches]
        self._parents = [ends.get(branch.from_node, -1) for branch in branches]
        self._roots = [b.start for b, n in zip(branches, self._parents) if n < 0]
        order = np.argsort([branch.start for branch in branches])
        self._starts = np.asarray([branches[n].start for n in order], np.intp)
        self._place = np.argsort(order)
        self._steps = np.zeros(len(inside))
        self._steps[1:] = np.linalg.norm(np.diff(tree.points_mm, axis=0), axis=1)
        self._steps[self._starts] = 0.0

    def dissected(self, removed: Bools, at_most_mm: float = DISSECTED_MM) -> Bools:
        """Tell for each point whether it lies in the specimen, but is freed.

        Freed is what leads, through at most ``at_most_mm`` in the specimen at a time and clear of
        the tumour, from the root to at least 2 % of the organ that stay.

        Args:
            removed: for each point of the tree whether it lies on the specimen's side.
            at_most_mm: longest stretch in the specimen that is freed; 0 frees nothing.
        """
        freed = np.zeros(len(removed), np.bool_)
        taken = removed & self._inside
        if at_most_mm <= 0 or not taken.any():
            return freed
        feeds = np.where(removed, 0.0, self.shares)
        touched = np.logical_or.reduceat(taken, self._starts)[self._place].tolist()
        stays = np.add.reduceat(feeds, self._starts)[self._place].tolist()
        lengths = self._lengths(taken, touched)
        self._worthwhile(freed, taken, feeds, lengths <= at_most_mm, touched, stays)
        self._reached(freed, taken, touched)
        return freed

    def _lengths(self, taken: Bools, touched: list[bool]) -> Floats:
        """Return how far each point that is taken lies behind where its stretch begins."""
        lengths = np.zeros(len(taken))
        ends = [0.0] * len(touched)
        for n, (start, stop) in enumerate(self._spans):
            if not touched[n]:
                continue
            length = ends[self._parents[n]] if self._parents[n] >= 0 else 0.0
            for point in range(start, stop):
                length = length + self._steps[point] if taken[point] else 0.0
                if taken[point] and self._shut[point]:
                    length = np.inf
                lengths[point] = length
            ends[n] = float(length)
        return lengths

    def _worthwhile(
        self,
        freed: Bools,
        taken: Bools,
        feeds: Floats,
        short: Bools,
        touched: list[bool],
        stays: list[float],
    ) -> None:
        """Mark what is taken and short, and leads to enough that stays."""
        fed = [0.0] * len(touched)  # behind the end of each branch
        for n in range(len(touched) - 1, -1, -1):
            behind = fed[n]
            start, stop = self._spans[n]
            if not touched[n]:
                behind += stays[n]
            elif behind + stays[n] < WORTH:
                behind = 0.0
            else:
                for point in range(stop - 1, start - 1, -1):
                    if not taken[point]:
                        behind += feeds[point]
                    elif short[point] and behind >= WORTH:
                        freed[point] = True
                    else:
                        behind = 0.0
            if self._parents[n] >= 0:
                fed[self._parents[n]] += behind

    def _reached(self, freed: Bools, taken: Bools, touched: list[bool]) -> None:
        """Leave only what is freed all the way from the root; a fork stays with its stem."""
        freed[self._roots] = taken[self._roots] & freed[self._roots].any()
        alive = [True] * len(touched)
        for n, (start, stop) in enumerate(self._spans):
            parent = self._parents[n]
            reached = parent < 0 or alive[parent]
            if touched[n]:
                if parent >= 0 and taken[start]:
                    freed[start] = reached
                for point in range(start, stop):
                    reached = reached and bool(freed[point] or not taken[point])
                    freed[point] &= reached
            alive[n] = reached

    def stretches(self, freed: Bools) -> tuple[Stretch, ...]:
        """Return the parts of the tree without a gap that are freed."""
        number = np.full(len(freed), -1)
        first: list[int] = []
        for n, (start, stop) in enumerate(self._spans):
            parent = self._parents[n]
            for point in range(start, stop):
                if not freed[point]:
                    continue
                before = point - 1
                if point == start:
                    before = self._spans[parent][1] - 1 if parent >= 0 else -1
                number[point] = number[before] if before >= 0 else -1
                if number[point] < 0:
                    number[point] = len(first)
                    first.append(point)
        before_too = np.r_[False, freed[:-1]]
        found = []
        for k, point in enumerate(first):
            own = number == k
            length = float(self._steps[own & before_too].sum())
            wide, near = 2 * float(self._radius[own].max()), float(self.to_tumor_mm[own].min())
            found.append(Stretch(point, length, wide, near))
        return tuple(found)


def downstream(tree: Centerline) -> list[Branch]:
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
