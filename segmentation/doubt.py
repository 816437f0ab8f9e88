"""How sure a label is: the work is repeated with small changes, and disagreement is doubt.

Every repeat adds noise as strong as the image's own, makes the image a little brighter or
darker, and moves it by whole voxels; thresholds and marked points vary within stated limits.
That is test-time augmentation (Wang et al., Neurocomputing 338 (2019) 34-45) for models and for
classical methods alike. It shows where a method wavers, not where it is wrong throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy import ndimage
from skimage.segmentation import watershed

from segmentation.contract import Finding, Number, Progress, Severity, share, silent
from segmentation.volume import (
    Array,
    ImageGeometry,
    LabelMap,
    Volume,
    bounding_block,
    require_same_grid,
)

AGREEMENT = "agreement"
"""What the quantity of a doubt map is called: 1 where all repeats agree with the result."""

REVIEW_NEXT = "review_next"
"""The code of the findings that say where to look next."""

SEED = 20_261
DOUBTFUL = 0.2  # share of results that must disagree before a place is worth a look
BLUR_MM = 4.0  # doubtful places nearer than this are one
LEAST_ML = 0.02
AIR_HU = -300.0


@dataclass(frozen=True)
class Change:
    """How one repeat differs from the work as it was done.

    Attributes:
        number: which repeat; it seeds all that is random.
        noise: standard deviation of the noise that is added, in multiples of the image's own.
        brightness: up to how much the whole image is brighter or darker, in the same multiples.
        shift_voxels: up to how many voxels the image is moved along each axis, and the label back.
        values: up to how much thresholds vary, in the image's unit.
        points_mm: up to how far marked points are moved, in mm.
        mirror: whether the image is also mirrored along its first axis.
    """

    number: int
    noise: float = 0.0
    brightness: float = 0.0
    shift_voxels: int = 0
    values: float = 0.0
    points_mm: float = 0.0
    mirror: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    def _random(self, what: str) -> np.random.Generator:
        return np.random.default_rng([SEED, self.number, *what.encode()])

    def image(self, volume: Volume, name: str) -> Volume:
        """Return ``volume`` with noise added, and brighter or darker; ``name`` seeds it."""
        sigma = noise_of(volume)
        random = self._random(name)
        offset = self.brightness * sigma * random.uniform(-1.0, 1.0)
        array = np.empty_like(volume.array)
        limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        for k, plane in enumerate(volume.array):
            noise = random.standard_normal(plane.shape, np.float32) * (self.noise * sigma) + offset
            changed = plane + noise
            array[k] = (
                changed if limits is None else np.clip(np.rint(changed), limits.min, limits.max)
            )
        return Volume(array, volume.geometry, volume.quantity)

    def parameter(
        self, name: str, value: Any, owner: str, grid: ImageGeometry | None = None
    ) -> Any:
        """Return the parameter ``name`` of the step ``owner`` as it varies; others stay.

        Points (x, y, z) are those that stand in a list: a vector alone is a direction or a size.
        A point that would leave ``grid`` stays where it is.
        """
        random = self._random(f"{owner}.{name}")
        if name.endswith("_hu") and isinstance(value, int | float):
            return float(value) + self.values * random.uniform(-1.0, 1.0)
        if not isinstance(value, tuple):
            return value
        return tuple(self._near(v, random, grid) for v in value)

    def _near(self, value: Any, random: np.random.Generator, grid: ImageGeometry | None) -> Any:
        """Return a point near the point ``value``, LPS mm; of what holds points, all so moved."""
        if not isinstance(value, tuple):
            return value
        if len(value) == 3 and all(isinstance(v, int | float) for v in value):
            step = random.uniform(-1.0, 1.0, 3)
            step *= self.points_mm / max(1.0, float(np.linalg.norm(step)))
            moved = np.asarray(value, float) + step
            left = grid is not None and not _is_inside(grid, moved)
            return value if left else tuple(float(v) for v in moved)
        return tuple(self._near(v, random, grid) for v in value)

    def moved(self, array: Array, back: bool = False) -> Array:
        """Return ``array`` [k, j, i] moved and mirrored, or a moved one brought ``back``.

        What comes in at a border repeats what lies there.
        """
        by = self._random("shift").integers(-self.shift_voxels, self.shift_voxels + 1, 3)
        mirror = self.mirror and self.number % 2 == 1
        if mirror and not back:
            array = array[:, :, ::-1]
        for axis, n in enumerate(-by if back else by):
            if n:
                index = np.clip(np.arange(array.shape[axis]) - n, 0, array.shape[axis] - 1)
                array = array.take(index, axis)
        return array[:, :, ::-1] if mirror and back else array


def _is_inside(grid: ImageGeometry, point_mm: npt.ArrayLike) -> bool:
    index = grid.to_index(point_mm)
    return bool(np.all((index >= 0) & (index <= np.asarray(grid.size) - 1)))


class Again(Protocol):
    """Makes a label once more, with a change."""

    def __call__(self, change: Change, progress: Progress = silent) -> LabelMap:
        """Return the label as it comes out under ``change``, on its own grid."""


def noise_of(volume: Volume) -> float:
    """Return the standard deviation of an image's noise, in its unit.

    From second differences along the rows inside the body, by their median (after Immerkaer,
    Comput Vis Image Underst 64 (1996) 300-302), so edges hardly count. Smoothed images, whose
    noise is correlated, come out too low.
    """
    planes = volume.array[:: max(1, len(volume.array) // 24)].astype(np.float32)
    body = planes > (AIR_HU if volume.quantity == "HU" else float(planes.mean()))
    if planes.shape[2] < 3 or not body.any():
        return 0.0
    bent = planes[..., 2:] - 2 * planes[..., 1:-1] + planes[..., :-2]
    inside = body[..., 2:] & body[..., 1:-1] & body[..., :-2]
    return float(1.4826 * np.median(np.abs(bent[inside])) / np.sqrt(6)) if inside.any() else 0.0


def doubt(
    labels: LabelMap,
    volume: Volume,
    *,
    repeats: Annotated[int, Ge(3), Le(50)] = 8,
    noise: Annotated[float, Ge(0), Le(3)] = 1.0,
    brightness: Annotated[float, Ge(0), Le(3)] = 0.3,
    shift_voxels: Annotated[int, Ge(0), Le(10)] = 2,
    values: Annotated[float, Ge(0), Le(5)] = 0.5,
    points_mm: Annotated[float, Ge(0), Le(20)] = 2.0,
    mirror: bool = False,
    places: Annotated[int, Ge(0), Le(50)] = 8,
    again: Again,
    progress: Progress = silent,
) -> Volume:
    """Repeat a label with small changes, and show where it is in doubt.

    The result is 1 where all repeats give a voxel the label it has, less where they disagree;
    it covers the block in which any does. The label's volumes get a band: from what all share to
    what any of them holds.

    Args:
        labels: the label in question; all steps that made it from images are repeated.
        volume: the image that it was made from; its noise sets the scale of the changes.
        repeats: how often the work is repeated; the cost is this many times the label's own.
        noise: strength of the noise that is added, in multiples of the image's own noise.
        brightness: how much brighter or darker the image gets at most, in the same multiples.
        shift_voxels: how many voxels the image is moved at most where nothing marks a place in it.
        values: how much thresholds vary at most, in multiples of the noise.
        points_mm: how far marked points are moved at most.
        mirror: mirror every other repeat; only for models that were trained so.
        places: how many places to review next are listed at most.
        again: makes the label once more; the plan gives it.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if label and image lie on different grids.
        ValueError: if every repeat fails.
    """
    require_same_grid(labels, volume)
    sigma = noise_of(volume)
    changes = [
        Change(n, noise, brightness, shift_voxels, values * sigma, points_mm, mirror)
        for n in range(1, repeats + 1)
    ]
    same, differing, failures = _repeated(labels, changes, again, progress)
    how = (
        f"{len(differing)} repeats with noise of {noise * sigma:.3g} {volume.quantity} added, "
        f"brightness within {brightness * sigma:.2g}, thresholds within {values * sigma:.2g}, "
        f"shifts within {shift_voxels} voxels, points within {points_mm:g} mm"
    )
    return _judged(labels, same, differing, failures, how, places)


def _repeated(
    labels: LabelMap, changes: Sequence[Change], again: Again, progress: Progress
) -> tuple[npt.NDArray[np.uint8], list[tuple[Array, Array]], list[str]]:
    """Return how many results (itself too) give a voxel its label, and how each one differs.

    A difference is the flat indices of voxels and what they hold; last come the failures.

    Raises:
        ValueError: if every repeat fails.
    """
    same = np.ones(labels.array.shape, np.uint8)
    differing: list[tuple[Array, Array]] = []
    failures: list[str] = []
    for n, change in enumerate(changes):
        part = share(progress, n, len(changes))
        part(0.0, f"repeat {n + 1} of {len(changes)}")
        try:
            result = again(change, part)
        except ValueError as error:
            failures.append(str(error))
            continue
        agrees = result.array == labels.array
        same += agrees
        index = np.flatnonzero(~agrees)
        differing.append((index, result.array.ravel()[index]))
    if not differing:
        raise ValueError(f"every repeat failed, the first because {failures[0]}")
    return same, differing, failures


def _judged(
    labels: LabelMap,
    same: npt.NDArray[np.uint8],
    differing: list[tuple[Array, Array]],
    failures: list[str],
    how: str,
    places: int,
) -> Volume:
    """Return the map, with bands, from how many of the results (itself too) are the ``same``."""
    count = len(differing) + 1
    differs = same < count
    wavers = bool(differs.any())
    notes = [] if wavers else [_unknown()]
    if failures:
        text = f"{len(failures)} of {len(differing) + len(failures)} repeats failed: {failures[0]}"
        notes.append(Finding(Severity.WARNING, "repeats_failed", text))
    block = bounding_block(differs | labels.mask(), (2, 2, 2)) or (slice(0, 1),) * 3
    agreement = same[block].astype(np.float32) / count
    start = [s.start for s in block][::-1]
    grid = labels.geometry.cropped(start, agreement.shape[::-1])
    doubtful = Volume(agreement, grid, AGREEMENT)
    numbers = _with_bands(labels, differing, how) if wavers else ()
    listed = review_next(doubtful, places)
    return Volume(agreement, grid, AGREEMENT, (*notes, *listed), numbers)


def _unknown() -> Finding:
    return Finding(
        Severity.WARNING,
        "doubt_unknown",
        "all repeats came out the same to the last voxel, so they tell nothing about this label",
        remedy="A label from a file or a hand alone cannot be repeated; draw it a second time",
    )


def _with_bands(
    labels: LabelMap, differing: list[tuple[Array, Array]], how: str
) -> tuple[Number, ...]:
    """Return the label's volumes in mL, from what all results share to what any of them holds.

    The range of the repeats' own volumes would be narrower than the doubt about the outline:
    what one repeat adds here and leaves out there cancels in its volume.
    """
    index = np.concatenate([i for i, _ in differing])
    other = np.concatenate([v for _, v in differing])
    here, voxel_ml = labels.array.ravel()[index], labels.geometry.voxel_ml
    values = {f"volume.{label.name}": value for value, label in labels.labels.items()}
    banded = []
    for number in labels.numbers:
        if number.quantity == "volume":
            lost, gained = (here != 0) & (other == 0), (here == 0) & (other != 0)
        elif number.quantity in values:
            value = values[number.quantity]
            lost, gained = here == value, (here != value) & (other == value)
        else:
            continue
        low = number.value - len(np.unique(index[lost])) * voxel_ml
        high = number.value + len(np.unique(index[gained])) * voxel_ml
        source = (
            f"{number.source}; band: from what the result and all of {how} share to what any of "
            "them holds, with cuts and alignments as they are; it shows how the method wavers, not "
            "its error against the truth"
        )
        banded.append(Number(number.quantity, number.value, number.unit, source, low, high))
    return tuple(banded)


def review_next(agreement: Volume, places: int = 8) -> tuple[Finding, ...]:
    """Return the places of a doubt map that are worth a look, the most doubtful volume first.

    A place is a connected region in which at least a fifth of the results disagree, blurred by
    a voxel: so speckle counts, and the shell of a voxel that every border has does not. Large
    regions are cut at their necks.
    """
    spread = ndimage.gaussian_filter(1.0 - agreement.array.astype(np.float32), 1.0)
    doubtful = spread >= DOUBTFUL
    if places == 0 or not doubtful.any():
        return ()
    spacing = np.asarray(agreement.geometry.spacing_kji_mm)
    smooth = ndimage.gaussian_filter(np.where(doubtful, spread, 0), BLUR_MM / spacing)
    reach = np.maximum(3, 2 * np.rint(BLUR_MM / spacing).astype(int) + 1)
    tops = doubtful & (ndimage.maximum_filter(smooth, tuple(reach)) == smooth)
    markers, count = ndimage.label(tops, np.ones((3, 3, 3)))
    basins = watershed(-smooth, markers, mask=doubtful)
    numbers = np.arange(1, count + 1)
    voxel_ml = agreement.geometry.voxel_ml
    volumes_ml = np.bincount(basins.ravel(), minlength=count + 1)[1:] * voxel_ml
    weights_ml = np.asarray(ndimage.sum(spread, basins, numbers)) * voxel_ml
    order = sorted(range(count), key=lambda n: -float(weights_ml[n]))
    kept = [n for n in order if volumes_ml[n] >= LEAST_ML][:places]
    middles = ndimage.maximum_position(smooth, basins, numbers)
    return tuple(
        _place(agreement, middles[n], float(volumes_ml[n]), float(weights_ml[n])) for n in kept
    )


def _place(
    agreement: Volume, voxel: tuple[int, int, int], volume_ml: float, weight_ml: float
) -> Finding:
    x, y, z = (float(v) for v in agreement.geometry.to_world(voxel[::-1]))
    part = 100 * weight_ml / volume_ml
    text = f"{volume_ml:.2g} mL here are in doubt: {part:.0f} % of the results disagree on average"
    return Finding(Severity.INFO, REVIEW_NEXT, text, (x, y, z))
