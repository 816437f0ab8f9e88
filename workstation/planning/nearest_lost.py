"""Which voxels are nearest to branches that are lost: whole blocks at a time, yet exact.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from segmentation.contract import Progress, silent
from segmentation.volume import ImageGeometry

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BLOCK_MM = 2.5
"""Edge of a block of voxels that is judged by its middle."""

CHUNK = 400_000
KEPT, LOST, UNSURE = 1, 2, 3


def nearest_is_lost(
    organ: Bools, grid: ImageGeometry, points: Floats, lost: Bools, progress: Progress = silent
) -> Bools:
    """Tell for each voxel [k, j, i] of an organ whether the nearest of points (n, 3) is lost.

    No voxel of a block is farther from its middle than a radius. Where the middle is nearer to
    one kind of point by more than twice that, so is every voxel; in other blocks each is asked.
    """
    if lost.all() or not lost.any():
        return organ & bool(lost.any())
    size = np.maximum(1, np.round(BLOCK_MM / np.asarray(grid.spacing_kji_mm))).astype(int)
    blocks = _blocks(organ, grid, points, lost, size)
    whole = blocks
    for axis in range(3):
        whole = np.repeat(whole, size[axis], axis=axis)
    whole = whole[tuple(slice(n) for n in organ.shape)]
    found = organ & (whole == LOST)
    index = np.argwhere(organ & (whole == UNSURE))
    nearest = cKDTree(points)
    for start in range(0, len(index), CHUNK):
        progress(start / len(index), "looking for the nearest branch")
        part = index[start : start + CHUNK]
        found[tuple(part.T)] = lost[nearest.query(grid.to_world(part[:, ::-1]))[1]]
    return np.asarray(found)


def _blocks(
    organ: Bools, grid: ImageGeometry, points: Floats, lost: Bools, size: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Return for each block whether its voxels are `KEPT`, `LOST` or `UNSURE`; 0 without any."""
    padded = np.pad(organ, [(0, -n % edge) for n, edge in zip(organ.shape, 2 * size)])
    shape = [n // edge for n, edge in zip(padded.shape, size)]
    blocks = padded.view(np.uint8)
    for axis in range(3):  # one after the other: much quicker than all at once
        parts = (*blocks.shape[:axis], shape[axis], size[axis], *blocks.shape[axis + 1 :])
        blocks = blocks.reshape(parts).max(axis=axis + 1)
    trees = cKDTree(points[lost]), cKDTree(points[~lost])
    # Eight blocks at a time first: most of them are far from where both kinds are as near.
    whole = blocks.reshape([n for edge in shape for n in (edge // 2, 2)]).max(axis=(1, 3, 5))
    _judge(whole, whole != 0, grid, trees, 2 * size)
    for axis in range(3):
        whole = np.repeat(whole, 2, axis=axis)
    blocks *= whole
    _judge(blocks, blocks == UNSURE, grid, trees, size)
    return blocks


def _judge(
    blocks: npt.NDArray[np.uint8],
    asked: Bools,
    grid: ImageGeometry,
    trees: tuple[cKDTree, cKDTree],
    size: npt.NDArray[np.int64],
) -> None:
    """Write into the blocks that are asked for what their places are nearest to."""
    at = np.argwhere(asked)
    middles = grid.to_world((at * size + (size - 1) / 2)[:, ::-1])
    radius = float(np.linalg.norm((size - 1) / 2 * np.asarray(grid.spacing_kji_mm)))
    to_lost, to_kept = (tree.query(middles)[0] for tree in trees)
    ahead = to_kept - to_lost
    sure = np.abs(ahead) > 2 * radius + 1e-6
    blocks[tuple(at.T)] = np.where(sure, np.where(ahead > 0, LOST, KEPT), UNSURE)
