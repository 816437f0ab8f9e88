"""Eplets of a donor that a recipient lacks, from a registry's table that a laboratory loads.

Those of A, B and C are compared with the recipient's A, B and C together, those of the DRB genes
with all DRB genes, and each other locus with itself (Duquesnoy and Askar 2007,
doi:10.1016/j.humimm.2006.10.003). They are counts; no limit is set on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workstation.planning.crossmatch import newest_antibodies, says_none
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_hla import LOCI, typed
from workstation.planning.transplant_person import Person, PersonRecord
from workstation.planning.transplant_rows import Row
from workstation.planning.transplant_site import Site, Use, made, unknown
from workstation.planning.transplant_typing import Copy, read_target

CLASS_I = ("A", "B", "C")
SECOND = ("DRB3", "DRB4", "DRB5")
DRB = ("DRB1", *SECOND)
COUNTED = (*LOCI, *SECOND, "DPA1")
RULE = "eplets of the donor's alleles that none of the recipient's carries; loaded table"
DSA_RULE = "antibodies whose allele carries an eplet that the donor has and the recipient lacks"
NAMED = 12
"""Eplets that a row lists by name."""

Eplets = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Foreign:
    """Foreign eplets of a locus: those that are sure, those that may be, and why not more."""

    sure: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    doubt: str = ""


def eplet_rows(
    donor: Person, recipient: Person, table: PersonRecord | None, site: Site
) -> list[Row]:
    """Return a row per locus, their sum and the antibodies on them; none without a table."""
    if table is None:
        return []
    eplets = table.tables.eplets
    rows: list[Row] = []
    every: dict[str, Foreign] = {}
    for locus in COUNTED:
        if locus not in donor.typing():
            continue
        every[locus] = foreign(donor, recipient, locus, eplets)
        name = f"eplets.{locus.lower()}"
        rows.append(_row(name, every[locus], [_use(donor, locus), _use(recipient, locus)]))
    uses = [_use(person, locus) for locus in every for person in (donor, recipient)]
    if not every:
        return [unknown("eplets.total", [_use(donor, "A")], RULE, "eplets")]
    doubts = [f"{locus}: {found.doubt}" for locus, found in every.items() if found.doubt]
    whole = Foreign(
        frozenset().union(*(found.sure for found in every.values())),
        frozenset().union(*(found.possible for found in every.values())),
        "; ".join(doubts),
    )
    return [
        _row("eplets.total", whole, uses),
        *rows,
        _antibodies(recipient, whole, eplets, site, uses),
    ]


def foreign(donor: Person, recipient: Person, locus: str, eplets: Eplets) -> Foreign:
    """Return the donor's eplets at ``locus`` that the recipient lacks."""
    given = donor.typing()[locus]
    sure, possible, missing = _carried(given.copies, eplets)
    doubts = [f"of the donor, {missing}"] if missing else []
    if not given.complete and locus not in SECOND:
        doubts.append("only one copy of the donor is typed")
    family = next((loci for loci in (CLASS_I, DRB) if locus in loci), (locus,))
    known = [recipient.typing()[at] for at in family if at in recipient.typing()]
    own, own_possible, lacking = _carried([c for t in known for c in t.copies], eplets)
    untyped = [at for at in family if at not in SECOND and not _whole(recipient, at)]
    if lacking:
        doubts.append(f"of the recipient, {lacking}")
    if untyped:
        doubts.append(f"the recipient is not wholly typed at {', '.join(untyped)}")
    hidden = family == DRB and not any(at in recipient.typing() for at in SECOND)
    certain = sure - own_possible if not (lacking or untyped or hidden) else frozenset()
    return Foreign(certain, possible - own, "; ".join(doubts))


def _whole(person: Person, locus: str) -> bool:
    typing = person.typing().get(locus)
    return typing is not None and typing.complete


def _carried(copies: Iterable[Copy], eplets: Eplets) -> tuple[frozenset[str], frozenset[str], str]:
    """Return the eplets that copies surely carry, those that they may, and what is not known."""
    sure: set[str] = set()
    possible: set[str] = set()
    missing: list[str] = []
    for copy in copies:
        options = [eplets.get(p.allele, ()) for p in copy if not p.silent]
        missing += [
            f"{p.allele} is not in the table"
            if p.allele
            else f"{p.antigen or p.locus} has no allele"
            for p in copy
            if not p.silent and p.allele not in eplets
        ]
        sets = [set(option) for option in options]
        sure |= set.intersection(*sets) if sets else set()
        possible |= set().union(*sets)
    return frozenset(sure), frozenset(possible), ", ".join(sorted(set(missing)))


def _row(name: str, found: Foreign, uses: list[Use]) -> Row:
    listed = _listed(found.possible)
    if found.doubt:
        also = f"{found.doubt}; of those in the table may be foreign: {listed}"
        return unknown(name, uses, RULE, "eplets", also)
    if found.sure != found.possible:
        value = f"{len(found.sure)} to {len(found.possible)}"
        change = "typings that are not ambiguous, of DRB3, DRB4 and DRB5 too"
        reason = f"Foreign, or possibly so: {listed}."
        return made(name, "unknown", value, "eplets", uses, RULE, reason, change)
    reason = f"Foreign: {listed}. It is a count; no limit is set."
    return made(name, "pass", float(len(found.sure)), "eplets", uses, RULE, reason)


def _antibodies(
    recipient: Person, found: Foreign, eplets: Eplets, site: Site, uses: list[Use]
) -> Row:
    """Return the row of antibodies whose own allele carries a foreign eplet of the donor."""
    name, listed = "eplets.antibodies", recipient.lists("antibody")
    if not listed:
        return unknown(name, uses, DSA_RULE, "", "the recipient's record has no antibody test")
    uses = [*uses, (recipient, recipient.aged("antibody", listed[-1]))]
    hits, untold = [], []
    for value in newest_antibodies(listed):
        if says_none(value):
            continue
        if site.mfi_warn is not None and value.value is not None and value.value < site.mfi_warn:
            continue
        try:
            allele = read_target(value.text).allele
        except UnreadableTyping:
            allele = ""
        if allele not in eplets:
            untold.append(value.text)
            continue
        shared = frozenset(eplets[allele]) & found.possible
        if shared:
            hits.append(f"{value.text} carries {_listed(shared)}")
    if hits:
        reason = f"{'; '.join(hits)}."
        return made(name, "warn", float(len(hits)), "antibodies", uses, DSA_RULE, reason)
    if untold or found.doubt:
        also = f"no two-field allele in the table: {', '.join(untold)}" if untold else found.doubt
        return unknown(name, uses, DSA_RULE, "antibodies", also)
    reason = "No antibody is against an allele with a foreign eplet of the donor."
    return made(name, "pass", 0.0, "antibodies", uses, DSA_RULE, reason)


def _listed(names: frozenset[str]) -> str:
    words = sorted(names)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"{', '.join(words[:NAMED]) or 'none'}{more}"


def _use(person: Person, locus: str) -> Use:
    return person, typed(person, locus)
