"""How many donors are out of reach of a recipient: cPRA from frequencies by population group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from workstation.planning.transplant_tables import Group
from workstation.planning.transplant_typing import Product, copy_carries, read_typing

WHOLE = ""
"""In the place of a locus: a haplotype that names several."""


@dataclass(frozen=True)
class Share:
    """A share of donors: at least ``low``, at most ``high``, each 0 to 1.

    They differ where the table does not list all haplotypes, or does not tell of one whether it
    carries what is unacceptable.
    """

    low: float
    high: float


def out_of_reach(group: Group, targets: Sequence[Product]) -> Share:
    """Return the share of a group's donors who carry one of ``targets``.

    That is 1 - (1 - sum p)^2 over the haplotypes that carry one (Zachary and Braun 1985,
    Transplantation 39:316). Of frequencies of antigens it is 1 - product over the loci of
    (1 - sum p)^2, which takes the loci as independent.
    """
    sure: dict[str, float] = defaultdict(float)
    unsure: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    known: dict[str, tuple[str, str]] = {}
    for haplotype, frequency in group.haplotypes:
        words = haplotype.split("~")
        for word in words:
            if word not in known:
                known[word] = _word(word, targets)
        told = [known[word] for word in words]
        locus = told[0][0] if len(words) == 1 else WHOLE
        found = _answer(told, targets, whole=locus == WHOLE)
        total[locus] += frequency
        sure[locus] += frequency if found == "yes" else 0.0
        unsure[locus] += frequency if found == "perhaps" else 0.0
    if WHOLE not in total:  # a locus of which the table has no antigen may carry any
        total |= {t.locus: 0.0 for t in targets if t.locus not in (*total, "BW")}
    free_at_least = free_at_most = 1.0
    for locus, listed in total.items():
        rest = max(0.0, 1.0 - listed) if any(_on(t, locus) for t in targets) else 0.0
        free_at_most *= max(0.0, 1.0 - sure[locus]) ** 2
        free_at_least *= max(0.0, 1.0 - sure[locus] - unsure[locus] - rest) ** 2
    return Share(1.0 - free_at_most, 1.0 - free_at_least)


def mixture(shares: Sequence[tuple[float, Share]]) -> Share:
    """Return the share among all donors from those of the groups, each with its weight."""
    whole = sum(weight for weight, _ in shares)
    low = sum(weight * share.low for weight, share in shares) / whole
    high = sum(weight * share.high for weight, share in shares) / whole
    return Share(low, high)


def _on(target: Product, locus: str) -> bool:
    """Tell whether what is on ``locus`` may carry ``target``."""
    return locus in (WHOLE, target.locus) or (target.locus == "BW" and locus in ("A", "B"))


def _answer(told: Sequence[tuple[str, str]], targets: Sequence[Product], whole: bool) -> str:
    """Tell whether a haplotype carries a target, from locus and answer of each of its words."""
    answers, loci = {answer for _, answer in told}, {locus for locus, _ in told}
    if "yes" in answers:
        return "yes"
    untold = whole and any(t.locus not in loci for t in targets if t.locus != "BW")
    return "perhaps" if "perhaps" in answers or untold else "no"


def _word(word: str, targets: Sequence[Product]) -> tuple[str, str]:
    """Return the locus of an antigen or allele, and whether it carries one of ``targets``."""
    (typing,) = read_typing(word).values()
    answers = {copy_carries(typing.copies[0], t) for t in targets if _on(t, typing.locus)}
    found = "yes" if "yes" in answers else "perhaps" if "perhaps" in answers else "no"
    return typing.locus, found
