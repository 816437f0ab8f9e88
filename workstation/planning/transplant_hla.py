"""Antigens and alleles of a donor that a recipient lacks, with every doubt in the typings."""

from __future__ import annotations

from dataclasses import dataclass

from workstation.clinical import ClinicalValue
from workstation.planning.transplant_person import Known, Person
from workstation.planning.transplant_rows import Row, Verdict
from workstation.planning.transplant_serology import SOURCE, related
from workstation.planning.transplant_site import Use, made, unknown
from workstation.planning.transplant_typing import Copy, LocusTyping, Product

LOCI = {
    "A": "hla.a",
    "B": "hla.b",
    "C": "hla.c",
    "DRB1": "hla.dr",
    "DQB1": "hla.dq",
    "DQA1": "hla.dqa",
    "DPB1": "hla.dp",
}
"""Locus to the name of its row."""

TOTAL = ("A", "B", "DRB1")
BY_ALLELE = ("DQA1", "DPB1")
"""Loci that have no antigens in common use: their products are told apart by two fields."""

RULE = f"antigens of the donor that the recipient lacks, 0 to 2; {SOURCE}"
ALLELE_RULE = "two-field alleles of the donor that the recipient lacks, 0 to 2"


@dataclass(frozen=True)
class Mismatch:
    """How many products of the donor are foreign: at least ``low``, at most ``high``."""

    low: int
    high: int


def mismatch(donor: LocusTyping, recipient: LocusTyping) -> Mismatch:
    """Return how many of the donor's products at a locus the recipient lacks.

    A homozygous donor has one product. A copy that is not named may be anything.
    """
    by_allele = donor.locus in BY_ALLELE
    distinct = _distinct(donor.copies, by_allele)
    answers = [_held(copy, recipient.copies, by_allele) for copy in distinct]
    sure = sum(answer == "no" for answer in answers)
    possible = sum(answer != "yes" for answer in answers)
    if len(distinct) == 2 and _match(distinct[0], distinct[1], by_allele) == "perhaps":
        sure = min(sure, 1) if answers.count("no") == 2 else sure
    missing = 2 - len(recipient.copies) if not recipient.complete else 0
    low = max(0, sure - missing)
    high = possible + (0 if donor.complete else 1)
    return Mismatch(low, min(high, 2))


def _distinct(copies: tuple[Copy, ...], by_allele: bool) -> list[Copy]:
    whole = [c for c in copies if not all(p.silent for p in c)]
    if len(whole) == 2 and _match(whole[0], whole[1], by_allele) == "yes":
        return whole[:1]
    return whole


def _held(copy: Copy, others: tuple[Copy, ...], by_allele: bool) -> str:
    answers = [_match(copy, other, by_allele) for other in others]
    if "yes" in answers:
        return "yes"
    return "perhaps" if "perhaps" in answers else "no"


def _match(one: Copy, other: Copy, by_allele: bool) -> str:
    answers = {_same(a, b, by_allele) for a in one for b in other}
    return answers.pop() if len(answers) == 1 else "perhaps"


def _same(one: Product, other: Product, by_allele: bool) -> str:
    if one.silent or other.silent:
        return "yes" if one.silent else "no"
    if one.allele and other.allele and (one.allele == other.allele):
        return "yes"
    if by_allele:
        if one.allele and other.allele:
            return "no"
        return "perhaps"
    if not one.antigen or not other.antigen:
        return "perhaps"
    return related(one.antigen, (other.antigen,))


def hla_rows(donor: Person, recipient: Person) -> list[Row]:
    """Return a row per locus, and one of A, B and DR together."""
    counted: dict[str, Mismatch] = {}
    rows = []
    for locus, name in LOCI.items():
        given, known = donor.typing().get(locus), recipient.typing().get(locus)
        if given is not None and known is not None:
            counted[locus] = mismatch(given, known)
            rows.append(_row(name, locus, counted[locus], donor, recipient))
            continue
        optional = locus in BY_ALLELE and given is None and known is None
        if not optional or donor.typing_doubt(locus) or recipient.typing_doubt(locus):
            rows.append(unknown(name, _uses(donor, recipient, locus), RULE))
    return [_total(counted, donor, recipient), *rows]


def _row(name: str, locus: str, found: Mismatch, donor: Person, recipient: Person) -> Row:
    rule = ALLELE_RULE if locus in BY_ALLELE else RULE
    uses = _uses(donor, recipient, locus)
    said = f"{donor.typing()[locus].text} to {recipient.typing()[locus].text}"
    if found.low != found.high:
        reason = f"{found.low} to {found.high} mismatches are possible: {said}."
        change = "a typing of both that names both copies and is not ambiguous"
        verdict: Verdict = "warn" if found.low else "unknown"
        value = f"{found.low} to {found.high}"
        return made(name, verdict, value, "mismatches", uses, rule, reason, change)
    sure: Verdict = "warn" if found.low else "pass"
    return made(name, sure, float(found.low), "mismatches", uses, rule, f"{said}.")


def _total(counted: dict[str, Mismatch], donor: Person, recipient: Person) -> Row:
    name, rule = "hla.total", "mismatches at A, B and DR together, 0 to 6"
    missing = [locus for locus in TOTAL if locus not in counted]
    uses = [use for locus in TOTAL for use in _uses(donor, recipient, locus)]
    if missing:
        return unknown(name, uses, rule, "mismatches", f"not typed on both: {', '.join(missing)}")
    low = sum(counted[locus].low for locus in TOTAL)
    high = sum(counted[locus].high for locus in TOTAL)
    words = " + ".join(f"{counted[locus].low}" for locus in TOTAL)
    if low != high:
        reason = f"{low} to {high} are possible, because typings are ambiguous or incomplete."
        change = "an unambiguous typing of both at A, B and DR"
        verdict: Verdict = "warn" if low else "unknown"
        return made(
            name, verdict, f"{low} to {high}", "mismatches", uses, rule, reason, change
        )  # fmt: skip
    sure: Verdict = "warn" if low else "pass"
    return made(name, sure, float(low), "mismatches", uses, rule, f"A + B + DR: {words}.")


def _uses(donor: Person, recipient: Person, locus: str) -> list[Use]:
    return [(person, typed(person, locus)) for person in (donor, recipient)]


def typed(person: Person, locus: str) -> Known:
    """Return what a row shows of a person's typing at a locus."""
    typing, doubt = person.typing().get(locus), person.typing_doubt(locus)
    source, when = person.typing_source()
    if typing is None:
        return Known(None, doubt or f"the {person.role} is not typed at {locus}")
    resource = source.removeprefix(f"{person.role}: ").removesuffix(" record")
    value = ClinicalValue(
        "hla", None, "", typing.text, "", "", "", locus, date=when, resource=resource
    )
    return Known(value)
