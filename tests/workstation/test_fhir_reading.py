import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workstation.fhir_bundles import (
    LOINC,
    SNOMED,
    bundle,
    coded,
    measured,
    observation,
    patient,
    quantity,
    whole_record,
    write,
)
from workstation.clinical import ClinicalError, ClinicalRecord, merged
from workstation.fhir import codes
from workstation.fhir.parsing import is_clinical_file
from workstation.fhir.reading import read_clinical

TODAY = date(2026, 6, 1)


@pytest.fixture
def read(tmp_path):
    def run(*resources, kind="collection"):
        path = write(tmp_path / "record.json", bundle(*resources, kind=kind))
        return read_clinical(path, today=TODAY)

    return run


@pytest.fixture
def reason(read):
    """Reads one observation that must not be understood; returns the reason."""

    def run(resource):
        record = read(patient(), resource)
        assert record.values == ()
        assert len(record.not_read) == 1
        return record.not_read[0].reason

    return run


def test_a_whole_record_is_read(tmp_path):
    record = read_clinical(write(tmp_path / "r.json", whole_record()), today=TODAY)
    assert record.patient.family == "Ödegård"
    assert record.patient.given == "Astrid Maria"
    assert (record.patient.sex, record.patient.birth_date) == ("F", "1961-04-09")
    numbers = {v.key: (v.value, v.unit) for v in record.values if not v.text}
    assert numbers == {
        "body_weight": (pytest.approx(80.0, abs=0.01), "kg"),
        "height": (pytest.approx(172.72), "cm"),
        "systolic_pressure": (126, "mm[Hg]"),
        "diastolic_pressure": (72, "mm[Hg]"),
        "mean_arterial_pressure": (pytest.approx(90.007, abs=1e-3), "mm[Hg]"),
        "creatinine": (pytest.approx(1.0), "mg/dL"),
        "bilirubin": (2.5, "mg/dL"),
        "albumin": (pytest.approx(3.8), "g/dL"),
        "inr": (1.2, "1"),
        "sodium": (139, "mmol/L"),
        "platelets": (210, "10*9/L"),
        "central_venous_pressure": (6, "mm[Hg]"),
    }
    words = {(v.key, v.text) for v in record.values if v.text}
    assert words == {
        ("abo", "A"),
        ("rh", "positive"),
        ("hla_a", "HLA-A*02:01+HLA-A*03:01"),
        ("hla_b", "HLA-B*07:02+HLA-B*57:01:01G"),
        ("antibody", "A2"),
        ("unacceptable_antigen", "B8"),
        ("unacceptable_antigen", "DR17"),
    }
    creatinine = record.newest("creatinine")
    assert creatinine.given == "88.42 umol/L"
    assert creatinine.specimen == "Serum"
    assert creatinine.resource == "Observation/crea"
    assert creatinine.origin == "FHIR Observation, LOINC 14682-9, 2026-03-01"
    assert record.newest("abo").value_code == "112144000"
    assert record.newest("antibody").value == 6400
    assert [s.study_uid for s in record.studies] == ["1.2.3.4"]
    assert record.consents[0].end == "2026-12-31"


def test_what_is_not_understood_is_listed(tmp_path):
    record = read_clinical(write(tmp_path / "r.json", whole_record()), today=TODAY)
    missed = {entry.what: entry.reason for entry in record.not_read}
    assert missed == {
        "Observation 4548-4": "its code is not one that is read",
        "Condition": "this kind of resource is not used",
        "component 8867-9": "its code is not one that is read",
    }


def test_json_round_trip(tmp_path):
    record = read_clinical(write(tmp_path / "r.json", whole_record()), today=TODAY)
    plain = json.loads(json.dumps(record.to_json()))
    assert ClinicalRecord.from_json(plain) == record


def test_the_same_entry_is_counted_once(read):
    record = read(patient(), *(measured("4548-4", n, "%", f"o{n}") for n in range(5)))
    assert [(e.count, e.resource) for e in record.not_read] == [(5, "Observation/o0")]


@pytest.mark.parametrize("kind", ["collection", "searchset", "transaction", "document"])
def test_every_kind_of_bundle(read, kind):
    assert read(patient(), measured("2160-0", 1.1, "mg/dL"), kind=kind).newest("creatinine")


