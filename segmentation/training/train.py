"""Training of the vessel network on scenes that are drawn while it learns.

Every step sees new scenes: nothing is stored and nothing can be learnt by heart. The loss is Dice
and cross-entropy, and soft clDice on the middle of the patch, which keeps trees connected (Shit
et al., CVPR 2021). The weights that ship are the running average of the last thousand steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segmentation.contract import Progress, silent
from segmentation.training.bundle import build_network, shipped_vessels, write_bundle
from segmentation.training.vessel_scenes import SIZE, Scene, make_scene

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.pt"
RATE, WEIGHT_DECAY = 1e-3, 1e-4
WARM_UP, DECAY_FROM = 100, 0.6  # steps; share of the run after which the rate falls to zero
AVERAGE = 0.998  # of the weights, per step
GROWTH = ((0.0, 48), (0.75, SIZE))  # share of the run, voxels along a side of a scene
TOPOLOGY_FROM, TOPOLOGY_EVERY = 0.6, 3  # soft clDice is slow, and moot before there are trees
TOPOLOGY_SIZE, TOPOLOGY_WEIGHT = 48, 0.5
HELD_OUT = 1_000_000_000  # seeds from here on are never trained on


@dataclass(frozen=True)
class Schedule:
    """How long and on what to train.

    Attributes:
        steps: end after so many steps, or
        hours: after so much wall time; one of the two is given.
        device: "cpu" or "cuda".
        batch: scenes per step; at least 2, since one takes PyTorch's slow path on a CPU.
        workers: processes that draw scenes; 0 draws them between the steps.
        growth: from which share of the run on scenes have how many voxels a side; small ones
            teach fast, those at the end are as large as the window of inference.
        seed: the first scene's seed.
        save_minutes: time between checkpoints.

    Raises:
        ValueError: unless exactly one of steps and hours is given, or for a batch under 2.
    """

    steps: int | None = None
    hours: float | None = None
    device: str = "cpu"
    batch: int = 4
    workers: int = 0
    growth: tuple[tuple[float, int], ...] = GROWTH
    seed: int = 1
    save_minutes: float = 3.0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.hours is None):
            raise ValueError("say how long to train: either the number of steps or the hours")
        if self.batch < 2:
            raise ValueError(f"a batch needs at least 2 scenes, not {self.batch}")

    def done(self, step: int, seconds: float) -> float:
        """Return the share (0 to 1) of the run that is over."""
        if self.steps is not None:
            return min(1.0, step / max(self.steps, 1))
        return min(1.0, seconds / 3600 / max(float(self.hours or 0), 1e-9))

    def size(self, done: float) -> int:
        """Return how many voxels a side a scene has after the share ``done`` of the run."""
        return [size for start, size in self.growth if done >= start][-1]


@dataclass(eq=False)
class Learner:
    """The network in training; ``average`` is its running mean, which will ship."""

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    average: torch.nn.Module
    step: int = 0
    seconds: float = 0.0

    def done(self, schedule: Schedule) -> float:
        """Return the share (0 to 1) of the run that is over."""
        return schedule.done(self.step, self.seconds)

    def save(self, folder: Path) -> None:
        """Write a checkpoint to go on from and a bundle to use, each whole or not at all."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / "checkpoint.tmp")
        (folder / "checkpoint.tmp").replace(folder / CHECKPOINT)
        write_bundle(self.average, folder)

    def restore(self, folder: Path) -> None:
        """Go on from the checkpoint that `save` left in ``folder``."""
        import torch

        device = next(self.network.parameters()).device
        state = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]


def train_vessels(
    folder: Path, schedule: Schedule, *, resume: bool = False, progress: Progress = silent
) -> float:
    """Train the vessel network, leave a bundle and a checkpoint in ``folder``, return the loss.

    The loss returned is the mean of the last hundred steps. Runs of a number of steps on one
    machine and device repeat themselves exactly.
    """
    learner = _new_learner(schedule)
    if resume:
        learner.restore(folder)
    losses: list[float] = []
    saved = last = time.monotonic()
    for scenes in _batches(schedule, learner):
        done = learner.done(schedule)
        if done >= 1:
            break
        losses.append(_learn(learner, scenes, done, schedule))
        now = time.monotonic()
        learner.seconds += now - last
        last = now
        recent = float(np.mean(losses[-100:]))
        progress(done, f"Step {learner.step}, loss {recent:.3f}, {learner.seconds / 60:.1f} min")
        if now - saved > 60 * schedule.save_minutes:
            learner.save(folder)
            saved = now
    learner.save(folder)
    return float(np.mean(losses[-100:])) if losses else float("nan")


def _new_learner(schedule: Schedule) -> Learner:
    import torch

    torch.manual_seed(schedule.seed)
    network = build_network(shipped_vessels())
    network = network.to(schedule.device)
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    return Learner(network, optimizer, deepcopy(network).requires_grad_(False))


def _rate(step: int, done: float) -> float:
    """Return the learning rate: it rises, stays, and falls to zero towards the end."""
    fall = min(1.0, (1 - done) / (1 - DECAY_FROM))
    return RATE * min(1.0, (step + 1) / WARM_UP) * fall


def _learn(learner: Learner, scenes: list[Scene], done: float, schedule: Schedule) -> float:
    """Take one step, after the share ``done`` of the run, and return its loss."""
    import torch

    for group in learner.optimizer.param_groups:
        group["lr"] = _rate(learner.step, done)
    image = torch.from_numpy(np.stack([s.image for s in scenes])[:, None]).to(schedule.device)
    label = torch.from_numpy(np.stack([s.label for s in scenes])[:, None]).to(schedule.device)
    with torch.autocast(schedule.device, torch.bfloat16) if half_is_fast() else nullcontext():
        output = learner.network(image)
    with_topology = done >= TOPOLOGY_FROM and learner.step % TOPOLOGY_EVERY == 0
    loss = _loss(output.float(), label.float(), with_topology=with_topology)
    learner.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(learner.network.parameters(), 1.0)
    learner.optimizer.step()
    learner.step += 1
    keep = min(AVERAGE, learner.step / (learner.step + 10))
    with torch.no_grad():
        for mean, value in zip(learner.average.parameters(), learner.network.parameters()):
            mean.lerp_(value, 1 - keep)
    return float(loss.detach())


def half_is_fast() -> bool:
    """Tell whether this machine computes in bfloat16 faster than in single precision."""
    import torch

    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


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


def _batches(schedule: Schedule, learner: Learner) -> Iterator[list[Scene]]:
    """Yield the scenes of one step after the other, from the learner's step on, without end."""
    batch = schedule.batch
    seeds = count(schedule.seed + learner.step * batch)
    if schedule.workers == 0:
        while True:
            size = schedule.size(learner.done(schedule))
            yield [make_scene(next(seeds), size=size) for _ in range(batch)]
    with ProcessPoolExecutor(schedule.workers, get_context("spawn")) as pool:
        ahead: deque[list[Future[Scene]]] = deque()
        while True:
            while len(ahead) * batch < 2 * schedule.workers + batch:
                size = schedule.size(learner.done(schedule))
                ahead.append(
                    [pool.submit(make_scene, next(seeds), size=size) for _ in range(batch)]
                )
            yield [drawn.result() for drawn in ahead.popleft()]
