"""A network slid over an image: blended windows, and memory for a few rows of them only.

Windows are visited row by row along the first axis. What no later window reaches is final and
is handed on, so that a hundred channels of a whole body never lie in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from segmentation.bundles.folder import BundleError
from segmentation.contract import Progress

if TYPE_CHECKING:
    import torch

Size = tuple[int, int, int]
NOTHING = 30.0
"""How sure a channel is of nothing where every window was constant; e^-30 is nothing."""


@dataclass(frozen=True)
class Window:
    """How windows are laid and blended.

    Attributes:
        size: voxels of one window along the axes of the image.
        overlap: share of a window that the next one covers again, along each axis.
        mode: weight of the voxels of a window.
        sigma: width of the Gaussian weight as a share of the window.
        padding: how an image smaller than a window is filled up, and with what.
        batch: windows that go through the network together. A batch of one takes a slow path on
            a CPU, so it is at least two there.
    """

    size: Size
    overlap: tuple[float, float, float] = (0.25, 0.25, 0.25)
    mode: Literal["constant", "gaussian"] = "constant"
    sigma: float = 0.125
    padding: str = "constant"
    value: float = 0.0
    batch: int = 2

    def starts(self, image: Size) -> tuple[list[int], list[int], list[int]]:
        """Return where windows begin along each axis of an image at least as large as one."""
        x, y, z = (
            _starts(n, w, max(1, int(w * (1 - share)) if w < n else n))
            for n, w, share in zip(image, self.size, self.overlap)
        )
        return x, y, z

    def padded(self, image: Size) -> Size:
        """Return the size of the image once it is as large as a window."""
        x, y, z = (max(n, w) for n, w in zip(image, self.size))
        return x, y, z

    def count(self, image: Size) -> int:
        """Return how many windows cover an image."""
        x, y, z = self.starts(self.padded(image))
        return len(x) * len(y) * len(z)


def _starts(length: int, window: int, step: int) -> list[int]:
    last = max(0, length - window)
    return sorted({min(start, last) for start in range(0, last + step, step)})


def slide(
    image: torch.Tensor,
    network: Callable[[torch.Tensor], Any],
    window: Window,
    progress: Progress,
    overlapping: bool = False,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (first row, output of shape (channels, rows, y, z)), rows in order and each once.

    ``image`` has shape (channels, x, y, z). Constant windows are skipped: instance
    normalisation makes patterns of them; where nothing else covers, it is background.
    ``overlapping`` channels have none of their own for that.

    Raises:
        BundleError: if the output has not the size of a window, or the image is constant.
    """
    import torch

    padded, shift = _padded(image, window)
    rows, columns, slices = window.starts(_shape(padded))
    ends = [*rows[1:], padded.shape[1]]
    weight = _weight(window).to(image.device)
    weights = torch.zeros((window.size[0], *padded.shape[2:]), device=image.device)
    sums: torch.Tensor | None = None
    total, done, waiting = len(rows) * len(columns) * len(slices), 0, 0
    for row, end in zip(rows, ends):
        places = [(row, y, z) for y, z in product(columns, slices)]
        for (_, y, z), output in _outputs(padded, places, network, window):
            done += 1
            progress(done / total, f"window {done} of {total}")
            if output is None:
                continue
            if sums is None:
                sums = torch.zeros((len(output), *weights.shape), device=image.device)
            block = (slice(None), slice(y, y + window.size[1]), slice(z, z + window.size[2]))
            sums[(slice(None), *block)] += output * weight
            weights[block] += weight
        if sums is None:
            waiting += end - row
            continue
        ready = _blended(sums, weights, end - row, overlapping)
        if waiting:
            air = _blended(sums * 0, weights * 0, 1, overlapping)
            ready = torch.cat([air.expand(-1, waiting, -1, -1), ready], 1)
        yield from _cropped(row - waiting, ready, shift, _shape(image))
        waiting = 0
        sums, weights = _moved(sums, end - row, 1), _moved(weights, end - row, 0)
    if sums is None:
        raise BundleError("the prepared image has the same value everywhere", "Check the image")


def _shape(image: torch.Tensor) -> Size:
    return int(image.shape[1]), int(image.shape[2]), int(image.shape[3])


