"""Published formulas that describe an organ donor, a candidate, or a pair of both."""

from __future__ import annotations

from math import exp, log
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.score import Published, Score
from workstation.planning import blood_group, tissue_type

Years = Annotated[float, Ge(0), Le(120)]
HeightM = Annotated[float, Gt(0.3), Le(2.6)]
Weight = Annotated[float, Gt(1), Le(400)]

KDRI_SCALING = {"2023": 1.30900852563932, "2024": 1.40436817065005}
"""Median KDRI of each year's donors, by the refit of 2024 (OPTN)."""

_KDRI = {
    "2024": {
        "age": 0.0092,
        "child": 0.0113,
        "old": 0.0067,
        "height": -0.0557,
        "light": -0.0333,
        "hypertension": 0.1106,
        "diabetes": 0.2577,
        "stroke": 0.0743,
        "creatinine": 0.2128,
        "high_creatinine": -0.2199,
        "dcd": 0.1966,
    },
    "legacy": {
        "age": 0.0128,
        "child": -0.0194,
        "old": 0.0107,
        "height": -0.0464,
        "light": -0.0199,
        "hypertension": 0.1260,
        "diabetes": 0.1300,
        "stroke": 0.0881,
        "creatinine": 0.2200,
        "high_creatinine": -0.2090,
        "dcd": 0.1330,
        "black": 0.1790,
        "hcv": 0.2400,
    },
}


def kdri(
    *,
    year: Literal["2024", "legacy"] = "2024",
    age_years: Years,
    height_cm: Annotated[float, Gt(30), Le(260)],
    weight_kg: Weight,
    hypertension: bool,
    diabetes: bool,
    stroke_death: bool,
    creatinine_mg_dl: Annotated[float, Gt(0), Le(40)],
    dcd: bool,
    black: bool | None = None,
    hcv: bool | None = None,
) -> Score:
    """Kidney donor risk index.

    Args:
        year: 2024 (refit of 31 October 2024) or legacy (before it).
        age_years: age of the donor.
        height_cm: height of the donor.
        weight_kg: weight of the donor.
        hypertension: whether the donor had high blood pressure.
        diabetes: whether the donor had diabetes.
        stroke_death: whether the donor died of a stroke.
        creatinine_mg_dl: serum creatinine of the donor.
        dcd: whether the heart had stopped (donation after circulatory death).
        black: whether the donor was African American; needed by the legacy version only.
        hcv: whether the donor had hepatitis C; needed by the legacy version only.

    Raises:
        ValueError: if the legacy version lacks what only it needs.
    """
    if year == "legacy" and (black is None or hcv is None):
        raise ValueError("the legacy version needs black and hcv too; give both, or use year=2024")
    terms = {
        "age": age_years - 40.0,
        "child": min(age_years - 18.0, 0.0),
        "old": max(age_years - 50.0, 0.0),
        "height": (height_cm - 170.0) / 10.0,
        "light": min(weight_kg - 80.0, 0.0) / 5.0,
        "hypertension": hypertension,
        "diabetes": diabetes,
        "stroke": stroke_death,
        "creatinine": creatinine_mg_dl - 1.0,
        "high_creatinine": max(creatinine_mg_dl - 1.5, 0.0),
        "dcd": dcd,
        "black": bool(black),
        "hcv": bool(hcv),
    }
    exponent = sum(factor * float(terms[name]) for name, factor in _KDRI[year].items())
    index = exp(exponent)
    details: dict[str, float] = {"x_beta": exponent}
    if year == "2024":
        details |= {f"scaled_{of}": index / factor for of, factor in KDRI_SCALING.items()}
        details["scaled"] = index / KDRI_SCALING["2024"]
    return Score(index, details=details)


def epts_raw(
    *,
    age_years: Years,
    diabetes: bool,
    prior_transplant: bool,
    dialysis_years: Annotated[float, Ge(0), Le(80)],
) -> Score:
    """Estimated post-transplant survival score of a kidney candidate, raw.

    Args:
        age_years: age of the candidate.
        diabetes: whether the candidate has diabetes.
        prior_transplant: whether the candidate had a solid organ transplant before.
        dialysis_years: years on dialysis; 0 means before dialysis.
    """
    age, dm = max(age_years - 25.0, 0.0), float(diabetes)
    before, prior = float(dialysis_years == 0), float(prior_transplant)
    return Score(
        0.047 * age
        - 0.015 * dm * age
        + 0.398 * prior
        - 0.237 * dm * prior
        + 0.315 * log(dialysis_years + 1.0)
        - 0.099 * dm * log(dialysis_years + 1.0)
        + 0.130 * before
        - 0.348 * dm * before
        + 1.262 * dm
    )


