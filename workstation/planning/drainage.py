"""What loses its supply or its drainage where branches are cut or clamped.

Each voxel belongs to the branch that passes nearest to it. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.marks import Points
from segmentation.volume import ImageGeometry, Label, LabelMap, bounding_block
from segmentation.wording import counted
from workstation.planning.couinaud_names import VALUES, BranchName
from workstation.planning.nearest_lost import nearest_is_lost
from workstation.planning.proposal import as_point
from workstation.planning.resection import Cut, removed_by
from workstation.planning.vein_crossings import (
    Crossing,
    Grazed,
    behind,
    first_crossings,
    grazed_branches,
    name_of,
)
from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.planning.vein_division import Division, divided_by, in_organ

Bools = npt.NDArray[np.bool_]

OFF_MM = 10.0  # a clamp farther from every branch is told of
NAMED = "Name the branches first, or clamp by a point on the branch."
LISTED = 6  # crossings named in a sentence at the most
MAIN = 3  # branches that get a sentence of their own at the most
TOLD_MM = 1.0  # of a shorter stretch that is freed nothing is told
TOLD_ML = 5.0  # a smaller loss gets none
WALL_MM = 3.0  # of a narrower vein it is not told that a part of its wall is taken
SAMPLES = 20_000  # voxels that stand for all that is lost
NEAR_MM = 10.0  # from the tumour to a freed stem, below which it is warned of
FREED = "If it cannot be freed there, set dissected_mm of this step to 0, or move the cut."
SUPPLIED = {"devascularised": "supplied", "congested": "drained"}
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
    tumor: LabelMap | None = None,
    *,
    effect: Literal["devascularised", "congested"] = "devascularised",
    clamped: tuple[BranchName, ...] = (),
    clamps_mm: Points = (),
    dissected_mm: Annotated[float, Ge(0), Le(150)] = DISSECTED_MM,
    progress: Progress = silent,
) -> LabelMap:
    """Find the liver that loses its supply or drainage where branches are cut or clamped.

    With a cut, only what stays in the body counts: the side against which its normal points. A
    branch is cut where its axis is removed, in the organ: at least half of its width. One of which
    the cut takes less, or whose wall it touches, counts as kept and is told of. So does a stem in
    the specimen that leads to what stays, as far as it can be freed: at the hilum and along the
    cut.

    Args:
        liver: the organ.
        tree: the portal branches (what is lost is devascularised) or the hepatic veins (what is
            lost is congested).
        cut: the cut, where there is one; all branches that it crosses are lost behind it.
        tumor: stems whose wall lies within 1 mm of it are not freed.
        effect: what the loss is called.
        clamped: names of branches that are clamped where they begin.
        clamps_mm: points (x, y, z) on branches, LPS mm, that are clamped there.
        dissected_mm: the longest stretch (mm) of a stem in the specimen that is freed where what
            stays needs it; 0 counts all as divided.
        progress: told how far the work is.

    Raises:
        ValueError: if the organ is empty.
        FrameMismatch: if organ, tree, cut and tumour live in different frames.
    """
    _require_frame(liver, tree, cut, tumor)
    block = bounding_block(liver.array)
    if block is None:
        raise ValueError("the liver has no voxel; segment it first")
    stays = liver.array[block] != 0
    grid = liver.geometry.cropped([s.start for s in block][::-1], stays.shape[::-1])
    made: Division | None = None
    if cut is not None:
        made = divided_by(cut, liver, tree, tumor, dissected_mm)
        stays &= ~removed_by(cut, stays, grid)
    clamps, vain = _clamps(tree, clamped, clamps_mm)
    stops = clamps if made is None else made.stops + clamps
    lost = _lost(tree, stops, stays, grid, progress)
    array = np.zeros(liver.array.shape, np.uint8)
    array[block] = lost
    count, whole = int(np.count_nonzero(lost)), int(np.count_nonzero(stays))
    of = "the liver" if cut is None else "what stays of the liver"
    crossings = () if made is None else made.crossings
    numbers = [
        Number("volume", count * grid.voxel_ml, "mL", SOURCE),
        Number("fraction", 100.0 * count / max(whole, 1), "%", f"share of {of}"),
        Number(
            "branches_lost",
            float(len(crossings) + len(clamps)),
            "",
            "crossings of the cut, and clamps",
        ),
    ]
    findings = [*_findings(tree, crossings), *vain]
    if clamps:
        told = f"; {numbers[0].value:.0f} mL ({numbers[1].value:.0f} %) {LOSSES[effect]}"
        findings.append(_clamped(tree, clamps, told if cut is None else ""))
    if cut is not None and made is not None:
        findings += _main_losses(tree, (*crossings, *made.entered), lost, grid, effect)
        if made.freed.any():
            strict = divided_by(cut, liver, tree, tumor, 0.0).stops + clamps
            most = int(np.count_nonzero(_lost(tree, strict, stays, grid, progress)))
            numbers += _freed_numbers(made, most * grid.voxel_ml)
            findings += _freed(tree, made, clamps, liver.volume_ml(), effect)
        findings += _walls(tree, cut, in_organ(liver, tree), crossings)
    label = Label(effect, COLOURS[effect])
    return LabelMap(array, liver.geometry, {1: label}, tuple(findings), tuple(numbers))


def _require_frame(
    liver: LabelMap, tree: Centerline, cut: Cut | None, tumor: LabelMap | None
) -> None:
    frames = {tree.frame_uid} | {v.frame_uid for v in (cut,) if v is not None}
    frames |= {v.geometry.frame_uid for v in (tumor,) if v is not None}
    if frames != {liver.geometry.frame_uid}:
        raise FrameMismatch(
            "liver, tree, cut and tumour live in different frames; register one first"
        )


def _lost(
    tree: Centerline, stops: list[int], stays: Bools, grid: ImageGeometry, progress: Progress
) -> Bools:
    """Return which of the voxels that stay are nearest to branches behind the stops."""
    if not stops or not stays.any():
        return np.zeros_like(stays)
    return nearest_is_lost(stays, grid, tree.points_mm, behind(tree, stops), progress)


def _freed_numbers(made: Division, if_divided_ml: float) -> list[Number]:
    stretches = made.stems.stretches(made.freed)
    length = sum(one.length_mm for one in stretches)
    numbers = [
        Number("volume_if_divided", if_divided_ml, "mL", f"were no stem freed; {SOURCE}"),
        Number("dissected", length, "mm", "length of the stems in the specimen that are freed"),
    ]
    nearest = min(one.to_tumor_mm for one in stretches)
    if np.isfinite(nearest):
        source = "from the tumour's surface to the wall of a stem that is freed (largest sphere)"
        numbers.append(Number("dissected_to_tumor", nearest, "mm", source))
    return numbers


def _freed(
    tree: Centerline, made: Division, clamps: list[int], organ_ml: float, effect: str
) -> list[Finding]:
    """Return which stems are freed, what stays for it and how near the tumour is, most first."""
    reached = ~behind(tree, made.stops + clamps) & ~made.removed
    shares = np.where(reached, made.stems.shares, 0.0)
    told = []
    for one in made.stems.stretches(made.freed):
        if one.length_mm < TOLD_MM:
            continue
        kept_ml = organ_ml * float(shares[behind(tree, [one.first])].sum())
        told.append((kept_ml, one))
    found = []
    for kept_ml, one in sorted(told, key=lambda pair: -pair[0])[:MAIN]:
        place = as_point(tree.points_mm[one.first])
        called = _called(tree, replace(_crossing(tree, one.first), diameter_mm=one.diameter_mm))
        word = SUPPLIED.get(effect, "reached")
        text = (
            f"{called[:1].upper()}{called[1:]} lies in the specimen and counts as freed of it "
            f"over {one.length_mm:.0f} mm in all: about {kept_ml:.0f} mL of what stays are {word} "
            "by it."
        )
        near = one.to_tumor_mm < NEAR_MM
        if near:
            text += (
                f" Its wall lies {one.to_tumor_mm:.1f} mm from the tumour: no more is free there."
            )
        severity = Severity.WARNING if near else Severity.INFO
        found.append(Finding(severity, "stem_freed", text, place, FREED))
    return found


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
    if not one.name and tree.branches[one.branch].from_node not in {
        branch.to_node for branch in tree.branches
    }:
        return f"the trunk ({one.diameter_mm:.1f} mm wide)"
    if not one.name:
        beyond = behind(tree, [tree.branches[one.branch].start])
        there = (n for n, b in enumerate(tree.branches) if beyond[b.start])
        names = sorted({name_of(tree, n) for n in there} - {""})
    listed = ", ".join(name.replace("_", " ") for name in names)
    kind = "the branch" if one.name else "the stem of"
    called = f"{kind} {listed}" if listed else "an unnamed branch"
    return f"{called} ({one.diameter_mm:.1f} mm wide)"


def _clamps(
    tree: Centerline, names: tuple[BranchName, ...], points_mm: Points
) -> tuple[list[int], list[Finding]]:
    """Return the points of the tree at which it is clamped, and what was asked for in vain."""
    stops: set[int] = set()
    found = []
    codes = tree.point_data.get("territory", np.zeros(len(tree.points_mm)))
    called = [codes[b.points].max(initial=0) for b in tree.branches]
    for name in names:
        own = [b.start for b, code in zip(tree.branches, called) if code == VALUES.get(name)]
        stops |= set(own)
        if not own:
            text = f"No branch is called {name.replace('_', ' ')}, so none is clamped by that name."
            found.append(Finding(Severity.WARNING, "clamp_unknown", text, remedy=NAMED))
    for point in points_mm if tree.branches else ():
        away = np.linalg.norm(tree.points_mm - point, axis=1)
        stops.add(int(np.argmin(away)))
        if away.min() > OFF_MM:
            text = f"A clamp lies {away.min():.0f} mm from the nearest branch, which it clamps."
            found.append(Finding(Severity.WARNING, "clamp_off_branch", text, as_point(point)))
    reach = {stop: behind(tree, [stop]) for stop in stops}  # behind a clamp no other counts
    first = [a for a in stops if not any(reach[b][a] for b in stops if b != a)]
    return sorted(first or stops), found


def _clamped(tree: Centerline, clamps: list[int], told: str) -> Finding:
    """Return what is clamped, the widest first, and what is ``told`` of it."""
    widest = sorted(clamps, key=lambda point: -tree.radius_mm[point])
    listed = ", ".join(_called(tree, _crossing(tree, point)) for point in widest[:LISTED])
    more = f" and {len(clamps) - LISTED} more" if len(clamps) > LISTED else ""
    place = as_point(tree.points_mm[widest[0]])
    return Finding(Severity.INFO, "clamped", f"Clamped: {listed}{more}{told}.", place)


def _crossing(tree: Centerline, point: int) -> Crossing:
    """Return what stands for a point of the tree where a branch is named."""
    number = next(n for n, b in enumerate(tree.branches) if b.start <= point < b.stop)
    wide = 2 * float(tree.radius_mm[point])
    return Crossing(number, point, as_point(tree.points_mm[point]), wide, name_of(tree, number))


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
