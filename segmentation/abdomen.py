"""Where things are in an abdominal CT: a coarse patient-aligned grid, body, lungs and spine.

Everything here works on a coarse grid whose axes are the patient's: arrays are [k, j, i] with k
towards the head, j towards the back and i towards the left. The order in which a scanner stored
its slices therefore never matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from segmentation.contract import Progress, share, silent
from segmentation.images import to_sitk
from segmentation.volume import ImageGeometry, Volume

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.floating[Any]]  # float32 wherever it is large

AIR_HU = -1024.0  # what lies outside the scan; padding values below it are raised to it
DENSEST_HU = 1500.0  # metal beyond this adds nothing
PREVIEW_MM = 6.0  # finds lungs and body in a whole-body scan in a second
WORK_MM = 2.5  # finer than the thinnest liver edge that a proposal must keep
ABOVE_BASE_MM = 130.0  # the dome stands above the lowest point of the lungs by up to this
BELOW_BASE_MM = 260.0  # a long right lobe ends above this
BODY_HU = -250.0  # between fat and air
AIR_BELOW_HU = -400.0  # between lung and soft tissue
GAS_HU = -945.0  # bowel gas is emptier than lung
USUAL_MUSCLE_HU = 55.0
BONE_HU = 180.0  # above soft tissue and most enhanced vessels after averaging to the work grid


@dataclass(frozen=True, eq=False)
class Abdomen:
    """A coarse CT of the trunk in patient axes, with its landmarks.

    Attributes:
        hu: float32 [k, j, i]; k grows towards the head, j towards the back, i towards the left.
        geometry: the grid of ``hu``: unit direction, isotropic.
        body: the patient without table and, where they lie apart, without arms.
        lung: both lungs as far as they are scanned.
        spine_i: the midline column of every slice, index units.
        spine_front_j: the front of the vertebral body of every slice, index units.
    """

    hu: Image
    geometry: ImageGeometry
    body: Mask
    lung: Mask
    spine_i: npt.NDArray[np.float64]
    spine_front_j: npt.NDArray[np.float64]

    @property
    def step_mm(self) -> float:
        """The voxel edge in mm."""
        return self.geometry.spacing_mm[0]

    @cached_property
    def muscle_hu(self) -> float:
        """The median level of the muscles behind the spine's front."""
        back = self.body & (self.front_mm() < -25) & (np.abs(self.right_mm()) < 60)
        muscle = self.hu[back & (self.hu > 0) & (self.hu < 100)]
        return float(np.median(muscle)) if muscle.size else USUAL_MUSCLE_HU

    def voxels(self, length_mm: float) -> int:
        """Return ``length_mm`` as a whole number of voxels, at least one."""
        return max(1, round(length_mm / self.step_mm))

    def right_mm(self) -> Image:
        """Return how far every column lies to the right of the spine, mm, [k, 1, i]."""
        i = np.arange(self.hu.shape[2])
        return ((self.spine_i[:, None] - i)[:, None, :] * self.step_mm).astype(np.float32)

    def front_mm(self) -> Image:
        """Return how far every row lies in front of the spine's front, mm, [k, j, 1]."""
        j = np.arange(self.hu.shape[1])
        return ((self.spine_front_j[:, None] - j)[:, :, None] * self.step_mm).astype(np.float32)


def read_abdomen(volume: Volume, *, progress: Progress = silent) -> Abdomen:
    """Return the coarse trunk around the lung bases of a CT in HU.

    Raises:
        ValueError: if the image is not a CT, or no body or no spine is in it.
    """
    if volume.quantity != "HU":
        raise ValueError(
            f"this needs a CT in HU, but the image holds {volume.quantity}; choose a CT series"
        )
    native = to_sitk(volume)
    preview = _landmarks(_coarse(native, PREVIEW_MM), volume.geometry.frame_uid)
    share(progress, 0, 2)(1.0, "Looking for the lungs")
    low, high = _trunk_mm(preview)
    coarse = _coarse(native, WORK_MM, low, high)
    share(progress, 1, 2)(0.3, "Looking for body and spine")
    return _landmarks(coarse, volume.geometry.frame_uid)


