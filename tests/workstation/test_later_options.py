"""What a template offers, added to a plan that has begun, and treatments side by side."""

from dataclasses import replace

import pytest

from workstation.comparing import _treated, treated_flows
from workstation.planning.later_options import offered, with_later_options
from workstation.planning.plan import Plan, PlanError
from workstation.planning.template import find_template, templates


@pytest.fixture
def start():
    plan = find_template("aneurysm").plan("1.2", {"lumen": "x"}, {"lumen": "surface"})
    return plan.with_params("flow", mean_flow_ml_s=2.5)


def test_what_a_plan_has_or_cannot_take_is_not_offered(start):
    assert list(offered(start)) == ["coil", "flow_diverter", "without_sac"]
    coiled = with_later_options(start, ["coil"])
    assert list(offered(coiled)) == ["flow_diverter", "without_sac"]
    assert coiled.steps[: len(start.steps)] == start.steps
    short = replace(start, steps=tuple(s for s in start.steps if s.output in ("lumen", "patient")))
    assert not {"coil", "flow_diverter"} & offered(short).keys(), "there is no dome, no neck"
    assert offered(Plan("1.2", {}, ())) == {}


def test_a_later_flow_is_driven_like_the_first(start):
    def wider(plan):
        return plan.with_params("flow", viscosity_pa_s=0.004)

    coiled = with_later_options(start, ["coil"], wider)
    driven = coiled.step("flow_coil").params
    assert (driven["mean_flow_ml_s"], driven["viscosity_pa_s"]) == (2.5, 0.004)


@pytest.mark.parametrize(
    ("name", "words"),
    [("stent", "no option 'stent'; it has: coil, "), ("coil", "the plan has 'coil' already")],
)
def test_what_cannot_be_added_is_said(start, name, words):
    coiled = with_later_options(start, ["coil"])
    with pytest.raises(PlanError, match=words):
        with_later_options(coiled, [name])
    with pytest.raises(PlanError, match="it has: none"):
        with_later_options(Plan("1.2", {}, ()), [name])


def test_treatments_stand_beside_each_other_and_what_is_not_treated(start):
    coiled, diverted, away = (
        with_later_options(start, [n]) for n in ("coil", "flow_diverter", "without_sac")
    )
    both = with_later_options(coiled, ["flow_diverter"])
    assert treated_flows([start, start]) == []
    plans = [start, coiled, diverted, away, both]
    assert treated_flows(plans) == ["flow", "flow_coil", "flow_diverted", "flow_without_sac", ""]

    def told(**values):
        return {name.replace("__", "."): {"value": value} for name, value in values.items()}

    dome = told(wss__dome_mean=4.0, flow__wss__mean=8.0)
    records = [
        dome,
        dome | told(coil_effect__wss__dome_mean__after=1.0, flow_coil__wss__mean=8.5),
        dome | told(diverter_effect__wss__dome_mean__after=2.0, flow_diverted__wss__mean=8.1),
        dome | told(flow_without_sac__wss__mean=9.0),
        dome | told(coil_effect__wss__dome_mean__after=1.0, flow_coil__wss__mean=8.5),
    ]
    rows = {
        name: [number and number["value"] for number in found]
        for name, found in _treated(plans, records)
    }
    assert rows == {
        "wss.dome_mean": [4.0, 1.0, 2.0, None, None],
        "flow.wss.mean": [8.0, 8.5, 8.1, 9.0, None],
    }
    assert list(_treated([start, start], [dome, dome])) == []


@pytest.mark.parametrize("name", sorted(templates()))
def test_what_a_plan_has_is_offered_no_more_and_the_rest_can_be_added(name):
    template = find_template(name)
    given = {source: about.kinds[0] for source, about in template.sources.items()}
    for other in template.one_of[1:]:
        del given[other]
    plan = template.plan("1.2", dict.fromkeys(given, "x"), given)
    for option in offered(plan):
        plan = with_later_options(plan, [option]) if option in offered(plan) else plan
        assert option not in offered(plan)
    assert not offered(plan)
