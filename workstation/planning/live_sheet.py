"""A bent sheet while a hand moves its control points.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.proposal import Floats

GRID = 48  # places of a sheet along each side, whose tangents stand for it


class Bend:
    """A sheet's shares in the heights of samples, so that a moved control point costs one row."""

    def __init__(
        self, sheet: Sheet, points: Floats, along: npt.NDArray[np.float32], origin: Floats
    ) -> None:
        self._frame = _frame(sheet)
        self._weights = np.ascontiguousarray(sheet.weights(points).T, np.float32)
        self._heights = np.zeros(self._weights.shape[0])
        offset = np.float32((np.asarray(sheet.point_mm) - origin) @ np.asarray(sheet.normal))
        self._levels = along - offset
        share = np.linspace(-1, 1, GRID)
        flat = np.stack(np.meshgrid(share, share), -1).reshape(-1, 2) * sheet.reach_mm
        self._flat = sheet.point_mm + flat @ sheet.axes
        self._flat_weights = sheet.weights(self._flat)

    def fits(self, sheet: Sheet) -> bool:
        """Tell whether only heights differ."""
        return _frame(sheet) == self._frame

    def levels(self, sheet: Sheet) -> npt.NDArray[np.float32]:
        """Return how far the samples lie over a sheet."""
        heights = np.asarray(sheet.heights_mm).ravel()
        for n in np.flatnonzero(heights != self._heights):
            self._levels -= self._weights[n] * np.float32(heights[n] - self._heights[n])
        self._heights = heights
        return self._levels

    def signed_mm(self, sheet: Sheet, points_mm: Floats) -> Floats:
        """Return the signed distances in mm of points (n, 3) from a sheet."""
        places, normals = self.tangents(sheet)
        at = cKDTree(places).query(points_mm)[1]
        away = np.abs(np.einsum("ij,ij->i", points_mm - places[at], normals[at]))
        return np.asarray(np.where(sheet.side_mm(points_mm) >= 0, away, -away))

    def tangents(self, sheet: Sheet) -> tuple[Floats, Floats]:
        """Return places (n, 3) of a sheet and its normals there."""
        heights = self._flat_weights @ np.asarray(sheet.heights_mm).ravel()
        normal = np.asarray(sheet.normal)
        places = self._flat + heights[:, None] * normal
        step = 2 * np.asarray(sheet.reach_mm) / (GRID - 1)
        rise, slope = np.gradient(heights.reshape(GRID, GRID), step[1], step[0])
        u, v = sheet.axes
        normals = normal - slope.reshape(-1, 1) * u - rise.reshape(-1, 1) * v
        return places, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _frame(sheet: Sheet) -> tuple[object, ...]:
    size = len(sheet.heights_mm), len(sheet.heights_mm[0])
    return sheet.point_mm, sheet.normal, sheet.along, sheet.reach_mm, size
