"""``python -m segmentation.training NETWORK --out DIR``: train weights that ship anew."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from segmentation.training.prompted_training import train_prompted
from segmentation.training.train import Schedule, TrainingDivergedError
from segmentation.training.vessel_training import train_vessels

NETWORKS = {
    "vessels": (train_vessels, ((0.0, 48), (0.75, 64))),
    "prompted": (train_prompted, ((0.0, 48),)),
}
"""How each network is trained, and on scenes of how many voxels a side (`Schedule.growth`)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m segmentation.training", description=__doc__)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle to write")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="wall time to train")
    length.add_argument("--steps", type=int, help="steps to train; repeats itself exactly")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=4, help="scenes per step, at least 2")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw scenes")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network on a CPU")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first scene")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(given.threads)
    train, growth = NETWORKS[given.network]
    try:
        schedule = Schedule(
            given.steps,
            given.hours,
            given.device,
            given.batch,
            given.workers,
            growth,
            given.seed,
        )
        loss = train(given.out, schedule, resume=given.resume, progress=_Reporter())
    except (ValueError, FileNotFoundError, TrainingDivergedError) as error:
        parser.error(str(error))
    print(f"mean loss of the last steps {loss:.4f}; the bundle is in {given.out}")
    return 0


class _Reporter:
    """A `Progress` that writes a line to standard error every half minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, fraction: float, message: str = "") -> None:
        """Write the message if it is time to."""
        if time.monotonic() >= self._next:
            print(f"{100 * fraction:5.1f} %  {message}", file=sys.stderr, flush=True)
            self._next = time.monotonic() + 30


if __name__ == "__main__":
    sys.exit(main())
