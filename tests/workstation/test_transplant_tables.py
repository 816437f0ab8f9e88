"""Tables that a laboratory loads: NMDP codes, eplets and haplotype frequencies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workstation.transplant_people import DAY, record
from workstation.__main__ import main
from workstation.phantom.pair import pair, write_pair
from workstation.planning.transplant_panel import Share, mixture, out_of_reach
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_rows import Row
from workstation.planning.transplant_sheet import TransplantError, transplant_sheet
from workstation.planning.transplant_tables import Group, UnreadableTable, read_tables
from workstation.planning.transplant_typing import read_target
from workstation.transplant_record import UnreadableRecord, read_person

CODES = "code,alleles\nAB,01/02\nANGA,01:01/03:01\n"
NMDP = '"LAST UPDATED: 09/30/20"\n*\tCODE\tSUBTYPE\n\n\tAB\t01/02\n*\tANGA\t01:01/03:01\n'
EPLETS = "allele,eplets\nA*01:01,e1 e2\nA*02:01,e2 e3 e4\nB*07:02,e5\nB*08:01,e5;e3\n" + (
    "C*07:01,e6\nC*07:02,e6 e7\n"
)
FREQUENCIES = """group,weight,haplotype,frequency
north,0.75,A1~B8~DR17,0.1
north,0.75,A2~B7~DR15,0.2
north,0.75,A3~B35~DR1,0.7
south,0.25,A2~B44~DR4,0.5
south,0.25,A30~B42~DR18,0.5
"""


def loaded(text: str) -> PersonRecord:
    tables = read_tables(text)
    assert tables is not None
    return PersonRecord(tables=tables)


def cpra(unacceptable: str, text: str = FREQUENCIES) -> Row:
    taker = record({"unacceptable_antigen": unacceptable})
    sheet = transplant_sheet(record({}), taker, frequencies=loaded(text), review_date=DAY)
    return sheet.row("cpra")


def test_codes_are_read_as_ours_and_as_the_nmdp_writes_them() -> None:
    one, other = read_tables(CODES), read_tables(NMDP)
    assert one is not None
    assert one == other
    donor = record({"hla": "B*40:AB+B*07:02"})
    sheet = transplant_sheet(donor, record({"hla": "B60 B7"}), review_date=DAY)
    said = next(f for f in sheet.findings if f.code == "unknown_codes")
    assert "B*40:AB" in said.sentence
    explained = transplant_sheet(
        donor, record({"hla": "B60 B7"}), codes=loaded(CODES), review_date=DAY
    )
    assert not any(f.code == "unknown_codes" for f in explained.findings)
    assert explained.row("hla.b").value == "0 to 1"  # B60 or B61
    assert "B*40:01" in explained.row("hla.b").reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("code,alleles\nAB,01/02\nA1,01/02\n", "line 3"),
        ("code,alleles\nAB,01/02\nAB,01/03\n", "line 3: the code AB stands for two"),
        ("code,alleles\nAB,one\n", "line 2"),
        ("code,alleles\nAB\n", "line 2 has 1 columns"),
        ("allele,eplets\nA*02:01,e1\nA*02,e1\n", "line 3"),
        ("allele,eplets\nA*02:01,e1\nA*02:01,e2\n", "line 3: 'A\\*02:01' stands twice"),
        ("allele,eplets\nA*02:01,e<1\n", "line 2"),
        ("group,weight,haplotype,frequency\na,1,A1~B8,x\n", "line 2: the frequency"),
        ("group,weight,haplotype,frequency\na,1,A1~Q8,0.1\n", "line 2"),
        ("group,weight,haplotype,frequency\na,0.5,A1~B8,0.1\na,0.4,A2~B8,0.1\n", "line 3"),
        ("group,weight,haplotype,frequency\na,0.5,A1~B8,0.1\n", "sum to 0.5"),
        ("group,weight,haplotype,frequency\na,1,A1~B8,0.9\na,1,A2~B7,0.9\n", "sum to 1.8"),
        ("group,weight,haplotype,frequency\na,1,A1~B8,0.1\na,1,A2~B7,0.1\na,1,A3,0.1\n", "single"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_by_its_number(text: str, told: str) -> None:
    with pytest.raises(UnreadableTable, match=told):
        read_tables(text)


def test_a_table_is_a_file_and_no_person(tmp_path: Path) -> None:
    path = tmp_path / "eplets.csv"
    path.write_text(EPLETS, encoding="utf-8")
    found = read_person(path)
    assert found.tables.eplets["A*02:01"] == ("e2", "e3", "e4")
    assert PersonRecord.read(json.loads(json.dumps(found.to_json()))) == found
    path.write_text(EPLETS + "A*02,e1\n", encoding="utf-8")
    with pytest.raises(UnreadableRecord, match=r"eplets.csv: line 8"):
        read_person(path)
    with pytest.raises(TransplantError, match="allele, eplets"):
        transplant_sheet(record({}), record({}), eplets=loaded(CODES), review_date=DAY)


@pytest.mark.parametrize(
    ("listed", "percent"),
    [
        ("none", 0.0),
        ("A1", 0.75 * 19.0),  # 1 - 0.9^2
        ("A2", 0.75 * 36.0 + 0.25 * 75.0),
        ("A1, B7", 0.75 * 51.0),  # 1 - 0.7^2, the worked example
        ("DR3", 0.75 * 19.0 + 0.25 * 75.0),  # the broad antigen of DR17 and DR18
        ("A1, A2, A3, A30", 100.0),
    ],
)
def test_cpra_is_the_mixture_of_the_groups(listed: str, percent: float) -> None:
    assert cpra(listed).value == pytest.approx(percent, abs=1e-4)
    assert "doi:10.1097/TP.0000000000001830" in cpra(listed).rule


def test_cpra_has_bounds_where_the_table_does_not_tell() -> None:
    assert cpra("DQ2").value == "0.0 to 100.0"  # it names no DQ
    assert cpra("DR18, B62").value == pytest.approx(0.25 * 75.0)
    fewer = FREQUENCIES.replace("A3~B35~DR1,0.7", "A3~B35~DR1,0.6")
    assert cpra("A1", fewer).value == f"{0.75 * 19:.1f} to {0.75 * 36:.1f}"
    taker = record({"cpra": {"value": 40, "unit": "%"}})
    found = transplant_sheet(record({}), taker, frequencies=loaded(FREQUENCIES), review_date=DAY)
    assert found.row("cpra").verdict == "unknown"  # no list, though the laboratory has a number


def test_frequencies_of_antigens_take_loci_as_independent() -> None:
    text = "group,weight,haplotype,frequency\na,1,A1,0.1\na,1,A2,0.9\na,1,B7,0.2\na,1,B8,0.8\n"
    assert cpra("A1, B7", text).value == pytest.approx(100 * (1 - 0.81 * 0.64))
    assert cpra("A1, DR4", text).value == "19.0 to 100.0"


@given(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=4), st.floats(0.01, 1.0))
def test_a_share_is_one_and_a_mixture_of_equal_ones_is_itself(
    parts: list[float], weight: float
) -> None:
    names = ("A1~B7", "A2~B8", "A3~B35", "A11~B44")
    group = Group(weight, tuple(zip(names, parts)))
    few = out_of_reach(group, [read_target("A1")])
    more = out_of_reach(group, [read_target("A1"), read_target("A2")])
    assert 0 <= few.low <= few.high <= 1
    assert few.low <= more.low
    mixed = mixture([(weight, few), (1.0, few)])
    assert (mixed.low, mixed.high) == pytest.approx((few.low, few.high))
    assert out_of_reach(group, []) == Share(0.0, 0.0)


def eplets(donor: str, taker: str, antibody: str = "none") -> dict[str, Row]:
    people = record({"hla": donor}), record({"hla": taker, "antibody": antibody})
    sheet = transplant_sheet(*people, eplets=loaded(EPLETS), review_date=DAY)
    return {row.name: row for row in sheet.rows if row.name.startswith("eplets")}


TAKER = "A*01:01+A*01:01^B*07:02+B*07:02^C*07:01+C*07:01"


def test_foreign_eplets_are_counted_and_listed_and_other_loci_count_too() -> None:
    found = eplets("A*02:01+A*01:01^B*07:02+B*07:02^C*07:02+C*07:01", TAKER)
    assert {n: r.value for n, r in found.items() if n != "eplets.antibodies"} == {
        "eplets.a": 2.0, "eplets.b": 0.0, "eplets.c": 1.0, "eplets.total": 3.0,
    }  # fmt: skip
    assert "e3, e4" in found["eplets.a"].reason
    own = TAKER.replace("B*07:02+B*07:02", "B*07:02+B*08:01")  # e3 stands on the own B*08:01
    assert "e3" not in eplets("A*02:01+A*01:01", own)["eplets.a"].reason
    assert eplets(TAKER, TAKER)["eplets.total"].value == 0.0


@pytest.mark.parametrize(
    ("donor", "taker", "told"),
    [
        ("A*03:01+A*01:01", TAKER, "A*03:01 is not in the table"),
        ("A2 A1", TAKER, "A2 has no allele"),
        ("A*02:01", TAKER, "only one copy"),
        ("A*02:01+A*01:01", "A*01:01+A*01:01^B*07:02+B*07:02", "not wholly typed at C"),
    ],
)
def test_an_eplet_count_that_is_not_sure_is_unknown(donor: str, taker: str, told: str) -> None:
    found = eplets(donor, taker)
    assert found["eplets.a"].verdict == found["eplets.total"].verdict == "unknown"
    assert told in found["eplets.a"].reason


def test_an_ambiguous_allele_gives_bounds() -> None:
    found = eplets("A*01:01/A*02:01+A*01:01", TAKER)["eplets.a"]
    assert (found.value, found.verdict) == ("0 to 2", "unknown")


@pytest.mark.parametrize(
    ("antibody", "verdict"),
    [("B*08:01", "warn"), ("A*01:01", "pass"), ("B8", "unknown"), ("none", "pass")],
)
def test_antibodies_are_held_against_the_foreign_eplets(antibody: str, verdict: str) -> None:
    donor = "A*02:01+A*01:01^B*07:02+B*07:02^C*07:01+C*07:01"
    assert eplets(donor, TAKER, antibody)["eplets.antibodies"].verdict == verdict


def test_tables_are_sources_of_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(pair(), tmp_path)
    (tmp_path / "f.csv").write_text(FREQUENCIES, encoding="utf-8")
    sources = [f"--source={n}={tmp_path}/{n}.json" for n in ("donor", "recipient")]
    sources.append(f"--source=frequencies={tmp_path}/f.csv")
    case = str(tmp_path / "case")
    assert main(["plan", "transplant", "--case", case, *sources, "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["cpra"]["value"] == "14.2 to 100.0"  # the table names no DQ2
