import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemodynamics.rupture import elapss, phases, ucas
from workstation import scores
from workstation.__main__ import main
from workstation.planning.blood_group import abo
from workstation.planning.liver_function import child_pugh
from workstation.planning.tissue_type import UnreadableTyping, antigens, hla_mismatch
from workstation.stage import StageError

LABS = "creatinine_mg_dl=1.5 bilirubin_mg_dl=3 inr=1.8"

WORKED = [  # each with its published or computed answer
    ("poiseuille_wss flow_ml_s=4 radius_mm=2 viscosity_pa_s=0.0035", 2.2282, 5e-5),
    (
        "phases population=japanese hypertension=true age_years=72 size_mm=8 earlier_sah=false "
        "site=aca",
        17.8,
        1e-9,
    ),
    (
        "ucas age_years=72 female=true hypertension=true size_mm=8 site=acom daughter_sac=true",
        9,
        1e-9,
    ),
    (
        "elapss earlier_sah=false site=mca age_years=58 population=other size_mm=6 irregular=true",
        18,
        1e-9,
    ),
    ("standard_liver_volume height_cm=175 weight_kg=75", 1625.3, 0.05),
    ("standard_liver_volume height_cm=175 weight_kg=75 formula=urata", 1350.82, 0.05),
    ("flr remnant_ml=400 height_cm=175 weight_kg=75", 24.6, 0.05),
    (f"meld {LABS}", 21.05, 0.005),
    (f"meld_na {LABS} sodium_mmol_l=130", 25.42, 0.005),
    (f"meld_3 {LABS} sodium_mmol_l=130 albumin_g_dl=2.8 female=true", 26.87, 0.005),
    (f"meld_3 {LABS} sodium_mmol_l=130 albumin_g_dl=2.8 female=false", 25.54, 0.005),
    ("albi bilirubin_umol_l=20 albumin_g_l=40", -2.541, 5e-4),
    (
        "portal_pressure_4r map_mmhg=85 pvp_mmhg=9 sinusoidal_mmhg=6 cvp_mmhg=4 "
        "portal_flow_l_min=1 arterial_flow_l_min=0.3 resected_fraction=0.6",
        14.91,
        0.005,
    ),
    (
        "kdri year=2024 age_years=52 height_cm=183 weight_kg=81 hypertension=yes diabetes=no "
        "stroke_death=1 creatinine_mg_dl=1.7 dcd=true",
        1.71236,
        5e-6,
    ),
    (
        "epts_raw age_years=23.5838467 diabetes=0 prior_transplant=1 dialysis_years=5.0814511",
        0.9666517,
        5e-7,
    ),
    (
        "epts_raw age_years=52.8788501 diabetes=0 prior_transplant=0 dialysis_years=0",
        1.440306,
        5e-7,
    ),
    (
        "epts_raw age_years=22.5242984 diabetes=1 prior_transplant=1 dialysis_years=6.8747433",
        1.868751,
        5e-7,
    ),
    (
        "lkdpi age_years=55 egfr=90 bmi=26 black=0 smoker=0 sbp_mmhg=125 male_to_male=0 "
        "abo_incompatible=0 related=1 b_mismatches=1 dr_mismatches=1 weight_ratio=0.85",
        22.67,
        0.005,
    ),
    ("predicted_heart_mass female=true age_years=40 height_m=1.65 weight_kg=65", 135.44, 0.005),
    ("predicted_heart_mass female=false age_years=55 height_m=1.78 weight_kg=85", 193.62, 0.005),
    ("predicted_tlc female=true height_m=1.65", 5.10, 0.005),
    ("predicted_tlc female=false height_m=1.75", 6.9025, 5e-5),
    ("hla_mismatch donor=A1,A2,B5,B7,DR1,DR4 recipient=A1,A2,B3,B15,DR4,DR7", 3, 1e-9),
    ("cpra haplotype_frequency_sum=0.30", 0.51, 1e-9),
]


