"""Labels at several times: copied into the frame of an image, and interpolated."""

from dataclasses import replace

import numpy as np
import pytest

from segmentation.contract import FrameMismatch
from segmentation.metrics import dice
from segmentation.time_points import copy_labels, interpolate_times
from segmentation.transform import Transform
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

GRID = ImageGeometry((40, 32, 20), (1, 1, 2), (0, 0, 0), tuple(np.eye(3).ravel()), "now")


def ball(radius_mm: float, x: float) -> np.ndarray:
    k, j, i = np.ogrid[0:20, 0:32, 0:40]
    return (i - x) ** 2 + (j - 14) ** 2 + ((k - 9) * 2) ** 2 <= radius_mm**2


def label(radius_mm: float, x: float = 18, name: str = "tumour", value: int = 2) -> LabelMap:
    return LabelMap(ball(radius_mm, x).astype(np.uint8) * value, GRID, {value: Label(name)})


def test_between_two_times_a_ball_has_the_radius_and_place_between() -> None:
    middle = interpolate_times(label(6, 16), label(10, 20, value=1), fraction=0.25)
    assert dice(middle, label(7, 17)) > 0.91
    assert np.array_equal(
        interpolate_times(label(6), label(10), fraction=0.0).array, label(6).array
    )
    assert np.array_equal(
        interpolate_times(label(6), label(10), fraction=1.0).array, label(10).array
    )


def test_labels_of_one_name_belong_together() -> None:
    first = LabelMap(
        ball(6, 16) * np.uint8(1) + ball(4, 33) * np.uint8(2), GRID, {1: Label("a"), 2: Label("b")}
    )
    second = LabelMap(
        ball(6, 16) * np.uint8(2) + ball(4, 33) * np.uint8(1), GRID, {2: Label("a"), 1: Label("b")}
    )
    assert np.array_equal(interpolate_times(first, second).array, first.array)
    with pytest.raises(ValueError, match="no label is found at both times"):
        interpolate_times(first, label(5, name="c"))


def test_what_is_gone_at_the_second_time_shrinks_away() -> None:
    gone = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, label(8).labels)
    sizes = [
        interpolate_times(label(8), gone, fraction=f).array.astype(bool).sum()
        for f in (0, 0.1, 0.9)
    ]
    assert sizes[0] > sizes[1] > sizes[2] == 0


def test_labels_are_copied_within_a_frame_and_through_a_transform() -> None:
    image = Volume(np.zeros(GRID.shape, np.int16), GRID)
    same = copy_labels(label(6), image)
    assert np.array_equal(same.array, label(6).array)
    assert same.numbers[0].quantity == "volume"
    finer = GRID.resampled((1, 1, 1))
    copied = copy_labels(label(6), Volume(np.zeros(finer.shape, np.int16), finer))
    assert copied.volume_ml() == pytest.approx(label(6).volume_ml(), rel=0.05)
    then = LabelMap(label(6).array, replace(GRID, frame_uid="then"), label(6).labels)
    with pytest.raises(FrameMismatch, match="register"):
        copy_labels(then, image)
    matrix = np.eye(4)
    matrix[0, 3] = -5.0  # a point of now lies 5 mm further left then
    moved = copy_labels(then, image, Transform("now", "then", tuple(matrix.ravel()), GRID))
    assert dice(moved, label(6, 23)) > 0.99
