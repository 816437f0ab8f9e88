"""Size rules per organ, and the calibre of vessels that are to be joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Literal

from workstation.planning.donor_scores import predicted_heart_mass, predicted_tlc
from workstation.planning.transplant_person import Known, Person
from workstation.planning.transplant_rows import SITE, Row, Verdict
from workstation.planning.transplant_site import Site, Use, made, unknown

Organ = Literal["kidney", "liver", "partial liver", "heart", "lung", "pancreas"]

KIDNEY_RULE = (
    "recipient more than 30 kg heavier and of the other sex (hazard ratio about 1.5), or heavier "
    "man with a woman's kidney (1.35); doi:10.2215/CJN.07660716"
)
HEART_RULE = (
    "predicted heart mass of donor over recipient, high risk under 0.86; "
    "doi:10.1016/j.jchf.2013.09.005, doi:10.1016/j.healun.2018.09.017"
)
LUNG_RULE = (
    "predicted lung capacity of donor over recipient within 0.75 to 1.25, a working band; "
    "registry mean 1.015 (SD 0.175), doi:10.1513/AnnalsATS.201301-008OC"
)
LIVER_RULE = "body surface of donor over recipient within 0.78 to 1.24; doi:10.1111/tri.12111"
DEPTH_RULE = "depth of the graft from front to back against the cavity: measured, no general limit"
GRWR_RULE = (
    f"{SITE} for the least graft weight in % of body weight; survival of the graft after a year "
    "42 % under 0.8, 74 % at 0.8 to 1, 92 % at 1 to 3 (doi:10.1097/00007890-199901270-00024)"
)
REMNANT_RULE = f"{SITE} for the part of the liver that a living donor keeps"
VESSEL_RULE = f"{SITE} for the ratio of two diameters; no general limit is established"

LENGTH_RULE = (
    "free length of the donor's vessel against the way it must bridge in the recipient: "
    "measured, no general limit"
)
ARTERIES_RULE = "more than one artery needs a plan for each"
SEXES = {"F": "woman", "M": "man"}

HEART_LOW, LUNG_BAND, BSA_BAND, GRWR_HIGH = 0.86, (0.75, 1.25), (0.78, 1.24), 3.0
HEAVIER_KG = 30.0
DENSITY_G_ML = 1.0
"""Weight of a millilitre of liver as volumetry for grafts takes it."""

JOINED: Mapping[Organ, tuple[tuple[str, str, str], ...]] = {
    "kidney": (
        ("artery", "renal_artery", "external_iliac_artery"),
        ("vein", "renal_vein", "external_iliac_vein"),
    ),
    "liver": (
        ("hepatic_artery", "hepatic_artery", "hepatic_artery"),
        ("portal_vein", "portal_vein", "portal_vein"),
        ("bile_duct", "bile_duct", "bile_duct"),
        ("cava", "inferior_vena_cava", "inferior_vena_cava"),
    ),
    "partial liver": (
        ("hepatic_artery", "hepatic_artery", "hepatic_artery"),
        ("portal_vein", "portal_vein", "portal_vein"),
        ("bile_duct", "bile_duct", "bile_duct"),
        ("hepatic_vein", "hepatic_vein", "hepatic_vein"),
    ),
    "heart": (
        ("aorta", "aorta", "aorta"),
        ("pulmonary_artery", "pulmonary_artery", "pulmonary_artery"),
    ),
    "lung": (
        ("pulmonary_artery", "pulmonary_artery", "pulmonary_artery"),
        ("bronchus", "bronchus", "bronchus"),
    ),
    "pancreas": (
        ("artery", "iliac_y_graft", "external_iliac_artery"),
        ("vein", "portal_vein", "external_iliac_vein"),
    ),
}
"""Organ to its anastomoses: name, vessel of the donor, vessel of the recipient."""


def size_rows(organ: Organ, donor: Person, recipient: Person, site: Site) -> list[Row]:
    """Return the rows about size for an organ."""
    rules: Mapping[Organ, Sequence[Callable[[Person, Person, Site], Row]]] = {
        "kidney": (kidney_row,),
        "liver": (liver_row, depth_row),
        "partial liver": (grwr_row, remnant_row, depth_row),
        "heart": (heart_row,),
        "lung": (lung_row,),
        "pancreas": (pancreas_row,),
    }
    return [rule(donor, recipient, site) for rule in rules[organ]]


def kidney_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about weight and sex of a kidney's donor and recipient."""
    uses = _uses(donor, recipient, "body_weight", "sex")
    given, taken = uses[0][1].number, uses[1][1].number
    sexes = uses[2][1].text, uses[3][1].text
    if given is None or taken is None or not all(sex in ("F", "M") for sex in sexes):
        return unknown("size.weight", uses, KIDNEY_RULE, "kg")
    more = round(taken - given, 4)
    warn = more > HEAVIER_KG and sexes[0] != sexes[1]
    warn |= more > 0 and sexes == ("F", "M")
    reason = (
        f"The recipient weighs {taken:g} kg and the donor {given:g} kg, {_difference(more)}; "
        f"a {SEXES[sexes[0]]}'s kidney for a {SEXES[sexes[1]]}."
    )
    return made("size.weight", "warn" if warn else "pass", more, "kg", uses, KIDNEY_RULE, reason)


