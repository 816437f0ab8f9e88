"""The patient in a CT, without table, air and clothes, and the level of the soft tissue.

Everything here and in the modules built on it looks at slices across the body. `across` turns
an array so that its first axis runs along the body, whatever way the scanner stored it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy import ndimage

from segmentation.abdomen import GAS_HU, Image, Mask, disk
from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.operations import with_volume
from segmentation.volume import Array, ImageGeometry, LabelMap, Volume

PREVIEW_MM = 3.0  # finds the body in a second and keeps a finger
TABLE_MM = 5.0  # table tops, tubes and folds of cloth are thinner than twice this
FOAM_HU = -200.0  # mean below which a piece is a mattress and not a limb
LEAST_ML = 20.0  # a smaller piece is no part of the patient
CUT_SHARE = 0.5  # of the slices reach a side: the image was cropped to the trunk
PADDING_HU = -1024.0  # values below it fill what the scanner did not see
USUAL_SOFT_HU = 40.0


class NotThisModality(ValueError):
    """The stage needs another kind of image."""


@dataclass(frozen=True, eq=False)
class Preview:
    """Means over blocks of voxels; arrays are [k, j, i] with k along the body.

    Attributes:
        hu: the means in HU, float32.
        spacing_mm: the spacing along the axes of ``hu``.
        factor: voxels of the (turned) image that one cell spans, per axis.
    """

    hu: Image
    spacing_mm: tuple[float, float, float]
    factor: tuple[int, int, int]

    @property
    def cell_ml(self) -> float:
        """The volume of one cell in mL."""
        return float(np.prod(self.spacing_mm)) / 1000

    def cells(self, length_mm: float) -> tuple[int, int, int]:
        """Return a length as whole numbers of cells per axis."""
        k, j, i = (round(length_mm / s) for s in self.spacing_mm)
        return k, j, i

    def to_image(self, mask: Array, shape: tuple[int, ...]) -> Array:
        """Return ``mask`` with every cell repeated over the voxels that it spans."""
        for axis, (n, size) in enumerate(zip(self.factor, shape)):
            mask = np.repeat(mask, n, axis=axis).take(range(size), axis)
        return mask


def require_ct(volume: Volume) -> None:
    """Raise unless the image holds HU.

    Raises:
        NotThisModality: saying what it holds instead.
    """
    if volume.quantity != "HU":
        raise NotThisModality(
            f"this needs a CT in HU, but the image holds {volume.quantity}; choose a CT series"
        )
    # A file without a header for it counts as HU; a CT shows air or fat somewhere.
    if volume.array.min() > -50:
        raise NotThisModality(
            f"this needs a CT in HU, but the lowest value of the image is {volume.array.min():g} "
            "and a CT shows air or fat; choose a CT series"
        )


def along_body(geometry: ImageGeometry) -> int:
    """Return the array axis that runs closest to the feet-head direction."""
    return 2 - int(np.abs(geometry.axes[2]).argmax())


def across(array: Array, geometry: ImageGeometry) -> tuple[Array, tuple[float, float, float]]:
    """Return a view of ``array`` whose first axis runs along the body, and its spacing in mm."""
    axis = along_body(geometry)
    spacing = list(geometry.spacing_kji_mm)
    spacing.insert(0, spacing.pop(axis))
    return np.moveaxis(array, axis, 0), (spacing[0], spacing[1], spacing[2])


def back(array: Array, geometry: ImageGeometry) -> Array:
    """Undo `across`."""
    return np.ascontiguousarray(np.moveaxis(array, 0, along_body(geometry)))


def preview(array: npt.NDArray[Any], spacing_mm: tuple[float, ...], step_mm: float) -> Preview:
    """Return the means of an image over blocks of about ``step_mm``, which never get smaller."""
    k, j, i = (max(1, int(step_mm / s + 0.25)) for s in spacing_mm)
    factor = (k, j, i)
    rows = np.arange(0, array.shape[0], factor[0])
    hu = np.empty((len(rows), *(-(-n // f) for n, f in zip(array.shape[1:], factor[1:]))))
    for n, row in enumerate(rows):  # slab by slab: no second copy of the scan
        slab = np.maximum(array[row : row + factor[0]], PADDING_HU).mean(axis=0, dtype=np.float32)
        for axis in (0, 1):
            starts = np.arange(0, slab.shape[axis], factor[axis + 1])
            counts = np.diff(np.append(starts, slab.shape[axis]))
            shape = (-1, 1) if axis == 0 else (1, -1)
            slab = np.add.reduceat(slab, starts, axis=axis) / counts.reshape(shape)
        hu[n] = slab
    spacing = tuple(s * f for s, f in zip(spacing_mm, factor))
    return Preview(hu.astype(np.float32), (spacing[0], spacing[1], spacing[2]), factor)


def body_in(coarse: Preview, dense_hu: float = -250.0) -> Mask:
    """Return the patient: dense pieces, their holes filled slice by slice, no table.

    Raises:
        ValueError: if nothing is denser than air.
    """
    dense = coarse.hu > dense_hu
    dense |= filled(dense) & _lung_like(coarse.hu, ~dense)
    radius = max(1, round(TABLE_MM / max(coarse.spacing_mm[1:])))
    pieces, count = ndimage.label(ndimage.binary_opening(dense, disk(radius)[None]))
    if count == 0:
        raise ValueError("there is no body in this scan: nothing in it is denser than air")
    numbers = np.arange(count + 1)
    sizes_ml = np.bincount(pieces.ravel(), minlength=count + 1) * coarse.cell_ml
    level = np.asarray(ndimage.median(coarse.hu, pieces, numbers))
    sizes_ml[0] = 0
    kept = (sizes_ml > LEAST_ML) & (level > FOAM_HU)
    kept[int(sizes_ml.argmax())] = True
    mask = kept[pieces]
    # Opening rounds off noses and fingers: give back what hangs on to the patient.
    near = ndimage.binary_dilation(mask, disk(radius)[None]) & dense
    mask = filled(mask | near)
    if side_share(mask) > CUT_SHARE:  # lungs may be open to the side of the image
        mask |= _lung_like(coarse.hu, ~mask) & (coarse.hu < dense_hu)
    return mask


def side_share(mask: Mask) -> float:
    """Return the largest share of slices in which ``mask`` reaches one side of the image."""
    sides = (mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1])
    return max(float(side.any(axis=1).mean()) for side in sides)


def _lung_like(hu: Image, gaps: Mask) -> Mask:
    """Return the gaps with some tissue in them: a thin chest wall must not open the lungs.

    Plain air between the patient and the table stays a gap.
    """
    gaps = gaps & (ndimage.uniform_filter(hu, (1, 3, 3)) > GAS_HU)
    return np.asarray(ndimage.binary_opening(gaps, disk(1)[None]))


def filled(mask: Mask) -> Mask:
    """Fill the holes of every slice."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def soft_level(hu: Image, body: Mask) -> float:
    """Return the typical level of muscle and organs in HU."""
    values = hu[body & (hu > 0) & (hu < 100)]
    return float(np.median(values)) if values.size > 50 else USUAL_SOFT_HU


