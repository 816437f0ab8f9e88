import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.ui.panels.lesions import MOST, lesions_of

GRID = ImageGeometry((20, 16, 12), (2.0, 1.0, 3.0), (-5, 7, 9), (0, 1, 0, -1, 0, 0, 0, 0, 1), "1.2")


def labels(*boxes):
    array = np.zeros(GRID.shape, np.uint8)
    for k, j, i in boxes:
        array[k, j, i] = 1
    return LabelMap(array, GRID, {1: Label("tumor")})


SMALL = (slice(1, 3), slice(2, 4), slice(3, 5))
LARGE = (slice(6, 10), slice(8, 13), slice(10, 17))


def test_lesions_come_largest_first_with_volume_and_place():
    large, small = lesions_of(labels(SMALL, LARGE))
    assert large.volume_ml == pytest.approx(4 * 5 * 7 * 6.0 / 1000)
    assert small.volume_ml == pytest.approx(8 * 6.0 / 1000)
    np.testing.assert_allclose(large.place_mm, GRID.to_world((13, 10, 7)), atol=3.1)
    i, j, k = np.rint(GRID.to_index(small.place_mm)).astype(int)
    assert labels(SMALL).array[k, j, i] == 1


def test_removing_one_leaves_the_others_and_can_be_undone():
    before = labels(SMALL, LARGE)
    _, small = lesions_of(before)
    after = small.removal.applied(before.array)
    np.testing.assert_array_equal(after, labels(LARGE).array)
    np.testing.assert_array_equal(small.removal.inverse().applied(after), before.array)


def test_a_lesion_inside_the_box_of_another_stays():
    array = np.zeros(GRID.shape, np.uint8)
    array[2:9, 2:9, 2] = array[2:9, 2, 2:9] = 1  # an angle, with a ball between its arms
    array[5:7, 6:8, 6:8] = 1
    angle, ball = lesions_of(LabelMap(array, GRID, {1: Label("tumor")}))
    left = angle.removal.applied(array)
    assert left.sum() == 8
    assert (ball.removal.applied(left) == 0).all()
    i, j, k = np.rint(GRID.to_index(angle.place_mm)).astype(int)
    assert array[k, j, i], "the place of a bent lesion lies in it"


def test_nothing_and_noise():
    assert lesions_of(labels()) == []
    array = np.zeros(GRID.shape, np.uint8)
    array[::2, ::2, ::2] = 1
    assert len(lesions_of(LabelMap(array, GRID, {}))) == MOST