def _coarse(
    native: sitk.Image, step_mm: float, low_mm: float = -np.inf, high_mm: float = np.inf
) -> sitk.Image:
    """Average ``native`` to ``step_mm`` and align it with the patient between two z heights."""
    shrink = [max(1, int(step_mm / s + 0.25)) for s in native.GetSpacing()]
    shrink = [min(f, n) for f, n in zip(shrink, native.GetSize())]
    averaged = sitk.Clamp(sitk.BinShrink(native, shrink), sitk.sitkFloat32, AIR_HU, DENSEST_HU)
    size = native.GetSize()
    corners = np.array(
        [
            native.TransformContinuousIndexToPhysicalPoint((x, y, z))
            for x in (-0.5, size[0] - 0.5)
            for y in (-0.5, size[1] - 0.5)
            for z in (-0.5, size[2] - 0.5)
        ]
    )
    start, stop = corners.min(axis=0), corners.max(axis=0)
    start[2], stop[2] = max(start[2], low_mm), min(stop[2], high_mm)
    count = np.maximum(1, np.ceil((stop - start) / step_mm - 0.01)).astype(int)
    origin = start + (stop - start - (count - 1) * step_mm) / 2
    return sitk.Resample(
        averaged,
        [int(n) for n in count],
        sitk.Transform(),
        sitk.sitkLinear,
        [float(v) for v in origin],
        [step_mm] * 3,
        np.eye(3).ravel().tolist(),
        AIR_HU,
        sitk.sitkFloat32,
        True,  # the outermost half voxel belongs to the scan
    )


def _landmarks(coarse: sitk.Image, frame_uid: str) -> Abdomen:
    """Find body, lungs and spine on a coarse patient-aligned image."""
    geometry = ImageGeometry(
        coarse.GetSize(), coarse.GetSpacing(), coarse.GetOrigin(), coarse.GetDirection(), frame_uid
    )
    hu = sitk.GetArrayFromImage(coarse)
    step = geometry.spacing_mm[0]
    body = find_body(hu, step)
    spine_i, front_j = find_spine(hu, body, step)
    return Abdomen(hu, geometry, body, find_lung(hu, body, front_j, step), spine_i, front_j)


def find_body(hu: Image, step_mm: float) -> Mask:
    """Return the patient [k, j, i]: the largest dense piece, holes of each slice filled.

    Raises:
        ValueError: if nothing denser than air is there.
    """
    dense = _filled(hu > BODY_HU)  # before opening: a thin chest wall must not let the lungs out
    radius = max(1, round(6.0 / step_mm))  # cuts table tops and skin folds, keeps a wrist
    brush = disk(radius)[None]
    pieces, count = ndimage.label(ndimage.binary_opening(dense, brush))
    if count == 0:
        raise ValueError("there is no body in this scan: nothing in it is denser than air")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return _filled(pieces == sizes.argmax())


def _filled(mask: Mask) -> Mask:
    """Fill the holes of every axial slice."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def find_spine(
    hu: Image, body: Mask, step_mm: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the column of the midline and the row of the vertebral front, per slice.

    The spine is where bone, blurred to the size of a vertebra, is densest when all slices are
    laid over each other; each slice then looks near that place.

    Raises:
        ValueError: if there is no bone.
    """
    bone = ((hu > BONE_HU) & body).astype(np.float32)
    blurred = ndimage.gaussian_filter(bone, np.array([20.0, 12.0, 12.0]) / step_mm)
    rows = np.arange(hu.shape[1])
    middle = ndimage.gaussian_filter1d(np.median(_body_centre(body), axis=0), 1.0)
    central = np.abs(np.arange(hu.shape[2]) - middle[1]) * step_mm < 60  # spine, not ribs or arms
    behind = rows > middle[0] - 30 / step_mm
    total = blurred.sum(axis=0) * central[None, :] * behind[:, None]
    if total.max() <= 0:
        raise ValueError("there is no spine in this scan; a liver needs a CT of the abdomen")
    j0, i0 = np.unravel_index(int(total.argmax()), total.shape)
    reach = round(35 / step_mm)  # a scoliotic spine strays by this
    j_low, i_low = max(0, j0 - reach), max(0, i0 - reach)
    window = blurred[:, j_low : j0 + reach + 1, i_low : i0 + reach + 1]
    weight = window**2 + 1e-9
    columns = (weight.sum(axis=1) @ np.arange(weight.shape[2])) / weight.sum(axis=(1, 2)) + i_low
    spine_i = ndimage.gaussian_filter1d(columns, 25 / step_mm, mode="nearest")
    front = np.array([_front_row(b, i, int(j0), step_mm) for b, i in zip(bone, spine_i)])
    return spine_i, _smooth_known(front, 25 / step_mm, j0 - 25 / step_mm)