def propose_skin(
    volume: Volume,
    *,
    lower_hu: Annotated[float, Ge(-800), Le(0)] = -300.0,
    progress: Progress = silent,
) -> LabelMap:
    """Propose the body with its skin as surface, from CT.

    The table, blankets and air are left out; lungs and bowel gas lie inside the body.

    Args:
        volume: CT in HU.
        lower_hu: what is denser belongs to the body; half way between air and fat.
        progress: told how far the work is.

    Raises:
        NotThisModality: if the image is not a CT.
        ValueError: if no body is in it.
    """
    require_ct(volume)
    hu, spacing = across(volume.array, volume.geometry)
    progress(0.0, "Looking for the body")
    coarse = preview(hu, spacing, PREVIEW_MM)
    body = body_in(coarse)
    near = coarse.to_image(ndimage.binary_dilation(body), hu.shape)
    inner = coarse.to_image(ndimage.binary_erosion(body, border_value=1), hu.shape)
    mask = np.empty(hu.shape, np.bool_)
    for k, plane in enumerate(hu):
        if k % 16 == 0:
            progress(0.4 + 0.5 * k / len(hu), "Placing the skin")
        dense = near[k] & (plane > lower_hu)
        mask[k] = ndimage.binary_fill_holes(dense | inner[k])
    pieces, count = ndimage.label(mask)
    held = np.bincount(pieces[inner], minlength=count + 1) > 0
    held[0] = False
    array = back(held[pieces], volume.geometry).view(np.uint8)
    labels = LabelMap(array, volume.geometry, {1: ANATOMY["skin"]})
    return with_volume(labels, labels.array, _at_edges(mask))


def _at_edges(mask: Mask) -> tuple[Finding, ...]:
    """Say where the body leaves the scan sideways."""
    share = side_share(mask)
    if share < 0.05:
        return ()
    return (
        Finding(
            Severity.WARNING,
            "body_cut",
            f"the body reaches the side of the image in {100 * share:.0f} % of the slices, so its "
            "skin is missing there",
            remedy="use a reconstruction with a larger field of view if the skin matters",
        ),
    )
