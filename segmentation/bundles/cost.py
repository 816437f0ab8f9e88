"""What running a bundle on an image will take, before it starts: memory, time, windows."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from segmentation.bundles.recipe import PREPROCESSING, Recipe
from segmentation.volume import ImageGeometry

if TYPE_CHECKING:
    import torch

    from segmentation.bundles.inference import Model

PROGRAM_BYTES = 700_000_000  # torch and MONAI themselves
WORKSPACE = 1.6  # convolutions keep repacked copies; measured on UNet, SegResNet and DynUNet
UNKNOWN_BYTES = 4000  # per voxel of a window, where a network cannot be traced
UNKNOWN_FLOPS = 500_000
GPU_FLOPS = 5e12
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Estimate:
    """What one run is expected to take.

    Attributes:
        memory_bytes: most memory at any time.
        seconds: time on this machine as it is now; within a factor of two or three.
        windows: how many windows the network looks at, at most.
        device: "cpu" or "cuda".
    """

    memory_bytes: int
    seconds: float
    windows: int
    device: str


def estimate(model: Model, geometry: ImageGeometry, channels: int, timed: bool = True) -> Estimate:
    """Return what running ``model`` on an image of this geometry will take.

    Measuring the time runs the network for a moment; without ``timed`` it is told as 0.
    """
    grid = _grid(model.recipe, geometry)
    window = model.window
    peak, flops, outputs = _traced(model, channels)
    weights = sum(p.nbytes for p in model.network.parameters())
    voxels, source = int(np.prod(grid)), int(np.prod(geometry.size))
    padded = window.padded(grid)
    rows = 2 * window.size[0] * padded[1] * padded[2] * (outputs + 1) * 4
    images = 4 * channels * (3 * source + 3 * voxels) + 6 * source
    batches = ceil(window.count(grid) / window.batch)
    batch_s = 0.0
    if timed:
        batch_s = flops / GPU_FLOPS if model.device == "cuda" else _batch_s(model, channels, flops)
    moving_s = (source + voxels) * channels * 1e-7 + source * outputs * 2e-8
    return Estimate(
        int(PROGRAM_BYTES + 2 * weights + WORKSPACE * peak + rows + images),
        batches * batch_s + moving_s if timed else 0.0,
        window.count(grid),
        model.device,
    )


def _grid(recipe: Recipe, geometry: ImageGeometry) -> tuple[int, int, int]:
    """Return the size of the network's grid, as far as the configuration tells; axes unordered."""
    size = np.asarray(geometry.size, float) * np.asarray(geometry.spacing_mm)
    spacing = np.asarray(geometry.spacing_mm)
    for step in _steps(recipe.config):
        pixdim = step.get("pixdim") if isinstance(step, dict) else None
        while isinstance(pixdim, str) and pixdim.strip("$ ").lstrip("@") in recipe.config:
            pixdim = recipe.config[pixdim.strip("$ ").lstrip("@")]
        if isinstance(pixdim, list) and all(isinstance(p, int | float) for p in pixdim):
            low, high = step.get("min_pixdim"), step.get("max_pixdim")
            kept = np.full(3, bool(low and high))
            if low and high:
                kept = (spacing >= np.asarray(low)) & (spacing <= np.asarray(high))
            spacing = np.where(kept, spacing, np.broadcast_to(np.asarray(pixdim, float), 3))
    x, y, z = (max(1, round(float(n))) for n in size / spacing)
    return x, y, z


def _steps(config: dict[str, Any]) -> list[Any]:
    whole = config.get(PREPROCESSING, {})
    steps = whole.get("transforms", []) if isinstance(whole, dict) else whole
    if isinstance(steps, str):
        steps = config.get(steps.strip("$ ").lstrip("@"), [])
    return list(steps) if isinstance(steps, list) else []


def _traced(model: Model, channels: int) -> tuple[float, float, int]:
    """Return bytes at the peak, operations and output channels of one batch.

    The network runs on shapes alone; what it holds at any time is added up.
    """
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shape = (model.window.batch, channels, *model.window.size)
    outputs = int(model.bundle.outputs.get("num_channels", 2))
    try:
        network = copy.deepcopy(model.network).to("meta")
        watched = _Watch()
        with torch.no_grad(), FlopCounterMode(display=False) as flops, watched.mode():
            found = network(torch.empty(shape, device="meta"))
        first = found[0] if isinstance(found, list | tuple) else found
        return watched.peak, float(flops.get_total_flops()), int(first.shape[1])
    except Exception:  # a network may do anything; then it is judged by its size alone
        voxels = float(np.prod(shape))
        return voxels * UNKNOWN_BYTES, voxels * UNKNOWN_FLOPS, outputs


class _Watch:
    """Adds up what tensors hold while operations make and drop them."""

    def __init__(self) -> None:
        self.held, self.peak = 0, 0
        self._seen: set[int] = set()

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        size = storage.nbytes()
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(tensor, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.held -= size

    def mode(self) -> Any:
        """Return the context in which operations are watched."""
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils._pytree import tree_leaves

        add = self._add

        class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
            def __torch_dispatch__(
                self,
                func: Callable[..., Any],
                types: Any,
                args: Sequence[Any] = (),
                kwargs: dict[str, Any] | None = None,
            ) -> Any:
                made = func(*args, **(kwargs or {}))
                for leaf in tree_leaves(made):
                    if isinstance(leaf, torch.Tensor):
                        add(leaf)
                return made

        return Mode()  # type: ignore[no-untyped-call]


def _batch_s(model: Model, channels: int, flops: float) -> float:
    """Return the seconds of one batch on this CPU, from one of half the window's size."""
    import torch

    half = [n // 2 for n in model.window.size]
    batch = torch.rand(model.window.batch, channels, *half)
    batch = batch.contiguous(memory_format=torch.channels_last_3d)
    spent = 0.0
    try:
        with torch.inference_mode():
            for _ in range(2):  # the first one also warms up
                started = time.perf_counter()
                model.network(batch)
                spent = time.perf_counter() - started
                if spent > PATIENCE_S:
                    break
    except Exception:  # a network that takes no other window is judged by its operations
        return flops / _cpu_flops()
    return spent * float(np.prod(model.window.size) / np.prod(half))


def _cpu_flops() -> float:
    """Measure how many operations of a 3D convolution this machine does in a second."""
    import torch

    layer = torch.nn.Conv3d(32, 32, 3, padding=1, bias=False)
    layer = layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    image = torch.rand(2, 32, 24, 24, 24).contiguous(memory_format=torch.channels_last_3d)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(3):
            started = time.perf_counter()
            layer(image)
            best = min(best, time.perf_counter() - started)
    return 2.0 * 2 * 32 * 32 * 27 * 24**3 / best
