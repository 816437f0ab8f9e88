"""Another stage for a result of a plan: inputs, parameters, combinations and the way back."""

import pytest

from workstation.case_sources import with_sources_named
from workstation.importing import with_settings
from workstation.planning.plan import Plan, PlanError, Step
from workstation.restaging import restaged
from workstation.stage import StageError
from workstation.stages import check_plan

POINT, NORMAL = (1.0, 2.0, 3.0), (0.0, 1.0, 0.0)
PLANE, WEDGE = "planning.cut_plane", "planning.cut_wedge"
SHEET, BORDER = "planning.cut_surface", "planning.cut_by_territories"
BOTH = "planning.combine_cuts"


@pytest.fixture
def plan():
    liver = Step(
        "segmentation.threshold",
        "liver",
        inputs={"volume": "ct"},
        params={"lower_hu": 80.0, "upper_hu": 300.0},
    )
    params = {"point_mm": POINT, "normal": NORMAL, "margin_mm": 5.0}
    return Plan(
        "",
        {"ct": "0", "territories": "2", "tumor": "1"},
        (
            liver,
            Step(PLANE, "cut", inputs={"liver": "liver"}, params=params),
            Step("planning.remnant", "remnant", inputs={"liver": "liver", "cut": "cut"}),
        ),
    )


def test_shared_inputs_and_parameters_stay_and_what_is_needed_is_found(plan):
    wedge = restaged(plan, "cut", WEDGE)
    assert wedge.step("cut").params == {"margin_mm": 5.0}
    assert wedge.step("cut").inputs == {"liver": "liver", "tumor": "tumor"}
    sheet = restaged(plan, "cut", SHEET).step("cut")
    assert (sheet.params["point_mm"], sheet.params["normal"]) == (POINT, NORMAL)
    border = with_settings(plan, [("cut", "stage", BORDER), ("cut", "names", ["VI", "VII"])])
    assert border.step("cut").inputs["territories"] == "territories"
    assert border.step("remnant") == plan.step("remnant")


def test_a_combination_keeps_the_first_cut_and_gives_it_back(plan):
    settings = [("cut_other", "stage", WEDGE), ("cut", "stage", BOTH), ("cut", "operation", "both")]
    both = with_settings(plan, settings)
    assert [s.output for s in both.steps] == [
        "liver",
        "cut_other",
        "cut_proposal",
        "cut",
        "remnant",
    ]
    assert dict(both.step("cut").inputs) == {
        "liver": "liver",
        "cut": "cut_proposal",
        "other": "cut_other",
    }
    assert both.step("cut_proposal").params == plan.step("cut").params
    check_plan(both)
    assert restaged(both, "cut", PLANE) == plan
    assert restaged(both, "cut", SHEET) == restaged(plan, "cut", SHEET)


def test_the_second_cut_that_something_else_needs_stays(plan):
    both = with_settings(plan, [("cut_other", "stage", WEDGE), ("cut", "stage", BOTH)])
    used = both.added(
        Step("planning.specimen", "piece", inputs={"liver": "liver", "cut": "cut_other"})
    )
    assert "cut_other" in [s.output for s in restaged(used, "cut", PLANE).steps]


def test_a_wedge_whose_place_is_given_becomes_a_plane(plan):
    wedge = restaged(plan, "cut", WEDGE)
    placed = with_settings(wedge, [("cut", "point_mm", POINT), ("cut", "normal", NORMAL)])
    assert placed.step("cut").stage == PLANE
    assert placed.step("cut").params == plan.step("cut").params
    assert with_settings(wedge, [("cut", "margin_mm", 7.0)]).step("cut").stage == WEDGE


def test_an_input_can_be_named(plan):
    changed = with_settings(plan, [("cut", "tumor", "tumor")])
    assert changed.step("cut").inputs["tumor"] == "tumor"


def test_a_new_result_takes_the_only_value_that_fits_or_what_a_person_says():
    steps = (
        Step("meshing.prepare_lumen", "lumen", inputs={"surface": "scan"}),
        Step("meshing.centerline", "line", inputs={"lumen": "lumen"}),
    )
    plan = Plan("", {"scan": "0"}, steps)
    stenosis = ("narrow", "stage", "meshing.stenosis")
    (*_, made) = with_settings(plan, [stenosis]).steps
    assert (made.output, dict(made.inputs)) == ("narrow", {"centerline": "line"})
    second = plan.added(Step("meshing.centerline", "other", inputs={"lumen": "lumen"}))
    with pytest.raises(PlanError, match=r"lacks its input: centerline; .* narrow\.centerline="):
        check_plan(with_settings(second, [stenosis]))
    said = with_settings(second, [stenosis, ("narrow", "centerline", "other")])
    check_plan(said)
    assert said.step("narrow").inputs["centerline"] == "other"


def test_a_source_of_the_case_enters_the_plan_that_names_it(plan):
    sources = {"earlier": {"sha256": "9"}, "other": {"sha256": "8"}, "ct": {"sha256": "7"}}
    more = with_sources_named(plan, sources, ["earlier", "liver", "ct", 3.0])
    assert more.sources == {**plan.sources, "earlier": "9"}
    wide = ("wide", "stage", "meshing.prepare_lumen")
    check_plan(with_settings(more, [wide, ("wide", "surface", "earlier")]))


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ([("cut", "stage", "planning.cut_circle")], PlanError, "planning.cut_wedge"),
        ([("cut", "stage", "planning.patient")], PlanError, "choose another stage"),
        ([("cut", "stage", BOTH)], PlanError, "lacks its input: other"),
        ([("cut", "stage", BORDER)], StageError, "names"),
        ([("cut", "tumor", "tumour")], PlanError, "tumour"),
        ([("cut", "radius_mm", 3)], StageError, "no parameter 'radius_mm'"),
        ([("cat", "radius_mm", 3)], PlanError, "no step 'cat'"),
    ],
)
def test_what_is_wrong_is_named(plan, settings, error, words):
    with pytest.raises(error, match=words):
        with_settings(plan, settings)


def test_a_size_is_text_however_it_is_typed():
    step = Step("planning.place_implant", "implant", inputs={"bone": "bone"})
    plan = with_settings(Plan("", {"bone": "0"}, (step,)), [("implant", "size", 4)])
    assert plan.step("implant").params == {"size": "4"}
    with pytest.raises(StageError, match="size is refused"):
        with_settings(plan, [("implant", "size", [4])])
