"""Training of a network that ships, on what is drawn while it learns.

The weights that ship are the running average of the last thousand steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from segmentation.contract import Progress, silent
from segmentation.training.bundle import build_network, write_bundle

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.pt"
RATE, WEIGHT_DECAY = 1e-3, 1e-4
WARM_UP, DECAY_FROM = 100, 0.6  # steps; share of the run after which the rate falls to zero
AVERAGE = 0.998  # of the weights, per step
HELD_OUT = 1_000_000_000  # seeds from here on are never trained on

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]
"""Images and labels, each [scene, channel, k, j, i]."""
LossOf = Callable[["torch.Tensor", "torch.Tensor", float], "torch.Tensor"]
Drawn = TypeVar("Drawn")


class TrainingDivergedError(RuntimeError):
    """Raised when a step's loss is not a number; what was saved before it stays as it was."""


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
    growth: tuple[tuple[float, int], ...] = ((0.0, 48),)
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
    """The network in training; ``average`` is its running mean, which will ship.

    ``pattern`` is the bundle that it is trained for.
    """

    pattern: Path
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
        write_bundle(self.average, folder, self.pattern)

    def restore(self, folder: Path) -> None:
        """Go on from the checkpoint that `save` left in ``folder``."""
        import torch

        device = next(self.network.parameters()).device
        state = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]


def train(
    learner: Learner,
    batches: Iterator[Batch],
    loss_of: LossOf,
    folder: Path,
    schedule: Schedule,
    progress: Progress = silent,
) -> float:
    """Train to the end of the schedule, leave a bundle and a checkpoint in ``folder``.

    Returns the mean loss of the last hundred steps. ``loss_of`` takes the network's output, the
    truth, and the share of the run that is over.

    Raises:
        TrainingDivergedError: if a loss is not finite.
    """
    losses: list[float] = []
    saved = last = time.monotonic()
    for batch in batches:
        done = learner.done(schedule)
        if done >= 1:
            break
        losses.append(_learn(learner, batch, loss_of, done, schedule))
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


def new_learner(pattern: Path, schedule: Schedule) -> Learner:
    """Return the network of the bundle ``pattern`` with random weights, ready to learn."""
    import torch

    torch.manual_seed(schedule.seed)
    network = build_network(pattern)
    network = network.to(schedule.device)
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    return Learner(pattern, network, optimizer, deepcopy(network).requires_grad_(False))


def _rate(step: int, done: float) -> float:
    """Return the learning rate: it rises, stays, and falls to zero towards the end."""
    fall = min(1.0, (1 - done) / (1 - DECAY_FROM))
    return RATE * min(1.0, (step + 1) / WARM_UP) * fall


def _learn(
    learner: Learner, batch: Batch, loss_of: LossOf, done: float, schedule: Schedule
) -> float:
    """Take one step, after the share ``done`` of the run, and return its loss.

    Raises:
        TrainingDivergedError: if that is not finite; the weights are then as before.
    """
    import torch

    for group in learner.optimizer.param_groups:
        group["lr"] = _rate(learner.step, done)
    image, label = (torch.from_numpy(part).to(schedule.device) for part in batch)
    with torch.autocast(schedule.device, torch.bfloat16) if half_is_fast() else nullcontext():
        output = learner.network(image)
    loss = loss_of(output.float(), label.float(), done)
    if not torch.isfinite(loss):
        raise TrainingDivergedError(
            f"step {learner.step + 1} has a loss of {float(loss.detach())}; go on from the last "
            "checkpoint with --resume, and with another --seed if it stops there again"
        )
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


def drawn_ahead(
    make: Callable[..., Drawn], schedule: Schedule, learner: Learner, each: int, start: int
) -> Iterator[list[Drawn]]:
    """Yield, without end, what ``make`` draws of ``each`` seeds, ``start`` times that many on."""
    seeds = count(schedule.seed + start * each)
    if schedule.workers == 0:
        while True:
            size = schedule.size(learner.done(schedule))
            yield [make(next(seeds), size=size) for _ in range(each)]
    with ProcessPoolExecutor(schedule.workers, get_context("spawn")) as pool:
        ahead: deque[list[Future[Drawn]]] = deque()
        while True:
            while len(ahead) * each < 2 * schedule.workers + each:
                size = schedule.size(learner.done(schedule))
                ahead.append([pool.submit(make, next(seeds), size=size) for _ in range(each)])
            yield [drawn.result() for drawn in ahead.popleft()]
