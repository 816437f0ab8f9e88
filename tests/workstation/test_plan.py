import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.planning.plan import SCHEMA, Plan, PlanError, Step, read_plan
from workstation.planning.template import find_template, templates

THRESHOLD = Step("segmentation.threshold", "organ", 1, {"volume": "ct"}, {"lower_hu": 50.0})
PLAN = Plan("1.2.3", {"ct": "aa" * 32}, (THRESHOLD,), "liver-resection")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), json_values, max_size=4))
def test_json_round_trip_keeps_the_plan_and_its_keys(params):
    plan = replace(PLAN, steps=(replace(THRESHOLD, params=params),))
    again = read_plan(json.dumps(plan.to_json()))
    assert again == plan
    assert again.keys() == plan.keys()
    assert again.digest() == plan.digest()


def test_a_key_changes_with_source_stage_version_and_parameter_but_not_with_the_name():
    key = PLAN.keys()["organ"]
    others = [
        replace(PLAN, sources={"ct": "bb" * 32}),
        replace(PLAN, steps=(replace(THRESHOLD, version=2),)),
        replace(PLAN, steps=(replace(THRESHOLD, stage="segmentation.other"),)),
        PLAN.with_params("organ", lower_hu=51.0),
    ]
    assert len({key, *(plan.keys()["organ"] for plan in others)}) == 5
    renamed = replace(PLAN, steps=(replace(THRESHOLD, output="liver"),))
    assert renamed.keys()["liver"] == key


def test_a_plan_cannot_be_changed_in_place():
    with pytest.raises(TypeError):
        PLAN.sources["ct"] = "x"
    with pytest.raises(TypeError):
        THRESHOLD.params["lower_hu"] = 1


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("", "not readable JSON"),
        ("[]", "no schema number"),
        ('{"schema": 99}', "newer Hilum"),
        ('{"schema": 0}', "unknown schema"),
        (json.dumps(PLAN.to_json() | {"surprise": 1}), "surprise"),
        (json.dumps(PLAN.to_json() | {"sources": {}}), "no source and no earlier step"),
        (json.dumps(PLAN.to_json() | {"steps": [THRESHOLD.to_json()] * 2}), "used twice"),
        (json.dumps(PLAN.to_json()).replace("50.0", "NaN"), "NaN"),
    ],
)
def test_plans_that_must_be_refused(record, words):
    with pytest.raises(PlanError, match=words):
        read_plan(record)


def test_followed_puts_a_step_behind_and_downstream_uses_it():
    chain = replace(
        PLAN, steps=(THRESHOLD, Step("segmentation.smooth", "smooth", inputs={"labels": "organ"}))
    )
    edit = Step("segmentation.edit", "", inputs={"edits": "organ_edits"})
    after = chain.with_sources(organ_edits="cc").followed("organ", "labels", edit)
    assert [step.output for step in after.steps] == ["organ_proposal", "organ", "smooth"]
    assert after.step("organ").inputs == {"edits": "organ_edits", "labels": "organ_proposal"}
    assert after.step("smooth").inputs == {"labels": "organ"}
    assert after.keys()["organ_proposal"] == chain.keys()["organ"]
    assert after.keys()["smooth"] != chain.keys()["smooth"]


def test_only_keeps_what_an_output_needs():
    plan = replace(
        PLAN,
        steps=(
            THRESHOLD,
            Step("segmentation.threshold", "bone", inputs={"volume": "ct"}),
            Step("segmentation.smooth", "smooth", inputs={"labels": "organ"}),
        ),
    )
    assert [s.output for s in plan.only("smooth").steps] == ["organ", "smooth"]
    assert plan.downstream("ct") == {"organ", "bone", "smooth"}
    assert plan.downstream("bone") == set()


