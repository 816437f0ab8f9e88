"""Questions to the prompted network: an organ scene, prompts in it, and an answer to correct.

The prompts follow the rule of `segmentation.simulation`: each marks the largest error of an
answer. The answers are those of the classical method, which the network corrects later, or drawn
ones: the truth with leaks, gaps and a wavy boundary, right near the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.prompt_features import features
from segmentation.prompted import Prompts, prompted
from segmentation.simulation import Prompt, next_prompt
from segmentation.training.drawing import Mask, smooth_field
from segmentation.training.organ_scenes import OrganScene, make_organ_scene
from segmentation.training.tubes import Floats, Rng
from segmentation.volume import ImageGeometry, Volume, bounding_block

ROUNDS = 3  # questions asked of one scene
CLASSICAL, QUICK = 0.7, 0.25  # share of answers that are the classical method's; of these, coarse
NOTHING, BOX = 0.06, 0.12  # share of questions without an answer so far; with a box
LIKE = 0.6  # levels within so many deviations of the image belong to one tissue


@dataclass(frozen=True, eq=False)
class Question:
    """Channels of the network, float16 [channel, k, j, i], and what is right, uint8 [k, j, i]."""

    channels: npt.NDArray[np.float16]
    label: npt.NDArray[np.uint8]


def make_questions(seed: int, *, size: int) -> list[Question]:
    """Return the questions on the scene that belongs to ``seed``."""
    rng = np.random.default_rng([seed, 7])
    scene = make_organ_scene(seed, size=size)
    i, j, k = (float(mm) for mm in scene.spacing_mm[::-1])
    turn = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
    grid = ImageGeometry((size,) * 3, (i, j, k), (0, 0, 0), turn, "1.2.3")
    stroke_mm = 0.0 if rng.random() < 0.4 else rng.uniform(10, 80)
    prompts: list[Prompt] = []
    seen = np.zeros_like(scene.target)
    questions = []
    silent_rounds = int(rng.choice([0, 0, 1, 2, 3, 4, 6, 8]))
    for n in range(silent_rounds + ROUNDS):
        prompt = next_prompt(scene.target, seen, grid, stroke_mm=stroke_mm)
        if prompt is None:
            break
        prompts.append(prompt)
        inside, outside = _marked(prompts, grid)
        if n < silent_rounds or rng.random() > CLASSICAL:
            answer = _drawn_answer(rng, scene, inside | outside)
        else:
            answer = _classical_answer(rng, scene.image, grid, prompts)
        if n >= silent_rounds:
            questions.append(_question(rng, scene, inside, outside, answer))
        seen = answer
        if rng.random() < 0.5:  # as if part of it had been corrected already
            seen = np.where(smooth_field(rng, size, size / 3) > 0, scene.target, answer)
    return questions


def _marked(prompts: list[Prompt], grid: ImageGeometry) -> tuple[Mask, Mask]:
    """Return the cells of the prompts inside and outside."""
    masks = np.zeros((2, *grid.shape), np.bool_)
    for prompt in prompts:
        index = np.rint(grid.to_index(prompt.points_mm)[:, ::-1]).astype(int)
        for k, j, i in index:
            masks[0 if prompt.foreground else 1, k, j, i] = True
    return masks[0], masks[1]


def _question(rng: Rng, scene: OrganScene, inside: Mask, outside: Mask, answer: Mask) -> Question:
    before = answer.astype(np.float32)
    if rng.random() < NOTHING:
        before[:] = 0
    elif rng.random() < 0.5:  # as an answer on a finer grid looks in cells
        before = ndimage.gaussian_filter(before, rng.uniform(0.2, 0.7), truncate=3)
    box = _box(rng, scene.target) if rng.random() < BOX else None
    made = features(scene.image, scene.spacing_mm, (1, 1, 1), inside, outside, before, box)
    return Question(made.astype(np.float16), scene.target.astype(np.uint8))


def _box(rng: Rng, target: Mask) -> Mask:
    """Return a box around the target, drawn with a loose hand."""
    found = bounding_block(target)
    assert found is not None
    box = np.zeros_like(target)
    loose = rng.integers(0, 4, (3, 2))
    box[tuple(slice(max(s.start - a, 0), s.stop + b) for s, (a, b) in zip(found, loose))] = True
    return box


def _classical_answer(rng: Rng, image: Floats, grid: ImageGeometry, prompts: list[Prompt]) -> Mask:
    given: Prompts = tuple(("inside" if p.foreground else "outside", p.points_mm) for p in prompts)
    volume = Volume(image, grid, "MR")
    return prompted(volume, prompts=given, quick=bool(rng.random() < QUICK)).mask()


def _drawn_answer(rng: Rng, scene: OrganScene, marked: Mask) -> Mask:
    """Return the target with the errors that a method might leave, none near the prompts."""
    truth, size = scene.target, len(scene.image)
    depth = ndimage.distance_transform_edt(~truth) - ndimage.distance_transform_edt(truth)
    radius = float(np.cbrt(np.count_nonzero(truth)) / 2)
    wave = rng.uniform(0, 0.35) * radius * smooth_field(rng, size, rng.uniform(8, 24))
    wave += rng.uniform(0, 1.2) * smooth_field(rng, size, rng.uniform(2, 6))
    answer = np.asarray(depth + wave < 0)
    for _ in range(int(rng.integers(0, 4))):
        _spoil(rng, scene, depth, answer)
    near = ndimage.distance_transform_edt(~marked) <= rng.uniform(1, 8)
    return np.asarray(np.where(near, truth, answer))


def _spoil(rng: Rng, scene: OrganScene, depth: Floats, answer: Mask) -> None:
    """Let the answer leak into one tissue beside the target, or leave one part of it out."""
    missing = rng.random() < 0.4
    rim = np.argwhere((depth > -3) & (depth < 0) if missing else (depth > 0) & (depth < 3))
    if not len(rim):
        return
    place = rim[rng.integers(len(rim))]
    reach = rng.uniform(3, 14)
    low, high = np.maximum(place - int(reach), 0), place + int(reach) + 1
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    image = ndimage.gaussian_filter(scene.image[part], 0.7)
    here = image[tuple(place - low)]
    k, j, i = (np.arange(n) - (p - a) for n, p, a in zip(image.shape, place, low))
    away = k[:, None, None] ** 2 + j[:, None] ** 2 + i**2
    alike = (np.abs(image - here) < LIKE * float(scene.image.std())) & (away < reach**2)
    inside = scene.target[part]
    pieces, _ = ndimage.label(alike & (inside if missing else ~inside))
    chunk = pieces == pieces[tuple(place - low)] if pieces[tuple(place - low)] else pieces < 0
    answer[part][chunk] = not missing
