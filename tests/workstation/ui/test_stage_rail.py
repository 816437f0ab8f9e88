"""The marks of the stages follow from the states of their steps."""

from typing import Any

import pytest

from workstation.ui.stage_rail import DONE, FAILED, OPEN, STALE, WORKING, stage_states

CT = {"name": "ct", "kind": "dicom"}


def summary(findings: tuple[dict[str, Any], ...] = (), **states: str) -> dict[str, Any]:
    stages = {
        "liver": "segmentation.threshold",
        "tumor": "segmentation.threshold",
        "liver_surface": "meshing.isosurface",
        "cut": "planning.cut_plane",
        "flow": "hemodynamics.simulate_flow",
    }
    steps = [{"output": o, "stage": stages[o], "state": s} for o, s in states.items()]
    return {"sources": [CT], "steps": steps, "findings": list(findings)}


def test_without_a_case_everything_is_open_and_says_what_it_needs() -> None:
    states = stage_states(None)
    assert {s.mark for s in states.values()} == {OPEN}
    assert states["Plan"].needs == "an open case"


@pytest.mark.parametrize(
    ("liver", "tumor", "mark"),
    [
        ("fresh", "fresh", DONE),
        ("fresh", "missing", WORKING),
        ("missing", "missing", OPEN),
        ("fresh", "stale", STALE),
        ("failed", "fresh", FAILED),
    ],
)
def test_a_stage_is_as_good_as_its_worst_step(liver: str, tumor: str, mark: str) -> None:
    assert stage_states(summary(liver=liver, tumor=tumor))["Segment"].mark == mark


def test_what_is_computed_now_is_being_worked_on() -> None:
    states = stage_states(summary(liver="stale", cut="stale"), running="liver")
    assert states["Segment"].mark == WORKING
    assert states["Plan"].mark == STALE


def test_serious_findings_are_counted_where_they_belong() -> None:
    found = (
        {"severity": "warning", "sentence": "a", "step": "ct"},
        {"severity": "problem", "sentence": "b", "step": "cut"},
        {"severity": "info", "sentence": "c", "step": "cut"},
    )
    states = stage_states(summary(found, liver="fresh", cut="fresh"))
    counts = {name: state.findings for name, state in states.items()}
    assert counts == {
        "Case": 0,
        "Import": 1,
        "Segment": 0,
        "Model": 0,
        "Measure": 0,
        "Plan": 1,
        "Flow": 0,
        "Print": 0,
        "Report": 2,
    }


def test_the_report_needs_a_computed_plan() -> None:
    assert stage_states(summary(liver="missing"))["Report"].needs == "a computed plan"
    assert stage_states(summary(liver="fresh"))["Report"].needs == ""


def test_the_flow_is_offered_where_the_plan_computes_one() -> None:
    assert not stage_states(None)["Flow"].offered
    assert not stage_states(summary(liver="fresh"))["Flow"].offered
    found = ({"severity": "warning", "sentence": "a", "step": "flow"},)
    states = stage_states(summary(found, flow="fresh"))
    assert states["Flow"].offered
    assert (states["Flow"].mark, states["Flow"].findings) == (DONE, 1)
    assert states["Plan"].findings == 1, "it is a step of the plan, too"
