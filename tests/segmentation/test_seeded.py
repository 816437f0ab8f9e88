"""Regions from marked points: what leaks, what is kept, and what stays as it was."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segmentation import marks, seeded
from segmentation.contract import FrameMismatch
from segmentation.images import read_labels, read_volume
from segmentation.metrics import dice
from segmentation.seeded import SeedOutside, grow_from_seeds, refine
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

AXES = Rotation.from_euler("xyz", [17, -28, 63], degrees=True).as_matrix() * [1, -1, 1]
GRID = ImageGeometry((60, 48, 32), (1.0, 1.25, 2.0), (-30, 12, 200), AXES.ravel(), "1")


def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """A ball around an index (i, j, k)."""
    axes = np.ogrid[tuple(slice(0, n) for n in GRID.shape)]
    offsets = zip(axes, centre[::-1], GRID.spacing_kji_mm)
    return np.asarray(sum(((a - c) * s) ** 2 for a, c, s in offsets) <= radius_mm**2)


def place(*index: float) -> tuple[float, float, float]:
    x, y, z = GRID.to_world(index)
    return float(x), float(y), float(z)


FIRST, SECOND = (20.0, 22.0, 15.0), (41.0, 24.0, 15.0)
ORGAN = ball(FIRST, 12)
NEIGHBOUR = ball(SECOND, 10.5) & ~ORGAN  # touches the organ, and is equally bright
# With as much noise as soft tissue has against fat, so that a spread means what it does there.
ARRAY = np.where(ORGAN | NEIGHBOUR, 100, 0) + np.random.default_rng(3).normal(0, 25, GRID.shape)
IMAGE = Volume(ARRAY.astype(np.int16), GRID)
TRUTH = LabelMap(ORGAN, GRID, {1: Label("organ")})


def agreement(labels: LabelMap) -> float:
    return dice(TRUTH, labels)


def test_one_point_takes_what_is_connected_and_alike() -> None:
    result = grow_from_seeds(IMAGE, foreground_mm=(place(*FIRST),), name="organ", tolerance=3.5)
    both = LabelMap(ORGAN | NEIGHBOUR, GRID)
    assert dice(both, result) > 0.88
    assert result.labels[1].name == "organ"
    assert result.numbers[0].value == result.volume_ml()


def test_a_background_point_holds_off_the_neighbour() -> None:
    result = grow_from_seeds(
        IMAGE,
        foreground_mm=(place(*FIRST),),
        background_mm=(place(*SECOND), place(5, 5, 5)),
        tolerance=3.5,
    )
    assert agreement(result) > 0.88
    assert np.count_nonzero(result.array[NEIGHBOUR]) < 0.03 * np.count_nonzero(NEIGHBOUR)


def test_growth_ends_at_the_reach() -> None:
    result = grow_from_seeds(IMAGE, foreground_mm=(place(*FIRST),), reach_mm=8, tolerance=9)
    assert not np.any(result.array[~ball(FIRST, 8)])
    assert result.array.sum() > 0.9 * ball(FIRST, 8).sum()


def test_a_coarser_race_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"foreground_mm": (place(*FIRST),), "background_mm": (place(*SECOND),)}
    fine = grow_from_seeds(IMAGE, tolerance=3.5, **points)
    monkeypatch.setattr(seeded, "_RACE_VOXELS", 12_000)
    coarse = grow_from_seeds(IMAGE, tolerance=3.5, **points)
    assert not np.array_equal(fine.array, coarse.array)
    assert dice(fine, coarse) > 0.97


@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 3, 4), (1, 2, 5)])
def test_a_coarse_outcome_lands_in_place(steps: tuple[int, int, int]) -> None:
    """A half-space across any axis keeps its border to a cell, without a shift."""
    shape = (17, 23, 29)
    for axis, n in enumerate(np.indices(shape)):
        cells = marks.binned((n >= 8).astype(np.float32), steps, np.mean) >= 0.5
        fine = marks.unbinned(cells, steps, shape)
        border = np.count_nonzero(~fine.any(axis=tuple(a for a in range(3) if a != axis)))
        assert abs(border - 8) <= (steps[axis] - 1) / 2


def test_points_are_checked() -> None:
    with pytest.raises(SeedOutside, match="outside the image"):
        grow_from_seeds(IMAGE, foreground_mm=(place(-2, 3, 3),))
    with pytest.raises(SeedOutside):
        refine(TRUTH, IMAGE, background_mm=(place(3, 3, 33),))
    with pytest.raises(ValueError, match="at least one point"):
        grow_from_seeds(IMAGE, foreground_mm=())
    other = Volume(IMAGE.array, ImageGeometry(GRID.size, GRID.spacing_mm, (0, 0, 0), AXES, "1"))
    with pytest.raises(FrameMismatch):
        refine(TRUTH, other, foreground_mm=(place(*FIRST),))


def test_a_constant_image_grows_to_the_reach_and_no_farther() -> None:
    flat = Volume(np.zeros(GRID.shape, np.uint8), GRID)
    result = grow_from_seeds(flat, foreground_mm=(place(*FIRST),), reach_mm=9)
    assert np.array_equal(result.array > 0, ball(FIRST, 9))


def test_two_fronts_meet_halfway_in_a_constant_image() -> None:
    flat = Volume(np.zeros(GRID.shape, np.uint8), GRID)
    left, right = place(10, 20, 15), place(40, 20, 15)
    result = grow_from_seeds(flat, foreground_mm=(left,), background_mm=(right,)).array
    assert result[15, 20, :25].all()
    assert not result[15, 20, 26:].any()


def test_the_same_input_gives_the_same_bytes() -> None:
    points = {"foreground_mm": (place(*FIRST),), "background_mm": (place(*SECOND),)}
    first, second = (grow_from_seeds(IMAGE, **points).array for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_growing_can_be_stopped() -> None:
    class Stopped(Exception):
        pass

    def stop(fraction: float, message: str = "") -> None:
        if fraction > 0.05:
            raise Stopped

    with pytest.raises(Stopped):
        grow_from_seeds(
            IMAGE, foreground_mm=(place(*FIRST),), background_mm=(place(*SECOND),), progress=stop
        )


MISSING, ADDED = ball((14, 22, 15), 7), ball((41, 24, 15), 8) & NEIGHBOUR
DAMAGED = LabelMap((ORGAN & ~MISSING) | ADDED, GRID, {1: Label("organ")})


def test_prompts_repair_a_damaged_proposal() -> None:
    added = refine(DAMAGED, IMAGE, foreground_mm=(place(13, 22, 15),))
    assert agreement(added) > agreement(DAMAGED) + 0.04
    both = refine(
        DAMAGED, IMAGE, foreground_mm=(place(13, 22, 15),), background_mm=(place(42, 24, 15),)
    )
    assert agreement(both) > 0.94
    assert both.labels == DAMAGED.labels


INDEX = st.tuples(st.integers(0, 59), st.integers(0, 47), st.integers(0, 31))


@given(st.lists(INDEX, max_size=2), st.lists(INDEX, max_size=2), st.floats(4, 20))
@settings(max_examples=15, deadline=None)
def test_prompts_act_locally_and_never_against_their_kind(
    wanted: list[tuple[int, int, int]], refused: list[tuple[int, int, int]], reach: float
) -> None:
    result = refine(
        DAMAGED,
        IMAGE,
        foreground_mm=tuple(place(*p) for p in wanted),
        background_mm=tuple(place(*p) for p in refused),
        reach_mm=reach,
    )
    before, after = DAMAGED.array > 0, result.array > 0
    around = [
        np.any([np.zeros(GRID.shape, bool), *(ball(p, reach + 1e-3) for p in points)], axis=0)
        for points in (wanted, refused)
    ]
    assert not np.any((after & ~before) & ~around[0])
    assert not np.any((before & ~after) & ~around[1])
    for k, j, i in (p[::-1] for p in wanted):
        assert after[k, j, i]


def test_no_prompt_changes_nothing() -> None:
    assert refine(DAMAGED, IMAGE) is DAMAGED


def test_prompts_on_a_real_liver(real_data: Path) -> None:
    folder = real_data / "totalsegmentator_example"
    image = read_volume(folder / "example_ct_sm.nii.gz")
    found = read_labels(folder / "example_seg.nii.gz", image.geometry.frame_uid)
    liver = LabelMap(found.array == 5, image.geometry, {1: Label("liver")})
    depth = ndimage.distance_transform_edt(liver.array, image.geometry.spacing_kji_mm)
    k, j, i = np.unravel_index(int(depth.argmax()), depth.shape)
    x, y, z = image.geometry.to_world([i, j, k])
    grown = grow_from_seeds(image, foreground_mm=((x, y, z),))
    assert dice(liver, grown) > 0.65
