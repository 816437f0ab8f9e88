"""The prompted network: what it is shown, and its answers with the weights that ship."""

import json

import numpy as np
import pytest
from scipy import ndimage

from segmentation.bundles.folder import BundleError
from segmentation.marks import SeedOutside
from segmentation.metrics import dice
from segmentation.models import find_model
from segmentation.prompt_features import CHANNELS, features
from segmentation.prompt_network import NAME, prompted_network, shipped
from segmentation.prompted import prompted
from segmentation.simulation import simulate_user
from segmentation.volume import ImageGeometry, LabelMap, Volume

TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
GRID = ImageGeometry((48, 40, 24), (2.0, 2.0, 3.0), (-40, 20, 5), tuple(TURN.ravel()), "1.2")


def ellipsoid(centre, radii):
    k, j, i = np.mgrid[0:24, 0:40, 0:48] * np.array([3.0, 2, 2])[:, None, None, None]
    z, y, x = ((v - c) / r for v, c, r in zip((k, j, i), centre, radii))
    return x**2 + y**2 + z**2 < 1


ORGAN = ellipsoid((38, 38, 36), (24, 18, 25))
NEIGHBOUR = ellipsoid((38, 42, 74), (20, 20, 16)) & ~ORGAN
TRUTH = LabelMap(ORGAN.astype(np.uint8), GRID)


def scene(sign=1.0):
    """An organ in fat beside a neighbour that is only a little different."""
    level = np.where(ORGAN, 100.0, np.where(NEIGHBOUR, 60.0, -90.0))
    level = ndimage.gaussian_filter(level, (0.3, 0.6, 0.6))
    noisy = level + np.random.default_rng(3).normal(0, 10, level.shape)
    return Volume((sign * noisy).astype(np.float32), GRID)


def middle(mask):
    index = np.argwhere(mask).mean(axis=0)[::-1]
    return tuple(float(v) for v in GRID.to_world(np.rint(index)))


CLICK = ("inside", (middle(ORGAN),))


def shown(array, spacing_mm, sides=1, box=None):
    inside, outside = np.zeros((2, *array.shape), np.bool_)
    inside[12, 19, 18] = True
    outside[12, 21, 37] = sides > 1
    before = ORGAN.astype(np.float32)
    return features(array, np.asarray(spacing_mm), (1, 1, 1), inside, outside, before, box)


def test_the_network_is_shown_every_channel_it_names_and_nothing_infinite():
    box = np.zeros_like(ORGAN)
    box[3:20, 5:30, 4:32] = True
    made = shown(scene().array, (3.0, 2, 2), 2, box)
    assert made.shape == (len(CHANNELS), *ORGAN.shape)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.array_equal(made[CHANNELS.index("box")] > 0, box)
    told = json.loads((shipped().folder / "configs/metadata.json").read_text("utf-8"))
    names = told["network_data_format"]["inputs"]["image"]["channel_def"]
    assert tuple(names[str(n)] for n in range(len(CHANNELS))) == CHANNELS


def test_what_is_shown_depends_neither_on_scale_nor_on_offset_and_mirrors_with_contrast():
    plain = shown(scene().array, (3.0, 2, 2), 2)
    assert shown(scene().array, (30.0, 20, 20), 2) == pytest.approx(plain, abs=1e-4)
    assert shown(7 * scene().array + 400, (3.0, 2, 2), 2) == pytest.approx(plain, abs=2e-2)
    turned = shown(scene(-1.0).array, (3.0, 2, 2), 2)
    level = CHANNELS.index("level")
    assert turned[level] == pytest.approx(-plain[level], abs=1e-3)


def test_a_way_against_an_outside_prompt_is_longest_beside_it():
    race = shown(scene().array, (3.0, 2, 2), 2)[
        CHANNELS.index("way from inside against outside prompts")
    ]
    assert race[12, 21, 37] == race.max()
    assert race[12, 19, 18] == race.min()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_click_finds_an_organ_and_three_strokes_make_it_right(sign):
    def method(volume, given):
        sides = {True: "inside", False: "outside"}
        return prompted_network(
            volume, prompts=tuple((sides[p.foreground], p.points_mm) for p in given)
        )

    answers = simulate_user(scene(sign), TRUTH, method, prompts=3)
    assert answers[0].dice > 0.7
    assert answers[-1].dice > 0.9


def test_an_answer_repeats_itself_byte_for_byte_and_keeps_to_its_marks():
    beside = ("outside", (middle(NEIGHBOUR),))
    one = prompted_network(scene(), prompts=(CLICK, beside), name="organ")
    two = prompted_network(scene(), prompts=(CLICK, beside), name="organ")
    assert one.array.tobytes() == two.array.tobytes()
    assert one.labels[1].name == "organ"
    k, j, i = np.rint(np.argwhere(ORGAN).mean(axis=0)).astype(int)
    assert one.array[k, j, i] == 1
    k, j, i = np.rint(np.argwhere(NEIGHBOUR).mean(axis=0)).astype(int)
    assert one.array[k, j, i] == 0
    assert {n.quantity for n in one.numbers} == {"volume"}


def test_a_box_alone_is_enough_and_nothing_lies_outside_it():
    low, high = np.argwhere(ORGAN).min(axis=0), np.argwhere(ORGAN).max(axis=0)
    corners = tuple(tuple(float(v) for v in GRID.to_world(c[::-1])) for c in (low, high))
    found = prompted_network(scene(), box_mm=corners)
    assert dice(TRUTH, found) > 0.8
    outside = np.ones_like(ORGAN)
    outside[tuple(slice(a, b + 1) for a, b in zip(low, high))] = False
    assert not found.array[outside].any()


def test_the_quick_answer_is_the_classical_one():
    quick = prompted_network(scene(), prompts=(CLICK,), quick=True)
    assert np.array_equal(quick.array, prompted(scene(), prompts=(CLICK,), quick=True).array)


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="at least one inside"):
        prompted_network(scene())
    with pytest.raises(SeedOutside):
        prompted_network(scene(), prompts=(("inside", ((0.0, 0.0, 900.0),)),))
    with pytest.raises(BundleError, match="was made with weights 00000000"):
        prompted_network(scene(), prompts=(CLICK,), weights_sha256="0" * 64)
    with pytest.raises(BundleError, match="answers clicks"):
        find_model(NAME).segment([scene()], device="cpu")


def test_the_plan_can_say_which_weights_it_wants():
    found = prompted_network(scene(), prompts=(CLICK,), weights_sha256=shipped().weights_sha256)
    assert dice(TRUTH, found) > 0.6
