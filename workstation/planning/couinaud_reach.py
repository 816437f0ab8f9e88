"""Which segments a portal tree tells apart, and what is named by its sector or lobe instead.

What lies nearest to a branch is only a segment's territory where the other segments beside it
have branches too. Where a tree ends before its sectors divide, the sector, the lobe or the whole
liver is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, Severity
from workstation.planning.branch_volumes import Family
from workstation.planning.couinaud_names import AREAS, TERRITORIES, VALUES

Codes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

SECTORS = {
    "left": "left_lobe",
    "anterior": "right_anterior_sector",
    "posterior": "right_posterior_sector",
}
LOBES = ("right_lobe", "left_lobe")
SECTORS_IN = {
    "right_lobe": ("right_anterior_sector", "right_posterior_sector"),
    "left_lobe": ("left_lateral_sector", "IV"),
}
LIES_LEFT = 0.52  # of the liver's width: its middle lay at 0.39 to 0.40 in three livers
LARGE = 0.1  # share of the liver from which on a lobe without branches is not overlooked


def told_apart(
    about: Family, sectors: Sequence[str], codes: Codes, given: Bools, left_share: float
) -> tuple[Codes, tuple[Finding, ...]]:
    """Return the values of branches, by sector or lobe where segments are not told apart.

    Args:
        about: the tree and what lies nearest to its branches.
        sectors: left, anterior or posterior for each branch, "" where it leads to several.
        codes: the value of each branch, 0 where it leads to several segments.
        given: whether a person named the branch; such names stay.
        left_share: share of the liver that lies to the left of its middle vein.
    """
    own = [
        segments_of([code]) or set(AREAS.get(SECTORS.get(sector, ""), ()))
        for code, sector in zip(codes.tolist(), sectors)
    ]
    behind = [set().union(*(own[m] for m in about.below(n))) for n in range(len(own))]
    found = segments_of(codes)
    codes, findings = codes.copy(), []
    for area in undivided(found, found.union(*own), left_share):
        inside = [bool(b) and b.issubset(AREAS[area]) for b in behind]
        codes[inside & ~given] = VALUES[area]
        if VALUES[area] in codes:
            findings.append(_undivided(area, [n for n in AREAS[area] if n not in found]))
    return codes, tuple(findings)


def side_of(about: Family) -> tuple[Finding, ...]:
    """Return a finding where the bulk of the liver lies on the patient's left.

    Then right and left may be mirrored, in the patient or in the image, or the right liver was
    removed before.
    """
    x = about.samples_mm[:, 0]
    low, high = np.percentile(x, (1, 99))
    if x.mean() <= low + LIES_LEFT * (high - low):
        return ()
    sentence = (
        "more of the liver lies towards the patient's left than towards the right; where the "
        "patient or the image is mirrored, or the right liver was removed, the names are wrong"
    )
    remedy = "check the side of the patient; name the branches by clicks"
    return (Finding(Severity.WARNING, "liver_on_the_left", sentence, remedy=remedy),)


def segments_of(codes: Codes | Sequence[int]) -> set[str]:
    """Return the segments to which branches with these values lead, by name."""
    names = {TERRITORIES[v].name for v in np.unique(codes).tolist() if v in TERRITORIES}
    return {segment for name in names for segment in AREAS.get(name, (name,))}


def undivided(found: set[str], reached: set[str], left_share: float) -> tuple[str, ...]:
    """Return the largest areas whose segments are not told apart by branches to those found.

    Args:
        found: segments that have branches.
        reached: segments of all sectors and lobes that have branches.
        left_share: share of the liver that lies to the left of its middle vein.
    """
    shares = {"left_lobe": left_share, "right_lobe": 1.0 - left_share}
    if any(reached.isdisjoint(AREAS[lobe]) and shares[lobe] >= LARGE for lobe in LOBES):
        return ("whole_liver",)
    areas: list[str] = []
    for lobe in LOBES:
        if reached.isdisjoint(AREAS[lobe]):
            continue
        parts = [AREAS.get(part, (part,)) for part in SECTORS_IN[lobe]]
        known = found if lobe == "left_lobe" else reached
        if any(known.isdisjoint(part) for part in parts):
            areas.append(lobe)
            continue
        areas += [n for n, p in zip(SECTORS_IN[lobe], parts) if not found.issuperset(p)]
    return tuple(areas)


def _undivided(area: str, missing: Sequence[str]) -> Finding:
    called = area.replace("_", " ")
    listed = ", ".join(missing[:-1]) + " or " * (len(missing) > 1) + missing[-1]
    return Finding(
        Severity.WARNING,
        "segments_not_told_apart",
        f"no branch to {listed} was found, so the {called} is not divided into segments",
        remedy="draw the portal vein further, or click on its branches and name them",
    )
