"""Plans of one case, named and side by side."""

import json

import pytest

from workstation.__main__ import main
from workstation.case import create_case
from workstation.planning.plan import Plan, Step


@pytest.fixture
def folder(tmp_path):
    with create_case(tmp_path / "case") as case:
        steps = (Step("planning.patient", "patient", params={"body_weight_kg": 70.0}),)
        plan = Plan("", {}, steps)
        case.add_plan(plan, "Start")
        case.run(plan)
    return tmp_path / "case"


def called(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_change_is_a_new_plan_that_can_be_compared_by_name(folder, capsys):
    assert called(capsys, "plans", folder, "--keep", "A")[0] == 0
    change = ("change", folder, "patient.body_weight_kg=80", "patient.height_cm=180")
    assert called(capsys, *change, "--keep", "B")[0] == 0
    code, out, _ = called(capsys, "compare", folder, "A", "B", "--json")
    document = json.loads(out)
    assert code == 0
    assert [(p["plan"], p["name"], p["computed"]) for p in document["plans"]] == [
        (1, "A", True),
        (2, "B", True),
    ]
    rows = {row["name"]: row for row in document["numbers"]}
    assert [v["value"] for v in rows["patient.body_weight_kg"]["values"]] == [70.0, 80.0]
    assert rows["patient.body_weight_kg"]["differs"]
    assert rows["patient.height_cm"]["values"][0] is None
    assert "patient's values differ" in document["notes"][0]
    assert {"step": "patient", "param": "body_weight_kg", "values": [70.0, 80.0]} in document[
        "settings"
    ]
    code, out, _ = called(capsys, "compare", folder, 1, 2)
    assert code == 0
    assert "80" in out
    assert "A" in out


def test_the_first_plan_is_still_there_and_can_be_built_on(folder, capsys):
    called(capsys, "change", folder, "patient.body_weight_kg=80")
    called(capsys, "change", folder, "patient.height_cm=150", "--plan", 1)
    _, out, _ = called(capsys, "compare", folder, 1, 2, 3, "--json")
    (weights,) = (
        [v["value"] for v in row["values"]]
        for row in json.loads(out)["numbers"]
        if row["name"] == "patient.body_weight_kg"
    )
    assert weights == [70.0, 80.0, 70.0]


def test_a_plan_that_was_not_run_says_so(folder, capsys):
    from workstation.case import open_case

    with open_case(folder) as case:
        case.add_plan(case.plan().with_params("patient", height_cm=150.0), "Height")
    _, out, _ = called(capsys, "compare", folder, 1, 2)
    assert "plan 2 is not computed; run: hilum run" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "CASE", "1"), "two plans"),
        (("compare", "CASE", "1", "C"), "no plan 'C'"),
        (("compare", "CASE", "1", "7"), "no plan '7'"),
        (("plans", "CASE", "--keep", "3"), "cannot name"),
        (("change", "CASE", "patient.shoe=3"), "no parameter 'shoe'"),
        (("change", "CASE", "liver.shoe=3"), "no step 'liver'"),
    ],
)
def test_what_is_wrong_is_named(folder, capsys, arguments, words):
    code, _, err = called(capsys, *(folder if a == "CASE" else a for a in arguments))
    assert code == 1
    assert words in err


def test_an_option_is_added_by_name_and_nothing_is_no_change(folder, capsys):
    code, _, err = called(capsys, "change", folder, "--with", "coil")
    assert code == 1
    assert "no option 'coil'" in err
    code, _, err = called(capsys, "change", folder)
    assert code == 1
    assert "Say what to change" in err
