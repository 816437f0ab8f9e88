"""What scores of intracranial aneurysms must know of the patient and no image holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent

Fact = bool | float | str
Site = Literal["ica", "pcom", "aca", "acom", "mca", "basilar_tip", "basilar", "vertebral", "pca"]
Population = Literal["japanese", "finnish", "inuit", "other"]
BY_HAND = "entered by hand"
FROM_IMAGES = "DICOM images"
YEARS = ("age_years", "life_expectancy_years")


@dataclass(frozen=True)
class PatientFacts(Measurements):
    """What is known of a patient; what is not known is not there, and is never a no.

    Attributes:
        facts: name to yes or no, number or word.
        origins: name of a fact to where it comes from.
    """

    facts: Mapping[str, Fact] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        object.__setattr__(self, "origins", MappingProxyType(dict(self.origins)))


def aneurysm_patient(
    *,
    age_years: Annotated[float, Ge(0), Le(120)] | None = None,
    female: bool | None = None,
    population: Population | None = None,
    site: Site | None = None,
    hypertension: bool | None = None,
    earlier_sah: bool | None = None,
    smoker: bool | None = None,
    familial: bool | None = None,
    irregular: bool | None = None,
    daughter_sac: bool | None = None,
    multiple_aneurysms: bool | None = None,
    growth: bool | None = None,
    de_novo: bool | None = None,
    polycystic_kidneys: bool | None = None,
    drug_abuse: bool | None = None,
    alcohol_abuse: bool | None = None,
    cranial_nerve_deficit: bool | None = None,
    mass_effect: bool | None = None,
    thromboembolism: bool | None = None,
    epilepsy: bool | None = None,
    fear_of_rupture: bool | None = None,
    contralateral_occlusion: bool | None = None,
    life_expectancy_years: Annotated[float, Ge(0), Le(120)] | None = None,
    neurocognitive_disorder: bool | None = None,
    coagulopathy: bool | None = None,
    psychiatric_disorder: bool | None = None,
    high_complexity: bool | None = None,
    origins: tuple[tuple[str, Fact, str], ...] = (),
    progress: Progress = silent,
) -> PatientFacts:
    """What is known of the patient and the aneurysm that no image holds.

    What is not given is unknown, never a no: scores that need it say so and have no value.

    Args:
        age_years: Age.
        female: Whether the patient is a woman.
        population: Where the patient comes from.
        site: Artery that carries the aneurysm; pcom is the carotid at the posterior
            communicating artery, basilar_tip the basilar bifurcation.
        hypertension: Whether blood pressure is high (systolic over 140 mmHg).
        earlier_sah: Whether another aneurysm bled before.
        smoker: Whether the patient smokes now.
        familial: Whether relatives had aneurysms or subarachnoid haemorrhage.
        irregular: Whether the shape of the aneurysm is irregular or lobulated.
        daughter_sac: Whether the aneurysm has a daughter sac.
        multiple_aneurysms: Whether there are several aneurysms.
        growth: Whether the aneurysm grew between two images.
        de_novo: Whether the aneurysm was not there in an earlier image.
        polycystic_kidneys: Whether there is autosomal dominant polycystic kidney disease.
        drug_abuse: Whether drugs such as cocaine or amphetamine are abused now.
        alcohol_abuse: Whether alcohol is abused now.
        cranial_nerve_deficit: Whether the aneurysm causes a cranial nerve deficit.
        mass_effect: Whether the aneurysm has a mass effect, clinically or in the image.
        thromboembolism: Whether emboli came from the aneurysm.
        epilepsy: Whether the aneurysm causes epilepsy.
        fear_of_rupture: Whether fear of rupture lowers the quality of life.
        contralateral_occlusion: Whether the artery of the other side is narrowed or closed.
        life_expectancy_years: Life expectancy with chronic and malignant diseases.
        neurocognitive_disorder: Whether there is a neurocognitive disorder.
        coagulopathy: Whether there is a coagulopathy or thrombophilia.
        psychiatric_disorder: Whether there is a psychiatric disorder.
        high_complexity: Whether a repair would be complex.
        origins: Name, value and origin of what was not entered by hand; it holds for that value.
    """
    given: dict[str, Any] = dict(locals())
    known = {(name, value): origin for name, value, origin in origins}
    facts = {
        name: value
        for name, value in given.items()
        if name not in ("origins", "progress") and value is not None
    }
    where = {name: known.get((name, value), BY_HAND) for name, value in facts.items()}
    progress(1.0)
    return PatientFacts(
        tuple(Number(n, float(facts[n]), "years", where[n]) for n in YEARS if n in facts),
        _doubts(facts),
        facts,
        where,
    )


def known_from_images(identity: Mapping[str, Any], study_date: str) -> dict[str, Fact]:
    """Return age, in completed years at the study, and sex as DICOM images state them.

    Dates are YYYYMMDD; what is not stated, or is neither female nor male, is left out.
    """
    found: dict[str, Fact] = {}
    birth = str(identity.get("birth_date") or "")
    if all(len(day) == 8 and day.isdigit() for day in (birth, study_date)):
        years = (int(study_date) - int(birth)) // 10_000
        if 0 <= years <= 120:
            found["age_years"] = float(years)
    sex = identity.get("sex")
    if sex in ("F", "M"):
        found["female"] = sex == "F"
    return found


def _doubts(facts: Mapping[str, Fact]) -> tuple[Finding, ...]:
    """Return what contradicts itself."""
    if facts.get("growth") and facts.get("de_novo"):
        text = "an aneurysm that was not there before is also said to have grown"
        return (Finding(Severity.WARNING, "growth_and_new", text, remedy="Check both entries"),)
    return ()
