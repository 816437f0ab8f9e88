"""Antibodies of a recipient against a donor: virtual crossmatch, antibodies, tests, cPRA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workstation.clinical import ClinicalValue
from workstation.planning.donor_scores import cpra
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_hla import typed
from workstation.planning.transplant_person import Known, Person
from workstation.planning.transplant_rows import SITE, Row, Verdict
from workstation.planning.transplant_site import Site, Use, made, unknown
from workstation.planning.transplant_typing import Product, copy_carries, read_target

NONE = ("none", "no", "negative")
"""Words by which a list says that it is empty; a list that is not there says nothing."""

VXM_RULE = "virtual crossmatch: an antigen of the donor on the recipient's unacceptable list"
DSA_RULE = (
    f"{SITE}: fluorescence (MFI) of antibodies against the donor; laboratories differ "
    "(PMID 29864460)"
)
CPRA_RULE = "cPRA = 1 - (1 - sum p)^2 over haplotypes (doi:10.1097/TP.0000000000001830)"
TESTS: Mapping[str, tuple[str, Verdict]] = {
    "crossmatch_cdc_t": ("CDC crossmatch, T cells", "block"),
    "crossmatch_cdc_b": ("CDC crossmatch, B cells", "warn"),
    "crossmatch_cdc": ("CDC crossmatch", "block"),
    "crossmatch_flow_t": ("flow crossmatch, T cells", "warn"),
    "crossmatch_flow_b": ("flow crossmatch, B cells", "warn"),
    "crossmatch_flow": ("flow crossmatch", "warn"),
}
"""Key of a crossmatch to its name and the verdict of a positive one."""


def against(donor: Person, target: Product) -> str:
    """Tell whether the donor carries ``target``: yes, perhaps (not typed, ambiguous), no."""
    if target.locus == "BW":
        copies = [c for locus in ("A", "B") for c in _copies(donor, locus)]
        complete = "B" in donor.typing() and donor.typing()["B"].complete
    else:
        copies = list(_copies(donor, target.locus))
        typing = donor.typing().get(target.locus)
        complete = typing is not None and typing.complete
        if target.locus in ("DRB3", "DRB4", "DRB5"):  # a chromosome may have none of them
            complete = typing is not None
    answers = [copy_carries(copy, target) for copy in copies]
    if "yes" in answers:
        return "yes"
    return "perhaps" if "perhaps" in answers or not complete else "no"


def _copies(donor: Person, locus: str) -> Iterable[frozenset[Product]]:
    typing = donor.typing().get(locus)
    return typing.copies if typing is not None else ()


def virtual_row(donor: Person, recipient: Person) -> Row:
    """Return the row of the virtual crossmatch by the list of unacceptable antigens."""
    name, listed = "virtual_crossmatch", recipient.lists("unacceptable_antigen")
    uses: list[Use] = [_donor_use(donor), _list_use(recipient, listed, "unacceptable_antigen")]
    if not listed:
        return unknown(name, uses, VXM_RULE, "", "an empty list must say so: none")
    hits, unsure, unread = _sorted(donor, [v for v in listed if not _says_none(v)])
    if hits:
        said = ", ".join(dict.fromkeys(v.text for v in hits))
        reason = f"The donor carries what the recipient must not be given: {said}."
        return made(name, "block", said, "", uses, VXM_RULE, reason, "another list or typing")
    if len(listed) > 1 and any(map(_says_none, listed)):
        return unknown(name, uses, VXM_RULE, "", "the list says none and names antigens")
    if unsure or unread:
        said = ", ".join(dict.fromkeys(v.text for v in [*unsure, *unread]))
        also = f"it cannot be told whether the donor carries {said}"
        return unknown(name, uses, VXM_RULE, "", also)
    if not donor.typing():
        return unknown(name, uses, VXM_RULE)
    return made(
        name, "pass", "negative", "", uses, VXM_RULE,
        f"None of {len(listed)} entries of the list is an antigen of the donor.",
    )  # fmt: skip


def dsa_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row of the strongest donor-specific antibody."""
    name, listed = "donor_specific_antibodies", recipient.lists("antibody")
    uses: list[Use] = [_donor_use(donor), _list_use(recipient, listed, "antibody")]
    if not listed:
        return unknown(name, uses, DSA_RULE, "MFI", "no antibody test; a negative one must say so")
    current = _newest(listed)
    hits, unsure, unread = _sorted(donor, [v for v in current if not _says_none(v)])
    lacks = [v for v in hits if v.value is None]
    strongest = max(
        (v for v in hits if v.value is not None), key=lambda v: v.value or 0, default=None
    )
    peak = strongest.value if strongest is not None else None
    if peak is not None and site.mfi_block is not None and peak >= site.mfi_block:
        assert strongest is not None
        reason = f"{strongest.text} at {peak:g}, the limit is {site.mfi_block:g}."
        return made(name, "block", peak, "MFI", uses, DSA_RULE, reason, "a weaker antibody")
    if unsure or unread or lacks:
        said = ", ".join(dict.fromkeys(v.text for v in [*unsure, *unread, *lacks]))
        also = f"it cannot be told whether, or how strongly, this is against the donor: {said}"
        return unknown(name, uses, DSA_RULE, "MFI", also)
    if not donor.typing():
        return unknown(name, uses, DSA_RULE, "MFI")
    if peak is None:
        reason = f"None of {len(current)} antibodies is against the donor."
        return made(name, "pass", 0.0, "MFI", uses, DSA_RULE, reason)
    assert strongest is not None
    total = sum(v.value or 0.0 for v in hits)
    words = f"{strongest.text} at {peak:g}; {len(hits)} against the donor, {total:g} in sum"
    if site.mfi_warn is None and site.mfi_block is None:
        also = f"the site has set no limit of MFI; {words}"
        return unknown(name, uses, DSA_RULE, "MFI", also)
    if site.mfi_warn is None or peak >= site.mfi_warn:
        return made(name, "warn", peak, "MFI", uses, DSA_RULE, f"{words}.")
    reason = f"{words}, under the limit of {site.mfi_warn:g}."
    return made(name, "pass", peak, "MFI", uses, DSA_RULE, reason)


