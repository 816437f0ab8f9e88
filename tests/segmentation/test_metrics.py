"""Agreement measures against shapes whose distances are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segmentation.contract import FrameMismatch
from segmentation.metrics import (
    centerline_dice,
    compare,
    dice,
    hausdorff95_mm,
    surface_dice,
    surface_distances_mm,
    volume_error_percent,
    volume_ml,
)
from segmentation.volume import ImageGeometry, Label, LabelMap

SPACING = (0.5, 1.25, 3.0)
ARRAYS = hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1))


def labels(array: np.ndarray, uid: str = "1") -> LabelMap:
    geometry = ImageGeometry(array.shape[::-1], SPACING, (1, 2, 3), np.eye(3).ravel(), uid)
    return LabelMap(array.astype(np.uint8), geometry, {1: Label("liver")})


def cube(shift: tuple[int, int, int] = (0, 0, 0), grow: int = 0) -> LabelMap:
    array = np.zeros((20, 22, 24))
    k, j, i = (slice(6 + s - grow, 14 + s + grow) for s in shift)
    array[k, j, i] = 1
    return labels(array)


EMPTY = labels(np.zeros((20, 22, 24)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cube_moved_by_a_voxel_is_one_spacing_away(axis: int) -> None:
    shift = tuple(int(n == 2 - axis) for n in range(3))
    found = surface_distances_mm(cube(), cube(shift))  # type: ignore[arg-type]
    assert found.maximum_mm == pytest.approx(SPACING[axis], abs=1e-12)
    assert found.hausdorff95_mm == pytest.approx(SPACING[axis], abs=1e-12)
    assert surface_dice(cube(), cube(shift), tolerance_mm=SPACING[axis]) == 1.0  # type: ignore[arg-type]
    assert surface_dice(cube(), cube(shift), tolerance_mm=0.99 * SPACING[axis]) < 1.0  # type: ignore[arg-type]
    assert dice(cube(), cube(shift)) == pytest.approx(7 / 8)  # type: ignore[arg-type]


def test_distances_run_both_ways() -> None:
    array = np.zeros((5, 5, 40))
    array[2, 2, :3] = 1
    longer = array.copy()
    longer[2, 2, 39] = 1
    found = surface_distances_mm(labels(array), labels(longer))
    assert found.forward_mm.max() == 0
    assert found.backward_mm.max() == pytest.approx(37 * 0.5)
    assert found.mean_mm == pytest.approx(37 * 0.5 / 7)
    assert surface_distances_mm(labels(longer), labels(array)).forward_mm.max() == 18.5


def test_hausdorff95_ignores_the_last_twentieth() -> None:
    line = np.zeros((1, 1, 200))
    line[0, 0, :100] = 1
    for extra, expected in ((4, 0.0), (20, 0.5 * 14)):
        longer = line.copy()
        longer[0, 0, 100 : 100 + extra] = 1
        assert hausdorff95_mm(labels(line), labels(longer)) == pytest.approx(expected)


def test_a_grown_cube() -> None:
    assert volume_ml(cube()) == pytest.approx(512 * 1.875e-3)
    assert volume_error_percent(cube(), cube(grow=1)) == pytest.approx(100 * (1000 - 512) / 512)
    assert volume_error_percent(cube(grow=1), cube()) == pytest.approx(-48.8)
    assert dice(cube(), cube(grow=1)) == pytest.approx(2 * 512 / 1512)
    assert surface_distances_mm(cube(), cube(grow=1)).forward_mm.min() == 0.5


def test_empty_masks_follow_the_stated_rules() -> None:
    assert dice(EMPTY, EMPTY) == 1.0
    assert surface_distances_mm(EMPTY, EMPTY).maximum_mm == 0.0
    assert surface_distances_mm(EMPTY, EMPTY).mean_mm == 0.0
    assert hausdorff95_mm(EMPTY, EMPTY) == 0.0
    assert surface_dice(EMPTY, EMPTY) == 1.0
    assert volume_error_percent(EMPTY, EMPTY) == 0.0
    assert centerline_dice(EMPTY, EMPTY) == 1.0
    for first, second in ((EMPTY, cube()), (cube(), EMPTY)):
        assert dice(first, second) == 0.0
        assert hausdorff95_mm(first, second) == math.inf
        assert surface_dice(first, second) == 0.0
        assert centerline_dice(first, second) == 0.0
    assert volume_error_percent(EMPTY, cube()) == math.inf
    assert volume_error_percent(cube(), EMPTY) == -100.0


def test_a_broken_vessel_shows_in_its_centreline() -> None:
    tube = np.zeros((11, 11, 60))
    tube[3:8, 3:8, 5:55] = 1
    broken = tube.copy()
    broken[:, :, 30:55] = 0
    assert centerline_dice(labels(tube), labels(tube)) == 1.0
    assert centerline_dice(labels(tube), labels(broken)) == pytest.approx(2 / 3, abs=0.06)


def test_compare_reports_what_the_functions_say() -> None:
    found = compare(cube(), cube((0, 0, 2)), tolerance_mm=0.6)
    values = {number.quantity: number.value for number in found.numbers}
    assert values["dice"] == dice(cube(), cube((0, 0, 2)))
    assert values["hausdorff"] == pytest.approx(1.0)
    assert values["surface_dice"] == surface_dice(cube(), cube((0, 0, 2)), tolerance_mm=0.6)
    assert values["volume"] == pytest.approx(values["volume_reference"])
    assert values["volume_error"] == 0.0
    assert not found.findings
    assert compare(cube(), cube(), label="liver").numbers[0].value == 1.0
    quick = {number.quantity for number in compare(cube(), cube(), centerline=False).numbers}
    assert set(values) - quick == {"centerline_dice"}
    with pytest.raises(ValueError, match="spleen"):
        compare(cube(), cube(), label="spleen")


def test_compare_leaves_out_what_is_infinite_and_says_so() -> None:
    found = compare(cube(), EMPTY)
    assert all(math.isfinite(number.value) for number in found.numbers)
    assert {"dice", "volume_error"} <= {number.quantity for number in found.numbers}
    assert "result is empty" in found.findings[0].sentence
    assert "reference is empty" in compare(EMPTY, cube()).findings[0].sentence
    assert "both empty" in compare(EMPTY, EMPTY).findings[0].sentence


def test_other_grids_are_refused() -> None:
    with pytest.raises(FrameMismatch):
        dice(cube(), labels(np.zeros((20, 22, 24)), "2"))


@given(ARRAYS, ARRAYS)
@settings(max_examples=60)
def test_symmetry_and_limits(first: np.ndarray, second: np.ndarray) -> None:
    one, other = labels(first), labels(second)
    assert dice(one, other) == dice(other, one)
    assert 0 <= dice(one, other) <= 1
    assert (dice(one, other) == 1) == np.array_equal(first, second)
    there, back = surface_distances_mm(one, other), surface_distances_mm(other, one)
    assert there.maximum_mm == back.maximum_mm
    assert there.hausdorff95_mm == back.hausdorff95_mm <= there.maximum_mm
    assert surface_dice(one, other, tolerance_mm=1) == surface_dice(other, one, tolerance_mm=1)


@given(ARRAYS.filter(np.any), ARRAYS.filter(np.any))
@settings(max_examples=30)
def test_distances_agree_with_brute_force(first: np.ndarray, second: np.ndarray) -> None:
    # In three by four by five voxels only the innermost have six neighbours of their own label.
    def surface(array: np.ndarray) -> np.ndarray:
        wide = np.pad(array, 1)
        points = [
            p
            for p in np.argwhere(wide)
            if any(wide[tuple(p + s * d)] == 0 for d in np.eye(3, dtype=int) for s in (1, -1))
        ]
        return np.asarray(points) * SPACING[::-1]

    gaps = np.linalg.norm(surface(first)[:, None] - surface(second)[None], axis=2)
    found = surface_distances_mm(labels(first), labels(second))
    assert np.allclose(np.sort(found.forward_mm), np.sort(gaps.min(axis=1)))
    assert np.allclose(np.sort(found.backward_mm), np.sort(gaps.min(axis=0)))
