"""Serological HLA antigens: reading them, splits and broad antigens, mismatches."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hemodynamics.score import Score
from segmentation.contract import Finding, Severity

LOCI = {name: name for name in ("A", "B", "C", "BW", "DR", "DQ", "DQA", "DP", "DPA")} | {
    "CW": "C",
    "DRW": "DR",
    "DQW": "DQ",
    "DPW": "DP",
}
"""What an antigen begins with to its locus; Bw4 and Bw6 are epitopes beside the B antigens."""

SECOND_DR = ("DR51", "DR52", "DR53")
"""Antigens of the loci DRB5, DRB3 and DRB4, which are written like those of DRB1."""

SPLITS = {
    "A9": "A23 A24",
    "A10": "A25 A26 A34 A66",
    "A19": "A29 A30 A31 A32 A33 A74",
    "A28": "A68 A69",
    "B5": "B51 B52",
    "B12": "B44 B45",
    "B14": "B64 B65",
    "B15": "B62 B63 B75 B76 B77",
    "B16": "B38 B39",
    "B17": "B57 B58",
    "B21": "B49 B50",
    "B22": "B54 B55 B56",
    "B40": "B60 B61",
    "B70": "B71 B72",
    "C3": "C9 C10",
    "DR2": "DR15 DR16",
    "DR3": "DR17 DR18",
    "DR5": "DR11 DR12",
    "DR6": "DR13 DR14",
    "DQ1": "DQ5 DQ6",
    "DQ3": "DQ7 DQ8 DQ9",
}
"""Broad antigens and their splits (Marsh, Nomenclature for factors of the HLA system, 2010,
doi:10.1111/j.1399-0039.2010.01466.x)."""

BROAD = {split: broad for broad, splits in SPLITS.items() for split in splits.split()}
COUNTED = ("A", "B", "DR")


class UnreadableTyping(ValueError):
    """A typing names something that is no antigen."""


def antigens(text: str) -> dict[str, tuple[str, ...]]:
    """Return locus to antigens, from text such as ``A1,A2,B5,B7,DR1,DR4``.

    A homozygous locus names its antigen once or twice; the antigen stands once in the result.

    Raises:
        UnreadableTyping: for a word that is no antigen, or three antigens of one locus.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in re.split(r"[,;\s]+", text.strip()):
        match = re.fullmatch(r"(?:HLA-)?([A-Z]+)(\d{1,4})", word.upper())
        if match is None or match[1] not in LOCI:
            raise UnreadableTyping(f"{word!r} is no HLA antigen; write them as A1,A2,B5,B7,DR1,DR4")
        antigen = f"{LOCI[match[1]]}{int(match[2])}"
        locus = "DR345" if antigen in SECOND_DR else LOCI[match[1]]
        if antigen not in found.get(locus, ()):
            found[locus] = (*found.get(locus, ()), antigen)
        if len(found[locus]) > 2:
            raise UnreadableTyping(f"three antigens of one locus: {', '.join(found[locus])}")
    return found


def shares(antigen: str, others: Iterable[str]) -> str:
    """Tell whether ``antigen`` is among ``others``: "yes", "perhaps" (broad or split), "no"."""
    others = set(others)
    if antigen in others:
        return "yes"
    related = {BROAD.get(antigen)} | {split for split, broad in BROAD.items() if broad == antigen}
    return "perhaps" if related & others else "no"


def hla_mismatch(*, donor: str, recipient: str) -> Score:
    """Antigens of the donor that the recipient lacks, on the loci A, B and DR.

    A homozygous donor adds one at most. Where one of the two is typed by the broad antigen and
    the other by its split, they count as equal and the upper bound tells how many may differ.
    A locus that either lacks is unknown, and then there is no number.

    Args:
        donor: antigens of the donor, such as A1,A2,B5,B7,DR1,DR4.
        recipient: antigens of the recipient.
    """
    given, known = antigens(donor), antigens(recipient)
    unknown = [locus for locus in COUNTED if locus not in given or locus not in known]
    certain = {
        locus: sum(shares(a, known[locus]) == "no" for a in given[locus])
        for locus in COUNTED
        if locus not in unknown
    }
    unsure = [
        antigen
        for locus in certain
        for antigen in given[locus]
        if shares(antigen, known[locus]) == "perhaps"
    ]
    findings = []
    if unsure:
        text = f"typed broad on one side and split on the other: {', '.join(unsure)}"
        findings.append(Finding(Severity.WARNING, "broad_or_split", text))
    if unknown:
        text = f"not typed on both sides: {', '.join(unknown)}"
        findings.append(Finding(Severity.WARNING, "untyped_locus", text))
        return Score(None, "unknown", details={"by_locus": certain}, findings=tuple(findings))
    total = sum(certain.values())
    words = ", ".join(f"{count} {locus}" for locus, count in certain.items())
    return Score(
        float(total),
        f"{total} ({words})",
        float(total),
        float(total + len(unsure)),
        {"by_locus": certain},
        tuple(findings),
    )
