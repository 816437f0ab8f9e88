"""Published scores of donor, candidate and pair, as rows that tell and judge nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hemodynamics.score import Score
from workstation.planning import donor_scores, liver_function
from workstation.planning.transplant_hla import mismatch
from workstation.planning.transplant_person import Known, Person
from workstation.planning.transplant_rows import Row
from workstation.planning.transplant_site import Use, made, unknown

Donation = Literal["deceased", "living"]
MODELS = {m.name: m for m in (*donor_scores.MODELS, *liver_function.MODELS)}
TOLD = "It is shown, and no limit is set for it."


@dataclass(frozen=True)
class _Input:
    """Where an argument of a score comes from: whose value, and how it is read."""

    key: str
    kind: Literal["number", "yes", "female", "age"] = "number"


_KDRI = {
    "age_years": _Input("age", "age"),
    "height_cm": _Input("height"),
    "weight_kg": _Input("body_weight"),
    "hypertension": _Input("hypertension", "yes"),
    "diabetes": _Input("diabetes", "yes"),
    "stroke_death": _Input("stroke_death", "yes"),
    "creatinine_mg_dl": _Input("creatinine"),
    "dcd": _Input("dcd", "yes"),
}
_EPTS = {
    "age_years": _Input("age", "age"),
    "diabetes": _Input("diabetes", "yes"),
    "prior_transplant": _Input("prior_transplant", "yes"),
    "dialysis_years": _Input("dialysis_years"),
}
_MELD_3 = {
    "creatinine_mg_dl": _Input("creatinine"),
    "bilirubin_mg_dl": _Input("bilirubin"),
    "inr": _Input("inr"),
    "sodium_mmol_l": _Input("sodium"),
    "albumin_g_dl": _Input("albumin"),
    "female": _Input("sex", "female"),
}


def score_rows(
    organ: str, donation: Donation, donor: Person, recipient: Person, abo: str
) -> list[Row]:
    """Return the scores that belong to an organ; ``abo`` is the verdict of the blood groups."""
    rows = []
    if organ == "kidney":
        if donation == "deceased":
            rows.append(_score("kdri", donor, _KDRI, {"year": "2024"}))
        else:
            rows.append(_lkdpi(donor, recipient, abo))
        rows.append(_score("epts_raw", recipient, _EPTS))
    if organ in ("liver", "partial liver"):
        rows.append(_score("meld_3", recipient, _MELD_3))
    return rows


def _score(
    name: str, person: Person, inputs: Mapping[str, _Input], fixed: Mapping[str, Any] = {}
) -> Row:
    given: dict[str, Any] = dict(fixed)
    uses: list[Use] = []
    for argument, wanted in inputs.items():
        known = person.age_years() if wanted.kind == "age" else person.chosen(wanted.key)
        uses.append((person, known))
        value = _value(known, wanted)
        if value is not None:
            given[argument] = value
    return _row(name, given, set(inputs) | set(fixed), uses)


def _row(name: str, given: Mapping[str, Any], needed: set[str], uses: list[Use]) -> Row:
    model = MODELS[name]
    rule = f"{model.source}; {model.population}"
    if set(given) != needed:
        return unknown(f"score.{name}", uses, rule, model.unit)
    compute: Callable[..., Score] = model.compute
    try:
        score = compute(**given)
    except ValueError as error:
        return unknown(f"score.{name}", uses, rule, model.unit, str(error))
    if score.value is None:
        return unknown(f"score.{name}", uses, rule, model.unit, score.label)
    scaled = score.details.get("scaled")
    more = f" Scaled to the donors of 2024: {scaled:.4g}." if isinstance(scaled, float) else ""
    value = round(score.value, 6)
    return made(f"score.{name}", "pass", value, model.unit, uses, rule, TOLD + more)


def _lkdpi(donor: Person, recipient: Person, abo: str) -> Row:
    keys = ("egfr", "body_weight", "height", "systolic_pressure")
    numbers = {key: donor.chosen(key) for key in keys}
    words = {key: donor.chosen(key) for key in ("black", "smoker", "related")}
    sexes = donor.chosen("sex"), recipient.chosen("sex")
    age, weight = donor.age_years(), recipient.chosen("body_weight")
    uses: list[Use] = [(donor, known) for known in (*numbers.values(), *words.values(), age)]
    uses += [(donor, sexes[0]), (recipient, sexes[1]), (recipient, weight)]
    given: dict[str, Any] = {}
    if age.number is not None:
        given["age_years"] = age.number
    if numbers["egfr"].number is not None:
        given["egfr"] = numbers["egfr"].number
    if numbers["systolic_pressure"].number is not None:
        given["sbp_mmhg"] = numbers["systolic_pressure"].number
    mass, height = numbers["body_weight"].number, numbers["height"].number
    if mass and height:
        given["bmi"] = mass / (height / 100) ** 2
    if mass and weight.number:
        given["weight_ratio"] = mass / weight.number
    given |= {key: known.yes for key, known in words.items() if known.yes is not None}
    if all(sex.text in ("F", "M") for sex in sexes):
        given["male_to_male"] = all(sex.text == "M" for sex in sexes)
    if abo != "unknown":
        given["abo_incompatible"] = abo != "pass"
    for locus, argument in (("B", "b_mismatches"), ("DRB1", "dr_mismatches")):
        pair = donor.typing().get(locus), recipient.typing().get(locus)
        if pair[0] is None or pair[1] is None:
            continue
        found = mismatch(pair[0], pair[1])
        if found.low == found.high:
            given[argument] = found.low
    needed = {
        "age_years", "egfr", "bmi", "black", "smoker", "sbp_mmhg", "male_to_male",
        "abo_incompatible", "related", "b_mismatches", "dr_mismatches", "weight_ratio",
    }  # fmt: skip
    return _row("lkdpi", given, needed, uses)


def _value(known: Known, wanted: _Input) -> float | bool | None:
    if wanted.kind == "yes":
        return known.yes
    if wanted.kind == "female":
        return {"F": True, "M": False}.get(known.text)
    return known.number
