"""Cuts of every kind as they are judged while a hand moves them.

Space is DICOM patient LPS in millimetres; normals point to the specimen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from meshing.centerline import Centerline
from segmentation.volume import LabelMap
from workstation.planning.cut_surface import CutSurface
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.live_sheet import Bend
from workstation.planning.live_wedge import LiveWedge, WedgeField
from workstation.planning.proposal import Floats, Point

Bools = npt.NDArray[np.bool_]
Singles = npt.NDArray[np.float32]
Sides = tuple[Bools, Floats]

PARALLEL = 0.9999  # cosine above which two planes have no edge
HELD = 4  # parts of combinations that are remembered


@dataclass(frozen=True)
class LivePlanes:
    """One or several planes: the specimen lies beyond all of them, or beyond any."""

    points_mm: tuple[Point, ...]
    normals: tuple[Point, ...]
    specimen: Literal["between", "beyond_any"] = "between"


@dataclass(frozen=True)
class LiveJoined:
    """Two cuts combined, as `cut_surface_stages.combine_cuts` does it."""

    cut: LiveCut
    other: LiveCut
    operation: Literal["both", "either", "first_without_second"] = "either"


LiveCut = LivePlanes | Sheet | LiveWedge | CutSurface | LiveJoined


@dataclass(frozen=True, eq=False)
class Rest:
    """Places other than samples, LPS mm: those whose distance counts, and whose side alone does."""

    measured_mm: Floats
    sided_mm: Floats

    @property
    def points_mm(self) -> Floats:
        """All of them (m, 3), measured ones first."""
        return np.concatenate([self.measured_mm, self.sided_mm])


class CutSides:
    """Tells of any cut which samples of an organ it removes, and how far other places are."""

    def __init__(
        self,
        liver: LabelMap,
        tumor: LabelMap | None,
        samples: Singles,
        origin_mm: Floats,
        rest: Rest,
        trees: Sequence[Centerline | None],
    ) -> None:
        """Prepare.

        Args:
            liver: the organ.
            tumor: the lesions, for wedges.
            samples: rows (3, n) of places of the organ about ``origin_mm``, LPS mm.
            origin_mm: the middle of the samples.
            rest: m other places.
            trees: the veins that a wedge may spare.
        """
        self._liver, self._tumor = liver, tumor
        self._samples, self._origin, self._places = samples, origin_mm, rest
        self._rest = rest.points_mm
        self._trees = [tree for tree in trees if tree is not None]
        self._bend: Bend | None = None
        self._wedges: dict[tuple[str, float], WedgeField] = {}
        self._held: OrderedDict[LiveCut, Sides] = OrderedDict()

    def __call__(self, cut: LiveCut) -> Sides:
        """Return which samples (n,) are removed, and the signed distances (m,) of other places.

        Distances are positive on the specimen's side; where only the side counts, the sign does.

        Raises:
            ValueError: for a wedge without a tumour, or without a tree of what it spares.
        """
        if isinstance(cut, LivePlanes):
            return self._planes(cut)
        if isinstance(cut, Sheet):
            return self._sheet(cut)
        if isinstance(cut, LiveWedge):
            return self._wedge(cut)
        if isinstance(cut, LiveJoined):
            return self._joined(cut)
        samples = self._samples.T + self._origin
        away = cut.distance_mm(self._places.measured_mm)
        return cut.side_mm(samples) >= 0, self._with_sides(away, cut.side_mm)

    def _with_sides(self, away: Floats, side_mm: Callable[[Floats], Floats]) -> Floats:
        return np.concatenate([away, side_mm(self._places.sided_mm)])

    def _planes(self, cut: LivePlanes) -> Sides:
        points, normals = np.asarray(cut.points_mm, float), np.asarray(cut.normals, float)
        levels = np.einsum("ij,ij->i", points - self._origin, normals).astype(np.float32)
        beyond = [along(self._samples, n) >= level for n, level in zip(normals, levels)]
        join = np.logical_and if cut.specimen == "between" else np.logical_or
        away = normals @ self._rest.T - np.einsum("ij,ij->i", points, normals)[:, None]
        signed = -_to_any(-away, normals) if cut.specimen == "between" else _to_any(away, normals)
        return np.asarray(join.reduce(beyond)), signed

    def _sheet(self, sheet: Sheet) -> Sides:
        if self._bend is None or not self._bend.fits(sheet):
            level = along(self._samples, np.asarray(sheet.normal))
            self._bend = Bend(sheet, self._samples.T + self._origin, level, self._origin)
        away = self._bend.signed_mm(sheet, self._places.measured_mm)
        return self._bend.levels(sheet) >= 0, self._with_sides(away, sheet.side_mm)

    def _wedge(self, cut: LiveWedge) -> Sides:
        key = cut.lesions, cut.spared_mm
        if key not in self._wedges:
            places = self._samples.T + self._origin, self._rest
            self._wedges[key] = WedgeField(self._liver, self._tumor, self._trees, *key, *places)
        return self._wedges[key](cut)

    def _joined(self, cut: LiveJoined) -> Sides:
        (one, a), (two, b) = (self._part(part) for part in (cut.cut, cut.other))
        if cut.operation == "both":
            return one & two, np.minimum(a, b)
        if cut.operation == "either":
            return one | two, np.maximum(a, b)
        return one & ~two, np.minimum(a, -b)

    def _part(self, part: LiveCut) -> Sides:
        """Return the sides of a part of a combination; that of the part at rest is remembered."""
        if part not in self._held:
            self._held[part] = self(part)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(part)
        return self._held[part]


def _to_any(away: Floats, normals: Floats) -> Floats:
    """Return how far places lie in what is beyond any of some planes, from its border.

    ``away`` (planes, m) are the distances from each. What is beyond none is convex: a place is as
    far from it as from a plane, or from the edge of two where its foot lies there. Corners of
    three are left out, so the distance is at most too small.
    """
    found: Floats = np.asarray(away.max(axis=0))
    for one, two in combinations(range(len(normals)), 2):
        cosine = float(normals[one] @ normals[two])
        a, b = away[one], away[two]
        if abs(cosine) > PARALLEL:
            continue
        at_edge = (a > cosine * b) & (b > cosine * a)
        edge = np.sqrt(np.maximum(a * a + b * b - 2 * cosine * a * b, 0) / (1 - cosine**2))
        found = np.where(at_edge, np.maximum(found, edge), found)
    return found


def along(samples: Singles, direction: Floats) -> Singles:
    """Return how far places, given as rows (3, n), lie along a direction."""
    # Spelt out: a threaded matrix product takes a hundred times longer on a busy machine.
    a, b, c = direction.astype(np.float32)
    x, y, z = samples
    found = a * x
    found += b * y
    found += c * z
    return np.asarray(found)
