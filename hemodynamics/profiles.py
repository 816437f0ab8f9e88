"""Velocity profiles of developed flow through a flat end of any shape.

Steady developed flow solves a Poisson equation on the section, and oscillating flow at the
angular frequency w solves (i w / nu - laplacian) u = 1 with u = 0 at the wall: Womersley's
solution (J Physiol 1955;127:553) where the section is round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import spsolve
from skimage.draw import polygon2mask

from meshing.mesh import SurfaceMesh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ACROSS = 80
"""Pixels across a section."""


@dataclass(frozen=True)
class Section:
    """A flat end as pixels.

    Attributes:
        origin_mm: LPS mm of pixel (0, 0).
        across, along: LPS unit vectors of the two directions of pixels.
        pixel_mm: their distance.
        inside: (n, m) what belongs to the end.
    """

    origin_mm: Floats
    across: Floats
    along: Floats
    pixel_mm: float
    inside: npt.NDArray[np.bool_]


def section_of(lumen: SurfaceMesh, name: str) -> Section:
    """Return the pixels of a named flat end of a lumen."""
    cells = lumen.triangles[lumen.boundaries[name]]
    points = lumen.points_mm
    corners = points[cells]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    across /= np.linalg.norm(across)
    along = np.cross(normal, across)
    flat = np.stack([points @ across, points @ along], axis=1)
    used = flat[np.unique(cells)]
    low, high = used.min(axis=0), used.max(axis=0)
    pixel = float((high - low).max()) / ACROSS
    low -= 2.0 * pixel
    shape = tuple(int(n) for n in np.ceil((high - low) / pixel).astype(int) + 3)
    inside = np.zeros(shape, bool)
    for triangle in (flat[cells] - low) / pixel:
        start = np.floor(triangle.min(axis=0)).astype(int)
        size = np.ceil(triangle.max(axis=0)).astype(int) - start + 1
        block = tuple(slice(s, s + n) for s, n in zip(start, size))
        inside[block] |= polygon2mask(tuple(size), triangle - start)
    origin = low[0] * across + low[1] * along + (corners[0, 0] @ normal) * normal
    return Section(origin, across, along, pixel, inside)


def developed(section: Section, rate_1_mm2: complex = 0.0) -> npt.NDArray[Any]:
    """Return the profile (n, m) of developed flow, of mean one over the section.

    ``rate_1_mm2`` is i w / nu for flow that oscillates with the angular frequency w; the
    profile is complex then, and real for steady flow.
    """
    inside = section.inside
    number = np.full(inside.shape, -1)
    count = int(np.count_nonzero(inside))
    number[inside] = np.arange(count)
    rows, columns = [], []
    for axis in (0, 1):
        for step in (-1, 1):
            beside = np.roll(number, step, axis)[inside]
            rows.append(np.flatnonzero(beside >= 0))
            columns.append(beside[beside >= 0])
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(row)), (row, column)), shape=(count, count))
    # The wall lies half-way to the missing neighbours: what stands there is minus the value here.
    missing = 4.0 - np.bincount(row, minlength=count)
    diagonal = 4.0 + missing + rate_1_mm2 * section.pixel_mm**2
    matrix = csc_array(diags_array(diagonal) - links)
    speed = spsolve(matrix, np.ones(count, matrix.dtype))
    profile = np.zeros(inside.shape, speed.dtype)
    profile[inside] = speed / speed.mean()
    return profile


def at(section: Section, profile: npt.NDArray[Any], points_mm: Floats) -> npt.NDArray[Any]:
    """Return the profile at LPS mm points (n, 3) of the section, 0 outside."""
    away = points_mm - section.origin_mm
    where = np.stack([away @ section.across, away @ section.along]) / section.pixel_mm
    if np.iscomplexobj(profile):
        real = map_coordinates(profile.real, where, order=1)
        return np.asarray(real + 1j * map_coordinates(profile.imag, where, order=1))
    return np.asarray(map_coordinates(profile, where, order=1))
