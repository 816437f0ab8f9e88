"""Pieces of a label: chosen by a point, told apart, cut at their necks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segmentation.islands import choose_islands, split_islands
from segmentation.marks import SeedOutside
from segmentation.volume import ImageGeometry, Label, LabelMap

AXES = np.eye(3)[:, [1, 0, 2]] * [1, -1, 1]
GRID = ImageGeometry((36, 24, 16), (1.0, 1.0, 2.0), (5, 6, 7), tuple(AXES.ravel()), "1")


def labels(*boxes: tuple[int, slice, slice, slice]) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    for value, k, j, i in boxes:
        array[k, j, i] = value
    return LabelMap(array, GRID, {1: Label("organ"), 2: Label("other")})


THREE = labels(
    (1, slice(2, 6), slice(2, 8), slice(2, 8)),
    (1, slice(9, 12), slice(10, 20), slice(4, 10)),
    (2, slice(2, 6), slice(2, 8), slice(8, 12)),  # touches the first, with another value
)


def at(i: float, j: float, k: float) -> tuple[float, float, float]:
    x, y, z = GRID.to_world((i, j, k))
    return float(x), float(y), float(z)


def test_a_piece_is_kept_or_removed_by_a_point_in_it() -> None:
    kept = choose_islands(THREE, points_mm=(at(3, 3, 3),))
    assert np.array_equal(
        kept.array, np.where(THREE.array == 1, 1, 0) * (np.indices(GRID.shape)[0] < 8)
    )
    removed = choose_islands(THREE, points_mm=(at(3, 3, 3),), operation="remove")
    assert np.array_equal(removed.array + kept.array, THREE.array)


def test_a_point_beside_the_label_means_the_nearest_piece() -> None:
    kept = choose_islands(THREE, points_mm=(at(7, 22, 10), at(14, 5, 4)))
    assert set(np.unique(kept.array)) == {0, 1, 2}
    assert not kept.array[2:6, 2:8, 2:8].any()


def test_points_are_needed_and_lie_in_the_image() -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        choose_islands(THREE, points_mm=())
    with pytest.raises(SeedOutside):
        choose_islands(THREE, points_mm=(at(-9, 0, 0),))


def test_pieces_get_labels_largest_first() -> None:
    split = split_islands(THREE)
    assert [label.name for label in split.labels.values()] == ["organ 1", "organ 2", "other 3"]
    assert (split.array[9:12, 10:20, 4:10] == 1).all()
    assert (split.array[2:6, 2:8, 2:8] == 2).all()
    assert (split.array[2:6, 2:8, 8:12] == 3).all()
    few = split_islands(THREE, largest=1)
    assert np.array_equal(few.array, np.where(split.array == 1, 1, 0))
    assert [f.code for f in few.findings] == ["pieces_dropped"]


def test_a_neck_is_cut_and_nothing_is_lost() -> None:
    """Two balls on a thin bridge come apart about its middle; a thin twig stays whole."""
    k, j, i = np.ogrid[0:16, 0:24, 0:36]
    balls = [((i - c) ** 2 + (j - 12) ** 2 + ((k - 8) * 2) ** 2) <= 64 for c in (9, 27)]
    bridge = (abs(j - 12) <= 1) & (k == 8) & (i >= 9) & (i <= 27)
    array = (balls[0] | balls[1] | bridge).astype(np.uint8)
    array[1, 1, 1:6] = 1
    whole = LabelMap(array, GRID, {1: Label("organ")})
    assert len(split_islands(whole).labels) == 2
    split = split_islands(whole, neck_mm=6.0)
    assert len(split.labels) == 3
    assert np.array_equal(split.array > 0, array > 0)
    first, second = split.array[8, 12, 9], split.array[8, 12, 27]
    assert first != second
    change = np.flatnonzero(np.diff(split.array[8, 12, 9:28].astype(int)))
    assert abs(9 + change[0] - 18) <= 2


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_every_piece_is_one_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = (ndimage.gaussian_filter(rng.normal(size=GRID.shape), 1.5) > 0.05).astype(np.uint8)
    split = split_islands(LabelMap(array, GRID, {1: Label("organ")}), largest=250)
    pieces, count = ndimage.label(array)
    assert len(split.labels) == count
    pairs = np.unique(np.stack([pieces.ravel(), split.array.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(pieces))
