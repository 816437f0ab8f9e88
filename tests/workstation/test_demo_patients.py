"""The table of built-in patients agrees with the command line and the templates."""

import json

import pytest

from segmentation.contract import silent
from workstation.arguments import PATIENTS
from workstation.case import CaseError, create_case
from workstation.demo import DEMOS, first_folder, own_folder, start_demo
from workstation.stages import check_plan


def test_the_command_line_offers_every_patient():
    assert tuple(DEMOS) == PATIENTS


@pytest.mark.parametrize("name", DEMOS)
def test_each_patient_begins_a_plan_that_holds_together(name):
    check_plan(DEMOS[name].plan())


def test_a_real_patient_is_never_overwritten(tmp_path):
    with create_case(tmp_path / "case") as case:
        case.record.sources["ct"] = {"kind": "volume", "frame_uid": "1.2"}
        case.save()
    with pytest.raises(CaseError, match="real patient"):
        start_demo(tmp_path / "case", "aneurysm")


@pytest.mark.parametrize("name", ["transplant", "mandible"])
def test_a_case_of_today_is_opened_again_and_that_of_an_earlier_version_is_let_be(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = first_folder(name)
    assert own_folder(name) == first
    start_demo(first, name)
    assert own_folder(name) == first
    file = first / "plans" / "0001.json"
    plan = json.loads(file.read_text())
    plan["steps"] = plan["steps"][:-1]
    file.write_text(json.dumps(plan))
    beside = own_folder(name)
    assert beside == first.with_name(f"demo-{name}-2")
    start_demo(beside, name)
    assert own_folder(name) == beside
    assert json.loads(file.read_text()) == plan


@pytest.mark.parametrize("name", DEMOS)
def test_the_window_makes_the_patient_that_was_asked_for(name, tmp_path, monkeypatch):
    from workstation.ui import main_window

    asked = []
    monkeypatch.setattr(main_window, "start_demo", lambda folder, n, progress: asked.append(n))
    assert main_window.make_demo(tmp_path, name, silent) == tmp_path
    assert asked == [name]
