import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from meshing.surface import SurfaceMesh
from segmentation.images import write_labels, write_volume
from segmentation.volume import EditLog, ImageGeometry, Label, LabelMap, LabelPatch, Volume
from workstation import value_format
from workstation.case import CaseError, case_for_writing, create_case, open_case
from workstation.dicom import files as dicom
from workstation.formats import digest_value
from workstation.phantom import abdomen, write_dicom
from workstation.plan_run import StepFailed
from workstation.planning.plan import Plan, PlanError, Step
from workstation.runs import read_runs
from workstation.store import ResultStore, write_json
from workstation.value_format import DamagedValue

FLIPPED = (0, 1, 0, 1, 0, 0, 0, 0, -1)
GRID = ImageGeometry((14, 12, 10), (0.8, 0.9, 2.0), (-5, 7, 11), FLIPPED, "1.2")


def make_volume(seed: int = 1) -> Volume:
    array = np.random.default_rng(seed).integers(-100, 40, GRID.shape).astype(np.int16)
    array[3:8, 2:6, 5:12] = 120
    return Volume(array, GRID)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.nrrd"
    write_volume(make_volume(), path)
    return path


@pytest.fixture
def case(tmp_path, image):
    with create_case(tmp_path / "case") as case:
        case.import_file(image, "ct", "volume")
        yield case


def plan_for(case, lower_hu=100.0, **sources):
    keys = {name: s["sha256"] for name, s in case.record.sources.items()}
    frame = case.record.sources["ct"]["frame_uid"]
    steps = (
        Step("segmentation.threshold", "organ", 1, {"volume": "ct"}, {"lower_hu": lower_hu}),
        Step("segmentation.keep_islands", "island", 1, {"labels": "organ"}),
    )
    return Plan(frame, keys, steps)


def test_every_kind_of_value_returns_whole_from_disk(tmp_path):
    from meshing.surface import isosurface

    array = np.zeros(GRID.shape, np.uint8)
    array[2:7, 3:9, 4:10] = 3
    labels = LabelMap(array, GRID, {3: Label("organ", (1, 2, 3), "10200004")})
    patch = LabelPatch((1, 2, 3), np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 3, np.uint8))
    values = [make_volume(), labels, isosurface(labels), EditLog(GRID).then(patch)]
    for number, value in enumerate(values):
        ResultStore(tmp_path)[str(number)] = value
        again = ResultStore(tmp_path)[str(number)]
        assert type(again) is type(value)
        assert digest_value(again) == digest_value(value)
        assert ResultStore(tmp_path).record(str(number))["digest"] == digest_value(value)


def test_only_what_was_used_lately_is_in_memory(tmp_path):
    volume = make_volume()
    ResultStore(tmp_path)["one"] = volume
    store = ResultStore(tmp_path, memory_bytes=volume.array.nbytes)
    assert store.in_memory("one") is None
    assert store["one"] is store.in_memory("one")
    store["two"] = volume
    assert store.in_memory("one") is None
    assert store.in_memory("two") is volume


def test_run_then_check_and_a_moved_copy_reproduces(case, tmp_path):
    plan = plan_for(case)
    assert case.add_plan(plan, "Start") == 1
    case.run(plan)
    assert case.check(plan) == []
    numbers = case.summary()["numbers"]
    volume = next(n for n in numbers if n["name"] == "island.volume")
    assert volume["value"] == pytest.approx(5 * 4 * 7 * 0.8 * 0.9 * 2.0 / 1000)
    assert volume["unit"] == "mL"
    case.close()
    moved = tmp_path / "elsewhere"
    shutil.move(case.folder, moved)
    with open_case(moved, write=False) as again:
        assert again.check(again.plan()) == []
        assert again.summary()["numbers"] == numbers


