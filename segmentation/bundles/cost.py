"""What running a bundle on an image will take, before it starts: memory, time, windows."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from segmentation.bundles.folder import BundleError
from segmentation.bundles.recipe import PREPROCESSING, Recipe
from segmentation.volume import ImageGeometry

if TYPE_CHECKING:
    import torch

    from segmentation.bundles.inference import Model

PROGRAM_BYTES = 700_000_000  # torch and MONAI themselves
WORKSPACE = 1.6  # convolutions keep repacked copies; measured on UNet, SegResNet and DynUNet
PATIENCE_S = 0.5
TRIALS = 3


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


def estimate(model: Model, geometry: ImageGeometry, channels: int) -> Estimate:
    """Return what running ``model`` on an image of this geometry will take.

    The network runs for a moment, on a window of half the size, and is watched.
    """
    grid = _grid(model.recipe, geometry)
    window = model.window
    layers, batch_s, outputs = _probed(model, channels)
    weights = sum(p.nbytes for p in model.network.parameters())
    voxels, source = int(np.prod(grid)), int(np.prod(geometry.size))
    padded = window.padded(grid)
    rows = 2 * window.size[0] * padded[1] * padded[2] * (outputs + 1) * 4
    images = 4 * channels * (3 * source + 3 * voxels) + 6 * source
    moving_s = (source + voxels) * channels * 1e-7 + source * outputs * 2e-8
    blending_s = window.count(grid) * float(np.prod(window.size)) * outputs * 2e-8
    return Estimate(
        int(PROGRAM_BYTES + 2 * weights + WORKSPACE * layers + rows + images),
        ceil(window.count(grid) / window.batch) * batch_s + moving_s + blending_s,
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


def _probed(model: Model, channels: int) -> tuple[float, float, int]:
    """Return bytes that layers hold at the peak, seconds, and output channels of one batch.

    Raises:
        BundleError: if the network takes no window at all.
    """
    import torch

    whole = model.window.size
    failed: Exception | None = None
    for size in ([n // 2 for n in whole], whole):
        batch = torch.rand(model.window.batch, channels, *size, device=model.device)
        if model.device == "cpu":
            batch = batch.contiguous(memory_format=torch.channels_last_3d)
        try:
            watch, spent_s, outputs = _watched(model.network, batch)
        except (RuntimeError, ValueError) as error:  # some take windows of one size only
            failed = error
            continue
        ratio = float(np.prod(whole) / np.prod(size))
        return ratio * watch.peak, ratio * spent_s, outputs
    reason = " ".join(str(failed).split())[:200]
    raise BundleError(
        f"the network of {model.bundle.name} cannot run ({reason})",
        "Its configuration may not suit it",
    ) from failed


def _watched(network: torch.nn.Module, batch: torch.Tensor) -> tuple[_Watch, float, int]:
    import torch

    watch = _Watch()
    leaves = [m for m in network.modules() if next(m.children(), None) is None]
    handles = [leaf.register_forward_hook(watch.see) for leaf in leaves]
    try:
        with torch.inference_mode():
            found: Any = None
            spent_s = float("inf")
            for _ in range(TRIALS):  # the first one also warms up; others may be interrupted
                started = time.perf_counter()
                found = network(batch)
                _wait(batch)
                spent_s = min(spent_s, time.perf_counter() - started)
                if spent_s > PATIENCE_S:
                    break
    finally:
        for handle in handles:
            handle.remove()
    first = found[0] if isinstance(found, list | tuple) else found
    return watch, spent_s, int(first.shape[1])


def _wait(batch: torch.Tensor) -> None:
    import torch

    if batch.is_cuda:
        torch.cuda.synchronize()


class _Watch:
    """Adds up what the outputs of layers hold until they are dropped."""

    def __init__(self) -> None:
        self.held, self.peak = 0, 0

    def see(self, layer: torch.nn.Module, given: Any, made: Any) -> None:
        """Count the output of one call of a layer."""
        if hasattr(made, "nbytes"):
            self.held += made.nbytes
            self.peak = max(self.peak, self.held)
            weakref.finalize(made, self._drop, made.nbytes)

    def _drop(self, size: int) -> None:
        self.held -= size
