"""Gestures: what a hand draws lands where it was drawn, on any grid, and can be undone."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from segmentation.brush import brush_stroke, fill_between_slices, scissors
from segmentation.volume import ImageGeometry, LabelMap, LabelPatch, bounding_block

AXES = Rotation.from_euler("xyz", [17, -28, 63], degrees=True).as_matrix() * [1, -1, 1]
SPACING = (0.8, 1.1, 2.5)


def labels(
    axes: np.ndarray = AXES, size: tuple[int, int, int] = (40, 36, 20), value: int = 0
) -> LabelMap:
    geometry = ImageGeometry(size, SPACING, (-30, 12, 200), axes.ravel(), "1")
    return LabelMap(np.full(geometry.shape, value, np.uint8), geometry)


def centres(grid: ImageGeometry) -> np.ndarray:
    k, j, i = np.indices(grid.shape)
    return grid.to_world(np.stack([i, j, k], -1))


def applied(source: LabelMap, patch: LabelPatch | None) -> np.ndarray:
    assert patch is not None
    result = patch.applied(source.array)
    assert np.array_equal(patch.inverse().applied(result), source.array)
    changed = bounding_block(result != source.array)
    assert changed == patch.block, "the block must be tight"
    return result


@given(st.tuples(st.floats(-3, 43), st.floats(-3, 39), st.floats(-3, 23)), st.floats(0.1, 12))
@settings(max_examples=40, deadline=None)
def test_a_ball_is_all_centres_within_the_radius(
    index: tuple[float, float, float], radius: float
) -> None:
    source = labels()
    assume(np.abs(np.mod(index, 1) - 0.5).min() > 1e-6)  # else two voxels are equally near
    point = source.geometry.to_world(index)
    distance = np.linalg.norm(centres(source.geometry) - point, axis=-1)
    patch = brush_stroke(source, point, radius_mm=radius, value=3)
    result = source.array if patch is None else applied(source, patch)
    sure = np.abs(distance - radius) > 1e-3
    hit = distance <= radius
    k, j, i = np.rint(index[::-1]).astype(int)
    if all(0 <= n < m for n, m in zip((k, j, i), result.shape)):
        hit[k, j, i] = True
    assert np.array_equal(result[sure] == 3, hit[sure])


def test_a_stroke_joins_its_points() -> None:
    source = labels()
    points = source.geometry.to_world([[8, 8, 5], [30, 10, 9], [28, 30, 14]])
    result = applied(source, brush_stroke(source, points, radius_mm=4, value=1))
    world = centres(source.geometry)
    nearest = np.full(result.shape, np.inf)
    for start, end in pairwise(points):
        for t in np.linspace(0, 1, 400):
            gap = np.linalg.norm(world - (start + t * (end - start)), axis=-1)
            nearest = np.minimum(nearest, gap)
    sure = np.abs(nearest - 4) > 0.01
    assert np.array_equal(result[sure] == 1, nearest[sure] <= 4)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("place", [9.0, 9.3, 9.5])
def test_a_disc_stays_on_one_slice(axis: int, place: float) -> None:
    source = labels()
    index = np.array([15.0, 14.0, 10.0])
    index[axis] = place
    point = source.geometry.to_world(index)
    normal = tuple(-2 * AXES[:, axis])
    result = applied(source, brush_stroke(source, point, radius_mm=5, value=1, normal=normal))
    slices = np.unique(np.argwhere(result)[:, 2 - axis])
    assert len(slices) == 1
    assert abs(slices[0] - place) <= 0.5
    ball = applied(source, brush_stroke(source, point, radius_mm=5, value=1))
    assert np.all(ball[result > 0])
    assert result.sum() == np.take(ball, slices[0], 2 - axis).sum()


def test_an_oblique_disc_has_no_holes_and_no_thickness() -> None:
    source = labels()
    normal = np.array([1.0, 2, 3]) / np.sqrt(14)
    middle = source.geometry.centre_mm()
    result = applied(source, brush_stroke(source, middle, radius_mm=9, value=1, normal=normal))
    rng = np.random.default_rng(0)
    across = np.linalg.svd(normal[None])[2][1:]
    on_plane = middle + rng.uniform(-5.5, 5.5, (500, 2)) @ across
    hit = np.rint(source.geometry.to_index(on_plane)).astype(int)
    assert result[hit[:, 2], hit[:, 1], hit[:, 0]].all()
    depth = np.abs((centres(source.geometry)[result > 0] - middle) @ normal)
    assert depth.max() <= np.abs(AXES.T @ normal) @ SPACING / 2 + 0.01


def test_erasing_and_painting_respect_what_is_there() -> None:
    array = np.zeros((20, 36, 40), np.uint8)
    array[:, :, 10:20], array[:, :, 20:] = 1, 2
    source = LabelMap(array, labels().geometry)
    middle = source.geometry.centre_mm()
    erased = applied(source, brush_stroke(source, middle, radius_mm=6, value=1, erase=True))
    assert set(np.unique(array[erased != array])) == {1}
    assert not erased[erased != array].any()
    over = applied(source, brush_stroke(source, middle, radius_mm=6, value=5, only_over=2))
    assert set(np.unique(array[over != array])) == {2}
    full = labels(value=5)
    assert brush_stroke(full, middle, radius_mm=6, value=5) is None
    assert brush_stroke(full, middle + 500, radius_mm=6, value=1) is None


def test_gestures_refuse_what_makes_no_sense() -> None:
    source = labels()
    for points, radius, value, words in (
        ([], 1, 1, "points"),
        ([[0, 0, np.nan]], 1, 1, "finite"),
        ([[0, 0, 0]], 0, 1, "radius"),
        ([[0, 0, 0]], 1, 0, "between 1 and 255"),
        ([[0, 0, 0]], 1, 256, "between 1 and 255"),
    ):
        with pytest.raises(ValueError, match=words):
            brush_stroke(source, points, radius_mm=radius, value=value)
    with pytest.raises(ValueError, match="three corners"):
        scissors(source, [[0, 0, 0], [1, 0, 0]], (0, 0, 1))


TRIANGLE = np.array([[-9.0, -7], [11, -5], [1, 10]])


def inside_triangle(points: np.ndarray) -> np.ndarray:
    sides = []
    for a, b in zip(TRIANGLE, np.roll(TRIANGLE, -1, axis=0)):
        edge, offset = b - a, points - a
        sides.append(edge[0] * offset[:, 1] - edge[1] * offset[:, 0] > 0)
    return np.all(sides, axis=0)


@pytest.mark.parametrize("cut", ["inside", "outside"])
@pytest.mark.parametrize("perspective", [False, True])
def test_scissors_cut_through_the_whole_depth(cut: str, perspective: bool) -> None:
    source = labels(value=2)
    middle = source.geometry.centre_mm()
    turn = Rotation.from_euler("xyz", [50, 10, -20], degrees=True).as_matrix()
    right, up, view = turn.T
    polygon = middle + TRIANGLE @ np.stack([right, up])
    eye = middle - 80 * view
    offset = centres(source.geometry).reshape(-1, 3) - middle
    scale = 80 / (80 + offset @ view) if perspective else np.ones(len(offset))
    seen = np.stack([offset @ right, offset @ up], axis=1) * scale[:, None]
    result = applied(
        source,
        scissors(source, polygon, view, cut=cut, eye_mm=eye if perspective else None),  # type: ignore[arg-type]
    )
    expected = inside_triangle(seen) == (cut == "inside")
    assert np.array_equal(result.ravel() == 0, expected)


@pytest.mark.parametrize("begin", ["outline", "surface"])
@pytest.mark.parametrize("perspective", [False, True])
def test_scissors_cut_to_a_depth(begin: str, perspective: bool) -> None:
    source = labels(value=2)
    middle = source.geometry.centre_mm()
    right, up, view = Rotation.from_euler("xyz", [50, 10, -20], degrees=True).as_matrix().T
    polygon = middle + TRIANGLE @ np.stack([right, up])
    way = {"eye_mm": middle - 80 * view if perspective else None}
    whole = applied(source, scissors(source, polygon, view, **way)) == 0
    depth = (centres(source.geometry) - middle) @ view
    first = depth[whole].min() if begin == "surface" else 0.0
    part = scissors(source, polygon, view, depth_mm=6.5, begin=begin, **way)  # type: ignore[arg-type]
    expected = whole & (np.abs(depth - first) <= 6.5)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(whole)
    assert np.array_equal(applied(source, part) == 0, expected)
    with pytest.raises(ValueError, match="positive depth"):
        scissors(source, polygon, view, depth_mm=0.0)


def test_half_a_slice_deep_is_that_slice_only() -> None:
    source = labels(value=1)
    index = np.array([[5, 5, 8], [30, 6, 8], [18, 30, 8]])
    normal = tuple(source.geometry.affine[:3, 2] / SPACING[2])
    patch = scissors(source, source.geometry.to_world(index), normal, depth_mm=SPACING[2] / 2)  # type: ignore[arg-type]
    cut = applied(source, patch) == 0
    assert cut[8].sum() > 100
    assert not cut[:8].any()
    assert not cut[9:].any()


def test_scissors_cut_one_label_only() -> None:
    array = np.ones((20, 36, 40), np.uint8)
    array[:, :, 20:] = 2
    source = LabelMap(array, labels().geometry)
    far = source.geometry.centre_mm() + 400 * np.array([[1, 0, 0], [-1, 1, 0], [-1, -1, 0]])
    result = applied(source, scissors(source, far, (0, 0, 1), value=2))
    assert np.array_equal(result, np.where(array == 2, 0, array))
    assert scissors(labels(), far, (0, 0, 1)) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_filling_between_slices_restores_an_ellipsoid(axis: int) -> None:
    axes = np.ogrid[:40, :44, :48]
    whole = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, (19, 23, 21), (15, 17, 13))) <= 1
    drawn = np.zeros(whole.shape, np.uint8)
    middle = (21, 23, 19)[axis]
    picked = [slice(None)] * 3
    picked[2 - axis] = slice(middle - 12, middle + 13, 4)  # type: ignore[call-overload]
    drawn[tuple(picked)] = whole[tuple(picked)]
    source = LabelMap(drawn, ImageGeometry((48, 44, 40), (1, 1, 1), (0, 0, 0), np.eye(3), "1"))
    result = applied(source, fill_between_slices(source, axis)) > 0
    span = [slice(None)] * 3
    span[2 - axis] = slice(middle - 12, middle + 13)  # type: ignore[call-overload]
    truth = np.zeros_like(whole)
    truth[tuple(span)] = whole[tuple(span)]
    assert 2 * (result & truth).sum() / (result.sum() + truth.sum()) > 0.97
    assert np.array_equal(result[tuple(picked)], drawn[tuple(picked)] > 0)


def test_filling_leaves_other_labels_alone() -> None:
    array = np.zeros((5, 6, 7), np.uint8)
    array[0, 1:5, 1:6] = array[4, 1:5, 1:6] = 1
    array[2, 2, 2] = 9
    source = LabelMap(array, ImageGeometry((7, 6, 5), (1, 1, 2), (0, 0, 0), np.eye(3), "1"))
    result = applied(source, fill_between_slices(source, 2))
    expected = array.copy()
    expected[:, 1:5, 1:6] = 1
    expected[2, 2, 2] = 9
    assert np.array_equal(result, expected)
    assert fill_between_slices(source, 2, value=9) is None
    assert fill_between_slices(source, 2, value=4) is None
