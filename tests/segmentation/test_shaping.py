"""Walls, smoothing of several labels, and limits to a label."""

import numpy as np
import pytest

from segmentation.contract import FrameMismatch
from segmentation.operations import margin, smooth
from segmentation.shaping import confine, hollow, smooth_together
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

AXES = np.eye(3)[:, [1, 0, 2]] * [1, -1, 1]
GRID = ImageGeometry((44, 36, 24), (1.0, 1.2, 1.6), (5, 6, 7), tuple(AXES.ravel()), "1")


def ball(radius_mm: float, centre: tuple[float, float, float] = (20, 17, 11)) -> np.ndarray:
    k, j, i = np.ogrid[0:24, 0:36, 0:44]
    parts = zip((i, j, k), centre, GRID.spacing_mm)
    return sum(((axis - c) * s) ** 2 for axis, c, s in parts) <= radius_mm**2


ORGAN = LabelMap(ball(13).astype(np.uint8), GRID, {1: Label("organ")})


def test_an_inner_wall_is_what_shrinking_takes_away() -> None:
    shell = hollow(ORGAN, wall_mm=4.0)
    inside = margin(ORGAN, distance_mm=-4.0)
    assert np.array_equal(shell.array, ORGAN.array - inside.array)
    assert not shell.findings


def test_an_outer_wall_is_what_growing_adds_and_takes_the_nearest_label() -> None:
    two = LabelMap(np.where(ball(13), np.where(np.arange(44) < 20, 1, 2), 0).astype(np.uint8), GRID)
    shell = hollow(two, wall_mm=4.0, side="outer")
    grown = margin(two, distance_mm=4.0)
    assert np.array_equal(shell.array, np.where(two.array == 0, grown.array, 0))
    assert set(np.unique(shell.array)) == {0, 1, 2}
    both = hollow(two, wall_mm=4.0, side="middle").array > 0
    assert (both & (two.array > 0)).any()
    assert (both & (two.array == 0)).any()


def test_a_wall_thinner_than_the_voxels_is_said() -> None:
    assert [f.code for f in hollow(ORGAN, wall_mm=2.0).findings] == ["thin_wall"]


def several() -> LabelMap:
    """An organ with a small ball inside it and a neighbour that touches it."""
    rng = np.random.default_rng(0)
    array = np.zeros(GRID.shape, np.uint8)
    array[ball(13)] = 1
    array[ball(4, (23, 17, 11))] = 2
    array[ball(9, (36, 17, 11)) & (array == 0)] = 3
    speckle = rng.random(GRID.shape) < 0.03
    array[speckle & (array == 1)] = 2
    return LabelMap(array, GRID, {1: Label("organ"), 2: Label("core"), 3: Label("neighbour")})


def test_every_label_keeps_its_volume_and_no_gap_opens() -> None:
    rough = several()
    fine = smooth_together(rough, sigma_mm=2.0)
    before, after = (np.bincount(m.array.ravel(), minlength=4) for m in (rough, fine))
    assert np.abs(after - before).max() <= 2e-3 * before[1]
    assert fine.array[ball(11) & ~ball(0)].all(), "a gap opened inside"
    plain = np.bincount(smooth(rough, sigma_mm=2.0).array.ravel(), minlength=4)
    assert abs(after[2] - before[2]) < abs(plain[2] - before[2]) / 3
    border = np.diff(fine.array.astype(int), axis=2) != 0
    assert border.sum() < 0.85 * (np.diff(rough.array.astype(int), axis=2) != 0).sum()


def test_one_label_and_none_are_smoothed_too() -> None:
    fine = smooth_together(ORGAN)
    assert abs(int(fine.array.sum()) - int(ORGAN.array.sum())) <= 2e-3 * ORGAN.array.sum()
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    assert not smooth_together(empty).array.any()


def test_a_label_is_confined_by_intensity_and_by_another_label() -> None:
    image = Volume(np.broadcast_to(np.arange(44, dtype=np.int16), GRID.shape), GRID)
    part = confine(ORGAN, image, lower_hu=15.0, upper_hu=20.0)
    columns = np.flatnonzero(part.array.any(axis=(0, 1)))
    assert (columns[0], columns[-1]) == (15, 20)
    core = LabelMap(ball(5).astype(np.uint8), GRID)
    assert np.array_equal(confine(ORGAN, other=core).array, core.array)
    assert np.array_equal(
        confine(ORGAN, other=core, where="outside").array, ORGAN.array - core.array
    )


def test_limits_must_be_given_with_what_they_need() -> None:
    with pytest.raises(ValueError, match="range of intensity, or another label"):
        confine(ORGAN)
    with pytest.raises(ValueError, match="needs the image"):
        confine(ORGAN, lower_hu=3.0)
    other = ImageGeometry(GRID.size, GRID.spacing_mm, GRID.origin_mm, GRID.direction, "2")
    with pytest.raises(FrameMismatch):
        confine(ORGAN, other=LabelMap(ORGAN.array, other))
