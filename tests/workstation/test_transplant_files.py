"""Records from files, damaged ones too, and the plan, tables and report made from them."""

from __future__ import annotations

import copy
import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation.contract import Measurements, Number
from tests.workstation.fhir_bundles import (
    LOINC,
    SNOMED,
    bundle,
    coded,
    measured,
    observation,
    patient,
    quantity,
    write,
)
from tests.workstation.transplant_people import sheet
from workstation.__main__ import main
from workstation.case import open_case
from workstation.clinical import ClinicalError
from workstation.fhir.review_rows import read_rows
from workstation.phantom.pair import pair, write_pair
from workstation.planning.transplant_images import with_images
from workstation.planning.transplant_sheet import transplant_sheet
from workstation.transplant_compare import compare_people, person_of
from workstation.transplant_record import UnreadableRecord, from_document, read_person

DAY = "2026-03-02"
GL = "http://glstring.org"


def fhir_person(group="112144000", hla_a="HLA-A*02:01+HLA-A*03:01"):
    mfi = {"code": {"text": "MFI"}, "valueQuantity": quantity(6400, "{MFI}")}
    antibody = observation(
        "x1", "ab", system="http://lab.example", text="HLA class I antibody",
        valueString="A24", component=[mfi],
    )  # fmt: skip
    listed = observation(
        "x2", "un", system="http://lab.example", text="Unacceptable antigens",
        valueString="A1, B8",
    )  # fmt: skip
    return bundle(
        patient(),
        measured("29463-7", 70, "kg", "weight"),
        measured("8302-2", 1.7, "m", "height"),
        measured("2160-0", 88.42, "umol/L", "crea"),
        coded("883-9", SNOMED, group, "", "abo"),
        coded("57290-9", GL, hla_a, "", "hla-a"),
        coded("57291-7", GL, "HLA-B*07:02+HLA-B*08:01", "", "hla-b"),
        coded("57293-3", GL, "HLA-DRB1*04:01+HLA-DRB1*15:01", "", "hla-dr"),
        antibody,
        listed,
    )


def test_fhir_becomes_a_person_without_a_name(tmp_path):
    person = read_person(write(tmp_path / "p.json", fhir_person()))
    newest = {v.key: v for v in person.values}
    assert newest["creatinine"].value == pytest.approx(1.0)
    assert newest["height"].value == 170
    assert (newest["abo"].text, newest["sex"].text) == ("A", "F")
    assert "degård" not in json.dumps(person.to_json())
    assert type(person).read(json.loads(json.dumps(person.to_json()))) == person


def test_units_are_converted_and_what_is_impossible_is_refused_by_name():
    made = from_document(
        {"values": [
            {"key": "creatinine", "value": 88.42, "unit": "µmol/L"},
            {"key": "body_weight", "value": 150, "unit": "lb"},
            {"key": "graft_volume", "value": 0.8, "unit": "L"},
            {"key": "anti_a_igg", "value": "1:16"},
            {"key": "creatinine", "value": 88, "unit": "mg/dL"},
            {"key": "height", "value": 170},
            {"key": "abo", "value": "C"},
            {"key": "shoe_size", "value": 44},
            {"key": "hla", "value": "A1 Q9"},
            {"key": "sex", "value": "F", "date": "soon"},
            "nonsense",
        ]},
        "test",
    )  # fmt: skip
    values = {v.key: v.value for v in made.values}
    assert values == {
        "creatinine": pytest.approx(1.0), "body_weight": pytest.approx(68.04, abs=0.01),
        "graft_volume": 800.0, "anti_a_igg": 16.0,
    }  # fmt: skip
    reasons = " | ".join(f"{n.what}: {n.reason}" for n in made.not_read)
    for word in ("not plausible", "no unit", "no value for abo", "not known", "Q9", "soon"):
        assert word in reasons
    assert len(made.not_read) == 7


