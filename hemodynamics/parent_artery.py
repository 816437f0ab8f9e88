"""The stretches of vessel before and beyond an aneurysm that its flow is compared with.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline, own_sections
from meshing.curves import arc_length_mm

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BESIDE, FIRST = 2.0, 4.0
"""Half widths of a vessel from the neck, at the most: of it, and of its first own section."""

REACH = 1.5
"""Its length in diameters."""

LEAST = 3
"""Points of the centerline that make a stretch."""

OPEN = 1.7
"""Times its inscribed disc, and a section is taken to open into the sac."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A piece of a branch that begins at a neck.

    Attributes:
        branch: its number, counted from 1.
        before: whether blood comes to the neck through it.
        rows: numbers of its points in the centerline.
        middle_mm, direction: of its middle point, and the way of the blood there.
        diameter_mm: the mean diameter of discs of the areas of its sections.
    """

    branch: int
    before: bool
    rows: Ints
    middle_mm: Floats
    direction: Floats
    diameter_mm: float


def stretches(centerline: Centerline, neck: Neck) -> tuple[Stretch, ...]:
    """Return the stretches of vessel that begin at a neck, those before it first."""
    rim = KDTree(neck.points_mm)
    usable = own_sections(centerline)
    half = np.sqrt(centerline.point_data["area_mm2"] / np.pi)
    usable &= half < np.sqrt(OPEN) * centerline.radius_mm
    found = []
    for number, branch in enumerate(centerline.branches, 1):
        points = centerline.points_mm[branch.points]
        near = int(np.argmin(np.linalg.norm(points - np.array(neck.centre_mm), axis=1)))
        order = np.arange(len(points))
        for before in (True, False):
            side = order <= near if before else order >= near
            places = np.flatnonzero(side & usable[branch.points])
            stretch = _stretch(centerline, number, places, before, rim, half)
            found += [stretch] if stretch else []
    return tuple(sorted(found, key=lambda stretch: not stretch.before))


def _stretch(
    centerline: Centerline, number: int, places: Ints, before: bool, rim: KDTree, half_mm: Floats
) -> Stretch | None:
    branch = centerline.branch(number)
    if len(places) < LEAST:
        return None
    points, half = centerline.points_mm[branch.points], half_mm[branch.points]
    first = places[-1] if before else places[0]
    gap = rim.query(points)[0]
    if gap.min() > BESIDE * half[first] or gap[first] > FIRST * half[first]:
        return None
    along = arc_length_mm(points)
    places = places[np.abs(along[places] - along[first]) <= REACH * 2.0 * half[first]]
    if len(places) < LEAST:
        return None
    middle = int(places[len(places) // 2])
    way = points[min(middle + 1, len(points) - 1)] - points[max(middle - 1, 0)]
    return Stretch(
        number,
        before,
        branch.start + places,
        points[middle],
        way / max(float(np.linalg.norm(way)), 1e-9),
        2.0 * float(half[places].mean()),
    )


def belongs(points_mm: Floats, centerline: Centerline, chosen: tuple[Stretch, ...]) -> Bools:
    """Return which points (n, 3) lie nearest to the chosen stretches of a centerline."""
    if not chosen:
        return np.zeros(len(points_mm), np.bool_)
    row = KDTree(centerline.points_mm).query(points_mm)[1]
    return np.isin(row, np.concatenate([stretch.rows for stretch in chosen]))
