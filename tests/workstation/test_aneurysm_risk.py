"""The sheet of risk scores: worked patients, what is missing, whom it does not speak of."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.score_coefficients import UnusableCoefficients
from segmentation.contract import Measurements, Number
from workstation.formats import FORMATS, digest_value, kind_of
from workstation.planning.aneurysm_patient import aneurysm_patient, known_from_images
from workstation.planning.aneurysm_risk import NAMES, QUANTITIES, aneurysm_risk, merged
from workstation.planning.plan import Plan, Step
from workstation.stage import StageError
from workstation.stages import STAGES, check_plan

WORKED = {
    "age_years": 72,
    "female": True,
    "hypertension": True,
    "population": "japanese",
    "earlier_sah": False,
    "site": "acom",
    "daughter_sac": True,
    "irregular": False,
}
COEFFICIENTS = {
    "model": "xiang",
    "intercept": 0.0,
    "coefficients": {"size_ratio": {"coefficient": 1.0, "high": 3.0}},
    "source": "made up for this test",
    "population": "nobody; made up for this test",
}


def measured(**quantities):
    return Measurements(
        tuple(Number(q.replace("__", "."), v, "", "") for q, v in quantities.items())
    )


def sheet(size=8.0, flow=None, coefficients=(), **facts):
    return aneurysm_risk(
        measured(size=size), aneurysm_patient(**facts), flow, coefficients=coefficients
    )


def row(result, model):
    return next(one for one in result.rows if one.model == model)


def numbers(result):
    return {number.quantity: number.value for number in result.numbers}


def test_the_worked_patients():
    found = numbers(sheet(**WORKED))
    assert found["phases"] == 17.8
    assert found["phases.points"] == 12
    assert found["ucas"] == 9
    other = WORKED | {"site": "mca", "age_years": 58, "population": "other", "irregular": True}
    found = numbers(sheet(6.0, **other))
    assert (found["elapss"], found["elapss.growth_3_years"]) == (18, 17.5)
    assert found["elapss.growth_5_years"] == 28.1


def test_every_number_has_its_unit_population_and_source():
    for number in sheet(**WORKED).numbers:
        assert number.unit in ("%", "points")
        assert "derived from" in number.source
        assert (number.low, number.high) == (None, None)


def test_all_models_stand_in_the_sheet_in_one_order():
    assert [one.model for one in sheet().rows] == list(NAMES)


@pytest.mark.parametrize("left_out", ["hypertension", "earlier_sah", "site", "population"])
def test_what_is_not_known_is_no_no(left_out):
    facts = {name: value for name, value in WORKED.items() if name != left_out}
    result = sheet(**facts)
    phases = row(result, "phases")
    assert (phases.value, phases.missing) == (None, (left_out,))
    assert "phases" not in numbers(result)
    words = [f.sentence for f in result.findings if f.code == "risk_inputs"]
    assert any(w.startswith("PHASES") and left_out.replace("_", " ") in w for w in words)


def test_a_no_counts_as_one():
    with_it = numbers(sheet(**WORKED | {"population": "other"}))["phases.points"]
    without = numbers(sheet(**WORKED | {"population": "other", "hypertension": False}))
    assert without["phases.points"] == with_it - 1


SITES = {
    "ica": ("ica", "ica", "ica", "other", "ica"),
    "pcom": ("pcom", "ic_pcom", "pcom", "pcom", "pcom"),
    "aca": ("aca", "aca", "aca", "other", "aca"),
    "acom": ("acom", "acom", "acom", "acom", "acom"),
    "mca": ("mca", "mca", "mca", "other", "mca"),
    "basilar_tip": ("posterior", "ba", "posterior", "basilar_tip", "basilar"),
    "basilar": ("posterior", "ba", "posterior", "vertebrobasilar", "basilar"),
    "vertebral": ("posterior", "va", "posterior", "vertebrobasilar", "vertebral"),
    "pca": ("posterior", None, "posterior", "other", "pca"),
}


@pytest.mark.parametrize("site", SITES)
def test_each_model_hears_the_site_in_its_own_words(site):
    result = sheet(**WORKED | {"site": site})
    models = ("phases", "ucas", "elapss", "uiats", "detmer")
    assert tuple(row(result, m).inputs.get("site") for m in models) == SITES[site]


def test_a_site_that_a_score_does_not_know_leaves_it_without_a_value():
    ucas = row(sheet(**WORKED | {"site": "pca"}), "ucas")
    assert (ucas.value, ucas.missing) == (None, ("site",))
    assert "no group of their own" in ucas.notes[0].sentence


def test_outside_the_derivation_range_is_said():
    found = [f.sentence for f in sheet(2.5, **WORKED | {"population": "finnish"}).findings]
    assert any("UCAS Japan: outside" in s and "in Japan" in s for s in found)
    assert any("UCAS Japan: outside" in s and "3 mm" in s for s in found)
    unknown = sheet(**{name: fact for name, fact in WORKED.items() if name != "population"})
    (note,) = row(unknown, "ucas").notes
    assert (note.code, note.severity.value) == ("derivation_not_known", "warning")
    assert any("UCAS Japan: not known whether" in f.sentence for f in unknown.findings)
    inuit = row(sheet(**WORKED | {"population": "inuit"}), "phases")
    assert inuit.inputs["population"] == "other"
    assert "Inuit" in inuit.notes[0].sentence
    assert not row(sheet(**WORKED), "phases").notes


def test_models_without_coefficients_show_their_inputs():
    flow = measured(osi__dome_mean=0.1, wss__dome_normalised=0.4)
    xiang = row(sheet(flow=flow), "xiang")
    assert (xiang.value, xiang.label) == (None, "needs coefficients")
    assert dict(xiang.inputs) == {"osi": 0.1, "wss_normalised": 0.4}
    assert xiang.missing == ("size_ratio",)


def test_a_second_sheet_holds_only_what_waits_for_the_flow():
    shape, patient = measured(size=8.0, size_ratio=4.0), aneurysm_patient(**WORKED)
    first = aneurysm_risk(shape, patient)
    flow = measured(osi__dome_mean=0.1, wss__dome_normalised=0.4)
    second = aneurysm_risk(shape, patient, flow, models="flow")
    assert [one.model for one in second.rows] == ["suzuki", "xiang", "detmer"]
    assert not second.numbers, "no score is told twice"
    assert not second.findings, "nor what it needs"
    rows = {one.model: one for one in merged((first, second))}
    assert list(rows) == list(NAMES)
    assert rows["phases"].value == row(first, "phases").value
    assert rows["xiang"].missing == ()
    assert row(first, "xiang").missing == ("wss_normalised", "osi")


def test_coefficients_switch_a_model_on():
    shape = measured(size=5.0, size_ratio=4.0)
    result = aneurysm_risk(shape, aneurysm_patient(), coefficients=(COEFFICIENTS,))
    assert numbers(result)["xiang"] == pytest.approx(98.2014)
    assert "made up" in row(result, "xiang").source
    assert any("size ratio is 4" in f.sentence for f in result.findings)
    short = aneurysm_risk(measured(size=5.0), aneurysm_patient(), coefficients=(COEFFICIENTS,))
    assert row(short, "xiang").missing == ("size_ratio",)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (({"model": "phases"},), "for 'phases'; models that take them: suzuki"),
        ((COEFFICIENTS, COEFFICIENTS), "given twice"),
        ((COEFFICIENTS | {"source": ""},), "source must say"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(given_, words):
    with pytest.raises(UnusableCoefficients, match=words):
        sheet(coefficients=given_)


def test_shares_in_percent_are_shares():
    flow = Measurements((Number("wss.low_area", 27.0, "%", ""),))
    assert row(sheet(flow=flow), "suzuki").inputs["low_shear_share"] == pytest.approx(0.27)


def test_a_band_that_changes_a_score_is_said():
    def shaped(low, high):
        shape = Measurements((Number("size", 6.8, "mm", "", low, high),))
        return aneurysm_risk(shape, aneurysm_patient(**WORKED | {"age_years": 50}))

    note = row(shaped(6.5, 7.1), "phases").notes[0]
    assert (note.code, note.sentence) == (
        "band_of_inputs",
        "Within the bands of what was measured it lies between 3.2 and 7.2 %.",
    )
    assert any(f.sentence.startswith("PHASES: within") for f in shaped(6.5, 7.1).findings)
    assert not row(shaped(6.5, 6.9), "phases").notes


def test_the_neck_follows_from_height_and_aspect_ratio():
    shape = measured(height=6.0, aspect_ratio=1.5)
    assert row(aneurysm_risk(shape, aneurysm_patient()), "suzuki").inputs["neck_width_mm"] == 4.0


def test_what_the_models_take_is_what_shape_and_flow_measure():
    files = ("meshing/aneurysm_shape.py", "hemodynamics/dome_flow.py")
    root = Path(__file__).parents[2]
    made = "".join((root / file).read_text(encoding="utf-8") for file in files)
    assert [q for q in QUANTITIES.values() if f'"{q}"' not in made] == []


def test_every_input_of_every_model_can_be_known():
    quantities = (*QUANTITIES.values(), "height")
    shape = Measurements(tuple(Number(q, 0.3, "", "") for q in quantities))
    no = {
        name: False
        for name, parameter in STAGES["planning.aneurysm_patient"].parameters.items()
        if parameter.schema.get("anyOf", [{}])[0].get("type") == "boolean"
    }
    facts = WORKED | no | {"life_expectancy_years": 20}
    result = aneurysm_risk(shape, aneurysm_patient(**facts))
    assert all(not one.missing for one in result.rows)


def test_facts_and_sheet_are_kept(tmp_path):
    flow = measured(osi__dome_mean=0.1)
    patient = aneurysm_patient(**WORKED, origins=(("age_years", 72, "FHIR"),))
    for value in (patient, sheet(flow=flow, **WORKED)):
        form = FORMATS[kind_of(value)]
        assert form.type is type(value)
        back = form.read(json.loads(json.dumps(form.record(value))), tmp_path)
        assert back == value
        assert digest_value(back) == digest_value(value)
    assert patient.origins["age_years"] == "FHIR"
    assert patient.origins["site"] == "entered by hand"
    assert patient.numbers[0].source == "FHIR"


@pytest.mark.parametrize(
    ("birth", "study", "sex", "found"),
    [
        ("19601123", "20261122", "F", {"age_years": 65.0, "female": True}),
        ("19601122", "20261122", "M", {"age_years": 66.0, "female": False}),
        ("1960", "20261122", "O", {}),
        ("", "", "", {}),
        ("20270101", "20261122", "F", {"female": True}),
    ],
)
def test_age_and_sex_as_images_state_them(birth, study, sex, found):
    assert known_from_images({"birth_date": birth, "sex": sex}, study) == found


def test_growth_of_a_new_aneurysm_is_doubted():
    assert aneurysm_patient(growth=True, de_novo=True).findings[0].code == "growth_and_new"
    assert not aneurysm_patient(growth=True, de_novo=False).findings


def test_plans_check_what_is_entered():
    def plan(**params):
        return Plan("1.2", {}, (Step("planning.aneurysm_patient", "patient", params=params),))

    check_plan(plan(age_years=58, site="mca", hypertension=False))
    for wrong in ({"site": "knee"}, {"hypertension": "no"}, {"age_years": -1}):
        with pytest.raises(StageError, match="refused"):
            check_plan(plan(**wrong))


@given(st.floats(0.5, 40))
def test_the_sheet_is_the_same_each_time(size):
    assert digest_value(sheet(size, **WORKED)) == digest_value(sheet(size, **WORKED))
