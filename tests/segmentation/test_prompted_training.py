"""Organ scenes, the questions on them, and a short training of the prompted network."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from scipy import ndimage

from segmentation.prompt_features import CHANNELS, LEVELS
from segmentation.training.bundle import build_network, load_network, shipped_bundle
from segmentation.training.organ_scenes import LARGEST_SHARE, LEAST_CELLS, make_organ_scene
from segmentation.training.prompt_samples import Question, make_questions
from segmentation.training.prompted_training import _believe, _turned, train_prompted
from segmentation.training.train import HELD_OUT, Schedule

BEFORE = CHANNELS.index("answer so far")


def overlap(one, other):
    return (
        2 * np.count_nonzero(one & other) / max(1, np.count_nonzero(one) + np.count_nonzero(other))
    )


def test_a_scene_belongs_to_its_seed():
    one, same, other = (make_organ_scene(n, size=32) for n in (5, 5, 6))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.target, same.target)
    assert not np.array_equal(one.image, other.image)


def test_what_is_asked_for_is_one_piece_of_a_fit_size_in_a_finite_picture():
    levels = []
    for seed in range(12):
        scene = make_organ_scene(seed, size=32)
        assert scene.image.dtype == np.float32
        assert np.isfinite(scene.image).all()
        assert ndimage.label(scene.target)[1] == 1
        assert LEAST_CELLS <= scene.target.sum() <= LARGEST_SHARE * 32**3
        rim = ndimage.binary_dilation(scene.target, iterations=3) & ~scene.target
        levels.append(np.median(scene.image[scene.target]) - np.median(scene.image[rim]))
    assert min(levels) < 0 < max(levels)  # darker and brighter things


def test_questions_mark_the_target_and_show_answers_of_all_qualities():
    questions = [q for seed in range(3) for q in make_questions(seed, size=24)]
    near_inside = CHANNELS.index("near inside prompts")
    near_outside = CHANNELS.index("near outside prompts")
    found = []
    for question in questions:
        truth = question.label > 0
        assert question.channels.shape == (len(CHANNELS), 24, 24, 24)
        assert np.isfinite(question.channels).all()
        assert truth[question.channels[near_inside] == 1].all()
        assert not truth[question.channels[near_outside] == 1].any()
        found.append(overlap(question.channels[BEFORE] > 0, truth))
    assert len(questions) >= 6
    assert min(found) < 0.6 < max(found)


def test_a_turned_question_keeps_its_label_on_its_channels():
    label = np.zeros((8, 8, 8), np.uint8)
    label[1:4, 2:7, 3] = 1
    channels = np.repeat(label[None].astype(np.float16), len(CHANNELS), axis=0)
    signs = set()
    for seed in range(20):
        turned, truth = _turned(np.random.default_rng(seed), Question(channels, label))
        assert np.array_equal(turned[BEFORE], truth[0])
        assert np.array_equal(np.abs(turned[LEVELS[0]]), truth[0])
        signs.add(float(turned[LEVELS[0]].sum()))
    assert signs == {15.0, -15.0}


def test_an_untrained_network_repeats_the_answer_so_far():
    import torch

    torch.manual_seed(0)
    network = build_network(shipped_bundle("prompted")).eval()
    _believe(network)
    question = make_questions(3, size=32)[-1]
    with torch.inference_mode():
        channels = torch.from_numpy(question.channels.astype(np.float32))[None]
        found = network(channels)[0].argmax(0).numpy() > 0
    assert overlap(found, question.channels[BEFORE] > 0) > 0.9


def alone(train, *given, **wishes):
    """Return what training in a process of its own returns, as its command runs it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(train, *given, **wishes).result()


def test_a_short_training_runs_saves_and_goes_on(tmp_path):
    schedule = Schedule(steps=2, batch=2, growth=((0.0, 16),))
    assert np.isfinite(alone(train_prompted, tmp_path, schedule))
    trained = load_network(tmp_path).state_dict()
    fresh = build_network(shipped_bundle("prompted")).state_dict()
    assert trained.keys() == fresh.keys()
    longer = Schedule(steps=3, batch=2, growth=((0.0, 16),))
    assert np.isfinite(alone(train_prompted, tmp_path, longer, resume=True))


def test_the_shipped_weights_correct_answers_in_scenes_they_never_saw():
    import torch

    network = load_network(shipped_bundle("prompted"))
    gains = []
    for seed in range(HELD_OUT, HELD_OUT + 4):
        for question in make_questions(seed, size=32):
            truth = question.label > 0
            with torch.inference_mode():
                channels = torch.from_numpy(question.channels.astype(np.float32))[None]
                found = network(channels)[0].argmax(0).numpy() > 0
            gains.append(overlap(found, truth) - overlap(question.channels[BEFORE] > 0, truth))
    assert np.mean(gains) > 0.02