def heart_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about predicted heart mass."""
    masses, uses = [], []
    for person in (donor, recipient):
        parts = [person.chosen("sex"), person.age_years()]
        parts += [person.chosen("height"), person.chosen("body_weight")]
        uses += [(person, known) for known in parts]
        sex, age, height, weight = parts
        if sex.text in ("F", "M") and age.number and height.number and weight.number:
            score = predicted_heart_mass(
                female=sex.text == "F",
                age_years=age.number,
                height_m=height.number / 100,
                weight_kg=weight.number,
            )
            masses.append(score.value or 0.0)
    if len(masses) < 2:
        return unknown("size.heart_mass_ratio", uses, HEART_RULE)
    ratio = masses[0] / masses[1]
    reason = f"{masses[0]:.2f} g against {masses[1]:.2f} g."
    verdict: Verdict = "warn" if ratio < HEART_LOW else "pass"
    return made("size.heart_mass_ratio", verdict, round(ratio, 4), "", uses, HEART_RULE, reason)


def lung_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about predicted total lung capacity."""
    litres: list[float] = []
    uses = _uses(donor, recipient, "sex", "height")
    doubt = ""
    for person in (donor, recipient):
        sex, height = person.chosen("sex").text, person.chosen("height").number
        if sex not in ("F", "M") or height is None:
            continue
        try:
            litres.append(predicted_tlc(female=sex == "F", height_m=height / 100).value or 0.0)
        except ValueError as error:
            doubt = str(error)
    if len(litres) < 2:
        return unknown("size.lung_capacity_ratio", uses, LUNG_RULE, "", doubt)
    ratio = litres[0] / litres[1]
    reason = f"{litres[0]:.4g} L against {litres[1]:.4g} L."
    return _banded("size.lung_capacity_ratio", ratio, LUNG_BAND, uses, LUNG_RULE, reason)


