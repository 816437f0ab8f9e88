"""A narrowing as it is drawn and told along its branch. Lengths in mm, points LPS mm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from meshing.centerline import Centerline, own_sections
from meshing.curves import arc_length_mm, local_fit
from meshing.sections import in_plane
from segmentation.contract import Finding, Number
from segmentation.measured import Measured

Floats = npt.NDArray[np.float64]

SIDES = 48
"""Of the polygons that stand for circles."""


def drawn(
    centerline: Centerline,
    size: Mapping[str, float],
    columns: Mapping[str, Floats],
    numbers: tuple[Number, ...],
    findings: tuple[Finding, ...],
) -> Measured:
    """Return a narrowing with its line, the discs of its narrowest and its normal section.

    ``size`` are the numbers of stenosis by name. ``columns`` are values at the branch's own
    sections; they become samples, with along_mm, diameter_mm and x_mm, y_mm, z_mm.
    """
    branch = centerline.branch(int(size["branch"]))
    area_mm2 = centerline.point_data["area_mm2"][branch.points]
    own = np.isfinite(area_mm2) & own_sections(centerline)[branch.points]
    points = centerline.points_mm[branch.points]
    along = arc_length_mm(points)
    tangents = local_fit(points, 1.5 * centerline.radius_mm[branch.points]).tangents
    at = int(np.argmin(np.where(own, np.abs(along - size["position"]), np.inf)))
    rings = (
        _circle(points[at], tangents[at], size[name] / 2)
        for name in ("minimum_diameter", "reference_diameter")
    )
    x, y, z = points[own].T
    samples = {
        "along_mm": along[own],
        "diameter_mm": 2 * np.sqrt(area_mm2[own] / np.pi),
        **columns,
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
    }
    text = f"{size['minimum_diameter']:.2f} mm, {size['diameter_stenosis']:.0f} %"
    place = (float(points[at][0]), float(points[at][1]), float(points[at][2]))
    return Measured(
        centerline.frame_uid, (*rings, points), np.empty((0, 3)), text, place,
        samples=samples, findings=findings, numbers=numbers,
    )  # fmt: skip


def _circle(centre: Floats, normal: Floats, radius_mm: float) -> Floats:
    """Return a closed circle (n, 3) across a direction."""
    u, v = in_plane(normal)
    turns = np.linspace(0, 2 * np.pi, SIDES + 1)[:, None]
    return np.asarray(centre + radius_mm * (np.cos(turns) * u + np.sin(turns) * v))
