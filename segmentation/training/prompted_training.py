"""Training of the prompted network.

A question costs more to draw than to learn from. So those on one scene go into a memory of recent
ones, and a few steps learn from batches out of it, turned, mirrored and in either sign of
contrast. The loss is Dice and cross-entropy, which counts more near the boundary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segmentation.contract import Progress, silent
from segmentation.prompt_features import CHANNELS, LEVELS
from segmentation.training.bundle import shipped_bundle
from segmentation.training.prompt_samples import Question, make_questions
from segmentation.training.train import Batch, Learner, Schedule, drawn_ahead, new_learner, train
from segmentation.training.tubes import Rng

if TYPE_CHECKING:
    import torch

MEMORY = 240  # questions, of 2 to 6 MB
STEPS = 6  # on each scene, among others
TRUST = 1.5  # half the log odds that an untrained network gives the answer so far
NEAR, NEAR_WEIGHT = 5, 3.0  # cells around the boundary, and what they count more


def train_prompted(
    folder: Path, schedule: Schedule, *, resume: bool = False, progress: Progress = silent
) -> float:
    """Train the prompted network, leave a bundle and a checkpoint in ``folder``, return the loss.

    Runs of a number of steps on one machine and device repeat themselves exactly.
    """
    learner = new_learner(shipped_bundle("prompted"), schedule)
    if resume:
        learner.restore(folder)
    else:
        _believe(learner.network)
        _believe(learner.average)
    return train(learner, _batches(schedule, learner), _loss, folder, schedule, progress)


def _believe(network: torch.nn.Module) -> None:
    """Let an untrained network repeat the answer so far: what it learns is to correct it."""
    import torch

    weight = network[-1].weight  # type: ignore[index]
    with torch.no_grad():
        weight[1, CHANNELS.index("answer so far")] += TRUST
        weight[0, CHANNELS.index("answer so far")] -= TRUST


def _batches(schedule: Schedule, learner: Learner) -> Iterator[Batch]:
    memory: deque[Question] = deque(maxlen=MEMORY)
    start = learner.step // STEPS
    for (questions,) in drawn_ahead(make_questions, schedule, learner, 1, start):
        if questions and memory and questions[0].label.shape != memory[0].label.shape:
            memory.clear()
        memory.extend(questions)
        for _ in range(STEPS if len(memory) >= schedule.batch else 0):
            rng = np.random.default_rng([schedule.seed, learner.step])
            numbers = rng.choice(len(memory), schedule.batch, replace=False)
            chosen = [_turned(rng, memory[int(n)]) for n in numbers]
            yield np.stack([c for c, _ in chosen]), np.stack([label for _, label in chosen])


def _turned(rng: Rng, question: Question) -> Batch:
    """Return channels and label with axes permuted and flipped alike, in either contrast."""
    channels = question.channels.astype(np.float32)
    if rng.random() < 0.5:
        channels[LEVELS, ...] *= -1
    order = rng.permutation(3)
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    channels = channels.transpose(0, *(order + 1))[(slice(None), *flips)]
    label = question.label.transpose(order)[flips]
    return np.ascontiguousarray(channels), np.ascontiguousarray(label[None])


def _loss(output: torch.Tensor, label: torch.Tensor, done: float) -> torch.Tensor:
    """Return Dice + weighted cross-entropy; ``done`` changes nothing."""
    import torch
    from torch.nn import functional

    target = label[:, 0]
    share = torch.softmax(output, 1)[:, 1]
    axes = (1, 2, 3)
    both = (share * target).sum(axes)
    overlap = 1 - (2 * both + 1) / (share.sum(axes) + target.sum(axes) + 1)
    grown = functional.max_pool3d(label, NEAR, 1, NEAR // 2)
    shrunk = -functional.max_pool3d(-label, NEAR, 1, NEAR // 2)
    weight = 1 + NEAR_WEIGHT * (grown - shrunk)[:, 0]
    entropy = functional.cross_entropy(output, target.long(), reduction="none")
    return overlap.mean() + (weight * entropy).sum() / weight.sum()
