"""The built-in patient from DICOM to numbers, pictures and files, as `hilum demo` does it."""

import json

import numpy as np
import pytest
import trimesh

from segmentation.images import read_labels
from workstation.__main__ import main
from workstation.case import open_case
from workstation.figures import fresh_values, plan_scene, slice_figure
from workstation.phantom import abdomen
from workstation.phantom.anatomy import anatomy
from workstation.phantom.segments import true_segments
from workstation.picture import render_scene

EXACT = ("liver.volume", "vessels.volume", "tumor.volume", "specimen.volume", "remnant.volume")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "case"


@pytest.fixture(scope="module")
def document(demo, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "demo.json"
    with pytest.MonkeyPatch.context() as patch, out.open("w") as stream:
        patch.setattr("sys.stdout", stream)
        assert main(["demo", "--headless", "--json", "--case", str(demo)]) == 0
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def truth():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0)).tumors[0].centre_mm


@pytest.mark.parametrize("name", EXACT)
def test_every_volume_is_right_within_one_percent(document, name):
    numbers = {n["name"]: n for n in document["numbers"]}
    assert numbers[name]["unit"] == "mL"
    assert numbers[name]["value"] == pytest.approx(document["exact"][name], rel=0.01)


def test_the_distance_is_right_within_half_a_voxel(document):
    (margin,) = (n for n in document["numbers"] if n["name"] == "margin.minimum")
    half_voxel_mm = (margin["high"] - margin["low"]) / 2
    assert half_voxel_mm < 1.0  # the voxel is 0.9 x 0.9 x 2 mm
    assert margin["value"] == pytest.approx(document["exact"]["margin.minimum"], abs=half_voxel_mm)


def test_every_segment_is_found_from_the_ct_alone(demo):
    with open_case(demo, write=False) as case:
        found, liver = case.value("territories"), case.value("liver")
    truth = true_segments(anatomy(1, 1).portal, liver.mask(), liver.geometry)
    assert np.array_equal(found.mask(), liver.mask())
    for value, label in truth.labels.items():
        true, got = truth.array == value, found.array == value
        dice = 2 * np.count_nonzero(true & got) / (np.count_nonzero(true) + np.count_nonzero(got))
        assert dice >= 0.9, label.name


def test_it_is_marked_synthetic_everywhere(document, demo):
    assert document["synthetic"] is True
    record = json.loads((demo / "case.json").read_text())
    assert record["patient"]["name"].startswith("SYNTHETIC")
    assert all(s["description"].startswith("SYNTHETIC") for s in record["sources"].values())


def test_right_is_right_in_label_surface_picture_and_report(document, demo, truth, tmp_path):
    assert truth[0] < -30, "the tumour lies on the patient's right"
    for name in ("tumor.nii.gz", "tumor.stl"):
        assert main(["export", str(demo), "tumor", str(tmp_path / name)]) == 0
    labels = read_labels(tmp_path / "tumor.nii.gz")
    index = np.argwhere(labels.array)[:, ::-1].mean(axis=0)
    assert labels.geometry.to_world(index) == pytest.approx(truth, abs=1.0)
    assert trimesh.load(tmp_path / "tumor.stl").centroid == pytest.approx(truth, abs=1.0)
    with open_case(demo, write=False) as case:
        values = fresh_values(case, case.plan())
        plain = {k: v for k, v in values.items() if k != "margin_map"}  # it hides the tumour
        items = {k: v for k, v in plan_scene(plain).items() if k.startswith(("tumor", "remnant"))}
        picture = render_scene(items, "A", (300, 200)).astype(int)
        red, green, blue = np.moveaxis(picture, -1, 0)
        yellow = (red > 120) & (green > 90) & (blue < 0.6 * green)
        assert np.nonzero(yellow)[1].mean() < 150, "seen from the front, right is on the left"
        figure = slice_figure(case.value("ct"), "axial", truth, values)
        assert figure.plane.letters[0] == "R"
        column, row, _ = figure.plane.to_pixel(truth)
        assert column < figure.plane.columns / 2
        colour = values["tumor"].labels[1].colour
        outline = np.concatenate([s.reshape(-1, 2) for s, c in figure.outlines if c == colour])
        assert outline.mean(axis=0) == pytest.approx((column + 0.5, row + 0.5), abs=2.0)
