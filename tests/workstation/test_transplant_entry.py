"""A record as it is entered by hand: nothing lost, refusals in plain words, choices noted."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.case import create_case
from workstation.importing import start_plan
from workstation.phantom.pair import pair
from workstation.planning.template import find_template
from workstation.planning.transplant_person import Person
from workstation.transplant_entry import (
    conflicts,
    converted,
    document_of,
    empty_document,
    keep_document,
    kept_document,
    refusal,
    resolved,
    units_of,
)
from workstation.transplant_record import from_document

TODAY = date(2026, 3, 1)
PEOPLE = pair()


@pytest.mark.parametrize("document", [PEOPLE.donor, PEOPLE.recipient])
def test_a_record_says_the_same_after_it_became_a_document(document: dict) -> None:
    record = from_document(document, "x.json")
    again = from_document(json.loads(json.dumps(document_of(record))), "x.json")
    told = [
        [(v.key, v.value, v.unit, v.text, v.date, v.status, v.resource) for v in r.values]
        for r in (record, again)
    ]
    assert sorted(told[0], key=str) == sorted(told[1], key=str)
    assert again.confirmed == record.confirmed
    assert again.role == record.role


@given(
    status=st.sampled_from(["final", "amended", "corrected", "preliminary"]),
    umol=st.floats(20, 900),
)
def test_a_preliminary_value_stays_one_and_units_are_converted(status: str, umol: float) -> None:
    row = {"key": "creatinine", "value": umol, "unit": "umol/L", "date": "2026-02-01"}
    record = from_document({"values": [row | {"status": status}]}, "x")
    (value,) = from_document(document_of(record), "x").values
    assert value.status == status
    assert value.value == pytest.approx(umol / 88.42)


def test_what_a_file_could_not_say_stays_listed() -> None:
    record = from_document({"values": [{"key": "mystery", "value": 3}]}, "x")
    assert [n.what for n in record.not_read] == ["mystery"]
    assert from_document(document_of(record), "x").not_read == record.not_read


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"key": "creatinine", "value": "900", "unit": "mg/dL"}, "plausible"),
        ({"key": "creatinine", "value": "1.1", "unit": "stone"}, "unit"),
        ({"key": "creatinine", "value": "abc", "unit": "mg/dL"}, "no number"),
        ({"key": "creatinine", "value": "1.1", "unit": "mg/dL", "date": "01.02."}, "date"),
        ({"key": "creatinine", "value": "1.1", "unit": "mg/dL", "date": "2027-01-01"}, "future"),
        ({"key": "abo", "value": "C"}, "no value"),
        ({"key": "antibody", "value": "DR15", "mfi": -4}, "plausible"),
    ],
)
def test_what_is_refused_is_told_in_a_sentence(entry: dict, said: str) -> None:
    sentence = refusal(entry, TODAY)
    assert said in sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper()


def test_what_is_understood_is_shown_in_the_unit_that_is_kept() -> None:
    entry = {"key": "height", "value": "1.79", "unit": "m"}
    assert refusal(entry, TODAY) == ""
    assert converted(entry) == "= 179 cm"
    assert converted({"key": "height", "value": "179", "unit": "cm"}) == ""
    assert units_of("creatinine")[0] == "mg/dL"
    assert units_of("abo") == ()


def test_a_contradiction_is_settled_by_a_person_and_stays_noted() -> None:
    rows = [
        {"key": "abo", "value": "A", "date": "2026-01-01", "source": "clinic"},
        {"key": "sex", "value": "F"},
        {"key": "abo", "value": "B", "date": "2026-02-01", "source": "bank"},
    ]
    document = empty_document("donor") | {"values": rows}
    record = from_document(document, "x")
    (found,) = conflicts(document, record, "donor")
    assert found.rows == (0, 2)
    settled = resolved(document, found, 0, "Dr Example", "2026-03-01")
    after = from_document(settled, "x")
    assert conflicts(settled, after, "donor") == []
    known = Person(after, "donor", TODAY, lambda key: None).chosen("abo")
    assert (known.text, known.doubt) == ("A", "")
    assert after.confirmed["abo"].by == "Dr Example"
    assert [(n.what, "Dr Example" in n.reason) for n in after.not_read] == [("abo B", True)]


def test_two_typings_of_a_locus_are_a_contradiction() -> None:
    rows = [{"key": "hla_a", "value": "A2+A3"}, {"key": "hla", "value": "A2 A24 B7"}]
    document = empty_document("donor") | {"values": rows}
    (found,) = conflicts(document, from_document(document, "x"), "donor")
    assert found.rows == (0, 1)


def test_an_entry_is_kept_and_can_be_taken_back(tmp_path: Path) -> None:
    with create_case(tmp_path / "other") as case:
        for role in ("donor", "recipient"):
            (tmp_path / f"{role}.json").write_text(json.dumps(empty_document(role)))
        paths = {role: tmp_path / f"{role}.json" for role in ("donor", "recipient")}
        plan = start_plan(case, find_template("transplant"), paths)
        before = kept_document(case, plan, "donor_file", "donor")
        assert before["values"] == []
        row = {"key": "abo", "value": "O", "source": "entered by hand"}
        later = keep_document(case, plan, "donor_file", before | {"values": [row]})
        assert kept_document(case, later, "donor_file", "donor")["values"] == [row]
        assert kept_document(case, plan, "donor_file", "donor")["values"] == []
        case.run(later)
        assert case.check(later) == []
