"""How well a label agrees with a reference: overlap, surface distance, volume.

All distances are in mm in the true voxel spacing. A surface is the set of centres of the label
voxels that touch, by a face, background or the edge of the image; a distance runs from each
centre of one surface to the nearest of the other. So a cube moved by one voxel has a maximum
distance of exactly the spacing. Definitions follow Maier-Hein et al., "Metrics reloaded",
Nature Methods 21 (2024) 195-212.

Empty masks: two empty masks agree (overlap 1, distance 0, error 0). If only one is empty the
overlap is 0 and every distance infinite; a volume error against an empty reference is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.volume import (
    Array,
    Floats,
    LabelMap,
    bounding_block,
    require_same_grid,
)

Mask = npt.NDArray[np.bool_]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from each surface point of one label to the other's surface.

    ``forward_mm`` runs from the reference to the result, ``backward_mm`` the other way; both
    are empty if both labels are, and hold infinities if only one is.
    """

    forward_mm: Floats
    backward_mm: Floats

    @property
    def both_mm(self) -> Floats:
        """All distances of both directions."""
        return np.concatenate([self.forward_mm, self.backward_mm])

    @property
    def mean_mm(self) -> float:
        """The average symmetric surface distance in mm: mean over all points of both surfaces."""
        return float(self.both_mm.mean()) if self.both_mm.size else 0.0

    @property
    def maximum_mm(self) -> float:
        """The Hausdorff distance in mm."""
        return float(self.both_mm.max()) if self.both_mm.size else 0.0

    @property
    def hausdorff95_mm(self) -> float:
        """The larger of the two directed 95th percentiles in mm."""
        parts = [d for d in (self.forward_mm, self.backward_mm) if d.size]
        return max((float(np.percentile(d, 95, method="inverted_cdf")) for d in parts), default=0.0)

    def within(self, tolerance_mm: float) -> float:
        """Return the share (0 to 1) of all surface points no farther than the tolerance."""
        return float((self.both_mm <= tolerance_mm + 1e-9).mean()) if self.both_mm.size else 1.0


def dice(reference: LabelMap, result: LabelMap, label: int | str | None = None) -> float:
    """Return the Dice coefficient, 0 to 1, of one label or of all labels as one mask.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if a map has no label of that name.
    """
    return _dice(*_masks(reference, result, label)[:2])


def surface_distances_mm(
    reference: LabelMap, result: LabelMap, label: int | str | None = None
) -> SurfaceDistances:
    """Return the distances in mm between the surfaces of one label, or of all as one mask.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if a map has no label of that name.
    """
    return _distances(*_masks(reference, result, label))


def hausdorff95_mm(reference: LabelMap, result: LabelMap, label: int | str | None = None) -> float:
    """Return the 95th percentile Hausdorff distance in mm; see `SurfaceDistances`."""
    return surface_distances_mm(reference, result, label).hausdorff95_mm


def surface_dice(
    reference: LabelMap,
    result: LabelMap,
    label: int | str | None = None,
    *,
    tolerance_mm: float = 1.0,
) -> float:
    """Return the share (0 to 1) of both surfaces that agrees within the tolerance in mm."""
    return surface_distances_mm(reference, result, label).within(tolerance_mm)


def volume_ml(labels: LabelMap, label: int | str | None = None) -> float:
    """Return the volume in mL: voxel count times voxel volume."""
    return labels.volume_ml(label)


def volume_error_percent(
    reference: LabelMap, result: LabelMap, label: int | str | None = None
) -> float:
    """Return by how much the result is too large (positive) or too small, in % of the reference."""
    one, other, _ = _masks(reference, result, label)
    return _volume_error(one, other)


def centerline_dice(reference: LabelMap, result: LabelMap, label: int | str | None = None) -> float:
    """Return clDice, 0 to 1: the harmonic mean of how much of each skeleton the other covers.

    For vessels and other trees, where overlap hides a broken branch. Shit et al., "clDice: a
    novel topology-preserving loss function for tubular structure segmentation", CVPR 2021.
    """
    return _centerline_dice(*_masks(reference, result, label)[:2])


