"""What loses its supply or its drainage where branches are cut or clamped.

Each voxel belongs to the branch that passes nearest to it. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.marks import Points
from segmentation.volume import ImageGeometry, Label, LabelMap, bounding_block
from segmentation.wording import counted
from workstation.planning.couinaud_names import VALUES, BranchName
from workstation.planning.kept import kept
from workstation.planning.nearest_lost import nearest_is_lost
from workstation.planning.proposal import tight
from workstation.planning.resection import Cut, removed_by
from workstation.planning.vein_crossings import (
    Crossing,
    Grazed,
    behind,
    beside_organ,
    crossed_branches,
    entered_branches,
    first_crossings,
    grazed_branches,
    name_of,
)

Bools = npt.NDArray[np.bool_]

LISTED = 6  # crossings named in a sentence at the most
MAIN = 3  # branches that get a sentence of their own at the most
TOLD_ML = 5.0  # a smaller loss gets none
WALL_MM = 3.0  # of a narrower vein it is not told that a part of its wall is taken
SAMPLES = 20_000  # voxels that stand for all that is lost
LOSSES = {"devascularised": "without supply", "congested": "without drainage"}
SPARE = (
    "Move the cut off it, narrow the margin of a wedge or let it spare veins this wide; or plan "
    "to remove what it supplies too, or to rebuild it."
)
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

    With a cut, only what stays in the body counts: the side against which its normal points. A
    branch is cut where its axis is removed, in the organ: at least half of its width. One of which
    the cut takes less, or whose wall it touches, counts as kept and is told of.

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
    stays = liver.array[block] != 0
    grid = liver.geometry.cropped([s.start for s in block][::-1], stays.shape[::-1])
    crossings: tuple[Crossing, ...] = ()
    entered: tuple[Crossing, ...] = ()
    inside = in_organ(liver, tree)
    if cut is not None:
        crossings = crossed_branches(tree, cut.distance_mm, cut.side_mm, inside)
        entered = entered_branches(tree, cut.side_mm(tree.points_mm) >= 0, inside)
        stays &= ~removed_by(cut, stays, grid)
    clamps = _clamps(tree, clamped, clamps_mm)
    stops = [c.point for c in (*crossings, *entered)] + clamps
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
        Number(
            "branches_lost",
            float(len(crossings) + len(clamps)),
            "",
            "crossings of the cut, and clamps",
        ),
    )
    label = Label(effect, COLOURS[effect])
    findings = list(_findings(tree, crossings))
    if cut is not None:
        findings += _main_losses(tree, (*crossings, *entered), lost, grid, effect)
        findings += _walls(tree, cut, inside, crossings)
    return LabelMap(array, liver.geometry, {1: label}, tuple(findings), numbers)


@kept
def in_organ(liver: LabelMap, tree: Centerline) -> Bools:
    """Tell for each point of a tree whether it lies in the organ or just beside it."""
    organ = tight(liver)
    assert organ is not None
    return beside_organ(organ, np.asarray(tree.points_mm))


def _main_losses(
    tree: Centerline,
    crossings: tuple[Crossing, ...],
    lost: Bools,
    grid: ImageGeometry,
    effect: str,
) -> list[Finding]:
    """Return which cut branches leave most without supply or drainage, the largest loss first."""
    first = first_crossings(tree, crossings)
    voxels = np.argwhere(lost)[:, ::-1]
    if not first or not len(voxels):
        return []
    step = -(-len(voxels) // SAMPLES)
    owner = cKDTree(tree.points_mm).query(grid.to_world(voxels[::step]))[1]
    shares = [float(np.mean(behind(tree, [c.point])[owner])) for c in first]
    whole = len(voxels) * grid.voxel_ml
    found = []
    for n in np.argsort(shares)[::-1][:MAIN]:
        volume = shares[n] * whole
        if volume < TOLD_ML:
            break
        words = f"{volume:.0f} mL of what stays {LOSSES.get(effect, 'behind it')}"
        text = f"Cut here, {_called(tree, first[n])} leaves {words}."
        found.append(Finding(Severity.WARNING, "branch_lost", text, first[n].point_mm, SPARE))
    return found


def _walls(
    tree: Centerline, cut: Cut, inside: Bools, crossings: tuple[Crossing, ...]
) -> list[Finding]:
    """Return the branches of which the cut takes a part of the wall."""
    near = inside & (cut.side_mm(tree.points_mm) < 0)
    reach = 2 * float(tree.radius_mm.max(initial=0.0)) + 1.0
    close = cKDTree(cut.surface.points_mm).query(tree.points_mm, distance_upper_bound=reach)[0]
    near &= np.isfinite(close) & (2 * tree.radius_mm >= WALL_MM)
    found = grazed_branches(tree, cut.distance_mm, near, crossings)
    return [
        Finding(
            Severity.INFO,
            "wall_taken",
            f"The cut takes {100 * one.share:.0f} % of the width of {_called(tree, one)}; it "
            "counts as kept, for its wall to be closed.",
            one.point_mm,
        )
        for one in found[:MAIN]
    ]


def _called(tree: Centerline, one: Crossing | Grazed) -> str:
    """Return what a branch is called, or by the names behind it."""
    names = [one.name]
    if not one.name:
        beyond = behind(tree, [tree.branches[one.branch].start])
        there = (n for n, b in enumerate(tree.branches) if beyond[b.start])
        names = sorted({name_of(tree, n) for n in there} - {""})
    listed = ", ".join(name.replace("_", " ") for name in names)
    kind = "the branch" if one.name else "the stem of"
    called = f"{kind} {listed}" if listed else "an unnamed branch"
    return f"{called} ({one.diameter_mm:.1f} mm wide)"


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
        branches = counted(len(crossings), "branch", "branches")
        sentence = f"the cut crosses {branches}: {listed}{more}"
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
