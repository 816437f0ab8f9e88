"""Models that wait for coefficients: without them no value, with them the logistic law."""

import json
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.rupture_slots import SLOTS, detmer, xiang
from hemodynamics.score_coefficients import (
    NEEDS_COEFFICIENTS,
    UnusableCoefficients,
    read_coefficients,
    unit_of,
)

XIANG, DETMER = SLOTS[1], SLOTS[2]
FILE = {
    "model": "xiang",
    "intercept": -1.5,
    "coefficients": {
        "size_ratio": {"coefficient": 0.5, "low": 0.4, "high": 6.0},
        "osi": {"coefficient": 2.0, "centre": 0.01, "scale": 0.02},
    },
    "source": "made up for this test, 2026",
    "population": "nobody; made up for this test",
}


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.name)
def test_without_coefficients_there_is_no_value(slot):
    found = slot.compute()
    assert found.value is None
    assert found.label == NEEDS_COEFFICIENTS
    assert found.findings[0].code == "needs_coefficients"


def test_what_is_known_is_not_missing():
    assert xiang(osi=0.1).missing == ("size_ratio", "wss_normalised")
    assert "female" not in detmer(female=False).missing


@given(st.floats(0.5, 5), st.floats(0, 0.5))
def test_the_logistic_law(size_ratio, osi):
    found = XIANG.with_coefficients(FILE).compute(size_ratio=size_ratio, osi=osi)
    log_odds = -1.5 + 0.5 * size_ratio + 2.0 * (osi - 0.01) / 0.02
    assert found.value == pytest.approx(100 / (1 + exp(-log_odds)), rel=1e-9)
    assert not found.findings


def test_population_and_source_are_those_of_the_file():
    model = XIANG.with_coefficients(FILE)
    assert model.population == FILE["population"]
    assert FILE["source"] in model.source
    assert XIANG.source in model.source


def test_an_input_that_is_needed_and_missing_leaves_no_value():
    found = XIANG.with_coefficients(FILE).compute(size_ratio=2.0, wss_normalised=0.3)
    assert (found.value, found.missing) == (None, ("osi",))


@pytest.mark.parametrize(
    ("ratio", "beyond"), [(0.39, True), (0.4, False), (6.0, False), (6.1, True)]
)
def test_a_value_outside_what_was_studied_is_said(ratio, beyond):
    found = XIANG.with_coefficients(FILE).compute(size_ratio=ratio, osi=0.01)
    assert found.value is not None
    assert [f.code for f in found.findings] == ["outside_derivation"] * beyond


def test_words_and_yes_or_no():
    file = FILE | {
        "model": "detmer",
        "intercept": 0.0,
        "coefficients": {
            "site": {"coefficient": {"mca": 0.2, "acom": 1.0}},
            "female": {"coefficient": -0.5},
        },
    }
    model = DETMER.with_coefficients(file)
    assert model.compute(site="acom", female=True).details["log_odds"] == pytest.approx(0.5)
    assert model.compute(site="mca", female=False).details["log_odds"] == pytest.approx(0.2)
    with pytest.raises(UnusableCoefficients, match="no coefficient for 'ica'"):
        model.compute(site="ica", female=True)


def changed(**parts):
    return FILE | parts


def term(name, **parts):
    return changed(coefficients={name: parts})


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ({}, "model is missing, intercept is missing, .*; the file holds model"),
        (changed(model="suzuki"), "'suzuki', not of 'xiang'"),
        (changed(source=" "), "the source must say"),
        (changed(population="?"), "the population must say"),
        (changed(coefficients={}), "there is none"),
        (changed(intercept="-1.5"), "intercept"),
        (changed(intercept=float("nan")), "intercept"),
        (changed(formula="__import__('os')"), "formula is not known"),
        (term("colour", coefficient=1.0), "no input 'colour'; it has: size_ratio"),
        (term("osi"), "osi.coefficient is missing"),
        (term("osi", coefficient="exp(1)"), "coefficients.osi.coefficient"),
        (term("osi", coefficient=1.0, power=2), "coefficients.osi.power"),
        (term("osi", coefficient=1.0, unit="Pa"), "osi is in no unit, not in Pa"),
        (term("osi", coefficient=1.0, scale=0.0), "scale must not be 0"),
        (term("osi", coefficient=1.0, low=2.0, high=1.0), "low must lie below high"),
        (term("osi", coefficient={"a": 1.0}), "osi is a number"),
    ],
)
def test_bad_files_are_refused_with_what_is_wrong(file, words):
    with pytest.raises(UnusableCoefficients, match=words.replace("(", r"\(")):
        XIANG.with_coefficients(file)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"site": {"coefficient": 1.0}}, "site is one of ica, pcom"),
        ({"site": {"coefficient": {"knee": 1.0}}}, "site knows no 'knee'"),
        ({"wss_pa": {"coefficient": 1.0, "unit": "dyn/cm2"}}, "wss_pa is in Pa, not in dyn/cm2"),
        ({"wss_pa": {"coefficient": 1.0}}, "wss_pa is in Pa, not in no unit"),
    ],
)
def test_units_and_words_must_be_those_of_the_model(parts, words):
    with pytest.raises(UnusableCoefficients, match=words):
        DETMER.with_coefficients(changed(model="detmer", coefficients=parts))


def test_reading_a_file():
    assert read_coefficients(json.dumps(FILE)) == FILE
    with pytest.raises(UnusableCoefficients, match="no JSON"):
        read_coefficients("size_ratio * 2")
    with pytest.raises(UnusableCoefficients, match="one JSON object"):
        read_coefficients("[]")


@pytest.mark.parametrize(
    ("name", "unit"),
    [("wss_pa", "Pa"), ("size_mm", "mm"), ("age_years", "years"), ("osi", ""), ("size_ratio", "")],
)
def test_units_of_inputs(name, unit):
    assert unit_of(name) == unit
