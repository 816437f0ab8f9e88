"""What the prompted network sees: a block of cells, the prompts in it, and an answer so far.

All lengths are in cells, whatever their size in mm, and all levels are relative to the tissue at
the prompts, so that a lesion in an MR looks much like an organ in a CT. Geodesic distances to the
prompts help most where organs were never seen (DeepIGeoS: Wang et al., IEEE TPAMI 41 (2019) 1559).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from segmentation.cells import Cells, make_cells
from segmentation.marks import Mask, Singles, Steps
from segmentation.volume import Array, Floats

CHANNELS = (
    "level",
    "level around",
    "rank in the block",
    "edges",
    "near inside prompts",
    "near outside prompts",
    "way from inside prompts",
    "way from inside against outside prompts",
    "answer so far",
    "likeness to the answer so far",
    "box",
)
LEVELS = (0, 1, 2)
"""Channels that change their sign with the contrast of the image."""

STEP_MM = 3.0  # a cell is taken to be as large, where something depends on its size
_NEAR_MM = 6.0
_RIM_MM = 12.0  # the outside is learnt this far around the answer
_UNREACHED_MM = 200.0  # where an outside prompt would be if there were one


def features(
    array: Array,
    spacing_mm: Floats,
    steps: Steps,
    inside: Mask,
    outside: Mask,
    before: Singles,
    box: Mask | None = None,
) -> Singles:
    """Return the channels of the network, [channel, k, j, i], float32.

    Args:
        array: the block of the image [k, j, i].
        spacing_mm: size of its voxels (k, j, i).
        steps: voxels of a cell (k, j, i).
        inside: the cells of prompts inside, at least one.
        outside: the cells of prompts outside.
        before: the answer so far, 0 to 1 in each cell; zeros for none.
        box: the cells of the box that was drawn.
    """
    size = spacing_mm * np.asarray(steps)
    mark = _thick(inside)
    cells = make_cells(array, spacing_mm * (STEP_MM / size.min()), steps, mark)
    own = cells.front_mm(mark, cells.unlike(mark))
    rival = np.full_like(own, _UNREACHED_MM)
    if outside.any():
        rival = np.minimum(cells.front_mm(outside, cells.unlike(_thick(outside))), rival)
    race = np.log((own + STEP_MM) / (rival + np.float32(STEP_MM)))
    return np.stack(
        [
            np.arcsinh(cells.level) / 2,
            np.arcsinh(cells.around) / 2,
            _rank(cells.level),
            cells.edges,
            _near(cells, inside),
            _near(cells, outside),
            np.log1p(own / STEP_MM) / 3,
            np.clip(race, -4, 4) / 2,
            2 * before - 1,
            _likeness(cells, mark, before) / 3,
            np.zeros_like(before) if box is None else box,
        ]
    ).astype(np.float32)


def _thick(mask: Mask) -> Mask:
    return np.asarray(ndimage.binary_dilation(mask)) if mask.any() else mask


def _near(cells: Cells, mask: Mask) -> Floats:
    return np.asarray(np.exp(-cells.far_mm(mask) / _NEAR_MM))


def _rank(level: Singles) -> Singles:
    """Return the share of the block's cells that are darker, on a scale of -1 to 1."""
    places = np.linspace(0, 1, 65)
    found, first = np.unique(np.quantile(level.ravel()[::3], places), return_index=True)
    return np.asarray(2 * np.interp(level, found, places[first]) - 1, np.float32)


def _likeness(cells: Cells, mark: Mask, before: Singles) -> Singles:
    """Return the log ratio of the likelihoods of levels in the answer and around it."""
    found = before > 0.5
    if not found.any():
        found = cells.like(mark)
    around = np.exp(-cells.far_mm(found) / _RIM_MM)
    around[found] = 0
    return cells.evidence(found.astype(float), around + 1e-6)
