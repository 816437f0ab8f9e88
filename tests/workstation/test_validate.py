import json
from math import nan

import pytest
from pypdf import PdfReader

from hemodynamics.verification.rows import CannotRun, Check, Means, Row
from workstation import validate, validate_examples
from workstation.__main__ import main
from workstation.jobs import Cancelled
from workstation.validate_report import markdown, table, write_report


def row(value, reference=2.0, limit=0.1, **fields):
    given = {"name": "n", "case": "a | b <c>", "quantity": "q", "unit": "Pa", "source": "s"}
    return Row(value=value, reference=reference, limit=limit, **{**given, **fields})


@pytest.mark.parametrize(
    ("value", "limit", "verdict"),
    [(2.1, 0.1001, "pass"), (1.8, 0.1, "fail"), (nan, 9.0, "fail"), (None, None, "not run"),
     (None, 0.0, "fail")],
)  # fmt: skip
def test_a_verdict_follows_from_value_and_limit(value, limit, verdict):
    made = row(value, limit=limit)
    assert made.verdict == verdict
    record = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert record["verdict"] == verdict
    assert set(record) >= {
        "name", "case", "quantity", "value", "reference", "unit", "error", "limit", "source",
        "seconds",
    }  # fmt: skip


def test_worked_examples_pass_to_their_last_digit():
    rows = [*validate_examples.worked_examples(Means()), *validate_examples.four_resistors(Means())]
    assert [made.quantity for made in rows if made.verdict != "pass"] == []
    assert len(rows) >= 59
    assert all(made.source for made in rows)


@pytest.mark.parametrize(
    ("printed", "limit"), [("22.67", 0.005), ("17.8", 0.05), ("3", 1e-9), ("-2.541", 0.0005)]
)
def test_half_of_the_last_digit(printed, limit):
    assert validate_examples.half_digit(printed) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize(
    ("reference", "spread", "verdict"),
    [(1.6, 0.0, "inside"), (2.6, 0.0, "outside"), (2.6, 0.2, "inside"), (1.2, 0.2, "outside")],
)
def test_what_was_measured_lies_inside_a_band_or_outside(reference, spread, verdict):
    made = row(2.0, reference, spread, low=1.5, high=2.5)
    assert made.verdict == verdict
    assert f"1 {verdict}" in table([made])
    assert f"{verdict:8} n" in table([made])
    assert "2 Pa (1.5 to 2.5)" in markdown([made])


@pytest.fixture
def checks(monkeypatch):
    """Replace the checks by quick ones that pass, fail, lack something, break and take long."""

    def good(means):
        means.progress(0.5, "half")
        yield row(2.0)
        yield row(2.01)

    def bad(means):
        yield row(3.0)

    def lacking(means):
        yield row(2.0)
        raise CannotRun("OpenFOAM is not installed; apt-get install openfoam")

    def broken(means):
        raise RuntimeError("the flow blew up")
        yield

    listed = (
        Check("good", "good title", good),
        Check("bad", "bad title", bad),
        Check("lacking", "lacking title", lacking),
        Check("broken", "broken title", broken),
        Check("long", "long title", good, minutes=20),
    )
    monkeypatch.setattr(validate, "CHECKS", listed)


def test_long_checks_run_only_by_name(checks):
    rows = validate.validate()
    assert [(made.name, made.verdict) for made in rows] == [
        ("good", "pass"), ("good", "pass"), ("bad", "fail"), ("lacking", "pass"),
        ("lacking", "not run"), ("broken", "fail"), ("long", "not run"),
    ]  # fmt: skip
    assert rows[-1].note == "hilum validate long"
    assert "apt-get" in rows[4].note
    assert "blew up" in rows[5].note
    assert [made.verdict for made in validate.validate(["long"])] == ["pass", "pass"]


def test_a_check_stops_when_it_is_told_to(checks):
    def progress(fraction, message=""):
        if message == "half":
            raise Cancelled("Validation")

    with pytest.raises(Cancelled):
        validate.validate(["good"], progress=progress)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["good"], 0), (["lacking"], 0), (["bad"], 1), (["nix"], 2)]
)
def test_the_command_tells_by_its_exit_code(checks, capsys, arguments, code):
    assert main(["validate", *arguments]) == code
    told = capsys.readouterr()
    assert ("bad failed: a | b <c>, q" in told.err) == (code == 1)
    assert ("there are: good, bad" in told.err) == (code == 2)


def test_the_command_prints_one_json_document(checks, capsys):
    assert main(["validate", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"pass": 3, "fail": 2, "inside": 0, "outside": 0, "not run": 2}
    assert len(document["rows"]) == 7
    assert document["rows"][0]["seconds"] >= 0


def test_the_list_runs_nothing(checks, capsys):
    assert main(["validate", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "long title (about 20 min, only by name)" in printed


def test_reports(checks, tmp_path):
    rows = validate.validate()
    assert "a \\| b <c>" in markdown(rows)
    assert "3 passed, 2 failed, 2 not run" in table(rows)
    assert table([row(3.0)]).startswith("FAIL")
    write_report(rows, tmp_path / "v.json")
    assert len(json.loads((tmp_path / "v.json").read_text())["rows"]) == 7
    write_report(rows, tmp_path / "v.pdf")
    text = PdfReader(tmp_path / "v.pdf").pages[0].extract_text()
    assert "3 passed, 2 failed, 2 not run" in text
    assert "a | b <c>" in text


def test_a_report_needs_a_known_ending(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["validate", "--out", "v.docx"])
    assert stopped.value.code == 2
    assert "must end in one of" in capsys.readouterr().err
