"""Blood groups of a pair: ABO with the subtypes of A and the titres that a centre accepts."""

from __future__ import annotations

from workstation.planning.blood_group import ANTIGENS, plain_group
from workstation.planning.transplant_person import Person
from workstation.planning.transplant_rows import SITE, Row
from workstation.planning.transplant_site import Site, Use, made, unknown

RULE = "ABO: O to all, A to A and AB, B to B and AB, AB to AB"
A2_RULE = (
    f"{SITE}: A2 and A2B organs by the anti-A titre; limits differ between centres "
    "(doi:10.1097/TXD.0000000000001099)"
)
CHILDBEARING = (12.0, 50.0)
"""Age in years within which a Rh-negative woman may still want children; a cautious band."""


def abo_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about ABO. A subtype that is not typed is A1."""
    uses: list[Use] = [(person, person.chosen("abo")) for person in (donor, recipient)]
    groups = [str(plain_group(known.text)) for _, known in uses]
    plain = [group.replace("1", "").replace("2", "") for group in groups]
    if not all(group in ANTIGENS for group in plain):
        return unknown("abo", uses, RULE)
    said = f"{groups[0]} to {groups[1]}"
    foreign = ANTIGENS[plain[0]] - ANTIGENS[plain[1]]
    if not foreign:
        return made("abo", "pass", said, "", uses, RULE, "The groups are compatible.")
    if foreign == {"A"} and "2" in groups[0]:
        return _titres(recipient, site, said, uses)
    reason = f"The organ carries {' and '.join(sorted(foreign))}, which the recipient lacks."
    subtype = "A" in foreign and plain[0] in ("A", "AB") and "1" not in groups[0]
    change = "a typing as A2" if subtype and foreign == {"A"} else ""
    return made("abo", "block", said, "", uses, RULE, reason, change)


def _titres(recipient: Person, site: Site, said: str, uses: list[Use]) -> Row:
    limits = {"anti_a_igg": site.anti_a_igg_limit, "anti_a_igm": site.anti_a_igm_limit}
    wanted = {key: limit for key, limit in limits.items() if limit is not None}
    if not wanted:
        return unknown("abo", uses, A2_RULE, "", "the site has set no titre limit for A2 organs")
    found = {key: recipient.chosen(key) for key in wanted}
    uses = [*uses, *((recipient, known) for known in found.values())]
    over = [
        f"{key.replace('_', ' ')} 1:{known.number:g} (limit 1:{wanted[key]:g})"
        for key, known in found.items()
        if known.number is not None and known.number > wanted[key]
    ]
    if over:
        reason = f"The titre is over the limit: {', '.join(over)}."
        return made("abo", "block", said, "", uses, A2_RULE, reason, "a lower titre")
    if any(known.number is None for known in found.values()):
        return unknown("abo", uses, A2_RULE)
    reason = "An A2 organ within the site's limits of titre."
    return made("abo", "warn", said, "", uses, A2_RULE, reason)


def rh_row(donor: Person, recipient: Person) -> Row | None:
    """Return the row about Rh, None where nobody typed it: it bars no solid organ."""
    rule = "Rh bars no solid organ; a Rh-negative woman who may bear children may be immunised"
    uses: list[Use] = [(person, person.chosen("rh")) for person in (donor, recipient)]
    if all(known.value is None for _, known in uses):
        return None
    if not all(known.text for _, known in uses):
        return unknown("rh", uses, rule)
    said = f"{uses[0][1].text} to {uses[1][1].text}"
    if uses[0][1].text != "positive" or uses[1][1].text != "negative":
        return made("rh", "pass", said, "", uses, rule)
    sex, age = recipient.chosen("sex"), recipient.age_years()
    man, years = sex.text == "M", age.number
    if man or (years is not None and not CHILDBEARING[0] <= years <= CHILDBEARING[1]):
        return made("rh", "pass", said, "", [*uses, (recipient, sex)], rule)
    return made(
        "rh", "warn", said, "", [*uses, (recipient, sex)], rule,
        "A Rh-negative recipient who may bear children, or of unknown sex or age.",
    )  # fmt: skip
