"""The region around marked points that the steepest edges enclose: a watershed with markers.

The gradient of the image is flooded from the marks of both sides; where the floods meet, on the
highest ridge between them, is the border (Meyer, Signal Processing 38, 1994).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from scipy import ndimage
from skimage.segmentation import watershed as flood

from segmentation.contract import Finding, Progress, Severity, silent
from segmentation.marks import (
    Points,
    binned,
    connected,
    cut_around,
    require_foreground,
    unbinned,
)
from segmentation.volume import LabelMap, Volume

_CELLS = 1_000_000
_SPREAD_OUT = 3  # times the volume of the marks; a flood that covers less has found no edges
_STUCK = Finding(
    Severity.WARNING,
    "flood_stuck",
    "the flood hardly left the marked points",
    remedy="mark more of the structure, or also what lies outside of it",
)


def watershed(
    volume: Volume,
    *,
    foreground_mm: Points,
    background_mm: Points = (),
    radius_mm: Annotated[float, Gt(0)] = 3.0,
    blur_mm: Annotated[float, Ge(0)] = 2.0,
    reach_mm: Annotated[float, Gt(0)] = 60.0,
    name: str = "region",
    progress: Progress = silent,
) -> LabelMap:
    """Fill a region from marked points up to the steepest edges around it.

    Intensities may vary within the region; only edges count. Without background points, what
    lies beyond the reach counts as background. From one click it suits a structure with an edge
    all around, such as a kidney; vessels inside, as in the liver, stop it early, and where an
    edge is missing it runs out: mark several places on both sides there.

    Args:
        volume: the image.
        foreground_mm: points inside the structure, LPS mm.
        background_mm: points outside of it, LPS mm.
        radius_mm: radius of the ball around each point that counts as marked, in mm.
        blur_mm: standard deviation of the Gaussian that evens out noise before, in mm.
        reach_mm: how far the region can extend from the nearest foreground point, in mm.
        name: what to call the result.
        progress: told how far the work is.

    Raises:
        SeedOutside: if a point lies outside the image.
        ValueError: without a foreground point.
    """
    require_foreground(foreground_mm, "a watershed")
    progress(0.0, "preparing the image around the points")
    scene = cut_around(volume, foreground_mm, background_mm, radius_mm, reach_mm)
    refused = scene.refused | ~scene.within(foreground_mm, reach_mm)
    steps = scene.steps(_CELLS)
    cells_mm = np.multiply(steps, scene.grid.spacing_kji_mm)
    image = binned(scene.image, steps, np.mean)
    height = ndimage.gaussian_gradient_magnitude(image, np.maximum(blur_mm / cells_mm, 0.7))
    marks = binned(refused, steps, np.min).astype(np.int32) * 2
    marks[binned(scene.refused, steps, np.max)] = 2
    marks[binned(scene.wanted, steps, np.max)] = 1
    progress(0.3, "flooding from the marks")
    inside = flood(height, marks) == 1
    progress(0.9, "placing the region in the image")
    region = (unbinned(inside, steps, scene.grid.shape) & ~refused) | scene.wanted
    region = connected(region, scene.wanted)
    found = scene.placed(region, volume, name)
    if region.sum() >= _SPREAD_OUT * scene.wanted.sum():
        return found
    return replace(found, findings=(*found.findings, _STUCK))
