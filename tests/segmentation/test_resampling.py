"""From grid to grid: where a label lands, what is left out, what is refused."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from segmentation.contract import FrameMismatch
from segmentation.resampling import conform, resample_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from tests.segmentation.test_images import AXES, LEFT_HANDED, PERMUTED, grid, label_map, volume


def test_a_linear_field_survives_resampling() -> None:
    one = ImageGeometry((20, 18, 16), (1, 1.2, 1.5), (5, -6, 7), tuple(LEFT_HANDED.ravel()), "1")
    k, j, i = np.indices(one.shape)
    world = one.to_world(np.stack([i, j, k], -1))
    field = Volume(world @ [3.0, -5.0, 7.0], one)
    turned = Rotation.from_euler("z", 20, degrees=True).as_matrix() @ LEFT_HANDED
    centre = one.centre_mm() - turned @ (np.array([2, 2, 2]) * 0.9)
    new = ImageGeometry((5, 5, 5), (0.9, 0.9, 0.9), tuple(centre), tuple(turned.ravel()), "1")
    result = resample_volume(field, new)
    k, j, i = np.indices(new.shape)
    assert np.allclose(result.array, new.to_world(np.stack([i, j, k], -1)) @ [3.0, -5.0, 7.0])
    with pytest.raises(FrameMismatch):
        resample_volume(field, ImageGeometry((1, 1, 1), (1, 1, 1), (0, 0, 0), np.eye(3), "2"))


@pytest.mark.parametrize("axes", [LEFT_HANDED, AXES, PERMUTED])
def test_conform_to_the_same_grid_changes_nothing(axes: np.ndarray) -> None:
    source = label_map(axes)
    result = conform(source, volume(axes), label="left lobe = big")
    assert np.array_equal(result.array, source.array == 3)
    assert dict(result.labels) == {1: source.labels[3]}
    assert not result.findings
    assert result.numbers[0].value == pytest.approx(4 * source.geometry.voxel_ml)
    merged = conform(source, volume(axes), name="both")
    assert np.array_equal(merged.array, source.array != 0)
    assert merged.labels[1].name == "both"
    assert np.array_equal(conform(source, volume(axes), label="700").array, source.array == 700)


def test_conform_finds_the_place_on_a_turned_coarse_grid() -> None:
    fine = ImageGeometry((40, 44, 48), (0.5, 0.5, 0.5), (3, -4, 5), tuple(AXES.ravel()), "1")
    array = np.zeros(fine.shape, np.uint8)
    array[30:44, 10:20, 4:16] = 2
    turned = Rotation.from_euler("xyz", [-40, 10, 25], degrees=True).as_matrix() * [1, 1, -1]
    coarse_origin = fine.centre_mm() - turned @ (np.array([20, 20, 20]) * 0.9)
    coarse = ImageGeometry((41, 41, 41), (0.9,) * 3, coarse_origin, turned.ravel(), "1")
    result = conform(
        LabelMap(array, fine, {2: Label("gland")}), Volume(np.zeros(coarse.shape), coarse)
    )
    k, j, i = np.argwhere(result.array).mean(axis=0)
    assert np.allclose(coarse.to_world([i, j, k]), fine.to_world([9.5, 14.5, 36.5]), atol=0.25)
    assert result.volume_ml("gland") == pytest.approx(14 * 10 * 12 * 0.125e-3, rel=0.05)
    assert not result.findings


def test_conform_reports_and_refuses() -> None:
    source = label_map(np.eye(3))
    image = volume(np.eye(3))
    half = grid(np.eye(3)).cropped((3, 0, 0), (3, 5, 4))
    result = conform(source, Volume(np.zeros(half.shape), half), label="3", name="lobe")
    assert [f.code for f in result.findings] == ["label_outside"]
    assert "50.0 % of lobe" in result.findings[0].sentence
    far = ImageGeometry((6, 5, 4), (1, 1, 1), (500, 0, 0), np.eye(3).ravel(), "1.2.840.9")
    with pytest.raises(ValueError, match="outside the image"):
        conform(source, Volume(image.array, far))
    other = ImageGeometry((6, 5, 4), (1, 1, 1), (0, 0, 0), np.eye(3).ravel(), "2")
    with pytest.raises(FrameMismatch):
        conform(source, Volume(image.array, other))
    with pytest.raises(ValueError, match="left lobe"):
        conform(source, image, label="spleen")
    with pytest.raises(ValueError, match="value 9"):
        conform(source, image, label="9")
    empty = LabelMap(np.zeros((4, 5, 6), np.uint8), grid(np.eye(3)))
    assert [f.code for f in conform(empty, image).findings] == ["empty_label"]
