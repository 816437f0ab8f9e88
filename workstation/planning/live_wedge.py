"""Wedges around lesions while their margin or opening is changed.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.surface import isosurface
from segmentation.volume import LabelMap
from workstation.planning.cut_surface_stages import NO_TUMOR, lesions_for, wide_veins
from workstation.planning.proposal import Floats, holds, skin_of
from workstation.planning.wedge import cone_of

Bools = npt.NDArray[np.bool_]
Singles = npt.NDArray[np.float32]

WIDEST_MM = 50.0  # margin, beyond which no wedge goes
STEEPEST = float(np.tan(np.radians(60.0)))  # of a cone, from its axis


@dataclass(frozen=True)
class LiveWedge:
    """A wedge, as `cut_surface_stages.cut_wedge` cuts it."""

    margin_mm: float = 10.0
    opening_degrees: float = 30.0
    lesions: Literal["all", "largest"] = "all"
    spared_mm: float = 0.0
    open_to_surface: bool = True


class WedgeField:
    """What wedges around the same lesions share, whatever their margin and opening."""

    def __init__(
        self,
        liver: LabelMap,
        tumor: LabelMap | None,
        trees: Sequence[Centerline],
        lesions: str,
        spared_mm: float,
        samples_mm: Floats,
        rest_mm: Floats,
    ) -> None:
        """Prepare for samples (n, 3) of the organ and other places (m, 3), LPS mm.

        Raises:
            ValueError: if there is no tumour, or no tree of veins to spare.
        """
        parts = [] if tumor is None else lesions_for(tumor, lesions)
        skin = skin_of(liver)
        if not parts or skin is None or tumor is None:
            raise ValueError(NO_TUMOR)
        skins = [isosurface(part) for part in parts]
        nearest = cKDTree(np.concatenate([one.points_mm for one in skins]))
        cones = [cone_of(one.points_mm, skin.points_mm) for one in skins]
        self._radii = [cone.radius_mm for cone in cones]
        apart = nearest.query(samples_mm)[0]
        apart[np.any([holds(part, samples_mm) for part in parts], axis=0)] = 0.0
        self._apart = apart.astype(np.float32)
        self._cones: list[tuple[npt.NDArray[np.int32], Singles, Singles]] = []
        for cone in cones:
            ahead, beside = cone.places(samples_mm)
            reach = cone.radius_mm + WIDEST_MM + STEEPEST * ahead
            at = np.flatnonzero((ahead > 0) & (beside < reach)).astype(np.int32)
            self._cones.append((at, ahead[at].astype(np.float32), beside[at].astype(np.float32)))
        inside = np.any([holds(part, rest_mm) for part in parts], axis=0)
        depth = nearest.query(rest_mm)[0]
        self._rest_apart = np.where(inside, -depth, depth)
        self._rest_cones = [cone.places(rest_mm) for cone in cones]
        self._tube, self._rest_tube = None, None
        if spared_mm:
            axes, radius = wide_veins(trees, spared_mm)
            self._tube = ~_off(axes, radius, samples_mm, tumor)
            self._rest_tube = _tube(axes, radius, rest_mm)
            self._rest_tumor = holds(tumor, rest_mm)

    def __call__(self, cut: LiveWedge) -> tuple[Bools, Floats]:
        """Return which samples are removed, and signed distances of the other places."""
        slope = float(np.tan(np.radians(cut.opening_degrees / 2)))
        removed = self._apart <= np.float32(cut.margin_mm)
        level = cut.margin_mm - self._rest_apart
        both = zip(self._radii, self._cones, self._rest_cones)
        for radius, (at, ahead, beside), (far, aside) in both if cut.open_to_surface else ():
            wide = radius + cut.margin_mm
            removed[at[beside < np.float32(slope) * ahead + np.float32(wide)]] = True
            wall = (wide + far * slope - aside) / np.hypot(1.0, slope)
            level = np.maximum(level, np.minimum(wall, far))
        if self._tube is not None and self._rest_tube is not None:
            removed &= ~self._tube
            held = np.minimum(level, np.maximum(self._rest_tube, 0.0))
            level = np.where(self._rest_tumor, held, np.minimum(level, self._rest_tube))
        return removed, level


def _tube(axes: Floats, radius: Floats, points_mm: Floats) -> Floats:
    """Return how far points (n, 3) are from veins; negative inside."""
    if not len(axes):
        return np.full(len(points_mm), np.inf)
    apart, nearest = cKDTree(axes).query(points_mm)
    return np.asarray(apart - radius[nearest])


def _off(axes: Floats, radius: Floats, points_mm: Floats, tumor: LabelMap) -> Bools:
    """Tell which points (n, 3) lie outside veins, or in the tumour."""
    return (_tube(axes, radius, points_mm) >= 0) | holds(tumor, points_mm)
