"""Decoded slices onto the planes of a grid that has planes between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segmentation.contract import Progress
from segmentation.volume import Array, Floats
from workstation.dicom.geometry import Stack

ON_A_SLICE = 1e-6
"""How near (in planes) a plane lies to a slice to be that slice."""


def slices_alone(stack: Stack) -> Stack:
    """Return ``stack`` with one plane per slice, as the slices are decoded."""
    columns, rows, _ = stack.geometry.size
    grid = replace(stack.geometry, size=(columns, rows, len(stack.levels)))
    return replace(stack, geometry=grid, levels=np.arange(len(stack.levels), dtype=float))


def onto_planes(
    layers: Array, stack: Stack, rows: int, columns: int, fill: float, progress: Progress
) -> Array:
    """Return ``layers`` [slice, j, i] interpolated linearly along z onto the grid of ``stack``.

    A plane on which a slice lies is that slice, unchanged. Where one of two tilted slices of
    ``rows`` and ``columns`` does not reach, the planes between them hold ``fill``.
    """
    result = np.full(stack.geometry.shape, fill, layers.dtype)
    for plane in range(len(result)):
        progress(plane / len(result), f"interpolating slice {plane + 1} of {len(result)}")
        below = int(np.searchsorted(stack.levels, plane + ON_A_SLICE, side="right")) - 1
        above = min(below + 1, len(layers) - 1)
        apart = plane - stack.levels[below]
        if apart <= ON_A_SLICE or above == below:
            result[plane] = layers[below]
            continue
        part = apart / (stack.levels[above] - stack.levels[below])
        both = _shared(stack.offsets[[below, above]], rows, columns)
        mixed = (1 - part) * layers[below][both] + part * layers[above][both]
        result[plane][both] = np.rint(mixed) if result.dtype.kind in "iu" else mixed
    return result


def _shared(offsets: Floats, rows: int, columns: int) -> tuple[slice, slice]:
    """Return the rows and columns of the grid that both slices cover."""
    first = np.ceil(offsets.max(axis=0) - ON_A_SLICE).astype(int)
    last = np.floor(offsets.min(axis=0) + np.array([columns - 1, rows - 1]) + ON_A_SLICE).astype(
        int
    )
    return slice(first[1], last[1] + 1), slice(first[0], last[0] + 1)