def score(line):
    name, *pairs = line.split()
    return scores.compute(name, dict(pair.split("=", 1) for pair in pairs))


@pytest.mark.parametrize(("line", "value", "tolerance"), WORKED)
def test_worked_examples(line, value, tolerance):
    record = score(line)
    assert record["value"] == pytest.approx(value, abs=tolerance)
    assert record["missing"] == []
    assert record["source"]
    assert record["population"]


def test_further_results_stand_beside_the_inputs():
    inputs = score(WORKED[0][0])["inputs"]
    assert inputs["reynolds"] == pytest.approx(385.6, abs=0.05)
    assert score(WORKED[1][0])["inputs"]["points"] == 12
    assert "≥ 17 %" in score(WORKED[2][0])["label"]
    growth = score(WORKED[3][0])["inputs"]
    assert (growth["growth_3_years_percent"], growth["growth_5_years_percent"]) == (17.5, 28.1)
    donor = score(WORKED[13][0])["inputs"]
    assert donor["x_beta"] == pytest.approx(0.53787, abs=5e-6)
    assert donor["scaled_2023"] == pytest.approx(1.30813, abs=5e-6)
    assert donor["scaled"] == donor["scaled_2024"] == pytest.approx(1.21931, abs=5e-6)
    after = score(WORKED[12][0])["inputs"]
    assert after["gradient_after_mmhg"] == pytest.approx(10.91, abs=0.005)
    assert after["portal_flow_after_l_min"] == pytest.approx(0.922, abs=5e-4)
    assert after["arterial_flow_after_l_min"] == pytest.approx(0.117, abs=5e-4)


@pytest.mark.parametrize(("exponent", "first"), [(3, 0.7033), (2, 0.6400)])
def test_outflow_split(exponent, first):
    record = score(f"outflow_split diameters_mm=2.0,1.5 exponent={exponent}")
    assert record["value"] is None
    assert record["inputs"]["fractions"] == pytest.approx([first, 1 - first], abs=5e-5)
    assert score("outflow_split diameters_mm=[2.0,1.5]")["inputs"]["fractions"][0] > 0.7


@pytest.mark.parametrize(
    ("size", "points"), [(6.99, 0), (7, 3), (9.99, 3), (10, 6), (19.99, 6), (20, 10)]
)
def test_phases_bands_of_size(size, points):
    plain = {"population": "other", "hypertension": False, "age_years": 69.9, "site": "ica"}
    found = phases(**plain, earlier_sah=False, size_mm=size)
    assert found.details["points"] == points
    assert phases(**plain | {"age_years": 70}, earlier_sah=True, size_mm=size).details[
        "points"
    ] == (points + 2)


@pytest.mark.parametrize(("size", "points"), [(6.9, 0), (7, 2), (10, 5), (19.9, 5), (20, 8)])
def test_ucas_bands_of_size(size, points):
    plain = {"age_years": 50, "female": False, "hypertension": False, "daughter_sac": False}
    assert ucas(**plain, site="ica", size_mm=size).value == points
    assert ucas(**plain, site="ba", size_mm=size).value == points + 2


def test_a_size_below_those_studied_is_said():
    plain = {"age_years": 50, "female": False, "hypertension": False, "daughter_sac": False}
    assert ucas(**plain, site="ica", size_mm=2.9).findings[0].code == "outside_derivation"
    assert not ucas(**plain, site="ica", size_mm=3.0).findings


@pytest.mark.parametrize(
    ("age", "points"), [(60, 0), (60.5, 1), (65, 1), (66, 2), (70, 2), (81, 5)]
)
def test_elapss_counts_every_five_years_beyond_sixty(age, points):
    plain = {"earlier_sah": True, "site": "ica", "population": "other", "irregular": False}
    assert elapss(**plain, size_mm=2, age_years=age).value == points