def liver_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about body surfaces for a whole liver (Mosteller's formula)."""
    uses = _uses(donor, recipient, "height", "body_weight")
    heights, weights = [k.number for _, k in uses[:2]], [k.number for _, k in uses[2:]]
    areas = [sqrt(h * w / 3600) for h, w in zip(heights, weights) if h and w]
    if len(areas) < 2:
        return unknown("size.body_surface_ratio", uses, LIVER_RULE)
    reason = f"{areas[0]:.4g} m² against {areas[1]:.4g} m²."
    return _banded(
        "size.body_surface_ratio", areas[0] / areas[1], BSA_BAND, uses, LIVER_RULE, reason
    )


def depth_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row that sets the graft's depth against the recipient's cavity."""
    uses: list[Use] = [
        (donor, donor.chosen("graft_ap_depth_mm")),
        (recipient, recipient.chosen("cavity_ap_depth_mm")),
    ]
    graft, cavity = (known.number for _, known in uses)
    if graft is None or cavity is None:
        return unknown("size.ap_depth", uses, DEPTH_RULE, "mm")
    verdict: Verdict = "warn" if graft > cavity else "pass"
    reason = f"The graft is {graft:g} mm deep and the cavity {cavity:g} mm."
    return made("size.ap_depth", verdict, round(cavity - graft, 4), "mm", uses, DEPTH_RULE, reason)


def grwr_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about the graft's weight in percent of the recipient's."""
    uses: list[Use] = [
        (donor, donor.chosen("graft_volume")),
        (recipient, recipient.chosen("body_weight")),
    ]
    graft, weight = (known.number for _, known in uses)
    if graft is None or weight is None:
        return unknown("size.grwr", uses, GRWR_RULE, "%")
    share = round(100 * graft * DENSITY_G_ML / (1000 * weight), 6)
    verdict: Verdict = "block" if share < site.grwr_percent else "pass"
    if verdict == "pass" and share > GRWR_HIGH:
        verdict = "warn"
    reason = f"{graft:g} mL taken as {graft * DENSITY_G_ML:g} g, for {weight:g} kg."
    change = "a larger graft" if verdict == "block" else ""
    return made("size.grwr", verdict, share, "%", uses, GRWR_RULE, reason, change)


def remnant_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row about what a living donor keeps of the liver."""
    keys = ("remnant_volume", "liver_volume")
    uses: list[Use] = [(donor, donor.chosen(key)) for key in keys]
    kept, whole = (known.number for _, known in uses)
    if kept is None or whole is None:
        return unknown("size.donor_remnant", uses, REMNANT_RULE, "%")
    if kept > whole:
        also = f"the remnant ({kept:g} mL) is larger than the liver ({whole:g} mL)"
        return unknown("size.donor_remnant", uses, REMNANT_RULE, "%", also)
    share = round(100 * kept / whole, 6)
    verdict: Verdict = "block" if share < site.remnant_percent else "pass"
    reason = f"{kept:g} of {whole:g} mL stay; the site's limit is {site.remnant_percent:g} %."
    change = "a smaller graft" if verdict == "block" else ""
    return made("size.donor_remnant", verdict, share, "%", uses, REMNANT_RULE, reason, change)


def pancreas_row(donor: Person, recipient: Person, site: Site) -> Row:
    """Return the row that says that no rule of size is established for a pancreas."""
    missing = Known(None, "no rule of size is established for a pancreas")
    return unknown("size.pancreas", [(donor, missing)], "none is established")


def vessel_rows(organ: Organ, donor: Person, recipient: Person, site: Site) -> list[Row]:
    """Return the rows of each anastomosis, and the number of the graft's arteries, where known."""
    rows: list[Row | None] = []
    for name, given, taken in JOINED[organ]:
        uses: list[Use] = [
            (donor, donor.chosen(f"diameter_{given}")),
            (recipient, recipient.chosen(f"diameter_{taken}")),
        ]
        one, other = (known.number for _, known in uses)
        if one is None or other is None:
            rows.append(unknown(f"vessel.{name}", uses, VESSEL_RULE))
            continue
        ratio = round(max(one, other) / min(one, other), 4)
        verdict: Verdict = "warn" if ratio > site.vessel_ratio else "pass"
        reason = f"{one:g} mm to {other:g} mm; the site's limit is {site.vessel_ratio:g}."
        rows.append(made(f"vessel.{name}", verdict, ratio, "", uses, VESSEL_RULE, reason))
    rows += [_length_row(*joined, donor, recipient) for joined in JOINED[organ]]
    rows.append(_arteries_row(donor))
    return [row for row in rows if row is not None]


def _length_row(name: str, given: str, taken: str, donor: Person, recipient: Person) -> Row | None:
    """Return the row of how far a donor's vessel reaches, None where nobody measured it."""
    free = donor.chosen(f"length_{given}")
    if free.value is None:
        return None
    way = recipient.chosen(f"distance_{taken}")
    uses: list[Use] = [(donor, free), (recipient, way)]
    row = f"vessel.{name}.length"
    if free.number is None or way.number is None:
        also = f"{free.number:g} mm are free, and what they must bridge is not known"
        return unknown(row, uses, LENGTH_RULE, "mm", also if free.number is not None else "")
    more = round(free.number - way.number, 4)
    reason = f"{free.number:g} mm are free for a way of {way.number:g} mm."
    verdict: Verdict = "warn" if more < 0 else "pass"
    return made(row, verdict, more, "mm", uses, LENGTH_RULE, reason)


def _arteries_row(donor: Person) -> Row | None:
    """Return the row of how many arteries the graft has, None where nobody counted them."""
    count = donor.chosen("graft_artery_count")
    if count.value is None:
        return None
    uses: list[Use] = [(donor, count)]
    if count.number is None:
        return unknown("vessel.arteries", uses, ARTERIES_RULE)
    several = count.number > 1
    verdict: Verdict = "warn" if several else "pass"
    reason = f"The graft has {count.number:g} {'arteries' if several else 'artery'}."
    return made("vessel.arteries", verdict, count.number, "", uses, ARTERIES_RULE, reason)


def _difference(kg: float) -> str:
    if not kg:
        return "as much"
    return f"{abs(kg):.4g} kg {'more' if kg > 0 else 'less'}"


def _uses(donor: Person, recipient: Person, *keys: str) -> list[Use]:
    return [(person, person.chosen(key)) for key in keys for person in (donor, recipient)]


def _banded(
    name: str,
    ratio: float,
    band: tuple[float, float],
    uses: Sequence[Use],
    rule: str,
    reason: str,
) -> Row:
    shown = round(ratio, 4)
    verdict: Verdict = "pass" if band[0] <= shown <= band[1] else "warn"
    return made(name, verdict, shown, "", uses, rule, reason)