def crossmatch_rows(recipient: Person) -> list[Row]:
    """Return a row per kind of crossmatch that was done, the newest result counting."""
    rows = []
    for key, (title, positive) in TESTS.items():
        every = recipient.lists(key)
        if not every:
            continue
        known = recipient.chosen(key)
        rule = f"{title} with cells of this donor; the newest counts"
        uses: list[Use] = [(recipient, known)]
        name = key.replace("_", ".", 1)
        if known.text == "positive":
            rows.append(
                made(
                    name,
                    positive,
                    "positive",
                    "",
                    uses,
                    rule,
                    f"{title} positive.",
                    "a negative crossmatch with a newer serum",
                )
            )
        elif known.text == "negative":
            earlier = any(v.text == "positive" for v in every)
            reason = f"{title} negative" + (", an earlier one was positive." if earlier else ".")
            rows.append(
                made(name, "warn" if earlier else "pass", "negative", "", uses, rule, reason)
            )
        else:
            rows.append(unknown(name, uses, rule))
    if rows:
        return rows
    missing = Known(None, "no crossmatch with this donor is in the record")
    return [unknown("crossmatch", [(recipient, missing)], "crossmatch with cells of this donor")]


def cpra_row(recipient: Person) -> Row | None:
    """Return the row that tells how many donors are out of reach, None where nobody says."""
    frequencies, given = recipient.chosen("haplotype_frequency_sum"), recipient.chosen("cpra")
    if frequencies.number is not None:
        share = cpra(haplotype_frequency_sum=frequencies.number).value
        assert share is not None
        value = round(100 * share, 4)
        return made("cpra", "pass", value, "%", [(recipient, frequencies)], CPRA_RULE, TOLD)
    if given.value is None:
        return None
    if given.number is None:
        return unknown("cpra", [(recipient, given)], CPRA_RULE, "%")
    rule = "cPRA as the laboratory gave it"
    return made("cpra", "pass", given.number, "%", [(recipient, given)], rule, TOLD)


TOLD = "It tells how many donors are out of reach, and nothing about this one."


def _sorted(
    donor: Person, values: Iterable[ClinicalValue]
) -> tuple[list[ClinicalValue], list[ClinicalValue], list[ClinicalValue]]:
    """Return the values that name what the donor carries, may carry, and those not understood."""
    hits, unsure, unread = [], [], []
    for value in values:
        try:
            found = against(donor, read_target(value.text))
        except UnreadableTyping:
            unread.append(value)
            continue
        if found == "yes":
            hits.append(value)
        elif found == "perhaps":
            unsure.append(value)
    return hits, unsure, unread


def _newest(values: tuple[ClinicalValue, ...]) -> list[ClinicalValue]:
    """Return the last reading of each antigen; the strongest of those at one time."""
    last: dict[str, ClinicalValue] = {}
    for value in values:
        known = last.get(value.text)
        weaker = known is not None and known.when == value.when
        if known is not None and weaker and (known.value or 0) > (value.value or 0):
            continue
        last[value.text] = value
    return list(last.values())


def _says_none(value: ClinicalValue) -> bool:
    return value.text.strip().lower() in NONE


def _donor_use(donor: Person) -> Use:
    locus = next(iter(donor.typing()), "A")
    known = typed(donor, locus)
    doubt = "" if donor.typing() else "the donor is not typed"
    return donor, Known(known.value, doubt)


def _list_use(recipient: Person, listed: tuple[ClinicalValue, ...], key: str) -> Use:
    if not listed:
        return recipient, Known(None, f"the recipient's record has no {key.replace('_', ' ')}")
    return recipient, recipient.aged(key, listed[-1])
