import json

import numpy as np
import pytest
from scipy import ndimage

from meshing.files import read_surface
from meshing.surface import is_watertight, volume_ml
from segmentation.images import read_labels, write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
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


def test_what_no_printer_could_make_is_written_with_a_warning(tmp_path, capsys):
    grid = ImageGeometry(
        (12, 12, 12), (0.01, 0.01, 0.01), (0, 0, 0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1), "1.2"
    )
    array = np.zeros(grid.shape, np.uint8)
    array[3:9, 3:8, 3:10] = 1
    write_labels(LabelMap(array, grid, {1: Label("speck")}), tmp_path / "l.nrrd")
    for ending, warned in ((".stl", ["absurd_size"]), (".ply", [])):
        assert main(["mesh", str(tmp_path / "l.nrrd"), str(tmp_path / f"x{ending}"), "--json"]) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert [f["code"] for f in findings if f["severity"] == "warning"] == warned
        assert (tmp_path / f"x{ending}").is_file()


def sac_on_a_vessel():
    """Return a vessel along x with a sac on it, the sac alone, and a click in it."""
    grid = ImageGeometry(
        (70, 50, 40), (0.6, 0.6, 0.6), (3, 4, 5), (1.0, 0, 0, 0, 1, 0, 0, 0, 1), "1"
    )
    k, j, i = np.indices(grid.shape)
    vessel = np.hypot(j - 15, k - 20) < 3.5
    ball = (i - 35) ** 2 + (j - 23) ** 2 + (k - 20) ** 2 < 36
    click = tuple(float(v) for v in grid.to_world((35, 24, 20)))
    return LabelMap((vessel | ball).astype(np.uint8), grid, {1: Label("v")}), ball & ~vessel, click


@pytest.mark.parametrize("kind", ["label", "image"])
def test_a_dome_is_cut_off_headless(tmp_path, capsys, kind):
    vessels, sac, click = sac_on_a_vessel()
    source, out = tmp_path / "in.nrrd", tmp_path / "dome.nrrd"
    if kind == "label":
        write_labels(vessels, source)
    else:
        noise = np.random.default_rng(2).normal(20, 6, vessels.array.shape)
        bright = ndimage.gaussian_filter(300.0 * vessels.mask(), 0.7) + noise
        write_volume(Volume(bright.astype(np.float32), vessels.geometry, "MR"), source)
    asked = ["segment", "dome", str(source), str(out)]
    assert main([*asked, "--set", f"click_mm={json.dumps(click)}", "--json"]) == 0
    numbers = {n["quantity"]: n["value"] for n in json.loads(capsys.readouterr().out)["numbers"]}
    found = read_labels(out).mask("aneurysm dome")
    assert 2 * (found & sac).sum() / (found.sum() + sac.sum()) > 0.9
    assert numbers["volume.aneurysm dome"] == pytest.approx(sac.sum() * 0.216e-3, rel=0.15)
    assert main(asked) == 1
    assert "click_mm" in capsys.readouterr().err


def test_a_label_is_asked_for_where_one_is_needed(series, tmp_path, capsys):
    assert main(["segment", "fill_holes", str(series), str(tmp_path / "x.nrrd")]) == 1
    assert "needs a label file" in capsys.readouterr().err


def test_a_label_may_be_written_as_its_surface(tmp_path, capsys):
    image = tmp_path / "ball.nii.gz"
    k, j, i = np.mgrid[0:24, 0:24, 0:24]
    ball = ((i - 12) ** 2 + (j - 11) ** 2 + (k - 12) ** 2 < 64).astype(np.int16)
    grid = ImageGeometry((24, 24, 24), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2")
    write_volume(Volume(ball * 500, grid), image)
    limits = ["--set", "lower_hu=100", "--set", "upper_hu=900"]
    target = tmp_path / "ball.stl"
    assert main(["segment", "threshold", str(image), str(target), *limits]) == 0
    mesh = read_surface(target)
    assert is_watertight(mesh)
    assert volume_ml(mesh) == pytest.approx(ball.sum() / 1000, rel=0.01)
    coarse = [*limits, "--set", "surface.cell_mm=2.0"]
    assert main(["segment", "threshold", str(image), str(target), *coarse]) == 0
    assert len(read_surface(target).triangles) < len(mesh.triangles) / 2
    capsys.readouterr()
    other = tmp_path / "ball.nrrd"
    assert main(["segment", "threshold", str(image), str(other), *coarse]) == 1
    assert "only where a surface is written" in capsys.readouterr().err
    assert not other.exists()