def test_a_single_resource_and_lines(tmp_path):
    alone = read_clinical(write(tmp_path / "o.json", measured("2160-0", 1.1, "mg/dL")))
    assert alone.newest("creatinine").value == 1.1
    lines = [patient(), measured("2160-0", 1.1, "mg/dL"), measured("2951-2", 140, "mmol/L", "o2")]
    file = tmp_path / "r.ndjson"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n", "utf-8")
    assert is_clinical_file(file)
    assert {v.key for v in read_clinical(file).values} == {"creatinine", "sodium"}


def test_the_latest_wins_and_the_series_is_kept(read):
    record = read(
        patient(),
        measured("2160-0", 1.0, "mg/dL", "late", effectiveDateTime="2026-03-02T00:30:00+02:00"),
        measured("2160-0", 2.0, "mg/dL", "later", effectiveDateTime="2026-03-01T23:30:00Z"),
        measured("2160-0", 3.0, "mg/dL", "old", effectiveDateTime="2025"),
        measured("2160-0", 4.0, "mg/dL", "none", effectiveDateTime=None),
    )
    assert [v.value for v in record.series("creatinine")] == [4.0, 3.0, 1.0, 2.0]
    assert record.newest("creatinine").resource == "Observation/later"


def test_a_corrected_value_beats_the_one_it_corrects(read):
    record = read(
        patient(),
        measured("2160-0", 1.0, "mg/dL", "a", status="corrected"),
        measured("2160-0", 9.0, "mg/dL", "b"),
        measured("2160-0", 8.0, "mg/dL", "c", status="preliminary"),
    )
    assert record.newest("creatinine").value == 1.0


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered", "unknown", "x"])
def test_a_value_that_does_not_hold_is_not_read(reason, status):
    assert status in reason(measured("2160-0", 1.1, "mg/dL", status=status))


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (measured("2160-0", 110, "mg/dL"), "not plausible"),
        (measured("2160-0", 1.1, "furlong"), "'furlong' is not known"),
        (observation("2160-0", valueQuantity={"value": 1.1}), "no unit"),
        (measured("29463-7", 70, "cm"), "'cm' is not known"),
        (measured("29463-7", 700, "kg"), "not plausible"),
        (measured("29463-7", -70, "kg"), "not plausible"),
        (
            observation("2160-0", valueQuantity=quantity(1.1, "mg/dL") | {"comparator": "<"}),
            "only a bound",
        ),
        (
            observation("2160-0", valueQuantity=quantity(90, "mg/dL", "umol/L")),
            "'umol/L' by code and 'mg/dL' in words",
        ),
        (observation("2160-0", valueString="high"), "no number with a unit"),
        (observation("2160-0", dataAbsentReason={"text": "haemolysed"}), "absent (haemolysed)"),
        (measured("2160-0", 1.1, "mg/dL", effectiveDateTime="2031-01-01"), "in the future"),
        (measured("2160-0", 1.1, "mg/dL", subject={"reference": "Patient/p2"}), "somebody else"),
        (measured("2160-0", 1.1, "mg/dL", effectiveDateTime="soon"), "not valid FHIR R4"),
        (measured("2160-0", 1.1, "mg/dL", oops=1), "not valid FHIR R4: oops"),
        (coded("883-9", SNOMED, "112144000", "Blood group B"), "contradict each other: A and B"),
        (coded("883-9", SNOMED, "371246006", "Green"), "no blood group"),
        (coded("57290-9", "x", "HLA-B*07:02+HLA-B*08:01"), "coded as HLA-A"),
        (coded("57290-9", "x", "two threes"), "no GL string"),
    ],
)
def test_the_reason_is_given(reason, resource, expected):
    assert expected in reason(resource)


@pytest.mark.parametrize(
    ("resource", "group"),
    [
        (coded("883-9", SNOMED, "58460004", "Blood group O"), "O"),
        (coded("883-9", LOINC, "LA28449-9", "Group AB"), "AB"),
        (observation("883-9", valueString="0"), "O"),
        (observation("883-9", valueCodeableConcept={"text": "Group B"}), "B"),
        (coded("883-9", SNOMED, "112144000", "Blood group A", text=""), "A"),
        (
            observation(
                "883-9",
                valueCodeableConcept={
                    "coding": [{"system": SNOMED, "code": "112144000"}],
                    "text": "A2",
                },
            ),
            "A2",
        ),
    ],
)
def test_blood_groups(read, resource, group):
    assert read(patient(), resource).newest("abo").text == group


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": "278152006"}]}}, "A neg"),
        ({"valueString": "O positive"}, "O pos"),
        ({"valueString": "AB Rh(D) negative"}, "AB neg"),
        ({"valueString": "B+"}, "B pos"),
    ],
)
def test_both_blood_groups_in_one(read, value, expected):
    record = read(patient(), observation("882-1", **value))
    assert f"{record.newest('abo').text} {record.newest('rh').text[:3]}" == expected


