"""Antibodies of a recipient against a donor: virtual crossmatch, antibodies, tests, cPRA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from segmentation.wording import counted
from workstation.clinical import ClinicalValue
from workstation.planning.donor_scores import cpra
from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_hla import typed
from workstation.planning.transplant_panel import Share, mixture, out_of_reach
from workstation.planning.transplant_person import Known, Person, PersonRecord
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
GROUPS_RULE = (
    "cPRA = sum over groups of weight x (1 - (1 - sum p)^2), p of the haplotypes that carry an "
    "unacceptable antigen (doi:10.1097/TP.0000000000001830); loaded table"
)
HARDLY = 0.0005
"""Two bounds of a share that differ by less are one number."""

TESTS: Mapping[str, tuple[str, Verdict]] = {
    "crossmatch_cdc_t": ("CDC crossmatch, T cells", "block"),
    "crossmatch_cdc_b": ("CDC crossmatch, B cells", "warn"),
    "crossmatch_cdc": ("CDC crossmatch", "block"),
    "crossmatch_flow_t": ("Flow crossmatch, T cells", "warn"),
    "crossmatch_flow_b": ("Flow crossmatch, B cells", "warn"),
    "crossmatch_flow": ("Flow crossmatch", "warn"),
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
    hits, unsure, unread = _sorted(donor, [v for v in listed if not says_none(v)])
    if hits:
        said = ", ".join(dict.fromkeys(v.text for v in hits))
        reason = f"The donor carries what the recipient must not be given: {said}."
        return made(name, "block", said, "", uses, VXM_RULE, reason, "another list or typing")
    if len(listed) > 1 and any(map(says_none, listed)):
        return unknown(name, uses, VXM_RULE, "", "the list says none and names antigens")
    if unsure or unread:
        said = ", ".join(dict.fromkeys(v.text for v in [*unsure, *unread]))
        also = f"it cannot be told whether the donor carries {said}"
        return unknown(name, uses, VXM_RULE, "", also)
    if not donor.typing():
        return unknown(name, uses, VXM_RULE)
    return made(
        name, "pass", "negative", "", uses, VXM_RULE,
        f"No antigen of the donor is among {counted(len(listed), 'entry', 'entries')} of the list.",
    )  # fmt: skip


def dsa_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row of the strongest donor-specific antibody."""
    name, listed = "donor_specific_antibodies", recipient.lists("antibody")
    uses: list[Use] = [_donor_use(donor), _list_use(recipient, listed, "antibody")]
    if not listed:
        return unknown(name, uses, DSA_RULE, "MFI", "no antibody test; a negative one must say so")
    current = newest_antibodies(listed)
    hits, unsure, unread = _sorted(donor, [v for v in current if not says_none(v)])
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
        count = len(current)
        told = "The only antibody is not" if count == 1 else f"None of {count} antibodies is"
        reason = f"{told} against the donor."
        return made(name, "pass", 0.0, "MFI", uses, DSA_RULE, reason)
    assert strongest is not None
    total = sum(v.value or 0.0 for v in hits)
    several = counted(len(hits), "antibody is", "antibodies are")
    words = f"{strongest.text} at {peak:g} MFI; {several} against the donor, {total:g} in sum"
    if site.mfi_warn is None and site.mfi_block is None:
        also = f"the site has set no limit of MFI; {words}"
        return unknown(name, uses, DSA_RULE, "MFI", also)
    if site.mfi_warn is None or peak >= site.mfi_warn:
        return made(name, "warn", peak, "MFI", uses, DSA_RULE, f"{words}.")
    reason = f"{words}, under the limit of {site.mfi_warn:g}."
    return made(name, "pass", peak, "MFI", uses, DSA_RULE, reason)


def crossmatch_rows(donor: Person, recipient: Person) -> list[Row]:
    """Return a row per kind of crossmatch that was done; only those with this donor count."""
    rows = []
    for key, (title, positive) in TESTS.items():
        every = recipient.lists(key)
        if every:
            rows.append(_crossmatch(key, title, positive, donor, recipient))
    if rows:
        return rows
    missing = Known(None, "no crossmatch with this donor is in the record")
    return [unknown("crossmatch", [(recipient, missing)], "crossmatch with cells of this donor")]


