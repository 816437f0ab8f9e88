"""The lower border of a mandible from the points of its surface.

Points are DICOM patient LPS millimetres: x to the patient's left, y back, z up.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from meshing.curves import arc_length_mm
from segmentation.volume import Floats

STEP_MM = 0.5
"""Between the points of a border."""

SECTOR_DEGREES = 3.0
ROUNDS = 4
STEEP = 1.0
"""A border that rises more than this over its length has left the body for the ramus."""

LOW_SHARE = 0.45
"""Of the mandible's height, in which its body is looked for."""


def unit(vector: Floats) -> Floats:
    """Return a vector of length 1."""
    return np.asarray(vector / np.linalg.norm(vector))


def along(line: Floats, share: float) -> Floats:
    """Return the point (1, 3) at a share of the length of a line."""
    length = arc_length_mm(line)
    at = share * length[-1]
    return np.array([[np.interp(at, length, line[:, a]) for a in range(3)]])


def evenly(line: Floats, step_mm: float = STEP_MM) -> Floats:
    """Return points (n, 3) along a line, evenly spaced, both ends included."""
    length = arc_length_mm(line)
    at = np.linspace(0.0, length[-1], max(round(length[-1] / step_mm), 2) + 1)
    return np.stack([np.interp(at, length, line[:, a]) for a in range(3)], axis=1)


def smoothed(points: Floats, sigma_mm: float) -> Floats:
    """Return an even line through points, smoothed by a bell; both ends stay where they are."""
    line = evenly(points)
    if sigma_mm <= 0:
        return line
    sigma = sigma_mm / STEP_MM
    reach = min(int(3 * sigma), len(line) - 1)
    longer = np.concatenate([2 * line[0] - line[reach:0:-1], line,
                             2 * line[-1] - line[-2 : -reach - 2 : -1]])  # fmt: skip
    done = gaussian_filter1d(longer, sigma, axis=0, mode="nearest")[reach : reach + len(line)]
    return evenly(done)


def border_of(points_mm: Floats, smooth_mm: float) -> tuple[Floats, Floats]:
    """Return the lower border (n, 3) of a mandible from angle to angle, and its way up.

    Seen from above, sectors about the middle between both rami are searched for their lowest
    point; the way up is then turned across the border that was found, and the search repeated.

    Raises:
        ValueError: if too few sectors show bone.
    """
    up = np.array([0.0, 0.0, 1.0])
    for _ in range(ROUNDS):
        line = _lowest(points_mm, up)
        if len(line) < 10:
            raise ValueError(
                "no lower border is found on this mandible; pick points along it (path_mm)"
            )
        normal = np.linalg.svd(line - line.mean(axis=0), full_matrices=False)[2][2]
        up = normal * np.sign(normal[2])
    return smoothed(line, smooth_mm), np.asarray(up)


def _lowest(points: Floats, up: Floats) -> Floats:
    """Return the lowest point in each sector from the right angle to the left one."""
    left = unit(np.array([1.0, 0.0, 0.0]) - up[0] * up)
    front = np.cross(left, up)
    x, y, z = points @ left, points @ front, points @ up
    low = z < z.min() + LOW_SHARE * np.ptp(z)
    middle = (x[low].min() + x[low].max()) / 2
    back = float(y[low].min())
    bearing = np.degrees(np.arctan2(x - middle, y - back))
    found = []
    for start in np.arange(-90.0, 90.0, SECTOR_DEGREES):
        inside = np.flatnonzero(low & (bearing >= start) & (bearing < start + SECTOR_DEGREES))
        if len(inside):
            found.append(inside[z[inside].argmin()])
    line = points[found]
    return _without_rami(line, line @ up)


def _without_rami(line: Floats, height: Floats) -> Floats:
    """Return a border without the ends that climb steeply."""
    flat = np.linalg.norm(np.diff(line, axis=0), axis=1)
    rise = np.abs(np.diff(height)) > STEEP / np.sqrt(1 + STEEP**2) * flat
    middle = len(line) // 2
    before, after = np.flatnonzero(rise[:middle]), np.flatnonzero(rise[middle:])
    first = int(before[-1]) + 1 if len(before) else 0
    last = middle + int(after[0]) if len(after) else len(line) - 1
    return line[first : last + 1]