def test_check_sees_a_changed_result_and_a_changed_original(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    keys = case.run(plan)
    record_path = case.folder / "results" / f"{keys['organ']}.json"
    record = json.loads(record_path.read_text())
    write_json(record_path, record | {"digest": "0" * 64})
    assert [d["output"] for d in case.check(plan)] == ["organ"]
    copy = next((case.folder / "files").glob("ct-*"))
    write_volume(make_volume(seed=2), copy)
    assert {"ct"} <= {d["output"] for d in case.check(plan)}


def test_states_follow_the_plan(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    assert set(case.states(plan).values()) == {"missing"}
    case.run(plan)
    assert set(case.states(plan).values()) == {"fresh"}
    changed = plan.with_params("organ", lower_hu=110.0)
    assert set(case.states(changed).values()) == {"stale"}
    failing = plan.with_params("island", largest=0, minimum_ml=0.0)
    failing = failing.with_step(
        Step(
            "segmentation.grow_from_seeds",
            "organ",
            1,
            {"volume": "ct"},
            {"foreground_mm": ((900.0, 0.0, 0.0),)},
        )
    )
    with pytest.raises(StepFailed, match="organ"):
        case.run(failing)
    assert case.states(failing) == {"organ": "failed", "island": "stale"}
    assert [f for f in case.summary()["findings"] if f["code"] == "step_failed"] == []
    case.add_plan(failing, "Failing")
    (why,) = (f for f in case.summary()["findings"] if f["code"] == "step_failed")
    assert (why["step"], why["severity"]) == ("organ", "problem")
    assert why["sentence"].startswith("The step 'organ' failed.")
    assert "outside" in why["sentence"]


def test_history_survives_and_undo_is_a_position(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    case.add_plan(plan.with_params("organ", lower_hu=90.0), "Lower")
    case.go_to(0)
    assert case.plan() == plan
    case.add_plan(plan.with_params("organ", lower_hu=80.0), "Lower more")
    assert [entry.label for entry in case.record.history] == ["Start", "Lower more"]
    case.close()
    with open_case(case.folder) as again:
        assert again.plan().step("organ").params["lower_hu"] == 80.0
        assert again.plan_path(2).is_file()  # the plan that was undone is still on disk


def test_hand_edits_are_sources_and_old_plans_find_theirs(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    case.run(plan)
    labels = case.value("organ", plan)
    before = labels.array[0:2, 0:2, 0:2]
    log = EditLog(labels.geometry).then(LabelPatch((0, 0, 0), before, np.ones_like(before)))
    edit = Step("segmentation.edit", "", inputs={"edits": "organ_edits"})
    key = case.add_edits("organ_edits", log)
    edited = plan.with_sources(organ_edits=key).followed("organ", "labels", edit)
    keys = case.run(edited)
    assert case.values[keys["organ"]].array[0:2, 0:2, 0:2].all()
    assert keys["organ_proposal"] == plan.keys()["organ"]
    later = case.add_edits("organ_edits", log.then(LabelPatch((5, 5, 5), before, before + 1)))
    assert later != key
    assert case.check(edited) == []  # the first log is still there
    (case.folder / "sources" / f"{key}.npz").write_bytes(b"")
    with pytest.raises(CaseError, match="hand edits 'organ_edits' are damaged"):
        case.run(edited)


def test_a_lost_source_is_read_again_from_the_original(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    shutil.rmtree(case.folder / "sources")
    shutil.rmtree(case.folder / "results", ignore_errors=True)
    case.values.sources._kept.clear()
    case.run(plan)
    assert set(case.states(plan).values()) == {"fresh"}


def test_one_writer_many_readers(case):
    with pytest.raises(CaseError, match="open in another window"):
        open_case(case.folder)
    with open_case(case.folder, write=False) as reader:
        assert reader.record.sources.keys() == {"ct"}
        with pytest.raises(CaseError, match="reading only"):
            reader.save()


def test_folders_that_are_no_case_are_refused(tmp_path):
    with pytest.raises(CaseError, match=r"^the folder .* is not a Hilum case"):
        open_case(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CaseError, match="not empty"):
        create_case(tmp_path)
    (tmp_path / "case.json").write_text('{"schema": 9}')
    with pytest.raises(CaseError, match="newer Hilum"):
        open_case(tmp_path)
    (tmp_path / "case.json").write_text("{")
    with pytest.raises(CaseError, match="damaged"):
        open_case(tmp_path)


def test_a_failed_import_leaves_nothing(tmp_path):
    broken = tmp_path / "broken.nrrd"
    broken.write_bytes(b"NRRD0004\n")
    with pytest.raises(ValueError), case_for_writing(tmp_path / "new") as case:
        case.import_file(broken, "ct", "volume")
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError), case_for_writing(tmp_path / "empty") as case:
        case.import_file(broken, "ct", "volume")
    assert list((tmp_path / "empty").iterdir()) == []


def test_labels_on_another_frame_are_placed_in_the_image_frame(case, tmp_path):
    mask = LabelMap((make_volume().array > 100).astype(np.uint8), GRID, {1: Label("organ")})
    path = tmp_path / "organ.nii.gz"
    write_labels(mask, path)
    frame = case.record.sources["ct"]["frame_uid"]
    labels = case.import_file(path, "organ_file", "labels", frame)
    assert labels.geometry.frame_uid == frame
    assert np.array_equal(labels.array != 0, mask.array != 0)


def test_a_plan_of_unknown_stages_is_refused_before_it_runs(case):
    plan = plan_for(case)
    with pytest.raises(PlanError, match=r"unknown stage.*; hilum stages lists them"):
        case.run(plan.with_step(Step("segmentation.magic", "organ", inputs={"volume": "ct"})))
    with pytest.raises(PlanError, match="takes no input"):
        case.run(plan.with_step(Step("segmentation.threshold", "organ", inputs={"mesh": "ct"})))
    with pytest.raises(PlanError, match="needs version 99"):
        case.run(plan.with_step(Step("segmentation.threshold", "organ", 99, {"volume": "ct"})))


WORK = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
from test_case import make_volume, plan_for
from segmentation.images import write_volume
from workstation.case import create_case
case = create_case(Path({folder!r}))
print("ready", flush=True)
for number in range(1000):
    image = Path({scratch!r}) / f"{{number}}.nrrd"
    write_volume(make_volume(number), image)
    case.import_file(image, "ct", "volume")
    plan = plan_for(case, 100.0 + number)
    made = case.add_plan(plan, f"Plan {{number}}")
    case.run(plan)
    print(made, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.05, 0.11, 0.23])
def test_kill_at_any_moment_loses_nothing_acknowledged(tmp_path, delay_s):
    folder, scratch = tmp_path / "case", tmp_path / "scratch"
    scratch.mkdir()
    code = WORK.format(tests=str(Path(__file__).parent), folder=str(folder), scratch=str(scratch))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    with open_case(folder) as case:
        assert case.plan_number >= max(acknowledged, default=0)
        assert not list(folder.glob("**/.part-*"))
        if case.plan_number:
            plan = case.plan()
            case.run(plan)
            assert set(case.states(plan).values()) == {"fresh"}
            assert case.check(plan) == []


@pytest.mark.parametrize("name", ["../evil", "a/b", "/etc/x", "", ".hidden", "n" * 300, "a b"])
def test_a_source_name_never_leaves_the_case(case, image, tmp_path, name):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CaseError, match="cannot name a source"):
        case.import_file(image, name, "volume")
    assert sorted(tmp_path.rglob("*")) == before


def test_truncated_results_are_stale_and_computed_again(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    keys = case.run(plan)
    results = case.folder / "results"
    good = case.value("organ").array.copy()
    image, record = results / f"{keys['organ']}.nrrd", results / f"{keys['island']}.json"
    image.write_bytes(image.read_bytes()[:60])
    record.write_text(record.read_text()[:40])
    case.close()
    with open_case(case.folder) as again:
        assert again.states(plan) == {"organ": "stale", "island": "stale"}
        assert again.summary()["numbers"] == []
        assert {d["stored"] for d in again.check(plan)} == {"missing"}
        again.run(plan)
        assert np.array_equal(again.value("organ").array, good)
        assert again.check(plan) == []


def test_check_reads_what_lies_on_disk(case):
    plan = plan_for(case)
    case.add_plan(plan, "Start")
    path = case.folder / "results" / f"{case.run(plan)['organ']}.nrrd"
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)
    case.close()
    with open_case(case.folder, write=False) as again:
        assert [(d["output"], d["stored"]) for d in again.check(plan)] == [("organ", "damaged")]
        with pytest.raises(DamagedValue, match=r"delete it and run"):
            again.value("organ")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '{"schema": "x"}',
        '{"schema": 1, "sources": []}',
        '{"schema": 1, "history": [], "position": 5}',
        '{"schema": 1, "history": [{"label": "Start"}], "position": 0}',
    ],
)
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "case.json").write_text(text)
    with pytest.raises(CaseError, match=r"case\.json is damaged"):
        open_case(tmp_path)