def lkdpi(
    *,
    age_years: Years,
    egfr: Annotated[float, Gt(0), Le(250)],
    bmi: Annotated[float, Gt(5), Le(100)],
    black: bool,
    smoker: bool,
    sbp_mmhg: Annotated[float, Gt(40), Le(300)],
    male_to_male: bool,
    abo_incompatible: bool,
    related: bool,
    b_mismatches: Annotated[int, Ge(0), Le(2)],
    dr_mismatches: Annotated[int, Ge(0), Le(2)],
    weight_ratio: Annotated[float, Gt(0), Le(20)],
) -> Score:
    """Living kidney donor profile index.

    Args:
        age_years: age of the donor.
        egfr: estimated glomerular filtration rate of the donor in mL/min/1.73 m2.
        bmi: body mass index of the donor in kg/m2.
        black: whether the donor is African American.
        smoker: whether the donor ever smoked.
        sbp_mmhg: systolic blood pressure of the donor.
        male_to_male: whether donor and recipient are men.
        abo_incompatible: whether the blood groups are incompatible.
        related: whether donor and recipient are related.
        b_mismatches: HLA-B mismatches.
        dr_mismatches: HLA-DR mismatches.
        weight_ratio: weight of the donor over that of the recipient.
    """
    return Score(
        -11.30
        + 1.85 * max(age_years - 50.0, 0.0)
        - 0.381 * egfr
        + 1.17 * bmi
        + 22.34 * black
        + 14.33 * smoker
        + 0.44 * sbp_mmhg
        - 21.68 * male_to_male
        + 27.30 * abo_incompatible
        - 10.61 * (not related)
        + 8.57 * b_mismatches
        + 8.26 * dr_mismatches
        - 50.87 * min(weight_ratio, 0.9)
    )


def predicted_heart_mass(
    *,
    female: bool,
    age_years: Annotated[float, Gt(0), Le(120)],
    height_m: HeightM,
    weight_kg: Weight,
) -> Score:
    """Predicted mass of both ventricles.

    Args:
        female: whether the person is a woman.
        age_years: age.
        height_m: body height in metres.
        weight_kg: body weight.
    """
    left = (6.82 if female else 8.25) * height_m**0.54 * weight_kg**0.61
    right = (10.59 if female else 11.25) * age_years**-0.32 * height_m**1.135 * weight_kg**0.315
    return Score(left + right, details={"left_g": left, "right_g": right})


def predicted_tlc(*, female: bool, height_m: HeightM) -> Score:
    """Predicted total lung capacity.

    Args:
        female: whether the person is a woman.
        height_m: body height in metres.
    """
    litres = 6.60 * height_m - 5.79 if female else 7.99 * height_m - 7.08
    if litres <= 0:
        raise ValueError(f"the formula does not hold for a height of {height_m:g} m")
    return Score(litres)


def cpra(*, haplotype_frequency_sum: Annotated[float, Ge(0), Le(1)]) -> Score:
    """Share of donors who carry at least one unacceptable antigen, 1 - (1 - sum p)^2.

    Args:
        haplotype_frequency_sum: summed frequency of the haplotypes that carry one.
    """
    share = 1.0 - (1.0 - haplotype_frequency_sum) ** 2
    return Score(share, f"{100 * share:.4g} % of donors")


MODELS = (
    Published(
        "kdri",
        kdri,
        "",
        "deceased kidney donors in the United States",
        "Rao 2009, doi:10.1097/TP.0b013e3181ac620b; OPTN refit of 31 October 2024",
    ),
    Published(
        "epts_raw",
        epts_raw,
        "",
        "adult kidney candidates in the United States",
        "OPTN, guide to calculating and interpreting the EPTS score",
    ),
    Published(
        "lkdpi",
        lkdpi,
        "",
        "living kidney donors in the United States",
        "Massie 2016, doi:10.1111/ajt.13697",
    ),
    Published(
        "predicted_heart_mass",
        predicted_heart_mass,
        "g",
        "adults without heart disease (MESA)",
        "Reed 2014, doi:10.1016/j.jchf.2013.09.005",
    ),
    Published(
        "predicted_tlc",
        predicted_tlc,
        "L",
        "adult lung transplants in the United States",
        "Eberlein 2013, doi:10.1513/AnnalsATS.201301-008OC",
    ),
    Published(
        "hla_mismatch",
        tissue_type.hla_mismatch,
        "antigens",
        "kidney transplants; loci A, B and DR count as they are typed",
        "OPTN policy 4.10, reference tables of HLA antigen values and split equivalences",
    ),
    Published(
        "cpra",
        cpra,
        "",
        "donors with the stated haplotype frequencies, in Hardy-Weinberg equilibrium",
        "doi:10.1097/TP.0000000000001830",
    ),
    Published(
        "abo",
        blood_group.abo,
        "",
        "solid organ transplants; Rh does not count",
        "ABO rules; A2 donors: Williams 2015, Am J Transplant 15:3134",
    ),
)
