"""Whole-label operations against shapes with known answers, on uneven spacing."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from segmentation.contract import FrameMismatch
from segmentation.operations import combine, fill_holes, keep_islands, margin, smooth, threshold
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

SPACING = (0.5, 1.0, 2.0)
ARRAYS = hnp.arrays(np.uint8, (4, 6, 5), elements=st.sampled_from([0, 0, 1, 2]))


def labels(array: np.ndarray, names: dict[int, str] | None = None) -> LabelMap:
    size = array.shape[::-1]
    geometry = ImageGeometry(size, SPACING, (0, 0, 0), np.eye(3).ravel(), "1")
    known = {v: Label(n) for v, n in (names or {1: "liver"}).items()}
    return LabelMap(array.astype(np.uint8), geometry, known)


def ball(radius_mm: float, shape: tuple[int, int, int] = (30, 60, 120)) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    centre = [n // 2 for n in shape]
    squares = [((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING[::-1])]
    return np.asarray(sum(squares) <= radius_mm**2)


def test_threshold_includes_both_limits_and_measures() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = Volume(array, labels(array).geometry)
    result = threshold(image, lower_hu=5, upper_hu=7, name="bone")
    assert np.flatnonzero(result.array).tolist() == [5, 6, 7]
    assert result.labels[1].name == "bone"
    assert result.numbers[0].value == pytest.approx(0.003)
    assert not result.findings
    empty = threshold(image, lower_hu=100)
    assert [f.code for f in empty.findings] == ["empty_label"]
    assert "0 to 23" in empty.findings[0].sentence
    with pytest.raises(ValueError, match="must not exceed"):
        threshold(image, lower_hu=8, upper_hu=7)


def test_islands_are_kept_by_size_and_volume_per_label() -> None:
    array = np.zeros((6, 8, 10))
    array[0, 0, :4] = array[2, 0, :3] = array[4, 0, :2] = 1
    array[0, 4, :2] = array[2, 4, 0] = 2
    array[1, 1, 4] = 1  # touches the first piece by an edge only
    source = labels(array, {1: "a", 2: "b"})
    one = keep_islands(source)
    assert np.array_equal(np.unique(one.array, return_counts=True)[1][1:], [4, 2])
    two = keep_islands(source, largest=2)
    assert np.array_equal(np.unique(two.array, return_counts=True)[1][1:], [7, 3])
    all_big = keep_islands(source, largest=0, minimum_ml=0.002)
    assert np.array_equal(np.unique(all_big.array, return_counts=True)[1][1:], [9, 2])
    assert {n.quantity: n.value for n in two.numbers} == pytest.approx(
        {"volume": 0.010, "volume.a": 0.007, "volume.b": 0.003}
    )
    none = keep_islands(source, minimum_ml=1)
    assert [f.code for f in none.findings] == ["empty_label"]


def test_equal_islands_are_chosen_in_array_order() -> None:
    array = np.zeros((1, 1, 5))
    array[0, 0, [0, 3]] = 1
    assert np.flatnonzero(keep_islands(labels(array)).array).tolist() == [0]


def test_holes_are_filled_and_tunnels_only_per_slice() -> None:
    array = np.zeros((6, 7, 8))
    array[1:5, 1:6, 1:7] = 1
    array[2, 2, 2] = 0  # a hole
    array[1:5, 4, 4] = 0  # a tunnel along k
    array[3, 3, 2] = 2  # another label
    expected = array.copy()
    expected[2, 2, 2] = 1
    assert np.array_equal(fill_holes(labels(array)).array, expected)
    expected[1:5, 4, 4] = 1
    assert np.array_equal(fill_holes(labels(array), per_slice=True).array, expected)


def test_a_hole_open_to_the_edge_of_the_image_stays() -> None:
    array = np.ones((3, 4, 5))
    array[1, 1, :3] = 0
    assert np.array_equal(fill_holes(labels(array)).array, array)


@given(ARRAYS)
@settings(max_examples=40)
def test_filling_agrees_with_the_library_and_is_final(array: np.ndarray) -> None:
    once = fill_holes(labels((array > 0).astype(np.uint8)))
    assert np.array_equal(once.array > 0, ndimage.binary_fill_holes(array > 0))
    assert np.array_equal(fill_holes(once).array, once.array)


@pytest.mark.parametrize(("start", "change"), [(10, 5), (12, -5), (10, 2.2), (9.7, -3.3)])
def test_a_margin_of_a_ball_is_a_ball(start: float, change: float) -> None:
    result = margin(labels(ball(start)), distance_mm=change)
    expected = ball(start + change)
    assert np.count_nonzero(result.array != expected) < 0.2 * np.count_nonzero(expected)
    # Voxel centres lie up to half a voxel diagonal, 1.15 mm, inside the true surface.
    assert np.all(ball(start + change - 1.15)[result.array == 0] == 0)
    assert np.all(ball(start + change + 1.15)[result.array > 0])


def test_a_margin_is_measured_in_true_millimetres() -> None:
    array = np.zeros((9, 9, 17))
    array[4, 4, 8] = 1
    grown = margin(labels(array), distance_mm=2.0).array
    assert grown[:, 4, 8].sum() == 3
    assert grown[4, :, 8].sum() == 5
    assert grown[4, 4, :].sum() == 9
    assert np.array_equal(margin(labels(grown), distance_mm=-2.0).array, array)


def test_shrinking_does_not_start_at_the_edge_of_the_image() -> None:
    array = np.zeros((5, 6, 7))
    array[:, :, :4] = 1
    result = margin(labels(array), distance_mm=-0.5).array
    assert np.array_equal(result[:, :, :3], np.ones((5, 6, 3)))
    assert not result[:, :, 3:].any()


def test_growing_labels_meet_halfway() -> None:
    array = np.zeros((1, 1, 12))
    array[0, 0, 0], array[0, 0, 11] = 1, 2
    result = margin(labels(array, {1: "a", 2: "b"}), distance_mm=100).array
    assert result.ravel().tolist() == [1] * 6 + [2] * 6


@given(ARRAYS, st.floats(-3, 3), st.floats(0, 2))
@settings(max_examples=60)
def test_a_margin_is_monotone(array: np.ndarray, distance: float, more: float) -> None:
    source = labels((array > 0).astype(np.uint8))
    less = margin(source, distance_mm=distance).array
    assert np.all(margin(source, distance_mm=distance + more).array >= less)
    assert np.array_equal(margin(source, distance_mm=0).array, source.array)


def test_smoothing_keeps_the_volume_and_removes_noise() -> None:
    truth = ball(10)
    rng = np.random.default_rng(2)
    rough = truth ^ (rng.random(truth.shape) < 0.1) & (ndimage.binary_dilation(truth, iterations=2))
    result = smooth(labels(rough), sigma_mm=2)
    assert result.array.sum() == pytest.approx(rough.sum(), rel=0.002)
    before, after = ((m != truth).sum() for m in (rough, result.array > 0))
    assert after < 0.4 * before


def test_smoothing_leaves_no_gap_between_labels() -> None:
    whole = ball(10)
    array = whole.astype(np.uint8)
    array[:, :, 60:] *= 2
    result = smooth(labels(array, {1: "a", 2: "b"}), sigma_mm=1.5).array
    assert np.array_equal(ndimage.binary_fill_holes(result > 0), result > 0)
    assert np.count_nonzero(result) == pytest.approx(np.count_nonzero(whole), rel=0.002)
    assert np.array_equal(result[:, :, 62:] == 1, np.zeros_like(result[:, :, 62:], bool))
    assert np.count_nonzero(result == 2) == pytest.approx(np.count_nonzero(array == 2), rel=0.02)


def test_logical_operations() -> None:
    first, second = np.array([[[0, 1, 2, 0]]]), np.array([[[0, 5, 0, 5]]])
    names = {1: "a", 2: "b"}
    results = {
        op: combine(labels(first, names), labels(second), operation=op).array.ravel().tolist()
        for op in ("union", "intersection", "subtract")
    }
    assert results == {
        "union": [0, 1, 2, 1],
        "intersection": [0, 1, 0, 0],
        "subtract": [0, 0, 2, 0],
    }
    with pytest.raises(FrameMismatch):
        combine(labels(first), labels(np.zeros((1, 1, 5))), operation="union")


EVERY: list[Callable[[LabelMap], LabelMap]] = [
    keep_islands,
    fill_holes,
    lambda m: margin(m, distance_mm=1),
    lambda m: margin(m, distance_mm=-1),
    smooth,
    lambda m: combine(m, m, operation="union"),
]


@pytest.mark.parametrize("operation", EVERY)
def test_an_empty_label_stays_empty_and_says_so(operation: Callable[[LabelMap], LabelMap]) -> None:
    result = operation(labels(np.zeros((3, 4, 5))))
    assert not result.array.any()
    assert [f.code for f in result.findings] == ["empty_label"]


@pytest.mark.parametrize("operation", EVERY)
def test_a_full_image_stays_full(operation: Callable[[LabelMap], LabelMap]) -> None:
    assert operation(labels(np.ones((3, 4, 5)))).array.all()


@pytest.mark.parametrize("operation", EVERY)
def test_a_shape_in_a_corner_is_treated_as_elsewhere(
    operation: Callable[[LabelMap], LabelMap],
) -> None:
    """The block around a label must not shift or clip it."""
    array = np.zeros((20, 24, 30))
    array[8:11, 9:15, 10:22] = 1
    array[9, 10, 12] = 0
    moved = np.roll(array, (3, -2, 4), axis=(0, 1, 2))
    expected = np.roll(operation(labels(array)).array, (3, -2, 4), axis=(0, 1, 2))
    assert np.array_equal(operation(labels(moved)).array, expected)