def compare(
    reference: LabelMap,
    result: LabelMap,
    *,
    label: str = "",
    tolerance_mm: Annotated[float, Gt(0)] = 1.0,
    centerline: bool = True,
    progress: Progress = silent,
) -> Measurements:
    """Compare a segmentation with a reference.

    Args:
        reference: the labels taken as true.
        result: the labels to judge, on the same voxel grid.
        label: name of the one label to compare; empty takes all labels as one mask.
        tolerance_mm: surfaces closer than this agree, for surface Dice (mm).
        centerline: also compare centrelines (clDice), which is for vessels and takes half a
            minute on a large solid organ.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the grids differ.
        ValueError: if a map has no label of that name.
    """
    progress(0.0, "comparing volumes")
    one, other, spacing = _masks(reference, result, label or None)
    volumes = [float(np.count_nonzero(m)) * reference.geometry.voxel_ml for m in (one, other)]
    overlap, error = _dice(one, other), _volume_error(one, other)
    progress(0.2, "measuring surface distances")
    surface = _distances(one, other, spacing)
    progress(0.4, "comparing centrelines")
    lines = _centerline_dice(one, other) if centerline else float("nan")
    progress(1.0, "done")
    both = "all surface voxel centres of both"
    found = (
        ("dice", overlap, "", "2 |A and B| / (|A| + |B|), voxels"),
        ("surface_dice", surface.within(tolerance_mm), "", f"{both}, {tolerance_mm:g} mm"),
        ("centerline_dice", lines, "", "clDice on three-dimensional skeletons"),
        ("hausdorff95", surface.hausdorff95_mm, "mm", "larger directed 95th percentile"),
        ("hausdorff", surface.maximum_mm, "mm", f"maximum over {both}"),
        ("mean_surface_distance", surface.mean_mm, "mm", f"mean over {both}"),
        ("volume_reference", volumes[0], "mL", "voxel count x voxel volume"),
        ("volume", volumes[1], "mL", "voxel count x voxel volume"),
        ("volume_error", error, "%", "(result - reference) / reference"),
    )
    numbers = tuple(Number(*each) for each in found if np.isfinite(each[1]))
    return Measurements(numbers, _emptiness(one, other))


def _masks(
    reference: LabelMap, result: LabelMap, label: int | str | None
) -> tuple[Mask, Mask, Vector]:
    """Return both masks cropped to the block around them, and the spacing (k, j, i) in mm."""
    require_same_grid(reference, result)
    one, other = reference.mask(label), result.mask(label)
    block = bounding_block(one | other) or (slice(0), slice(0), slice(0))
    return one[block], other[block], reference.geometry.spacing_kji_mm


def _dice(one: Mask, other: Mask) -> float:
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * float(np.count_nonzero(one & other)) / float(total) if total else 1.0


def _volume_error(one: Mask, other: Mask) -> float:
    wanted, got = float(np.count_nonzero(one)), float(np.count_nonzero(other))
    if wanted == 0.0:
        return 0.0 if got == 0.0 else float("inf")
    return 100 * (got - wanted) / wanted


def _centerline_dice(one: Mask, other: Mask) -> float:
    if not one.any() or not other.any():
        return 1.0 if one.any() == other.any() else 0.0
    first, second = skeletonize(one), skeletonize(other)
    precision = float(other[first].mean()) if first.any() else 0.0
    recall = float(one[second].mean()) if second.any() else 0.0
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _surface_mm(mask: Mask, spacing: Vector) -> Array:
    inner = ndimage.binary_erosion(mask)
    return np.asarray(np.argwhere(mask & ~inner) * np.asarray(spacing))


def _distances(one: Mask, other: Mask, spacing: Vector) -> SurfaceDistances:
    first, second = _surface_mm(one, spacing), _surface_mm(other, spacing)
    if not len(first) or not len(second):
        infinite = (np.full(len(part), np.inf) for part in (first, second))
        return SurfaceDistances(*infinite)
    forward, _ = cKDTree(second).query(first)
    backward, _ = cKDTree(first).query(second)
    return SurfaceDistances(np.asarray(forward), np.asarray(backward))


def _emptiness(one: Mask, other: Mask) -> tuple[Finding, ...]:
    if one.any() and other.any():
        return ()
    if one.any() or other.any():
        which = "result" if one.any() else "reference"
        sentence = f"the {which} is empty: distances are infinite and are left out"
        return (Finding(Severity.WARNING, "empty_label", sentence),)
    sentence = "reference and result are both empty, which counts as agreement"
    return (Finding(Severity.WARNING, "empty_label", sentence),)
