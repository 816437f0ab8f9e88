"""A plan that an earlier version computed: it is said, and one action brings it up to date."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workstation.__main__ import main
from workstation.case import open_case
from workstation.stages import STAGES
from workstation.ui.main_window import MainWindow

SPECIMEN = STAGES["planning.specimen"]


def told(findings: list[dict[str, str]]) -> list[str]:
    return [f["sentence"] for f in findings if f["code"] == "earlier_version"]


def test_results_of_an_earlier_version_are_told_and_renewed_by_a_click(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case()
    monkeypatch.setitem(STAGES, SPECIMEN.name, replace(SPECIMEN, version=SPECIMEN.version + 1))
    window.open_case(case)
    settle()
    window.show_stage("Plan")
    card = window.plan_panel.earlier
    assert not card.isHidden()
    assert "1 result is of an earlier version of Hilum: specimen" in card.text.text()
    (said,) = told(window.session.summary()["findings"])
    assert said.startswith("1 result was made by an earlier version of Hilum: specimen.")
    before = window.session.plan
    card.renew.click()
    settle()
    assert card.isHidden()
    assert window.session.require_plan().step("specimen").version == SPECIMEN.version + 1
    assert all(step["state"] == "fresh" for step in window.session.summary()["steps"])
    window.session.undo()
    settle()
    assert window.session.plan == before
    assert not card.isHidden()


def test_a_command_brings_the_current_plan_up_to_date(
    make_case: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_case()
    monkeypatch.setitem(STAGES, SPECIMEN.name, replace(SPECIMEN, version=SPECIMEN.version + 1))
    assert main(["run", str(folder)]) == 0
    with open_case(folder) as case:
        first = case.plan_number
        assert told(case.summary()["findings"])
    assert main(["run", str(folder), "--renew"]) == 0
    with open_case(folder) as case:
        assert case.plan_number == first + 1
        assert not told(case.summary()["findings"])
    assert main(["run", str(folder), "--renew"]) == 0  # there is nothing to renew any more
    with open_case(folder) as case:
        assert case.plan_number == first + 1
    capsys.readouterr()
    assert main(["run", str(folder / "plans" / f"{first:04d}.json"), "--renew"]) == 1
    assert "nly the current plan is renewed" in capsys.readouterr().err
