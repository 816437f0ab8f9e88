"""What every branch of a named tree of veins is called, its stems too, and its colour.

A stem that leads to several segments is called after them: main, left, right, right anterior or
right posterior. Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import numpy as np

from meshing.centerline import Centerline
from segmentation.volume import Label
from workstation.planning.couinaud_names import AREAS, TERRITORIES

STEMS: dict[str, Label] = {
    "main": Label("main", (0x4F, 0x8F, 0xD9)),
    "left": Label("left", (0xA8, 0xD5, 0xBA)),
    "right": Label("right", (0xD9, 0xE3, 0xF0)),
    "right_anterior": Label("right_anterior", (0xF4, 0xA2, 0xC0)),
    "right_posterior": Label("right_posterior", (0xC9, 0xB5, 0x8B)),
    "common_trunk": Label("common_trunk", (0x3B, 0x4B, 0xA8)),
}
"""Stems by name; they supply several segments or drain into several veins."""

LEADS_TO = {
    "right_anterior": {"V", "VIII"},
    "right_posterior": {"VI", "VII"},
    "right": {"V", "VI", "VII", "VIII"},
    "left": {"I", "II", "III", "IV"},
    "main": {"I", "II", "III", "IV", "V", "VI", "VII", "VIII"},
}
SMALL = 0.1  # share of the length behind a stem below which a name there says nothing about it


def colour_of(name: str) -> tuple[int, int, int]:
    """Return the colour, sRGB 0 to 255, of a branch of that name."""
    known = {label.name: label for label in (*TERRITORIES.values(), *STEMS.values())}
    return known[name].colour if name in known else (0x93, 0xA1, 0xAF)


def following(tree: Centerline, branch: int) -> list[int]:
    """Return ``branch`` and all that follow it."""
    starts: dict[int, list[int]] = {}
    for number, one in enumerate(tree.branches):
        starts.setdefault(one.from_node, []).append(number)
    found = [branch]
    for number in found:
        found += starts.get(tree.branches[number].to_node, ())
    return found


def branch_before(tree: Centerline, branch: int) -> int:
    """Return the branch from whose end ``branch`` leaves, -1 at the root."""
    node = tree.branches[branch].from_node
    return next((n for n, b in enumerate(tree.branches) if b.to_node == node), -1)


def branch_names(tree: Centerline) -> tuple[str, ...]:
    """Return the name of each branch of a named tree, "" where it has none."""
    codes = tree.point_data.get("territory")
    if codes is None:
        return ("",) * len(tree.branches)
    given = [int(codes[branch.points].max()) for branch in tree.branches]
    names = [TERRITORIES[code].name if code in TERRITORIES else "" for code in given]
    lengths = [tree.length_mm(branch) for branch in tree.branches]
    return tuple(name or _stem(tree, n, names, lengths) for n, name in enumerate(names))


def _stem(tree: Centerline, branch: int, names: list[str], lengths: list[float]) -> str:
    """Return what a branch without a name of its own is called after what follows it."""
    behind: dict[str, float] = {}
    for number in following(tree, branch):
        if names[number]:
            behind[names[number]] = behind.get(names[number], 0.0) + lengths[number]
    most = {n for n, length in behind.items() if length >= SMALL * sum(behind.values())}
    if not most:
        return ""
    most = {segment for name in most for segment in AREAS.get(name, (name,))}
    if not most <= LEADS_TO["main"]:
        return next(iter(most)) if len(most) == 1 else "common_trunk"
    return next(stem for stem, segments in LEADS_TO.items() if most <= segments)


def inner_point(tree: Centerline, branch: int) -> tuple[float, float, float]:
    """Return the point in the middle of a branch, LPS mm: no other branch is as near to it."""
    one = tree.branches[branch]
    x, y, z = (float(v) for v in tree.points_mm[(one.start + one.stop) // 2])
    return (x, y, z)


def first_own_point(tree: Centerline, branch: int) -> tuple[float, float, float]:
    """Return the first point of a branch, LPS mm, that no fork shares."""
    one = tree.branches[branch]
    x, y, z = (float(v) for v in tree.points_mm[min(one.start + 1, one.stop - 1)])
    return (x, y, z)


def width_mm(tree: Centerline, branch: int) -> float:
    """Return the mean diameter in mm of the middle half of a branch."""
    one = tree.branches[branch]
    quarter = (one.stop - one.start) // 4
    return 2.0 * float(np.mean(tree.radius_mm[one.start + quarter : one.stop - quarter]))