def _crossmatch(key: str, title: str, positive: Verdict, donor: Person, recipient: Person) -> Row:
    name = key.replace("_", ".", 1)
    rule = f"{title} with cells of this donor; the newest counts"
    every = recipient.lists(key)
    mine = [v for v in every if v.specimen and is_called(donor, v.specimen)]
    unnamed = [v for v in every if not v.specimen]
    others = sorted({v.specimen for v in every if v.specimen and v not in mine})
    if not mine and not unnamed:
        called = donor.record.label or "this one has no name in its record"
        doubt = f"done with other donors only ({', '.join(others)}), not with {called}"
        return unknown(name, [(recipient, Known(None, doubt))], rule)
    known = recipient.chosen_of(key, mine or unnamed)
    uses: list[Use] = [(recipient, known)]
    about = "" if mine else "; the record does not say with whose cells"
    if known.text == "positive":
        change = "a negative crossmatch with a newer serum"
        reason = f"{title} positive{about}."
        return made(name, positive, "positive", "", uses, rule, reason, change)
    if known.text != "negative":
        return unknown(name, uses, rule)
    if not mine:
        return unknown(name, uses, rule, "", f"{title} negative{about}")
    earlier = [v for v in (*mine, *unnamed) if v.text == "positive"]
    told = (
        f", an earlier one ({earlier[-1].date[:10] or 'no date'}) was positive" if earlier else ""
    )
    reason = f"{title} negative{told}."
    return made(name, "warn" if earlier else "pass", "negative", "", uses, rule, reason)


def is_called(donor: Person, name: str) -> bool:
    """Tell whether ``name`` is that of the donor's record."""
    return bool(donor.record.label) and _plain(donor.record.label) == _plain(name)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def cpra_row(recipient: Person, table: PersonRecord | None = None) -> Row | None:
    """Return the row that tells how many donors are out of reach, None where nobody says.

    Frequencies that were loaded go before a summed one, and that before the laboratory's.
    """
    frequencies, given = recipient.chosen("haplotype_frequency_sum"), recipient.chosen("cpra")
    if table is not None and table.tables.groups:
        return _of_groups(recipient, table, given)
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


def _of_groups(recipient: Person, table: PersonRecord, given: Known) -> Row:
    listed = recipient.lists("unacceptable_antigen")
    uses: list[Use] = [(recipient, _list_use(recipient, listed, "unacceptable_antigen")[1])]
    if not listed:
        return unknown("cpra", uses, GROUPS_RULE, "%", "an empty list must say so: none")
    try:
        targets = [read_target(v.text) for v in listed if not says_none(v)]
    except UnreadableTyping as error:
        return unknown("cpra", uses, GROUPS_RULE, "%", str(error))
    groups = table.tables.groups
    shares = {name: out_of_reach(group, targets) for name, group in groups.items()}
    whole = mixture([(groups[name].weight, share) for name, share in shares.items()])
    told = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
    reason = f"By group: {told}. {TOLD}"
    if given.number is not None:
        reason = f"The laboratory's own is {given.number:g} %. {reason}"
    if whole.high - whole.low < HARDLY:
        value: float | str = round(100 * whole.low, 4)
    else:
        value = _percent(whole).removesuffix(" %")
        reason = f"The table does not list all haplotypes, or not all their loci. {reason}"
    return made("cpra", "pass", value, "%", uses, GROUPS_RULE, reason)


def _percent(share: Share) -> str:
    low, high = f"{100 * share.low:.1f}", f"{100 * share.high:.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


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


def newest_antibodies(values: tuple[ClinicalValue, ...]) -> list[ClinicalValue]:
    """Return the last reading of each antigen; the strongest of those at one time."""
    last: dict[str, ClinicalValue] = {}
    for value in values:
        known = last.get(value.text)
        weaker = known is not None and known.when == value.when
        if known is not None and weaker and (known.value or 0) > (value.value or 0):
            continue
        last[value.text] = value
    return list(last.values())


def says_none(value: ClinicalValue) -> bool:
    """Tell whether an entry of a list says that the list is empty."""
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
