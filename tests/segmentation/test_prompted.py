import numpy as np
import pytest
from scipy import ndimage

from segmentation.cells import make_cells
from segmentation.images import read_labels, read_volume
from segmentation.marks import SeedOutside
from segmentation.metrics import dice
from segmentation.prompted import prompted
from segmentation.simulation import simulate_user
from segmentation.volume import ImageGeometry, LabelMap, Volume

TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
GRID = ImageGeometry((60, 54, 30), (1.5, 1.5, 3.0), (-40, 20, 5), tuple(TURN.ravel()), "1.2")


def ellipsoid(centre, radii):
    k, j, i = np.mgrid[0:30, 0:54, 0:60] * np.array([3.0, 1.5, 1.5])[:, None, None, None]
    z, y, x = ((v - c) / r for v, c, r in zip((k, j, i), centre, radii))
    return x**2 + y**2 + z**2 < 1


ORGAN = ellipsoid((45, 38, 35), (27, 18, 25))
NEIGHBOUR = ellipsoid((45, 42, 72), (24, 20, 14)) & ~ORGAN  # touches the organ, of its level


def scene(contrast, noise, bias=0.0):
    """An organ in fat beside a neighbour that is only a little different."""
    rng = np.random.default_rng(3)
    level = np.where(ORGAN, 100.0, np.where(NEIGHBOUR, 100 - contrast, -90.0))
    level = ndimage.gaussian_filter(level, (0.3, 0.6, 0.6))
    level *= np.exp(bias * (np.arange(60) - 30) / 60)
    noisy = level + rng.normal(0, noise, level.shape)
    return Volume(noisy.astype(np.float32), GRID), LabelMap(ORGAN.astype(np.uint8), GRID)


def as_prompts(given):
    return tuple(("inside" if p.foreground else "outside", p.points_mm) for p in given)


def method(volume, given):
    return prompted(volume, prompts=as_prompts(given))


def middle(mask):
    index = np.argwhere(mask).mean(axis=0)[::-1]
    return tuple(float(v) for v in GRID.to_world(np.rint(index)))


@pytest.mark.parametrize(("contrast", "noise", "bias"), [(60, 12, 0.0), (80, 10, 0.2)])
def test_one_stroke_finds_a_clear_organ_and_a_few_make_it_right(contrast, noise, bias):
    volume, truth = scene(contrast, noise, bias)
    answers = simulate_user(volume, truth, method, prompts=3)
    assert answers[0].dice > 0.6
    assert answers[-1].dice > 0.9


def test_a_prompt_outside_removes_and_what_was_marked_stays_marked():
    volume, truth = scene(contrast=0, noise=8)
    inside, outside = middle(ORGAN), middle(NEIGHBOUR)
    both = prompted(volume, prompts=(("inside", (inside,)), ("outside", (outside,))))
    alone = prompted(volume, prompts=(("inside", (inside,)),))
    i, j, k = np.rint(GRID.to_index(outside)).astype(int)
    assert not both.array[k, j, i]
    assert both.array[NEIGHBOUR].mean() < 0.1
    assert dice(truth, both) > dice(truth, alone) - 0.02
    assert both.array[ORGAN].mean() > 0.4


def test_the_same_prompts_give_the_same_label_and_a_quick_one_is_close():
    volume, _ = scene(60, 12)
    prompts = (("inside", (middle(ORGAN),)),)
    one, other = (prompted(volume, prompts=prompts, name="organ") for _ in range(2))
    assert one.array.tobytes() == other.array.tobytes()
    assert one.labels[1].name == "organ"
    assert prompted(volume, prompts=prompts, quick=True).array[one.array == 0].mean() < 0.01


def test_nothing_is_found_outside_the_box():
    volume, _ = scene(0, 8)
    corners = (GRID.to_world((10, 10, 5)), GRID.to_world((45, 45, 20)))
    box = tuple(tuple(float(v) for v in corner) for corner in corners)
    found = prompted(volume, prompts=(("inside", (middle(ORGAN),)),), box_mm=box)
    outside = np.ones(GRID.shape, bool)
    outside[5:21, 10:46, 10:46] = False
    assert found.array.any()
    assert not found.array[outside].any()


def test_prompts_that_cannot_be_used_are_refused():
    volume, _ = scene(60, 12)
    with pytest.raises(ValueError, match="at least one inside"):
        prompted(volume, prompts=(("outside", (middle(ORGAN),)),))
    with pytest.raises(ValueError, match="at least one point"):
        prompted(volume, prompts=(("inside", ()),))
    with pytest.raises(SeedOutside):
        prompted(volume, prompts=(("inside", ((900.0, 0.0, 0.0),)),))


def tube(touched):
    """A tube along z in fat; ``touched`` lays a sheet of nearly its level against one side."""
    k, j, i = np.indices((24, 40, 44))
    away = np.hypot(j - 19, i - 20)
    inside = away < 3.2
    sheet = (away >= 3.2) & (away < 5) & (i > 21) & (k > 4)
    level = np.where(inside, 45.0, np.where(sheet & touched, 38.0, -90.0))
    rng = np.random.default_rng(5)
    noisy = ndimage.gaussian_filter(level, 0.5) + rng.normal(0, 9, level.shape)
    grid = ImageGeometry((44, 40, 24), (3.0, 3.0, 3.0), (0, 0, 0), tuple(np.eye(3).ravel()), "1.3")
    return Volume(noisy.astype(np.float32), grid), LabelMap(inside.astype(np.uint8), grid)


def test_rays_across_a_stroke_tell_how_wide_a_tube_is():
    volume, truth = tube(touched=True)
    line = np.array([(k, 19.0, 20.0) for k in range(6, 19)])
    mark = np.zeros(truth.array.shape, bool)
    mark[tuple(line.astype(int).T)] = True
    rays = make_cells(volume.array, np.full(3, 3.0), (1, 1, 1), mark).across_mm(mark, line)
    assert 8.0 < np.median(rays) < 15.0
    assert np.percentile(rays, 75) < 22.0


def test_a_sheet_against_a_tube_is_left_out():
    volume, truth = tube(touched=True)
    answers = simulate_user(volume, truth, method, prompts=4)
    assert answers[-1].dice > 0.85


def test_a_kidney_of_a_real_ct_takes_few_strokes(real_data):
    folder = real_data / "totalsegmentator_example"
    volume = read_volume(folder / "example_ct_sm.nii.gz")
    truth = read_labels(folder / "example_seg.nii.gz", volume.geometry.frame_uid)
    answers = simulate_user(volume, truth, method, label=3, prompts=3)
    assert answers[-1].dice > 0.88
