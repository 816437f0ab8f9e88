"""UIATS against a patient summed by hand, every item by itself, and every edge of its bands."""

import inspect

import pytest

from hemodynamics.rupture_uiats import uiats

NOBODY = {
    "age_years": 50,
    "population": "other",
    "life_expectancy_years": 20,
    "size_mm": 5.0,
    "aspect_ratio": 1.0,
    "size_ratio": 1.0,
    "site": "other",
} | {
    name: False
    for name, parameter in inspect.signature(uiats).parameters.items()
    if parameter.annotation == "bool"
}
REPAIR, AGAINST = 3 + 1, 1 + 1 + 0 + 5  # age and size; life expectancy, age, size, constant


def points(**changed):
    found = uiats(**NOBODY | changed).details
    return found["repair_points"] - REPAIR, found["conservative_points"] - AGAINST


def test_a_patient_without_any_item():
    assert points() == (0, 0)


@pytest.mark.parametrize(
    ("item", "repair", "against"),
    [
        ("earlier_sah", 4, 0),
        ("familial", 3, 0),
        ("smoker", 3, 0),
        ("hypertension", 2, 0),
        ("polycystic_kidneys", 2, 0),
        ("drug_abuse", 2, 0),
        ("alcohol_abuse", 1, 0),
        ("cranial_nerve_deficit", 4, 0),
        ("mass_effect", 4, 0),
        ("thromboembolism", 3, 0),
        ("epilepsy", 1, 0),
        ("fear_of_rupture", 2, 0),
        ("multiple_aneurysms", 1, 0),
        ("irregular", 3, 0),
        ("growth", 4, 0),
        ("de_novo", 3, 0),
        ("contralateral_occlusion", 1, 0),
        ("neurocognitive_disorder", 0, 3),
        ("coagulopathy", 0, 2),
        ("psychiatric_disorder", 0, 2),
        ("high_complexity", 0, 3),
    ],
)
def test_what_each_item_counts(item, repair, against):
    assert points(**{item: True}) == (repair, against)


def test_every_yes_or_no_was_looked_at():
    items = {n for n, p in inspect.signature(uiats).parameters.items() if p.annotation == "bool"}
    assert len(items) == 21
    assert items <= set(NOBODY)


@pytest.mark.parametrize(
    ("age", "repair", "against"),
    [
        (39.9, 4, 0),
        (40, 3, 1),
        (60.9, 3, 1),
        (61, 2, 3),
        (70.9, 2, 3),
        (71, 1, 4),
        (80.9, 1, 4),
        (81, 0, 5),
    ],
)
def test_bands_of_age(age, repair, against):
    assert points(age_years=age) == (repair - 3, against - 1)


@pytest.mark.parametrize(
    ("size", "repair", "against"),
    [
        (3.9, 0, 0),
        (4.0, 1, 0),
        (5.9, 1, 0),
        (6.0, 1, 1),
        (6.94, 1, 1),
        (7.0, 2, 1),
        (10.04, 2, 1),
        (10.1, 2, 3),
        (12.9, 2, 3),
        (13.0, 3, 3),
        (20.0, 3, 3),
        (20.1, 3, 5),
        (24.9, 3, 5),
        (25.0, 4, 5),
    ],
)
def test_bands_of_size(size, repair, against):
    assert points(size_mm=size) == (repair - 1, against)


@pytest.mark.parametrize(("years", "against"), [(4.9, 4), (5, 3), (10, 3), (10.1, 1)])
def test_bands_of_life_expectancy(years, against):
    assert points(life_expectancy_years=years) == (0, against - 1)


@pytest.mark.parametrize(
    ("site", "repair"),
    [("basilar_tip", 5), ("vertebrobasilar", 4), ("acom", 2), ("pcom", 2), ("other", 0)],
)
def test_sites(site, repair):
    assert points(site=site) == (repair, 0)


@pytest.mark.parametrize("population", ["japanese", "finnish", "inuit"])
def test_populations(population):
    assert points(population=population) == (2, 0)


def test_a_long_or_large_sac_counts_once_and_only_beyond_its_limit():
    assert points(aspect_ratio=1.6, size_ratio=3.0) == (0, 0)
    assert points(aspect_ratio=1.61) == (1, 0)
    assert points(size_ratio=3.01) == (1, 0)
    assert points(aspect_ratio=2.0, size_ratio=4.0) == (1, 0)


@pytest.mark.parametrize(
    ("changed", "difference", "verdict"),
    [
        ({"smoker": True, "familial": True}, 3, "treat"),
        ({"smoker": True, "hypertension": True}, 2, "not definitive"),
        ({}, -3, "conservative"),
        ({"alcohol_abuse": True}, -2, "not definitive"),
    ],
)
def test_three_points_decide(changed, difference, verdict):
    found = uiats(**NOBODY | changed)
    assert found.value == difference
    assert found.details["verdict"] == verdict
    assert found.label.startswith(verdict)


def test_a_child_is_outside_what_the_panel_judged():
    assert uiats(**NOBODY | {"age_years": 17.9}).findings[0].code == "outside_derivation"
    assert not uiats(**NOBODY | {"age_years": 18}).findings