def test_label_files_replace_steps_of_the_template():
    template = find_template("liver-resection")
    plain = template.plan("1.2.3", {"ct": "a"})
    assert plain.step("liver").stage == "segmentation.propose_liver"
    given_labels = template.plan(
        "1.2.3", {"ct": "a", "liver": "b", "portal_vein": "c", "hepatic_vein": "d", "tumor": "e"}
    )
    assert given_labels.step("liver").inputs == {"labels": "liver_file", "volume": "ct"}
    assert given_labels.step("vessels").stage == "segmentation.join"
    assert given_labels.sources["tumor_file"] == "e"
    assert not any("propose" in step.stage for step in given_labels.steps)
    only_portal = template.plan("1.2.3", {"ct": "a", "portal_vein": "c"})
    assert only_portal.step("vessels").inputs["labels"] == "portal_vein_file"


def test_templates_refuse_unknown_and_missing_sources():
    template = find_template("liver-resection")
    with pytest.raises(PlanError, match="knows no source 'mr'"):
        template.plan("", {"ct": "a", "mr": "b"})
    with pytest.raises(PlanError, match="needs the source 'ct'"):
        template.plan("", {})
    with pytest.raises(PlanError, match="no template 'spleen'"):
        find_template("spleen")


def test_every_template_names_results_that_its_plan_makes():
    for template in templates().values():
        required = {s.name: "x" for s in template.sources.values() if s.required}
        plan = template.plan("1.2.3", required | dict.fromkeys(template.one_of[:1], "x"))
        assert set(template.results) <= {step.output for step in plan.steps}


PLANS = Path(__file__).parent / "plans"


@pytest.mark.parametrize("path", sorted(PLANS.glob("schema-*.json")), ids=lambda p: p.stem)
def test_plans_of_every_schema_still_open_with_their_keys(path):
    record = json.loads(path.read_text())
    plan = read_plan(json.dumps(record["plan"]))
    assert plan.keys() == record["keys"], "kept results would be lost: raise stage versions instead"
    if record["plan"]["schema"] == SCHEMA:
        assert plan.digest() == record["digest"]


@pytest.mark.parametrize("path", sorted((PLANS / "refused").glob("*.json")), ids=lambda p: p.stem)
def test_plans_that_must_be_refused_are(path):
    with pytest.raises(PlanError):
        read_plan(path.read_text())


def test_without_reverses_followed():
    chain = replace(
        PLAN, steps=(THRESHOLD, Step("segmentation.smooth", "smooth", inputs={"labels": "organ"}))
    )
    twice = chain
    for _ in range(2):
        twice = twice.followed("organ", "labels", Step("segmentation.fill_holes", ""))
    assert len(twice.steps) == 4
    assert twice.without("organ").without("organ") == chain
    assert chain.without("smooth").steps == (THRESHOLD,)
    with pytest.raises(PlanError, match="used by smooth"):
        chain.without("organ")


@pytest.mark.parametrize("name", ["", "Liver", "../liver", "a b", "1st", "x" * 3 + "/y"])
def test_a_result_needs_a_plain_name(name):
    with pytest.raises(PlanError, match="cannot name a result"):
        replace(PLAN, steps=(replace(THRESHOLD, output=name),))


def test_what_a_plan_cannot_begin_without_is_asked_for_before_it_runs():
    template = find_template("mandible-reconstruction")
    with pytest.raises(PlanError, match=r"needs the leg .* --set fibula_axis.leg=VALUE"):
        template.require_asked([("graft", "kerf_mm", 0.8)])
    template.require_asked([("fibula_axis", "leg", "left")])


def test_a_plate_alone_needs_no_other_screws():
    template = find_template("fixation")
    plan = template.plan("2.25.9", {"bone": "b"})
    plate = template.with_options(plan, ["plate"])
    alone = {step.output for step in template.spared(plate, ["plate"]).steps}
    assert {step.output for step in plate.steps} - alone == {
        "screws", "screw_bodies", "screws_apart"}  # fmt: skip
    entered = plate.with_params("screws", entries_mm=((1.0, 2.0, 3.0),))
    assert template.spared(entered, ["plate"]) == entered
    drilled = template.with_options(plate, ["drill-guide"])
    assert template.spared(drilled, ["plate", "drill-guide"]) == drilled
