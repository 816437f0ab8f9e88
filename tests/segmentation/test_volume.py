"""Grids, label values, patches: index and patient space, edits that can be undone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from segmentation.contract import FrameMismatch
from segmentation.volume import (
    EditLog,
    ImageGeometry,
    Label,
    LabelMap,
    LabelPatch,
    Volume,
    bounding_block,
    edit,
    require_same_grid,
)

IDENTITY = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


@st.composite
def geometries(draw: st.DrawFn) -> ImageGeometry:
    """Any orientation: oblique, flipped and permuted, of small size."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    axes = axes[:, draw(st.permutations([0, 1, 2]))] * draw(
        st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
    )
    return ImageGeometry(
        draw(st.tuples(*[st.integers(1, 6)] * 3)),
        draw(st.tuples(*[st.floats(0.2, 5)] * 3)),
        draw(st.tuples(*[st.floats(-400, 400)] * 3)),
        tuple(axes.ravel()),
        "1.2.3",
    )


@given(geometries(), st.tuples(*[st.floats(-10, 600)] * 3))
def test_index_and_patient_space_reverse_each_other(
    grid: ImageGeometry, index: tuple[float, float, float]
) -> None:
    assert np.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-7)


@given(geometries())
def test_a_step_along_each_axis_is_spacing_times_direction(grid: ImageGeometry) -> None:
    for axis in range(3):
        step = grid.to_world(np.eye(3)[axis]) - grid.to_world([0, 0, 0])
        expected = np.asarray(grid.direction).reshape(3, 3)[:, axis] * grid.spacing_mm[axis]
        assert np.allclose(step, expected, atol=1e-9)


@given(geometries())
def test_json_keeps_a_geometry(grid: ImageGeometry) -> None:
    assert ImageGeometry.from_json(grid.to_json()) == grid


@given(geometries(), st.data())
def test_a_cropped_grid_keeps_every_voxel_in_place(
    grid: ImageGeometry, data: st.DataObject
) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in grid.size]
    part = grid.cropped(start, [n - s for n, s in zip(grid.size, start)])
    assert np.allclose(part.to_world([0, 0, 0]), grid.to_world(start))
    assert np.allclose(part.corners_mm()[-1], grid.corners_mm()[-1])


@given(geometries(), st.tuples(*[st.floats(0.3, 4)] * 3))
def test_a_resampled_grid_covers_the_same_box(
    grid: ImageGeometry, spacing: tuple[float, float, float]
) -> None:
    new = grid.resampled(spacing)
    assert np.allclose(new.to_world([-0.5] * 3), grid.to_world([-0.5] * 3), atol=1e-6)
    beyond = grid.to_index(new.to_world(np.asarray(new.size) - 0.5)) - (np.asarray(grid.size) - 0.5)
    assert np.all(beyond > -1e-5)
    assert np.all(beyond * grid.spacing_mm < spacing)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_lists_centres_by_row_and_column(axis: int) -> None:
    grid = ImageGeometry((3, 4, 5), (0.5, 2, 3), (7, -8, 9), (0, 0, 1, 1, 0, 0, 0, 1, 0), "1")
    plane = grid.plane_mm(axis, 1.5)
    rows, columns = [n for n in (2, 1, 0) if n != axis]
    assert plane.shape == (grid.size[rows], grid.size[columns], 3)
    index = np.zeros(3)
    index[axis], index[rows], index[columns] = 1.5, 2, 1
    assert np.allclose(plane[2, 1], grid.to_world(index))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"size": (0, 1, 1)}, "size"),
        ({"spacing_mm": (1, 0, 1)}, "spacing"),
        ({"spacing_mm": (1, float("nan"), 1)}, "spacing"),
        ({"origin_mm": (1, float("inf"), 1)}, "origin"),
        ({"direction": (1, 0, 0, 0.2, 1, 0, 0, 0, 1)}, "orthonormal"),
        ({"direction": (1, 0, 0, 0, 1, 0)}, "orthonormal"),
    ],
)
def test_an_impossible_grid_is_refused(change: dict[str, object], word: str) -> None:
    good = {
        "size": (2, 3, 4),
        "spacing_mm": (1, 1, 1),
        "origin_mm": (0, 0, 0),
        "direction": IDENTITY,
        "frame_uid": "1",
    }
    ImageGeometry(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=word):
        ImageGeometry(**(good | change))  # type: ignore[arg-type]


def test_values_cannot_be_changed_and_must_fit_their_grid() -> None:
    grid = ImageGeometry((2, 3, 4), (1, 1, 1), (0, 0, 0), IDENTITY, "1")
    volume = Volume(np.zeros(grid.shape, np.int16), grid)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    with pytest.raises(ValueError, match="does not fit"):
        Volume(np.zeros((2, 3, 4)), grid)
    with pytest.raises(ValueError, match="uint8"):
        LabelMap(np.zeros(grid.shape, np.int32), grid)


