"""A lumped network as a step: from JSON to numbers and courses that a case keeps."""

import json

import numpy as np
import pytest

from hemodynamics.lumped import UnusableNetwork
from hemodynamics.network import TIME, circulation
from workstation.case import create_case
from workstation.export import export
from workstation.figures import figures_of
from workstation.formats import FORMATS, digest_value, kind_of
from workstation.plan_run import StepFailed
from workstation.planning.plan import Plan, Step
from workstation.planning.template import find_template

GROUND = "ground"
HEART = {"mean": 80.0, "period_s": 0.8, "cosines": [], "sines": [60.0]}
WINDKESSEL = {
    "elements": [
        {"kind": "flow source", "name": "heart", "end": "aorta", "flow": HEART},
        {"kind": "resistor", "name": "z", "start": "aorta", "end": "arch end", "resistance": 0.05},
        {"kind": "compliance", "name": "store", "node": "arch end", "compliance": 1.3},
        {"kind": "resistor", "name": "body", "start": "arch end", "end": GROUND, "resistance": 1.0},
    ]
}  # fmt: skip


def numbers(result):
    return {number.quantity: number for number in result.numbers}


@pytest.mark.parametrize("network", [WINDKESSEL, json.dumps(WINDKESSEL)], ids=["object", "text"])
def test_a_periodic_circulation(network):
    result = circulation(network=network, steps=100)
    found = numbers(result)
    assert found["aorta.pressure"].value == pytest.approx(84.0, rel=1e-3)
    assert found["aorta.pressure"].unit == "mmHg"
    assert found["body.flow"].value == pytest.approx(80.0, rel=1e-3)
    assert found["body.flow_minimum"].value < 80 < found["body.flow_maximum"].value
    assert found["store.volume"].value == pytest.approx(1.3 * 80, rel=1e-3)
    assert found["change"].value < 0.01
    assert not any("arch end" in name for name in found)
    assert len(result.columns["arch end.pressure_mmhg"]) == len(result.columns[TIME]) == 100
    assert result.columns[TIME][-1] == pytest.approx(0.8)


def test_rest_and_beginning():
    rest = numbers(circulation(network=WINDKESSEL, kind="steady"))
    assert rest["aorta.pressure"].value == pytest.approx(84.0)
    assert "body.flow_minimum" not in rest
    begun = circulation(network=WINDKESSEL, kind="transient", duration_s=1.0, steps=50)
    assert begun.columns[TIME][-1] == pytest.approx(1.0)
    assert 0 < numbers(begun)["store.volume"].value < 104


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("{", "no JSON"),
        ("[]", "one JSON object"),
        ({"elements": WINDKESSEL["elements"][1:2]}, "nothing sets the pressure"),
        ({"elements": WINDKESSEL["elements"][1:]}, "nothing in the network beats"),
    ],
)
def test_what_cannot_be_computed_is_said(network, words):
    with pytest.raises(UnusableNetwork, match=words):
        circulation(network=network)


def test_a_case_keeps_and_exports_the_courses(tmp_path):
    params = {"network": WINDKESSEL, "steps": 40}
    plan = Plan("1.2", {}, (Step("hemodynamics.circulation", "body", params=params),))
    with create_case(tmp_path / "case") as case:
        case.add_plan(plan, "Start")
        case.run(plan)
        names = {number["name"] for number in case.summary()["numbers"]}
        assert {"body.aorta.pressure", "body.change"} <= names
        assert case.check(plan) == []
        record = json.loads(export(case, "body", tmp_path / "body.json").read_text())
        wrong = plan.with_params("body", network={"elements": []})
        with pytest.raises(StepFailed, match="nothing in the network beats"):
            case.run(wrong)
    assert len(record["courses"]["aorta.pressure_mmhg"]) == 40


def test_the_template_begins_with_an_example_that_runs(tmp_path):
    plan = find_template("circulation").plan("", {})
    with create_case(tmp_path / "case") as case:
        case.add_plan(plan, "Start")
        case.run(plan)
        found = {number["name"]: number["value"] for number in case.summary()["numbers"]}
    assert figures_of(plan).key_numbers.keys() <= found.keys()
    low, high = (found[f"circulation.root.pressure_{end}"] for end in ("minimum", "maximum"))
    assert 70 < low < 90 < high < 130


def test_courses_come_back(tmp_path):
    value = circulation(network=WINDKESSEL, steps=40)
    form = FORMATS[kind_of(value)]
    assert form.type is type(value)
    form.write(value, tmp_path / "courses.npz")
    back = form.read(json.loads(json.dumps(form.record(value))), tmp_path / "courses.npz")
    assert digest_value(back) == digest_value(value)
    assert all(np.array_equal(back.columns[name], value.columns[name]) for name in value.columns)