@pytest.mark.parametrize(
    ("bilirubin", "albumin", "inr", "ascites", "grade", "points", "letter"),
    [
        (1.9, 3.6, 1.6, "none", 0, 5, "A"),
        (2.0, 3.5, 1.7, "none", 0, 8, "B"),
        (3.0, 2.8, 2.3, "mild", 2, 10, "C"),
        (3.1, 2.7, 2.4, "severe", 3, 15, "C"),
        (1.0, 4.0, 1.0, "moderate", 0, 7, "B"),
    ],
)
def test_child_pugh_at_its_edges(bilirubin, albumin, inr, ascites, grade, points, letter):
    found = child_pugh(
        bilirubin_mg_dl=bilirubin,
        albumin_g_dl=albumin,
        inr=inr,
        ascites=ascites,
        encephalopathy_grade=grade,
    )
    assert (found.value, found.label) == (points, f"class {letter}")


def test_sodium_counts_only_above_eleven_points_and_within_its_limits():
    low = "creatinine_mg_dl=1 bilirubin_mg_dl=1 inr=1"
    assert score(f"meld_na {low} sodium_mmol_l=125")["value"] == pytest.approx(6.43)
    assert (
        score(f"meld_na {LABS} sodium_mmol_l=110")["value"]
        == score(f"meld_na {LABS} sodium_mmol_l=125")["value"]
    )


def test_the_legacy_kdri_needs_what_only_it_uses():
    line = (
        "kdri year=legacy age_years=40 height_cm=170 weight_kg=80 hypertension=no diabetes=no "
        "stroke_death=no creatinine_mg_dl=1 dcd=no"
    )
    with pytest.raises(ValueError, match="needs black and hcv"):
        score(line)
    assert score(line + " black=no hcv=no")["value"] == pytest.approx(1.0)
    assert score(line + " black=no hcv=yes")["inputs"]["x_beta"] == pytest.approx(0.24)


@pytest.mark.parametrize(
    ("donor", "recipient", "verdict"),
    [
        ("O", "A", "compatible"),
        ("A", "AB", "compatible"),
        ("A", "O", "incompatible"),
        ("A1", "B", "incompatible"),
        ("A2", "O", "review"),
        ("A2B", "B", "review"),
        ("A2B", "O", "incompatible"),
        ("A2", "A1B", "compatible"),
        ("AB", "A", "incompatible"),
        ("B", "B", "compatible"),
        ("O neg", "B+", "compatible"),
    ],
)
def test_blood_groups(donor, recipient, verdict):
    record = scores.compute("abo", {"donor": donor, "recipient": recipient})
    assert record["label"] == verdict


@given(st.sampled_from(["O", "A", "B", "AB", "A2"]), st.sampled_from(["O", "A", "B", "AB"]))
def test_everybody_tolerates_their_own_group_and_o(donor, recipient):
    assert abo(donor="O", recipient=recipient).label == "compatible"
    assert abo(donor=recipient, recipient=recipient).label == "compatible"
    assert abo(donor=donor, recipient="AB").label == "compatible"


def test_a_homozygous_donor_adds_one_antigen():
    found = hla_mismatch(donor="A1,A1,B7,B8,DR1", recipient="A2,A3,B7,B8,DR1,DR4")
    assert found.value == 1


def test_broad_and_split_antigens_widen_the_bound():
    found = hla_mismatch(donor="A1,A2,B51,B7,DR1,DR4", recipient="A1,A2,B5,B7,DR1,DR4")
    assert (found.low, found.value, found.high) == (0, 0, 1)
    assert found.findings[0].code == "broad_or_split"
    apart = hla_mismatch(donor="A1,A2,B51,B7,DR1,DR4", recipient="A1,A2,B52,B7,DR1,DR4")
    assert (apart.low, apart.high) == (1, 1)


def test_an_untyped_locus_leaves_no_number():
    found = hla_mismatch(donor="A1,A2,B5,B7", recipient="A1,A2,B5,B7,DR1,DR4")
    assert found.value is None
    assert "DR" in found.findings[0].sentence


