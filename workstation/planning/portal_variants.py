"""Variants of how the portal vein divides, read from its named tree.

Types after Atri et al., AJR 1992;159:1019: trifurcation, right posterior branch first, right
anterior branch from the left. Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from collections.abc import Sequence

from segmentation.contract import Finding, Severity
from workstation.planning.branch_volumes import Family

SEEN = 0.03  # share of the liver below which a sector is not seen


def portal_variants(about: Family, sectors: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding where the main branches do not divide as usual, with what was measured."""
    tops = {}
    for sector in ("left", "anterior", "posterior"):
        stems = [
            n
            for n, name in enumerate(sectors)
            if name == sector and (about.parent(n) < 0 or sectors[about.parent(n)] != sector)
        ]
        if stems and about.share(best := max(stems, key=about.share)) >= SEEN:
            tops[sector] = best
    if "left" not in tops and tops:
        return (_note("portal_left_absent", "no left portal branch was found"),)
    if len(tops) < 3:
        return ()
    return _forks(about, tops["left"], tops["anterior"], tops["posterior"])


def _forks(about: Family, left: int, anterior: int, posterior: int) -> tuple[Finding, ...]:
    """Compare where the three branches part from one another."""
    right = _shared(about, anterior, posterior)
    first = min((right, _shared(about, left, anterior), _shared(about, left, posterior)), key=len)
    last = max((right, _shared(about, left, anterior), _shared(about, left, posterior)), key=len)
    tree = about.tree
    between = sum(tree.length_mm(tree.branches[n]) for n in last if n not in first)
    if not first:
        return ()
    trunk_mm = 2.0 * float(tree.radius_mm[tree.branches[first[0]].points].max())
    place = f"measured {between:.0f} mm between the forks, trunk {trunk_mm:.0f} mm wide"
    at = about.tree.nodes[tree.branches[first[0]].to_node].point_mm
    if between < trunk_mm / 2:
        return (
            _note("portal_trifurcation", f"the portal vein divides in three at once ({place})", at),
        )
    if last == right:
        return ()
    alone = "posterior" if last == _shared(about, left, anterior) else "anterior"
    other = {"posterior": "anterior", "anterior": "posterior"}[alone]
    sentence = (
        f"the right {alone} portal branch leaves first; the right {other} and the left branch "
        f"share a stem ({place})"
    )
    return (_note(f"portal_{alone}_first", sentence, at),)


def _shared(about: Family, a: int, b: int) -> list[int]:
    """Return the stems that lead to both branches, the last first."""
    other = set(about.up(b)[1:])
    return [n for n in about.up(a)[1:] if n in other]


def _note(code: str, sentence: str, at: tuple[float, float, float] | None = None) -> Finding:
    remedy = "check the division of the portal vein; a name can be corrected by a click"
    return Finding(Severity.WARNING, code, sentence, at, remedy)