def _padded(image: torch.Tensor, window: Window) -> tuple[torch.Tensor, Size]:
    """Return the image at least as large as a window, and how many voxels stand before it."""
    import torch

    lacks = [max(0, w - n) for n, w in zip(_shape(image), window.size)]
    before = [n // 2 for n in lacks]
    if any(lacks):
        pad = [p for b, n in reversed(list(zip(before, lacks))) for p in (b, n - b)]
        mode = {"edge": "replicate"}.get(window.padding, window.padding)
        if mode == "reflect" and any(p >= n for p, n in zip(lacks, _shape(image))):
            mode = "replicate"
        value = window.value if mode == "constant" else None
        image = torch.nn.functional.pad(image[None], pad, mode, value)[0]
    return image, (before[0], before[1], before[2])


def _weight(window: Window) -> torch.Tensor:
    import torch
    from monai.data.utils import compute_importance_map

    made = compute_importance_map(
        window.size, mode=window.mode, sigma_scale=window.sigma, dtype=torch.float32
    )
    smallest = float(made[made > 0].min())
    return torch.as_tensor(made).clamp(min=max(smallest, 1e-3))


def _outputs(
    image: torch.Tensor,
    places: Sequence[Size],
    network: Callable[[torch.Tensor], Any],
    window: Window,
) -> Iterator[tuple[Size, torch.Tensor | None]]:
    """Yield each window's place and output, None for a constant one."""
    import torch

    pieces: list[tuple[Size, torch.Tensor]] = []
    for place in places:
        block = tuple(slice(p, p + w) for p, w in zip(place, window.size))
        piece = image[(slice(None), *block)]
        if all(bool(channel.amin() == channel.amax()) for channel in piece):
            yield place, None
        else:
            pieces.append((place, piece))
        if len(pieces) == window.batch:
            yield from _predicted(pieces, network, window)
            pieces = []
    if pieces:
        lacking = [pieces[-1][1]] * (window.batch - len(pieces))
        batch = torch.stack([piece for _, piece in pieces] + lacking)
        yield from zip((place for place, _ in pieces), _checked(network(batch), window))


def _predicted(
    pieces: list[tuple[Size, torch.Tensor]],
    network: Callable[[torch.Tensor], Any],
    window: Window,
) -> Iterator[tuple[Size, torch.Tensor | None]]:
    import torch

    batch = torch.stack([piece for _, piece in pieces])
    yield from zip((place for place, _ in pieces), _checked(network(batch), window))


def _checked(output: Any, window: Window) -> torch.Tensor:
    import torch

    if isinstance(output, dict):
        output = next(iter(output.values()))
    if isinstance(output, list | tuple):
        output = output[0]
    found: torch.Tensor = output.float()
    if tuple(found.shape[2:]) != window.size:
        raise BundleError(
            f"the network gives {tuple(found.shape[2:])} voxels for a window of {window.size}",
            "Only networks that label every voxel can be run",
        )
    if not bool(torch.isfinite(found).all()):
        raise BundleError("the network gives values that are no numbers", "Check the weights")
    return found


def _blended(
    sums: torch.Tensor, weights: torch.Tensor, rows: int, overlapping: bool
) -> torch.Tensor:
    """Return the first ``rows`` of the weighted mean; what no window covers is background."""
    weight = weights[:rows]
    mean = sums[:, :rows] / weight.clamp(min=1e-6)
    bare = weight == 0
    if bool(bare.any()):
        mean[:, bare] = -NOTHING
        if not overlapping and len(mean) > 1:
            mean[0, bare] = NOTHING
    return mean


def _moved(array: torch.Tensor, rows: int, axis: int) -> torch.Tensor:
    """Return ``array`` moved up by ``rows``, zeros behind."""
    import torch

    kept = array.narrow(axis, min(rows, array.shape[axis]), max(0, array.shape[axis] - rows))
    shape = list(array.shape)
    shape[axis] -= kept.shape[axis]
    return torch.cat([kept, torch.zeros(shape, device=array.device)], axis)


def _cropped(
    row: int, block: torch.Tensor, shift: Size, size: Size
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield what of a block of the padded image lies within the image itself."""
    first = max(row - shift[0], 0)
    last = min(row - shift[0] + block.shape[1], size[0])
    if first < last:
        inside = block[:, first + shift[0] - row : last + shift[0] - row]
        yield (
            first,
            inside[:, :, shift[1] : shift[1] + size[1], shift[2] : shift[2] + size[2]],
        )