def test_a_plan_whose_file_is_gone_is_named(case):
    case.add_plan(plan_for(case), "Start")
    case.plan_path(1).unlink()
    with pytest.raises(CaseError, match="no plan 1"):
        case.plan()


def test_a_case_that_was_killed_while_being_made_can_be_made(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".part-xcase.json").touch()
    with create_case(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "case.json"]


def test_images_without_a_plan_leave_with_the_failure(image, tmp_path):
    def import_and_fail():
        with case_for_writing(tmp_path / "new") as case:
            case.import_file(image, "ct", "volume")
            case.plan()

    with pytest.raises(CaseError, match="no plan yet"):
        import_and_fail()
    assert not (tmp_path / "new").exists()


def test_a_file_does_not_hide_the_patient_of_a_later_series(image, tmp_path):
    write_dicom(abdomen(spacing_mm=(12.0, 12.0, 24.0)), tmp_path / "series")
    with create_case(tmp_path / "case") as case:
        case.import_file(image, "other", "volume")
        assert case.record.sources["other"]["modality"] == ""  # a NIfTI does not say
        (scanned,) = dicom.scan([tmp_path / "series"]).volumes
        case.import_dicom(scanned, "ct")
        assert case.record.patient["patient_id"] == scanned.patient.patient_id != ""
        nobody = replace(scanned.identity, patient=dicom.PatientIdentity())
        another = replace(scanned, identity=nobody)
        with pytest.raises(CaseError, match="another patient"):
            case.import_dicom(another, "ct")


