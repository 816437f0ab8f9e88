"""A structure from clicks, strokes or a box, by the network that ships for it.

The classical method (`prompted`) answers first. The network then looks at the block
around that answer, in cells, and decides anew what belongs to the structure: see
`prompt_features` for what it is told. Its card is segmentation/weights/prompted/docs/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.bundles.folder import Bundle, BundleError
from segmentation.bundles.inference import load_strictly, read_weights
from segmentation.bundles.recipe import NETWORK, read_recipe
from segmentation.bundles.store import shipped_bundles
from segmentation.contract import Progress, share, silent
from segmentation.marks import (
    Block,
    Mask,
    Singles,
    Steps,
    Vector,
    binned,
    connected,
    unbinned,
)
from segmentation.operations import with_volume
from segmentation.prompt_features import LEVELS, features
from segmentation.prompted import Prompts, prompted
from segmentation.volume import Floats, ImageGeometry, LabelMap, Volume, bounding_block

if TYPE_CHECKING:
    import torch

NAME = "prompted"
CELLS, LONGEST, ASPECT = 200_000, 100, 4.0  # at most, in all, along an axis, and of a cell
MARGIN = 0.3  # around the classical answer, of its extent
LEAST_MM, MOST_MM = 12.0, 40.0  # of that margin
FOLDS, LEAST = 8, 16  # the network takes blocks of multiples of so many cells, and so many

_Lines = Sequence[tuple[str, npt.NDArray[np.intp]]]  # side, and voxels (k, j, i) of each prompt


def prompted_network(
    volume: Volume,
    *,
    prompts: Prompts = (),
    box_mm: tuple[Vector, Vector] | None = None,
    quick: bool = False,
    weights_sha256: str = "",
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Label a thing from clicks, strokes or a box, by a trained network.

    Click in its middle or draw a stroke along it; then mark what is missing and what is too
    much, the largest error first. The result is a proposal that a person must review.

    Args:
        volume: the image, CT or MR.
        prompts: in their order, "inside" or "outside" and the points (LPS mm) of a click or
            stroke; without one inside, the middle of the box is clicked.
        box_mm: two opposite corners (LPS mm) of a box that holds all of the thing.
        quick: show a first, coarse answer.
        weights_sha256: the checksum of the weights that the plan was made with; others are
            refused.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        BundleError: if the weights are damaged, or other ones than the plan wants.
        ValueError: without a prompt inside or a box, or if a prompt has no point.
    """
    if box_mm is not None and all(side != "inside" for side, _ in prompts):
        x, y, z = (float(a + b) / 2 for a, b in zip(*box_mm))
        prompts = (("inside", ((x, y, z),)), *prompts)
    first = prompted(
        volume,
        prompts=prompts,
        box_mm=box_mm,
        quick=quick,
        name=name,
        progress=share(progress, 0, 2),
    )
    if quick:
        return first
    progress(0.5, "asking the network")
    grid = volume.geometry
    lines = [(side, _line(grid, points)) for side, points in prompts]
    box = None if box_mm is None else _box_of(grid, box_mm)
    look = _look(first, lines, box)
    soft = _asked(_network(weights_sha256), look.channels(volume))
    progress(0.9, "placing the answer")
    found = _placed(grid, look, look.decided(soft), lines, box)
    return with_volume(replace(first, array=found.astype(np.uint8)), found)


@dataclass(frozen=True, eq=False)
class _Look:
    """What the network is shown: a block of the image in cells, all arrays [k, j, i] of them.

    Attributes:
        block: the voxels that it spans.
        steps: voxels of a cell.
        inside, outside: the cells of prompts.
        before: the share of each cell that the first answer fills.
        box: the cells of the box that was drawn.
    """

    block: Block
    steps: Steps
    inside: Mask
    outside: Mask
    before: Singles
    box: Mask | None

    def channels(self, volume: Volume) -> Singles:
        """Return the network's input."""
        spacing = np.asarray(volume.geometry.spacing_kji_mm)
        cells = self.inside, self.outside, self.before, self.box
        return features(volume.array[self.block], spacing, self.steps, *cells)

    def decided(self, soft: Singles) -> Mask:
        """Return the voxels of the block that the network's answer means.

        It hangs together with the prompts inside, and has no holes.
        """
        soft = np.where(self.outside, 0, np.where(self.inside, 1, soft))
        found = connected((soft > 0.5) | self.inside, self.inside)
        soft = np.where(found, soft, np.minimum(soft, 0.49)).astype(np.float32)
        k, j, i = (s.stop - s.start for s in self.block)
        return np.asarray(ndimage.binary_fill_holes(unbinned(soft, self.steps, (k, j, i))))


def _look(first: LabelMap, lines: _Lines, box: Block | None) -> _Look:
    """Return what to show of the image around a first answer and all prompts."""
    grid, mask = first.geometry, first.mask()
    block = _block_around(mask, np.concatenate([line for _, line in lines]), grid)
    steps = _steps([s.stop - s.start for s in block], np.asarray(grid.spacing_kji_mm))
    before = binned(mask[block].astype(np.float32), steps, np.mean).astype(np.float32)
    marked = np.zeros((2, *before.shape), np.bool_)
    corner = np.array([s.start for s in block])
    for side, line in lines:
        place = (line - corner) // steps
        marked[int(side == "inside")][tuple(place.T)] = True
    drawn = None
    if box is not None:
        within = np.zeros_like(mask)
        within[box] = True
        drawn = np.asarray(binned(within[block].astype(np.float32), steps, np.mean) > 0.5)
    return _Look(block, steps, marked[1], marked[0] & ~marked[1], before, drawn)


