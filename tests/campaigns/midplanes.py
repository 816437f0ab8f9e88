"""The mid-sagittal plane of a real head, again and again, of pieces of it in other poses.

Each time up to 40 mm are cut off below, up to 12 mm above and up to 16 mm at each of the other four
sides; what is left is turned by up to 15 degrees about any axis and moved by up to 20 mm along
each. The plane found there, brought back, is compared with that of the whole head. What the crops
of a campaign have in common the whole has too, so that this tells how stable the plane is, not how
near to the true one; analytic heads tell that (tests/meshing/test_symmetry.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meshing.surface import SurfaceMesh, isosurface
from meshing.symmetry import MirrorPlane, find_symmetry
from segmentation.volume import Floats, LabelMap
from tests.campaigns.implants import head

CELL_MM = 3.0
CROPS_MM = ((40, 16, 16), (12, 16, 16))
"""Most that is cut off at the low and the high end of the axes k, j, i."""
TURN_DEGREES, SHIFT_MM = 15.0, 20.0
BAR_DEGREES, BAR_MM = 1.0, 1.0


@dataclass(frozen=True)
class Whole:
    """The skull of a real head, with its plane and the middle that pieces are turned about."""

    skull: LabelMap
    plane: MirrorPlane
    middle_mm: Floats


@dataclass(frozen=True)
class Verdict:
    """How far the plane of a piece lies from that of the whole head.

    The distance is that at the middle of the head.
    """

    turned_degrees: float
    off_degrees: float
    off_mm: float

    @property
    def ok(self) -> bool:
        """Whether it is within the bars."""
        return self.off_degrees <= BAR_DEGREES and self.off_mm <= BAR_MM


def whole(folder: Path) -> Whole:
    """Return the real head."""
    skull = head(folder)
    grid = skull.geometry
    middle = grid.to_world((np.asarray(grid.size)[None] - 1) / 2)[0]
    return Whole(skull, find_symmetry(isosurface(skull, cell_mm=CELL_MM)), middle)


def judge(known: Whole, seed: int) -> Verdict:
    """Return how the plane of a random piece in a random pose agrees with that of the whole."""
    rng = np.random.default_rng(seed)
    low, high = (
        np.round(rng.uniform(0, most) / known.skull.geometry.spacing_kji_mm).astype(int)
        for most in CROPS_MM
    )
    stop = np.asarray(known.skull.array.shape) - high
    array = known.skull.array[tuple(slice(a, b) for a, b in zip(low, stop))]
    grid = known.skull.geometry.cropped(low[::-1].tolist(), array.shape[::-1])
    piece = isosurface(LabelMap(array, grid, known.skull.labels), cell_mm=CELL_MM)
    turn, degrees = _turned(rng)
    shift = known.middle_mm + rng.uniform(-SHIFT_MM, SHIFT_MM, 3)
    points = (piece.points_mm - known.middle_mm) @ turn.T + shift
    found = find_symmetry(SurfaceMesh(points, piece.triangles, piece.frame_uid))
    normal, wanted = np.asarray(found.normal) @ turn, np.asarray(known.plane.normal)
    point = (np.asarray(found.point_mm) - shift) @ turn
    sign = np.sign(normal @ wanted)
    here = (np.asarray(known.plane.point_mm) - known.middle_mm) @ wanted
    off = abs(point @ normal * sign - here)
    angle = np.degrees(np.arccos(min(abs(float(normal @ wanted)), 1.0)))
    return Verdict(degrees, float(angle), float(off))


def _turned(rng: np.random.Generator) -> tuple[Floats, float]:
    """Return a random turn as a matrix, and its angle in degrees (Rodrigues' formula)."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    degrees = float(rng.uniform(-TURN_DEGREES, TURN_DEGREES))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, degrees
