import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segmentation.images import read_labels, write_labels
from segmentation.volume import Label, LabelMap
from workstation.__main__ import has_screen, main
from workstation.phantom import abdomen, write_dicom


@pytest.fixture(scope="module")
def patient():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0))


@pytest.fixture(scope="module")
def series(patient, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    write_dicom(patient, folder)
    return folder


@pytest.fixture(scope="module")
def labels(patient, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    truth = patient.truth
    members = {
        "liver": ("liver", "portal_vein", "hepatic_vein", "tumor"),
        "portal_vein": ("portal_vein",),
        "hepatic_vein": ("hepatic_vein",),
        "tumor": ("tumor",),
    }
    for name, parts in members.items():
        mask = np.isin(truth.array, [truth.value(part) for part in parts]).astype(np.uint8)
        write_labels(LabelMap(mask, truth.geometry, {1: Label(name)}), folder / f"{name}.nii.gz")
    return {name: folder / f"{name}.nii.gz" for name in members}


@pytest.fixture(scope="module")
def planned(series, labels, tmp_path_factory):
    case = tmp_path_factory.mktemp("cases") / "case"
    sources = [f"--source={name}={path}" for name, path in {"ct": series, **labels}.items()]
    assert main(["plan", "liver-resection", "--case", str(case), *sources]) == 0
    return case


@pytest.fixture
def call(capsys):
    def run(*arguments):
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as leaving:
            code = leaving.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def numbers(document):
    return {n["name"]: n["value"] for n in document["numbers"]}


def test_scan_prints_the_geometry_that_import_makes(call, series, patient):
    code, out, _ = call("scan", series, "--json")
    document = json.loads(out)
    (volume,) = document["volumes"]
    geometry = patient.volume.geometry
    assert code == 0
    assert volume["status"] == "ok"
    assert volume["size"] == list(geometry.size)
    assert np.allclose(volume["spacing_mm"], geometry.spacing_mm)
    assert np.allclose(volume["origin_mm"], geometry.origin_mm)
    assert np.allclose(volume["direction"], geometry.direction)
    assert volume["files"] == geometry.size[2]


def test_import_then_show(call, series, tmp_path):
    case = tmp_path / "case"
    assert call("import", series, "--case", case, "--as", "venous")[0] == 0
    code, out, _ = call("show", case, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["plan"] == 0
    assert [s["name"] for s in document["sources"]] == ["venous"]
    originals = {p.read_bytes() for p in (case / "dicom").glob("*/*")}
    assert originals == {p.read_bytes() for p in series.iterdir()}


def test_the_plan_has_the_exact_volumes_and_its_parts_add_up(call, planned, patient):
    code, out, _ = call("show", planned, "--json")
    document = json.loads(out)
    found = numbers(document)
    assert code == 0
    assert document["synthetic"] is True
    assert all(step["state"] == "fresh" for step in document["steps"])
    assert found["liver.volume"] == pytest.approx(patient.exact_ml["liver"], rel=0.01)
    assert found["tumor.volume"] == pytest.approx(patient.exact_ml["tumor"], rel=0.05)
    assert found["specimen.volume"] + found["remnant.volume"] == pytest.approx(
        found["liver.volume"]
    )
    assert found["remnant.fraction"] == pytest.approx(
        100 * found["remnant.volume"] / found["liver.volume"]
    )
    assert {"severity", "sentence", "code", "step"} <= document["findings"][0].keys()


def test_a_given_cut_gives_the_exact_parts_and_distance(call, planned, patient, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(planned, case)
    normal = np.array([-0.8, 0.36, 0.48])
    point = np.asarray(patient.tumors[0].centre_mm) - 30.0 * normal
    code, out, _ = call(
        "plan",
        "liver-resection",
        "--case",
        case,
        "--json",
        f"--set=cut.point_mm={point.tolist()}",
        f"--set=cut.normal={normal.tolist()}",
    )
    found = numbers(json.loads(out))
    specimen, remnant = patient.exact_cut_ml(tuple(point), tuple(normal))
    assert code == 0
    assert found["specimen.volume"] == pytest.approx(specimen, rel=0.02)
    assert found["remnant.volume"] == pytest.approx(remnant, rel=0.02)
    exact = patient.tumor_plane_distance_mm(tuple(point), tuple(normal))
    assert found["margin.minimum"] == pytest.approx(exact, abs=3.0)  # half a voxel's diagonal


def test_portal_pressure_needs_every_value(call, planned, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(planned, case)
    document = json.loads(call("show", case, "--json")[1])
    assert "portal_pressure.after" not in numbers(document)
    assert any("portal pressure is not estimated" in f["sentence"] for f in document["findings"])
    values = {
        "map_mmhg": 85,
        "portal_pressure_mmhg": 9,
        "sinusoidal_pressure_mmhg": 6,
        "cvp_mmhg": 4,
        "portal_flow_l_min": 1.0,
        "arterial_flow_l_min": 0.3,
    }
    settings = [f"--set=patient.{key}={value}" for key, value in values.items()]
    code, out, _ = call("plan", "liver-resection", "--case", case, "--json", *settings)
    assert code == 0
    assert numbers(json.loads(out))["portal_pressure.after"] > 9.0


def test_run_check_reproduces_on_a_moved_copy(call, planned, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(planned, moved)
    code, out, _ = call("run", moved, "--check", "--json")
    document = json.loads(out)
    assert (code, document["differences"]) == (0, [])
    assert call("run", moved / "plans" / "0001.json", "--check")[0] == 0
    damaged = next((moved / "results").glob("*.json"))
    damaged.write_text(json.dumps(json.loads(damaged.read_text()) | {"digest": "0"}))
    assert call("run", moved, "--check")[0] == 3


@pytest.mark.parametrize(
    "name",
    [
        "liver.nii.gz",
        "remnant.nrrd",
        "remnant.stl",
        "cut.stl",
        "ct.nii.gz",
        "tumor_surface.ply",
        "margin.json",
        "margin.csv",
        "vessels.vtp",
        "liver.json",
    ],
)
def test_export_by_ending(call, planned, tmp_path, name):
    path = tmp_path / name
    code, _, err = call("export", planned, name.split(".")[0], path)
    assert code == 0, err
    assert path.stat().st_size > 50


def test_an_exported_label_lies_where_the_truth_lies(call, planned, patient, tmp_path):
    call("export", planned, "liver", tmp_path / "liver.nii.gz")
    again = read_labels(tmp_path / "liver.nii.gz", patient.volume.geometry.frame_uid)
    assert again.geometry.same_grid(patient.truth.geometry)
    truth = patient.truth
    parts = [truth.value(n) for n in ("liver", "portal_vein", "hepatic_vein", "tumor")]
    assert np.array_equal(again.array != 0, np.isin(truth.array, parts))


@pytest.mark.parametrize("command", ["stages", "templates"])
def test_tables_are_json(call, command):
    code, out, _ = call(command, "--json")
    assert code == 0
    assert json.loads(out)[command]


def bad_input(tmp_path: Path, kind: str, series: Path) -> list[object]:
    source = tmp_path / "source"
    source.mkdir()
    if kind == "no images":
        (source / "notes.txt").write_text("not an image")
    elif kind == "truncated":
        first = sorted(series.iterdir())[0]
        (source / first.name).write_bytes(first.read_bytes()[:900])
    elif kind == "two patients":
        shutil.copytree(series, source / "one")
        write_dicom_of_another(source / "two", series)
    elif kind == "unknown template":
        return ["plan", "magic", "--case", tmp_path / "case", "--source", f"ct={series}"]
    elif kind == "unknown parameter":
        return [
            "plan",
            "liver-resection",
            "--case",
            tmp_path / "case",
            "--source",
            f"ct={series}",
            "--set",
            "cut.angle=3",
        ]
    elif kind == "no such path":
        source = tmp_path / "nowhere"
    return ["plan", "liver-resection", "--case", tmp_path / "case", "--source", f"ct={source}"]


def write_dicom_of_another(folder: Path, series: Path) -> None:
    from pydicom import dcmread

    folder.mkdir()
    for path in series.iterdir():
        data = dcmread(path)
        data.PatientID, data.PatientName = "OTHER", "OTHER^PATIENT"
        data.SeriesInstanceUID += ".9"
        data.SOPInstanceUID += ".9"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(folder / path.name)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "no file was found"),
        ("no images", "no image volume"),
        ("truncated", "truncated|no image volume|cannot be read"),
        ("two patients", "2 patients"),
        ("unknown template", "no template 'magic'"),
        ("unknown parameter", "no parameter 'angle'"),
        ("no such path", "is not there"),
    ],
)
def test_bad_input_gives_one_clear_sentence_and_no_debris(call, tmp_path, series, kind, words):
    import re

    code, out, err = call(*bad_input(tmp_path, kind, series))
    lines = [line for line in err.splitlines() if "%" not in line]
    assert code == 1
    assert out == ""
    assert re.search(words, lines[0], re.IGNORECASE), err
    assert len(lines) <= 2
    assert not (tmp_path / "case").exists()


def test_a_newer_plan_is_refused(call, planned, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(planned, case)
    path = case / "plans" / "0001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 7}))
    code, _, err = call("run", case)
    assert code == 1
    assert "newer Hilum" in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["plan"], ["plan", "x", "--case", "y", "--set", "wrong"]]
)
def test_wrong_usage_exits_with_2(call, arguments):
    assert call(*arguments)[0] == 2


def test_help_and_version(call):
    code, out, _ = call("--help")
    assert code == 0
    assert "exit codes" in out
    assert call("--version")[1].startswith("hilum ")


REFUSED = {
    "cut.normal=left": "numbers in brackets",
    "cut.normal=[1,0]": "numbers in brackets",
    "cut.normal=[1,0,0,0]": "numbers in brackets",
    "cut.normal=NaN": "is refused",
    "cut.normal=[NaN,0,1]": "finite number",
    'cut.normal=["1","0","0"]': "valid number",
    "cut.margin_mm=true": "valid number",
    "cut.margin_mm=-1": "greater than or equal to 0",
    "patient.body_weight_kg=heavy": "valid number",
    "nowhere.x=1": "no step 'nowhere'",
}


@pytest.mark.parametrize(("given", "words"), REFUSED.items())
def test_a_parameter_that_does_not_fit_changes_nothing(call, planned, given, words):
    plans = sorted((planned / "plans").iterdir())
    command = ["plan", "liver-resection", "--case", planned, "--json", "--set", given]
    code, out, err = call(*command)
    assert code == 1
    assert words in err
    assert words in " ".join(json.loads(out)["error"].values())
    assert sorted((planned / "plans").iterdir()) == plans


def test_a_failing_step_is_told_beside_what_was_computed(call, planned, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(planned, case)
    command = ["plan", "liver-resection", "--case", case, "--json", "--set", "cut.normal=[0,0,0]"]
    code, out, err = call(*command)
    document = json.loads(out)
    states = {step["output"]: step["state"] for step in document["steps"]}
    assert code == 1
    assert "Step 'cut'" in document["error"]["title"]
    assert err.count("Step 'cut'") == 1
    assert (states["liver"], states["cut"]) == ("fresh", "failed")
    assert "liver.volume" in numbers(document)
    assert call("run", case)[0] == 1


def test_several_cases_run_though_one_cannot(call, planned, tmp_path):
    code, out, err = call("run", tmp_path / "none", planned, "--check", "--json")
    lost, good = json.loads(out)
    assert code == 1
    assert "is not a Hilum case" in err
    assert lost["error"]["title"]
    assert good["differences"] == []


def test_a_scan_without_images_says_so_in_both_ways(call, tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    code, out, err = call("scan", tmp_path, "--json")
    assert code == 1
    assert json.loads(out)["volumes"] == []
    assert "no image volume was found" in err.lower()


def test_the_same_source_twice_is_wrong_usage(call, tmp_path):
    command = ["plan", "liver-resection", "--case", tmp_path / "case"]
    code, _, err = call(*command, "--source", "ct=a", "--source", "ct=b")
    assert code == 2
    assert "'ct' is given twice" in err


def test_labels_of_another_image_are_not_carried_over(call, planned, patient, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(planned, case)
    call("export", planned, "ct", tmp_path / "other.nii.gz")
    command = ["plan", "liver-resection", "--case", case, "--json"]
    _, out, _ = call(*command, f"--source=ct={tmp_path / 'other.nii.gz'}")
    steps = {step["output"]: step["stage"] for step in json.loads(out)["steps"]}
    assert steps["liver"] == "segmentation.propose_liver"


def test_without_a_screen_the_window_is_refused_in_words(call, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if not has_screen():
        code, _, err = call()
        assert code == 1
        assert "no screen" in err


def test_a_label_file_that_cannot_be_read_leaves_no_case(call, series, tmp_path):
    sources = [f"--source=ct={series}", f"--source=liver={tmp_path / 'none.nii.gz'}"]
    code, _, err = call("plan", "liver-resection", "--case", tmp_path / "case", *sources)
    assert code == 1
    assert "none.nii.gz" in err
    assert not (tmp_path / "case").exists()


def test_a_reader_that_leaves_early_is_no_problem():
    program = f"{sys.executable} -m workstation stages --json"
    done = subprocess.run(
        f"{program} | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable=shutil.which("bash"),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


INTERRUPTED = """
import os, signal, sys, threading
from workstation.__main__ import main
threading.Timer({delay_s}, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(main(["demo", "--headless", "--case", {case!r}]))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("delay_s", [0.1, 0.8, 3.0])
def test_control_c_ends_with_130_at_any_moment(tmp_path, delay_s):
    code = INTERRUPTED.format(delay_s=delay_s, case=str(tmp_path / "case"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith("stopped\n")
    assert not (tmp_path / "case").exists()
