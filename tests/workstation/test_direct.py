import json

import numpy as np
import pytest

from meshing.files import read_surface
from segmentation.images import read_labels, write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.__main__ import main
from workstation.dicom.segmentation_reading import read_segmentation
from workstation.phantom import abdomen, write_dicom


@pytest.fixture(scope="module")
def patient():
    return abdomen(spacing_mm=(3.0, 3.0, 6.0))


@pytest.fixture(scope="module")
def series(patient, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    write_dicom(patient, folder)
    return folder


def test_a_threshold_goes_from_dicom_to_a_label_file(patient, series, tmp_path, capsys):
    label = tmp_path / "bright.nii.gz"
    limits = ["--set", "lower_hu=200", "--set", "upper_hu=3000"]
    assert main(["segment", "threshold", str(series), str(label), *limits, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["file"] == str(label)
    expected = (patient.volume.array >= 200) & (patient.volume.array <= 3000)
    assert np.array_equal(read_labels(label).array != 0, expected)
    (volume,) = (n["value"] for n in document["numbers"] if n["quantity"] == "volume")
    assert volume == pytest.approx(expected.sum() * patient.volume.geometry.voxel_ml)


def test_dicom_gives_a_dicom_segmentation(series, tmp_path):
    label = tmp_path / "bright.dcm"
    assert main(["segment", "threshold", str(series), str(label), "--set", "lower_hu=200"]) == 0
    assert label.stat().st_size > 0
    assert read_segmentation(label)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["guess", "{series}", "{out}/x.nrrd"], "no method 'guess'"),
        (["threshold", "{series}", "{out}/x.txt"], "names no format"),
        (["threshold", "{series}", "{out}/x.nrrd", "--set", "lower=1"], "no parameter 'lower'"),
        (["threshold", "{series}", "{out}/no/x.nrrd"], "is not there"),
        (["threshold", "{series}", "{out}/x.nrrd", "--set", "lower_hu=90000"], "found nothing"),
        (["grow", "{series}", "{out}/x.nrrd"], "needs a value for: foreground_mm"),
    ],
)
def test_what_cannot_be_done_says_why(series, tmp_path, capsys, arguments, sentence):
    filled = [a.format(series=series, out=tmp_path) for a in arguments]
    assert main(["segment", *filled]) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_label_file_becomes_a_surface_in_its_place(tmp_path, capsys):
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    grid = ImageGeometry((30, 26, 22), (1, 1.5, 2), (40, -30, 20), turned, "1.2")
    k, j, i = np.indices(grid.shape)
    away = np.linalg.norm(grid.to_world(np.stack([i, j, k], -1)) - grid.centre_mm(), axis=-1)
    array = (away < 11).astype(np.uint8)
    array[2:5, 2:5, 2:5] = 2
    write_labels(LabelMap(array, grid, {1: Label("ball"), 2: Label("cube")}), tmp_path / "l.nrrd")
    made = []
    for which in ("ball", "1"):
        target = tmp_path / f"{which}.stl"
        arguments = ["mesh", str(tmp_path / "l.nrrd"), str(target), "--label", which]
        assert main(arguments) == 0
        made.append(read_surface(target))
    assert np.array_equal(made[0].points_mm, made[1].points_mm)
    assert np.allclose(made[0].points_mm.mean(axis=0), grid.centre_mm(), atol=0.5)
    assert main(["mesh", str(tmp_path / "l.nrrd"), str(tmp_path / "x.stl"), "--label", "7"]) == 1
    assert "1 (ball), 2 (cube)" in capsys.readouterr().err