def _body_centre(body: Mask) -> npt.NDArray[np.float64]:
    """Return (row, column) of the middle of the body's box in every slice that shows it."""
    centres = []
    for plane in body:
        j, i = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if len(j):
            centres.append(((j[0] + j[-1]) / 2, (i[0] + i[-1]) / 2))
    return np.array(centres)


def _front_row(bone: Image, column: float, row: int, step_mm: float) -> float:
    """Return the frontmost row of bone on the midline around ``row``; NaN where there is none."""
    half = round(8 / step_mm)  # the flat front of a vertebral body is at least this wide
    strip = bone[:, max(0, round(column) - half) : round(column) + half + 1].mean(axis=1) > 0.5
    reach = round(45 / step_mm)
    low = max(0, row - reach)
    found = np.flatnonzero(strip[low : row + reach])
    return float(low + found[0]) if len(found) else np.nan


def _smooth_known(
    values: npt.NDArray[np.float64], sigma: float, default: float
) -> npt.NDArray[np.float64]:
    """Smooth a sequence with gaps over its known entries; ``default`` where none is near."""
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter1d(known.astype(float), sigma, mode="nearest") + 1e-6
    filled = ndimage.gaussian_filter1d(np.where(known, values, 0.0), sigma, mode="nearest")
    return np.asarray((filled + 1e-6 * default) / weight)


def find_lung(hu: Image, body: Mask, front_j: npt.NDArray[np.float64], step_mm: float) -> Mask:
    """Return the lungs: air with some tissue in it, behind the spine's front, at the scan's top.

    Eroding first keeps colon gas that touches the left lung apart.
    """
    air = (hu < AIR_BELOW_HU) & body
    airy = air & (ndimage.uniform_filter(hu, 3) > GAS_HU)
    times = max(1, round(5.0 / step_mm))
    pieces, count = ndimage.label(ndimage.binary_erosion(airy, iterations=times))
    voxel_ml = step_mm**3 / 1000
    behind = np.arange(hu.shape[1])[None, :] > front_j[:, None]
    lung = np.zeros_like(air)
    for number, block in enumerate(ndimage.find_objects(pieces, count), start=1):
        piece = pieces[block] == number
        size_ml = piece.sum() * voxel_ml
        at_top = block[0].stop >= hu.shape[0] - times - 1
        reaches_back = bool((piece.any(axis=2) & behind[block[0], block[1]]).any())
        if size_ml > 200 or (size_ml > 8 and at_top and reaches_back):
            lung[block] |= piece
    return np.asarray(ndimage.binary_dilation(lung, iterations=times + 1, mask=air))


def _trunk_mm(preview: Abdomen) -> tuple[float, float]:
    """Return the z heights, mm, between which a liver can lie."""
    z = preview.geometry.origin_mm[2] + np.arange(len(preview.hu)) * preview.step_mm
    slices = np.flatnonzero(preview.lung.any(axis=(1, 2)))
    if not len(slices):
        return z[-1] - ABOVE_BASE_MM - BELOW_BASE_MM, np.inf
    return z[slices[0]] - BELOW_BASE_MM, z[slices[0]] + ABOVE_BASE_MM


def disk(radius: int) -> Mask:
    """Return a filled disk [2 r + 1, 2 r + 1]."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius)
