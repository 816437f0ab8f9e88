"""Plans A, B, C of a case: made, renamed, removed, gone back to; all of it can be undone."""

import json

import pytest

from workstation.__main__ import main
from workstation.case import CaseError, create_case, open_case
from workstation.named_plans import (
    cut_kind,
    listed_plans,
    new_plan,
    remove_plan,
    rename_plan,
    switch_plan,
)
from workstation.planning.number_limits import limits_of
from workstation.planning.plan import Plan, Step
from workstation.session import Session

PATIENT = Step("planning.patient", "patient", params={"body_weight_kg": 70.0})


@pytest.fixture
def session(tmp_path):
    with create_case(tmp_path / "case") as case:
        case.add_plan(Plan("", {}, (PATIENT,)), "Start")
    made = Session()
    made.open(tmp_path / "case")
    yield made
    made.close()


def names(session):
    record = session.case.record
    return dict(record.plan_names), record.variant, session.case.plan_number


def test_a_name_goes_along_with_the_changes_and_the_others_stay(session):
    assert new_plan(session.case) == "B"
    assert names(session) == ({"A": 1, "B": 1}, "B", 1)
    session.set_params("patient", body_weight_kg=80.0)
    assert names(session) == ({"A": 1, "B": 2}, "B", 2)
    session.vary(lambda case: switch_plan(case, "A"))
    assert session.plan.step("patient").params["body_weight_kg"] == 70.0
    session.set_params("patient", body_weight_kg=60.0)
    assert names(session) == ({"A": 3, "B": 2}, "A", 3)
    shown = [(r["name"], r["plan"], r["current"]) for r in listed_plans(session.case)]
    assert shown == [("A", 3, True), ("B", 2, False), ("", 1, False)]


def test_undo_takes_back_every_act_with_its_names(session):
    def removed(case):
        remove_plan(case, "B")

    acts = (
        new_plan,
        lambda case: rename_plan(case, "B", "wedge"),
        lambda case: new_plan(case, "B"),
        removed,
        lambda case: switch_plan(case, "A"),
    )
    seen = [names(session)]
    for act in acts:
        session.vary(act)
        seen.append(names(session))
    assert seen[-2] == ({"A": 1, "wedge": 1}, "wedge", 1)
    for before in reversed(seen[:-1]):
        session.undo()
        assert names(session) == before
    for after in seen[1:]:
        session.redo()
        assert names(session) == after


def test_a_plan_that_is_removed_gives_way_to_its_neighbour(session):
    new_plan(session.case)
    session.set_params("patient", body_weight_kg=80.0)
    session.vary(lambda case: remove_plan(case, "B"))
    assert names(session) == ({"A": 1}, "A", 1)
    assert session.plan.step("patient").params["body_weight_kg"] == 70.0
    with pytest.raises(CaseError, match="the only plan"):
        remove_plan(session.case, "A")


def test_what_cannot_be_done_changes_nothing(session):
    new_plan(session.case)
    held = names(session)
    for act in (
        lambda c: rename_plan(c, "B", "A"),
        lambda c: rename_plan(c, "B", "7"),
        lambda c: rename_plan(c, "Z", "Y"),
        lambda c: switch_plan(c, "Z"),
        lambda c: new_plan(c, "A"),
        lambda c: remove_plan(c, "Z"),
    ):
        with pytest.raises(CaseError):
            act(session.case)
    assert names(session) == held


def test_names_outlive_the_session_and_older_cases_open(session):
    folder = session.case.folder
    new_plan(session.case)
    session.close()
    record = json.loads((folder / "case.json").read_text())
    with open_case(folder, write=False) as case:
        assert (case.record.plan_names, case.record.variant) == ({"A": 1, "B": 1}, "B")
    del record["variant"]
    record["history"] = [{"label": e["label"], "plan": e["plan"]} for e in record["history"]]
    (folder / "case.json").write_text(json.dumps(record))
    with open_case(folder) as case:
        case.go_to(0)
        assert case.record.plan_names == {"A": 1, "B": 1}


def test_the_commands_do_what_the_window_does(session, capsys):
    folder = str(session.case.folder)
    session.close()

    def plans(*words):
        assert main(["plans", folder, "--json", *words]) == 0
        found = json.loads(capsys.readouterr().out)["plans"]
        return {r["name"]: r["current"] for r in found if r["name"]}

    assert plans("--new") == {"A": False, "B": True}
    assert plans("--rename", "B", "wedge") == {"A": False, "wedge": True}
    assert plans("--switch", "A") == {"A": True, "wedge": False}
    assert plans("--remove", "wedge") == {"A": True}
    assert plans("--undo") == {"A": True, "wedge": False}
    assert main(["compare", folder, "--json"]) == 0
    assert [p["name"] for p in json.loads(capsys.readouterr().out)["plans"]] == ["A", "wedge"]


@pytest.mark.parametrize(
    ("name", "value", "band", "states"),
    [
        ("flr.total", 35.0, (34.0, 36.0), ["kept", "kept", "passed"]),
        ("flr.total", 31.0, (29.0, 33.0), ["kept", "in doubt", "passed"]),
        ("margin.minimum", 0.9, (None, None), ["passed"]),
        ("margin.minimum", 1.0, (None, None), ["kept"]),
        ("portal_pressure.after", 20.0, (18.0, 22.0), ["in doubt"]),
        ("liver.volume", 1.0, (None, None), []),
    ],
)
def test_a_number_stands_against_its_published_limits(name, value, band, states):
    record = {"value": value, "low": band[0], "high": band[1]}
    assert [limit.kept(record) for limit in limits_of(name, Plan("", {}))] == states


def test_the_state_of_the_liver_chooses_the_limit():
    step = Step("planning.future_remnant", "flr", params={"background": "cirrhosis"})
    assert [limit.value for limit in limits_of("flr.total", Plan("", {}, (step,)))] == [40.0]


def test_the_kind_of_a_cut_is_told():
    assert cut_kind(Plan("", {}, (Step("planning.cut_wedge", "cut"),))) == "wedge around the tumour"
    assert cut_kind(Plan("", {}, (PATIENT,))) == ""
