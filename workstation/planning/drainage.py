"""What loses its supply or its drainage where branches are cut or clamped.

Each voxel belongs to the branch that passes nearest to it. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.marks import Points
from segmentation.volume import Label, LabelMap, bounding_block
from workstation.planning.couinaud_names import VALUES, BranchName
from workstation.planning.nearest_lost import nearest_is_lost
from workstation.planning.resection import Cut, removed_by
from workstation.planning.vein_crossings import Crossing, behind, crossed_branches

LISTED = 6  # crossings named in a sentence at the most
COLOURS = {"devascularised": (0x8C, 0x56, 0x4B), "congested": (0x6B, 0x4C, 0x9A)}
SOURCE = (
    "voxel count x voxel volume of what is nearest to the branches behind the cut or clamp; no "
    "flow through collaterals is counted"
)


def lost_territory(
    liver: LabelMap,
    tree: Centerline,
    cut: Cut | None = None,
    *,
    effect: Literal["devascularised", "congested"] = "devascularised",
    clamped: tuple[BranchName, ...] = (),
    clamps_mm: Points = (),
    progress: Progress = silent,
) -> LabelMap:
    """Find the liver that loses its supply or drainage where branches are cut or clamped.

    With a cut, only what stays in the body counts: the side against which its normal points.

    Args:
        liver: the organ.
        tree: the portal branches (what is lost is devascularised) or the hepatic veins (what is
            lost is congested).
        cut: the cut, where there is one; all branches that it crosses are lost behind it.
        effect: what the loss is called.
        clamped: names of branches that are clamped where they begin.
        clamps_mm: points (x, y, z) on branches, LPS mm, that are clamped there.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty.
        FrameMismatch: if organ, tree and cut live in different frames.
    """
    frame = liver.geometry.frame_uid
    if tree.frame_uid != frame or (cut is not None and cut.frame_uid != frame):
        raise FrameMismatch("liver, tree and cut live in different frames; register one first")
    block = bounding_block(liver.array)
    if block is None:
        raise ValueError("the liver has no voxel; segment it first")
    crossings = () if cut is None else crossed_branches(tree, cut.distance_mm)
    stops = [c.point for c in crossings] + _clamps(tree, clamped, clamps_mm)
    stays = liver.array[block] != 0
    grid = liver.geometry.cropped([s.start for s in block][::-1], stays.shape[::-1])
    if cut is not None:
        stays &= ~removed_by(cut, stays, grid)
    lost = np.zeros_like(stays)
    if stops and stays.any():
        lost = nearest_is_lost(stays, grid, tree.points_mm, behind(tree, stops), progress)
    array = np.zeros(liver.array.shape, np.uint8)
    array[block] = lost
    count, whole = int(np.count_nonzero(lost)), int(np.count_nonzero(stays))
    of = "the liver" if cut is None else "what stays of the liver"
    numbers = (
        Number("volume", count * grid.voxel_ml, "mL", SOURCE),
        Number("fraction", 100.0 * count / max(whole, 1), "%", f"share of {of}"),
        Number("branches_lost", float(len(stops)), "", "crossings of the cut, and clamps"),
    )
    label = Label(effect, COLOURS[effect])
    return LabelMap(array, liver.geometry, {1: label}, _findings(tree, crossings), numbers)


def _clamps(tree: Centerline, names: tuple[BranchName, ...], points_mm: Points) -> list[int]:
    """Return the points of the tree at which it is clamped."""
    stops = []
    codes = tree.point_data.get("territory", np.zeros(len(tree.points_mm)))
    for branch in tree.branches:
        own = codes[branch.points]
        if any(VALUES.get(name) == own.max() for name in names):
            stops.append(branch.start)
    for point in points_mm:
        if tree.branches:
            stops.append(int(np.argmin(np.linalg.norm(tree.points_mm - point, axis=1))))
    return stops


def _findings(tree: Centerline, crossings: tuple[Crossing, ...]) -> tuple[Finding, ...]:
    """Return what the cut crosses, the widest first."""
    found = []
    if crossings:
        listed = ", ".join(
            f"{c.name.replace('_', ' ') or 'a stem'} ({c.diameter_mm:.1f} mm)"
            for c in crossings[:LISTED]
        )
        more = f" and {len(crossings) - LISTED} more" if len(crossings) > LISTED else ""
        sentence = f"the cut crosses {len(crossings)} branches: {listed}{more}"
        found.append(Finding(Severity.INFO, "branches_crossed", sentence, crossings[0].point_mm))
    roots = {b.from_node for b in tree.branches} - {b.to_node for b in tree.branches}
    for crossing in crossings:
        if tree.branches[crossing.branch].from_node in roots and crossing.branch == 0:
            found.append(
                Finding(
                    Severity.WARNING,
                    "trunk_crossed",
                    "the cut crosses the vein at its root, so all behind it counts as lost",
                    crossing.point_mm,
                    "move the cut off the root",
                )
            )
            break
    return tuple(found)
