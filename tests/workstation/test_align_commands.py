import json

import numpy as np
import pytest
from scipy import ndimage

from segmentation.images import read_labels, read_volume, write_labels, write_volume
from segmentation.metrics import dice
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.__main__ import main

GRID = ImageGeometry(
    (40, 36, 24), (2.0, 2.0, 3.0), (5, -20, 40), (1.0, 0, 0, 0, 1, 0, 0, 0, 1), "1.7"
)
OTHER = ImageGeometry(GRID.size, GRID.spacing_mm, GRID.origin_mm, GRID.direction, "1.8")
SHIFT = (1, -2, 3)  # voxels k, j, i


@pytest.fixture
def pair(tmp_path):
    """Two scans of one asymmetric thing, the second shifted, and a label drawn on the second."""
    k, j, i = np.indices(GRID.shape)
    first = ((k - 11) / 6) ** 2 + ((j - 17) / 9) ** 2 + ((i - 17) / 11) ** 2 < 1
    second = (k - 14) ** 2 + (j - 22) ** 2 + (i - 27) ** 2 < 16
    image = ndimage.gaussian_filter(100.0 * first + 150 * second, 0.7).astype(np.float32)
    moved = np.roll(image, SHIFT, (0, 1, 2))
    write_volume(Volume(image, GRID), tmp_path / "fixed.nrrd")
    write_volume(Volume(moved, OTHER), tmp_path / "moving.nrrd")
    drawn = np.roll(second, SHIFT, (0, 1, 2)).astype(np.uint8)
    write_labels(LabelMap(drawn, OTHER, {1: Label("nodule")}), tmp_path / "nodule.nrrd")
    return tmp_path, image, LabelMap(second.astype(np.uint8), GRID, {1: Label("nodule")})


def test_an_image_and_its_label_come_onto_another(pair, capsys):
    folder, image, nodule = pair
    files = [str(folder / name) for name in ("fixed.nrrd", "moving.nrrd", "out.nrrd")]
    labels = ["--labels", str(folder / "nodule.nrrd"), str(folder / "moved.nrrd")]
    assert main(["align", *files, *labels, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    shift_mm = np.reshape(document["matrix"], (4, 4))[:3, 3]
    turned = np.reshape(document["matrix"], (4, 4))[:3, :3] - np.eye(3)
    centre = np.asarray(GRID.centre_mm())
    np.testing.assert_allclose(turned @ centre + shift_mm, (6, -4, 3), atol=1.0)
    assert {"quantity", "value", "unit"} <= set(document["numbers"][0])
    out = read_volume(folder / "out.nrrd")
    assert out.geometry.same_grid(GRID)
    assert np.corrcoef(out.array.ravel(), image.ravel())[0, 1] > 0.97
    assert dice(read_labels(folder / "moved.nrrd"), nodule) > 0.85


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["{0}/out.txt"], "names no format"),
        (["{0}/out.nrrd", "--set", "control_mm=1"], "control_mm"),
        (["{0}/out.nrrd", "--kind", "landmarks"], "three or more pairs"),
    ],
)
def test_what_cannot_be_aligned_says_why(pair, capsys, more, sentence):
    folder = pair[0]
    filled = [part.format(folder) for part in more]
    assert main(["align", str(folder / "fixed.nrrd"), str(folder / "moving.nrrd"), *filled]) == 1
    assert sentence in capsys.readouterr().err
    assert not (folder / "out.nrrd").exists()
