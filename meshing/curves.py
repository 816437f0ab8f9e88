"""Curves in space: resampled, smoothed, and their curvature, torsion and tortuosity.

Points are (x, y, z) in DICOM patient LPS millimetres, in order along the curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STRAIGHT_PER_MM = 1e-3  # less curvature than this has no plane, hence no torsion
PINNED = 30.0  # weight of the first and last point, which stay where they are


def arc_length_mm(points_mm: Floats) -> Floats:
    """Return the length in mm from the first point to each."""
    steps = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def resampled(points_mm: Floats, step_mm: float, *, least: int = 5) -> Floats:
    """Return points at equal distances, ``step_mm`` or a little less, ends included."""
    length = arc_length_mm(points_mm)
    count = max(int(np.ceil(length[-1] / step_mm)) + 1, least)
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, points_mm[:, n]) for n in range(3)], axis=1)


@dataclass(frozen=True, eq=False)
class LocalFit:
    """Position (n, 3) and its derivatives by arc length, of a cubic fitted around each point."""

    points_mm: Floats
    first: Floats
    second: Floats
    third: Floats

    @property
    def tangents(self) -> Floats:
        """Unit vectors along the curve."""
        return unit(self.first)


def unit(vectors: Floats) -> Floats:
    """Return vectors (..., 3) of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def local_fit(points_mm: Floats, window_mm: Floats, weights: Floats | None = None) -> LocalFit:
    """Fit a cubic in arc length to the points within ``window_mm`` (n,) on either side of each.

    Tricube weights (Cleveland, J Am Stat Assoc 74 (1979) 829), times ``weights``; the ends are
    pinned. A window that holds fewer than seven points is widened to them.
    """
    count = len(points_mm)
    length = arc_length_mm(points_mm)
    step = max(length[-1] / (count - 1), 1e-9)
    half = np.maximum(window_mm, 3.5 * step)
    # One-sided windows at the ends reach farther, so that as many points count there.
    half = half + np.maximum(half - np.minimum(length, length[-1] - length), 0) / 2
    reach = min(int(np.ceil(half.max() / step)) + 1, count - 1)
    start = np.clip(np.arange(count) - reach, 0, count - 1)
    which = np.clip(start[:, None] + np.arange(2 * reach + 1), 0, count - 1)
    fresh = (start[:, None] + np.arange(2 * reach + 1)) < count
    away = length[which] - length[:, None]
    weight = np.clip(1 - np.abs(away / half[:, None]) ** 3, 0, None) ** 3 * fresh
    own = np.ones(count) if weights is None else weights.copy()
    own[[0, -1]] = PINNED
    weight = weight * own[which]
    scaled = away / half[:, None]
    powers = scaled[..., None] ** np.arange(4)
    normal = np.einsum("nw,nwa,nwb->nab", weight, powers, powers)
    normal += 1e-9 * np.eye(4)
    right = np.einsum("nw,nwa,nwx->nax", weight, powers, points_mm[which] - points_mm[:, None])
    fit = np.linalg.solve(normal, right)
    scale = half[:, None]
    fitted = points_mm + fit[:, 0]
    fitted[[0, -1]] = points_mm[[0, -1]]
    return LocalFit(fitted, fit[:, 1] / scale, 2 * fit[:, 2] / scale**2, 6 * fit[:, 3] / scale**3)


def curvature_and_torsion(points_mm: Floats, window_mm: Floats) -> tuple[Floats, Floats]:
    """Return curvature and torsion, both (n,) in 1/mm, by the formulas of Frenet and Serret.

    Curvature is |r' x r''| / |r'|^3, torsion (r' x r'') . r''' / |r' x r''|^2; where the curve
    is straight, torsion is 0.
    """
    fit = local_fit(points_mm, window_mm)
    cross = np.cross(fit.first, fit.second)
    size = np.linalg.norm(cross, axis=1)
    speed = np.maximum(np.linalg.norm(fit.first, axis=1), 1e-9)
    curvature = size / speed**3
    bent = curvature > STRAIGHT_PER_MM
    torsion = np.einsum("ni,ni->n", cross, fit.third) / np.where(bent, size, 1.0) ** 2
    return curvature, np.where(bent, torsion, 0.0)


@dataclass(frozen=True)
class Tortuosity:
    """How far a curve is from straight.

    Attributes:
        length_mm: along the curve.
        chord_mm: from end to end.
        index: length / chord - 1 (the distance metric less one: Bullitt et al., IEEE Trans Med
            Imaging 22 (2003) 1163); 0 is straight. None for a ring, which has no chord.
        sum_of_angles_per_mm: total turning over length, in radians per mm (ibid.).
        mean_square_curvature_per_mm2: integral of the squared curvature over length (Hart et
            al., Int J Med Inform 53 (1999) 239).
    """

    length_mm: float
    chord_mm: float
    index: float | None
    sum_of_angles_per_mm: float
    mean_square_curvature_per_mm2: float


def tortuosity(points_mm: Floats, window_mm: Floats) -> Tortuosity:
    """Return how tortuous a curve is; ``window_mm`` (n,) is what its bends are seen at."""
    length = arc_length_mm(points_mm)
    total = float(length[-1])
    chord = float(np.linalg.norm(points_mm[-1] - points_mm[0]))
    fit = local_fit(points_mm, window_mm)
    speed = np.maximum(np.linalg.norm(fit.first, axis=1), 1e-9)
    curvature = np.linalg.norm(np.cross(fit.first, fit.second), axis=1) / speed**3
    mean = float(np.trapezoid(curvature, length)) / max(total, 1e-9)
    square = float(np.trapezoid(curvature**2, length)) / max(total, 1e-9)
    index = total / chord - 1 if chord > 1e-3 * total else None
    return Tortuosity(total, chord, index, mean, square)
