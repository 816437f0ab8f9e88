"""The vessel on either side of a neck: how wide it is and where it comes from.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline, own_sections
from meshing.curves import arc_length_mm

Floats = npt.NDArray[np.float64]

BESIDE = 2.0  # vessel radii from the neck at the most, and a branch belongs to it
FIRST = 4.0  # vessel radii from the neck at the most, its first own section
REACH = 1.5  # diameters over which it is measured
LEAST = 3  # sections
OPEN = 1.7  # times its inscribed disc, and a section is taken to open into the sac


@dataclass(frozen=True, eq=False)
class Limb:
    """A stretch of vessel that begins at a neck.

    Attributes:
        name: of its branch, and to which side of the neck it lies.
        diameter_mm: the mean diameter of discs of the areas of its sections.
        range_mm: the least and the largest of these.
        direction: unit vector of the blood's way along it, LPS.
        upstream: whether blood comes to the neck through it.
    """

    name: str
    diameter_mm: float
    range_mm: tuple[float, float]
    direction: Floats
    upstream: bool


def limbs(centerline: Centerline, neck: Neck) -> tuple[Limb, ...]:
    """Return the stretches of vessel that meet at a neck, those from upstream first."""
    found = []
    rim = cKDTree(neck.points_mm)
    area = centerline.point_data["area_mm2"]
    own = own_sections(centerline) & (area < OPEN * np.pi * centerline.radius_mm**2)
    for number, branch in enumerate(centerline.branches, 1):
        points = centerline.points_mm[branch.points]
        gap = rim.query(points)[0]
        near = int(np.argmin(np.linalg.norm(points - np.array(neck.centre_mm), axis=1)))
        along = arc_length_mm(points)
        for upstream in (True, False):
            side = np.arange(len(points)) <= near if upstream else np.arange(len(points)) >= near
            limb = _limb(centerline, number, side & own[branch.points], gap, along, upstream)
            found += [limb] if limb is not None else []
    return tuple(sorted(found, key=lambda limb: not limb.upstream))


def _limb(
    centerline: Centerline,
    number: int,
    usable: npt.NDArray[np.bool_],
    gap: Floats,
    along: Floats,
    upstream: bool,
) -> Limb | None:
    branch = centerline.branch(number)
    points = centerline.points_mm[branch.points]
    area = centerline.point_data["area_mm2"][branch.points]
    places = np.flatnonzero(usable)
    if len(places) < LEAST:
        return None
    first = places[-1] if upstream else places[0]
    width = 2 * float(np.sqrt(area[first] / np.pi))
    if gap.min() > BESIDE * width / 2 or gap[first] > FIRST * width / 2:
        return None
    places = places[np.abs(along[places] - along[first]) <= REACH * width]
    if len(places) < LEAST:
        return None
    widths = 2 * np.sqrt(area[places] / np.pi)
    way = points[places[-1]] - points[places[0]]
    side = "before" if upstream else "beyond"
    direction = way / max(float(np.linalg.norm(way)), 1e-9)
    span = (float(widths.min()), float(widths.max()))
    name = f"branch {number} {side} the neck"
    return Limb(name, float(widths.mean()), span, direction, upstream)


def parent_limbs(beside: tuple[Limb, ...]) -> tuple[Limb, ...]:
    """Return the limbs whose mean diameter is the parent vessel's: all at a fork, else upstream."""
    upstream = tuple(limb for limb in beside if limb.upstream)
    return upstream if len(beside) <= 2 and upstream else beside
