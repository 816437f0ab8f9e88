"""Crossmatches in FHIR: which test, with whose cells, and what is not understood is listed."""

import json

import pytest

from tests.workstation.fhir_bundles import observation, patient
from tests.workstation.transplant_people import record
from workstation.fhir.crossmatch import crossmatch_key, crossmatch_result
from workstation.planning.transplant_sheet import transplant_sheet
from workstation.transplant_record import read_person


def crossmatch(text: str, result: str, number: str = "x1", **more: object) -> dict[str, object]:
    return observation("XM", number, system="urn:lab", text=text, valueString=result, **more)


def read(tmp_path, *resources):
    entries = [{"resource": resource} for resource in (patient(), *resources)]
    path = tmp_path / "bundle.json"
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    path.write_text(json.dumps(bundle))
    return read_person(path)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("HLA crossmatch, CDC, T cells", "crossmatch_cdc_t"),
        ("Lymphocytotoxic cross-match B lymphocytes", "crossmatch_cdc_b"),
        ("Flow cytometry crossmatch", "crossmatch_flow"),
        ("Flow crossmatch T-cell", "crossmatch_flow_t"),
        ("Crossmatch major, red cells", ""),
        ("CDC and flow crossmatch", ""),
        ("Flow crossmatch T cells and B cells", ""),
        ("Flow cytometry of T cells", ""),
    ],
)
def test_words_name_one_test_or_none(words: str, key: str) -> None:
    assert crossmatch_key(words) == key


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["Positive"], "positive"),
        (["NEG"], "negative"),
        (["not positive"], "negative"),
        (["Negative", "positive"], ""),
        (["borderline"], ""),
        ([], ""),
    ],
)
def test_a_result_is_one_word_or_not_understood(words: list[str], result: str) -> None:
    assert crossmatch_result(words) == result


def test_a_positive_crossmatch_of_a_bundle_blocks_for_the_donor_whom_it_names(tmp_path) -> None:
    named = {"focus": [{"display": "Donor 7"}]}
    taker = read(tmp_path, crossmatch("CDC crossmatch T cells", "positive", **named))
    (value,) = [v for v in taker.values if v.key == "crossmatch_cdc_t"]
    assert (value.text, value.specimen, value.date[:10]) == ("positive", "Donor 7", "2026-03-01")
    rows = {}
    for name in ("donor 7", "donor 8"):
        sheet = transplant_sheet(record({"abo": "O"}), taker, review_date="2026-03-02",
                                 donor_name=name)  # fmt: skip
        rows[name] = sheet.row("crossmatch.cdc_t").verdict
    assert rows == {"donor 7": "block", "donor 8": "unknown"}


def test_what_is_not_understood_of_a_crossmatch_is_listed(tmp_path) -> None:
    donor = {"code": {"text": "donor of the cells"}, "valueString": "Donor 9"}
    taker = read(
        tmp_path,
        crossmatch("Crossmatch", "negative", "x1"),
        crossmatch("Flow crossmatch", "borderline", "x2"),
        crossmatch("Flow crossmatch B cells", "negative", "x3", component=[donor],
                   focus=[{"display": "Donor 7"}]),
        crossmatch("CDC crossmatch", "negative", "x4", component=[donor]),
    )  # fmt: skip
    assert [(v.key, v.specimen) for v in taker.values if "crossmatch" in v.key] == [
        ("crossmatch_cdc", "Donor 9")
    ]
    reasons = " | ".join(missed.reason for missed in taker.not_read)
    assert "does not say whether it is CDC or flow" in reasons
    assert "neither positive nor negative" in reasons
    assert "names two donors: Donor 7 and Donor 9" in reasons
