"""A synthetic head with a hole in the vault of its skull: an ellipsoid's shell of bone.

The shell lies between two ellipsoids with one middle, tilted and set off the image's axes, and a
round cone from that middle cuts the hole on the patient's left. The volume of what is missing is
exact: in the space in which the ellipsoid is a ball, both walls are balls and the cone has a known
solid angle (Beyer, CRC Standard Mathematical Tables).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.volume import Floats, ImageGeometry, Label, LabelMap, Vector, Volume
from workstation.phantom.patient import stable_uid

OUTER_MM, THICKNESS, SCALP_MM = (64.0, 90.0, 82.0), 0.91, 6.0
"""Half axes of the skull; those of its inside as a share of them; the skin over it."""

CENTRE_MM: Vector = (4.0, -12.0, 31.0)
TURN, TILT = np.radians(3.0), np.radians(-2.0)
"""The head is turned about the way up and tilted to one side."""

AXIS = np.array([0.80, 0.15, 0.58])
"""In the head, towards the hole: left, back, up."""

HALF_ANGLE = np.radians(23.0)
"""Of the cone, in the space in which the skull is a ball."""

BONE_HU, BRAIN_HU, SCALP_HU, AIR_HU, NOISE_HU = 1100.0, 35.0, 40.0, -1000.0, 12.0
SKULL = Label("skull", (232, 222, 200), "89546000")


@dataclass(frozen=True, eq=False)
class SkullPhantom:
    """A synthetic head with known answers, in DICOM patient LPS millimetres.

    Attributes:
        volume: the CT.
        skull, missing: the truth on its voxels.
        missing_ml: exact volume of the missing bone.
        normal: unit normal of the mid-sagittal plane through ``CENTRE_MM``, to the left.
        side: on which the hole is.
    """

    volume: Volume
    skull: LabelMap
    missing: LabelMap
    missing_ml: float
    normal: Floats
    seed: int
    side: str = "left"


def turned() -> Floats:
    """Return the head's axes in LPS: columns left, back, up."""
    about = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])
    aside = np.array([[np.cos(TILT), 0, -np.sin(TILT)], [0, 1, 0], [np.sin(TILT), 0, np.cos(TILT)]])
    return np.asarray(about @ aside)


def skull_with_hole(
    seed: int = 1, *, spacing_mm: float = 1.25, progress: Progress = silent
) -> SkullPhantom:
    """Return a synthetic head CT; a seed gives the same noise every time."""
    half = np.array([78.0, 102.0, 94.0])
    size = np.ceil(2 * half / spacing_mm).astype(int)
    origin = np.asarray(CENTRE_MM) - (size - 1) * spacing_mm / 2
    grid = ImageGeometry(
        (int(size[0]), int(size[1]), int(size[2])),
        (spacing_mm,) * 3,
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(np.eye(3).ravel()),
        stable_uid("skull frame", str(seed)),
    )
    skull, missing = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    hu = np.empty(grid.shape, np.float32)
    axes = turned()
    for k in range(grid.size[2]):
        progress(0.8 * k / grid.size[2], "drawing the head")
        head = (grid.plane_mm(2, k) - np.asarray(CENTRE_MM)) @ axes
        hu[k], skull[k], missing[k] = _slice(head)
    progress(0.8, "blurring")
    image = ndimage.gaussian_filter(hu, 0.4)
    image += np.random.default_rng([seed, 3]).normal(0, NOISE_HU, image.shape)
    array = np.clip(np.rint(image), -1024, 3000).astype(np.int16)
    return SkullPhantom(
        Volume(array, grid),
        LabelMap(skull, grid, {1: SKULL}),
        LabelMap(missing, grid, {1: Label("missing")}),
        missing_volume_ml(),
        axes[:, 0],
        seed,
    )


def missing_volume_ml() -> float:
    """Return the exact volume of the bone that is missing, in mL."""
    share = (1 - np.cos(HALF_ANGLE)) / 2
    return float(4 / 3 * np.pi * np.prod(OUTER_MM) * (1 - THICKNESS**3) * share / 1000)


def _slice(head: Floats) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return HU, bone and missing bone at points (..., 3) in the head's axes, mm."""
    ball = head / np.asarray(OUTER_MM)
    radius = np.linalg.norm(ball, axis=-1)
    way = AXIS / np.asarray(OUTER_MM)
    way = way / np.linalg.norm(way)
    shell = (radius < 1.0) & (radius >= THICKNESS)
    hole = ball @ way > np.cos(HALF_ANGLE) * radius
    skin = np.linalg.norm(head / (np.asarray(OUTER_MM) + SCALP_MM), axis=-1) < 1.0
    hu = np.where(skin, SCALP_HU, AIR_HU)
    hu = np.where(radius < THICKNESS, BRAIN_HU, hu)
    hu = np.where(shell & ~hole, BONE_HU, hu)
    return hu, shell & ~hole, shell & hole