def test_labels_are_found_by_name_and_measured() -> None:
    grid = ImageGeometry((2, 3, 4), (2, 5, 10), (0, 0, 0), IDENTITY, "1")
    array = np.zeros(grid.shape, np.uint8)
    array[0, 0], array[1] = 3, 7
    labels = LabelMap(array, grid, {7: Label("tumour"), 3: Label("liver")})
    assert list(labels.labels) == [3, 7]
    assert labels.value("tumour") == 7
    assert labels.volume_ml("liver") == pytest.approx(0.2)
    assert labels.volume_ml() == pytest.approx(0.8)
    with pytest.raises(ValueError, match="liver, tumour"):
        labels.mask("spleen")


def test_grids_must_agree() -> None:
    grid = ImageGeometry((2, 3, 4), (1, 1, 1), (0, 0, 0), IDENTITY, "1")
    flipped = ImageGeometry((2, 3, 4), (1, 1, 1), (1, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1), "1")
    other = ImageGeometry((2, 3, 4), (1, 1, 1), (0, 0, 0), IDENTITY, "2")
    first, second, third = (Volume(np.zeros(g.shape), g) for g in (grid, flipped, other))
    require_same_grid(first, first)
    with pytest.raises(FrameMismatch, match="grids differ"):
        require_same_grid(first, second)
    with pytest.raises(FrameMismatch, match="frames of reference differ"):
        require_same_grid(first, third)


SMALL = ImageGeometry((4, 3, 5), (1, 1, 1), (0, 0, 0), IDENTITY, "1")
ARRAYS = hnp.arrays(np.uint8, SMALL.shape, elements=st.integers(0, 3))


@st.composite
def patches(draw: st.DrawFn, array: np.ndarray) -> LabelPatch:
    low = [draw(st.integers(0, n - 1)) for n in array.shape]
    size = [draw(st.integers(1, n - a)) for n, a in zip(array.shape, low)]
    block = tuple(slice(a, a + n) for a, n in zip(low, size))
    after = draw(hnp.arrays(np.uint8, size, elements=st.integers(0, 3)))
    return LabelPatch((low[0], low[1], low[2]), array[block], after)


@given(ARRAYS, st.data())
@settings(max_examples=60)
def test_patches_undo_in_reverse_order(array: np.ndarray, data: st.DataObject) -> None:
    state, done = array, []
    log = EditLog(SMALL)
    for _ in range(3):
        patch = data.draw(patches(state))
        state = patch.applied(state)
        done.append(patch)
        log = log.then(patch)
    replayed = edit(LabelMap(array, SMALL), log)
    assert np.array_equal(replayed.array, state)
    for patch in reversed(done):
        state = patch.inverse().applied(state)
    assert np.array_equal(state, array)


@given(ARRAYS, ARRAYS, st.data())
@settings(max_examples=60)
def test_an_edit_survives_a_new_proposal(
    old: np.ndarray, new: np.ndarray, data: st.DataObject
) -> None:
    patch = data.draw(patches(old))
    result = patch.applied(new)
    touched = np.zeros(old.shape, bool)
    touched[patch.block] = patch.before != patch.after
    assert np.array_equal(result[~touched], new[~touched])
    assert np.array_equal(result[touched], patch.applied(old)[touched])


def test_the_order_of_edits_counts() -> None:
    zero = np.zeros((1, 1, 2), np.uint8)
    first = LabelPatch((0, 0, 0), zero, np.array([[[1, 1]]], np.uint8))
    second = LabelPatch((0, 0, 1), np.array([[[1]]], np.uint8), np.array([[[2]]], np.uint8))
    labels = LabelMap(zero, ImageGeometry((2, 1, 1), (1, 1, 1), (0, 0, 0), IDENTITY, "1"))
    log = EditLog(labels.geometry)
    assert edit(labels, log.then(first).then(second)).array.ravel().tolist() == [1, 2]
    assert edit(labels, log.then(second).then(first)).array.ravel().tolist() == [1, 1]


def test_a_patch_that_does_not_fit_is_refused() -> None:
    block = np.zeros((1, 1, 2), np.uint8)
    with pytest.raises(ValueError, match="outside"):
        LabelPatch((0, 0, 1), block, block + 1).applied(np.zeros((1, 1, 2), np.uint8))
    with pytest.raises(ValueError, match="300"):
        LabelPatch((0, 0, 0), block, np.full((1, 1, 2), 300, np.uint16)).applied(block)
    other = ImageGeometry((2, 1, 1), (2, 1, 1), (0, 0, 0), IDENTITY, "1")
    labels = LabelMap(block, ImageGeometry((2, 1, 1), (1, 1, 1), (0, 0, 0), IDENTITY, "1"))
    with pytest.raises(FrameMismatch):
        edit(labels, EditLog(other))


@given(ARRAYS, st.tuples(*[st.integers(0, 3)] * 3))
def test_a_bounding_block_is_tight(array: np.ndarray, padding: tuple[int, int, int]) -> None:
    block = bounding_block(array)
    if block is None:
        assert not array.any()
        return
    assert np.count_nonzero(array[block]) == np.count_nonzero(array)
    for axis in range(3):
        for end in (0, -1):
            assert np.take(array[block], end, axis).any()
    wide = bounding_block(array, padding)
    assert wide is not None
    for tight, loose, p, n in zip(block, wide, padding, array.shape):
        assert (loose.start, loose.stop) == (max(0, tight.start - p), min(n, tight.stop + p))
