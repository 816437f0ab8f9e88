"""Training of the vessel network.

Every step sees new scenes: nothing is stored and nothing can be learnt by heart. The loss is Dice
and cross-entropy, and soft clDice on the middle of the patch, which keeps trees connected (Shit
et al., CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segmentation.contract import Progress, silent
from segmentation.training.bundle import shipped_bundle
from segmentation.training.train import Batch, Learner, Schedule, drawn_ahead, new_learner, train
from segmentation.training.vessel_scenes import make_scene

if TYPE_CHECKING:
    import torch

TOPOLOGY_FROM, TOPOLOGY_EVERY = 0.6, 3  # soft clDice is slow, and moot before there are trees
TOPOLOGY_SIZE, TOPOLOGY_WEIGHT = 48, 0.5


def train_vessels(
    folder: Path, schedule: Schedule, *, resume: bool = False, progress: Progress = silent
) -> float:
    """Train the vessel network, leave a bundle and a checkpoint in ``folder``, return the loss.

    Runs of a number of steps on one machine and device repeat themselves exactly.
    """
    learner = new_learner(shipped_bundle("vessels"), schedule)
    if resume:
        learner.restore(folder)

    def loss_of(output: torch.Tensor, label: torch.Tensor, done: float) -> torch.Tensor:
        with_topology = done >= TOPOLOGY_FROM and learner.step % TOPOLOGY_EVERY == 0
        return _loss(output, label, with_topology=with_topology)

    return train(learner, _batches(schedule, learner), loss_of, folder, schedule, progress)


def _batches(schedule: Schedule, learner: Learner) -> Iterator[Batch]:
    for scenes in drawn_ahead(make_scene, schedule, learner, schedule.batch, learner.step):
        image, label = ([getattr(s, part) for s in scenes] for part in ("image", "label"))
        yield np.stack(image)[:, None], np.stack(label)[:, None]


def _loss(output: torch.Tensor, label: torch.Tensor, *, with_topology: bool) -> torch.Tensor:
    """Return Dice + cross-entropy, and soft clDice of the middle where asked."""
    from monai.losses import DiceCELoss, SoftclDiceLoss

    overlap = DiceCELoss(
        softmax=True,
        to_onehot_y=True,
        include_background=False,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
    loss: torch.Tensor = overlap(output, label)
    low = (label.shape[-1] - TOPOLOGY_SIZE) // 2
    cube = (slice(max(low, 0), max(low, 0) + TOPOLOGY_SIZE),) * 3
    middle = (slice(0, 2), slice(None), *cube)
    if with_topology and bool(label[middle].any()):
        tree = SoftclDiceLoss(iter_=3, softmax=True, to_onehot_y=True, include_background=False)
        loss = loss + TOPOLOGY_WEIGHT * tree(output[middle], label[middle])
    return loss
