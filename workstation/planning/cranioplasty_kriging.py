"""Values on the vault of a skull, such as how far out bone is, continued where they are not known.

A value is a trend and variations about it that are alike in neighbouring directions; some of the
variations are the same on both sides of the mid-sagittal plane. What is expected where nothing is
known is the best linear unbiased prediction, that is universal kriging (Matheron, "The intrinsic
random functions and their applications", 1973), with Matern's covariance of smoothness 3/2 of the
chord between two directions. Away from what is known it comes back to the trend, so that a slope
next to a hole is not carried on across it. Directions are unit vectors, LPS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import linalg

from segmentation.volume import Floats
from workstation.planning.cranioplasty_rays import mirrored

Trend = Literal["level", "bent"]
"""One value everywhere; or of second degree in the directions, alike on both sides but for a tilt.
"""


@dataclass(frozen=True)
class Variation:
    """A part of what values vary by.

    Attributes:
        size_mm: its standard deviation.
        reach: the length of its covariance, as a chord of the unit sphere.
        alike: whether it is the same on both sides of the mid-sagittal plane.
    """

    size_mm: float
    reach: float
    alike: bool = False


@dataclass(frozen=True)
class Model:
    """How values vary, and by how much (mm) a single one is off."""

    variations: tuple[Variation, ...]
    noise_mm: float
    trend: Trend


@dataclass(frozen=True, eq=False)
class Known:
    """Directions (n, 3) with their values in mm (n,)."""

    directions: Floats
    values_mm: Floats


def joined(*parts: Known) -> Known:
    """Return all that is known."""
    return Known(
        np.concatenate([part.directions for part in parts]),
        np.concatenate([part.values_mm for part in parts]),
    )


def continued(known: Known, wanted: Floats, model: Model, normal: Floats, up: Floats) -> Floats:
    """Return the values in mm that are expected in directions (n, 3).

    ``normal`` is that of the mid-sagittal plane and ``up`` the way up in it. Time grows with the
    third power of what is known: take some thousand directions at most.
    """
    covariance = _covariance(known.directions, known.directions, model, normal)
    covariance[np.diag_indices(len(covariance))] += model.noise_mm**2
    factor = linalg.cho_factor(covariance, lower=True, overwrite_a=True)
    trend = _trend(known.directions, model.trend, normal, up)
    solved = linalg.cho_solve(factor, trend)
    weights = linalg.lstsq(trend.T @ solved, solved.T @ known.values_mm)[0]
    left = linalg.cho_solve(factor, known.values_mm - trend @ weights)
    expected = _trend(wanted, model.trend, normal, up) @ weights
    return np.asarray(expected + _covariance(wanted, known.directions, model, normal) @ left)


def _trend(directions: Floats, trend: Trend, normal: Floats, up: Floats) -> Floats:
    """Return the functions that a trend is made of, in directions, [direction, function]."""
    one = np.ones(len(directions))
    if trend == "level":
        return one[:, None]
    front, high = directions @ np.cross(normal, up), directions @ up
    return np.column_stack([one, front, high, front**2, high**2, front * high, directions @ normal])


def _covariance(one: Floats, other: Floats, model: Model, normal: Floats) -> Floats:
    """Return covariances in mm2 of values in directions, [one, other]."""
    straight = _chords(one, other)
    total = np.zeros_like(straight)
    for part in model.variations:
        size = part.size_mm**2 / (2 if part.alike else 1)
        total += size * _matern(straight, part.reach)
    alike = [part for part in model.variations if part.alike]
    across = _chords(one, mirrored(other, normal)) if alike else straight
    for part in alike:
        total += part.size_mm**2 / 2 * _matern(across, part.reach)
    return total


def _chords(one: Floats, other: Floats) -> Floats:
    chords = one @ other.T
    np.multiply(chords, -2.0, out=chords)
    chords += 2.0
    return np.asarray(np.sqrt(np.maximum(chords, 0.0, out=chords), out=chords))


def _matern(chords: Floats, reach: float) -> Floats:
    scaled = chords * (-np.sqrt(3.0) / reach)
    shared = np.exp(scaled)
    np.subtract(1.0, scaled, out=scaled)
    shared *= scaled
    return np.asarray(shared)
