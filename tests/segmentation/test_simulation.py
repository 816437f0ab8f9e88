import numpy as np
import pytest

from segmentation.simulation import next_prompt, simulate_user
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

GRID = ImageGeometry((40, 32, 20), (1.0, 1.5, 2.0), (-7, 11, 30), tuple(np.eye(3).ravel()), "1.2")


def box(k, j, i):
    mask = np.zeros(GRID.shape, bool)
    mask[slice(*k), slice(*j), slice(*i)] = True
    return mask


NOTHING = np.zeros(GRID.shape, bool)
BAR = box((6, 13), (10, 17), (4, 34))


def indices(prompt):
    return np.rint(GRID.to_index(prompt.points_mm)).astype(int)


def test_the_first_click_is_the_deepest_point_of_the_reference():
    prompt = next_prompt(box((6, 13), (10, 17), (4, 15)), NOTHING, GRID, stroke_mm=0)
    assert prompt.kind == "foreground click"
    i, j, k = indices(prompt)[0]
    assert j == 13
    assert 8 <= k <= 10  # of several deepest points the middle one
    assert 8 <= i <= 10


def test_a_stroke_follows_the_medial_curve_and_keeps_its_length():
    whole, short = (next_prompt(BAR, NOTHING, GRID, stroke_mm=mm) for mm in (60, 12))
    assert whole.kind == "foreground stroke"
    line = indices(whole)
    assert BAR[tuple(line.T[::-1])].all()
    assert np.all(np.abs(line[:, 1] - 13) <= 1)
    assert np.ptp(line[:, 2]) == 0
    assert np.ptp(line[:, 0]) > 15
    assert 8 < np.ptp(np.asarray(short.points_mm)[:, 0]) <= 12


def test_a_stroke_is_drawn_in_the_plane_where_the_piece_is_longest():
    column = box((1, 19), (10, 17), (10, 18))
    line = indices(next_prompt(column, NOTHING, GRID))
    assert np.ptp(line[:, 2]) * GRID.spacing_mm[2] > 15


def test_the_largest_error_is_corrected_and_the_side_follows():
    result = BAR & box((0, 20), (0, 32), (0, 30))  # misses 4 of 30 columns
    surplus = result | box((2, 18), (20, 30), (5, 25))
    assert next_prompt(BAR, result, GRID).foreground
    prompt = next_prompt(BAR, surplus, GRID)
    assert not prompt.foreground
    assert (surplus & ~BAR)[tuple(indices(prompt).T[::-1])].all()
    assert next_prompt(BAR, BAR, GRID) is None


def test_a_method_is_prompted_until_nothing_is_wrong():
    seen = []

    def method(volume, prompts):
        seen.append(prompts)
        given = BAR if len(prompts) == 3 else BAR & box((0, 20), (0, 32), (0, 10 * len(prompts)))
        return LabelMap(given, volume.geometry, {1: Label("x")})

    volume = Volume(np.zeros(GRID.shape, np.int16), GRID)
    truth = LabelMap(BAR.astype(np.uint8) * 4, GRID, {4: Label("bar")})
    answers = simulate_user(volume, truth, method, label="bar")
    assert [a.n for a in answers] == [1, 2, 3]
    assert [len(prompts) for prompts in seen] == [1, 2, 3]
    assert seen[2][:2] == seen[1]
    assert answers[0].dice == pytest.approx(2 * 6 / (6 + 30))
    assert answers[1].hausdorff95_mm > answers[2].hausdorff95_mm == 0
    assert answers[2].dice == 1
    with pytest.raises(ValueError, match="no voxel of label 9"):
        simulate_user(volume, truth, method, label=9)
