"""From shapes to voxels: exact centre tests, partial volume, and the look of a CT scanner."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.contract import Progress, silent
from segmentation.volume import ImageGeometry
from workstation.phantom.shapes import Block, Path, Shape, Values, block_around, coordinates_mm

Fractions = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Solid = Shape | tuple[Shape, ...]

# 64 sub-samples per voxel, so that one bit each fits an unsigned 64-bit word.
_STEPS = (np.arange(4, dtype=np.float32) - 1.5) / 4
_SLAB = 8


def bounds(solid: Solid) -> Shape:
    """Return a shape whose box (LPS mm) holds the solid."""
    if isinstance(solid, Shape):
        return solid
    low = np.min([s.low_mm for s in solid], axis=0)
    high = np.max([s.high_mm for s in solid], axis=0)
    return Shape(solid[0].distance_mm, (low[0], low[1], low[2]), (high[0], high[1], high[2]))


def cones(paths: tuple[Path, ...], shrink_mm: float = 0.0) -> tuple[Shape, ...]:
    """Return all round cones of some paths; as a solid they are painted one by one."""
    return tuple(cone for path in paths for cone in path.cones(shrink_mm))


def _slabs(block: Block) -> list[Block]:
    k, j, i = block
    return [(slice(a, min(a + _SLAB, k.stop)), j, i) for a in range(k.start, k.stop, _SLAB)]


def inside(
    solid: Solid, geometry: ImageGeometry, progress: Progress = silent
) -> tuple[Block, Mask]:
    """Return the block [k, j, i] that holds a solid and which voxel centres lie inside it.

    The grid must be axial (identity directions).
    """
    block = block_around(bounds(solid), geometry)
    mask = np.zeros([s.stop - s.start for s in block], bool)
    parts = (solid,) if isinstance(solid, Shape) else solid
    for n, part in enumerate(parts):
        slabs = _slabs(block_around(part, geometry))
        for m, slab in enumerate(slabs):
            progress((n + m / len(slabs)) / len(parts))
            mask[_relative(slab, block)] |= part.distance_mm(*coordinates_mm(geometry, slab)) < 0
    return block, mask


def coverage(
    solid: Solid, geometry: ImageGeometry, progress: Progress = silent
) -> tuple[Block, Fractions, Mask]:
    """Return the block [k, j, i] that holds a solid, how far each voxel is filled, and `inside`.

    The fraction is 0 to 1. Voxels the surface may pass are sampled at 4 x 4 x 4 points,
    which leaves a volume unbiased. The grid must be axial (identity directions).
    """
    if not isinstance(solid, Shape):
        block, mask = inside(solid, geometry)
        return block, _bundle_coverage(solid, geometry, block), mask
    block = block_around(solid, geometry)
    fractions = np.empty([s.stop - s.start for s in block], np.float32)
    mask = np.empty(fractions.shape, bool)
    slabs = _slabs(block)
    for n, slab in enumerate(slabs):
        progress(n / len(slabs))
        place = _relative(slab, block)
        fractions[place], mask[place] = _sampled(solid, geometry, slab)
    return block, fractions, mask


def _bundle_coverage(parts: tuple[Shape, ...], geometry: ImageGeometry, block: Block) -> Fractions:
    bits = np.zeros([s.stop - s.start for s in block], np.uint64)
    for part in parts:
        small = block_around(part, geometry, margin=1)
        bits[_relative(small, block)] |= _sample_bits(part, geometry, small)
    return np.bitwise_count(bits).astype(np.float32) / np.float32(64)


def _relative(block: Block, outer: Block) -> Block:
    k, j, i = (slice(b.start - o.start, b.stop - o.start) for b, o in zip(block, outer))
    return k, j, i


def _sampled(shape: Shape, geometry: ImageGeometry, block: Block) -> tuple[Fractions, Mask]:
    x, y, z = coordinates_mm(geometry, block)
    distance = np.broadcast_to(shape.distance_mm(x, y, z), [s.stop - s.start for s in block])
    mask = distance < 0
    fractions = mask.astype(np.float32)
    # Half a voxel diagonal, and a fifth more because a distance may be a little too long.
    reach = 0.6 * float(np.linalg.norm(geometry.spacing_mm))
    k, j, i = np.nonzero(np.abs(distance) < reach)
    px, py, pz = x[0, 0, i], y[0, j, 0], z[k, 0, 0]
    sx, sy, sz = (np.float32(s) for s in geometry.spacing_mm)
    a, b = (v.reshape(16, 1) for v in np.meshgrid(_STEPS * sx, _STEPS * sy))
    total = np.zeros(k.size, np.float32)
    for c in _STEPS * sz:
        total += (shape.distance_mm(px + a, py + b, pz + c) < 0).sum(axis=0)
    fractions[k, j, i] = total / 64
    return fractions, mask


def _sample_bits(shape: Shape, geometry: ImageGeometry, block: Block) -> npt.NDArray[np.uint64]:
    fine = [
        (v.ravel()[:, None] + _STEPS * np.float32(s)).ravel()
        for v, s in zip(coordinates_mm(geometry, block), geometry.spacing_mm)
    ]
    x, y, z = fine[0][None, None, :], fine[1][None, :, None], fine[2][:, None, None]
    hit: Values = shape.distance_mm(x, y, z) < 0
    n = [s.stop - s.start for s in block]
    cells = hit.reshape(n[0], 4, n[1], 4, n[2], 4).transpose(0, 2, 4, 1, 3, 5)
    packed = np.packbits(cells.reshape(*n, 64), axis=-1)
    return np.asarray(packed.view(np.uint64)[..., 0])


def scanned(
    image: Fractions,
    geometry: ImageGeometry,
    rng: np.random.Generator,
    *,
    blur_mm: tuple[float, float, float],
    noise_hu: float,
    progress: Progress = silent,
) -> npt.NDArray[np.int16]:
    """Return a CT [k, j, i] in whole HU: blurred like a scanner, with correlated noise.

    ``blur_mm`` is the standard deviation of the Gaussian point spread along x, y, z;
    ``noise_hu`` the standard deviation of the noise, whose grain is about a millimetre.
    """
    sigma = [b / s for b, s in zip(blur_mm[::-1], geometry.spacing_kji_mm)]
    image = ndimage.gaussian_filter(image, sigma, mode="nearest")
    for k in range(len(image)):
        progress(k / len(image))
        grain = rng.standard_normal(image.shape[1:], dtype=np.float32)
        grain = ndimage.gaussian_filter(grain, [0.75 / s for s in geometry.spacing_mm[1::-1]])
        image[k] += grain * (noise_hu / max(float(grain.std()), 1e-6))
    return np.asarray(np.rint(np.clip(image, -1024, 3071)), np.int16)