def _placed(
    grid: ImageGeometry, look: _Look, found: Mask, lines: _Lines, box: Block | None
) -> Mask:
    """Return the answer on the image's grid; what was marked has the side of its mark."""
    whole = np.zeros(grid.shape, np.bool_)
    whole[look.block] = found
    for wanted in ("inside", "outside"):
        for side, line in lines:
            if side == wanted:
                whole[tuple(line.T)] = side == "inside"
    if box is None:
        return whole
    kept = np.zeros_like(whole)
    kept[box] = whole[box]
    return kept


def _line(grid: ImageGeometry, points: tuple[Vector, ...]) -> npt.NDArray[np.intp]:
    """Return the voxels (k, j, i) on the lines that join the points."""
    index = grid.to_index(points)[:, ::-1]
    parts = [index[:1]]
    for start, end in pairwise(index):
        count = max(1, int(np.ceil(2 * np.abs(end - start).max())))
        parts.append(start + (end - start) * np.arange(1, count + 1)[:, None] / count)
    return np.rint(np.concatenate(parts)).astype(np.intp)


def _box_of(grid: ImageGeometry, box_mm: tuple[Vector, Vector]) -> Block:
    """Return the voxels between two opposite corners (LPS mm)."""
    (x0, y0, z0), (x1, y1, z1) = box_mm
    corners = [(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)]
    index = grid.to_index(corners)[:, ::-1]
    return _between(index.min(axis=0), index.max(axis=0), grid)


def _between(low: Floats, high: Floats, grid: ImageGeometry) -> Block:
    start = np.clip(np.floor(low), 0, np.asarray(grid.shape) - 1).astype(int)
    stop = np.clip(np.ceil(high) + 1, start + 1, grid.shape).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(start, stop))
    return k, j, i


def _block_around(mask: Mask, points: npt.NDArray[np.intp], grid: ImageGeometry) -> Block:
    """Return the block that the answer and all prompts lie in, with a margin."""
    box = bounding_block(mask) or tuple(slice(p, p + 1) for p in points[0])
    spacing = np.asarray(grid.spacing_kji_mm)
    low = np.minimum([s.start for s in box], points.min(axis=0))
    high = np.maximum([s.stop - 1 for s in box], points.max(axis=0))
    longest = float(((high - low + 1) * spacing).max())
    margin = np.clip(MARGIN * longest, LEAST_MM, MOST_MM) / spacing
    return _between(low - margin, high + margin, grid)


def _steps(shape: Sequence[int], spacing_mm: Floats) -> Steps:
    """Return the voxels (k, j, i) of a cell, such that the network knows blocks like this one."""
    smallest = spacing_mm.min()
    for size in np.geomspace(smallest, 64 * smallest, 145):
        steps = np.maximum(1, np.floor(size / spacing_mm + 1e-6)).astype(int)
        cells, sizes = np.ceil(np.asarray(shape) / steps), steps * spacing_mm
        slim = sizes.max() > ASPECT * sizes.min()
        if np.prod(cells) <= CELLS and cells.max() <= LONGEST and not slim:
            break
    return int(steps[0]), int(steps[1]), int(steps[2])


@cache
def _network(weights_sha256: str) -> torch.nn.Module:
    """Return the network with the weights that ship, read once.

    Raises:
        BundleError: if they are damaged or not those that are wanted.
    """
    import torch
    from monai.bundle import ConfigParser

    bundle = shipped()
    if weights_sha256 not in ("", bundle.weights_sha256):
        raise BundleError(
            f"the plan was made with weights {weights_sha256[:12]} of {NAME}, here are "
            f"{bundle.weights_sha256[:12]}",
            "Compute the label anew with the weights of this version",
        )
    network: Any = ConfigParser(dict(read_recipe(bundle).config)).get_parsed_content(NETWORK)
    load_strictly(network, read_weights(bundle.weights), bundle.weights.name)
    made: torch.nn.Module = network.eval().to(memory_format=torch.channels_last_3d)
    return made


def shipped() -> Bundle:
    """Return the bundle of the network."""
    return next(bundle for bundle in shipped_bundles() if bundle.name == NAME)


def _asked(network: torch.nn.Module, channels: Singles) -> Singles:
    """Return the network's probabilities: the mean of its answers to the block and its mirror.

    One block alone would take the slow path of a CPU, so the second answer costs little.
    """
    import torch

    shape = channels.shape[1:]
    more = [(0, max(-n % FOLDS, LEAST - n)) for n in shape]
    filled = np.pad(channels, [(0, 0), *more], mode="edge")
    mirrored = filled[:, ::-1, ::-1, ::-1].copy()
    mirrored[LEVELS, ...] *= -1
    with torch.inference_mode():
        output = network(torch.from_numpy(np.stack([filled, mirrored])))
        plain, turned = torch.softmax(output.float(), 1)[:, 1].numpy()
    soft = (plain + turned[::-1, ::-1, ::-1]) / 2
    k, j, i = shape
    return np.asarray(soft[:k, :j, :i], np.float32)
