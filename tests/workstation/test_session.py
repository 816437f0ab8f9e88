import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmentation.images import write_volume
from segmentation.volume import LabelPatch
from tests.workstation.test_case import make_volume, plan_for
from workstation.case import CaseError, create_case
from workstation.formats import digest_value
from workstation.plan_run import run_plan
from workstation.session import Session
from workstation.stage import StageError
from workstation.stages import STAGES, at_present


def make_session(folder: Path) -> Session:
    image = folder / "image.nrrd"
    write_volume(make_volume(), image)
    case = create_case(folder / "case")
    case.import_file(image, "ct", "volume")
    case.add_plan(plan_for(case), "Start")
    session = Session()
    session.adopt(case)
    session.compute_job().run()
    return session


@pytest.fixture
def session(tmp_path):
    session = make_session(tmp_path)
    yield session
    session.close()


def replayed(session: Session, name: str) -> str:
    """Return the digest of a result computed from nothing but the plan and its sources."""
    assert session.case is not None
    assert session.plan is not None
    store = {key: session.case.values[key] for key in session.plan.sources.values()}
    return digest_value(store[run_plan(session.plan, store)[name]])


def brush(session: Session, corner: tuple[int, int, int]) -> None:
    labels = session.value("organ")
    k, j, i = corner
    before = labels.array[k : k + 2, j : j + 3, i : i + 2].copy()
    session.add_patch("organ", LabelPatch(corner, before, np.ones_like(before)))


actions = st.lists(
    st.one_of(
        st.tuples(st.just("brush"), st.tuples(*(st.integers(0, n - 3) for n in (10, 12, 14)))),
        st.tuples(st.just("threshold"), st.sampled_from([80.0, 90.0, 100.0, 119.0])),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("redo"), st.none()),
    ),
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions)
def test_what_is_shown_is_the_plan_replayed_from_nothing(sequence):
    with tempfile.TemporaryDirectory() as folder:
        session = make_session(Path(folder))
        for action, value in sequence:
            if action == "brush":
                brush(session, value)
            elif action == "threshold":
                first = session.plan.steps[0].output
                session.set_params(first, lower_hu=value)
            elif action == "undo" and session.undo_label:
                session.undo()
            elif action == "redo" and session.redo_label:
                session.redo()
            session.compute_job().run()
            for name in ("organ", "island"):
                assert digest_value(session.value(name)) == replayed(session, name)
        session.close()


def test_undo_returns_the_previous_plan_at_once(session):
    first = session.plan
    session.set_params("organ", "Lower threshold", lower_hu=90.0)
    assert session.undo_label == "Lower threshold"
    assert session.available() == []
    session.undo()
    assert session.plan == first
    assert set(session.available()) == {"organ", "island"}  # nothing was computed again
    assert session.redo_label == "Lower threshold"
    session.redo()
    assert session.plan.step("organ").params["lower_hu"] == 90.0


def test_refused_parameters_change_nothing(session):
    before = session.plan
    with pytest.raises(StageError, match="largest"):
        session.set_params("island", largest=-1)
    assert session.plan == before
    assert session.undo_label == ""


def test_prompts_become_one_refine_step(session):
    point = tuple(session.image().geometry.to_world((6, 3, 4)))
    session.add_prompt("organ", (point,), foreground=True)
    session.add_prompt("organ", (point,), foreground=False)
    step = session.plan.step("organ")
    assert step.stage == "segmentation.refine"
    assert len(step.params["foreground_mm"]) == len(step.params["background_mm"]) == 1
    assert [s.output for s in session.plan.steps] == ["organ_proposal", "organ", "island"]


def test_listeners_hear_of_changes_and_an_empty_session_says_what_is_missing():
    session = Session()
    heard = []
    session.changed.append(lambda: heard.append(1))
    session.set_view(opacity=0.5)
    assert heard
    assert session.image() is None
    with pytest.raises(CaseError, match="no case is open"):
        session.compute_job()


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_stage_describes_itself(name):
    stage = STAGES[name]
    record = stage.to_json()
    assert record["name"] == name
    assert record["title"]
    for parameter in record["parameters"]:
        assert parameter["description"], f"{name}: {parameter['name']} has no description"
        if not parameter["required"] and parameter["default"] is not None:
            stage.parameters[parameter["name"]].adapter.validate_python(parameter["default"])


def test_a_second_image_of_the_case_can_be_registered(session, tmp_path):
    case = session.require_case()
    first = make_volume()
    shift = (3.0, -2.0, 4.0)
    grid = replace(
        first.geometry,
        origin_mm=tuple(np.add(first.geometry.origin_mm, shift)),
        frame_uid="1.2.77",
    )
    later = tmp_path / "later.nrrd"
    write_volume(replace(first, geometry=grid), later)
    case.import_file(later, "later", "volume")
    marks = tuple(map(tuple, first.geometry.corners_mm().tolist()))
    moved = tuple(tuple(np.add(mark, shift)) for mark in marks)
    points = {"kind": "landmarks", "fixed_mm": marks, "moving_mm": moved}
    assert session.kinds()["later"] == "Volume"
    images = {"fixed": "ct", "moving": "later"}
    session.add_step("segmentation.register", "alignment", images, points)
    carried = {"moving": "later", "transform": "alignment", "fixed": "ct"}
    session.add_step("segmentation.move_volume", "later_aligned", carried, {})
    assert session.plan.sources["later"] == case.record.sources["later"]["sha256"]
    session.compute_job().run()
    case.values.results._kept.clear()  # read back from disk
    found = session.value("alignment")
    assert np.allclose(found.apply(marks), moved, atol=1e-6)
    aligned = session.value("later_aligned")
    assert aligned.geometry == first.geometry
    assert np.allclose(aligned.array, first.array, atol=1)
    assert replayed(session, "later_aligned") == digest_value(aligned)


def test_what_a_change_computes_anew_is_noted_at_the_present_version(
    session, monkeypatch: pytest.MonkeyPatch
):
    """A result that is there stays what its step was; one that is made anew says by what."""
    plan = session.require_plan()
    stage = STAGES[plan.step("organ").stage]
    monkeypatch.setitem(STAGES, stage.name, replace(stage, version=stage.version + 1))
    assert at_present(plan, session.case.values) == plan
    session.set_params("organ", lower_hu=95.0)
    assert session.require_plan().step("organ").version == stage.version + 1
    session.undo()
    assert session.require_plan() == plan
