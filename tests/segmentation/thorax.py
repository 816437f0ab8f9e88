"""A small chest with known parts: body on a table, two lungs that touch, airways, spine, aorta."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from segmentation.volume import ImageGeometry, Volume

SPACING_MM = (2.0, 2.0, 2.5)
SIZE = (160, 130, 90)
FAT, MUSCLE, LUNG, AIR, BLOOD, CORTEX, MARROW = -100, 50, -840, -1000, 320, 700, 140


@dataclass(frozen=True, eq=False)
class Thorax:
    """The scan and the true mask of each part, arrays [k, j, i]."""

    volume: Volume
    parts: dict[str, np.ndarray]


@cache
def thorax(*, contrast: bool = False, head_first: bool = True, noise_hu: float = 15.0) -> Thorax:
    """Draw the chest; x runs to the patient's left, y to the back, z to the head."""
    x, y, z = coordinates()
    parts = masks(x, y, z)
    hu = np.full(x.shape, AIR, float)
    hu[parts["skin"]] = FAT
    hu[parts["skin"] & (np.hypot(x / 1.45, y) < 86)] = MUSCLE
    hu[parts["left lung"] | parts["right lung"]] = LUNG
    hu[parts["vessel"]] = BLOOD if contrast else MUSCLE
    hu[parts["wall"]] = MUSCLE
    hu[parts["airway"]] = AIR
    hu[parts["bone"]] = CORTEX
    hu[parts["marrow"]] = MARROW
    hu[parts["aorta"]] = BLOOD if contrast else 45
    hu[parts["table"]] = 250
    hu = ndimage.gaussian_filter(hu, 0.5)
    hu += np.random.default_rng(3).normal(0, noise_hu, hu.shape)
    array = np.rint(np.clip(hu, -1024, 3000)).astype(np.int16)
    axes, origin = np.eye(3), [-SPACING_MM[n] * (SIZE[n] - 1) / 2 for n in range(3)]
    if not head_first:  # stored from head to feet and from left to right
        array = array[::-1, :, ::-1]
        parts = {name: mask[::-1, :, ::-1] for name, mask in parts.items()}
        axes, origin = np.diag([-1.0, 1.0, -1.0]), [-origin[0], origin[1], -origin[2]]
    grid = ImageGeometry(SIZE, SPACING_MM, tuple(origin), axes.ravel(), "thorax")
    return Thorax(Volume(np.ascontiguousarray(array), grid), parts)


@cache
def coordinates():
    """Return x, y, z in mm, [k, j, i]."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SIZE, SPACING_MM)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return x, y, z


def masks(x, y, z):
    """Return the true parts."""
    skin = np.hypot(x / 1.45, y) < 95
    table = (np.abs(y - 108) < 4) & (np.abs(x) < 130)
    trachea = np.hypot(x - 2, y + 5) < 8
    airway = trachea & (z > 10)
    wall = (np.hypot(x - 2, y + 5) < 10.5) & (z > 7)
    for side, reach in ((-1, 55), (1, 48)):  # the bronchi go down and outwards
        t = np.clip((x - 2) * side / reach, 0, 1)
        off = np.hypot(y + 5, z - (14 - 40 * t))
        airway |= (off < 5.5) & ((x - 2) * side > 0) & ((x - 2) * side < reach)
        wall |= (off < 8.5) & ((x - 2) * side > 0) & ((x - 2) * side < reach + 2)
    heart = np.hypot(np.hypot((x - 18) / 45, (y + 15) / 38), (z + 60) / 45) < 1
    vertebra = np.hypot(x, (y - 50) / 0.85) < 19
    marrow = np.hypot(x, (y - 50) / 0.85) < 15.5
    canal = np.hypot(x, y - 76) < 9
    arch = (np.hypot(x, y - 76) < 12.5) & ~canal
    aorta = np.hypot(x - 32, y - 43) < 11
    chest = np.hypot(x / 1.4, y) < 72
    middle = (np.abs(x) < 22) & (y > -45)
    # In front the lungs meet behind the breast bone.
    lungs = chest & ~middle & ~heart & ~vertebra & ~arch & ~aorta & (np.abs(z) < 100)
    lungs &= ~wall
    vessel = (np.hypot(y - 15, z + 20 - 0.4 * np.abs(x)) < 3) & lungs & (np.abs(x) > 35)
    return {
        "skin": skin,
        "table": table,
        "airway": airway & ~heart,
        "wall": wall & skin,
        "right lung": lungs & (x < 0),
        "left lung": lungs & (x >= 0),
        "vessel": vessel,
        "bone": vertebra | arch,
        "marrow": marrow & vertebra,
        "canal": canal,
        "aorta": aorta & ~vertebra,
    }
