"""Clinical data in a case: whose they are, what a plan takes from them, what is told."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation.images import write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from tests.workstation.fhir_bundles import bundle, measured, patient, whole_record, write
from workstation.__main__ import main
from workstation.case import create_case, open_case
from workstation.clinical import ClinicalError, ClinicalPatient, Identifier
from workstation.clinical_case import import_clinical, split_clinical
from workstation.clinical_match import OtherPatient, match, patient_of_images
from workstation.dicom.files import scan
from workstation.phantom import abdomen, write_dicom
from workstation.planning.clinical_values import differences, with_clinical
from workstation.planning.patient import patient as patient_stage
from workstation.planning.plan import Plan, Step
from workstation.stages import check_plan

DICOM = {
    "name": "ODEGARD^ASTRID^MARIA",
    "patient_id": "MRN-7",
    "birth_date": "19610409",
    "sex": "F",
}
HERE = patient_of_images(DICOM)
THERE = ClinicalPatient("Ödegård", "Astrid Maria", "1961-04-09", "F", (Identifier("MRN-7", "u"),))


@pytest.fixture
def case(tmp_path):
    with create_case(tmp_path / "case") as made:
        made.record.patient = dict(DICOM)
        yield made


@pytest.fixture
def record(tmp_path):
    return write(tmp_path / "record.json", whole_record())


# Whose they are -------------------------------------------------------------------------


def test_the_same_patient_is_recognised():
    assert match(HERE, THERE) == ()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"birth_date": "1961-04-10"}, "birth date differ"),
        ({"birth_date": "1962"}, "birth date differ"),
        ({"sex": "M"}, "sex differ"),
        ({"sex": "M", "birth_date": "1950-01-01"}, "birth date and the sex differ"),
    ],
)
def test_a_contradiction_is_refused_even_with_a_link(changes, fields):
    for linked in ("", "MRN-7"):
        with pytest.raises(OtherPatient, match=fields):
            match(HERE, replace(THERE, **changes), linked)


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "Smith", "identifiers": ()},
        {"given": "Bertha", "identifiers": ()},
        {"family": "Smith", "birth_date": ""},
        {"family": "", "given": "", "birth_date": "", "identifiers": (Identifier("9"),)},
    ],
)
def test_doubt_is_refused_until_somebody_vouches(changes):
    other = replace(THERE, **changes)
    with pytest.raises(OtherPatient, match="--other-patient-id"):
        match(HERE, other)
    known = replace(other, identifiers=(Identifier("9"),))
    assert match(HERE, known, "9")[0].severity == "warning"
    with pytest.raises(OtherPatient, match="do not know their patient"):
        match(HERE, known, "10")


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({"identifiers": (Identifier("K-1"),)}, "info", "patient id"),
        ({"identifiers": (Identifier("K-1"),), "birth_date": ""}, "warning", "patient id"),
        ({"family": "Smith"}, "warning", "name"),
        ({"family": "", "birth_date": "", "identifiers": ()}, "warning", "nothing tells"),
    ],
)
def test_what_differs_within_reason_is_told(changes, severity, words):
    (finding,) = match(HERE, replace(THERE, **changes))
    assert (finding.severity, words in finding.sentence.lower()) == (severity, True)


@pytest.mark.parametrize(
    "changes", [{"given": "A"}, {"given": ""}, {"family": "Von Ödegård"}, {"birth_date": "1961-04"}]
)
def test_ways_to_write_the_same_person(changes):
    assert match(HERE, replace(THERE, **changes)) == ()


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=12))
def test_matching_never_fails_otherwise(family, given_names, birth):
    other = ClinicalPatient(family, given_names, birth, "F")
    try:
        match(HERE, other)
    except OtherPatient:
        return


def test_identity_is_not_told_in_errors():
    with pytest.raises(OtherPatient) as error:
        match(HERE, replace(THERE, birth_date="1950-01-01"))
    assert "1950" not in str(error.value)
    assert "degard" not in str(error.value).lower()


# Into the case --------------------------------------------------------------------------


def test_the_file_is_kept_as_it_is_and_named_in_the_record_only(case, record):
    made = import_clinical(case, record)
    kept = case.folder / made.file
    assert kept.read_bytes() == record.read_bytes()
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == made.record.sha256
    with open_case(case.folder, write=False) as again:
        assert again.record.clinical == [made]
    assert import_clinical(case, record) == made
    assert len(case.record.clinical) == 1
    assert "Ödegård" not in json.dumps(case.summary(), ensure_ascii=False)


def test_another_patient_leaves_nothing_behind(case, tmp_path):
    other = write(tmp_path / "other.json", bundle(patient(birthDate="1940-01-01")))
    with pytest.raises(OtherPatient, match="birth date"):
        import_clinical(case, other)
    assert case.record.clinical == []
    assert not list(case.folder.glob("files/*"))


def test_a_second_record_must_be_of_the_same_patient(tmp_path, record):
    with create_case(tmp_path / "empty") as case:
        assert import_clinical(case, record).findings[0].severity == "warning"
        other = write(tmp_path / "other.json", bundle(patient(gender="male")))
        with pytest.raises(OtherPatient, match="sex"):
            import_clinical(case, other)


def test_images_must_be_of_the_patient_of_the_record(tmp_path):
    write_dicom(abdomen(spacing_mm=(12.0, 12.0, 12.0)), tmp_path / "dicom")
    volume = scan([tmp_path / "dicom"]).volumes[0]
    other = write(tmp_path / "other.json", bundle(patient(gender="other")))
    same = {"name": [{"family": "Synthetic", "given": ["Abdomen"]}], "gender": "other"}
    record = write(tmp_path / "same.json", bundle(patient(**same)))
    with create_case(tmp_path / "first") as case:
        import_clinical(case, other)
        with pytest.raises(OtherPatient, match="the name differs"):
            case.import_dicom(volume, "ct")
        assert case.record.sources == {}
    with create_case(tmp_path / "second") as case:
        import_clinical(case, record)
        case.import_dicom(volume, "ct")
        assert case.record.patient["name"] == "SYNTHETIC^ABDOMEN"


def test_the_summary_lists_values_files_and_findings(case, record):
    import_clinical(case, record)
    summary = case.summary()
    newest = {v["key"]: v for v in summary["clinical"] if v["newest"]}
    assert newest["creatinine"]["value"] == pytest.approx(1.0)
    assert newest["creatinine"]["source"] == "FHIR Observation, LOINC 14682-9, 2026-03-01"
    assert {e["what"] for e in summary["clinical_files"][0]["not_read"]} >= {"Condition"}
    assert {f["code"] for f in summary["findings"]} >= {"consent", "clinical_not_read"}
    json.dumps(summary, allow_nan=False)


def test_content_decides_what_is_clinical(record, tmp_path):
    assert split_clinical([tmp_path, record]) == ([record], [tmp_path])


# Into the plan --------------------------------------------------------------------------


def plan_of(**params):
    return Plan("1.2", {}, (Step("planning.patient", "patient", params=params),))


def weight(tmp_path, value, day):
    file = f"{day}.json"
    resource = measured("29463-7", value, "kg", day, effectiveDateTime=day)
    return write(tmp_path / file, bundle(patient(), resource))


def test_a_plan_takes_values_with_their_origin(case, record):
    import_clinical(case, record)
    plan = with_clinical(plan_of(height_cm=180.0), case.record.clinical_record())
    check_plan(plan)
    params = plan.step("patient").params
    assert params["height_cm"] == pytest.approx(172.72)
    assert params["cvp_mmhg"] == 6
    numbers = {n.quantity: n for n in patient_stage(**params).numbers}
    assert numbers["body_weight_kg"].source == "FHIR Observation, LOINC 29463-7, 2026-03-01"
    assert numbers["body_weight_kg"].value == pytest.approx(80.0, abs=0.01)
    assert "portal_pressure_mmhg" not in numbers


def test_a_changed_value_is_one_entered_by_hand(case, record):
    import_clinical(case, record)
    plan = with_clinical(plan_of(), case.record.clinical_record())
    changed = plan.with_params("patient", body_weight_kg=75.0)
    numbers = {
        n.quantity: n.source for n in patient_stage(**changed.step("patient").params).numbers
    }
    assert numbers["body_weight_kg"] == "entered by hand"
    assert numbers["height_cm"].startswith("FHIR")


def test_a_newer_value_is_told_and_changes_nothing(case, tmp_path):
    import_clinical(case, weight(tmp_path, 80, "2026-03-01"))
    plan = with_clinical(plan_of(), case.record.clinical_record())
    assert differences(plan, case.record.clinical_record()) == []
    import_clinical(case, weight(tmp_path, 82, "2026-05-01"))
    ((output, finding),) = differences(plan, case.record.clinical_record())
    assert (output, finding.code, finding.severity) == ("patient", "clinical_newer", "warning")
    assert "body weight 82 kg (FHIR Observation, LOINC 29463-7, 2026-05-01)" in finding.sentence
    assert "the plan uses 80" in finding.sentence
    import_clinical(case, weight(tmp_path, 70, "2020-05-01"))
    assert len(differences(plan, case.record.clinical_record())) == 1
    by_hand = plan.with_params("patient", body_weight_kg=75.0)
    assert "entered by hand" in differences(by_hand, case.record.clinical_record())[0][1].sentence
    newer = with_clinical(plan, case.record.clinical_record())
    assert newer.step("patient").params["body_weight_kg"] == 82
    assert differences(newer, case.record.clinical_record()) == []
    ((_, unused),) = differences(plan_of(), case.record.clinical_record())
    assert (unused.code, unused.severity) == ("clinical_unused", "info")


# By command -----------------------------------------------------------------------------


def write_scan(folder):
    """A CT, a liver, a tumour and a vein in it, as files."""
    grid = ImageGeometry(
        (24, 20, 16), (8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2.3"
    )
    k, j, i = np.mgrid[:16, :20, :24]
    parts = {
        "liver": (i > 3) & (i < 20) & (j > 3) & (j < 16) & (k > 2) & (k < 13),
        "tumor": (i - 9) ** 2 + (j - 9) ** 2 + (k - 7) ** 2 < 6,
        "portal_vein": (abs(i - 14) < 2) & (abs(j - 9) < 2) & (k > 4) & (k < 11),
    }
    write_volume(Volume((parts["liver"] * 100).astype(np.int16), grid), folder / "ct.nii.gz")
    for name, mask in parts.items():
        write_labels(
            LabelMap(mask.astype(np.uint8), grid, {1: Label(name)}), folder / f"{name}.nii.gz"
        )


@pytest.fixture
def run(capsys):
    def command(*arguments):
        code = main([str(a) for a in arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return command


def test_commands_from_import_to_plan(run, tmp_path, record):
    write_scan(tmp_path)
    folder = tmp_path / "case"
    code, out, _ = run("import", record, "--case", folder, "--json")
    assert code == 0
    assert {v["key"] for v in json.loads(out)["clinical"]} >= {"creatinine", "abo"}
    sources = [
        f"--source={name}={tmp_path / name}.nii.gz"
        for name in ("ct", "liver", "tumor", "portal_vein")
    ]
    code, out, err = run(
        "plan",
        "liver-resection",
        "--case",
        folder,
        *sources,
        "--json",
        "--set",
        "patient.height_cm=170",
    )
    assert code == 0, err
    numbers = {n["name"]: n for n in json.loads(out)["numbers"]}
    weight = numbers["patient.body_weight_kg"]
    assert weight["source"] == "FHIR Observation, LOINC 29463-7, 2026-03-01"
    assert (numbers["patient.height_cm"]["value"], numbers["patient.height_cm"]["source"]) == (
        170,
        "entered by hand",
    )
    code, out, _ = run("show", folder)
    assert "not read: Condition" in out
    assert "HLA-A*02:01+HLA-A*03:01" in out


def test_a_damaged_file_is_explained(run, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text('{"resourceType": "Patient", "birthDate": NaN}', "utf-8")
    code, _, err = run("import", bad, "--case", tmp_path / "case")
    assert (code, "NaN is no number" in err) == (1, True)
    assert not (tmp_path / "case").exists()
    assert issubclass(OtherPatient, ClinicalError)