def test_csv_and_json_say_the_same(tmp_path):
    lines = ["key,value,unit,date,source", "abo,A2,,2026-03-01,lab", "height,1.8,m,2026-03-01,lab"]
    (tmp_path / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    values = {"abo": {"value": "A2"}, "height": {"value": 180, "unit": "cm"}}
    more = {"date": "2026-03-01", "source": "lab"}
    document = {"hilum": "transplant-record", "values": {k: v | more for k, v in values.items()}}
    write(tmp_path / "p.json", document)
    one, other = read_person(tmp_path / "p.csv"), read_person(tmp_path / "p.json")
    assert [(v.key, v.value, v.text) for v in one.values] == [
        (v.key, v.value, v.text) for v in other.values
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"a": 1}', "null", '{"hilum": "transplant-record"}']
)
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises((UnreadableRecord, ClinicalError)):
        read_person(tmp_path / "p.json")


def damaged(document, luck):
    """Return a copy of a bundle with one to four kinds of damage, and whether ABO is disputed."""
    made = copy.deepcopy(document)
    entries = made["entry"]
    disputed = False
    for _ in range(luck.randint(1, 4)):
        resource = luck.choice(entries[1:])["resource"]
        kind = luck.randrange(8)
        if kind == 0:
            resource.pop(luck.choice(sorted(resource)), None)
        elif kind == 1 and "valueQuantity" in resource:
            resource["valueQuantity"]["code"] = luck.choice(["", "furlong", "mg/dL", "kg", "mm"])
        elif kind == 2 and "valueQuantity" in resource:
            resource["valueQuantity"]["value"] = luck.choice([-1, 0, 1e9, None, "x", True])
        elif kind == 3:
            entries.append({"resource": coded("883-9", SNOMED, "112149005", "", "abo2")})
            disputed = True
        elif kind == 4:
            entries.append({"resource": coded("57290-9", GL, "HLA-A*11:01+HLA-A*24:02", "", "a2")})
        elif kind == 5:
            resource["effectiveDateTime"] = luck.choice(["2999-01-01", "yesterday", "", 7, None])
        elif kind == 6:
            resource["code"] = luck.choice([{}, None, {"coding": [{"system": LOINC}]}, "x", []])
        else:
            resource["status"] = luck.choice(["entered-in-error", "cancelled", "", None])
    return made, disputed


def test_a_thousand_damaged_bundles_crash_nothing_and_choose_nothing(tmp_path):
    luck = random.Random(20260301)
    donor = read_person(write(tmp_path / "d.json", fhir_person("58460004")))
    path = tmp_path / "r.json"
    conflicts = 0
    for _ in range(1000):
        document, disputed = damaged(fhir_person(), luck)
        try:
            taker = read_person(write(path, document))
        except ClinicalError:
            continue
        found = transplant_sheet(donor, taker, review_date=DAY)
        groups = {v.text for v in taker.series("abo") if v.date[:4] != "2999"}
        assert disputed or len(groups) < 2
        if len(groups) > 1:
            conflicts += 1
            row = found.row("abo")
            assert row.verdict == "unknown"
            assert "given twice" in row.reason
        typings = {v.text for v in taker.series("hla_a") if v.date[:4] != "2999"}
        if len(typings) > 1:
            assert found.row("hla.a").verdict == "unknown"
    assert conflicts > 100


