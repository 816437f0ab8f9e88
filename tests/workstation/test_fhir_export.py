"""A plan's numbers as a FHIR bundle, written, validated and read back."""

import json

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle

from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from tests.workstation.fhir_bundles import whole_record, write
from workstation.case import CaseError, create_case
from workstation.clinical_case import import_clinical
from workstation.export_any import export_any
from workstation.fhir.parsing import is_clinical_file
from workstation.fhir.reading import read_clinical
from workstation.planning.clinical_values import with_clinical
from workstation.planning.plan import Plan, Step

FRAME = "1.2.826.0.1.3680043.2.1125.9"
STEPS = (
    Step("planning.patient", "patient", params={"portal_pressure_mmhg": 9.0}),
    Step("segmentation.threshold", "liver", inputs={"volume": "ct"}, params={"lower_hu": 50.0}),
)


@pytest.fixture
def case(tmp_path):
    grid = ImageGeometry(
        (12, 10, 8), (4.0, 4.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1), FRAME
    )
    array = np.zeros((8, 10, 12), np.int16)
    array[2:6, 3:7, 2:9] = 100
    write_volume(Volume(array, grid), tmp_path / "ct.nii.gz")
    with create_case(tmp_path / "case") as made:
        made.record.patient = {
            "name": "ODEGARD^ASTRID",
            "patient_id": "PACS-1",
            "birth_date": "19610409",
            "sex": "F",
        }
        made.record.study = {"uid": "1.2.3.4", "date": "20260227"}
        made.import_file(tmp_path / "ct.nii.gz", "ct", "volume", FRAME)
        made.record.sources["ct"]["series_uid"] = "1.2.3.4.5"
        import_clinical(made, write(tmp_path / "record.json", whole_record()))
        plan = Plan(FRAME, {"ct": made.record.sources["ct"]["sha256"]}, STEPS, "liver-resection")
        plan = with_clinical(plan, made.record.clinical_record())
        made.add_plan(plan, "Start")
        made.run(plan)
        yield made


@pytest.fixture
def resources(case, tmp_path):
    """The resources of the written file by type."""
    file = tmp_path / "plan.fhir.json"
    assert export_any(case, "plan", file) == (file,)
    document = json.loads(file.read_text("utf-8"))
    Bundle.model_validate(document)
    found = {}
    for entry in document["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry)
    return found


def test_every_number_is_an_observation_with_its_unit(case, resources):
    numbers = {n["name"]: n for n in case.summary()["numbers"]}
    written = {}
    for entry in resources["Observation"]:
        codes = {c["system"]: c["code"] for c in entry["resource"]["code"]["coding"]}
        written[codes["urn:x-hilum:number"]] = entry["resource"]
    assert written.keys() == numbers.keys()
    for name, number in numbers.items():
        assert written[name]["valueQuantity"]["value"] == number["value"]
        assert written[name]["method"]["text"] == number["source"]
        assert written[name]["status"] == "preliminary"
        assert "not for clinical decisions" in written[name]["note"][0]["text"]
    volume = written["liver.volume"]
    assert volume["valueQuantity"] == {
        "value": pytest.approx(8.96),
        "unit": "mL",
        "system": "http://unitsofmeasure.org",
        "code": "mL",
    }
    assert volume["effectiveDateTime"] == "2026-02-27"
    weight = written["patient.body_weight_kg"]
    assert weight["code"]["coding"][0]["code"] == "29463-7"
    assert "effectiveDateTime" not in weight
    assert written["patient.portal_pressure_mmhg"]["valueQuantity"]["code"] == "mm[Hg]"


def test_a_band_goes_into_components():
    from workstation.clinical import ClinicalPatient
    from workstation.fhir.writing import PlanContent, plan_bundle

    number = {
        "name": "margin.minimum",
        "value": 7.4,
        "unit": "mm",
        "low": 6.6,
        "high": 8.1,
        "source": "s",
    }
    when = "2026-03-01T10:00:00.000Z"
    content = PlanContent(
        ClinicalPatient(), "", "", (), "t", "d", [number], [], ("Hilum", "1"), when
    )
    document = plan_bundle(content)
    (observation,) = (
        e["resource"] for e in document["entry"] if e["resource"]["resourceType"] == "Observation"
    )
    bounds = {c["code"]["text"]: c["valueQuantity"]["value"] for c in observation["component"]}
    assert bounds == {"lower bound": 6.6, "upper bound": 8.1}
    assert document == plan_bundle(content)


def test_references_lead_to_entries_and_provenance_names_the_plan(case, resources):
    addresses = {entry["fullUrl"] for found in resources.values() for entry in found}
    (report,) = (entry["resource"] for entry in resources["DiagnosticReport"])
    (provenance,) = (entry["resource"] for entry in resources["Provenance"])
    (study,) = (entry["resource"] for entry in resources["ImagingStudy"])
    targets = [t["reference"] for t in provenance["target"]]
    results = [r["reference"] for r in report["result"]]
    assert set(targets) | set(results) | {report["subject"]["reference"]} <= addresses
    assert len(targets) == len(results) + 1 == len(resources["Observation"]) + 1
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}
    sources = [e["what"]["identifier"]["value"] for e in provenance["entity"]]
    assert sources == [f"sha256:{case.plan().digest()}", "urn:oid:1.2.3.4.5"]
    assert report["status"] == "preliminary"
    assert report["conclusion"].startswith("Research use only")


def test_the_patient_is_known_by_both_numbers(resources):
    (patient,) = (entry["resource"] for entry in resources["Patient"])
    assert [i["value"] for i in patient["identifier"]] == ["MRN-7", "PACS-1"]
    assert patient["birthDate"] == "1961-04-09"


def test_our_own_bundle_can_be_read_again(case, resources, tmp_path):
    file = tmp_path / "plan.fhir.json"
    assert is_clinical_file(file)
    record = read_clinical(file)
    assert record.newest("body_weight").status == "preliminary"
    assert record.studies[0].study_uid == "1.2.3.4"
    assert any("liver volume" in entry.what for entry in record.not_read)


@pytest.mark.parametrize("name", ["liver", "ct"])
def test_only_the_whole_plan_goes_into_a_bundle(case, tmp_path, name):
    with pytest.raises(CaseError, match="hilum export CASE plan"):
        export_any(case, name, tmp_path / "liver.fhir.json")
    assert not (tmp_path / "liver.fhir.json").exists()


def test_a_plan_that_is_not_computed_is_refused(case, tmp_path):
    case.add_plan(Plan(FRAME, {}, (Step("planning.patient", "patient"),)), "Other")
    with pytest.raises(CaseError, match="run it first"):
        export_any(case, "plan", tmp_path / "plan.fhir.json")
