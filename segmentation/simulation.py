"""A simulated user: prompts by a stated rule that looks only at the current error.

The rule, after every result of a method:

1. The error is what the result misses of the reference and what it has too much. Before the
   first prompt all of the reference is missed.
2. Of the face-connected pieces of both kinds the largest by volume is corrected next; of two of
   one size a missed piece goes first, then the one that comes first in the array.
3. The prompt starts at the deepest point of that piece: the voxel farthest from its surface, in
   mm, the edge of the image being surface; of several the one nearest to their middle.
4. A click is that point. A stroke runs through it along the medial curve of the piece's
   cross-section: the skeleton's longest way through the point, as far as the cross-section is at
   least ``DEEP`` times as deep as at its deepest, and at most ``stroke_mm`` long. It is drawn in
   one of the three planes of the image through the point, that in which it gets longest, the
   plane of the slices first. A piece too small for a curve is clicked.

A missed piece gets a foreground prompt, a surplus one a background prompt. Nothing is random and
nothing else of the reference is seen, so the same inputs give the same prompts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from annotated_types import Ge
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize

from segmentation.contract import Progress, share, silent
from segmentation.metrics import dice, hausdorff95_mm
from segmentation.volume import (
    ImageGeometry,
    Label,
    LabelMap,
    Vector,
    Volume,
    bounding_block,
    require_same_grid,
)

Mask = npt.NDArray[np.bool_]
Points = tuple[Vector, ...]
Floats = npt.NDArray[np.float64]

DEEP = 0.6
"""A stroke stays where its cross-section is at least this share as deep as at its deepest."""
STEP_MM = 2.0
"""Distance between the points of a stroke."""


@dataclass(frozen=True)
class Prompt:
    """One click (one point) or stroke (several), in LPS mm, inside or outside the structure."""

    foreground: bool
    points_mm: Points

    @property
    def kind(self) -> str:
        """Which side it marks and how, such as "foreground stroke"."""
        side = "foreground" if self.foreground else "background"
        return f"{side} {'click' if len(self.points_mm) == 1 else 'stroke'}"


class Method(Protocol):
    """What turns an image and the prompts so far into one label on the image's grid."""

    def __call__(self, volume: Volume, prompts: tuple[Prompt, ...], /) -> LabelMap:
        """Return the label of what the prompts mark."""


@dataclass(frozen=True)
class Answer:
    """What a method made of the first ``n`` prompts, and how well it agrees.

    ``hausdorff95_mm`` is infinite for an empty result; ``seconds`` is wall time of the method.
    """

    n: int
    prompt: Prompt
    result: LabelMap
    dice: float
    hausdorff95_mm: float
    seconds: float


def simulate_user(
    volume: Volume,
    reference: LabelMap,
    method: Method,
    *,
    label: int | str | None = None,
    prompts: Annotated[int, Ge(1)] = 10,
    marks: Literal["strokes", "clicks"] = "strokes",
    stroke_mm: Annotated[float, Ge(0)] = 60.0,
    progress: Progress = silent,
    told: Callable[[Answer], None] = lambda answer: None,
) -> list[Answer]:
    """Prompt a method by the rule of this module and measure it after every prompt.

    Ends early when nothing is wrong any more. ``told`` hears of each answer at once.

    Args:
        volume: the image.
        reference: the label taken as true, on the same grid.
        method: what is prompted.
        label: which label of the reference, by value or name; None takes all as one.
        prompts: how many prompts to make at most.
        marks: strokes, or clicks only.
        stroke_mm: length of a stroke at most, in mm.
        progress: told how far the work is.
        told: called with each answer as it comes.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if the reference has no voxel of that label.
    """
    require_same_grid(volume, reference)
    truth = LabelMap(reference.mask(label), reference.geometry, {1: Label("reference")})
    if not truth.array.any():
        raise ValueError(f"the reference has no voxel of label {label!r}; choose another")
    result = LabelMap(np.zeros_like(truth.array), truth.geometry)
    answers: list[Answer] = []
    for n in range(prompts):
        part = share(progress, n, prompts)
        part(0.0, f"prompt {n + 1} of {prompts}")
        length = stroke_mm if marks == "strokes" else 0.0
        prompt = next_prompt(truth.mask(), result.mask(), truth.geometry, stroke_mm=length)
        if prompt is None:
            break
        given = (*(a.prompt for a in answers), prompt)
        start = time.perf_counter()
        result = method(volume, given)
        took = time.perf_counter() - start
        result = LabelMap(result.mask(), truth.geometry, {1: Label("result")})
        far = hausdorff95_mm(truth, result)
        answers.append(Answer(n + 1, prompt, result, dice(truth, result), far, took))
        told(answers[-1])
    return answers


