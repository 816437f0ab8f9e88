"""The aneurysm plan as a user runs it: from an image, a label or a surface to numbers and files."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pypdf import PdfReader

from meshing.files import write_surface
from segmentation.images import write_labels
from segmentation.volume import Label
from workstation.__main__ import main
from workstation.case import open_case
from workstation.phantom import HEAD_MRA, head, write_dicom
from workstation.phantom.aneurysm import SAC
from workstation.picture import probe
from workstation.planning.treatment import COMPARED
from workstation.report import write_report
from workstation.session import Session

SHAPE = {
    "neck.width", "aspect_ratio", "size_ratio", "nonsphericity_index", "undulation_index",
}  # fmt: skip
TOLD = (
    "Aneurysm: plan 1",
    "Aspect ratio",
    "Risk scores",
    "UIATS",
    "Lacks:",
    "Blood flow: flow, steady",
    "What the flow was driven by",
    "Flow in the dome",
    "Pressure, against the outlets",
    "Streamlines, seen from",
    "What if: coil",
)
FLOW = {"wss.dome_mean", "wss.dome_normalised", "pressure_loss_coefficient"}


def run(tmp_path, *arguments):
    """Run a command with --json; return its exit code and document."""
    out = tmp_path / "out.json"
    with pytest.MonkeyPatch.context() as patch, out.open("w") as stream:
        patch.setattr("sys.stdout", stream)
        code = main([*map(str, arguments), "--json"])
    text = out.read_text()
    return code, json.loads(text) if text else {}


def numbers_of(document):
    return {number["name"]: number["value"] for number in document["numbers"]}


@pytest.fixture(scope="module")
def from_image(tmp_path_factory):
    """A case from DICOM, without flow."""
    folder = tmp_path_factory.mktemp("image")
    write_dicom(head(spacing_mm=(0.7, 0.7, 0.7)), folder / "mr", examination=HEAD_MRA)
    code, document = run(
        folder, "plan", "aneurysm", "--case", folder / "case", "--source",
        f"image={folder / 'mr'}", "--set", "flow.kind=none", "--set", "region.reach_mm=11",
        "--set", "patient.age_years=71", "--set", "patient.population=japanese",
        "--set", "patient.hypertension=true", "--set", "patient.earlier_sah=false",
        "--set", "patient.site=pcom",
    )  # fmt: skip
    assert code == 0
    return folder / "case", document


@pytest.fixture(scope="module")
def from_label(tmp_path_factory):
    """A case from a label file, with a coarse steady flow before and after coiling."""
    folder = tmp_path_factory.mktemp("label")
    truth = head(spacing_mm=(0.5, 0.5, 0.5)).truth
    k, j, i = np.indices(truth.array.shape)
    points = truth.geometry.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    near = np.linalg.norm(points - SAC.centre_mm, axis=1).reshape(truth.array.shape) < 15.0
    array = ((truth.array > 0) & near).view(np.uint8)
    write_labels(replace(truth, array=array, labels={1: Label("artery")}), folder / "artery.nii.gz")
    code, document = run(
        folder, "plan", "aneurysm", "--case", folder / "case", "--source",
        f"lumen={folder / 'artery.nii.gz'}", "--set", "flow.spacing_mm=0.42",
        "--set", "flow.most_exchanges=1", "--set", "flow.settled_percent=10",
        "--set", "flow.mean_flow_ml_s=2", "--with", "coil",
    )  # fmt: skip
    assert code == 0
    return folder / "case", document


def test_an_angiography_becomes_neck_dome_and_scores(from_image):
    _, document = from_image
    numbers = numbers_of(document)
    assert set(numbers) >= SHAPE
    assert not FLOW & set(numbers)
    assert numbers["risk.phases.points"] == 3 + 1 + 1 + 0 + 4  # Japan, pressure, age, size, site
    assert all(step["state"] == "fresh" for step in document["steps"])
    assert any("not simulated" in f["sentence"] for f in document["findings"])


def test_the_dome_lies_where_the_sac_is_and_the_window_begins_there(from_image):
    folder, _ = from_image
    with open_case(folder, write=False) as case:
        dome = case.value("dome").points_mm
        assert np.linalg.norm(dome.mean(axis=0) - SAC.centre_mm) < 1.5
        assert dome[:, 0].min() > 5, "on the patient's left"
    session = Session()
    session.open(folder)
    assert session.view.crosshair_mm == pytest.approx(SAC.centre_mm, abs=1.0)
    assert {"surface", "tree"} <= session.view.hidden
    assert not {"lumen", "dome"} & session.view.hidden
    session.close()


def test_a_label_becomes_flow_in_the_dome_and_what_coils_change(from_label):
    _, document = from_label
    numbers = numbers_of(document)
    assert set(numbers) >= SHAPE | FLOW
    assert numbers["flow.inlet.flow"] == pytest.approx(2.0, rel=0.02)
    with open_case(from_label[0], write=False) as case:
        given = {row.model: row.inputs for row in case.value("risk_with_flow").rows}
    assert given["xiang"]["wss_normalised"] == pytest.approx(numbers["wss.dome_normalised"])
    assert given["detmer"]["wss_pa"] == pytest.approx(numbers["wss.dome_mean"])
    steps = {step["output"] for step in document["steps"]}
    assert "vessels" not in steps
    assert {"tree", "region"} <= steps, "a label is cut down to the aneurysm as an image is"
    compared = [name for name in COMPARED if f"coil_effect.{name}.change" in numbers]
    assert "speed.dome_mean" in compared
    for name in compared:
        before, after = (numbers[f"coil_effect.{name}.{when}"] for when in ("before", "after"))
        change = numbers[f"coil_effect.{name}.change"]
        whole = 100.0 if name == "wss.low_area" else abs(before)  # a share is in percent itself
        assert change == pytest.approx(100 * (after - before) / whole)
    assert numbers["coil_effect.speed.dome_mean.before"] == numbers["speed.dome_mean"]
    assert numbers["coil_effect.speed.dome_mean.change"] < -30
    assert numbers["coil_effect.neck.inflow.change"] < -10


def test_the_treated_flow_is_driven_like_the_other(from_label):
    folder, document = from_label
    with open_case(folder, write=False) as case:
        plan = case.plan()
        assert plan.step("flow_coil").params == plan.step("flow").params
    assert not any(f["code"] == "driven_otherwise" for f in document["findings"])


@pytest.mark.parametrize(
    "name", ["lumen.stl", "dome.vtp", "centerline.vtp", "neck.vtp", "flow.vtu", "coil.stl"]
)
def test_results_can_be_exported(from_label, tmp_path, name):
    folder, _ = from_label
    assert main(["export", str(folder), name.split(".")[0], str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_the_report_has_pages_for_flow_risk_and_what_if(from_label, tmp_path):
    folder, _ = from_label
    with open_case(folder, write=False) as case:
        write_report(case, tmp_path / "report.pdf")
    pages = [page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages]
    words = " ".join(" ".join(pages).split())
    for told in TOLD:
        assert told in words, told
    assert "liver" not in words.lower()


def test_a_surface_in_centimetres_is_taken_as_such(from_label, tmp_path):
    folder, document = from_label
    with open_case(folder, write=False) as case:
        lumen = case.value("lumen")
    small = replace(lumen, points_mm=lumen.points_mm / 10, boundaries={})
    write_surface(small, tmp_path / "part.obj")
    lines = (tmp_path / "part.obj").read_text().splitlines()
    bare = "\n".join(line for line in lines if line[:2] in ("v ", "f "))  # names no unit
    (tmp_path / "part.obj").write_text(bare)
    code, found = run(
        tmp_path, "plan", "aneurysm", "--case", tmp_path / "case", "--source",
        f"lumen={tmp_path / 'part.obj'}", "--set", "source.lumen.unit=cm",
        "--set", "flow.kind=none",
    )  # fmt: skip
    assert code == 0
    one, other = numbers_of(document), numbers_of(found)
    assert other["dome.volume"] == pytest.approx(one["dome.volume"], rel=0.05)


def test_exactly_one_beginning_is_wanted(tmp_path, capsys):
    case = ["--case", str(tmp_path / "case")]
    assert main(["plan", "aneurysm", *case]) == 1
    assert "none is given" in capsys.readouterr().err
    both = ["--source", "image=a.nii", "--source", "lumen=b.stl"]
    assert main(["plan", "aneurysm", *case, *both]) == 1
    assert "both are given" in capsys.readouterr().err
    assert main(["plan", "aneurysm", *case, "--source", "lumen=b.stl", "--with", "stent"]) == 1
    assert "no option 'stent'" in capsys.readouterr().err
    assert not (tmp_path / "case").exists()


def test_a_head_without_aneurysm_is_told_so(tmp_path, capsys):
    write_dicom(
        head(spacing_mm=(0.9, 0.9, 0.9), with_sac=False), tmp_path / "mr", examination=HEAD_MRA
    )
    case = ["--case", str(tmp_path / "case"), "--source", f"image={tmp_path / 'mr'}"]
    assert main(["plan", "aneurysm", *case]) == 1
    told = capsys.readouterr()
    assert "no aneurysm was found" in told.err
    assert "missing  flow" in told.out
