"""Published clinical scores of intracranial aneurysms and the thresholds of the aorta.

They use clinical values and sizes only. Each speaks for the population that it was derived
from; none of them is a decision.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.score import Published, Score, band, outside
from segmentation.contract import Finding

Years = Annotated[float, Ge(0), Le(120)]
Millimetres = Annotated[float, Gt(0), Le(100)]

PHASES_RISK = (0.4, 0.4, 0.4, 0.7, 0.9, 1.3, 1.7, 2.4, 3.2, 4.3, 5.3, 7.2, 17.8)
"""Five-year risk of rupture in percent by points; 12 stands for 12 and more."""

UCAS_RISK = ((0.2, 0.9), (1.4, 2.3), (3.7, 7.6), (17.0, None))
"""Three-year risk of rupture in percent for 0-3, 4-5, 6-8 and 9 or more points."""

ELAPSS_GROWTH = ((5.0, 8.4), (7.8, 13.0), (11.7, 19.3), (17.5, 28.1), (25.8, 39.9), (42.7, 60.8))
"""Growth in percent after three and five years for < 5, 5-9, 10-14, 15-19, 20-24, >= 25 points."""


def phases(
    *,
    population: Literal["japanese", "finnish", "other"],
    hypertension: bool,
    age_years: Years,
    size_mm: Millimetres,
    earlier_sah: bool,
    site: Literal["ica", "mca", "aca", "acom", "pcom", "posterior"],
) -> Score:
    """Five-year risk of rupture of an unruptured aneurysm (PHASES).

    Args:
        population: where the patient comes from.
        hypertension: whether blood pressure is high.
        age_years: age.
        size_mm: largest diameter of the aneurysm.
        earlier_sah: whether another aneurysm bled before.
        site: the artery that carries the aneurysm; acom counts as aca.
    """
    points = {"japanese": 3, "finnish": 5, "other": 0}[population]
    points += int(hypertension) + int(age_years >= 70) + int(earlier_sah)
    points += band(size_mm, (7.0, 10.0, 20.0), (0, 3, 6, 10))
    points += {"ica": 0, "mca": 2}.get(site, 4)
    risk = PHASES_RISK[min(points, 12)]
    return Score(risk, f"{points} points: {risk:g} % in 5 years", details={"points": points})


def ucas(
    *,
    age_years: Years,
    female: bool,
    hypertension: bool,
    size_mm: Millimetres,
    site: Literal["ica", "aca", "va", "mca", "ba", "acom", "ic_pcom"],
    daughter_sac: bool,
) -> Score:
    """Three-year risk of rupture of an unruptured aneurysm (UCAS Japan).

    Args:
        age_years: age.
        female: whether the patient is a woman.
        hypertension: whether blood pressure is high.
        size_mm: largest diameter of the aneurysm.
        site: the artery that carries the aneurysm.
        daughter_sac: whether the sac has a daughter.
    """
    points = int(age_years >= 70) + int(female) + int(hypertension) + int(daughter_sac)
    points += band(size_mm, (7.0, 10.0, 20.0), (0, 2, 5, 8))
    points += {"ica": 0, "aca": 1, "va": 1, "mca": 2, "ba": 2, "acom": 3, "ic_pcom": 3}[site]
    low, high = band(points, (4, 6, 9), UCAS_RISK)
    words = f"{low:g}–{high:g} % in 3 years" if high else f"≥ {low:g} % in 3 years"
    risk = {"risk_3_years_low_percent": low, "risk_3_years_high_percent": high}
    return Score(
        float(points), words, details=risk, findings=_outside(size_mm < 3, "aneurysms of 3 mm")
    )


def elapss(
    *,
    earlier_sah: bool,
    site: Literal["ica", "aca", "acom", "mca", "pcom", "posterior"],
    age_years: Years,
    population: Literal["other", "japanese", "finnish"],
    size_mm: Millimetres,
    irregular: bool,
) -> Score:
    """Three- and five-year risk that an unruptured aneurysm grows (ELAPSS).

    Args:
        earlier_sah: whether another aneurysm bled before; it lowers the score.
        site: the artery that carries the aneurysm.
        age_years: age.
        population: where the patient comes from.
        size_mm: largest diameter of the aneurysm.
        irregular: whether the shape is irregular.
    """
    points = 0 if earlier_sah else 1
    points += {"mca": 3, "pcom": 5, "posterior": 5}.get(site, 0)
    points += max(ceil((age_years - 60.0) / 5.0), 0)
    points += {"japanese": 1, "finnish": 7, "other": 0}[population]
    points += band(size_mm, (3.0, 5.0, 7.0, 10.0), (0, 4, 10, 13, 22)) + 4 * int(irregular)
    three, five = band(points, (5, 10, 15, 20, 25), ELAPSS_GROWTH)
    return Score(
        float(points),
        f"growth {three:g} % in 3 years, {five:g} % in 5 years",
        details={"growth_3_years_percent": three, "growth_5_years_percent": five},
        findings=_outside(size_mm < 1, "aneurysms of 1 mm"),
    )


def aortic_diameter(*, diameter_mm: Annotated[float, Gt(0), Le(200)], female: bool) -> Score:
    """Largest abdominal aortic diameter beside the threshold at which repair is considered.

    Args:
        diameter_mm: largest diameter at a right angle to the centerline.
        female: whether the patient is a woman.
    """
    threshold = 50.0 if female else 55.0
    reached = diameter_mm >= threshold
    words = "at or above" if reached else "below"
    return Score(
        diameter_mm,
        f"{words} the threshold of {threshold:g} mm",
        details={"threshold_mm": threshold},
    )


def _outside(below: bool, what: str) -> tuple[Finding, ...]:
    """Return the finding that a size lies below what the score was derived from."""
    return (outside(f"only {what} and more were studied"),) if below else ()


MODELS = (
    Published(
        "phases",
        phases,
        "%",
        "8,382 patients with unruptured aneurysms in six prospective cohorts",
        "Greving 2014, doi:10.1016/S1474-4422(13)70263-1",
    ),
    Published(
        "ucas",
        ucas,
        "points",
        "6,606 aneurysms of at least 3 mm in Japan, 107 ruptures",
        "Tominari 2015, doi:10.1002/ana.24400",
    ),
    Published(
        "elapss",
        elapss,
        "points",
        "1,507 patients with 1,909 unruptured aneurysms in ten cohorts; growth, not rupture",
        "Backes 2017, doi:10.1212/WNL.0000000000003865",
    ),
    Published(
        "aortic_diameter",
        aortic_diameter,
        "mm",
        "infrarenal abdominal aortic aneurysms of adults",
        "Wanhainen 2019 (ESVS guideline), doi:10.1016/j.ejvs.2018.09.020",
    ),
)
