import csv
import json

import numpy as np
import pytest

from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.__main__ import main
from workstation.evaluation import evaluate, means, to_json, write_csv

GRID = ImageGeometry((20, 16, 12), (1.0, 2.0, 3.0), (5, 6, 7), tuple(np.eye(3).ravel()), "1.2")


def boxes(liver, kidney=None, names=("liver", "kidney")):
    """Two boxes along x, labelled 1 and 2."""
    array = np.zeros(GRID.shape, np.uint8)
    array[2:8, 2:8, slice(*liver)] = 1
    if kidney:
        array[2:8, 10:14, slice(*kidney)] = 2
    values = {1: Label(names[0])} | ({2: Label(names[1])} if kidney else {})
    return LabelMap(array, GRID, values)


@pytest.fixture
def folders(tmp_path):
    for name in ("reference", "result"):
        (tmp_path / name).mkdir()
    write_labels(boxes((2, 12), (2, 6)), tmp_path / "reference/a.seg.nrrd")
    write_labels(boxes((4, 12), (2, 6)), tmp_path / "result/a.nrrd")
    write_labels(boxes((2, 12)), tmp_path / "reference/b.nii.gz")
    return tmp_path / "reference", tmp_path / "result"


def test_every_label_of_every_case_is_compared(folders):
    found = {(c.case, c.label): c for c in evaluate(*folders)}
    assert set(found) == {("a", "liver"), ("a", "kidney"), ("b", "label 1")}
    liver = found["a", "liver"].values
    assert liver["dice"] == pytest.approx(2 * 8 / (8 + 10))
    assert liver["hausdorff95"] == pytest.approx(2.0)
    assert liver["volume_error"] == pytest.approx(-20)
    assert found["a", "kidney"].values["dice"] == 1


def test_a_case_without_result_counts_as_empty(folders):
    missing = next(c for c in evaluate(*folders) if c.case == "b")
    assert missing.values["dice"] == 0
    assert "hausdorff95" not in missing.values
    assert "missing_result" in [f.code for f in missing.findings]
    document = to_json(evaluate(*folders), 1.0)
    assert document["mean"]["label 1"]["dice"] == 0


def test_single_labels_are_paired_whatever_their_names(tmp_path):
    write_labels(boxes((2, 12), names=("liver", "")), tmp_path / "truth.nrrd")
    write_labels(boxes((2, 12), names=("Leber", "")), tmp_path / "mine.nrrd")
    (only,) = evaluate(tmp_path / "truth.nrrd", tmp_path / "mine.nrrd")
    assert only.values["dice"] == 1


def test_means_are_over_the_cases_with_a_value(folders):
    write_labels(boxes((2, 12)), folders[1] / "b.nii")
    found = evaluate(*folders, centerline=False)
    assert means(found)["label 1"]["dice"] == 1
    assert "centerline_dice" not in means(found)["liver"]


def test_other_grids_are_refused(folders, tmp_path):
    moved = ImageGeometry(GRID.size, GRID.spacing_mm, (5, 6, 8), GRID.direction, "1.2")
    write_labels(LabelMap(boxes((2, 4)).array, moved, {1: Label("liver")}), tmp_path / "x.nrrd")
    with pytest.raises(ValueError, match="grid"):
        evaluate(folders[0] / "a.seg.nrrd", tmp_path / "x.nrrd")


def test_command_prints_json_and_writes_csv(folders, tmp_path, capsys):
    path = tmp_path / "table.csv"
    assert main(["evaluate", *map(str, folders), "--label", "liver", "--csv", str(path)]) == 1
    assert "no label 'liver'" in capsys.readouterr().err  # b.nii.gz carries no names
    pair = [str(folders[0] / "a.seg.nrrd"), str(folders[1] / "a.nrrd")]
    assert main(["evaluate", *pair, "--json", "--csv", str(path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cases"][0]["dice"] == pytest.approx(16 / 18)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert float(rows[0]["volume_error [%]"]) == pytest.approx(-20)
    write_csv([], path)
    assert path.read_text().strip() == "case,label"


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_no_distance_is_refused(folders, tolerance):
    with pytest.raises(ValueError, match="no distance"):
        evaluate(*folders, tolerance_mm=tolerance)