def test_two_blood_groups_are_a_problem(read):
    record = read(
        patient(),
        coded("883-9", SNOMED, "112144000", "A", "o1"),
        coded("883-9", SNOMED, "58460004", "O", "o2", effectiveDateTime="2020-01-01"),
    )
    found = [f for f in record.findings(TODAY) if f.severity == "problem"]
    assert [f.sentence for f in found] == ["The record holds different values of abo: A, O."]


def test_antibodies_in_every_shape(read):
    text = "Anti-HLA antibody"
    record = read(
        patient(),
        observation("x", "1", text=text, valueString="DR53"),
        observation(
            "x",
            "2",
            text=text,
            valueQuantity=quantity(3100, "{MFI}"),
            component=[{"code": {"text": "antigen"}, "valueString": "DQ7"}],
        ),
        observation("x", "3", text="Unacceptable HLA antigens", valueString="A1, B8;DR17"),
    )
    assert [(v.text, v.value) for v in record.series("antibody")] == [("DR53", None), ("DQ7", 3100)]
    assert [v.text for v in record.series("unacceptable_antigen")] == ["A1", "B8", "DR17"]


@pytest.mark.parametrize(
    ("consent", "severity", "words"),
    [
        ({}, "info", "is active until 2026-12-31"),
        ({"status": "rejected"}, "warning", "is rejected"),
        ({"provision": {"period": {"end": "2026-05-31"}}}, "warning", "ended on 2026-05-31"),
        ({"provision": {"type": "deny"}}, "warning", "denies it"),
    ],
)
def test_consents_are_findings(read, consent, severity, words):
    whole = next(
        e["resource"] for e in whole_record()["entry"] if e["resource"]["resourceType"] == "Consent"
    )
    record = read(patient(), whole | {"patient": {"reference": "urn:uuid:0000"}} | consent)
    finding = record.findings(TODAY)[0]
    assert (finding.severity, words in finding.sentence) == (severity, True)
    assert "research" in finding.sentence


def test_values_without_a_subject_are_told(read):
    resource = measured("2160-0", 1.1, "mg/dL")
    del resource["subject"]
    record = read(patient(), resource)
    assert record.newest("creatinine").value == 1.1
    assert record.findings(TODAY)[0].severity == "warning"


def test_two_patients_are_refused(read):
    with pytest.raises(ClinicalError, match="2 patients"):
        read(patient(), patient("p2"))
    nameless = {k: v for k, v in patient().items() if k != "id"}
    with pytest.raises(ClinicalError, match="values of 2 patients"):
        read(
            measured("2160-0", 1, "mg/dL"),
            measured("2160-0", 1, "mg/dL", subject={"reference": "Patient/p2"}),
        )
    assert read(nameless).patient.family == "Ödegård"


def test_records_of_one_patient_are_merged(read):
    first = read(patient(), measured("2160-0", 1.0, "mg/dL", "a"))
    second = read(
        patient(),
        measured("2160-0", 1.0, "mg/dL", "a"),
        measured("2160-0", 2.0, "mg/dL", "b", effectiveDateTime="2026-04-01"),
    )
    assert [v.value for v in merged([second, first]).series("creatinine")] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("HLA-A*02:01+HLA-A*03:01", "HLA-A*02:01+HLA-A*03:01"),
        ("hla#3.23.0#HLA-A:01:01G+HLA-A*01:02", "HLA-A*01:01G+HLA-A*01:02"),
        ("#hla#3.23#HLA-A*01:01/HLA-A*01:02+HLA-A*24:02N", "HLA-A*01:01/HLA-A*01:02+HLA-A*24:02N"),
        ("HLA-DRB1*03:01~HLA-DQB1*02:01", "HLA-DRB1*03:01~HLA-DQB1*02:01"),
        ("A*02:01", ""),
        ("HLA-A*02:01+", ""),
        ("kir#2.0#KIR2DL1*001", ""),
    ],
)
def test_gl_strings(given, plain):
    assert codes.gl_string(given) == plain


