"""The line of a wide vessel settled on the middle of its sections, wherever it was begun.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.curves import arc_length_mm, local_fit, resampled, unit
from meshing.lumen import Piece
from meshing.sections import FIELDS, Section, Slicer, measures
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEP = 0.2  # of the median radius, between the sections that centre the line
FINE = 0.1  # and between those that are measured
WINDOW = 1.5  # radii on either side over which the line is smooth
USUAL = 4.0  # radii on either side whose sections are compared
OWN = (1.15, 1.4)  # times the usual area: to here a section centres the line, from there hardly
DOUBTFUL = 0.02  # weight of a section that opens into a branch
STRAY = 0.5  # radii from its centroid, and a section counts less the farther it is
ROUNDS = 30
FULL = 10  # of them move all the way
SETTLED = 0.005  # radii: a line whose points move less is the last one
RESTS = 0.02  # and one whose points move more is none of the surface's own


@dataclass(frozen=True, eq=False)
class Settled:
    """A line across which all sections were cut.

    Attributes:
        points_mm: (n, 3), at equal distances.
        tangents: unit vectors along it (n, 3).
        radius_mm: of discs of the areas that are usual there (n,).
        sections: (n, len(FIELDS)), nan where there is none.
        moved_mm: how far a point still moved at last.
    """

    points_mm: Floats
    tangents: Floats
    radius_mm: Floats
    sections: Floats
    moved_mm: float

    @property
    def rests(self) -> bool:
        """Whether no point moves by more than a fiftieth of a radius any more."""
        return self.moved_mm < RESTS * float(np.median(self.radius_mm))


def settled(
    pieces: list[Piece],
    points_mm: Floats,
    radius_mm: Floats,
    held: Bools,
    blind: tuple[bool, bool],
    progress: Progress = silent,
) -> Settled:
    """Return a line through the centroids of the sections across it, with their measures.

    A line that began on voxels has their edges in its directions, and a section that opens into a
    branch draws it aside; where it turns, such a section is oblique and too wide. Here the
    sections are cut across the line that the last ones made, until it rests: then it is the
    surface's own, and a mirrored vessel has the mirrored line.

    Args:
        pieces: the lumen.
        points_mm: the line as it was found (n, 3).
        radius_mm: its radii (n,).
        held: which of its points are not drawn to a section, as in a junction.
        blind: whether its begin and its end are no opening; there it runs straight out.
        progress: told how far the work is.
    """
    slicers = [Slicer(piece) for piece in pieces]
    known = cKDTree(points_mm)
    step = STEP * float(np.median(radius_mm))
    points, radius = _even(points_mm, radius_mm, step)
    moved = np.inf
    for turn in range(ROUNDS):
        progress(turn / ROUNDS, "bringing the line onto the middle of its sections")
        tangents, found = _cut(slicers, points, radius)
        areas = np.array([np.nan if s is None else s.area_mm2 for s in found])
        usual = _usual(areas, arc_length_mm(points), USUAL * radius)
        aims, weight = _aims(points, radius, found, areas / usual, held[known.query(points)[1]])
        fresh = local_fit(aims, WINDOW * radius, weight).points_mm
        if turn >= FULL:  # what swings between two places comes to rest between them
            fresh = (fresh + points) / 2
        radius = np.where(np.isfinite(usual), np.sqrt(usual / np.pi), radius)
        aside = fresh - points
        aside -= np.einsum("ij,ij->i", aside, tangents)[:, None] * tangents
        moved = float(np.linalg.norm(aside, axis=1).max())
        points, radius = _even(fresh, radius, step)
        if moved < SETTLED * float(np.median(radius)):
            break
    points = _straight_out(points, radius, blind)
    points, radius = _even(points, radius, step * FINE / STEP)
    tangents, found = _cut(slicers, points, radius)
    none = np.full(len(FIELDS), np.nan)
    table = np.array([none if section is None else measures(section) for section in found])
    return Settled(points, tangents, radius, table, moved)


def _even(points: Floats, radius: Floats, step_mm: float) -> tuple[Floats, Floats]:
    """Return points at equal distances, and the radii there."""
    along = arc_length_mm(points)
    fresh = resampled(points, step_mm, least=9)
    return fresh, np.interp(np.linspace(0, along[-1], len(fresh)), along, radius)


def _cut(
    slicers: list[Slicer], points: Floats, radius: Floats
) -> tuple[Floats, list[Section | None]]:
    """Return the directions of a line and its sections; None where none is whole."""
    tangents = local_fit(points, WINDOW * radius).tangents
    found: list[Section | None] = []
    for place in zip(points, tangents, radius):
        cuts = [s for slicer in slicers if (s := slicer.around(*place)) is not None]
        best = min(cuts, key=lambda section: section.area_mm2, default=None)
        found.append(best if best is not None and best.whole else None)
    return tangents, found


def _aims(
    points: Floats, radius: Floats, found: list[Section | None], excess: Floats, held: Bools
) -> tuple[Floats, Floats]:
    """Return where each point is drawn, and how firmly; nothing switches, all fades."""
    aims = np.array([p if s is None else s.centroid_mm for p, s in zip(points, found)])
    away = np.linalg.norm(aims - points, axis=1) / (STRAY * radius)
    weight = np.interp(np.nan_to_num(excess, nan=np.inf), OWN, (1.0, DOUBTFUL))
    weight *= np.clip(2 - away, DOUBTFUL, 1)
    aims = points + (aims - points) / np.maximum(away, 1)[:, None]
    aims[held], weight[held] = points[held], DOUBTFUL
    aims[[0, -1]] = points[[0, -1]]
    return aims, weight


def _straight_out(points: Floats, radius: Floats, blind: tuple[bool, bool]) -> Floats:
    """Return a line that runs straight through the last radius before a blind end."""
    for at_start in np.flatnonzero(blind) == 0:
        run, width = (points[::-1], radius[0]) if at_start else (points, radius[-1])
        left = arc_length_mm(run)[-1] - arc_length_mm(run)
        inner = np.flatnonzero((left > width) & (left < 2 * width))
        if len(inner) < 2:
            continue
        last = int(inner[-1])
        ahead = unit(run[last] - run[inner[0]])
        reach = max(float((run[-1] - run[last]) @ ahead), 0.0)
        tail = np.linspace(0, reach, len(run) - last)[1:, None] * ahead
        run = np.concatenate([run[: last + 1], run[last] + tail])
        points = run[::-1] if at_start else run
    return points


def _usual(areas: Floats, along: Floats, reach: Floats) -> Floats:
    """Return the median area of the sections within ``reach`` of each; nan for none."""
    result = np.full(len(areas), np.nan)
    for n in range(len(areas)):
        near = areas[(np.abs(along - along[n]) <= reach[n]) & np.isfinite(areas)]
        if len(near):
            result[n] = np.median(near)
    return result