def test_typings_are_read_as_laboratories_write_them():
    assert antigens("HLA-A1; A2 Cw3 Bw4 DR52 DR1,dr1") == {
        "A": ("A1", "A2"),
        "C": ("C3",),
        "BW": ("BW4",),
        "DR345": ("DR52",),
        "DR": ("DR1",),
    }
    with pytest.raises(UnreadableTyping, match="three antigens"):
        antigens("A1,A2,A3")
    with pytest.raises(UnreadableTyping, match="'X9'"):
        antigens("A1,X9")


@given(st.permutations(["A1", "A2", "B51", "B7", "DR1", "DR4"]))
def test_the_order_of_antigens_does_not_matter(order):
    assert hla_mismatch(donor=",".join(order), recipient="A2,A3,B7,B8,DR4,DR7").value == 3


def test_missing_inputs_are_listed_and_give_no_value(capsys):
    assert main(["score", "meld", "inr=1.2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["value"] is None
    assert record["missing"] == ["creatinine_mg_dl", "bilirubin_mg_dl"]
    assert set(record) >= {
        "name",
        "value",
        "unit",
        "low",
        "high",
        "label",
        "inputs",
        "missing",
        "source",
        "population",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "no score 'nonsense'"),
        (["meld", "colour=3"], "no input 'colour'"),
        (["meld", "inr=high"], "inr is refused"),
        (["phases", "hypertension=perhaps"], "hypertension is refused"),
        (["albi", "bilirubin_umol_l=-4"], "bilirubin_umol_l is refused"),
    ],
)
def test_what_is_wrong_is_said(arguments, words, capsys):
    assert main(["score", *arguments]) == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_list_names_inputs_units_population_and_source(capsys):
    assert main(["score", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scores"]
    assert {record["name"] for record in listed} >= {line.split()[0] for line, *_ in WORKED}
    for record in listed:
        assert record["title"]
        assert record["population"]
        assert record["source"]
        assert all(wanted["description"] for wanted in record["inputs"]), record["name"]
    assert main(["score"]) == 0
    assert "PHASES" in capsys.readouterr().out


def test_a_model_waits_for_its_coefficients(tmp_path, capsys):
    assert main(["score", "xiang", "size_ratio=2", "osi=0.1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["value"], record["label"]) == (None, "needs coefficients")
    assert record["missing"] == ["wss_normalised"]
    assert record["inputs"]["osi"] == 0.1
    file = tmp_path / "xiang.json"
    terms = {"osi": {"coefficient": 3.0, "low": 0.2}}
    about = {"source": "made up, for a test", "population": "nobody, a test"}
    file.write_text(
        json.dumps({"model": "xiang", "intercept": -0.3, "coefficients": terms} | about)
    )
    given = ["--coefficients", str(file)]
    assert main(["score", "xiang", "osi=0.1", "--json", *given]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["value"] == pytest.approx(50.0)
    assert (record["population"], record["missing"]) == ("nobody, a test", [])
    assert record["findings"][0]["code"] == "outside_derivation"
    assert main(["score", *given, "xiang", "--json", "osi=0.1"]) == 0
    assert json.loads(capsys.readouterr().out) == record
    assert main(["score", "phases", *given]) == 1
    assert "takes no file" in capsys.readouterr().err
    assert main(["score", "detmer", *given]) == 1
    assert "'xiang', not of 'detmer'" in capsys.readouterr().err
    file.write_text("{}")
    assert main(["score", "xiang", *given]) == 1
    assert f"{file}: coefficients of xiang: model is missing" in capsys.readouterr().err
    assert main(["score", "xiang", "--coefficients", str(tmp_path / "none.json")]) == 1


def test_a_broken_plug_in_is_listed_with_its_problem(monkeypatch):
    def load():
        raise ImportError("no such module")

    entry = SimpleNamespace(name="broken", load=load)
    monkeypatch.setattr(scores, "entry_points", lambda group: [entry])
    assert "no such module" in scores.scores()["broken"].to_json()["problem"]
    with pytest.raises(StageError, match="cannot be used"):
        scores.compute("broken", {})