# Units ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "unit", "expected"),
    [
        ("creatinine", 88.42, "µmol/l", 1.0),
        ("creatinine", 0.08842, "mmol/L", 1.0),
        ("bilirubin", 17.104, "umol/L", 1.0),
        ("albumin", 40, "g/l", 4.0),
        ("body_weight", 2.2046226, "lb", 1.0),
        ("height", 1.72, "m", 172.0),
        ("mean_arterial_pressure", 10, "kPa", 75.00617),
        ("platelets", 150000, "/uL", 150.0),
        ("sodium", 140, "mEq/L", 140.0),
    ],
)
def test_conversions(key, value, unit, expected):
    assert codes.convert(key, value, unit) == pytest.approx(expected, rel=1e-7)


@given(st.data())
def test_a_conversion_goes_both_ways(data):
    key = data.draw(st.sampled_from(sorted(codes.QUANTITIES)))
    kind = codes.QUANTITIES[key]
    unit = data.draw(st.sampled_from(sorted(kind.factors)))
    value = data.draw(st.floats(kind.low, kind.high))
    back = (
        codes.convert(key, value / kind.factors[unit], unit)
        if kind.low < value < kind.high
        else value
    )
    assert back == pytest.approx(value, rel=1e-12)


@given(st.sampled_from(sorted(codes.QUANTITIES)), st.floats(), st.text(max_size=12))
def test_a_conversion_is_plausible_or_refused(key, value, unit):
    try:
        found = codes.convert(key, value, unit)
    except ValueError:
        return
    assert codes.QUANTITIES[key].low <= found <= codes.QUANTITIES[key].high


# Hostile files --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not readable JSON"),
        ('{"a": NaN, "resourceType": "Patient"}', "NaN is no number"),
        ('{"a": 1e999, "resourceType": "Patient"}', "no number that can be measured"),
        ('{"a": %s}' % ("9" * 6000), "no number that can be measured"),
        ('{"a": 1, "a": 2, "resourceType": "Patient"}', "stands twice"),
        ('{"a":' * 90 + "1" + "}" * 90, "nested deeper"),
        ("[" * 200_000, "nested too deeply"),
        ("[]", "no resourceType"),
        ('{"resourceType": "Bundle", "type": "history"}', "holds no record"),
        ('{"resourceType": "Bundle", "type": "collection", "entry": 3}', "damaged bundle"),
        ('{"resourceType": "Bundle", "type": "collection"}', "no FHIR resource"),
        ('{"resourceType": "Patient", "name": 3}', "not valid FHIR R4"),
    ],
)
def test_hostile_json_is_refused(tmp_path, text, words):
    file = tmp_path / "bad.json"
    file.write_text(text, "utf-8")
    with pytest.raises(ClinicalError, match=words):
        read_clinical(file)


def test_text_cannot_carry_control_characters(read):
    record = read(patient(name=[{"family": "A\u001b[31m\u202eB", "given": ["C"]}]))
    assert record.patient.family == "A [31m B"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "code", "value", "system", "text", "unit", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 21), st.data())
def test_a_damaged_resource_ends_in_the_list_or_in_a_clear_error(tmp_path_factory, n, data):
    document = whole_record()
    resource = document["entry"][n]["resource"]
    name = data.draw(st.sampled_from([*resource, "contained", "component"]))
    resource[name] = data.draw(JSON)
    file = tmp_path_factory.getbasetemp() / "damaged.json"
    write(file, document)
    try:
        record = read_clinical(file, today=TODAY)
    except ClinicalError:
        return
    assert json.dumps(record.to_json(), allow_nan=False)


def test_content_decides_what_a_file_is(tmp_path):
    late = tmp_path / "late.txt"
    late.write_text('\ufeff {"x": "' + "a" * (2 << 20) + '", "resourceType": "Patient"}', "utf-8")
    assert is_clinical_file(late)
    other = tmp_path / "plan.json"
    other.write_text('{"schema": 1}', "utf-8")
    assert not is_clinical_file(other)
    assert not is_clinical_file(tmp_path)
    assert not is_clinical_file(tmp_path / "absent.json")