def test_a_full_disk_is_told_in_words_and_leaves_nothing(case, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("fwrite wrote only 3 things")

    plan = plan_for(case)
    case.add_plan(plan, "Start")
    with monkeypatch.context() as patch:
        patch.setattr(value_format.sitk, "WriteImage", fail)
        patch.setattr(value_format.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(StepFailed, match="failed: The disk is full") as error:
            case.run(plan)
    assert error.value.remedy.startswith("Free some space")
    assert list((case.folder / "results").iterdir()) == []
    case.run(plan)
    assert set(case.states(plan).values()) == {"fresh"}


def test_a_record_that_is_being_written_is_not_read(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "20260101T000000.000Z-0001.json").write_text('{"steps": []}')
    (folder / ".part-abc20260101T000000.000Z-0002.json").write_text('{"steps": []}')
    assert read_runs(folder, {}) == [{"steps": []}]
    store = ResultStore(tmp_path)
    (tmp_path / ".part-xyz.json").write_text("{}")
    assert list(store) == []


def test_a_surface_keeps_its_parts_and_they_are_part_of_its_digest(tmp_path):
    points, cells = np.eye(4, 3), np.array([[0, 1, 2], [0, 2, 3]])
    mesh = SurfaceMesh(points, cells, "1.2", boundaries={"wall": [0], "inlet": [1]})
    ResultStore(tmp_path)["one"] = mesh
    back = ResultStore(tmp_path)["one"]
    assert {name: part.tolist() for name, part in back.boundaries.items()} == {
        "wall": [0],
        "inlet": [1],
    }
    assert digest_value(back) == digest_value(mesh)
    turned = SurfaceMesh(points, cells, "1.2", boundaries={"wall": [1], "inlet": [0]})
    assert digest_value(turned) != digest_value(mesh)
