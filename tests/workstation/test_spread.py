"""Bands of results by repeating them under other inputs."""

import numpy as np
import pytest

from segmentation.contract import Measurements, Number
from segmentation.volume import ImageGeometry, Volume
from workstation.bands import usual_ranges, with_bands, with_spread
from workstation.formats import digest_source
from workstation.plan_run import StepFailed, run_plan
from workstation.planning.plan import Plan, PlanError, Step
from workstation.planning.spread import spread
from workstation.variants import one_by_one

WEIGHT = "patient.body_weight_kg"
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def plan():
    return Plan("1.2", {}, (Step("planning.patient", "patient", params={"body_weight_kg": 70.0}),))


def bands(plan, store, **given):
    keys = run_plan(plan, store, **given)
    return {n.quantity: n for n in store[keys["patient_spread"]].numbers}


def test_a_number_that_moves_gets_the_band_of_its_members(plan):
    band = bands(with_spread(plan, "patient", [(WEIGHT, 60.0, 90.0)], 10), {})["body_weight_kg"]
    assert band.value == 70.0
    assert 60.0 <= band.low < 63.0
    assert 87.0 < band.high <= 90.0
    assert "10 members" in band.source
    assert WEIGHT in band.source


def test_the_band_takes_its_place_among_the_numbers_of_the_result(plan):
    plan = with_spread(plan, "patient", [(WEIGHT, 60.0, 90.0)], 5)
    shape = {"unit": "", "source": "s", "low": None, "high": None}
    records = [
        {"name": "wss.dome_mean", "value": 3.0, "step": "patient", **shape},
        {"name": "patient.other", "value": 1.0, "step": "patient", **shape},
        {"name": "wss.dome_mean", "value": 3.0, "step": "patient_spread", **shape} | {"low": 2.0},
        {"name": "patient_spread.other", "value": 1.0, "step": "patient_spread", **shape}
        | {"low": 0.5},
    ]
    shown = with_bands(plan, records)
    assert [(n["name"], n["low"]) for n in shown] == [
        ("wss.dome_mean", 2.0),
        ("patient.other", 0.5),
    ]


def test_members_are_kept_and_reused(plan):
    plan, store, done = with_spread(plan, "patient", [(WEIGHT, 60.0, 90.0)], 6), {}, []

    def counted(work, tasks, found, progress):
        done.append(len(tasks))
        one_by_one(work, tasks, found, progress)

    first = bands(plan, store, spread_over=counted)
    del store[plan.keys()["patient_spread"]]
    assert bands(plan, store, spread_over=counted) == first
    assert done == [6, 0]


def test_a_second_run_elsewhere_gives_the_same_bands(plan):
    plan = with_spread(plan, "patient", [(WEIGHT, 60.0, 90.0)], 4)
    assert bands(plan, {}) == bands(plan, {})


def test_only_what_depends_on_the_varied_step_is_run_again():
    image = Volume(
        np.arange(27.0).reshape(3, 3, 3),
        ImageGeometry((3, 3, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT, "1.2"),
        "HU",
    )
    key = digest_source(image)
    steps = (
        Step("segmentation.threshold", "bright", inputs={"volume": "ct"}, params={"lower_hu": 9.5}),
        Step("planning.patient", "patient", params={"body_weight_kg": 70.0}),
    )
    plan = with_spread(Plan("1.2", {"ct": key}, steps), "patient", [(WEIGHT, 60.0, 90.0)], 3)
    tasks = []

    def noted(work, given, found, progress):
        tasks.extend(given)
        one_by_one(work, given, found, progress)

    run_plan(plan, {key: image}, spread_over=noted)
    assert [[s.output for s in task.plan.steps] for task in tasks] == [["patient"]] * 3
    assert all(key not in task.values for task in tasks)


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ((), "nothing varies"),
        (((WEIGHT, 90.0, 60.0),), "must ascend"),
    ],
)
def test_a_range_that_is_none_is_refused(vary, words):
    with pytest.raises(ValueError, match=words):
        spread(Measurements(), vary=vary, variants=lambda settings, progress: [])


@pytest.mark.parametrize(
    ("own", "band"), [((1.5, 3.0), (0.5, 4.0)), ((0.4, 2.2), (0.0, 3.2)), ((-1, 2), (-2.0, 3.0))]
)
def test_a_band_of_the_number_itself_comes_to_that_of_the_members(own, band):
    number = Number("shear", 2.0, "Pa", "computed", *own)
    found = [Measurements((Number("shear", 1.0 + n, "Pa", ""),)) for n in range(3)]
    given = {"vary": (("a.b", 0.0, 1.0),), "members": 5}
    (moved,) = spread(Measurements((number,)), variants=lambda s, progress: found, **given).numbers
    assert (moved.low, moved.high) == pytest.approx(band)
    assert "the result's own" in moved.source


def test_members_that_fail_are_counted_and_too_few_left_is_an_error():
    number = Number("mass", 2.0, "g", "weighed")

    def some(settings, progress):
        good = [Measurements((Number("mass", 1.0 + n, "g", ""),)) for n in range(3)]
        return [*good, *["the flow blew up"] * (len(settings) - 3)]

    band = spread(Measurements((number,)), vary=(("a.b", 0.0, 1.0),), members=5, variants=some)
    assert (band.numbers[0].low, band.numbers[0].high) == (1.0, 3.0)
    assert "2 of 5" in band.findings[0].sentence
    with pytest.raises(ValueError, match="blew up"):
        spread(
            Measurements((number,)),
            vary=(("a.b", 0.0, 1.0),),
            members=5,
            variants=lambda settings, progress: ["the flow blew up"] * 5,
        )


def test_a_parameter_out_of_its_limits_names_itself(plan):
    with pytest.raises(StepFailed, match="body_weight_kg"):
        run_plan(with_spread(plan, "patient", [(WEIGHT, -9.0, -1.0)], 3), {})


@pytest.mark.parametrize("name", ["liver.size", "patient.shoe_size", "nonsense"])
def test_what_is_not_in_the_plan_cannot_vary(plan, name):
    with pytest.raises(PlanError):
        with_spread(plan, "patient", [(name, 1.0, 2.0)])


def test_usual_ranges_of_a_flow_are_relative_to_its_inflow():
    steps = (Step("hemodynamics.simulate_flow", "flow", inputs={"lumen": "lumen"}),)
    numbers = [
        {"name": f"flow.{end}.flow", "value": q, "unit": "mL/s"}
        for end, q in [("inlet", 4.0), ("outlet_1", -3.0), ("outlet_2", -1.0)]
    ]
    ranges = {
        n: (a, b) for n, a, b in usual_ranges(Plan("1", {"lumen": "k"}, steps), "flow", numbers)
    }
    assert ranges["flow.mean_flow_ml_s"] == pytest.approx((3.24, 4.76))
    assert ranges["flow.exponent"] == (2.0, 3.0)
