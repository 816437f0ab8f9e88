"""The piece of a vessel tree about its narrowing: small enough to be measured and computed."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from meshing.centerline import Centerline
from meshing.vessel_findings import stenosis
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, silent
from segmentation.volume import LabelMap
from workstation.planning.vessel_piece import along_vessels_mm, kept_piece

NEAR_MM = 10.0
"""A click may miss the wall of the vessel that is meant by this much."""


class NoNarrowing(ValueError):
    """No narrowing was found on the vessels, or no vessel is near the click."""


def around_narrowing(
    vessels: LabelMap,
    tree: Centerline,
    *,
    click_mm: tuple[float, float, float] | None = None,
    reach_mm: Annotated[float, Gt(1), Le(300)] = 30.0,
    progress: Progress = silent,
) -> LabelMap:
    """Keep the piece of a vessel tree around its narrowing.

    What lies farther along the vessels than the reach is left out, and so are other vessels that
    pass nearby.

    Args:
        vessels: all vessels of the image.
        tree: their centerline.
        click_mm: a point in or near the narrowing, LPS mm; empty takes the worst narrowing of
            all branches.
        reach_mm: how far from there, along the vessels, the piece goes; several diameters of the
            normal vessel on either side.
        progress: told how far the work is.

    Raises:
        NoNarrowing: if no branch is long enough to be measured, or no vessel is near the click.
        FrameMismatch: if vessels and centerline live in different frames.
    """
    if vessels.geometry.frame_uid != tree.frame_uid:
        raise FrameMismatch("the vessels and their centerline have different frames of reference")
    progress(0.1, "looking for the narrowing")
    point, findings = (click_mm, ()) if click_mm is not None else _worst(tree)
    outside = np.linalg.norm(tree.points_mm - np.array(point), axis=1) - tree.radius_mm
    place = int(outside.argmin())
    if outside[place] > NEAR_MM:
        raise NoNarrowing(
            f"no vessel is within {NEAR_MM:g} mm of the click; click on the narrowing"
        )
    progress(0.3, "following the vessels")
    kept = along_vessels_mm(tree, place) <= reach_mm
    x, y, z = (float(v) for v in tree.points_mm[place])
    return kept_piece(vessels, tree, kept, (x, y, z), 0.0, findings)


def _worst(tree: Centerline) -> tuple[tuple[float, ...], tuple[Finding, ...]]:
    """Return where the worst narrowing of a tree is, and that it was taken."""
    try:
        worst = stenosis(tree)
    except ValueError as error:
        raise NoNarrowing(f"{error}; click on the narrowing (click_mm, LPS mm)") from error
    size = {number.quantity: number.value for number in worst.numbers}
    place = worst.findings[0].location_mm
    text = (
        f"The worst narrowing of all branches was taken: {size['diameter_stenosis']:.0f} % of the "
        "diameter"
    )
    remedy = "look at it; give click_mm if another one is meant"
    return place or (), (Finding(Severity.INFO, "narrowing_chosen", text, place, remedy),)