def next_prompt(
    reference: Mask, result: Mask, geometry: ImageGeometry, *, stroke_mm: float = 60.0
) -> Prompt | None:
    """Return the prompt that the rule makes next, None when nothing is wrong.

    Args:
        reference: the true voxels [k, j, i].
        result: the voxels found so far.
        geometry: the grid of both.
        stroke_mm: length of a stroke at most, in mm; 0 makes a click.
    """
    pieces = [_largest(reference & ~result), _largest(result & ~reference)]
    sizes = [0 if piece is None else int(np.count_nonzero(piece)) for piece in pieces]
    piece = pieces[int(np.argmax(sizes))]
    if piece is None:
        return None
    block = bounding_block(piece) or (slice(0), slice(0), slice(0))
    corner = np.array([s.start for s in block])
    part = np.pad(piece[block], 1)
    depth = ndimage.distance_transform_edt(part, geometry.spacing_kji_mm)
    ties = np.argwhere(depth >= depth.max() - 1e-6)
    deepest = ties[np.argmin(np.linalg.norm(ties - ties.mean(axis=0), axis=1))]
    line = deepest[None]
    if stroke_mm > 0:
        line = _longest_curve(part, deepest, np.asarray(geometry.spacing_kji_mm), stroke_mm)
    index = line - 1 + corner
    points = geometry.to_world(index[:, ::-1])
    return Prompt(sizes[0] >= sizes[1], tuple((float(x), float(y), float(z)) for x, y, z in points))


def _largest(mask: Mask) -> Mask | None:
    """Return the largest face-connected piece, None if there is none."""
    pieces, count = ndimage.label(mask)
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(np.argmax(sizes)))


def _longest_curve(
    part: Mask, start: npt.NDArray[np.intp], spacing_mm: Floats, length_mm: float
) -> npt.NDArray[np.intp]:
    """Return the voxels (k, j, i) of the longest medial curve in the three planes of a point."""
    best, longest = start[None], -1.0
    for axis in range(3):
        rest = [a for a in range(3) if a != axis]
        section = np.asarray(part.take(int(start[axis]), axis=axis))
        place = (int(start[rest[0]]), int(start[rest[1]]))
        line = _medial_curve(section, place, spacing_mm[rest], length_mm)
        length = float(np.linalg.norm(np.diff(line, axis=0) * spacing_mm[rest], axis=1).sum())
        if length > longest + 1e-6:
            longest = length
            best = np.insert(line, axis, start[axis], axis=1)
    return best


def _medial_curve(
    section: Mask, start: tuple[int, int], spacing_mm: Floats, length_mm: float
) -> npt.NDArray[np.intp]:
    """Return pixels (j, i) along the medial curve of the section's piece around ``start``."""
    pieces, _ = ndimage.label(section)
    own = pieces == pieces[start]
    depth = ndimage.distance_transform_edt(own, spacing_mm)
    # The deepest point of the solid need not lie on the section's own curve: take the nearest.
    curve = np.argwhere(skeletonize(own) & (depth >= DEEP * depth.max()))
    if not len(curve):
        return np.array([start])
    from_start = np.linalg.norm((curve - start) * spacing_mm, axis=1)
    graph = _neighbours(curve, spacing_mm)
    ways, before = dijkstra(graph, indices=int(np.argmin(from_start)), return_predecessors=True)
    first = _way(before, int(np.argmax(np.where(np.isfinite(ways), ways, -1))))
    second = _way(before, _other_end(curve, ways, first, spacing_mm))
    half = length_mm / 2
    one = [n for n in first if ways[n] <= max(half, length_mm - ways[second[-1]])]
    other = [n for n in second if ways[n] <= max(half, length_mm - ways[first[-1]])]
    return _spaced(curve[[*reversed(other), *one[1:]]], spacing_mm)


def _neighbours(curve: npt.NDArray[np.intp], spacing_mm: Floats) -> Any:
    """Return the graph of curve pixels that touch, weighted by their distance in mm."""
    steps = curve[:, None, :] - curve[None, :, :]
    near = (np.abs(steps).max(axis=2) == 1).nonzero()
    lengths = np.linalg.norm(steps[near] * spacing_mm, axis=1)
    return coo_matrix((lengths, near), shape=(len(curve), len(curve))).tocsr()


def _way(before: npt.NDArray[np.int32], end: int) -> list[int]:
    """Return the pixels from the start of all ways to ``end``."""
    way = [end]
    while before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return way[::-1]


def _other_end(
    curve: npt.NDArray[np.intp], ways: Floats, first: list[int], spacing_mm: Floats
) -> int:
    """Return the far end on the other side of the start than the way ``first``."""
    start, scale = curve[first[0]], spacing_mm
    heading = (curve[first[-1]] - start) * scale
    behind = ((curve - start) * scale) @ heading <= 0
    return int(np.argmax(np.where(np.isfinite(ways) & behind, ways, -1)))


def _spaced(line: npt.NDArray[np.intp], spacing_mm: Floats) -> npt.NDArray[np.intp]:
    """Return pixels of the line about ``STEP_MM`` apart, both ends among them."""
    lengths = np.linalg.norm(np.diff(line, axis=0) * spacing_mm, axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0.0, along[-1], max(1, round(along[-1] / STEP_MM)) + 1)
    nearest = np.searchsorted(along, wanted - 1e-9).clip(0, len(line) - 1)
    return np.asarray(line[np.unique(nearest)])
