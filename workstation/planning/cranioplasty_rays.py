"""The skull's vault seen from a point inside: how far out bone begins and ends in each direction.

Directions lie on a chart: a square grid on which distance and bearing from its middle are true
(azimuthal equidistant projection). Space is DICOM patient LPS mm; maps are indexed [b, a].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.volume import Floats, ImageGeometry

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

NEAR_MM, FAR_MM, STEP_MM = 30.0, 130.0, 0.5
"""Along a ray: where the vault may begin and end, and the distance between samples."""

SPONGE_MM = 3.0
"""Marrow between the tables of the skull is no wider."""

BONE_MM = 16.0
"""The vault is no thicker."""

CAP_MM = 80.0
"""Height of the vault below the crown, to which a sphere is fitted."""

BATCH = 4000


class NoVault(ValueError):
    """What should be a skull has no vault that could be looked at from inside."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Directions around a middle one.

    Attributes:
        centre_mm: from where the directions lead.
        axes: rows are the unit directions a, b and the middle one (LPS).
        step: radians between neighbouring directions.
        half: cells from the middle to the border.
    """

    centre_mm: Floats
    axes: Floats
    step: float
    half: int

    @property
    def shape(self) -> tuple[int, int]:
        """How many directions there are, [b, a]."""
        return (2 * self.half + 1, 2 * self.half + 1)

    def polar(self) -> Floats:
        """Return the angle in radians of each direction off the middle one."""
        b, a = np.indices(self.shape) - self.half
        return np.asarray(np.hypot(a, b) * self.step)

    def directions(self) -> Floats:
        """Return the unit vectors, LPS, [b, a, 3]."""
        b, a = np.indices(self.shape) - self.half
        polar = np.maximum(self.polar(), 1e-9)
        out = np.sin(polar) * self.step / polar
        local = np.stack([a * out, b * out, np.cos(polar)], axis=-1)
        return np.asarray(local @ self.axes)

    def places(self, directions: Floats) -> Floats:
        """Return the fractional (b, a), shape (2, n), of directions (n, 3) that need no length."""
        local = directions @ self.axes.T
        across = np.hypot(local[:, 0], local[:, 1])
        polar = np.arctan2(across, local[:, 2])
        scale = polar / (np.maximum(across, 1e-9) * self.step)
        return np.asarray(np.stack([local[:, 1] * scale, local[:, 0] * scale]) + self.half)

    def cell_areas(self) -> Floats:
        """Return the solid angle of each direction's cell."""
        polar = np.maximum(self.polar(), 1e-9)
        return np.asarray(np.sin(polar) / polar * self.step**2)

    def cells(self, length_mm: float, radius_mm: float) -> float:
        """Return how many cells a length is, at a distance from the centre."""
        return length_mm / radius_mm / self.step


@dataclass(frozen=True, eq=False)
class Walls:
    """Distances in mm from the centre to bone's outer and inner side; NaN without bone."""

    outer: Floats
    inner: Floats


def chart_around(centre_mm: Floats, middle: Floats, reach: float, step: float) -> Chart:
    """Return the directions within ``reach`` radians of a middle one."""
    middle = middle / np.linalg.norm(middle)
    a = np.cross(middle, np.eye(3)[int(np.abs(middle).argmin())])
    a /= np.linalg.norm(a)
    return Chart(
        centre_mm, np.stack([a, np.cross(middle, a), middle]), step, int(np.ceil(reach / step))
    )


def walls(mask: Mask, geometry: ImageGeometry, centre_mm: Floats, directions: Floats) -> Walls:
    """Return where bone begins and ends along directions (..., 3)."""
    flat = directions.reshape(-1, 3)
    bone, radii = mask.view(np.uint8), np.arange(NEAR_MM, FAR_MM, STEP_MM)
    outer, inner = np.full(len(flat), np.nan), np.full(len(flat), np.nan)
    for start in range(0, len(flat), BATCH):
        part = slice(start, start + BATCH)
        points = centre_mm + flat[part, None, :] * radii[None, :, None]
        index = geometry.to_index(points)[..., ::-1]
        seen = ndimage.map_coordinates(
            bone, np.moveaxis(index, -1, 0), np.float32, order=1, prefilter=False
        )
        outer[part], inner[part] = _ends(seen)
    shape = directions.shape[:-1]
    return Walls(outer.reshape(shape), inner.reshape(shape))


def _ends(seen: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the outer and inner ends of the outermost bone on rays, [ray, sample]."""
    rays, count = seen.shape
    bone = seen >= 0.5
    last = np.asarray(count - 1 - bone[:, ::-1].argmax(axis=1), np.int64)
    row = np.arange(rays)
    first, gap, going = last.copy(), np.zeros(rays), np.ones(rays, np.bool_)
    for back in range(1, int(BONE_MM / STEP_MM)):
        place = np.maximum(last - back, 0)
        here = bone[row, place]
        first[going & here] = place[going & here]
        gap = np.where(here, 0, gap + 1)
        going &= gap * STEP_MM <= SPONGE_MM
    outer = last + _beyond(seen, row, last, np.minimum(last + 1, count - 1))
    inner = first - _beyond(seen, row, first, np.maximum(first - 1, 0))
    none = ~bone.any(axis=1)
    ends = [np.where(none, np.nan, NEAR_MM + STEP_MM * end) for end in (outer, inner)]
    return ends[0], ends[1]


def _beyond(seen: npt.NDArray[np.float32], row: Places, end: Places, next_: Places) -> Floats:
    """Return how far past its last sample bone goes, as a share of a step."""
    inside, outside = seen[row, end].astype(float), seen[row, next_].astype(float)
    return np.asarray(np.clip((inside - 0.5) / np.maximum(inside - outside, 1e-3), 0.0, 1.0))


def vault_centre(
    mask: Mask, geometry: ImageGeometry, point_mm: Floats, normal: Floats
) -> tuple[Floats, Floats]:
    """Return the middle of the vault and the way up, both in the mid-sagittal plane.

    The middle is that of the sphere that fits the upper part of the skull best, by least squares.

    Raises:
        NoVault: if there is no bone, or no sphere of a head's size fits.
    """
    up = np.array([0.0, 0.0, 1.0])
    up -= (up @ normal) * normal
    up /= np.linalg.norm(up)
    voxels = np.argwhere(mask)
    if len(voxels) < 1000:
        raise NoVault("there is hardly any bone; choose the label of the skull")
    voxels = voxels[:: max(1, len(voxels) // 60_000)]
    points = geometry.to_world(voxels[:, ::-1])
    height = points @ up
    cap = points[height > np.quantile(height, 0.999) - CAP_MM]
    system = np.column_stack([2 * cap, np.ones(len(cap))])
    found = np.linalg.lstsq(system, (cap**2).sum(axis=1), rcond=None)[0]
    centre = found[:3]
    radius = float(np.sqrt(max(found[3] + centre @ centre, 0.0)))
    if not 45.0 < radius < 125.0:
        raise NoVault(
            f"the upper part of the bone is no vault (a sphere of {radius:.0f} mm fits it best); "
            "choose the label of the skull, and a scan that shows the crown"
        )
    return np.asarray(centre - ((centre - point_mm) @ normal) * normal), up


def mirrored(directions: Floats, normal: Floats) -> Floats:
    """Return directions (..., 3) mirrored at a plane through the centre."""
    return np.asarray(directions - 2 * (directions @ normal)[..., None] * normal)


def disc(cells: float) -> Mask:
    """Return a round footprint of a radius in cells, one at least."""
    reach = max(1, round(cells))
    b, a = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    return np.asarray(a * a + b * b <= reach * reach)
