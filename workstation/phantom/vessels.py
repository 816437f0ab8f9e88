"""The two venous trees of the synthetic liver: named branches through stated points.

Points are DICOM patient LPS in mm for the shipped patient; radii are at the branch ends.
Segments follow Couinaud.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

from segmentation.volume import Vector
from workstation.phantom.shapes import Ellipsoid, Path, Points

Branch = tuple[float, float, tuple[Vector, ...]]

PORTAL: dict[str, Branch] = {
    "trunk": (6.6, 6.4, ((4, 2, -34), (-10, -5, -17), (-22, -10, -3), (-32, -13, 10))),
    "right": (5.6, 5.2, ((-32, -13, 10), (-43, -10, 15), (-55, -6, 17))),
    "right anterior": (4.7, 4.3, ((-55, -6, 17), (-66, -16, 20), (-75, -25, 24))),
    "VIII": (3.9, 2.6, ((-75, -25, 24), (-80, -26, 40), (-82, -28, 58), (-80, -32, 70))),
    "VIII lateral": (3.0, 2.5, ((-80, -26, 42), (-94, -30, 50), (-104, -36, 52))),
    "V": (3.9, 2.6, ((-75, -25, 24), (-84, -38, 8), (-90, -46, -12), (-98, -48, -34))),
    "V medial": (3.0, 2.5, ((-85, -39, 6), (-80, -54, -4), (-74, -64, -16))),
    "V lateral": (2.9, 2.5, ((-90, -46, -12), (-106, -36, -16), (-118, -28, -22))),
    "right posterior": (4.7, 4.3, ((-55, -6, 17), (-64, 8, 16), (-72, 20, 14))),
    "VII": (3.9, 2.6, ((-72, 20, 14), (-76, 30, 28), (-80, 34, 44), (-82, 26, 60))),
    "VII lateral": (3.0, 2.5, ((-77, 31, 31), (-92, 36, 36), (-104, 30, 40))),
    "VI": (3.9, 2.6, ((-72, 20, 14), (-78, 22, -4), (-86, 18, -22), (-98, 12, -36))),
    "VI lateral": (2.9, 2.5, ((-86, 18, -22), (-102, 10, -20), (-117, 2, -18))),
    "left": (4.9, 4.5, ((-32, -13, 10), (-22, -22, 18), (-8, -32, 22), (2, -42, 24))),
    "umbilical": (4.6, 4.2, ((2, -42, 24), (6, -52, 26), (6, -62, 28))),
    "II": (3.6, 2.5, ((2, -42, 24), (14, -40, 28), (26, -44, 31), (39, -53, 33))),
    "III": (3.5, 2.5, ((6, -60, 28), (16, -68, 25), (26, -70, 26), (34, -70, 28))),
    "IV": (3.5, 2.5, ((6, -58, 27), (-8, -62, 24), (-22, -66, 16), (-36, -68, 8))),
    "IV superior": (3.0, 2.5, ((4, -50, 26), (-8, -48, 36), (-18, -46, 46))),
}

HEPATIC: dict[str, Branch] = {
    "right": (5.4, 4.4, ((-26, 4, 64), (-42, 9, 62), (-60, 8, 52), (-76, 6, 38), (-86, 3, 22))),
    "right inferior": (4.4, 2.6, ((-86, 3, 22), (-92, -4, 6), (-100, -10, -6), (-110, -12, -24))),
    "right superior": (3.2, 2.5, ((-60, 8, 52), (-74, 10, 60), (-90, 6, 58))),
    "right posterior": (3.2, 2.5, ((-86, 3, 22), (-98, 10, 20), (-110, 14, 14))),
    "middle": (5.0, 4.0, ((-26, 2, 64), (-33, -10, 60), (-42, -24, 50), (-50, -38, 38))),
    "middle right": (3.6, 2.5, ((-50, -38, 38), (-60, -50, 24), (-66, -58, 8), (-68, -54, -10))),
    "middle left": (3.4, 2.5, ((-50, -38, 38), (-46, -54, 30), (-44, -68, 24))),
    "middle VIII": (3.2, 2.5, ((-42, -24, 50), (-54, -30, 60), (-64, -40, 66))),
    "left": (4.6, 3.8, ((-24, 0, 63), (-16, -10, 56), (-4, -22, 50), (10, -35, 45))),
    "left lateral": (3.6, 2.5, ((8, -40, 48), (20, -54, 44), (30, -61, 41), (40, -65, 40))),
    "left medial": (3.2, 2.5, ((-4, -24, 51), (-6, -44, 48), (-6, -60, 42), (-14, -70, 36))),
}

Warp = Callable[[Points], Points]


def tree(branches: dict[str, Branch], warp: Warp, tumors: tuple[Ellipsoid, ...]) -> dict[str, Path]:
    """Return smooth paths through the branch points after ``warp`` (LPS mm to LPS mm).

    Branches bow around a tumour, as displaced vessels do, and keep 4 mm away from it.
    """
    return {name: _path(branch, warp, tumors) for name, branch in branches.items()}


def _path(branch: Branch, warp: Warp, tumors: tuple[Ellipsoid, ...]) -> Path:
    start, end, points = branch
    nodes = warp(np.asarray(points, float))
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    at = np.linspace(0, chord[-1], max(3, round(chord[-1] / 5)))
    line = CubicSpline(chord, nodes)(at)
    radius = np.linspace(start, end, len(line))
    for tumor in tumors:
        line = _pushed(line, radius, tumor)
    return Path(line, radius)


def _pushed(line: Points, radius: Points, tumor: Ellipsoid) -> Points:
    away = line - np.asarray(tumor.centre_mm)
    distance = np.linalg.norm(away, axis=1)
    needed = max(tumor.radii_mm) + radius + 4.0
    # One direction for the whole branch, so that it bows to one side and never tears.
    side = away[np.argmin(distance)] / max(float(distance.min()), 1e-6)
    along = away @ side
    shift = np.sqrt(np.maximum(along**2 - distance**2 + needed**2, 0)) - along
    return np.asarray(line + np.where(distance < needed, shift, 0)[:, None] * side)