def test_the_built_in_pair_is_a_plan_with_rows_tables_and_a_report(tmp_path, capsys):
    case = tmp_path / "case"
    assert main(["demo", "transplant", "--headless", "--case", str(case), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["synthetic"]
    names = {"name", "verdict", "value", "unit", "source", "date", "rule"}
    assert all(names <= set(row) for row in document["rows"])
    read = names | {"reason", "change", "expires", "confirmed", "inputs"}
    assert document["rows"][0]["verdict"] == "unknown"
    for ending in ("json", "csv"):
        assert main(["export", str(case), "sheet", str(tmp_path / f"sheet.{ending}")]) == 0
    written = json.loads((tmp_path / "sheet.json").read_text("utf-8"))
    assert written["rows"] == document["rows"]
    assert len((tmp_path / "sheet.csv").read_text("utf-8").splitlines()) == len(written["rows"]) + 1
    assert main(["export", str(case), "plan", str(tmp_path / "p.fhir.json")]) == 0
    bundle = json.loads((tmp_path / "p.fhir.json").read_text("utf-8"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    assert read_rows(resources) == [{k: row[k] for k in read} for row in document["rows"]]
    verdicts = {r["method"]["coding"][0]["code"]: r for r in resources if "interpretation" in r}
    asked = verdicts[document["rows"][0]["name"]]["interpretation"][0]["coding"]
    assert [c["code"] for c in asked] == ["IND", "unknown"]
    assert verdicts["vessel.artery"]["category"][0]["coding"][0]["code"] == "imaging"
    report = next(r for r in resources if r["resourceType"] == "DiagnosticReport")
    assert len(report["result"]) == len(document["numbers"]) + len(document["rows"])
    assert main(["report", str(case), str(tmp_path / "r.pdf")]) == 0
    assert main(["run", str(case), "--check"]) == 0


def test_a_thousand_donors_are_compared_in_the_order_given(tmp_path):
    write_pair(pair(), tmp_path)
    folder = tmp_path / "donors"
    folder.mkdir()
    document = json.loads((tmp_path / "donor.json").read_text("utf-8"))
    for number in range(1000):
        write(folder / f"{number:04d}.json", document | {"label": f"donor {number}"})
    (folder / "0500.json").write_text("{", encoding="utf-8")
    started = time.process_time()
    found = compare_people(tmp_path / "recipient.json", [folder], {"review_date": DAY})
    assert time.process_time() - started < 10
    assert [p["file"] for p in found["pairs"]] == [f"{n:04d}.json" for n in range(1000)]
    assert "error" in found["pairs"][500]
    assert "crossmatch.flow" in found["pairs"][0]["unknown"]  # it was done with another one
    assert found["pairs"][0]["values"]["hla.total"] == {"verdict": "warn", "value": 3.0}


def test_cases_and_tables_are_compared_too(tmp_path, capsys):
    write_pair(pair(), tmp_path)
    people = [f"--source={name}={tmp_path}/{name}.json" for name in ("donor", "recipient")]
    case = tmp_path / "donors" / "seven"
    case.parent.mkdir()
    assert main(["plan", "transplant", "--case", str(case), *people]) == 0
    (tmp_path / "eplets.csv").write_text(
        "allele,eplets\nDRB1*15:01,71QAA\nDRB1*04:01,4Q", encoding="utf-8"
    )
    capsys.readouterr()
    asked = ["compare-donors", str(tmp_path / "recipient.json"), str(case.parent), "--json"]
    assert main([*asked, "--eplets", str(tmp_path / "eplets.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tables"] == ["eplets"]
    (donor,) = found["pairs"]
    assert (donor["file"], donor["label"]) == ("seven", "demo donor")
    assert any(name.startswith("eplets") for name in donor["unknown"])
    assert main([*asked, "--codes", str(tmp_path / "eplets.csv")]) == 1
    assert "no columns code" in capsys.readouterr().err
    images = with_images(
        read_person(tmp_path / "donor.json"),
        calibres=Measurements((Number("diameter_renal_artery", 4.9, "mm", ""),)),
        acquired=DAY,
    )
    with open_case(case) as kept:
        kept.values[kept.plan().keys()["donor"]] = images
    measured = person_of(case, "donor").series("diameter_renal_artery")[-1]
    assert measured.resource == "plan 1 of seven, step calibres (diameter renal artery)"


def test_donors_are_compared_on_the_command_line(tmp_path, capsys):
    write_pair(pair(), tmp_path)
    people = [str(tmp_path / "recipient.json"), str(tmp_path / "donor.json")]
    assert main(["compare-donors", *people, "--set", f"review_date={DAY}"]) == 0
    assert "no ranking" in capsys.readouterr().out
    assert main(["compare-donors", "--reverse", *people[::-1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["donor"] == "donor.json"


def test_the_pair_becomes_a_followed_twin(tmp_path, capsys):
    write_pair(pair(), tmp_path)
    lines = ["key,value,unit,date,source", "transplant_date,2026-03-02,,,surgery"]
    values = (4.1, 2.2, 1.5, 1.3, 1.25, 1.2, 2.6)
    lines += [f"creatinine,{v},mg/dL,2026-03-{3 + 2 * n:02d},lab" for n, v in enumerate(values)]
    (tmp_path / "after.csv").write_text("\n".join(lines), encoding="utf-8")
    people = [f"--source={name}={tmp_path}/{name}.json" for name in ("donor", "recipient")]
    people.append(f"--source=followed={tmp_path}/after.csv")
    days = ["--set", f"sheet.review_date={DAY}", "--set", "course.review_date=2026-03-16"]
    case = str(tmp_path / "case")
    assert main(["plan", "transplant", "--case", case, *people, *days, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    verdicts = {row["name"]: row["verdict"] for row in document["rows"]}
    assert verdicts["follow.creatinine"] == "warn"
    assert verdicts["follow.tacrolimus"] == "unknown"
    assert verdicts["abo"] == "pass"
    assert any(f["code"] == "off_course" for f in document["findings"])


def test_a_row_is_confirmed_by_name_until_what_stands_behind_it_changes(tmp_path, capsys):
    case = tmp_path / "case"
    assert main(["demo", "transplant", "--headless", "--case", str(case), "--json"]) == 0

    def confirmed():
        capsys.readouterr()
        assert main(["show", str(case), "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        return {row["name"]: row["confirmed"] for row in rows if "Dr Ada" in row["confirmed"]}

    assert main(["review", str(case), "abo", "hla.dr"]) == 1  # by nobody
    by = ["--by", "Dr  Ada", "--comment", "seen in both files"]
    assert main(["review", str(case), "abo", "hla.dr", "size.weight", *by]) == 0
    assert set(confirmed()) == {"abo", "hla.dr", "size.weight"}
    assert "seen in both files" in confirmed()["abo"]
    assert confirmed()["abo"].startswith("two readers")  # whom the record names
    assert main(["review", str(case), "size.weight", "--withdraw"]) == 0
    assert main(["export", str(case), "sheet", str(tmp_path / "sheet.json")]) == 0
    assert "Dr Ada" in (tmp_path / "sheet.json").read_text("utf-8")
    settings = ["sheet.mfi_warn=500"]
    assert main(["change", str(case), *settings]) == 0
    assert set(confirmed()) == {"abo", "hla.dr"}  # a limit that they do not use
    assert main(["change", str(case), "sheet.review_date=2026-02-26"]) == 0
    assert not confirmed()  # the typings are of a later day, and so are not used


@given(st.sampled_from(["abo", "creatinine", "body_weight", "hla", "antibody"]))
def test_any_reading_behind_a_row_changes_its_digest(key):
    values = {
        "abo": "A", "creatinine": 1.0, "body_weight": 70, "hla": "A1 A2 B7 B8 DR1 DR4",
        "antibody": {"value": "B8", "mfi": 900},
    }  # fmt: skip
    other = {
        "abo": "A1", "creatinine": 1.1, "body_weight": 71, "hla": "A1 A2 B7 B8 DR1 DR7",
        "antibody": {"value": "B8", "mfi": 901},
    }  # fmt: skip
    names = {
        "abo": "abo", "creatinine": "score.kdri", "body_weight": "size.weight",
        "hla": "hla.dr", "antibody": "donor_specific_antibodies",
    }  # fmt: skip

    def behind(people):
        return sheet(people, people).row(names[key]).inputs

    assert behind(values) == behind(dict(values))
    assert behind(values) != behind({**values, key: other[key]})
    assert behind(values) != behind({**values, key: [values[key], other[key]]})
