"""UIATS: whether specialists would repair an unruptured aneurysm or watch it.

A consensus of 69 specialists in two columns of points; it speaks of what they would do and
predicts no rupture.
"""

from __future__ import annotations

from math import floor
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.score import Published, Score, band, outside

DECISIVE = 3
"""Points by which one column must exceed the other."""

AGES = (40, 61, 71, 81)
"""Completed years at which a band of age begins."""


def uiats(
    *,
    age_years: Annotated[float, Ge(0), Le(120)],
    population: Literal["japanese", "finnish", "inuit", "other"],
    earlier_sah: bool,
    familial: bool,
    smoker: bool,
    hypertension: bool,
    polycystic_kidneys: bool,
    drug_abuse: bool,
    alcohol_abuse: bool,
    cranial_nerve_deficit: bool,
    mass_effect: bool,
    thromboembolism: bool,
    epilepsy: bool,
    fear_of_rupture: bool,
    multiple_aneurysms: bool,
    life_expectancy_years: Annotated[float, Ge(0), Le(120)],
    neurocognitive_disorder: bool,
    coagulopathy: bool,
    psychiatric_disorder: bool,
    size_mm: Annotated[float, Gt(0), Le(100)],
    irregular: bool,
    aspect_ratio: Annotated[float, Gt(0), Le(50)],
    size_ratio: Annotated[float, Gt(0), Le(50)],
    site: Literal["basilar_tip", "vertebrobasilar", "acom", "pcom", "other"],
    growth: bool,
    de_novo: bool,
    contralateral_occlusion: bool,
    high_complexity: bool,
) -> Score:
    """Whether specialists would repair an unruptured aneurysm or watch it (UIATS).

    Bands of age count completed years, those of size tenths of a millimetre, as they are
    printed.

    Args:
        age_years: age.
        population: where the patient comes from.
        earlier_sah: whether another aneurysm bled before.
        familial: whether relatives had aneurysms or subarachnoid haemorrhage.
        smoker: whether the patient smokes now.
        hypertension: whether systolic pressure exceeds 140 mmHg.
        polycystic_kidneys: whether there is autosomal dominant polycystic kidney disease.
        drug_abuse: whether drugs such as cocaine or amphetamine are abused now.
        alcohol_abuse: whether alcohol is abused now.
        cranial_nerve_deficit: whether the aneurysm causes one.
        mass_effect: whether it has one, clinically or in the image.
        thromboembolism: whether emboli came from the aneurysm.
        epilepsy: whether it causes epilepsy.
        fear_of_rupture: whether fear of rupture lowers the quality of life.
        multiple_aneurysms: whether there are several.
        life_expectancy_years: life expectancy with chronic and malignant diseases.
        neurocognitive_disorder: whether there is one.
        coagulopathy: whether there is a coagulopathy or thrombophilia.
        psychiatric_disorder: whether there is one.
        size_mm: largest diameter of the aneurysm.
        irregular: whether the shape is irregular or lobulated.
        aspect_ratio: height by width of the neck.
        size_ratio: largest height by the diameter of the parent artery.
        site: the artery; the basilar tip is its bifurcation; others count nothing.
        growth: whether it grew between two images.
        de_novo: whether it was not there in an earlier image.
        contralateral_occlusion: whether the artery of the other side is narrowed or closed.
        high_complexity: whether a repair would be complex.
    """
    years, tenths = floor(age_years), floor(10 * size_mm + 0.5)
    repair = band(years, AGES, (4, 3, 2, 1, 0)) + band(tenths, (40, 70, 130, 250), range(5))
    repair += 0 if population == "other" else 2
    repair += 4 * earlier_sah + 3 * familial + 3 * smoker + 2 * hypertension
    repair += 2 * polycystic_kidneys + 2 * drug_abuse + alcohol_abuse
    repair += 4 * cranial_nerve_deficit + 4 * mass_effect + 3 * thromboembolism + epilepsy
    repair += 2 * fear_of_rupture + multiple_aneurysms
    repair += 3 * irregular + (aspect_ratio > 1.6 or size_ratio > 3.0)
    repair += {"basilar_tip": 5, "vertebrobasilar": 4, "acom": 2, "pcom": 2, "other": 0}[site]
    repair += 4 * growth + 3 * de_novo + contralateral_occlusion
    conservative = 4 if life_expectancy_years < 5 else 3 if life_expectancy_years <= 10 else 1
    conservative += 3 * neurocognitive_disorder + 2 * coagulopathy + 2 * psychiatric_disorder
    conservative += band(years, AGES, (0, 1, 3, 4, 5)) + band(tenths, (60, 101, 201), (0, 1, 3, 5))
    conservative += 3 * high_complexity + 5  # every intervention has a risk
    difference = repair - conservative
    verdict = "treat" if difference >= DECISIVE else "not definitive"
    verdict = "conservative" if difference <= -DECISIVE else verdict
    return Score(
        float(difference),
        f"{verdict}: {repair} points for repair, {conservative} against",
        details={
            "verdict": verdict,
            "repair_points": repair,
            "conservative_points": conservative,
        },
        findings=(outside("the panel judged adults"),) if age_years < 18 else (),
    )


MODELS = (
    Published(
        "uiats",
        uiats,
        "points",
        "consensus of 69 specialists (Delphi; judged on 30 cases); it predicts no rupture: area "
        "under the curve for growth or rupture 0.62 in 277 aneurysms",
        "Etminan 2015, doi:10.1212/WNL.0000000000001891; Molenberg 2020, Eur J Neurol",
    ),
)
